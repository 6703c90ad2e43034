"The exercises: a right answer passes, a blank one gets a line that says what to look at. (Wrong ones: in the notebook.)"

import csv
import inspect
import json
import re
import subprocess

import pytest
from conftest import cells, command
from exercises import solutions
from torch import nn

from mnist_kit.spec import MODEL3
from mnist_kit.tools import cli, exercises, grade
from mnist_kit.tools.exercises import NotYet
from mnist_kit.tools.findings import EXERCISES

CHECKS = {k: getattr(exercises, f'check_{k.lower()}') for k in EXERCISES}  # in the order of the assignment
LESSON = 'nbs/lessons/5_exercises.ipynb'
CODE, TEXT = [o['source'] for o in cells(LESSON, 'code')], '\n'.join(o['source'] for o in cells(LESSON, 'markdown'))


def place(name):
    "The index in `CODE` of the cell that checks an exercise; the one to fill in stands before it."
    return CODE.index(f'{CHECKS[name].__name__}({name})')


def not_yet(check, answer):
    "The message, which is one line with what was found, what was expected and a hint."
    found = check(answer)
    assert isinstance(found, NotYet) and not found and repr(found) == f'NotYet: {found}'
    message = str(found)
    assert message.isprintable() and re.fullmatch(r'.+: expected .+\. .+[.?\]]', message), message
    return message


def raising(*args, **kwargs):
    raise KeyError('something\nlong')


# ---------------------------------------------------------------- the notebook as it stands


def test_training_waits_for_a_network_that_is_right():
    (slow,) = [o for o in CODE if 'train_run(' in o]
    assert slow.startswith('#| slow\n') and 'check_run(run)' in slow
    space = dict(Regularised=nn.Identity, MODEL3=MODEL3, read_run=None, train_run=raising)
    exec(slow, space | dict(check_regularised=NotYet))
    with pytest.raises(KeyError):
        exec(slow, space | dict(check_regularised=lambda answer: 'Right: 7,416 parameters.'))


def test_the_tasks_come_in_the_order_of_the_assignment():
    assert [*CHECKS] == ['counts', 'Baseline', 'Regularised', 'augment', 'one_cycle'] == sorted(CHECKS, key=place)
    assert re.findall(r'^## (\d)\. ', TEXT, re.M) == ['1', '2', '3', '4', '5']


def test_the_lesson_does_not_contain_the_solutions():
    assert not any(re.search(rf'\b{n}\b', '\n'.join([TEXT, *CODE]).replace(',', '')) for n in solutions.counts.values())
    given = {'super().__init__()', 'def __init__(self):', 'def forward(self, x):'}
    lines = {o.strip() for o in inspect.getsource(solutions).splitlines()}
    code = {o.strip() for cell in CODE for o in cell.splitlines()}
    shared = {o for o in lines & code if len(o) > 1} - given
    assert all(o.startswith(('import ', 'from ', 'class ')) for o in shared), shared


# ---------------------------------------------------------------- handed in: a point for each


def handed_in(path, answers, **instead):
    "The lesson with the solutions of `answers` filled in, other code in place of some, and cells that must not run."
    code = CODE.copy()
    for name in answers:
        source = inspect.getsource(getattr(solutions, name)) if name != 'counts' else f'counts = {solutions.counts!r}'
        code[place(name) - 1] = 'import math\n' + source
    for name, source in instead.items():
        code[place(name) - 1] = source
    code[1:1] = 'learn.fit_recipe()', '!exit', 'train_run(', '1 / 0'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(dict(cells=[dict(cell_type='code', source=o) for o in code])), encoding='utf-8')
    return path


def noted(path):
    "What the process of a notebook notes."
    notes = []
    exercises.judge_notebook(notes.append, str(path))
    assert json.loads(json.dumps(notes)) == notes
    return notes


def test_the_command_prints_the_points_and_writes_them_into_the_tables(tmp_path, monkeypatch, capsys):
    limits = []

    def run_apart(code, args, first, timeout, memory, **how):
        limits.append((timeout, memory))
        return grade.Outcome(noted(args['path']), 'whole', 0, 0, 1.0)

    monkeypatch.setattr(grade, 'run_apart', run_apart)
    path = str(handed_in(tmp_path / 'exercises.ipynb', ['counts', 'augment']))
    with pytest.raises(SystemExit, match='^1$'):
        cli.mnist_kit_check([path], json=str(tmp_path / 'o.json'), csv=str(tmp_path / 'o.csv'))
    out = capsys.readouterr().out
    assert out.rstrip().endswith('exercises.ipynb: 2 of 5 points'), out
    assert 'counts: Right: 7,108 parameters' in out and 'Traceback' not in out
    assert 'at pos=0, nothing is returned; expected: a learning rate\n    Does each way' in out, 'the hint is told'
    (o,) = json.loads((tmp_path / 'o.json').read_text(encoding='utf-8'))['submissions']
    points = {f['rule']: f['holds'] for f in o['findings'] if f['required']}
    assert points == dict(counts=True, Baseline=False, Regularised=False, augment=True, one_cycle=False)
    (row,) = csv.DictReader((tmp_path / 'o.csv').open(newline='', encoding='utf-8'))
    assert (row['points'], row['required_rules'], row['failed']) == ('2', '2 of 5', 'Baseline Regularised one_cycle')
    assert row['counts'].startswith('✓ Right') and row['Baseline'].startswith('✗')
    grade.check_submission(path, timeout=7)
    assert limits == [(300, 2048), (7, 2048)], 'five minutes where none are named'
    with pytest.raises(SystemExit, match='^0$'):
        cli.mnist_kit_check([str(handed_in(tmp_path / 'all.ipynb', CHECKS))])
    assert capsys.readouterr().out.count(': Right: ') == 5


@pytest.mark.slow
def test_a_class_hands_in_notebooks_and_networks_side_by_side(tmp_path):
    handed_in(tmp_path / 'ada/5_exercises.ipynb', CHECKS)
    handed_in(tmp_path / 'bob/5_exercises.ipynb', [])
    imports = 'import torch\nimport torch.nn.functional as F\nfrom torch import nn\n'
    (tmp_path / 'ada/student.py').write_text(imports + inspect.getsource(solutions.Regularised))
    p = subprocess.run(command('mnist_kit_check', tmp_path, '--jobs=2'), capture_output=True, text=True, timeout=900)
    out = p.stdout + p.stderr
    assert p.returncode == 1 and '✓ ada/5_exercises.ipynb, ' in out and ': 5 of 5 points' in out, out
    assert '✗ bob, ' in out and ': 0 of 5 points; not: counts' in out and '✓ ada/student.py:Regularised, ' in out


def test_an_endless_loop_leaves_the_points_before_it(tmp_path, monkeypatch):
    "What the sandbox stops from outside stops here from within. (`test_sandbox` tests that notes are kept.)"
    endless, notes = 'class Baseline(nn.Module):\n    def __init__(self): raise KeyboardInterrupt', []
    path = str(handed_in(tmp_path / 'exercises.ipynb', ['counts'], Baseline=endless))
    with pytest.raises(KeyboardInterrupt):
        exercises.judge_notebook(notes.append, path)
    monkeypatch.setattr(grade, 'run_apart', lambda *args, **how: grade.Outcome(notes, 'time', 0, 0, 15.0))
    report = grade.check_submission(path)
    assert [o.holds for o in report.required] == [True, None, None, None, None] and not report.finished
    assert 'stopped after 15 s, at the checks' in next(o.found for o in report.findings if o.rule == 'finishes')
    assert grade.class_line(report).endswith('1 of 5 points; 4 not checked')


def test_only_a_notebook_with_the_checks_in_it_is_taken_for_the_exercises(tmp_path):
    there = handed_in(tmp_path / 'exercises.ipynb', [])
    (other := tmp_path / 'net.ipynb').write_text('{"cells": [{"source": "check_counts(counts)"}]}')
    ours = [grade._is_exercises(grade.split_name(str(o))) for o in (there, other, f'{there}:Regularised', 'model1')]
    assert ours == [True, False, False, False]


# ---------------------------------------------------------------- whatever an answer is


class OnlyInTraining(solutions.Regularised):
    def forward(self, x):
        return super().forward(x) if self.training else raising()


@pytest.mark.parametrize('name', CHECKS)
def test_an_answer_of_another_kind_and_an_exception_of_the_students_are_told_in_one_line(name):
    for answer in (None, 7, 'seven', [], nn.Conv2d(1, 10, 28), raising, OnlyInTraining):
        not_yet(CHECKS[name], answer)


def test_a_wrong_count_is_never_answered_with_the_right_one():
    for name, n in solutions.counts.items():
        for off in (-1, 1, 100):
            message = not_yet(exercises.check_counts, solutions.counts | {name: n + off})
            assert not re.search(rf'\b({n}|7108)\b', message.replace(',', ''))
