"""Intervals that hold the barrier as often as they promise, also of crystals unlike those that were learned from.

Conformal prediction takes the errors that a model made on rows it had not seen as a sample of those that it will make.
It assumes no distribution: barriers have heavy tails, and so have their errors. Three things are done to it here.

*Local scale.* Errors grow with the barrier and with the disagreement between the members of an ensemble. Residuals are
divided by a scale that depends on both (J. Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018), section 5.2,
doi:10.1080/01621459.2017.1307116) and is fitted as that of a Laplace distribution, whose logarithm is linear in those
of the predicted barrier and the difficulties.

*Two tails.* The lower and the upper end have quantiles of their own. Barriers are more often far above their prediction
than far below, and no end is below 0, so that intervals get narrower where fewer of the barriers that they miss lie
below. With extremely randomised trees on the published rows (family folds, coverage of 90 %) the median width was
1.29 eV for equal tails, and 1.17, 1.15 and 1.18 eV with 30, 15 and 8 % of the misses below; the interval score, which
punishes a miss by its distance (T. Gneiting, A. E. Raftery, J. Am. Stat. Assoc. 102, 359 (2007)), was best for 30 %.

*Groups.* Rows of one family of crystals err together, and are no independent sample. Each family gets the same weight,
whatever the number of its rows, and the correction for a finite sample counts families. The promise is then that of
hierarchical conformal prediction (Y. Lee, R. F. Barber, R. Willett, arXiv:2306.06342): a row drawn from a family that
is as new as any lies inside its interval at least as often as asked for.

Residuals of cross-validation are used, so that no row is lost to calibration. The model that predicts in the end has
seen more rows than those that made the residuals, and errs, if anything, less. As the scale is fitted to the same
residuals, the theorem does not hold to the letter: what counts is the coverage that was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.jobs.barrier_models import BELOW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import ArrayLike

__all__ = ('COVERAGES', 'ConformalIntervals', 'cross_ends', 'cross_intervals')

#: Coverages that are measured beside the one that is asked for.
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

#: Added in eV to barriers and difficulties before their logarithm is taken, so that it has no pole at 0.
_BARRIER_OFFSET, _DIFFICULTY_OFFSET = 0.1, 1e-3
#: Added in eV to absolute residuals: a perfect prediction does not make the scale 0.
_RESIDUAL_OFFSET = 1e-3
#: Share of the calibration rows below which a logarithm is cut off: no row is taken for easier than these.
_EASIEST = 0.01
#: Weight of the squared slopes beside the mean log-likelihood.
_RIDGE = 1e-3


@dataclass(frozen=True)
class ConformalIntervals:
    """Intervals around predicted barriers.

    :param residuals: barriers minus predictions divided by their scales, increasing, shape (n,).
    :param weights: of the residuals; their sum is K / (K + 1) with K groups, the rest is that of the new group.
    :param slopes: logarithm of the scale in eV where all logarithms are at their centre, and its slopes along those of
        the predicted barrier and each difficulty, shape (1 + m,).
    :param centres: of the logarithms, shape (m,).
    :param lowest: values below which they are cut off, shape (m,).
    :param below: share of the missed barriers that are to lie below their intervals.
    """

    residuals: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    slopes: np.ndarray
    centres: np.ndarray
    lowest: np.ndarray
    below: float = BELOW

    @classmethod
    def fit(
        cls,
        barriers: ArrayLike,
        predictions: ArrayLike,
        difficulty: ArrayLike | None = None,
        groups: Sequence[str] | np.ndarray | None = None,
        *,
        below: float = BELOW,
        by_rows: bool = False,
    ) -> Self:
        """Return intervals that are calibrated on predictions of rows that the model had not seen.

        :param barriers: known, in eV, shape (n,). A row may be there several times, with predictions of several seeds,
            where `groups` keep it together.
        :param predictions: in eV, of shape (n,).
        :param difficulty: numbers from 0 that grow with the error to be expected, such as the spread of an ensemble in
            eV, shape (n,) or (n, k) for k of them.
        :param groups: a label for each row; rows with the same one are related. None where all are independent.
        :param below: share of the missed barriers that are to lie below their intervals, between 0 and 1.
        :param by_rows: whether all rows weigh the same rather than all groups. Coverage then is that of the mean row,
            for which large families count more, and is not promised but measured.
        :raises ValueError: for no rows, shapes that do not fit, numbers that are not finite, and difficulties below 0.
        """
        if not 0 < below < 1:
            raise ValueError(f'a share lies between 0 and 1, got {below} as that of the misses below')
        known, found = np.asarray(barriers, dtype=float), np.asarray(predictions, dtype=float)
        if known.ndim != 1 or not known.size or known.shape != found.shape:
            raise ValueError(f'{known.shape} barriers and {found.shape} predictions make no residuals')
        if not (np.isfinite(known).all() and np.isfinite(found).all()):
            raise ValueError('some barriers or predictions are not finite: leave these rows out of the calibration')
        logarithms = _logarithms(found, difficulty)
        codes = np.arange(len(known)) if groups is None else pd.factorize(np.asarray(groups))[0]
        if len(codes) != len(known) or (codes < 0).any():
            raise ValueError(f'{len(known)} rows have {int((codes >= 0).sum())} labels of groups: each row needs one')
        sizes = np.bincount(codes)
        weights = (1 / len(codes) if by_rows else 1 / (len(sizes) * sizes[codes])) * np.ones(len(codes))
        lowest = np.quantile(logarithms, _EASIEST, axis=0)
        cut = np.maximum(logarithms, lowest)
        centres = np.average(cut, axis=0, weights=weights)
        slopes = _laplace_scale(cut - centres, np.abs(known - found) + _RESIDUAL_OFFSET, weights)
        residuals = (known - found) / np.exp(slopes[0] + (cut - centres) @ slopes[1:])
        order = np.argsort(residuals, kind='stable')
        shrunk = weights[order] * len(sizes) / (len(sizes) + 1)
        return cls(residuals[order], shrunk, slopes, centres, lowest, below)

    @property
    def most_coverage(self) -> float:
        """The highest coverage that so few groups can promise."""
        return 1 - (1 - float(self.weights.sum())) / min(self.below, 1 - self.below)

    def scales(self, predictions: ArrayLike, difficulty: ArrayLike | None = None) -> np.ndarray:
        """Return the scale of the error of each prediction in eV, shape (n,).

        :raises ValueError: where there are more or fewer difficulties than in the calibration.
        """
        logarithms = _logarithms(np.asarray(predictions, dtype=float), difficulty)
        if logarithms.shape[1] != len(self.centres):
            raise ValueError(
                f'{logarithms.shape[1] - 1} difficulties of each row, {len(self.centres) - 1} were calibrated with'
            )
        scales: np.ndarray = np.exp(
            self.slopes[0] + (np.maximum(logarithms, self.lowest) - self.centres) @ self.slopes[1:]
        )
        return scales

    def intervals(
        self, predictions: ArrayLike, difficulty: ArrayLike | None = None, coverage: float = 0.9
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and the upper ends in eV, shape (n,) each; none is below 0.

        :param predictions: in eV, shape (n,).
        :param difficulty: as in the calibration.
        :param coverage: share of the barriers that are to lie inside.
        :raises ValueError: where the calibration has too few groups for this coverage.
        """
        low, high = self._quantiles(coverage)
        found, scales = np.asarray(predictions, dtype=float), self.scales(predictions, difficulty)
        return np.maximum(0.0, found + low * scales), np.maximum(0.0, found + high * scales)

    def _quantiles(self, coverage: float) -> tuple[float, float]:
        if not 0 < coverage < 1:
            raise ValueError(f'a coverage lies between 0 and 1, got {coverage}')
        if coverage > self.most_coverage + 1e-12:
            raise ValueError(
                f'a coverage of {coverage:g} cannot be promised: {max(0.0, self.most_coverage):.3f} is the highest '
                'that the groups of the calibration allow; ask for less, or calibrate with more groups'
            )
        missed = 1 - coverage
        low = -_quantile(-self.residuals[::-1], self.weights[::-1], 1 - missed * self.below)
        return low, _quantile(self.residuals, self.weights, 1 - missed * (1 - self.below))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned: arrays, and plain values beside them."""
        names = ('residuals', 'weights', 'slopes', 'centres', 'lowest')
        return {name: getattr(self, name) for name in names}, {'below': self.below}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the intervals of such a state."""
        return cls(**arrays, below=float(values['below']))


def cross_intervals(
    barriers: ArrayLike,
    predictions: ArrayLike,
    folds: ArrayLike,
    difficulty: ArrayLike | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    *,
    coverage: float = 0.9,
    below: float = BELOW,
    by_rows: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return intervals of the rows of each fold that are calibrated on those of the other folds.

    What they come to shows what intervals of new rows are worth: with folds of whole families, of new families.

    :param barriers: known, in eV, shape (n,).
    :param predictions: in eV, each of a model that has not seen the fold of its row, shape (n,).
    :param folds: a label for each row.
    :param difficulty: see :meth:`ConformalIntervals.fit`, and so are the others.
    :return: lower and upper ends in eV, shape (n,) each.
    :raises ValueError: see there; also where a group lies in several folds.
    """
    known, found = np.asarray(barriers, dtype=float), np.asarray(predictions, dtype=float)
    calibrated = _calibrated(known, found, folds, difficulty, groups, {'below': below, 'by_rows': by_rows})
    return _judged(calibrated, found, difficulty, coverage)


def cross_ends(
    barriers: ArrayLike,
    predictions: ArrayLike,
    folds: ArrayLike,
    difficulty: ArrayLike | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    *,
    coverages: Sequence[float] = COVERAGES,
    below: float = BELOW,
    by_rows: bool = False,
) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Return what :func:`cross_intervals` does for each of several coverages, by these.

    :param coverages: that are asked for; those that so few groups cannot promise are left out.
    """
    known, found = np.asarray(barriers, dtype=float), np.asarray(predictions, dtype=float)
    calibrated = _calibrated(known, found, folds, difficulty, groups, {'below': below, 'by_rows': by_rows})
    most = min(intervals.most_coverage for _, intervals in calibrated)
    return {float(one): _judged(calibrated, found, difficulty, one) for one in coverages if one <= most}


def _calibrated(
    known: np.ndarray,
    found: np.ndarray,
    folds: ArrayLike,
    difficulty: ArrayLike | None,
    groups: Sequence[str] | np.ndarray | None,
    options: Mapping[str, Any],
) -> list[tuple[np.ndarray, ConformalIntervals]]:
    """Return which rows each fold holds, and intervals that are calibrated on all others."""
    labels = np.asarray(folds)
    related = None if groups is None else np.asarray(groups)
    if related is not None:
        torn = pd.DataFrame({'group': related, 'fold': labels}).groupby('group')['fold'].nunique()
        if (torn > 1).any():
            raise ValueError(
                f'the group {torn.idxmax()!r} lies in {torn.max()} folds, so its rows would be calibrated with each '
                'other: use the groups that the folds keep together'
            )
    hard = None if difficulty is None else np.asarray(difficulty, dtype=float)
    calibrated = []
    for label in np.unique(labels):
        rest = labels != label
        calibrated.append(
            (
                ~rest,
                ConformalIntervals.fit(
                    known[rest],
                    found[rest],
                    None if hard is None else hard[rest],
                    None if related is None else related[rest],
                    **options,
                ),
            )
        )
    return calibrated


def _judged(
    calibrated: Sequence[tuple[np.ndarray, ConformalIntervals]],
    found: np.ndarray,
    difficulty: ArrayLike | None,
    coverage: float,
) -> tuple[np.ndarray, np.ndarray]:
    hard = None if difficulty is None else np.asarray(difficulty, dtype=float)
    lower, upper = np.empty(len(found)), np.empty(len(found))
    for own, intervals in calibrated:
        lower[own], upper[own] = intervals.intervals(found[own], None if hard is None else hard[own], coverage)
    return lower, upper


def _logarithms(predictions: np.ndarray, difficulty: ArrayLike | None) -> np.ndarray:
    """Return the logarithms that the scale depends on, shape (n, 1 + k)."""
    columns = [np.log(np.maximum(predictions, 0.0) + _BARRIER_OFFSET)]
    if difficulty is not None:
        hard = np.asarray(difficulty, dtype=float)
        hard = hard[:, None] if hard.ndim == 1 else hard
        if hard.shape[:1] != predictions.shape or not (np.isfinite(hard) & (hard >= 0)).all():
            raise ValueError(
                f'difficulties of the shape {hard.shape} for {len(predictions)} predictions: each row needs finite '
                'numbers from 0'
            )
        columns += list(np.log(hard.T + _DIFFICULTY_OFFSET))
    return np.stack(columns, axis=1)


def _laplace_scale(logarithms: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return constant and slopes of the logarithm of the scale of a Laplace distribution by maximum likelihood.

    The mean of η + |r| exp(-η) is convex in the slopes of η.

    :param logarithms: centred, shape (n, m).
    :param sizes: absolute residuals, above 0, shape (n,).
    """
    from scipy.optimize import minimize

    design = np.column_stack([np.ones(len(sizes)), logarithms])
    penalty = np.r_[0.0, np.full(logarithms.shape[1], _RIDGE)]

    def loss(slopes: np.ndarray) -> tuple[float, np.ndarray]:
        eta = np.clip(design @ slopes, -50, 50)
        ratio = sizes * np.exp(-eta)
        value = float(weights @ (eta + ratio) + penalty @ slopes**2)
        return value, design.T @ (weights * (1 - ratio)) + 2 * penalty * slopes

    start = np.r_[np.log(np.average(sizes, weights=weights)), np.zeros(logarithms.shape[1])]
    slopes: np.ndarray = minimize(loss, start, jac=True, method='BFGS', options={'gtol': 1e-8}).x
    return slopes


def _quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """Return the smallest of increasing values below or at which lies this share of the weight."""
    place = int(np.searchsorted(np.cumsum(weights), level - 1e-12))
    return float(values[min(place, len(values) - 1)])
