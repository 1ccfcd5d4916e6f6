"""How well predictions agree with what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.jobs.learning import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from aiida_embarrier.jobs.learning import Scaler

__all__ = ('score', 'scores_of')


def score(label: str, part: str, values: ArrayLike, predictions: ArrayLike, width: float | None = None) -> Score:
    """Return how predictions agree with known values.

    R² is 1 minus the sum of squared errors over that of the squared distances of the values from their mean, as in
    scikit-learn: below 0 for predictions that are worse than that mean.

    :param label: of the target.
    :param part: of the rows.
    :param values: what is known, shape (n,).
    :param predictions: of that shape.
    :param width: what the unit of the target is divided by in scaled units; None for no error in those.
    :raises ValueError: for no rows, and for numbers that are not finite.
    """
    known, found = np.asarray(values, dtype=float), np.asarray(predictions, dtype=float)
    if known.shape != found.shape or not known.size:
        raise ValueError(f'{known.shape} values of {label} and {found.shape} predictions have no common score')
    for what, numbers in (('value', known), ('prediction', found)):
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            raise ValueError(f'{int(wrong.sum())} of {known.size} rows have a {what} of {label} that is not finite')
    errors = found - known
    spread = float(((known - known.mean()) ** 2).sum())
    same = bool((known == known[0]).all())
    mae = float(np.abs(errors).mean())
    return Score(
        label=label,
        part=part,
        n=known.size,
        mae=mae,
        rmse=float(np.sqrt((errors**2).mean())),
        r2=None if same else 1.0 - float((errors**2).sum()) / spread,
        mae_scaled=None if width is None else mae / width,
    )


def scores_of(predictions: pd.DataFrame, scalers: Sequence[Scaler]) -> list[Score]:
    """Return the scores of each target and part where values are known.

    :param predictions: a row per row and target with `target`, `part`, `value` and `prediction`, as in
        :data:`~aiida_embarrier.jobs.learning.PREDICTIONS_FILE`.
    :param scalers: of the targets, in the order of the scores.
    """
    known = predictions[predictions['value'].notna()]
    scores = []
    for scaler in scalers:
        own = known[known['target'] == scaler.label]
        for part, rows in own.groupby('part', sort=False):
            scores.append(score(scaler.label, str(part), rows['value'], rows['prediction'], scaler.width))
    return scores
