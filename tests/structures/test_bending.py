"""Straight paths bent to where the atoms of the host leave room."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.structures.bending import FARTHEST, bent_path
from aiida_embarrier.structures.coordination import path_environment


def straight(path: MigrationPath) -> np.ndarray:
    return path.at(np.linspace(0, 1, 21))


def bent(path: MigrationPath) -> np.ndarray:
    return bent_path(path.lattice, path.species, path.coords, path.ion, straight(path))


def coordination(path: MigrationPath, points: np.ndarray) -> list[int]:
    """Return the coordination numbers along points without repetitions."""
    numbers = path_environment(path.lattice, path.species, path.coords, path.ion, points).coordination
    return [int(number) for number, before in zip(numbers, [0, *numbers[:-1]], strict=True) if number != before]


@pytest.mark.parametrize(
    ('name', 'line', 'arc'),
    [
        # tetrahedron, triangle, octahedron and back: nothing to bend
        ('Mn2O4_Zn', [4, 3, 6, 3, 4], [4, 3, 6, 3, 4]),
        # octahedron, triangle, tetrahedron and back, where the line goes through an edge
        ('O-LiFePO4', [6, 2, 6], [6, 3, 4, 3, 6]),
        ('NiO2_Mg', [6, 2, 6], [6, 3, 4, 3, 6]),
        # 4+2, 3, 5, 3, 4+2, where the line goes through an oxygen
        ('d-V2O5_Ca', [6, 1, 6], [6, 3, 5, 3, 6]),
    ],
)
def test_paths_go_through_the_sites_that_are_known_of_them(literature, name, line, arc):
    path = MigrationPath.from_row(literature[name])
    assert coordination(path, straight(path)) == line
    assert coordination(path, bent(path)) == arc


@pytest.mark.parametrize('name', ['NiO2_Mg', 'd-V2O5_Ca', 'O-LiFePO4'])
def test_the_ends_stay_and_the_room_grows(literature, name):
    path = MigrationPath.from_row(literature[name])
    points = bent(path)
    assert points[[0, -1]] == pytest.approx(path.points[[0, -1]])
    moves = np.linalg.norm((points - straight(path)) @ path.lattice, axis=1)
    assert 0.3 < moves.max() <= FARTHEST + 1e-9
    assert moves == pytest.approx(moves.max() * np.sin(np.pi * np.linspace(0, 1, 21)))
    shortest = [
        path_environment(path.lattice, path.species, path.coords, path.ion, way).distances.min()
        for way in (straight(path), points)
    ]
    assert shortest[1] > shortest[0] + 0.03


def test_the_frame_of_the_crystal_is_no_matter(literature):
    path = MigrationPath.from_row(literature['NiO2_Mg'])
    order = np.random.default_rng(1).permutation(len(path.species))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    species = [path.species[number] for number in order]
    shift = np.array([0.3, 2.1, -0.7])
    other = bent_path(path.lattice @ turn, species, path.coords[order] + shift, path.ion, straight(path) + shift)
    heights = [
        np.linalg.norm((way - line) @ path.lattice, axis=1)[10]
        for way, line in ((bent(path), straight(path)), (other - shift, straight(path)))
    ]
    assert heights[0] == pytest.approx(heights[1], abs=0.01)


def test_atoms_that_do_not_move_may_be_given_for_each_point(literature):
    path = MigrationPath.from_row(literature['d-V2O5_Ca'])
    frames = np.repeat(path.coords[None], 21, axis=0)
    assert bent_path(path.lattice, path.species, frames, path.ion, straight(path)) == pytest.approx(bent(path))


def test_far_from_all_atoms_a_path_stays_straight():
    crystal = Structure(Lattice.cubic(14), ['O'], [[0, 0, 0]])
    points = np.linspace([0.5, 0.5, 0.4], [0.5, 0.5, 0.6], 11)
    assert bent_path(crystal.lattice.matrix, ['O'], crystal.frac_coords, 'Li', points) == pytest.approx(points)
