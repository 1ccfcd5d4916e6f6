"""The tables of an analysis: each against the numbers that it is made of, and none where there is nothing to say."""

import numpy as np
import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of

from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.figures.barrier_tables import TABLES
from aiida_embarrier.prediction.analysis import analyse, errors_by, with_labels
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.comparison import with_intervals
from aiida_embarrier.prediction.scores import scores

FRAME = predicted_rows()
MODELS = ('trees', 'median')
PREDICTIONS = predictions_of(FRAME, MODELS)


@pytest.fixture(scope='module')
def tables():
    return analyse(PREDICTIONS, FRAME, n_resamples=50)


def of(table, model='trees', validation='random'):
    return table[(table['model'] == model) & (table['validation'] == validation)]


def test_every_table_is_there(tables):
    missing = {'by_charge_state', 'by_endpoint_symmetry'}  # the dataset does not have these columns
    assert list(tables) == [name for name in TABLES if name not in missing]
    for table in tables.values():
        first = ['validation', 'criterion'] if 'criterion' in table else ['model', 'validation']
        assert list(table)[:2] == first


def test_comparison(tables):
    own = of(PREDICTIONS)
    grid = own.pivot(index='name', columns='seed', values='prediction')
    known = FRAME.set_index('name')['barrier'].loc[grid.index]
    expected = scores(known, grid.to_numpy().T, n_resamples=1)
    row = of(tables['comparison']).iloc[0]
    assert row['mae_eV'] == pytest.approx(expected.metrics['mae_eV'].value)
    assert row['r2'] == pytest.approx(expected.metrics['r2'].value)
    assert (row['n'], row['n_seeds'], row['folds']) == (56, 2, 4)


def test_differences(tables):
    table = tables['differences']
    assert table['best'].tolist() == ['trees', 'trees']
    assert table['model'].tolist() == ['median', 'median']
    first, second = (
        (of(PREDICTIONS, one)['prediction'] - of(PREDICTIONS, one)['barrier']).abs().mean() for one in MODELS
    )
    assert table['mae_difference_eV'].iloc[0] == pytest.approx(second - first)
    assert (table['mae_difference_eV_low'] > 0).all()


def test_counts_add_up(tables):
    assert of(tables['buckets'])['n_predictions'].sum() == 2 * len(FRAME)
    assert of(tables['buckets'])['fraction'].sum() == pytest.approx(1)
    assert of(tables['directions'])['n_predictions'].sum() == 2 * len(FRAME)
    confusion = of(tables['classification'])[['true_low', 'false_low', 'missed_low', 'true_high']]
    assert confusion.sum(axis=1).tolist() == [112, 112]
    assert of(tables['classification'])['threshold_eV'].tolist() == [0.5, 0.65]
    for name in ('by_ion', 'by_structural_group', 'by_functional', 'by_barrier_range'):
        assert of(tables[name])['n'].sum() == len(FRAME), name


def test_errors_by_ion(tables):
    own = of(PREDICTIONS, 'median').merge(FRAME[['name', 'ion']], on='name')
    for row in of(tables['by_ion'], 'median').itertuples():
        part = own[own['ion'] == row.ion]
        errors = part['prediction'] - part['barrier']
        assert row.n == part['name'].nunique() == 28
        assert row.mae_eV == pytest.approx(errors.abs().mean())
        assert row.mae_eV_low <= row.mae_eV <= row.mae_eV_high
        assert row.median_ae_eV == pytest.approx(errors.abs().median())
        assert row.mean_error_eV == pytest.approx(errors.mean())
        assert row.small == pytest.approx((errors.abs() <= 0.1).mean())
        assert row.large == pytest.approx((errors.abs() > 0.3).mean())
        assert row.coverage == pytest.approx(part['barrier'].between(part['lower'], part['upper']).mean())
        assert row.median_width_eV == pytest.approx((part['upper'] - part['lower']).median())


def test_order_of_labels(tables):
    groups = of(tables['by_structural_group'])
    assert groups['structural_group'].tolist() == ['LAYERED', 'OLIVINE', 'SPINEL']
    assert groups['n'].is_monotonic_decreasing
    ranges = of(tables['by_barrier_range'])['barrier_range'].tolist()
    every = ['below 0.25 eV', '0.25 to 0.5 eV', '0.5 to 1 eV', '1 to 2 eV', '2 eV and more']
    assert ranges == [name for name in every if name in ranges]


def test_a_barrier_at_a_limit_lies_above_it():
    rows = pd.DataFrame({'name': ['a', 'b', 'c'], 'barrier': [0.4999, 0.5, 3.0]})
    labelled = with_labels(rows, rows[['name']], (0.5, 1.0))
    assert labelled['barrier_range'].tolist() == ['below 0.5 eV', '0.5 to 1 eV', '1 eV and more']


def test_groups_are_merged_where_the_dataset_has_classes_only():
    frame = FRAME.drop(columns='structural_group').assign(structural_class='SPINELS')
    assert set(with_labels(PREDICTIONS, frame)['structural_group']) == {'SPINEL'}


def test_rows_without_a_label_are_left_out():
    rows = with_labels(PREDICTIONS, FRAME).assign(error=0.1)
    rows.loc[rows['ion'] == 'Na', 'ion'] = None
    assert set(errors_by(rows, 'ion', 5)['ion']) == {'Li'}


def test_flags(tables):
    found = of(tables['by_flag']).set_index('flag')['n']
    assert found.to_dict() == {'none': 51, 'long_hop': 5, 'unknown_ion': 5}


def test_coverage(tables):
    table = of(tables['coverage'], validation='host_group')
    # three folds of 28 cells leave 21 to calibrate on
    assert table['nominal'].tolist() == [0.5, 0.6, 0.7, 0.8]
    assert (table['coverage'] - table['nominal']).abs().max() < 0.2
    assert table['n'].tolist() == [56] * 4
    assert (table['n'] * (1 - table['coverage'])).to_numpy() == pytest.approx(table['n_below'] + table['n_above'])
    # no group is larger than another one, so that the mean over groups is that over rows
    assert table['coverage_of_groups'].to_numpy() == pytest.approx(table['coverage'].to_numpy())
    assert ((table['coverage_lower'] < table['coverage']) & (table['coverage'] < table['coverage_upper'])).all()


def test_coverage_says_the_same_as_the_comparison():
    own = PREDICTIONS[(PREDICTIONS['model'] == 'trees') & (PREDICTIONS['validation'] == 'random')]
    found, _ = with_intervals(own, Rows([]), 0.8)
    tables = analyse(found, FRAME, n_resamples=5, compare_hops=False)
    row = tables['coverage'].set_index('nominal').loc[0.8]
    compared = tables['comparison'].iloc[0]
    names = {'coverage': 'coverage', 'coverage_lower': 'coverage_low', 'coverage_upper': 'coverage_high'}
    for one, other in {**names, 'median_width_eV': 'median_width_eV'}.items():
        assert row[one] == compared[other], one


def test_scenarios_and_leakage(tables):
    assert set(of(tables['by_scenario'])['scenario']) <= set('ABC')
    shares = tables['leakage'].set_index(['validation', 'criterion'])['fraction']
    assert shares['host_group', 'host'] == 0 < shares['random', 'host']


def test_largest_errors(tables):
    table = of(tables['largest_errors'], 'median')
    errors = (FRAME.set_index('name')['barrier'] - FRAME['barrier'].median()).abs().sort_values(ascending=False)
    assert len(table) == 20
    assert table['error'].abs().tolist() == pytest.approx(errors.iloc[:20].tolist())
    assert (table['error'] == table['prediction'] - table['barrier']).all()
    # where seeds differ, rows stand in the order of the error that is shown
    assert of(tables['largest_errors'])['error'].abs().is_monotonic_decreasing


def test_predictions_of_rows_held_out():
    """Without folds, intervals and flags what needs them is left out."""
    held = of(PREDICTIONS).query('seed == 0').iloc[::4]
    held = held[['model', 'name', 'seed', 'barrier', 'prediction']].assign(validation='split', fold=0)
    found = analyse(held.reset_index(drop=True), FRAME, n_resamples=5, compare_hops=False)
    assert 'coverage' not in found
    assert 'by_flag' not in found
    assert 'differences' not in found
    assert found['by_ion']['coverage'].isna().all()
    assert found['comparison']['n'].tolist() == [14]


def test_what_cannot_be_analysed():
    with pytest.raises(ValueError, match="without 'fold' cannot be analysed"):
        analyse(PREDICTIONS.drop(columns='fold'), FRAME)
    with pytest.raises(ValueError, match='no predictions to analyse'):
        analyse(PREDICTIONS.iloc[:0], FRAME)


@pytest.mark.slow
def test_published_predictions(shared_data):
    """Tables of the published MODEL-3, against what was recomputed from the paper's files."""
    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    published = pd.DataFrame(
        {
            'model': 'MODEL-3',
            'validation': 'split',
            'seed': 123,
            'fold': 0,
            'name': frame['name'],
            'barrier': frame['barrier'],
            'prediction': frame['prediction_MODEL-3'],
        }
    )
    held = published[(frame['jid'] >= 503) & (frame['jid'] <= 557)]
    found = analyse(held, frame, n_resamples=200, compare_hops=False)
    row = found['comparison'].iloc[0]
    assert (row['n'], row['mae_eV'], row['r2']) == (55, pytest.approx(0.293, abs=6e-4), pytest.approx(0.739, abs=6e-4))
    assert found['by_scenario']['n'].sum() == 55
    everything = analyse(published, frame, n_resamples=5, compare_hops=False)
    # chalcogenide spinels are 55 of the 559 rows
    groups = everything['by_structural_group'].set_index('structural_group')
    assert groups.loc['SPINEL CHALCOGENIDES', 'n'] == 55
    assert 100 * everything['buckets']['fraction'].to_numpy() == pytest.approx([81.8, 12.3, 5.9], abs=0.06)
    high = everything['largest_errors'].query('abs(error) > 0.5 and error < 0')
    assert ((high['barrier'] > 1.5).sum(), len(high)) == (11, 12)
    assert np.isclose(high.set_index('name').loc['CaCu2O3', 'prediction'], 1.82, atol=0.005)
