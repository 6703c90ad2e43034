"What a run leaves behind, and what the command line answers."

import errno
import json
import math
import os
import pickle
import re
import signal
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from conftest import ROOT, quiet, refused, run_python
from fastai.callback.core import Callback
from fastcore.script import anno_parser
from mnist_kit import core, sources
from mnist_kit.core import TrainingError
from mnist_kit.data import DigitDataset, dls_of
from mnist_kit.learner import learner_for
from mnist_kit.models import Model1
from mnist_kit.runs import RUN_FILES, learner_from, read_run, train_run
from mnist_kit.spec import MODEL1, SPECS, recipe_with
from mnist_kit.tools import cli

pytestmark = pytest.mark.usefixtures('few_digits')
short = replace(MODEL1.recipe, epochs=2)


@pytest.fixture(scope='module')
def folder(tmp_path_factory, few_digits):
    "Model 1, given as a class, two epochs on scikit-learn's digits; without a folder, the next free one is taken."
    with pytest.MonkeyPatch.context() as m:
        m.chdir(tmp_path_factory.mktemp('run'))
        return train_run(Model1, None, short, 'digits', seed=5, bar=False).absolute()


def test_a_run_leaves_its_weights_its_curves_and_a_record_of_what_was_trained_on_what_how_and_where(folder):
    assert folder.parts[-2:] == ('runs', 'model1-digits-seed5')
    assert sorted(p.name for p in folder.iterdir()) == sorted(RUN_FILES)
    o = json.loads((folder / 'run.json').read_text())
    assert (o['model'], o['params'], o['source'], o['seed'], o['status']) == ('model1', 7108, 'digits', 5, 'finished')
    assert (o['n_train'], o['n_valid'], o['holdout'], o['test']) == (250, 100, 0, None)
    assert o['recipe']['lr'] == 0.01 and o['recipe']['epochs'] == 2
    assert o['versions'].keys() >= {'python', 'torch', 'fastai', 'mnist_kit'} and o['device']['type']
    keys = {'epoch', 'train_loss', 'train_accuracy', 'valid_loss', 'valid_accuracy', 'seconds'}
    assert [r['epoch'] for r in o['rows']] == [1, 2] and all(r.keys() == keys for r in o['rows'])


def test_loading_weights_never_unpickles(folder, monkeypatch):
    for module, name in ((pickle, 'load'), (pickle, 'loads'), (pickle, 'Unpickler'), (torch, 'load')):
        monkeypatch.setattr(module, name, None)
    learner_from(folder / 'run.json')  # which will do, too


def write_and_die(path):
    core.os.replace = lambda *args: os._exit(1)
    core.write_atomic(path, b'half')


def test_what_a_killed_process_was_writing_is_swept_by_the_next_one(tmp_path):
    p = get_context('fork').Process(target=write_and_die, args=[tmp_path / 'run.json'])
    p.start()
    p.join()
    assert [o.read_bytes() for o in tmp_path.iterdir()] == [b'half']
    with core.alone_in(tmp_path, 'folder'):
        assert [o.name for o in tmp_path.iterdir()] == ['.lock']


def test_a_full_disk_is_told_of_in_the_record(tmp_path, monkeypatch):
    flush, full = os.fsync, []

    def fsync(file):
        if full and os.fstat(file).st_size > 10_000:  # for the record there is room
            raise OSError(errno.ENOSPC, 'No space left on device')
        flush(file)

    monkeypatch.setattr(core.os, 'fsync', fsync)
    with pytest.raises(TrainingError, match='No space left.*what was written before is still there'):
        fill = Callback(before_train=lambda cb: full.append(1))
        train_run('model1', tmp_path / 'r', short, 'digits', bar=False, cbs=fill)
    run = read_run(tmp_path / 'r')
    assert run.status == 'failed' and 'No space left' in run.message
    assert sorted(o.name for o in (tmp_path / 'r').iterdir()) == ['model.safetensors', 'run.json']


@pytest.mark.parametrize(
    'field, value, part',
    [
        ('recipe', {'epochs': 2, 'lr': 1, 'moms': 7}, 'recipe.moms: '),
        ('rows', [{'epoch': 1}], 'rows.0.train_loss'),
        ('rows', [], 'a finished run'),
        ('status', 'fine', 'status'),
        ('train', {'n': 1, 'loss': 0.1, 'accuracy': 1.5}, 'train.accuracy'),
        ('surprise', 1, 'surprise'),
        ('seconds', -1.0, 'seconds'),
    ],
)
def test_a_damaged_run_is_refused_in_one_line_and_so_is_one_that_is_too_large(folder, tmp_path, field, value, part):
    damaged = json.loads((folder / 'run.json').read_text()) | {field: value}
    for content, said in ((json.dumps(damaged), f'is damaged ({part}'), (' ' * 20_000_000, 'more than')):
        (tmp_path / 'run.json').write_text(content)
        refused(lambda: learner_from(tmp_path), said, 'expected')


def trained_on(name, images, labels, **changes):
    "A learner after an epoch on these images."
    recipe, test = recipe_with(SPECS[name].recipe, epochs=1, **changes), sources.load_digits()[1]
    dls = dls_of(*(DigitDataset(*o, 'digits') for o in ((images, labels), test)), recipe=recipe, device='cpu')
    learn = quiet(learner_for(name, dls, recipe, seed=0))
    learn.fit_recipe()
    return learn


@pytest.mark.parametrize('name', SPECS)
def test_a_learning_rate_of_100_works_or_says_why_not(name):
    try:
        assert math.isfinite(trained_on(name, *sources.load_digits()[0], lr=100.0).validate()[0])
    except TrainingError as e:
        assert re.fullmatch('the loss is .* at learning rate .*: expected .* a lower learning rate', str(e))


@pytest.mark.parametrize('name', SPECS)
@pytest.mark.parametrize('n, bs', [(7, 1), (129, 128), (5, 128), (1, 1)])  # of one; the last of one; too few; one image
def test_odd_numbers_of_images_train(name, n, bs):
    x, y = sources.load_digits()[0]
    learn = trained_on(name, x[y != 3][:n], y[y != 3][:n], bs=bs)  # nor does a class that never occurs matter
    assert len(learn.dls.train) == -(-n // bs) and all(map(math.isfinite, learn.recorder.values[-1]))


def test_what_cannot_be_used_is_refused_in_one_line_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('file').touch()
    Path('link').symlink_to('nowhere')
    Path('taken').mkdir()
    Path('taken/model.safetensors').touch()
    outs = {'': "out=''", 'x' * 300: 'too long', 'taken': 'already holds model.safetensors'}
    outs |= dict.fromkeys(['file/run', 'link', 'a\0b'], 'cannot be written')
    for args, said in ((dict(lr=0), 'lr=0'), *((dict(out=k), v) for k, v in outs.items())):
        with pytest.raises(SystemExit, match=f'^mnist_kit_train: (?=.*expected).*{said}.*$') as e:
            cli.mnist_kit_train(**dict(model='model1', source='digits', out='out') | args)
        assert isinstance(e.value.code, str), 'Python prints it and exits with 1'
    assert sorted(o.name for o in tmp_path.rglob('*')) == ['file', 'link', 'model.safetensors', 'taken']


OPTIONS = dict(
    train='epochs seed source out holdout device bs lr quiet',
    study='out seeds source epochs processes device',
    bench='out quick source device',
    check='train run recipe epochs lr source seed device gap jobs timeout memory json csv',
)


def test_help_documents_every_option_without_importing_torch():
    for name, options in OPTIONS.items():
        said = anno_parser(getattr(cli, f'mnist_kit_{name}').__wrapped__).format_help()
        for option in options.split():
            assert re.search(rf'--{option}( \S+)?\s+\w', said), f'{name} --{option} has no text'
    code = 'import sys; from mnist_kit.tools import cli; sys.exit("torch" in sys.modules)'
    assert run_python('-c', code).returncode == 0


@pytest.mark.parametrize('before, stops', [(signal.SIG_DFL, True), (signal.SIG_IGN, False)], ids=['', 'nohup'])
def test_a_closed_terminal_stops_a_run_but_not_one_under_nohup(before, stops):
    old = signal.signal(signal.SIGHUP, before)
    with pytest.raises(KeyboardInterrupt) if stops else nullcontext(), core.on_stop():
        signal.raise_signal(signal.SIGHUP)
    assert signal.signal(signal.SIGHUP, old) == before


def test_each_fault_in_the_table_names_a_test_that_is_there():
    named = set(re.findall(r'`(test_\w+)`', (ROOT / 'nbs/06_runs.ipynb').read_text(encoding='utf-8')))
    there = '\n'.join(o.read_text(encoding='utf-8') for o in (ROOT / 'tests').rglob('test_*.py'))
    assert len(named) > 10 and [o for o in named if f'\ndef {o}(' not in there] == []
