"The three architectures of ASSIGNMENT.md, line by line. `Flatten` is the one layer that its drawings leave out."

import copy
import io
import pickle
from itertools import product

import pytest
import torch
from torch import nn

from conftest import quiet
from mnist_kit.data import DigitDataset, dls_of
from mnist_kit.learner import learner_for
from mnist_kit.models import Model1, Model2, Model3, summary
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


def outputs(model, x):
    "(name, module, what comes out) of each stage, passed one after the other."
    for name, m in model.named_children():
        x = m(x)
        yield name, m, x


def drawn(cls):
    "(layers, (channels, height, width)) of each line of the drawing."
    for line in DRAWINGS[cls].split('\n')[1:]:
        layers, shape = line.strip().removesuffix(']').split(' → [')
        h, w, c = map(int, shape.split('x'))
        yield layers, (c, h, w)


@each_model
def test_each_stage_has_the_layers_in_the_order_and_the_output_shape_of_the_drawing(cls):
    "So no stage is fully connected, and dropout is where it is drawn and nowhere else."
    *layers, last, _ = summary(cls()).layers
    shapes = [tuple(x.shape[1:]) for _, _, x in outputs(cls().eval(), torch.zeros(1, 1, 28, 28))]
    assert list(zip(layers, shapes)) == list(drawn(cls)) and len(shapes) == len(layers) + 1
    assert last == 'Flatten → LogSoftmax' and shapes[-1] == (10,)


@each_model
def test_the_specification_holds_the_same_stages(cls):
    spec = SPECS[cls.__name__.lower()]
    *stages, last = spec.stages
    assert [(s.layers, s.shape) for s in stages] == list(drawn(cls))
    assert [s.name for s in spec.stages] == [n for n, _ in cls().named_children()]
    assert last.shape == (10,)


def n_params(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_model1_has_7108_parameters():
    "None is left for a bias but those of batch normalisation, here and below."
    convs = 9 * 1 * 4 + 9 * 4 * 4 + 9 * 4 * 8 + 8 * 4 + 9 * 4 * 8 + 9 * 8 * 16 + 16 * 10 + 49 * 10 * 10
    norms = 2 * (4 + 4 + 8 + 4 + 8 + 16 + 10)
    assert convs + norms == n_params(Model1()) == 7108


def test_model2_has_6280_parameters():
    convs = 9 * 1 * 8 + 9 * 8 * 8 + 9 * 8 * 16 + 16 * 8 + 9 * 8 * 8 + 9 * 8 * 16 + 9 * 16 * 16 + 16 * 10
    norms = 2 * (8 + 8 + 16 + 8 + 8 + 16 + 16)
    assert convs + norms == n_params(Model2()) == 6280


def test_model3_has_7416_parameters():
    convs = 9 * 1 * 8 + 9 * 8 * 16 + 16 * 8 + 9 * 8 * 16 + 9 * 16 * 16 + 9 * 16 * 16 + 16 * 10
    norms = 2 * (8 + 16 + 16 + 16 + 16)
    assert convs + norms == n_params(Model3()) == 7416


@each_model
@pytest.mark.parametrize('training', [True, False])
def test_the_output_is_log_probabilities(cls, training):
    log_probs = cls().train(training)(torch.randn(16, 1, 28, 28))
    assert log_probs.shape == (16, 10) and (log_probs <= 0).all()
    assert torch.allclose(log_probs.exp().sum(1), torch.ones(16), atol=1e-5)


def measured_field(cls, stage):
    "The side of the square of pixels that the middle value of `stage` depends on, by gradients."
    torch.manual_seed(0)
    model, seen = cls().eval(), torch.zeros(28, 28, dtype=torch.bool)
    for p in model.parameters():
        nn.init.uniform_(p, 0.1, 1)  # positive weights on positive pixels: ReLU cuts nothing off
    for _ in range(30):  # max pooling passes a gradient to one of its pixels only, on each image another
        x = torch.rand(1, 1, 28, 28, requires_grad=True)
        h = next(h for name, _, h in outputs(model, x) if name == stage)
        h[..., h.shape[2] // 2, h.shape[3] // 2].sum().backward()
        seen |= x.grad[0, 0] != 0
    rows, cols = seen.any(1).nonzero(), seen.any(0).nonzero()
    height, width = (int(o.max() - o.min()) + 1 for o in (rows, cols))
    assert height == width
    return height


@each_model
def test_the_receptive_field_computed_agrees_with_the_one_measured_by_gradients(cls):
    fields = summary(cls()).receptive_field
    for stage in [n for n, _ in cls().named_children() if n != 'log_softmax']:
        assert measured_field(cls, stage) == min(fields[stage], 28), stage


def test_receptive_fields_by_hand():
    assert list(summary(Model1()).receptive_field[:-2]) == [3, 5, 7, 8, 8, 12, 16, 16, 28]
    assert summary(Model2()).receptive_field['gap'] == 20 + 4 * 2
    assert summary(Model3()).receptive_field['gap'] == 18 + 7 * 2


def test_multiply_accumulates_of_model1_by_hand():
    macs = 36 * 26**2 + 144 * 24**2 + 288 * 22**2 + 32 * 11**2 + 288 * 9**2 + 1152 * 7**2 + 160 * 7**2 + 4900
    assert summary(Model1()).macs['total'] == macs


def test_the_summary_leaves_the_model_and_the_random_numbers_as_they_were():
    model = Model3().train()
    before, rng = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    summary(model)
    assert all(m.training for m in model.modules()) and torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_summary_works_for_a_readers_own_model():
    table = summary(
        nn.Sequential(
            nn.Conv2d(1, 2, 5, stride=2), nn.Conv2d(2, 2, 3, dilation=2), nn.Flatten(), nn.Linear(2 * 8 * 8, 10)
        )
    )
    assert list(table.receptive_field[:2]) == [5, 5 + 2 * 2 * 2]
    assert table.parameters['total'] == 25 * 2 + 2 + 9 * 2 * 2 + 2 + 128 * 10 + 10


# ---------------------------------------------------------------- what PyTorch's users do with a model


@each_model
def test_a_slice_is_a_sequential_of_the_same_layers(cls):
    model, x = cls().eval(), torch.randn(2, 1, 28, 28)
    first, rest = model[:3], model[3:]
    assert type(first) is type(model[:-2]) is nn.Sequential and len(first) == 3 and len(model[:-2]) == len(model) - 2
    assert all(a is b for a, b in zip([*first, *rest], model)) and model[0] is next(model.children())
    assert torch.equal(rest(first(x)), model(x)) and list(dict(first.named_children())) == list(model._modules)[:3]


def exported(model, x):
    return torch.export.export(model, (x,)).module(check_guards=False)


def pickled(model, x):
    return pickle.loads(pickle.dumps(model))


def saved(model, x):
    torch.save(model, f := io.BytesIO())
    f.seek(0)
    return torch.load(f, weights_only=False)


def loaded(model, x):
    torch.save(model.state_dict(), f := io.BytesIO())
    f.seek(0)
    other = type(model)().train(model.training)
    other.load_state_dict(torch.load(f))
    return other


USES = dict(
    compile=lambda m, x: torch.compile(m, backend='eager'),
    trace=lambda m, x: torch.jit.trace(m, x, check_trace=False),
    script=lambda m, x: torch.jit.script(m),
    export=exported,
    fx=lambda m, x: torch.fx.symbolic_trace(m),
    deepcopy=lambda m, x: copy.deepcopy(m),
    pickle=pickled,
    save=saved,
    state_dict=loaded,
    walk=lambda m, x: m.apply(lambda o: o) if len(list(m.modules())) > 20 else None,
    double=lambda m, x: copy.deepcopy(m).double().float(),
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
