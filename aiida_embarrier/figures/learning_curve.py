"""How a training went: its losses, its validation error and its learning rate against the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('learning_curve',)


def learning_curve(curve: pd.DataFrame, *, best_epoch: int | None = None, title: str | None = None) -> Figure:
    """Draw losses above, on a logarithmic axis, and the learning rate below.

    :param curve: a row for each epoch, as a training writes it: `epoch`, `lr`, `loss_train`, and `loss_validation` and
        `mae_validation` (scaled units) where there are validation rows.
    :param best_epoch: whose weights the model has; it is marked.
    :raises ValueError: for a curve without epochs.
    """
    if curve.empty:
        raise ValueError('the training ended before its first epoch, so there is no curve to draw')
    figure = new_figure(7.2, 4.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    kinds = {'loss_train': 'loss, training', 'loss_validation': 'loss, validation', 'mae_validation': 'MAE, validation'}
    for (column, label), colour, style in zip(kinds.items(), COLOURS, ('-', '-', '--'), strict=False):
        if column in curve and curve[column].notna().any():
            _line(above, curve, column, label=label, color=colour, linestyle=style)
    if best_epoch is not None:
        above.axvline(best_epoch, color='0.45', linewidth=1.0, linestyle=':', label=f'best epoch: {best_epoch}')
    above.set_yscale('log')
    above.set_ylabel('loss and error (scaled targets)')
    above.legend(frameon=False, fontsize=9)
    broken = int((~np.isfinite(curve['loss_train'].astype(float))).sum())
    if broken:
        where = curve['epoch'][~np.isfinite(curve['loss_train'].astype(float))].iloc[0]
        above.set_title(f'the loss is not finite from epoch {where}', fontsize=9, color=COLOURS[1])
    _line(below, curve, 'lr', color='0.35')
    below.set_ylabel('learning rate')
    below.ticklabel_format(axis='y', style='sci', scilimits=(0, 0))
    below.set_ylim(bottom=0)
    below.set_xlabel('epoch')
    below.xaxis.get_major_locator().set_params(integer=True)
    for axes in (above, below):
        axes.spines[['top', 'right']].set_visible(False)
    figure.suptitle(title or _words(curve), fontsize=11)
    return figure


def _line(axes: Axes, curve: pd.DataFrame, column: str, **style: object) -> None:
    """Draw a column against the epochs; of few epochs with points, for one alone would be no line."""
    marker = 'o' if len(curve) <= 12 else ''
    axes.plot(curve['epoch'], curve[column].astype(float), marker=marker, markersize=4, linewidth=1.4, **style)  # type: ignore[arg-type]


def _words(curve: pd.DataFrame) -> str:
    n = int(curve['epoch'].iloc[-1])
    text = f'{n} epoch' if n == 1 else f'{n} epochs'
    if 'seconds' in curve and len(curve) > 1:
        text += f', {curve["seconds"].median():.3g} s in the median one'
    return text
