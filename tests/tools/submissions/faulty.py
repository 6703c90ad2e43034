"""Networks with one fault each; `BREAKS` says which rule it breaks. `Sound` has none."""

import torch
import torch.nn.functional as F
from torch import nn


def block(ni, nf, ks=3):
    return nn.Sequential(nn.Conv2d(ni, nf, ks, bias=False), nn.BatchNorm2d(nf), nn.ReLU())


class Sound(nn.Module):
    "5,106 parameters: what the faulty ones are made from."

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            block(1, 8),
            block(8, 16),
            nn.MaxPool2d(2),
            block(16, 8, 1),
            block(8, 16),
            block(16, 16),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Conv2d(16, 10, 1)

    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)).flatten(1), dim=1)


class OverBudget(Sound):
    def __init__(self):
        super().__init__()
        self.body[4] = block(8, 32)
        self.body[5] = block(32, 16)


class Logits(Sound):
    def forward(self, x):
        return self.head(self.body(x)).flatten(1)


class Probabilities(Sound):
    def forward(self, x):
        return super().forward(x).exp()


class SoftmaxTwice(Sound):  # on images of 14×14: it takes all 600 steps
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.AvgPool2d(2), *self.body)

    def forward(self, x):
        return F.log_softmax(super().forward(x).exp(), dim=1)


class DenseHead(Sound):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(1, 4), nn.MaxPool2d(4), block(4, 8), nn.Flatten())
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)), dim=1)


class DenseAfterPooling(Sound):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(1, 4), block(4, 8), nn.MaxPool2d(6), nn.Flatten())
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)), dim=1)


class DenseInDisguise(DenseHead):
    def forward(self, x):
        return F.log_softmax(torch.einsum('ni,oi->no', self.body(x), self.head.weight) + self.head.bias, dim=1)


class NoBatchNorm(Sound):
    def __init__(self):
        super().__init__()
        for o in self.body:
            if isinstance(o, nn.Sequential):
                o[1] = nn.Identity()


class NotInTheGraph(Sound):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return super().forward(x * self.scale.item())


class DeadReLU(Sound):
    def __init__(self):
        super().__init__()
        self.body[0] = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
        nn.init.constant_(self.body[0][0].bias, -100.0)


class AlwaysDropsOut(Sound):
    def forward(self, x):
        return F.log_softmax(self.head(F.dropout(self.body(x), 0.2)).flatten(1), dim=1)


class Remembers(Sound):
    def __init__(self):
        super().__init__()
        self.register_buffer('calls', torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class ChangesImages(Sound):
    def forward(self, x):
        x -= x.mean((1, 2, 3), keepdim=True)
        return super().forward(x)


class LooksAtNeighbours(Sound):
    def __init__(self):
        super().__init__()
        self.body[0][1] = nn.BatchNorm2d(8, track_running_stats=False)


class ChannelsLast(Sound):  # wants (N, 28, 28, 1)
    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2))


class Raises(Sound):
    def forward(self, x):
        raise RuntimeError('one\ntwo')


class FixedBatch(Sound):
    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)).view(128, 10), dim=1)


class ElevenDigits(Sound):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(16, 11, 1)


class Maps(Sound):
    def forward(self, x):
        return F.log_softmax(self.head(self.body(x)), dim=1)


class NaN(Sound):
    def forward(self, x):
        return super().forward(
            (x - x.flatten(1).min(1).values[:, None, None, None]) / x.flatten(1).std(1)[:, None, None, None]
        )


class Corner(Sound):
    def forward(self, x):
        return super().forward(x[..., 7:22, 7:22])


class UnusedBatchNorm(NoBatchNorm):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(16, affine=False)


class InAList(Sound):
    def __init__(self):
        super().__init__()
        self.more = [nn.Conv2d(1, 1, 1)]

    def forward(self, x):
        return super().forward(self.more[0](x))


class EvaluatesAlways(Sound):
    def forward(self, x):
        self.eval()
        return super().forward(x)


class LogitsInTraining(Sound):
    def forward(self, x):
        out = self.head(self.body(x)).flatten(1)
        return out if self.training else F.log_softmax(out, dim=1)


class DenseOverFewPixels(Sound):
    def __init__(self):
        super().__init__()
        self.body = self.body[:5]
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        maps = F.adaptive_avg_pool2d(self.body(x).mean(1, keepdim=True), 4)
        return F.log_softmax(self.head(maps.flatten(1)), dim=1)


class NeverEnds(Sound):
    def forward(self, x):
        while True:
            pass


class Hog(Sound):
    def forward(self, x):
        self.more = torch.zeros(4096, 2**18)
        return super().forward(x)


class Leaves(Sound):
    def forward(self, x):
        import os

        os._exit(3)


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


BREAKS = dict(
    budget='OverBudget',
    log_probabilities='Logits Probabilities LogitsInTraining',
    overfits_one_batch='SoftmaxTwice',
    convolutional='DenseHead DenseAfterPooling DenseInDisguise DenseOverFewPixels',
    batch_normalisation='NoBatchNorm UnusedBatchNorm',
    gradients='NotInTheGraph DeadReLU InAList',
    deterministic='AlwaysDropsOut Remembers',
    leaves_images_alone='ChangesImages',
    ignores_neighbours='LooksAtNeighbours',
    runs='ChannelsLast Raises EvaluatesAlways',
    shape='FixedBatch ElevenDigits Maps',
    finite='NaN',
    receptive_field='Corner',
    finishes='NeverEnds Hog Leaves',
    quiet='Prints',
    loads='WantsArguments ForgetsSuper',
)
