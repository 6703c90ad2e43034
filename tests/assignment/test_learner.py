"A plain fastai Learner that does what the assignment's PyTorch loop does."

import json
import math
from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.vision.all import Callback, CrossEntropyLossFlat, DataLoaders
from torch import nn

from conftest import quiet, refused
from mnist_kit.core import TrainingError
from mnist_kit.learner import learner_for
from mnist_kit.models import MODELS
from mnist_kit.runs import EpochRows
from mnist_kit.spec import SPECS, Recipe
from mnist_kit.tools.fast import fast_on_gpu

pytestmark = pytest.mark.usefixtures('few_digits')


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 10, 28), nn.Flatten(), nn.LogSoftmax(1))


def made(model, **kwargs):
    return quiet(learner_for(model, **dict(source='digits', seed=0) | kwargs))


@pytest.mark.parametrize('name', MODELS)
def test_one_epoch_of_the_learner_equals_a_plain_pytorch_loop(name):
    learn, rows, right = made(name), [], 0
    learn.dls.train = learn.dls.train.new(shuffle=False)  # in the same order every time
    model = deepcopy(learn.model).train()
    if name == 'model3':  # PyTorch's batch normalisation rounds differently there
        model = model.to(memory_format=torch.channels_last)
    torch.manual_seed(1)  # dropout and augmentation
    learn.fit_recipe(epochs=1, cbs=EpochRows(rows.append))

    lrs, moms = (learn.recorder.hps[k] for k in ('lr', 'mom')) if name == 'model3' else ([0.01] * 2, [0.9] * 2)
    opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4 if name == 'model3' else 0)
    torch.manual_seed(1)
    for (x, y), lr, mom in zip(learn.dls.train, lrs, moms, strict=True):
        opt.param_groups[0].update(lr=lr, momentum=mom)
        out = model(torch.Tensor(x))
        opt.zero_grad()
        F.nll_loss(out, torch.Tensor(y).long()).backward()
        opt.step()
        right += (out.argmax(1) == y).sum().item()

    for (k, a), b in zip(learn.model.state_dict().items(), model.state_dict().values()):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6), k
    assert rows[0]['train_accuracy'] == pytest.approx(right / 250)


@pytest.mark.parametrize('device', [None, 'cpu'])
def test_fastais_own_dataloaders_will_do_without_a_device_or_with_its_name(device):
    items = [(torch.rand(1, 28, 28), torch.tensor(i % 10)) for i in range(8)]
    learn = made('model3', dls=DataLoaders.from_dsets(items, items, bs=4, device=device))
    fast_on_gpu(learn).to_fast().fit_recipe(epochs=1)
    assert math.isfinite(learn.validate()[0])


def test_model3_follows_onecyclelr_to_within_one_step():
    learn = made(Net)  # a small model, for speed; a model of one's own is trained as Model 3
    learn.fit_recipe()
    n, theirs = 20 * 2, dict(lr=[], momentum=[])
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01, momentum=0.9)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=n)
    for _ in range(n):
        for k, values in theirs.items():
            values.append(opt.param_groups[0][k])
        opt.step()
        sched.step()
    for ours, values in zip((learn.recorder.hps[o] for o in ('lr', 'mom')), theirs.values()):
        near = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, 'edge'), 3)
        slack = 1e-3 * max(values)  # at the peak, both curves turn between two steps
        assert len(ours) == n and (near.min(1) - slack <= ours).all() and (ours <= near.max(1) + slack).all()


@pytest.mark.parametrize('name', ['model1', 'model2'])
def test_models_1_and_2_train_at_a_constant_learning_rate_and_without_momentum_of_an_earlier_fit(name):
    learn = made(name, recipe=replace(SPECS[name].recipe, epochs=2))
    learn.fit_one_cycle(1, 0.01)
    learn.fit_recipe()
    assert learn.opt.hypers[-1]['mom'] == 0.9 and learn.recorder.lrs == [0.01] * 4


def test_weight_decay_is_pytorchs_and_reaches_every_parameter():
    learn = made('model3')
    learn.create_opt()
    learn.opt.set_hyper('lr', 0.02)
    theirs = deepcopy(learn.model)
    opt = torch.optim.SGD(theirs.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    pairs = list(zip(learn.model.parameters(), theirs.parameters()))
    for _ in range(3):
        for a, b in pairs:
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        learn.opt.step()
        opt.step()
    assert all(torch.equal(a, b) for a, b in pairs), 'to the last bit'


@pytest.mark.parametrize('name', ['model1', 'model3'])
def test_on_a_cpu_model3_alone_is_trained_channels_last_and_stored_as_before(name):
    learn, seen = made(name), set()
    conv = learn.model.conv5[0].weight
    learn.fit_recipe(1, cbs=Callback(after_pred=lambda cb: seen.add(conv.is_contiguous())))
    assert seen == {name == 'model1'} and all(o.is_contiguous() for o in learn.model.parameters())


@pytest.fixture(scope='module')
def trained(few_digits):
    "Model 1 after two epochs."
    learn = made('model1')
    learn.fit_recipe(epochs=2)
    return learn


def test_get_preds_gives_probabilities_in_the_order_of_the_images_even_if_they_are_shuffled(trained):
    valid = trained.dls.valid
    with torch.no_grad():
        expected = torch.cat([trained.model.eval()(x).exp() for x, _ in valid])
    for dl in (valid, valid.new(shuffle=True)):
        probs, targs = trained.get_preds(dl=dl)
        assert torch.allclose(probs, expected, atol=1e-6) and torch.equal(targs, valid.dataset.labels)


def test_show_results_shows_label_and_prediction(trained):
    import matplotlib.pyplot as plt

    trained.show_results(max_n=4, shuffle=False)
    shown = [tuple(map(int, ax.get_title().split('\n'))) for ax in plt.gcf().axes]
    assert shown == [(y, p.argmax()) for p, y in zip(*trained.get_preds())][:4]


def test_test_time_augmentation_works_and_augments():
    learn = made('model3', pretrained=True)
    plain, (augmented, targs) = learn.get_preds()[0], learn.tta(n=2)
    assert torch.equal(targs, learn.dls.valid_ds.labels) and not torch.allclose(plain, augmented, atol=1e-3)
    assert torch.allclose(plain, learn.get_preds()[0]), 'and afterwards all is as before'


def test_a_learner_without_images_says_so():
    learn = made('model3', source=None, pretrained=True)
    methods = [getattr(learn, o) for o in 'validate fit_recipe lr_find get_preds show_results tta summary'.split()]
    for method in (*methods, learn.dls.show_batch):
        refused(method, 'a learner without images')
    image = torch.zeros(28, 28, dtype=torch.uint8)
    assert len(learn.get_preds(dl=learn.dls.test_dl([image] * 3))[0]) == 3, 'and still predicts'


def test_numpys_numbers_are_numbers_and_what_is_no_whole_number_is_refused():
    recipe = Recipe(epochs=np.int64(3), lr=np.float32(0.01), bs=np.uint8(128), wd=np.float64(0))
    learn = made('model1', seed=np.int64(0), holdout=np.int32(100), recipe=recipe)
    learn.fit_recipe(np.int64(1))
    assert len(learn.dls.train_ds) == 150 and learn.dls.train.bs == 128 and recipe.lr == pytest.approx(0.01)
    assert json.loads(json.dumps(asdict(recipe)))['epochs'] == 3
    for o in (dict(seed=True), dict(seed=-1), dict(seed=0.5), dict(seed=2**32), dict(holdout=np.float64(3))):
        refused(lambda: made('model1', **o), f'{list(o)[0]}=', 'expected a')


@pytest.mark.parametrize(
    'name, shape, said',
    [
        ('model3', (3, 28, 28), 'images of 3 channels: expected one; give your fastai DataLoaders img_cls=PILImageBW'),
        ('model1', (1, 64, 64), 'images of 64×64 pixels: expected 28×28; give your fastai DataLoaders item_tfms='),
    ],
)
def test_images_that_do_not_fit_are_refused_in_one_line(name, shape, said):
    images = [(torch.rand(shape), i) for i in range(4)]
    learn = quiet(learner_for(name, DataLoaders.from_dsets(images, images, bs=2, device=torch.device('cpu'))))
    for call in (lambda: learn.fit_recipe(1), learn.validate):
        refused(call, said)


LOGITS = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def test_a_model_that_returns_logits_takes_another_loss():
    learn = made(LOGITS, loss_func=CrossEntropyLossFlat())
    learn.fit_recipe(1)
    assert learn.predict(learn.dls.valid_ds.images[0].cpu())[2].sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    'model, how, said',
    [
        (LOGITS, {}, 'the probabilities .* add up to .*: expected 1; .*LogSoftmax.*CrossEntropyLossFlat'),
        ('model1', dict(recipe=Recipe(5, 1e6, bs=16)), 'the loss is .* training batch .* lower learning rate'),
        (
            'model1',
            dict(cbs=Callback(before_validate=lambda cb: cb.model.classifier.weight.data.fill_(math.nan))),
            'the loss is nan in epoch 1, validation batch 1',
        ),
    ],
)
def test_what_makes_no_sense_stops_a_training_in_one_line(model, how, said):
    with pytest.raises(TrainingError, match=f'^{said}.*$'):
        made(model, **how).fit_recipe(5)
