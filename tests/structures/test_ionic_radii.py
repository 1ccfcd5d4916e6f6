"""Radii and charges of ions."""

import numpy as np
import pytest
from pymatgen.core import Species

from aiida_embarrier.structures.ionic_radii import anion_charge, anion_radius, cation_charge, shannon_radius


@pytest.mark.parametrize(('symbol', 'charge'), [('Li', 1), ('Mg', 2), ('Ca', 2), ('Al', 3), ('Zn', 2), ('K', 1)])
def test_radii_are_those_of_pymatgen(symbol, charge):
    for number, roman in ((4, 'IV'), (6, 'VI'), (8, 'VIII')):
        try:
            wanted = Species(symbol, charge).get_shannon_radius(roman)
        except KeyError:
            continue
        assert float(shannon_radius(symbol, charge, number)) == wanted
    assert cation_charge(symbol) == charge


def test_between_coordination_numbers_radii_are_interpolated_and_beyond_them_they_stay():
    assert shannon_radius('Li', 1, [3, 4, 5, 6, 8, 12]) == pytest.approx([0.59, 0.59, 0.675, 0.76, 0.92, 0.92])
    assert shannon_radius('Li', 1, np.full((2, 3), 6.0)).shape == (2, 3)


def test_of_spins_the_high_one_and_of_states_the_nearest_one():
    assert float(shannon_radius('Fe', 2)) == 0.78
    assert float(shannon_radius('Fe', 2.9)) == float(shannon_radius('Fe', 3)) == 0.645


def test_anions():
    assert {symbol: anion_charge(symbol) for symbol in ('O', 'F', 'N', 'P', 'H')} == {
        'O': -2,
        'F': -1,
        'N': -3,
        'P': -3,
        'H': -1,
    }
    assert anion_radius('O') == 1.40
    assert anion_radius('S') == 1.84
    assert np.isnan(anion_radius('P')), 'Shannon lists phosphorus as a cation only'
    with pytest.raises(ValueError, match='Fe is no anion'):
        anion_charge('Fe')
