"""Scores against those of scikit-learn, and where there are none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from aiida_embarrier.jobs.learning import Scaler
from aiida_embarrier.learning.scores import score, scores_of


def test_as_scikit_learn_has_them():
    random = np.random.default_rng(2)
    values = random.normal(3, 2, 50)
    predictions = values + random.normal(0.5, 1, 50)
    found = score('gap', 'test', values, predictions, width=4.0)
    assert (found.label, found.part, found.n) == ('gap', 'test', 50)
    assert found.mae == pytest.approx(mean_absolute_error(values, predictions))
    assert found.rmse == pytest.approx(mean_squared_error(values, predictions) ** 0.5)
    assert found.r2 == pytest.approx(r2_score(values, predictions))
    assert found.mae_scaled == pytest.approx(found.mae / 4)


def test_worse_than_the_mean():
    assert score('gap', 'test', [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).r2 == pytest.approx(-3)


@pytest.mark.parametrize('values', [[2.0], [2.0, 2.0, 2.0]])
def test_values_without_spread_have_no_r2(values):
    found = score('gap', 'test', values, np.add(values, 1))
    assert (found.r2, found.mae, found.rmse, found.mae_scaled) == (None, 1, 1, None)


def test_each_target_and_part():
    frame = pd.DataFrame(
        [
            ('a', 'gap', 'train', 1.0, 1.5),
            ('b', 'gap', 'test', 2.0, 4.0),
            ('c', 'gap', 'test', None, 9.0),
            ('a', 'modulus', 'train', None, 0.0),
            ('b', 'modulus', 'test', 5.0, 5.0),
        ],
        columns=['name', 'target', 'part', 'value', 'prediction'],
    )
    scalers = [Scaler(label='modulus', property='shear modulus'), Scaler(label='gap', property='gap', width=2.0)]
    found = [(row.label, row.part, row.n, row.mae, row.mae_scaled) for row in scores_of(frame, scalers)]
    assert found == [('modulus', 'test', 1, 0, 0), ('gap', 'train', 1, 0.5, 0.25), ('gap', 'test', 1, 2, 1)]


@pytest.mark.parametrize(
    ('values', 'predictions', 'message'),
    [
        ([1.0, np.nan], [1.0, 1.0], '1 of 2 rows have a value of gap that is not finite'),
        ([1.0, 1.0], [np.inf, np.nan], '2 of 2 rows have a prediction of gap'),
        ([], [], 'have no common score'),
        ([1.0, 2.0], [1.0], 'have no common score'),
    ],
)
def test_what_has_no_score(values, predictions, message):
    with pytest.raises(ValueError, match=message):
        score('gap', 'test', values, predictions)
