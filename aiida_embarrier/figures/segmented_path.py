"""A path that was split at its interior minima: its segments one after the other, over the path as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.bands.profile import EnergyProfile
from aiida_embarrier.figures.energy_path import draw_energies
from aiida_embarrier.figures.style import colours, heading, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from aiida_embarrier.bands import Band

__all__ = ('segmented_path',)


def segmented_path(
    segments: Sequence[Band],
    unsplit: Band | None = None,
    *,
    rate_limiting: int | None = None,
    title: str | None = None,
    width: float = 6.8,
) -> Figure:
    """Draw the segments of a path one after the other, with their own barriers in the legend.

    Energies are relative to the first image of the first segment. The path as it was before it was split is drawn thin
    and grey, along its own reaction coordinate and relative to its own first image.

    :param segments: in the order of the path; all energies known.
    :param unsplit: the path before it was split.
    :param rate_limiting: number of the segment that limits the rate, from 1.
    :param title: None for one made of what is known of the bands.
    :param width: of the figure in inches.
    :raises ValueError: for no segment, and for unknown energies.
    """
    if not segments:
        raise ValueError('there is no segment to draw')
    figure = new_figure(width, 0.72 * width)
    axes = figure.add_subplot()
    axes.axhline(0, color='0.85', linewidth=0.8, zorder=0)
    if unsplit is not None:
        axes.plot(
            unsplit.reaction_coordinate,
            unsplit.energies - unsplit.energies[0],
            '.-',
            color='0.65',
            linewidth=0.8,
            zorder=1,
            label='before it was split: '
            f'forward {barriers(unsplit.energies, unsplit.info.equivalent_endpoints).forward:.3f} eV',
        )
    zero, start = float(segments[0].energies[0]), 0.0
    for number, (segment, colour) in enumerate(zip(segments, colours(), strict=False), start=1):
        found = barriers(segment.energies, segment.info.equivalent_endpoints)
        unconverged = segment.info.converged is False
        notes = (', limits the rate' if number == rate_limiting else '') + (', not converged' if unconverged else '')
        label = f'segment {number}: forward {found.forward:.3f} eV, reverse {found.reverse:.3f} eV{notes}'
        profile = EnergyProfile.from_band(segment)
        draw_energies(axes, profile, zero=zero, start=start, colour=colour, label=label, hollow=unconverged)
        start += float(profile.coordinates[-1])
        if number < len(segments):
            axes.axvline(start, color='0.75', linestyle=':', linewidth=1, zorder=0)
    axes.set(xlabel='reaction coordinate (Å)', ylabel='energy relative to the first image (eV)')
    axes.spines[['top', 'right']].set_visible(False)
    axes.margins(y=0.08)
    axes.set_title(title if title is not None else heading(segments[0]), fontsize=11)
    figure.legend(loc='outside lower center', frameon=False, fontsize=9)
    return figure
