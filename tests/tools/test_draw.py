"The page to draw on, in a real Chromium: what it computes is what PyTorch computes, and it needs nothing but itself."

import json
import re
import shutil
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from conftest import command
from mnist_kit.core import InputError
from mnist_kit.data import affine_mats, affine_sample, from_drawing
from mnist_kit.learner import learner_for
from mnist_kit.models import pretrained_folder
from mnist_kit.sources import load_digits, load_mnist
from mnist_kit.spec import MEAN, SPECS, STD
from mnist_kit.tools import draw as module
from mnist_kit.tools.cli import mnist_kit_draw
from mnist_kit.tools.draw import draw_page

SEVEN = [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)]  # corners of a 7, as parts of the drawing area


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


def no_mnist(*args, **kwargs):
    raise InputError('not here')


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    "A page whose mistakes are those on scikit-learn's digits, which are few images."
    path = tmp_path_factory.mktemp('page') / 'draw.html'
    with pytest.MonkeyPatch.context() as m:
        m.setattr(module, 'load_mnist', no_mnist)
        path.write_text(draw_page(), encoding='utf-8')
    return path


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
    assert [o for o in fetched if not o.startswith(('file:', 'data:', 'blob:'))] == []
    assert said == []


@pytest.fixture
def page(browser, file):
    "For what a reader does with it."
    with opened(browser, file, viewport=dict(width=1200, height=900)) as page:
        yield page


@pytest.fixture(scope='module')
def untouched(browser, file):
    "For what it computes, which changes nothing in it."
    with opened(browser, file) as page:
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


@pytest.fixture(scope='module')
def images():
    "50 of MNIST's test images, or of scikit-learn's digits."
    try:
        return load_mnist(download=False)[1][0][:50]
    except InputError:
        return load_digits()[0][0][:50]


@pytest.fixture(params=range(3), ids=SPECS)
def nth(request):
    "The index of a model in the page, its stages in the assignment, and the model as PyTorch has it."
    name = list(SPECS)[request.param]
    return request.param, SPECS[name].stages, learner_for(name, pretrained=True, device='cpu').model.eval()


# ---------------------------------------------------------------- what it computes


def test_its_log_probabilities_are_those_of_pytorch(untouched, images, nth):
    i, _, model = nth
    with torch.no_grad():
        expected = model((images[:, None] / 255 - MEAN) / STD)
    code = '([i, images]) => images.map(o => Array.from(kit.run(data.models[i], o).at(-1).v))'
    found = torch.tensor(js(untouched, code, [i, images.flatten(1).tolist()]))
    assert found.shape == (50, 10) and (found - expected).abs().max() < 1e-4


def test_a_value_explained_step_by_step_is_the_value_of_the_map(untouched, images, nth):
    code = """([i, image]) => {
        const model = data.models[i], blocks = kit.run(model, image)
        return model.stages.slice(0, -1).flatMap((stage, s) => [0, stage.size-1].map(y => {
            const {h, w, v} = blocks[s+1], ch = stage.channels-1, x = Math.floor(w/2)
            return [kit.explain(model, blocks, s, ch, y, x).at(-1).value, v[(ch*h+y)*w+x]]
        }))
    }"""
    pairs = np.array(untouched.evaluate(code, [nth[0], images[0].flatten().tolist()]))
    assert len(pairs) == 2 * (len(nth[1]) - 1) and np.abs(pairs[:, 0] - pairs[:, 1]).max() < 1e-6
    assert np.ptp(pairs[:, 0]) > 0.1


def test_the_framed_pixels_are_those_that_a_value_depends_on(untouched, nth):
    code = """i => kit.fields(data.models[i]).slice(0, -1).map((o, s) => {
        const y = Math.floor(data.models[i].stages[s].size/2)
        return [y, o.first+y*o.step, o.side]
    })"""
    i, stages, model = nth
    for s, (y, first, side) in enumerate(untouched.evaluate(code, i)):
        x = torch.randn(8, 1, 28, 28, dtype=torch.double, generator=torch.Generator().manual_seed(0)).requires_grad_()
        model.double()[: s + 1](x)[:, :, y, y].sum().backward()  # which pixels have a gradient?
        rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        assert (rows.min(), rows.max()) == (max(0, first), min(27, first + side - 1)), stages[s].name


def sketches():
    "Drawings of many kinds, 140×140."
    clear = (0, 0, 0, 0)
    papers = [('RGB', 'white', 'black', 10), ('RGB', 'black', 'white', 20), ('RGB', 'green', 'red', 5)]
    for mode, paper, pen, width in papers + [('RGBA', clear, 'black', 2), ('RGBA', clear, 'yellow', 6)]:
        for scale, shift in ((1, 0), (0.2, 0.75)):
            im = Image.new(mode, (140, 140), paper)
            points = [(140 * (x * scale + shift), 140 * (y * scale + shift)) for x, y in SEVEN]
            ImageDraw.Draw(im).line(points, fill=pen, width=max(2, round(width * scale)), joint='curve')
            yield im


def prepared(page, image):
    "The pixels of an image as the page prepares it, and what it says of them."
    return js(page, 'o => kit.prepare(o, 140, 140)', list(image.convert('RGBA').tobytes()))


def test_it_prepares_a_drawing_as_from_drawing_does(untouched):
    for image in sketches():
        found = [*prepared(untouched, image)['pixels'].values()]
        assert np.abs(np.array(found).reshape(28, 28) - from_drawing(image).numpy()).max() <= 1


def test_it_says_that_a_drawing_has_two_parts_and_that_a_sheet_is_blank(untouched):
    image = Image.new('L', (140, 140), 'white')
    assert prepared(untouched, image) == dict(pixels=None, note='')
    for x in (28, 98):
        ImageDraw.Draw(image).line([(x, 25), (x, 100)], fill='black', width=10)
    assert 'two parts' in prepared(untouched, image)['note']


def test_it_turns_and_moves_as_the_augmentation_does(untouched, images):
    x = images[:1, None].float()
    expected = affine_sample(x, affine_mats(x, 0, 0, draw_rotate=30.0, draw_translate=(2 / 28, -3 / 28)))[0, 0]
    found = js(untouched, 'o => Array.from(kit.moved(o, 30, 2, -3))', images[0].flatten().tolist())
    assert (torch.tensor(found).view(28, 28) - expected).abs().max() < 0.01  # of 255


# ---------------------------------------------------------------- what a reader does with it


def test_a_drawn_seven_is_a_seven_for_each_model_and_clear_clears_it(page):
    draw(page, SEVEN)
    for title in ('Model 1', 'Model 2', 'Model 3'):
        page.get_by_label(title).check()
        assert page.locator('#said').inner_text().startswith('It reads a 7')
        assert page.locator('#bars .best').inner_text().startswith('7')
    page.get_by_role('button', name='Clear').click()
    assert page.locator('#said').inner_text() == 'Nothing is drawn.'


def test_a_finger_draws_on_a_phone_and_nothing_scrolls_sideways(browser, file):
    with opened(browser, file, viewport=dict(width=390, height=844), has_touch=True, is_mobile=True) as page:
        draw(page, SEVEN)
        assert page.locator('#said').inner_text().startswith('It reads a 7')
        page.locator('.stage').nth(6).locator('button').nth(15).tap()
        assert page.locator('.lens li').count() == 3  # convolution, ReLU, normalisation
        page.locator('#models label').first.tap()
        page.locator('.stage').nth(8).locator('button').first.tap()  # the 7×7 windows of Model 1's classifier
        assert page.locator('.lens li').count() == 1
        assert page.evaluate('document.documentElement.scrollWidth') == 390


def test_preparation_can_be_left_out_and_sliders_change_what_is_seen(page):
    draw(page, [(0.05 + 0.2 * x, 0.05 + 0.2 * y) for x, y in SEVEN])  # small, in a corner
    seen = 'Array.from(state.pixels)'
    prepared = np.array(page.evaluate(seen)).reshape(28, 28)
    page.get_by_label('prepared as MNIST was').uncheck()
    wait_for(page, '!asked')
    squeezed = np.array(page.evaluate(seen)).reshape(28, 28)
    assert squeezed[10:, 10:].sum() == 0 and squeezed.sum() > 0
    assert prepared[10:, 10:].sum() > 0
    page.get_by_label('Right').fill('5')
    wait_for(page, '!asked')
    assert np.allclose(np.array(page.evaluate(seen)).reshape(28, 28), np.roll(squeezed, 5, 1))


def test_the_mistakes_are_mistakes_and_the_keyboard_reaches_them(page):
    wrong = page.evaluate('state.model.wrong.map(o => [o.label, o.pred])')
    assert len(wrong) >= 12 and all(label != pred for label, pred in wrong)
    page.locator('#wrong button').first.focus()
    for i in (1, 2):
        page.keyboard.press('ArrowRight')
        assert page.locator('#said').inner_text().startswith(f'It reads a {wrong[i][1]}')
        assert f'labelled {wrong[i][0]}' in page.locator('#truth').inner_text()


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


def test_a_picture_from_a_file_is_read(page, tmp_path):
    image = next(sketches())
    image.resize((600, 400)).save(tmp_path / 'seven.jpg')
    page.locator('#file').set_input_files(tmp_path / 'seven.jpg')
    wait_for(page, 'state.blocks')
    assert page.locator('#said').inner_text().startswith('It reads a 7')


# ---------------------------------------------------------------- the command, and what is in the file


def test_the_command_writes_the_page_with_a_run_of_your_own_beside_the_three(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, 'load_mnist', no_mnist)
    out = tmp_path / 'new' / 'page.html'
    mnist_kit_draw(str(pretrained_folder('model2')), out=str(out), open=False)
    assert capsys.readouterr().out == f'{out}\n'
    data = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', out.read_text(encoding='utf-8'), re.S
    )[1]
    *ours, yours = json.loads(data)['models']
    assert [o['title'] for o in [*ours, yours]] == ['Model 1', 'Model 2', 'Model 3', 'Yours: model2']
    assert yours['stages'] == ours[1]['stages']
    assert all("scikit-learn's digits (not MNIST)" in o['wrongTitle'] for o in ours)
    assert '--no-open' in subprocess.run(command('mnist_kit_draw', '--help'), capture_output=True, text=True).stdout
    with pytest.raises(SystemExit, match='^mnist_kit_draw: .*run.json.*$'):
        mnist_kit_draw(str(tmp_path), open=False)


def test_no_address_outside_the_page_is_in_it(file):
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"|https?://', file.read_text()) == []
