"""Distances in periodic cells, against searches over thousands of lattice translations."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice

from aiida_embarrier.bands.geometry import closest_pair, image_distance, minimum_image, reduced_lattice

CELLS = {
    'rhombohedral 33': Lattice.rhombohedral(8.0, 33.0).matrix,
    'rhombohedral 20': Lattice.rhombohedral(8.0, 20.0).matrix,
    'rhombohedral 118': Lattice.rhombohedral(8.0, 118.0).matrix,
    'orthorhombic': np.diag([3.0, 9.0, 20.0]),
    'hexagonal': Lattice.hexagonal(5.0, 12.0).matrix,
    # here ase.geometry.find_mic is wrong by up to 0.22 A
    'not reduced': np.array([[10.0, 0.0, 0.0], [5.1, 0.3, 0.0], [0.0, 0.0, 10.0]]),
    'left-handed': np.array([[0.0, 4.0, 1.0], [5.0, 0.0, 0.0], [1.0, 1.0, 6.0]]),
}
TRANSLATIONS = np.array(list(product(range(-8, 9), repeat=3)))


@pytest.mark.parametrize('name', CELLS)
def test_minimum_image_against_many_translations(name):
    lattice = CELLS[name]
    vectors = (np.random.default_rng(1).random((300, 3)) * 2 - 1) @ lattice
    found = minimum_image(vectors, lattice)
    exact = np.linalg.norm(vectors[:, None] + TRANSLATIONS @ lattice, axis=2).min(axis=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), exact, rtol=0, atol=1e-9)
    cells_apart = (found - vectors) @ np.linalg.inv(lattice)
    np.testing.assert_allclose(cells_apart, np.round(cells_apart), rtol=0, atol=1e-9)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    entries=st.lists(st.floats(-6, 6), min_size=9, max_size=9),
    shears=st.lists(st.integers(-3, 3), min_size=3, max_size=3),
    fractional=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
)
def test_minimum_image_does_not_depend_on_the_choice_of_cell(entries, shears, fractional):
    lattice = np.reshape(entries, (3, 3)) + 7 * np.eye(3)
    if abs(np.linalg.det(lattice)) < 5:
        return
    change = np.array([[1, shears[0], shears[1]], [0, 1, shears[2]], [0, 0, 1]]) @ np.array(
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    )
    vector = np.array(fractional) @ lattice
    lengths = [np.linalg.norm(minimum_image(vector, cell)) for cell in (lattice, change @ lattice)]
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-8)
    assert lengths[0] <= np.linalg.norm(vector) + 1e-9


def test_first_vector_of_the_reduced_lattice_is_a_shortest_one():
    for lattice in CELLS.values():
        lengths = np.linalg.norm(TRANSLATIONS @ lattice, axis=1)
        shortest = lengths[lengths > 1e-9].min()
        assert np.linalg.norm(reduced_lattice(lattice)[0]) == pytest.approx(shortest, abs=1e-9)
        assert image_distance(lattice) == pytest.approx(shortest, abs=1e-9)


def test_closest_pair_looks_over_the_boundary():
    lattice = CELLS['rhombohedral 33']
    positions = np.array([[0.02, 0.0, 0.0], [0.5, 0.5, 0.5], [0.97, 0.0, 0.0], [0.3, 0.6, 0.1]]) @ lattice
    nearest = closest_pair(positions, lattice)
    assert (nearest.first, nearest.second) == (0, 2)
    assert nearest.distance == pytest.approx(0.05 * 8.0)
    distances = {
        (i, j): np.linalg.norm(positions[j] - positions[i] + TRANSLATIONS @ lattice, axis=1).min()
        for i in range(4)
        for j in range(i + 1, 4)
    }
    among = min((pair for pair in distances if 3 in pair), key=lambda pair: distances[pair])
    assert closest_pair(positions, lattice, among=(3,))[1:] == among


def test_an_atom_can_be_nearest_to_its_own_image():
    positions = np.array([[0.0, 0.0, 0.0], [2.5, 2.5, 10.0]])
    lattice = np.diag([5.0, 3.1, 20.0])
    assert closest_pair(positions, lattice) == (pytest.approx(3.1), 0, 0)
    assert closest_pair(positions, lattice, among=(1,)) == (pytest.approx(3.1), 1, 1)
    assert closest_pair(positions[:1], lattice) == (pytest.approx(3.1), 0, 0)
    for empty in ({'positions': positions[:0]}, {'positions': positions, 'among': ()}):
        with pytest.raises(ValueError, match='no atom'):
            closest_pair(lattice=lattice, **empty)
