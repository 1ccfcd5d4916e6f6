"""Rows that models see: of paths that can be read, with their own numbers and labels."""

import json

import numpy as np
import pandas as pd
import pytest
from barrier_paths import path_rows

from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.rows import paths_of, rows_of


def features(frame):
    return pd.DataFrame({'name': frame['name'], 'one': np.arange(float(len(frame))), 'two': 1.0})


def test_rows_with_their_own_numbers():
    frame = path_rows(6)
    table = features(frame).iloc[::-1].reset_index(drop=True)
    rows, left_out = rows_of(frame, table)
    assert not left_out
    assert rows.features['one'].tolist() == [0, 1, 2, 3, 4, 5]
    assert rows.barriers.tolist() == frame['barrier'].tolist()
    assert set(rows.labels) >= {'host_group', 'family_group', 'structural_group'}
    assert rows.labels['host_group'].nunique() == 3
    chosen, _ = rows_of(frame, table, columns=['two'])
    assert chosen.features.columns.tolist() == ['two']


def test_rows_that_are_no_paths_are_told():
    frame = path_rows(6)
    frame.loc[1, 'path'] = json.dumps([[0, 0, 0], [0, 0, 0]])
    frame.loc[2, 'species'] = 'no JSON'
    frame.loc[3, 'barrier'] = np.nan
    table = features(frame).assign(reason=[None, None, None, None, 'the potential refused it', None])
    rows, left_out = rows_of(frame, table)
    assert [path.name for path in rows.paths] == [frame['name'][0], frame['name'][5]]
    assert rows.features['one'].tolist() == [0, 5]
    reasons = [left_out[frame['name'][number]] for number in (1, 2, 3, 4)]
    for reason, words in zip(reasons, ('same site', 'cannot be read', 'not known', 'refused it'), strict=True):
        assert words in reason


def test_rows_to_predict_have_no_barriers():
    rows, _ = rows_of(path_rows(4).drop(columns='barrier'))
    assert rows.barriers is None
    assert len(rows) == 4


@pytest.mark.parametrize(
    ('change', 'table', 'columns', 'message'),
    [
        (lambda frame: frame.drop(columns='ion'), None, None, "no column 'ion'"),
        (lambda frame: pd.concat([frame, frame], ignore_index=True), None, None, 'more than once'),
        (lambda frame: frame, lambda frame: features(frame).iloc[1:], None, '1 of 4 rows have no features'),
        (lambda frame: frame, lambda frame: features(frame).drop(columns='name'), None, 'no column `name`'),
        (lambda frame: frame, features, ['three'], "no 'three', which the model reads"),
    ],
)
def test_tables_that_are_refused(change, table, columns, message):
    frame = change(path_rows(4))
    with pytest.raises(ValueError, match=message):
        rows_of(frame, None if table is None else table(frame), columns=columns)


def test_real_rows(shared_data):
    from aiida_embarrier.datasets.importing.reading import read_dataset

    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    paths, left_out = paths_of(frame)
    assert (len(paths), left_out) == (559, {})
    rows, _ = rows_of(frame)
    # the groups of the README
    counts = {name: rows.labels[name].nunique() for name in ('host_group', 'family_group')}
    assert counts == {'host_group': 433, 'family_group': 169}


def test_a_name_that_stands_twice_in_the_features_is_refused():
    frame = path_rows(3)
    table = features(frame)
    with pytest.raises(ValueError, match="several rows 'TiO_0_1'"):
        rows_of(frame, pd.concat([table, table.iloc[:1]], ignore_index=True))


def test_features_of_another_dataset_with_the_same_names_are_refused():
    """By what every table of features tells of a path; numbers that are not known tell nothing."""
    frame = path_rows(4)
    table = describe(paths_of(frame)[0]).reset_index(names='name')
    rows, _ = rows_of(frame, table)
    assert len(rows) == 4
    longer = table.assign(hop_length=table['hop_length'] + [0.0, 0.01, 0.0, 0.0])
    with pytest.raises(ValueError, match='features of TiO_0_2 are of another path: its hop_length is'):
        rows_of(frame, longer)
    for name in ('n_atoms', 'volume_per_atom'):
        with pytest.raises(ValueError, match=f'are of another path: its {name} is'):
            rows_of(frame, table.assign(**{name: table[name] * 2}))
    assert len(rows_of(frame, longer.assign(hop_length=np.nan))[0]) == 4
