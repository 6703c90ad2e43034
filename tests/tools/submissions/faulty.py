"""Networks that are sound but for one thing. `FOUND` says what a rule finds on it, `BREAKS` what breaks the process."""

import os

import torch
import torch.nn.functional as F
from torch import nn


def block(ni, nf, ks=3):
    return nn.Sequential(nn.Conv2d(ni, nf, ks, bias=False), nn.BatchNorm2d(nf), nn.ReLU())


class Sound(nn.Module):
    "5,106 parameters: what the others are made from. Its maps before they are pooled are (N, 16, 7, 7)."

    layers = {}  # in place of those below, or beside them: functions that make them, by their names

    def __init__(self):
        super().__init__()
        first = block(1, 8), nn.MaxPool2d(2), block(8, 16), block(16, 8, 1)
        self.body = nn.Sequential(*first, block(8, 16), block(16, 16))
        self.head = nn.Conv2d(16, 10, 1)
        for name, layer in self.layers.items():
            setattr(self, name, layer())

    def pool(self, x):
        return x.mean((2, 3), keepdim=True)

    def scores(self, x):
        return self.head(self.pool(self.body(x))).flatten(1)

    def forward(self, x):
        return F.log_softmax(self.scores(x), dim=1)


def changed(layers={}, **methods):
    "The sound network with other layers or other methods."
    return type('Changed', (Sound,), dict(layers=layers, **methods))


def with_first(layers):
    "The layers of the sound network, with those that a function makes in place of its first block."
    return lambda: nn.Sequential(nn.Sequential(*layers()), *Sound().body[1:])


# ---------------------------------------------------------------- what comes in, and what comes out


class Raises(Sound):
    def forward(self, x):
        raise RuntimeError('one\ntwo')


class RefusesBlack(Sound):
    def forward(self, x):
        if (x.flatten(1).std(1) == 0).any():
            raise ValueError('no contrast')
        return super().forward(x)


EvaluatesAlways = changed(forward=lambda self, x: Sound.forward(self.eval(), x))
Logits = changed(forward=Sound.scores)
RawScoresInTraining = changed(forward=lambda self, x: self.scores(x) if self.training else Sound.forward(self, x))
OverTheBatch = changed(forward=lambda self, x: F.log_softmax(self.scores(x), dim=0))
OverOnePlace = changed(forward=lambda self, x: F.log_softmax(self.head(self.pool(self.body(x))), dim=-1).flatten(1))
Maps = changed(forward=lambda self, x: F.log_softmax(self.head(self.pool(self.body(x))), dim=1))
SqueezedBefore = changed(forward=lambda self, x: F.log_softmax(self.head(self.pool(self.body(x))).squeeze(), dim=1))

# ---------------------------------------------------------------- layers

UnusedBlock = changed(dict(block8=lambda: block(16, 16), drop=lambda: nn.Dropout(0.1)))
UnusedBias = changed(scores=lambda self, x: F.conv2d(self.pool(self.body(x)), self.head.weight).flatten(1))
OnlyInTraining = changed(
    dict(noise=lambda: nn.Parameter(torch.zeros(10))),
    scores=lambda self, x: Sound.scores(self, x) + (self.noise if self.training else 0),
)
InOneTensor = changed(
    dict(left=lambda: nn.Parameter(torch.zeros(5)), right=lambda: nn.Parameter(torch.zeros(5))),
    scores=lambda self, x: Sound.scores(self, x) + torch.cat([self.left, self.right]),
)
BiasBeforeReLU = changed(dict(body=with_first(lambda: (nn.Conv2d(1, 8, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(8)))))


class GhostNorm(nn.BatchNorm2d):
    "Batch normalisation of four parts of the batch, each by itself, in training or always."

    def __init__(self, nf, always=False):
        super().__init__(nf)
        self.always = always

    def forward(self, x):
        if not self.training and not self.always:
            return super().forward(x)
        n, c, h, w = x.shape
        out = F.batch_norm(x.view(n // 4, 4 * c, h, w), None, None, self.weight.repeat(4), self.bias.repeat(4), True)
        return out.view(n, c, h, w)


Ghost = changed(dict(body=with_first(lambda: (nn.Conv2d(1, 8, 3), GhostNorm(8), nn.ReLU()))))
GhostAlways = changed(dict(body=with_first(lambda: (nn.Conv2d(1, 8, 3), GhostNorm(8, True), nn.ReLU()))))
FarOverBudget = changed(dict(head=lambda: nn.Sequential(nn.Conv2d(16, 4096, 1), nn.ReLU(), nn.Conv2d(4096, 10, 1))))


class NoNorm(nn.Sequential):
    "Ten convolutions without batch normalisation, 18,890 parameters, on images of 7×7."

    def __init__(self):
        def conv(ni, nf, padding=1):
            return nn.Sequential(nn.Conv2d(ni, nf, 3, padding=padding), nn.ReLU())

        first = [nn.AvgPool2d(4), conv(1, 16), *(conv(16, 16) for _ in range(5)), nn.MaxPool2d(2)]
        last = [conv(16, 16), conv(16, 16), conv(16, 16, 0), nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 10, 1)]
        super().__init__(*first, *last, nn.Flatten(), nn.LogSoftmax(1))


DenseInDisguise = changed(
    dict(body=lambda: nn.Sequential(block(1, 4), block(4, 8), nn.MaxPool2d(6)), head=lambda: nn.Linear(8 * 4 * 4, 10)),
    scores=lambda self, x: torch.einsum('ni,oi->no', self.body(x).flatten(1), self.head.weight) + self.head.bias,
)
DenseOverFewPixels = changed(
    dict(head=lambda: nn.Linear(16, 10)),
    scores=lambda self, x: self.head(F.adaptive_avg_pool2d(self.body(x).mean(1, keepdim=True), 4).flatten(1)),
)


class DeadReLU(Sound):
    def __init__(self):
        super().__init__()
        self.body[0] = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
        nn.init.constant_(self.body[0][0].bias, -100.0)


class Remembers(Sound):
    def __init__(self):
        super().__init__()
        self.register_buffer('calls', torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


InAList = changed(dict(more=lambda: [nn.Conv2d(1, 1, 1)]), forward=lambda self, x: Sound.forward(self, self.more[0](x)))

# ---------------------------------------------------------------- pooling

TooLateAdaptive = changed(pool=lambda self, x: F.adaptive_avg_pool2d(x.amax((2, 3), keepdim=True), 1))
MeanOfRowsOnly = changed(pool=lambda self, x: x.mean(3, keepdim=True).amax(2, keepdim=True))
POOLINGS = dict(
    mean=lambda x: x.mean((2, 3), keepdim=True),
    adaptive=nn.AdaptiveAvgPool2d((1, 1)),
    window=nn.AvgPool2d(7),
    window_of_its_shape=lambda x: F.avg_pool2d(x, x.shape[2:]),
    view=lambda x: x.view(len(x), 16, -1).mean(2)[..., None, None],
    one_after_the_other=lambda x: x.mean(3, keepdim=True).mean(2, keepdim=True),
    einsum=lambda x: torch.einsum('nchw->nc', x)[..., None, None] / 49,
    scores_first=lambda x: x.sum((2, 3), keepdim=True) / 49,
)

# ---------------------------------------------------------------- what ends or fills a process

Hog = changed(forward=lambda self, x: torch.zeros(4096, 2**18))
Leaves = changed(forward=lambda self, x: os._exit(3))


class Prints(Sound):
    def forward(self, x):
        print('x' * 1_000_000)
        return super().forward(x)


class WantsArguments(Sound):
    def __init__(self, channels):
        super().__init__()


class ForgetsSuper(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(1, 10, 28)


BREAKS = dict(Hog='finishes', Leaves='finishes', Prints='quiet', WantsArguments='loads', ForgetsSuper='loads')

# the rule, and what it finds; then the required rules that do not hold
FOUND = dict(
    Raises=('runs', 'RuntimeError: one', 'runs'),
    EvaluatesAlways=('runs', 'forward calls self.train() or self.eval()', 'runs'),
    RawScoresInTraining=('log_probabilities', 'in training, raw scores, as `CrossEntropyLoss`', 'log_probabilities'),
    OverTheBatch=('log_probabilities', 'log-probabilities over the batch', 'log_probabilities ignores_neighbours'),
    OverOnePlace=('log_probabilities', 'only zeros, as log_softmax gives them', 'log_probabilities gradients'),
    Maps=('shape', '(40, 10, 1, 1) for 40 images', 'shape'),
    SqueezedBefore=('shape', 'IndexError: Dimension out of range', 'shape'),
    RefusesBlack=('finite', 'ValueError: no contrast', 'finite'),
    UnusedBlock=('unused_layers', '`block8` and 1 more are never used in forward: delete them', ''),
    UnusedBias=('unused_layers', '`head.bias` is never used in forward: delete it', ''),
    OnlyInTraining=('unused_layers', 'none', ''),
    InOneTensor=('unused_layers', 'none', ''),
    BiasBeforeReLU=('bias_before_norm', 'none', ''),
    Ghost=('bias_before_norm', '`body.0.0.bias`', ''),
    GhostAlways=('shape', "RuntimeError: shape '[0, 32, 26, 26]' is invalid", 'shape ignores_neighbours'),
    DenseInDisguise=('convolutional', 'a fully connected layer over 128 values of 16 pixels in 8', 'convolutional'),
    DenseOverFewPixels=('convolutional', 'a fully connected layer over 16 values of 16 pixels', 'convolutional'),
    DeadReLU=('gradients', 'only zeros for body.0.0.', 'gradients'),
    InAList=('gradients', 'a layer is used that is not registered in the model', 'gradients'),
    Remembers=('deterministic', 'calls changes in evaluation', 'deterministic'),
    TooLateAdaptive=('global_average_pooling', 'the map is already 1×1', 'global_average_pooling'),
    MeanOfRowsOnly=('global_average_pooling', 'none', 'global_average_pooling'),
)
