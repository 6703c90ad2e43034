"The lessons: one spine, one import, outputs of real runs on MNIST."

import json
import re

import pytest

from conftest import ROOT
from mnist_kit.evidence import CLAIMS, Study, verdicts
from mnist_kit.spec import SPECS

LESSONS = sorted((ROOT / 'nbs' / 'lessons').glob('*.ipynb'))
BY_MODEL = dict(zip(LESSONS, SPECS))  # the first three
STORY = LESSONS[:4]  # the exercises show what the reader makes
by_name = {'ids': lambda o: o.stem}


def cells(path, kind):
    return [c for c in json.loads(path.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == kind]


def sources(path, kind):
    return [''.join(c['source']) for c in cells(path, kind)]


def outputs(path):
    return json.dumps([c['outputs'] for c in cells(path, 'code')], ensure_ascii=False)


def test_lessons_are_numbered_in_reading_order():
    assert [o.stem for o in LESSONS] == ['1_baseline', '2_regularise', '3_train_well', '4_key_learnings', '5_exercises']


@pytest.mark.parametrize('path', BY_MODEL, **by_name)
def test_every_lesson_has_the_same_spine(path):
    headings = re.findall(r'^## (.+)$', '\n'.join(sources(path, 'markdown')), re.M)
    assert headings == ['Target', 'Architecture', 'Training configuration', 'Results', 'Analysis', 'Try it']


@pytest.mark.parametrize('path', LESSONS[:2], **by_name)
def test_a_lesson_begins_with_what_it_takes_and_ends_with_five_questions_and_their_answers(path):
    _, first, *_, questions, answers = sources(path, 'markdown')
    lines = re.findall(r'^- \*(.+?):\*', first, re.M)
    assert lines == ['Time', 'What you need', 'What you will be able to do']
    assert re.findall(r'^(\d)\. ', questions, re.M) == re.findall(r'^(\d)\. ', answers, re.M) == [*'12345']
    assert answers.startswith('<details><summary>')


@pytest.mark.parametrize('path', LESSONS[:2], **by_name)
def test_a_cell_of_prose_can_be_read_in_one_breath(path):
    words = {
        o.split('\n')[0]: len(re.findall(r'\w+', re.sub(r'\(\S+?\)|`.*?`', '', o))) for o in sources(path, 'markdown')
    }
    assert {k: n for k, n in words.items() if n > 130} == {}


@pytest.mark.parametrize('path', LESSONS, **by_name)
def test_a_lesson_opens_with_one_import_and_has_no_other(path):
    code = sources(path, 'code')
    assert 'google.colab' in code[0] and code[1] == 'from mnist_kit.all import *'
    own = [o for o in code[2:] if '%%writefile' not in o]  # a file of the reader's has imports of its own
    assert not re.search(r'^\s*(import|from) ', '\n'.join(own), re.M)


@pytest.mark.parametrize('path', LESSONS, **by_name)
def test_a_lesson_defines_nothing_for_the_package_and_its_tables_show_themselves(path):
    for source in sources(path, 'code'):
        assert '#| export' not in source and 'Markdown(' not in source


@pytest.mark.parametrize('path', STORY, **by_name)
def test_a_lesson_shows_outputs_of_mnist(path):
    shown = outputs(path)
    assert 'MNIST' in shown and 'not MNIST' not in shown and 'DIGITS' not in shown
    assert sum('image/png' in json.dumps(c['outputs']) for c in cells(path, 'code')) >= 3


def test_the_first_training_is_a_plain_loop_that_can_be_read():
    loop = next(o for o in sources(LESSONS[0], 'code') if '.backward()' in o)
    before = sources(LESSONS[0], 'code')[: sources(LESSONS[0], 'code').index(loop)]
    assert not any('fit' in o for o in before)
    assert re.search(
        r'for .*\n(?: .*\n)*? +loss = .*\n +loss\.backward\(\).*\n +opt\.step\(\).*\n +opt\.zero_grad\(\)', loop
    )


@pytest.mark.parametrize('path', BY_MODEL, **by_name)
def test_a_lessons_training_by_the_full_recipe_is_slow_and_was_run(path):
    (cell,) = [c for c in cells(path, 'code') if '#| slow' in ''.join(c['source'])]
    assert 'fit_recipe()' in ''.join(cell['source'])
    table = ''.join(cell['outputs'][-1]['data']['text/html'])
    assert table.count('<tr>') == SPECS[BY_MODEL[path]].recipe.epochs + 1, 'a row for each epoch, and the header'


def test_every_claim_has_its_verdict_in_the_key_learnings():
    shown, made = outputs(LESSONS[3]), set(verdicts(Study())['tested as'])
    for claim in CLAIMS:
        if claim.says in made:
            assert claim.says in shown, claim
