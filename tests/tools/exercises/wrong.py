"Wrong answers to each exercise, and words of the hint that each should get; more stand in the notebook of the checks."

import math

import torch
import torch.nn.functional as F
from torch import nn

from exercises import solutions
from mnist_kit.models import Model2

COUNTS = [
    (solutions.counts | wrong, hint)
    for wrong, hint in (
        (dict(conv2=3 * 3 * 4 * 4 + 4), 'It learns more'),
        (dict(conv2=3 * 3 * 4 * 4 + 4 * 4), 'running mean'),
        (dict(conv5=3 * 3 * 16 + 2 * 16), 'weighted sum over all that go in'),
        (dict(conv5=3 * 3 * 8 + 2 * 16), 'weights of its own'),
    )
]


def with_layer(cls, path, make):
    "A class like `cls` with what `make` makes in place of the layer at `path`."

    class Changed(cls):
        def __init__(self):
            super().__init__()
            self.set_submodule(path, make())

    return Changed


class NotAssigned(solutions.Baseline):
    def forward(self, x):
        x = self.second(self.first(x))
        F.dropout(x, 0.0), F.relu(x + 1)
        return F.log_softmax(self.classifier(x).flatten(1), dim=1)


class Discarded(solutions.Baseline):
    def forward(self, x):
        x = self.first(x)
        for conv, bn, _ in self.second[:3]:
            x = bn(conv(x))
            F.relu(x)
        return F.log_softmax(self.classifier(self.second[3](x)).flatten(1), dim=1)


class WithoutSuper(nn.Module):
    def __init__(self):
        self.conv1 = nn.Conv2d(1, 4, 3, bias=False)


class OtherName(solutions.Baseline):
    def forward(self, x):
        return self.conv1(x)


class Probabilities(solutions.Baseline):
    def forward(self, x):
        return super().forward(x).exp()


BASELINE = [
    (with_layer(solutions.Baseline, 'first.1.2', nn.Identity), 'ReLU is missing'),
    (with_layer(solutions.Baseline, 'second.0.0', lambda: nn.Conv2d(4, 8, 1, bias=False)), 'as many channels'),
    (Discarded, 'x = F.relu(x)'),
    (NotAssigned, 'Is each layer of the table used'),
    (WithoutSuper, 'Call super().__init__() first'),
    (OtherName, 'spelled alike'),
    (Probabilities, 'without the logarithm'),
]


class LargeClassifier(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers[14] = nn.Conv2d(16, 4, 3, bias=False)
        self.layers[16] = nn.BatchNorm2d(4)
        self.layers[11] = nn.Conv2d(8, 16, 3, bias=False)
        self.head = nn.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        return F.log_softmax(self.head(self.layers(x).flatten(1)), dim=1)


class Unused(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers[10] = nn.Identity()
        self.drop = nn.Dropout(0.1)


REGULARISED = [
    (with_layer(solutions.Regularised, 'head', lambda: nn.Conv2d(16, 200, 1)), 'row of ten numbers'),
    (with_layer(solutions.Regularised, 'layers.8', lambda: nn.BatchNorm2d(16)), 'as many channels'),
    (Unused, 'does forward use it'),
    (LargeClassifier, 'fully connected layer'),
    (Model2, "the kit's own Model2"),
]


def one_matrix(x, degrees, right, down):
    mats = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return F.grid_sample(x, F.affine_grid(mats, list(x.shape), align_corners=False), align_corners=False)


AUGMENT = [
    (lambda x, d, right, down: solutions.augment(x, d, right / 28, down / 28), 'right=1 is the whole side'),
    (lambda x, d, right, down: solutions.augment(x, d, 28 * right, 28 * down), 'out of the picture'),
    (lambda x, d, right, down: solutions.augment(x, d[:1].expand_as(d), right, down), 'its own number'),
    (lambda x, d, right, down: x * math.cos(d), 'math.cos and float take one number'),
    (one_matrix, 'the matrices (n, 2, 3)'),
    (lambda x, d, right, down: [solutions.augment(x, d, right, down)], 'list is returned'),
]


def half_wave(t):
    return (1 - math.cos(math.pi * t)) / 2


def cycle(up=lambda pos: pos / 0.3, down=lambda pos: (pos - 0.3) / 0.7, wave=half_wave, end=250_000):
    "A one-cycle of two ways: how much of each is done, the wave, and where it ends."

    def one_cycle(pos, lr_max):
        t, a, b = (up(pos), 1 / 25, 1) if pos < 0.3 else (down(pos), 1, 1 / end)
        return lr_max * (a + (b - a) * wave(t))

    return one_cycle


ONE_CYCLE = [
    (cycle(wave=lambda t: t, end=25), 'straight line, and a cosine is asked for'),
    (cycle(up=lambda pos: pos, down=lambda pos: pos), 'pos is not scaled'),
    (cycle(down=lambda pos: pos), 'pos is not scaled'),
    (cycle(down=lambda pos: pos - 0.3), 'pos is not scaled'),
    (cycle(wave=lambda t: (1 - math.cos(t)) / 2), 'is π there'),
    (cycle(wave=lambda t: math.sin(math.pi * t / 2)), 'quarter of a wave'),
    (cycle(wave=lambda t: 1 - half_wave(t)), 'other way round'),
    (cycle(wave=lambda t: t * t), 'How far has it come'),
    (lambda pos, lr_max: lr_max / 25, 'is pos used'),
    (lambda pos, lr_max: solutions.one_cycle(pos, lr_max) if pos < 0.3 else None, 'end in a return'),
]

WRONG = dict(counts=COUNTS, Baseline=BASELINE, Regularised=REGULARISED, augment=AUGMENT, one_cycle=ONE_CYCLE)
