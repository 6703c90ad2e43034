"""A class as it hands in: a folder for each student, and in each another difficulty around the same network."""

import json
from pathlib import Path

TORCH = 'import torch.nn as nn\nimport torch.nn.functional as F\n'
NET = """

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Dropout(0.0),
            nn.Conv2d(16, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.fc(self.features(x).mean((2, 3)))
        return F.log_softmax(x, dim=1)
"""


def net(changes):
    "The network, with other texts in place of some of it."
    text = NET
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


ADA = [  # the cells of a notebook
    '!pip install torchsummary\n%matplotlib inline\nimport torch\nfrom google.colab import drive\n' + TORCH,
    "drive.mount('/content/drive')\nfrom torchsummary import summary\ndrop = 0.05\n"
    "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
    net({'16, 10': '16, 11'}),
    '%%bash\nls data',
    net({'0.0': 'drop'}),
    'model = Net().to(device)\nsummary(model, input_size=(1, 28, 28))',
    '%%time\nfiles = !ls\ndef train(model, loader):\n    for x, y in loader: F.nll_loss(model(x), y).backward()',
    'for epoch in range(20):\n    train(model, train_loader)',
    '?train',
    'def unfinished(:',
]

CLEO = """

class Block(nn.Sequential):
    def __init__(self, ni, nf): super().__init__(nn.Conv2d(ni, nf, 3, bias=False), nn.BatchNorm2d(nf), nn.ReLU())
class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(1, 8)
    def forward(self, x): return self.block(x)
class Flat(nn.Module):
    def forward(self, x): return x.flatten(1)
class Base(nn.Module):
    width = 8
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            Stem(), Block(8, 16), nn.MaxPool2d(2), Block(16, self.width), Block(self.width, 16)
        )
        self.fc = nn.Sequential(nn.AdaptiveAvgPool2d(1), Flat(), nn.Linear(16, 10))
    def forward(self, x): raise NotImplementedError
class Model_1(Base):
    width = 96
    def forward(self, x): return F.log_softmax(self.fc(self.features(x)), dim=1)
class Model_2(Model_1):
    width = 8
    def forward(self, x): return super().forward(x).view(4, 7)
class Model_3(Model_1):
    width = 16
"""

LAYERS = """import torch
import torch.nn as nn
class Scale(nn.Module):
    def __init__(self, nf):
        super().__init__()
        self.by = nn.Parameter(torch.ones(1, nf, 1, 1))
    def forward(self, x): return x * self.by
"""

TRAINING = """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
while True:
    loss = F.nll_loss(model(torch.zeros(8, 1, 28, 28)), torch.zeros(8).long())
    loss.backward()
    optimizer.step()
    print(f'loss {loss.item():.9f}', 'and' * 20)
"""

DAN = 'from utils import *\nfrom src.config import WIDTH\nfrom .layers import Scale\n'
DAN += net({'nn.BatchNorm2d(8)': 'norm(8)', 'MaxPool2d(2),': 'MaxPool2d(2), Scale(WIDTH),'})
EVE = 'import albumentations as A\nimport seaborn as sns\nfrom torchsummary import summary\n'
EVE += f'class Transforms(A.ImageOnlyTransform): pass\n{NET}\nsns.set()\nsummary(Net(), (1, 28, 28))\n'
NIA = 'class Block(nn.Sequential):\n    def __init__(self, nf): super().__init__(nn.BatchNorm2d(nf), nn.ReLU())\n'
NIA += net({'super()': 'super(Model, self)', 'nn.BatchNorm2d(8), nn.ReLU()': 'Block(8)'})

FILES = {
    # a script that was made from a notebook
    'ben/assignment.py': f"# coding: utf-8\n\nget_ipython().system('pip install torchsummary')\n{TORCH}{NET}\n"
    "model = Net()\nget_ipython().run_cell_magic('time', '', 'train(model)')\n",
    # several networks, and parts of them
    'cleo/models.py': TORCH + CLEO,
    # a package of one's own, with names of Python's among its files
    'dan/train.py': 'from src.model import Net\n\nprint(Net())\n',
    'dan/utils.py': 'import torch.nn as nn\n\n\ndef norm(nf):\n    return nn.BatchNorm2d(nf)\n',
    'dan/src/config.py': 'WIDTH = 16\n',
    'dan/src/layers.py': LAYERS,
    'dan/src/model.py': TORCH + DAN,
    **{f'dan/src/{o}.py': '1 / 0' for o in ('random', 'profile', 'decimal', 'json')},
    # modules that are not installed here, and only print or draw
    'eve/model.py': TORCH + EVE,
    # a GPU that is not there
    'finn/model.py': f"{TORCH}{NET}\nmodel = Net().to('cuda:63')\n",
    # images that are not there
    'gil/model.py': f"{TORCH}from torchvision import datasets\nimages = datasets.MNIST('data', download=False)\n{NET}",
    # a training without end
    'hana/model.py': f'import torch\n{TORCH}{NET}{TRAINING}',
    # an argument without a default
    'ida/model.py': TORCH + net({'(self)': '(self, drop)', '0.0': 'drop'}),
    'jon/report.md': 'It is nearly done.\n',
    # a layer from a module that nobody has
    'kim/model.py': f'{TORCH}from layers_of_kim import GhostNorm\n' + net({'nn.BatchNorm2d(8)': 'GhostNorm(8)'}),
    # raw scores
    'lea/model.py': TORCH + net({'return F.log_softmax(x, dim=1)': 'return x'}),
    # several classes, and none that can be made
    'nia/model.py': TORCH + NIA,
    # a class without the imports that it needs
    'ola/model.py': 'drop = 0.0\n' + net({'0.0': 'drop'}),
    # a class that only holds the network
    'pia/model.py': f'{TORCH}class Models:' + NET.replace('\n', '\n    '),
    'zoe/work.zip': '',
}


def write(folder: Path):
    "Write what was handed in."
    cells = [dict(cell_type='code', source=o.splitlines(keepends=True)) for o in ADA]
    cells.insert(0, dict(cell_type='markdown', source=['# Session 6']))
    notebook = json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5))
    for name, text in {'ada/S6.ipynb': notebook, **FILES}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
