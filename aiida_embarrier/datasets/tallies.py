"""Counts and summaries of numbers: by label, in bins of equal width, below thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ('below', 'binned', 'histogram', 'nice_width', 'summary', 'tally')

#: Digits to which a value divided by the width of bins is rounded: 0.3 / 0.1 is a little less than 3.
_DIGITS = 9

#: Most bins that :func:`nice_width` makes: where 98 % of the values lie, and in all.
_MOST_BINS, _MOST_BINS_IN_ALL = 60, 400

#: Most bins of any histogram: with more, one value far out or a width far too small is a mistake.
_LIMIT = 20_000


def summary(values: ArrayLike) -> dict[str, float | int | None]:
    """Return number, extremes, mean, standard deviation (of a sample, n - 1), median and quartiles of numbers.

    Values that are not known (NaN) do not count; without any, and for the deviation of a single one, there is None.
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    found: dict[str, float | int | None] = {'n': len(known)}
    if not len(known):
        return {**found, **dict.fromkeys(('min', 'quartile_1', 'median', 'quartile_3', 'max', 'mean', 'sd'))}
    low, first, middle, third, high = (float(value) for value in np.quantile(known, (0, 0.25, 0.5, 0.75, 1)))
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    return {
        **found,
        'min': low,
        'quartile_1': first,
        'median': middle,
        'quartile_3': third,
        'max': high,
        'mean': float(known.mean()),
        'sd': deviation,
    }


def tally(frame: pd.DataFrame, label: str, value: str) -> pd.DataFrame:
    """Count the rows of a table by a label, the most frequent first; rows without the label come last.

    :return: columns `label`, `n`, `fraction` of all rows, and `min`, `median`, `mean`, `max` of the value.
    """
    known = frame[frame[label].notna()]
    table = _describe(known.groupby(known[label].astype('string'))[value], len(frame))
    table = table.sort_values(['n', label], ascending=[False, True], ignore_index=True)
    rest = frame[frame[label].isna()]
    if len(rest):
        nowhere = _describe(rest.groupby(np.zeros(len(rest)))[value], len(frame))
        nowhere.insert(0, label, pd.array([pd.NA], dtype='string'))
        table = pd.concat([table, nowhere[table.columns]], ignore_index=True) if len(table) else nowhere[table.columns]
    return table.astype({label: 'string'})


def binned(frame: pd.DataFrame, column: str, value: str, width: float) -> pd.DataFrame:
    """Count the rows of a table in bins of a column, low <= x < high, as far as it is known.

    :return: columns `low`, `high`, `n`, `fraction` of all rows, and `min`, `median`, `mean`, `max` of the value.
    """
    known = frame[frame[column].notna()]
    table = _describe(known.groupby(_bins(known[column], width))[value], len(frame))
    numbers = table.pop(column)
    table.insert(0, 'low', _edges(numbers, width))
    table.insert(1, 'high', _edges(numbers + 1, width))
    return table


def histogram(values: ArrayLike, width: float) -> pd.DataFrame:
    """Count numbers in bins of equal width, low <= x < high, whose edges are multiples of the width; none is left out.

    :return: columns `low`, `high`, `n` and `fraction`; bins between the extremes are there where they are empty, too.
    :raises ValueError: for a width that is not positive, and where there would be too many bins.
    """
    if not width > 0 or not np.isfinite(width):
        raise ValueError(f'the width of a bin is a positive number, got {width}')
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return pd.DataFrame({'low': [0.0], 'high': [float(width)], 'n': [0], 'fraction': [0.0]})
    if (known.max() - known.min()) / width > _LIMIT:
        raise ValueError(
            f'values from {known.min():g} to {known.max():g} make more than {_LIMIT} bins of {width:g}: take wider '
            'ones, or mend the values (is one in another unit?)'
        )
    places = _bins(pd.Series(known), width).to_numpy()
    numbers = np.arange(places.min(), places.max() + 1)
    counts = np.bincount(places - places.min())
    return pd.DataFrame(
        {
            'low': _edges(pd.Series(numbers), width),
            'high': _edges(pd.Series(numbers + 1), width),
            'n': counts.astype('int64'),
            'fraction': counts / len(known),
        }
    )


def below(values: ArrayLike, thresholds: Sequence[float]) -> pd.DataFrame:
    """Count the numbers below (<) each threshold.

    :return: columns `threshold`, `n` and `fraction`.
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    counts = np.array([(known < threshold).sum() for threshold in thresholds], dtype='int64')
    return pd.DataFrame(
        {'threshold': np.asarray(thresholds, dtype=float), 'n': counts, 'fraction': counts / max(len(known), 1)}
    )


def nice_width(values: ArrayLike) -> float:
    """Return a width of bins that is 1, 2, 2.5 or 5 times a power of ten.

    It is the next one above that of Freedman and Diaconis (numpy's `fd`), but makes no more than 60 bins where 98 % of
    the values lie, and 400 in all: the tail of a property would make thousands.
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known) or known.min() == known.max():
        return 1.0
    low, high = np.quantile(known, (0.01, 0.99))
    most = max((high - low) / _MOST_BINS, (known.max() - known.min()) / _MOST_BINS_IN_ALL)
    spacing = np.subtract(*np.quantile(known, (0.75, 0.25))) * 2 / len(known) ** (1 / 3)
    wanted = float(max(most, spacing))
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= wanted * (1 - 1e-9)))


def _bins(values: pd.Series, width: float) -> pd.Series:
    return np.floor(np.round(values.astype(float) / width, _DIGITS)).astype('int64')


def _edges(numbers: pd.Series, width: float) -> np.ndarray:
    # 3 * 0.1 is a little more than 0.3
    return np.round(np.asarray(numbers, dtype=float) * width, 12)


def _describe(groups: pd.api.typing.SeriesGroupBy, n_rows: int) -> pd.DataFrame:
    table = groups.agg(n='size', min='min', median='median', mean='mean', max='max').reset_index()
    table.insert(table.columns.get_loc('n') + 1, 'fraction', table['n'] / max(n_rows, 1))
    return table.astype({'n': 'int64'})
