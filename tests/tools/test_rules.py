"The rules find what is wrong with a model, say how to mend it, and fail nothing that is only unusual."

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from mnist_kit.models import MODELS, RECORDS
from mnist_kit.runs import read_run
from mnist_kit.spec import PARAM_BUDGET
from mnist_kit.tools.findings import all_hold, findings_table
from mnist_kit.tools.rules import RULES, check_model, check_run, seven_segment_digits
from submissions import faulty, sound


def broken(findings):
    "The required rules that do not hold; those that could not be checked are not among them."
    return [o.rule for o in findings if o.holds is False and o.required]


@pytest.fixture
def run():
    "The record of a run of Model 3 on MNIST."
    return read_run(next(RECORDS.glob('model3-seed*')))


# ---------------------------------------------------------------- models


@pytest.mark.parametrize('name', list(MODELS))
def test_the_kits_models_hold_all_rules_of_architecture_and_behaviour(name):
    gap = name != 'model1'
    findings = check_model(MODELS[name], gap=gap)
    assert {o.rule for o in findings} == {k for k, o in RULES.items() if o.of == 'model'}
    assert all(o.holds for o in findings if o.required or gap), findings_table(findings)


@pytest.mark.parametrize('cls', [faulty.Sound, *(v for v in vars(sound).values() if isinstance(v, type))])
def test_an_unusual_model_is_not_failed(cls):
    findings = check_model(cls, gap=True)
    assert all_hold(findings), findings_table(findings)


@pytest.mark.parametrize('rule, name', [(k, o) for k in RULES for o in faulty.BREAKS.get(k, '').split()])
def test_a_faulty_model_breaks_its_rule_and_no_other(rule, name):
    findings = check_model(getattr(faulty, name))
    assert broken(findings) == [rule], findings_table(findings)
    (found,) = [o for o in findings if o.rule == rule]
    assert found.hint and found.found and '\n' not in found.found and found.found != found.expected


def test_the_model_that_is_given_stays_as_it_is():
    model = MODELS['model3']()
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    check_model(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and model.training


class LazyNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyConv2d(10, 28, bias=False), nn.Flatten(), nn.LogSoftmax(1))


class Uncopied(LazyNet):
    def __deepcopy__(self, memo):
        raise TypeError('not copied')


def test_a_lazy_model_stays_lazy_and_one_that_cannot_be_copied_is_made_again():
    model = LazyNet()
    for o in (model, Uncopied):
        assert {f.rule: f.holds for f in check_model(o)}['runs']
    assert isinstance(model[0], nn.LazyConv2d)


# ---------------------------------------------------------------- single rules


def test_every_rule_has_a_sentence_an_expectation_and_a_hint():
    for o in RULES.values():
        assert o.sentence.endswith('.') and o.expected and len(o.hint) > 40, o.name
        assert '\n' not in o.sentence + o.expected + o.hint
        assert set(o.needs) <= set(RULES)


def test_the_numbers_come_from_the_specification():
    assert f'{PARAM_BUDGET:,}' in RULES['budget'].expected and '99.40 %' in RULES['target'].expected
    assert RULES['epochs'].expected == 'at most 20' and 'by epoch 15' in RULES['stretch'].expected
    assert '0.57' in RULES['train_test_gap'].expected, "the assignment's 99.63 % less its 99.06 %"


def test_the_digits_are_normalised_and_each_has_its_own_form():
    x, y = seven_segment_digits(20)
    assert x.shape == (20, 1, 28, 28) and y.tolist() == [*range(10)] * 2
    assert torch.equal(x, seven_segment_digits(20)[0]) and not torch.equal(x, seven_segment_digits(20, seed=1)[0])
    assert x.min() >= -0.1307 / 0.3081 - 1e-6 and x.max() <= (1 - 0.1307) / 0.3081 + 1e-6


@pytest.mark.parametrize('trained, frozen, ok', [(7999, 0, True), (8000, 0, False), (10, 10_000, True)])
def test_fewer_than_8000_means_at_most_7999_that_are_trained(trained, frozen, ok):
    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(trained))
    model.frozen = nn.Parameter(torch.zeros(frozen), requires_grad=False)
    assert RULES['budget'].test(model, None, None) == (ok, f'{trained:,} parameters')


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize('name, reaches', [('model1', False), ('model2', False), ('model3', True)])
def test_model3_alone_reaches_the_target(name, reaches):
    (folder,) = {o.parent for o in RECORDS.glob(f'{name}-seed*/model.safetensors')}
    rows = json.loads((folder / 'run.json').read_text())['rows']
    assert (rows[-1]['valid_accuracy'] >= 0.994) == reaches, 'by arithmetic'
    by_rule = {o.rule: o.holds for o in check_run(read_run(folder))}
    assert by_rule['target'] == reaches and by_rule['epochs']


@pytest.mark.parametrize(
    'change, why',
    [
        (dict(source='digits'), 'not MNIST'),
        (dict(holdout=5000), 'not scored after each epoch'),
        (dict(rows=[]), 'not scored after each epoch'),
        (dict(status='failed', rows=[]), 'failed'),
        (dict(model='Sound'), 'of Sound, not of model3'),
    ],
)
def test_a_run_on_other_digits_or_with_a_holdout_or_of_another_model_is_not_judged(run, change, why):
    findings = check_run(replace(run, **change), 'model3')
    assert {f.holds for f in findings} == {None} and not all_hold(findings) and why in findings[0].found


@pytest.mark.parametrize(
    'accs, last, three, stretch',
    [
        ([0.9] * 13 + [0.995] * 7, True, True, True),
        ([0.9] * 17 + [0.995] * 3, True, True, False),
        ([0.9] * 17 + [0.995, 0.9939, 0.994], True, False, False),
        ([0.9] * 17 + [0.995, 0.995, 0.9939], False, False, False),
    ],
)
def test_the_target_is_asked_of_the_last_epoch_and_not_of_the_best(run, accs, last, three, stretch):
    rows = [dict(r, valid_accuracy=a) for r, a in zip(run.rows, accs, strict=True)]
    by_rule = {o.rule: o.holds for o in check_run(replace(run, rows=rows))}
    assert (by_rule['target'], by_rule['last_three_epochs'], by_rule['stretch']) == (last, three, stretch)
