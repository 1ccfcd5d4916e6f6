"""Forces on bands against ASE's own."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB
from potential_systems import emt

from aiida_embarrier.bands.tangents import band_forces, image_spacing
from aiida_embarrier.potentials.loading import load_model


def evaluated(band, seed):
    rng = np.random.default_rng(seed)
    positions = np.array(band.positions)
    positions[1:-1] += rng.normal(0, 0.03, positions[1:-1].shape)
    images = [band.atoms(index) for index in range(band.n_images)]
    for atoms, place in zip(images, positions, strict=True):
        atoms.positions = place
    outcomes = load_model(emt(), 'cpu').evaluate(images)
    for atoms, outcome in zip(images, outcomes, strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=outcome.energy, forces=outcome.forces)
    return positions, np.array([o.energy for o in outcomes]), np.stack([o.forces for o in outcomes]), images


@pytest.mark.parametrize('climb', [False, True])
@pytest.mark.parametrize('method', ['improvedtangent', 'eb'])
@pytest.mark.parametrize('name', ['Al vacancy', 'Au adatom'])
def test_forces_are_those_of_ase(hops, name, method, climb):
    positions, energies, forces, images = evaluated(hops(name), 0)
    reference = NEB(images, k=3.0, climb=climb, method=method)
    expected = reference.get_forces().reshape(len(images) - 2, -1, 3)
    climbing = int(np.argmax(energies)) if climb else None
    result = band_forces(positions, energies, forces, 3.0, method, climbing)
    np.testing.assert_allclose(result.driving, expected, rtol=0, atol=1e-8)
    if climb:
        assert reference.imax == climbing


def test_residual_leaves_out_what_acts_along_the_path(hops):
    positions, energies, forces, _ = evaluated(hops('Au adatom'), 0)
    weak, strong = (band_forces(positions, energies, forces, k) for k in (0.1, 10.0))
    np.testing.assert_allclose(weak.residuals, strong.residuals, rtol=0, atol=1e-12)
    assert weak.residuals[0] == weak.residuals[-1] == 0
    assert not np.allclose(weak.driving, strong.driving)


def test_residual_of_the_climbing_image_is_its_whole_inverted_force(hops):
    positions, energies, forces, _ = evaluated(hops('Au adatom'), 0)
    climbing = int(np.argmax(energies))
    result = band_forces(positions, energies, forces, 5.0, climbing=climbing)
    assert result.residuals[climbing] == np.linalg.norm(result.driving[climbing - 1], axis=1).max()
    # inverting a component keeps the length of a vector over all atoms
    np.testing.assert_allclose(np.linalg.norm(result.driving[climbing - 1]), np.linalg.norm(forces[climbing]))


@pytest.mark.parametrize(
    ('energies', 'direction'),
    [
        ([0, 1, 2], [0, 1, 0]),  # uphill to the right: the step to the right
        ([2, 1, 0], [1, 0, 0]),  # uphill to the left: the step to the left
        ([0, 3, 1], [2, 3, 0]),  # a maximum: both, the higher neighbour's with the larger change
        ([1, 3, 0], [3, 2, 0]),
    ],
)
def test_improved_tangent(energies, direction):
    positions = np.array([[[0, 0, 0]], [[1, 0, 0]], [[1, 1, 0]]], dtype=float)
    unit = np.array(direction) / np.linalg.norm(direction)
    forces = np.zeros((3, 1, 3))
    forces[1, 0] = unit  # a force along the tangent vanishes
    result = band_forces(positions, np.array(energies, dtype=float), forces, 1.0)
    np.testing.assert_allclose(result.driving, 0, atol=1e-14)


def test_unknown_method():
    with pytest.raises(ValueError, match='choose improvedtangent or eb'):
        band_forces(np.zeros((3, 1, 3)), np.zeros(3), np.zeros((3, 1, 3)), 1.0, 'aseneb')


def test_spacing():
    positions = np.array([0.0, 1.0, 2.0, 5.0, 8.0])[:, None, None] * np.array([1.0, 0, 0])
    assert image_spacing(positions) == pytest.approx(0.5)
    assert image_spacing(positions, climbing=[2]) == pytest.approx(0)
