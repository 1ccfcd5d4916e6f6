"""Symmetry operations with magnetic moments, and the permutations of sites that they make."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.symmetry import SymmetryOperation, permute_points, permute_sites, symmetry_operations


def test_every_operation_takes_each_site_where_it_says(olivine):
    operations = symmetry_operations(olivine)
    assert len(operations) == 8
    seen = set()
    for operation in operations:
        targets, images = permute_sites(olivine, operation)
        moved = operation.apply(olivine.frac_coords)
        assert np.allclose(moved, olivine.frac_coords[targets] + images, atol=1e-3)
        assert [olivine[target].specie for target in targets] == [site.specie for site in olivine]
        assert not operation.time_reversal
        seen.add(tuple(targets))
    assert len(seen) == 8


def test_moments_are_kept_or_all_reversed(antiferromagnetic_spinel):
    crystal = antiferromagnetic_spinel
    moments = np.array(crystal.site_properties['magmom'])
    operations = symmetry_operations(crystal)
    assert {operation.time_reversal for operation in operations} == {False, True}
    for operation in operations:
        targets, _ = permute_sites(crystal, operation)
        sign = -1 if operation.time_reversal else 1
        assert np.allclose(moments[targets], sign * moments)
    crystal.remove_site_property('magmom')
    assert len(symmetry_operations(crystal)) == 48 > len(operations)


def test_a_ferromagnet_has_the_operations_of_its_crystal(spinel):
    plain = len(symmetry_operations(spinel))
    spinel.add_site_property('magmom', [4.0 if site.specie.symbol == 'Mn' else 0.0 for site in spinel])
    operations = symmetry_operations(spinel)
    assert len(operations) == plain
    assert not any(operation.time_reversal for operation in operations)


def test_translations_inside_a_supercell_are_operations(layered):
    assert len(symmetry_operations(layered * (2, 2, 2))) == 8 * len(symmetry_operations(layered))


def test_moments_may_stand_on_the_species(olivine):
    olivine.add_spin_by_element({'Fe': 4.0})
    ferromagnet = len(symmetry_operations(olivine))
    olivine.add_spin_by_site([4.0 * (-1) ** i if site.specie.symbol == 'Fe' else 0.0 for i, site in enumerate(olivine)])
    assert ferromagnet == 8
    assert any(operation.time_reversal for operation in symmetry_operations(olivine))


def test_points_that_an_operation_misses_are_refused():
    inversion = SymmetryOperation(-np.eye(3, dtype=int), np.zeros(3))
    points = [[0.1, 0, 0], [0.9, 0, 0]]
    targets, images = permute_points(points, inversion, np.eye(3) * 5)
    assert targets.tolist() == [1, 0]
    assert images.tolist() == [[-1, 0, 0], [-1, 0, 0]]
    with pytest.raises(ValueError, match=r'misses the nearest site by 1\.000 Å'):
        permute_points([[0.1, 0, 0], [0.7, 0, 0]], inversion, np.eye(3) * 5)
    with pytest.raises(ValueError, match='misses'):
        permute_points(points, inversion, np.eye(3) * 5, labels=['Li', 'Na'])


def test_small_displacements_are_found_in_a_skewed_cell():
    """Rounding fractional coordinates finds a small displacement in a skewed cell too."""
    matrix = Lattice.rhombohedral(12.0, 20).matrix
    shift = np.array([0.02, -0.02, 0.02]) @ np.linalg.inv(matrix)
    operation = SymmetryOperation(np.eye(3, dtype=int), shift + np.array([3, -1, 0]))
    targets, images = permute_points([[0.999, 0.0, 0.5]], operation, matrix)
    assert targets.tolist() == [0]
    assert images.tolist() == [[3, -1, 0]]


def test_no_symmetry_is_a_clear_error():
    crystal = Structure(Lattice.cubic(4), ['Li', 'Li'], [[0, 0, 0], [0.0005, 0, 0]])
    with pytest.raises(ValueError, match='lower symprec'):
        symmetry_operations(crystal, symprec=0.01)
