"""The potential behind the stand-in: conservative, kind to crystals, and different for each functional."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from emulators.vasp.crystals import hop, lithia, spinel
from emulators.vasp.elements import ELEMENTS, anions_of, valence
from emulators.vasp.optimisers import Lbfgs
from emulators.vasp.potential import FUNCTIONALS, Potential, Settings, moments
from pymatgen.core import Structure
from systems import aluminium

LIFEPO4 = Path(__file__).resolve().parents[2] / 'examples' / 'LiFePO4.cif'
MANGANESE = Settings('SCAN', hubbard=(('Mn', 3.9),), charge=-1, spins=(0, 0, 5, -5, 5, -5, *[0.6] * 8), dispersion=True)


def shaken(structure, settings):
    generator = np.random.default_rng(1)
    positions = structure.cart_coords + 0.08 * generator.normal(size=structure.cart_coords.shape)
    lattice = structure.lattice.matrix @ (np.eye(3) + 0.02 * generator.normal(size=(3, 3)))
    return Potential([site.specie.symbol for site in structure], settings), positions, lattice


@pytest.mark.parametrize(
    ('structure', 'settings'),
    [(spinel(), MANGANESE), (lithia(), Settings()), (aluminium(), Settings('PS'))],
    ids=['spinel', 'lithia', 'aluminium'],
)
def test_forces_and_stress_are_gradients(structure, settings):
    potential, positions, lattice = shaken(structure, settings)
    _, forces, stress = potential.compute(positions, lattice)
    width = 1e-5
    for atom, axis in ((0, 0), (5, 1), (len(positions) - 1, 2)):
        shift = np.zeros_like(positions)
        shift[atom, axis] = width
        slope = (
            potential.compute(positions + shift, lattice)[0] - potential.compute(positions - shift, lattice)[0]
        ) / (2 * width)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6)
    volume = abs(np.linalg.det(lattice))
    for i, j in ((0, 0), (2, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[i, j] = width
        sides = []
        for sign in (1, -1):
            change = np.eye(3) + sign * strain
            sides.append(Potential(potential.symbols, settings).compute(positions @ change.T, lattice @ change.T)[0])
        assert stress[i, j] * volume == pytest.approx(-(sides[0] - sides[1]) / (2 * width), abs=1e-4)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-10)


def test_energy_is_smooth_where_pairs_enter_the_cutoff_and_does_not_depend_on_the_cell():
    structure = spinel()
    potential, positions, lattice = shaken(structure, Settings())
    energy, forces, _ = potential.compute(positions, lattice)
    wrapped = positions + np.round(np.random.default_rng(2).normal(size=positions.shape)) @ lattice
    again, forces_again, _ = Potential(potential.symbols, Settings()).compute(wrapped, lattice)
    assert again == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(forces_again, forces, atol=1e-9)
    twice = Structure(lattice, potential.symbols, positions, coords_are_cartesian=True) * (2, 1, 1)
    double = Potential([site.specie.symbol for site in twice], Settings()).compute(
        twice.cart_coords, twice.lattice.matrix
    )
    assert double[0] == pytest.approx(2 * energy, abs=1e-9)


def test_neighbours_are_found_again_when_atoms_have_moved():
    potential, positions, lattice = shaken(lithia(), Settings())
    fresh = Potential(potential.symbols, Settings())
    generator = np.random.default_rng(3)
    for _ in range(6):
        positions = positions + 0.1 * generator.normal(size=positions.shape)
        fresh._pairs = fresh._built_at = None
        assert potential.compute(positions, lattice)[0] == pytest.approx(fresh.compute(positions, lattice)[0], abs=1e-9)


def test_moments_order_the_energy_and_survive_at_metals_only():
    structure = spinel()
    symbols = [site.specie.symbol for site in structure]
    parallel = tuple(5.0 if symbol == 'Mn' else 0.6 for symbol in symbols)
    opposite = tuple(-x if number in (3, 5) else x for number, x in enumerate(parallel))
    found = {}
    for name, spins in (('none', None), ('parallel', parallel), ('opposite', opposite)):
        settings = Settings(spins=spins)
        found[name] = Potential(symbols, settings).compute(structure.cart_coords, structure.lattice.matrix)[0]
    assert found['opposite'] < found['parallel'] - 0.1
    assert found['parallel'] < found['none']
    result = moments(symbols, np.array(opposite), structure.cart_coords, structure.lattice.matrix)
    np.testing.assert_array_equal(np.sign(result), np.sign(opposite))
    assert np.abs(result[2:6]).min() > 4.4
    assert np.abs(result[6:]).max() < 0.05


def profile(structures, settings):
    symbols = [site.specie.symbol for site in structures[0]]
    lattice = structures[0].lattice.matrix
    return [Potential(symbols, settings).compute(s.cart_coords, lattice)[0] for s in structures]


@pytest.mark.parametrize('crystal', [(lithia(), 'Li'), (spinel(), 'Mg')], ids=['lithia', 'spinel'])
def test_barriers_differ_between_functionals_u_and_charge(crystal):
    path = hop(*crystal, 3)
    barriers = {}
    for name, settings in {
        'pe': Settings(),
        'scan': Settings('SCAN'),
        'pe+u': Settings(hubbard=(('Mn', 3.9),)),
        'charged': Settings(charge=-1),
        'dispersion': Settings(dispersion=True),
    }.items():
        energies = profile(path, settings)
        barriers[name] = energies[1] - energies[0]
    assert barriers['pe'] > 0.2
    for name in ('scan', 'charged', *(['pe+u'] if crystal[1] == 'Mg' else [])):
        assert 0.005 < abs(barriers[name] - barriers['pe']) < 0.3, name
    assert barriers['dispersion'] != barriers['pe']


def test_settings_shift_the_energy_alike_everywhere():
    path = hop(lithia(), 'Li', 3)
    plain = profile(path, Settings())
    shifted = profile(path, dataclasses.replace(Settings(), offset=0.01))
    np.testing.assert_allclose(np.subtract(shifted, plain), 0.11, atol=1e-9)


@pytest.mark.parametrize('functional', sorted(FUNCTIONALS))
def test_functionals_keep_a_crystal(functional):
    assert_atoms_return(lithia(), Settings(functional))


@pytest.mark.parametrize('system', ['aluminium', 'spinel', 'LiFePO4'])
def test_crystals_stay_what_they_are(system):
    makers = {'aluminium': aluminium, 'spinel': spinel, 'LiFePO4': lambda: Structure.from_file(LIFEPO4)}
    structure = makers[system]()
    symbols = [site.specie.symbol for site in structure]
    positions, lattice = relaxed(Potential(symbols, Settings()), structure.cart_coords, structure.lattice.matrix)
    moved = positions - structure.cart_coords
    # what the potential makes of the real crystal is the same crystal, if not the same bond lengths
    assert np.abs(moved - moved.mean(axis=0)).max() < 0.2
    assert_atoms_return(Structure(lattice, symbols, positions, coords_are_cartesian=True), Settings())


def relaxed(potential, positions, lattice):
    optimiser = Lbfgs(0.02, 0.3)
    for _ in range(120):
        _, forces, _ = potential.compute(positions, lattice)
        if np.abs(forces).max() < 0.01:
            return positions, lattice
        positions = positions + optimiser(positions, forces)
    pytest.fail('the forces do not get small')


def assert_atoms_return(structure, settings):
    potential = Potential([site.specie.symbol for site in structure], settings)
    generator = np.random.default_rng(4)
    positions = structure.cart_coords + 0.15 * generator.normal(size=structure.cart_coords.shape)
    back, _ = relaxed(potential, positions, structure.lattice.matrix)
    moved = back - structure.cart_coords
    assert np.abs(moved - moved.mean(axis=0)).max() < 0.02


def test_elements():
    assert anions_of({'Li', 'Fe', 'P', 'O'}) == {'O'}
    assert anions_of({'Al'}) == set()
    assert anions_of({'Li', 'P', 'S', 'Cl'}) == {'S', 'Cl'}
    known = {
        'Li': 1,
        'Li_sv': 3,
        'O': 6,
        'Mg_pv': 8,
        'Al': 3,
        'P': 5,
        'Ti_pv': 10,
        'Mn_pv': 13,
        'Fe_pv': 14,
        'Co': 9,
        'Ga_d': 13,
    }
    assert {name: valence(name) for name in known} == known
    assert len(ELEMENTS) == 83
