"A submission cannot crash, hang or fill the check, and a class of them leaves a table."

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import command
from mnist_kit.core import InputError
from mnist_kit.models import RECORDS
from mnist_kit.runs import read_run
from mnist_kit.tools.grade import check_all, check_submission, split_name, write_csv
from mnist_kit.tools.findings import findings_table
from mnist_kit.tools.rules import RULES
from submissions import faulty

FAULTY = Path(faulty.__file__)


def broken(report):
    "The required rules that do not hold; those that could not be checked are not among them."
    return [o.rule for o in report.findings if o.holds is False and o.required]


def told(*args, **kwargs):
    "Status, output and errors of the command."
    p = subprocess.run(command('mnist_kit_check', *args), capture_output=True, text=True, timeout=300, **kwargs)
    return p.returncode, p.stdout, p.stderr


# ---------------------------------------------------------------- files


@pytest.mark.parametrize('what', ['student.txt', 'model4', 'nothing.py', 'nothing.py:Net', f'{FAULTY}:a b', ''])
def test_what_is_no_file_with_a_class_is_refused(what):
    with pytest.raises(InputError) as e:
        split_name(what)
    assert 'expected' in str(e.value) and '\n' not in str(e.value)


NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self): super().__init__(nn.Conv2d(1, 10, 28), nn.Flatten(), nn.LogSoftmax(1))
"""
FILES = {
    'an import error': ('import no_such_package\n', 'ModuleNotFoundError', 'line 1'),
    'a syntax error': ('x = 1\ndef f(:\n', 'SyntaxError', 'line 2'),
    'no model': ('x = 1\n', 'no class of that kind', ''),
    'two models': ('from torch import nn\nclass A(nn.Module): pass\nclass B(nn.Module): pass\n', 'A, B', ''),
    'an exit': ('import sys\nsys.exit(0)\n', 'SystemExit', 'line 2'),
    'an error while importing': ('y = 2\n\n1/0\n', 'ZeroDivisionError', 'line 3'),
    'odd characters': ("raise ValueError('bad \\udcff \\x1b here')", r'bad \udcff \x1b here', 'line 1'),
    'an interrupt': ('raise KeyboardInterrupt', 'KeyboardInterrupt', 'line 1'),
    'no message': ('class E(Exception):\n    def __str__(self): 1/0\nraise E', 'cannot be shown', 'line 3'),
}


@pytest.mark.parametrize('text, found, line', FILES.values(), ids=FILES.keys())
def test_a_file_without_a_model_is_a_row_with_a_hint(tmp_path, text, found, line):
    (tmp_path / 'student.py').write_text(text)
    report = check_submission(str(tmp_path / 'student.py'), threads=1)
    first = report.findings[0]
    assert (first.rule, first.holds) == ('loads', False) and first.hint
    assert found in first.found and line in first.found and '\n' not in first.found
    assert not report.holds and [o.name for o in tmp_path.iterdir()] == ['student.py'], 'and nothing is left beside it'
    write_csv([report], tmp_path / 'o.csv')
    assert len(list(csv.reader((tmp_path / 'o.csv').open(newline='')))) == 2


def test_an_error_in_forward_names_its_line():
    line = 1 + FAULTY.read_text().split('\n').index("        raise RuntimeError('one\\ntwo')")
    (found,) = [o for o in check_submission(f'{FAULTY}:Raises', threads=1).findings if o.rule == 'runs']
    assert found.found == f'RuntimeError: one (line {line})'


def test_a_class_is_found_by_its_name_or_because_it_is_the_only_one(tmp_path):
    (tmp_path / 'helper.py').write_text('class Net: pass\n')
    (tmp_path / 'one.py').write_text(f'import helper\n{NET.replace("Net", "Anything")}')
    assert check_submission(str(tmp_path / 'one.py'), threads=1).findings[0].found == 'class Anything'


# ---------------------------------------------------------------- processes


@pytest.mark.slow
@pytest.mark.parametrize(
    'rule, name', [(k, o) for k in ('loads', 'finishes', 'quiet') for o in faulty.BREAKS[k].split()]
)
def test_what_ends_or_fills_a_process_is_found_from_outside(rule, name):
    report = check_submission(f'{FAULTY}:{name}', timeout=30, memory=1024, threads=1)
    assert broken(report) == [rule], findings_table(report.findings)
    assert report.seconds < 40


def test_a_copy_of_the_process_adds_no_finding(tmp_path):
    (tmp_path / 'a.py').write_text(f'import os; os.fork()\n{NET}')
    report = check_submission(str(tmp_path / 'a.py'), threads=1)
    assert broken(report) == ['batch_normalisation'], findings_table(report.findings)
    assert len({o.rule for o in report.findings}) == len(report.findings)


def test_a_neighbours_file_name_changes_nothing(tmp_path, monkeypatch):
    for name in ('student', 'random', 'profile', 'decimal', 'json'):
        (tmp_path / f'{name}.py').write_text(NET)
    monkeypatch.chdir(tmp_path)
    report = check_submission('student.py', threads=1)
    assert broken(report) == ['batch_normalisation'], findings_table(report.findings)


def test_one_submission_does_not_find_what_another_writes_and_one_that_has_gone_does_not_stop_the_rest(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.py').write_text("open('mine.txt', 'w').write('x')\n" + NET)
    (tmp_path / 'b.py').write_text("import os\nassert not os.path.exists('mine.txt')\n" + NET)
    reports = check_all(['a.py', 'gone.py', 'b.py'], threads=1)
    assert [r.findings[0].holds for r in reports] == [True, False, True] and not (tmp_path / 'mine.txt').exists()


def test_the_run_of_another_model_is_not_taken():
    run = next(RECORDS.glob('model3-seed*'))
    findings = check_submission(f'{FAULTY}:Sound', run=str(run), threads=1).findings
    (target,) = [o for o in findings if o.rule == 'target']
    assert target.holds is None and 'of model3, not of Sound' in target.found


# ---------------------------------------------------------------- the command


def test_one_model_gets_a_table_a_json_and_status_0(tmp_path):
    status, out, err = told('model3', '--json', tmp_path / 'o.json')
    assert status == 0, out + err
    assert out.count('✓') >= 15 and 'all required rules hold' in out and '99.42 %' in out
    o = json.loads((tmp_path / 'o.json').read_text())['submissions'][0]
    assert o['what'] == 'model3' and o['holds'] and {f['rule'] for f in o['findings']} >= set(RULES)
    status, _, err = told('model3', '--json', tmp_path / 'o.json')
    assert status == 1 and 'already holds' in err and (tmp_path / 'o.json').read_text().count('"what"') == 1


def test_a_model_below_the_target_gives_status_1():
    status, out, _ = told('model1')
    assert status == 1 and '✗ target' in out and 'not all required rules hold' in out


@pytest.mark.slow
def test_a_class_is_checked_side_by_side_and_leaves_a_table(tmp_path):
    names = ['Sound', 'Logits', 'Leaves']
    status, out, err = told(*(f'{FAULTY}:{k}' for k in names), '--jobs', 2, '--csv', tmp_path / 'class.csv')
    assert status == 1, err
    rows = list(csv.DictReader((tmp_path / 'class.csv').open(newline='')))
    assert [r['submission'].rpartition(':')[2] for r in rows] == names, 'in the order in which they were given'
    assert [r['holds'] for r in rows] == ['yes', 'no', 'no']
    assert [r['failed'].split()[0] for r in rows[1:]] == ['log_probabilities', 'finishes']
    assert '1 of 3 hold' in out and len([o for o in out.split('\n') if o[:1] in '✓✗' and o]) == 3


@pytest.mark.slow
def test_an_interrupted_check_keeps_its_rows_and_ends_its_processes(tmp_path):
    out = tmp_path / 'class.csv'
    args = [f'{FAULTY}:Sound', f'{FAULTY}:NeverEnds', '--csv', out, '--timeout', 300]
    code = f"""import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_path({command('mnist_kit_check')[-1]!r}, run_name='__main__')"""
    p = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', code, *map(str, args)], stderr=subprocess.PIPE, text=True
    )
    until = time.time() + 120
    while not out.exists() and time.time() < until:
        time.sleep(0.2)
    time.sleep(1)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=60)
    assert p.returncode == 130 and 'kept' in err and 'Traceback' not in err
    assert [r['holds'] for r in csv.DictReader(out.open(newline=''))] == ['yes']
    left = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout
    assert 'NeverEnds' not in left


@pytest.mark.parametrize(
    'args, part',
    [
        (['student.txt'], 'student.py:Net'),
        (['model3', '--jobs', '0'], 'above 0'),
        (['model3', '--train', '--recipe', 'model9'], 'one of model1'),
        (['model3', '--train', '--epochs', '0'], 'at least 1'),
        (['model1', 'model2', '--run', 'x'], 'a single model'),
        (['model3', '--run', 'nowhere'], 'cannot be read'),
        (['model3', '--csv', 'o', '--json', 'o'], 'a file for each'),
    ],
)
def test_wrong_arguments_end_in_one_line(args, part):
    status, out, err = told(*args)
    assert status == 1 and part in err and err.startswith('mnist_kit_check: ') and err.count('\n') == 1, err


@pytest.mark.slow
def test_it_trains_a_model_of_ones_own_and_does_not_judge_other_digits(tmp_path):
    (tmp_path / 'profile.py').write_text('1/0')  # the training runs here, and must not find it
    status, out, err = told(f'{FAULTY}:Sound', '--train', '--epochs', 1, '--source', 'digits', cwd=tmp_path)
    assert status == 1 and 'epoch 1 of 1' in out and 'not MNIST' in out, out + err
    (run,) = tmp_path.glob('runs/*/run.json')
    assert read_run(run).model == 'Sound'
