"""Symmetry of average crystals: what tells sites apart, translations of supercells, and failures that say why."""

import numpy as np
import pytest
from disordered_crystals import pair_of_sets, rock_salt
from ordering_brute_force import permutations_by_pymatgen
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures import average
from aiida_embarrier.structures.average import average_operations, site_labels, site_orbits, site_permutations
from aiida_embarrier.structures.supercells import Supercell


def test_occupancies_tell_sites_apart():
    crystal = rock_salt({'Li': 0.5, 'Na': 0.5})
    assert len(average_operations(crystal)) == 192
    uneven = Structure(
        crystal.lattice,
        [{'Li': 0.5, 'Na': 0.5}] * 3 + [{'Li': 0.25, 'Na': 0.5}] + ['Cl'] * 4,
        crystal.frac_coords,
    )
    assert len(average_operations(uneven)) == 48
    nearly = Structure(
        crystal.lattice,
        [{'Li': 0.5, 'Na': 0.5}] * 3 + [{'Li': 0.5004, 'Na': 0.4996}] + ['Cl'] * 4,
        crystal.frac_coords,
    )
    assert len(set(site_labels(nearly))) == 2


def test_oxidation_states_and_moments_tell_sites_apart():
    crystal = rock_salt({'Fe2+': 0.5, 'Fe3+': 0.5})
    assert len(set(site_labels(crystal))) == 2
    crystal.add_site_property('magmom', [1, 1, -1, -1, 0, 0, 0, 0])
    assert len(set(site_labels(crystal))) == 3


@pytest.mark.parametrize('supercell', [[2, 1, 1], [1, 2, 2], [2, 2, 1], [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]])
@pytest.mark.parametrize('make', [pair_of_sets, lambda: rock_salt({'Li': 0.5})])
def test_permutations_are_those_of_other_code(make, supercell):
    crystal = Supercell(make(), supercell).structure
    sites = [index for index, site in enumerate(crystal) if not site.is_ordered]
    own = site_permutations(crystal, sites)
    assert np.array_equal(np.array(sorted(map(tuple, own.tolist()))), permutations_by_pymatgen(crystal, sites))


def test_translations_of_a_supercell_count():
    crystal = pair_of_sets()
    sites = [0, 1]
    once = len(site_permutations(crystal, sites))
    repeated = Supercell(crystal, [1, 1, 3]).structure
    thrice = site_permutations(repeated, [index for index in range(len(repeated)) if index < 6])
    assert len(thrice) == 3 * once
    # one of them moves everything by a third of the supercell
    assert any(sorted(row) == list(range(6)) and np.all(row[row] != np.arange(6)) for row in thrice)


def test_orbits():
    crystal = pair_of_sets()
    assert site_orbits(crystal) == [0, 0, 2, 2, 4, 4]


def test_no_disordered_sites():
    assert site_permutations(pair_of_sets(), []).shape == (1, 0)


def test_sites_on_top_of_each_other_have_no_symmetry():
    crystal = Structure(Lattice.cubic(4), [{'Li': 0.5}, {'Li': 0.5}, 'Cl'], [[0, 0, 0], [0, 0, 0.001], [0.5] * 3])
    with pytest.raises(ValueError, match=r'no symmetry was found in LiCl within symprec = 0\.01 Å'):
        site_permutations(crystal, [0, 1])


def test_symprec_must_be_a_distance():
    with pytest.raises(ValueError, match='symprec must be a positive distance in Å, got 0'):
        average_operations(pair_of_sets(), 0)


def test_operations_that_are_no_group_are_refused(monkeypatch):
    operations = average_operations(rock_salt({'Li': 0.5}))
    # a threefold rotation without its square
    threefold = next(operation for operation in operations if np.trace(operation.rotation) == 0)
    monkeypatch.setattr(average, 'average_operations', lambda *_: [operations[0], threefold])
    with pytest.raises(ValueError, match='do not form a group'):
        site_permutations(rock_salt({'Li': 0.5}), range(4))


def test_operations_that_miss_their_sites_are_refused(monkeypatch):
    operations = average_operations(rock_salt({'Li': 0.5}))
    monkeypatch.setattr(average, 'average_operations', lambda *_: operations)
    crystal = rock_salt({'Li': 0.5})
    crystal.translate_sites([0], [0.05, 0.02, 0])
    with pytest.raises(ValueError, match='misses the nearest site by 0'):
        site_permutations(crystal, range(4))
