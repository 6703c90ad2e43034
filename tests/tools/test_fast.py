"Speed that is switched on changes nothing of what is learned, and nothing is left of it when it is switched off."

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from conftest import quiet
from fastai.callback.core import Callback
from fastai.callback.mixup import MixUp
from fastai.learner import AvgMetric
from fastai.optimizer import Adam
from torch import nn
from torch.overrides import TorchFunctionMode

from mnist_kit.core import InputError, TrainingError
from mnist_kit.learner import TrainingChecks, learner_for
from mnist_kit.models import MODELS
from mnist_kit.spec import SPECS
from mnist_kit.tools.fast import CapturedStep, StaticStep, StayOnDevice, WholeStep

each_name = pytest.mark.parametrize('name', list(MODELS))
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
EVENTS = ['after_pred', 'after_loss', 'before_backward', 'after_backward', 'before_step', 'after_step']


def learner(name='model1', fast=False, **kwargs):
    learn = quiet(learner_for(name, **dict(source='digits', seed=0) | kwargs))
    return learn.to_fast() if fast else learn


def trained(name='model1', fast=False, epochs=1, **kwargs):
    learn = learner(name, fast, **kwargs)
    learn.fit_recipe(epochs)
    return learn


def off(a, b):
    "The largest difference between the weights and buffers of two learners."
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


def listener(event, heard):
    return type('Listener', (Callback,), {event: lambda self: heard.append(self.training)})()


class Failing(Callback):
    def after_batch(self):
        raise ZeroDivisionError('as it should')


# ---------------------------------------------------------------- the same weights, the same figures


@each_name
def test_with_to_fast_the_weights_are_the_same_to_the_bit(name):
    assert off(trained(name), trained(name, fast=True)) == 0


def test_figures_that_stay_on_the_device_are_fastais():
    theirs, ours = (trained('model3', fast, epochs=2) for fast in (False, True))
    for a, b in zip(ours.recorder.values, theirs.recorder.values, strict=True):
        assert list(a) == pytest.approx(list(b), rel=1e-5)
    assert ours.recorder.metric_names == theirs.recorder.metric_names
    assert torch.allclose(torch.stack(ours.recorder.losses), torch.stack(theirs.recorder.losses))


@pytest.mark.parametrize('event', EVENTS)
def test_a_callback_within_a_step_is_heard(event):
    heard = []
    learn = trained(fast=True, cbs=listener(event, heard))
    assert heard.count(True) == len(learn.dls.train) == 12


# ---------------------------------------------------------------- switched off, nothing is left


def kinds(learn):
    "What a fit could have changed: the callbacks, the metrics, the losses of the recorder."
    rec = learn.recorder
    return [type(o) for o in [*learn.cbs, *learn.metrics, rec.loss, rec.smooth_loss]]


def test_after_a_fit_the_learner_has_its_own_metrics_and_losses_and_can_be_exported(tmp_path):
    learn = learner(fast=True)
    before, metric, loss = kinds(learn), learn.metrics[0], learn.recorder.loss
    learn.fit_recipe(1)
    assert kinds(learn) == before and learn.metrics[0] is metric and learn.recorder.loss is loss
    learn.export(tmp_path / 'model.pkl')


def test_a_fit_that_failed_leaves_nothing_to_the_next_one():
    learn = learner(fast=True)
    before, heard = kinds(learn), []
    with pytest.raises(ZeroDivisionError):
        learn.fit_recipe(1, cbs=Failing())
    learn.fit_recipe(1, cbs=listener('after_pred', heard))
    assert heard.count(True) == 12 and kinds(learn) == before


@pytest.mark.parametrize('failed', [False, True])
def test_to_plain_takes_off_what_to_fast_has_added(failed):
    learn, heard = learner(), []
    before = kinds(learn)
    assert learn.to_fast() is learn and kinds(learn) != before
    if failed:
        with pytest.raises(ZeroDivisionError):
            learn.fit_recipe(1, cbs=Failing())
    assert learn.to_plain() is learn and kinds(learn) == before and type(learn.metrics[0]) is AvgMetric
    learn.fit_recipe(1, cbs=listener('after_pred', heard))
    assert heard.count(True) == 12


def test_to_fast_twice_is_to_fast_once_and_needs_cuda_for_a_captured_step():
    learn = learner(fast=True).to_fast()
    added = [type(o) for o in learn.cbs if isinstance(o, (StayOnDevice, WholeStep, CapturedStep))]
    assert sorted(o.__name__ for o in added) == ['StayOnDevice', 'WholeStep']


def test_a_whole_step_that_is_removed_after_a_failed_fit_is_gone():
    learn, heard = learner(cbs=WholeStep()), []
    with pytest.raises(ZeroDivisionError):
        learn.fit_recipe(1, cbs=Failing())
    learn.remove_cb(WholeStep)
    learn.fit_recipe(1, cbs=listener('after_pred', heard))
    assert heard.count(True) == 12


def test_a_learning_rate_is_found_with_to_fast_as_without():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(1))
    found = [learner(deepcopy(model), fast).lr_find(show_plot=False).valley for fast in (False, True)]
    assert found[0] == found[1]


# ---------------------------------------------------------------- a captured step


class Doubled(nn.Module):
    "A network in double precision, so that rounding does not grow to what a wrong step would do."

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        self.model = MODELS[name]().double()

    def forward(self, x):
        return self.model(torch.Tensor(x).double())


@each_name
def test_a_captured_step_learns_the_same(name):
    recipe = replace(SPECS[name].recipe, wd=0.1)  # enough to see that it is not forgotten
    usual, captured = (trained(Doubled(name), recipe=recipe, cbs=cbs) for cbs in (None, CapturedStep()))
    assert off(usual, captured) < 1e-5
    assert torch.allclose(torch.stack(usual.recorder.losses), torch.stack(captured.recorder.losses), rtol=1e-5)
    assert list(captured.recorder.values[-1]) == pytest.approx(list(usual.recorder.values[-1]), rel=1e-3)


def test_a_captured_step_trains_whole_batches_after_the_first_ones(monkeypatch):
    sizes, run = [], StaticStep.run
    monkeypatch.setattr(StaticStep, 'run', lambda self: (sizes.append(len(self.x)), run(self)))
    learn = trained(epochs=2, cbs=CapturedStep(warmup=3))
    assert sizes == [128] * (2 * 11 - 3)  # of 1,500 images: 11 whole batches and one of 92 in each epoch
    assert learn.captured_step.recorded is None, 'nothing is kept after the fit'


@pytest.mark.parametrize(
    'change, part',
    [
        (lambda cb: learner(cbs=cb).to_fp16(), 'CapturedStep with MixedPrecision'),
        (lambda cb: learner(cbs=cb, opt_func=Adam), 'CapturedStep with Optimizer'),
        (lambda cb: learner(cbs=[cb, MixUp()]), 'CapturedStep with MixUp'),
    ],
    ids=['MixedPrecision', 'Adam', 'MixUp'],
)
def test_a_captured_step_refuses_what_it_cannot_repeat_or_steps_aside(change, part, monkeypatch):
    with pytest.raises(InputError) as e:
        change(CapturedStep()).fit(1)
    assert part in str(e.value) and 'expected' in str(e.value) and '\n' not in str(e.value)
    monkeypatch.setattr(StaticStep, '__init__', lambda *args: pytest.fail('a step is recorded'))
    learn = change(CapturedStep(must=False))
    learn.fit(1)
    assert len(learn.recorder.losses) == 12


def test_a_captured_step_needs_a_batch_to_begin_with():
    with pytest.raises(InputError, match='warmup=0: expected at least 1'):
        CapturedStep(warmup=0)


# ---------------------------------------------------------------- a device is not asked in each batch


class NothingIsRead(TorchFunctionMode):
    "Fails where the value of a tensor is asked for, which on a GPU would have to be waited for."

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, '__name__', '')
        assert name not in ('cpu', 'item', 'tolist', 'numpy', '__float__', '__bool__', '__int__'), 'a value is read'
        return func(*args, **kwargs or {})


class Watch(Callback):
    "A mode around the training batches of an epoch."

    order = 99

    def __init__(self, mode):
        self.mode = mode

    def before_batch(self):
        if self.training:
            self.mode.__enter__()

    def after_batch(self):
        if self.training:
            self.mode.__exit__(None, None, None)


def test_no_value_is_read_within_a_training_batch(monkeypatch):
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: False)  # as where there is a GPU
    mode = NothingIsRead()
    with pytest.raises(AssertionError, match='a value is read'):  # without to_fast: the test can fail
        learner('model3').fit_recipe(1, cbs=Watch(mode))
    mode.__exit__(None, None, None)
    learn = learner('model3', fast=True)
    learn.fit_recipe(1, cbs=Watch(NothingIsRead()))
    assert len(learn.recorder.losses) == 12


@pytest.mark.parametrize('fast', [False, True], ids=['as it is', 'to_fast'])
@pytest.mark.parametrize('phase, nth', [('training', 2), ('validation', 1)])
def test_a_loss_that_is_not_finite_is_found_at_the_end_of_the_epoch_where_a_device_is_not_asked_at_once(
    monkeypatch, phase, nth, fast
):
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: False)
    learn, calls = learner(fast=fast), []

    class Spoil(nn.Module):
        def forward(self, x):
            calls.append(self.training)
            bad = self.training == (phase == 'training') and calls.count(self.training) >= nth
            return x * float('nan') if bad else x

    learn.model.add_module('spoil', Spoil())
    with pytest.raises(TrainingError) as e:
        learn.fit_recipe(1)
    assert '\n' not in str(e.value)
    assert all(o in str(e.value) for o in (f'epoch 1, {phase}', 'the loss is nan', 'lower learning rate'))
    if phase == 'training':
        assert 'training batch 2' in str(e.value) and calls.count(True) == 12, 'the epoch went on to its end'


@pytest.mark.parametrize('at_once, batches', [(True, 1), (False, 12)])
def test_outputs_that_are_no_log_probabilities_are_found_in_the_first_batch_on_a_cpu_and_else_after_the_epoch(
    monkeypatch, at_once, batches
):
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: at_once)
    seen, model = [], nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    model.register_forward_hook(lambda module, *_: seen.append(module.training))
    with pytest.raises(TrainingError, match='add up to.*LogSoftmax'):
        learner(model).fit_recipe(1)
    assert seen.count(True) == batches


@gpu
@each_name
def test_a_cuda_graph_learns_the_same_as_eager_steps(name):
    usual, captured = trained(name, device='cuda'), trained(name, fast=True, device='cuda')
    assert off(usual, captured) < 1e-3


@gpu
def test_a_training_batch_on_a_gpu_waits_for_nothing():
    class NoWaiting:
        def __enter__(self):
            torch.cuda.set_sync_debug_mode('error')

        def __exit__(self, *_):
            torch.cuda.set_sync_debug_mode('default')

    learn = learner('model3', fast=True, device='cuda')
    learn.fit_recipe(1)
    try:
        learn.fit_recipe(1, cbs=Watch(NoWaiting()))
    finally:
        torch.cuda.set_sync_debug_mode('default')
