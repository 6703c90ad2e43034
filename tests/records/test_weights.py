"The weights of the three models, and the curves of the reported runs: what is committed is what its record says."

import json
import socket

import pandas as pd
import pytest
import torch
from conftest import quiet, refused
from torch import nn

from mnist_kit.evidence import Model1AveragePool, Study, reported_curves, run_name
from mnist_kit.learner import learner_for
from mnist_kit.models import RECORDS
from mnist_kit.runs import read_run
from mnist_kit.sources import load_digits
from mnist_kit.spec import SPECS, TARGET_ACC


def test_the_records_are_one_study_and_only_the_runs_with_weights_have_a_folder():
    s = Study()
    assert s.source == 'mnist' and {o.status for o in s.others} <= {'failed'}
    assert {o.name for o in RECORDS.iterdir() if o.is_dir()} == {run_name(o.name, o.seed) for o in s.runs if o.message}


@pytest.mark.parametrize('name', SPECS)
def test_the_weights_are_of_the_median_run_and_its_record_says_so(name):
    runs = [o for o in Study().runs if o.model == name and not o.variant and o.seed < 5]
    accs = pd.Series({o.seed: o.rows[-1]['valid_accuracy'] for o in runs})
    own = [read_run(p.parent) for p in RECORDS.rglob('*.safetensors') if p.parent.name.startswith(f'{name}-seed')]
    assert len(own) == 1 and own[0].accuracy == accs.quantile(0.5, interpolation='lower')
    assert own[0].message == 'weights included: the median of seeds 0 to 4, last epoch'
    assert [o.seed for o in runs if o.message] == [own[0].seed]


def test_three_files_of_weights_and_less_than_one_and_a_half_megabytes_come_with_the_kit():
    files = [p for p in RECORDS.rglob('*') if p.is_file()]
    assert sorted(p.parent.name.split('-')[0] for p in files if p.suffix == '.safetensors') == list(SPECS)
    others = {p.name for p in files if not p.name.endswith('.runs.json')}
    assert others == {'run.json', 'model.safetensors', 'reported_curves.csv', 'claims.csv', 'bench.json'}
    assert sum(p.stat().st_size for p in files) < 1_500_000


def test_the_reported_curves_are_the_assignments():
    "Its table: best test accuracies 99.06, 98.99, 99.50 %, best training accuracies of Models 2 and 3 99.00, 99.06 %."
    o = reported_curves()
    assert set(o.columns) == {'model', 'epoch', 'train_accuracy', 'test_accuracy', 'test_loss'}
    by_model = o.groupby('model')
    assert by_model.epoch.apply(list).to_dict() == {k: list(range(1, n + 1)) for k, n in zip(SPECS, (20, 15, 15))}
    best = by_model.test_accuracy.max()
    assert best.tolist() == pytest.approx([0.9906, 0.9899, 0.9950])
    assert best[best >= TARGET_ACC].index.tolist() == ['model3'], 'it alone met the target'
    assert by_model.train_accuracy.max()[['model2', 'model3']].tolist() == pytest.approx([0.9900, 0.9906])
    assert o.notna().all(axis=None)


def test_a_trained_model_needs_no_images_and_no_network(no_data, monkeypatch):
    def no_network(*args):
        raise AssertionError('the network was asked')

    monkeypatch.setattr(socket.socket, 'connect', no_network)
    learn = quiet(learner_for('model3', pretrained=True))
    assert len(learn.dls.train_ds) == len(learn.dls.valid_ds) == 0
    images, labels = load_digits()[1]
    digits = [int(learn.predict(image)[0]) for image in images[:40]]
    right = sum(d == int(label) for d, label in zip(digits, labels[:40]))
    assert right > 20, 'trained on other images, it is right about far more than the 4 of 40 that chance would give'


@pytest.mark.parametrize('model', [nn.Identity, nn.Identity(), Model1AveragePool], ids=['class', 'module', 'ablation'])
def test_a_model_of_ones_own_and_an_ablation_have_no_trained_weights(model):
    refused(lambda: learner_for(model, pretrained=True), 'pretrained weights of', 'expected one of model1, model2')


@pytest.mark.parametrize('name', SPECS)
def test_a_trained_model_is_right_about_exactly_as_many_test_images_as_its_record_says(mnist, name):
    path = next(p for p in RECORDS.glob(f'{name}-seed*/model.safetensors'))
    recorded = json.loads((path.parent / 'run.json').read_text())['rows'][-1]['valid_accuracy']
    learn = learner_for(name, pretrained=True, source='mnist')
    with learn.no_bar():
        preds, targs = learn.get_preds()
    assert torch.equal(targs.long(), mnist[1][1].long())
    assert (preds.argmax(1) == targs).sum().item() == round(recorded * 10_000)
