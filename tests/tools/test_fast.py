"Speed that is switched on changes nothing of what is learned, and nothing is left of it when it is switched off."

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from conftest import quiet
from fastai.callback.core import Callback
from fastai.callback.mixup import MixUp
from fastai.optimizer import Adam
from torch import nn
from torch.overrides import TorchFunctionMode

from mnist_kit.core import InputError, TrainingError
from mnist_kit.learner import TrainingChecks, learner_for
from mnist_kit.models import MODELS
from mnist_kit.spec import SPECS
from mnist_kit.tools.fast import CapturedStep, StayOnDevice, WholeStep

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


def fail(learn):
    with pytest.raises(ZeroDivisionError):
        learn.fit_recipe(1, cbs=Callback(after_batch=lambda self: 1 / 0))


# ---------------------------------------------------------------- the same weights, the same figures


@pytest.mark.parametrize('name, cbs', [*((o, None) for o in MODELS), ('model1', MixUp)])
def test_with_to_fast_the_weights_are_the_same_to_the_bit(name, cbs):
    assert off(*(trained(name, fast, cbs=cbs and cbs()) for fast in (False, True))) == 0


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


def test_a_learning_rate_is_found_with_to_fast_as_without():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(1))
    found = [learner(deepcopy(model), fast).lr_find(show_plot=False).valley for fast in (False, True)]
    assert found[0] == found[1]


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


@pytest.mark.parametrize('fails', [False, True])
def test_to_plain_takes_off_what_to_fast_has_added(fails):
    learn, heard = learner(), []
    before, own = kinds(learn), set(vars(learn))
    assert learn.to_fast() is learn and kinds(learn) != before
    if fails:
        fail(learn)
    assert learn.to_plain() is learn and kinds(learn) == before
    learn.fit_recipe(1, cbs=listener('after_pred', heard))
    assert heard.count(True) == 12
    assert not [k for k in set(vars(learn)) - own if 'step' in k or 'device' in k]


@pytest.mark.parametrize('removed', [[], [WholeStep]])
def test_a_fit_that_failed_leaves_nothing_to_the_next_one(removed):
    learn, heard = learner(fast=True), []
    before = [o for o in kinds(learn) if o not in removed]
    fail(learn)
    learn.remove_cbs(removed)
    learn.fit_recipe(1, cbs=listener('after_pred', heard))
    assert heard.count(True) == 12 and kinds(learn) == before


def test_to_fast_twice_is_to_fast_once_and_needs_cuda_for_a_captured_step():
    learn = learner(fast=True).to_fast()
    added = [o.name for o in learn.cbs if isinstance(o, (StayOnDevice, WholeStep, CapturedStep))]
    assert sorted(added) == ['stay_on_device', 'whole_step']


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
    usual = trained(Doubled(name), recipe=recipe)
    captured = trained(Doubled(name), recipe=recipe, cbs=[StayOnDevice(), WholeStep(), CapturedStep()])
    assert off(usual, captured) < 1e-5
    assert torch.allclose(torch.stack(usual.recorder.losses), torch.stack(captured.recorder.losses), rtol=1e-5)
    assert list(captured.recorder.values[-1]) == pytest.approx(list(usual.recorder.values[-1]), rel=1e-3)


def test_a_captured_step_trains_whole_batches_after_the_first_ones(monkeypatch):
    usual, step = [], torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, 'step', lambda self, *a, **k: (usual.append(1), step(self, *a, **k))[1])
    learn = trained(epochs=2, cbs=[WholeStep(), CapturedStep(warmup=3)])
    assert len(usual) == 3 + 2  # of 1,500 images: 11 whole batches and one of 92 in each epoch
    assert len(learn.recorder.losses) == 24
    assert learn.captured_step.recorded is None, 'nothing is kept after the fit'


def fitted(make, **kwargs):
    learn = make(**kwargs)  # not earlier: this is when the generators are seeded
    learn.fit(1)
    return learn


@pytest.mark.parametrize(
    'change, part',
    [
        (lambda **how: learner(**how).to_fp16(), 'CapturedStep with MixedPrecision'),
        (lambda **how: learner(**how, opt_func=Adam), 'CapturedStep with Optimizer'),
        (lambda **how: learner(**how).add_cb(MixUp()), 'CapturedStep with MixUp'),
    ],
    ids=['MixedPrecision', 'Adam', 'MixUp'],
)
def test_a_captured_step_refuses_what_it_cannot_repeat_or_steps_aside(change, part):
    with pytest.raises(InputError) as e:
        change(cbs=CapturedStep()).fit(1)
    assert part in str(e.value) and 'expected' in str(e.value) and '\n' not in str(e.value)
    plain, aside = (fitted(change, cbs=cbs) for cbs in (None, CapturedStep(must=False)))
    assert off(plain, aside) == 0


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

    order, run_valid = 98, False

    def __init__(self, enter, leave):
        self.before_batch, self.after_batch = enter, leave


def watch(mode):
    return Watch(mode.__enter__, lambda: mode.__exit__(None, None, None))


@pytest.fixture
def not_at_once(monkeypatch):
    "The checks as they are where there is a GPU."
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: False)


def test_no_value_is_read_within_a_training_batch(not_at_once):
    mode = NothingIsRead()
    with pytest.raises(AssertionError, match='a value is read'):  # without to_fast: the test can fail
        learner('model3').fit_recipe(1, cbs=watch(mode))
    mode.__exit__(None, None, None)
    learn = learner('model3', fast=True)
    learn.fit_recipe(1, cbs=watch(NothingIsRead()))
    assert len(learn.recorder.losses) == 12


@pytest.mark.parametrize('fast', [False, True], ids=['as it is', 'to_fast'])
@pytest.mark.parametrize('phase, nth', [('training', 2), ('validation', 1)])
def test_a_loss_that_is_not_finite_is_found_after_the_epoch_where_a_device_is_not_asked_at_once(
    not_at_once, phase, nth, fast
):
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
    learn = learner('model3', fast=True, device='cuda')
    learn.fit_recipe(1)
    on, off = (lambda mode=mode: torch.cuda.set_sync_debug_mode(mode) for mode in ('error', 'default'))
    try:
        learn.fit_recipe(1, cbs=Watch(on, off))
    finally:
        off()
