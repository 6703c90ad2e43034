"A training that was stopped goes on as if it had not been."

import random
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import command, refused
from fastai.callback.core import Callback
from mnist_kit import runs
from mnist_kit.runs import CHECKPOINT, RUN_FILES, learner_from, read_run, resume_run, train_run
from mnist_kit.models import save_weights
from mnist_kit.spec import MODEL3
from mnist_kit.tools.cli import mnist_kit_train
from safetensors import safe_open

pytestmark = pytest.mark.usefixtures('few_digits')
short = replace(MODEL3.recipe, epochs=2)  # on 250 images, two batches each


def rows(folder):
    return [{k: v for k, v in r.items() if k != 'seconds'} for r in read_run(folder).rows]


def weights(folder):
    return (folder / 'model.safetensors').read_bytes()


@pytest.fixture(scope='module')
def whole(tmp_path_factory, few_digits):
    return train_run('model3', tmp_path_factory.mktemp('whole') / 'a', short, 'digits', seed=7, bar=False)


class Stop(Callback):
    "Ctrl-C at a batch of training, counted over all epochs."

    def __init__(self, at):
        self.at = at

    def after_batch(self):
        if self.training and self.epoch * 2 + self.iter == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize('at', [1, 2, 3])  # in the first epoch, in the first batch of the second, in its last
def test_an_interrupted_run_ends_in_the_same_weights_and_rows(whole, at, tmp_path):
    folder = train_run('model3', tmp_path / 'a', short, 'digits', seed=7, bar=False, cbs=Stop(at))
    assert read_run(folder).status == 'interrupted' and (folder / CHECKPOINT).exists() == (at >= 2)
    for module in (random, np.random):
        module.seed(at)  # what other code does with the generators in between makes no difference
    torch.manual_seed(at)
    resume_run(folder, bar=False, cbs=Callback())
    assert weights(folder) == weights(whole) and rows(folder) == rows(whole)
    assert read_run(folder).train == read_run(whole).train
    assert sorted(o.name for o in folder.iterdir()) == sorted(RUN_FILES)


def test_ctrl_c_between_record_and_weights_waits_for_both(whole, tmp_path, monkeypatch):
    def stopped(model, out, epochs):
        if epochs == 1:
            signal.raise_signal(signal.SIGINT)
        save_weights(model, out, epochs=epochs)

    with monkeypatch.context() as m:
        m.setattr(runs, 'save_weights', stopped)
        folder = train_run('model3', tmp_path / 'a', short, 'digits', seed=7, bar=False)
    run = read_run(folder)
    assert (run.status, run.message, len(run.rows)) == ('interrupted', 'after 1 of 2 epochs', 1)
    with safe_open(folder / 'model.safetensors', 'pt') as f:
        assert f.metadata() == {'epochs': '1'}
    resume_run(folder, bar=False)
    assert weights(folder) == weights(whole) and rows(folder) == rows(whole)


def test_a_run_stopped_after_its_last_epoch_is_brought_to_its_end(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(runs, 'score', lambda *args: 1 / 0)  # which comes after the last epoch
        with pytest.raises(ZeroDivisionError):
            train_run('model3', tmp_path / 'a', short, 'digits', seed=7, bar=False)
    assert read_run(tmp_path / 'a').status == 'failed' and len(rows(tmp_path / 'a')) == 2
    resume_run(tmp_path / 'a', bar=False)
    assert weights(tmp_path / 'a') == weights(whole) and rows(tmp_path / 'a') == rows(whole)
    assert read_run(tmp_path / 'a').train == read_run(whole).train


def test_what_cannot_be_continued_is_refused_in_one_line(whole, tmp_path):
    refused(lambda: resume_run(whole), 'finished', 'expected one that was stopped')
    refused(lambda: resume_run(tmp_path), 'cannot be read')
    folder = train_run('model3', tmp_path / 'a', short, 'digits', seed=7, bar=False, cbs=Stop(3))
    refused(lambda: resume_run(folder), '0 callbacks: expected those of the run: Stop')
    content = (folder / CHECKPOINT).read_bytes()
    for damaged in (content[:-100], b'', content.replace(b'"epochs', b'"epochx')):
        (folder / CHECKPOINT).write_bytes(damaged)
        refused(lambda: resume_run(folder, bar=False, cbs=Callback()), 'is damaged', 'train again')


def test_a_run_that_is_still_running_is_not_resumed(tmp_path):
    asked = []

    class Again(Callback):
        def before_validate(self):
            asked.append(1)
            refused(lambda: resume_run(tmp_path / 'a', bar=False, cbs=Callback()), 'in use by another process')

    folder = train_run('model3', tmp_path / 'a', replace(short, epochs=1), 'digits', bar=False, cbs=Again())
    assert asked and read_run(folder).status == 'finished'
    assert sorted(o.name for o in folder.iterdir()) == sorted(RUN_FILES)


def test_the_command_goes_on_and_says_how(tmp_path, capsys):
    "A training is killed; the command that goes on with it is interrupted, and says how to go on."
    out = tmp_path / 'a b'

    def train_and_stop(sig, rows, *args):
        with subprocess.Popen(command('mnist_kit_train', *args), stdout=subprocess.PIPE, text=True) as p:
            while not ((out / CHECKPOINT).exists() and len(read_run(out).rows) > rows):
                time.sleep(0.1)
            p.send_signal(sig)
            return p.communicate(timeout=120)[0], p.returncode

    assert train_and_stop(signal.SIGKILL, 1, 'model1', '--epochs', '8', '--source', 'digits', '--out', out)[1] == -9
    killed = read_run(out)
    assert killed.status == 'running' and learner_from(out), 'whole files'
    said, code = train_and_stop(signal.SIGINT, len(killed.rows), '--resume', out)
    assert code == 130 and f"to go on: mnist_kit_train --resume '{out}'" in said
    run = read_run(out)
    assert (run.status, run.message) == ('interrupted', f'after {len(run.rows)} of 8 epochs')
    assert learner_from(out) and (out / 'curves.png').exists()
    mnist_kit_train(resume=str(out))
    assert '8 of 8 epochs' in capsys.readouterr().out
    with pytest.raises(
        SystemExit, match='^mnist_kit_train: --resume with lr: expected only the folder: the run has the'
    ):
        mnist_kit_train(resume=str(tmp_path), lr=1.0)


def test_a_training_goes_on_when_nobody_reads_its_table(tmp_path):
    args = 'model1', '--epochs', '1', '--source', 'digits', '--out', tmp_path / 'a'
    p = subprocess.Popen(command('mnist_kit_train', *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.close()
    assert p.stderr.read() == '' and p.wait(timeout=120) == 0
    assert read_run(tmp_path / 'a').status == 'finished' and (tmp_path / 'a' / 'curves.png').exists()
