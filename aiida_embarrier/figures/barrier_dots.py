"""Numbers of predicted barriers with their confidence intervals, side by side: of models, and by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.barrier_tables import LABELS, validation_name
from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('METRICS', 'errors_by_label', 'model_comparison')

#: What can be compared: what readers call it, and whether more is better.
METRICS = {
    'mae_eV': ('mean absolute error (eV)', False),
    'median_ae_eV': ('median absolute error (eV)', False),
    'rmse_eV': ('root mean squared error (eV)', False),
    'r2': ('R²', True),
    'coverage': ('coverage of the intervals', True),
    'kendall_tau': ('Kendall’s τ within crystals', True),
    'lowest_found': ('share of crystals whose lowest path is found', True),
    'excess_eV': ('barrier above the lowest of the crystal (eV)', False),
}

_WORDS = {**LABELS, 'scenario': 'what is new', 'flag': 'flag'}
_SCENARIOS = {'A': 'A: path', 'B': 'B: composition', 'C': 'C: chemistry'}


def model_comparison(
    table: pd.DataFrame,
    metric: str = 'mae_eV',
    *,
    references: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a number of several models, each validation in its colour, with the intervals that the table has.

    Models are in the order of the last validation, the best on top. Where all rows of a validation have the same value
    by chance (the column `by_chance`), it is drawn as a dashed line.

    :param table: `model`, `validation`, the metric, and the ends of its interval with `_low` and `_high`, as the tables
        `comparison` and `discrimination` of an analysis have them.
    :param metric: one of :data:`METRICS`.
    :param references: values to compare with, by what they are, drawn as lines.
    :param title: None for none.
    :raises ValueError: for another metric, and where no model has a value.
    """
    if metric not in METRICS:
        raise ValueError(f'there is no metric {metric!r}: choose from {", ".join(METRICS)}')
    known = table[table[metric].notna()]
    if known.empty:
        raise ValueError(f'no model has a value of {metric}')
    name, more_is_better = METRICS[metric]
    validations = list(dict.fromkeys(known['validation']))
    grid = known.pivot(index='model', columns='validation', values=metric)[validations]
    order = list(grid.sort_values(validations[::-1], ascending=not more_is_better, kind='stable').index)
    figure = new_figure(6.4, 1.4 + 0.24 * len(order) * max(1.0, 0.55 * len(validations)))
    axes = figure.subplots()
    _dots(axes, known, 'model', order, metric)
    axes.set_yticks(range(len(order)), order)
    if 'n_hosts' in known:
        low, high = known['n_hosts'].min(), known['n_hosts'].max()
        name = f'{name} ({low if low == high else f"{low}–{high}"} crystals)'
    axes.set_xlabel(name)
    for number, (what, value) in enumerate((references or {}).items()):
        axes.axvline(value, color='0.35', linewidth=1.0, linestyle=(0, (2 + 2 * number, 2)), label=what, zorder=1)
    if 'by_chance' in known:
        axes.axvline(
            known['by_chance'].mean(), color='0.35', linewidth=1.0, linestyle='--', label='by chance', zorder=1
        )
    _finish(axes, known[metric], metric)
    if title:
        axes.set_title(title, loc='left', fontsize=11)
    return figure


def errors_by_label(table: pd.DataFrame, label: str, model: str, *, title: str | None = None) -> Figure:
    """Draw mean absolute errors of a model by a label, each validation in its colour, with their intervals.

    A bar across marks the median absolute error: where it is much smaller than the mean, few rows make most of the
    error. Numbers of rows stand behind the labels, the fewest and the most where validations differ.

    :param table: `by_...` of an analysis.
    :param label: name of the column with the labels.
    :param model: that is shown.
    :param title: None for one that says the label.
    :raises ValueError: where the table has no row of the model.
    """
    own = table[table['model'] == model]
    if own.empty:
        raise ValueError(f'the table has no model {model!r}: choose from {", ".join(sorted(set(table["model"])))}')
    order = list(dict.fromkeys(own[label]))
    if label == 'scenario':
        order = sorted(order)
    validations = list(dict.fromkeys(own['validation']))
    figure = new_figure(6.4, 1.3 + len(order) * (0.12 + 0.11 * len(validations)))
    axes = figure.subplots()
    _dots(axes, own, label, order, 'mae_eV', mark='median_ae_eV')
    counts = own.groupby(label)['n'].agg(['min', 'max'])
    numbers = {one: f'{low}' if low == high else f'{low}–{high}' for one, low, high in counts.itertuples()}
    texts = [f'{_SCENARIOS.get(one, one) if label == "scenario" else _plain(one)} ({numbers[one]})' for one in order]
    axes.set_yticks(range(len(order)), texts, fontsize=8 if len(order) > 12 else 9)
    of_all = '' if (counts['min'] == counts['max']).all() else ', fewest–most of the validations'
    axes.set_xlabel(f'absolute error (eV): dots mean, ticks median\nin brackets: number of rows{of_all}')
    _finish(axes, own['mae_eV'], 'mae_eV')
    axes.set_title(title or f'{model}: errors by {_WORDS.get(label, label.replace("_", " "))}', loc='left', fontsize=11)
    return figure


def _plain(label: str) -> str:
    return label.capitalize() if label.isupper() and len(label) > 5 else label.replace('_', ' ')


def _dots(
    axes: Axes, table: pd.DataFrame, label: str, order: Sequence[str], value: str, mark: str | None = None
) -> None:
    """Draw a row of dots and intervals for each validation, a little above each other."""
    validations = list(dict.fromkeys(table['validation']))
    if len(validations) > len(COLOURS):
        raise ValueError(f'{len(validations)} validations are too many for one figure: show at most {len(COLOURS)}')
    for number, validation in enumerate(validations):
        own = table[table['validation'] == validation].set_index(label).reindex(list(order))
        places = np.arange(len(order)) + (number - (len(validations) - 1) / 2) * 0.6 / len(validations)
        colour = COLOURS[number]
        if f'{value}_low' in own:
            axes.hlines(places, own[f'{value}_low'], own[f'{value}_high'], color=colour, linewidth=1.3, alpha=0.75)
        name = validation_name(str(validation))
        axes.plot(own[value], places, 'o', color=colour, markersize=4.5, mew=0, label=name, zorder=3)
        if mark is not None:
            axes.plot(own[mark], places, '|', color=colour, markersize=6, mew=1.4, zorder=3)
    axes.set_ylim(len(order) - 0.4, -0.6)


def _finish(axes: Axes, values: pd.Series, metric: str) -> None:
    if not METRICS[metric][1]:
        axes.set_xlim(left=0)
    elif metric == 'lowest_found':
        axes.set_xlim(0, 1.02)
    elif metric == 'r2':
        axes.set_xlim(left=max(axes.get_xlim()[0], min(-0.3, float(values.min()) - 0.1)), right=1)
    axes.grid(axis='x', color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis='y', length=0)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(frameon=False, fontsize=8, loc='upper left', bbox_to_anchor=(1.0, 1.0))
