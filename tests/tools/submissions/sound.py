"""Networks that are unusual, and sound: no rule may fail them."""

import torch
from torch import nn

from .faulty import Sound


def sound(scores=None, forward=None, **layers):
    "A network with a fully connected layer over the means of 16 channels, with other layers or other methods."

    class Network(Sound):
        def scores(self, x):
            x = self.body(x)
            return scores(self, x) if scores else self.head(x.mean((2, 3)))

        def forward(self, x):
            return forward(self, x, super().forward) if forward else super().forward(x)

    Network.layers = dict(head=lambda: nn.Linear(16, 10)) | layers
    return Network


def zeros(layer):
    for p in layer.parameters():
        nn.init.zeros_(p)
    return layer


def attention(self, x):
    x = x.flatten(2)
    weights = (x.transpose(1, 2) @ x / 4).softmax(-1)
    return self.head((x @ weights).mean(2))


def at_each_place(self, x):
    x = x + self.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return self.head(x.mean((2, 3)))


def own_grad_mode(self, x, usual):
    with torch.set_grad_enabled(self.training):
        return usual(x)


SOUND = dict(
    HiddenLayer=sound(head=lambda: nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))),
    TwoPoolings=sound(
        lambda self, x: self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)), head=lambda: nn.Linear(32, 10)
    ),
    FlattenedMean=sound(lambda self, x: self.head(x.flatten(2).mean(2))),
    StartsAtZero=sound(head=lambda: zeros(nn.Linear(16, 10))),
    AtEachPlace=sound(at_each_place, mix=lambda: nn.Sequential(nn.Linear(16, 48), nn.GELU(), nn.Linear(48, 16))),
    Attention=sound(attention),
    Lazy=sound(head=lambda: nn.LazyLinear(10)),
    OwnGradMode=sound(forward=own_grad_mode),
    BlackAndWhite=sound(forward=lambda self, x, usual: usual((x > 0).float())),
    Residual=sound(
        lambda self, x: self.head((x + self.more(x)).mean((2, 3))),
        more=lambda: nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), zeros(nn.BatchNorm2d(16))),
    ),
)
