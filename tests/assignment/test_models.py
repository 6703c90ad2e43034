"The three architectures of ASSIGNMENT.md, line by line. `Flatten` is the one layer that its drawings leave out."

import copy
import pickle
from itertools import product

import pytest
import torch
from torch import nn

from conftest import quiet
from mnist_kit.data import DigitDataset, dls_of
from mnist_kit.learner import learner_for
from mnist_kit.models import Model1, Model2, Model3, count_params, summary
from mnist_kit.sources import load_digits
from mnist_kit.spec import SPECS, Recipe

DRAWINGS = {
    Model1: """
        Conv2d(1→4, 3x3) → BN → ReLU → [26x26x4]
        Conv2d(4→4, 3x3) → BN → ReLU → [24x24x4]
        Conv2d(4→8, 3x3) → BN → ReLU → [22x22x8]
        MaxPool2d(2x2) → [11x11x8]
        Conv2d(8→4, 1x1) → BN → ReLU → [11x11x4]
        Conv2d(4→8, 3x3) → BN → ReLU → [9x9x8]
        Conv2d(8→16, 3x3) → BN → ReLU → [7x7x16]
        Conv2d(16→10, 1x1) → BN → ReLU → [7x7x10]
        Conv2d(10→10, 7x7) → [1x1x10]""",
    Model2: """
        Conv2d(1→8, 3x3) → BN → ReLU → [26x26x8]
        Conv2d(8→8, 3x3) → BN → ReLU → [24x24x8]
        Conv2d(8→16, 3x3) → BN → ReLU → [22x22x16]
        Dropout(0.25) → MaxPool2d(2x2) → [11x11x16]
        Conv2d(16→8, 1x1) → BN → ReLU → [11x11x8]
        Conv2d(8→8, 3x3) → BN → ReLU → [9x9x8]
        Conv2d(8→16, 3x3) → BN → ReLU → [7x7x16]
        Dropout(0.25) → Conv2d(16→16, 3x3) → BN → ReLU → [5x5x16]
        Conv2d(16→10, 1x1) → [5x5x10]
        AvgPool2d(5x5) → [1x1x10]""",
    Model3: """
        Conv2d(1→8, 3x3) → ReLU → BN → Dropout(0.05) → [26x26x8]
        Conv2d(8→16, 3x3) → ReLU → BN → [24x24x16]
        Conv2d(16→8, 1x1) → [24x24x8]
        MaxPool2d(2x2) → [12x12x8]
        Conv2d(8→16, 3x3) → ReLU → BN → [10x10x16]
        Conv2d(16→16, 3x3) → ReLU → BN → [8x8x16]
        Conv2d(16→16, 3x3, pad=1) → ReLU → BN → [8x8x16]
        AdaptiveAvgPool2d(1) → [1x1x16]
        Conv2d(16→10, 1x1) → [1x1x10]""",
}

each_model = pytest.mark.parametrize('cls', [Model1, Model2, Model3])


@each_model
def test_each_stage_has_the_layers_in_the_order_and_the_output_shape_of_the_drawing(cls):
    "So no stage is fully connected, and dropout is where it is drawn and nowhere else. The specification says the same."
    drawn = [line.strip(' ]').split(' → [') for line in DRAWINGS[cls].split('\n')[1:]]
    drawn = [(layers, tuple(map(int, shape.split('x')[::-1]))) for layers, shape in drawn]
    drawn.append(('Flatten → LogSoftmax', (10,)))
    table, spec, x = summary(cls()), SPECS[cls.__name__.lower()], torch.zeros(1, 1, 28, 28)
    shapes = [tuple((x := m(x)).shape[1:]) for m in cls().eval()]
    assert list(zip(table.layers, shapes)) == drawn == [(o.layers, o.shape) for o in spec.stages]
    assert list(table.index[:-1]) == [o.name for o in spec.stages]


def test_the_parameters_are_7108_6280_and_7416():
    "None is left for a bias but those of batch normalisation."
    convs = 9 * 1 * 4 + 9 * 4 * 4 + 9 * 4 * 8 + 8 * 4 + 9 * 4 * 8 + 9 * 8 * 16 + 16 * 10 + 49 * 10 * 10
    assert convs + 2 * (4 + 4 + 8 + 4 + 8 + 16 + 10) == count_params(Model1()) == 7108
    convs = 9 * 1 * 8 + 9 * 8 * 8 + 9 * 8 * 16 + 16 * 8 + 9 * 8 * 8 + 9 * 8 * 16 + 9 * 16 * 16 + 16 * 10
    assert convs + 2 * (8 + 8 + 16 + 8 + 8 + 16 + 16) == count_params(Model2()) == 6280
    convs = 9 * 1 * 8 + 9 * 8 * 16 + 16 * 8 + 9 * 8 * 16 + 9 * 16 * 16 + 9 * 16 * 16 + 16 * 10
    assert convs + 2 * (8 + 16 + 16 + 16 + 16) == count_params(Model3()) == 7416


@each_model
@pytest.mark.parametrize('training', [True, False])
def test_the_output_is_log_probabilities(cls, training):
    log_probs = cls().train(training)(torch.randn(16, 1, 28, 28))
    assert log_probs.shape == (16, 10) and (log_probs <= 0).all()
    assert torch.allclose(log_probs.exp().sum(1), torch.ones(16), atol=1e-5)


@each_model
def test_the_receptive_field_is_the_square_of_pixels_that_a_value_in_the_middle_depends_on(cls):
    "NaN spreads to all that depends on it: in each of 28 images another row is NaN."
    x = torch.rand(28, 1, 28, 28)
    x[range(28), :, range(28)] = float('nan')
    for m, field in zip(list(cls().eval())[:-1], summary(cls()).receptive_field):
        x = m(x)
        assert x[..., x.shape[2] // 2, x.shape[3] // 2].isnan().all(1).sum() == min(field, 28)


# ---------------------------------------------------------------- what PyTorch's users do with a model


@each_model
def test_a_slice_is_a_sequential_of_the_same_layers(cls):
    model, x = cls().eval(), torch.randn(2, 1, 28, 28)
    first, rest = model[:3], model[3:]
    assert type(first) is type(model[:-2]) is nn.Sequential and len(first) == 3 and len(model[:-2]) == len(model) - 2
    assert all(a is b for a, b in zip([*first, *rest], model)) and model[0] is next(model.children())
    assert torch.equal(rest(first(x)), model(x)) and list(dict(first.named_children())) == list(model._modules)[:3]


USES = dict(
    compile=lambda m, x: torch.compile(m, backend='eager'),
    trace=lambda m, x: torch.jit.trace(m, x, check_trace=False),
    script=lambda m, x: torch.jit.script(m),
    export=lambda m, x: torch.export.export(m, (x,)).module(check_guards=False),
    fx=lambda m, x: torch.fx.symbolic_trace(m),
    pickle=lambda m, x: pickle.loads(pickle.dumps(m)),
)


@pytest.fixture(scope='module', params=[Model1, Model2, Model3], ids=lambda o: o.__name__)
def before_and_after(request):
    "A model before and after a fit, and a batch."
    (x, y), _ = load_digits()
    dls = dls_of(DigitDataset(x[:16], y[:16]), DigitDataset(x[16:24], y[16:24]), recipe=Recipe(1, 0.01, bs=8), seed=0)
    learn = quiet(learner_for(request.param, dls, seed=0))
    before = copy.deepcopy(learn.model)
    learn.fit_recipe(1)
    return before, learn.model, dls.valid.one_batch()[0].as_subclass(torch.Tensor)


@pytest.mark.filterwarnings('ignore:.*torch.jit.*', 'ignore:.*Converting a tensor.*', 'ignore:.*trainable.*')
@pytest.mark.parametrize('use', USES)
def test_a_model_is_used_as_any_module_before_and_after_a_fit(before_and_after, use):
    *models, batch = before_and_after
    for model, training in product(models, (False, True)):
        used = USES[use](copy.deepcopy(model).train(training), batch)
        outs = []
        for o in (used, copy.deepcopy(model).train(training)):
            torch.manual_seed(0)  # dropout
            outs.append(o(batch))
        assert torch.allclose(*outs, atol=1e-5), training
