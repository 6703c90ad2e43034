"The lessons: one spine, one import, outputs of real runs on MNIST."

import inspect
import json
import re
import shlex

import pytest

from conftest import ROOT, cells, run_python
from mnist_kit.evidence import Study, verdicts
from mnist_kit.spec import SPECS
from mnist_kit.tools import cli

LESSONS = sorted((ROOT / 'nbs' / 'lessons').glob('*.ipynb'))
BY_MODEL = dict(zip(LESSONS, SPECS))  # the first three
by_name = {'ids': lambda o: o.stem}


def sources(path, kind):
    return [c['source'] for c in cells(path, kind)]


def outputs(path):
    return json.dumps([c['outputs'] for c in cells(path, 'code')], ensure_ascii=False)


def test_lessons_are_numbered_in_reading_order_and_every_model_has_the_same_spine():
    assert [o.stem for o in LESSONS] == ['1_baseline', '2_regularise', '3_train_well', '4_key_learnings', '5_exercises']
    for path in BY_MODEL:
        headings = re.findall(r'^## (.+)$', '\n'.join(sources(path, 'markdown')), re.M)
        assert headings == ['Target', 'Architecture', 'Training configuration', 'Results', 'Analysis', 'Try it']


@pytest.mark.parametrize('path', LESSONS, **by_name)
def test_a_lesson_opens_with_one_import_and_defines_nothing_for_the_package_and_its_tables_show_themselves(path):
    code = sources(path, 'code')
    assert 'google.colab' in code[0] and code[1] == 'from mnist_kit.all import *'
    own = '\n'.join(o for o in code[2:] if '%%writefile' not in o)  # a file of the reader's has imports of its own
    assert not re.search(r'^\s*(import|from) |#\| export|Markdown\(', own, re.M)


@pytest.mark.parametrize('path', LESSONS[:4], **by_name)  # the exercises show what the reader makes
def test_a_lesson_shows_outputs_of_mnist(path):
    shown = outputs(path)
    assert 'MNIST' in shown and 'not MNIST' not in shown and 'DIGITS' not in shown
    assert sum('image/png' in json.dumps(c['outputs']) for c in cells(path, 'code')) >= 3


def test_the_first_training_is_a_plain_loop_that_can_be_read():
    training = next(o for o in sources(LESSONS[0], 'code') if '.backward()' in o or 'fit' in o)
    step = r' +loss = .*\n +loss\.backward\(\).*\n +opt\.step\(\).*\n +opt\.zero_grad\(\)'
    assert re.search(rf'for .*\n(?: .*\n)*?{step}', training)


@pytest.mark.parametrize('path', BY_MODEL, **by_name)
def test_a_lessons_training_by_the_full_recipe_is_slow_and_was_run(path):
    (cell,) = [c for c in cells(path, 'code') if '#| slow' in c['source']]
    assert 'fit_recipe()' in cell['source']
    table = ''.join(cell['outputs'][-1]['data']['text/html'])
    assert table.count('<tr>') == SPECS[BY_MODEL[path]].recipe.epochs + 1, 'a row for each epoch, and the header'


def test_every_claim_has_its_verdict_in_the_key_learnings():
    shown = outputs(LESSONS[3])
    assert [o for o in verdicts(Study())['tested as'] if o not in shown] == []


@pytest.mark.parametrize('path', LESSONS, **by_name)
def test_a_lesson_begins_with_time_need_and_aim_and_ends_with_five_questions_and_folded_answers(path):
    text = sources(path, 'markdown')
    begin = re.findall(r'^- \*(.+?):\*', '\n'.join(text[:3]), re.M)
    assert begin == ['Time', 'What you need', 'What you will be able to do']
    end = re.split(r'^##+ (?:Five questions|Check yourself)$', '\n\n'.join(text), flags=re.M)[1]
    questions, answers = end.split('<details><summary>Answers</summary>')
    for part in (questions, answers.split('</details>')[0]):
        assert re.findall(r'^(\d)\. ', part, re.M) == list('12345')


@pytest.mark.parametrize('path', LESSONS, **by_name)
def test_no_prose_cell_is_longer_than_a_reader_likes_and_the_assignment_has_its_link_where_it_first_appears(path):
    shown = [re.sub(r'<details>.*</details>', '', o, flags=re.S) for o in sources(path, 'markdown')]
    assert max(len(o.split()) for o in shown) <= 120
    text = '\n'.join(sources(path, 'markdown')[1:])
    assert text[text.lower().index('assignment') :].partition(']')[2].startswith('(https://github.com/')


TEACHING = (ROOT / 'TEACHING.md').read_text(encoding='utf-8')


def test_the_commands_for_teachers_have_the_options_they_are_called_with():
    commands = re.findall(r'^\.venv/bin/(mnist_kit_\w+)(.*)$', TEACHING, re.M)
    assert len(commands) > 3
    for name, args in commands:
        options = set(inspect.signature(inspect.unwrap(getattr(cli, name))).parameters)
        assert set(re.findall(r' --(\w+)', args)) <= options, name


def test_a_lesson_becomes_slides_a_column_for_each_heading(tmp_path):
    (command,) = re.findall(r'^\.venv/bin/jupyter (nbconvert .*) nbs/lessons/1_baseline\.ipynb$', TEACHING, re.M)
    some = LESSONS[0], LESSONS[4]
    p = run_python('-m', *shlex.split(command), *some, f'--FilesWriter.build_directory={tmp_path}', cwd=ROOT)
    assert p.returncode == 0, p.stderr
    for path in some:
        page = (tmp_path / f'{path.stem}.slides.html').read_text(encoding='utf-8')
        columns = re.findall(r'<section><section>.*?</section></section>', page, re.S)
        headings = [h for o in sources(path, 'markdown') for h in re.findall(r'^##? (.+)$', o, re.M)]
        assert len(columns) == len(headings) and 'pip install' not in page and '#| ' not in page
