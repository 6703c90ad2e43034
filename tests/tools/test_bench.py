"How fast the kit is: measured by turns, recorded, and told."

import json
import random
import subprocess
from copy import deepcopy
from functools import partial

import pytest
import torch
from conftest import command
from torchvision import transforms

from mnist_kit.core import InputError, TrainingError
from mnist_kit.learner import learner_for
from mnist_kit.models import RECORDS
from mnist_kit.tools.bench import Bench, bare, by_turns, kit, plain, read_bench, run_bench
from mnist_kit.tools.cli import mnist_kit_bench


def learner(name='model1'):
    return learner_for(name, source='digits', device='cpu', seed=0)


# ---------------------------------------------------------------- measuring


def test_ways_are_measured_by_turns_and_a_first_round_does_not_count():
    calls = []
    times = by_turns({k: lambda k=k: calls.append(k) or float(len(calls)) for k in 'AB'}, rounds=2)
    assert ''.join(calls) == 'AB' + 'ABAB'
    assert times.to_dict('list') == {'A': [3, 5], 'B': [4, 6]}


@pytest.mark.parametrize('way', [plain, kit, bare])
def test_a_round_is_an_epochs_steps_and_gives_back_the_seconds_of_one(way, monkeypatch):
    taken, step = [], torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, 'step', lambda self, *a, **k: (taken.append(1), step(self, *a, **k))[1])
    clock = iter([100.0, 124.0])
    monkeypatch.setattr('mnist_kit.tools.bench.time.perf_counter', lambda: next(clock))
    assert way(learner())() == 2.0
    assert len(taken) == 12  # of 128, from 1,500 images


def test_the_plain_pipeline_has_the_assignments_transforms(monkeypatch):
    loaders, make = [], torch.utils.data.DataLoader
    monkeypatch.setattr(torch.utils.data, 'DataLoader', lambda *a, **k: loaders.append(make(*a, **k)) or loaders[-1])
    learn = learner('model3')
    plain(learn)
    plain(learner('model1'))
    augmented, usual = (o.dataset for o in loaders)
    rotate, shift, *rest = augmented.transform.transforms
    assert isinstance(rotate, transforms.RandomRotation) and rotate.degrees == [-7, 7]
    assert isinstance(shift, transforms.RandomAffine) and shift.translate == (0.1, 0.1) and shift.degrees == [0, 0]
    assert [type(o) for o in rest] == [transforms.ToTensor, transforms.Normalize]
    assert [type(o) for o in usual.transform.transforms] == [transforms.ToTensor, transforms.Normalize]
    assert all(o.batch_size == 128 and o.num_workers == 0 for o in loaders)
    (image, label), ds = usual[3], learn.dls.train_ds
    assert torch.allclose(image, (ds.images[3] / 255 - 0.1307) / 0.3081, atol=1e-6) and label == ds.labels[3]


# ---------------------------------------------------------------- the record


def bench(**kwargs):
    values = dict(plain=[4.0, 8.0, 6.0], kit=[2.0, 2.0, 3.0])
    table = dict(unit='s', bases=['plain'], values=values)
    device, versions = dict(type='cpu', name='a CPU', threads=2), dict(torch='2')
    return Bench(**dict(source='mnist', n_train=60000, device=device, versions=versions, started='', quick=False,
                        batches=12, rounds=3, finished=True, tables=dict(model1=table)) | kwargs)  # fmt: skip


def test_a_report_gives_medians_and_the_middle_half_of_the_rounds_and_of_the_ratios_within_one():
    # half of the way between the smallest and the median is a quarter of three values: 4 5 6 7 8
    rows = str(bench()).splitlines()[-2:]
    assert [' '.join(o.split()) for o in rows] == [
        'plain 6.00 (5.00 to 7.00) 1.00 (1.00 to 1.00)',
        'kit 2.00 (2.00 to 2.50) 0.50 (0.38 to 0.50)',  # of 0.5, 0.25 and 0.5
    ]


def test_a_report_names_its_source_and_whether_it_may_be_quoted():
    assert 'MNIST' in str(bench()) and 'quote' not in str(bench()) and 'stopped' not in str(bench())
    assert 'not MNIST' in str(bench(source='digits')) and 'too few to quote' in str(bench(quick=True))
    assert 'stopped before all was measured' in str(bench(finished=False))


def test_the_picture_has_a_bar_for_each_way_of_each_model():
    ax = bench().plot().axes[0]
    assert [o.get_text() for o in ax.get_legend().get_texts()] == ['plain', 'kit']
    assert [o.get_height() for o in ax.patches] == [6, 2]


def test_the_record_that_comes_with_the_kit_can_be_read():
    assert read_bench(RECORDS / 'bench.json').source == 'mnist'


@pytest.mark.parametrize(
    'text, part',
    [(None, 'cannot be read'), ('{"format": 2, "sou', 'is damaged'), ('{"format": 1}', 'format 1'), ('{"format": 2}', 'damaged')],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, part):
    path = tmp_path / 'bench.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as e:
        read_bench(path)
    assert part in str(e.value) and 'expected' in str(e.value) and '\n' not in str(e.value)


def places(o):
    "Every place in a record: the dict or list, and the key or index in it."
    for k in list(o) if isinstance(o, dict) else range(len(o)):
        yield o, k
        if isinstance(o[k], (dict, list)):
            yield from places(o[k])


def test_a_damaged_record_is_refused_in_one_line_or_can_be_shown(tmp_path):
    whole = vars(bench())
    odd = [
        None,
        True,
        -1,
        0,
        10**400,
        float('nan'),
        float('inf'),
        '',
        'x',
        '\ud800',
        '$\\frac$',
        [],
        {},
        [[]],
        {'x': 1},
    ]
    refused, shown, path = 0, 0, tmp_path / 'bench.json'
    for i in range(len(list(places(whole)))):
        for new in random.Random(i).sample(odd, 4) + ['gone', 'key']:
            record = deepcopy(whole)
            o, k = list(places(record))[i]
            if new == 'key' and isinstance(o, dict):
                o['\ud800$'] = o.pop(k)
            elif new == 'gone':
                del o[k]
            else:
                o[k] = new
            path.write_text(json.dumps(record))
            try:
                b = read_bench(path)
            except InputError as e:
                refused += '\n' not in str(e)
            else:
                (tmp_path / 'report').write_text(str(b), encoding='utf-8')
                b.plot().savefig(tmp_path / 'bench.png')
                shown += 1
    assert refused + shown == 6 * len(list(places(whole))) and refused and shown


# ---------------------------------------------------------------- the command


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


def test_ctrl_c_keeps_what_was_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mnist_kit.tools.bench.by_turns', partial(interrupted_in, [], 2))
    with pytest.raises(SystemExit) as e:
        mnist_kit_bench(['model1'], quick=True, source='digits', device='cpu', out=str(tmp_path / 'out'))
    assert e.value.code == 130 and 'what was measured is kept' in capsys.readouterr().err
    b = read_bench(tmp_path / 'out/bench.json')
    assert list(b.tables) == ['model1'] and not b.finished


def interrupted_in(seen, turn, ways, rounds):
    seen.append(rounds)
    if len(seen) == turn:
        raise KeyboardInterrupt
    return by_turns(ways, 1)


@pytest.mark.slow
def test_the_quick_command_measures_and_leaves_a_record_and_a_picture(tmp_path):
    out = tmp_path / 'bench'
    args = ('model3', '--quick', '--source', 'digits', '--device', 'cpu', '--out', out)
    p = subprocess.run(command('mnist_kit_bench', *args), capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stderr
    assert "scikit-learn's digits (not MNIST)" in p.stdout and 'too few to quote' in p.stdout
    assert sorted(o.name for o in out.iterdir()) == ['bench.json', 'bench.png']
    b = read_bench(out / 'bench.json')
    assert b.finished and list(b.tables['model3']['values']) == ['plain', 'kit', 'bare']


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


@pytest.mark.slow
@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=gpu)])
def test_a_full_benchmark_has_every_table(tmp_path, device):
    b = run_bench(['model3'], tmp_path / 'bench.json', 'digits', device, batches=2, rounds=1)
    assert read_bench(tmp_path / 'bench.json') == b and b.finished and not b.quick
    columns = [set(o['values']) for o in b.tables.values()]
    parts = {'contiguous', 'channels last', 'StayOnDevice', 'WholeStep'}
    on_gpu = device == 'cuda'
    parts |= {'CapturedStep', 'to_fast', 'bf16'} if on_gpu else set()
    for asked in ({'plain', 'kit', 'bare', *parts}, {'kit', 'bare'}, {'plain', 'kit'}, {'F.affine_grid', 'affine_sample'},
                  {f'batches of {o}' for o in (32, 64, 128, 256, 512, 1024)}, {'128 images', '1,408 images'},
                  {'fastai imported', 'first batch', 'first step', 'validated'}, *[{'kit', 'to_fast'}] * on_gpu):  # fmt: skip
        assert asked in columns
    assert all(
        len(v) == len(next(iter(o['values'].values()))) and min(v) > 0
        for o in b.tables.values()
        for v in o['values'].values()
    )
    memory = {k: v[0] for k, v in list(b.tables.values())[-1]['values'].items()}
    assert (
        50 < memory['fastai imported'] <= memory['first step'] <= memory['validated'] < memory['fastai imported'] + 700
    )


def test_a_process_that_dies_is_an_error_in_one_line(monkeypatch):
    monkeypatch.setattr('mnist_kit.tools.bench.by_turns', lambda *args: pytest.importorskip('pandas').DataFrame())
    monkeypatch.setattr('subprocess.run', lambda *a, **k: subprocess.CompletedProcess(a, -9, ''))
    with pytest.raises(TrainingError) as e:
        run_bench(['model1'], None, 'digits', 'cpu', batches=1)
    assert 'ended with -9' in str(e.value) and 'expected' in str(e.value) and '\n' not in str(e.value)
