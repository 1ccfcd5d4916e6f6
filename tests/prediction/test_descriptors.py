"""Numbers of a path: what they do not depend on, and what they are."""

import dataclasses

import numpy as np
import pytest
from prediction.small_paths import small_path
from pymatgen.core import Lattice
from scipy.spatial.transform import Rotation

from aiida_embarrier.prediction.descriptors import describe_geometry

#: Distances and sums of a crystal come out the same but for rounding.
SAME = {'rel': 1e-6, 'abs': 1e-6, 'nan_ok': True}
SHIFT = np.array([0.21, 0.48, 0.9])
DIRECTED = ('_initial', '_difference')


@pytest.fixture(scope='module')
def path():
    return small_path(moves=0.02, functional='PBE+U')


def test_order_of_atoms_and_lattice_translations_do_not_matter(path):
    order = np.random.default_rng(0).permutation(len(path.species))
    shifts = np.random.default_rng(1).integers(-2, 3, (len(order), 3))
    other = dataclasses.replace(
        path,
        species=tuple(path.species[number] for number in order),
        coords=path.coords[order] + shifts,
        final_coords=path.final_coords[order],
        points=path.points + np.array([1, 0, -2]),
    )
    assert describe_geometry(other) == pytest.approx(describe_geometry(path), **SAME)


def turned(path):
    """Return a path in a cell that is turned."""
    return dataclasses.replace(path, lattice=path.lattice @ Rotation.from_euler('xyz', (0.4, 1.1, -0.7)).as_matrix())


def with_vectors(path, matrix):
    """Return a path with other vectors of the same lattice, rows of integers in units of the old ones."""
    inverse = np.linalg.inv(matrix)
    final = None if path.final_coords is None else path.final_coords @ inverse
    return dataclasses.replace(
        path,
        lattice=np.array(matrix) @ path.lattice,
        coords=path.coords @ inverse,
        final_coords=final,
        points=path.points @ inverse,
    )


@pytest.mark.parametrize(
    'change',
    [
        lambda path: dataclasses.replace(
            path,
            coords=path.coords + SHIFT,
            final_coords=path.final_coords + SHIFT,
            points=path.points + SHIFT,
        ),
        lambda path: with_vectors(path, [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
        lambda path: with_vectors(path, [[1, 1, 0], [0, 1, 0], [0, 0, 1]]),
        lambda path: with_vectors(path, [[1, 0, 0], [-1, 1, 0], [0, 2, 1]]),
        turned,
    ],
    ids=['origin', 'order of vectors', 'skewed', 'very skewed', 'turned'],
)
def test_how_a_cell_is_written_does_not_matter(path, change):
    """The arc of a turned path is found by other steps, and ends where it did within 0.01 of the numbers it makes."""
    found, expected = describe_geometry(change(path)), describe_geometry(path)
    of_arc = {name for name in expected if name == 'bend' or name.startswith('rule_')}
    others = set(expected) - of_arc
    assert {name: found[name] for name in others} == pytest.approx({name: expected[name] for name in others}, **SAME)
    assert {name: found[name] for name in of_arc} == pytest.approx(
        {name: expected[name] for name in of_arc}, rel=0.01, abs=0.01, nan_ok=True
    )


def test_conventional_cells_are_not_reduced(path):
    """Monoclinic cells with an angle of 128 degrees are published, and models learned from them as they are."""
    cell = dataclasses.replace(path, lattice=Lattice.monoclinic(10.6, 11.4, 17.2, 128).matrix)
    assert describe_geometry(cell)['longest_vector'] == pytest.approx(17.2)


def test_direction(path):
    there, back = describe_geometry(path), describe_geometry(path.reversed())
    directed = {name for name in there if name.endswith(DIRECTED)}
    assert {name for name in there if there[name] != pytest.approx(back[name], **SAME)} <= directed
    assert back['valence_difference'] == pytest.approx(-there['valence_difference'])
    assert back['valence_initial'] != pytest.approx(there['valence_initial'])


def test_values(path):
    found = describe_geometry(path)
    assert found['hop_length'] == pytest.approx(path.hop_length)
    assert (found['hubbard'], found['meta']) == (1, 0)
    assert (found['ion_charge'], found['ion_radius']) == (1, pytest.approx(0.76))
    assert found['alone'] == 1
    assert found['ions_per_anion'] == pytest.approx(1 / 4)
    assert found['metal_electronegativity'] == pytest.approx(1.31)
    assert found['anion_electronegativity'] == pytest.approx(3.44)
    structure = path.structure(0.5)
    nearest = min(structure.get_distance(0, number) for number in range(3, 7))
    assert found['anion_nearest_middle'] == pytest.approx(nearest)
    assert found['cation_nearest_middle'] == pytest.approx(min(structure.get_distance(0, number) for number in (1, 2)))
    assert found['anion_nearest_least'] <= found['anion_nearest_middle']


def test_names_are_always_the_same(path):
    others = [small_path(host=('Fe', 'S'), ion='Ca'), small_path(host=('Al', 'Cu'), ion='Li')]  # the last: an alloy
    assert all(list(describe_geometry(other)) == list(describe_geometry(path)) for other in others)
