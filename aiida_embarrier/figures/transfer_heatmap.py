"""Every pre-training against every target: scores as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, TwoSlopeNorm

from aiida_embarrier.figures.style import new_figure
from aiida_embarrier.figures.transfer_cells import (
    METRIC_NAMES,
    SCRATCH,
    Metric,
    add_footnote,
    at_size,
    over_trials,
    sources_in_order,
    unit_of,
    without_other_choices,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ('transfer_heatmap',)

#: An MAE this many times that of scratch, or one over it, has the last colour.
_FARTHEST_RATIO = 1.5


def transfer_heatmap(
    cells: pd.DataFrame, *, metric: Metric = 'r2', size: int | None = None, title: str | None = None
) -> Figure:
    """Draw the mean over trials for every source (rows) and target (columns), with the standard deviation below it.

    R² is coloured from 0 to 1, with one colour for all below. MAE is in the unit of each target, so it is coloured by
    its ratio to that of training from scratch, and where there is none to the mean of the column. What is better than
    scratch is bold. Trainings that differ in anything else are not mixed
    (:func:`~aiida_embarrier.figures.transfer_cells.without_other_choices`).

    :param cells: with the columns of :data:`~aiida_embarrier.figures.transfer_cells.COLUMNS`.
    :param size: of the samples; the largest unless given.
    :raises ValueError: where no cell of that size has a result.
    """
    chosen, size = at_size(cells, size)
    chosen, left_out = without_other_choices(chosen)
    table = over_trials(chosen, ['source', 'target'], metric).set_index(['source', 'target'])
    sources, targets = sources_in_order(chosen), list(dict.fromkeys(chosen['target']))
    means, spreads = (
        table[column].unstack('target').reindex(index=sources, columns=targets).to_numpy(dtype=float)
        for column in ('mean', 'sd')
    )
    reference = means[sources.index(SCRATCH)] if SCRATCH in sources else np.full(len(targets), np.nan)
    figure = new_figure(max(4.4, 1.05 * len(targets) + 2.6), 0.62 * len(sources) + 1.9)
    axes = figure.add_subplot()
    shown, colours, norm, words = _colours(means, reference, metric)
    picture = axes.imshow(np.ma.masked_invalid(shown), cmap=colours, norm=norm, aspect='auto')
    for row in range(len(sources)):
        for column in range(len(targets)):
            mean, spread = means[row, column], spreads[row, column]
            if not np.isfinite(mean):
                axes.text(column, row, '–', ha='center', va='center', color='0.4')
                continue
            better = mean > reference[column] if metric == 'r2' else mean < reference[column]
            text = f'{mean:#.3g}'.removesuffix('.') if metric == 'mae' else f'{mean:.3f}'
            red, green, blue, _ = colours(norm(shown[row, column]))
            style: dict[str, Any] = {
                'ha': 'center',
                'va': 'center',
                'color': 'white' if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else 'black',
            }
            single = not np.isfinite(spread)
            axes.text(column, row - (0 if single else 0.14), text, weight='bold' if better else 'normal', **style)
            if not single:
                axes.text(column, row + 0.24, f'± {spread:.2g}', fontsize=7.5, **style)
    units = {name: unit_of(chosen, name) if metric == 'mae' else None for name in targets}
    labels = [f'{name}\n({unit})' if unit else name for name, unit in units.items()]
    axes.set_xticks(range(len(targets)), labels)
    axes.set_yticks(range(len(sources)), sources)
    axes.set_xlabel('target')
    axes.set_ylabel('pre-trained on')
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axes, extend='min' if metric == 'r2' else 'both', label=words, pad=0.02)
    trials = int(table['n'].max())
    n_trials = f'{trials} trial' if trials == 1 else f'{trials} trials'
    figure.suptitle(title or f'{METRIC_NAMES[metric]} after training on {size} rows, mean of {n_trials}', fontsize=11)
    add_footnote(figure, cells[cells['size'] == size], left_out)
    return figure


def _colours(means: np.ndarray, reference: np.ndarray, metric: Metric):  # type: ignore[no-untyped-def]
    """Return what is coloured, by which map and scale, and what it is in words."""
    if metric == 'r2':
        return means, colormaps['cividis'].with_extremes(bad='0.93'), Normalize(0, 1, clip=True), 'R²'
    known = np.isfinite(reference).all()
    with np.errstate(invalid='ignore'):
        base = reference if known else np.nanmean(means, axis=0)
    norm = TwoSlopeNorm(1, 1 / _FARTHEST_RATIO, _FARTHEST_RATIO)
    return (
        means / base,
        colormaps['PuOr_r'].with_extremes(bad='0.93'),
        norm,
        f'MAE over that of {"scratch" if known else "the column"}',
    )
