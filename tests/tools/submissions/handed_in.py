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


def changed(*pairs):
    "The network, with each first text of `pairs` in place of the second."
    text = NET
    for new, old in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


ADA = [  # the cells of a notebook
    """!pip install torchsummary
%matplotlib inline
import torch
import torch.optim as optim
import torch.nn as nn
import torch.nn.functional as F
from torchsummary import summary
from google.colab import drive""",
    """drive.mount('/content/drive')
drop = 0.05
use_cuda = torch.cuda.is_available()
device = torch.device('cuda' if use_cuda else 'cpu')""",
    changed(('16, 11', '16, 10')),
    '%%bash\nls data',
    changed(('drop', '0.0')),
    'model = Net().to(device)\nsummary(model, input_size=(1, 28, 28))',
    """%%time
files = !ls
def train(model, loader):
    for x, y in loader:
        F.nll_loss(model(x), y).backward()""",
    """from torchvision import datasets
train_loader = torch.utils.data.DataLoader(datasets.MNIST('/content/drive/data', download=True), batch_size=128)
for epoch in range(20):
    train(model, train_loader)""",
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
class Model_2(Base):
    def forward(self, x): return F.log_softmax(self.fc(self.features(x)).view(4, 7), dim=1)
class Model_3(Base):
    width = 16
    def forward(self, x): return F.log_softmax(self.fc(self.features(x)), dim=1)
"""

FILES = {
    # a script that was made from a notebook
    'ben/assignment.py': """# ruff: noqa
# coding: utf-8

get_ipython().system('pip install torchsummary')
get_ipython().run_line_magic('matplotlib', 'inline')
"""
    + TORCH
    + NET
    + "\n\nmodel = Net()\nget_ipython().run_cell_magic('time', '', 'train(model)')\n",
    # several networks, and parts of them
    'cleo/models.py': TORCH + CLEO,
    # a package of one's own
    'dan/train.py': 'from src.model import Net\n\nprint(Net())\n',
    'dan/utils.py': '# ruff: noqa\nimport torch.nn as nn\n\n\ndef norm(nf):\n    return nn.BatchNorm2d(nf)\n',
    'dan/src/config.py': 'WIDTH = 16\n',
    'dan/src/parts.py': 'CLASSES = 10\n',
    'dan/src/layers.py': """import torch
import torch.nn as nn
class Scale(nn.Module):
    def __init__(self, nf):
        super().__init__()
        self.by = nn.Parameter(torch.ones(1, nf, 1, 1))
    def forward(self, x): return x * self.by
""",
    'dan/src/model.py': '# ruff: noqa\n'
    + TORCH
    + 'from utils import *\nfrom src.config import WIDTH\nfrom .layers import Scale\nfrom .parts import CLASSES\n'
    + changed(
        ('WIDTH', '16'),
        ('CLASSES', '10'),
        ('norm(8)', 'nn.BatchNorm2d(8)'),
        ('nn.MaxPool2d(2),\n            Scale(WIDTH),', 'nn.MaxPool2d(2),'),
    ),
    # modules that are not installed here, and only print or draw
    'eve/model.py': TORCH
    + 'import albumentations as A\nimport seaborn as sns\nfrom torchsummary import summary\n'
    + NET
    + '\n\nclass Transforms(A.ImageOnlyTransform):\n    pass\n\n\nsns.set()\nsummary(Net(), (1, 28, 28))\n',
    # a GPU that is not there
    'finn/model.py': TORCH + NET + "\n\nmodel = Net().to('cuda:63')\n",
    # images that are not there
    'gil/model.py': TORCH
    + "from torchvision import datasets\n\nimages = datasets.MNIST('data', train=True, download=False)\n"
    + NET,
    # a training without end
    'hana/model.py': TORCH
    + 'import torch\n'
    + NET
    + """

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
while True:
    loss = F.nll_loss(model(torch.zeros(8, 1, 28, 28)), torch.zeros(8).long())
    loss.backward()
    optimizer.step()
    print(f'loss {loss.item():.9f}', 'and' * 20)
""",
    # an argument without a default
    'ida/model.py': TORCH + changed(('__init__(self, drop)', '__init__(self)'), ('Dropout(drop)', 'Dropout(0.0)')),
    'jon/report.md': 'It is nearly done.\n',
    # a layer from a module that nobody has
    'kim/model.py': TORCH + 'from layers_of_kim import GhostNorm\n' + changed(('GhostNorm(8)', 'nn.BatchNorm2d(8)')),
    # a class that only holds the network
    'pia/model.py': TORCH + '\n\nclass Models:' + NET.rstrip().replace('\n\n\n', '\n').replace('\n', '\n    ') + '\n',
    # several classes, and none that can be made
    'nia/model.py': TORCH
    + '\n\nclass Block(nn.Sequential):\n    def __init__(self, nf):\n        super().__init__(nn.BatchNorm2d(nf), nn.ReLU())\n'
    + changed(('super(Model, self)', 'super()'), ('Block(8)', 'nn.BatchNorm2d(8), nn.ReLU()')),
    # a class without the imports that it needs
    'ola/model.py': '# ruff: noqa\ndrop = 0.0\n' + changed(('nn.Dropout(drop)', 'nn.Dropout(0.0)')),
    # raw scores
    'lea/model.py': 'import torch.nn as nn\n' + changed(('return x', 'return F.log_softmax(x, dim=1)')),
    # for another edition
    'moe/model.py': TORCH + changed(('20', '16')),
}


def write(folder: Path):
    "Write what was handed in."
    cells = [dict(cell_type='code', source=o.strip('\n').splitlines(keepends=True)) for o in ADA]
    cells.insert(0, dict(cell_type='markdown', source=['# Session 6']))
    notebook = json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5))
    for name, text in {'ada/S6.ipynb': notebook, **FILES}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
