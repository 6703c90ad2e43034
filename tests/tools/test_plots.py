"The pictures: what is drawn, and for whom there is a place."

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from fastai.torch_core import TensorBase
from IPython.core.formatters import DisplayFormatter
from torch import nn
from made_runs import put, record, refused

from mnist_kit.evidence import VERDICTS, Study, reported_curves, verdicts
from mnist_kit.models import conv_bn_relu
from mnist_kit.spec import MODEL1, MODEL3
from mnist_kit.tools.plots import plot_answer, plot_fields, plot_histograms, plot_kernel, plot_maps
from mnist_kit.tools.plots import plot_claims, plot_features, plot_schedule, plot_seeds, plot_story, plot_variants
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


def test_a_kernel_on_an_image_shows_its_pixels_the_products_and_their_sum():
    image, kernel = torch.arange(20.0).reshape(4, 5), torch.tensor([[1.0, -1.0], [-0.0, 0.5]])
    plot_kernel(image, kernel, row=2, col=1)
    whole, pixels, numbers, sums, products, total = plt.gcf().axes
    written = [[o.get_text() for o in ax.texts] for ax in (pixels, numbers, products, total)]
    below = ['11.0', '12.0', '16.0', '17.0']
    assert written == [below, ['1.0', '-1.0', '0.0', '0.5'], ['11.0', '-12.0', '0.0', '8.5'], ['7.5']]
    assert sums.images[0].get_array().shape == (3, 4) and sums.images[0].get_array()[2, 1] == 7.5
    assert whole.patches[0].get_xy() == (0.5, 1.5) and whole.patches[0].get_width() == 2, 'the edges of the pixels'
    refused(lambda: plot_kernel(image, kernel, row=3, col=0), 'row=3', 'rows from 0 to 2', 'columns from 0 to 3')


def test_receptive_fields_are_squares_of_their_size_and_each_size_is_drawn_once():
    plot_fields(torch.rand(28, 28), pd.Series(dict(conv=3, pool=4, relu=4, whole=28)))
    squares = [(o.get_label(), o.get_xy(), o.get_width()) for o in plt.gca().patches]
    corner = (11.5, 11.5)
    assert squares == [('conv: 3×3', corner, 3), ('pool: 4×4', corner, 4), ('whole: 28×28', (-0.5, -0.5), 28)]


def test_maps_in_rows_have_one_scale():
    plot_maps({'small': torch.rand(3, 5, 5), 'large': -9 * torch.eye(5).expand(3, 5, 5)}, titles='abc')
    axs = plt.gcf().axes[:6]
    assert {(ax.images[0].norm.vmin, ax.images[0].norm.vmax) for ax in axs} == {(-9, 9)}, 'zero has its own colour'
    assert [ax.get_ylabel() for ax in axs[::3]] == ['small', 'large'] and [ax.get_title() for ax in axs[:3]] == [*'abc']


def test_histograms_have_a_panel_for_each_channel_and_all_of_its_values():
    torch.manual_seed(0)
    narrow, wide = TensorBase(torch.randn(500, 3, 4, 4)), 5 * torch.randn(500, 3, 4, 4)  # fastai's, as a learner gives
    plot_histograms({'narrow': narrow, 'wide': wide})
    panels = [ax for ax in plt.gcf().axes if ax.patches]
    assert len(panels) == 3 and {ax.get_xlim() for ax in panels} == {panels[0].get_xlim()}
    for i, ax in enumerate(panels):
        assert ax.get_title() == f'channel {i}: ±{narrow[:, i].std().item():.2f} → ±{wide[:, i].std():.2f}'
        first, second = ax.containers
        assert max(o.get_height() for o in first) > 3 * max(o.get_height() for o in second)
        assert sum(o.get_height() * o.get_width() for o in first) == pytest.approx(1), 'a density'


def test_an_answer_has_a_bar_for_each_log_probability_and_says_the_probability():
    log_probs = torch.tensor([0.5, 0.25, 0.125, 0.0625, *[0.0625 / 6] * 6]).log()
    plot_answer(torch.rand(28, 28), log_probs)
    ax = plt.gcf().axes[1]
    assert [o.get_width() for o in ax.patches] == pytest.approx(log_probs.tolist())
    assert [o.get_text().strip() for o in ax.texts][:4] == ['50.0%', '25.0%', '12.5%', '6.2%']
    assert [o.get_facecolor() == ax.patches[0].get_facecolor() for o in ax.patches] == [True] + [False] * 9


def test_feature_maps_have_a_row_for_each_stage_with_a_picture_and_leave_the_model_as_it_was():
    model = nn.Sequential(conv_bn_relu(1, 2), nn.MaxPool2d(2), nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1)).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plot_features(model, torch.rand(1, 1, 28, 28))
    assert [len(ax.images) for ax in plt.gcf().axes] == [1, 0, 0] + [1, 1, 0] * 2 + [1, 1, 1]
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_schedule_is_drawn_up_to_the_recipes_highest_rate_and_below_it_the_test_accuracy_of_a_run(study):
    run = study.of('model3')[0]
    for spec, highest in (MODEL1, 0.01), (MODEL3, 0.05):
        plot_schedule(spec.recipe, run=run, low=98)
        rate, accuracy = plt.gcf().axes
        (lr,) = rate.lines
        assert max(lr.get_ydata()) == pytest.approx(highest, rel=1e-3) and max(lr.get_xdata()) == 20
    assert accuracy.get_ylim()[0] == 98
    (line,) = accuracy.lines
    assert line.get_xdata().tolist() == [o['epoch'] for o in run.rows]
    assert line.get_ydata().tolist() == pytest.approx([100 * o['valid_accuracy'] for o in run.rows])


def rows(table):
    "The cells of a table as a notebook shows it."
    shown = DisplayFormatter().format(table)[0]
    assert 'text/html' not in shown, 'a notebook would prefer it'
    return [[o.strip() for o in line.strip('|').split('|')] for line in shown['text/markdown'].splitlines()]


@pytest.fixture
def judged(tmp_path):
    "Two runs of Model 1 with clean gaps of 0.6 and 0.8 points, two of it with a cycle, and a single one of Model 2."
    runs = [record('model1', i, (0.98,), train=0.98, clean=0.98 + g) for i, g in enumerate((0.006, 0.008))]
    cycle = [record('model1-one-cycle', i, (first, 0.99)) for i, first in enumerate((0.99, 0.97))]
    return Study(put(tmp_path, *runs, *cycle, record('model2', 0)))


def test_the_tables_show_themselves_as_markdown(judged):
    header, line, one, two = rows(results_table(judged))
    assert header[:2] == ['model', 'parameters'] and set(line) == {'---'}
    assert one == ['1: Baseline CNN', '7,108', '99.06 %', '**98.00 ± 0.00 %**', *['98.00 ± 0.00 %'] * 2, '2']
    assert two[3:] == ['**99.00 %**', '98.50 %', '99.00 %', '1'], 'a single run has no interval'
    claim = ['Model 1: train above test, both measured alike', '**not resolved**', '+0.70 (-0.57 to +1.97) points', '2']
    assert rows(verdict_table(judged, 'Model 1 overfits'))[-1] == [*claim, 'the same', '–']
    better = rows(verdict_table(judged, 'one-cycle'))[2]
    assert (better[1], better[-1]) == ('**supported**', 'not resolved')
    assert 'mnist_kit_study' in verdict_table(judged, 'balance')._repr_markdown_()


def test_a_lessons_tables_have_four_columns(judged):
    _, _, one, two = rows(results_table(judged, short=True))
    assert one == ['1: Baseline CNN', '99.06 %', '**98.00 ± 0.00 %**', '2'] and two[2:] == ['**99.00 %**', '1']
    short, whole = (rows(verdict_table(judged, 'Model 1 overfits', checks=o)) for o in (False, True))
    assert short == [o[:4] for o in whole]


def test_the_target_table_counts_the_runs_that_meet_it_and_those_that_failed(tmp_path):
    accs = (0.99, 0.994, 0.994), (0.994, 0.995, 0.994), (0.995, 0.995, 0.9939)
    runs = [record('model3', i, o) for i, o in enumerate(accs)]
    (row,) = rows(target_table(Study(put(tmp_path, *runs, record('model3', 3, status='failed'))), 'model3'))[2:]
    assert row[2].startswith('2 of 4: 50% (15% to 85%)') and row[3].startswith('1 of 4: 25% (5% to 70%)')


def test_every_claim_is_a_line_with_its_interval_and_its_verdict_by_colour_and_marker(judged):
    plot_claims(judged)
    points, epochs = plt.gcf().axes
    found = verdicts(judged)
    for ax, unit, band in (points, 'points', 0.1), (epochs, 'epochs', 1):
        own = found[found.unit == unit]
        assert [o.get_text() for o in ax.get_yticklabels()] == [f'{o} (n = 2)' for o in own['tested as']]
        dots = [o for o in ax.lines if o.get_label() in VERDICTS]
        assert [o.get_xdata()[0] for o in dots] == pytest.approx(own.difference.tolist())
        assert [o.get_label() for o in dots] == own.verdict.tolist()
        ends = [sorted(o.get_xdata()) for o in ax.lines if len(o.get_xdata()) == 2 and o.get_linewidth() == 2]
        assert ends == [pytest.approx([o['from'], o['to']]) for _, o in own.iterrows()]
        assert {-band, band} <= set(ax.get_xticks())
    looks = {o.get_label(): (o.get_color(), o.get_marker()) for ax in (points, epochs) for o in ax.lines}
    looks = [v for k, v in looks.items() if k in VERDICTS]
    assert len(looks) == found.verdict.nunique() >= 3
    assert len({o[0] for o in looks}) == len({o[1] for o in looks}) == len(looks)
    refused(lambda: plot_claims(judged, 'balance'), 'no runs for these claims', 'mnist_kit_study')
