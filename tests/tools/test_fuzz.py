"""Whatever a file holds: it is refused in one line, or what was read can be shown.

The long run, with a seed: FUZZ=10000 SEED=7 pytest tests/tools/test_fuzz.py"""

import io
import json
import os
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch

from matplotlib.figure import Figure
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from made_runs import record
from mnist_kit import runs, sources
from mnist_kit.core import InputError
from mnist_kit.evidence import Study, median_run
from mnist_kit.models import RECORDS, Model1, Model3, save_weights
from mnist_kit.runs import CHECKPOINT, closing_line, learner_from, plot_curves, read_run, resume_run, train_run
from mnist_kit.spec import MODEL1, recipe_with
from mnist_kit.tools import grade
from mnist_kit.tools.bench import Bench
from mnist_kit.tools.findings import findings_table
from mnist_kit.tools.sandbox import Outcome, _read_notes
from mnist_kit.tools.study import report

# ---------------------------------------------------------------- what becomes of a file

DEEP = {f'deep {n}': '[' * n + ']' * n for n in (50, 150, 300, 900, 990, 9999)}  # JSON that `json.dumps` cannot write
ODD = [None, True, False, -1, 0, 1, 7, 0.5, 2**31, 2**63, 10**400, 1e308, 1e-320, float('nan'), float('inf')]
ODD += ['', 'model2', '\ud800', '\0', 'a\nb', 'x' * 5000, '../' * 2000, '$\\frac$', '<b>', '\x1b[2J', [], {}, [[]]]
ODD += [{'x': 1}, {'': None}, [1, 'a'], {'a\nb': 1}, *DEEP]
values = st.sampled_from(ODD).map(deepcopy) | st.integers() | st.floats() | st.text(max_size=20)
ALIKE = {str: st.text(max_size=20), bool: st.booleans(), int: st.integers(0, 2**60), float: st.floats(0, 1)}


def inside(o):
    "All dicts and lists in `o` that hold something, and `o` itself."
    below = o.values() if isinstance(o, dict) else o if isinstance(o, list) else ()
    return [o] * bool(below) + [p for v in below for p in inside(v)]


@st.composite
def changed_json(draw, whole):
    "The text of `whole`, an object, with some of its fields changed, removed, or moved elsewhere."
    o = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        if not (places := inside(o)):
            break
        place = draw(st.sampled_from(places))
        key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        alike = ALIKE.get(type(place[key]), values)
        if draw(st.integers(0, 5)):
            place[key] = draw(alike | values | alike | st.sampled_from(places).map(deepcopy))
        else:
            del place[key]
    text = json.dumps(o)
    for name, deep in DEEP.items():
        text = text.replace(f'"{name}"', deep)
    return text.encode()


@st.composite
def changed_bytes(draw, whole, start=2500):
    "`whole` with some bytes in the place of others, or of none; as often in its start as anywhere else."
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(start, len(content))) | st.integers(0, len(content)))
        n = draw(st.integers(0, 8) | st.integers(0, len(content)))
        content[at : at + n] = draw(st.binary(max_size=8))
    return bytes(content)


def changed(whole):
    return changed_json(whole) | changed_json(whole) | changed_bytes(json.dumps(whole).encode())


# ---------------------------------------------------------------- who reads it, and what is then shown


def shown(*texts):
    for o in texts:
        str(o).encode()


def a_run(folder, monkeypatch):
    device = dict(type='cpu', name='a CPU', threads=2)
    run = record('model3', accs=(0.97, 0.98, 0.99), device=device, options=dict(dropout=0.05))
    save_weights(Model3(), folder)

    def check(content):
        (folder / 'run.json').write_bytes(content)
        r = read_run(folder)
        shown(r, closing_line(r), r.best, r.accuracy, r.source_name)
        plot_curves(r).draw_without_rendering()
        learner_from(folder)

    return changed(asdict(run)), check


def a_study(folder, monkeypatch):
    made = [record(o, i, (0.9 + i / 100, 0.98)) for o in ('model1', 'model1-augmented', 'model3') for i in range(3)]
    made.append(record('model2', status='failed', rows=[], message='the loss is nan'))

    def check(content):
        (folder / 'a.runs.json').write_bytes(content)
        s = Study(folder)
        shown(report(s), [median_run(s, o) for o in s.names if min(r.seed for r in s.of(o)) < 5])

    return changed(dict(format=1, runs=[asdict(o) for o in made])), check


def a_benchmark(folder, monkeypatch):
    def check(content):
        (folder / 'bench.json').write_bytes(content)
        shown(Bench.read(folder / 'bench.json'))  # which draws it, too

    whole = json.loads((RECORDS / 'bench.json').read_text())
    return changed(whole | dict(tables=dict(model3=whole['tables']['model3']))), check


def weights(folder, monkeypatch):
    model = Model1().eval()
    save_weights(model, folder, epochs=3)

    def check(content):
        (folder / 'model.safetensors').write_bytes(content)
        runs.load_weights(model, folder)
        with torch.no_grad():
            assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)

    return changed_bytes((folder / 'model.safetensors').read_bytes()), check


def a_checkpoint(folder, monkeypatch):
    monkeypatch.setattr(runs, 'score', lambda *args: 1 / 0)  # it comes after the last epoch
    with suppress(ZeroDivisionError):
        train_run('model1', folder / 'a', recipe_with(MODEL1.recipe, epochs=1), 'digits', bar=False)
    monkeypatch.setattr(runs, 'score', lambda *args: None)
    monkeypatch.setattr(runs, 'plot_curves', lambda run: Figure())  # an empty one, for speed
    files = {o.name: o.read_bytes() for o in (folder / 'a').iterdir()}

    def check(content):
        for k, v in (files | {CHECKPOINT: content}).items():
            (folder / 'a' / k).write_bytes(v)
        try:
            resume_run(folder / 'a', bar=False)
        except InputError:
            assert all((folder / 'a' / k).read_bytes() == v for k, v in files.items() if k != CHECKPOINT)
            raise

    return changed_bytes(files[CHECKPOINT]), check


def a_submission(folder, monkeypatch):
    noted = [dict(ready=True), dict(at='loading'), dict(model='Net', others=['Other']), dict(at='training')]
    noted += [dict(finding=dict(rule=o, holds=True, found='7', hint='')) for o in ('loads', 'budget', 'target')]
    noted += [dict(epoch=dict(epoch=1, train_accuracy=0.9, valid_accuracy=0.8), of=3), dict(run='a', line='b')]
    lines = [json.dumps(o).encode() for o in [*noted, dict(error='an error'), dict(end=True)]]
    (folder / 'net.py').write_text('')

    def check(content):
        def run_apart(*args, heard, **kwargs):
            notes = _read_notes(io.BytesIO(content))
            for i in range(len(notes) + 1):
                float(heard(notes[:i]) or 60)
            return Outcome(notes, 'early', 1, 0, 2.0)

        monkeypatch.setattr(grade, 'run_apart', run_apart)
        r = grade.check_submission(str(folder / 'net.py'), train=dict(x=1), say=shown)
        shown(r.title, findings_table(r.findings), grade.class_line(r), *grade.rule_lines([r]))
        for write in (grade.write_csv, grade.write_json, grade.write_html):
            write([r], folder / 'report')

    one = st.sampled_from(lines) | st.sampled_from(noted).flatmap(changed_json)
    some = st.lists(one, min_size=1, max_size=8).map(lambda o: b'\n'.join(o) + b'\n')
    return some | some.flatmap(lambda o: changed_bytes(o, 200)), check


def a_path(folder, monkeypatch):
    path = st.sampled_from(['x' * 5000, 'a/' * 2000, '', '.', '\0', 'a\nb', '/dev/zero', '/dev/null', '~', '\ud800'])
    readers = [read_run, Study, Bench.read, learner_from, resume_run, sources.find_mnist]
    readers += [partial(runs.load_weights, Model1()), lambda o: sources.read_mnist(Path(o), 't10k-labels-idx1-ubyte')]
    return st.tuples(st.sampled_from(readers), path | st.text()), lambda o: o[0](o[1])


KINDS = [a_run, a_study, a_benchmark, weights, a_checkpoint, a_submission, a_path]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', KINDS, ids=lambda o: o.__name__)
def test_a_changed_file_is_refused_in_one_line_or_can_be_shown(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (strategy, check), refused = kind(tmp_path, monkeypatch), []
    how = dict(deadline=None, database=None, suppress_health_check=list(HealthCheck))

    @seed(int(os.environ.get('SEED', 0)))
    @settings(max_examples=int(os.environ.get('FUZZ', 25)), phases=[Phase.generate, Phase.shrink], **how)
    @given(strategy)
    def one(content):
        try:
            check(content)
        except InputError as e:
            assert '\n' not in str(e)
            refused.append(content)

    one()
    assert refused or kind is a_submission
