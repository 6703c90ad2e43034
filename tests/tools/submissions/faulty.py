"""Networks with one fault each, and others that are unusual and have none. A network for each rule, which breaks it, stands
beside the rule, in its notebook; here is what else was handed in, or could be."""

import os

import torch
import torch.nn.functional as F
from torch import nn


def block(ni, nf, ks=3):
    return nn.Sequential(nn.Conv2d(ni, nf, ks, bias=False), nn.BatchNorm2d(nf), nn.ReLU())


class Sound(nn.Module):
    "What the others are made from. Its maps before they are pooled are (N, 16, 7, 7)."

    layers = {}  # in place of those below, or beside them: functions that make them, by their names

    def __init__(self):
        super().__init__()
        first = block(1, 8), nn.MaxPool2d(2), block(8, 16), block(16, 8, 1)
        self.body = nn.Sequential(*first, block(8, 16), block(16, 16))
        self.head = nn.Linear(16, 10)
        for name, layer in self.layers.items():
            setattr(self, name, layer())

    def pool(self, x):
        return x.mean((2, 3))

    def scores(self, x):
        return self.head(self.pool(self.body(x)))

    def forward(self, x):
        return F.log_softmax(self.scores(x), dim=1)


def changed(layers={}, **methods):
    "The sound network with other layers or other methods."
    return type('Changed', (Sound,), dict(layers=layers, **methods))


def with_first(*layers):
    "The layers of the sound network, with others in place of its first block."
    return nn.Sequential(nn.Sequential(*layers), *Sound().body[1:])


def zeros(layer):
    for p in layer.parameters():
        nn.init.zeros_(p)
    return layer


# ---------------------------------------------------------------- faulty


def raises(self, x):
    raise RuntimeError('one\ntwo')


class GhostNorm(nn.BatchNorm2d):
    "Batch normalisation of four parts of the batch, each by itself, while it trains."

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        n, c, h, w = x.shape
        out = F.batch_norm(x.view(n // 4, 4 * c, h, w), None, None, self.weight.repeat(4), self.bias.repeat(4), True)
        return out.view(n, c, h, w)


def dead():
    conv = nn.Conv2d(1, 8, 3)
    nn.init.constant_(conv.bias, -100.0)
    return with_first(conv, nn.ReLU(), nn.BatchNorm2d(8))


def remembers(self, x):
    self.body[0][1].num_batches_tracked += 1
    return Sound.forward(self, x)


Raises = changed(forward=raises)
EvaluatesAlways = changed(forward=lambda self, x: Sound.forward(self.eval(), x))
RawScoresInTraining = changed(forward=lambda self, x: self.scores(x) if self.training else Sound.forward(self, x))
Maps = changed(forward=lambda self, x: Sound.forward(self, x)[..., None, None])
UnusedBlockAndBias = changed(
    dict(block8=lambda: block(16, 16)), scores=lambda self, x: self.pool(self.body(x)) @ self.head.weight.T
)
Ghost = changed(dict(body=lambda: with_first(nn.Conv2d(1, 8, 3), GhostNorm(8), nn.ReLU())))
DenseInDisguise = changed(
    dict(body=lambda: nn.Sequential(block(1, 4), block(4, 8), nn.MaxPool2d(6)), head=lambda: nn.Linear(8 * 4 * 4, 10)),
    scores=lambda self, x: torch.einsum('ni,oi->no', self.body(x).flatten(1), self.head.weight) + self.head.bias,
)
DenseOverFewPixels = changed(pool=lambda self, x: F.adaptive_avg_pool2d(x.mean(1, keepdim=True), 4).flatten(1))
DeadReLU = changed(dict(body=dead))
InAList = changed(dict(more=lambda: [nn.Conv2d(1, 1, 1)]), forward=lambda self, x: Sound.forward(self, self.more[0](x)))
Remembers = changed(forward=remembers)
MeanOfRowsOnly = changed(pool=lambda self, x: x.mean(3).amax(2))

FAULTY = dict(  # the rule, and what it finds; then the required rules that do not hold
    EvaluatesAlways=('runs', 'forward calls self.train() or self.eval()', 'runs'),
    RawScoresInTraining=('log_probabilities', 'in training, raw scores, as `CrossEntropyLoss`', 'log_probabilities'),
    Maps=('shape', '(40, 10, 1, 1) for 40 images', 'shape'),
    UnusedBlockAndBias=('unused_layers', '`block8` and 1 more are never used in forward: delete them', ''),
    Ghost=('bias_before_norm', '`body.0.0.bias`', ''),
    DenseInDisguise=('convolutional', 'a fully connected layer over 128 values of 16 pixels in 8', 'convolutional'),
    DenseOverFewPixels=('convolutional', 'a fully connected layer over 16 values of 16 pixels', 'convolutional'),
    DeadReLU=('gradients', 'only zeros for body.0.0.', 'gradients'),
    InAList=('gradients', 'a layer is used that is not registered in the model', 'gradients'),
    Remembers=('deterministic', 'body.0.1.num_batches_tracked changes in evaluation', 'deterministic'),
    MeanOfRowsOnly=('global_average_pooling', 'none', 'global_average_pooling'),
)

# ---------------------------------------------------------------- unusual, and sound


def attention(self, x):
    x = self.body(x).flatten(2)
    weights = (x.transpose(1, 2) @ x / 4).softmax(-1)
    return self.head((x @ weights).mean(2))


def at_each_place(self, x):
    x = self.body(x)
    x = x + self.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return self.head(self.pool(x))


def residual(self, x):
    x = self.body(x)
    return self.head(self.pool(x + self.more(x)))


def own_grad_mode(self, x):
    with torch.set_grad_enabled(self.training):
        return Sound.forward(self, (x > 0).float())


def parts(self, x):
    return Sound.scores(self, x) + torch.cat([self.left, self.right]) + (self.noise if self.training else 0)


SOUND = dict(
    two_poolings_and_a_hidden_layer=changed(
        dict(head=lambda: nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))),
        pool=lambda self, x: torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1),
    ),
    starts_at_zero=changed(
        dict(
            more=lambda: nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), zeros(nn.BatchNorm2d(16))),
            head=lambda: zeros(nn.Linear(16, 10)),
        ),
        scores=residual,
    ),
    at_each_place=changed(
        dict(mix=lambda: nn.Sequential(nn.Linear(16, 48), nn.GELU(), nn.Linear(48, 16))), scores=at_each_place
    ),
    attention=changed(scores=attention),
    own_grad_mode_on_black_and_white=changed(forward=own_grad_mode),
    odd_parameters=changed(
        dict(
            body=lambda: with_first(nn.Conv2d(1, 8, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(8)),
            noise=lambda: nn.Parameter(torch.zeros(10)),
            left=lambda: nn.Parameter(torch.zeros(5)),
            right=lambda: nn.Parameter(torch.zeros(5)),
        ),
        scores=parts,
    ),
)

POOLINGS = (  # and in the notebook: a mean, and windows of PyTorch's
    lambda x: x.view(len(x), 16, -1).mean(2),
    lambda x: x.mean(3).mean(2),  # one after the other
    lambda x: torch.einsum('nchw->nc', x) / 49,
    lambda x: x.sum((2, 3)) / 49,
)

# ---------------------------------------------------------------- what ends or fills a process

Hog = changed(forward=lambda self, x: torch.zeros(4096, 2**18))
Leaves = changed(forward=lambda self, x: os._exit(3))


Prints = changed(forward=lambda self, x: print('x' * 1_000_000) or Sound.forward(self, x))
BREAKS = dict(Hog='finishes', Leaves='finishes', Prints='quiet')
