"How fast the kit is: measured by turns, recorded, and told."

import subprocess
from concurrent.futures.process import BrokenProcessPool

import pandas as pd
import pytest
import torch
from conftest import command, run_python
from fastai.learner import Learner
from torchvision import transforms

import mnist_kit.tools.bench as bench_module
from mnist_kit.core import InputError, TrainingError
from mnist_kit.data import MEAN, STD
from mnist_kit.models import RECORDS
from mnist_kit.sources import load_digits
from mnist_kit.spec import MODEL1, MODEL3
from mnist_kit.tools.bench import (
    Bench,
    InMemoryMNIST,
    Ratio,
    bare,
    epoch_table,
    kit,
    plain,
    plain_loader,
    plot_bench,
    ratio,
    read_bench,
    report,
    run_bench,
    steps_table,
    whole_recipe,
    write_bench,
)
from mnist_kit.tools.cli import mnist_kit_bench


def one_line(e, *parts):
    "The message of the caught error is one line and has all of `parts`."
    assert '\n' not in str(e.value) and all(p in str(e.value) for p in parts), str(e.value)


# ---------------------------------------------------------------- the plain pipeline


def test_the_plain_pipeline_has_the_assignments_transforms():
    found = plain_loader('digits', MODEL3.recipe)
    rotate, shift, *rest = found.dataset.transform.transforms
    assert isinstance(rotate, transforms.RandomRotation) and rotate.degrees == [-7, 7]
    assert isinstance(shift, transforms.RandomAffine) and shift.translate == (0.1, 0.1) and shift.degrees == [0, 0]
    assert [type(o) for o in rest] == [transforms.ToTensor, transforms.Normalize]
    assert found.batch_size == 128 and found.num_workers == 0
    assert len(plain_loader('digits', MODEL1.recipe).dataset.transform.transforms) == 2


def test_the_plain_pipeline_gives_the_kits_images_where_nothing_is_random():
    (x, y), _ = load_digits()
    tfms = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    image, label = InMemoryMNIST(x, y, tfms)[3]
    assert torch.allclose(image[0], (x[3] / 255 - MEAN) / STD, atol=1e-6) and label == y[3]


# ---------------------------------------------------------------- measuring


def test_a_ratio_is_the_median_over_the_rounds():
    times = pd.DataFrame(dict(a=[1.0, 3.0, 8.0], b=[2.0, 2.0, 2.0]))
    assert ratio(times, 'a', 'b') == Ratio(1.5, 0.5, 4.0, 3)
    assert str(ratio(times, 'a', 'b')) == '1.50 (0.50 to 4.00)'


@pytest.mark.parametrize('way', [plain, kit, bare])
def test_a_round_is_as_many_steps_as_asked_for(way, monkeypatch):
    taken, step = [], torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, 'step', lambda self, *a, **k: (taken.append(1), step(self, *a, **k))[1])
    round = way('model1', 'digits', batches=13)  # more than the digits have: they are repeated
    taken.clear()
    assert round() > 0
    assert len(taken) == 13


@pytest.mark.slow
def test_things_are_measured_by_turns_in_processes_of_their_own(tmp_path):
    code = (
        'import os, time\n'
        'from mnist_kit.tools.bench import ByTurns\n'
        'def make(name): return lambda: (open("log", "a").write(f"{name} {os.getpid()}\\n"), time.perf_counter())[1]\n'
        'if __name__ == "__main__":\n'
        '    with ByTurns() as turns: t = turns({k: (p, make, (k,), {}) for k, p in zip("ABC", "112")}, rounds=2)\n'
        '    print(list(t), t.shape, t.stack().is_monotonic_increasing)\n'
    )
    (tmp_path / 'main.py').write_text(code)
    p = run_python('main.py', cwd=tmp_path)
    assert p.stdout.strip() == "['A', 'B', 'C'] (2, 3) True", p.stderr
    log = [o.split() for o in (tmp_path / 'log').read_text().splitlines()]
    assert [k for k, _ in log[3:]] == list('ABCABC'), 'after a first time for each'
    found = {k: {pid for name, pid in log if name == k} for k in 'ABC'}
    assert found['A'] == found['B'] != found['C'] and len(found['C']) == 1


def bench(**kwargs):
    steps = dict(plain=[0.04, 0.08, 0.06], kit=[0.02, 0.02, 0.03], bare=[0.02, 0.02, 0.02])
    made = dict(
        source='mnist', n_train=60000, device=dict(type='cpu', name='a CPU', threads=2), versions=dict(torch='2')
    )
    return Bench(
        **made | dict(started='', quick=False, finished=True, batches=40, rounds=3, steps=dict(model1=steps)) | kwargs
    )


def test_the_table_is_arithmetic():
    # 469 batches of 128 are 60,000 images: 469 × 0.06 s, 0.02 s, 0.02 s
    row = epoch_table(bench()).loc['model1']
    assert list(row) == [28.1, 9.4, 9.4, '0.50 (0.25 to 0.50)', '1.00 (1.00 to 1.50)', 6397]


@pytest.mark.parametrize('columns', [['plain', 'kit', 'bare'], ['plain', 'by batches', 'kit', 'bare', 'captured']])
def test_tables_and_picture_show_whatever_columns_a_record_has(columns):
    b = bench(steps=dict(model2={k: [0.01, 0.02, 0.04] for k in columns}))
    table = steps_table(b)
    assert list(table) == columns and list(table.loc['model2']) == [20.0] * len(columns)
    assert all(k in report(b) for k in columns)
    legend = plot_bench(b).axes[0].get_legend()
    assert [o.get_text() for o in legend.get_texts()] == columns


def test_the_record_that_comes_with_the_kit_can_be_read_told_and_drawn():
    b = read_bench(RECORDS / 'bench.json')
    assert b.source == 'mnist' and b.finished and not b.quick
    assert 'MNIST' in report(b) and plot_bench(b).axes


def test_a_report_names_its_source_and_whether_it_may_be_quoted():
    assert 'MNIST' in report(bench()) and 'quote' not in report(bench())
    assert 'not MNIST' in report(bench(source='digits', quick=True)) and 'too few to quote' in report(bench(quick=True))


def test_a_record_comes_back_as_it_was(tmp_path):
    write_bench(bench(), tmp_path / 'bench.json')
    assert read_bench(tmp_path / 'bench.json') == bench()


@pytest.mark.parametrize(
    'text, part',
    [(None, 'cannot be read'), ('{"format": 1, "sou', 'is damaged'), ('{"format": 9}', 'format 9'), ('{"format": 1}', 'not complete')],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, part):
    path = tmp_path / 'bench.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as e:
        read_bench(path)
    one_line(e, part, 'expected')


@pytest.mark.parametrize(
    'args, part',
    [
        (dict(models=['model9']), "'model9'"),
        (dict(source='cifar'), "source 'cifar'"),
        (dict(device='gameboy'), "'gameboy'"),
        (dict(out='taken'), 'already holds bench.json'),
        (dict(out='a file/bench'), 'a file'),
    ],
)
def test_the_command_refuses_what_cannot_be_used_in_one_line(tmp_path, monkeypatch, args, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a file').write_text('')
    (tmp_path / 'taken').mkdir()
    (tmp_path / 'taken/bench.json').write_text('mine')
    with pytest.raises(SystemExit) as e:
        mnist_kit_bench(**dict(models=['model1'], quick=True, source='digits', device='cpu', out='out') | args)
    assert part in str(e.value.code) and '\n' not in str(e.value.code)
    assert (tmp_path / 'taken/bench.json').read_text() == 'mine' and not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_the_quick_command_measures_and_leaves_a_record(tmp_path):
    out = tmp_path / 'bench'
    args = ('model3', '--quick', '--source', 'digits', '--device', 'cpu', '--out', out)
    p = subprocess.run(command('mnist_kit_bench', *args), capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stderr
    assert "scikit-learn's digits (not MNIST)" in p.stdout and 'too few to quote' in p.stdout
    assert sorted(o.name for o in out.iterdir()) == ['bench.json', 'bench.png']
    b = read_bench(out / 'bench.json')
    assert b.finished and list(b.steps['model3']) == ['plain', 'kit', 'bare'] and list(b.data) == ['plain', 'kit']
    assert all(len(v) == 3 and min(v) > 0 for v in [*b.steps['model3'].values(), *b.data.values()])


def test_a_whole_training_validates_after_each_epoch(monkeypatch):
    fitted, fit = [], Learner.fit_recipe
    monkeypatch.setattr(Learner, 'fit_recipe', lambda self: (fitted.append(self), fit(self, epochs=2)))
    assert whole_recipe('digits', 'cpu', Learner.to_fast)() > 0
    assert len(fitted[0].recorder.values) == 2 and len(fitted[0].recorder.values[0]) == 4
    assert hasattr(fitted[0], 'whole_step')


@pytest.mark.slow
def test_a_full_benchmark_fills_every_table(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_module, 'BATCH_SIZES', (64, 128))
    monkeypatch.setattr(bench_module, 'DATA_SIZES', (256, 512))
    b = run_bench(['model3'], tmp_path / 'bench.json', 'digits', 'cpu', batches=2, rounds=1)
    assert read_bench(tmp_path / 'bench.json') == b and b.finished and not b.quick
    ways = ['plain', 'kit', 'contiguous', 'channels last', 'device', 'whole step', 'bare']
    assert list(b.steps['model3']) == ways
    assert list(b.floor['model3']) == ['kit', 'bare'] and len(b.floor['model3']['kit']) == 4
    assert list(b.batch_sizes) == ['64', '128'] and list(b.data_sizes) == ['256', '512']
    tables = (b.steps['model3'], b.data, b.batch_sizes, b.data_sizes, b.startup, b.throughput)
    assert all(len(v) == 1 and min(v) > 0 for table in tables for v in table.values())
    assert 50 < b.memory['model3']['fastai'] < b.memory['model3']['peak']
    text = report(b)
    for part in ('channels last', 'Memory, model3', 'Microseconds', 'in an hour', 'first batch'):
        assert part in text
    plot_bench(b)


def test_a_process_that_dies_is_an_error_in_one_line(monkeypatch):
    def dies(*args):
        raise BrokenProcessPool('killed')

    monkeypatch.setattr(bench_module, 'steps', dies)
    with pytest.raises(TrainingError) as e:
        run_bench(['model1'], None, 'digits', 'cpu', quick=True)
    one_line(e, 'ended by itself', 'expected')
