"The pictures: what is drawn, and for whom there is a place."

import matplotlib.pyplot as plt
import pytest
from IPython.core.formatters import DisplayFormatter
from made_runs import judged, put, record, refused

from mnist_kit.evidence import VERDICTS, Study, reported_curves, verdicts
from mnist_kit.tools.plots import plot_claims, plot_seeds, plot_story, plot_variants
from mnist_kit.tools.plots import results_table, target_table, verdict_table


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close('all')


@pytest.fixture
def study(tmp_path):
    "Two runs each of Model 1, Model 3, an ablation and a variant of a reader's own."
    own = record('model1', 0, variant='mine'), record('model1', 1, variant='mine')
    runs = [record(o, i) for o in ('model1', 'model3', 'model1-gap') for i in range(2)]
    return Study(put(tmp_path, *own, *runs))


def test_the_story_has_a_place_for_each_model_that_was_run_and_its_means(study):
    plot_story(study)
    ax = plt.gca()
    labels = [o.get_text().split('\n')[0] for o in ax.get_xticklabels()]
    assert labels == ['Model 1', 'Model 3'] and ax.get_xticks().tolist() == [0, 1]
    assert [o.get_text() for o in ax.texts] == ['99.70 %', '99.00 %'] * 2  # on training images, on test images


def test_variants_are_drawn_with_their_runs_and_the_colour_of_their_model(study):
    plot_variants(study)
    ax = plt.gca()
    names = ('model1', 'model3', 'model1-gap', 'mine')
    assert [o.get_text() for o in ax.get_yticklabels()] == [f'{o} (n = 2)' for o in names]
    dots = [o for o in ax.lines if o.get_marker() == 'o']
    assert [o.get_xdata().tolist() for o in dots] == [pytest.approx([99, 99])] * 4
    assert [o.get_color() for o in dots] == ['C0', 'C2', 'C0', 'C0']
    assert ax.get_xlabel() == 'test accuracy (%)'
    refused(lambda: plot_variants(study, ['model2']), 'no runs of model2', 'expected')


def test_seeds_are_drawn_beside_the_reported_run_of_their_model(study):
    reported = reported_curves().set_index('model')
    for name, model in {'mine': 'model1', 'model1-gap': 'model1', 'model3': 'model3'}.items():
        plot_seeds(study, name)
        loss, accuracy = plt.gcf().axes
        dashed = [o.get_ydata().tolist() for o in accuracy.lines if o.get_linestyle() == '--']
        assert dashed == [pytest.approx(100 * reported.loc[model][f'{o}_accuracy']) for o in ('train', 'test')]
        assert len(loss.lines) == 2 * 2 + 1 and len(accuracy.lines) == 2 * 2 + 2


def rows(table):
    "The cells of a table as a notebook shows it."
    shown = DisplayFormatter().format(table)[0]
    assert 'text/html' not in shown, 'a notebook would prefer it'
    return [[o.strip() for o in line.strip('|').split('|')] for line in shown['text/markdown'].splitlines()]


def test_the_tables_show_themselves_as_markdown_and_a_lessons_have_four_columns(tmp_path):
    study = judged(tmp_path)
    header, line, one, two = rows(results_table(study))
    assert header[:2] == ['model', 'parameters'] and set(line) == {'---'}
    assert one == ['1: Baseline CNN', '7,108', '99.06 %', '**98.00 ± 0.00 %**', *['98.00 ± 0.00 %'] * 2, '2']
    assert two[3:] == ['**99.00 %**', '98.50 %', '99.00 %', '1'], 'a single run has no interval'
    assert rows(results_table(study, short=True))[2] == [one[0], *one[2:4], '2']
    claim = ['Model 1: train above test, both measured alike', '**not resolved**', '+0.70 (-0.57 to +1.97) points', '2']
    assert rows(verdict_table(study, 'Model 1 overfits'))[-1] == [*claim, 'the same', '–']
    assert rows(verdict_table(study, 'Model 1 overfits', checks=False))[-1] == claim
    better = rows(verdict_table(study, 'one-cycle'))[2]
    assert (better[1], better[-1]) == ('**supported**', 'not resolved')
    assert 'mnist_kit_study' in verdict_table(study, 'balance')._repr_markdown_()


def test_the_target_table_counts_the_runs_that_meet_it_and_those_that_failed(tmp_path):
    accs = (0.99, 0.994, 0.994), (0.994, 0.995, 0.994), (0.995, 0.995, 0.9939)
    runs = [record('model3', i, o) for i, o in enumerate(accs)]
    (row,) = rows(target_table(Study(put(tmp_path, *runs, record('model3', 3, status='failed'))), 'model3'))[2:]
    assert row[2].startswith('2 of 4: 50% (15% to 85%)') and row[3].startswith('1 of 4: 25% (5% to 70%)')


def test_every_claim_is_a_line_with_its_interval_and_its_verdict_by_colour_and_marker(tmp_path):
    study, looks = judged(tmp_path), {}
    plot_claims(study)
    found = verdicts(study)
    for ax, unit, band in zip(plt.gcf().axes, ('points', 'epochs'), (0.1, 1), strict=True):
        own = found[found.unit == unit]
        assert [o.get_text() for o in ax.get_yticklabels()] == [f'{o} (n = 2)' for o in own['tested as']]
        dots = [o for o in ax.lines if o.get_label() in VERDICTS]
        assert [o.get_xdata()[0] for o in dots] == pytest.approx(own.difference.tolist())
        assert [o.get_label() for o in dots] == own.verdict.tolist()
        ends = [sorted(o.get_xdata()) for o in ax.lines if len(o.get_xdata()) == 2 and o.get_linewidth() == 2]
        assert ends == [pytest.approx([o['from'], o['to']]) for _, o in own.iterrows()]
        assert {-band, band} <= set(ax.get_xticks())
        looks |= {o.get_label(): (o.get_color(), o.get_marker()) for o in dots}
    colours, markers = map(set, zip(*looks.values()))
    assert len(colours) == len(markers) == found.verdict.nunique() >= 3
    refused(lambda: plot_claims(study, 'balance'), 'no runs for these claims', 'mnist_kit_study')
