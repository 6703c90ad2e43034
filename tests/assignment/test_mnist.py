"Short real trainings on MNIST, all 60,000 images: accuracies that a broken pipeline would not reach."

import pytest
from conftest import quiet
from mnist_kit.learner import learner_for
from mnist_kit.runs import EpochRows

pytestmark = pytest.mark.slow


def after_one_epoch(name):
    learn, rows = quiet(learner_for(name, source='mnist', seed=0)), []
    learn.fit_recipe(epochs=1, cbs=EpochRows(rows.append))
    return rows[0]


def test_model1_reaches_97_percent_after_one_epoch(mnist):
    "The reported run has 97.70 % after its first epoch."
    assert after_one_epoch('model1')['valid_accuracy'] > 0.97


def test_model3_reaches_96_percent_after_a_cycle_of_one_epoch_on_augmented_images(mnist):
    "The reported run has 96.32 % after the first epoch of its long cycle; a short cycle comes further."
    values = after_one_epoch('model3')
    assert values['valid_accuracy'] > 0.96
    assert values['train_accuracy'] < values['valid_accuracy'], (
        'augmented images are harder, and are scored while the model learns'
    )
