"""Scores of predictions as worked out by hand; flagged rows count, and rows without numbers do not."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.prediction.evaluating import evaluation


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            'name': list('abcdef'),
            'barrier': [0.2, 0.4, 0.6, 0.8, np.nan, 0.5],
            'prediction': [0.25, 0.2, 0.6, 1.2, 0.3, np.nan],
            'lower': [0.1, 0.1, 0.5, 0.9, 0.1, np.nan],
            'upper': [0.4, 0.3, 0.7, 1.4, 0.5, np.nan],
            'flags': ['[]', '[]', '[]', '["long_hop"]', '[]', '[]'],
        }
    )


def test_by_hand(table):
    found = evaluation(table, nominal_coverage=0.9)
    assert found['n'] == 4
    assert found['mae_eV'] == pytest.approx(0.65 / 4)
    assert found['median_ae_eV'] == pytest.approx(0.125)
    assert found['rmse_eV'] == pytest.approx(np.sqrt((0.05**2 + 0.2**2 + 0.4**2) / 4))
    assert found['r2'] == pytest.approx(1 - (0.05**2 + 0.2**2 + 0.4**2) / 0.2)
    low, high = found['intervals']['mae_eV']
    assert 0 < low < found['mae_eV'] < high < 0.4
    assert [bucket['n'] for bucket in found['buckets']] == [2, 1, 1]
    assert (found['coverage'], found['n_below'], found['n_above']) == (0.5, 1, 1)
    assert found['nominal_coverage'] == 0.9
    assert found['n_flagged'] == 1
    assert found['unflagged']['n'] == 3
    assert found['unflagged']['mae_eV'] == pytest.approx(0.25 / 3)


def test_without_intervals_and_flags(table):
    table['flags'] = '[]'
    found = evaluation(table)
    assert found['coverage'] is None
    assert found['unflagged'] is None
    assert evaluation(table.iloc[:1])['r2'] is None
    with pytest.raises(ValueError, match='nothing to score'):
        evaluation(table.iloc[4:])
