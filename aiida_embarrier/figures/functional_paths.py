"""Energy paths of several systems, each by several functionals."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.bands.profile import EnergyProfile
from aiida_embarrier.figures.energy_path import draw_energies
from aiida_embarrier.figures.style import COLOURS, chemical, colours, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_embarrier.bands import Band

__all__ = ('functional_paths', 'palette', 'variant_in_words')

_COLUMNS = 3
_WIDTH, _HEIGHT = 3.6, 2.9
_PROBLEM = COLOURS[1]
_SHAPES = 'osD^v'


def palette(functionals: Sequence[str]) -> dict[str, str]:
    """Return the colour of each functional, the same in all figures of a comparison."""
    return dict(zip(functionals, islice(colours(), len(functionals)), strict=True))


def variant_in_words(charge_state: str, climbing: bool) -> str:
    """Return which cells a figure shows."""
    return f'{charge_state} cells, {"climbing image" if climbing else "no climbing image"}'


def functional_paths(
    cells: pd.DataFrame,
    bands: Mapping[str, Band],
    *,
    charge_state: str,
    climbing: bool,
    quantity: str = 'forward',
    title: str | None = None,
) -> Figure:
    """Draw for each system the energy paths by all functionals over each other.

    Bands that did not converge have hollow points and a dashed line; cells without a band are named. Where the forward
    barrier is compared, the range of experimental values is a grey stripe.

    :param cells: as :func:`aiida_embarrier.datasets.functionals.cells_table` returns it.
    :param bands: bands by the names of their cells.
    :param charge_state: which cells are shown.
    :param climbing: which cells are shown.
    :param quantity: the barrier that is compared.
    :param title: None for one that says which cells.
    :raises ValueError: where no such cell has a band.
    """
    chosen = cells[(cells['charge_state'] == charge_state) & (cells['climbing'] == climbing)]
    if not any(cell in bands for cell in chosen['cell']):
        raise ValueError(f'there is no band to draw of {variant_in_words(charge_state, climbing)}')
    systems = list(dict.fromkeys(chosen['system']))
    colour_of = palette(list(dict.fromkeys(cells['functional'])))
    n_columns = min(_COLUMNS, len(systems))
    n_rows = int(np.ceil(len(systems) / n_columns))
    figure = new_figure(_WIDTH * n_columns + 0.6, _HEIGHT * n_rows + 0.9)
    panels = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes, system in zip(panels.flat, systems, strict=False):
        _draw_system(axes, chosen[chosen['system'] == system], bands, colour_of, quantity)
        axes.set_title(chemical(system), fontsize=10)
    for axes in panels.flat[len(systems) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel('energy (eV)')
    for axes in panels.flat[max(0, len(systems) - n_columns) : len(systems)]:
        axes.set_xlabel('reaction coordinate (Å)')
    handles: dict[str, Artist] = {}
    for axes in panels.flat[: len(systems)]:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = sorted(handles, key=lambda name: list(colour_of).index(name) if name in colour_of else len(colour_of))
    figure.legend(
        handles=[handles[name] for name in order],
        labels=order,
        loc='outside lower center',
        ncols=min(len(order), 3 * n_columns),
        frameon=False,
        fontsize=9,
    )
    figure.suptitle(
        title or f'Energy relative to the first image: {variant_in_words(charge_state, climbing)}', fontsize=11
    )
    return figure


def _draw_system(
    axes: Axes, rows: pd.DataFrame, bands: Mapping[str, Band], colour_of: Mapping[str, str], quantity: str
) -> None:
    low, high = (rows[f'experiment_{end}'].iloc[0] for end in ('low', 'high'))
    if quantity == 'forward' and np.isfinite(low):
        if high > low:
            axes.axhspan(low, high, color='0.88', linewidth=0, label='experiment', zorder=0)
        else:
            axes.axhline(low, color='0.6', linestyle=':', linewidth=1.4, label='experiment', zorder=0)
    axes.axhline(0, color='0.85', linewidth=0.8, zorder=0)
    missing = []
    for number, row in enumerate(rows.itertuples(index=False)):
        if row.cell not in bands:
            missing.append(f'{row.functional}: {row.status}')
            continue
        draw_energies(
            axes,
            EnergyProfile.from_band(bands[row.cell]),
            colour=colour_of[row.functional],
            label=row.functional,
            hollow=row.status != 'converged',
            marker=_SHAPES[number % len(_SHAPES)],
        )
    if missing:
        axes.annotate(
            '\n'.join(missing),
            (0.5, 0.04),
            xycoords='axes fraction',
            ha='center',
            va='bottom',
            fontsize=8,
            color=_PROBLEM,
            bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 1, 'alpha': 0.8},
            zorder=5,
        )
    axes.margins(y=0.1)
    axes.spines[['top', 'right']].set_visible(False)
