"A study: what it trains and what it leaves alone, and that nothing half-done is ever taken for a run."

import multiprocessing.synchronize
import os
import re
import signal
import subprocess
from contextlib import suppress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest
import torch
from conftest import cells, command
from filelock import FileLock
from processes import gone, wait_until
from made_runs import contents, put, record, refused

from mnist_kit.core import TrainingError, stop_signals
from mnist_kit.evidence import VARIANTS, Study, Variant, run_name
from mnist_kit.runs import CHECKPOINT, read_run
from mnist_kit.spec import MODEL1
from mnist_kit.tools import study as study_module
from mnist_kit.tools.cli import mnist_kit_study
from mnist_kit.tools.study import plan, report, run_one, run_study, ship

# ---------------------------------------------------------------- running a study

small = dict(seeds=2, source='digits', epochs=1, processes=2, device='cpu')


def figures(folder):
    "The rows of a run, but for the time that they took, and its weights."
    return [o | {'seconds': 0} for o in read_run(folder).rows], (folder / 'model.safetensors').read_bytes()


def test_a_study_goes_on_and_the_threads_of_a_cluster_train_the_same(tmp_path, monkeypatch, capsys):
    "Of an ablation and its model, where seed 1 of the ablation was there, and a killed study had left two of seed 0."
    folder, cluster = tmp_path / 'new/study', tmp_path / 'cluster'
    put(folder, record('model1-gap', 1, (0.9,)))
    before, names, threads = contents(folder), ('model1', 'model1-gap'), torch.get_num_threads()
    left = put(folder, record(seed=0, status='running', rows=[], epochs=20), at='.model1-seed0.123')
    (left / '.model1-seed0.123' / 'model.safetensors').write_bytes(b'half')
    (folder / '.model1-gap-seed0.124').mkdir()
    monkeypatch.setattr(study_module, 'available_cores', lambda: threads)  # all of them for the one process
    signals = stop_signals()
    s = run_study(*names, folder=folder, **small | dict(seeds=1, processes=1))
    assert (stop_signals(), torch.get_num_threads()) == (signals, threads) and len(s.frame()) == 3
    (line,) = [o for o in capsys.readouterr().out.splitlines() if o.startswith('model1-seed0')]
    assert re.match(r'model1-seed0: .*\d+\.\d\d % .* 1 of 1 epochs.*, 0 min \d\d s \([12] of 2 runs\)$', line)
    made, after = ['model1-seed0', 'model1-gap-seed0'], contents(folder)
    assert {p.name for p in folder.iterdir()} - {'.lock'} == {*made, 'model1-gap-seed1'}
    assert before and {k: after[k] for k in before} == before
    run, gap = (read_run(folder / o) for o in made)
    assert (run.model, run.variant, run.seed, run.source, run.status) == ('model1', '', 0, 'digits', 'finished')
    assert run.recipe.epochs == len(run.rows) == 1 and run.recipe.lr == 0.01 and run.train['n'] == 1500
    assert (gap.variant, gap.model, gap.params) == ('model1-gap', 'Model1AveragePool', 7108 - 4900 - 20)

    cluster.mkdir()
    how = dict(seed=0, source='digits', epochs=1, device='cpu', threads=threads)
    with ThreadPoolExecutor(2) as pool:
        outs = list(pool.map(lambda name: run_one(cluster, name, **how), names))
    assert [o.name for o in outs] == made and {read_run(o).device['threads'] for o in outs} == {threads}
    assert [figures(cluster / o) for o in made] == [figures(folder / o) for o in made]
    before = contents(cluster)
    assert run_one(cluster, 'model1', **how) == outs[0] and contents(cluster) == before, 'it was trained already'


def test_without_shared_memory_a_study_takes_one_process(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError(30, 'Read-only file system')

    for module in (study_module, multiprocessing, multiprocessing.synchronize):
        monkeypatch.setattr(module, 'Lock', broken)
    monkeypatch.setattr(study_module, 'get_reusable_executor', broken)
    refuses(tmp_path, '2 processes cannot share memory', 'Read-only file system', '/dev/shm', '--processes 1')
    monkeypatch.setattr(study_module, 'run_one', lambda folder, *job, **how: put(folder, record()) / 'model1-seed0')
    assert len(run_study('model1', folder=tmp_path, **small | dict(seeds=1, processes=1)).runs) == 1


@pytest.mark.slow
def test_the_notebooks_example_trains_on_a_dask_cluster_what_two_processes_and_one_train(tmp_path, monkeypatch, capsys):
    text = '\n'.join(o['source'] for o in cells('nbs/tools/study.ipynb', 'markdown'))
    (example,) = re.findall(r'```python\n(.+?)```', text, re.S)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert '(2 of 2 runs)' in capsys.readouterr().out
    run_study('model1', folder='two', **small)
    threads = read_run('study/model1-seed0').device['threads']
    monkeypatch.setattr(study_module, 'available_cores', lambda: threads)
    run_study('model1', folder='one', **small | dict(processes=1))
    names = ['model1-seed0', 'model1-seed1']
    dask, two, one = ([figures(tmp_path / o / name) for name in names] for o in ('study', 'two', 'one'))
    assert dask == two == one and sorted(p.name for p in (tmp_path / 'study').iterdir()) == names


def test_a_study_that_is_complete_trains_nothing_and_the_folder_is_free_again(tmp_path):
    folder = put(tmp_path, record(accs=(0.9,)), record(seed=1, accs=(0.9,)))
    before = contents(folder)
    (folder / '.model1-seed9.125').mkdir()  # a killed study left it
    assert len(run_study('model1', folder=folder, **small).runs) == 2 and contents(folder) == before
    assert not (folder / '.model1-seed9.125').exists()
    with FileLock(folder / '.lock', timeout=0):
        pass


def test_a_run_that_fails_is_an_outcome_too_and_not_trained_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(VARIANTS, 'model1-hot', Variant('model1-hot', 'too hot', dict(lr=1e20)))
    put(tmp_path, record(accs=(0.9,)))
    s = run_study('model1', 'model1-hot', folder=tmp_path, **small | dict(seeds=1))
    line = capsys.readouterr().out.strip()
    assert re.match(r'model1-hot-seed0: failed: the loss is .+ \(1 of 1 runs\)$', line)
    assert '1 runs on' in report(s) and 'model1-hot seed 0: failed the loss is' in report(s)
    run = read_run(tmp_path / 'model1-hot-seed0')
    assert (run.status, run.variant) == ('failed', 'model1-hot') and 'lower learning rate' in run.message
    before = contents(tmp_path)
    run_study('model1-hot', folder=tmp_path, **small | dict(seeds=1))
    assert contents(tmp_path) == before


def test_a_finished_run_of_which_only_the_picture_is_missing_is_kept(tmp_path, monkeypatch):
    def train(model, out, *args, **kwargs):
        put(out.parent, record('model1', accs=(0.9, 0.9)), at=out.name)
        raise TrainingError('the disk is full')

    monkeypatch.setattr(study_module, 'train_run', train)
    out = run_one(tmp_path, 'model1', 0, 'digits', 2, 'cpu', torch.get_num_threads())
    assert read_run(out).status == 'finished' and out.name == 'model1-seed0'


# ---------------------------------------------------------------- what is refused


def refuses(folder, *parts, names=('model1',), **args):
    "`run_study` in `folder` raises an `InputError` in one line, before anything is trained, and nothing is changed."
    before = contents(folder)
    refused(lambda: run_study(*names, folder=folder, **small | args), *parts)
    assert contents(folder) == before


def test_a_folder_that_another_process_uses_is_refused(tmp_path):
    put(tmp_path, record(status='running', rows=[], epochs=1), at='.model1-seed0.99')
    with FileLock(tmp_path / '.lock'):
        refuses(tmp_path, 'in use by another process', 'choose another')


asked = 'expected model1 seed 0 on digits, 1 epochs', 'choose another'


def test_a_run_that_is_damaged_or_not_what_was_asked_for_is_refused_at_the_start_and_kept(tmp_path):
    for i, (there, *parts) in enumerate((
        (record(accs=(0.9,), source='mnist'), *asked),
        (record(accs=(0.9, 0.9)), *asked),
        (record(accs=(0.9,), recipe=replace(MODEL1.recipe, epochs=1, lr=0.02)), *asked),
        (record(seed=5, accs=(0.9,)), *asked),
        (record('model1-gap', accs=(0.9,)), *asked),
        (record(accs=(0.9,), options=dict(dropout=0.1)), *asked),
        (record(accs=(0.9,), holdout=300, test=dict(n=9, loss=0.1, accuracy=0.9)), *asked),
        (record(accs=(0.9,), model='Model1AveragePool'), *asked),
        (record(status='running'), 'running', 'remove it'),
        (record(status='interrupted'), 'interrupted', 'remove it'),
    )):  # fmt: skip
        refuses(put(tmp_path / str(i), there, at='model1-seed0'), *parts)
    other = record('model2', 7, (0.9,), source='mnist')
    refuses(put(tmp_path / 'study', other, at='besides'), 'a run on mnist', 'choose another')
    (put(tmp_path / 'damaged', record()) / 'model1-seed0' / 'run.json').write_text('{"format": 1, "mod')
    refuses(tmp_path / 'damaged', 'is damaged', 'model1-seed0')


def test_the_command_refuses_what_cannot_be_used_in_one_line_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a file').write_text('')
    usual = dict(variants=['model1'], source='digits', device='cpu', out='out')
    for args, part in (
        (dict(epochs=0), 'epochs=0: expected'),
        (dict(seeds='3'), "seeds='3': expected a whole number, at least 1"),
        (dict(source='cifar'), "source 'cifar': expected"),
        (dict(device='gameboy'), "'gameboy'"),
        (dict(out='a file/study'), 'cannot be written'),
    ):
        with pytest.raises(SystemExit, match=f'^mnist_kit_study: .*{part}.*$'):
            mnist_kit_study(**usual | args)
    assert [p.name for p in tmp_path.iterdir()] == ['a file']


def test_more_seeds_than_planned_may_be_asked_for():
    assert plan('model1-gap', seeds=30) == [('model1-gap', i) for i in range(30)]


# ---------------------------------------------------------------- what stops a study


def under_way(folder):
    "The rows of the runs that are being trained, or can be continued; the last may be trained again after a kill."
    return [read_run(o.parent).rows[:-1] for o in sorted(folder.glob(f'.*/{CHECKPOINT}'))]


def stop(folder, name, to):
    """Begin a study, or go on with it, until two runs have an epoch more. Then send a signal to the command, to all its
    processes as a terminal does, or to one that trains. What comes back are status and errors."""
    args = '--seeds=4', '--processes=2', '--epochs=40', '--source=digits', '--device=cpu', '--out', folder
    before = [len(o) for o in under_way(folder)] or [0, 0]
    how = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    p = subprocess.Popen(command('mnist_kit_study', 'model1', *args), **how)
    try:
        new = wait_until(lambda: len(o := under_way(folder)) == 2 and all(len(r) > n for r, n in zip(o, before)), 180)
        assert new, 'no epoch was trained'
        workers = [o.pid for o in psutil.Process(p.pid).children() if 'resource_tracker' not in ' '.join(o.cmdline())]
        send = os.killpg if to == 'all' else os.kill
        send(workers[0] if to == 'one' else p.pid, getattr(signal, name))
        err = p.communicate(timeout=120)[1]
        assert len(workers) == 2 and all(map(gone, workers)), 'it would go on training'
    finally:
        with suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGKILL)  # whatever happened, nothing goes on training
        p.wait(timeout=60)
    return p.returncode, err


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs the signals of Unix')
def test_whatever_stops_a_study_it_leaves_no_process_and_its_runs_go_on(tmp_path):
    "Of four seeds the first is there already, two are being trained, and the last one waits."
    folder, trained = put(tmp_path / 'study', record(accs=[0.9] * 40)), [[], []]
    before = contents(folder)
    for name, to, status, message in (
        ('SIGINT', 'all', 130, 'the same command goes on'),
        ('SIGTERM', 'command', 130, 'the same command goes on'),
        ('SIGKILL', 'one', 1, 'a process of the study was killed after 0 of 3 runs'),
        ('SIGKILL', 'command', -9, ''),
    ):
        found, err = stop(folder, name, to)
        assert found == status and message in err and 'Traceback' not in err, err
        assert all(new[: len(old)] == old for new, old in zip(under_way(folder), trained)), 'it did not begin again'
        trained = under_way(folder)
    run_study('model1', folder=folder, **small | dict(epochs=40))  # up to seed 1: that is enough to see
    assert {o.name for o in folder.glob('[!.]*')} == {'model1-seed0', 'model1-seed1'}
    rows = Study(folder).of('model1')[1].rows
    assert len(rows) == 40 and rows[: len(trained[0])] == trained[0]
    assert {k: v for k, v in contents(folder).items() if 'seed0' in k} == before


# ---------------------------------------------------------------- what comes with the kit


def test_a_study_that_is_shipped_has_failed_runs_too_and_the_weights_of_each_models_median_run(tmp_path):
    accs = {'model1': (0.97, 0.99, 0.98), 'model2': (0.99, 0.97, 0.96, 0.98), 'model3': (0.99,), 'model1-gap': (0.9,)}
    runs = [record(name, i, (acc,)) for name, values in accs.items() for i, acc in enumerate(values)]
    runs.append(record('model2', 4, status='failed', rows=[], message='the loss is nan'))
    whole, records = put(tmp_path / 'study', *runs), tmp_path / 'records'
    medians = {'model1-seed2', 'model2-seed1', 'model3-seed0'}
    refused(lambda: ship(Study(whole), records), 'no weights of model1-seed2', 'train them again')
    assert not records.exists()
    for o in whole.iterdir():
        (o / 'model.safetensors').write_bytes(f'weights of {o.name}'.encode())
    s, before = Study(whole), contents(whole)
    ship(s, records)
    assert contents(whole) == before
    there = Study(records)
    assert [replace(r, message='') for r in there.runs] == s.runs and there.others == s.others
    weights = {p.parent.name: p.read_text() for p in records.rglob('*.safetensors')}
    assert weights == {k: f'weights of {k}' for k in medians}
    assert {p.name for p in records.iterdir()} == medians | {
        f'{o}.runs.json' for o in ('model1', 'model2', 'model1-gap')
    }
    said = {run_name(r.name, r.seed): r.message for r in there.runs if r.message}
    assert said == dict.fromkeys(medians, 'weights included: the median of seeds 0 to 4, last epoch')
    ship(there, tmp_path / 'again')
    assert {k: v[0] for k, v in contents(tmp_path / 'again').items()} == {k: v[0] for k, v in contents(records).items()}
