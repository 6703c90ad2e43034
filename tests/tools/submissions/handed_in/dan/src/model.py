# ruff: noqa
import torch.nn as nn
import torch.nn.functional as F
from utils import *
from src.config import WIDTH
from .layers import Scale
from .parts import CLASSES


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            norm(8),
            nn.ReLU(),
            nn.Conv2d(8, WIDTH, 3, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.MaxPool2d(2),
            Scale(WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Dropout(0.0),
            nn.Conv2d(WIDTH, WIDTH, 3, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
        )
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        x = self.fc(self.features(x).mean((2, 3)))
        return F.log_softmax(x, dim=1)
