"What several tests share: where MNIST is, small learners, and the command line."

import os

os.environ.setdefault('MPLBACKEND', 'Agg')

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mnist_kit import sources
from mnist_kit.tools.grade import split_name
from mnist_kit.sources import find_mnist, load_digits, load_mnist
from mnist_kit.core import InputError
from mnist_kit.spec import SPECS
from fastai.data.external import fastai_path
from fastai.torch_core import default_device

default_device(False)  # on the CPU, wherever the tests run: expected values are compared bit for bit

ROOT = Path(__file__).parent.parent


@pytest.fixture
def on_gpu():
    "Here fastai may use the GPU. Without one, the test is skipped."
    if not torch.cuda.is_available():
        pytest.skip('needs a GPU')
    default_device(None)
    yield
    default_device(False)


def pytest_addoption(parser):
    parser.addoption('--model', metavar='student.py:Net', help="check this model by the assignment's rules, only")
    parser.addoption('--run', metavar='FOLDER', help='with --model: the run of its training, to be checked, too')


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: takes more than some ten seconds')
    config.addinivalue_line('markers', "assignment: the assignment's rules, which --model turns on another model")
    try:
        split_name(config.getoption('--model') or 'model3')
    except InputError as e:
        raise pytest.UsageError(str(e)) from e


def pytest_generate_tests(metafunc):
    if 'submission' in metafunc.fixturenames:
        asked = metafunc.config.getoption('--model')
        metafunc.parametrize('submission', [asked] if asked else list(SPECS), scope='session')


def pytest_collection_modifyitems(config, items):
    if config.getoption('--model'):
        others = [o for o in items if not o.get_closest_marker('assignment')]
        config.hook.pytest_deselected(items=others)
        items[:] = [o for o in items if o.get_closest_marker('assignment')]


@pytest.fixture(scope='session')
def mnist_folder():
    "The folder of a copy of MNIST that is already here; skips the test if there is none."
    folder = os.environ.get('MNIST_KIT_DATA') or fastai_path('data')
    try:
        find_mnist(folder)
    except InputError as e:
        pytest.skip(f'needs MNIST: {e}')
    return folder


@pytest.fixture(scope='session')
def mnist(mnist_folder):
    "MNIST as ((images, labels), (images, labels))."
    return load_mnist(download=False)


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    "A machine without MNIST and without a network: an empty home, and mirrors that refuse to answer."
    monkeypatch.delenv('MNIST_KIT_DATA', raising=False)
    monkeypatch.setattr(sources, 'fastai_path', lambda folder: tmp_path / 'fastai' / folder)
    monkeypatch.setattr(sources.MNIST, 'mirrors', ['http://127.0.0.1:9/'])
    return tmp_path


def quiet(learn):
    "`learn` without progress bar and without table."
    learn.remove_cb(learn.progress)
    learn.logger = lambda *a: None
    return learn


@pytest.fixture(scope='module')
def few_digits():
    "scikit-learn's digits are only 250 here, and 100 to test on."
    few = tuple((x[:n], y[:n]) for (x, y), n in zip(load_digits(), (250, 100)))
    with pytest.MonkeyPatch.context() as m:
        m.setattr(sources, 'load_digits', lambda: few)
        yield


def cells(path, kind):
    "The cells of a notebook that are `code` or `markdown`, each with its source as one text."
    found = json.loads((ROOT / path).read_text(encoding='utf-8'))['cells']
    return [c | {'source': ''.join(c['source'])} for c in found if c['cell_type'] == kind]


def run_python(*args, **kwargs):
    "A Python of its own, with the output as text."
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=300, **kwargs)


def command(name, *args):
    "A command of this kit, as a list for `subprocess`."
    return [sys.executable, '-W', 'ignore', str(Path(sys.executable).with_name(name)), *map(str, args)]


def refused(f, *parts):
    "`f()` raises an `InputError` whose message is one line and has all of `parts`."
    with pytest.raises(InputError) as e:
        f()
    assert '\n' not in str(e.value) and all(p in str(e.value) for p in parts), str(e.value)
