"""Potentials of point charges against pymatgen and a Madelung constant."""

import numpy as np
import pytest
from prediction.small_paths import ANIONS, CATIONS, small_path
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Structure

from aiida_embarrier.prediction.electrostatics import COULOMB, formal_charges, site_potentials
from aiida_embarrier.structures.anions import sublattices


def test_madelung_constant_of_rock_salt():
    constant = 5.0
    coords = np.concatenate([CATIONS, ANIONS])
    charges = np.array([1.0] * 4 + [-1.0] * 4)
    # without the ion itself; its images are those of a charge on a simple cubic lattice with a background
    (found,) = site_potentials(constant * np.eye(3), coords[1:], charges[1:], coords[:1])
    with_images = found + COULOMB / constant * -2.837297
    assert -with_images * constant / 2 / COULOMB == pytest.approx(1.747565, abs=1e-4)


def test_differences_are_those_of_pymatgen():
    """A small charge that moves changes the energy by its charge times the difference of the potential."""
    path = small_path(5.1)
    charges = np.array([2.0, 1.0, -2.0, -1.0, -1.0, -1.0])
    points = np.array([[0.02, 0.01, 0.0], [0.1, 0.2, 0.25], [0.0, 0.5, 0.48]])
    found = site_potentials(path.lattice, path.coords, charges, points)
    small = 0.01
    energies = []
    for point in points:
        structure = Structure(path.lattice, ['H'] * 7, np.vstack([path.coords, point]))
        structure.add_oxidation_state_by_site([*charges, small])
        energies.append(EwaldSummation(structure, acc_factor=14).total_energy)
    assert np.diff(found) == pytest.approx(np.diff(energies) / small, abs=2e-3)


def test_potential_does_not_depend_on_the_cell():
    path = small_path(5.1)
    charges = np.array([2.0, 2.0, -1.0, -1.0, -1.0, -1.0])
    once = site_potentials(path.lattice, path.coords, charges, path.points)
    doubled = np.concatenate([path.coords, path.coords + np.array([0, 0, 1])]) / [1, 1, 2]
    twice = site_potentials(path.lattice * [[1], [1], [2]], doubled, np.tile(charges, 2), path.points / [1, 1, 2])
    assert twice == pytest.approx(once, abs=2e-3)


@pytest.mark.parametrize(
    ('species', 'expected'),
    [
        (('Mg', 'Mg', 'O', 'O', 'O', 'O'), [3.5, 3.5, -2, -2, -2, -2]),  # no transition metal: all cations share
        (('Fe', 'Mg', 'O', 'O', 'O', 'O'), [5, 2, -2, -2, -2, -2]),
    ],
)
def test_formal_charges_make_the_cell_neutral(species, expected):
    path = small_path()
    charges = formal_charges(species, sublattices(path.lattice, species, path.coords), 'Li')
    assert charges == pytest.approx(np.array(expected))
    assert charges.sum() == pytest.approx(-1)
