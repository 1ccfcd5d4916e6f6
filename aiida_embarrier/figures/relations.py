"""How a source property relates to a target property, and what that says about the gain of pre-training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('gains_by_relation', 'relation')

#: Fewer shared crystals give no correlation that means anything.
_FEWEST = 3

#: Most pairs whose sources are written beside their points.
_MOST_NAMED = 24


def relation(
    shared: pd.DataFrame,
    source_values: np.ndarray,
    target_values: np.ndarray,
    *,
    source: str,
    target: str,
    title: str | None = None,
) -> Figure:
    """Draw crystals that have both properties as points, and how both properties are spread when scaled to [-1, 1].

    :param shared: a row for each crystal that has both, with the columns `source` and `target`.
    :param source_values: all values of the source.
    :param target_values: all values of the target.
    :param source: what the source is, with its unit.
    :param target: what the target is, with its unit.
    :raises ValueError: for a property without values.
    """
    if not len(source_values) or not len(target_values):
        raise ValueError(f'there are no values of {source if not len(source_values) else target}')
    figure = new_figure(8.2, 3.8)
    left, right = figure.subplots(1, 2)
    left.plot(shared['source'], shared['target'], 'o', color=COLOURS[0], markersize=3.6, alpha=0.55, mew=0)
    left.set_xlabel(source)
    left.set_ylabel(target)
    left.set_title(_correlation(shared), fontsize=9)
    edges = np.linspace(-1, 1, 41)
    for values, name, colour in ((source_values, source, COLOURS[1]), (target_values, target, COLOURS[2])):
        right.hist(
            _scaled(values),
            edges,
            weights=np.full(len(values), 100 / len(values)),
            histtype='stepfilled',
            facecolor=(*_rgb(colour), 0.25),
            edgecolor=colour,
            linewidth=1.3,
            label=f'{name}, n = {len(values)}',
        )
    right.set_xlabel('scaled value')
    right.set_ylabel('share of the rows (%)')
    right.set_xlim(-1, 1)
    right.margins(y=0.28)
    right.legend(frameon=False, fontsize=8, loc='upper right')
    for axes in (left, right):
        axes.spines[['top', 'right']].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _scaled(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    low, high = values.min(), values.max()
    return np.zeros(len(values)) if high == low else 2 * (values - low) / (high - low) - 1


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _correlation(shared: pd.DataFrame) -> str:
    n = len(shared)
    if n < _FEWEST or shared['source'].nunique() < 2 or shared['target'].nunique() < 2:
        return f'{n} crystals with both: no correlation'
    pearson, spearman = (
        float(shared['source'].corr(shared['target'], method=method)) for method in ('pearson', 'spearman')
    )
    return f'{n} crystals with both: Pearson {pearson:.2f}, Spearman {spearman:.2f}'


def gains_by_relation(table: pd.DataFrame, *, metric: str = 'R²', title: str | None = None) -> Figure:
    """Draw the gain of every pair against the correlation of its properties and the distance of their distributions.

    :param table: a row for each pair: `source`, `target`, `spearman` (on shared crystals), `wasserstein` (of scaled
        values), and `gain` over training from scratch, in units of `metric`; what is missing is left out.
    :raises ValueError: where no pair has both a gain and a relation.
    """
    known = table.dropna(subset=['gain'])
    panels = [
        (known.assign(place=known['spearman'].abs()), '|rank correlation| on shared crystals'),
        (known.assign(place=known['wasserstein']), 'Wasserstein distance of scaled values'),
    ]
    panels = [(rows.dropna(subset=['place']), words) for rows, words in panels]
    if not any(len(rows) for rows, _ in panels):
        raise ValueError('no pair has both a gain and a relation, so there is nothing to draw')
    figure = new_figure(8.4, 4.0)
    grid = figure.subplots(1, 2, sharey=True)
    targets = list(dict.fromkeys(known['target']))
    for axes, (rows, words) in zip(grid, panels, strict=True):
        axes.axhline(0, color='0.5', linewidth=0.9, linestyle='--')
        for number, target in enumerate(targets):
            own = rows[rows['target'] == target]
            axes.plot(
                own['place'],
                own['gain'],
                'osD^vPX'[number % 7],
                color=COLOURS[number % len(COLOURS)],
                markersize=6.5,
                label=target,
            )
        if len(rows) <= _MOST_NAMED:
            _name(axes, rows)
        axes.set_xlabel(words)
        axes.margins(0.12)
        n = len(rows)
        rank = rows['place'].corr(rows['gain'], method='spearman') if n >= _FEWEST else np.nan
        axes.set_title(f'{n} pairs' + (f', rank correlation {rank:.2f}' if np.isfinite(rank) else ''), fontsize=9)
        axes.spines[['top', 'right']].set_visible(False)
    grid[0].set_ylabel(f'gain in {metric} over scratch')
    figure.legend(
        *grid[0].get_legend_handles_labels(), title='target', loc='outside right upper', frameon=False, fontsize=9
    )
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _name(axes: Axes, rows: pd.DataFrame) -> None:
    for row in rows.itertuples():
        axes.annotate(row.source, (row.place, row.gain), xytext=(5, 3), textcoords='offset points', fontsize=7.5)
