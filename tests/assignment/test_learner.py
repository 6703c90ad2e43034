"A plain fastai Learner that does what the assignment's PyTorch loop does."

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.interpret import ClassificationInterpretation
from fastai.losses import CrossEntropyLossFlat
from fastai.vision.core import PILImage, PILImageBW
from fastai.vision.data import CategoryBlock, DataBlock, ImageBlock, get_image_files
from PIL import Image
from torch import nn

from conftest import quiet, refused
from mnist_kit.core import TrainingError
from mnist_kit.learner import learner_for
from mnist_kit.models import MODELS, Model1
from mnist_kit.runs import EpochRows
from mnist_kit.spec import MODEL1, MODEL3, Recipe

pytestmark = pytest.mark.usefixtures('few_digits')
each_name = pytest.mark.parametrize('name', list(MODELS))


@each_name
def test_one_epoch_of_the_learner_equals_a_plain_pytorch_loop(name):
    learn = quiet(learner_for(name, source='digits', seed=0))
    learn.dls.train = learn.dls.train.new(shuffle=False)  # in the same order every time
    model = MODELS[name]()
    model.load_state_dict(learn.model.state_dict())
    if name == 'model3':  # PyTorch's batch normalisation rounds differently there
        model = model.to(memory_format=torch.channels_last)
    torch.manual_seed(1)  # dropout and augmentation
    rows = []
    learn.fit_recipe(epochs=1, cbs=EpochRows(rows.append))

    lrs, moms = (learn.recorder.hps[k] for k in ('lr', 'mom')) if name == 'model3' else ([0.01] * 2, [0.9] * 2)
    opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4 if name == 'model3' else 0)
    torch.manual_seed(1)
    model.train()
    right = 0
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


def test_model3_follows_onecyclelr_to_within_one_step():
    learn = quiet(learner_for(Net, source='digits', recipe=MODEL3.recipe, seed=0))  # a small model, for speed
    learn.fit_recipe()
    ours, n = learn.recorder.hps, 20 * 2
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01, momentum=0.9)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=n)
    theirs = dict(lr=[], mom=[])
    for _ in range(n):
        theirs['lr'].append(opt.param_groups[0]['lr'])
        theirs['mom'].append(opt.param_groups[0]['momentum'])
        opt.step()
        if len(theirs['lr']) < n:
            sched.step()
    for k in ('lr', 'mom'):
        assert len(ours[k]) == n
        for i, v in enumerate(ours[k]):
            near = theirs[k][max(i - 1, 0) : i + 2]
            slack = 1e-3 * max(theirs[k])  # at the peak, both curves turn between two steps
            assert min(near) - slack <= v <= max(near) + slack, (k, i)


@each_name
def test_by_default_it_trains_as_many_epochs_as_the_recipe_says(name):
    learn = quiet(learner_for(name, source='digits', seed=0))
    learn.fit = lambda epochs, *a, **kw: setattr(learn, 'asked', epochs)
    learn.fit_recipe()
    assert learn.asked == dict(model1=20, model2=15, model3=20)[name]


def test_weight_decay_is_pytorchs_and_reaches_every_parameter():
    learn = learner_for('model3', source='digits')
    learn.create_opt()
    ours = list(learn.model.parameters())
    theirs = [nn.Parameter(o.detach().clone()) for o in ours]
    opt = torch.optim.SGD(theirs, lr=0.02, momentum=0.9, weight_decay=1e-4)
    learn.opt.set_hyper('lr', 0.02)
    for _ in range(3):
        for a, b in zip(ours, theirs):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        learn.opt.step()
        opt.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs)), 'to the last bit'


@pytest.mark.parametrize('name, last', [('model1', False), ('model3', True), ('own', False)])
def test_on_a_cpu_model3_alone_is_trained_channels_last_and_stored_as_before(name, last):
    own = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LogSoftmax(1)
    )
    learn, seen = quiet(learner_for(own if name == 'own' else name, source='digits', seed=0)), set()
    convs = [o.weight for o in learn.model.modules() if isinstance(o, nn.Conv2d) and o.kernel_size == (3, 3)]
    learn.fit_recipe(1, cbs=Callback(after_pred=lambda cb: seen.add(not convs[-1].is_contiguous())))
    assert seen == {last} and all(o.is_contiguous() for o in learn.model.parameters())


@pytest.mark.parametrize('name', ['model1', 'model2'])
def test_models_1_and_2_train_at_a_constant_learning_rate_and_without_momentum_of_an_earlier_fit(name):
    learn = quiet(learner_for(name, source='digits', seed=0))
    learn.fit_one_cycle(1, 0.01)
    learn.fit_recipe(epochs=2)
    assert learn.opt.hypers[-1]['mom'] == 0.9 and set(learn.recorder.lrs) == {0.01}


# ---------------------------------------------------------------- fastai's methods


def test_get_preds_gives_probabilities_in_the_order_of_the_images_even_if_they_are_shuffled(trained):
    probs, targs = trained.get_preds()
    trained.model.eval()
    with torch.no_grad():
        expected = torch.cat([trained.model(x).exp() for x, _ in trained.dls.valid])
    assert torch.allclose(probs, expected, atol=1e-6) and torch.equal(targs, trained.dls.valid_ds.labels)
    assert torch.equal(trained.get_preds(dl=trained.dls.valid.new(shuffle=True))[1], targs)


def test_show_results_shows_label_and_prediction(trained):
    import matplotlib.pyplot as plt

    trained.show_results(max_n=4, shuffle=False)
    titles = [ax.get_title().split('\n') for ax in plt.gcf().axes]
    assert [t[0] for t in titles] == [str(int(y)) for y in trained.dls.valid_ds.labels[:4]]
    assert [t[1] for t in titles] == [str(int(p)) for p in trained.get_preds()[0][:4].argmax(1)]


def test_the_confusion_matrix_counts_every_image_once(trained):
    interp = ClassificationInterpretation.from_learner(trained)
    matrix = interp.confusion_matrix()
    assert np.array_equal(matrix.sum(1), np.bincount(trained.dls.valid_ds.labels))
    assert np.trace(matrix) / matrix.sum() == pytest.approx(trained.validate()[1])
    interp.plot_top_losses(4)


def test_test_time_augmentation_works_and_augments():
    learn = quiet(learner_for('model3', source='digits', pretrained=True))
    plain, (augmented, targs) = learn.get_preds()[0], learn.tta(n=2)
    assert torch.equal(targs, learn.dls.valid_ds.labels) and not torch.allclose(plain, augmented, atol=1e-3)
    assert torch.allclose(plain, learn.get_preds()[0]), 'and afterwards all is as before'


@pytest.mark.parametrize('name', 'validate fit_recipe lr_find get_preds show_results tta summary show_batch'.split())
def test_a_learner_without_images_says_so(name):
    learn = quiet(learner_for('model3', pretrained=True))
    refused(getattr(learn.dls if name == 'show_batch' else learn, name), 'a learner without images')
    image = torch.zeros(28, 28, dtype=torch.uint8)
    assert len(learn.get_preds(dl=learn.dls.test_dl([image] * 3))[0]) == 3, 'and still predicts'


def test_numpys_numbers_are_numbers():
    learn = quiet(learner_for('model1', source='digits', seed=np.int64(0), holdout=np.int32(100), recipe=NUMPYS))
    learn.fit_recipe(np.int64(1))
    assert len(learn.dls.train_ds) == 150 and learn.dls.train.bs == 128
    assert json.loads(json.dumps(asdict(learn.recipe))) == asdict(learn.recipe) | dict(moms=[0.95, 0.85, 0.95])
    assert learn.recipe.lr == pytest.approx(0.01)


NUMPYS = Recipe(epochs=np.int64(3), lr=np.float32(0.01), bs=np.uint8(128), wd=np.float64(0))


@pytest.mark.parametrize('kwargs', [dict(seed=True), dict(seed=-1), dict(seed=0.5), dict(holdout=np.float64(3))])
def test_what_is_no_whole_number_is_refused(kwargs):
    refused(lambda: learner_for('model1', source='digits', **kwargs), f'{list(kwargs)[0]}=', 'expected a')


# ---------------------------------------------------------------- models and data of a reader's own


@pytest.mark.parametrize(
    'name, size, img_cls, said',
    [
        ('model3', 28, PILImage, 'images of 3 channels: expected one; give your fastai DataLoaders img_cls=PILImageBW'),
        ('model1', 64, PILImageBW, 'images of 64×64 pixels: expected 28×28; give your fastai DataLoaders item_tfms='),
    ],
)
def test_image_files_that_do_not_fit_are_refused_in_one_line(name, size, img_cls, said, tmp_path):
    for label in ('0', '1'):
        (tmp_path / label).mkdir()
        for i in range(4):
            Image.fromarray(np.full((size, size), 20 * i, np.uint8)).save(tmp_path / label / f'{i}.png')
    block = DataBlock((ImageBlock(img_cls), CategoryBlock), get_items=get_image_files, get_y=lambda p: p.parent.name)
    dls = block.dataloaders(tmp_path, bs=2, num_workers=0)
    for call in (lambda o: o.fit_recipe(1), lambda o: o.validate()):
        refused(lambda: call(quiet(learner_for(name, dls))), said)


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 10, 28), nn.Flatten(), nn.LogSoftmax(1))


class Logits(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))


@pytest.mark.parametrize('model', ['model1', Model1, Model1(), Net, Net()])
def test_a_model_may_be_a_name_a_class_or_a_module(model):
    learn = quiet(learner_for(model, source='digits', seed=0))
    learn.fit_recipe(epochs=1)
    assert learn.recipe == (MODEL1.recipe if isinstance(learn.model, Model1) else MODEL3.recipe)


def test_a_model_that_returns_logits_takes_another_loss():
    learn = quiet(learner_for(Logits, source='digits', loss_func=CrossEntropyLossFlat(), seed=0))
    learn.fit_recipe(1)
    assert learn.predict(learn.dls.valid_ds.images[0].cpu())[2].sum().item() == pytest.approx(1, abs=1e-5)


def spoil(cb):
    cb.learn.model.classifier.weight.data.fill_(float('nan'))


@pytest.mark.parametrize(
    'model, how, said',
    [
        (Logits, {}, 'the probabilities .* add up to .*: expected 1; .*LogSoftmax.*CrossEntropyLossFlat'),
        ('model1', dict(recipe=Recipe(5, 1e6, bs=16)), 'the loss is .* training batch .* lower learning rate'),
        ('model1', dict(cbs=Callback(before_validate=spoil)), 'the loss is nan in epoch 1, validation batch 1'),
    ],
)
def test_what_makes_no_sense_stops_a_training_in_one_line(model, how, said):
    with pytest.raises(TrainingError, match=f'^{said}.*$'):
        quiet(learner_for(model, source='digits', seed=0, **how)).fit_recipe(5)


def test_the_package_hands_learner_for_on():
    import mnist_kit

    assert mnist_kit.learner_for is learner_for
    with pytest.raises(AttributeError):
        mnist_kit.no_such_name
