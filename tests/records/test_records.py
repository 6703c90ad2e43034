"What is committed: whole runs by the recipe, the accuracies that are promised, and verdicts and a README that follow."

from itertools import takewhile
from math import copysign

import pytest
from scipy import stats

from conftest import ROOT
from mnist_kit.evidence import CLAIMS, VARIANTS, WORTH_HAVING, Study, verdicts
from mnist_kit.models import MODELS, count_params
from mnist_kit.spec import SPECS

STUDY = Study()
FRAME = STUDY.frame()


@pytest.mark.parametrize('name', [o for o in VARIANTS if not VARIANTS[o].stop])
def test_the_records_are_of_whole_runs_by_the_recipe_on_mnist(name):
    variant = VARIANTS[name]
    cls = variant.network or MODELS[variant.model]
    for run in STUDY.of(name):
        assert (run.source, run.n_train, run.n_valid, run.holdout, run.train['n']) == ('mnist', 60000, 10000, 0, 60000)
        assert (run.model, run.options) == (cls.__name__ if variant.network else variant.model, variant.options)
        assert (run.params, run.recipe) == (count_params(cls(**run.options)), variant.recipe)
        assert run.accuracy == run.rows[-1]['valid_accuracy'], 'the last epoch, not the best'
        assert run.device['name'] and run.versions['torch']


def test_model1_reaches_98_7_percent_and_model3_99_35_in_the_last_epoch_and_model2_with_some_seeds_only():
    o = (100 * FRAME.groupby('variant').accuracy.agg(['mean', 'min', 'max'])).loc[list(SPECS)]
    assert o['mean'].model1 >= 98.7 and o['mean'].model3 >= 99.35
    low, mean, high = o.loc['model2', ['min', 'mean', 'max']]
    assert high >= 98.7 > mean > 98 and high - low > 1


def differences(claim):
    "A minus B, by seed."
    values = FRAME.pivot(index='seed', columns='variant', values=claim.metric)
    a, b = (values[o] if isinstance(o, str) else o for o in (claim.a, claim.b))
    return (a - b).dropna()


def p_value(claim, d, verdict):
    "Of the limit that the verdict rests on, by SciPy's t-test."
    m = 1 if claim.metric == 'epochs_to_99' else WORTH_HAVING
    limits = {'better': 0, 'no worse': -m} if verdict != 'no difference worth having' else {}
    return stats.ttest_1samp(d, limits.get(claim.form, copysign(m, d.mean()))).pvalue


def test_every_difference_and_holms_correction_are_what_scipy_makes_of_the_runs():
    "Holm: of m claims by their p-values, the k-th holds if it and those before are at most 0.05/(m - k + 1)."
    ours = verdicts(STUDY).set_index('tested as')
    found = {o.says: (o, d) for o in CLAIMS if len(d := differences(o)) >= 2}
    assert {*ours.index} == {*found}
    for k, (claim, d) in found.items():
        scale = {'points': 100, 'epochs': 1}[ours.unit[k]]
        assert ours.difference[k] == pytest.approx(scale * d.mean()) and ours.n[k] == len(d)
    ps = sorted((p_value(*o, ours.verdict[k]), k) for k, o in found.items())
    sure = {k for _, k in takewhile(lambda o: o[0] <= 0.05 / (len(ps) - ps.index(o)), ps)}
    assert (ours['after Holm'] == ours.verdict.where(ours.index.isin(sure), 'not resolved')).all()
    one = verdicts(STUDY, 'target').set_index('tested as')
    assert one['after Holm'].equals(ours.loc[one.index, 'after Holm']), 'over all claims, whatever is asked for'


@pytest.mark.parametrize('name', SPECS)
def test_the_readmes_table_is_computed_from_the_records(name):
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    row = next(o for o in text.splitlines() if o.startswith(f'| {name[-1]}: '))
    params, reported, *cells, n = (o.strip(' *%') for o in row.split('|')[2:-1])
    runs, spec = FRAME[FRAME.variant == name], SPECS[name]
    assert (params, reported, n) == (f'{spec.params:,}', f'{100 * spec.reported.test_acc:.2f}', f'{len(runs)}')
    for cell, figure in zip(cells, ('accuracy', 'last5_accuracy', 'best_accuracy'), strict=True):
        mean, half = runs[figure].mean(), stats.t.ppf(0.975, len(runs) - 1) * stats.sem(runs[figure])
        assert [float(o) for o in cell.split(' ± ')] == pytest.approx([100 * mean, 100 * half], abs=0.006)
