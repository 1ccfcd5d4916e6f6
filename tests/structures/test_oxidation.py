"""Oxidation states: read, guessed, shifted; and the moments of high-spin ions."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.oxidation import (
    decorated,
    guess_oxidation_states,
    high_spin_moment,
    oxidation_states_of,
    shift_charge,
    shift_moments,
    with_oxidation_states,
)


def chain(*symbols):
    """Return atoms in a row, 2 Å apart."""
    n = len(symbols)
    return Structure(Lattice.orthorhombic(2.0 * n, 20, 20), list(symbols), [[i / n, 0, 0] for i in range(n)])


def test_states_of_sites_and_of_species_are_the_same(olivine):
    assert oxidation_states_of(olivine) is None
    states, how = guess_oxidation_states(olivine)
    assert how == 'bond valence'
    on_sites = with_oxidation_states(olivine, states)
    on_species = decorated(olivine, states)
    assert oxidation_states_of(on_sites) == oxidation_states_of(on_species) == states
    assert oxidation_states_of(with_oxidation_states(on_species, None)) is None
    assert set(states[:4]) == {1.0}


def test_guesses_by_what_is_given_and_by_composition(olivine):
    states, how = guess_oxidation_states(olivine, {'Li': 1, 'Fe': 3, 'P': 4, 'O': -2})
    assert how == 'given'
    assert states[4] == 3
    states, how = guess_oxidation_states(olivine, {'Li': 1, 'P': 5, 'O': -2})
    assert (how, states[4]) == ('composition', 2.0)
    metal = Structure(Lattice.cubic(3), ['Cu', 'Zn'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert guess_oxidation_states(metal, {'Cu': 2, 'Zn': 2}) == ([2.0, 2.0], 'given')
    assert guess_oxidation_states(metal, {'Cu': 2}) is None
    with pytest.raises(ValueError, match="given for 'Na', which LiFePO4 does not have"):
        guess_oxidation_states(olivine, {'Na': 1})


def test_spread_keeps_equal_sites_equal():
    shift = shift_charge(chain('Mn', 'Mn', 'O', 'O'), [3, 3, -2, -2], 1.0)
    assert shift.states == [3.5, 3.5, -2, -2]
    assert shift.changed == {'Mn': (3.0, 3.5)}


def test_localised_changes_the_nearest_sites_by_whole_electrons():
    crystal = chain('Fe', 'Fe', 'Fe', 'Fe', 'O')
    shift = shift_charge(crystal, [2, 2, 2, 2, -2], 2.0, sources=[[0.39, 0, 0]], how='localised')
    assert shift.states == [2, 3, 3, 2, -2]
    again = shift_charge(crystal, [2, 2, 2, 2, -2], 5.0, sources=[[0.39, 0, 0]], how='localised')
    assert again.states[:4] == [3, 3, 4, 3]
    assert 'oxidation state +4.00' in again.warnings[0]
    with pytest.raises(ValueError, match="unknown compensation 'even'"):
        shift_charge(crystal, [2, 2, 2, 2, -2], 1.0, how='even')


def test_localised_makes_fractional_states_whole_and_says_so():
    crystal = chain('Mn', 'Mn', 'Mn', 'Mn', 'O')
    fractional = [3.5, 3.5, 3.5, 3.5, -2]
    shift = shift_charge(crystal, fractional, 1.0, sources=[[0.19, 0, 0]], how='localised')
    assert shift.states == [4, 4, 4, 3, -2]  # the farthest is reduced
    assert shift.changed == {'Mn': (3.5, 3.75)}
    assert '4 x +3.5' in shift.warnings[0]
    assert '1 x +3, 3 x +4' in shift.warnings[0]
    reduced = shift_charge(crystal, fractional, -1.0, sources=[[0.19, 0, 0]], how='localised')
    assert sorted(reduced.states[:4]) == [3, 3, 3, 4]
    assert reduced.states[1] == 3
    # where no whole states add up the charge is spread, with a warning
    odd = shift_charge(crystal, [3.5, 3.5, 3.5, 3.6, -2], 1.0, how='localised')
    assert odd.states[0] == 3.75
    assert 'not localised' in odd.warnings[0]


def test_the_metal_in_the_lowest_state_is_oxidised_first():
    """Nickel of the high-voltage spinel, not its manganese; and reduction starts with manganese."""
    crystal = chain('Ni', 'Mn', 'Mn', 'Mn', 'O', 'O')
    states = [2, 4, 4, 4, -2, -2]
    assert shift_charge(crystal, states, 2.0).states == [4, 4, 4, 4, -2, -2]
    assert shift_charge(crystal, states, -1.5).states == [2, 3.5, 3.5, 3.5, -2, -2]
    # where nickel is full, manganese goes on
    assert shift_charge(crystal, states, 3.5).states == [4, 4.5, 4.5, 4.5, -2, -2]


def test_metals_that_are_full_take_up_nothing():
    shift = shift_charge(chain('Ti', 'Sc', 'O'), [4, 3, -2], 1.0)
    assert shift.states is None
    assert 'the transition metals (Sc, Ti) cannot take up 1 e of 1 e' in shift.warnings[0]
    assert 'transition metals (none) cannot give' in shift_charge(chain('Al', 'O'), [3, -2], -1.0).warnings[0]


def test_uneven_sites_are_filled_within_their_bounds():
    shift = shift_charge(chain('Ti', 'Ti', 'O'), [3.5, 2, -2], 2.0)
    assert max(shift.states[:2]) <= 4
    assert sum(shift.states) == pytest.approx(5.5)


@pytest.mark.parametrize(
    ('element', 'state', 'moment'),
    [('Fe', 2, 4), ('Fe', 3, 5), ('Mn', 3, 4), ('Mn', 4, 3), ('Ti', 4, 0), ('Cu', 1, 0), ('Fe', 2.5, 4.5), ('V', 5, 0)],
)
def test_high_spin_moments(element, state, moment):
    assert high_spin_moment(element, state) == pytest.approx(moment)


def test_no_high_spin_moment_beyond_the_3d_metals():
    assert high_spin_moment('Ru', 4) is None
    assert high_spin_moment('O', -2) is None


def test_moments_follow_with_their_signs_and_low_spin_ones_stay():
    crystal = chain('Fe', 'Fe', 'Co', 'O')
    crystal.add_site_property('magmom', [4.2, -3.8, 0.0, 0.1])
    moments, notes = shift_moments(crystal, [2, 2, 3, -2], [3, 3, 4, -2])
    np.testing.assert_allclose(moments, [5.0, -5.0, 0.0, 0.1])
    assert len(notes) == 1
    assert 'the moments of 1 Co are as before' in notes[0]
    assert shift_moments(chain('Fe'), [2], [3]) == (None, [])
