"ASSIGNMENT.md, its overview and its training configurations, as data."

import pytest

from conftest import run_python
from mnist_kit.spec import MEAN, MODEL1, MODEL2, MODEL3, PARAM_BUDGET, SPECS, STD, TARGET_ACC
from mnist_kit.spec import spec_for


def test_the_target_is_99_4_percent_with_less_than_8k_parameters():
    assert TARGET_ACC == 0.994
    assert PARAM_BUDGET == 8000
    assert all(s.params < PARAM_BUDGET for s in SPECS.values())


@pytest.mark.parametrize(
    'name, params, train_acc, test_acc',
    [('model1', '7,108', 99.63, 99.06), ('model2', '~6,000', 99.00, 98.99), ('model3', '~7,000', 99.06, 99.50)],
)
def test_overview_table_of_the_assignment(name, params, train_acc, test_acc):
    reported = spec_for(name).reported
    assert reported.params == params
    assert reported.train_acc == pytest.approx(train_acc / 100)
    assert reported.test_acc == pytest.approx(test_acc / 100)


def test_what_is_reported_says_how_it_was_obtained():
    assert all('one run' in s.reported.how and 'picked on the test images' in s.reported.how for s in SPECS.values())
    assert 'cut short' in MODEL3.reported.how and MODEL3.reported.epochs == 15 < MODEL3.recipe.epochs


def test_all_models_use_sgd_with_momentum_09_lr_001_and_batches_of_128():
    assert {(s.recipe.lr, s.recipe.mom, s.recipe.bs) for s in SPECS.values()} == {(0.01, 0.9, 128)}


@pytest.mark.parametrize(
    'spec, expected',
    [
        (MODEL1, (20, None, 0, 0, 0, 0)),  # no scheduler, no augmentation, no dropout
        (MODEL2, (15, None, 0, 0, 0, 0.25)),
        (MODEL3, (20, 0.05, 1e-4, 7, 0.1, 0.05)),
    ],
    ids=lambda o: getattr(o, 'name', ''),
)
def test_epochs_one_cycle_weight_decay_rotation_translation_and_dropout_are_the_assignments(spec, expected):
    r = spec.recipe
    assert (r.epochs, r.lr_max, r.wd, r.max_rotate, r.max_translate, spec.dropout) == expected


def test_images_are_normalised_with_mnists_mean_and_standard_deviation():
    assert (MEAN, STD) == (0.1307, 0.3081)


def test_importing_the_specification_does_not_import_torch():
    code = 'import sys, mnist_kit.spec; sys.exit(any(m in sys.modules for m in ("torch", "fastai", "numpy")))'
    assert run_python('-c', code).returncode == 0
