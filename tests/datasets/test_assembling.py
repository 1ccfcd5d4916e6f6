"""Bands as rows: path, ends and barrier of the row are those of the band."""

import numpy as np
import pytest
from potential_systems import vacancy_hop

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.datasets.assembling import band_row, why_left_out
from aiida_embarrier.datasets.completing import charge_state, complete
from aiida_embarrier.datasets.importing.base import frame_of
from aiida_embarrier.datasets.schema import check_rows, endpoints_of_row, path_of_row


@pytest.fixture
def band():
    """Return a curved path in aluminium whose other atoms move, too."""
    ends = vacancy_hop('Al')
    ion = ends.mobile[0]
    images = np.linspace(ends.positions[0], ends.positions[-1], 5)
    images[2, ion] += [0.0, 0.0, 0.3]
    images[:, (ion + 3) % ends.n_atoms] += np.linspace(0, 0.2, 5)[:, None]
    info = BandInfo(
        mechanism='vacancy', engine='potential', potential='emt', potential_functional='LDA', converged=True
    )
    energies = np.array([0.1, 0.4, 0.9, 0.2, 0.0])
    return ends.replace(positions=images, energies=energies, forces=None, max_perpendicular_forces=None, info=info)


@pytest.mark.parametrize('definition', ['forward', 'reverse', 'rate_limiting', 'span'])
def test_row_of_a_band(band, definition):
    row = band_row('a', band, definition, {'origin': 'uuid'})
    assert row['barrier'] == pytest.approx(getattr(barriers(band.energies), definition))
    assert (row['barrier_definition'], row['origin'], row['engine']) == (definition, 'uuid', 'potential')
    assert (row['functional'], row['potential'], row['mechanism']) == ('LDA', 'emt', 'vacancy')
    ion = band.mobile[0]
    lattice = np.array(band.lattice)
    np.testing.assert_allclose(path_of_row(row) @ lattice, band.positions[:, ion], atol=1e-6)
    others = np.delete(np.arange(band.n_atoms), ion)
    for end, image in zip(endpoints_of_row(row), (0, -1), strict=True):
        np.testing.assert_allclose(end.cart_coords[1:], band.positions[image, others], atol=1e-6)
    assert row['hop_length'] == pytest.approx(band.hop_length, abs=1e-4)


def test_lattices_of_both_ends(band):
    lattices = np.stack([np.array(band.lattice)] * 5)
    lattices[:, 0, 0] += np.linspace(0, 0.1, 5)
    row = band_row('a', band.replace(lattice=lattices), 'forward')
    initial, final = endpoints_of_row(row)
    assert final.lattice.matrix[0, 0] - initial.lattice.matrix[0, 0] == pytest.approx(0.1)
    ion = band.mobile[0]
    np.testing.assert_allclose(final[0].coords, band.positions[-1, ion], atol=1e-6)


def test_rows_keep_to_the_schema(band):
    frame = frame_of([band_row(name, band, 'forward') for name in ('x', 'y')], 'barrier')
    check_rows(frame, 'barrier')
    done = complete(frame, 'barrier')
    check_rows(done.frame, 'barrier')
    assert list(done.frame['host_group']) == ['x', 'x']
    assert list(done.frame['charge_state']) == ['discharged'] * 2


def test_charge_states():
    """A single ion is that of an empty host, unless it hops into a vacancy; a mechanism may not be known."""
    row = {'ion': 'Li', 'species': '["Fe","P","O"]'}
    for mechanism, state in ((None, 'charged'), ('interstitial', 'charged'), ('vacancy', 'discharged')):
        assert charge_state({**row, 'mechanism': mechanism}) == state
    assert charge_state(row) == 'charged'
    assert charge_state({**row, 'species': '["Li","O"]'}) == 'discharged'


def test_values_of_labels(band):
    """Of labels with known values there are no others; gaps are none."""
    frame = frame_of([band_row(name, band, 'forward') for name in ('x', 'y')], 'barrier')
    check_rows(frame.assign(charge_state=['charged', None], barrier_definition=['span', None]), 'barrier')
    for column, value in (('charge_state', 'neutral'), ('barrier_definition', 'highest'), ('charge_state', '')):
        with pytest.raises(ValueError, match=rf"row 1 \(y\) has the {column} '{value}': choose from"):
            check_rows(frame.assign(**{column: [None, value]}), 'barrier')


def test_what_makes_no_row(band):
    """A band is left out where it is no barrier of one ion, or did not converge, unless that is asked for."""
    open_end = band.replace(energies=np.array([0, 0.1, np.nan, 0.1, 0]))
    failed, imported = (band.replace(info=BandInfo(converged=value)) for value in (False, None))
    two = band.replace(mobile=(0, 1))
    assert why_left_out(band) is None
    assert 'did not converge: converge it, or ask' in why_left_out(failed)
    assert 'is not known to be converged' in why_left_out(imported)
    assert why_left_out(failed, include_unconverged=True) is None
    assert why_left_out(open_end, include_unconverged=True) == 'the energies of image(s) 2 are not known'
    assert '2 atoms migrate' in why_left_out(two)
    with pytest.raises(ValueError, match="no barrier 'highest': choose from forward"):
        band_row('a', band, 'highest')
