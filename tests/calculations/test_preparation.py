"""Bands that one engine prepared, moved onto the endpoints of another one."""

import numpy as np
import pytest
from systems import computed_band, straight_band

from aiida_embarrier.calculations.preparation import preparation_of, transfer_band
from aiida_embarrier.data.band import BandData

pytestmark = pytest.mark.usefixtures('aiida_profile')


def bent_band(height=0.4):
    """Return a converged band of a cheaper engine whose ion takes a way around."""
    band = computed_band()
    positions = band.positions.copy()
    positions[:, 0, 0] += height * np.sin(np.linspace(0, np.pi, band.n_images))
    return band.replace(positions=positions)


def other_ends(first, last, n_images=5):
    """Return the interpolated band of a dearer engine, whose ends differ from those of the cheaper one."""
    band = straight_band(n_images, host_treatment='cell', equivalent_endpoints=True)
    weights = np.linspace(0, 1, n_images)[:, None, None]
    return band.replace(positions=band.positions + (1 - weights) * first + weights * last)


def shift_of(atom, vector):
    shift = np.zeros_like(straight_band().positions[0])
    shift[atom] = vector
    return shift


def test_ends_are_those_of_the_dearer_engine_and_the_way_between_is_kept():
    first, last = shift_of(3, [0.1, 0, 0]), shift_of(5, [0, 0.2, 0])
    guess = other_ends(first, last)
    made = transfer_band(prepared=BandData(bent_band()), guess=BandData(guess))
    band = made['band'].band
    assert np.array_equal(band.positions[[0, -1]], guess.positions[[0, -1]])
    # no kink: every atom that differs at an end does so less and less towards the other one
    assert np.allclose(band.positions[:, 3] - bent_band().positions[:, 3], np.linspace(0.1, 0, 5)[:, None] * [1, 0, 0])
    assert band.positions[2, 0] == pytest.approx(bent_band().positions[2, 0], abs=0.02)
    report = made['report']
    assert report['endpoint_difference'] == pytest.approx(0.2)
    assert report['ion_distance'] == pytest.approx(0.4, abs=0.02)
    assert report['distance'] == report['ion_distance']
    assert 0 < report['rms_distance'] < 0.4
    # what the band is stays, who computed the prepared one does not
    assert band.info.host_treatment == 'cell'
    assert band.info.equivalent_endpoints is True
    assert (band.info.engine, band.info.potential, band.info.converged) == (None, None, None)
    assert np.all(np.isnan(band.energies))


def test_a_straight_band_is_the_interpolated_one():
    guess = other_ends(shift_of(3, [0.1, 0, 0]), shift_of(3, [0.1, 0, 0]))
    made = transfer_band(prepared=BandData(bent_band(0)), guess=BandData(guess))
    assert made['report']['distance'] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(made['band'].band.positions, guess.positions, atol=1e-9)


def test_wrapping_of_the_cheaper_engine_does_not_matter():
    band = bent_band()
    shift = np.zeros_like(band.positions[0])
    shift[7] = band.lattice[1]
    wrapped = transfer_band(prepared=BandData(band.replace(positions=band.positions + shift)), guess=BandData(band))
    same = transfer_band(prepared=BandData(band), guess=BandData(band))
    np.testing.assert_allclose(wrapped['band'].band.positions, same['band'].band.positions, atol=1e-9)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda band: band.replace(positions=band.positions + shift_of(0, [0.7, 0, 0])), 'different minima: the ion'),
        (lambda band: _through(band, 3), 'the migrating Al'),
        (lambda band: _around_the_cell(band), 'another periodic image'),
    ],
    ids=['other minimum', 'no clearance', 'around the cell'],
)
def test_what_does_not_fit_is_refused(change, message):
    _, node = transfer_band.run_get_node(prepared=BandData(change(bent_band())), guess=BandData(straight_band()))
    assert node.exit_status == 201
    assert message in node.exit_message


def _through(band, atom):
    """Let the ion pass through another atom."""
    positions = band.positions.copy()
    positions[2, 0] = positions[2, atom] + [0.5, 0, 0]
    return band.replace(positions=positions)


def _around_the_cell(band):
    """Let a host atom end in another periodic image than it began in."""
    positions = band.positions.copy()
    positions[:, 9] += np.linspace(0, 1, band.n_images)[:, None] * band.lattice[2]
    return band.replace(positions=positions)


TASKS = {
    'band': {'n_steps': 4, 'n_evaluations': 20, 'residual_forces': [0.3, 0.04]},
    'band_unprepared': {'n_steps': 15, 'n_evaluations': 75, 'residual_forces': [1.5, 0.04]},
}


def test_what_a_preparation_was_worth():
    band, other = BandData(computed_band()), BandData(computed_band().replace(energies=[0, 0.3, 0.62, 0.3, 0.1]))
    found = preparation_of({'status': 'used'}, band, TASKS, 'band', other)
    assert found['first_force'] == 0.3
    comparison = found['comparison']
    assert comparison['steps_saved'] == 11
    assert comparison['n_evaluations'] == {'prepared': 20, 'interpolated': 75}
    assert comparison['first_force'] == {'prepared': 0.3, 'interpolated': 1.5}
    assert comparison['barrier_forward'] == {'prepared': 0.6, 'interpolated': pytest.approx(0.62)}


def test_what_is_not_known_of_a_preparation_is_left_open():
    band = BandData(computed_band())
    assert preparation_of({'status': 'used'}, band, {}, 'band', None) == {'status': 'used', 'first_force': None}
    assert preparation_of({'status': 'failed'}, band, TASKS, 'band', None) == {'status': 'failed'}
    assert preparation_of({'status': 'used'}, band, {}, 'band', band)['comparison']['steps_saved'] is None
