"""Ewald energies of many orderings: against pymatgen's sum of each, charges from wherever they are known."""

import numpy as np
import pytest
from disordered_crystals import pair_of_sets, rock_salt
from pymatgen.analysis.ewald import EwaldSummation

from aiida_embarrier.structures.ewald import EwaldMatrix, find_charges
from aiida_embarrier.structures.occupancies import fix_contents
from aiida_embarrier.structures.orderings import find_orderings


@pytest.mark.parametrize(
    ('crystal', 'states', 'supercell'),
    [
        (pair_of_sets(), {'Li': 1, 'Na': 1, 'K': 1, 'Cl': -1}, None),  # charged: +1
        (rock_salt({'Mg2+': 0.5}, 'Cl-'), None, None),
        (rock_salt({'Li+': 0.5, 'Al3+': 0.25}, {'O2-': 0.5, 'F-': 0.5}), None, None),  # charged: -1
        (rock_salt({'Mg2+': 0.5}, 'Cl-'), None, [2, 1, 1]),
    ],
)
def test_energies_are_those_of_pymatgen(crystal, states, supercell):
    found = find_orderings(crystal, supercell=supercell, oxidation_states=states)
    assert found.ranked
    assert len(found.orderings) == found.count.n_distinct
    for ordering in found.orderings:
        assert ordering.ewald_energy == pytest.approx(EwaldSummation(ordering.structure).total_energy, abs=1e-7)
    energies = [ordering.ewald_energy for ordering in found.orderings]
    assert np.all(np.diff(energies) > -1e-6)


def test_equivalent_arrangements_have_one_energy():
    crystal = rock_salt({'Mg2+': 0.5}, 'Cl-')
    energies = EwaldMatrix(crystal).energies(
        np.array([[2, 2, 0, 0], [0, 0, 2, 2], [0, 2, 2, 0]]), range(4), np.array([9.0] * 4 + [-1.0] * 4)
    )
    np.testing.assert_allclose(energies, energies[0], atol=1e-9)


def test_charges_of_the_file_come_before_a_guess():
    contents = fix_contents(rock_salt({'Fe2+': 0.5, 'Fe3+': 0.5}, 'O2-'))
    charges, source, warnings = find_charges(contents)
    assert source == 'file'
    assert {str(name): charge for name, charge in charges.items()} == {'Fe2+': 2, 'Fe3+': 3, 'O2-': -2}
    assert 'sum to +2 e' in warnings[0]


def test_a_guess_balances_the_cell():
    charges, source, warnings = find_charges(fix_contents(rock_salt({'Mg': 0.5})))
    assert source == 'guess'
    assert {str(name): charge for name, charge in charges.items()} == {'Mg': 2, 'Cl': -1}
    assert warnings == []


def test_a_cell_that_cannot_be_balanced_is_said_to_be_charged():
    charges, source, warnings = find_charges(fix_contents(rock_salt({'Li': 0.5})))
    assert source == 'guess'
    assert {str(name): charge for name, charge in charges.items()} == {'Li': 1, 'Cl': -1}
    assert warnings[0].startswith('the oxidation states of the cell sum to -2 e: its Ewald energies are those with a')


@pytest.mark.parametrize('crystal', [rock_salt({'Nb': 0.5, 'Zr': 0.5}, 'Ti'), rock_salt({'Nb0+': 0.5}, 'Zr0+')])
def test_metals_are_not_ranked(crystal):
    found = find_orderings(crystal)
    assert not found.ranked
    assert found.energies is None
    assert found.oxidation_source == 'none'
    assert [ordering.ewald_energy for ordering in found.orderings] == [None] * found.count.n_distinct
    assert any('not ranked' in warning for warning in found.warnings)


def test_given_states_are_kept_on_the_structures():
    found = find_orderings(rock_salt({'Mg': 0.5}), oxidation_states={'Mg': 2, 'Cl': -1})
    assert found.oxidation_source == 'given'
    assert found.oxidation_states == {'Mg': 2.0, 'Cl': -1.0}
    assert {str(site.specie) for site in found.orderings[0].structure} == {'Mg2+', 'Cl-'}
    guessed = find_orderings(rock_salt({'Mg': 0.5}))
    assert guessed.energies == pytest.approx(found.energies)
    assert {str(site.specie) for site in guessed.orderings[0].structure} == {'Mg', 'Cl'}


@pytest.mark.parametrize(
    ('states', 'message'),
    [
        ({'Na': 1}, "given for 'Na', which is not in the crystal: it consists of Cl, Mg"),
        ({'Mg': 2}, 'no oxidation state of Cl: give those of all elements, such as Cl=2, or none'),
    ],
)
def test_states_that_do_not_fit(states, message):
    with pytest.raises(ValueError, match=message):
        find_orderings(rock_salt({'Mg': 0.5}), oxidation_states=states)
