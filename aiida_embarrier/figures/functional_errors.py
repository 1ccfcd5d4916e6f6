"""Errors of functionals against experiment, system by system and on average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.functional_paths import palette, variant_in_words
from aiida_embarrier.figures.style import chemical, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('functional_errors',)

_SHAPES = 'osD^v'
_ERRORS = {'nearest': 'to the nearer end of the range', 'middle': 'to the middle of the range'}


def functional_errors(
    cells: pd.DataFrame,
    functionals: pd.DataFrame,
    *,
    charge_state: str,
    climbing: bool,
    error: str = 'nearest',
    quantity: str = 'forward',
    title: str | None = None,
) -> Figure:
    """Draw signed errors by system and functional, and mean absolute and mean signed errors beside them.

    Only converged cells have a point. The means are over the systems that all functionals have; their number is said.

    :param cells: as :func:`aiida_embarrier.datasets.functionals.cells_table` returns it.
    :param functionals: as :func:`aiida_embarrier.datasets.functionals.functionals_table` returns it.
    :param charge_state: which cells are shown.
    :param climbing: which cells are shown.
    :param error: how errors against ranges are counted: `nearest` or `middle`.
    :param quantity: the barrier that was compared.
    :param title: None for one that says which cells.
    :raises ValueError: where no converged cell has an experimental value.
    """
    chosen = cells[(cells['charge_state'] == charge_state) & (cells['climbing'] == climbing)]
    known = chosen[(chosen['status'] == 'converged') & chosen[f'error_{error}'].notna()]
    if not len(known):
        raise ValueError('no converged cell has an experimental value, so there are no errors to draw')
    means = functionals[(functionals['charge_state'] == charge_state) & (functionals['climbing'] == climbing)]
    names = list(dict.fromkeys(cells['functional']))
    colour_of = palette(names)
    systems = list(dict.fromkeys(known['system']))
    figure = new_figure(max(6.4, 1.0 * len(systems) + 4.4), 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(max(len(systems), 2), 2.2))
    left.axhline(0, color='0.4', linewidth=0.9, zorder=0)
    offsets = np.linspace(-0.24, 0.24, len(names)) if len(names) > 1 else [0.0]
    for number, (name, offset) in enumerate(zip(names, offsets, strict=True)):
        errors = known[known['functional'] == name].set_index('system')[f'error_{error}']
        places = [place for place, system in enumerate(systems) if system in errors.index]
        left.plot(
            [place + offset for place in places],
            [1000 * errors[systems[place]] for place in places],
            _SHAPES[number % len(_SHAPES)],
            color=colour_of[name],
            markersize=7,
            label=name,
        )
    for place in range(len(systems) - 1):
        left.axvline(place + 0.5, color='0.92', linewidth=0.8, zorder=0)
    left.set_xticks(range(len(systems)), [chemical(system) for system in systems], rotation=30, ha='right')
    left.set_xlim(-0.5, len(systems) - 0.5)
    left.set_ylabel(f'error of the {quantity.replace("_", "-")} barrier (meV)')
    left.margins(y=0.1)
    left.spines[['top', 'right']].set_visible(False)
    _draw_means(right, means, names, colour_of)
    figure.legend(*left.get_legend_handles_labels(), loc='outside lower center', ncols=len(names), frameon=False)
    figure.suptitle(
        title or f'Errors {_ERRORS[error]} of experimental values: {variant_in_words(charge_state, climbing)}',
        fontsize=11,
    )
    return figure


def _draw_means(axes: Axes, means: pd.DataFrame, names: list[str], colour_of: dict[str, str]) -> None:
    """Draw mean absolute errors as bars, and mean signed errors as lines across them."""
    rows = means.set_index('functional')
    for place, name in enumerate(names):
        mae, mse = ((1000 * rows.loc[name, kind] if name in rows.index else np.nan) for kind in ('mae', 'mse'))
        if not np.isfinite(mae):
            axes.annotate('–', (place, 0), ha='center', va='bottom', fontsize=9)
            continue
        axes.bar(place, mae, width=0.6, color=colour_of[name], alpha=0.85)
        axes.hlines(mse, place - 0.38, place + 0.38, color='black', linewidth=2.0, zorder=3)
        axes.annotate(
            f'{mae:.0f}', (place, mae), xytext=(0, 2), textcoords='offset points', ha='center', va='bottom', fontsize=9
        )
    axes.axhline(0, color='0.4', linewidth=0.9)
    axes.set_xticks(range(len(names)), names, rotation=30, ha='right')
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.margins(y=0.14)
    axes.set_ylabel('mean error (meV)')
    number = int(rows['n_systems'].max()) if len(rows) else 0
    axes.set_title(f'absolute (bars) and signed (lines)\nn = {number} system(s) that all have', fontsize=9)
    axes.spines[['top', 'right']].set_visible(False)
