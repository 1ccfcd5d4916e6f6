"""Reports of what leaks, against cases small enough to be told by eye, and on the real data."""

import json

import pandas as pd
import pytest
from split_systems import rocksalt_like, small_dataset

from aiida_embarrier.datasets.groups import with_groups
from aiida_embarrier.datasets.leakage import CRITERIA, evaluations, leakage
from aiida_embarrier.datasets.splits import split_dataset

X, Y, XY = (2.0, 0, 0), (0, 2.0, 0), (1.2, 1.2, 0)


def table_of(parts, folds=None):
    fold = pd.array([None] * len(parts) if folds is None else folds, 'Int64')
    return pd.DataFrame({'name': list(parts), 'part': list(parts.values()), 'fold': fold})


@pytest.fixture(scope='module')
def family():
    """Rows whose kinship is known: name, ion, metal, edge, step, further ions in the cell."""
    rows = [
        ('LiCoO2_1', 'Li', 'Co', 4.2, X, 3),  # trains
        (
            'LiCoO2_2',
            'Li',
            'Co',
            4.2,
            Y,
            3,
        ),  # its sibling in the same cell, equivalent but for the other ions
        ('LiCoO2_big', 'Li', 'Co', 4.5, X, 3),  # the same path in a larger cell
        ('CoO2_Li', 'Li', 'Co', 4.3, X, 0),  # and in the empty host
        ('NaCoO2', 'Na', 'Co', 4.2, XY, 3),  # the host with another ion
        ('LiNiO2', 'Li', 'Ni', 4.2, X, 3),  # another host
        ('CoO_Li_x', 'Li', 'Co', 5.9, XY, 2),  # same elements, name and path of its own
    ]
    frame = pd.DataFrame([rocksalt_like(*row) for row in rows])
    return frame.assign(formula=[*frame['formula'][:3], 'CoO2(Li)', *frame['formula'][4:]])


def test_kinship_row_by_row(family):
    parts = {'LiCoO2_1': 'train', **dict.fromkeys(family['name'][1:], 'test')}
    report = leakage(family, table_of(parts))
    found = report.table.set_index('name')
    shares = {name: {key for key in CRITERIA if found.loc[name, f'shares_{key}']} for name in found.index}
    assert shares['LiCoO2_2'] == set(CRITERIA)
    assert shares['LiCoO2_big'] == {'equivalent_hop', 'composition', 'framework', 'family', 'chemical_system'}
    assert shares['CoO2_Li'] == {'equivalent_hop', 'framework', 'family', 'chemical_system'}
    assert shares['NaCoO2'] == {'family'}
    assert shares['LiNiO2'] == set()
    assert 'equivalent_hop' not in shares['CoO_Li_x']
    assert found['scenario'].to_dict() == {
        'LiCoO2_2': 'A',
        'LiCoO2_big': 'C',
        'CoO2_Li': 'B',
        'NaCoO2': 'C',
        'LiNiO2': 'C',
        'CoO_Li_x': 'B',
    }
    assert found.loc['CoO2_Li', 'nearest'] == 'LiCoO2_1'
    assert pd.isna(found.loc['LiNiO2', 'nearest'])
    summary = report.summary.set_index('criterion')
    assert summary.loc['any', ['n_shared', 'n_rows']].tolist() == [5, 6]
    assert summary.loc['family', 'fraction'] == pytest.approx(5 / 6)
    assert report.scenarios['n_rows'].tolist() == [1, 2, 3]


def test_nearest_row_shares_most(family):
    parts = {**dict.fromkeys(family['name'], 'train'), 'LiCoO2_2': 'test'}
    report = leakage(family, table_of(parts))
    assert report.table['nearest'].tolist() == ['LiCoO2_1']
    without = {name: part for name, part in parts.items() if name != 'LiCoO2_1'}
    report = leakage(family[family['name'] != 'LiCoO2_1'].reset_index(drop=True), table_of(without))
    assert report.table['nearest'].tolist() == ['LiCoO2_big']


def test_who_is_compared_with_whom():
    table = table_of({'a': 'train', 'b': 'train', 'v': 'validation', 't': 'test'}, [0, 1, None, None])
    assert list(evaluations(table)) == [
        ('test', ['t'], ['a', 'b', 'v']),
        ('validation', ['v'], ['a', 'b']),
        ('fold 0', ['a'], ['b']),
        ('fold 1', ['b'], ['a']),
    ]


@pytest.mark.parametrize(
    ('method', 'clean'),
    [
        ('family', {'host', 'framework', 'family', 'base_name'}),
        ('framework', {'framework'}),
        ('host', {'host'}),
        ('chemsys', {'chemical_system'}),
    ],
)
def test_grouped_splits_keep_clean_what_they_group_by(method, clean):
    frame = with_groups(small_dataset())
    for options in ({'test_fraction': 0.3, 'validation_fraction': 0.2}, {'n_folds': 3}):
        report = split_dataset(frame, method, compare_hops=False, **options).leakage
        shared = report.summary.groupby('criterion')['n_shared'].sum()
        assert {key for key in clean if shared[key]} == set()
    random = split_dataset(frame, 'random', compare_hops=False, test_fraction=0.3).leakage
    assert (random.summary.set_index('criterion').loc[list(clean), 'fraction'] > 0.7).all()


def test_split_carries_its_report():
    split = split_dataset(small_dataset(), 'random', n_test=5)
    assert 'shares_equivalent_hop' in split.leakage.table
    assert split.leakage.table['name'].tolist() == split.names('test')
    assert split.leakage.notes == ()
    plain = split.leakage.to_dict()
    assert plain['parameters']['hop_tolerance'] == 0.5
    assert {row['criterion'] for row in plain['summary']} == {*CRITERIA, 'any'}


def test_rows_of_properties_have_no_hops():
    frame = small_dataset().drop(columns=['ion', 'path', 'barrier']).assign(target=1.0)
    report = split_dataset(frame, 'family', test_fraction=0.3).leakage
    assert report.notes == ('rows of properties have no paths: equivalent hops, base names and scenarios are left out',)
    assert not {'shares_equivalent_hop', 'shares_base_name'} & set(report.table)
    assert report.table['scenario'].isna().all()
    assert len(report.scenarios) == 0
    assert report.summary.set_index('criterion').loc['family', 'n_shared'] == 0


def test_split_without_evaluation_and_of_another_dataset():
    frame = small_dataset()
    report = split_dataset(frame, 'random', n_test=0, compare_hops=False).leakage
    assert len(report.table) == len(report.summary) == 0
    with pytest.raises(ValueError, match="the split names 'x', which is no row of the dataset"):
        leakage(frame, table_of({'x': 'test'}))


@pytest.mark.slow
def test_published_rows(shared_data):
    """The figures that docs/howto/dataset_splits.md states."""
    from aiida_embarrier.datasets.importing import read_dataset

    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    shared = {}
    for method in ('random', 'published', 'host', 'family', 'chemsys'):
        split = split_dataset(frame, method)
        shared[method] = split.leakage.summary.set_index('criterion')['n_shared'].to_dict()
        if method == 'family':  # told by the labels of the source, not ours
            groups = json.loads((shared_data / 'barriers_train' / 'groups.json').read_text())
            torn = split.table.assign(group=[groups[name]['family_group'] for name in split.table['name']])
            assert torn.groupby('group')['part'].nunique().max() == 1
    family = shared['family']
    assert {key: family[key] for key in CRITERIA if key != 'chemical_system'} == dict.fromkeys(
        ['equivalent_hop', 'base_name', 'host', 'composition', 'framework', 'family'], 0
    )
    assert shared['host']['host'] == 0
    assert shared['chemsys']['chemical_system'] == 0
    assert shared['random'] == {
        'equivalent_hop': 5,
        'base_name': 22,
        'host': 15,
        'composition': 28,
        'framework': 36,
        'family': 48,
        'chemical_system': 39,
        'any': 49,
    }
    assert shared['published']['equivalent_hop'] == 11
    assert shared['published']['any'] == 49
