"The exercises: a right answer passes, a blank and a wrong one get a line that says what to look at."

import csv
import inspect
import json
import re
import subprocess

import pytest
from conftest import ROOT, command
from exercises import solutions
from exercises.wrong import WRONG
from torch import nn

from mnist_kit.tools import exercises, grade
from mnist_kit.tools.exercises import NotYet
from mnist_kit.tools.findings import EXERCISES

CHECKS = {k: getattr(exercises, f'check_{k.lower()}') for k in EXERCISES}  # in the order of the assignment
CELLS = json.loads((ROOT / 'nbs/lessons/5_exercises.ipynb').read_text(encoding='utf-8'))['cells']
CODE = [''.join(c['source']) for c in CELLS if c['cell_type'] == 'code']


def place(name):
    "The index in `CODE` of the cell that checks an exercise; the one to fill in stands before it."
    (i,) = [i for i, o in enumerate(CODE) if o == f'{CHECKS[name].__name__}({name})']
    return i


@pytest.fixture(scope='module')
def imported():
    "What the lesson has imported."
    space = {}
    exec(next(o for o in CODE if 'from mnist_kit' in o), space)
    return space


def source_of(name):
    "The solution as a student would type it into the cell."
    o = getattr(solutions, name)
    return f'counts = {o!r}' if name == 'counts' else 'import math\n' + inspect.getsource(o)


def not_yet(check, answer):
    "The message, which is one line with what was found, what was expected and a hint."
    found = check(answer)
    assert isinstance(found, NotYet) and not found and repr(found) == f'NotYet: {found}'
    message = str(found)
    assert message.isprintable() and re.fullmatch(r'.+: expected .+\. .+[.?\]]', message), message
    return message


# ---------------------------------------------------------------- the notebook as it stands


@pytest.mark.parametrize('name', CHECKS)
def test_the_blank_cell_runs_and_is_not_yet_right(name, imported):
    space, i = dict(imported), place(name)
    exec(CODE[i - 1], space)
    assert name in space and ('...' in CODE[i - 1] or 'None' in CODE[i - 1])
    not_yet(lambda _: eval(CODE[i], space), None)


@pytest.mark.parametrize('name', CHECKS)
def test_the_solution_in_place_of_the_blank_passes(name, imported):
    space = dict(imported)
    exec(source_of(name), space)
    assert eval(CODE[place(name)], space).startswith('Right: ')


def test_run_all_reaches_the_end_and_training_waits_for_a_network_that_is_right(imported):
    assert all('student.py' in o for o in CODE if 'eval: false' in o), 'only what writes and reads a file'
    (slow,) = [o for o in CODE if 'train_run(' in o]
    assert slow.startswith('#| slow\n') and 'check_run(run)' in slow
    space = dict(imported, Regularised=nn.Identity, train_run=raising)
    exec(slow, space)
    with pytest.raises(KeyError):
        exec(slow, space | dict(Regularised=solutions.Regularised))


def test_the_tasks_come_in_the_order_of_the_assignment():
    assert [*CHECKS] == ['counts', 'Baseline', 'Regularised', 'augment', 'one_cycle'] == sorted(CHECKS, key=place)
    text = '\n'.join(''.join(c['source']) for c in CELLS if c['cell_type'] == 'markdown')
    assert re.findall(r'^## (\d)\. ', text, re.M) == ['1', '2', '3', '4', '5']


def test_the_lesson_does_not_contain_the_solutions():
    text = '\n'.join(''.join(c['source']) for c in CELLS).replace(',', '')
    assert not any(re.search(rf'\b{n}\b', text) for n in solutions.counts.values())
    given = {'super().__init__()', 'def __init__(self):', 'def forward(self, x):'}
    lines = {o.strip() for o in inspect.getsource(solutions).splitlines()}
    code = {o.strip() for cell in CODE for o in cell.splitlines()}
    shared = {o for o in lines & code if len(o) > 1} - given
    assert all(o.startswith(('import ', 'from ', 'class ')) for o in shared), shared


# ---------------------------------------------------------------- points


def handed_in(path, answers):
    "The lesson as a notebook with the solutions of `answers` filled in, and a cell that would train."
    cells = [dict(o, source=''.join(o['source'])) for o in CELLS if o['cell_type'] == 'code']
    for name in answers:
        cells[place(name) - 1]['source'] = source_of(name)
    cells[1:1] = [dict(cell_type='code', source=o) for o in ('learn.fit_recipe()', '!exit', 'train_run(', '1 / 0')]
    path.write_text(json.dumps(dict(cells=cells)), encoding='utf-8')
    return path


def noted(path):
    "What the process of a notebook notes, and its findings by their names."
    notes = []
    exercises.judge_notebook(notes.append, str(path))
    assert json.loads(json.dumps(notes)) == notes
    return notes, {o['finding']['rule']: o['finding'] for o in notes if 'finding' in o}


@pytest.mark.parametrize('answers', [list(CHECKS), ['counts', 'augment']], ids=len)
def test_a_notebook_gets_a_point_for_each_exercise_that_is_right(answers, tmp_path):
    found = noted(handed_in(tmp_path / 'handed_in.ipynb', answers))[1]
    assert list(found) == list(CHECKS)
    for name, o in found.items():
        assert o['holds'] == o['found'].startswith('Right: ') == (name in answers)


def test_an_answer_that_is_not_there_is_said_to_be_missing_and_why(tmp_path):
    path = handed_in(tmp_path / 'handed_in.ipynb', [])
    path.write_text(path.read_text(encoding='utf-8').replace('counts = dict(', 'counts = dict)'), encoding='utf-8')
    found = noted(path)[1]['counts']['found']
    assert re.match('There is no counts. Code cell .*ZeroDivisionError.*SyntaxError', found)


@pytest.mark.parametrize('content', [None, '', '[]', '{"cells": [{}]}'])
def test_what_is_not_a_notebook_is_told_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / 'x.ipynb').write_text(content)
    (_, last), found = noted(tmp_path / 'x.ipynb')
    assert re.fullmatch('.*expected a notebook, such as .*', last['error']) and not found


# ---------------------------------------------------------------- handed in, and graded by command

ENDLESS = """
class Baseline(nn.Module):
    def __init__(self):
        while True: pass
"""


def told(*args):
    "Exit status and output of the command."
    p = subprocess.run(command('mnist_kit_check', *args), capture_output=True, text=True, timeout=900)
    return p.returncode, p.stdout + p.stderr


def test_the_command_prints_the_points_and_writes_them_into_the_tables(tmp_path):
    path = handed_in(tmp_path / 'exercises.ipynb', ['counts', 'augment'])
    status, out = told(path, '--json', tmp_path / 'o.json', '--csv', tmp_path / 'o.csv')
    assert status == 1 and out.rstrip().endswith('exercises.ipynb: 2 of 5 points'), out
    assert 'counts: Right: 7,108 parameters' in out and 'one cycle: at pos=0, nothing is returned' in out
    assert 'Traceback' not in out and '; expected: a learning rate\n    Does each way' in out, 'the hint is told'
    (o,) = json.loads((tmp_path / 'o.json').read_text(encoding='utf-8'))['submissions']
    points = {f['rule']: f['holds'] for f in o['findings'] if f['required']}
    assert points == dict(counts=True, Baseline=False, Regularised=False, augment=True, one_cycle=False)
    (row,) = csv.DictReader((tmp_path / 'o.csv').open(newline='', encoding='utf-8'))
    assert (row['points'], row['required_rules'], row['failed']) == ('2', '2 of 5', 'Baseline Regularised one_cycle')
    assert row['counts'].startswith('✓ Right') and row['Baseline'].startswith('✗')


@pytest.mark.slow
def test_a_class_hands_in_notebooks_and_networks_side_by_side(tmp_path):
    for name, answers in dict(ada=list(CHECKS), bob=[]).items():
        (tmp_path / name).mkdir()
        handed_in(tmp_path / name / '5_exercises.ipynb', answers)
    imports = 'import torch\nimport torch.nn.functional as F\nfrom torch import nn\n'
    (tmp_path / 'ada' / 'student.py').write_text(imports + inspect.getsource(solutions.Regularised))
    status, out = told(tmp_path)
    assert status == 1 and '✓ ada/5_exercises.ipynb, ' in out and ': 5 of 5 points' in out, out
    assert '✗ bob, ' in out and ': 0 of 5 points; not: counts' in out and '✓ ada/student.py:Regularised, ' in out
    assert told(tmp_path / 'ada')[0] == 0, 'all points, all rules'


@pytest.mark.slow
def test_an_endless_loop_leaves_the_points_before_it(tmp_path):
    path = handed_in(tmp_path / 'exercises.ipynb', ['counts'])
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    next(o for o in cells if 'class Baseline' in o['source'])['source'] = ENDLESS
    path.write_text(json.dumps(dict(cells=cells)), encoding='utf-8')
    report = grade.check_submission(str(path), timeout=15, threads=1)
    assert [o.holds for o in report.required] == [True, None, None, None, None] and not report.finished
    assert 'stopped after 15 s, at the checks' in next(o.found for o in report.findings if o.rule == 'finishes')
    assert grade.class_line(report).endswith('1 of 5 points; 4 not checked')


def test_exercises_run_in_the_sandbox_with_five_minutes_where_none_are_named(tmp_path, monkeypatch):
    given = []

    def apart(code, args, first, timeout, memory, **how):
        given.append((timeout, memory))
        return grade.Outcome([], 'whole', 0, 0, 1.0)

    monkeypatch.setattr(grade, 'run_apart', apart)
    path = str(handed_in(tmp_path / 'exercises.ipynb', []))
    for timeout in (None, 7):
        grade.check_submission(path, timeout=timeout)
    assert given == [(300, 2048), (7, 2048)]


def test_only_a_notebook_with_the_checks_in_it_is_taken_for_the_exercises(tmp_path):
    there = handed_in(tmp_path / 'exercises.ipynb', [])
    other = tmp_path / 'net.ipynb'
    other.write_text(json.dumps(dict(cells=[dict(cell_type='code', source='check_counts(counts)')])))
    ours = [grade._is_exercises(grade.split_name(str(o))) for o in (there, other, f'{there}:Regularised', 'model1')]
    assert ours == [True, False, False, False]


# ---------------------------------------------------------------- the checks


@pytest.mark.parametrize('name, i', [(name, i) for name, o in WRONG.items() for i in range(len(o))])
def test_a_wrong_answer_gets_its_hint(name, i):
    answer, hint = WRONG[name][i]
    message = not_yet(CHECKS[name], answer)
    assert hint in message and '7108' not in message


@pytest.mark.parametrize('name', CHECKS)
@pytest.mark.parametrize('answer', [None, 7, 'seven', [], nn.Conv2d(1, 10, 28)], ids=str)
def test_an_answer_of_another_kind_is_told_in_one_line(name, answer):
    not_yet(CHECKS[name], answer)


def raising(*args, **kwargs):
    raise KeyError('something\nlong')


class Raising(solutions.Baseline):
    forward = raising


class Unbuildable(nn.Module):
    def __init__(self, width):
        super().__init__()


class OnlyInTraining(solutions.Regularised):
    def forward(self, x):
        return super().forward(x) if self.training else raising()


@pytest.mark.parametrize(
    'name, answer',
    [('augment', raising), ('one_cycle', raising)]
    + [(name, cls) for name in ('Baseline', 'Regularised') for cls in (Raising, Unbuildable, OnlyInTraining)],
)
def test_an_exception_of_the_students_is_told_in_one_line(name, answer):
    message = not_yet(CHECKS[name], answer)
    assert 'stops with KeyError' in message or "missing 1 required positional argument: 'width'" in message


@pytest.mark.parametrize('name', [k for k in solutions.counts if k != 'total'])
@pytest.mark.parametrize('off', [-1, 1, 100])
def test_a_wrong_count_is_never_answered_with_the_right_one(name, off):
    n = solutions.counts[name]
    message = not_yet(exercises.check_counts, solutions.counts | {name: n + off})
    assert not re.search(rf'\b{n}\b', message.replace(',', ''))
