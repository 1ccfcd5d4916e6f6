"""Networks of barriers as models: they learn, they are saved, and what validates is held back by families."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from learned_models import write_model_folder
from prediction.small_paths import small_path, small_rows

from aiida_embarrier.jobs.learning import GraphSettings
from aiida_embarrier.jobs.model_files import ModelFilesError
from aiida_embarrier.jobs.prediction import BarrierModelCard
from aiida_embarrier.learning.training import Hooks
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.fitted import FittedModel, read_barrier_model, write_barrier_model
from aiida_embarrier.prediction.networks import NetworkModel, TrainingError, held_back

SMALL = {'base': 'tiny', 'hidden': 16, 'embedding': 8, 'edge_bins': 20, 'angle_bins': 10, 'head_width': 16}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model_of(name, epochs=3, **settings):
    training = {'epochs': epochs, 'batch_size': 4, **settings.pop('training', {})}
    return NetworkModel(name, architecture=SMALL, training=training, **settings)


#: One of each way from graphs to a barrier; each trains for some seconds.
LEARNERS = ('model_1_sub', 'model_2', 'model_4', 'scratch_cc', 'profile')


@pytest.mark.parametrize('name', ['model_3', *(pytest.param(name, marks=pytest.mark.slow) for name in LEARNERS)])
def test_it_learns_eight_paths_by_heart(name):
    """Normalisation by layers, so that what is predicted is what was trained."""
    rows, losses = small_rows(), []
    training = {'batch_size': 8, 'lr': 0.01, 'keep': 'last', 'early_stopping': None}
    model = NetworkModel(
        name,
        architecture={**SMALL, 'norm': 'layer'},
        training={'epochs': 120, **training},
        hooks=Hooks(on_epoch=lambda entry: losses.append(entry['loss_train'])),
    )
    model.fit(rows, seed=1)
    assert len(losses) == 120
    assert losses[-1] < 0.2 * losses[0]
    training, _ = held_back(rows, seed=1)
    errors = np.abs(model.predict(rows) - rows.known())[training]
    assert errors.mean() < 0.25 * np.abs(rows.known() - np.median(rows.known())).mean()


@pytest.mark.parametrize('name', ['model_1_sub', 'model_2', 'model_4', 'scratch_cc', 'profile'])
def test_what_is_saved_predicts_the_same_bits(name, tmp_path):
    rows = small_rows()
    model = model_of(name)
    model.fit(rows, seed=5)
    arrays, values = model.state()
    again = NetworkModel.from_state(arrays, json.loads(json.dumps(values)))
    torch.rand(1)  # nothing depends on what was drawn
    assert np.array_equal(again.predict(rows), model.predict(rows))
    assert again.summary == model.summary
    assert again.state()[1] == values
    assert model.summary['n_training'] + model.summary['n_validation'] == len(rows)
    assert model.summary['seed'] == 5
    assert model.summary['n_parameters'] == sum(
        array.size for name, array in arrays.items() if 'running' not in name and 'tracked' not in name
    )
    card = write_barrier_model(tmp_path, FittedModel(model, BarrierModelCard(model=name)))
    assert card.n_parameters == model.summary['n_parameters']
    assert read_barrier_model(tmp_path).card == card
    del arrays['encoder.gcn_layers.0.src_gate.weight']
    with pytest.raises(ModelFilesError, match='src_gate'):
        NetworkModel.from_state(arrays, values)


def test_a_seed_decides_everything():
    rows = small_rows()
    found = []
    for seed, noise in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(noise)
        model = model_of('model_4')
        model.fit(rows, seed=seed)
        assert torch.initial_seed() == noise  # what others draw is as it was
        found.append(model.predict(rows))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_predictions_are_those_of_the_validation():
    """What the training says of the rows held back is what the model predicts of them, in eV."""
    rows = small_rows(20)
    model = model_of('model_3', epochs=5)
    model.fit(rows, seed=2)
    _, validation = held_back(rows, seed=2)
    assert len(validation) == 2
    error = np.abs(model.predict(rows.take(validation)) - rows.known()[validation]).mean()
    assert model.summary['validation_mae_eV'] == pytest.approx(error, rel=1e-4)


def test_it_starts_from_a_parent(tmp_path):
    card = write_model_folder(tmp_path, labels=('gap', 'modulus'), graphs=GraphSettings(doubled=True))
    model = NetworkModel('model_1_cc', parent=tmp_path, training={'epochs': 1})
    model.fit(small_rows())
    assert model.summary['parent'] == card.weights_sha256
    assert model.fitted[0].encoder.architecture.hidden == card.architecture.hidden
    with pytest.raises(ValueError, match='scratch_cc starts from random weights'):
        NetworkModel('scratch_cc', parent=tmp_path)
    with pytest.raises(ModelFilesError, match='nothing'):
        NetworkModel('model_3', parent=tmp_path / 'nothing.safetensors').fit(small_rows())


def test_labels_are_not_seen():
    """The families decide what is held back, and nothing else; names and functionals nothing at all."""
    rows = small_rows()
    renamed = Rows(
        paths=rows.paths,
        labels=rows.labels.assign(structural_class=np.arange(8), mace_relax=rows.known()),
        barriers=rows.barriers,
    )
    first, second = model_of('model_3'), model_of('model_3')
    first.fit(rows, seed=1)
    second.fit(renamed, seed=1)
    assert np.array_equal(first.predict(rows), second.predict(renamed))
    unlabelled = Rows(paths=[small_path(seed=9, functional='GGA'), small_path(seed=9, name='other')])
    assert np.ptp(first.predict(unlabelled)) == 0


def test_families_are_held_back_whole():
    paths = [small_path(seed=number, name=f'path {number}') for number in range(40)]
    labels = pd.DataFrame({'family_group': [f'family {number % 20}' for number in range(40)]})
    rows = Rows(paths=paths, labels=labels, barriers=np.ones(40))
    training, validation = held_back(rows, seed=3)
    assert len(validation) == 4
    assert sorted([*training, *validation]) == list(range(40))
    families = labels['family_group']
    assert not set(families[training]) & set(families[validation])
    assert held_back(rows, seed=3)[1].tolist() == validation.tolist()
    assert held_back(rows, seed=4)[1].tolist() != validation.tolist()
    order = np.random.default_rng(0).permutation(40)
    turned = Rows(paths=[paths[n] for n in order], labels=labels.iloc[order], barriers=np.ones(40))
    assert sorted(order[held_back(turned, seed=3)[1]]) == validation.tolist()


def test_the_published_split():
    paths = [small_path()] * 559
    training, validation = held_back(Rows(paths=paths), 'last')
    assert (training[[0, -1]].tolist(), validation[[0, -1]].tolist()) == ([0, 502], [503, 557])


@pytest.mark.parametrize(('n', 'how'), [(4, 'drawn'), (20, 'none')])
def test_where_nothing_is_held_back_the_last_epoch_is_kept(n, how):
    rows = small_rows(n)
    model = model_of('model_3', hold_back=how)
    model.fit(rows)
    assert (model.summary['n_training'], model.summary['n_validation']) == (n, 0)
    assert model.summary['validation_mae_eV'] is None
    assert model.summary['kept_epoch'] == 3


def test_what_goes_wrong_is_said():
    rows = small_rows()
    with pytest.raises(ValueError, match='model_3 has not learned anything yet'):
        model_of('model_3').predict(rows)
    with pytest.raises(ValueError, match='no barriers'):
        model_of('model_3').fit(Rows(paths=rows.paths))
    with pytest.raises(ValueError, match=r"'modell_3'.*model_3"):
        NetworkModel('modell_3')
    same = Rows(paths=rows.paths, barriers=np.full(8, 0.4))
    with pytest.raises(ValueError, match=r'all .* are 0.4'):
        model_of('model_3').fit(same)
    stopped = model_of('model_3', hooks=Hooks(reason_to_stop=lambda: 'the time is over'))
    with pytest.raises(TrainingError, match='stopped: the time is over'):
        stopped.fit(rows)
    with pytest.raises(TrainingError, match='diverged: lower `lr`'):
        model_of('scratch_add', training={'lr': 1e30, 'schedule': 'constant'}).fit(rows)
