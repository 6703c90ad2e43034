"How sure a few runs make one, what a study reads, and what it says to the claims."

import json
from dataclasses import asdict, replace
from math import isnan, sqrt

import numpy as np
import pytest
from made_runs import judged, put, record, refused
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from mnist_kit.evidence import CLAIMS, PLAN, VARIANTS, VERDICTS, Study, base_model, compare, median_run, seeds_needed
from mnist_kit.evidence import share_of, summary_of, verdicts
from mnist_kit.spec import MODEL1, MODEL2, SPECS

# ---------------------------------------------------------------- A against B


def test_runs_are_paired_by_seed_and_only_common_seeds_count(tmp_path):
    "The order of the folders is not that of the seeds. By seed, the differences are 0.01, 0.02 and 0.03."
    runs = [record('model1', seed, (0.5, acc)) for seed, acc in ((5, 0.98), (1, 0.95), (0, 0.1), (2, 0.96))]
    runs += [record('model2', seed, (0.5, acc)) for seed, acc in ((1, 0.94), (5, 0.95), (2, 0.94), (7, 0.2))]
    for i, o in enumerate(runs):
        put(tmp_path, o, at=f'{i}')
    pairs = Study(tmp_path)
    assert compare(pairs, 'model2', 'model1').diffs == pytest.approx((-0.01, -0.02, -0.03))
    theirs = stats.ttest_rel([0.95, 0.96, 0.98], [0.94, 0.94, 0.95]).confidence_interval(0.95)
    d = compare(pairs, 'model1', 'model2').diff
    assert (d.low, d.high) == pytest.approx((theirs.low, theirs.high)) and d.n == 3


def expected_verdict(d, form, margin):
    "What SciPy's t-tests and statsmodels' two one-sided tests say, at 5 % two-sided."
    equivalent = DescrStatsW(d).ttost_mean(-margin, margin)[0] < 0.025
    limit = 0 if form == 'better' else -margin
    above, below = (stats.ttest_1samp(d, limit, alternative=o).pvalue < 0.025 for o in ('greater', 'less'))
    if form == 'equal':
        outside = max(stats.ttest_1samp(d, o * margin).statistic * o for o in (-1, 1)) > stats.t.ppf(0.975, len(d) - 1)
        above, below = equivalent, outside
    supported, contradicted, no_difference, not_resolved = VERDICTS
    return supported if above else contradicted if below else no_difference if equivalent else not_resolved


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    "Six differences from 0.98 for each variant, drawn with all kinds of mean and scatter, and the study of them."
    random, differences = np.random.default_rng(1), {}
    for name in PLAN:
        differences[name] = random.normal(random.uniform(-2e-3, 2e-3), random.choice([2e-4, 8e-4, 2e-3]), 6).round(6)
    runs = [record(k, i, (0.98 + o,), n_valid=10**6) for k, d in differences.items() for i, o in enumerate(d)]
    folder = tmp_path_factory.mktemp('many')
    (folder / 'all.runs.json').write_text(json.dumps(dict(format=1, runs=[asdict(o) for o in runs])))
    return Study(folder), differences


def test_the_verdicts_are_those_of_scipys_and_statsmodels_tests(many):
    study, differences = many
    for form, n in ('better', 4), ('no worse', 3), ('equal', 3):
        found = {k: compare(study, k, 0.98, form=form).verdict for k in differences}
        assert found == {k: expected_verdict(d, form, 0.001) for k, d in differences.items()}
        assert len(set(found.values())) == n, 'all verdicts were tried'


def test_where_epochs_are_counted_the_difference_worth_having_is_one(tmp_path):
    "Differences of 0, 1, 0, 1, 0, 0, 0, 0 epochs: 0.25 ± 2.365·0.463/√8 = 0.39, so from -0.14 to 0.64."
    slow = [record('model1', i, (0.98 if i in (1, 3) else 0.99, 0.99)) for i in range(8)]
    s = Study(put(tmp_path, *slow, *(record('model2', i, (0.99, 0.99)) for i in range(8))))
    assert compare(s, 'model1', 'model2', 'epochs_to_99').verdict == 'no difference worth having'


@pytest.mark.parametrize('sd, difference', [(0.1, 0.1), (0.3, 0.1), (1, 5), (0.1, 100)])
def test_so_many_seeds_are_needed_that_scipys_noncentral_t_gives_a_power_of_80_percent(sd, difference):
    def power_of(n):
        edge, shift = stats.t.ppf(0.975, n - 1), difference / sd * sqrt(n)
        return stats.nct.sf(edge, n - 1, shift) + stats.nct.cdf(-edge, n - 1, shift)

    n = seeds_needed(sd, difference)
    assert power_of(n) >= 0.8 and (n == 3 or power_of(n - 1) < 0.8)


@pytest.mark.parametrize('k', [0, 1, 4])
def test_the_share_of_runs_that_meet_the_target_has_wilsons_interval_and_failed_ones_do_not_meet_it(tmp_path, k):
    met = [record('model3', i, (0.99, 0.99, 0.994, 0.9949, 0.994)) for i in range(k)]
    late = [record('model3', i, (0.99, 0.995, 0.9939, 0.994, 0.994)) for i in range(k, 4)]
    s = Study(put(tmp_path, *met, *late, record('model3', 4, status='failed', rows=[])))
    o = share_of(s, 'model3', 'low3_accuracy')
    theirs = stats.binomtest(k, 5).proportion_ci(method='wilson')
    assert (o.mean, o.low, o.high, o.n) == (k / 5, pytest.approx(theirs.low), pytest.approx(theirs.high), 5)
    assert share_of(s, 'model3').mean == 4 / 5
    refused(lambda: share_of(s, 'model1'), "no runs of 'model1'")


def test_one_pair_is_not_enough_and_runs_without_a_value_are_no_pairs(tmp_path):
    one = put(tmp_path / '1', record('model1', 0), record('model1', 1), record('model2', 1), record('model2', 2))
    refused(lambda: compare(Study(one), 'model1', 'model2'), '1 seed of both', 'at least two', 'more seeds')
    refused(lambda: compare(Study(one), 'model1', 'model3'), "no runs of 'model3'", 'expected at least two')
    runs = [record('model1', i, clean=None if i == 1 else 0.98 + i / 100) for i in range(3)]
    found = compare(Study(put(tmp_path / '2', *runs)), 'model1', 0.5, 'clean_train_accuracy')
    assert found.diffs == pytest.approx((0.48, 0.5))


# ---------------------------------------------------------------- reading a study


def test_the_frame_has_a_row_for_each_run_with_figures_by_hand(tmp_path):
    accs = [float(np.float32(o)) for o in (0.9, 0.97, 0.99, 0.97, 0.9901, 0.9889)]  # as a record has them
    r = record('model1', 4, accs, train=0.9963, clean=0.9950)
    frame = Study(put(tmp_path, r)).frame()
    assert len(frame) == 1
    o = frame.iloc[0]
    assert (o.variant, o.model, o.seed, o.epochs, o.params) == ('model1', 'model1', 4, 6, 7108)
    assert (o.accuracy, o.best_accuracy, o.best_epoch, o.low3_accuracy) == (0.9889, 0.9901, 5, 0.97)
    assert o.last5_accuracy == pytest.approx((0.97 + 0.99 + 0.97 + 0.9901 + 0.9889) / 5)
    assert (o.train_accuracy, o.clean_train_accuracy) == (0.9963, 0.9950)
    assert (o.train_gap, o.clean_gap) == pytest.approx((0.9963 - 0.9889, 0.9950 - 0.9889))
    assert (o.epochs_to_99, o.seconds) == (3, 12)


def test_epochs_to_99_counts_until_99_percent_of_the_images_were_right(tmp_path):
    accs = {
        (0.9899, 0.99, 0.98): 10_000,  # 9,899 of 10,000 are not 99.0 %, 9,900 are
        (0.98, 0.985, 0.9899): 10_000,  # never: one more than it had
        (0.9898989, 0.9932659): 297,  # 294 of 297 are 98.99 %, 295 are 99.33 %
    }
    runs = [record(seed=i, accs=[float(np.float32(o)) for o in k], n_valid=n) for i, (k, n) in enumerate(accs.items())]
    assert Study(put(tmp_path, *runs)).frame().epochs_to_99.tolist() == [2, 4, 2]


def test_model3_cut_is_the_first_15_epochs_of_model3s_runs(tmp_path):
    accs = [0.97 + 0.001 * e for e in range(20)]
    short = record('model3', 4, [0.99] * 15, epochs=15)  # a cycle of 15 epochs is no cycle of 20 that was cut
    s = Study(put(tmp_path, record('model3', 0, accs), record('model3', 3, accs), short, record('model1')))
    cut, whole = s.of('model3-cut'), s.of('model3')
    assert [o.seed for o in cut] == [0, 3] and [len(o.rows) for o in whole] == [20, 20, 15]
    assert all(a.rows == b.rows[:15] for a, b in zip(cut, whole))
    rows = s.frame().query('variant=="model3-cut"')
    assert rows.accuracy.tolist() == pytest.approx([accs[14]] * 2) and rows.clean_gap.isna().all()


def test_only_finished_runs_count_and_folders_that_begin_with_a_dot_are_not_read(tmp_path):
    ended = [record(seed=i, status=o) for i, o in enumerate(('failed', 'interrupted', 'running', 'finished'))]
    put(tmp_path, record(seed=9), at='.model1-seed9.123')
    s = Study(put(tmp_path, *ended, record('model2', status='failed', rows=[])))
    assert [(o.model, o.seed) for o in s.runs] == [('model1', 3)] and len(s.frame()) == 1 and s.names == ['model1']
    found = sorted((o.model, o.status) for o in s.others)
    assert found == [*(('model1', o) for o in ('failed', 'interrupted', 'running')), ('model2', 'failed')]
    assert [o.seed for o in s.failed('model1')] == [0]


def test_variants_come_in_the_order_of_their_list_and_runs_by_seed(tmp_path):
    names = ('model2', 'model3-no-decay', 'model1-gap', 'model1')
    frame = Study(put(tmp_path, *(record(name, seed) for name in names for seed in (2, 0, 10)))).frame()
    assert frame.variant.tolist()[::3] == ['model1', 'model2', 'model1-gap', 'model3-no-decay']
    assert frame.seed.tolist() == [0, 2, 10] * 4 and frame.model.tolist()[::3] == [f'model{o}' for o in (1, 2, 1, 3)]
    assert base_model(record('model1', model='Net', variant='mine')) == 'Net', "a reader's own is its own"


def test_a_folder_that_is_no_study_is_refused_in_one_line(tmp_path):
    for i, (part, *runs) in enumerate((
        ('without a finished run',),
        ('without a finished run; model1-seed0 failed', record(status='failed')),
        ('two runs of one variant and seed', record(), record(variant='model1')),
        ('different sources', record('model2'), record(source='mnist')),
        ('with a run without a seed', record(seed=None)),
        ('model1-seed0 without all its epochs', record(epochs=3)),
        ('holdout', record(holdout=300, test={'n': 1, 'loss': 1.0, 'accuracy': 1.0})),
    )):  # fmt: skip
        for j, run in enumerate(runs):
            put(tmp_path / str(i), run, at=str(j))
        refused(lambda: Study(tmp_path / str(i)), part, 'expected', 'study folder')


def test_the_summary_has_means_and_half_intervals_in_percent(tmp_path):
    runs = [record('model1', 0, (0.97, 0.99, 0.98)), record('model1', 1, (0.97, 0.98, 0.98)), record('model2', 0)]
    runs.append(record('model1', 2, status='failed', rows=[]))
    o = summary_of(Study(put(tmp_path, *runs)))
    first = o.loc['model1']
    assert (first['n'], first['failed'], first['parameters'], first['epochs']) == (2, 1, 7108, 3)
    assert first['last five (%)'] == pytest.approx((97 + 98.5 + 98) / 3)
    assert first['last epoch (%)'] == pytest.approx(98) and first['±'] == pytest.approx(0, abs=1e-9)
    assert first['best epoch (%)'] == pytest.approx(98.5) and first['optimism'] == pytest.approx(0.5)
    assert (first['train gap'], first['clean gap']) == pytest.approx((99.5 - 98, 99.7 - 98))
    assert o.loc['model2', 'n'] == 1 and isnan(o.loc['model2', '±']), 'one run gives no interval'


def test_the_median_run_is_in_the_middle_by_its_last_epoch(tmp_path):
    for i, (accs, seed) in enumerate((
        ((0.95, 0.99, 0.96, 0.98, 0.97), 4),
        ((0.99, 0.97, 0.96, 0.98), 1),  # of an even number, the lower of the two in the middle
        ((0.98, 0.98, 0.98), 1),  # all alike: by seed
    )):  # fmt: skip
        runs = [
            record('model1', j, (1.1 - acc / 9, acc)) for j, acc in enumerate(accs)
        ]  # the best epoch says otherwise
        assert median_run(s := Study(put(tmp_path / str(i), *runs)), 'model1').seed == seed
    refused(lambda: median_run(s, 'model2'), "no runs of 'model2'")


# ---------------------------------------------------------------- variants and claims


def test_a_variant_differs_from_its_model_in_one_thing_only_and_has_20_or_10_seeds():
    for name, v in VARIANTS.items():
        recipe, base = asdict(v.recipe), asdict(SPECS[v.model].recipe)
        things = {'augmentation' if k.startswith('max_') else k for k in base if recipe[k] != base[k]}
        things |= {'drawing'} if v.network else {*v.options}
        things |= {'stop'} if v.stop else set()
        assert len(things) == (name not in SPECS) or name.endswith('trained-well'), name
    headline = {*SPECS, 'model3-no-augmentation', 'model3-15-epochs'}
    assert PLAN == {k: 20 if k in headline else 10 for k in VARIANTS if k != 'model3-cut'}


def test_what_moves_from_one_model_to_another_has_the_assignments_values():
    "Rotation by 7°, translation by 0.1, a one-cycle up to 0.05 over 20 epochs; dropout 0.25; a constant rate of 0.01."
    augmented, cycle = dict(max_rotate=7, max_translate=0.1), dict(lr_max=0.05)
    for name, changes in (('augmented', augmented), ('one-cycle', cycle), ('trained-well', augmented | cycle)):
        for spec in MODEL1, MODEL2:
            own = changes | dict(epochs=20) if name == 'trained-well' else changes
            assert VARIANTS[f'{spec.name}-{name}'].recipe == replace(spec.recipe, **own)
    constant = VARIANTS['model3-constant-lr'].recipe
    assert (constant.lr, constant.lr_max, VARIANTS['model3-no-decay'].recipe.wd) == (0.01, None, 0)
    assert VARIANTS['model3-no-augmentation'].recipe.max_rotate == 0 == VARIANTS['model3-no-dropout'].options['dropout']
    assert (
        VARIANTS['model3-dropout-0.25'].options == dict(dropout=0.25)
        and VARIANTS['model3-15-epochs'].recipe.epochs == 15
    )


def test_claims_only_name_variants_and_metrics_that_exist_and_every_variant_is_there_for_one(tmp_path):
    study = judged(tmp_path)
    for o in CLAIMS:
        assert o.metric in study.frame().select_dtypes('number') and o.a != o.b, o
        assert o.form in ('better', 'no worse', 'equal'), o
    sides = [{s for s in (o.a, o.b) if isinstance(s, str)} for o in CLAIMS]
    assert all(sides) and set().union(*sides) == set(VARIANTS)
    assert {s for o in CLAIMS for s in (o.a, o.b) if not isinstance(s, str)} == {0.9906, 0.9899, 0.9950, 0.994, 0}
    assert len({o.says for o in CLAIMS}) == len(CLAIMS), 'each says what it is without the others'
    loose = {o.says for o in CLAIMS if o.form != 'better'}
    assert loose == {o.says for o in CLAIMS if 'no worse' in o.says or 'is equal' in o.says or 'at its best' in o.says}


def test_verdicts_are_in_points_and_leave_out_what_has_no_two_pairs(tmp_path):
    study = judged(tmp_path)
    v = verdicts(study).set_index('tested as')
    assert not v.index.str.startswith('Model 2').any() and set(v.verdict) <= set(VERDICTS)
    o = v.loc['Model 1: train above test, both measured alike']
    half = 12.706 * 0.1  # 0.6 and 0.8 points: standard deviation 0.1·√2, of the mean 0.1
    assert (o.difference, o['from'], o.to) == pytest.approx((0.7, 0.7 - half, 0.7 + half), abs=1e-3)
    assert (o.unit, o.n, o.verdict, o['last five']) == ('points', 2, 'not resolved', '')
    assert o['n needed'] == seeds_needed(0.1 * sqrt(2), 0.7)
    o = v.loc['Model 1 has 99.0 % in fewer epochs with the one-cycle']
    assert o.difference == pytest.approx(0.5) and o.unit == 'epochs'  # 2, 2 (never, in one epoch) against 1, 2
    o = v.loc['Model 1 has 99.06 % at its best, on average']
    assert o.difference == pytest.approx(98 - 99.06) and o.verdict == 'contradicted'  # twice the same: no width
    o = v.loc['Model 1 is better with the one-cycle']
    assert (o.verdict, o['last five']) == ('supported', 'not resolved')  # 98, 98 against 99, 99; or 99, 98

    found = verdicts(study, 'reported', 'one-cycle')
    assert found['tested as'].tolist() == v.index[v.topic.isin(('reported', 'one-cycle'))].tolist()
    refused(lambda: verdicts(study, 'weather'), "topic 'weather'", *{o.topic for o in CLAIMS})
