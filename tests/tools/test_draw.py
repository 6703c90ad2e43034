"The page to draw on, in a real Chromium: what it computes is what PyTorch computes, and it needs nothing but itself."

import json
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from fastcore.script import anno_parser

from mnist_kit.core import InputError
from mnist_kit.data import affine_mats, affine_sample, from_drawing
from mnist_kit.learner import learner_for
from mnist_kit.models import pretrained_folder
from mnist_kit.sources import load_digits
from mnist_kit.spec import MEAN, SPECS, STD
from mnist_kit.tools import draw as module
from mnist_kit.tools.cli import mnist_kit_draw

SEVEN = [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)]  # corners of a 7, as parts of the drawing area
IMAGES = load_digits()[0][0][:50]


@pytest.fixture(scope='module')
def browser():
    api = pytest.importorskip('playwright.sync_api', reason='needs playwright: pip install playwright')
    path = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', 'chrome'))), None)
    if path is None:
        pytest.skip('needs Chromium: apt-get install chromium')
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    "A page with a run of your own in it, and mistakes on scikit-learn's digits, which are few images."

    def no_mnist(download):
        raise InputError('not here')

    out = tmp_path_factory.mktemp('page') / 'new' / 'draw.html'
    with pytest.MonkeyPatch.context() as m:
        m.setattr(module, 'load_mnist', no_mnist)
        mnist_kit_draw(str(pretrained_folder('model3')), out=str(out), open=False)
    return out


@contextmanager
def opened(browser, file, **options):
    "The page, open; in the end nothing was fetched, and nothing was said in the console."
    page, fetched, said = browser.new_page(**options), [], []
    page.on('request', lambda o: fetched.append(o.url))
    page.on('console', lambda o: said.append(o.text))
    page.on('pageerror', lambda o: said.append(str(o)))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert [o for o in fetched if not o.startswith(('file:', 'data:', 'blob:'))] == [] == said


@pytest.fixture
def page(browser, file):
    with opened(browser, file, viewport=dict(width=1200, height=900)) as page:
        yield page


def js(page, code, given):
    "What the function `code` makes of `given`: as JSON, since playwright takes long over each number."
    return json.loads(page.evaluate(f'o => JSON.stringify(({code})(JSON.parse(o)))', json.dumps(given)))


def wait_for(page, code):
    "Wait until `code` is true. (Playwright's own way evaluates a string, which the page forbids.)"
    for _ in range(1000):
        if page.evaluate(code):
            return
        page.wait_for_timeout(10)
    pytest.fail(f'never true: {code}')


def draw(page, points):
    "Draw a line through `points` with the mouse."
    box = page.locator('#pad').bounding_box()
    at = [(box['x'] + x * box['width'], box['y'] + y * box['height']) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for o in at[1:]:
        page.mouse.move(*o, steps=8)
    page.mouse.up()
    wait_for(page, '!state.drawing && !asked')


# ---------------------------------------------------------------- what it computes


@pytest.mark.parametrize('i, name', [*enumerate(SPECS)])
def test_log_probabilities_explanations_and_framed_pixels_are_those_of_pytorch(page, i, name):
    code = """([i, images]) => {
        const model = data.models[i], stages = model.stages.slice(0, -1), blocks = kit.run(model, images[0])
        return {
            out: images.map(o => Array.from(kit.run(model, o).at(-1).v)),
            explained: stages.flatMap((stage, s) => [0, stage.size-1].map(y => {
                const {h, w, v} = blocks[s+1], ch = stage.channels-1, x = Math.floor(w/2)
                return [kit.explain(model, blocks, s, ch, y, x).at(-1).value, v[(ch*h+y)*w+x]]
            })),
            framed: kit.fields(model).slice(0, -1).map((o, s) => {
                const y = Math.floor(stages[s].size/2)
                return [y, o.first+y*o.step, o.side]
            }),
        }
    }"""
    found = js(page, code, [i, IMAGES.flatten(1).tolist()])
    model = learner_for(name, pretrained=True, device='cpu').model.eval()
    out = model((IMAGES[:, None] / 255 - MEAN) / STD)
    assert out.shape == (50, 10) and (torch.tensor(found['out']) - out).abs().max() < 1e-4
    explained = np.array(found['explained'])
    assert np.abs(explained[:, 0] - explained[:, 1]).max() < 1e-6 and np.ptp(explained) > 0.1
    assert len(explained) == 2 * len(found['framed']) == 2 * (len(SPECS[name].stages) - 1)
    x = torch.randn(8, 1, 28, 28, dtype=torch.double, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for s, (y, first, side) in enumerate(found['framed']):
        (grad,) = torch.autograd.grad(model.double()[: s + 1](x)[:, :, y, y].sum(), x)  # which pixels have one?
        rows = grad.abs().sum((0, 1, 3)).nonzero()
        assert (rows.min(), rows.max()) == (max(0, first), min(27, first + side - 1)), s


def sketches():
    "Drawings of many kinds, 140×140: with a thick and a thin pen, large and small."
    clear = (0, 0, 0, 0)
    for paper, pen in (('white', 'black'), ('black', 'white'), ('green', 'red'), (clear, 'black'), (clear, 'yellow')):
        for scale, shift, width in ((1, 0, 10), (0.2, 0.75, 2)):
            im = Image.new('RGBA' if paper == clear else 'RGB', (140, 140), paper)
            points = [(140 * (x * scale + shift), 140 * (y * scale + shift)) for x, y in SEVEN]
            ImageDraw.Draw(im).line(points, fill=pen, width=width, joint='curve')
            yield im


def test_it_prepares_a_drawing_as_from_drawing_does_and_says_when_it_has_two_parts_or_none(page):
    def prepared(image):
        return js(page, 'o => kit.prepare(o, 140, 140)', list(image.convert('RGBA').tobytes()))

    for image in sketches():
        found = np.array([*prepared(image)['pixels'].values()])
        assert np.abs(found.reshape(28, 28) - from_drawing(image).numpy()).max() <= 1
    image = Image.new('L', (140, 140), 'white')
    assert prepared(image) == dict(pixels=None, note='')
    for x in (28, 98):
        ImageDraw.Draw(image).line([(x, 25), (x, 100)], fill='black', width=10)
    assert 'two parts' in prepared(image)['note']


# ---------------------------------------------------------------- what a reader does with it


def said(page):
    return page.locator('#said').inner_text()


def test_a_drawn_seven_is_a_seven_for_each_model_and_clear_clears_it(page, tmp_path):
    next(sketches()).resize((600, 400)).save(tmp_path / 'seven.jpg')
    page.locator('#file').set_input_files(tmp_path / 'seven.jpg')  # a picture from a file is read, too
    wait_for(page, 'state.blocks')
    assert said(page).startswith('It reads a 7')
    draw(page, SEVEN)
    for title in ('Model 1', 'Model 2', 'Model 3', 'Yours: model3'):
        page.get_by_label(title).check()
        assert said(page).startswith('It reads a 7') and page.locator('#bars .best').inner_text().startswith('7')
    page.get_by_role('button', name='Clear').click()
    assert said(page) == 'Nothing is drawn.'


def test_a_finger_draws_on_a_phone_and_nothing_scrolls_sideways(browser, file):
    with opened(browser, file, viewport=dict(width=390, height=844), has_touch=True, is_mobile=True) as page:
        draw(page, SEVEN)
        assert said(page).startswith('It reads a 7')
        page.locator('.stage').nth(6).locator('button').nth(15).tap()
        assert page.locator('.lens li').count() == 3  # convolution, ReLU, normalisation
        page.locator('#models label').first.tap()
        page.locator('.stage').nth(8).locator('button').first.tap()  # the 7×7 windows of Model 1's classifier
        assert page.locator('.lens li').count() == 1
        assert page.evaluate('document.documentElement.scrollWidth') == 390


def test_preparation_can_be_left_out_and_sliders_turn_and_move_as_the_augmentation_does(page):
    def seen():
        wait_for(page, '!asked')
        return torch.tensor(page.evaluate('Array.from(state.pixels)')).view(1, 1, 28, 28)

    draw(page, [(0.05 + 0.2 * x, 0.05 + 0.2 * y) for x, y in SEVEN])  # small, in a corner
    assert seen()[..., 10:, 10:].sum() > 0
    page.get_by_label('prepared as MNIST was').uncheck()
    x = seen()
    assert x[..., 10:, 10:].sum() == 0 and x.sum() > 0
    for slider, value in dict(turn=30, right=5, down=-1).items():
        page.locator(f'#{slider}').fill(str(value))
    expected = affine_sample(x, affine_mats(*torch.tensor([[30.0], [5 / 28], [-1 / 28]])))
    assert (seen() - expected).abs().max() < 0.01  # of 255


def test_the_mistakes_are_mistakes_and_the_keyboard_reaches_them(page):
    wrong = page.evaluate('state.model.wrong.map(o => [o.label, o.pred])')
    assert len(wrong) >= 12 and all(label != pred for label, pred in wrong)
    page.locator('#wrong button').first.focus()
    for label, pred in wrong[1:3]:
        page.keyboard.press('ArrowRight')
        assert said(page).startswith(f'It reads a {pred}')
        assert f'labelled {label}' in page.locator('#truth').inner_text()


def test_pointing_at_a_value_frames_its_pixels_and_enter_explains_it(page):
    draw(page, SEVEN)
    page.locator('.stage').first.locator('button').nth(2).hover()
    assert 'depends on 3×3 pixels' in page.locator('#where').inner_text()
    page.locator('.stage').nth(1).locator('button').first.focus()
    page.keyboard.press('ArrowRight')
    assert page.evaluate('document.activeElement.getAttribute("aria-label")') == 'conv2, channel 1'
    page.keyboard.press('Enter')
    assert page.locator('.lens h3').inner_text().startswith('conv2, channel 1')
    page.get_by_role('button', name='Close').click()
    assert page.locator('.lens').count() == 0


# ---------------------------------------------------------------- the command, and what is in the file


def test_the_command_shows_a_run_of_your_own_beside_the_three_and_leaves_no_address_outside_the_page(file):
    text = file.read_text(encoding='utf-8')
    *three, yours = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])['models']
    assert yours['title'] == 'Yours: model3' and yours['stages'] == three[2]['stages']
    assert all("scikit-learn's digits (not MNIST)" in o['wrongTitle'] for o in three)
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"|https?://', text) == []
    assert '--no-open' in anno_parser(mnist_kit_draw.__wrapped__).format_help()
    with pytest.raises(SystemExit, match='^mnist_kit_draw: .*run.json.*$'):
        mnist_kit_draw(str(file.parent), open=False)
