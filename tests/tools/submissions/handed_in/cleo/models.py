import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Sequential):
    def __init__(self, ni, nf):
        super().__init__(nn.Conv2d(ni, nf, 3, bias=False), nn.BatchNorm2d(nf), nn.ReLU())


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(1, 8)

    def forward(self, x):
        return self.block(x)


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class Base(nn.Module):
    width = 8

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            Stem(), Block(8, 16), nn.MaxPool2d(2), Block(16, self.width), Block(self.width, 16)
        )
        self.fc = nn.Sequential(nn.AdaptiveAvgPool2d(1), Flat(), nn.Linear(16, 10))

    def forward(self, x):
        raise NotImplementedError


class Model_1(Base):
    width = 96

    def forward(self, x):
        return F.log_softmax(self.fc(self.features(x)), dim=1)


class Model_2(Base):
    def forward(self, x):
        return F.log_softmax(self.fc(self.features(x)).view(4, 7), dim=1)


class Model_3(Base):
    width = 16

    def forward(self, x):
        return F.log_softmax(self.fc(self.features(x)), dim=1)
