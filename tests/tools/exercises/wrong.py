"Wrong answers to each exercise, the usual slips, and words of the hint that each should get."

import math

import torch
import torch.nn.functional as F
from torch import nn

from exercises import solutions
from mnist_kit.models import Model1, Model2

# ---------------------------------------------------------------- 1


def counts(**wrong):
    return solutions.counts | wrong


COUNTS = [
    (counts(conv1=3 * 3 * 1 * 4), 'weights of the convolution only'),
    (counts(conv3=3 * 3 * 4 * 8 + 8 + 2 * 8), 'bias'),
    (counts(conv2=3 * 3 * 4 * 4 + 4), 'It learns more'),
    (counts(conv2=3 * 3 * 4 * 4 + 4 * 4), 'running mean'),
    (counts(conv3=4 * 8 + 2 * 8), 'How many pixels'),
    (counts(conv4=3 * 4 * 8 + 2 * 8), 'a height and a width'),
    (counts(conv5=3 * 3 * 16 + 2 * 16), 'weighted sum over all that go in'),
    (counts(conv5=3 * 3 * 8 + 2 * 16), 'weights of its own'),
    (counts(conv1=3 * 3 * 1 * 4 * 26 * 26), 'at every place'),
    (counts(classifier=7 * 7 * 10 * 10 + 2 * 10), 'is there a batch normalisation'),
    (counts(pool=4), 'Pooling and softmax learn nothing'),
    (counts(total=7000), 'Add them up again'),
    (counts(conv1=None), 'conv1 is blank'),
]

# ---------------------------------------------------------------- 2


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


class InAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)]


class WithoutSuper(nn.Module):
    def __init__(self):
        self.conv1 = nn.Conv2d(1, 4, 3, bias=False)


class OtherName(solutions.Baseline):
    def forward(self, x):
        return self.conv1(x)


class Probabilities(solutions.Baseline):
    def forward(self, x):
        return super().forward(x).exp()


class Unreturned(solutions.Baseline):
    def forward(self, x):
        super().forward(x)


class Renamed(Model1):
    pass


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Model1()

    def forward(self, x):
        return self.net(x)


def other_order():
    return nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.ReLU(), nn.BatchNorm2d(8))


BASELINE = [
    (with_layer(solutions.Baseline, 'first.0.0', lambda: nn.Conv2d(1, 4, 3)), 'any bias with it'),
    (with_layer(solutions.Baseline, 'second.1', other_order), 'in the other order'),
    (with_layer(solutions.Baseline, 'second.1.1', nn.Identity), 'Batch normalisation is missing'),
    (with_layer(solutions.Baseline, 'first.1.2', nn.Identity), 'ReLU is missing'),
    (with_layer(solutions.Baseline, 'first.3', lambda: nn.AvgPool2d(2)), 'what halves rows and columns'),
    (with_layer(solutions.Baseline, 'first.0.0', lambda: nn.Conv2d(1, 4, 3, padding=1, bias=False)), 'mind padding'),
    (with_layer(solutions.Baseline, 'second.0.0', lambda: nn.Conv2d(4, 8, 1, bias=False)), 'as many channels'),
    (with_layer(solutions.Baseline, 'classifier', lambda: nn.Conv2d(10, 10, 7)), 'leaves room'),
    (with_layer(solutions.Baseline, 'second.2.2', lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.1))), 'no dropout'),
    (Discarded, 'x = F.relu(x)'),
    (NotAssigned, 'Is each layer of the table used'),
    (InAList, 'does not look into a plain list'),
    (WithoutSuper, 'Call super().__init__() first'),
    (OtherName, 'spelled alike'),
    (Probabilities, 'without the logarithm'),
    (Unreturned, 'end in a return'),
    (Model1, "the kit's own Model1"),
    (Renamed, "the kit's own Model1"),
    (Wrapped, "the kit's own Model1"),
    (solutions.Baseline(), 'without parentheses'),
]

# ---------------------------------------------------------------- 3


class LargeClassifier(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers[14] = nn.Conv2d(16, 4, 3, bias=False)
        self.layers[16] = nn.BatchNorm2d(4)
        self.layers[11] = nn.Conv2d(8, 16, 3, bias=False)
        self.head = nn.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        return F.log_softmax(self.head(self.layers(x).flatten(1)), dim=1)


class OverAll(LargeClassifier):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(4, 10, 8)

    def forward(self, x):
        return F.log_softmax(self.head(self.layers(x)).flatten(1), dim=1)


class Largest(solutions.Regularised):
    def forward(self, x):
        return F.log_softmax(self.head(F.adaptive_max_pool2d(self.layers(x), 1)).flatten(1), dim=1)


class SmallField(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*self.layers[:6], nn.Dropout(0.1))


class Unused(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers[10] = nn.Identity()
        self.drop = nn.Dropout(0.1)


REGULARISED = [
    (with_layer(solutions.Regularised, 'layers.10', nn.Identity), 'no dropout'),
    (with_layer(solutions.Regularised, 'layers.10', lambda: nn.Dropout(0.7)), 'at most 0.5'),
    (with_layer(solutions.Regularised, 'head', lambda: nn.Conv2d(16, 200, 1)), 'row of ten numbers'),
    (with_layer(solutions.Regularised, 'layers.8', lambda: nn.BatchNorm2d(16)), 'as many channels'),
    (Unused, 'does forward use it'),
    (LargeClassifier, 'fully connected layer'),
    (OverAll, 'So does the classifier of Model 1'),
    (Largest, 'averages whole channels'),
    (SmallField, 'each place must see more'),
    (Model2, "the kit's own Model2"),
]

# ---------------------------------------------------------------- 4


def augmentation(rows, of=torch.deg2rad, **kwargs):
    "An augmentation with the matrices that `rows` makes of cos, sin, right and down."

    def augment(x, degrees, right, down):
        angle = of(degrees)
        mats = torch.stack(rows(torch.cos(angle), torch.sin(angle), right, down), 1).view(-1, 2, 3)
        grid = F.affine_grid(mats, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False, **kwargs)

    return augment


def right_rows(c, s, r, d):
    return [c, s, -2 * (c * r + s * d), -s, c, -2 * (c * d - s * r)]


def one_angle(x, degrees, right, down):
    return solutions.augment(x, degrees[:1].expand_as(degrees), right, down)


def of_one_number(x, degrees, right, down):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return augmentation(lambda *_: right_rows(c, s, right, down))(x, degrees, right, down)


def one_matrix(x, degrees, right, down):
    mats = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return F.grid_sample(x, F.affine_grid(mats, list(x.shape), align_corners=False), align_corners=False)


def twice(x, degrees, right, down):
    return solutions.augment(solutions.augment(x, degrees, 0 * right, 0 * down), 0 * degrees, right, down)


AUGMENT = [
    (augmentation(lambda c, s, r, d: [c, s, -2 * r, -s, c, -2 * d]), 'moved first'),
    (augmentation(lambda c, s, r, d: [c, -s, 2 * r, s, c, 2 * d]), 'moves the other way'),
    (augmentation(lambda c, s, r, d: right_rows(c, -s, r, d)), 'turns the other way'),
    (augmentation(lambda c, s, r, d: right_rows(c, s, r / 2, d / 2)), 'half as far'),
    (augmentation(lambda c, s, r, d: right_rows(c, s, r / 28, d / 28)), 'right=1 is the whole side'),
    (augmentation(lambda c, s, r, d: right_rows(c, s, 28 * r, 28 * d)), 'out of the picture'),
    (augmentation(lambda c, s, r, d: right_rows(c, s, d, r)), 'exchanged'),
    (augmentation(lambda c, s, r, d: [c, s, -2 * (c * r + s * d), s, c, -2 * (c * d - s * r)]), 'mirrored'),
    (augmentation(right_rows, of=lambda degrees: degrees), 'take radians'),
    (augmentation(right_rows, padding_mode='border'), 'look at padding_mode'),
    (augmentation(right_rows, mode='nearest'), 'look at mode'),
    (one_angle, 'Each image has its own number'),
    (of_one_number, 'math.cos and float take one number'),
    (one_matrix, 'the matrices (n, 2, 3)'),
    (twice, 'put both into one matrix'),
    (lambda x, degrees, right, down: x, 'Nothing happens'),
    (lambda x, degrees, right, down: None, 'end in a return'),
    (lambda x, degrees, right, down: [solutions.augment(x, degrees, right, down)], 'list is returned'),
    (lambda x, degrees, right, down: x.sub_(0.1), 'x itself is changed'),
]

# ---------------------------------------------------------------- 5


def cycle(up=lambda pos: pos / 0.3, down=lambda pos: (pos - 0.3) / 0.7, wave=None, start=25, end=250_000, peak=0.3):
    "A one-cycle of two ways: how much of each is done, and where each begins and ends."
    wave = wave or (lambda t: (1 - math.cos(math.pi * t)) / 2)

    def one_cycle(pos, lr_max):
        t, a, b = (up(pos), 1 / start, 1) if pos < peak else (down(pos), 1, 1 / end)
        return lr_max * (a + (b - a) * wave(t))

    return one_cycle


ONE_CYCLE = [
    (cycle(wave=lambda t: t), 'straight line, and a cosine is asked for'),
    (cycle(wave=lambda t: t, end=25), 'straight line, and a cosine is asked for'),
    (cycle(up=lambda pos: pos, down=lambda pos: pos), 'pos is not scaled'),
    (cycle(down=lambda pos: pos), 'pos is not scaled'),
    (cycle(down=lambda pos: pos - 0.3), 'pos is not scaled'),
    (cycle(end=25 * 250_000), "PyTorch's final_div_factor"),
    (cycle(end=10_000), "PyTorch's final_div_factor"),
    (cycle(end=1_000), 'far below the start'),
    (cycle(peak=0.5, up=lambda pos: pos / 0.5, down=lambda pos: (pos - 0.5) / 0.5), 'the way down begins'),
    (cycle(start=10), 'At pos=0 nothing of the way up is done'),
    (cycle(wave=lambda t: (1 - math.cos(t)) / 2), 'is π there'),
    (cycle(wave=lambda t: math.sin(math.pi * t / 2)), 'quarter of a wave'),
    (cycle(wave=lambda t: (1 + math.cos(math.pi * t)) / 2), 'other way round'),
    (cycle(wave=lambda t: t * t), 'How far has it come'),
    (lambda pos, lr_max: lr_max / 25, 'is pos used'),
    (lambda pos, lr_max: solutions.one_cycle(pos, 0.05), 'Use lr_max'),
    (lambda pos, lr_max: solutions.one_cycle(pos, lr_max) if pos < 0.3 else None, 'end in a return'),
]

WRONG = dict(counts=COUNTS, Baseline=BASELINE, Regularised=REGULARISED, augment=AUGMENT, one_cycle=ONE_CYCLE)
