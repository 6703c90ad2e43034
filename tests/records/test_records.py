"What is committed: whole runs by the recipe, the accuracies that are promised, and verdicts and a README that follow."

import json
from math import copysign
from statistics import mean

import pytest
from scipy import stats

from conftest import ROOT
from mnist_kit.evidence import CLAIMS, Study, VARIANTS, WORTH_HAVING, verdicts
from mnist_kit.models import MODELS, RECORDS
from mnist_kit.spec import SPECS

STUDY = Study()


@pytest.mark.parametrize('run', STUDY.runs, ids=lambda r: f'{r.name}-seed{r.seed}')
def test_the_records_are_of_whole_runs_by_the_recipe_on_mnist(run):
    variant = VARIANTS[run.name]
    cls = variant.network or MODELS[variant.model]
    assert (run.source, run.n_train, run.n_valid, run.holdout, run.status) == ('mnist', 60000, 10000, 0, 'finished')
    assert (run.model, run.options) == (cls.__name__ if variant.network else variant.model, variant.options)
    assert run.params == sum(p.numel() for p in cls(**run.options).parameters())
    assert run.recipe == variant.recipe
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


# ---------------------------------------------------------------- computed a second time, from the files alone


FILES = [json.loads(p.read_text()) for p in RECORDS.glob('*-seed*/run.json')]
FILES += [o for p in RECORDS.glob('*.runs.json') for o in json.loads(p.read_text())['runs']]


def raw_runs(name):
    "The records of a variant, by seed, as the files have them."
    return {o['seed']: o for o in FILES if (o['variant'] or o['model']) == name and o['status'] == 'finished'}


def values(name, metric):
    "What a metric is for each run, by seed."

    def one(run, stop):
        accs = [round(r['valid_accuracy'] * 10_000) / 10_000 for r in run['rows'][:stop]]
        train = {'train_gap': run['rows'][-1]['train_accuracy'], 'clean_gap': run['train']['accuracy']}
        there = [i for i, acc in enumerate(accs, 1) if acc >= 0.99] + [len(accs) + 1]
        figures = {'accuracy': accs[-1], 'best_accuracy': max(accs), 'epochs_to_99': there[0]}
        return figures[metric] if metric in figures else train[metric] - accs[-1]

    stop = VARIANTS[name].stop
    return {k: one(run, stop) for k, run in raw_runs(VARIANTS[name].model if stop else name).items()}


def differences(claim):
    a, b = (values(o, claim.metric) if isinstance(o, str) else o for o in (claim.a, claim.b))
    if not isinstance(a, dict):
        return [a - o for o in b.values()]
    return [a[k] - b[k] for k in a if k in b] if isinstance(b, dict) else [o - b for o in a.values()]


def judged(claim, d):
    "Verdict and p-value by SciPy's interval and t-test."
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    m = 1 if claim.metric == 'epochs_to_99' else WORTH_HAVING
    within, limit = -m < low and high < m, {'better': 0, 'no worse': -m}.get(claim.form, copysign(m, mean(d)))
    yes, no = (within, low > m or high < -m) if claim.form == 'equal' else (low > limit, high < limit)
    verdict = (
        'supported' if yes else 'contradicted' if no else 'no difference worth having' if within else 'not resolved'
    )
    limit = copysign(m, mean(d)) if verdict == 'no difference worth having' else limit
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
        assert ours.difference[k] == pytest.approx(scale[k] * mean(d)) and ours.n[k] == len(d)
    one = verdicts(STUDY, 'target').set_index('tested as')
    assert one['after Holm'].equals(ours.loc[one.index, 'after Holm']), 'over all claims, whatever is asked for'


@pytest.mark.parametrize('name', SPECS)
def test_the_readmes_table_is_computed_from_the_records(name):
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    row = next(o for o in text.splitlines() if o.startswith(f'| {name[-1]}: '))
    params, reported, last, last5, best, n = (o.strip(' *%') for o in row.split('|')[2:-1])
    curves = [[100 * r['valid_accuracy'] for r in o['rows']] for o in raw_runs(name).values()]
    assert (params, reported) == (f'{SPECS[name].params:,}', f'{100 * SPECS[name].reported.test_acc:.2f}')
    assert int(n) == len(curves) >= 2
    for cell, figure in ((last, lambda o: o[-1]), (last5, lambda o: mean(o[-5:])), (best, max)):
        figures = [figure(o) for o in curves]
        half = stats.t.ppf(0.975, len(figures) - 1) * stats.sem(figures)
        assert [float(o) for o in cell.split(' ± ')] == pytest.approx([mean(figures), half], abs=0.006)
