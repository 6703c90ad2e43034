"Records of runs that nobody trained, for the tests of what reads them."

from dataclasses import replace

from conftest import refused  # noqa: F401  (comes along)
from mnist_kit.evidence import VARIANTS, Study, run_name
from mnist_kit.runs import Run, write_run
from mnist_kit.spec import SPECS


def record(name='model1', seed=0, accs=(0.98, 0.99), train=0.995, clean=0.997, epochs=None, **kwargs):
    "The record of a run with these test accuracies, an epoch each; `train` and `clean` are its training accuracies."
    v = VARIANTS[name]
    row = dict(train_loss=0.1, train_accuracy=train, valid_loss=0.1, seconds=2.0)
    made = dict(
        model=v.network.__name__ if v.network else v.model,
        params=SPECS[v.model].params,
        source='digits',
        seed=seed,
        recipe=replace(v.recipe, epochs=epochs or len(accs)),
        holdout=0,
        n_train=1500,
        n_valid=10_000,
        device={'type': 'cpu'},
        versions={},
        started='2026-01-01T00:00:00+00:00',
        variant='' if name == v.model else name,
        options=dict(v.options),
        status='finished',
        rows=[dict(row, epoch=i + 1, valid_accuracy=acc) for i, acc in enumerate(accs)],
        train=None if clean is None else dict(n=1500, loss=0.1, accuracy=clean),
    )
    return Run(**made | kwargs)


def put(folder, *runs, at=None):
    "Write the records into `folder` as a study has them, and return it."
    for r in runs:
        out = folder / (at or run_name(r.name, r.seed))
        out.mkdir(parents=True)
        write_run(r, out)
    return folder


def judged(folder):
    "Two runs of Model 1 with clean gaps of 0.6 and 0.8 points, two of it with a cycle, and a single one of Model 2."
    runs = [record('model1', i, (0.98,), train=0.98, clean=0.98 + g) for i, g in enumerate((0.006, 0.008))]
    cycle = [record('model1-one-cycle', i, (first, 0.99)) for i, first in enumerate((0.99, 0.97))]
    return Study(put(folder, *runs, *cycle, record('model2', 0)))


def contents(folder):
    "All files in `folder` with what is in them and when they were written, but for the lock."
    files = sorted(p for p in folder.rglob('*') if p.is_file() and p.name != '.lock')
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}
