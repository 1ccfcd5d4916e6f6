"""Rows of datasets as crystals to learn from: what is merged, what is refused."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.jobs.learning import Scaler
from aiida_embarrier.learning.rows import gather_rows, prediction_table

PARTS = ['train'] * 7 + ['validation'] * 2 + ['test'] * 2 + ['unused']


def split_of(rows, parts=PARTS):
    return pd.DataFrame({'name': rows['name'], 'part': parts})


def test_rows_of_one_target_stay_as_they_are(small_rows):
    rows = gather_rows({'gap': (small_rows, split_of(small_rows))})
    assert list(rows.frame['name']) == list(small_rows['name'][:-1])  # the last one is left out
    assert rows.counts == {'train': 7, 'validation': 2, 'test': 2}
    assert rows.values[:, 0].tolist() == small_rows['target'][:-1].tolist()
    assert list(rows.of_part('test')) == [9, 10]


def test_rows_of_one_crystal_become_one(small_rows):
    # the second dataset has other names, another order, and half of the crystals
    others = small_rows.iloc[[11, 4, 2, 0, 9]].assign(target=[1.0, 2.0, 3.0, 4.0, 5.0]).reset_index(drop=True)
    others['name'] = 'other-' + others['name']
    parts = ['train', 'train', 'test', 'validation', 'train']
    rows = gather_rows({'gap': (small_rows, split_of(small_rows)), 'n': (others, split_of(others, parts))})
    assert rows.labels == ('gap', 'n')
    assert len(rows) == 12
    names = dict(zip(rows.frame['name'], range(12), strict=True))
    assert rows.values[names['MgO']].tolist() == [4.5, 3.0]
    assert np.isnan(rows.values[names['LiF'], 1])
    assert np.isnan(rows.values[names['other-NiAl'], 0])  # its row of the first dataset is left out
    assert rows.names[names['NaCl']].tolist() == ['NaCl', 'other-NaCl']
    # of two parts the one that must not be learned from holds, whichever dataset says so
    assert [rows.parts[names[name]] for name in ('MgO', 'NaCl', 'CsBr', 'ZnS')] == [
        'test',
        'validation',
        'test',
        'train',
    ]
    assert rows.notes[0].startswith('3 rows hold a crystal that is in another part')
    assert rows.counts_of('n') == {'train': 2, 'validation': 1, 'test': 2}

    found = np.arange(24.0).reshape(12, 2)
    scalers = [Scaler(label='gap', property='gap'), Scaler(label='n', property='n', centre=10.0, width=2.0)]
    table = prediction_table(rows, scalers, found)
    assert len(table) == 11 + 5
    row = table[(table['target'] == 'n') & (table['name'] == 'other-MgO')].iloc[0]
    assert (row['part'], row['value'], row['prediction']) == ('test', 3.0, 10 + 2 * found[names['MgO'], 1])


def test_rows_of_one_target_with_one_crystal_stay_apart(small_rows):
    twice = pd.concat([small_rows, small_rows.iloc[:1].assign(name='again', target=5.5)], ignore_index=True)
    others = small_rows.iloc[:2].assign(target=1.0)
    rows = gather_rows(
        {'gap': (twice, split_of(twice, [*PARTS, 'train'])), 'n': (others, split_of(others, ['train', 'train']))}
    )
    names = dict(zip(rows.frame['name'], rows.values.tolist(), strict=True))
    assert names['NaCl'] == [5.0, 1.0]
    assert names['again'][0] == 5.5
    assert np.isnan(names['again'][1])


@pytest.mark.parametrize(
    ('change', 'parts', 'message'),
    [
        ({'target': [np.nan, *[1.0] * 10, np.inf]}, ['train'] * 12, '2 rows of gap have no finite value: NaCl, NiAl'),
        ({'name': ['NaCl'] * 12}, PARTS, "dataset of gap has the name 'NaCl' more than once"),
        ({}, ['test'] * 12, 'no row of gap is left to train on'),
    ],
)
def test_rows_that_cannot_be_learned_from(small_rows, change, parts, message):
    split = split_of(small_rows, parts)
    with pytest.raises(ValueError, match=message):
        gather_rows({'gap': (small_rows.assign(**change), split)})


def test_splits_and_datasets_that_do_not_fit(small_rows):
    split = split_of(small_rows)
    with pytest.raises(ValueError, match='names rows that its dataset does not have: NiAl;'):
        gather_rows({'gap': (small_rows.iloc[:-1], split)})
    with pytest.raises(ValueError, match="split of gap has no column 'part'"):
        gather_rows({'gap': (small_rows, split.drop(columns='part'))})
    # a value that is missing where nothing is learned of it does no harm
    rows = small_rows.assign(target=[*[1.0] * 11, np.nan])
    assert len(gather_rows({'gap': (rows, split)})) == 11


def test_a_target_whose_training_rows_all_test_another(small_rows):
    few = small_rows.iloc[9:11]
    with pytest.raises(ValueError, match='no row of n is left to train on'):
        gather_rows({'gap': (small_rows, split_of(small_rows)), 'n': (few, split_of(few, ['train', 'train']))})
