"""Bond valences."""

import numpy as np
import pytest
from pymatgen.analysis.bond_valence import calculate_bv_sum
from pymatgen.core import Composition, Lattice, PeriodicNeighbor, PeriodicSite, Structure

from aiida_embarrier.structures.bond_valence import SOFTNESS, bond_length, bond_valence_sums
from aiida_embarrier.structures.coordination import path_environment


@pytest.mark.parametrize(('cation', 'anion'), [('Li', 'O'), ('Mg', 'S'), ('Ca', 'F'), ('Zn', 'Se'), ('Na', 'Cl')])
def test_the_length_is_that_of_pymatgen(cation, anion):
    cell = Lattice.cubic(10)
    neighbour = PeriodicNeighbor(Composition(anion), [0.2, 0, 0], cell, nn_distance=2.0)
    valence = calculate_bv_sum(PeriodicSite(cation, [0, 0, 0], cell), [neighbour])
    assert bond_length(cation, anion) == pytest.approx(2.0 + 0.31 * np.log(valence))


@pytest.mark.parametrize(
    ('cation', 'anion', 'constant', 'charge'), [('Mg', 'O', 4.21, 2), ('Na', 'Cl', 5.64, 1), ('Ca', 'O', 4.81, 2)]
)
def test_sums_of_rock_salts_are_near_the_charge(cation, anion, constant, charge):
    crystal = Structure.from_spacegroup('Fm-3m', Lattice.cubic(constant), [cation, anion], [[0, 0, 0], [0.5, 0, 0]])
    host = crystal.copy()
    host.remove_sites([0])
    symbols = [site.specie.symbol for site in host]
    points = [crystal.frac_coords[0], crystal.frac_coords[1]]
    environment = path_environment(host.lattice.matrix, symbols, host.frac_coords, cation, points)
    assert environment.bond_valences == pytest.approx(charge, rel=0.2)


def test_a_sum_runs_over_what_is_there():
    distances = np.array([[2.0, 2.3, np.inf], [np.inf, np.inf, np.inf]])
    symbols = np.array([['O', 'F', ''], ['', '', '']])
    terms = [np.exp((bond_length('Li', symbol) - d) / SOFTNESS) for symbol, d in (('O', 2.0), ('F', 2.3))]
    assert bond_valence_sums('Li', symbols, distances) == pytest.approx([sum(terms), 0.0])
    assert np.isnan(bond_length('Li', 'He'))
