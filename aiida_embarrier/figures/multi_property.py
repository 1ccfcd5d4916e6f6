"""Models that were pre-trained on several properties against the best that was pre-trained on one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.style import COLOURS, new_figure
from aiida_embarrier.figures.transfer_cells import (
    METRIC_NAMES,
    MULTI,
    SCRATCH,
    Metric,
    add_footnote,
    at_size,
    metric_label,
    over_trials,
    sources_in_order,
    without_other_choices,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ('multi_property',)

_PANELS_ACROSS = 4


def multi_property(
    cells: pd.DataFrame, *, metric: Metric = 'mae', size: int | None = None, title: str | None = None
) -> Figure:
    """Draw a panel for each target: from scratch, the best single source (named), and each multi-property source.

    The best single source is chosen by the mean of its trials on the test rows, as in the published comparison: what a
    reader may expect of a source that is chosen before testing is somewhat less. Trainings that differ in anything else
    are not mixed (:func:`~aiida_embarrier.figures.transfer_cells.without_other_choices`).

    :param cells: with the columns of :data:`~aiida_embarrier.figures.transfer_cells.COLUMNS`.
    :param size: of the samples; the largest unless given.
    :raises ValueError: where no cell of that size has a result, and without multi-property sources.
    """
    chosen, size = at_size(cells, size)
    chosen, left_out = without_other_choices(chosen)
    means = over_trials(chosen, ['target', 'source'], metric)
    several = [name for name in sources_in_order(chosen) if name.startswith(MULTI)]
    if not several:
        raise ValueError(f'the study has no result of a source whose name begins with {MULTI!r}')
    targets = list(dict.fromkeys(means.loc[means['source'].isin(several), 'target']))
    across = min(len(targets), _PANELS_ACROSS)
    down = -(-len(targets) // across)
    figure = new_figure(max(6.0, 0.8 + 0.75 * across * (2 + len(several))), 3.4 * down + 0.5)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid[len(targets) :]:
        axes.set_axis_off()
    for axes, target in zip(grid, targets, strict=False):
        own = means[means['target'] == target].set_index('source')
        single = own[[not name.startswith(MULTI) and name != SCRATCH for name in own.index]]
        bars = [(SCRATCH, SCRATCH, '0.6')] if SCRATCH in own.index else []
        if len(single):
            best = single['mean'].idxmax() if metric == 'r2' else single['mean'].idxmin()
            bars.append((best, f'best single:\n{best}', COLOURS[5]))
        bars += [(name, name, COLOURS[0]) for name in several if name in own.index]
        for place, (name, _, colour) in enumerate(bars):
            mean, spread = float(own.loc[name, 'mean']), float(own.loc[name, 'sd'])
            known = np.isfinite(spread)
            axes.bar(place, mean, yerr=spread, width=0.72, color=colour, error_kw={'capsize': 3})
            axes.annotate(
                f'{mean:.3g}',
                (place, max(mean, 0.0) + (spread if known else 0.0)),
                xytext=(0, 2),
                textcoords='offset points',
                ha='center',
                va='bottom',
                fontsize=8,
            )
        axes.set_xticks(range(len(bars)), [label for _, label, _ in bars], fontsize=8, rotation=40, ha='right')
        axes.set_ylabel(metric_label(chosen, target, metric))
        axes.axhline(0, color='0.3', linewidth=0.8)
        axes.margins(y=0.14)
        axes.set_title(target, fontsize=10)
        axes.spines[['top', 'right']].set_visible(False)
    figure.suptitle(
        title or f'{METRIC_NAMES[metric]} after training on {size} rows: several properties against one', fontsize=11
    )
    add_footnote(figure, cells[cells['size'] == size], left_out)
    return figure
