"""What functionals cost, relative to one of them, and how smoothly they went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from aiida_embarrier.figures.functional_paths import palette, variant_in_words
from aiida_embarrier.figures.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('functional_cost',)

_MEASURES = {'relative_core_h': ('total_core_h', 'core hours'), 'relative_wall': ('total_wall_s', 'wall time')}


def functional_cost(
    cells: pd.DataFrame,
    functionals: pd.DataFrame,
    *,
    charge_state: str,
    climbing: bool,
    reference: str,
    title: str | None = None,
) -> Figure:
    """Draw costs relative to a reference functional, and how many convergence problems and failures there were.

    Bars are geometric means over the systems that all functionals have, points the single systems. Core hours are shown
    where they are known, else wall times. Costs are those of whole barriers, with hosts and endpoints.

    :param cells: as :func:`aiida_embarrier.datasets.functionals.cells_table` returns it.
    :param functionals: as :func:`aiida_embarrier.datasets.functionals.functionals_table` returns it.
    :param charge_state: which cells are shown.
    :param climbing: which cells are shown.
    :param reference: the functional that costs are relative to.
    :param title: None for one that says which cells.
    :raises ValueError: where no costs are known.
    """
    rows = functionals[(functionals['charge_state'] == charge_state) & (functionals['climbing'] == climbing)]
    rows = rows.set_index('functional')
    measure = max(_MEASURES, key=lambda name: int(rows[name].notna().sum()))
    if not rows[measure].notna().any():
        raise ValueError(f'no costs relative to {reference} are known: no system converged with all functionals')
    column, words = _MEASURES[measure]
    chosen = cells[(cells['charge_state'] == charge_state) & (cells['climbing'] == climbing)]
    names = list(dict.fromkeys(cells['functional']))
    colour_of = palette(names)
    figure = new_figure(7.6, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    _draw_costs(left, rows[measure], _ratios(chosen, column, reference), names, colour_of)
    left.set_ylabel(f'{words} relative to {reference}')
    _draw_problems(right, rows, names, colour_of)
    for axes in (left, right):
        axes.set_xticks(range(len(names)), names, rotation=30, ha='right')
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.spines[['top', 'right']].set_visible(False)
    number = int(rows['n_cost'].max())
    figure.suptitle(
        title or f'Cost over {number} system(s) that all have: {variant_in_words(charge_state, climbing)}', fontsize=11
    )
    return figure


def _ratios(chosen: pd.DataFrame, column: str, reference: str) -> dict[str, list[float]]:
    """Return for each functional the costs of single systems relative to those of the reference."""
    converged = chosen[chosen['status'] == 'converged']
    base = converged[converged['functional'] == reference].set_index('system')[column]
    found: dict[str, list[float]] = {}
    for row in converged.itertuples(index=False):
        if row.system in base.index and base[row.system] > 0:
            found.setdefault(row.functional, []).append(float(getattr(row, column) / base[row.system]))
    return found


def _draw_costs(
    axes: Axes,
    means: pd.Series,
    ratios: Mapping[str, list[float]],
    names: list[str],
    colour_of: Mapping[str, str],
) -> None:
    axes.axhline(1, color='0.4', linewidth=0.9, linestyle='--', zorder=0)
    for place, name in enumerate(names):
        points = ratios.get(name, [])
        spread = np.linspace(-0.16, 0.16, len(points)) if len(points) > 1 else np.zeros(len(points))
        mean = means.get(name, np.nan)
        if np.isfinite(mean):
            axes.bar(place, mean, width=0.6, color=colour_of[name], alpha=0.55)
            top = max([mean, *points])
            axes.annotate(
                f'{mean:.2f}', (place, top), xytext=(0, 4), textcoords='offset points', ha='center', fontsize=9
            )
        axes.plot(place + spread, points, 'o', color=colour_of[name], markeredgecolor='white', markersize=5.5)
    axes.margins(y=0.14)
    axes.set_ylim(bottom=0)


def _draw_problems(axes: Axes, rows: pd.DataFrame, names: list[str], colour_of: Mapping[str, str]) -> None:
    """Draw convergence problems as bars, and say how many cells did not converge."""
    largest = max(1, int(rows['n_problems'].max()))
    for place, name in enumerate(names):
        if name not in rows.index:
            continue
        problems = int(rows.loc[name, 'n_problems'])
        cells, converged = (int(rows.loc[name, kind]) for kind in ('n_cells', 'n_converged'))
        axes.bar(place, problems, width=0.6, color=colour_of[name], alpha=0.85)
        axes.annotate(
            f'{problems}\n{converged}/{cells}',
            (place, problems),
            xytext=(0, 2),
            textcoords='offset points',
            ha='center',
            va='bottom',
            fontsize=8,
        )
    axes.set_ylim(0, 1.3 * largest)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel('convergence problems')
    axes.set_title('below: converged of all cells', fontsize=9)
