"How fast the kit is, and that speed changes nothing of what is learned."

import json
import statistics
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.learner import AvgMetric, Learner
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import transforms

from conftest import quiet, run_python
from mnist_kit import bench as bench_module
from mnist_kit.bench import (
    Bench,
    InMemoryMNIST,
    Ratio,
    bare,
    epoch_table,
    kit,
    mnist_kit_bench,
    plain,
    plain_loader,
    plain_model,
    plot_bench,
    ratio,
    read_bench,
    report,
    run_bench,
    seconds_a_batch,
    whole_recipe,
    write_bench,
)
from mnist_kit.data import MEAN, STD, load_digits
from mnist_kit.learner import (
    STEP_EVENTS,
    CapturedStep,
    StaticStep,
    StayOnDevice,
    TrainingChecks,
    WholeStep,
    keep_memory,
    learner_for,
    sgd_step_,
)
from mnist_kit.models import MODELS, Dropout
from mnist_kit.spec import MODEL1, MODEL3, RECORDS, SPECS, InputError, TrainingError

each_name = pytest.mark.parametrize('name', list(MODELS))


def one_line(e, *parts):
    "The message of the caught error is one line and has all of `parts`."
    assert '\n' not in str(e.value) and all(p in str(e.value) for p in parts), str(e.value)


# ---------------------------------------------------------------- dropout


def dropped(x, layer, p=0.25):
    torch.manual_seed(0)
    return layer(p)(x)


@pytest.mark.parametrize('p', [0.05, 0.25, 0.5])
def test_dropout_drops_what_pytorchs_drops_in_any_memory_format(p):
    x = torch.randn(8, 16, 5, 5)
    expected = dropped(x, nn.Dropout, p)
    assert (expected == 0).any() and (expected != 0).any()
    assert torch.equal(dropped(x, Dropout, p), expected)
    last = dropped(x.to(memory_format=torch.channels_last), Dropout, p)
    assert torch.allclose(last, expected) and last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('format', [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_dropout_passes_where_values_pass(format):
    x = torch.rand(8, 16, 5, 5).to(memory_format=format).requires_grad_()
    y = Dropout(0.25)(x)
    y.sum().backward()
    assert torch.allclose(x.grad * x, y)


@pytest.mark.parametrize('p', [0.0, 1.0])
def test_dropout_of_nothing_or_of_everything(p):
    x = torch.rand(8, 16, 5, 5).to(memory_format=torch.channels_last)
    assert torch.equal(Dropout(p)(x), (1 - p) * x)
    assert torch.equal(Dropout(p).eval()(x), x)


# ---------------------------------------------------------------- callbacks that change nothing


def trained(name, epochs=1, **kwargs):
    learn = quiet(learner_for(name, source='digits', seed=0, **kwargs))
    learn.fit_recipe(epochs)
    return learn


def same_weights(a, b, rtol=1e-4, atol=1e-5):
    for (k, x), y in zip(a.model.state_dict().items(), b.model.state_dict().values(), strict=True):
        assert torch.allclose(x, y, rtol=rtol, atol=atol), k


@pytest.mark.parametrize('event', STEP_EVENTS)
def test_a_callback_within_a_step_is_heard(event):
    heard = []
    listener = type('Listener', (Callback,), {event: lambda self: heard.append(self.training)})
    learn = trained('model1', cbs=listener())
    assert heard.count(True) == len(learn.dls.train) == 12


def test_after_a_fit_that_failed_a_callback_within_a_step_is_heard():
    learn = quiet(learner_for('model1', source='digits', seed=0))
    with pytest.raises(ZeroDivisionError):
        learn.fit_recipe(1, cbs=type('Failing', (Callback,), {'after_batch': lambda self: 1 / 0})())
    learn.remove_cb(WholeStep)
    heard = []
    listener = type('Listener', (Callback,), {'after_pred': lambda self: heard.append(self.training)})
    learn.fit_recipe(1, cbs=listener())
    assert heard.count(True) == len(learn.dls.train)


def test_a_whole_step_leaves_nothing_behind():
    assert '_do_one_batch' not in vars(trained('model1'))  # so that fastai's own is taken again


@each_name
def test_a_captured_step_learns_the_same(name):
    recipe = replace(SPECS[name].recipe, wd=0.1)  # enough to see that it is not forgotten
    usual, captured = trained(name, recipe=recipe), trained(name, recipe=recipe, cbs=CapturedStep())
    same_weights(usual, captured, rtol=1e-3, atol=1e-3)
    assert torch.allclose(torch.stack(usual.recorder.losses), torch.stack(captured.recorder.losses), rtol=1e-3)
    assert list(captured.recorder.values[-1]) == pytest.approx(list(usual.recorder.values[-1]), rel=1e-2)


def test_a_captured_step_trains_whole_batches_after_the_first_ones(monkeypatch):
    sizes, run = [], StaticStep.run
    monkeypatch.setattr(StaticStep, 'run', lambda self: (sizes.append(len(self.x)), run(self)))
    trained('model1', epochs=2, cbs=CapturedStep(warmup=3))
    assert sizes == [128] * (2 * 11 - 3)  # of 1,500 images: 11 whole batches and one of 92 in each epoch


def test_a_captured_step_refuses_what_it_cannot_repeat():
    learn = quiet(learner_for('model1', source='digits', cbs=CapturedStep()).to_fp16())
    with pytest.raises(InputError) as e:
        learn.fit_recipe(1)
    one_line(e, 'CapturedStep with MixedPrecision', 'expected')
    from fastai.optimizer import Adam

    learn = quiet(learner_for('model1', source='digits', cbs=CapturedStep(), opt_func=Adam))
    with pytest.raises(InputError) as e:
        learn.fit(1)
    one_line(e, 'CapturedStep with Optimizer', "learner_for's SGD")
    from fastai.callback.mixup import MixUp

    learn = quiet(learner_for('model1', source='digits', cbs=[CapturedStep(), MixUp()]))
    with pytest.raises(InputError) as e:
        learn.fit(1)
    one_line(e, 'CapturedStep with MixUp')
    with pytest.raises(InputError) as e:
        CapturedStep(warmup=0)
    one_line(e, 'warmup=0: expected at least 1')


def test_a_learner_with_a_captured_step_can_be_exported_after_a_fit(tmp_path):
    learn = trained('model1', cbs=CapturedStep())
    assert learn.captured_step.recorded is None
    learn.export(tmp_path / 'model.pkl')


@pytest.mark.parametrize('wd', [0.0, 1e-2])
def test_the_step_with_values_from_tensors_is_pytorchs_sgd(wd):
    torch.manual_seed(0)
    theirs = [torch.randn(3, 4), torch.randn(5)]
    ours = [o.clone() for o in theirs]
    bufs = [torch.zeros_like(o) for o in ours]
    opt = torch.optim.SGD(theirs, lr=1.0, momentum=0.5, weight_decay=wd)
    for lr, mom in ((0.1, 0.95), (0.2, 0.9), (0.05, 0.85)):
        opt.param_groups[0].update(lr=lr, momentum=mom)
        for o in theirs:
            o.grad = o.sin()
        grads = [o.sin() for o in ours]
        opt.step()
        sgd_step_(ours, grads, bufs, torch.tensor(lr), torch.tensor(mom), wd)
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, rtol=1e-5)


def test_figures_that_stay_on_the_device_are_fastais():
    ours = trained('model3', epochs=2)
    learn = quiet(learner_for('model3', source='digits', seed=0)).remove_cb(StayOnDevice)
    learn.fit_recipe(2)
    assert all(type(o) is AvgMetric for o in learn.metrics) and not any(type(o) is AvgMetric for o in ours.metrics)
    for a, b in zip(ours.recorder.values, learn.recorder.values, strict=True):
        assert list(a) == pytest.approx(list(b), rel=1e-5)
    assert ours.recorder.metric_names == learn.recorder.metric_names
    assert torch.allclose(torch.stack(ours.recorder.losses), torch.stack(learn.recorder.losses))


@pytest.mark.parametrize('phase', ['training', 'validation'])
def test_a_loss_that_is_not_finite_is_found_at_the_end_of_the_epoch_where_a_device_is_not_asked_in_each_batch(
    monkeypatch, phase
):
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: False)
    learn = quiet(learner_for('model1', source='digits', seed=0))
    target, calls = (2 if phase == 'training' else 1), []

    class Spoil(nn.Module):
        def forward(self, x):
            calls.append(self.training)
            bad = self.training == (phase == 'training') and calls.count(self.training) >= target
            return x * float('nan') if bad else x

    learn.model.add_module('spoil', Spoil())
    with pytest.raises(TrainingError) as e:
        learn.fit_recipe(1)
    one_line(e, f'epoch 1, {phase}', 'the loss is nan', 'lower learning rate')
    if phase == 'training':
        one_line(e, 'training batch 2')
        assert calls.count(True) == 12, 'the epoch went on to its end'


def test_on_a_cpu_outputs_that_are_no_log_probabilities_are_found_in_the_first_batch_and_elsewhere_after_the_epoch(
    monkeypatch,
):
    class Logits(nn.Sequential):
        calls = 0

        def forward(self, x):
            self.calls += self.training
            return super().forward(x)

    for at_once, batches in ((True, 1), (False, 12)):
        monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: at_once)
        learn = quiet(learner_for(Logits(nn.Flatten(), nn.Linear(784, 10)), source='digits', device='cpu', seed=0))
        with pytest.raises(TrainingError) as e:
            learn.fit_recipe(1)
        one_line(e, 'add up to', 'LogSoftmax')
        assert learn.model.calls == batches


class NothingIsRead(TorchDispatchMode):
    "Fails where the value of a tensor is asked for, which on a GPU would have to be waited for."

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default, 'a value is read'
        return func(*args, **kwargs or {})


class Watch(Callback):
    "A dispatch mode around the training batches of an epoch."

    order = 99

    def __init__(self, mode):
        self.mode = mode

    def before_batch(self):
        if self.training:
            self.mode.__enter__()

    def after_batch(self):
        if self.training:
            self.mode.__exit__(None, None, None)


def test_no_value_is_read_within_a_training_batch_where_a_device_is_not_asked_at_once(monkeypatch):
    learn = quiet(learner_for('model3', source='digits', device='cpu', seed=0))
    mode = NothingIsRead()
    with pytest.raises(AssertionError, match='a value is read'):  # on the CPU, the loss is looked at: the test can fail
        learn.fit_recipe(1, cbs=Watch(mode))
    mode.__exit__(None, None, None)
    monkeypatch.setattr(TrainingChecks, 'at_once', lambda self, o: False)
    learn = quiet(learner_for('model3', source='digits', device='cpu', seed=0))
    learn.fit_recipe(1, cbs=Watch(NothingIsRead()))
    assert len(learn.recorder.losses) == 12


def test_on_a_cpu_models_2_and_3_are_trained_channels_last():
    for name, last in dict(model1=False, model2=True, model3=True).items():
        learn = quiet(learner_for(name, source='digits', device='cpu', seed=0))
        seconds_a_batch(learn, batches=1)
        weight = [o for o in learn.model.modules() if isinstance(o, nn.Conv2d)][1].weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == last, name


def test_a_readers_own_model_keeps_its_memory_format():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(1, 8, 3), nn.Linear(8 * 26 * 26, 10)

        def forward(self, x):
            return self.out(self.conv(x).view(len(x), -1)).log_softmax(1)  # `view` would fail channels last

    seconds_a_batch(quiet(learner_for(Own, source='digits', seed=0)), batches=1)


@pytest.mark.skipif(sys.platform != 'linux', reason="glibc's mallopt")
def test_freed_memory_is_kept():
    code = (
        'import resource, sys, torch\n'
        'from mnist_kit.learner import keep_memory\n'
        'assert sys.argv[1] == "0" or keep_memory()\n'
        'torch.ones(2**24)\n'
        'before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n'
        'for _ in range(10): torch.ones(2**24)\n'  # 64 MiB, 16,384 pages each
        'print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n'
    )
    faults = {
        keep: int(subprocess.run([sys.executable, '-c', code, keep], capture_output=True, text=True).stdout)
        for keep in '01'
    }
    assert faults['1'] < faults['0'] / 2, faults


def test_keep_memory_says_where_it_cannot_be_done(monkeypatch):
    import ctypes

    monkeypatch.setattr(ctypes, 'CDLL', lambda name: object())
    assert keep_memory() is False


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@each_name
def test_a_cuda_graph_learns_the_same_as_eager_steps(name):
    usual, captured = trained(name, device='cuda'), trained(name, device='cuda', cbs=CapturedStep())
    same_weights(usual, captured, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_training_batch_on_a_gpu_waits_for_nothing():
    class NoWaiting:
        def __enter__(self):
            torch.cuda.set_sync_debug_mode('error')

        def __exit__(self, *_):
            torch.cuda.set_sync_debug_mode('default')

    learn = quiet(learner_for('model3', source='digits', device='cuda', seed=0))
    learn.fit_recipe(1)
    try:
        learn.fit_recipe(1, cbs=Watch(NoWaiting()))
    finally:
        torch.cuda.set_sync_debug_mode('default')


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


def test_the_plain_networks_have_pytorchs_dropout():
    for name, cls in MODELS.items():
        found = [type(o) for o in plain_model(name).modules() if isinstance(o, nn.Dropout)]
        assert found == [nn.Dropout] * sum(isinstance(o, Dropout) for o in cls().modules())


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


def test_things_are_measured_by_turns_in_processes_of_their_own(tmp_path):
    code = (
        'import os, time\n'
        'from mnist_kit.bench import ByTurns\n'
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
    row = epoch_table(bench()).splitlines()[-1]
    assert [o.strip(' *') for o in row.split('|')[1:-1]] == [
        'model1', '28.1 s', '9.4 s', '9.4 s', '0.50 (0.25 to 0.50)', '1.00 (1.00 to 1.50)', '6,397',
    ]  # fmt: skip


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


def test_the_quick_command_measures_and_leaves_a_record(tmp_path):
    out = tmp_path / 'bench'
    args = ['--quick', '--source', 'digits', '--device', 'cpu', '--out', str(out)]
    p = run_python('-W', 'ignore', '-m', 'mnist_kit.bench', 'model3', *args, cwd=tmp_path)
    assert p.returncode == 0, p.stderr
    assert "scikit-learn's digits (not MNIST)" in p.stdout and 'too few to quote' in p.stdout
    assert sorted(o.name for o in out.iterdir()) == ['bench.json', 'bench.png']
    o = json.loads((out / 'bench.json').read_text())
    assert o['finished']
    assert list(o['steps']['model3']) == ['plain', 'kit', 'bare'] and list(o['data']) == ['plain', 'kit']
    assert all(len(v) == 3 and min(v) > 0 for v in [*o['steps']['model3'].values(), *o['data'].values()])
    found = pd.DataFrame(o['data'])
    assert (found.kit / found.plain).median() < 0.5, 'by batches is faster than image by image'


def test_a_whole_training_validates_after_each_epoch(monkeypatch):
    fitted, fit = [], Learner.fit_recipe
    monkeypatch.setattr(Learner, 'fit_recipe', lambda self: (fitted.append(self), fit(self, epochs=2)))
    assert whole_recipe('digits', 'cpu', (CapturedStep,))() > 0
    assert len(fitted[0].recorder.values) == 2 and len(fitted[0].recorder.values[0]) == 4
    assert any(isinstance(o, CapturedStep) for o in fitted[0].cbs)


def test_a_full_benchmark_fills_every_table(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_module, 'BATCH_SIZES', (64, 128))
    monkeypatch.setattr(bench_module, 'DATA_SIZES', (256, 512))
    b = run_bench(['model1'], tmp_path / 'bench.json', 'digits', 'cpu', batches=2, rounds=2)
    assert read_bench(tmp_path / 'bench.json') == b and b.finished and not b.quick
    assert list(b.steps['model1']) == ['plain', 'by batches', 'drawn at once', 'memory kept', 'kit', 'bare']
    assert list(b.floor['model1']) == ['kit', 'bare'] and len(b.floor['model1']['kit']) == 4 * 2
    assert list(b.batch_sizes) == ['64', '128'] and list(b.data_sizes) == ['256', '512']
    assert all(
        len(v) == 2 and min(v) > 0 for v in [*b.startup.values(), *b.data_sizes.values(), *b.throughput.values()]
    )
    assert 50 < b.memory['model1']['fastai'] < b.memory['model1']['peak']
    text = report(b)
    for part in ('by batches', 'Memory, model1', 'Microseconds', 'in an hour', 'first batch'):
        assert part in text
    plot_bench(b)


def test_a_process_that_dies_is_an_error_in_one_line(monkeypatch):
    def dies(*args):
        raise BrokenProcessPool('killed')

    monkeypatch.setattr(bench_module, 'steps', dies)
    with pytest.raises(TrainingError) as e:
        run_bench(['model1'], None, 'digits', 'cpu', quick=True)
    one_line(e, 'ended by itself', 'expected')


# ---------------------------------------------------------------- what was measured, on the machine that the record names

SHIPPED = read_bench(RECORDS / 'bench.json')


def test_the_record_is_on_mnist_and_says_whether_it_is_whole():
    assert SHIPPED.source == 'mnist' and SHIPPED.n_train == 60000 and not SHIPPED.quick and SHIPPED.rounds >= 5
    assert list(SHIPPED.steps) == ['model1', 'model2', 'model3']
    assert SHIPPED.finished


@pytest.mark.parametrize('name, most', [('model1', 0.65), ('model2', 0.65), ('model3', 0.45)])
def test_the_kits_training_phase_takes_at_most_so_much_of_the_plain_one(name, most):
    times = SHIPPED.steps[name]
    assert statistics.median(k / p for k, p in zip(times['kit'], times['plain'], strict=True)) <= most


@pytest.mark.parametrize('name', ['model1', 'model2', 'model3'])
def test_the_kits_training_phase_takes_at_most_a_tenth_more_than_the_bare_arithmetic(name):
    times = SHIPPED.floor[name]
    assert len(times['kit']) == 4 * SHIPPED.rounds
    assert statistics.median(k / b for k, b in zip(times['kit'], times['bare'], strict=True)) <= 1.10


def test_the_kits_data_path_takes_at_most_a_tenth_of_the_plain_one():
    assert statistics.median(k / p for k, p in zip(SHIPPED.data['kit'], SHIPPED.data['plain'], strict=True)) <= 0.10


def test_training_takes_at_most_700_mib_beyond_fastai():
    assert list(SHIPPED.memory) == ['model1', 'model2', 'model3']
    assert all(0 < o['peak'] - o['fastai'] <= 700 for o in SHIPPED.memory.values())


def test_the_time_for_an_image_is_flat_from_6000_to_60000_images():
    a, b = (statistics.median(SHIPPED.data_sizes[k]) for k in ('6000', '60000'))
    assert abs(b / a - 1) <= 0.10
