"""Coordination numbers, polyhedra and the anions along a path."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from aiida_embarrier.structures.coordination import (
    coordination_numbers,
    effective_coordination,
    path_environment,
    polyhedron,
)

OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)


def hoppe(distances: list[float]) -> tuple[float, float]:
    """Return ECoN and the mean bond length, by the book, one distance after the other."""
    mean = min(distances)
    for _ in range(1000):
        weights = [np.exp(1 - (distance / mean) ** 6) for distance in distances]
        mean = sum(weight * distance for weight, distance in zip(weights, distances, strict=True)) / sum(weights)
    return sum(np.exp(1 - (distance / mean) ** 6) for distance in distances), mean


def test_equal_bonds_count_one_each():
    numbers, means = effective_coordination([[2.1] * 6, [2.1] * 4 + [np.inf] * 2])
    assert numbers == pytest.approx([6, 4])
    assert means == pytest.approx(2.1)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.lists(st.floats(1.5, 6.0), min_size=1, max_size=14), min_size=1, max_size=4))
def test_effective_coordination_is_the_sum_by_the_book(rows):
    padded = np.full((len(rows), 14), np.inf)
    for row, distances in zip(padded, rows, strict=True):
        row[: len(distances)] = sorted(distances)
    numbers, means = effective_coordination(padded)
    for number, mean, distances in zip(numbers, means, rows, strict=True):
        assert (number, mean) == pytest.approx(hoppe(distances), rel=1e-6)


def test_without_anions_there_is_no_coordination():
    numbers, means = effective_coordination(np.full((2, 3), np.inf))
    assert np.isnan(numbers).all()
    assert np.isnan(means).all()
    assert coordination_numbers(np.full((2, 3), np.inf)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ('distances', 'number'),
    [
        ([2.0] * 4 + [3.3] * 6, 4),
        ([1.9, 2.0, 2.1, 2.2, 2.3, 2.4, 3.6, 3.7], 6),
        ([1.6, 1.6, 2.4, 2.4, 3.1], 2),
        ([2.0, 2.0], 2),
        # far ones do not coordinate, however large the gap behind them
        ([2.0] * 6 + [3.4] * 3 + [5.9] * 3, 6),
        ([2.7] * 12, 12),
    ],
)
def test_coordination_ends_at_the_largest_gap(distances, number):
    assert coordination_numbers([distances]).tolist() == [number]
    assert coordination_numbers([[*distances, np.inf]]).tolist() == [number]


def test_a_polyhedron_has_four_corners_at_least():
    assert coordination_numbers([[1.6, 1.6, 2.4, 2.4, 3.5]], least=4).tolist() == [4]
    assert coordination_numbers([[1.6, 1.6]], least=4).tolist() == [2]


def test_volumes_and_diagonals():
    assert polyhedron(2.0 * OCTAHEDRON, 6) == (6, pytest.approx(4 / 3 * 8), pytest.approx(4.0))
    # the four nearest lie in a plane: the next one makes a pyramid of them
    pyramid = np.vstack([2.0 * OCTAHEDRON[:4], [[0, 0, 2.5]]])
    assert polyhedron(pyramid, 4) == (5, pytest.approx(8 * 2.5 / 3), pytest.approx(4.0))
    flat = polyhedron(2.0 * OCTAHEDRON[:4], 4)
    assert flat.corners == 0
    assert np.isnan(flat.volume)


def environment_of(structure: Structure, points, ion: str = 'Li'):
    symbols = [site.specie.symbol for site in structure]
    return path_environment(structure.lattice.matrix, symbols, structure.frac_coords, ion, points)


def test_neighbours_are_those_of_pymatgen(layered):
    points = np.array([[0.5, 0.5, 0.5], [0.52, 0.7, 1.45], [-3.1, 0.4, 2.2]])
    environment = environment_of(layered, points)
    for number, point in enumerate(points):
        found = layered.get_sites_in_sphere(layered.lattice.get_cartesian_coords(point), 6.0)
        oxygens = sorted(site.nn_distance for site in found if site.specie.symbol == 'O')[:24]
        there = np.isfinite(environment.distances[number])
        assert environment.distances[number][there] == pytest.approx(oxygens, abs=1e-6)
        assert np.linalg.norm(environment.positions[number], axis=1)[there] == pytest.approx(oxygens, abs=1e-6)
        others = [site.nn_distance for site in found if site.specie.symbol != 'O']
        assert environment.cation_distances[number] == pytest.approx(min(others), abs=1e-6)


def test_atoms_that_move_with_the_ion_are_where_they_are_then(layered):
    symbols = [site.specie.symbol for site in layered]
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.6, 0.5], [0.5, 0.7, 0.5]])
    moved = layered.frac_coords + np.array([0.0, 0.02, 0.05])[:, None, None]
    together = path_environment(layered.lattice.matrix, symbols, moved, 'Li', points)
    for number, (frame, point) in enumerate(zip(moved, points, strict=True)):
        alone = path_environment(layered.lattice.matrix, symbols, frame, 'Li', [point, point])
        assert together.distances[number] == pytest.approx(alone.distances[0])
        assert together.coordination[number] == alone.coordination[0]
        assert together.polyhedra[number] == pytest.approx(alone.polyhedra[0])
