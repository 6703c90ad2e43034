"""SIGKILL at random moments: what was killed goes on, and ends as if it had been left alone.
The long one is a command: PYTHONPATH=tests python tests/tools/test_kills.py 50"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_kit.runs import read_run, resume_run, train_run
from mnist_kit.spec import MODEL3
from mnist_kit.tools.study import run_study


def training(folder):
    if folder.exists():
        resume_run(folder, bar=False, device='cpu')
    else:
        train_run('model3', folder, replace(MODEL3.recipe, epochs=6), 'digits', seed=7, bar=False, device='cpu')


def study(folder):
    run_study('model1', 'model3', folder=folder, seeds=1, source='digits', epochs=6, processes=2, device='cpu')


def contents(folder):
    "The names of all files, and of each run the weights and, times aside, the rows. Each record can be read."
    found = {o.relative_to(folder): o.name == 'model.safetensors' and o.read_bytes() for o in folder.rglob('*')}
    for o in folder.rglob('run.json'):
        run = read_run(o.parent)
        found[o.relative_to(folder)] = run.status, [r | dict(seconds=0) for r in run.rows]
    return found


def in_own_session(kind, folder):
    os.setsid()
    kind(folder)


def start(kind, folder):
    "A process that begins, or goes on; there is a record already."
    p = multiprocessing.get_context('forkserver').Process(target=in_own_session, args=(kind, folder))
    p.start()
    while p.is_alive() and not list(folder.rglob('run.json')):
        time.sleep(0.01)
    return p


def kill_and_resume(folder, kind, kills, seed):
    "How many were killed before they had finished; alone or, by chance, with all their processes."
    multiprocessing.get_context('forkserver').set_forkserver_preload(
        ['mnist_kit.tools.study']
    )  # once for all processes
    rng, resumed, p = random.Random(seed), 0, start(kind, folder / 'whole')
    since = time.monotonic()
    p.join()
    seconds, whole = time.monotonic() - since, contents(folder / 'whole')
    assert p.exitcode == 0 and {o[0] for k, o in whole.items() if k.name == 'run.json'} == {'finished'}
    for i in range(kills):
        p = start(kind, out := folder / f'killed{i}')
        time.sleep(rng.uniform(0, seconds))
        with suppress(ProcessLookupError):  # it had finished
            rng.choice([os.kill, os.killpg])(p.pid, signal.SIGKILL)
        p.join()
        if contents(out) != whole:
            p = start(kind, out)
            p.join()
            assert p.exitcode == 0
            resumed += 1
        assert contents(out) == whole
    return resumed


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs the signals of Unix')
def test_a_run_killed_at_any_moment_and_continued_ends_in_the_same_weights(tmp_path):
    kill_and_resume(tmp_path, training, 3, seed=0)  # a killed study: see test_study, and the command below


if __name__ == '__main__':
    n = int(sys.argv[1])
    for kind in training, study:
        with tempfile.TemporaryDirectory() as d:
            resumed = kill_and_resume(Path(d), kind, n, seed=0)
        print(
            f'{kind.__name__}: {n} kills, seed 0, {resumed} in mid-run: the same weights and rows each time', flush=True
        )
