"""Targets become numbers of the size of one, so that one learning rate fits all properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from aiida_embarrier.jobs.learning import Scaler, TrainingSettings

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ('fit_scaler', 'scale', 'unscale')

METHODS = get_args(TrainingSettings.model_fields['scaling'].annotation)


def fit_scaler(
    label: str,
    property: str,  # noqa: A002  (what the schema calls it)
    unit: str | None,
    values: ArrayLike,
    method: str,
    parts: ArrayLike,
) -> Scaler:
    """Return how a target is scaled.

    :param label: short name of the target.
    :param property: what the numbers are.
    :param unit: their unit.
    :param values: the target of each row, NaN where it is not known.
    :param method: `minmax` to [-1, 1] or `standard` (mean 0, standard deviation 1), both fitted on the rows whose part
        is `train`, `none`, or `whole_set`: `minmax` fitted on all rows, those of the test included, as in the
        published models. The scaler says then that it leaks.
    :param parts: part of each row.
    :raises ValueError: where no row can be used, a value is infinite, or all values are the same.
    """
    if method not in METHODS:
        raise ValueError(f'there is no scaling {method!r}: choose from {", ".join(METHODS)}')
    entries = {'label': label, 'property': property, 'unit': unit, 'method': method, 'leaks': method == 'whole_set'}
    if method == 'none':
        return Scaler(**entries)
    known = np.asarray(values, dtype=float)
    if method != 'whole_set':
        known = known[np.asarray(parts) == 'train']
    known = known[~np.isnan(known)]
    if not len(known):
        raise ValueError(f'no training row has a value of {label}, so it cannot be scaled: see the parts of its split')
    if np.isinf(known).any():
        raise ValueError(f'{label} is infinite in a row: leave the row out, or learn its logarithm')
    if method == 'standard':
        centre, width = known.mean(), known.std()
    else:
        low, high = known.min(), known.max()
        centre, width = (low + high) / 2, (high - low) / 2
    if width <= 1e-12 * np.abs(known).max():
        raise ValueError(
            f'all {len(known)} values of {label} that the scaling {method!r} is fitted on are {known[0]:g}: add rows '
            "with other values, or take the scaling 'none'"
        )
    return Scaler(**entries, centre=float(centre), width=float(width))


def scale(scaler: Scaler, values: ArrayLike) -> np.ndarray:
    """Return values in scaled units; NaN stays."""
    return (np.asarray(values, dtype=float) - scaler.centre) / scaler.width


def unscale(scaler: Scaler, values: ArrayLike) -> np.ndarray:
    """Return scaled values in the unit of the target."""
    return np.asarray(values, dtype=float) * scaler.width + scaler.centre
