"""How paths of one crystal are told apart: against scipy, and in cases told by eye."""

import numpy as np
import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of
from scipy.stats import kendalltau

from aiida_embarrier.prediction.discrimination import discrimination, discrimination_of_hosts


def one_host(known, predicted, least_difference=0.05):
    names = [f'X_{number}' for number in range(len(known))]
    frame = pd.DataFrame({'name': names, 'host_group': 'X_0', 'ion': 'Li', 'barrier': known})
    predictions = pd.DataFrame({'model': 'm', 'validation': 'random', 'seed': 0, 'name': names})
    predictions = predictions.assign(barrier=known, prediction=predicted)
    return discrimination_of_hosts(predictions, frame, least_difference=least_difference)


def test_by_eye():
    row = one_host([0.2, 0.5, 0.9], [0.4, 0.3, 1.0]).iloc[0]
    assert (row['n_paths'], row['n_pairs'], row['host'], row['ion']) == (3, 3, 'X_0', 'Li')
    assert row['ordered'] == pytest.approx(2 / 3)
    assert row['kendall_tau'] == pytest.approx(1 / 3)
    assert (row['lowest_found'], row['by_chance']) == (0, pytest.approx(1 / 3))
    assert row['excess_eV'] == pytest.approx(0.3)
    assert row['spread_eV'] == pytest.approx(0.7)


def test_equal_predictions_are_guesses():
    row = one_host([0.2, 0.5, 0.9, 0.2], [0.4] * 4).iloc[0]
    assert np.isnan(row['kendall_tau'])
    assert (row['ordered'], row['lowest_found'], row['by_chance']) == (0.5, 0.5, 0.5)
    assert row['excess_eV'] == pytest.approx(0.25)


def test_small_differences_are_no_order():
    row = one_host([0.20, 0.22, 0.9], [0.3, 0.2, 1.0]).iloc[0]
    assert (row['n_pairs'], row['ordered']) == (2, 1)
    row = one_host([0.20, 0.22], [0.3, 0.2]).iloc[0]
    assert row['n_pairs'] == 0
    assert np.isnan(row['ordered'])
    assert one_host([0.20, 0.22], [0.3, 0.2], least_difference=0.01).iloc[0]['ordered'] == 0


def test_equal_barriers_and_single_paths_do_not_count():
    assert one_host([0.3, 0.3], [0.1, 0.2]).empty
    assert one_host([0.3], [0.1]).empty


def test_kendall_tau_as_scipy_has_it():
    random = np.random.default_rng(0)
    for _ in range(30):
        known, found = random.integers(1, 6, 7) / 10, random.integers(1, 6, 7) / 10
        expected = kendalltau(known, found).statistic
        assert one_host(known, found)['kendall_tau'].iloc[0] == pytest.approx(expected, nan_ok=True)


def test_models_side_by_side():
    frame = predicted_rows()
    predictions = predictions_of(frame)
    hosts = discrimination_of_hosts(predictions, frame)
    assert len(hosts) == 2 * 2 * 2 * frame['host_group'].nunique()
    table = discrimination(hosts).set_index(['model', 'validation'])
    for validation in ('random', 'host_group'):
        good, flat = table.loc[('trees', validation)], table.loc[('median', validation)]
        assert good['kendall_tau_low'] <= good['kendall_tau'] <= good['kendall_tau_high']
        assert good['kendall_tau'] > 0.8
        assert good['lowest_found'] > flat['lowest_found'] == pytest.approx(flat['by_chance'])
        assert (flat['ordered'], good['n_hosts']) == (0.5, frame['host_group'].nunique())
        assert np.isnan(flat['kendall_tau'])
        assert good['excess_eV'] < 0.1 * flat['excess_eV']


def test_ions_in_one_host_are_not_compared():
    """Two ions in the same cell are two questions."""
    names = ['Li_1', 'Li_2', 'Na_1', 'Na_2']
    frame = pd.DataFrame({'name': names, 'host_group': 'X', 'ion': ['Li', 'Li', 'Na', 'Na']})
    predictions = pd.DataFrame({'model': 'm', 'validation': 'v', 'seed': 0, 'name': names})
    predictions = predictions.assign(barrier=[0.2, 0.4, 0.6, 0.8], prediction=[0.9, 1.0, 0.1, 0.2])
    assert discrimination_of_hosts(predictions, frame)['kendall_tau'].tolist() == [1, 1]


def test_rows_of_another_dataset():
    frame = predicted_rows()
    with pytest.raises(ValueError, match='is no row of the dataset'):
        discrimination_of_hosts(predictions_of(frame), frame.iloc[1:])
