"""Likely oxidation states: the first guess of pymatgen, without its waiting."""

import random

import pytest
from pymatgen.core import Composition

from aiida_embarrier.structures.oxidation_guess import likely_states

ELEMENTS = [
    'Li',
    'Na',
    'Mg',
    'Al',
    'Si',
    'P',
    'S',
    'O',
    'Cl',
    'F',
    'Fe',
    'Mn',
    'Co',
    'Ti',
    'Zr',
    'Ge',
    'La',
    'N',
    'C',
    'He',
]


@pytest.mark.parametrize('charge', [0, 1, -2])
def test_the_first_guess_of_pymatgen(charge):
    source = random.Random(charge)
    found = 0
    for _ in range(60):
        elements = source.sample(ELEMENTS, source.randint(2, 4))
        composition = Composition({element: source.randint(1, 5) for element in elements})
        guesses = composition.oxi_state_guesses(target_charge=charge)
        states = likely_states(composition, charge=charge)
        if guesses:
            found += 1
            assert states == pytest.approx(dict(guesses[0]))
        else:
            assert states is None
    assert found >= 10


@pytest.mark.parametrize('given', [{'Fe': 2.5}, {'Li': 1}, {'Li': 1, 'O': -2}])
def test_known_states_stay(given):
    composition = Composition('Li4Fe4P4O16')
    wanted = composition.oxi_state_guesses(oxi_states_override={symbol: [state] for symbol, state in given.items()})
    assert likely_states(composition, given) == pytest.approx(dict(wanted[0]))


def test_states_that_leave_no_whole_charge_have_no_guess():
    assert likely_states(Composition('LiFePO4'), {'Fe': 2.25}) is None


def test_many_atoms():
    states = likely_states(Composition('Li7 Sc1 Ti11 P18 O72'))
    assert states == {'Li': 1, 'Sc': 3, 'Ti': 4, 'P': 5, 'O': -2}


def test_whole_atoms_only():
    with pytest.raises(ValueError, match=r'whole numbers of atoms, not for Li0\.5'):
        likely_states(Composition('Li0.5CoO2'))
