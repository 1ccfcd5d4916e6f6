"""How scores grow with the number of rows, of the target or of the pre-training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import NullLocator

from aiida_embarrier.figures.style import COLOURS, new_figure
from aiida_embarrier.figures.transfer_cells import (
    METRIC_NAMES,
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
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('transfer_sizes',)

_SHAPES = 'osD^vP'
_PANELS_ACROSS = 3
#: Lower end of an R² axis: samples of 10 rows reach -1000, beside which nothing else would be seen.
_LOWEST_R2 = -0.3
#: From this ratio of the largest to the smallest MAE its axis is logarithmic.
_LOGARITHMIC = 12

_AXES = {'size': 'rows of the target', 'pretraining_size': 'rows of the pre-training'}


def transfer_sizes(
    cells: pd.DataFrame,
    *,
    metric: Metric = 'r2',
    along: Literal['size', 'pretraining_size'] = 'size',
    targets: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a panel for each target: the mean over trials against the number of rows, with every trial as a point.

    Bars reach one standard deviation up and down. Means below the axis of R² are triangles at its lower end, and
    trainings below it are counted in the heading of the panel. Trainings that differ in anything else are not mixed
    (:func:`~aiida_embarrier.figures.transfer_cells.without_other_choices`).

    :param cells: with the columns of :data:`~aiida_embarrier.figures.transfer_cells.COLUMNS`.
    :param along: whose rows are counted; along those of the pre-training only cells of the largest size are drawn, and
        those from scratch as a line across.
    :param targets: those that are shown; all unless given.
    :raises ValueError: where there is nothing to draw.
    """
    done = cells.dropna(subset=['r2', 'mae'])
    if along == 'pretraining_size':
        done, size = at_size(done, None)
    done, left_out = without_other_choices(done, along)
    names = [name for name in dict.fromkeys(done['target']) if targets is None or name in targets]
    if not names:
        raise ValueError('no cell of the study has a result for these targets, so there is nothing to draw')
    sources = sources_in_order(done)
    across = min(len(names), _PANELS_ACROSS)
    down = -(-len(names) // across)
    figure = new_figure(max(5.0, 3.4 * across) + 1.0, 3.0 * down + 0.5)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, name in zip(grid, names, strict=False):
        _panel(axes, done[done['target'] == name], sources, metric, along, name)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    ordered = [name for name in sources if name in handles]
    figure.legend(
        [handles[name] for name in ordered],
        ordered,
        loc='outside right upper',
        frameon=False,
        title='pre-trained on',
    )
    behind = '' if along == 'size' else f', {size} rows of the target'
    figure.suptitle(title or f'{METRIC_NAMES[metric]} on the test rows against {_AXES[along]}{behind}', fontsize=11)
    add_footnote(figure, cells[cells['target'].isin(names)], left_out)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, sources: list[str], metric: Metric, along: str, name: str) -> None:
    means = over_trials(rows, ['source', along], metric)
    low = _LOWEST_R2 if metric == 'r2' and rows['r2'].min() < _LOWEST_R2 else -np.inf
    for number, source in enumerate(sources):
        colour = '0.35' if source == SCRATCH else COLOURS[(number - (SCRATCH in sources)) % len(COLOURS)]
        own = rows[rows['source'] == source]
        if along == 'pretraining_size' and source == SCRATCH:
            if len(own):
                axes.axhline(own[metric].mean(), color=colour, linestyle='--', linewidth=1.2, label=source)
            continue
        line = means[means['source'] == source].sort_values(along)
        if line.empty:
            continue
        # a little apart, so that bars of several sources are told apart
        factor = 1.035 ** (number - (len(sources) - 1) / 2)
        places, below = line[along].to_numpy(dtype=float) * factor, (line['mean'] < low).to_numpy()
        axes.errorbar(
            places,
            line['mean'].where(~below),
            yerr=line['sd'],
            fmt=_SHAPES[number % len(_SHAPES)] + ('--' if source == SCRATCH else '-'),
            color=colour,
            markersize=5,
            linewidth=1.3,
            capsize=2,
            label=source,
        )
        if below.any():
            axes.plot(places[below], np.full(below.sum(), low), 'v', color=colour, markersize=5, clip_on=False)
        axes.plot(own[along].astype(float) * factor, own[metric], '.', color=colour, alpha=0.35, markersize=4, mew=0)
    ticks = sorted(rows[along].dropna().unique().tolist())
    axes.set_xscale('log')
    axes.set_xticks(ticks, [_short(value) for value in ticks], rotation=45 if _crowded(ticks) else 0)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(_AXES[along])
    axes.set_ylabel(metric_label(rows, name, metric))
    heading = name
    if np.isfinite(low):
        axes.set_ylim(low, max(0.1, 1.05 * float(rows['r2'].max())))
        heading += f'  ({int((rows["r2"] < low).sum())} of {len(rows)} trainings below the axis)'
    elif metric == 'mae' and rows['mae'].max() > _LOGARITHMIC * rows['mae'].min() > 0:
        axes.set_yscale('log')
    axes.set_title(heading, fontsize=9)
    axes.spines[['top', 'right']].set_visible(False)


def _crowded(ticks: list[float]) -> bool:
    """Return whether labels on a logarithmic axis would touch each other."""
    places = np.log(np.asarray(ticks, dtype=float))
    return len(places) > 1 and float(np.diff(places).min()) < 0.15 * float(np.ptp(places))


def _short(number: float) -> str:
    return f'{number / 1000:g}K' if number >= 1000 else f'{number:g}'
