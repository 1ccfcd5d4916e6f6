"""Crystals as graphs, against a slow reference that follows the published rule step by step."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Element

from aiida_embarrier.jobs.learning import GraphSettings
from aiida_embarrier.learning.graphs import build_graph

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0]]) * 0.9
BCC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * 1.45
HEXAGONAL = np.array([[3.2, 0, 0], [-1.6, 2.771281, 0], [0, 0, 5.2]])
ORIGIN = [[0, 0, 0]]


def skewed(seed, n, volume=12.0):
    """Return a crystal without symmetry: a skewed, perhaps left-handed cell, some atoms outside it."""
    random = np.random.default_rng(seed)
    while True:
        lattice = random.normal(size=(3, 3)) + 1.2 * np.eye(3)
        lattice *= (n * volume / abs(np.linalg.det(lattice))) ** (1 / 3)
        coords = random.random((n, 3)) + random.integers(-1, 2, (n, 3))
        images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
        between = (coords[:, None, None] - coords[None, :, None] + images) @ lattice
        distance = np.linalg.norm(between, axis=-1)
        if distance[distance > 0].min() > 0.4:
            return lattice, random.integers(1, 90, n), coords


CRYSTALS = {
    'one atom, fcc': (FCC, [29], ORIGIN),
    'one atom, bcc, the 12th neighbour within a shell': (BCC, [26], ORIGIN),
    'two elements': (np.eye(3) * 4.1, [55, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    'hexagonal': (HEXAGONAL, [12, 12], [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
    'a slab below a vacuum': (np.diag([3.0, 3.1, 30.0]), [14, 8], [[0, 0, 0], [0.4, 0.5, 0.07]]),
    'a flat cell': (np.diag([2.5, 2.6, 14.0]), [6, 6, 6], [[0, 0, 0], [0.5, 0.5, 0.3], [0.1, 0.2, 0.6]]),
    **{f'no symmetry, {n} atoms': skewed(n, n) for n in (1, 2, 5, 9)},
}


def reference(lattice, coords, settings):
    """Return how often each bond is there, by its atoms and the cell of the second, as the published code has it.

    Every atom lists its neighbours within a radius that is widened until all have enough, takes them out to the shell
    of the last, and puts them into sets: with canonising by the pair of atoms in ascending order and the cell of the
    second, else by itself. Each member of a set becomes a bond in either direction.
    """
    n, radius = len(coords), settings.cutoff
    canonise = not settings.doubled
    shortest = 0.15 if settings.coincident == 'unbonded' else 1e-8
    while True:
        reach = np.ceil(radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int)
        span = [np.arange(-m - 3, m + 4) for m in reach]
        images = np.array(list(itertools.product(*span)))
        neighbours = []
        for i in range(n):
            vectors = (coords[None] - coords[i] + images[:, None]) @ lattice
            distance = np.linalg.norm(vectors, axis=-1)
            near = np.argwhere((distance <= radius) & (distance > shortest))
            neighbours.append(sorted((distance[c, j], j, tuple(images[c])) for c, j in near))
        if settings.neighbours == 'radius' or min(map(len, neighbours)) >= settings.n_neighbours:
            break
        longest = np.linalg.norm(lattice, axis=1).max()
        radius = longest if radius < longest else 2 * radius
    members = set()
    for i, found in enumerate(neighbours):
        if settings.neighbours == 'nearest':
            last = found[settings.n_neighbours - 1][0] + settings.shell_tolerance
            found = [entry for entry in found if entry[0] <= last]
        for _, j, image in found:
            back = canonise and j < i
            members.add((j, i, tuple(-m for m in image)) if back else (i, j, image))
    bonds = Counter()
    for i, j, image in members:
        bonds[(i, int(j), *map(int, image))] += 1
        bonds[(int(j), i, *(-int(m) for m in image))] += 1
    if settings.neighbours == 'radius':  # every bond once, whatever it joins
        bonds = Counter(dict.fromkeys(bonds, 1))
    return bonds


def cells(graph, lattice, coords):
    """Return how often each bond of a graph is there, as :func:`reference` does."""
    ends = coords[graph.target] - coords[graph.source]
    exact = graph.vectors.astype(float) @ np.linalg.inv(lattice) - ends
    assert exact == pytest.approx(np.round(exact), abs=1e-5)
    bonds = Counter()
    for source, target, cell, times in zip(
        graph.source, graph.target, np.round(exact), graph.multiplicity, strict=True
    ):
        bonds[(int(source), int(target), *map(int, cell))] += int(times)
    return bonds


def environments(graph):
    """Return how often each bond of a graph is there, by its atoms and its vector."""
    bonds = Counter()
    vectors = np.round(graph.vectors.astype(float), 3) + 0.0
    for source, target, vector, times in zip(graph.source, graph.target, vectors, graph.multiplicity, strict=True):
        bonds[(int(source), int(target), *vector)] += int(times)
    return bonds


@pytest.mark.parametrize('crystal', CRYSTALS.values(), ids=CRYSTALS)
@pytest.mark.parametrize(
    'settings',
    [
        GraphSettings(),
        GraphSettings(doubled=True),
        GraphSettings(n_neighbours=3, doubled=True),
        GraphSettings(neighbours='radius', cutoff=4.5),
    ],
    ids=['canonised', 'doubled', 'three nearest', 'radius'],
)
def test_published_rule(crystal, settings):
    """Bonds, their vectors and how often they are there are those of the published rule."""
    lattice, numbers, coords = (np.asarray(part, dtype=float) for part in crystal)
    graph = build_graph(lattice, numbers, coords, settings)
    assert cells(graph, lattice, coords) == reference(lattice, coords, settings)
    assert graph.numbers.tolist() == list(numbers)


def test_layout():
    """Bonds are sorted by target and source, each has its reverse, and arrays are of the types that are promised."""
    graph = build_graph(*skewed(3, 7), GraphSettings(doubled=True))
    assert (np.lexsort((graph.source, graph.target)) == np.arange(len(graph.source))).all()
    assert (graph.source[graph.reverse] == graph.target).all()
    assert (graph.vectors[graph.reverse] == -graph.vectors).all()
    assert (graph.multiplicity[graph.reverse] == graph.multiplicity).all()
    assert (graph.reverse[graph.reverse] == np.arange(len(graph.reverse))).all()
    types = (graph.numbers, graph.source, graph.target, graph.vectors, graph.multiplicity, graph.reverse)
    assert [array.dtype.name for array in types] == ['int16', 'int32', 'int32', 'float32', 'uint8', 'int32']


def test_vectors_lead_from_source_to_target():
    """A bond leads from its first atom to its second."""
    graph = build_graph(np.eye(3) * 20, [1, 9], [[0, 0, 0], [0.05, 0, 0]], GraphSettings(neighbours='radius', cutoff=2))
    assert graph.source.tolist() == [1, 0]
    assert graph.target.tolist() == [0, 1]
    assert graph.vectors == pytest.approx(np.array([[-1, 0, 0], [1, 0, 0]]))


def test_images_of_the_atom_itself():
    """In a cell of one atom all bonds are there twice, canonised or not; in its supercell canonising makes them one."""
    for doubled in (False, True):
        primitive = build_graph(FCC, [29], ORIGIN, GraphSettings(doubled=doubled))
        assert primitive.multiplicity.tolist() == [2] * 12
    images = np.array(list(itertools.product(range(4), repeat=3))) / 4
    assert set(build_graph(4 * FCC, [29] * 64, images, GraphSettings()).multiplicity) == {1}
    assert set(build_graph(4 * FCC, [29] * 64, images, GraphSettings(doubled=True)).multiplicity) == {2}


def test_supercell_has_the_same_environments():
    """Where bonds are doubled, an atom has the same bonds in a supercell, those to its own images included."""
    lattice, numbers, coords = skewed(2, 3)
    settings = GraphSettings(doubled=True)
    small = build_graph(lattice, numbers, coords, settings)
    images = np.array(list(itertools.product(range(2), repeat=3)))
    large = build_graph(2 * lattice, np.tile(numbers, 8), (images[:, None] + coords).reshape(-1, 3) / 2, settings)
    expected = Counter()
    for (_, target, *vector), times in environments(small).items():
        expected[(target, *vector)] += times
    found = Counter()
    for (_, target, *vector), times in environments(large).items():
        found[(target % 3, *vector)] += times
    assert {key: times * 8 for key, times in expected.items()} == found


def test_settings_of_a_cell_make_no_difference():
    """Other lattice vectors, another origin and atoms in other cells give the same bonds; a rotation turns them."""
    lattice, numbers, coords = skewed(5, 4)
    settings = GraphSettings(doubled=True)
    expected = build_graph(lattice, numbers, coords, settings)
    change = np.array([[1, 2, 0], [0, 1, 0], [-1, 0, 1]])
    other = build_graph(change @ lattice, numbers, (coords + np.array([3, -2, 0.4])) @ np.linalg.inv(change), settings)
    assert environments(other) == environments(expected)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    turned = build_graph(lattice @ rotation, numbers, coords, settings)
    lengths = [np.sort(np.linalg.norm(graph.vectors, axis=1)) for graph in (expected, turned)]
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-5)


def test_rounding_errors_do_not_split_a_shell():
    """The 8 + 6 neighbours of bcc stay when coordinates are off by 1e-6; an exact comparison leaves some out."""
    images = np.array(list(itertools.product(range(3), repeat=3))) / 3
    rough = images + np.random.default_rng(0).normal(scale=3e-7, size=images.shape)
    whole = build_graph(3 * BCC, [26] * 27, rough, GraphSettings())
    assert len(whole.source) == 27 * 14
    exact = build_graph(3 * BCC, [26] * 27, rough, GraphSettings(shell_tolerance=0))
    assert len(exact.source) < 27 * 14


def test_thousand_atoms():
    """A large cell: every atom of fcc has its twelve neighbours."""
    images = np.array(list(itertools.product(range(10), repeat=3))) / 10
    graph = build_graph(10 * FCC, [29] * 1000, images, GraphSettings(doubled=True))
    assert np.bincount(graph.target).tolist() == [12] * 1000
    assert set(graph.multiplicity) == {2}
    assert np.linalg.norm(graph.vectors, axis=1) == pytest.approx(np.full(12000, 0.9 * np.sqrt(8)), abs=1e-5)


@pytest.mark.parametrize('settings', [{}, {'doubled': True}, {'neighbours': 'radius', 'cutoff': 4.0}])
def test_atoms_on_one_spot_may_have_no_bond_between_them(settings):
    """As in the published models: an ion that passes through another atom, exactly and nearly."""
    lattice = np.array([[5.0, 0, 0], [0.3, 5.2, 0], [0, 0.1, 4.9]])
    coords = np.array([[0.1, 0, 0], [1.1, 0, -1], [0.12, 0.01, 0], [0.5, 0.5, 0.5], [0.6, 0.1, 0.4]])
    settings = GraphSettings(coincident='unbonded', **settings)
    graph = build_graph(lattice, [3, 8, 3, 8, 22], coords, settings)
    assert cells(graph, lattice, coords) == reference(lattice, coords, settings)
    lengths = np.linalg.norm(graph.vectors, axis=1)
    assert 0.15 < lengths.min() < 3
    assert set(graph.target) == set(range(5))


def test_published_composites_with_atoms_on_one_spot(shared_data):
    """They hold an ion at five points of its path: where this runs through another atom, or the host is disordered."""
    rows = json.loads(gzip.decompress((shared_data / 'barriers_train' / 'barriers_train.json.gz').read_bytes()))
    refused = {}
    for row in rows:
        species = [Element(symbol).Z for symbol in [row['mobile_species']] * 5 + row['species']]
        crystal = row['lattice'], species, row['path_frac'] + row['frac_coords']
        try:
            build_graph(*crystal, GraphSettings())
        except ValueError as error:
            refused[str(error)] = crystal
    assert [' are on one spot, ' in message for message in refused] == [True] * 5
    for crystal in refused.values():
        graph = build_graph(*crystal, GraphSettings(doubled=True, coincident='unbonded'))
        assert np.linalg.norm(graph.vectors, axis=1).min() > 0.15
        assert np.bincount(graph.target, minlength=len(crystal[1])).min() >= 12


def test_layers_of_jarvis(shared_data):
    """Real layers below a vacuum, of up to six atoms: their first search finds too little."""
    rows = pd.read_parquet(shared_data / 'tl' / 'jarvis2d.parquet')
    rows = rows[rows.n_atoms <= 6].iloc[::60]
    assert len(rows) > 10
    for row in rows.itertuples():
        lattice = np.reshape(row.lattice, (3, 3)).astype(float)
        coords = np.reshape(row.frac_coords, (-1, 3)).astype(float)
        numbers = [Element(symbol).Z for symbol in row.species.split()]
        for settings in (GraphSettings(), GraphSettings(doubled=True)):
            graph = build_graph(lattice, numbers, coords, settings)
            assert cells(graph, lattice, coords) == reference(lattice, coords, settings), row.row_id


@pytest.mark.parametrize(
    ('crystal', 'settings', 'message'),
    [
        ((FCC, [101], ORIGIN), GraphSettings(), 'atomic number 101 has no features'),
        ((FCC, [0], ORIGIN), GraphSettings(), 'atomic number 0 has no features'),
        ((FCC * np.nan, [29], ORIGIN), GraphSettings(), 'not finite'),
        ((FCC, [29], [[0, np.inf, 0]]), GraphSettings(), 'not finite'),
        ((np.ones((3, 3)), [29], ORIGIN), GraphSettings(), 'has no volume'),
        ((np.zeros((3, 3)), [29], ORIGIN), GraphSettings(), 'has no volume'),
        ((FCC[:2], [29], ORIGIN), GraphSettings(), 'a lattice is 3 x 3, not 2 x 3'),
        ((FCC, [29, 29], ORIGIN), GraphSettings(), 'are no crystal'),
        ((FCC, [], np.empty((0, 3))), GraphSettings(), 'are no crystal'),
        ((FCC, [29, 3], [[0, 0, 0], [1, -1, 0]]), GraphSettings(), 'atoms 0 and 1 are on one spot, 0.000 Å apart'),
        ((FCC, [29, 3], [[0, 0, 0], [0, 0, 0.05]]), GraphSettings(), 'on one spot, 0.127 Å apart'),
        (
            (FCC * 3, [29, 29, 3], [[0, 0, 0], [0.2, 0, 0], [0.6, 0.5, 0.5]]),
            GraphSettings(neighbours='radius', cutoff=2),
            'atom 2 has no neighbour within 2.0 Å',
        ),
    ],
)
def test_bad_input(crystal, settings, message):
    """What is no crystal, or has no graph, is refused with what is wrong."""
    with pytest.raises(ValueError, match=message):
        build_graph(*crystal, settings)
