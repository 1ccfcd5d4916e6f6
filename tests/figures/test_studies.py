"""Figures of studies: convergence, split paths, potentials."""

import numpy as np
import pytest
from matplotlib.text import Text
from systems import adatom_path, computed_band, with_emt

from aiida_embarrier.bands.barriers import split_at_minima
from aiida_embarrier.figures.convergence_study import convergence_study
from aiida_embarrier.figures.potential_comparison import potential_comparison
from aiida_embarrier.figures.segmented_path import segmented_path


def texts(figure):
    figure.draw_without_rendering()
    return [entry.get_text() for entry in figure.findobj(Text) if entry.get_visible() and entry.get_text()]


def setting(value, barrier, cost=100, status='converged', n_atoms=31):
    if barrier is None:
        return {'value': value, 'text': str(value), 'status': 'failed', 'message': 'why', 'difference': None}
    return {
        'value': value,
        'text': str(value),
        'status': status,
        'message': None,
        'forward': barrier,
        'cost': cost,
        'n_atoms': n_atoms,
    }


def study(*variables):
    return {
        'quantity': 'forward',
        'tolerance': 0.01,
        'variables': [
            {'key': key, 'rows': rows, 'recommended': recommended, 'message': f'message of {key}'}
            for key, rows, recommended in variables
        ],
    }


def test_convergence_study():
    images = [setting(3, 0.42, 100), setting(5, None), setting(7, 0.402, 300), setting(9, 0.4, 500)]
    forces = [setting(0.1, 0.5, 50, 'not converged', 15), setting(0.05, 0.4, 60)]
    figure = convergence_study(
        study(('n_images', images, 7), ('engine.neb.force_threshold', forces, None)), title='Study'
    )
    first, second, *costs = figure.axes
    lines = [line for line in first.lines if line.get_marker() == 'None']
    np.testing.assert_allclose(lines[0].get_ydata(), [0.42, 0.402, 0.4])
    (ring,) = [line for line in first.lines if line.get_markersize() > 10]
    assert tuple(ring.get_xydata()[0]) == (2, 0.402)
    assert len([line for line in first.lines if line.get_marker() == 'x']) == 1
    low, high = sorted(first.patches[-1].get_corners()[[0, 2], 1])
    assert (low, high) == (pytest.approx(0.39), pytest.approx(0.41))
    assert [bar.get_height() for bar in costs[0].patches] == [100, 300, 500]
    assert not [line for line in second.lines if line.get_markersize() > 10], 'nothing is recommended'
    written = texts(figure)
    for words in (
        'Study',
        'number of images',
        'force threshold (eV/Å)\nengine.neb',
        'failed',
        'not converged',
        'message of n_images',
        'cost (evaluations × 31 atoms)',
        'cost (evaluations × atoms)',
    ):
        assert words in written, words


def test_many_variables_stand_in_rows():
    rows = [setting(3, 0.42), setting(5, 0.4)]
    figure = convergence_study(study(*((f'key_{number}', rows, None) for number in range(4))))
    assert [axes.get_visible() for axes in figure.axes[:6]] == [True] * 4 + [False] * 2
    with pytest.raises(ValueError, match='no variable'):
        convergence_study(study())


def test_segmented_path():
    path = with_emt(adatom_path(), converged=True)
    first, last = split_at_minima(path)
    higher = path.replace(energies=path.energies * 1.2)
    figure = segmented_path([first, last.replace(converged=False)], higher, rate_limiting=2)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    one = lines['segment 1: forward 0.506 eV, reverse 0.506 eV']
    two = lines['segment 2: forward 0.506 eV, reverse 0.506 eV, limits the rate, not converged']
    np.testing.assert_allclose(np.concatenate([one.get_xdata(), two.get_xdata()[1:]]), path.reaction_coordinate)
    np.testing.assert_allclose(two.get_ydata(), path.energies[4:] - path.energies[0])
    assert (one.get_markerfacecolor() != 'white', two.get_markerfacecolor()) == (True, 'white')
    grey = lines['before it was split: forward 0.607 eV']
    np.testing.assert_allclose(grey.get_ydata(), 1.2 * path.energies - 1.2 * path.energies[0])
    with pytest.raises(ValueError, match='no segment'):
        segmented_path([])


def test_potential_comparison():
    band = computed_band()
    bands = {'a': band, 'c': band.replace(energies=0.8 * band.energies)}
    rows = [
        {'label': 'a', 'name': 'chgnet', 'status': 'converged', 'message': None, 'forward': 0.6},
        {'label': 'b', 'name': 'mace', 'status': 'failed', 'message': 'the package is not installed ' * 3},
        {'label': 'c', 'name': 'sevennet', 'status': 'not converged', 'message': 'slow', 'forward': 0.48},
    ]
    table = {
        'rows': rows,
        'quantity': 'forward',
        'single_point': False,
        'reference': {'barrier': 0.7, 'label': 'DFT'},
    }
    figure = potential_comparison(table, bands)
    left, right = figure.axes
    points = [line.get_ydata() for line in left.lines if line.get_marker() == 'o']
    np.testing.assert_allclose(points, [band.energies, 0.8 * band.energies])
    assert [bar.get_width() for bar in right.patches if bar.get_width()] == [0.6, 0.48]
    written = texts(figure)
    for words in ('0.600', '0.480, not converged', 'DFT 0.700', 'chgnet', 'mace', 'forward barrier (eV)'):
        assert words in written, words
    assert any(text.startswith('failed: the package is not installed') and text.endswith('…') for text in written)
    assert 'Al vacancy hop in Al, each relaxed by itself' in written
    alone = potential_comparison({**table, 'reference': None, 'single_point': True}, bands)
    assert 'Al vacancy hop in Al, single points on one path' in texts(alone)
    with pytest.raises(ValueError, match='all potentials failed'):
        potential_comparison(table, {})
