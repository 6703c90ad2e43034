"""The rules find what is wrong with a model, say how to mend it, and fail nothing that is only unusual.
(A network that breaks each rule stands beside the rule, in the notebook.)"""

from copy import deepcopy
from dataclasses import replace
from inspect import getsourcelines

import pytest
import torch
from torch import nn

from conftest import refused
from mnist_kit.models import RECORDS
from mnist_kit.runs import read_run
from mnist_kit.tools.findings import EDITIONS, Edition, all_hold, edition_for, expected_findings, findings_table
from mnist_kit.tools.rules import RULES, check_model, check_run, seven_segment_digits
from submissions import faulty

KIT = EDITIONS['mnist_kit']


@pytest.fixture
def quick(monkeypatch):
    "Without the rule that takes longest; the sound ones are asked all."
    monkeypatch.delitem(RULES, 'overfits_one_batch')


# ---------------------------------------------------------------- models


@pytest.mark.parametrize('name', faulty.SOUND)
def test_an_unusual_model_is_not_failed_and_stays_as_it_is(name):
    model = faulty.SOUND[name]()
    before, state = deepcopy(model.state_dict()), torch.get_rng_state()
    findings = check_model(model, gap=True)
    assert all(o.holds for o in findings), findings_table(findings)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and model.training


@pytest.mark.parametrize('name', faulty.FAULTY)
def test_a_faulty_model_gets_its_finding_and_all_else_is_still_checked(name, quick):
    rule, found, not_held = faulty.FAULTY[name]
    findings = check_model(getattr(faulty, name), gap=rule == 'global_average_pooling')
    (o,) = [o for o in findings if o.rule == rule]
    assert o.found.startswith(found) and o.hint == RULES[rule].hint and o.holds is False, findings_table(findings)
    assert [o.rule for o in findings if o.holds is False and o.required] == not_held.split(), findings_table(findings)
    holds = {o.rule: o.holds for o in findings}
    waiting = {k for k in holds if not all(holds[n] for n in RULES[k].needs) or (rule, k) == ('shape', 'finite')}
    assert {k for k, v in holds.items() if v is None} == waiting, findings_table(findings)


def test_an_error_in_forward_names_its_line_and_leaves_the_hint_to_python(quick):
    (found,) = [o for o in check_model(faulty.Raises, path=faulty.__file__) if o.rule == 'runs']
    line = getsourcelines(faulty.raises)[1] + 1
    assert found.found == f'RuntimeError: one (line {line})' and found.hint.startswith('The message is')


@pytest.mark.parametrize('name', ['RawScoresInTraining', 'Sound'])
def test_with_logits_log_probabilities_give_the_same_as_raw_scores(name, quick):
    findings = check_model(getattr(faulty, name), logits=True)
    assert all_hold(findings) and 'raw_scores' in {o.rule for o in findings}, findings_table(findings)


def test_global_average_pooling_is_seen_in_whatever_form():
    for pool in faulty.POOLINGS:
        model = faulty.changed(pool=lambda self, x: pool(x))()
        found = RULES['global_average_pooling'](model, *seven_segment_digits(), KIT)
        assert found == (True, '49 places to 1'), '7 rows of 7'


def test_a_lower_learning_rate_is_tried_before_a_network_is_refused_and_a_large_one_is_not_asked(monkeypatch):
    lrs, adam = [], torch.optim.Adam
    monkeypatch.setattr(torch.optim, 'Adam', lambda params, lr: lrs.append(lr) or adam(params, lr))
    learns_by_heart = RULES['overfits_one_batch']
    same_for_all = faulty.changed(scores=lambda self, x: self.head.bias.expand(len(x), 10))()  # at best log(10), 2.3
    holds, found = learns_by_heart(same_for_all, *seven_segment_digits(), KIT)
    assert holds is False and found.startswith('2.30 after 300 steps')
    first, second = lrs
    assert second < first
    edition = Edition('of 100 parameters', 100, 0.994, 20, '')
    assert learns_by_heart(faulty.Sound(), *seven_segment_digits(), edition)[0] is None


Lazy = faulty.changed(dict(head=lambda: nn.LazyLinear(10)))


class Uncopied(faulty.Sound):
    def __deepcopy__(self, memo):
        raise TypeError('not copied')


def test_a_lazy_model_stays_lazy_and_one_that_cannot_be_copied_is_made_again(quick):
    model = Lazy()
    for o in (model, Uncopied):
        assert all_hold(check_model(o))
    assert isinstance(model.head, nn.LazyLinear)


# ---------------------------------------------------------------- numbers


def test_the_editions_have_the_numbers_of_the_assignment_and_of_the_repositories_they_name():
    assert {k: (o.budget, o.target, o.epochs, o.stretch) for k, o in EDITIONS.items()} == {
        'mnist_kit': (8_000, 0.994, 20, 15),  # the assignment
        '8k-15': (8_000, 0.994, 15, 11),  # Model 3's own target; three quarters of 15
        '10k-15': (10_000, 0.994, 15, 11),
        '20k-20': (20_000, 0.994, 20, 15),
        '25k-1': (25_000, 0.95, 1, 1),
    }
    rules = expected_findings(edition=EDITIONS['25k-1'], run=True)
    found = [rules[k].expected for k in ('target', 'epochs', 'last_three_epochs', 'stretch')]
    assert found == ['at least 95.00 %', 'at most 1', 'at least 95.00 % in each', 'at least 95.00 % by epoch 1']
    assert '0.57' in rules['train_test_gap'].expected, "the assignment's 99.63 % less its 99.06 %"


def test_an_edition_that_nothing_can_meet_is_refused_in_one_line():
    for field, values in dict(budget=(0, 7.5), epochs=(0, True), target=(0, 99.4, float('nan'), '0.9')).items():
        for value in values:
            refused(lambda: edition_for(**{field: value}), f'{field}={value!r}: expected it to be ')


@pytest.mark.parametrize('more, frozen, ok', [(-1, 0, True), (0, 0, False), (-100, 10_000, True)])
def test_fewer_than_the_budget_means_at_most_one_less_that_are_trained(more, frozen, ok):
    model, n = nn.Module(), 8000 + more
    model.w = nn.Parameter(torch.zeros(n))
    model.frozen = nn.Parameter(torch.zeros(frozen), requires_grad=False)
    assert RULES['budget'](model, None, None, KIT) == (ok, f'{n:,} parameters')


def test_a_run_on_other_digits_or_with_a_holdout_or_of_another_model_is_not_judged():
    run, unscored = read_run(next(RECORDS.glob('model3-seed*'))), 'not scored after each epoch'
    for why, change in (
        ('not MNIST', dict(source='digits')),
        (unscored, dict(holdout=5000)),
        (unscored, dict(rows=[])),
        ('failed', dict(status='failed', rows=[])),
        ('of Sound, not of model3', dict(model='Sound')),
    ):
        findings = check_run(replace(run, **change), 'model3')
        assert {o.holds for o in findings} == {None} and why in findings[0].found
