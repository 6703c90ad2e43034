"Notebooks, package and README are in step, and say the same as settings.ini."

import re
import shutil
from configparser import ConfigParser
from statistics import mean

import pytest

from conftest import ROOT, run_python
from mnist_kit.spec import SPECS, Recipe
from mnist_kit.train import shipped_runs

NOTEBOOKS = sorted(p.relative_to(ROOT) for p in (ROOT / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
settings = ConfigParser(delimiters=['='])
settings.read(ROOT / 'settings.ini', encoding='utf-8')
settings = settings['DEFAULT']


@pytest.fixture
def copy(tmp_path):
    "A copy of what nbdev reads and writes."
    for name in ('nbs', 'mnist_kit'):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints')
        )
    for name in ('settings.ini', 'pyproject.toml'):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def changed(copy):
    "The files of `copy` that are not as they are in the project."
    files = [p for p in copy.rglob('*') if p.is_file() and '__pycache__' not in p.parts]
    assert files
    return [
        str(p.relative_to(copy))
        for p in files
        if not (ROOT / p.relative_to(copy)).is_file() or (ROOT / p.relative_to(copy)).read_bytes() != p.read_bytes()
    ]


def nbdev(command, cwd):
    "Run an nbdev command in `cwd`."
    module = {'export': 'doclinks'}.get(command, command)
    code = f'from nbdev.{module} import nbdev_{command} as f; f.__wrapped__()'
    p = run_python('-c', code, cwd=cwd)
    assert p.returncode == 0, p.stderr


def test_nbdev_export_changes_nothing(copy):
    nbdev('export', copy)
    assert changed(copy) == []


def test_every_module_is_written_by_a_notebook(copy):
    for p in (copy / 'mnist_kit').glob('*.py'):
        if p.name != '__init__.py':
            p.unlink()
    nbdev('export', copy)
    assert sorted(p.name for p in (copy / 'mnist_kit').glob('*.py')) == sorted(
        p.name for p in (ROOT / 'mnist_kit').glob('*.py')
    )
    assert changed(copy) == []


def test_nbdev_clean_changes_nothing(copy):
    nbdev('clean', copy)
    assert changed(copy) == []


def test_the_readme_is_written_from_index(tmp_path):
    p = run_python(
        '-m', 'nbconvert', '--config', '.ci/readme.py', f'--FilesWriter.build_directory={tmp_path}', cwd=ROOT
    )
    assert p.returncode == 0, p.stderr
    assert (tmp_path / 'README.md').read_text(encoding='utf-8') == (ROOT / 'README.md').read_text(encoding='utf-8')


def test_a_module_imports_only_from_modules_above_it():
    order = [p.stem.split('_', 1)[1] for p in NOTEBOOKS if re.match(r'\d\d_', p.name)]
    for i, name in enumerate(order):
        text = (ROOT / 'mnist_kit' / f'{name}.py').read_text(encoding='utf-8')
        used = set(re.findall(r'(?:from|import) mnist_kit\.(\w+)', text)) | set(
            re.findall(r'from \.(\w+) import', text)
        )
        assert used <= set(order[:i]), f'{name} imports {used - set(order[:i])}'


def test_the_version_is_the_one_in_settings():
    import mnist_kit

    assert mnist_kit.__version__ == settings['version']


def text_of(path):
    return (ROOT / path).read_text(encoding='utf-8')


def test_links_to_colab_name_this_repository_and_notebooks_that_exist():
    here = f'{settings["user"]}/{settings["repo"]}/blob/{settings["branch"]}/'
    links = re.findall(r'colab\.research\.google\.com/github/([^)\s"]+)', text_of('README.md'))
    assert len(links) >= 5
    for link in links:
        assert link.startswith(here) and (ROOT / link.removeprefix(here)).is_file(), link


@pytest.mark.parametrize('path', NOTEBOOKS, ids=str)
def test_a_notebook_installs_the_kit_where_it_runs_in_colab(path):
    assert f'git+https://github.com/{settings["user"]}/{settings["repo"]}' in text_of(path)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=str)
def test_a_notebook_holds_no_error_and_no_path_of_a_machine(path):
    text = text_of(path)
    assert '"output_type": "error"' not in text
    assert not re.search(r'/(home|root|work|tmp|Users)/', text)


# ---------------------------------------------------------------- the README's table


@pytest.mark.parametrize('run', shipped_runs(), ids=lambda r: f'{r.model}-seed{r.seed}')
def test_the_records_are_of_whole_runs_by_the_recipe_on_mnist(run):
    assert (run.source, run.n_train, run.n_valid, run.holdout, run.status) == ('mnist', 60000, 10000, 0, 'finished')
    assert run.params == SPECS[run.model].params
    assert Recipe(**run.recipe | {'moms': tuple(run.recipe['moms'])}) == SPECS[run.model].recipe
    assert [r['epoch'] for r in run.rows] == list(range(1, SPECS[run.model].recipe.epochs + 1))
    assert run.accuracy == run.rows[-1]['valid_accuracy'], 'the last epoch, not the best'


def accuracies(name):
    return [r.accuracy for r in shipped_runs() if r.model == name]


def test_model3_reaches_99_35_percent_in_its_last_epoch():
    assert mean(accuracies('model3')) >= 0.9935


def test_model1_reaches_98_7_percent_in_its_last_epoch():
    assert mean(accuracies('model1')) >= 0.987


def test_model2_reaches_98_7_percent_in_its_last_epoch_with_some_seeds_only_as_the_readme_says():
    accs = accuracies('model2')
    assert max(accs) >= 0.987 > mean(accs) > 0.98 and max(accs) - min(accs) > 0.01


def test_the_readmes_table_is_computed_from_the_records():
    for name, spec in SPECS.items():
        accs = [100 * a for a in accuracies(name)]
        spread = f' ({min(accs):.2f} to {max(accs):.2f})' if len(accs) > 1 else ''
        row = next(o for o in text_of('README.md').splitlines() if o.startswith(f'| {name[-1]}: '))
        assert [o.strip() for o in row.split('|')[2:-1]] == [
            f'{spec.params:,}',
            f'{100 * spec.reported.test_acc:.2f} %',
            f'**{mean(accs):.2f} %**{spread}',
            str(len(accs)),
            str(spec.recipe.epochs),
            'MNIST',
        ]
