"""The spline through a band: exact where the path is known, bounded where the data contradict themselves."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_embarrier.bands import Band, Kind
from aiida_embarrier.bands.profile import EnergyProfile

LENGTH, HEIGHT = 3.0, 0.4


def hump(coordinate):
    return HEIGHT * np.sin(np.pi * coordinate / LENGTH) ** 2


def hump_slope(coordinate):
    return HEIGHT * np.pi / LENGTH * np.sin(2 * np.pi * coordinate / LENGTH)


@pytest.mark.parametrize(('n_images', 'accuracy'), [(4, 0.010), (6, 0.0015), (8, 0.0005)])
def test_the_top_between_two_images_is_found(n_images, accuracy):
    coordinates = np.linspace(0, LENGTH, n_images)
    profile = EnergyProfile(coordinates, hump(coordinates), hump_slope(coordinates))
    place, height = profile.maximum()
    assert place == pytest.approx(LENGTH / 2, abs=1e-6)
    assert height == pytest.approx(HEIGHT, abs=accuracy)
    assert hump(coordinates).max() < HEIGHT - 0.015  # which no image has
    np.testing.assert_allclose(profile.energy(coordinates), hump(coordinates), rtol=0, atol=1e-12)
    between = np.linspace(0, LENGTH, 500)
    np.testing.assert_allclose(profile.energy(between), hump(between), rtol=0, atol=accuracy)


def test_climbing_image_is_no_dip_between_two_tops():
    """Images about a climbing one, from a vacancy hop in LiCoO2: slopes beside it are four times the secant."""
    coordinates = np.array([0.0, 0.5, 1.04, 1.64, 2.24, 2.78, 3.28])
    energies = np.array([0.0, 0.0307, 0.1342, 0.1609, 0.1342, 0.0307, 0.0])
    for at_the_top in (0.0, 0.03, -0.03):
        slopes = np.array([-0.008, 0.146, 0.178, at_the_top, -0.178, -0.146, 0.008])
        profile = EnergyProfile(coordinates, energies, slopes)
        assert profile.maximum() == (1.64, 0.1609)
        curve = profile.energy(np.linspace(0, coordinates[-1], 1000))
        assert np.all(np.diff(np.sign(np.diff(curve)))[np.diff(curve)[:-1] != 0] <= 0), 'it rises, then falls'
        # where they ask for no turning point slopes are met
        assert profile.energy(0.5 + 1e-6) - 0.0307 == pytest.approx(0.146e-6, rel=1e-3)


def test_slopes_that_ask_for_a_turning_point_get_one():
    profile = EnergyProfile(np.array([0.0, 1.0]), np.array([0.0, 0.1]), np.array([0.5, -0.3]))
    assert profile.maximum()[1] > 0.13
    down = EnergyProfile(np.array([0.0, 1.0]), np.array([0.0, 0.1]), np.array([-0.4, 0.5]))
    assert down.energy(0.3) < -0.03


def test_without_slopes_nothing_overshoots():
    coordinates = np.linspace(0, LENGTH, 6)
    for slopes in ({}, {'slopes': np.full(6, np.nan)}):
        profile = EnergyProfile(coordinates, hump(coordinates), **slopes)
        assert profile.maximum()[1] == pytest.approx(hump(coordinates).max(), abs=1e-12)


def test_unknown_slopes_are_filled_in():
    coordinates = np.linspace(0, LENGTH, 6)
    slopes = hump_slope(coordinates)
    slopes[0] = np.nan
    assert EnergyProfile(coordinates, hump(coordinates), slopes).maximum()[1] == pytest.approx(HEIGHT, abs=0.0015)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data(), n_images=st.integers(2, 9))
def test_no_slopes_however_wrong_take_it_out_of_bounds(data, n_images):
    def numbers(low, high):
        thousandths = st.integers(int(low * 1000), int(high * 1000))
        return np.array(data.draw(st.lists(thousandths, min_size=n_images, max_size=n_images))) / 1000

    coordinates = np.cumsum(numbers(0.05, 2.0))
    energies, slopes = numbers(-2, 2), numbers(-50, 50)
    profile = EnergyProfile(coordinates, energies, slopes)
    steps = np.abs(np.diff(energies))
    for segment in range(n_images - 1):
        curve = profile.energy(np.linspace(*coordinates[segment : segment + 2], 60))
        ends = energies[segment : segment + 2]
        allowed = 0.5 * steps[max(segment - 1, 0) : segment + 2].max() + 1e-9
        assert curve.max() <= ends.max() + allowed
        assert curve.min() >= ends.min() - allowed
    place, height = profile.maximum()
    curve = profile.energy(np.linspace(coordinates[0], coordinates[-1], 400))
    assert height >= curve.max() - 1e-12
    assert profile.energy(place) == pytest.approx(height)


def test_nothing_is_said_beyond_the_endpoints():
    profile = EnergyProfile(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.3, 0.1]), np.array([0.5, 0.1, -1.0]))
    for beyond in (-0.1, 2.1, [0.5, 2.5], np.nan):
        with pytest.raises(ValueError, match='from 0 to 2 Å only'):
            profile.energy(beyond)
    assert profile.energy(2.0 + 1e-12) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ('coordinates', 'energies', 'message'),
    [
        ([0, 1, 1], [0, 1, 2], 'images 1 and 2 coincide'),
        ([0, 1, 2], [0, np.nan, 2], r'image\(s\) 1 are not known'),
        ([0, 1, 2], [0, 1], 'one entry for each image'),
        ([0], [0], 'one entry for each image'),
    ],
)
def test_data_that_make_no_path_are_refused(coordinates, energies, message):
    with pytest.raises(ValueError, match=message):
        EnergyProfile(np.array(coordinates), np.array(energies))


def curved_band(n_images: int, turn: np.ndarray | None = None, per_image: bool = False) -> Band:
    """Return images on a half circle of one atom, unevenly spaced, with energies and forces of the hump along it."""
    steps = np.linspace(0, 1, n_images)
    arc = LENGTH * (steps + 0.04 * np.sin(2 * np.pi * steps))
    angle = np.pi * arc / LENGTH
    radius = LENGTH / np.pi
    turn = np.eye(3) if turn is None else turn
    positions = np.zeros((n_images, 2, 3))
    positions[:, 0] = radius * np.stack([1 - np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    forces = np.zeros_like(positions)
    tangent = np.stack([np.sin(angle), np.cos(angle), 0 * angle], axis=1)
    outward = np.stack([-np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    forces[:, 0] = -hump_slope(arc)[:, None] * tangent + 0.3 * outward  # perpendicular forces play no part
    lattice = 12 * turn
    return Band(
        kinds=(Kind('Li', 'Li'), Kind('O', 'O')),
        kind_indices=np.array([0, 1]),
        lattice=np.stack([lattice] * n_images) if per_image else lattice,
        positions=positions @ turn,
        mobile=(0,),
        energies=hump(arc),
        forces=forces @ turn,
    )


def test_slopes_come_from_the_forces_along_the_path():
    band = curved_band(16)
    profile = EnergyProfile.from_band(band)
    assert profile.maximum()[1] == pytest.approx(HEIGHT, abs=0.002)
    measured = np.gradient(
        profile.energy(np.linspace(0, profile.coordinates[-1], 2001)), profile.coordinates[-1] / 2000
    )
    at_images = np.interp(profile.coordinates, np.linspace(0, profile.coordinates[-1], 2001), measured)
    np.testing.assert_allclose(profile.slopes, at_images, rtol=0, atol=0.01)


def test_profiles_turn_and_reverse_with_the_band():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    plain = EnergyProfile.from_band(curved_band(8))
    for other in (curved_band(8, turn), curved_band(8, per_image=True)):
        np.testing.assert_allclose(EnergyProfile.from_band(other).slopes, plain.slopes, rtol=0, atol=1e-10)
    back = EnergyProfile.from_band(curved_band(8).reversed())
    np.testing.assert_allclose(back.slopes, -plain.slopes[::-1], rtol=0, atol=1e-10)
    assert back.maximum()[1] == pytest.approx(plain.maximum()[1], abs=1e-12)


def test_two_images_and_missing_forces():
    band = curved_band(8)
    ends = band.replace(
        positions=band.positions[[0, -1]],
        energies=band.energies[[0, -1]] + [0.0, 0.1],
        forces=0 * band.forces[[0, -1]],
        max_perpendicular_forces=None,
    )
    assert EnergyProfile.from_band(ends).maximum()[1] == pytest.approx(0.1)
    assert np.all(np.isnan(EnergyProfile.from_band(band.replace(forces=None)).slopes))


def test_a_published_band_is_bounded_and_meets_its_images(shared_data):
    data = json.loads((shared_data / 'neb_vasp_fixtures' / 'pymatgen_neb2_neb_analysis2.json').read_text())
    coordinates, energies = np.array(data['r']), np.array(data['energies'])
    profile = EnergyProfile(coordinates, energies, -np.array(data['forces']))
    np.testing.assert_allclose(profile.energy(coordinates), energies, rtol=0, atol=1e-10)
    _, height = profile.maximum()
    assert energies.max() <= height <= energies.max() + 0.1 * np.ptp(energies)
