"A drawing of any size and kind becomes what MNIST's makers would have made of it, and is read right."

import io
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from conftest import quiet, refused
from mnist_kit.data import from_drawing
from mnist_kit.learner import learner_for
from mnist_kit.spec import DIGIT_SIZE, IMAGE_SIZE


def curve(*points):
    return make_interp_spline(range(len(points)), points, k=3)(np.linspace(0, len(points) - 1, 60)).tolist()


# the strokes of each digit in a square of side 1, x to the right, y down
STROKES = {
    0: [curve((0.5, 0), (0.2, 0.2), (0.15, 0.6), (0.45, 1), (0.8, 0.7), (0.8, 0.25), (0.5, 0))],
    1: [[(0.6, 0), (0.45, 1)]],
    2: [curve((0.1, 0.25), (0.35, 0.02), (0.8, 0.2), (0.55, 0.6), (0.1, 0.97)), [(0.1, 0.97), (0.9, 0.93)]],
    3: [
        curve((0.15, 0.12), (0.5, 0), (0.8, 0.2), (0.4, 0.46)),
        curve((0.4, 0.46), (0.85, 0.68), (0.5, 1), (0.1, 0.88)),
    ],
    4: [[(0.4, 0), (0.1, 0.6), (0.9, 0.6)], [(0.68, 0.25), (0.6, 1)]],
    5: [[(0.85, 0.03), (0.25, 0.03), (0.18, 0.45)], curve((0.18, 0.45), (0.6, 0.4), (0.85, 0.7), (0.5, 1), (0.1, 0.9))],
    6: [curve((0.7, 0), (0.3, 0.3), (0.15, 0.7), (0.45, 1), (0.8, 0.75), (0.5, 0.52), (0.18, 0.72))],
    7: [[(0.1, 0.05), (0.85, 0.05), (0.4, 1)]],
    8: [
        curve((0.75, 0.12), (0.45, 0), (0.2, 0.2), (0.5, 0.47), (0.82, 0.78)),
        curve((0.82, 0.78), (0.5, 1), (0.18, 0.78), (0.5, 0.47), (0.75, 0.12)),
    ],
    9: [curve((0.78, 0.25), (0.45, 0), (0.15, 0.25), (0.45, 0.48), (0.78, 0.25)), [(0.78, 0.25), (0.65, 1)]],
}


def sketch(digit, size=(280, 280), at=(0.25, 0.2, 0.6), width=18, paper='white', pen='black', mode='RGB'):
    "A digit in a square that begins at at[:2] and has the side at[2], as fractions of the height."
    image, h = Image.new(mode, size, paper), size[1]
    for points in STROKES[digit]:
        points = [(h * (at[0] + at[2] * x), h * (at[1] + at[2] * y)) for x, y in points]
        draw = ImageDraw.Draw(image)
        draw.line(points, fill=pen, width=width, joint='curve')
        for x, y in points:
            r = (width - 1) / 2
            draw.ellipse((x - r, y - r, x + r, y + r), fill=pen)
    return image


def as_jpeg(image):
    image.save(file := io.BytesIO(), 'JPEG', quality=40)
    return Image.open(file)


def sides(marked):
    "Height and width of what is marked in an image."
    return [int(np.ptp(o)) + 1 for o in np.nonzero(np.asarray(marked))]


CLEAR = (0, 0, 0, 0)
KINDS = {
    'black on white': lambda d: sketch(d),
    'white on black': lambda d: sketch(d, paper='black', pen='white'),
    'thick': lambda d: sketch(d, width=40),
    'a hairline': lambda d: sketch(d, (800, 600), width=1),
    'small, in a corner': lambda d: sketch(d, (640, 480), (1.1, 0.03, 0.12), width=5),
    'a black pen on nothing': lambda d: sketch(d, paper=CLEAR, pen='black', mode='RGBA'),
    'a white pen on nothing': lambda d: sketch(d, paper=CLEAR, pen='white', mode='RGBA'),
    'red on green': lambda d: sketch(d, paper='green', pen='red'),
    'a JPEG': lambda d: as_jpeg(sketch(d, (300, 400), (0.1, 0.2, 0.5), paper='ivory', pen='navy')),
    'a palette': lambda d: sketch(d).quantize(8),
    'one bit': lambda d: sketch(d).convert('1'),
    '16 bits': lambda d: np.asarray(sketch(d).convert('L')).astype(np.uint16) * 257,
    'an RGB array': lambda d: np.asarray(sketch(d)),
    'one channel, last': lambda d: np.asarray(sketch(d).convert('L'))[..., None],
    'channels first, a tensor of 0 to 1': lambda d: torch.tensor(np.asarray(sketch(d)).transpose(2, 0, 1) / 255),
    "Gradio's sketchpad": lambda d: dict(
        background=None, layers=[], composite=np.asarray(sketch(d, paper=CLEAR, mode='RGBA'))
    ),
}


@pytest.fixture(scope='module')
def learn():
    return quiet(learner_for('model3', pretrained=True, device='cpu'))


@pytest.mark.parametrize('kind', KINDS)
def test_ten_digits_drawn_in_code_are_centred_in_20_by_20_and_read_right(kind, learn):
    dl = learn.dls.test_dl([KINDS[kind](d) for d in STROKES])
    for x in dl.dataset.images[:, 0]:
        assert (x.shape, x.dtype, x.max()) == ((IMAGE_SIZE, IMAGE_SIZE), torch.uint8, 255)
        assert max(sides(x > 0)) in (DIGIT_SIZE, DIGIT_SIZE - 1)  # a faint outermost row may round to 0
        assert np.abs(np.subtract(ndimage.center_of_mass(x.numpy()), 14)).max() < 0.51  # bytes are rounded
    assert learn.get_preds(dl=dl)[0].argmax(1).tolist() == list(STROKES)


def test_at_most_half_a_point_is_lost_on_mnist_blown_up_and_coloured_and_on_paper_of_28_by_28(learn, mnist):
    images, labels = (o[:600] for o in mnist[1])
    rng = np.random.default_rng(0)

    def blown_up(image):
        paper, pen = rng.random((2, 3))
        pen[0] = (paper[0] + 0.5) % 1  # so that they differ
        ink = np.asarray(Image.fromarray(image.numpy()).resize((112, 112), Image.Resampling.BICUBIC))[..., None] / 255
        return (255 * (paper + (pen - paper) * ink)).round().astype(np.uint8)

    def accuracy(drawings):
        return (learn.get_preds(dl=learn.dls.test_dl(drawings))[0].argmax(1) == labels).float().mean()

    for drawings in ([blown_up(o) for o in images], 255 - images):
        assert accuracy(drawings) >= accuracy(images) - 0.005


def test_a_drawing_is_not_distorted_and_size_and_shaded_paper_make_little_difference():
    image = sketch(0).resize((280, 140))  # half as high as wide, and so is what comes out
    (height, width), (tall, wide) = sides(from_drawing(image) > 60), sides(np.asarray(image.convert('L')) < 128)
    assert abs(height / width - tall / wide) < 0.1
    image = sketch(3, width=20)
    shaded = np.asarray(image) * np.linspace(0.75, 1, 280)[:, None]  # darker from left to right
    for other, most in ((sketch(3, (840, 840), width=60), 3), (shaded, 6)):  # of 255: pens are rounded to pixels
        assert (from_drawing(other).float() - from_drawing(image).float()).abs().mean() < most


def test_two_digits_above_or_beside_each_other_are_refused_but_not_a_five_whose_bar_stands_apart():
    for *pair, axis in product((1, 4, 0), (1, 8), (0, 1)):
        both = np.concatenate([np.asarray(sketch(d)) for d in pair], axis)
        refused(lambda: from_drawing(both), 'two digits in one drawing: expected ')
    image = sketch(5)
    ImageDraw.Draw(image).rectangle((0, 75, 280, 110), fill='white')  # rubs out what joins them
    assert from_drawing(image).max() == 255


def test_a_file_that_was_cut_short_is_refused_in_one_line(tmp_path):
    sketch(4).save(path := tmp_path / 'four.png')
    path.write_bytes(path.read_bytes()[:100])
    refused(lambda: from_drawing(path), 'cannot be opened', 'expected a PIL image')
