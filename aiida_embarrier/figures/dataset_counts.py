"""How many rows of a dataset have which label, and what is typical of them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.dataset_distribution import axis_label
from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('counts_by_label', 'paths_of_materials', 'space_group_in_print')

#: Most characters of a label.
_LONGEST = 40


def counts_by_label(statistics: Statistics, label: str, most: int | None = None) -> Figure:
    """Draw the number of rows by a label as bars, and beside them the range of their values with median and mean.

    :param label: a table `by_` this name is in the statistics.
    :param most: how many labels are shown, the most frequent ones; all unless given.
    """
    table = statistics.tables[f'by_{label}']
    shown = table.head(most)
    names = shown[label].astype(object).where(shown[label].notna(), 'unknown').tolist()
    names = [space_group_in_print(name) if label == 'space_group' else _in_print(name) for name in names]
    places = np.arange(len(shown))
    figure = new_figure(7.2, 0.27 * len(shown) + 1.1)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    left.barh(places, shown['n'], height=0.72, color=COLOURS[0])
    for place, n, fraction in zip(places, shown['n'], shown['fraction'], strict=True):
        left.annotate(
            f'{n}, {fraction:.1%}', (n, place), xytext=(3, 0), textcoords='offset points', va='center', size=8
        )
    left.set_yticks(places, names, fontsize=9)
    left.set_ylim(len(shown) - 0.4, -0.6)
    left.margins(x=0.28)
    left.set_xlabel('rows')
    right.hlines(places, shown['min'], shown['max'], color='0.7', linewidth=3, label='lowest to highest')
    right.plot(shown['mean'], places, 'D', color=COLOURS[4], markersize=4.5, label='mean')
    right.plot(shown['median'], places, 'o', color=COLOURS[1], markersize=5.5, label='median')
    right.tick_params(axis='y', length=0)
    right.set_xlabel(axis_label(statistics))
    for axes in (left, right):
        axes.spines[['top', 'right']].set_visible(False)
    figure.legend(*right.get_legend_handles_labels(), loc='outside upper right', ncols=3, frameon=False, fontsize=9)
    if len(shown) < len(table):
        rest = table['n'].iloc[len(shown) :].sum()
        left.set_title(f'{len(shown)} of {len(table)}; the others have {rest} rows', fontsize=9, loc='left')
    return figure


def space_group_in_print(symbol: str) -> str:
    """Return a Hermann-Mauguin symbol with bars and subscripts in matplotlib's notation.

    Which digits are those of a screw axis is looked up in pymatgen's list of symbols: P32 is P3₂, but R32 has a
    threefold and a twofold axis. A symbol that is not in the list stays as it is.
    """
    from pymatgen.symmetry.groups import SpaceGroup
    from pymatgen.util.string import latexify_spacegroup

    symbols = (*SpaceGroup.sg_encoding, *SpaceGroup.abbrev_sg_mapping)
    known = {name.replace('_', ''): name for name in symbols}
    return latexify_spacegroup(known[symbol]) if symbol in known else _in_print(symbol)


def _in_print(label: str) -> str:
    """Return a label as it is drawn: not longer than the picture is wide, and dollar signs are no formula."""
    return textwrap.shorten(label, _LONGEST, placeholder=' …').replace('$', r'\$')


def paths_of_materials(statistics: Statistics) -> Figure:
    """Draw how many materials have one path, two, and so on, and how many rows these are."""
    table = statistics.tables['paths']
    numbers = statistics.numbers
    figure = new_figure(7.2, 3.4)
    axes = figure.add_subplot()
    places = np.arange(len(table))
    for offset, column, colour in ((-0.2, 'n_materials', COLOURS[0]), (0.2, 'n_rows', COLOURS[4])):
        bars = axes.bar(places + offset, table[column], width=0.38, color=colour, label=column.removeprefix('n_'))
        axes.bar_label(bars, padding=2, fontsize=8)
    axes.set_xticks(places, table['n_paths'].astype(str))
    axes.set_xlabel('paths of a material')
    axes.set_ylabel('number')
    axes.margins(y=0.12)
    axes.set_title(
        f'{numbers["n_materials_with_several_paths"]} of {numbers["n_materials"]} materials have several paths, '
        f'{numbers["n_rows_of_these"]} rows',
        fontsize=10,
    )
    axes.legend(frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
    return figure
