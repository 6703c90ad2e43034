"""Networks that are unusual, and sound: no rule may fail them."""

import torch
import torch.nn.functional as F
from torch import nn

from .faulty import Sound


class Base(Sound):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 10)

    def scores(self, x):
        return self.head(self.body(x).mean((2, 3)))


class HiddenLayer(Base):
    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))


class TwoPoolings(Base):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.body(x)
        return F.log_softmax(self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)), dim=1)


class FlattenedMean(Base):
    def forward(self, x):
        return F.log_softmax(self.head(self.body(x).flatten(2).mean(2)), dim=1)


class StartsAtZero(Base):
    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class AtEachPlace(Base):
    def __init__(self):
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(16, 48), nn.GELU(), nn.Linear(48, 16))

    def forward(self, x):
        x = self.body(x)
        x = x + self.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.log_softmax(self.head(x.mean((2, 3))), dim=1)


class Attention(Base):
    def forward(self, x):
        x = self.body(x).flatten(2)
        weights = (x.transpose(1, 2) @ x / 4).softmax(-1)
        return F.log_softmax(self.head((x @ weights).mean(2)), dim=1)


class Lazy(Base):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(10)


class OwnGradMode(Base):
    def forward(self, x):
        with torch.set_grad_enabled(self.training):
            return super().forward(x)


class BlackAndWhite(Base):
    def forward(self, x):
        return super().forward((x > 0).float())


class Residual(Base):
    def __init__(self):
        super().__init__()
        self.more = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        nn.init.zeros_(self.more[1].weight)

    def forward(self, x):
        x = self.body(x)
        return F.log_softmax(self.head((x + self.more(x)).mean((2, 3))), dim=1)
