"""Graphs of paths: the published composites as they are stored, and the published local graph by brute force."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from prediction.small_paths import small_path

from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.datasets.importing import read_dataset
from aiida_embarrier.jobs.learning import GraphSettings
from aiida_embarrier.learning.graph_store import RefusedRowsError
from aiida_embarrier.prediction.network_specs import NETWORKS
from aiida_embarrier.prediction.path_graphs import LOCAL, PathItems, crystal_table, path_graphs
from aiida_embarrier.prediction.paths import N_COMPOSITE, MigrationPath

PUBLISHED = NETWORKS['model_4'].settings


@pytest.fixture(scope='module')
def published_rows(shared_data):
    return read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame


def test_published_composites_are_reproduced(published_rows):
    """Formula, order of the atoms, places of the ion and of the host's atoms of all rows."""
    paths = [MigrationPath.from_row(row) for row in published_rows.to_dict('records')]
    table = crystal_table(paths, 'composite')
    for stored, made in zip(published_rows.itertuples(), table.itertuples(), strict=True):
        species = json.loads(made.species)
        said = {symbol: int(count) for symbol, count in re.findall(r'([A-Z][a-z]?)(\d+)', stored.formula_composite)}
        assert Counter(species) == said
        assert species == [stored.ion] * N_COMPOSITE + json.loads(stored.species)
        expected = json.loads(stored.path) + json.loads(stored.frac_coords)
        np.testing.assert_allclose(json.loads(made.frac_coords), expected, rtol=0, atol=3e-8)
        assert made.lattice == stored.lattice


def test_the_composite_keeps_the_host_of_the_initial_state():
    path = small_path(moves=0.03)
    table = crystal_table([path], 'composite')
    np.testing.assert_allclose(json.loads(table['frac_coords'][0])[N_COMPOSITE:], path.coords, atol=1e-8)
    final = crystal_table([path], 'final')
    np.testing.assert_allclose(json.loads(final['frac_coords'][0])[1:], path.final_coords, atol=1e-8)
    assert json.loads(final['frac_coords'][0])[0] == pytest.approx(path.points[-1], abs=1e-8)


def test_other_graphs_of_a_path_there_are_not():
    with pytest.raises(ValueError, match=r"'local'.*initial, final, composite"):
        crystal_table([small_path()], 'local')
    with pytest.raises(ValueError, match=r"'middle'.*initial, final, composite, local, images"):
        path_graphs([small_path()], 'middle', PUBLISHED)


def doubled(path):
    """Return the path in a cell twice as long, whose other half has ions where its own half has vacancies."""
    half = np.array([2.0, 1.0, 1.0])
    filled = np.concatenate([path.coords, path.points])
    return replace(
        path,
        lattice=path.lattice * half[:, None],
        species=path.species * 2 + (path.ion,) * 2,
        coords=np.concatenate([path.coords / half, filled / half + [0.5, 0, 0]]),
        points=path.points / half,
        final_coords=None
        if path.final_coords is None
        else np.concatenate([path.final_coords / half, filled / half + [0.5, 0, 0]]),
    )


def neighbours_by_brute_force(lattice, coords, n_neighbours, reach=2):
    """Return how often each bond (from, to, cell) is there, by the published rule, both directions, not canonised."""
    cells = [np.array(cell) - reach for cell in np.ndindex(*(2 * reach + 1,) * 3)]
    bonds = Counter()
    for centre, at in enumerate(coords):
        found = []
        for other, there in enumerate(coords):
            for cell in cells:
                distance = np.linalg.norm((there - at + cell) @ lattice)
                if distance > 0.15:
                    found.append((distance, other, tuple(cell.tolist())))
        found.sort()
        farthest = found[n_neighbours - 1][0] + 1e-4
        for distance, other, cell in found:
            if distance <= farthest:
                bonds[centre, other, cell] += 1
                bonds[other, centre, tuple(-one for one in cell)] += 1
    return bonds


@pytest.mark.parametrize('seed', [0, 1])
def test_the_local_graph_is_that_of_brute_force(seed):
    path = doubled(small_path(seed=seed))
    crystal = path.composite()
    bonds = neighbours_by_brute_force(crystal.lattice.matrix, crystal.frac_coords, LOCAL['n_neighbours'])
    kept = {bond: count for bond, count in bonds.items() if min(bond[:2]) < N_COMPOSITE}
    atoms = sorted({atom for bond in kept for atom in bond[:2]})
    assert atoms[:N_COMPOSITE] == list(range(N_COMPOSITE))
    assert len(atoms) < len(crystal)
    expected = Counter()
    for (centre, other, cell), count in kept.items():
        vector = (crystal.frac_coords[other] - crystal.frac_coords[centre] + cell) @ crystal.lattice.matrix
        expected[atoms.index(centre), atoms.index(other), *np.round(vector, 4).tolist()] += count

    (graph,) = path_graphs([path], 'local', PUBLISHED)
    found = Counter()
    for source, target, vector, count in zip(
        graph.source, graph.target, graph.vectors, graph.multiplicity, strict=True
    ):
        found[int(source), int(target), *np.round(vector.astype(float), 4).tolist()] += int(count)
    assert graph.numbers.tolist() == [crystal[atom].specie.Z for atom in atoms]
    assert sorted((key[:2], count) for key, count in found.items()) == sorted(
        (key[:2], count) for key, count in expected.items()
    )
    ours, theirs = (np.array([[*key[2:]] for key in sorted(which)]) for which in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    np.testing.assert_allclose(graph.vectors[graph.reverse], -graph.vectors, atol=1e-6)
    assert (graph.source[graph.reverse] == graph.target).all()
    assert (np.diff(graph.target) >= 0).all()


def test_the_local_graph_leaves_atoms_out(published_rows):
    """In a crystal of 207 atoms most have no bond with the ion."""
    path = MigrationPath.from_row(published_rows.iloc[0])
    (local,) = path_graphs([path], 'local', PUBLISHED)
    assert N_COMPOSITE < len(local.numbers) < 60
    assert (local.numbers[:N_COMPOSITE] == 3).all()
    assert ((local.source < N_COMPOSITE) | (local.target < N_COMPOSITE)).all()


def test_images_have_the_ion_at_five_points_and_tell_which_atom_it_is():
    path = doubled(small_path(seed=2, moves=0.03))
    (graph,) = path_graphs([path], 'images', PUBLISHED)
    assert graph.numbers[:N_COMPOSITE].tolist() == [-3] * N_COMPOSITE
    assert (graph.numbers[N_COMPOSITE:] > 0).all()
    assert (np.diff(graph.target) >= 0).all()
    assert (graph.source[graph.reverse] == graph.target).all()
    np.testing.assert_allclose(graph.vectors[graph.reverse], -graph.vectors, atol=1e-6)
    used = set()
    for image, fraction in enumerate(np.linspace(0, 1, N_COMPOSITE)):
        crystal = path.structure(fraction)
        bonds = neighbours_by_brute_force(crystal.lattice.matrix, crystal.frac_coords, PUBLISHED.n_neighbours)
        own = (graph.source == image) | (graph.target == image)
        assert int(graph.multiplicity[own].sum()) == sum(count for bond, count in bonds.items() if 0 in bond[:2])
        arriving = graph.target == image
        nearest = graph.vectors[arriving][np.linalg.norm(graph.vectors[arriving], axis=1).argmin()]
        expected = min(
            (
                (minimum_image((crystal.frac_coords[0] - site.frac_coords) @ path.lattice, path.lattice), site.specie.Z)
                for site in crystal[1:]
            ),
            key=lambda found: np.linalg.norm(found[0]),
        )
        np.testing.assert_allclose(nearest, expected[0], atol=1e-5)
        beside = set(graph.source[arriving].tolist())
        assert not beside & used  # nothing joins one image to another
        used |= beside
    assert ((graph.source < N_COMPOSITE) | (graph.target < N_COMPOSITE)).all()


def test_paths_without_a_graph_are_named():
    path = replace(small_path(), species=('Mg', 'Mg', 'O', 'O', 'O', 'Lr'), name='strange')
    with pytest.raises(RefusedRowsError, match=r'strange.*103'):
        path_graphs([small_path(), path], 'initial', GraphSettings())


def test_paths_side_by_side(tmp_path):
    """Each kind of graph is a batch of its own, in the order asked for."""
    import torch

    paths = [small_path(seed=seed, ion=ion) for seed, ion in enumerate(('Li', 'Na', 'Mg'))]
    graphs = {kind: path_graphs(paths, kind, PUBLISHED, tmp_path) for kind in ('composite', 'local')}
    items = PathItems.of(graphs, torch.zeros(3, 1), most_angles=1)
    batch = items.batch(np.array([2, 0])).to('cpu')
    for kind, sizes in (('composite', [11, 11]), ('local', [len(graphs['local'][n].numbers) for n in (2, 0)])):
        crystal = batch.graphs[kind]
        assert crystal.ptr.diff().tolist() == sizes
        assert crystal.z[crystal.position][0] == 12
        assert crystal.z[crystal.position][sizes[0]] == 3
    assert sorted(map(len, items.portions(np.array([0, 1, 2])))) == [1, 1, 1]
    assert any(tmp_path.iterdir())  # graphs are kept where asked for
