"""The elements of a dataset in the periodic table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Rectangle

from aiida_embarrier.figures.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('element_counts',)

#: Elements up to lawrencium, the last ones anybody computes.
_LAST = 103


def element_counts(statistics: Statistics) -> Figure:
    """Draw the periodic table with the number of rows that have each element, colours on a logarithmic scale."""
    table = statistics.tables['elements']
    counts = dict(zip(table['element'], table['n'], strict=True))
    # The lightest colours are left to elements that are not there.
    colours = colormaps['YlGnBu']
    scale = LogNorm(1, max(*counts.values(), 2))
    figure = new_figure(7.2, 4.1)
    axes = figure.add_subplot()
    for symbol, row, column in _places():
        n = counts.get(symbol)
        shade = None if n is None else colours(0.12 + 0.78 * float(scale(n)))
        axes.add_patch(
            Rectangle(
                (column - 0.47, row - 0.47), 0.94, 0.94, facecolor=shade or 'none', edgecolor='0.75', linewidth=0.5
            )
        )
        # not quite black, for on a coloured ground it stays dark where the page is dark
        ink = '#767676' if shade is None else '#111111' if _is_light(shade) else '#ffffff'
        middle = row if n is None else row - 0.14
        axes.text(column, middle, symbol, ha='center', va='center', fontsize=7.5, color=ink)
        if n is not None:
            axes.text(column, row + 0.27, f'{n}', ha='center', va='center', fontsize=5.2, color=ink)
    axes.set(xlim=(0.4, 18.6), ylim=(10.15, 0.4), aspect='equal')
    axes.set_axis_off()
    shades = colours(np.linspace(0.12, 0.90, 256))
    bar = figure.colorbar(
        ScalarMappable(scale, ListedColormap(shades)),
        ax=axes,
        orientation='horizontal',
        shrink=0.5,
        aspect=35,
        pad=0.01,
    )
    bar.set_label('rows with the element', fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.ax.xaxis.set_major_formatter('{x:.0f}')
    bar.outline.set_visible(False)
    return figure


def _places() -> list[tuple[str, float, int]]:
    """Return symbols with row and column; lanthanides and actinides stand below."""
    from pymatgen.core import Element

    places = []
    for number in range(1, _LAST + 1):
        element = Element.from_Z(number)
        if 57 <= number <= 71:
            places.append((element.symbol, 8.6, number - 57 + 3))
        elif 89 <= number <= 103:
            places.append((element.symbol, 9.6, number - 89 + 3))
        else:
            places.append((element.symbol, float(element.row), int(element.group)))
    return places


def _is_light(colour: tuple[float, float, float, float]) -> bool:
    """Return whether dark letters are read better on a colour (relative luminance, WCAG 2)."""
    channels = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return float(np.dot(channels, (0.2126, 0.7152, 0.0722))) > 0.18
