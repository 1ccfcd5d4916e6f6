"""Barriers of hosts in their charged and in their discharged state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.style import chemical, element_colour, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('charge_state_pairs',)

#: How many hosts are named: those whose two barriers differ most.
_NAMED = 6


def charge_state_pairs(statistics: Statistics) -> Figure:
    """Draw the mean barrier of the charged against that of the discharged state, one point for each host and ion."""
    table = statistics.tables['pairs']
    figure = new_figure(6.0, 5.6)
    axes = figure.add_subplot()
    limit = 1.08 * float(max(table['mean_charged'].max(), table['mean_discharged'].max()))
    axes.plot([0, limit], [0, limit], color='0.6', linewidth=1.0, linestyle='--', zorder=0)
    counts = table['ion'].value_counts()
    for ion, shape in zip(counts.index, 'osD^vPX*<' * len(counts), strict=False):
        chosen = table[table['ion'] == ion]
        axes.plot(
            chosen['mean_discharged'],
            chosen['mean_charged'],
            shape,
            color=element_colour(ion),
            markersize=6.5,
            markeredgecolor='0.25',
            markeredgewidth=0.5,
            label=f'{ion} ({counts[ion]})',
        )
    farthest = (table['mean_charged'] - table['mean_discharged']).abs().sort_values(ascending=False).index[:_NAMED]
    for row in table.loc[farthest].itertuples():
        # away from the diagonal, along which the other points lie
        left = row.mean_charged > row.mean_discharged or row.mean_discharged > 0.75 * limit
        axes.annotate(
            f'{row.ion} in {chemical(row.host)}',
            (row.mean_discharged, row.mean_charged),
            xytext=(-7 if left else 7, 0),
            textcoords='offset points',
            ha='right' if left else 'left',
            va='center',
            fontsize=8,
        )
    higher = int((table['mean_charged'] > table['mean_discharged']).sum())
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect='equal')
    axes.set_xlabel(f'discharged: mean {statistics.name} ({statistics.unit})')
    axes.set_ylabel(f'charged: mean {statistics.name} ({statistics.unit})')
    difference = float(np.median(table['mean_charged'] - table['mean_discharged']))
    axes.set_title(
        f'{len(table)} pairs; charged higher in {higher}, median difference {difference:+.2f} {statistics.unit}',
        fontsize=10,
    )
    axes.legend(frameon=False, loc='lower right', fontsize=9)
    axes.spines[['top', 'right']].set_visible(False)
    return figure
