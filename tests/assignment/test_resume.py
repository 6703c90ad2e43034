"A training that was stopped goes on as if it had not been."

import random
import re
import shutil
import signal
import subprocess
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
from mnist_kit.tools.fast import fast_on_gpu
from safetensors import safe_open
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures('few_digits')


def train(folder, epochs=2, **kwargs):
    "Model 3 on 250 images, two batches an epoch."
    return train_run('model3', folder, replace(MODEL3.recipe, epochs=epochs), 'digits', seed=7, bar=False, **kwargs)


def outcome(folder):
    "What a run has come to, but for the time that it took."
    run, files = read_run(folder), sorted(o.name for o in folder.iterdir())
    rows = [o | dict(seconds=0) for o in run.rows]
    return run.status, rows, run.train, files, (folder / 'model.safetensors').read_bytes()


@pytest.fixture(scope='module')
def whole(tmp_path_factory, few_digits):
    found = outcome(folder := train(tmp_path_factory.mktemp('whole') / 'a'))
    assert found[0] == 'finished' and found[3] == sorted(RUN_FILES)
    return folder


def stop(at):
    "Ctrl-C at a batch of training, counted over all epochs."

    def after_batch(cb):
        if cb.training and cb.epoch * 2 + cb.iter == at:
            signal.raise_signal(signal.SIGINT)

    return Callback(after_batch=after_batch)


@pytest.mark.parametrize('at', [1, 2, 3])  # in the first epoch, in both batches of the second
def test_an_interrupted_run_ends_in_the_same_weights_and_rows(whole, at, tmp_path):
    folder = train(tmp_path / 'a', cbs=stop(at))
    run = read_run(folder)
    assert (run.status, run.message) == ('interrupted', f'after {at // 2} of 2 epochs')
    assert (folder / CHECKPOINT).exists() == (at >= 2)
    for module in (random, np.random):
        module.seed(at)  # what other code does with the generators in between makes no difference
    torch.manual_seed(at)
    resume_run(folder, bar=False, cbs=Callback())
    assert outcome(folder) == outcome(whole)


def test_a_run_that_failed_after_its_last_epoch_is_brought_to_its_end(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as m, pytest.raises(ZeroDivisionError):
        m.setattr(runs, 'score', lambda *args: 1 / 0)  # which comes after the last epoch
        train(tmp_path / 'a')
    run = read_run(tmp_path / 'a')
    assert (run.status, len(run.rows)) == ('failed', 2)
    resume_run(tmp_path / 'a', bar=False)
    assert outcome(tmp_path / 'a') == outcome(whole)


@pytest.mark.usefixtures('on_gpu')
@pytest.mark.parametrize('prepare, off', [(None, 0), (fast_on_gpu, 1e-3)], ids=['as it is', 'to_fast'])
def test_a_run_interrupted_on_a_gpu_ends_in_the_same_weights(prepare, off, tmp_path):
    "With `to_fast` its first batches are eager again, and round in another order."
    how = dict(device='cuda', prepare=prepare)
    whole, folder = train(tmp_path / 'a', **how), train(tmp_path / 'b', cbs=stop(2), **how)
    assert read_run(folder).status == 'interrupted' and read_run(folder).device['type'] == 'cuda'
    resume_run(folder, bar=False, cbs=Callback(), **how)
    ended, there = (load_file(o / 'model.safetensors') for o in (folder, whole))
    assert max((ended[k].double() - v.double()).abs().max() for k, v in there.items()) <= off
    assert learner_from(folder, device='cpu').predict(torch.zeros(28, 28))[2].sum().item() == pytest.approx(1)


def test_what_cannot_be_continued_is_refused_in_one_line(whole, tmp_path):
    refused(lambda: resume_run(whole), 'finished', 'expected one that was stopped')
    refused(lambda: resume_run(tmp_path), 'cannot be read')
    folder = train(tmp_path / 'a', cbs=stop(3))
    refused(lambda: resume_run(folder), '0 callbacks: expected those of the run: Callback')
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

    assert outcome(train(tmp_path / 'a', 1, cbs=Again()))[0] == 'finished' and asked


def test_the_command_goes_on_and_says_how(tmp_path, monkeypatch, capsys):
    "What a killed training leaves is there, whole; the command that goes on is interrupted, and says how to go on."
    killed = tmp_path / 'a b'
    copy = Callback(before_epoch=lambda cb: cb.epoch == 2 and shutil.copytree(tmp_path / 'a', killed))
    whole = train(tmp_path / 'a', 4, prepare=lambda learn: learn.add_cb(copy))
    run = read_run(killed)
    assert (run.status, len(run.rows)) == ('running', 2) and learner_from(killed), 'whole files'

    def stopped(model, out, epochs):
        if epochs == 3:
            signal.raise_signal(signal.SIGINT)  # the record is written, the weights are not: they are waited for
        save_weights(model, out, epochs=epochs)

    with monkeypatch.context() as m, pytest.raises(SystemExit) as e:
        m.setattr(runs, 'save_weights', stopped)
        mnist_kit_train(resume=str(killed))
    assert e.value.code == 130 and f"to go on: mnist_kit_train --resume '{killed}'" in capsys.readouterr().out
    run = read_run(killed)
    assert (run.status, run.message, len(run.rows)) == ('interrupted', 'after 3 of 4 epochs', 3)
    with safe_open(killed / 'model.safetensors', 'pt') as f:
        assert f.metadata() == {'epochs': '3'} and (killed / 'curves.png').exists()
    mnist_kit_train(resume=str(killed))
    assert outcome(killed) == outcome(whole)
    out, err = capsys.readouterr()
    assert re.search('train_loss +valid_loss +accuracy', out), 'the table of epochs'
    assert re.search(r"model3 on scikit-learn's .*\d %.* 4 of 4 epochs.*7,416 parameters, \d+ min", out) and err == ''
    with pytest.raises(SystemExit, match='^mnist_kit_train: --resume with lr: expected only the folder: the run has'):
        mnist_kit_train(resume=str(tmp_path), lr=1.0)


def test_a_training_goes_on_when_nobody_reads_its_table(tmp_path):
    args = 'model1', '--epochs', '1', '--source', 'digits', '--out', tmp_path / 'a'
    p = subprocess.Popen(command('mnist_kit_train', *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.close()
    assert p.stderr.read() == '' and p.wait(timeout=120) == 0
    assert read_run(tmp_path / 'a').status == 'finished' and (tmp_path / 'a' / 'curves.png').exists()
