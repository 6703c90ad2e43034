"The Learner costs little more than the arithmetic of the model."

import time

import torch
import torch.nn.functional as F

from conftest import quiet
from mnist_kit.data import DigitDataset, dls_of, load_digits
from mnist_kit.learner import learner_for
from mnist_kit.spec import MODEL3

BATCHES = 40


def bare_seconds(learn, batch):
    "As many training steps as an epoch has, on one batch that is already there."
    x, y = (torch.Tensor(batch[0]), torch.Tensor(batch[1]).long())
    opt = torch.optim.SGD(learn.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    learn.model.train()
    start = time.perf_counter()
    for _ in range(BATCHES):
        F.nll_loss(learn.model(x), y).backward()
        opt.step()
        opt.zero_grad()
    return time.perf_counter() - start


def learner_seconds(learn):
    "The training phase of one epoch of Model 3: augmented batches, one-cycle, metrics and all."
    start = time.perf_counter()
    learn._do_epoch_train()
    return time.perf_counter() - start


def test_the_training_phase_of_model3_takes_at_most_a_quarter_longer_than_bare_steps():
    x, y = load_digits()[0]
    few = DigitDataset(x.repeat(4, 1, 1)[: 128 * BATCHES], y.repeat(4)[: 128 * BATCHES])
    learn = quiet(learner_for('model3', dls_of(few, few, recipe=MODEL3.recipe), seed=0))
    times = []

    def phases():
        bare_seconds(learn, batch)  # warm
        for _ in range(7):
            times.append((learner_seconds(learn), bare_seconds(learn, batch)))

    batch = learn.dls.train.one_batch()
    learn._do_epoch = phases  # in place of an epoch, so that the fit's callbacks are all set up
    learn.fit_recipe(epochs=1)
    ours, bare = (min(t) for t in zip(*times))  # the fastest of each: what else the machine did only ever adds
    assert ours / bare <= 1.25, times
