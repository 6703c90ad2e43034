"ASSIGNMENT.md, its overview and its training configurations, as data."

import pytest

from conftest import run_python
from mnist_kit.spec import MEAN, MODEL3, PARAM_BUDGET, SPECS, STD, TARGET_ACC

OVERVIEW = dict(model1=('7,108', 99.63, 99.06), model2=('~6,000', 99.00, 98.99), model3=('~7,000', 99.06, 99.50))
# epochs, peak of the one-cycle, weight decay, rotation, translation, dropout
CONFIGURATION = dict(
    model1=(20, None, 0, 0, 0, 0),  # no scheduler, no augmentation, no dropout
    model2=(15, None, 0, 0, 0, 0.25),
    model3=(20, 0.05, 1e-4, 7, 0.1, 0.05),
)


def test_the_target_is_99_4_percent_with_less_than_8k_parameters_and_images_are_normalised_with_mnists_figures():
    assert (TARGET_ACC, PARAM_BUDGET, MEAN, STD) == (0.994, 8000, 0.1307, 0.3081)
    assert [o.params for o in SPECS.values()] == [7108, 6280, 7416]  # `01_spec` counts by hand, `04_models` the layers


@pytest.mark.parametrize('name', SPECS)
def test_a_models_overview_and_training_configuration_are_the_assignments(name):
    o, r = SPECS[name].reported, SPECS[name].recipe
    assert (o.params, 100 * o.train_acc, 100 * o.test_acc) == pytest.approx(OVERVIEW[name])
    assert 'one run' in o.how and 'picked on the test images' in o.how
    assert (r.lr, r.mom, r.bs) == (0.01, 0.9, 128)
    assert (r.epochs, r.lr_max, r.wd, r.max_rotate, r.max_translate, SPECS[name].dropout) == CONFIGURATION[name]


def test_model3_was_cut_short():
    assert 'cut short' in MODEL3.reported.how and MODEL3.reported.epochs == 15 < MODEL3.recipe.epochs


def test_importing_the_specification_does_not_import_torch():
    code = 'import sys, mnist_kit.spec; sys.exit(any(m in sys.modules for m in ("torch", "fastai", "numpy")))'
    assert run_python('-c', code).returncode == 0
