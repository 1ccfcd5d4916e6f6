"""Splits keep groups together, draw what they are asked for, and depend on nothing but rows, method and seed."""

import numpy as np
import pandas as pd
import pytest
from split_systems import small_dataset

from aiida_embarrier.datasets.drawing import Rows, draw, largest_remainders, make_folds, random_order
from aiida_embarrier.datasets.groups import with_groups
from aiida_embarrier.datasets.splits import METHODS, split_dataset

GROUPED = {name: column for name, column in METHODS.items() if column and column.endswith('_group')}
GROUPED.pop('published')


@pytest.fixture(scope='module')
def frame():
    return with_groups(small_dataset())


def quick(frame, *arguments, **options):
    return split_dataset(frame, *arguments, compare_hops=False, **options)


def published_like(sizes):
    """Return a dataset whose structural groups have given sizes, with made-up crystals."""
    rows = [(f'{group}_{number}', group) for group, size in sizes.items() for number in range(size)]
    table = pd.DataFrame(rows, columns=['name', 'structural_group'])
    table['species'] = '["O"]'
    table['lattice'] = '[[4.0,0,0],[0,4.0,0],[0,0,4.0]]'
    table['target'] = np.arange(len(table), dtype=float)
    return table


@pytest.mark.parametrize('method', [*GROUPED, 'column'])
@pytest.mark.parametrize('seed', [0, 1])
def test_no_group_is_torn_apart(frame, method, seed):
    column = GROUPED.get(method, 'ion')
    options = {'group_by': 'ion', 'n_test': 28} if method == 'column' else {'test_fraction': 0.3}
    validation = 0.0 if method == 'column' else 0.25
    split = quick(frame, method, seed=seed, validation_fraction=validation, **options)
    parts = split.table.merge(frame[['name', column]], on='name').groupby(column)['part'].nunique()
    assert (parts == 1).all()
    assert set(split.table['part']) >= {'train', 'test'}
    folded = quick(frame, method, n_folds=2, seed=seed, group_by=options.get('group_by'))
    folds = folded.table.merge(frame[['name', column]], on='name').groupby(column)['fold'].nunique()
    assert (folds == 1).all()
    assert folded.table['fold'].notna().all()


def test_every_row_is_in_one_part(frame):
    split = quick(frame, 'random', n_test=7, validation_fraction=0.2, seed=3)
    assert split.table['name'].tolist() == sorted(frame['name'])
    counts = split.table['part'].value_counts().to_dict()
    assert counts == {
        'train': len(frame) - 7 - round(0.2 * len(frame)),
        'test': 7,
        'validation': round(0.2 * len(frame)),
    }
    assert {part: entry['n_rows'] for part, entry in split.report['parts'].items()} == counts
    assert len(split.names('test')) == 7


@pytest.mark.parametrize('method', ['random', 'family', 'published'])
def test_order_of_rows_and_names_of_groups_do_not_matter(frame, method):
    shuffled = frame.sample(frac=1.0, random_state=1).reset_index(drop=True)
    renamed = shuffled.assign(family_group='x' + shuffled['family_group'].str[::-1])
    tables = [quick(one, method, test_fraction=0.3, seed=5).table for one in (frame, shuffled, renamed)]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_seed_matters(frame):
    tests = {tuple(quick(frame, 'random', n_test=6, seed=seed).names('test')) for seed in range(5)}
    assert len(tests) == 5


def test_draws_are_the_same_everywhere():
    """Written down once: another platform or version of NumPy that draws otherwise would change every split."""
    assert random_order(10, (0, 0)) == EXPECTED_ORDER
    assert random_order(10, (0, 1)) != EXPECTED_ORDER


EXPECTED_ORDER = [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]


@pytest.mark.parametrize('method', ['random', 'framework'])
def test_quantiles_of_the_target_are_met(frame, method):
    split = quick(frame, method, n_test=16, strata=4, seed=2)
    ranks = frame.sort_values('name')['barrier'].rank(method='first').to_numpy()
    quantile = ((ranks - 1) * 4 // len(frame)).astype(int)
    tested = np.bincount(quantile[(split.table['part'] == 'test').to_numpy()], minlength=4)
    assert tested.sum() == 16
    if method == 'random':
        assert tested.tolist() == [4, 4, 4, 4]
    folded = quick(frame, 'random', n_folds=4, strata=4)
    counts = pd.crosstab(folded.table['fold'], quantile)
    assert (counts.max() - counts.min()).max() <= 1


def test_published_rule():
    """619 rows with the sizes of the published structural groups give the published numbers of test rows."""
    sizes = {
        'LAYERED': 98, 'SPINEL CHALCOGENIDES': 62, 'OXIDES': 54, 'PHOSPHATES': 50, 'ORTHOSILICATE': 40, 'SPINEL': 40,
        'NASICON': 38, 'TAVORITE': 34, 'WEBERITE': 29, 'OLIVINE': 22, 'THIOSULPHATE': 17, 'BORATES': 16,
        'SULPHIDES': 16, 'ANTI-PEROVSKITE': 14, 'POST-SPINELS': 13, 'ELECTROLYTES': 13, 'RUTILE': 11,
        'PYROPHOSPHATE': 7, 'CARBONATES': 7, 'MARICITE': 6, 'OXYFLUORIDES': 6, 'PEROVSKITE': 6, 'NITRIDES': 6,
        'GARNETS': 5, 'CHEVREL': 4, 'PRUSSIAN BLUE ANALOGS': 3, 'ALLUAUDITE': 2,
    }  # fmt: skip
    data = published_like(sizes)
    assert len(data) == 619
    split = quick(data, 'published', seed=4)
    tested = dict.fromkeys(sizes, 0)
    for name in split.names('test'):
        tested[name.rpartition('_')[0]] += 1
    assert sum(tested.values()) == 60
    assert split.report['parts']['test']['n_groups'] == sum(map(bool, tested.values()))
    assert split.report['parts']['train']['n_groups'] == len(sizes)
    for group, size in sizes.items():
        share = size / 619
        if share < 0.01:
            assert tested[group] == 0, group
        elif share <= 0.02:
            assert tested[group] == 1, group
        else:
            assert 0.05 < tested[group] / size < 0.15, group
    assert quick(data, 'published', seed=5).names('test') != split.names('test')
    with pytest.raises(ValueError, match=r'one test row of each of 3 structural group\(s\).*: 2 test rows cannot'):
        quick(data, 'published', n_test=2)


def test_published_rule_at_its_bounds():
    data = published_like({'half': 49, 'other': 47, 'two': 2, 'one': 1, 'another': 1})
    split = quick(data, 'published', n_test=10)
    groups = [name.rpartition('_')[0] for name in split.names('test')]
    assert {group: groups.count(group) for group in ('two', 'one', 'another')} == {'two': 1, 'one': 1, 'another': 1}
    assert len(groups) == 10


def test_split_of_the_source(frame):
    parts = ['test' if number % 5 == 0 else 'train' for number in range(len(frame))]
    data = frame.assign(published_split=parts)
    assert quick(data, 'source').names('test') == sorted(data['name'][data['published_split'] == 'test'])
    none = quick(data.assign(published_split='train'), 'source')
    assert none.report['notes'] == ['no row of this dataset tests: its source keeps the test rows elsewhere']
    with pytest.raises(ValueError, match="published_split says 'holdout'"):
        quick(data.assign(published_split='holdout'), 'source')


def test_split_of_the_source_with_a_share_that_validates(frame):
    data = frame.assign(published_split=['test' if number % 5 == 0 else 'train' for number in range(len(frame))])
    plain, split = quick(data, 'source'), quick(data, 'source', validation_fraction=0.1)
    assert split.names('test') == plain.names('test')
    assert len(split.names('validation')) == round(0.1 * len(frame))
    assert sorted(split.names('train') + split.names('validation')) == plain.names('train')
    assert quick(data, 'source', validation_fraction=0.1, seed=1).names('validation') != split.names('validation')
    with pytest.raises(ValueError, match='says itself which rows validate'):
        quick(data.assign(published_split='validation'), 'source', validation_fraction=0.1)
    with pytest.raises(ValueError, match='leave none of'):
        quick(data, 'source', validation_fraction=0.9)


def test_labels_that_are_not_there_are_computed(frame):
    bare = frame.drop(columns=[column for column in frame if column.endswith('_group')])
    pd.testing.assert_frame_equal(quick(bare, 'family', n_test=8).table, quick(frame, 'family', n_test=8).table)
    gaps = frame.assign(family_group=[None, *frame['family_group'][1:]])
    with pytest.raises(ValueError, match=r"1 row\(s\) have no family_group, the first of them is 'LiCoO2_0'"):
        quick(gaps, 'family')
    with pytest.raises(ValueError, match="no column 'colour' to group its rows by"):
        quick(frame, 'column', group_by='colour')


def test_groups_that_are_too_large(frame):
    with pytest.raises(ValueError, match=r'no group fits into 3 test row\(s\)'):
        quick(frame, 'family', n_test=3)
    split = quick(frame, 'family', n_test=9)
    assert len(split.names('test')) == 8
    assert split.report['notes'] == ['8 test rows instead of 9: no further group fits']
    with pytest.raises(ValueError, match=r'20 folds cannot be made of 7 group\(s\): ask for 2 to 7 folds'):
        quick(frame, 'family', n_folds=20)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'method': 'famly'}, "no method 'famly'"),
        ({'method': 'column'}, 'go together'),
        ({'group_by': 'ion'}, 'go together'),
        ({'seed': -1}, 'a seed is a number from 0, got -1'),
        ({'strata': 0}, 'the target has 1 to 56 quantiles'),
        ({'strata': 2, 'method': 'published'}, 'leave strata at 1'),
        ({'n_folds': 3, 'validation_fraction': 0.1}, 'folds take the place'),
        ({'n_folds': 3, 'method': 'published'}, 'folds take the place'),
        ({'validation_fraction': 1.0}, 'between 0 and 1, got 1.0'),
        ({'test_fraction': 1.0}, 'between 0 and 1, got 1.0'),
        ({'test_fraction': 0.1, 'n_test': 3}, 'not both'),
        ({'test_fraction': 0.005}, '0.005 of 56 rows is less than one test row: ask for a larger share'),
        ({'validation_fraction': 0.005}, '0.005 of 56 rows is less than one validation row'),
        ({'n_test': 1.5}, 'n_test is a whole number, got 1.5'),
        ({'n_folds': '3'}, "n_folds is a whole number, got '3'"),
        ({'test_fraction': '0.1'}, "test_fraction is a number, got '0.1'"),
        ({'n_test': 56}, 'of 56 rows 0 to 55 can test, got 56'),
        ({'n_test': 50, 'validation_fraction': 0.5}, 'leave none of 6 to train'),
        ({'method': 'source', 'n_test': 3}, 'give no number of them'),
    ],
)
def test_settings_that_make_no_sense(frame, options, message):
    with pytest.raises(ValueError, match=message):
        quick(frame, **options)


def test_rows_that_make_no_sense(frame):
    with pytest.raises(ValueError, match=r'a dataset of 1 row\(s\) cannot be split'):
        quick(frame.iloc[:1])
    with pytest.raises(ValueError, match="the name 'LiCoO2_0' is there more than once"):
        quick(pd.concat([frame, frame.iloc[:1]], ignore_index=True))
    with pytest.raises(ValueError, match="'LiCoO2_0' has no target"):
        quick(frame.assign(barrier=[np.nan, *frame['barrier'][1:]]), strata=2)


def test_largest_remainders():
    assert largest_remainders(10, {0: 1, 1: 1, 2: 1}) == {0: 4, 1: 3, 2: 3}
    assert largest_remainders(0, {0: 5, 1: 2}) == {0: 0, 1: 0}
    assert largest_remainders(3, {}) == {}
    assert sum(largest_remainders(17, dict(enumerate(range(1, 40)))).values()) == 17


def test_small_groups_fill_up():
    rows = Rows(['a', 'a', 'b', 'c', 'c', 'c'], np.array([0, 0, 0, 1, 1, 1]))
    for seed in range(6):
        chosen = draw(rows, range(6), {0: 2, 1: 1}, (seed, 0))
        assert len(chosen) in {2, 3}
        assert sorted(chosen) in ([0, 1], [2], [0, 1, 2], [3, 4, 5])


def test_folds_are_of_one_size():
    rows = Rows([str(number // 2) for number in range(30)], np.zeros(30, dtype=int))
    folds = make_folds(rows, range(30), 5, (0, 0))
    assert np.bincount(list(folds.values())).tolist() == [6] * 5
