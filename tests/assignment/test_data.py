"Sources of digits, and batches of them: normalised, shuffled, and for Model 3 rotated by ±7° and shifted by ±10 %."

import gzip
import os
import shutil
import threading
import time
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from fastai.torch_core import TensorImageBW
from torchvision.datasets import MNIST
from torchvision.transforms import InterpolationMode

from mnist_kit import sources
from mnist_kit.core import InputError
from mnist_kit.data import DigitDataset, RandomAffine, dls_for, dls_of
from mnist_kit.sources import download_mnist, load_digits, load_mnist, load_source
from mnist_kit.spec import MEAN, MODEL1, MODEL3, STD

FILES = list(sources.MNIST_SHA256)


def one_line(e, *parts):
    "The message is one line and names all of `parts`."
    message = str(e.value)
    assert '\n' not in message and all(p in message for p in parts), message


# ---------------------------------------------------------------- MNIST


def unpacked(folder, to):
    "The four files of MNIST in `folder`, uncompressed in `to`."
    to.mkdir(parents=True, exist_ok=True)
    for name, path in sources.find_mnist(folder).items():
        content = path.read_bytes()
        (to / name).write_bytes(gzip.decompress(content) if path.suffix == '.gz' else content)
    return to


def test_mnist_has_60000_training_and_10000_test_images_of_28x28(mnist):
    (x, y), (xt, yt) = mnist
    assert (x.shape, y.shape, xt.shape, yt.shape) == ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
    assert x.dtype == torch.uint8


def test_raw_and_gzipped_files_give_what_torchvision_reads(mnist, mnist_folder, tmp_path, monkeypatch):
    unpacked(mnist_folder, tmp_path / 'MNIST' / 'raw')
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))  # torchvision's root will do, too
    for train, ours, again in zip((True, False), mnist, load_mnist()):
        theirs = MNIST(tmp_path, train=train)
        for a, b, c in zip(ours, (theirs.data, theirs.targets), again):
            assert torch.equal(a.long(), b.long()) and torch.equal(a, c)


def test_normalised_training_data_has_mean_0_and_standard_deviation_1_to_three_digits(mnist):
    dls = dls_for(MODEL1.recipe, source='mnist')
    pixels = torch.cat([x for x, _ in dls.train]).double()
    assert len(pixels) == 60000
    assert abs(pixels.mean()) < 5e-4 and abs(pixels.std() - 1) < 5e-4


def damaged(folder, tmp_path, **changes):
    "A folder like `folder`, with the content of some files changed."
    for name, path in sources.find_mnist(folder).items():
        shutil.copy(path, tmp_path / path.name)
    for name, change in changes.items():
        path = next(tmp_path.glob(name.replace('_', '-') + '*'))
        path.write_bytes(change(path.read_bytes()))
    return tmp_path


@pytest.mark.parametrize(
    'what, change',
    [
        ('truncated', lambda b: b[:-1000]),
        ('corrupt', lambda b: b[:3000] + b'\0\1\2' + b[3003:]),
        ('empty', lambda b: b''),
        ('of another data set', lambda b: gzip.compress(bytes(10008))),
    ],
)
@pytest.mark.parametrize('source', ['mnist', 'auto'])
def test_a_file_that_is_truncated_corrupt_or_other_is_never_called_mnist(
    mnist_folder, tmp_path, monkeypatch, source, what, change
):
    monkeypatch.setenv('MNIST_KIT_DATA', str(damaged(mnist_folder, tmp_path, t10k_labels=change)))
    with pytest.raises(InputError) as e:
        load_source(source)
    one_line(e, 't10k-labels', 'MNIST_KIT_DATA')


def test_swapped_images_and_labels_are_named(mnist_folder, tmp_path, monkeypatch):
    raw = unpacked(mnist_folder, tmp_path)
    images, labels = raw / FILES[2], raw / FILES[3]
    images.rename(raw / 'x'), labels.rename(images), (raw / 'x').rename(labels)
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))
    with pytest.raises(InputError) as e:
        load_source('mnist')
    one_line(e, 'holds t10k-labels-idx1-ubyte', 'expected t10k-images-idx3-ubyte')


@pytest.mark.parametrize('source', ['mnist', 'auto'])
def test_a_data_folder_that_is_missing_or_empty_is_refused(tmp_path, monkeypatch, source):
    for folder, what in (
        (tmp_path / 'nowhere', 'an existing folder'),
        (tmp_path, 'the four files'),
        ('', 'a folder'),
    ):
        monkeypatch.setenv('MNIST_KIT_DATA', str(folder))
        with pytest.raises(InputError) as e:
            load_source(source)
        one_line(e, 'MNIST_KIT_DATA', what)


def test_an_unknown_source_is_refused():
    with pytest.raises(InputError) as e:
        load_source('cifar')
    one_line(e, "source 'cifar'", 'auto, mnist, digits')


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
def test_mnist_is_found_under_its_usual_names_packed_or_not(mnist, mnist_folder, tmp_path, monkeypatch, place, packed):
    for name, path in sources.find_mnist(mnist_folder).items():
        content = path_content(path)
        (to := tmp_path / place(name)).parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(gzip.compress(content, 1) if packed else content)
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))
    assert all(torch.equal(a, b) for ours, theirs in zip(load_mnist(), mnist) for a, b in zip(ours, theirs))


def test_no_more_of_a_file_is_read_than_mnist_has(mnist_folder, tmp_path, monkeypatch):
    unpacked(mnist_folder, tmp_path)
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))
    name = FILES[1]
    (tmp_path / name).write_bytes(bomb())
    with pytest.raises(InputError) as e:
        load_mnist()
    one_line(e, 'more than 47,040,016 bytes unpacked', 'not MNIST')
    with open(tmp_path / name, 'wb') as f:
        f.truncate(6 * 2**30)  # sparse
    with pytest.raises(InputError) as e:
        load_mnist()
    one_line(e, 'more than 47,040,016 bytes')
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError) as e:
        load_mnist()
    one_line(e, f'without {name}')


@pytest.mark.parametrize('label', [True, False])
@pytest.mark.parametrize('header', [True, False])
def test_digits_are_read_from_a_table_with_or_without_labels_and_header(tmp_path, label, header):
    x, y = load_digits()[1]
    columns = [['label'] * label + [f'pixel{i}' for i in range(784)]] * header
    lines = [[int(y[i])] * label + x[i].flatten().tolist() for i in range(5)]
    (tmp_path / 'a.csv').write_text('\n'.join(','.join(map(str, o)) for o in columns + lines))
    ds = DigitDataset.from_csv(tmp_path / 'a.csv')
    assert torch.equal(ds.images[:, 0], x[:5]) and ds.source == 'csv'
    assert torch.equal(ds.labels, y[:5].long()) if label else ds.labels is None


@pytest.mark.parametrize(
    'content', ['', '1,2\n', '1,2\n3,4,5\n', '7' + ',0' * 783 + ',300', '-1' + ',0' * 784, 'a,b\nc,d']
)
def test_a_table_of_something_else_is_refused_in_one_line(tmp_path, content):
    (tmp_path / 'a.csv').write_text(content)
    for path in (tmp_path / 'a.csv', tmp_path / 'b.csv'):
        with pytest.raises(InputError) as e:
            DigitDataset.from_csv(path)
        one_line(e, path.name, 'expected a line for each image')


def test_an_archive_of_something_else_is_refused_in_one_line(tmp_path):
    np.savez(tmp_path / 'a.npz', x_train=np.zeros((3, 28, 28)), y_train=np.zeros(3))
    np.savez(tmp_path / 'b.npz', x_train=np.array([{}], dtype=object), y_train=np.zeros(3))
    (tmp_path / 'c.npz').write_bytes(b'nonsense')
    np.save(tmp_path / 'd.npy', np.zeros(3))
    for name in ('a.npz', 'b.npz', 'c.npz', 'd.npy', 'e.npz'):
        with pytest.raises(InputError) as e:
            DigitDataset.from_npz(tmp_path / name)
        one_line(e, 'expected')


# ---------------------------------------------------------------- downloading


@pytest.fixture
def mirror(monkeypatch):
    "Serve a folder on this machine, and make it torchvision's only mirror."
    servers = []

    def serve(folder):
        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=folder))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(MNIST, 'mirrors', [f'http://127.0.0.1:{server.server_port}/'])

    yield serve
    for o in servers:
        o.shutdown()
        o.server_close()


def test_mnist_is_downloaded_with_torchvision_into_fastais_data_folder(
    mnist, mnist_folder, no_data, mirror, monkeypatch
):
    if not all((mnist_folder / f'{name}.gz').is_file() for name in FILES):
        pytest.skip('needs the gzipped files, to serve as a mirror')
    mirror(mnist_folder)
    (left := no_data / 'fastai/data/.mnist-1234').mkdir(parents=True)  # of a download that was killed, once
    source, train, test = load_source('auto')
    assert not left.exists()
    assert source == 'mnist' and torch.equal(train[0], mnist[0][0]) and torch.equal(test[1], mnist[1][1])
    assert sorted(p.name for p in (no_data / 'fastai').rglob('*ubyte')) == sorted(FILES)
    monkeypatch.setattr(MNIST, 'mirrors', [])
    assert load_source('mnist')[0] == 'mnist'  # the second time it is there


def test_a_damaged_download_leaves_nothing_behind(mnist_folder, no_data, tmp_path, mirror):
    served = tmp_path / 'served'
    served.mkdir()
    mirror(damaged(mnist_folder, served, train_labels=lambda b: b[:-100] + bytes(100)))
    with pytest.raises(InputError) as e:
        download_mnist(tmp_path / 'data')
    one_line(e, 'cannot be downloaded')
    assert list((tmp_path / 'data').iterdir()) == []


def garbage(h, honest):
    h.send_response(200)
    h.end_headers()
    h.wfile.write(b'\x1f\x8b' + bytes(range(256)) * 40)


def page(h, honest):
    h.send_response(200)
    h.send_header('Content-Type', 'text/html')
    h.end_headers()
    h.wfile.write(b'<html>Please log in</html>')


def cut_short(h, honest):
    h.send_response(200)
    h.send_header('Content-Length', str(len(honest)))
    h.end_headers()
    h.wfile.write(honest[:1000])


def something_else(h, honest):
    h.send_response(200)
    h.end_headers()
    h.wfile.write(gzip.compress(bytes(60_008)))


def bad_chunk(h, honest):
    h.send_response(200)
    h.send_header('Transfer-Encoding', 'chunked')
    h.end_headers()
    h.wfile.write(b'no number\r\n')


def round_and_round(h, honest):
    h.send_response(302)
    h.send_header('Location', h.path)
    h.end_headers()


def endless(h, honest, part=bytes(2**16), pause=0.0):
    h.send_response(200)
    h.end_headers()
    while True:
        h.wfile.write(part)
        time.sleep(pause)


FAULTS = dict(
    garbage=garbage,
    page=page,
    cut_short=cut_short,
    something_else=something_else,
    bad_chunk=bad_chunk,
    round_and_round=round_and_round,
    endless=endless,
    a_byte_at_a_time=partial(endless, part=b'a', pause=0.05),
    reset=lambda h, honest: h.connection.close(),
    forbidden=lambda h, honest: h.send_error(403),
    not_there=lambda h, honest: h.send_error(404),
    unpacks_to_gigabytes=lambda h, honest: (h.send_response(200), h.end_headers(), h.wfile.write(bomb())),
)


@cache
def bomb():
    return gzip.compress(bytes(2**26), 1) * 20  # 1.3 GiB, unpacked


@pytest.mark.parametrize('fault', FAULTS)
def test_a_mirror_that_misbehaves_is_left_for_the_next_one(fault, mnist, mnist_folder, no_data, monkeypatch, tmp_path):
    contents = {name: gzip.compress(path_content(p), 1) for name, p in sources.find_mnist(mnist_folder).items()}
    bad = FILES[1]  # the labels: the other files come whole from the first mirror

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        close_connection = True

        def log_message(self, *args):
            pass

        def do_GET(self):
            mirror, name = self.path.strip('/').removesuffix('.gz').split('/')
            self.close_connection = True
            if mirror == 'bad' and name == bad:
                try:
                    FAULTS[fault](self, contents[name])
                except OSError:  # whoever asked has gone
                    pass
                return
            self.send_response(200)
            self.send_header('Content-Length', str(len(contents[name])))
            self.end_headers()
            self.wfile.write(contents[name])

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f'http://127.0.0.1:{server.server_port}'
    try:
        monkeypatch.setattr(MNIST, 'mirrors', [f'{at}/bad/'])
        with pytest.raises(InputError) as e:
            download_mnist(tmp_path, timeout=5, limit=2)
        one_line(e, 'cannot be downloaded')
        assert list(tmp_path.iterdir()) == [], 'nothing is left behind'
        monkeypatch.setattr(MNIST, 'mirrors', [f'{at}/bad/', f'{at}/good/'])
        both = [threading.Thread(target=download_mnist, args=(tmp_path,), kwargs=dict(limit=2)) for _ in range(2)]
        for o in both:
            o.start()
        for o in both:
            o.join()
    finally:
        server.shutdown()
        server.server_close()
    monkeypatch.setenv('MNIST_KIT_DATA', str(tmp_path))
    assert torch.equal(load_mnist()[0][1], mnist[0][1]) and len(list(tmp_path.rglob('*.*'))) == 0


def path_content(path):
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content


def test_without_a_network_mnist_is_an_error_that_says_what_to_do(no_data):
    with pytest.raises(InputError) as e:
        load_source('mnist')
    one_line(e, 'cannot be downloaded', 'MNIST_KIT_DATA', 'digits')


def test_without_a_network_auto_takes_digits_and_says_so(no_data, capsys):
    assert load_source('auto')[0] == 'digits'
    assert 'no figure that follows is an MNIST figure' in capsys.readouterr().out


def test_a_home_that_fastai_cannot_use_is_no_reason_to_stop(no_data, monkeypatch, capsys):
    def broken(folder):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(sources, 'fastai_path', broken)
    assert load_source('auto')[0] == 'digits'
    assert 'Permission denied' in capsys.readouterr().out
    with pytest.raises(InputError) as e:
        load_source('mnist')
    one_line(e, 'a home to write to', 'MNIST_KIT_DATA')


# ---------------------------------------------------------------- digits


def test_digits_are_scikit_learns_1797_images_in_mnists_form():
    (x, y), (xt, yt) = load_digits()
    both, labels = torch.cat([x, xt]), torch.cat([y, yt])
    assert len(both) == 1797 and both.shape[1:] == (28, 28) and both.dtype == torch.uint8
    assert both.amin() == 0 and both.amax() == 255
    from sklearn.datasets import load_digits as theirs

    assert np.array_equal(np.bincount(labels), np.bincount(theirs().target))
    mass = both.double().sum((1, 2))
    for dim in (1, 2):
        centre = (both.double().sum(3 - dim) * torch.arange(28)).sum(1) / mass
        assert (centre - 13.5).abs().max() <= 0.5 + 1e-6  # the nearest whole pixel


# ---------------------------------------------------------------- batches


@pytest.fixture
def dls():
    return dls_for(MODEL3.recipe, source='digits', seed=0)


def test_images_stay_on_the_device_as_bytes(dls):
    for dl in dls.loaders:
        assert dl.dataset.images.dtype == torch.uint8 and dl.dataset.images.device == dls.device
    x, y = dls.one_batch()
    assert x.shape == (128, 1, 28, 28) and x.dtype == torch.float32 and y.shape == (128,) and y.dtype == torch.int64


def test_the_device_is_fastais_default_unless_told_otherwise(dls, monkeypatch):
    from fastai.torch_core import default_device

    assert dls.device == default_device()
    dls.to('meta')  # a device without memory, that every machine has
    assert dls.train_ds.images.device.type == dls.valid_ds.labels.device.type == 'meta'


@pytest.mark.parametrize('device', ['gameboy', 'cuda:99', 'meta', 'mps:7', []])
def test_a_device_that_cannot_be_used_is_refused(device):
    with pytest.raises(InputError) as e:
        dls_for(MODEL3.recipe, source='digits', device=device)
    one_line(e, f'device {str(device)!r}', 'expected one that PyTorch finds')


def test_validation_batches_are_never_augmented(dls):
    ((x, y),) = list(dls.valid)
    ds = dls.valid_ds
    assert torch.allclose(x, (ds.images / 255 - MEAN) / STD, atol=1e-5) and torch.equal(y, ds.labels)


def test_one_dataset_may_be_trained_on_and_validated_on(dls):
    both = dls_of(dls.train_ds, dls.train_ds, recipe=MODEL3.recipe)
    assert not torch.equal(*(both.train.new(shuffle=False).one_batch()[0] for _ in range(2)))
    assert torch.equal(*(both.valid.one_batch()[0] for _ in range(2)))


def indices(dl):
    "Which images an epoch of `dl` takes, in order: each image is made to hold its own number."
    n = len(dl.dataset)
    dl.dataset.labels = torch.arange(n)
    return torch.cat([y for _, y in dl])


def test_every_epoch_takes_every_image_once_in_another_order(dls):
    first, second = indices(dls.train), indices(dls.train)
    assert torch.equal(first.sort()[0], torch.arange(1500)) and torch.equal(second.sort()[0], torch.arange(1500))
    assert not torch.equal(first, second)


def test_the_order_is_reproducible_from_a_seed():
    def two(seed):
        return [indices(dls.train) for dls in [dls_for(MODEL1.recipe, source='digits', seed=seed)] for _ in range(2)]

    a, b, c = two(1), two(1), two(2)
    assert all(torch.equal(p, q) for p, q in zip(a, b)) and not torch.equal(a[0], c[0])


def test_the_last_small_batch_is_kept(dls):
    sizes = [len(y) for _, y in dls.train]
    assert sizes == [128] * 11 + [1500 - 11 * 128] and len(dls.train) == 12


def test_holdout_sets_training_images_aside_and_keeps_the_test_images_apart():
    whole, a, b = (dls_for(MODEL3.recipe, source='digits', holdout=n, seed=s) for n, s in ((0, 0), (300, 1), (300, 2)))
    assert [len(o.dataset) for o in a.loaders] == [1200, 300, 297]
    assert torch.equal(a[2].dataset.images, whole.valid_ds.images)
    assert torch.equal(a.valid_ds.images, b.valid_ds.images), (
        'the same images for every seed, so that runs can be compared'
    )
    parts = torch.cat([a.train_ds.images, a.valid_ds.images]).flatten(1).tolist()
    assert sorted(parts) == sorted(whole.train_ds.images.flatten(1).tolist())


@pytest.mark.parametrize('n', [-1, 1500])
def test_a_holdout_that_leaves_nothing_to_train_on_is_refused(n):
    with pytest.raises(InputError) as e:
        dls_for(MODEL3.recipe, source='digits', holdout=n)
    one_line(e, f'holdout={n}', '1,500')


def test_it_is_like_any_fastai_dataloaders(dls):
    assert dls.c == 10 and list(dls.vocab) == [str(i) for i in range(10)] and dls.n_inp == 1
    (x,) = dls.test_dl([dls.train_ds.images[0].cpu()]).one_batch()
    assert x.shape == (1, 1, 28, 28)


def test_show_batch_shows_digits_with_their_labels(dls):
    import matplotlib.pyplot as plt

    b = dls.valid.one_batch()
    dls.valid.show_batch(b, max_n=9)
    axes = plt.gcf().axes
    assert [ax.get_title() for ax in axes] == [str(int(y)) for y in b[1][:9]]
    assert all(ax.images[0].get_array().squeeze().shape == (28, 28) for ax in axes)


# ---------------------------------------------------------------- augmentation


@pytest.fixture(scope='module')
def images():
    return load_digits()[0][0][:32, None].float() / 255


@pytest.mark.parametrize('angle', [-7.0, 2.5, 7.0, 45.0])
def test_rotation_agrees_with_torchvision(images, angle):
    ours = RandomAffine(draw_rotate=angle, draw_translate=(0.0, 0.0))(TensorImageBW(images), split_idx=0)
    theirs = torch.stack([TF.rotate(im, -angle, InterpolationMode.BILINEAR) for im in images])  # counter-clockwise
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize('dx, dy', [(2, 0), (0, -1), (-2.8, 1.3)])
def test_translation_agrees_with_torchvision(images, dx, dy):
    ours = RandomAffine(draw_rotate=0.0, draw_translate=(dx / 28, dy / 28))(TensorImageBW(images), split_idx=0)
    theirs = torch.stack([TF.affine(im, 0, [dx, dy], 1, [0], InterpolationMode.BILINEAR) for im in images])
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_rotation_comes_first_and_translation_second(images):
    "A shift by whole pixels is exact, so two samplings of torchvision equal the one of ours."
    ours = RandomAffine(draw_rotate=7.0, draw_translate=(2 / 28, -1 / 28))(TensorImageBW(images), split_idx=0)
    rotated = torch.stack([TF.rotate(im, -7.0, InterpolationMode.BILINEAR) for im in images])
    theirs = torch.zeros_like(rotated)
    theirs[..., :-1, 2:] = rotated[..., 1:, :-2]  # two to the right, one up
    assert torch.allclose(ours, theirs, atol=1e-4)


def draws(n=20000):
    "Angles in degrees and shifts as fractions of the side, recovered from the matrices that `RandomAffine` drew."
    torch.manual_seed(0)
    tfm = RandomAffine(MODEL3.recipe.max_rotate, MODEL3.recipe.max_translate)
    tfm(TensorImageBW(torch.zeros(n, 1, 28, 28)), split_idx=0)
    m = tfm.mat.double()  # where in the old image: first the shift undone, then the rotation
    rotation, offset = m[:, :, :2], m[:, :, 2:]
    angles = torch.atan2(rotation[:, 0, 1], rotation[:, 0, 0]).rad2deg()
    return angles, (-(rotation.mT @ offset) / 2).squeeze(2)


def uniform(x, limit):
    "Do the values `x` look uniform in ±`limit`?"
    assert x.abs().max() <= limit * (1 + 1e-5) and x.max() > 0.99 * limit and x.min() < -0.99 * limit
    assert abs(x.mean()) < 0.03 * limit and abs(x.std() - limit / 3**0.5) < 0.02 * limit


def test_rotation_stays_within_seven_degrees():
    uniform(draws()[0], 7)


def test_translation_stays_within_ten_percent_of_each_side():
    for shifts in draws()[1].T:
        uniform(shifts, 0.1)


def test_each_image_has_a_draw_of_its_own():
    angles, shifts = draws()
    values = torch.stack([angles[:-1], angles[1:], *shifts[:-1].T, *shifts[1:].T])
    assert len(angles.unique()) > 19000
    assert (values.corrcoef() - torch.eye(6)).abs().max() < 0.03  # 20,000 draws: four standard errors


def test_augmentation_differs_in_every_epoch(dls):
    train = dls.train.new(shuffle=False)
    first, second = train.one_batch(), train.one_batch()
    assert torch.equal(first[1], second[1])
    assert all(not torch.equal(a, b) for a, b in zip(first[0], second[0]))


def test_models_1_and_2_are_trained_on_images_as_they_are():
    train = dls_for(MODEL1.recipe, source='digits').train.new(shuffle=False)
    assert torch.equal(train.one_batch()[0], train.one_batch()[0])


# ---------------------------------------------------------------- images of a reader's own


@pytest.mark.parametrize(
    'image, part',
    [
        (torch.zeros(28, 28), 'a blank drawing'),
        (torch.zeros(32, 32, dtype=torch.uint8), 'a blank drawing'),
        (np.zeros((2, 3, 28, 28), np.uint8), 'image of shape (2, 3, 28, 28)'),
        ('no.png', 'cannot be opened'),
        (None, 'NoneType'),
    ],
)
def test_what_shows_no_digit_is_refused(dls, image, part):
    with pytest.raises(InputError) as e:
        dls.test_dl([image])
    one_line(e, part, 'expected')


def test_a_flipped_array_is_an_image_too(dls):
    array = dls.valid_ds.images[0, 0].cpu().numpy()
    assert torch.equal(dls.test_dl([array[::-1]]).one_batch()[0], dls.test_dl([array]).one_batch()[0].flip(2))


@pytest.mark.parametrize('items', ['digit.png', 7])
def test_items_that_are_no_list_are_refused(dls, items):
    with pytest.raises(InputError) as e:
        dls.test_dl(items)
    one_line(e, 'a list of images')


def test_an_image_file_that_was_cut_short_is_refused_in_one_line(dls, tmp_path):
    from PIL import Image

    path = tmp_path / 'digit.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match='cannot be opened.*expected a PIL image') as e:
        dls.test_dl([path])
    assert '\n' not in str(e.value)


def test_an_image_file_is_read_like_an_array(dls, tmp_path):
    from PIL import Image

    array = dls.valid_ds.images[0, 0].cpu().numpy()
    Image.fromarray(array).save(tmp_path / 'digit.png')
    from_file, from_array = (dls.test_dl([o]).one_batch()[0] for o in (tmp_path / 'digit.png', array))
    assert torch.equal(from_file, from_array)


@pytest.mark.parametrize(
    'images, labels, part',
    [
        (torch.zeros(5, 28, 28), torch.zeros(5), 'float32'),
        (torch.zeros(5, 32, 32, dtype=torch.uint8), torch.zeros(5), '(5, 32, 32)'),
        (torch.zeros(5, 28, 28, dtype=torch.uint8), torch.zeros(4), '5 images, 4 labels'),
        (torch.zeros(5, 28, 28, dtype=torch.uint8), torch.zeros(0), '5 images, 0 labels'),
        (torch.zeros(5, 3, 28, 28, dtype=torch.uint8), None, '(5, 3, 28, 28)'),
        (torch.zeros(5, 28, 28, dtype=torch.uint8), torch.arange(8, 13), 'labels from 8 to 12'),
    ],
)
def test_a_dataset_that_does_not_fit_is_refused(images, labels, part):
    with pytest.raises(InputError) as e:
        DigitDataset(images, labels)
    one_line(e, part)


def test_a_dataset_of_ones_own_can_be_loaded():
    ds = DigitDataset(torch.zeros(50, 28, 28, dtype=torch.uint8), torch.zeros(50))
    dls = dls_of(ds, ds, recipe=MODEL1.recipe)
    assert dls.source == 'unknown' and len(dls.train) == 1
