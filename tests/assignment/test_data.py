"Sources of digits, and batches of them: normalised, shuffled, and for Model 3 rotated by ±7° and shifted by ±10 %."

import gzip
import hashlib
import os
import socket
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from fastai.torch_core import TensorImageBW, default_device
from scipy import ndimage, stats
from sklearn import datasets
from torchvision.datasets import MNIST
from torchvision.transforms import InterpolationMode

from conftest import refused
from mnist_kit import sources
from mnist_kit.data import RandomAffine, affine_mats, affine_sample, dls_for, dls_of
from mnist_kit.sources import download_mnist, load_digits, load_mnist, load_source
from mnist_kit.spec import MEAN, MODEL1, MODEL3, STD

FILES, DIGITS = list(sources.MNIST_SHA256), load_digits()


# ---------------------------------------------------------------- MNIST


def test_mnist_is_what_torchvision_reads(mnist, mnist_folder, tmp_path):
    (raw := tmp_path / 'MNIST' / 'raw').mkdir(parents=True)
    for name, path in sources.find_mnist(mnist_folder).items():
        content = path.read_bytes()
        (raw / name).write_bytes(gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content)
    for (images, labels), train in zip(mnist, (True, False)):
        theirs = MNIST(tmp_path, train=train)
        assert torch.equal(images, theirs.data) and torch.equal(labels.long(), theirs.targets)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    "Four small files of MNIST's form, whose content is what MNIST's is taken to be here; MNIST_KIT_DATA is `tmp_path`."
    headers = struct.pack('>HBB3I', 0, 8, 3, 20, 28, 28), struct.pack('>HBBI', 0, 8, 1, 20)
    parts = [o[:20].numpy().tobytes() for part in DIGITS for o in part]
    contents = {name: header + o for name, header, o in zip(FILES, 2 * headers, parts)}
    for name, content in contents.items():
        monkeypatch.setitem(sources.MNIST_SHA256, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))
    return contents


def write(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def is_tiny(found):
    return all(torch.equal(a, b[:20]) for ours, theirs in zip(found, DIGITS) for a, b in zip(ours, theirs))


@pytest.mark.parametrize(
    'change',
    [lambda b: b[:-5], lambda b: b[:9] + b'\0\1\2' + b[12:], lambda b: b'', lambda b: gzip.compress(b'7')],
    ids=['truncated', 'corrupt', 'empty', 'of another data set'],
)
def test_a_file_that_is_truncated_corrupt_or_other_is_never_called_mnist(tiny, tmp_path, change):
    write(tmp_path, tiny | {FILES[3]: change(tiny[FILES[3]])})
    for source in ('mnist', 'auto'):
        refused(lambda: load_source(source), 't10k-labels', 'MNIST_KIT_DATA')


def test_swapped_images_and_labels_are_named(tiny, tmp_path):
    write(tmp_path, tiny | {FILES[2]: tiny[FILES[3]], FILES[3]: tiny[FILES[2]]})
    refused(lambda: load_source('mnist'), 'holds t10k-labels-idx1-ubyte', 'expected t10k-images-idx3-ubyte')


def test_a_data_folder_that_is_missing_or_empty_is_refused(tmp_path, monkeypatch):
    for folder, what in ((tmp_path / 'no', 'an existing folder'), (tmp_path, 'the four files'), ('', 'a folder')):
        monkeypatch.setenv('MNIST_KIT_DATA', str(folder))
        for source in ('mnist', 'auto'):
            refused(lambda: load_source(source), 'MNIST_KIT_DATA', what)


@pytest.mark.parametrize(
    'place',
    [
        lambda n: n.replace('-idx', '.idx'),  # as 7-Zip and Kaggle have it
        lambda n: f'{n}/{n}',  # Kaggle: a folder of its name
        lambda n: f'{n.replace("-idx", ".idx")}/{n.replace("-idx", ".idx")}',
        lambda n: f'{n}.gz',  # raw content under the name of a packed one
        lambda n: f'raw/{n}',
    ],
)
@pytest.mark.parametrize('packed', [False, True])
def test_mnist_is_found_under_its_usual_names_packed_or_not(tiny, tmp_path, place, packed):
    write(tmp_path, {place(k): gzip.compress(v) if packed else v for k, v in tiny.items()})
    assert is_tiny(load_mnist())


def test_no_more_of_a_file_is_read_than_mnist_has(tiny, tmp_path):
    write(tmp_path, tiny | {FILES[1]: gzip.compress(bytes(2**26), 1) * 20})  # 1.3 GiB, unpacked
    refused(load_mnist, '47,040,017 bytes', 'not MNIST')
    with open(tmp_path / FILES[1], 'wb') as f:
        f.truncate(6 * 2**30)  # sparse
    refused(load_mnist, 'more than 47,040,016 bytes')
    (tmp_path / FILES[1]).unlink()
    os.mkfifo(tmp_path / FILES[1])
    refused(load_mnist, f'without {FILES[1]}')


# ---------------------------------------------------------------- downloading


MIRRORS = dict(
    honest=lambda labels: labels,
    a_page=lambda labels: b'<html>Please log in</html>',
    cut_short=lambda labels: labels[:-9],
    damaged=lambda labels: labels[:-9] + bytes(9),
)


@pytest.fixture
def mirrors(tiny, monkeypatch, tmp_path_factory):
    "`mirrors(*names)`: torchvision's are now on this machine, and their labels are as `MIRRORS` says."
    packed, root = {f'{k}.gz': gzip.compress(v) for k, v in tiny.items()}, tmp_path_factory.mktemp('mirrors')
    labels = f'{FILES[1]}.gz'
    for name, given in MIRRORS.items():
        write(root / name, packed | {labels: given(packed[labels])})
    monkeypatch.setattr(MNIST, 'resources', [(k, hashlib.md5(v).hexdigest()) for k, v in packed.items()])
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=root)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f'http://127.0.0.1:{server.server_port}'
        yield lambda *names: monkeypatch.setattr(MNIST, 'mirrors', [f'{at}/{o}/' for o in names])
        server.shutdown()


def files_in(folder):
    return sorted(o.name for o in folder.rglob('*') if o.is_file())


def test_mnist_is_downloaded_from_torchvisions_mirrors_into_fastais_data_folder(mirrors, no_data, monkeypatch):
    mirrors('honest')
    source, *found = load_source('auto')
    assert source == 'mnist' and is_tiny(found) and files_in(no_data / 'fastai') == sorted(FILES)
    monkeypatch.setattr(MNIST, 'mirrors', [])
    assert load_source('mnist')[0] == 'mnist'  # the second time it is there


@pytest.mark.parametrize('fault', ['not_there', 'a_page', 'cut_short', 'damaged'])
def test_a_mirror_that_misbehaves_is_left_for_the_next_one(fault, mirrors, tmp_path):
    mirrors(fault)
    refused(lambda: download_mnist(tmp_path), 'cannot be downloaded', 'expected a network connection')
    assert files_in(tmp_path) == [], 'nothing is left behind'
    mirrors(fault, 'honest')
    with get_context('fork').Pool(2) as two:  # at once
        two.map(download_mnist, 2 * [tmp_path], chunksize=1)
    assert is_tiny(load_mnist()) and files_in(tmp_path) == sorted(FILES)


def test_a_mirror_that_sends_nothing_and_a_folder_that_cannot_be_written_are_said_in_one_line(
    mirrors, tmp_path, monkeypatch
):
    mirrors('honest')
    (tmp_path / 'file').touch()
    refused(lambda: download_mnist(tmp_path / 'file'), 'cannot be downloaded', 'file')
    with socket.create_server(('127.0.0.1', 0)) as server:
        stalls, good = f'http://127.0.0.1:{server.getsockname()[1]}/', MNIST.mirrors
        monkeypatch.setattr(MNIST, 'mirrors', [stalls])
        refused(lambda: download_mnist(tmp_path, timeout=0.5), 'cannot be downloaded', 'timed out')
        assert files_in(tmp_path) == ['file'] and socket.getdefaulttimeout() is None
        monkeypatch.setattr(MNIST, 'mirrors', [stalls, *good])
        download_mnist(tmp_path, timeout=0.5)
    assert files_in(tmp_path) == sorted([*FILES, 'file'])


@pytest.mark.parametrize('home, said', [(True, 'cannot be downloaded'), (False, "fastai's data folder cannot be used")])
def test_without_a_network_auto_takes_digits_and_says_so(no_data, monkeypatch, capsys, home, said):
    "Nor is a home that fastai cannot use a reason to stop."
    if not home:
        monkeypatch.setattr(sources, 'fastai_path', lambda folder: 1 / 0)
    assert load_source('auto')[0] == 'digits'
    out = capsys.readouterr().out
    assert said in out and 'no figure that follows is an MNIST figure' in out
    refused(lambda: load_source('mnist'), said, 'MNIST_KIT_DATA', 'digits')


def test_digits_are_scikit_learns_1797_images_in_mnists_form():
    (x, y), (xt, yt) = DIGITS
    both = torch.cat([x, xt]).numpy()
    assert both.shape == (1797, 28, 28) and (both.min(), both.max()) == (0, 255)
    assert np.array_equal(np.bincount(torch.cat([y, yt])), np.bincount(datasets.load_digits().target))
    centres = np.array([ndimage.center_of_mass(o) for o in both])
    assert np.abs(centres - 13.5).max() <= 0.5 + 1e-6  # the nearest whole pixel


# ---------------------------------------------------------------- batches


@pytest.fixture
def dls(few_digits):
    return dls_for(MODEL3.recipe, source='digits', seed=0)


def test_images_stay_on_the_device_as_bytes_and_the_last_small_batch_is_kept(dls):
    assert [len(y) for _, y in dls.train] == [128, 250 - 128] and len(dls.train) == 2
    assert dls.device == default_device()
    dls.to('meta')  # a device without memory, that every machine has
    for dl in dls.loaders:
        assert dl.dataset.images.dtype == torch.uint8
        assert dl.dataset.images.device.type == dl.dataset.labels.device.type == 'meta'


def test_validation_batches_are_normalised_and_not_augmented(dls):
    ((x, y),) = list(dls.valid)
    ds = dls.valid_ds
    assert torch.allclose(x, (ds.images / 255 - MEAN) / STD, atol=1e-5) and torch.equal(y, ds.labels)


def test_holdout_sets_the_same_training_images_aside_for_every_seed_and_keeps_the_test_images_apart(few_digits):
    whole, a, b = (dls_for(MODEL3.recipe, source='digits', holdout=n, seed=s) for n, s in ((0, 0), (100, 1), (100, 2)))
    assert torch.equal(a[2].dataset.images, whole.valid_ds.images)
    assert len(a.valid_ds) == 100 and torch.equal(a.valid_ds.images, b.valid_ds.images)
    parts = torch.cat([a.train_ds.images, a.valid_ds.images]).flatten(1).tolist()
    assert sorted(parts) == sorted(whole.train_ds.images.flatten(1).tolist())
    refused(lambda: dls_for(MODEL3.recipe, source='digits', holdout=250), 'holdout=250', '250')


# ---------------------------------------------------------------- augmentation


@pytest.mark.parametrize('angle, dx, dy', [(-7, 0, 0), (45, 0, 0), (0, 2, 0), (0, -2.8, 1.3), (7, 2, -1)])
def test_rotation_comes_first_and_translation_second_as_in_torchvisions_affine(angle, dx, dy):
    images = torch.rand(32, 1, 28, 28)
    ours = affine_sample(images, affine_mats(*(torch.full((32,), o) for o in (float(angle), dx / 28, dy / 28))))
    theirs = TF.affine(images, angle, [dx, dy], 1, [0], InterpolationMode.BILINEAR)
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_rotation_stays_within_seven_degrees_and_translation_within_ten_percent_and_each_image_has_its_own():
    torch.manual_seed(0)
    tfm = RandomAffine(MODEL3.recipe.max_rotate, MODEL3.recipe.max_translate)
    tfm(TensorImageBW(torch.zeros(20000, 1, 28, 28)), split_idx=0)
    m = tfm.mat.double()  # where in the old image: first the shift undone, then the rotation
    rotation, offset = m[:, :, :2], m[:, :, 2:]
    angles = torch.atan2(rotation[:, 0, 1], rotation[:, 0, 0]).rad2deg()
    drawn = torch.stack([angles, *(-(rotation.mT @ offset) / 2).squeeze(2).T])
    for values, limit in zip(drawn, (7, 0.1, 0.1)):
        assert values.abs().max() <= limit * (1 + 1e-5)
        assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.01
    neighbours = torch.cat([drawn[:, 1:], drawn[:, :-1]])
    assert (neighbours.corrcoef() - torch.eye(6)).abs().max() < 0.03  # 20,000 draws: four standard errors


def test_augmentation_differs_in_every_epoch_and_in_training_only(dls):
    def same(dl):
        dl = dl.new(shuffle=False)
        return [torch.equal(a, b) for a, b in zip(dl.one_batch()[0], dl.one_batch()[0])]

    both = dls_of(dls.train_ds, dls.train_ds, recipe=MODEL3.recipe)  # the same images, to train and to validate on
    assert not any(same(both.train)) and all(same(both.valid))
    assert all(same(dls_for(MODEL1.recipe, source='digits').train)), 'Models 1 and 2 see the images as they are'
