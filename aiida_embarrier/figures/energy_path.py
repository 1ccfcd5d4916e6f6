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
from aiida_embarrier.figures.style import COLOURS, colours, heading, how_computed, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('energy_path',)

_WARNING_COLOUR = COLOURS[1]
_POINTS_OF_CURVE = 400
#: A barrier below this, in eV, is too low for an arrow.
_LOWEST_ARROW = 0.001


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
        for band, label in zip(bands, labels or _labels(bands), strict=True)
    ]
    figure = new_figure(width, 0.72 * width if len(curves) > 1 else 0.8 * width)
    axes = figure.add_subplot()
    axes.axhline(0, color='0.85', linewidth=0.8, zorder=0)
    for curve, colour in zip(curves, colours(), strict=False):
        _draw_curve(axes, curve, colour)
    axes.set(xlabel='reaction coordinate (Å)', ylabel='energy relative to the first image (eV)')
    axes.spines[['top', 'right']].set_visible(False)
    axes.margins(y=0.08)
    axes.set_title(title if title is not None else _title(curves), fontsize=11)
    if len(curves) == 1:
        _draw_barriers(axes, curves[0])
        _write_below(figure, curves[0])
    else:
        figure.legend(loc='outside lower center', frameon=False, fontsize=9)
    return figure


def _labels(bands: Sequence[Band]) -> list[str]:
    """Return how each band was computed, numbered where that does not tell bands apart."""
    names = [how_computed(band) or 'band' for band in bands]
    counts = Counter(names)
    return [f'{name} ({number})' if counts[name] > 1 else name for number, name in enumerate(names, start=1)]


def _draw_curve(axes: Axes, curve: _Curve, colour: str) -> None:
    coordinates = curve.profile.coordinates
    grid = np.linspace(coordinates[0], coordinates[-1], _POINTS_OF_CURVE)
    found = curve.barriers
    state = ', not converged' if curve.unconverged else ''
    axes.plot(
        grid,
        curve.profile.energy(grid) - curve.band.energies[0],
        color=colour,
        linewidth=1.6,
        linestyle='--' if curve.unconverged else '-',
        zorder=2,
    )
    axes.plot(
        coordinates,
        curve.relative,
        'o',
        color=colour,
        markerfacecolor='white' if curve.unconverged else colour,
        markersize=6,
        zorder=3,
        label=f'{curve.label}: forward {found.forward:.3f} eV, reverse {found.reverse:.3f} eV{state}',
    )


def _draw_barriers(axes: Axes, curve: _Curve) -> None:
    """Draw the forward and the reverse barrier as arrows above the ends of the path."""
    found, relative, coordinates = curve.barriers, curve.relative, curve.profile.coordinates
    top = float(relative.max())
    if max(found.forward, found.reverse) >= _LOWEST_ARROW:
        axes.hlines(top, coordinates[0], coordinates[-1], colors='0.6', linestyles=':', linewidth=1, zorder=1)
    for name, barrier, end, side in (
        ('forward', found.forward, 0, 'left'),
        ('reverse', found.reverse, -1, 'right'),
    ):
        if barrier < _LOWEST_ARROW:
            continue
        place = float(coordinates[end])
        arrow = {'arrowstyle': '<|-|>', 'color': '0.25', 'shrinkA': 4, 'shrinkB': 0, 'linewidth': 1}
        axes.annotate('', (place, top), (place, float(relative[end])), arrowprops=arrow, zorder=2)
        axes.annotate(
            f'{name}\n{barrier:.3f} eV',
            (place, top - 0.22 * barrier),
            xytext=(7 if side == 'left' else -7, 0),
            textcoords='offset points',
            ha='left' if side == 'left' else 'right',
            va='center',
            fontsize=10,
        )


def _write_below(figure: Figure, curve: _Curve) -> None:
    """Write the other barriers, the definitions and what the reader has to be warned of below the axes."""
    found, info = curve.barriers, curve.band.info
    start, end = found.rate_limiting_images
    place, height = curve.profile.maximum()
    lines = [
        f'rate-limiting {found.rate_limiting:.3f} eV (image {start} to {end}), span {found.span:.3f} eV, '
        f'maximum of the spline {height - curve.band.energies[0]:.3f} eV at {place:.2f} Å',
        *(
            f'{name.replace("_", "-")}: {found.definitions[name]}'
            for name in ('forward', 'reverse', 'rate_limiting', 'span')
        ),
    ]
    warnings = []
    if curve.unconverged:
        force = '' if info.residual_force is None else f': residual force {info.residual_force:.3f} eV/Å'
        warnings.append(f'NOT CONVERGED{force}')
    if found.endpoint_maximum:
        warnings.append('no image lies above both ends: there is no saddle between them')
    text = '\n'.join(line for entry in lines for line in textwrap.wrap(entry, 108))
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


def _title(curves: Sequence[_Curve]) -> str:
    """Return a title of what all bands have in common; for one band also how it was computed."""
    first = curves[0].band
    headings = {heading(curve.band) for curve in curves}
    title = headings.pop() if len(headings) == 1 else 'Migration paths'
    if len(curves) > 1:
        return title
    climbing = {True: 'climbing image', False: 'no climbing image', None: ''}[first.info.climbing]
    parts = (how_computed(first), f'{first.n_images} images', climbing)
    return f'{title}\n{", ".join(part for part in parts if part)}'
