"""Predicted against known barriers, with intervals and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.datasets.schema import flags_of
from aiida_embarrier.figures.barrier_tables import validation_name
from aiida_embarrier.figures.parity import draw_identity, scores_text
from aiida_embarrier.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ('barrier_parity',)

#: Absolute errors in eV that the bands around the diagonal show.
_BANDS = (0.1, 0.3)


def barrier_parity(
    predictions: pd.DataFrame, model: str, *, highest: float | None = None, title: str | None = None
) -> Figure:
    """Draw predicted against known barriers of a model, a panel for each validation.

    A row that was predicted with several seeds is drawn once, at the mean; the numbers are those of all predictions.
    Rows that a flag calls unlike those that were learned from are drawn in another colour. The diagonal lies in bands
    of 0.1 and 0.3 eV.

    :param predictions: `model`, `validation`, `name`, `barrier`, `prediction`, and `lower`, `upper` and `flags` where
        there are any.
    :param model: that is shown.
    :param highest: end of the axes in eV; how many rows lie beyond is said, and the scores are those of all. None to
        show all.
    :param title: None for the name of the model.
    :raises ValueError: where there is no prediction of the model.
    """
    own = predictions[predictions['model'] == model]
    if own.empty:
        known = ', '.join(sorted(set(predictions['model'])))
        raise ValueError(f'there is no prediction of the model {model!r}: choose from {known or "none"}')
    validations = list(dict.fromkeys(own['validation']))
    figure = new_figure(0.6 + 3.5 * len(validations), 4.9)
    grid = figure.subplots(1, len(validations), squeeze=False, sharex=True, sharey=True)[0]
    end = highest or 1.04 * float(own[['barrier', 'prediction']].max().max())
    for axes, validation in zip(grid, validations, strict=True):
        rows = own[own['validation'] == validation]
        draw_identity(axes, (0.0, end))
        for band in _BANDS:
            axes.fill_between((0, end), (-band, end - band), (band, end + band), color='0.5', alpha=0.10, lw=0)
        means = _means(rows)
        beyond = int((means[['barrier', 'prediction']].max(axis=1) > end).sum())
        _panel(axes, means)
        axes.set_xlabel('known barrier (eV)' + (f'; {beyond} rows lie beyond' if beyond else ''))
        scored = f'all {len(means)} rows' if beyond else f'n = {len(means)}'
        text = scores_text(rows['barrier'].to_numpy(), rows['prediction'].to_numpy(), 'eV', scored)
        axes.set_title(f'{validation_name(str(validation))}\n{text}', fontsize=8.5)
        axes.spines[['top', 'right']].set_visible(False)
    grid[0].set_ylabel('predicted barrier (eV)')
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if len(handles) > 1:
        figure.legend(handles.values(), handles, loc='outside lower center', ncols=2, frameon=False, fontsize=9)
    figure.suptitle(title or model, fontsize=11)
    return figure


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each row once, with the mean of its predictions, and whether any of them is flagged."""
    flagged = [bool(flags_of(row)) for row in rows[['flags']].to_dict('records')] if 'flags' in rows else False
    numbers = [name for name in ('barrier', 'prediction', 'lower', 'upper') if name in rows]
    grouped = rows.assign(flagged=flagged).groupby('name', sort=False)
    return grouped[numbers].mean().join(grouped['flagged'].any())


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    faint = min(0.4, 0.12 + 20 / len(rows))
    for name, flagged, colour in (('like the training', False, COLOURS[0]), ('flagged', True, COLOURS[1])):
        part = rows[rows['flagged'] == flagged]
        if part.empty:
            continue
        if 'lower' in part:
            axes.vlines(
                part['barrier'], part['lower'], part['upper'], color=colour, linewidth=0.6, alpha=faint, zorder=2
            )
        style: dict[str, Any] = {'color': colour, 'markersize': 3.4, 'alpha': 0.75, 'mew': 0}
        axes.plot(part['barrier'], part['prediction'], 'o', label=name, zorder=3, **style)
