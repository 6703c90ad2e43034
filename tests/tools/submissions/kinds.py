"""What is handed in, kind by kind; `FOUND` says what a rule finds on it. Each is `Sound` but for one thing."""

import torch
import torch.nn.functional as F
from torch import nn

from .faulty import Sound, block


class Base(Sound):
    "The maps of `Sound` before they are pooled, (N, 16, 8, 8), and its scores."

    def __init__(self):
        super().__init__()
        self.body = self.body[:-1]

    def pool(self, x):
        return x.mean((2, 3), keepdim=True)

    def scores(self, x):
        return self.head(self.pool(self.body(x))).flatten(1)

    def forward(self, x):
        return F.log_softmax(self.scores(x), dim=1)


# ---------------------------------------------------------------- what comes out


class RawScores(Base):
    def forward(self, x):
        return self.scores(x)


class RawScoresInTraining(Base):
    def forward(self, x):
        return self.scores(x) if self.training else super().forward(x)


class Sigmoid(Base):  # on images of 14×14: it takes all 600 steps
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AvgPool2d(2), *self.body)

    def forward(self, x):
        return torch.sigmoid(self.scores(x))


class PooledAfterwards(Base):
    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)), dim=1).mean((2, 3))


class OverTheBatch(Base):
    def forward(self, x):
        return F.log_softmax(self.scores(x), dim=0)


class OverOnePlace(Base):
    def forward(self, x):
        return F.log_softmax(self.head(self.pool(self.body(x))), dim=-1).flatten(1)


class Squeezed(Base):
    def forward(self, x):
        return super().forward(x).squeeze()


class SqueezedBefore(Base):
    def forward(self, x):
        return F.log_softmax(self.head(self.pool(self.body(x))).squeeze(), dim=1)


class RefusesBlack(Base):
    def forward(self, x):
        if (x.flatten(1).std(1) == 0).any():
            raise ValueError('no contrast')
        return super().forward(x)


# ---------------------------------------------------------------- layers


class Unused(Base):
    def __init__(self):
        super().__init__()
        self.bn8 = nn.BatchNorm2d(16)


class UnusedBlock(Base):
    def __init__(self):
        super().__init__()
        self.block8 = block(16, 16)
        self.drop = nn.Dropout(0.1)


class UnusedBias(Base):
    def scores(self, x):
        return F.conv2d(self.pool(self.body(x)), self.head.weight).flatten(1)


class OnlyInTraining(Base):
    def __init__(self):
        super().__init__()
        self.noise = nn.Parameter(torch.zeros(10))

    def scores(self, x):
        return super().scores(x) + (self.noise if self.training else 0)


class InOneTensor(Base):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5))

    def scores(self, x):
        return super().scores(x) + torch.cat([self.left, self.right])


class BiasBeforeNorm(Base):
    def __init__(self):
        super().__init__()
        self.body[0][0], self.body[1][0] = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)


class BiasBeforeReLU(Base):
    def __init__(self):
        super().__init__()
        self.body[0] = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(8))


class GhostNorm(nn.BatchNorm2d):
    "Batch normalisation of four parts of the batch, each by itself, in training."

    always = False

    def forward(self, x):
        if not self.training and not self.always:
            return super().forward(x)
        n, c, h, w = x.shape
        out = F.batch_norm(x.view(n // 4, 4 * c, h, w), None, None, self.weight.repeat(4), self.bias.repeat(4), True)
        return out.view(n, c, h, w)


class Ghost(Base):
    def __init__(self):
        super().__init__()
        self.body[0] = nn.Sequential(nn.Conv2d(1, 8, 3), GhostNorm(8), nn.ReLU())


class GhostAlways(Ghost):
    def __init__(self):
        super().__init__()
        self.body[0][1].always = True


class FarOverBudget(Base):
    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(16, 4096, 1), nn.ReLU(), nn.Conv2d(4096, 10, 1))


class NoNorm(nn.Sequential):
    "Ten convolutions without batch normalisation, 18,890 parameters: a high learning rate may kill it."

    def __init__(self):
        def conv(ni, nf, padding=1):
            return nn.Sequential(nn.Conv2d(ni, nf, 3, padding=padding), nn.ReLU())

        first = [nn.AvgPool2d(2), conv(1, 16), *(conv(16, 16) for _ in range(5)), nn.MaxPool2d(2)]
        last = [conv(16, 16), conv(16, 16), conv(16, 16, 0), nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 10, 1)]
        super().__init__(*first, *last, nn.Flatten(), nn.LogSoftmax(1))


class Flattened(Base):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            block(1, 4), nn.MaxPool2d(2), block(4, 8), nn.MaxPool2d(2), block(8, 16), nn.ZeroPad2d(2)
        )
        self.head = nn.Sequential(nn.Linear(16 * 7 * 7, 5), nn.Linear(5, 10))

    def scores(self, x):
        return self.head(self.body(x).flatten(1))


# ---------------------------------------------------------------- pooling


class Window(Base):
    def pool(self, x):
        return F.avg_pool2d(x, 5)


class TooLate(Base):
    def pool(self, x):
        return F.avg_pool2d(x.amax((2, 3), keepdim=True), 1)


class TooLateAdaptive(Base):
    def pool(self, x):
        return F.adaptive_avg_pool2d(x.amax((2, 3), keepdim=True), 1)


class MeanOfRowsOnly(Base):
    def pool(self, x):
        return x.mean(3, keepdim=True).amax(2, keepdim=True)


POOLINGS = dict(
    mean=lambda x: x.mean((2, 3), keepdim=True),
    adaptive=nn.AdaptiveAvgPool2d((1, 1)),
    window=nn.AvgPool2d(8),
    window_of_its_shape=lambda x: F.avg_pool2d(x, x.shape[2:]),
    view=lambda x: x.view(len(x), 16, -1).mean(2)[..., None, None],
    one_after_the_other=lambda x: x.mean(3, keepdim=True).mean(2, keepdim=True),
    einsum=lambda x: torch.einsum('nchw->nc', x)[..., None, None] / 64,
    scores_first=lambda x: x.sum((2, 3), keepdim=True) / 64,
)

# the rule, and what it finds; then the required rules that do not hold
FOUND = dict(
    RawScores=('log_probabilities', 'raw scores, as `CrossEntropyLoss` takes them', 'log_probabilities'),
    RawScoresInTraining=(
        'log_probabilities',
        'in training, raw scores, as `CrossEntropyLoss` takes them',
        'log_probabilities',
    ),
    Sigmoid=(
        'log_probabilities',
        'between 0 and 1, but a row does not add up to 1',
        'log_probabilities overfits_one_batch',
    ),
    PooledAfterwards=(
        'log_probabilities',
        'in training, none above 0, but the exponentials of a row do not add up to 1',
        'log_probabilities',
    ),
    OverTheBatch=(
        'log_probabilities',
        'log-probabilities over the batch: dim=0 in place of dim=1',
        'log_probabilities ignores_neighbours',
    ),
    OverOnePlace=('log_probabilities', 'only zeros, as log_softmax gives them', 'log_probabilities gradients'),
    Squeezed=('shape', '(10,) for 1 image', 'shape'),
    SqueezedBefore=('shape', 'IndexError: Dimension out of range (expected to be in range of [-1, 0], ', 'shape'),
    RefusesBlack=('finite', 'ValueError: no contrast', 'finite'),
    Unused=('unused_layers', '`bn8` is never used in forward: delete it', ''),
    UnusedBlock=('unused_layers', '`block8` and 1 more are never used in forward: delete them', ''),
    UnusedBias=('unused_layers', '`head.bias` is never used in forward: delete it', ''),
    OnlyInTraining=('unused_layers', 'none', ''),
    InOneTensor=('unused_layers', 'none', ''),
    BiasBeforeNorm=('bias_before_norm', '`body.0.0.bias` and 1 more', ''),
    BiasBeforeReLU=('bias_before_norm', 'none', ''),
    Ghost=('bias_before_norm', '`body.0.0.bias`', ''),
    GhostAlways=('shape', "RuntimeError: shape '[0, 32, 26, 26]' is invalid", 'shape ignores_neighbours'),
    Flattened=(
        'convolutional',
        'a fully connected layer over 784 values of 49 pixels in 16 channels',
        'convolutional',
    ),
    Window=('global_average_pooling', 'averages 25 of 64 places', 'global_average_pooling'),
    TooLate=('global_average_pooling', 'the map is already 1×1', 'global_average_pooling'),
    TooLateAdaptive=('global_average_pooling', 'the map is already 1×1', 'global_average_pooling'),
    MeanOfRowsOnly=('global_average_pooling', 'none', 'global_average_pooling'),
)
