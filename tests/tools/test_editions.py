"The editions of the assignment: the kit's own, others that courses give, and one's own."

import pytest

from conftest import refused
from mnist_kit.spec import MODEL1, MODEL3
from mnist_kit.tools.findings import EDITIONS, Edition, edition_for


def test_the_kits_edition_is_the_assignment():
    o = edition_for()
    assert (o.budget, o.target, o.epochs, o.stretch) == (8000, 0.994, 20, 15)
    assert (EDITIONS['8k-15'].budget, EDITIONS['8k-15'].epochs) == (8000, 15), "Model 3's own target"
    assert o.epochs == MODEL1.recipe.epochs == MODEL3.recipe.epochs


@pytest.mark.parametrize(
    'name, budget, epochs, target',
    [('10k-15', 10_000, 15, 0.994), ('20k-20', 20_000, 20, 0.994), ('25k-1', 25_000, 1, 0.95)],
)
def test_an_editions_name_says_its_numbers(name, budget, epochs, target):
    o = EDITIONS[name]
    assert (o.name, o.budget, o.epochs, o.target) == (name, budget, epochs, target) and o.what and '\n' not in o.what


def test_single_numbers_of_an_edition_can_be_changed():
    o = edition_for('10k-15', budget=9000)
    assert (o.budget, o.target, o.epochs) == (9000, 0.994, 15) and o.name == '10k-15, changed'
    mine = Edition('mine', 5000, 0.98, 3, 'of my own')
    assert edition_for(mine) is mine and edition_for(mine, epochs=4, target=1).target == 1
    assert edition_for(mine, epochs=1).stretch == 1


@pytest.mark.parametrize(
    'field, value',
    [('budget', 0), ('budget', 7.5), ('epochs', 0), ('epochs', True), ('target', 0), ('target', 99.4)]
    + [('target', float('nan')), ('target', '0.9')],
)
def test_an_edition_that_nothing_can_meet_is_refused_in_one_line(field, value):
    refused(lambda: edition_for(**{field: value}), f'{field}={value!r}: expected it to be ')


def test_an_unknown_edition_is_refused_with_the_names_of_the_known_ones():
    refused(lambda: edition_for('9k'), "edition '9k': expected one of mnist_kit, 8k-15, 10k-15, 20k-20, 25k-1")
