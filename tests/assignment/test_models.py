"The three architectures of ASSIGNMENT.md, line by line. `Flatten` is the one layer that its drawings leave out."

import copy
import pickle
from itertools import product

import pytest
import torch
from torch import nn

from conftest import quiet
from mnist_kit.learner import learner_for
from mnist_kit.models import Model1, Model2, Model3, summary
from mnist_kit.spec import SPECS

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


@each_model
def test_a_slice_is_a_sequential_of_the_same_layers(cls):
    model, x = cls().eval(), torch.randn(2, 1, 28, 28)
    first, rest = model[:3], model[3:]
    assert type(first) is nn.Sequential and model[0] is first[0]
    assert [*first.named_children(), *rest.named_children()] == [*model.named_children()]
    assert torch.equal(rest(first(x)), model(x))


USES = dict(
    compile=lambda m, x: torch.compile(m, backend='eager'),
    trace=lambda m, x: torch.jit.trace(m, x, check_trace=False),
    script=lambda m, x: torch.jit.script(m),
    export=lambda m, x: torch.export.export(m, (x,)).module(check_guards=False),
    fx=lambda m, x: torch.fx.symbolic_trace(m),
    pickle=lambda m, x: pickle.loads(pickle.dumps(m)),
)


@pytest.fixture(scope='module', params=[Model1, Model2, Model3], ids=lambda o: o.__name__)
def before_and_after(request, few_digits):
    "A model before and after a fit, and a batch."
    learn = quiet(learner_for(request.param, source='digits', seed=0))
    before = copy.deepcopy(learn.model)
    learn.fit_recipe(1)
    return before, learn.model, learn.dls.valid.one_batch()[0][:8].as_subclass(torch.Tensor)


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
