"""Predictions: in the units of the targets, the same whichever crystals are predicted together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_embarrier.jobs.learning import GraphSettings, ModelCard, Scaler, TrainingSettings
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.predicting import predict, predictions
from aiida_embarrier.learning.sizes import MOST_FEATURES, batches_by_size, n_angles

SCALERS = [
    Scaler(label='gap', property='band gap', unit='eV', method='minmax', centre=4.0, width=2.0),
    Scaler(label='energy', property='formation energy', unit='eV/atom', method='minmax', centre=-1.0, width=0.5),
]


@pytest.fixture
def card(tiny) -> ModelCard:
    return ModelCard(architecture=tiny, graphs=GraphSettings(), scalers=SCALERS, training=TrainingSettings())


@pytest.fixture
def model(card, small_graphs) -> ALIGNN:
    torch.manual_seed(3)
    model = ALIGNN(card.architecture, card.labels)
    for _ in range(5):
        model(collate(small_graphs))  # running statistics that differ from those of one batch
    return model.train()


def test_in_the_units_of_the_targets(model, card, small_graphs):
    found = predict(model, card, small_graphs)
    with torch.no_grad():
        scaled = model.eval()(collate(small_graphs)).double().numpy()
    np.testing.assert_allclose(found, scaled * [2.0, 0.5] + [4.0, -1.0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(predict(model, card, small_graphs, ['energy'])[:, 0], found[:, 1])


@pytest.mark.parametrize('batch_size', [1, 5, 64])
def test_whichever_crystals_are_predicted_together(model, card, small_graphs, batch_size, monkeypatch):
    expected = predict(model, card, small_graphs)
    np.testing.assert_allclose(predict(model, card, small_graphs, batch_size=batch_size), expected, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(small_graphs))
    shuffled = predict(model, card, [small_graphs[i] for i in order], batch_size=batch_size)
    np.testing.assert_allclose(shuffled, expected[order], atol=1e-5)
    monkeypatch.setitem(MOST_FEATURES, 'cpu', 1)  # each crystal is too large for any other beside it
    np.testing.assert_allclose(predict(model, card, small_graphs, batch_size=batch_size), expected, atol=1e-5)


def test_predictions_come_batch_by_batch(model, card, small_graphs):
    whole = predict(model, card, small_graphs)
    parts = list(predictions(model, card, small_graphs, card.labels, batch_size=5))
    assert sorted(np.concatenate([numbers for numbers, _ in parts])) == list(range(12))
    assert max(len(numbers) for numbers, _ in parts) == 5
    for numbers, values in parts:
        np.testing.assert_allclose(values, whole[numbers], rtol=1e-5, atol=1e-6)
    assert not torch.is_inference_mode_enabled()


def test_no_crystals(model, card):
    assert predict(model, card, []).shape == (0, 2)


def test_a_target_that_the_model_does_not_have(model, card, small_graphs):
    with pytest.raises(ValueError, match="predicts gap, energy, not 'modulus'"):
        predict(model, card, small_graphs, ['gap', 'modulus'])


def test_angles_are_those_of_the_batch(small_graphs):
    for graph in small_graphs:
        assert n_angles(graph) == sum((graph.target == atom).sum() ** 2 for atom in range(2))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 8), st.integers(1, 100))
def test_batches_hold_each_crystal_once_and_no_more_than_allowed(sizes, batch_size, most):
    sizes = np.array(sizes, dtype=int)
    batches = batches_by_size(sizes, batch_size, most)
    assert sorted(number for batch in batches for number in batch) == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        assert len(batch) == 1 or sizes[batch].sum() <= most
    in_order = [sizes[number] for batch in batches for number in batch]
    assert in_order == sorted(in_order, reverse=True)
