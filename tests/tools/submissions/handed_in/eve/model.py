import torch.nn as nn
import torch.nn.functional as F
import albumentations as A
import seaborn as sns
from torchsummary import summary


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Dropout(0.0),
            nn.Conv2d(16, 16, 3, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.fc(self.features(x).mean((2, 3)))
        return F.log_softmax(x, dim=1)


class Transforms(A.ImageOnlyTransform):
    pass


sns.set()
summary(Net(), (1, 28, 28))
