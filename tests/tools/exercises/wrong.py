"Two typical wrong answers to each exercise, and words of the hint that each should get."

import math

import torch
import torch.nn.functional as F
from torch import nn

from exercises import solutions

without_bn = solutions.counts | dict(conv1=3 * 3 * 1 * 4)
with_bias = solutions.counts | dict(conv3=3 * 3 * 4 * 8 + 8 + 2 * 8)


class WithBias(solutions.Baseline):
    def __init__(self):
        super().__init__()
        self.first[0][0] = nn.Conv2d(1, 4, 3)


class OtherOrder(solutions.Baseline):
    def __init__(self):
        super().__init__()
        self.second[1] = nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.ReLU(), nn.BatchNorm2d(8))


class WithoutDropout(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(o for o in self.layers if not isinstance(o, nn.Dropout)))


class LargeClassifier(solutions.Regularised):
    def __init__(self):
        super().__init__()
        self.layers[6] = nn.Conv2d(16, 4, 1, bias=False)
        self.layers[8] = nn.BatchNorm2d(4)
        self.layers[11] = nn.Conv2d(4, 16, 3, bias=False)
        self.layers[14] = nn.Conv2d(16, 4, 3, bias=False)
        self.layers[16] = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        return F.log_softmax(self.head(self.layers(x).flatten(1)), dim=1)


def affine(x, rows):
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def moved_first(x, degrees, right, down):
    cos, sin = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    return affine(x, [cos, sin, -2 * right, -sin, cos, -2 * down])


def forwards(x, degrees, right, down):
    cos, sin = torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))
    return affine(x, [cos, -sin, 2 * right, sin, cos, 2 * down])


def straight(pos, lr_max):
    if pos < 0.3:
        return lr_max / 25 + (lr_max - lr_max / 25) * pos / 0.3
    return lr_max + (lr_max / 250_000 - lr_max) * (pos - 0.3) / 0.7


def late_peak(pos, lr_max):
    low, t = (lr_max / 25, pos / 0.5) if pos < 0.5 else (lr_max / 250_000, (1 - pos) / 0.5)
    return low + (lr_max - low) * (1 - math.cos(math.pi * t)) / 2


WRONG = dict(
    counts=[(without_bn, 'weights of the convolution only'), (with_bias, 'bias')],
    Baseline=[(WithBias, 'has a bias'), (OtherOrder, 'in the other order')],
    Regularised=[(WithoutDropout, 'no dropout'), (LargeClassifier, 'fully connected layer')],
    augment=[(moved_first, 'moved first'), (forwards, 'moves the other way')],
    one_cycle=[(straight, 'straight line'), (late_peak, 'pos=0.5')],
)
