"""Intervals hold what they promise: for heavy tails, unequal errors and related rows."""

import json

import numpy as np
import pytest
from scipy.stats import binom

from aiida_embarrier.jobs.barrier_models import highest_coverage
from aiida_embarrier.prediction.intervals import ConformalIntervals, cross_ends, cross_intervals


def heavy_tailed(n, seed, related=1):
    """Barriers, predictions, difficulty and groups; errors are Student's t of 2.5 degrees, and grow with the barrier.

    :param related: rows of a group, which have most of their error in common.
    """
    random = np.random.default_rng(seed)
    groups = np.arange(n) // related
    predicted = random.lognormal(-0.5, 0.8, n)
    difficulty = 0.05 + predicted * random.uniform(0.1, 0.5, n)
    shared = random.standard_t(2.5, groups.max() + 1)[groups]
    errors = 0.9 * shared + 0.1 * random.standard_t(2.5, n) if related > 1 else shared
    return np.maximum(predicted + difficulty * errors, 0.001), predicted, difficulty, groups


def within(hits, n, share, confidence=0.999):
    """Return whether so many hits are likely where each of n is one with this probability."""
    low, high = binom.interval(confidence, n, share)
    return low <= hits <= high


@pytest.mark.parametrize('below', [0.5, 0.2])
@pytest.mark.parametrize('coverage', [0.5, 0.8, 0.9])
def test_coverage_of_new_rows(below, coverage):
    hits, n = 0, 0
    for seed in range(20):
        known, predicted, difficulty, _ = heavy_tailed(400, seed)
        fitted = ConformalIntervals.fit(known[:200], predicted[:200], difficulty[:200], below=below)
        lower, upper = fitted.intervals(predicted[200:], difficulty[200:], coverage)
        hits += int(((lower <= known[200:]) & (known[200:] <= upper)).sum())
        n += 200
    # the calibrations vary, too: by about 1 / sqrt(200) each
    assert abs(hits / n - coverage) < 4 * np.sqrt(coverage * (1 - coverage) * (1 / n + 1 / (20 * 200)))


def test_coverage_of_one_new_row():
    """The promise is for a single row, over calibrations of few rows: at least as often, and hardly more."""
    hits = 0
    for seed in range(400):
        known, predicted, *_ = heavy_tailed(40, seed)
        lower, upper = ConformalIntervals.fit(known[:39], predicted[:39]).intervals(predicted[39:], coverage=0.9)
        hits += int(lower[0] <= known[39] <= upper[0])
    assert within(hits, 400, 0.9)


@pytest.mark.slow
def test_coverage_of_new_families():
    """Families of ten rows that err together: what is calibrated by rows alone promises too much with few families."""
    hits = {'groups': 0, 'rows': 0}
    for seed in range(300):
        known, predicted, difficulty, groups = heavy_tailed(210, seed, related=10)
        for name, labels in (('groups', groups[:200]), ('rows', None)):
            fitted = ConformalIntervals.fit(known[:200], predicted[:200], difficulty[:200], labels, below=0.5)
            lower, upper = fitted.intervals(predicted[200:201], difficulty[200:201], 0.9)
            hits[name] += int(lower[0] <= known[200] <= upper[0])
    assert hits['groups'] >= binom.ppf(0.001, 300, 0.9)
    assert hits['groups'] > hits['rows']


def test_widths_follow_the_difficulty():
    known, predicted, difficulty, _ = heavy_tailed(2000, 3)
    fitted = ConformalIntervals.fit(known, predicted, difficulty)
    assert np.corrcoef(np.log(fitted.scales(predicted, difficulty)), np.log(difficulty))[0, 1] > 0.98
    hard = difficulty > np.median(difficulty)
    lower, upper = fitted.intervals(predicted, difficulty, 0.9)
    inside = (lower <= known) & (known <= upper)
    assert within(int(inside[hard].sum()), int(hard.sum()), 0.9)
    assert within(int(inside[~hard].sum()), int((~hard).sum()), 0.9)
    plain = ConformalIntervals.fit(known, predicted)
    assert np.median(upper - lower) < np.median(np.subtract(*plain.intervals(predicted)[::-1]))


def test_order_statistics_of_the_textbook():
    """Where all rows are as hard, the upper end is the k-th residual with k = ceil((n + 1) (1 - a)), a its own tail."""
    random = np.random.default_rng(0)
    errors = random.normal(0, 0.1, 99)
    ordered = np.sort(errors)
    for below, low, high in ((0.5, 5, 95), (0.3, 3, 93)):
        fitted = ConformalIntervals.fit(3 + errors, np.full(99, 3.0), below=below)
        assert fitted.most_coverage == pytest.approx(highest_coverage(99, below))
        ends = [float(end[0]) for end in fitted.intervals([3.0], coverage=0.9)]
        assert ends == pytest.approx([3 + ordered[low - 1], 3 + ordered[high - 1]])


def test_two_tails():
    random = np.random.default_rng(1)
    known = 2 + random.exponential(0.5, 500)
    fitted = ConformalIntervals.fit(known, np.full(500, 2.0), below=0.4)
    lower, upper = fitted.intervals([2.0], coverage=0.9)
    assert (lower[0], upper[0]) == pytest.approx(2 + np.quantile(known - 2, (0.04, 0.94)), abs=0.1)


def test_no_end_is_below_zero():
    known, predicted, difficulty, _ = heavy_tailed(100, 5)
    lower, upper = ConformalIntervals.fit(known, predicted, difficulty).intervals([-0.4, 0.01], [0.1, 2.0], 0.9)
    assert (lower >= 0).all()
    assert (upper >= lower).all()
    assert upper[1] > 0.5


def test_rows_of_several_seeds_are_no_further_rows():
    """The same rows twice, as two seeds predict them, promise no more than once."""
    known, predicted, difficulty, groups = heavy_tailed(60, 2)
    once = ConformalIntervals.fit(known, predicted, difficulty, groups)
    twice = ConformalIntervals.fit(*(np.tile(array, 2) for array in (known, predicted, difficulty, groups)))
    for first, second in zip(once.intervals([0.5], [0.2], 0.9), twice.intervals([0.5], [0.2], 0.9), strict=True):
        assert first == pytest.approx(second, rel=0.01)
    assert once.most_coverage == pytest.approx(twice.most_coverage) == pytest.approx(1 - 1 / 61 / 0.3)


def test_large_groups_weigh_by_rows_on_request():
    random = np.random.default_rng(4)
    groups = np.r_[np.zeros(200, dtype=int), np.arange(1, 51)]
    errors = np.r_[random.normal(0, 0.02, 200), random.normal(0, 0.5, 50)]
    widths = []
    for by_rows in (False, True):
        fitted = ConformalIntervals.fit(5 + errors, np.full(250, 5.0), groups=groups, by_rows=by_rows)
        widths.append(float(np.subtract(*fitted.intervals([5.0], coverage=0.8)[::-1])[0]))
    assert widths[1] < 0.5 * widths[0]


def test_state():
    known, predicted, difficulty, groups = heavy_tailed(80, 6, related=2)
    fitted = ConformalIntervals.fit(known, predicted, np.stack([difficulty, difficulty**2], axis=1), groups)
    arrays, values = fitted.state()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    again = ConformalIntervals.from_state(arrays, json.loads(json.dumps(values)))
    hard = np.stack([difficulty, difficulty**2], axis=1)
    for one, other in zip(fitted.intervals(predicted, hard), again.intervals(predicted, hard), strict=True):
        assert (one == other).all()


def test_cross_intervals_do_not_see_their_fold():
    known, predicted, difficulty, groups = heavy_tailed(120, 8, related=2)
    folds = groups % 3
    lower, upper = cross_intervals(known, predicted, folds, difficulty, groups, coverage=0.8)
    own = folds == 1
    fitted = ConformalIntervals.fit(known[~own], predicted[~own], difficulty[~own], groups[~own])
    expected = fitted.intervals(predicted[own], difficulty[own], 0.8)
    assert (lower[own] == expected[0]).all()
    assert (upper[own] == expected[1]).all()
    ends = cross_ends(known, predicted, folds, difficulty, groups)
    assert (ends[0.8][0] == lower).all()
    assert (ends[0.8][1] == upper).all()
    # 40 families of the other folds promise at most 1 - 1 / 41 / 0.3
    assert list(ends) == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert max(cross_ends(known, predicted, folds, groups=groups, below=0.5)) == 0.95


def test_coverage_in_cross_validation():
    known, predicted, difficulty, groups = heavy_tailed(3000, 11, related=3)
    ends = cross_ends(known, predicted, groups % 10, difficulty, groups)
    assert len(ends) == 6
    for nominal, (lower, upper) in ends.items():
        assert within(int(((lower <= known) & (known <= upper)).mean() * 1000), 1000, nominal)
    widths = [np.median(upper - lower) for lower, upper in ends.values()]
    assert widths == sorted(widths)


def test_too_few_rows_promise_little():
    fitted = ConformalIntervals.fit([0.3, 0.5, 0.4], [0.4, 0.4, 0.4], below=0.5)
    assert fitted.most_coverage == pytest.approx(0.5)
    assert np.isfinite(fitted.intervals([0.4], coverage=0.5)).all()
    with pytest.raises(ValueError, match=r'0\.9 cannot be promised: 0\.500 is the highest'):
        fitted.intervals([0.4], coverage=0.9)


def test_perfect_predictions():
    lower, upper = ConformalIntervals.fit(np.ones(50), np.ones(50)).intervals([1.0], coverage=0.9)
    assert lower[0] == upper[0] == 1.0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (([1.0], [1.0, 2.0]), 'make no residuals'),
        (([], []), 'make no residuals'),
        (([1.0, np.nan], [1.0, 2.0]), 'not finite'),
        (([1.0, 2.0], [1.0, 2.0], [0.1]), 'each row needs finite numbers from 0'),
        (([1.0, 2.0], [1.0, 2.0], [0.1, -1.0]), 'each row needs finite numbers from 0'),
        (([1.0, 2.0], [1.0, 2.0], None, ['a', None]), '1 labels of groups: each row needs one'),
    ],
)
def test_what_cannot_be_calibrated(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConformalIntervals.fit(*arguments)


def test_difficulties_are_those_of_the_calibration():
    fitted = ConformalIntervals.fit(np.ones(50), np.ones(50))
    with pytest.raises(ValueError, match='1 difficulties of each row, 0 were calibrated'):
        fitted.intervals([1.0], [0.1])
    with pytest.raises(ValueError, match='between 0 and 1'):
        fitted.intervals([1.0], coverage=90)
    with pytest.raises(ValueError, match='got 1 as that of the misses below'):
        ConformalIntervals.fit(np.ones(50), np.ones(50), below=1)


def test_torn_groups_are_refused():
    with pytest.raises(ValueError, match="'a' lies in 2 folds"):
        cross_intervals(np.ones(4), np.ones(4), [0, 1, 0, 1], groups=['a', 'a', 'b', 'c'])
