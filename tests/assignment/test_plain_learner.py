"""A learner of this kit is a plain fastai `Learner`: what fastai's users do with one gives the same as on a learner
that is built from fastai alone: the same columns, the same events, the same numbers, or the same error."""

import importlib
import inspect
import pkgutil
from collections import Counter, OrderedDict
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import fastai.callback
import numpy as np
import pytest
import torch
from fastai.vision.all import SGD, Adam, Callback, ChannelsLast, CrossEntropyLossFlat, L, Learner, accuracy
from fastai.vision.all import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback, SchedCos, ShortEpochCallback
from fastai.vision.all import default_split, load_learner, minimum, set_seed, slide, steep, valley
from PIL import Image
from torch import nn

from conftest import quiet
from mnist_kit.data import DigitDataset, dls_of
from mnist_kit.learner import learner_for
from mnist_kit.models import Model3
from mnist_kit.sources import load_digits
from mnist_kit.spec import MODEL3

X, Y = load_digits()[0]
SERVICES = ('azureml', 'captum', 'comet', 'neptune', 'wandb')  # modules of fastai for packages and services beside it


def pair(tmp_path, loss_func=None, **kwargs):
    "The kit's learner, and one from fastai alone with the same weights, images and hyperparameters."
    learners, recipe = [], replace(MODEL3.recipe, bs=16)
    for make in (partial(learner_for, 'model3', seed=0), partial(fastais, loss_func=loss_func or nn.NLLLoss())):
        train, valid = DigitDataset(X[:32], Y[:32], 'digits'), DigitDataset(X[32:48], Y[32:48], 'digits')
        dls = dls_of(train, valid, recipe=recipe, seed=0, path=tmp_path)  # two batches, and one
        set_seed(0)
        learners.append(quiet(make(dls, **kwargs)))
    assert all((a == b).all() for a, b in zip(*(o.model.parameters() for o in learners)))
    return learners


def fastais(dls, loss_func, **kwargs):
    kw = dict(opt_func=partial(SGD, mom=0.9, wd=1e-4, decouple_wd=False), wd_bn_bias=True) | kwargs
    model = nn.Sequential(OrderedDict(Model3().named_children()))
    # channels last, since one image more or less in so few is soon a matter of rounding
    return Learner(dls, model, loss_func=loss_func, metrics=accuracy, cbs=ChannelsLast(), **kw)


class Count(Callback):
    "Counts the events."

    order = 1000

    def __init__(self):
        self.n = Counter()

    def __call__(self, event_name):
        self.n[event_name] += 1


def numbers(o):
    "What of a result can be compared: numbers, in order."
    if isinstance(o, torch.Tensor | np.ndarray | int | float):
        return np.asarray(o, float).ravel().tolist()
    return [v for part in o for v in numbers(part)] if isinstance(o, tuple | list | L) else []


def outcome(learn, call):
    "What comes of a call: its numbers, the table, the events; or the type of the exception."
    learn.add_cb(count := Count())
    set_seed(1)
    try:
        result = call(learn)
    except Exception as e:
        return type(e)
    table = {o: getattr(learn.recorder, o, []) for o in ('metric_names', 'values')}
    return dict(columns=list(table['metric_names']), events=count.n, numbers=numbers([table['values'], result]))


def assert_alike(ours, theirs):
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours == theirs
        return
    assert ours['columns'] == theirs['columns'] and ours['events'] == theirs['events']
    assert ours['numbers'] == pytest.approx(theirs['numbers'], rel=2e-2, abs=2e-3, nan_ok=True)


# ---------------------------------------------------------------- callbacks


def callback_classes():
    "Every class of callback in fastai, with the module it is in."
    for module in pkgutil.iter_modules(fastai.callback.__path__):
        if module.name in SERVICES or module.name == 'tensorboard' and not find_spec('tensorboard'):
            continue
        module = importlib.import_module(f'fastai.callback.{module.name}')
        for _, o in inspect.getmembers(module, inspect.isclass):
            if issubclass(o, Callback) and o.__module__ == module.__name__ and o.__name__ not in ABSTRACT:
                yield o


# what a class needs to be made, where that is not nothing; and what the documentation shows
ARGUMENTS = dict(
    ParamScheduler=lambda d: dict(scheds={'lr': SchedCos(0.01, 0.001)}),
    CSVLogger=lambda d: dict(fname=d / 'history.csv'),
    ActivationStats=lambda d: dict(with_hist=True, every=1),
    TensorBoardCallback=lambda d: dict(log_dir=d / 'tb', trace_model=False, log_preds=False),
    TensorBoardProjectorCallback=lambda d: dict(log_dir=d / 'tb'),
    GradientAccumulation=lambda d: dict(n_acc=24),
    ReduceLROnPlateau=lambda d: dict(min_delta=100, patience=1),
    ShortEpochCallback=lambda d: dict(pct=0.5),
)
ABSTRACT = ('MixHandler',)  # a base class: the parts that it calls are those of MixUp and CutMix
CURED = ('CutMix', 'MixUp')  # a bare nn.NLLLoss does not say that labels are whole numbers, so fastai's own fails


@pytest.mark.parametrize('cls', list(callback_classes()), ids=lambda o: o.__name__)
def test_every_callback_of_fastai_does_what_it_does_on_a_learner_from_fastai_alone(cls, tmp_path):
    def call(learn):
        (path := tmp_path / str(id(learn))).mkdir()
        cb = cls(**ARGUMENTS.get(cls.__name__, lambda d: {})(path))
        learn.fit(2, 0.01, cbs=cb)
        return [learn.opt.hypers[-1]['lr'], learn.opt.hypers[-1]['mom']]

    ours, theirs = [outcome(o, call) for o in pair(tmp_path)]
    if cls.__name__ in CURED:
        assert theirs is RuntimeError and len(ours['numbers']) == 2 * 3 + 2
    else:
        assert_alike(ours, theirs)


# ---------------------------------------------------------------- methods


def adds_one(cb):
    if cb.epoch == 0:
        cb.learn.add_cb(ShortEpochCallback(pct=0))


def saved_and_loaded(learn):
    learn.fit(1, 0.01)
    learn.save('a')
    learn.fit(1, 0.01)
    return learn.load('a').validate()


def exported(learn):
    learn.remove_cb(learn.count)  # which cannot be pickled
    learn.export('export.pkl')
    again = load_learner(learn.path / 'export.pkl')
    assert again.validate()[0] is None, 'an exported learner has no images, and fastai answers with nothing'
    return again.predict(digit(learn))[2]


def digit(learn):
    return learn.dls.valid_ds.images[0, 0]


def predictions(learn):
    image, path = Image.fromarray(digit(learn).numpy()), learn.path / '7.png'
    image.save(path)
    return [learn.predict(o)[2] for o in (image, path, str(path), np.asarray(image), digit(learn))]


def without_recorder(learn):
    with learn.removed_cbs([learn.recorder]):
        learn.fit(1, 0.01)
    return [o.detach() for o in learn.model.parameters()]


def quietly(learn):
    with learn.no_logging(), learn.no_bar(), learn.no_mbar():
        learn.fit(1, 0.01)


METHODS = dict(
    fit=lambda o: o.fit(1, 0.01),
    fit_with_wd=lambda o: o.fit(1, 0.01, wd=0.1),
    fit_start_epoch=lambda o: o.fit(2, 0.01, start_epoch=1),
    fit_one_cycle=lambda o: o.fit_one_cycle(2, 0.05),
    fit_one_cycle_start_epoch=lambda o: o.fit_one_cycle(3, 0.05, start_epoch=2),
    fit_flat_cos=lambda o: o.fit_flat_cos(1, 0.05),
    fit_sgdr=lambda o: o.fit_sgdr(2, 1, 0.05),
    fine_tune=lambda o: o.fine_tune(1, 0.05),
    freeze=lambda o: (o.freeze(), o.fit(1, 0.01), o.unfreeze(), o.fit(1, slice(0.001, 0.01))),
    lr_find=lambda o: o.lr_find(num_it=30, show_plot=False, suggest_funcs=(minimum, steep, valley, slide)),
    validate=lambda o: o.validate(),
    validate_train=lambda o: o.validate(ds_idx=0),
    get_preds=lambda o: o.get_preds(),
    get_preds_train=lambda o: o.get_preds(ds_idx=0),
    get_preds_loss=lambda o: o.get_preds(with_loss=True),
    get_preds_decoded=lambda o: o.get_preds(with_decoded=True),
    get_preds_input=lambda o: o.get_preds(with_input=True),
    get_preds_of_images=lambda o: o.get_preds(dl=o.dls.test_dl([digit(o)] * 3))[0],
    predict=predictions,
    tta=lambda o: o.tta(n=1)[1],
    show_results=lambda o: o.show_results(max_n=2, shuffle=False),
    summary=lambda o: len(o.summary()) > 0,
    save_and_load=saved_and_loaded,
    export=exported,
    no_logging=quietly,
    without_recorder=without_recorder,
    save_the_best=lambda o: o.fit_one_cycle(2, 0.05, cbs=SaveModelCallback(monitor='accuracy')),
    stop_early=lambda o: o.fit_one_cycle(2, 0.05, cbs=EarlyStoppingCallback(monitor='accuracy')),
    lower_the_rate=lambda o: o.fit_one_cycle(2, 0.05, cbs=ReduceLROnPlateau(monitor='accuracy')),
    add_cb_inside_a_callback=lambda o: o.fit(2, 0.01, cbs=Callback(before_epoch=adds_one)),
    to_fp16=lambda o: o.to_fp16().fit(1, 0.01),
    to_fp32=lambda o: o.to_fp16().to_fp32().fit(1, 0.01),
    to_bf16=lambda o: o.to_bf16().fit(1, 0.01),
    to_non_native_fp16=lambda o: o.to_non_native_fp16().fit(1, 0.01),
    zero_learning_rate=lambda o: o.fit(1, 0.0),
    show_training_loop=lambda o: o.show_training_loop(),
)


@pytest.mark.filterwarnings('ignore:.*autocast.*', 'ignore:.*GradScaler.*')
@pytest.mark.parametrize('name', METHODS)
def test_every_method_of_fastais_learner_does_what_it_does_on_one_from_fastai_alone(name, tmp_path):
    # on log-probabilities, cross-entropy is the negative log-likelihood; fastai's own says how to show an answer
    ours, theirs = [outcome(o, METHODS[name]) for o in pair(tmp_path, CrossEntropyLossFlat())]
    assert isinstance(theirs, dict) or name == 'to_non_native_fp16', 'which fastai refuses on a CPU'
    assert_alike(ours, theirs)


@pytest.mark.parametrize(
    'kwargs',
    [dict(opt_func=Adam, wd_bn_bias=False), dict(splitter=default_split), dict(wd=0.1), dict(moms=(0.9,) * 3)],
)
def test_what_is_given_to_fastais_learner_is_given_to_this_one(kwargs, tmp_path):
    def call(learn):
        learn.fit_one_cycle(1, slice(0.001, 0.01))
        return len(learn.opt.param_lists)

    assert_alike(*[outcome(o, call) for o in pair(tmp_path, **kwargs)])
