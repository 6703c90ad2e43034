"The pictures: what is drawn, and for whom there is a place."

import matplotlib.pyplot as plt
import pytest
import torch
from made_runs import put, record, refused

from mnist_kit.evidence import Study, reported_curves
from mnist_kit.models import MODELS
from mnist_kit.spec import SPECS
from mnist_kit.tools.plots import plot_features, plot_schedule, plot_seeds, plot_story, plot_variants


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
    refused(lambda: plot_variants(study, ['model2']), 'no runs of model2', 'expected')


@pytest.mark.parametrize('name', ['mine', 'model1-gap', 'model3'])
def test_seeds_are_drawn_beside_the_reported_run_of_their_model(study, name):
    plot_seeds(study, name)
    loss, accuracy = plt.gcf().axes
    reported = reported_curves().query('model==@base', local_dict={'base': 'model3' if name == 'model3' else 'model1'})
    dashed = [o.get_ydata().tolist() for o in accuracy.lines if o.get_linestyle() == '--']
    assert dashed == [pytest.approx(100 * reported[o]) for o in ('train_accuracy', 'test_accuracy')]
    assert len(loss.lines) == 2 * 2 + 1 and len(accuracy.lines) == 2 * 2 + 2


@pytest.mark.parametrize('name', SPECS)
def test_feature_maps_have_a_row_for_each_stage_with_a_picture_and_leave_the_model_as_it_was(name):
    model = MODELS[name]().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plot_features(model, torch.rand(1, 1, 28, 28))
    shown = [len(ax.images) for ax in plt.gcf().axes]
    assert sum(shown) == 1 + sum(s.shape[0] for s in SPECS[name].stages if len(s.shape) == 3 and s.shape[1] > 1)
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize('name, highest', [('model1', 0.01), ('model3', 0.05)])
def test_the_schedule_is_drawn_up_to_the_recipes_highest_rate(name, highest):
    plot_schedule(SPECS[name].recipe)
    (lr,) = plt.gcf().axes[0].lines
    assert max(lr.get_ydata()) == pytest.approx(highest, rel=1e-3) and max(lr.get_xdata()) == 20
