"How fast the kit is: measured, recorded, and told. (The notebook tests the turns, the ways and what a table tells.)"

import subprocess
from functools import partial

import pytest

from mnist_kit.core import TrainingError
from mnist_kit.learner import learner_for
from mnist_kit.models import RECORDS
from mnist_kit.tools import bench as module
from mnist_kit.tools.bench import Bench, run_bench
from mnist_kit.tools.cli import mnist_kit_bench


@pytest.mark.slow
@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_a_full_benchmark_has_every_table(tmp_path, device, request):
    if device == 'cuda':
        request.getfixturevalue('on_gpu')
    b = run_bench(['model3'], tmp_path / 'bench.json', 'digits', device, batches=4 if device == 'cuda' else 1, rounds=1)
    assert Bench.read(tmp_path / 'bench.json') == b and b.finished and not b.quick
    tables = {', '.join(o['values']): o['values'] for o in b.tables.values()}
    ways, parts = 'plain, kit, contiguous, channels last, StayOnDevice, ', 'CapturedStep, to_fast, bf16, '
    asked = {ways + parts + 'bare', 'kit, to_fast'} if device == 'cuda' else {ways + 'bare'}
    asked |= {'epoch, writing', '128 images, 1,408 images'}
    asked |= {', '.join(f'batches of {o}' for o in (32, 64, 128, 256, 512, 1024))}
    assert asked < set(tables) and all(min(v) > 0 for o in tables.values() for v in o.values())
    assert list(b.tables['from starting Python']['values'])[:3] == ['fastai imported', 'first batch', 'first step']
    memory = b.tables['memory, at most so far']['values']
    assert 50 < memory['fastai imported'][0] < memory['validated'][0]


def test_a_process_that_dies_is_an_error_in_one_line(monkeypatch):
    monkeypatch.setattr(subprocess, 'run', lambda args, **how: subprocess.CompletedProcess(args, -9, ''))
    with pytest.raises(TrainingError, match='^a process ended with -9: expected .*$'):
        module._new_process('model1', 'digits', 'cpu')


def test_a_record_says_its_source_and_whether_it_may_be_quoted():
    b = Bench.read(RECORDS / 'bench.json')
    assert 'MNIST' in str(b) and not any(o in str(b) for o in ('not MNIST', 'quote', 'stopped'))
    b.source, b.quick, b.finished = 'digits', True, False
    assert all(o in str(b) for o in ('not MNIST', 'too few to quote', 'stopped before all was measured'))


@pytest.fixture
def command(tmp_path, monkeypatch):
    "The command, with a single round of one batch."
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, 'run_bench', partial(run_bench, batches=1, rounds=1))
    usual = dict(models=['model1'], quick=True, source='digits', device='cpu', out='out')
    return lambda **how: mnist_kit_bench(**usual | how)


def test_the_command_prints_what_it_records_leaves_a_picture_and_refuses_the_rest_in_one_line(
    command, tmp_path, capsys
):
    command()
    assert str(Bench.read('out/bench.json')) in capsys.readouterr().out and (tmp_path / 'out/bench.png').exists()
    for part, given in {
        "'model9'": dict(models=['model9']),
        "source 'cifar'": dict(source='cifar', out='new'),
        "'gameboy'": dict(device='gameboy', out='new'),
        'already holds bench.json': {},
        "'out/bench.json/new'": dict(out='out/bench.json/new'),
    }.items():
        with pytest.raises(SystemExit, match=f'^mnist_kit_bench: .*{part}.*$'):
            command(**given)
    assert not (tmp_path / 'new').exists()


def test_ctrl_c_keeps_what_was_measured(monkeypatch, command, capsys):
    def until_model2(name, *args):
        if name == 'model2':
            raise KeyboardInterrupt
        return learner_for(name, *args)

    monkeypatch.setattr(module, 'learner_for', until_model2)
    with pytest.raises(SystemExit, match='^130$'):
        command(models=['model1', 'model2'])
    assert 'what was measured is kept' in capsys.readouterr().err
    assert 'stopped before all was measured' in str(b := Bench.read('out/bench.json')) and list(b.tables) == ['model1']
