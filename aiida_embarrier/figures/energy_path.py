"""The energy along a migration path, for one band with its barriers, or for several to compare."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.bands import Band
from aiida_embarrier.bands.barriers import Barriers, barriers
from aiida_embarrier.bands.profile import EnergyProfile
from aiida_embarrier.figures.style import COLOURS, chemical, colours, heading, how_computed, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

__all__ = ('draw_energies', 'energy_path')

_WARNING_COLOUR = COLOURS[1]
_POINTS_OF_CURVE = 400
#: A barrier below this, in eV, is too low for an arrow.
_LOWEST_ARROW = 0.001
#: A spline that rises above the highest image by more than this, in eV, asks for more images there.
_CLEARLY_ABOVE = 0.005
#: Each time that the colours begin again the points get another shape.
_MARKERS = 'os^Dv'
#: Lines of a legend that the figure has room for, and the height of a further one in inches.
_LEGEND_LINES = 2
_LEGEND_LINE = 0.2
#: Characters of the caption that fit into one inch.
_CHARACTERS_PER_INCH = 18
#: Parts of a barrier below its top at which its label may stand, the best first.
_LABEL_PLACES = (0.22, 0.35, 0.5, 0.65, 0.78)
#: Free space around a label in points.
_LABEL_MARGIN = 4


@dataclass(frozen=True)
class _Curve:
    """What is drawn of one band; energies in eV relative to the first image, coordinates in Å."""

    band: Band
    barriers: Barriers
    profile: EnergyProfile
    label: str

    @property
    def relative(self) -> np.ndarray:
        return np.asarray(self.band.energies - self.band.energies[0])

    @property
    def unconverged(self) -> bool:
        return self.band.info.converged is False


def energy_path(
    bands: Band | Sequence[Band], *, labels: Sequence[str] | None = None, title: str | None = None, width: float = 6.4
) -> Figure:
    """Draw energies relative to the first image against the reaction coordinate.

    Points are the images, the line is the bounded spline of :class:`~aiida_embarrier.bands.profile.EnergyProfile`.
    One band is drawn with its forward and reverse barrier and their definitions; several share the axes, with their
    barriers in the legend. Bands that did not converge have hollow points, a dashed line, and say so.

    :param bands: one band or several; all energies known.
    :param labels: names of the bands in the legend; None for how each was computed.
    :param title: None for one made of what is known of the bands.
    :param width: of the figure in inches.
    :raises ValueError: for no band, for unknown energies, for images that coincide, and for labels that are not one for
        each band.
    """
    bands = [bands] if isinstance(bands, Band) else list(bands)
    if not bands:
        raise ValueError('there is no band to draw')
    if labels is not None and len(labels) != len(bands):
        raise ValueError(f'{len(bands)} band(s) need as many labels, got {len(labels)}')
    curves = [
        _Curve(band, barriers(band.energies, band.info.equivalent_endpoints), EnergyProfile.from_band(band), label)
        for band, label in zip(bands, labels or band_labels(bands), strict=True)
    ]
    further = _LEGEND_LINE * max(len(curves) - _LEGEND_LINES, 0)
    figure = new_figure(width, 0.72 * width + further if len(curves) > 1 else 0.8 * width)
    axes = figure.add_subplot()
    axes.axhline(0, color='0.85', linewidth=0.8, zorder=0)
    for number, (curve, colour) in enumerate(zip(curves, colours(), strict=False)):
        _draw_curve(axes, curve, colour, _MARKERS[number // len(COLOURS) % len(_MARKERS)])
    axes.set(xlabel='reaction coordinate (Å)', ylabel='energy relative to the first image (eV)')
    axes.spines[['top', 'right']].set_visible(False)
    axes.margins(y=0.08)
    axes.set_title(title if title is not None else _title(curves), fontsize=11)
    if len(curves) == 1:
        _write_below(figure, curves[0])
        _draw_barriers(figure, curves[0])
    else:
        figure.legend(loc='outside lower center', frameon=False, fontsize=9)
    return figure


def band_labels(bands: Sequence[Band], *, numbered: bool = True) -> list[str]:
    """Return what tells bands apart: host, ion, mechanism and charge where they differ, then how each was computed.

    :param numbered: number the bands that all this does not tell apart.
    """
    charges = ['' if not band.info.charge else f'charge {band.info.charge:+g}' for band in bands]
    aspects = [
        [chemical(host) for host in _hosts(bands)],
        [band.mobile_ion or '' for band in bands],
        [band.info.mechanism or '' for band in bands],
        [charge or 'neutral' for charge in charges],
        [how_computed(band) for band in bands],
    ]
    told = [aspect for aspect in aspects[:-1] if len(set(aspect)) > 1] + aspects[-1:]
    names = [', '.join(filter(None, parts)) or 'band' for parts in zip(*told, strict=True)]
    counts = Counter(names)
    again = {name for name, count in counts.items() if numbered and count > 1}
    return [f'{name} ({number})' if name in again else name for number, name in enumerate(names, start=1)]


def _hosts(bands: Sequence[Band]) -> list[str]:
    return [band.info.host or band.formula for band in bands]


def draw_energies(
    axes: Axes,
    profile: EnergyProfile,
    *,
    zero: float | None = None,
    start: float = 0.0,
    colour: str = COLOURS[0],
    label: str | None = None,
    hollow: bool = False,
    marker: str = 'o',
) -> None:
    """Draw the images of one path as points and its spline as a line.

    :param zero: energy in eV that is drawn as zero; None for that of the first image.
    :param start: coordinate in Å at which the path begins.
    :param label: its name in a legend.
    :param hollow: hollow points and a dashed line, for a band that did not converge.
    :param marker: shape of the points.
    """
    coordinates = profile.coordinates
    zero = float(profile.energies[0]) if zero is None else zero
    grid = np.linspace(coordinates[0], coordinates[-1], _POINTS_OF_CURVE)
    axes.plot(
        start + grid,
        profile.energy(grid) - zero,
        color=colour,
        linewidth=1.6,
        linestyle='--' if hollow else '-',
        zorder=2,
    )
    axes.plot(
        start + coordinates,
        profile.energies - zero,
        marker,
        color=colour,
        markerfacecolor='white' if hollow else colour,
        markersize=6,
        zorder=3,
        label=label,
    )


def _draw_curve(axes: Axes, curve: _Curve, colour: str, marker: str) -> None:
    found = curve.barriers
    state = ', not converged' if curve.unconverged else ''
    draw_energies(
        axes,
        curve.profile,
        colour=colour,
        label=f'{curve.label}: forward {found.forward:.3f} eV, reverse {found.reverse:.3f} eV{state}',
        hollow=curve.unconverged,
        marker=marker,
    )


def _draw_barriers(figure: Figure, curve: _Curve) -> None:
    """Draw the forward and the reverse barrier as arrows above the ends of the path.

    To be called when everything else is drawn, for the labels go where they cover nothing.
    """
    axes = figure.axes[0]
    found, relative, coordinates = curve.barriers, curve.relative, curve.profile.coordinates
    top = float(relative.max())
    if max(found.forward, found.reverse) >= _LOWEST_ARROW:
        axes.hlines(top, coordinates[0], coordinates[-1], colors='0.6', linestyles=':', linewidth=1, zorder=1)
    figure.draw_without_rendering()  # the layout says how large things are
    margin = _LABEL_MARGIN * figure.dpi / 72
    above = []
    for name, barrier, end, side in (
        ('forward', found.forward, 0, 'left'),
        ('reverse', found.reverse, -1, 'right'),
    ):
        if barrier < _LOWEST_ARROW:
            continue
        place = float(coordinates[end])
        arrow = {'arrowstyle': '<|-|>', 'color': '0.25', 'shrinkA': 4, 'shrinkB': 0, 'linewidth': 1}
        axes.annotate('', (place, top), (place, float(relative[end])), arrowprops=arrow, zorder=2)
        label = axes.annotate(
            f'{name}\n{barrier:.3f} eV',
            (place, top),
            xytext=(7 if side == 'left' else -7, 0),
            textcoords='offset points',
            ha=side,
            va='center',
            fontsize=10,
        )
        for part in _LABEL_PLACES:
            label.xy = (place, top - part * barrier)
            if _is_free(label.get_window_extent().padded(margin), axes, curve):
                break
        else:
            label.xy = (place, top)
            label.set(text=f'{name} {barrier:.3f} eV', va='bottom', position=(0, 3))
            above.append(label)
    if above:
        low, high = axes.get_ylim()
        box = axes.get_window_extent()
        needed = max(label.get_window_extent().y1 for label in above) + margin
        # The top of the labels is a distance in points above a height in eV.
        part = (needed - axes.transData.transform((0, top))[1]) / box.height
        axes.set_ylim(top=max(high, low + (top - low) / (1 - part)))


def _is_free(box: BboxBase, axes: Axes, curve: _Curve) -> bool:
    """Return whether a box in pixels covers neither the curve nor its points, the line at its top or that at zero."""
    coordinates = curve.profile.coordinates
    grid = np.linspace(coordinates[0], coordinates[-1], _POINTS_OF_CURVE)
    energies = curve.profile.energy(grid) - curve.band.energies[0]
    levels = [np.column_stack([grid, np.full_like(grid, level)]) for level in (0.0, curve.relative.max())]
    drawn = np.concatenate([np.column_stack([grid, energies]), np.column_stack([coordinates, curve.relative]), *levels])
    x, y = axes.transData.transform(drawn).T
    return not bool(np.any((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)))


def _write_below(figure: Figure, curve: _Curve) -> None:
    """Write the other barriers, the definitions and what the reader has to be warned of below the axes."""
    found, info = curve.barriers, curve.band.info
    warnings = []
    if curve.unconverged:
        force = '' if info.residual_force is None else f': residual force {info.residual_force:.3f} eV/Å'
        warnings.append(f'NOT CONVERGED{force}')
    if found.endpoint_maximum:
        warnings.append('no image lies above both ends: there is no saddle between them')
    width = round(_CHARACTERS_PER_INCH * figure.get_figwidth())
    text = '\n'.join(line for entry in _caption(curve) for line in _evenly_wrapped(entry, width))
    figure.supxlabel(text, fontsize=7.5, color='0.3', x=0.02, ha='left', linespacing=1.4)
    if warnings:
        axes = figure.axes[0]
        low, high = axes.get_ylim()
        axes.set_ylim(bottom=low - 0.09 * len(warnings) * (high - low))  # so that no point lies under the box
        axes.annotate(
            '\n'.join(warnings),
            (0.5, 0.03),
            xycoords='axes fraction',
            ha='center',
            va='bottom',
            fontsize=10,
            weight='bold',
            color=_WARNING_COLOUR,
            bbox={'facecolor': 'white', 'edgecolor': _WARNING_COLOUR, 'boxstyle': 'round,pad=0.3'},
            zorder=5,
        )


def _caption(curve: _Curve) -> list[str]:
    """Return the paragraphs of the caption: what the arrows do not show, with its definition."""
    found = curve.barriers
    start, end = found.rate_limiting_images
    place, height = curve.profile.maximum()
    rise = 'largest rise of the energy from any image to a later one'
    if found.equivalent_endpoints:
        rise = 'largest rise along the path, periodic because its ends are equivalent'
    excess = height - float(curve.band.energies.max())
    more = ''
    if excess > _CLEARLY_ABOVE:
        more = f', {excess:.3f} eV above the highest image: more images there would help'
    return [
        f'rate-limiting {found.rate_limiting:.3f} eV (image {start} to {end}): {rise}',
        f'span {found.span:.3f} eV: largest energy of all images minus the lowest; '
        'forward and reverse: minus the first and the last',
        f'maximum of the spline {height - curve.band.energies[0]:.3f} eV at {place:.2f} Å{more}',
    ]


def _evenly_wrapped(text: str, width: int) -> list[str]:
    """Return a text in as few lines as it needs, about equally long, so that no word stands alone in the last."""
    lines = textwrap.wrap(text, width)
    for narrower in range(width - 1, max(map(len, text.split())), -1):
        tried = textwrap.wrap(text, narrower)
        if len(tried) > len(lines):
            break
        lines = tried
    return lines


def _title(curves: Sequence[_Curve]) -> str:
    """Return a title of what all bands have in common; for one band also how it was computed."""
    first = curves[0].band
    headings = {heading(curve.band) for curve in curves}
    if len(headings) > 1:
        ions = {curve.band.mobile_ion for curve in curves}
        hosts = set(_hosts([curve.band for curve in curves]))
        paths = f'{ions.pop()} migration paths' if len(ions) == 1 and None not in ions else 'Migration paths'
        return f'{paths} in {chemical(hosts.pop())}' if len(hosts) == 1 else paths
    title = headings.pop()
    if len(curves) > 1:
        return title
    climbing = {True: 'climbing image', False: 'no climbing image', None: ''}[first.info.climbing]
    parts = (how_computed(first), f'{first.n_images} images', climbing)
    return f'{title}\n{", ".join(part for part in parts if part)}'
