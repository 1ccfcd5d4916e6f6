"""The energy path: its lines are the numbers of the band, and it says what they are."""

import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.text import Text

from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.bands.profile import EnergyProfile
from aiida_embarrier.figures.energy_path import energy_path


def texts(figure) -> str:
    """Return all that is written on a figure."""
    figure.draw_without_rendering()
    return '\n'.join(entry.get_text() for entry in figure.findobj(Text) if entry.get_visible())


def points(figure):
    """Return the lines that are the images of bands."""
    return [line for line in figure.axes[0].lines if line.get_marker() == 'o']


def curves(figure):
    """Return the lines that are splines."""
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 100]


def test_points_are_the_images(lifepo4):
    (line,) = points(energy_path(lifepo4))
    np.testing.assert_allclose(line.get_xdata(), lifepo4.reaction_coordinate)
    np.testing.assert_allclose(line.get_ydata(), lifepo4.energies - lifepo4.energies[0])


def test_line_is_the_bounded_spline_between_the_ends(lifepo4):
    (line,) = curves(energy_path(lifepo4))
    x, y = line.get_data()
    assert x[0] == 0
    assert x[-1] == pytest.approx(lifepo4.reaction_coordinate[-1])
    np.testing.assert_allclose(y, EnergyProfile.from_band(lifepo4).energy(x) - lifepo4.energies[0])


def test_text_gives_every_barrier_with_its_definition(lifepo4):
    written = ' '.join(texts(energy_path(lifepo4)).split())
    assert 'forward 0.171 eV' in written
    assert 'reverse 0.151 eV' in written
    assert 'rate-limiting 0.171 eV (image 0 to 3)' in written
    assert 'span 0.171 eV' in written
    for definition in barriers(lifepo4.energies).definitions.values():
        if 'walking from the last' not in definition:
            assert definition in written
    assert 'reaction coordinate (Å)' in written
    assert 'energy relative to the first image (eV)' in written


def test_arrows_span_the_barriers(lifepo4):
    figure = energy_path(lifepo4)
    arrows = [entry for entry in figure.axes[0].texts if entry.arrow_patch is not None]
    assert len(arrows) == 2
    heights = sorted(abs(arrow.xy[1] - arrow.xyann[1]) for arrow in arrows)
    np.testing.assert_allclose(heights, [0.151, 0.171], atol=1e-9)


def test_title_says_what_the_band_is(lifepo4):
    title = energy_path(lifepo4).axes[0].get_title()
    assert title == 'Li vacancy hop in LiFePO$_{4}$\nchgnet-0.3.0, 7 images, climbing image'
    dft = lifepo4.replace(engine='vasp', functional='SCAN', potential=None, climbing=False, charge=-1.0)
    assert energy_path(dft).axes[0].get_title() == (
        'Li vacancy hop in LiFePO$_{4}$, charge -1\nvasp, SCAN, 7 images, no climbing image'
    )
    assert energy_path(dft, title='Mine').axes[0].get_title() == 'Mine'


def test_unconverged_band_says_so(lifepo4):
    figure = energy_path(lifepo4.replace(converged=False, residual_force=0.213))
    assert 'NOT CONVERGED: residual force 0.213 eV/Å' in texts(figure)
    assert same_color(points(figure)[0].get_markerfacecolor(), 'white')
    assert curves(figure)[0].get_linestyle() == '--'
    converged = energy_path(lifepo4)
    assert 'NOT CONVERGED' not in texts(converged)
    assert curves(converged)[0].get_linestyle() == '-'


def test_path_without_saddle_says_so(lifepo4):
    figure = energy_path(lifepo4.replace(energies=np.linspace(0, 0.3, 7)))
    assert 'no image lies above both ends' in texts(figure)
    assert len([entry for entry in figure.axes[0].texts if entry.arrow_patch is not None]) == 1, 'no reverse barrier'


def test_several_bands_share_the_axes(lifepo4):
    other = lifepo4.replace(energies=2 * rise(lifepo4), potential='sevennet-7net-0', converged=False)
    figure = energy_path([lifepo4, other])
    first, second = points(figure)
    np.testing.assert_allclose(second.get_ydata(), 2 * np.asarray(first.get_ydata()))
    assert first.get_color() != second.get_color()
    legend = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert legend == [
        'chgnet-0.3.0: forward 0.171 eV, reverse 0.151 eV',
        'sevennet-7net-0: forward 0.342 eV, reverse 0.302 eV, not converged',
    ]
    assert figure.axes[0].get_title() == 'Li vacancy hop in LiFePO$_{4}$'


def rise(band):
    """Return the energies relative to the first image."""
    return band.energies - band.energies[0]


def test_labels_tell_bands_apart(lifepo4):
    legend = energy_path([lifepo4, lifepo4]).legends[0].get_texts()
    assert [entry.get_text().split(':')[0] for entry in legend] == ['chgnet-0.3.0 (1)', 'chgnet-0.3.0 (2)']
    named = energy_path([lifepo4, lifepo4], labels=['a', 'b']).legends[0].get_texts()
    assert [entry.get_text()[:2] for entry in named] == ['a:', 'b:']


def test_different_systems_have_a_common_title(lifepo4):
    figure = energy_path([lifepo4, lifepo4.replace(host='FePO4')])
    assert figure.axes[0].get_title() == 'Migration paths'


@pytest.mark.parametrize(
    ('bands', 'labels', 'message'),
    [
        (lambda _: [], None, 'no band to draw'),
        (lambda band: [band], ['a', 'b'], r'1 band\(s\) need as many labels, got 2'),
        (lambda band: band.replace(energies=None), None, 'not known'),
        (lambda band: band.replace(positions=band.positions[[0, 1, 1, 3, 4, 5, 6]]), None, 'coincide'),
    ],
)
def test_what_cannot_be_drawn_is_refused(lifepo4, bands, labels, message):
    with pytest.raises(ValueError, match=message):
        energy_path(bands(lifepo4), labels=labels)
