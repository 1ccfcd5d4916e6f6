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
    # the ends of this band differ by 0.02 eV, the tolerance within which they are taken as equivalent
    assert barriers(lifepo4.energies).equivalent_endpoints
    assert 'rate-limiting 0.171 eV (image 0 to 3): largest rise along the path, periodic because its ends' in written
    assert 'span 0.171 eV: largest energy of all images minus the lowest' in written
    assert 'forward and reverse: minus the first and the last' in written
    assert 'maximum of the spline 0.171 eV' in written
    assert 'more images' not in written
    open_ended = ' '.join(texts(energy_path(lifepo4.replace(equivalent_endpoints=False))).split())
    assert (
        'rate-limiting 0.171 eV (image 0 to 3): largest rise of the energy from any image to a later one' in open_ended
    )
    assert 'reaction coordinate (Å)' in written
    assert 'energy relative to the first image (eV)' in written


@pytest.mark.parametrize('equivalent', [True, False])
@pytest.mark.parametrize('width', [3.4, 6.4])
def test_caption_is_short_and_has_no_lonely_words(lifepo4, equivalent, width):
    figure = energy_path(lifepo4.replace(equivalent_endpoints=equivalent), width=width)
    lines = figure.get_supxlabel().splitlines()
    assert len(lines) <= (3 if width > 6 else 6)
    assert all(len(line.split()) > 3 for line in lines)
    figure.draw_without_rendering()
    box = figure.findobj(lambda entry: isinstance(entry, Text) and entry.get_text() == '\n'.join(lines))[0]
    assert box.get_window_extent().x1 < figure.bbox.x1


def test_spline_clearly_above_the_images_asks_for_more(lifepo4):
    """The two highest images are equal, and the forces say that the path rises between them."""
    band = lifepo4.replace(energies=[0.0, 0.1, 0.3, 0.3, 0.2, 0.1, 0.0])
    step = band.positions[3] - band.positions[2]
    forces = np.zeros(band.positions.shape)
    forces[2], forces[3] = -0.2 * step / np.linalg.norm(step), 0.2 * step / np.linalg.norm(step)
    band = band.replace(forces=forces)
    excess = EnergyProfile.from_band(band).maximum()[1] - 0.3
    assert excess > 0.005
    written = ' '.join(texts(energy_path(band)).split())
    assert f'{excess:.3f} eV above the highest image: more images there would help' in written


@pytest.mark.parametrize(
    'energies',
    [
        [0, 0.01, 0.02, 0.025, 0.0, -0.06, -0.131],
        [0, 0.3, 0.31, 0.3, 0.3, 0.3, 0.29],
        [0, 0.15, 0.156, 0.15, 0.14, 0.135, 0.131],
        [0, 0.05, 0.1, 0.6, 0.1, 0.05, 0.0],
        [0.0, 0.002, 0.004, 0.1, 0.2, 0.3, 0.4],
    ],
)
def test_labels_of_barriers_cover_nothing(lifepo4, energies):
    figure = energy_path(lifepo4.replace(energies=energies))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = [entry for entry in axes.texts if entry.get_text().startswith(('forward', 'reverse'))]
    assert labels
    x = np.linspace(0, lifepo4.reaction_coordinate[-1], 1000)
    (curve,), top = curves(figure), max(energies) - energies[0]
    for label in labels:
        box = label.get_window_extent()
        assert axes.bbox.x0 < box.x0 < box.x1 < axes.bbox.x1
        assert axes.bbox.y0 < box.y0 < box.y1 < axes.bbox.y1
        for xs, ys in [(*curve.get_data(),), (x, np.full_like(x, top)), (x, np.zeros_like(x))]:
            drawn = axes.transData.transform(np.column_stack([xs, ys]))
            assert not box.count_contains(drawn), f'{label.get_text()!r} covers a line'


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


def test_different_systems_are_told_apart(lifepo4):
    figure = energy_path([lifepo4, lifepo4.replace(host='LiMn2O4')])
    assert figure.axes[0].get_title() == 'Li migration paths'
    legend = [entry.get_text().split(':')[0] for entry in figure.legends[0].get_texts()]
    assert legend == ['LiFePO$_{4}$, chgnet-0.3.0', 'LiMn$_{2}$O$_{4}$, chgnet-0.3.0']
    charged = energy_path([lifepo4, lifepo4.replace(charge=-1.0)])
    assert charged.axes[0].get_title() == 'Li migration paths in LiFePO$_{4}$'
    legend = [entry.get_text().split(':')[0] for entry in charged.legends[0].get_texts()]
    assert legend == ['neutral, chgnet-0.3.0', 'charge -1, chgnet-0.3.0']
    ions = energy_path([lifepo4, lifepo4.replace(mobile=(len(lifepo4.elements) - 1,))])
    assert ions.axes[0].get_title() == 'Migration paths in LiFePO$_{4}$'
    legend = [entry.get_text().split(':')[0] for entry in ions.legends[0].get_texts()]
    assert legend == ['Li, chgnet-0.3.0', 'O, chgnet-0.3.0']


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


def test_many_bands_are_told_apart_and_have_room(lifepo4):
    """When the colours begin again the points change their shape, and the legend does not squeeze the axes."""
    few, many = (
        energy_path([lifepo4.replace(energies=lifepo4.energies * (1 + 0.1 * k)) for k in range(count)])
        for count in (2, 14)
    )
    drawn = [line for line in many.axes[0].lines if line.get_marker() in 'os^Dv']
    assert len({(line.get_marker(), line.get_color()) for line in drawn}) == len(drawn) == 14
    heights = []
    for figure in (few, many):
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height / figure.dpi)
    assert heights[1] > 0.9 * heights[0]
