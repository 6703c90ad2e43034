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


def begin(folder):
    train_run('model3', folder, replace(MODEL3.recipe, epochs=6), 'digits', seed=7, bar=False, device='cpu')


def go_on(folder):
    resume_run(folder, bar=False, device='cpu')


def study(folder):
    run_study('model1', 'model3', folder=folder, seeds=1, source='digits', epochs=6, processes=2, device='cpu')


KINDS = {'training': (begin, go_on), 'study': (study, study)}


def contents(folder):
    "Of each run in a folder, the weights and, times aside, the rows. Each record can be read."
    found = {o.relative_to(folder): o.read_bytes() for o in folder.rglob('model.safetensors')}
    for o in folder.rglob('run.json'):
        run = read_run(o.parent)
        found[o.relative_to(folder)] = run.status, [r | dict(seconds=0) for r in run.rows]
    return found


def names(folder):
    return {str(o.relative_to(folder)) for o in folder.rglob('*')}


def in_own_session(f, folder):
    os.setsid()
    f(folder)


def kill_and_resume(folder, kind, kills, seed):
    "How many were killed before they had finished; alone or, by chance, with all their processes."
    (begin, go_on), rng = KINDS[kind], random.Random(seed)
    processes = multiprocessing.get_context('forkserver')
    processes.set_forkserver_preload(['mnist_kit.tools.study'])  # once, and not in each process

    def start(f, out):
        p = processes.Process(target=in_own_session, args=(f, out))
        p.start()
        while p.is_alive() and not list(out.rglob('run.json')):
            time.sleep(0.01)
        return p

    def ends(p):
        p.join()
        assert p.exitcode == 0

    p, since, resumed = start(begin, folder / 'whole'), time.monotonic(), 0
    ends(p)
    seconds, whole = time.monotonic() - since, contents(folder / 'whole')
    assert {o[0] for k, o in whole.items() if k.name == 'run.json'} == {'finished'}
    for i in range(kills):
        out = folder / f'killed{i}'
        p = start(begin, out)
        time.sleep(rng.uniform(0, seconds))
        with suppress(ProcessLookupError):  # it had finished
            rng.choice([os.kill, os.killpg])(p.pid, signal.SIGKILL)
        p.join()
        if contents(out) != whole:
            ends(start(go_on, out))
            resumed += 1
            assert names(out) == names(folder / 'whole')
        assert contents(out) == whole
    return resumed


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs the signals of Unix')
def test_a_run_killed_at_any_moment_and_continued_ends_in_the_same_weights(tmp_path):
    kill_and_resume(tmp_path, 'training', 3, seed=0)  # a killed study: see test_study, and the command below


if __name__ == '__main__':
    n = int(sys.argv[1])
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as d:
            resumed = kill_and_resume(Path(d), kind, n, seed=0)
        print(f'{kind}: {n} kills, seed 0, {resumed} in mid-run: the same weights and rows each time', flush=True)
