"""How well predicted barriers agree with known ones, and how sure that is.

An error is the prediction minus the known barrier: positive where a barrier is predicted too high. Intervals come from
two sources that are kept apart. The *bootstrap* draws the rows anew and tells how much a number depends on which paths
happen to be judged; its interval is that between the quantiles of the resamples. *Seeds* tell how much it depends on
chance in splits and training; theirs is Student's t interval of the mean. Seeds share their rows, so theirs alone says
nothing about other rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.jobs.prediction import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = (
    'BUCKETS',
    'CONFIDENCE',
    'METRICS',
    'N_RESAMPLES',
    'THRESHOLDS',
    'BarrierScores',
    'buckets',
    'classification',
    'directions',
    'interval_scores',
    'mean_of_seeds',
    'mean_over_rows',
    'paired_difference',
    'scores',
)

#: Numbers that are estimated, and what they are.
METRICS = {
    'r2': 'coefficient of determination: 1 minus the squared errors over those of the mean of the known barriers',
    'mae_eV': 'mean absolute error',
    'rmse_eV': 'root of the mean squared error',
    'median_ae_eV': 'median absolute error',
    'mean_error_eV': 'mean error: above 0 where barriers are predicted too high',
}

#: Absolute errors in eV between good, fair and bad predictions, as the published work draws them.
BUCKETS = (0.1, 0.3)

#: Barriers in eV below which an ion is taken as mobile: the two thresholds of the published work.
THRESHOLDS = (0.5, 0.65)

CONFIDENCE = 0.95
N_RESAMPLES = 2000

#: Most numbers that a chunk of resamples holds.
_CHUNK = 2_000_000


@dataclass(frozen=True)
class BarrierScores:
    """How predictions agree with known barriers.

    :param n: number of rows.
    :param n_seeds: how often each of them was predicted.
    :param metrics: by the names of :data:`METRICS`, means over the seeds, with bootstrap intervals over rows.
    :param seeds: the same means with t intervals over seeds; empty for a single one.
    :param buckets: see :func:`buckets`.
    :param directions: see :func:`directions`.
    :param classification: see :func:`classification`; one for each threshold.
    :param confidence: of all intervals.
    """

    n: int
    n_seeds: int
    metrics: Mapping[str, Estimate]
    seeds: Mapping[str, Estimate] = field(default_factory=dict)
    buckets: Sequence[Mapping[str, Any]] = ()
    directions: Mapping[str, Any] = field(default_factory=dict)
    classification: Sequence[Mapping[str, Any]] = ()
    confidence: float = CONFIDENCE

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: the metrics by their names, their intervals as pairs, and the rest."""
        found: dict[str, Any] = {'n': self.n, 'n_seeds': self.n_seeds}
        found |= {name: estimate.value for name, estimate in self.metrics.items()}
        found['confidence'] = self.confidence
        found['intervals'] = {name: [one.low, one.high] for name, one in self.metrics.items()}
        if self.seeds:
            found['intervals_over_seeds'] = {name: [one.low, one.high] for name, one in self.seeds.items()}
        found['buckets'] = [dict(bucket) for bucket in self.buckets]
        found['directions'] = dict(self.directions)
        found['classification'] = [dict(one) for one in self.classification]
        return found


def scores(
    barriers: ArrayLike,
    predictions: ArrayLike,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    limits: Sequence[float] = BUCKETS,
    thresholds: Sequence[float] = THRESHOLDS,
) -> BarrierScores:
    """Return how predictions agree with known barriers.

    :param barriers: known, in eV, shape (n,).
    :param predictions: in eV, shape (n,), or (n_seeds, n) where the rows were predicted several times.
    :param n_resamples: number of bootstrap resamples of the rows; every one holds all seeds of the rows that it draws.
    :param seed: of the resamples.
    :param confidence: of the intervals, between 0 and 1.
    :param limits: of the buckets, in eV.
    :param thresholds: of the classification, in eV.
    :raises ValueError: for no rows, shapes that do not fit, and numbers that are not finite.
    """
    known, found = _checked(barriers, predictions)
    if not 0 < confidence < 1 or n_resamples < 1:
        raise ValueError(
            f'a confidence lies between 0 and 1 and takes one resample at least, got {confidence} and {n_resamples}'
        )
    errors = found - known
    each = _metrics(np.broadcast_to(known, errors.shape), errors)
    drawn = _resampled(known, errors, n_resamples, seed)
    return BarrierScores(
        n=len(known),
        n_seeds=len(found),
        metrics={name: _estimate(values.mean(), drawn[name], confidence) for name, values in each.items()},
        seeds={name: mean_of_seeds(values, confidence) for name, values in each.items()} if len(found) > 1 else {},
        buckets=buckets(errors, limits),
        directions=directions(errors, limits[-1] if limits else 0.0),
        classification=[classification(known, found, threshold) for threshold in thresholds],
        confidence=confidence,
    )


def mean_of_seeds(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of what several seeds gave, with Student's t interval; without one for a single seed.

    :param values: one for each seed, shape (n_seeds,).
    """
    from scipy.stats import t

    each = np.asarray(values, dtype=float)
    mean = _plain(each.mean())
    if len(each) < 2 or mean is None:
        return Estimate(value=mean)
    half = float(t.ppf((1 + confidence) / 2, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
    return Estimate(value=mean, low=mean - half, high=mean + half)


def paired_difference(
    errors: ArrayLike,
    others: ArrayLike,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return by how much the mean absolute error of one model exceeds that of another one on the same rows.

    Rows that are hard are hard for both, so that the interval is narrower than those of the two errors suggest.

    :param errors: of the one, in eV, shape (n,) or (n_seeds, n).
    :param others: of the other one, for the same rows; its seeds may be more or fewer.
    """
    one, other = (np.abs(np.atleast_2d(np.asarray(array, dtype=float))).mean(axis=0) for array in (errors, others))
    if one.shape != other.shape:
        raise ValueError(f'{len(one)} and {len(other)} errors are not of the same rows')
    return mean_over_rows(one - other, n_resamples=n_resamples, seed=seed, confidence=confidence)


def mean_over_rows(
    values: ArrayLike, *, n_resamples: int = N_RESAMPLES, seed: int = 0, confidence: float = CONFIDENCE
) -> Estimate:
    """Return the mean of a number of each row, with its bootstrap interval.

    :param values: shape (n,).
    """
    each = np.asarray(values, dtype=float)
    if not each.size:
        return Estimate(value=None)
    drawn = np.concatenate([each[rows].mean(axis=1) for rows in _draws(len(each), n_resamples, seed)])
    return _estimate(each.mean(), drawn, confidence)


def buckets(errors: ArrayLike, limits: Sequence[float] = BUCKETS) -> list[dict[str, Any]]:
    """Count absolute errors up to each limit and above the last one.

    :param errors: in eV, of any shape: where there are several seeds, the predictions of all of them are counted.
    :param limits: in eV, increasing; a limit belongs to the bucket below it.
    :return: `low` and `high` (None above the last limit) in eV, `n` and `fraction`.
    """
    sizes = np.abs(np.asarray(errors, dtype=float)).ravel()
    places = np.searchsorted(np.asarray(limits, dtype=float), sizes, side='left')
    counts = np.bincount(places, minlength=len(limits) + 1)
    edges = [0.0, *(float(limit) for limit in limits), None]
    return [
        {'low': low, 'high': high, 'n': int(count), 'fraction': float(count / max(1, sizes.size))}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def directions(errors: ArrayLike, limit: float = BUCKETS[-1]) -> dict[str, dict[str, Any]]:
    """Return how many barriers are predicted too high and too low, and by how much.

    :param errors: in eV, of any shape.
    :param limit: above which an absolute error counts as large, in eV.
    :return: for `over` and `under` each: `n`, `fraction`, `mae_eV`, and `n_large` and `mae_large_eV` of the large ones;
        None for means of nothing. An error of 0 is neither.
    """
    flat = np.asarray(errors, dtype=float).ravel()
    found = {}
    for name, sizes in (('over', flat[flat > 0]), ('under', -flat[flat < 0])):
        large = sizes[sizes > limit]
        found[name] = {
            'n': len(sizes),
            'fraction': len(sizes) / max(1, flat.size),
            'mae_eV': _plain(sizes.mean()) if len(sizes) else None,
            'n_large': len(large),
            'mae_large_eV': _plain(large.mean()) if len(large) else None,
        }
    return found


def classification(barriers: ArrayLike, predictions: ArrayLike, threshold: float) -> dict[str, Any]:
    """Return how well predictions tell barriers below (<) a threshold from others.

    :param barriers: known, in eV, shape (n,).
    :param predictions: in eV, shape (n,) or (n_seeds, n); those of all seeds are counted.
    :param threshold: in eV.
    :return: `threshold_eV`; the confusion `true_low`, `false_low`, `missed_low`, `true_high`, where low is below the
        threshold; `accuracy`; `precision`, the share of rows predicted low that are; `recall`, the share of low rows
        that are predicted so; `f1`, the harmonic mean of the two. None where a share is one of nothing.
    """
    found = np.asarray(predictions, dtype=float)
    low = np.broadcast_to(np.asarray(barriers, dtype=float) < threshold, found.shape)
    said = found < threshold
    true, false = int((low & said).sum()), int((~low & said).sum())
    missed, high = int((low & ~said).sum()), int((~low & ~said).sum())
    return {
        'threshold_eV': float(threshold),
        'true_low': true,
        'false_low': false,
        'missed_low': missed,
        'true_high': high,
        'accuracy': (true + high) / found.size if found.size else None,
        'precision': true / (true + false) if true + false else None,
        'recall': true / (true + missed) if true + missed else None,
        'f1': 2 * true / (2 * true + false + missed) if true + false + missed else None,
    }


def interval_scores(
    barriers: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, confidence: float = CONFIDENCE
) -> dict[str, Any]:
    """Return how many intervals hold the known barrier, and how wide they are.

    :param barriers: known, in eV, shape (n,).
    :param lower: lower ends in eV, shape (n,).
    :param upper: upper ends in eV, shape (n,).
    :param confidence: of the interval of the coverage, by Wilson's formula as for independent rows; of related rows it
        is too narrow.
    :return: `n`, `coverage`, `coverage_lower`, `coverage_upper`, `n_below` (barriers below their interval), `n_above`,
        `median_width_eV`.
    :raises ValueError: for no rows, and shapes that differ.
    """
    from scipy.stats import binomtest

    known, low, high = (np.asarray(array, dtype=float) for array in (barriers, lower, upper))
    if not known.size or not known.shape == low.shape == high.shape:
        raise ValueError(f'{known.shape} barriers and {low.shape} and {high.shape} ends of intervals do not fit')
    inside = int(((low <= known) & (known <= high)).sum())
    bounds = binomtest(inside, known.size).proportion_ci(confidence, 'wilson')
    return {
        'n': known.size,
        'coverage': inside / known.size,
        'coverage_lower': float(bounds.low),
        'coverage_upper': float(bounds.high),
        'n_below': int((known < low).sum()),
        'n_above': int((known > high).sum()),
        'median_width_eV': float(np.median(high - low)),
    }


def _checked(barriers: ArrayLike, predictions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    known, found = np.asarray(barriers, dtype=float), np.asarray(predictions, dtype=float)
    if known.ndim != 1 or not known.size or found.shape[-1:] != known.shape or not 1 <= found.ndim <= 2:
        raise ValueError(f'barriers of the shape {known.shape} and predictions of {found.shape} have no common score')
    for what, numbers in (('barrier', known), ('prediction', found)):
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            raise ValueError(
                f'{int(wrong.sum())} of {numbers.size} numbers are no {what} (not finite), the first of them of row '
                f'{np.argwhere(wrong)[0][-1]}: leave these rows out and say so'
            )
    return known, np.atleast_2d(found)


def _metrics(known: np.ndarray, errors: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics along the last axis; R² is NaN where all known barriers are the same."""
    sizes, squares = np.abs(errors), errors**2
    spread = ((known - known.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    varies = known.max(axis=-1) > known.min(axis=-1)
    explained = 1 - squares.sum(axis=-1) / np.where(varies, spread, 1.0)
    return {
        'r2': np.where(varies, explained, np.nan),
        'mae_eV': sizes.mean(axis=-1),
        'rmse_eV': np.sqrt(squares.mean(axis=-1)),
        'median_ae_eV': np.median(sizes, axis=-1),
        'mean_error_eV': errors.mean(axis=-1),
    }


def _resampled(known: np.ndarray, errors: np.ndarray, n_resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Return the metrics of each resample, means over the seeds, shape (n_resamples,) each."""
    chunks = []
    for rows in _draws(len(known), n_resamples, seed):
        each = [_metrics(known[rows], one[rows]) for one in errors]
        chunks.append({name: np.mean([one[name] for one in each], axis=0) for name in METRICS})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in METRICS}


def _draws(n: int, n_resamples: int, seed: int) -> list[np.ndarray]:
    """Return numbers of rows, drawn with replacement, one resample a line, in chunks that fit into memory."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // n)
    return [generator.integers(n, size=(min(step, n_resamples - done), n)) for done in range(0, n_resamples, step)]


def _estimate(value: float, drawn: np.ndarray, confidence: float) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(known):
        return Estimate(value=_plain(value))
    low, high = np.quantile(known, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Estimate(value=float(value), low=float(low), high=float(high))


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
