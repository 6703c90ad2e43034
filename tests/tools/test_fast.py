"Speed that is switched on changes nothing of what is learned, and nothing is left of it when it is switched off."

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from conftest import quiet
from fastai.callback.core import Callback
from fastai.callback.mixup import MixUp
from fastai.optimizer import Adam, Optimizer
from torch import nn
from torch.overrides import TorchFunctionMode

from mnist_kit.core import InputError, TrainingError
from mnist_kit.data import DigitDataset, dls_of
from mnist_kit.learner import TrainingChecks, learner_for
from mnist_kit.models import MODELS
from mnist_kit.sources import load_digits
from mnist_kit.spec import MODEL1, SPECS
from mnist_kit.tools.fast import CapturedStep, StayOnDevice

gpu = pytest.mark.usefixtures('on_gpu')
with_and_without = pytest.mark.parametrize('fast', [False, True], ids=['as it is', 'to_fast'])


def learner(name='model1', fast=False, device='cpu', recipe=None, **kwargs):
    "Of 150 images of scikit-learn's digits: four whole batches and one of 22."
    (x, y), _ = load_digits()
    few, recipe = DigitDataset(x[:150], y[:150], 'digits'), replace(recipe or SPECS[name].recipe, bs=32)
    learn = quiet(learner_for(name, dls_of(few, few, recipe=recipe, device=device), recipe, seed=0, **kwargs))
    return learn.to_fast() if fast else learn


def trained(name='model1', fast=False, epochs=1, **kwargs):
    learn = learner(name, fast, **kwargs)
    learn.fit_recipe(epochs)
    return learn


def off(a, b):
    "The largest difference between the weights and buffers of two learners."
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


def kinds(learn):
    "What a fit could have changed: the callbacks, the metrics, the losses of the recorder."
    rec = learn.recorder
    return [type(o) for o in [*learn.cbs, *learn.metrics, rec.loss, rec.smooth_loss]]


@pytest.mark.parametrize('name, epochs, cbs', [('model1', 1, MixUp), ('model3', 2, list)])  # Model 2: in the notebook
def test_with_to_fast_weights_are_the_same_to_the_bit_figures_are_fastais_and_nothing_stays(
    name, epochs, cbs, tmp_path
):
    theirs, ours = (trained(name, fast, epochs, cbs=cbs()) for fast in (False, True))
    assert off(theirs, ours) == 0
    assert ours.recorder.metric_names == theirs.recorder.metric_names
    for a, b in zip(ours.recorder.values, theirs.recorder.values, strict=True):
        assert list(a) == pytest.approx(list(b), rel=1e-5)
    assert torch.allclose(torch.stack(ours.recorder.losses), torch.stack(theirs.recorder.losses))
    assert [o for o in kinds(ours) if o is not StayOnDevice] == kinds(theirs)
    ours.export(tmp_path / 'model.pkl')


def test_a_learning_rate_is_found_with_to_fast_as_without():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(1))
    theirs, ours = (learner(deepcopy(model), fast, recipe=MODEL1.recipe) for fast in (False, True))
    assert ours.lr_find(show_plot=False) == theirs.lr_find(show_plot=False)


@pytest.mark.parametrize('off', [False, True], ids=['on', 'to_plain'])
def test_a_fit_that_failed_leaves_nothing_to_the_next_one(off):
    learn = learner()
    plain, fast = kinds(learn), kinds(learn.to_fast())
    assert set(fast) - set(plain) == {StayOnDevice}, 'no CUDA here'
    with pytest.raises(ZeroDivisionError):
        learn.fit_recipe(1, cbs=Callback(after_batch=lambda self: 1 / 0))
    if off:
        assert learn.to_plain() is learn
    learn.fit_recipe(1)
    assert len(learn.recorder.losses) == 5 and kinds(learn) == (plain if off else fast)


def doubled(name):
    "A network in double precision, so that rounding does not grow to what a wrong step would do."
    torch.manual_seed(0)
    model = MODELS[name]().double()
    model.register_forward_pre_hook(lambda _, args: (torch.Tensor(args[0]).double(),))
    return model


@pytest.mark.parametrize('name', MODELS)
def test_a_captured_step_learns_the_same(name):
    recipe = replace(SPECS[name].recipe, wd=0.1)  # enough to see that it is not forgotten
    parts = [StayOnDevice(), CapturedStep(warmup=1)]
    usual, captured = (trained(doubled(name), recipe=recipe, cbs=cbs) for cbs in ([], parts))
    assert off(usual, captured) < 1e-5
    assert torch.allclose(torch.stack(usual.recorder.losses), torch.stack(captured.recorder.losses), rtol=1e-5)
    assert list(captured.recorder.values[-1]) == pytest.approx(list(usual.recorder.values[-1]), rel=1e-3)


def test_a_captured_step_trains_whole_batches_after_the_first_ones(monkeypatch):
    usual, step = [], Optimizer.step
    monkeypatch.setattr(Optimizer, 'step', lambda self, *a, **k: (usual.append(1), step(self, *a, **k))[1])
    learn = trained(epochs=2, cbs=CapturedStep(warmup=3))
    assert len(usual) == 3 + 2 and len(learn.recorder.losses) == 10  # 2: the smaller one of each epoch
    assert learn.captured_step.recorded is None, 'nothing is kept after the fit'


CHANGES = dict(
    MixedPrecision=lambda **how: learner(**how).to_fp16(),
    Optimizer=lambda **how: learner(**how, opt_func=Adam),
    MixUp=lambda **how: learner(**how).add_cb(MixUp()),
)


@pytest.mark.parametrize('name', CHANGES)
def test_a_captured_step_refuses_what_it_cannot_repeat_or_steps_aside(name):
    with pytest.raises(InputError, match=f'^CapturedStep with {name}: expected .*$'):
        CHANGES[name](cbs=CapturedStep()).fit(1)
    learns = []
    for cbs in (None, CapturedStep(must=False)):
        learns.append(CHANGES[name](cbs=cbs))  # one after the other: this is when the generators are seeded
        learns[-1].fit(1)
    assert off(*learns) == 0


def test_a_captured_step_refuses_a_callback_within_a_step():
    learn = learner(cbs=CapturedStep())
    for event in 'after_pred after_loss before_backward after_backward before_step after_step'.split():
        with pytest.raises(InputError, match='^CapturedStep with Callback: expected .*$'):
            learn.fit(1, cbs=Callback(**{event: lambda self: None}))


class Reads(TorchFunctionMode):
    "Notes where the value of a tensor is asked for, which on a GPU would have to be waited for."

    names = ()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        read = {getattr(func, '__name__', '')} & {*'cpu item tolist numpy __float__ __bool__ __int__'.split()}
        self.names += (*read,)
        return func(*args, **kwargs or {})


def around_each_batch(enter, leave):
    cb = Callback(before_batch=lambda self: enter(), after_batch=lambda self: leave())
    cb.order, cb.run_valid = 98, False  # just before the step
    return cb


@pytest.fixture
def not_at_once(monkeypatch):
    "The checks as they are where there is a GPU."
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self: False)


@with_and_without
def test_no_value_is_read_within_a_training_batch_with_to_fast(not_at_once, fast):
    mode = Reads()
    trained('model3', fast, cbs=around_each_batch(mode.__enter__, lambda: mode.__exit__(None, None, None)))
    assert bool(mode.names) != fast, mode.names


@with_and_without
@pytest.mark.parametrize(
    'spoil, said',
    [
        (lambda out, n, training: out * float('nan' if training and n > 1 else 1), 'the loss is nan in epoch 1, training batch 5'),
        (lambda out, n, training: out * float(1 if training else 'nan'), 'the loss is nan in epoch 1, validation'),
        (lambda out, n, training: out + 1, 'the probabilities of the first image add up to 2.72'),
    ],
)  # fmt: skip
def test_where_a_device_is_not_asked_at_once_what_is_wrong_is_found_after_the_epoch(not_at_once, fast, spoil, said):
    learn, calls = learner(fast=fast), []

    def hook(model, args, out):
        calls.append(model.training)
        return spoil(out, len(calls), model.training)

    learn.model.register_forward_hook(hook)
    with pytest.raises(TrainingError, match=f'^{said}.*$'):
        learn.fit_recipe(1)
    assert calls.count(True) == 5


@gpu
@pytest.mark.parametrize('name', MODELS)
def test_a_cuda_graph_learns_the_same_as_eager_steps(name):
    assert off(trained(name, device='cuda'), trained(name, fast=True, device='cuda')) < 1e-3


@gpu
def test_a_training_batch_on_a_gpu_waits_for_nothing():
    learn, sync = trained('model3', fast=True, device='cuda'), torch.cuda.set_sync_debug_mode
    try:
        learn.fit_recipe(1, cbs=around_each_batch(lambda: sync('error'), lambda: sync('default')))
    finally:
        sync('default')
