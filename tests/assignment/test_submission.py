"""The assignment's rules on the kit's three models; with `pytest tests/ --model student.py:Net` on a model of your own, and on nothing else.
`--run FOLDER` adds the rules on what came out of a training of it."""

import pytest

from mnist_kit.tools.grade import check_submission
from mnist_kit.tools.findings import expected_findings, findings_table

RULES = ['loads', 'whole_file', *expected_findings(), *expected_findings(run=True), 'finishes', 'quiet']


@pytest.fixture(scope='session')
def report(submission, pytestconfig):
    "All that was found about a model, once."
    return check_submission(submission, run=pytestconfig.getoption('--run'))


@pytest.mark.assignment
@pytest.mark.parametrize('rule', RULES)
def test_a_model_and_its_training_hold_the_rule(report, rule, submission, pytestconfig):
    (found,) = [o for o in report.findings if o.rule == rule] or [None]
    if found is None:
        pytest.skip('it is no file' if rule == 'whole_file' else 'no run to check')
    if rule == 'target' and pytestconfig.getoption('--run') is None and submission in ('model1', 'model2'):
        pytest.skip(f'{submission} is not meant to reach the target, and does not')
    if found.holds is None or not (found.required or found.holds):
        pytest.skip(found.found if found.required else f'not required: {found.found}')
    if not found.holds:
        pytest.fail(f'{found.sentence}\n{findings_table([found])}', pytrace=False)
