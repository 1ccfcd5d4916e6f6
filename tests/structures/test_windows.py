"""The narrowest window of a path."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.coordination import path_environment
from aiida_embarrier.structures.windows import narrowest_window


def window_of(structure: Structure, start, end, n_points: int = 21):
    symbols = [site.specie.symbol for site in structure]
    points = np.linspace(start, end, n_points)
    return narrowest_window(path_environment(structure.lattice.matrix, symbols, structure.frac_coords, 'Li', points))


@pytest.fixture
def close_packed() -> Structure:
    return Structure.from_spacegroup('Fm-3m', Lattice.cubic(4.2), ['O'], [[0, 0, 0]])


def test_the_face_between_an_octahedron_and_a_tetrahedron(close_packed):
    edge = 4.2 / np.sqrt(2)
    window = window_of(close_packed, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    assert window.corners == 3
    assert window.radius == pytest.approx(edge / np.sqrt(3))
    assert window.area == pytest.approx(np.sqrt(3) / 4 * edge**2)
    assert window.diagonal == pytest.approx(edge)
    # the plane x + y + z = 1 is at 1/3 of each coordinate
    assert window.at == pytest.approx((0.5 - 1 / 3) / 0.25)
    assert window.anions == ('O', 'O', 'O')


def test_an_edge_of_two_anions_belongs_to_their_triangles(close_packed):
    window = window_of(close_packed, [0.5, 0.5, 0.5], [0.5, 0.0, 1.0])
    assert window.radius == pytest.approx(4.2 / np.sqrt(6))
    assert window.at == pytest.approx(0.5, abs=0.02)


def test_four_anions_in_a_plane_are_one_window():
    cubic = Structure.from_spacegroup('Pm-3m', Lattice.cubic(3.0), ['S'], [[0, 0, 0]])
    window = window_of(cubic, [0.5, 0.5, 0.5], [0.5, 0.5, 1.5])
    assert window.corners == 4
    assert window.radius == pytest.approx(3.0 / np.sqrt(2))
    assert window.area == pytest.approx(9.0)
    assert window.diagonal == pytest.approx(3.0 * np.sqrt(2))
    assert window.at == pytest.approx(0.5)


def test_a_path_beside_all_anions_has_no_window():
    chain = Structure(Lattice.orthorhombic(3.0, 20.0, 20.0), ['O'], [[0, 0, 0]])
    assert window_of(chain, [0.0, 0.15, 0.0], [1.0, 0.15, 0.0]) is None


def test_the_window_of_the_way_back_is_the_same(close_packed):
    moves = 0.03 * np.random.default_rng(3).normal(size=(4, 3))
    close_packed = Structure(close_packed.lattice, ['O'] * 4, close_packed.frac_coords + moves)
    there = window_of(close_packed, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    back = window_of(close_packed, [0.25, 0.25, 0.25], [0.5, 0.5, 0.5])
    assert there[1:5] == pytest.approx(back[1:5])
    assert there.at == pytest.approx(1 - back.at)
