"A submission cannot crash, hang or fill the check, and a class of them leaves a table."

import csv
import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import command, refused
from mnist_kit.models import RECORDS
from mnist_kit.runs import read_run
from mnist_kit.tools import cli, grade
from mnist_kit.tools.findings import expected_findings, findings_table
from mnist_kit.tools.grade import LOADING, REPORT_SCHEMA, Report, Submission, check_all, check_submission
from mnist_kit.tools.grade import find_submissions, split_name, write_json
from mnist_kit.tools.sandbox import run_apart
from submissions import faulty, handed_in


@pytest.fixture(scope='module')
def class_folder(tmp_path_factory):
    "As a class hands in: a folder for each, and in each another difficulty."
    return handed_in.write(tmp_path_factory.mktemp('class'))


@pytest.fixture
def said(capsys):
    "What the command says, and how it ends, called in this process with its arguments by name."

    def call(*models, **kwargs):
        with pytest.raises(SystemExit) as e:
            cli.mnist_kit_check([*map(str, models)], **kwargs)
        out, err = capsys.readouterr()
        return e.value.code, out + err

    return call


def told(*args, **kwargs):
    "Status, output and errors of the command, in a process of its own."
    p = subprocess.run(command('mnist_kit_check', *args), capture_output=True, text=True, timeout=900, **kwargs)
    return p.returncode, p.stdout, p.stderr


# ---------------------------------------------------------------- files


def test_what_is_no_file_with_a_class_or_has_no_literals_for_it_is_refused():
    path = faulty.__file__
    for what in ('', 'nothing.py', f'{path}:a b'):
        refused(lambda: split_name(what), 'expected')
    for args in ('1)(2', '1)+f(2', 'x', '*[1]', '**{}', '[' * 10_000):
        refused(lambda: split_name(f'{path}:Sound({args})'), 'expected')


NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self): super().__init__(nn.Conv2d(1, 10, 28), nn.Flatten(), nn.LogSoftmax(1))
"""
PRINTS = 'print("x" * 30_000)\n'
TWO = 'from torch import nn\nclass A(nn.Module):\n    def __init__(self): super().__init__()\nclass B(A): pass\n'
WANTS = TWO.replace('self)', 'self, a, b)')
FORGETS = TWO.replace('super().__init__()', 'self.conv = nn.Conv2d(1, 10, 28)')
FILES = {  # what is in it: parts of what was found of the loading, and of the hint
    f'{PRINTS}x = 1\n': ('no class of that kind', 'Define one class'),
    PRINTS + "raise ValueError('bad \\udcff \\x1b here')": (r'bad \udcff \x1b here', 'line 2'),
    'import no_such_package\n': ('ModuleNotFoundError', 'line 1', 'pip install no_such_package'),
    'x = 1\ndef f(:\n': ('SyntaxError', 'line 2', 'cannot read that line'),
    TWO: ('A, B: none of them takes images', 'name it'),
    WANTS: ("missing 2 required positional arguments: 'a' and 'b'", 'give each argument of __init__ a default'),
    FORGETS: ('AttributeError', 'call super().__init__() first'),
    'import sys\nsys.exit(0)\n': ('SystemExit', 'line 2', 'imported before anything else'),
    'raise NameError("name \'nn\' is not defined", name="nn")': ('NameError', 'line 1', 'first lines are missing'),
    'class E(Exception):\n    def __str__(self): 1/0\nraise E': ('cannot be shown', 'line 3'),
}


# ---------------------------------------------------------------- what a class hands in


@pytest.fixture(scope='module')
def loaded(class_folder, tmp_path_factory):
    "For each student, and for each file: the report, without the rules."
    folder = tmp_path_factory.mktemp('files')
    for i, text in enumerate(FILES):
        (folder / f'{i}.py').write_text(text)
    there = {*class_folder.rglob('*')}
    without_rules = 'from mnist_kit.tools import submission; submission.check_model = lambda *args, **kwargs: []\n'
    with pytest.MonkeyPatch.context() as m:
        m.setattr(grade, 'run_apart', lambda code, *args, **how: run_apart(without_rules + code, *args, **how))
        subs = find_submissions([class_folder, folder], args='0.05')
        found = {o.what + o.file.rpartition('/')[2]: check_submission(o, timeout=6, threads=1) for o in subs}
    assert {*class_folder.rglob('*')} == there, 'nothing is left beside them'
    return found


TAKEN = {  # who: the models; does it load whole? parts of what was found, and of the hint
    'ada': ('Net', False, 'torchsummary: not installed, and the check goes on', 'cell 10', 'pip install torchsummary'),
    'ben': ('Net', False, "NameError: name 'get_ipython' is not defined (line 3)", 'notebook'),
    'cleo': ('Model_1 Model_2 Model_3', True, 'all of it'),
    'danmodel.py': ('Net', True, 'all of it'),
    'eve': ('Net', False, 'albumentations, seaborn, torchsummary: not installed', 'only prints or draws'),
    'finn': ('Net', False, 'NVIDIA', 'if torch.cuda.is_available()'),
    'gil': ('Net', False, 'Dataset not found', 'fetches data'),
    'hana': ('Net', False, 'TookTooLong', 'It trains'),
    'ida': ('Net', True, 'all of it'),
    'lea': ('Net', True, 'all of it'),
    'pia': ('Net', True, 'all of it'),
    'ola': ('Net', False, "NameError: name 'nn' is not defined (line 4)", 'import torch.nn as nn'),
}


@pytest.mark.parametrize('who', TAKEN)
def test_what_is_handed_in_is_taken_as_it_is(loaded, who):
    names, whole, *parts = TAKEN[who]
    report, (loads, whole_file) = loaded[who], loaded[who].findings[:2]
    assert [report.model, *report.others] == names.split() and loads.holds and report.model in loads.found
    assert whole_file.holds == whole and all(o in whole_file.found + whole_file.hint for o in parts)
    assert 'cell 1)' not in whole_file.found, 'of a notebook, shell lines are left out, and the last definition counts'


REFUSED = {f'{i}.py': parts for i, parts in enumerate(FILES.values())} | {
    'kim': ("'GhostNorm' is not defined", 'pip install layers_of_kim'),
    'nia': ("NameError: name 'Model' is not defined (line ",),  # of several that cannot be made, the last
    'danlayers.py': ('Scale: none of them takes images',),  # parts of a network are no network
    'jon': ('no class of nn.Module in 1 file', 'Hand in'),
    'zoe': ('no class of nn.Module in 1 file', 'Unpack work.zip'),
}


@pytest.mark.parametrize('who', REFUSED)
def test_what_has_no_model_is_a_row_and_is_told_what_to_do(loaded, who):
    report, loads = loaded[who], loaded[who].findings[0]
    assert report.failed[0] == 'loads' and report.others == [] and '\n' not in loads.found
    assert loads.hint and all(o in loads.found + loads.hint for o in REFUSED[who])


def test_what_an_import_prints_counts_only_if_nothing_fails(loaded):
    assert [loaded[f'{i}.py'].failed for i in range(3)] == [['loads', 'quiet'], ['loads'], ['loads']]


def test_folders_patterns_and_names_are_found_each_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bob = 'class/bob/one.py', 'class/bob/two/two.py', 'class/bob/venv/lib.py', 'class/bob/.ipynb_checkpoints/one.py'
    for name in (*bob, 'class/loose.py', 'repo/src/net.py', 'repo/.git/config.py'):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(NET)

    def names(*whats):
        return ['/'.join(filter(None, (o.what, o.file))) for o in find_submissions(whats)]

    assert names('class') == ['bob/one.py', 'bob/two/two.py', 'loose.py']
    assert names('repo') == ['repo'], 'a repository is one submission'
    assert names('class/*.py', 'class/loose.py') == ['class/loose.py'], 'each once'
    (one,) = find_submissions(['class/bob/*.py:Net(0.1, wide=True)'], name='Other', args='3')
    assert (one.what, one.name) == ('class/bob/one.py:Net(0.1, wide=True)', 'Net')
    assert one.args == dict(args=[0.1], kwargs=dict(wide=True))
    (two,) = find_submissions(['class/loose.py'], name='Net2', args='3')
    assert (two.name, two.args) == ('Net2', dict(args=[3], kwargs={}, where_it_fits=True))
    for what in ('*.ipynb', 'repo/.git/refs', 'nowhere/*.py:Net'):
        refused(lambda: find_submissions([what]), 'expected')


@pytest.mark.slow
def test_a_class_is_judged_as_a_careful_reader_would(class_folder, tmp_path):
    status, out, err = told(
        class_folder, '--args', '0.05', '--jobs', 2, '--csv', tmp_path / 'c.csv', '--html', tmp_path / 'c.html'
    )
    assert status == 1, err
    rows = list(csv.DictReader((tmp_path / 'c.csv').open(newline='')))
    failed = {f'{r["submission"]} {r["model"]}'.strip(): r['failed'] for r in rows}
    assert {k: v for k, v in failed.items() if v} == {
        **{'cleo Model_1': 'budget', 'cleo Model_2': 'runs', 'lea Net': 'log_probabilities'},
        **{'jon': 'loads', 'kim Net': 'loads', 'nia Net': 'loads', 'zoe': 'loads'},
    }
    assert list(failed) == sorted(failed) and all((r['holds'] == 'yes') == (r['failed'] == '') for r in rows)
    assert len({r['required_rules'].split(' of ')[1] for r in rows}) == 1, 'all have the same number of rules'
    assert '1 of 18 break budget' in out and '11 of 18 hold' in out
    assert len([o for o in out.splitlines() if o[:1] in ('✓', '✗')]) == 18, 'each is a line as it comes'
    assert all(f'>{k.partition(" ")[0]}' in (tmp_path / 'c.html').read_text() for k in failed)


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize('name', faulty.BREAKS)
def test_what_ends_or_fills_a_process_is_found_from_outside(name):
    report = check_submission(f'{faulty.__file__}:{name}', memory=1024, threads=1)
    assert report.failed == [faulty.BREAKS[name]], findings_table(report.findings)


HOSTILE = """
import sys
sys.path.append('..')
with open('../notes.jsonl', 'a') as f:
    for o in ('{"finding": {"rule": [], "holds": 7}}', '{"model": "x", "others": ["y z"]}', 'x' * 10**7,
              '{"finding": {"rule": "no_such_rule", "holds": true, "found": "", "hint": ""}}', '{"error": null}'):
        print(o, file=f)
from mnist_kit.tools import rules
rules.RULES.clear()
""" + NET.replace('28)', '28); self.name = "x"')


def test_one_submission_harms_its_own_row_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forks = "import os; os.fork()\nopen('mine.txt', 'w').write('x')\n" + NET
    meets = "import os, helper\nassert not os.path.exists('mine.txt')\n" + NET.replace('Net', 'Anything')
    names = ['forks', 'gone', 'hostile', 'meets']
    for name, text in dict(zip(names, (forks, '', HOSTILE, meets)), helper='class Net: pass', random='1 / 0').items():
        Path(f'{name}.py').write_text(text)
    subs = find_submissions([f'{o}.py' for o in names])
    Path('gone.py').unlink()
    reports = check_all(subs, threads=1)
    forks, gone, hostile, meets = reports
    assert forks.failed == meets.failed == ['batch_normalisation'], findings_table(meets.findings)
    assert meets.title == 'meets.py:Anything' and meets.findings[1].holds and meets.unchecked == 0
    assert not Path('mine.txt').exists() and gone.failed == ['loads'] and gone.score == '0 of 16'
    assert not hostile.holds and hostile.unchecked >= 12, 'a rule that is taken away is not checked'
    rows = {str([(f.rule, f.sentence, f.required) for f in o.findings]) for o in reports}
    assert len(rows) == 1, 'all have the same'


# ---------------------------------------------------------------- the command


def test_one_model_gets_a_table_a_json_and_status_0(said, tmp_path):
    status, out = said('model3', json=f'{tmp_path}/o.json')
    assert status == 0, out
    assert out.count('✓') >= 15 and 'all required rules hold' in out and '99.42 %' in out
    o = json.loads((tmp_path / 'o.json').read_text())['submissions'][0]
    assert o['what'] == 'model3' and o['holds'] and {f['rule'] for f in o['findings']} >= {*expected_findings()}
    assert said('model3', json=f'{tmp_path}/o.json') == (status, out), 'to the tenth of a second: it was kept'
    (tmp_path / 'other.json').write_text('mine')
    why, _ = said('model3', json=f'{tmp_path}/other.json')
    assert 'already holds' in why and (tmp_path / 'other.json').read_text() == 'mine'


def test_another_edition_asks_for_its_own_numbers_and_the_run_of_another_model_is_not_taken(said, tmp_path):
    (tmp_path / 'student.py').write_text(NET)
    run = next(RECORDS.glob('model3-seed*'))
    status, out = said(tmp_path / 'student.py', edition='10k-15', budget=7000, run=str(run))
    assert status == 1 and out.count('✗') == 2 and '✗ batch normalisation' in out, out
    assert f'✗ budget: {28 * 28 * 10 + 10:,} parameters; expected: fewer than 7,000' in out
    assert '– target: not checked: the run is of model3, not of Net' in out and 'not all required rules hold' in out


def test_ctrl_c_keeps_the_rows_that_are_there_and_ends_all_that_runs(said, tmp_path, monkeypatch):
    waits = 'import time\nwhile True:\n    try: time.sleep(300)\n    except BaseException: pass'
    for k in range(6):
        (tmp_path / f'{k}.py').write_text(waits * (k > 0))
    begun, ended = [], []

    def follows(*args, **kwargs):
        begun.append(args)
        ended.append(run_apart(*args, **kwargs))
        return ended[-1]

    monkeypatch.setattr(grade, 'run_apart', follows)
    monkeypatch.setattr(grade, 'class_line', lambda report: signal.raise_signal(signal.SIGINT))  # of the first row
    status, out = said(tmp_path, csv=f'{tmp_path}/class.csv', jobs=2, timeout=300)
    assert status == 130 and 'kept' in out
    assert [r['submission'] for r in csv.DictReader((tmp_path / 'class.csv').open(newline=''))] == ['0.py']
    assert 2 <= len(begun) <= 4 and len(ended) == len(begun) and {o.ended for o in ended[1:]} == {'early'}


# ---------------------------------------------------------------- tables


RULES = LOADING | expected_findings()


def report(what='a.py', **holds):
    "A report with some findings in it."
    return Report(what, [replace(o, holds=holds.get(k, True), found='found', hint='hint') for k, o in RULES.items()])


def test_the_report_is_as_its_schema_says(tmp_path):
    jsonschema = pytest.importorskip('jsonschema')
    write_json([report(shape=None), report(loads=False)], tmp_path / 'o.json')
    jsonschema.validate(json.loads((tmp_path / 'o.json').read_text()), REPORT_SCHEMA)
    for o in (REPORT_SCHEMA, *REPORT_SCHEMA['$defs'].values()):
        assert o['additionalProperties'] is False and set(o['required']) == set(o['properties']), 'no more, no less'


def test_what_is_unchanged_is_not_checked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(grade, 'check_submission', lambda sub, **kwargs: checked.append(sub.what) or report(sub.what))
    monkeypatch.chdir(tmp_path)
    for name, text in dict(a='import utils\n', b=NET, utils='').items():
        Path(f'{name}.py').write_text(text)
    checked, kept = [], {}

    def again(**kwargs):
        checked.clear()
        reports = check_all(find_submissions(['a.py', 'b.py']), kept=kept, **kwargs)
        assert [o.what for o in reports] == ['a.py', 'b.py'] and all(o.holds for o in reports)
        kept.update(json.loads(json.dumps(kept)))
        return list(checked)

    assert again() == ['a.py', 'b.py'] and again() == []
    assert again(logits=True) == ['a.py', 'b.py'] and again(logits=True) == []
    Path('b.py').write_text(NET + '\n')
    assert again() == ['b.py']
    Path('utils.py').write_text('x = 1\n')
    assert again() == ['a.py'], 'what it imports has changed'


# ---------------------------------------------------------------- trainings


def test_a_training_may_take_three_times_what_its_first_epoch_promises(monkeypatch):
    times, said = iter([0, 10, 50, 60]), []
    monkeypatch.setattr(grade, 'time', SimpleNamespace(perf_counter=lambda: next(times)))
    notes, tell = [dict(at='training')], grade._Teller('a.py', said.append)
    assert tell(notes) is None
    notes.append(dict(epoch=dict(epoch=1, train_accuracy=0.5, valid_accuracy=0.25), of=20))
    assert [tell(notes), tell(notes)] == [50 + 60 + 3 * 40 * 20] * 2, 'it is measured once'
    assert len(said) == 1 and '25.00 %' in said[0]


@pytest.mark.parametrize(
    'models, args, part',
    [
        (['model3'], dict(jobs=0), 'above 0'),
        (['model3'], dict(train=True, recipe='model9'), 'one of model1'),
        (['model3'], dict(train=True, epochs=0), 'at least 1'),
        (['model1', 'model2'], dict(run='x'), 'a single model'),
        (['model3'], dict(run='nowhere'), 'cannot be read'),
        (['model3'], dict(csv='o', json='o'), 'a file for each'),
        (['model3'], dict(edition='of 1999'), 'one of mnist_kit'),
        (['model3'], dict(args='x'), 'such as 0.05'),
        (['model3', 'model1'], dict(train=True, source='mnist'), 'MNIST_KIT_DATA'),  # before anybody is checked
    ],
)
def test_wrong_arguments_end_in_one_line(said, models, args, part, tmp_path, monkeypatch):
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))
    why, out = said(*models, **args)
    assert part in why and why.startswith('mnist_kit_check: ') and '\n' not in why and out == ''


@pytest.mark.slow
def test_it_trains_a_model_of_ones_own_with_raw_scores_and_does_not_judge_other_digits(class_folder, tmp_path):
    (tmp_path / 'profile.py').write_text('1/0')  # the training runs here, and must not find it
    lea = class_folder / 'lea' / 'model.py'
    status, out, err = told(lea, '--logits', '--train', '--epochs', 1, '--source', 'digits', cwd=tmp_path)
    assert status == 1 and 'epoch 1 of 1' in out and 'not MNIST' in out, out + err
    assert '✓ raw scores' in out and '✗' not in out
    (run,) = tmp_path.glob('runs/*')
    assert read_run(run).model == 'Net'


def test_of_several_files_only_those_with_a_network_are_rows(monkeypatch):
    def check(sub, **kwargs):
        if 'layers' in sub.file:
            return Report(sub.what, [replace(LOADING['loads'], holds=False, found='Scale: ' + grade.PARTS)])
        return Report(sub.what, [LOADING['loads']], model=sub.name or 'Net', others=['Old'] * (not sub.name))

    def whats(*files):
        subs = [Submission('ada', __file__, root='ada', file=o) for o in files]
        return [o.title for o in check_all([*subs, Submission('bob', __file__)])]

    monkeypatch.setattr(grade, 'check_submission', check)
    assert whats('layers.py', 'net.py') == ['ada:Net', 'ada:Old', 'bob:Net', 'bob:Old']
    assert whats('net.py', 'two.py')[::2] == ['ada/net.py:Net', 'ada/two.py:Net', 'bob:Net']
    assert whats('layers.py', 'more_layers.py')[:2] == ['ada/layers.py', 'ada/more_layers.py'], 'if there is no other'


def test_a_submission_finds_no_gpu_so_that_it_is_judged_alike_on_every_machine(tmp_path, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    text = "import os\nfrom mnist_kit.models import Model3\n1 / (os.environ['CUDA_VISIBLE_DEVICES'] == '')\n"
    (tmp_path / 'a.py').write_text(text + 'class Net(Model3): pass\n')
    assert all(o.holds for o in check_submission(str(tmp_path / 'a.py')).findings[:2])
