"""What predictions generalise over, by the rule of the report of what leaks, for folds and for rows held out."""

import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of

from aiida_embarrier.datasets.leakage import CRITERIA, leakage
from aiida_embarrier.prediction.scenarios import kinship, leakage_summary

FRAME = predicted_rows()


def test_folds_as_a_split_has_them():
    predictions = predictions_of(FRAME, seeds=(0, 1))
    found = kinship(predictions, FRAME)
    assert len(found) == 2 * 2 * len(FRAME)
    chosen = predictions[(predictions['validation'] == 'random') & (predictions['seed'] == 1)]
    chosen = chosen.drop_duplicates('name')
    table = chosen[['name', 'fold']].assign(part='train').astype({'fold': 'Int64'})
    expected = leakage(FRAME, table).table.set_index('name')
    own = found[(found['validation'] == 'random') & (found['seed'] == 1)].set_index('name').loc[expected.index]
    for column in ('scenario', 'nearest', *(f'shares_{key}' for key in CRITERIA)):
        assert own[column].tolist() == expected[column].tolist()


def test_folds_of_cells_share_no_cell():
    table = leakage_summary(kinship(predictions_of(FRAME), FRAME)).set_index(['validation', 'criterion'])
    assert set(table['n_rows']) == {len(FRAME)}  # with two seeds
    found = table['fraction']
    assert found['host_group', 'host'] == 0
    assert found['random', 'host'] > 0.5
    assert found['random', 'any'] >= found['random', 'family'] >= found['random', 'framework'] > 0


def test_rows_held_out():
    """Where a validation has no folds, the rows that it did not predict were learned from."""
    held = predictions_of(FRAME.iloc[::4], models=('trees',), validations=('random',), seeds=(0,))
    held = held.assign(validation='split', fold=pd.array([None] * len(held), 'Int64'))
    found = kinship(held, FRAME, compare_hops=False).set_index('name')
    assert sorted(found.index) == sorted(FRAME['name'].iloc[::4])
    # every material has four paths, of which one is held out
    assert set(found['scenario']) == {'A'}
    assert 'shares_equivalent_hop' not in found
    assert not set(found['nearest']) & set(found.index)


def test_only_rows_that_were_learned_from_count():
    """Each material has four paths, here one for each part; of two materials all are unused but one."""
    parts = pd.Series(['train', 'validation', 'test', 'unused'] * 14)
    parts[[1, 2, 3, 4, 6, 7]] = 'unused'
    split = pd.DataFrame({'name': FRAME['name'], 'part': parts})
    held = predictions_of(FRAME, models=('trees',), validations=('random',), seeds=(0,)).assign(fold=0)
    held = held.assign(validation=parts)[parts.isin(['validation', 'test']).to_numpy()]
    found = kinship(held, FRAME, split, compare_hops=False).set_index('name')
    part_of = split.set_index('name')['part']
    for validation, learned in (('validation', {'train'}), ('test', {'train', 'validation'})):
        nearest = found.loc[found['validation'] == validation, 'nearest']
        assert set(part_of[nearest.dropna()]) <= learned
    # of the second material only the row that validates is used: another path of it was never seen
    alone = found.loc[FRAME['name'][5]]
    assert alone['validation'] == 'validation'
    assert not alone['shares_base_name']
    assert kinship(held, FRAME, compare_hops=False).set_index('name').loc[FRAME['name'][5], 'shares_base_name']


def test_rows_that_test_are_learned_from_by_no_model():
    held = predictions_of(FRAME, models=('trees',), validations=('random',), seeds=(0,)).assign(fold=0)
    parts = pd.Series(['train', 'train', 'test', 'validation'] * 14)
    held = held.assign(validation=parts)[(parts != 'train').to_numpy()]
    found = kinship(held, FRAME, compare_hops=False).set_index('name')
    tested = set(FRAME['name'][(parts == 'test').to_numpy()])
    assert not tested & set(found.loc[found['validation'] == 'validation', 'nearest'])


def test_rows_of_another_dataset():
    held = predictions_of(FRAME, validations=('random',), seeds=(0,))
    with pytest.raises(ValueError, match='is no row of the dataset'):
        kinship(held, FRAME.iloc[1:])
    with pytest.raises(ValueError, match='is no row of the dataset'):
        kinship(held.assign(fold=0), FRAME.iloc[1:])
