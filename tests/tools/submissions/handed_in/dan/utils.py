# ruff: noqa
import torch.nn as nn


def norm(nf):
    return nn.BatchNorm2d(nf)
