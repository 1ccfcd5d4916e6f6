"""Figures of comparisons of functionals."""

import numpy as np
import pytest
from matplotlib.text import Text
from systems import computed_band

from aiida_embarrier.datasets.functionals import cells_table, functionals_table
from aiida_embarrier.figures.functional_cost import functional_cost
from aiida_embarrier.figures.functional_errors import functional_errors
from aiida_embarrier.figures.functional_paths import functional_paths, palette
from aiida_embarrier.figures.moments import changing_sites, moments

FUNCTIONALS = ['pbe', 'pbe+u', 'scan', 'scan+u']
SYSTEMS = {'LiCoO2': (0.3, 0.3), 'MgMn2O4': (0.5, 0.6), 'Na3PS4': None, 'Li3PO4': (0.4, 0.4)}
FACTORS = {'pbe': 0.8, 'pbe+u': 1.3, 'scan': 1.02, 'scan+u': 0.75}
VARIANT = {'charge_state': 'neutral', 'climbing': True}


def band_of(system, functional):
    band = computed_band(functional=functional)
    height = FACTORS[functional] * (0.3 + 0.1 * list(SYSTEMS).index(system))
    part = np.linspace(0, 1, band.n_images)
    found = 0.6 * np.ones((band.n_images, band.n_atoms))
    found[:, 3:] = 0.0
    found[:, 0] = 3.6 + 0.02 * part
    if functional.endswith('+u'):
        found[:, 1] = 3.8 - np.where(part > 0.4, 0.9, 0.0)
        found[:, 2] = 2.9 + np.where(part > 0.4, 0.9, 0.0)
    return band.replace(energies=height * np.sin(np.pi * part) ** 2, moments=found)


@pytest.fixture
def comparison():
    rows, bands = [], {}
    for system, measured in SYSTEMS.items():
        for functional in FUNCTIONALS:
            label = f'{system}_{functional}'
            failed = (system, functional) == ('MgMn2O4', 'scan+u')
            band = band_of(system, functional)
            row = {
                'cell': label,
                'system': system,
                'functional': functional,
                'charge': 0.0,
                'charge_state': 'neutral',
                'climbing': True,
                'status': 'failed' if failed else 'converged',
                'experiment_low': None if measured is None else measured[0],
                'experiment_high': None if measured is None else measured[1],
                'total_problems': {'scan': 2, 'scan+u': 5}.get(functional, 0),
            }
            if not failed:
                bands[label] = band
                cost = {'pbe': 1, 'pbe+u': 1.1, 'scan': 4, 'scan+u': 5.5}[functional] * (1 + 0.1 * len(rows) % 3)
                row |= {'barrier': float(band.energies.max()), 'total_wall_s': 60 * cost, 'total_core_h': cost}
            rows.append(row)
    cells = cells_table(rows)
    return cells, functionals_table(cells, FUNCTIONALS, 'pbe'), bands


def texts(figure):
    figure.draw_without_rendering()
    return [entry.get_text() for entry in figure.findobj(Text) if entry.get_visible() and entry.get_text()]


def test_paths(comparison):
    cells, _, bands = comparison
    figure = functional_paths(cells, bands, **VARIANT)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == 4
    points = {line.get_label(): line.get_ydata() for line in panels[0].lines if line.get_marker() not in ('None', None)}
    for functional in FUNCTIONALS:
        np.testing.assert_allclose(points[functional], bands[f'LiCoO2_{functional}'].energies)
    written = texts(figure)
    for words in ('MgMn$_{2}$O$_{4}$', 'scan+u: failed', 'experiment', 'scan', 'energy (eV)'):
        assert words in written, words
    stripe = panels[1].patches[0].get_corners()[[0, 2], 1]
    np.testing.assert_allclose(sorted(stripe), [0.5, 0.6])
    assert not panels[2].patches, 'nothing was measured of Na3PS4'
    # experimental values are forward barriers, so nothing is drawn where another barrier is compared
    assert not functional_paths(cells, bands, quantity='span', **VARIANT).axes[1].patches
    with pytest.raises(ValueError, match='no band to draw of charged cells, climbing image'):
        functional_paths(cells, bands, charge_state='charged', climbing=True)


def test_errors(comparison):
    cells, table, _ = comparison
    figure = functional_errors(cells, table, **VARIANT)
    left, right = figure.axes
    (pbe,) = [line for line in left.lines if line.get_label() == 'pbe']
    np.testing.assert_allclose(pbe.get_ydata(), [1000 * (0.24 - 0.3), 1000 * (0.32 - 0.5), 1000 * (0.48 - 0.4)])
    bars = [bar.get_height() for bar in right.patches]
    means = table.set_index('functional')['mae']
    np.testing.assert_allclose(bars, 1000 * means[FUNCTIONALS])
    written = texts(figure)
    assert 'absolute (bars) and signed (lines)\nn = 2 system(s) that all have' in written
    assert 'Errors to the nearer end of the range of experimental values: neutral cells, climbing image' in written
    unmeasured = cells.assign(error_nearest=np.nan)
    with pytest.raises(ValueError, match='no errors to draw'):
        functional_errors(unmeasured, table, **VARIANT)


def test_cost(comparison):
    cells, table, _ = comparison
    figure = functional_cost(cells, table, reference='pbe', **VARIANT)
    left, right = figure.axes
    rows = table.set_index('functional')
    np.testing.assert_allclose([bar.get_height() for bar in left.patches], rows.loc[FUNCTIONALS, 'relative_core_h'])
    assert [bar.get_height() for bar in right.patches] == [0, 0, 8, 20]
    written = texts(figure)
    assert 'core hours relative to pbe' in written
    assert '20\n3/4' in written
    walls = table.assign(relative_core_h=np.nan)
    assert 'wall time relative to pbe' in texts(functional_cost(cells, walls, reference='pbe', **VARIANT))
    with pytest.raises(ValueError, match='no costs relative to pbe are known'):
        functional_cost(cells, walls.assign(relative_wall=np.nan), reference='pbe', **VARIANT)


def test_moments():
    band = band_of('LiCoO2', 'pbe+u')
    assert changing_sites(band) == [1, 2]
    assert changing_sites(band, 0.01) == [1, 2, 0]
    assert changing_sites(computed_band()) == []
    figure = moments(band)
    (axes,) = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines['Al 1'], band.moments[:, 1])
    np.testing.assert_allclose(lines['Al 2'], band.moments[:, 2])
    assert len(axes.lines) == 3, 'the site that keeps its moment is grey, those without one are left out'
    assert 'no site has a moment' in texts(moments(band.replace(moments=0.01 * band.moments)))
    with pytest.raises(ValueError, match='no moments are known'):
        moments(computed_band())


def test_moments_of_several_bands():
    table = {
        (system, functional): band_of(system, functional)
        for system in ('LiCoO2', 'Li3PO4')
        for functional in FUNCTIONALS
    }
    table['Li3PO4', 'scan'] = computed_band()
    unknown = table['LiCoO2', 'scan']
    partly = unknown.moments.copy()
    partly[1:3] = np.nan  # images whose moments were not read
    table['LiCoO2', 'scan'] = unknown.replace(moments=partly)
    figure = moments(table, title='Title')
    assert len(figure.axes) == 8
    written = texts(figure)
    for words in (
        'Title',
        'no moments',
        'scan+u',
        'LiCoO$_{2}$\nmoment ($\\mu_B$)',
        'no site changes by more than 0.3',
    ):
        assert words in written, words


def test_colours_tell_functionals_apart():
    assert len(set(palette(FUNCTIONALS).values())) == 4
