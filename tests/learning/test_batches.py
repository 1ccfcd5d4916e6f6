"""Batches and folding: nothing is lost, nothing is counted twice."""

import dataclasses

import numpy as np
import pytest
import torch
from learning.small_crystals import perovskite, three_crystals

from aiida_embarrier.learning.batches import COSINES, collate
from aiida_embarrier.learning.folding import FoldedGraphs, fold


def degrees(graph):
    return np.bincount(graph.target, weights=graph.multiplicity)


@pytest.mark.parametrize('group_cost', [0, 10**6], ids=['groups apart', 'one group'])
@pytest.mark.parametrize('folded', [False, True], ids=['all atoms', 'folded'])
@pytest.mark.parametrize('doubled', [False, True], ids=['canonised', 'doubled'])
def test_counts_are_those_of_the_crystals(doubled, folded, group_cost):
    """Atoms, bonds and angles stand for as many as there are, whatever was merged or filled up."""
    graphs = three_crystals(doubled)
    batch = collate([fold(graph) for graph in graphs] if folded else graphs, group_cost=group_cost)
    assert batch.n_crystals == 3
    assert batch.counts.sum() == sum(len(graph.numbers) for graph in graphs)
    assert batch.edge_weights.sum() == sum(graph.multiplicity.sum() for graph in graphs)
    n_angles = sum((degrees(graph) ** 2).sum() for graph in graphs)
    assert batch.angle_weights.sum() == pytest.approx(n_angles)
    assert batch.point_weights.sum() == pytest.approx(n_angles)
    numbers = np.concatenate([graph.numbers for graph in graphs])
    assert batch.z[batch.position].tolist() == numbers.tolist()
    assert len(batch.cosine) == sum(n * d * k for n, d, k in batch.groups)
    assert (len(batch.groups) == 1) == (group_cost > 0)


def test_bonds_end_where_the_ones_that_run_back_begin():
    batch = collate([fold(graph) for graph in three_crystals()], group_cost=10**6)
    source, target = batch.edge_index
    real = batch.edge_counts > 0
    assert 0 < real.sum() < len(real)
    assert torch.equal(batch.reverse[batch.reverse], torch.arange(len(source)))
    assert torch.equal(source[batch.reverse][real], target[real])
    assert torch.equal(batch.edge_weights[batch.reverse], batch.edge_weights)
    torch.testing.assert_close(batch.length[batch.reverse], batch.length)


def test_angles_are_those_between_arriving_and_leaving_bonds():
    """Of one crystal, counted one by one from its vectors."""
    graph = three_crystals()[2]
    batch = collate([graph], group_cost=0)
    expected = []
    for first in range(len(graph.source)):
        for second in np.flatnonzero(graph.source == graph.target[first]):
            one, other = graph.vectors[first].astype(float), graph.vectors[second].astype(float)
            expected.append(-one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    np.testing.assert_allclose(np.sort(batch.cosine.numpy()), np.sort(expected), atol=1e-6)


def test_interpolation_of_the_radial_functions():
    """Cubic interpolation gives the narrowest functions of the published network to single precision."""
    batch = collate(three_crystals())
    centres = torch.linspace(-1, 1, 40, dtype=torch.float64)
    rows = torch.exp(-19.5 * (COSINES[:, None] - centres) ** 2)
    interpolated = (batch.cosine_shares.double()[:, :, None] * rows[batch.cosine_points]).sum(dim=1)
    exact = torch.exp(-19.5 * (batch.cosine.double()[:, None] - centres) ** 2)
    assert (interpolated - exact).abs().max() < 3e-7


def test_rock_salt_folds_to_one_bond_of_each_ion():
    folded = fold(three_crystals()[0])
    assert folded.counts.tolist() == [1, 1]
    assert folded.bond_counts.tolist() == [6, 6]
    assert folded.n_arriving.tolist() == [6, 6]


def test_perovskite_folds_its_three_oxygens():
    folded = fold(perovskite())
    assert sorted(zip(folded.numbers.tolist(), folded.counts.tolist(), strict=True)) == [(8, 3), (22, 1), (38, 1)]
    assert folded.atoms[2] == folded.atoms[3] == folded.atoms[4]


def test_rounded_coordinates_still_fold_and_displaced_ones_do_not():
    assert len(fold(perovskite(1e-6)).numbers) == 3
    assert len(fold(perovskite(1e-2)).numbers) == 5


def test_elements_that_differ_do_not_fold():
    """The same positions with another element on one of three sites that were alike."""
    graph = perovskite()
    other = dataclasses.replace(graph, numbers=np.array([38, 22, 8, 8, 9], dtype=np.int16))
    folded = fold(other)
    assert len({int(folded.atoms[2]), int(folded.atoms[4])}) == 2
    assert folded.atoms[2] == folded.atoms[3]


def test_folded_graphs_are_kept():
    graphs = FoldedGraphs(three_crystals())
    assert len(graphs) == 3
    assert graphs[-1] is graphs[2]
    assert graphs[:2] == [graphs[0], graphs[1]]
    with pytest.raises(IndexError):
        graphs[3]


@pytest.mark.parametrize('prepare', [fold, lambda graph: graph])
def test_atom_without_a_bond(prepare):
    graph = three_crystals()[0]
    alone = dataclasses.replace(graph, numbers=np.append(graph.numbers, graph.numbers[:1]))
    with pytest.raises(ValueError, match='atom 2 of a crystal has no bond: take a larger cutoff'):
        collate([prepare(alone)])


def test_batch_without_a_crystal():
    with pytest.raises(ValueError, match='at least one crystal'):
        collate([])
