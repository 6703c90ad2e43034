import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 20, 3, bias=False),
            nn.BatchNorm2d(20),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 20, 3, bias=False),
            nn.BatchNorm2d(20),
            nn.ReLU(),
            nn.Dropout(0.0),
            nn.Conv2d(20, 20, 3, bias=False),
            nn.BatchNorm2d(20),
            nn.ReLU(),
        )
        self.fc = nn.Linear(20, 10)

    def forward(self, x):
        x = self.fc(self.features(x).mean((2, 3)))
        return F.log_softmax(x, dim=1)
