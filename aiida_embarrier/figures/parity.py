"""Predicted against known values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('draw_identity', 'parity', 'scores_text')

#: Parts in the order in which they are drawn, those that matter most on top, with size and opacity of their points.
_PARTS = {'train': ('0.72', 2.6, 0.5), 'validation': (COLOURS[4], 3.6, 0.7), 'test': (COLOURS[0], 4.4, 0.8)}
_OTHER = (COLOURS[2], 4.0, 0.8)

_PANELS_ACROSS = 3


def parity(
    predictions: pd.DataFrame,
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str | None] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a panel for each target, with mean absolute error and coefficient of determination of the rows that test.

    :param predictions: a row for each row and target, as a training or prediction writes it: `target` (label), `part`,
        `value`, `prediction`, both in the unit of the target. Rows whose value is not known are left out.
    :param names: what the targets are, by their labels.
    :param units: of the targets, by their labels.
    :raises ValueError: where no value is known.
    """
    known = predictions[predictions['value'].notna() & predictions['prediction'].notna()]
    if known.empty:
        raise ValueError('no row has a known value, so there is nothing to compare the predictions with')
    labels = list(dict.fromkeys(known['target']))
    across = min(len(labels), _PANELS_ACROSS)
    down = -(-len(labels) // across)
    # so high that the width limits the square panels: where the height does, the layout cuts off their titles
    figure = new_figure(4.4 if across == 1 else 3.3 * across, (4.9 if across == 1 else 3.9) * down)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, label in zip(grid, labels, strict=False):
        unit = (units or {}).get(label)
        _panel(axes, known[known['target'] == label], (names or {}).get(label, label), unit)
    for axes in grid[len(labels) :]:
        axes.set_axis_off()
    parts = {part: handle for axes in grid for handle, part in zip(*axes.get_legend_handles_labels(), strict=True)}
    if len(parts) > 1:
        figure.legend(parts.values(), parts, loc='outside lower center', ncols=len(parts), frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, name: str, unit: str | None) -> None:
    values, predictions = rows['value'].to_numpy(dtype=float), rows['prediction'].to_numpy(dtype=float)
    low, high = min(values.min(), predictions.min()), max(values.max(), predictions.max())
    margin = 0.04 * ((high - low) or 1.0)
    limits = (low - margin, high + margin)
    draw_identity(axes, limits)
    parts = [*(part for part in _PARTS if (rows['part'] == part).any())]
    parts += [part for part in dict.fromkeys(rows['part']) if part not in _PARTS]
    for part in parts:
        colour, size, opacity = _PARTS.get(part, _OTHER)
        chosen = (rows['part'] == part).to_numpy()
        axes.plot(
            values[chosen], predictions[chosen], 'o', color=colour, markersize=size, alpha=opacity, mew=0, label=part
        )
    ending = '' if unit is None else f' ({unit})'
    axes.set_xlabel(f'known {name}{ending}')
    axes.set_ylabel(f'predicted {name}{ending}')
    shown = 'test' if 'test' in parts else parts[-1]
    chosen = (rows['part'] == shown).to_numpy()
    axes.set_title(f'{shown}, {scores_text(values[chosen], predictions[chosen], unit)}', fontsize=9)
    axes.spines[['top', 'right']].set_visible(False)


def draw_identity(axes: Axes, limits: tuple[float, float]) -> None:
    """Draw the line on which predictions are right, in a square of these limits."""
    axes.plot(limits, limits, color='0.5', linewidth=1.0, linestyle='--', zorder=1)
    axes.set(xlim=limits, ylim=limits, aspect='equal')
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def scores_text(values: np.ndarray, predictions: np.ndarray, unit: str | None, scored: str | None = None) -> str:
    """Return number of rows, mean absolute error and coefficient of determination, where it is defined.

    :param scored: which rows these are; their number unless given.
    """
    mae = np.abs(predictions - values).mean()
    spread = ((values - values.mean()) ** 2).sum()
    text = f'{scored or f"n = {len(values)}"}: MAE {mae:.3g}' + (f' {unit}' if unit else '')
    return text if spread == 0 else f'{text}, R² {1 - ((predictions - values) ** 2).sum() / spread:.3f}'
