"""Supercells against enumeration of all of them, and the indices of their sites."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.geometry import image_distance
from aiida_embarrier.structures.supercells import Supercell, supercell_for, supercell_matrix


def shortest(matrix, reach=6):
    """Return the shortest lattice vector by trying all combinations."""
    vectors = np.array([cell for cell in itertools.product(range(-reach, reach + 1), repeat=3) if any(cell)])
    return np.linalg.norm(vectors @ matrix, axis=1).min()


def sublattices(matrix, size):
    """Yield all supercells of a size: every sublattice has one Hermite normal form."""
    for a, b in itertools.product(range(1, size + 1), repeat=2):
        if size % (a * b) == 0:
            for i, j, k in itertools.product(range(a), range(a), range(b)):
                yield np.array([[a, 0, 0], [i, b, 0], [j, k, size // (a * b)]]) @ matrix


@st.composite
def lattices(draw):
    lengths = [draw(st.floats(2.5, 9.0)) for _ in range(3)]
    angles = [draw(st.floats(45, 125)) for _ in range(3)]
    lattice = None
    cosines = np.cos(np.radians(angles))
    if 1 + 2 * cosines.prod() - (cosines**2).sum() > 0.2:
        lattice = Lattice.from_parameters(*lengths, *angles)
    return lattice or Lattice.from_parameters(*lengths, 60, 70, 80)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(lattice=lattices())
def test_image_distance_is_the_shortest_lattice_vector(lattice):
    assert image_distance(lattice.matrix) == pytest.approx(shortest(lattice.matrix), abs=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(lattice=lattices(), distance=st.floats(3.0, 9.0))
def test_the_smallest_diagonal_supercell_is_found(lattice, distance):
    host = Structure(lattice, ['Li'], [[0, 0, 0]])
    found = supercell_for(host, distance)
    assert image_distance(found @ lattice.matrix) >= distance - 1e-5
    size = round(np.linalg.det(found))
    for factors in itertools.product(range(1, size), repeat=3):
        if np.prod(factors) < size:
            assert image_distance(np.diag(factors) @ lattice.matrix) < distance


def test_any_supercell_is_at_most_as_large(layered):
    diagonal = supercell_for(layered, 6.5)
    free = supercell_for(layered, 6.5, diagonal=False)
    assert np.count_nonzero(diagonal) == 3
    assert np.linalg.det(free) < np.linalg.det(diagonal)
    for matrix in (diagonal, free):
        assert shortest(matrix @ layered.lattice.matrix) >= 6.5
    smallest = round(np.linalg.det(free))
    for size in range(1, smallest):
        assert max(map(image_distance, sublattices(layered.lattice.matrix, size))) < 6.5


@pytest.mark.parametrize(('distance', 'size', 'farthest'), [(5.5, 4, 6.403), (6.0, 4, 6.403), (7.0, 6, 7.071)])
def test_of_equally_small_supercells_that_with_the_farthest_images_is_taken(distance, size, farthest):
    host = Structure(Lattice.orthorhombic(3, 4, 5), ['Li'], [[0, 0, 0]])
    found = supercell_for(host, distance, diagonal=False) @ host.lattice.matrix
    assert np.linalg.det(found) == pytest.approx(size * 60)
    assert max(map(image_distance, sublattices(host.lattice.matrix, size))) == pytest.approx(farthest, abs=1e-3)
    assert image_distance(found) == pytest.approx(farthest, abs=1e-3)


def test_the_default_supercell_of_the_olivine(olivine):
    matrix = supercell_for(olivine)
    assert matrix.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert image_distance(matrix @ olivine.lattice.matrix) == pytest.approx(9.384)
    assert supercell_for(olivine, 4.692).tolist() == np.eye(3).tolist(), 'a distance kept exactly is kept'


@pytest.mark.parametrize('given', [0, -1, (1, 2), (1, 2, 0), 1.5, 'all', [[1, 0, 0], [0, 1, 0], [0, 1, 0]], np.nan])
def test_what_is_no_supercell_is_refused(given):
    with pytest.raises(ValueError, match='is no supercell'):
        supercell_matrix(given)


@pytest.mark.parametrize('distance', [0.0, -1.0, np.nan, np.inf])
def test_impossible_distances_are_refused(olivine, distance):
    with pytest.raises(ValueError, match='must be positive'):
        supercell_for(olivine, distance)


def test_ways_to_give_a_supercell():
    assert supercell_matrix(2).tolist() == np.diag([2, 2, 2]).tolist()
    assert supercell_matrix((1, 2, 2)).tolist() == np.diag([1, 2, 2]).tolist()
    assert supercell_matrix([[0, 1, 1], [1, 0, 1], [1, 1, 0]]).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize('matrix', [(1, 2, 2), [[0, 1, 1], [1, 0, 1], [1, 1, 0]], [[-3, 0, 3], [0, 2, -3], [2, -3, 0]]])
def test_every_site_of_the_host_is_where_the_index_says(layered, matrix):
    host = layered.copy()
    host.translate_sites([0], [2, -1, 0], to_unit_cell=False)
    host.add_site_property('magmom', [0.0, 1.0, 0.1, 0.2])
    repeated = Supercell(host, matrix)
    assert len(repeated.structure) == len(host) * repeated.size
    assert repeated.structure.composition.reduced_formula == host.composition.reduced_formula
    inverse = np.linalg.inv(repeated.structure.lattice.matrix)
    for site, image in itertools.product(range(len(host)), itertools.product(range(-3, 4), repeat=3)):
        index = repeated.index(site, image)
        wanted = (host[site].frac_coords + image) @ host.lattice.matrix
        difference = (repeated.structure[index].coords - wanted) @ inverse
        assert np.allclose(difference, np.rint(difference), atol=1e-8)
        assert repeated.structure[index].properties == host[site].properties
    distances = repeated.structure.distance_matrix + 9 * np.eye(len(repeated.structure))
    assert distances.min() > 1, 'no site appears twice'
