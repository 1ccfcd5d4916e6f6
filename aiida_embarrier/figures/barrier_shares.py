"""Shares of small, fair and large errors of several models, and how often intervals hold the barrier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.barrier_tables import validation_name
from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ('coverage_of_intervals', 'error_buckets')

#: From small to large errors: green to vermillion, also told apart by their lightness.
_SHADES = ('#00604A', '#7FCDBB', '#F4D3A1', '#D55E00')


def error_buckets(table: pd.DataFrame, *, title: str | None = None) -> Figure:
    """Draw the shares of predictions in buckets of absolute errors, a bar for each model, a panel for each validation.

    :param table: `buckets` of an analysis.
    :raises ValueError: for more buckets than there are shades.
    """
    validations = list(dict.fromkeys(table['validation']))
    lows = sorted(set(table['low']))
    if len(lows) > len(_SHADES):
        raise ValueError(f'{len(lows)} buckets are too many for one figure: show at most {len(_SHADES)}')
    smallest = table[table['low'] == lows[0]].groupby('model')['fraction'].mean()
    order = list(smallest.sort_values(ascending=False, kind='stable').index)
    figure = new_figure(1.6 + 2.4 * len(validations), 1.3 + 0.26 * len(order))
    grid = figure.subplots(1, len(validations), sharey=True, squeeze=False)[0]
    shades = [_SHADES[round(place)] for place in np.linspace(0, len(_SHADES) - 1, len(lows))]
    for axes, validation in zip(grid, validations, strict=True):
        left = np.zeros(len(order))
        for low, shade in zip(lows, shades, strict=True):
            rows = table[(table['validation'] == validation) & (table['low'] == low)].set_index('model')
            widths = 100 * rows['fraction'].reindex(order).to_numpy(dtype=float)
            high = rows['high'].iloc[0]
            name = f'{low:g} to {high:g} eV' if np.isfinite(high) else f'above {low:g} eV'
            name = f'up to {high:g} eV' if low == 0 else name
            axes.barh(range(len(order)), widths, 0.78, left=left, color=shade, label=name)
            for place, width in enumerate(widths):
                if width > 9:
                    ink = 'white' if shade in (_SHADES[0], _SHADES[-1]) else 'black'
                    middle = left[place] + width / 2
                    axes.text(middle, place, f'{width:.0f}', color=ink, ha='center', va='center', fontsize=7)
            left = left + np.nan_to_num(widths)
        axes.set_title(validation_name(str(validation)), fontsize=9)
        axes.set_xlim(0, 100)
        axes.set_xlabel('predictions (%)')
        axes.spines[['top', 'right', 'left']].set_visible(False)
        axes.tick_params(axis='y', length=0)
    grid[0].set_yticks(range(len(order)), order)
    grid[0].invert_yaxis()
    handles = grid[0].get_legend_handles_labels()
    figure.legend(*handles, loc='outside lower center', ncols=len(lows), frameon=False, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def coverage_of_intervals(table: pd.DataFrame, model: str, *, title: str | None = None) -> Figure:
    """Draw how often intervals of a model hold the barrier, and how wide they are, against the coverage asked for.

    Bars are Wilson's intervals as for independent rows.

    :param table: `coverage` of an analysis.
    :param model: that is shown.
    :param title: None for one that says the model.
    :raises ValueError: where the table has no row of the model.
    """
    own = table[table['model'] == model]
    if own.empty:
        raise ValueError(f'the table has no model {model!r}: choose from {", ".join(sorted(set(table["model"])))}')
    figure = new_figure(7.2, 3.6)
    held, wide = figure.subplots(1, 2)
    ends = (float(own['nominal'].min()) - 0.05, 1.0)
    held.plot(ends, ends, color='0.5', linewidth=1.0, linestyle='--', zorder=1)
    validations = list(dict.fromkeys(own['validation']))
    for number, validation in enumerate(validations):
        rows = own[own['validation'] == validation]
        aside = rows['nominal'] + 0.006 * (number - (len(validations) - 1) / 2)
        spread = (rows['coverage'] - rows['coverage_lower'], rows['coverage_upper'] - rows['coverage'])
        colour = COLOURS[number % len(COLOURS)]
        style = {'color': colour, 'markersize': 4.5, 'linewidth': 1.1, 'label': validation_name(str(validation))}
        held.errorbar(aside, rows['coverage'], spread, fmt='o-', elinewidth=1.1, **style)
        wide.plot(rows['nominal'], rows['median_width_eV'], 'o-', **style)
    held.set(xlim=ends, ylim=ends, xlabel='coverage asked for', ylabel='barriers inside their interval', aspect='equal')
    wide.set(xlim=ends, ylim=(0, None), xlabel='coverage asked for', ylabel='median width (eV)')
    for axes in (held, wide):
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(color='0.92', linewidth=0.8)
        axes.set_axisbelow(True)
    wide.legend(frameon=False, fontsize=8, loc='upper left')
    figure.suptitle(title or f'{model}: intervals', fontsize=11)
    return figure
