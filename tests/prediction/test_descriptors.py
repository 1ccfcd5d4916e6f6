"""Numbers of a path: what they do not depend on, and what they are."""

import dataclasses

import numpy as np
import pytest
from prediction.small_paths import small_path

from aiida_embarrier.prediction.descriptors import describe_geometry

#: Distances and sums of a crystal come out the same but for rounding.
SAME = {'rel': 1e-6, 'abs': 1e-6, 'nan_ok': True}
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
