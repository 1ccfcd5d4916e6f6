"""Scores by strategy, learning rate or another choice, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from aiida_embarrier.figures.style import COLOURS, new_figure
from aiida_embarrier.figures.transfer_cells import (
    METRIC_NAMES,
    SCRATCH,
    Metric,
    add_footnote,
    at_size,
    metric_label,
    over_trials,
    without_other_choices,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('transfer_bars',)

_WORDS = {'strategy': 'strategy', 'lr': 'learning rate', 'sampling': 'sampling'}


def transfer_bars(
    cells: pd.DataFrame,
    *,
    by: Literal['strategy', 'lr', 'sampling'] = 'strategy',
    metric: Metric = 'r2',
    size: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a group of bars for each pair of source and target, a bar for each value of a choice.

    Bars are means over trials with standard deviations. R² below -0.3 is cut off there, and its number
    written beside. Trainings that differ in anything else are not mixed
    (:func:`~aiida_embarrier.figures.transfer_cells.without_other_choices`).

    :param cells: with the columns of :data:`~aiida_embarrier.figures.transfer_cells.COLUMNS`.
    :param by: the choice.
    :param size: of the samples; unless given the largest at which there is a choice.
    :raises ValueError: where no cell of that size has a result.
    """
    if size is None:
        size = _where_chosen(cells, by)
    chosen, size = at_size(cells, size)
    if by != 'sampling':  # training from scratch has a rate and a sampling, but nothing that was chosen of a parent
        chosen = chosen[chosen['source'] != SCRATCH]
    chosen = chosen.dropna(subset=[by])
    if chosen.empty:
        raise ValueError(f'no cell with a result says its {_WORDS[by]}, so there is nothing to draw')
    chosen, left_out = without_other_choices(chosen, by)
    means = over_trials(chosen, ['source', 'target', by], metric)
    pairs = list(dict.fromkeys(zip(means['source'], means['target'], strict=True)))
    values = list(dict.fromkeys(means[by])) if by != 'lr' else sorted(means[by].unique(), reverse=True)
    targets = list(dict.fromkeys(target for _, target in pairs)) if metric == 'mae' else [None]
    panels = [[pair for pair in pairs if target in (None, pair[1])] for target in targets]
    figure = new_figure(max(5.6, 0.28 * len(values) * len(pairs) + 0.5 * len(pairs) + 1.6) + 1.0, 3.6)
    grid = figure.subplots(1, len(panels), squeeze=False, width_ratios=[len(panel) for panel in panels])[0]
    for axes, panel, target in zip(grid, panels, targets, strict=True):
        _panel(axes, means, panel, values, by, metric)
        axes.set_ylabel(
            METRIC_NAMES[metric] if target is None else metric_label(chosen, target, metric, f' of {target}')
        )
    figure.legend(
        *grid[0].get_legend_handles_labels(),
        loc='outside right upper',
        frameon=False,
        title=_WORDS[by],
    )
    figure.suptitle(title or f'{METRIC_NAMES[metric]} by {_WORDS[by]}, {size} rows of the target', fontsize=11)
    add_footnote(figure, cells[cells['size'] == size], left_out)
    return figure


def _where_chosen(cells: pd.DataFrame, by: str) -> int | None:
    """Return the largest size at which a pair of source and target has results of several values; None for none."""
    done = cells.dropna(subset=['r2'])
    values = done.groupby(['size', 'source', 'target'])[by].nunique()
    sizes = values[values > 1].index.get_level_values('size')
    return int(sizes.max()) if len(sizes) else None


#: R² below this is not drawn to scale.
_LOWEST = -0.3


def _panel(
    axes: Axes, means: pd.DataFrame, pairs: list[tuple[str, str]], values: list[object], by: str, metric: Metric
) -> None:
    table = means.set_index(['source', 'target', by])
    width = 0.84 / len(values)
    for number, value in enumerate(values):
        colour = COLOURS[number % len(COLOURS)]
        places, heights, spreads = [], [], []
        for place, pair in enumerate(pairs):
            if (*pair, value) in table.index:
                row = table.loc[(*pair, value)]
                places.append(place - 0.42 + (number + 0.5) * width)
                heights.append(float(row['mean']))
                spreads.append(float(row['sd']))
        drawn = np.maximum(heights, _LOWEST) if metric == 'r2' else np.asarray(heights)
        below = drawn > np.asarray(heights)
        axes.bar(
            places,
            drawn,
            width=0.92 * width,
            yerr=np.where(below, np.nan, spreads),
            color=colour,
            error_kw={'linewidth': 0.9, 'capsize': 2},
            label=f'{value:g}' if isinstance(value, float) else str(value),
        )
        for middle, height, cut in zip(places, heights, below, strict=True):
            if cut:
                axes.text(middle, 0.015, f'{height:.3g}', rotation=90, fontsize=7, ha='center', va='bottom')
    axes.axhline(0, color='0.3', linewidth=0.8)
    axes.set_xticks(range(len(pairs)), [f'{source} → {target}' for source, target in pairs], fontsize=9)
    if len(pairs) > 3:
        axes.tick_params(axis='x', rotation=30)
    axes.set_xlim(-0.6, len(pairs) - 0.4)
    if metric == 'r2' and (means['mean'] < _LOWEST).any():
        axes.set_ylim(bottom=_LOWEST)
    axes.spines[['top', 'right']].set_visible(False)
