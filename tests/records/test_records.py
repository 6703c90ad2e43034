"What is committed: whole runs by the recipe, the accuracies that are promised, and verdicts and a README that follow."

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


# ---------------------------------------------------------------- computed a second time


def differences(claim):
    "A minus B, by seed."
    values = FRAME.pivot(index='seed', columns='variant', values=claim.metric)
    a, b = (values[o] if isinstance(o, str) else o for o in (claim.a, claim.b))
    return (a - b).dropna()


def judged(claim, d):
    "Verdict and p-value by SciPy's interval and t-test."
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    m = 1 if claim.metric == 'epochs_to_99' else WORTH_HAVING
    within, limit = -m < low and high < m, {'better': 0, 'no worse': -m}.get(claim.form, copysign(m, d.mean()))
    yes, no = (within, low > m or high < -m) if claim.form == 'equal' else (low > limit, high < limit)
    verdict = (
        'supported' if yes else 'contradicted' if no else 'no difference worth having' if within else 'not resolved'
    )
    limit = copysign(m, d.mean()) if verdict == 'no difference worth having' else limit
    return verdict, stats.ttest_1samp(d, limit).pvalue


def test_every_verdict_and_holms_correction_are_what_scipy_makes_of_the_files():
    "Holm: of m claims by their p-values, the k-th holds if it and those before are at most 0.05/(m - k + 1)."
    found = {o.says: (o, d) for o in CLAIMS if len(d := differences(o)) >= 2}
    theirs = {k: judged(*o) for k, o in found.items()}
    order, sure = sorted(theirs, key=lambda k: theirs[k][1]), set()
    for i, k in enumerate(order):
        if theirs[k][1] > 0.05 / (len(order) - i):
            break
        sure.add(k)
    ours = verdicts(STUDY).set_index('tested as')
    assert ours.verdict.to_dict() == {k: o[0] for k, o in theirs.items()}
    assert ours['after Holm'].to_dict() == {k: o[0] if k in sure else 'not resolved' for k, o in theirs.items()}
    scale = ours.unit.map({'points': 100, 'epochs': 1})
    for k, (claim, d) in found.items():
        assert ours.difference[k] == pytest.approx(scale[k] * d.mean()) and ours.n[k] == len(d)
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
