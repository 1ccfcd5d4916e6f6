"""Scores of barriers against scikit-learn, against cases told by eye, and against what was recomputed of the paper."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.prediction.scores import (
    buckets,
    classification,
    directions,
    interval_scores,
    mean_of_seeds,
    paired_difference,
    scores,
)


@pytest.fixture(scope='module')
def rows():
    random = np.random.default_rng(7)
    known = random.lognormal(-0.5, 0.8, 200)
    return known, known * random.lognormal(0.05, 0.3, 200)


@pytest.fixture(scope='module')
def published(shared_data):
    return read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame


def test_as_scikit_learn_has_them(rows):
    known, predicted = rows
    found = scores(known, predicted, n_resamples=10).to_dict()
    assert found['r2'] == pytest.approx(metrics.r2_score(known, predicted))
    assert found['mae_eV'] == pytest.approx(metrics.mean_absolute_error(known, predicted))
    assert found['rmse_eV'] == pytest.approx(metrics.root_mean_squared_error(known, predicted))
    assert found['median_ae_eV'] == pytest.approx(metrics.median_absolute_error(known, predicted))
    assert found['mean_error_eV'] == pytest.approx((predicted - known).mean())
    for one in found['classification']:
        low, said = known < one['threshold_eV'], predicted < one['threshold_eV']
        confusion = [one[name] for name in ('true_high', 'false_low', 'missed_low', 'true_low')]
        assert confusion == metrics.confusion_matrix(low, said).ravel().tolist()
        assert one['accuracy'] == pytest.approx(metrics.accuracy_score(low, said))
        assert one['precision'] == pytest.approx(metrics.precision_score(low, said))
        assert one['recall'] == pytest.approx(metrics.recall_score(low, said))
        assert one['f1'] == pytest.approx(metrics.f1_score(low, said))


def test_bootstrap_as_scipy_has_it(rows):
    known, predicted = rows
    found = scores(known, predicted, n_resamples=4000, seed=3).metrics
    for name, statistic in (('mae_eV', np.mean), ('median_ae_eV', np.median)):
        other = stats.bootstrap(
            (np.abs(predicted - known),), statistic, n_resamples=4000, method='percentile', rng=np.random.default_rng(5)
        ).confidence_interval
        width = other.high - other.low
        assert found[name].low == pytest.approx(other.low, abs=0.08 * width)
        assert found[name].high == pytest.approx(other.high, abs=0.08 * width)
    other = stats.bootstrap(
        rows, metrics.r2_score, paired=True, vectorized=False, n_resamples=1000, method='percentile', rng=1
    ).confidence_interval
    assert found['r2'].low == pytest.approx(other.low, abs=0.04)
    assert found['r2'].high == pytest.approx(other.high, abs=0.04)


def test_mean_lies_in_its_interval_as_often_as_promised():
    random = np.random.default_rng(0)
    hits = 0
    for number in range(300):
        errors = random.exponential(0.3, 60) * random.choice([-1, 1], 60)
        found = scores(np.zeros(60), errors, n_resamples=300, seed=number).metrics['mae_eV']
        hits += found.low <= 0.3 <= found.high
    assert 0.88 < hits / 300 < 0.98


def test_same_seed_same_interval(rows):
    first, second, third = (scores(*rows, n_resamples=50, seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == second
    assert first['intervals'] != third['intervals']
    assert {**first, 'intervals': None} == {**third, 'intervals': None}
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_chunks_do_not_matter(rows, monkeypatch):
    whole = scores(*rows, n_resamples=41).to_dict()
    monkeypatch.setattr('aiida_embarrier.prediction.scores._CHUNK', 1700)
    assert scores(*rows, n_resamples=41).to_dict() == whole


def test_several_seeds(rows):
    known, predicted = rows
    several = np.stack([predicted, predicted + 0.1, predicted - 0.2])
    found = scores(known, several, n_resamples=200)
    each = [scores(known, one, n_resamples=1).metrics for one in several]
    for name, estimate in found.metrics.items():
        values = [one[name].value for one in each]
        assert estimate.value == pytest.approx(np.mean(values))
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert (found.seeds[name].low, found.seeds[name].high) == pytest.approx((low, high))
    assert (found.n, found.n_seeds) == (200, 3)
    assert sum(bucket['n'] for bucket in found.buckets) == 600
    assert set(found.to_dict()['intervals_over_seeds']) == set(found.metrics)


def test_one_seed_has_no_interval_over_seeds(rows):
    assert 'intervals_over_seeds' not in scores(*rows, n_resamples=5).to_dict()
    assert mean_of_seeds([0.25]).low is None


def test_one_row():
    found = scores([0.5], [0.7], n_resamples=20)
    assert found.metrics['r2'].value is None
    assert found.metrics['r2'].low is None
    assert found.metrics['mae_eV'].value == found.metrics['mae_eV'].high == pytest.approx(0.2)


def test_buckets_and_directions_by_eye():
    errors = [0.0, 0.1, -0.1, 0.2, -0.3, 0.31, -0.5, -0.7]
    assert [bucket['n'] for bucket in buckets(errors)] == [3, 2, 3]
    assert [(bucket['low'], bucket['high']) for bucket in buckets(errors)] == [(0, 0.1), (0.1, 0.3), (0.3, None)]
    assert [bucket['fraction'] for bucket in buckets(errors)] == [3 / 8, 2 / 8, 3 / 8]
    found = directions(errors)
    assert (found['over']['n'], found['under']['n']) == (3, 4)
    assert (found['over']['n_large'], found['under']['n_large']) == (1, 2)
    assert found['under']['mae_large_eV'] == pytest.approx(0.6)
    assert found['over']['mae_eV'] == pytest.approx(0.61 / 3)
    assert directions([0.0])['over']['mae_eV'] is None


def test_a_threshold_is_not_below_itself():
    found = classification([0.5, 0.4], [0.5, 0.5], 0.5)
    assert [found[name] for name in ('true_low', 'false_low', 'missed_low', 'true_high')] == [0, 0, 1, 1]
    assert (found['precision'], found['recall'], found['accuracy']) == (None, 0, 0.5)


def test_paired_difference_is_surer_than_the_errors(rows):
    known, predicted = rows
    errors = predicted - known
    found = paired_difference(errors * 1.2, np.stack([errors, -errors]))
    assert found.value == pytest.approx(0.2 * np.abs(errors).mean())
    assert 0 < found.low < found.value < found.high
    one = scores(known, predicted).metrics['mae_eV']
    assert found.high - found.low < 0.3 * (one.high - one.low)
    with pytest.raises(ValueError, match='not of the same rows'):
        paired_difference(errors, errors[1:])


def test_intervals_by_eye():
    found = interval_scores([1.0, 2.0, 3.0, 4.0], [1.0, 2.5, 0.0, 0.0], [2.0, 3.0, 2.0, 4.0])
    assert (found['coverage'], found['n_below'], found['n_above'], found['median_width_eV']) == (0.5, 1, 1, 1.5)
    wilson = (0.5 + 1.96**2 / 8 - 1.96 * np.sqrt(0.25 / 4 + 1.96**2 / 64)) / (1 + 1.96**2 / 4)
    assert found['coverage_lower'] == pytest.approx(wilson, abs=1e-4)
    with pytest.raises(ValueError, match='do not fit'):
        interval_scores([1.0], [0.0, 1.0], [2.0])


@pytest.mark.parametrize(
    ('known', 'predicted', 'message'),
    [
        ([1.0, np.nan], [1.0, 1.0], '1 of 2 numbers are no barrier .* row 1'),
        ([1.0, 1.0], [[np.inf, 1.0]], 'are no prediction .* row 0'),
        ([], [], 'no common score'),
        ([1.0, 2.0], [1.0], 'no common score'),
    ],
)
def test_what_has_no_score(known, predicted, message):
    with pytest.raises(ValueError, match=message):
        scores(known, predicted)


def test_confidence_is_a_share(rows):
    with pytest.raises(ValueError, match='between 0 and 1'):
        scores(*rows, confidence=95)


#: Part A.6 of the recomputation of the published models: rows, model, R², mean absolute error.
RECOMPUTED = [
    ('all', 'MODEL-1', 0.562, 0.241),
    ('all', 'MODEL-2', 0.579, 0.218),
    ('all', 'MODEL-3', 0.941, 0.085),
    ('all', 'MODEL-4', 0.834, 0.166),
    ('train', 'MODEL-1', 0.587, 0.222),
    ('train', 'MODEL-2', 0.596, 0.197),
    ('train', 'MODEL-3', 0.974, 0.062),
    ('train', 'MODEL-4', 0.863, 0.148),
    ('validation', 'MODEL-1', 0.402, 0.418),
    ('validation', 'MODEL-2', 0.471, 0.412),
    ('validation', 'MODEL-3', 0.739, 0.293),
    ('validation', 'MODEL-4', 0.656, 0.336),
]


@pytest.mark.parametrize(('part', 'model', 'r2', 'mae'), RECOMPUTED)
def test_published_models(published, part, model, r2, mae):
    """The published validation rows are those numbered 503 to 557; the rows before them trained."""
    jid = published['jid']
    chosen = published[{'all': jid >= 0, 'train': jid < 503, 'validation': (jid >= 503) & (jid <= 557)}[part]]
    found = scores(chosen['barrier'], chosen[f'prediction_{model}'], n_resamples=1).metrics
    assert found['r2'].value == pytest.approx(r2, abs=6e-4)
    assert found['mae_eV'].value == pytest.approx(mae, abs=6e-4)


def test_published_errors(published):
    """Buckets and large errors of MODEL-3 on its 559 rows, as recomputed: 12 of the 19 errors above 0.5 eV are low."""
    errors = published['prediction_MODEL-3'] - published['barrier']
    found = scores(published['barrier'], published['prediction_MODEL-3'], n_resamples=1).metrics
    assert [found[name].value for name in ('rmse_eV', 'median_ae_eV', 'mean_error_eV')] == pytest.approx(
        [0.205, 0.029, -0.017], abs=6e-4
    )
    assert [100 * bucket['fraction'] for bucket in buckets(errors)] == pytest.approx([81.8, 12.3, 5.9], abs=0.06)
    large = directions(errors, 0.5)
    assert (large['under']['n_large'], large['over']['n_large']) == (12, 7)
