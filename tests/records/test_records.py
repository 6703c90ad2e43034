"What is committed: whole runs by the recipe, the accuracies that are promised, and a README that says what they say."

import json
from math import sqrt
from statistics import mean, stdev

import pytest

from conftest import ROOT
from mnist_kit.evidence import Study, VARIANTS
from mnist_kit.models import MODELS
from mnist_kit.spec import Recipe, SPECS

STUDY = Study()


@pytest.mark.parametrize('run', STUDY.runs, ids=lambda r: f'{r.name}-seed{r.seed}')
def test_the_records_are_of_whole_runs_by_the_recipe_on_mnist(run):
    variant = VARIANTS[run.name]
    cls = variant.network or MODELS[variant.model]
    assert (run.source, run.n_train, run.n_valid, run.holdout, run.status) == ('mnist', 60000, 10000, 0, 'finished')
    assert (run.model, run.options) == (cls.__name__ if variant.network else variant.model, variant.options)
    assert run.params == sum(p.numel() for p in cls(**run.options).parameters())
    assert Recipe(**run.recipe | {'moms': tuple(run.recipe['moms'])}) == variant.recipe
    assert [r['epoch'] for r in run.rows] == list(range(1, variant.recipe.epochs + 1))
    assert run.accuracy == run.rows[-1]['valid_accuracy'], 'the last epoch, not the best'
    assert run.train['n'] == 60000
    assert run.device['name'] and run.versions['torch']


def accuracies(name):
    return [100 * r.accuracy for r in STUDY.of(name)]


@pytest.mark.parametrize('name, percent', [('model1', 98.7), ('model3', 99.35)])
def test_model1_reaches_98_7_percent_and_model3_99_35_in_the_last_epoch(name, percent):
    assert mean(accuracies(name)) >= percent


def test_model2_reaches_98_7_percent_in_its_last_epoch_with_some_seeds_only():
    accs = accuracies('model2')
    assert max(accs) >= 98.7 > mean(accs) > 98 and max(accs) - min(accs) > 1


# a table of Student's t: 95 %, two-sided, n - 1 degrees
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def mean_and_interval(values):
    half = T95[len(values)] * stdev(values) / sqrt(len(values))
    return mean(values), half


@pytest.mark.parametrize('name', SPECS)
def test_the_readmes_table_is_computed_from_the_records(name):
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    row = next(o for o in text.splitlines() if o.startswith(f'| {name[-1]}: '))
    params, reported, last, best, n = (o.strip(' *%') for o in row.split('|')[2:-1])
    records = [json.loads(p.read_text()) for p in (ROOT / 'mnist_kit/records').glob(f'{name}-seed*/run.json')]
    curves = [[100 * r['valid_accuracy'] for r in o['rows']] for o in records]
    assert (params, reported) == (f'{SPECS[name].params:,}', f'{100 * SPECS[name].reported.test_acc:.2f}')
    assert int(n) == len(records) >= 2
    for cell, values in ((last, [o[-1] for o in curves]), (best, [max(o) for o in curves])):
        assert [float(o) for o in cell.split(' ± ')] == pytest.approx(mean_and_interval(values), abs=0.006)
