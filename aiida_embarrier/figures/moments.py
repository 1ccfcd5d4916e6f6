"""On-site magnetic moments along a path: changes of oxidation state, and electrons that settle somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.style import COLOURS, chemical, how_computed, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_embarrier.bands import Band

__all__ = ('changing_sites', 'moments')

#: A site whose moment, in Bohr magnetons, changes by more along the path takes part in it: between two oxidation
#: states of a transition metal lies about 1.
CHANGE = 0.3
#: Sites with smaller moments throughout are not drawn.
SMALLEST = 0.1
#: Sites that are named in one panel, those that change most.
_NAMED = 6
_WIDTH, _HEIGHT = 3.3, 2.5


def changing_sites(band: Band, threshold: float = CHANGE) -> list[int]:
    """Return the indices of the sites whose moments change along the path, those that change most first.

    :param threshold: smallest change that counts, in Bohr magnetons.
    """
    if band.moments is None:
        return []
    change = _changes(band)
    order = np.argsort(-np.nan_to_num(change), kind='stable')
    return [int(site) for site in order if change[site] > threshold]


def _changes(band: Band) -> np.ndarray:
    """Return by how much the moment of each site changes along the path; 0 where it is unknown throughout."""
    found = np.asarray(band.moments)
    low = np.nanmin(np.where(np.isnan(found), np.inf, found), axis=0)
    high = np.nanmax(np.where(np.isnan(found), -np.inf, found), axis=0)
    return np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0)


def moments(
    bands: Band | Mapping[tuple[str, str], Band],
    *,
    title: str | None = None,
) -> Figure:
    """Draw the magnetic moments of sites against the reaction coordinate, each band in a panel of its own.

    Sites whose moments change by more than 0.3 Bohr magnetons along the path are coloured and named; others that have a
    moment are grey. A moment that steps by about 1 and stays is a site that changes its oxidation state; one that does
    so while no ion comes near, or only where the ion passes, is an electron that has settled there.

    :param bands: one band, or bands by row and column of the panels, for instance by system and functional.
    :param title: None for what the figure shows.
    :raises ValueError: where no band has moments.
    """
    from aiida_embarrier.bands import Band as BandClass

    table = {('', how_computed(bands)): bands} if isinstance(bands, BandClass) else dict(bands)
    known = {place: band for place, band in table.items() if band.moments is not None}
    if not known:
        raise ValueError('no moments are known of these bands: they were computed without spin, or by a potential')
    rows = list(dict.fromkeys(row for row, _ in table))
    columns = list(dict.fromkeys(column for _, column in table))
    figure = new_figure(max(5.0, _WIDTH * len(columns) + 0.8), max(3.4, _HEIGHT * len(rows) + 0.8))
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharey='row')
    for number, row in enumerate(rows):
        for place, column in enumerate(columns):
            axes = panels[number, place]
            band = known.get((row, column))
            if band is None:
                axes.annotate('no moments', (0.5, 0.5), xycoords='axes fraction', ha='center', color='0.5', fontsize=9)
            else:
                _draw(axes, band)
            if number == 0:
                axes.set_title(chemical(column), fontsize=10)
            if number == len(rows) - 1:
                axes.set_xlabel('reaction coordinate (Å)', fontsize=9)
            axes.spines[['top', 'right']].set_visible(False)
        label = 'moment ($\\mu_B$)'
        panels[number, 0].set_ylabel(f'{chemical(row)}\n{label}' if row else label, fontsize=9)
    figure.suptitle(title or 'On-site magnetic moments along the path', fontsize=11)
    return figure


def _draw(axes: Axes, band: Band) -> None:
    coordinate, found = band.reaction_coordinate, np.asarray(band.moments)
    changing = changing_sites(band)
    for site in range(band.n_atoms):
        if site not in changing and np.nanmax(np.abs(found[:, site]), initial=0.0) > SMALLEST:
            axes.plot(coordinate, found[:, site], color='0.75', linewidth=0.8, zorder=1)
    for number, site in enumerate(changing):
        axes.plot(
            coordinate,
            found[:, site],
            'o-',
            color=COLOURS[number % len(COLOURS)],
            linewidth=1.6,
            markersize=4,
            zorder=3,
            label=f'{band.elements[site]} {site}' if number < _NAMED else None,
        )
    if changing:
        _legend(axes, len(changing))
    else:
        axes.set_xlim(coordinate[0], coordinate[-1])
        some = bool(axes.lines)
        axes.annotate(
            f'no site changes by more than {CHANGE:g}' if some else 'no site has a moment',
            (0.5, 0.02 if some else 0.5),
            xycoords='axes fraction',
            ha='center',
            va='bottom',
            fontsize=8,
            color='0.4',
        )
    axes.margins(y=0.12)


def _legend(axes: Axes, n_changing: int) -> None:
    more = f'and {n_changing - _NAMED} more' if n_changing > _NAMED else None
    legend = axes.legend(fontsize=7.5, frameon=True, framealpha=0.8, edgecolor='none', title=more, loc='best')
    legend.get_title().set_fontsize(7.5)
