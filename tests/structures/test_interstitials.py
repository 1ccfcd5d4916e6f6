"""Voids of known crystals."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.interstitials import complete_sites, interstitial_sites
from aiida_embarrier.structures.symmetry import symmetry_operations


def distance_to_any(structure, sites, wanted):
    operations = symmetry_operations(structure)
    images = np.concatenate([operation.apply(sites) for operation in operations])
    return structure.lattice.get_all_distances(wanted, images).min()


@pytest.mark.parametrize(('name', 'ion'), [('olivine', 'Li'), ('layered', 'Li'), ('spinel', 'Li')])
def test_the_sites_of_a_removed_ion_are_found(request, name, ion):
    crystal = request.getfixturevalue(name)
    wanted = next(site.frac_coords for site in crystal if site.specie.symbol == ion)
    crystal.remove_species([ion])
    sites = interstitial_sites(crystal)
    assert distance_to_any(crystal, sites, wanted) < 0.2
    assert crystal.lattice.get_all_distances(sites, crystal.frac_coords).min() >= 1.7
    assert find_hops(crystal, ion, mechanism='interstitial', max_length=4.0)


def test_octahedral_and_tetrahedral_voids_of_a_close_packing():
    crystal = Structure(Lattice.cubic(4.2), ['O'] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = interstitial_sites(crystal, min_distance=1.5)
    assert len(sites) == 2
    radii = crystal.lattice.get_all_distances(sites, crystal.frac_coords).min(axis=1)
    assert radii == pytest.approx([2.1, 4.2 * np.sqrt(3) / 4])
    complete = complete_sites(crystal, sites, symmetry_operations(crystal))
    assert len(complete) == 4 + 8


def test_a_dense_crystal_has_no_void():
    crystal = Structure(Lattice.cubic(3.6), ['Cu'] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    with pytest.raises(ValueError, match=r'largest is 1\.80 Å away'):
        interstitial_sites(crystal, min_distance=2.0)


def test_a_site_given_twice_counts_once(olivine):
    olivine.remove_species(['Li'])
    operations = symmetry_operations(olivine)
    one = complete_sites(olivine, [[0, 0, 0]], operations)
    assert len(one) == 4
    assert np.array_equal(complete_sites(olivine, [[0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0.001]], operations), one)


@pytest.mark.parametrize('angle', [25.0, 60.0, 100.0])
def test_the_largest_void_of_a_skewed_lattice_is_that_of_a_fine_grid(angle):
    """With one atom per cell the void is as large as voids can be, and atoms far outside the cell decide."""
    crystal = Structure(Lattice.rhombohedral(7.0, angle), ['Ar'], [[0.2, 0.9, 0.4]])
    sites = interstitial_sites(crystal, merge=0.2)
    radii = crystal.lattice.get_all_distances(sites, crystal.frac_coords)[:, 0]
    steps = (np.arange(40) + 0.5) / 40
    grid = np.array(np.meshgrid(steps, steps, steps)).reshape(3, -1).T
    largest = crystal.lattice.get_all_distances(grid, crystal.frac_coords).max()
    assert largest - 1e-6 <= radii.max() < largest + 0.2
