"ASSIGNMENT.md, its overview and its training configurations, as data."

from dataclasses import replace

import pytest

from conftest import refused, run_python
from mnist_kit.spec import MEAN, MODEL1, MODEL2, MODEL3, PARAM_BUDGET, SPECS, STD, TARGET_ACC
from mnist_kit.spec import Recipe, recipe_with, spec_for


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


BAD = dict(
    epochs=(0, -3, 2.5, True), bs=(0,), lr=(0, -0.01, float('inf')), lr_max=(0, float('nan')), mom=(1,), wd=(-1e-4,),
    max_rotate=(-7,), max_translate=(1.5,)
)  # fmt: skip


@pytest.mark.parametrize('field, value', [(k, v) for k, values in BAD.items() for v in values])
def test_a_recipe_that_cannot_be_trained_is_refused_in_one_line(field, value):
    refused(lambda: replace(Recipe(epochs=1, lr=0.01), **{field: value}), f'{field}={value}: expected it to be ')


def test_what_someone_gives_goes_into_a_recipe_and_nothing_leaves_it_as_it_is():
    assert recipe_with(MODEL3.recipe) == recipe_with(MODEL3.recipe, None, epochs=None, bs=None) == MODEL3.recipe
    one_cycle, constant = recipe_with(MODEL3.recipe, 0.1, epochs=3), recipe_with(MODEL1.recipe, lr=0.1, bs=64)
    assert (one_cycle.lr_max, one_cycle.lr, one_cycle.epochs) == (0.1, MODEL3.recipe.lr, 3)
    assert (constant.lr_max, constant.lr, constant.bs) == (None, 0.1, 64)
    assert recipe_with(MODEL3.recipe, lr_max=0.2).lr_max == 0.2
    refused(lambda: recipe_with(MODEL1.recipe, epochs=0), 'epochs=0: expected')
    refused(lambda: recipe_with(MODEL3.recipe, lr=-1), 'lr=-1: expected it to be greater than 0')  # which has an lr_max
