"""Overlap by structure, samples, relations of properties."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from property_systems import halides
from scipy.spatial.distance import pdist

from aiida_embarrier.datasets.descriptors import crystal_descriptors, standardised
from aiida_embarrier.datasets.overlap import overlap, rows_that_test, without
from aiida_embarrier.datasets.published_samples import published_sample, published_trials
from aiida_embarrier.datasets.relations import COLUMNS, relations
from aiida_embarrier.datasets.sampling import METHODS, draw_sample
from aiida_embarrier.datasets.training_rows import pretraining_rows, published_rows, sampled_rows


@pytest.fixture(scope='module')
def one():
    return halides('one')


@pytest.fixture(scope='module')
def other():
    """Return the first 12 and the last 6 of these crystals in other cells, of another property."""
    frame = halides('other', n_test=2, kind='turned', scale=1.005)
    return frame.iloc[[*range(12), *range(18, 24)]].reset_index(drop=True)


def test_overlap(one, other):
    again = one.iloc[[23]].assign(name='one-again', published_split='train', target=3.5)
    found = overlap({'one': pd.concat([one, again], ignore_index=True), 'other': other}, units={'one': 'eV'})
    about = found.datasets.set_index('dataset')
    assert about.loc['one', ['n_rows', 'n_crystals', 'n_duplicates', 'n_test', 'n_test_leaking']].tolist() == [
        25,
        24,
        2,
        4,
        1,
    ]
    assert about.loc['one', 'unit'] == 'eV'
    assert about.loc['one', 'largest_difference'] == abs(3.5 - one['target'].iloc[23])
    pairs = found.pairs.set_index(['dataset', 'other'])
    assert pairs.loc[('other', 'one'), 'n_shared'] == 18
    # One's last four test; of those the other has four, two of which test there.
    assert pairs.loc[('other', 'one'), 'n_test'] == 2
    assert found.duplicates['name'].tolist() == ['one-23', 'one-again']
    assert json.loads(json.dumps(found.to_dict()))['datasets'][1]['unit'] is None


def test_rows_to_leave_out(one, other):
    assert without(other, {'one': rows_that_test(one)}) == {'one': [f'other-{n}' for n in (20, 21, 22, 23)]}
    split = pd.DataFrame({'name': ['one-0', 'one-13'], 'part': ['test', 'test']})
    assert without(other, {'one': rows_that_test(one, split)}) == {'one': ['other-0']}
    # one id is one crystal, also where the structures are not alike
    known = one.assign(material_id=[f'mp-{number}' for number in range(24)])
    others = other.assign(material_id=[None, 'mp-13', '', *[f'mp-{number}' for number in range(103, 118)]])
    assert without(others, {'one': rows_that_test(known, split)}) == {'one': ['other-0', 'other-1']}
    assert without(others.iloc[::-1], {'one': rows_that_test(known)})['one'] == [f'other-{n}' for n in (23, 22, 21, 20)]
    assert without(others, {'one': known.iloc[[13]], 'two': one.iloc[[13]]}) == {'one': ['other-1'], 'two': []}
    with pytest.raises(ValueError, match='no row of this dataset tests'):
        rows_that_test(one.drop(columns='published_split'))


@pytest.mark.parametrize('method', METHODS)
def test_samples(one, method):
    found = draw_sample(one, 10, method, seed=3)
    assert (len(found.train), len(found.validation)) == (9, 1)
    assert len({*found.train, *found.validation}) == 10
    shuffled = draw_sample(one.sample(frac=1, random_state=2), 10, method, seed=3)
    assert (shuffled.train, shuffled.validation) == (found.train, found.validation)
    assert draw_sample(one, 10, method, seed=4).train != found.train
    everything = draw_sample(one, 24, method, validation_fraction=0)
    assert sorted(everything.train) == sorted(one['name'])


def test_samples_cover_what_they_are_drawn_by(one):
    target = one.set_index('name')['target']
    quantiles = draw_sample(one, 10, 'target', validation_fraction=0).train
    assert sorted(target[quantiles] * 10 // 24) == list(range(10))
    skewed = one.assign(target=[*[0.0] * 20, 1.0, 2.0, 5.0, 9.0])
    rare = draw_sample(skewed, 6, 'range', validation_fraction=0).train
    assert set(rare) > {'one-20', 'one-21', 'one-22', 'one-23'}
    points = pd.DataFrame(standardised(crystal_descriptors(one)), index=one['name'])
    spans = {method: _closest(points, draw_sample(one, 8, method, validation_fraction=0).train) for method in METHODS}
    assert spans['diverse'] > max(span for method, span in spans.items() if method != 'diverse')


def _closest(points, names):
    """Return the smallest distance between two of some rows."""
    return pdist(points.loc[names]).min()


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'size': 25}, 'a sample of 25 rows cannot be drawn from a pool of 24'),
        ({'size': 0}, 'a sample has at least one row, got a size of 0'),
        ({'size': '3'}, "size is a whole number, got '3'"),
        ({'size': 3, 'method': 'best'}, "there is no method 'best' to draw a sample: choose from random"),
        ({'size': 3, 'seed': -1}, 'a seed is a number from 0, got -1'),
        ({'size': 3}, '0.1 of 3 rows is less than one row to validate'),
        ({'size': 3, 'validation_fraction': 1.0}, 'the share of rows that validate lies between 0 and 1, got 1.0'),
    ],
)
def test_samples_that_are_refused(one, settings, message):
    with pytest.raises(ValueError, match=message):
        draw_sample(one, **settings)


@pytest.mark.parametrize(('method', 'value'), [('target', float('nan')), ('random', float('inf'))])
def test_samples_need_targets(one, method, value):
    with pytest.raises(ValueError, match="'one-5' has no finite target"):
        draw_sample(one.assign(target=one['target'].where(one.index != 5, value)), 10, method)


@pytest.fixture
def samples():
    rows = {'one': {'test': [23, 22, 21, 20], 'trial1_10': [3, 1, 4, 15, 9, 2, 6, 5, 8, 7]}, 'lone': {'test': [1]}}
    return gzip.compress(json.dumps(rows).encode())


def test_published_sample(samples, one):
    found = published_sample(samples, 'one', 1, 10)
    assert found.parts['train'] == [f'one-{row}' for row in (3, 1, 4, 15, 9, 2, 6, 5, 8)]
    assert found.parts['validation'] == ['one-7']
    assert found.notes == []
    assert published_trials(samples, 'one') == [(1, 10)]
    some = published_sample(samples, 'one', 1, 10, available=one['name'][:20].tolist())
    assert some.notes == ['4 of 4 published test rows of one are not there, one-23 the first of them']
    assert some.table(['one-7', 'one-3', 'one-0'])['part'].tolist() == ['unused', 'train', 'validation']
    with pytest.raises(ValueError, match=r'no trial 2 of 10 rows of one was published; there are \(.*\): 1 of 10'):
        published_sample(samples, 'one', 2, 10)
    with pytest.raises(ValueError, match='none at all, only test rows'):
        published_sample(samples, 'lone', 1, 10)
    with pytest.raises(ValueError, match='none of the published rows of one is there'):
        published_sample(samples, 'one', 1, 10, available=['a-1'])


def test_published_samples_of_real_data(shared_data):
    from aiida_embarrier.datasets.importing.properties import read

    file = shared_data / 'tl' / 'splits.json.gz'
    names = read(pd.read_parquet(shared_data / 'tl' / 'dc.parquet'), 'dc', None)[0]['name'].tolist()
    assert len(published_trials(file, 'dc')) == 25
    found = published_sample(file, 'dc', 3, 800, available=names)
    assert {part: len(some) for part, some in found.parts.items()} == {'train': 720, 'validation': 80, 'test': 106}
    assert not found.notes


def test_rows_of_a_published_trial(samples, one):
    again = one.assign(frac_coords=one['frac_coords'].where(one.index != 3, one['frac_coords'][23]))
    for column in ('lattice', 'species'):
        again.loc[3, column] = one.loc[23, column]
    found = published_rows(again, samples, 1, 10)
    assert found.report['parts'] == {'test': 4, 'train': 9, 'unused': 10, 'validation': 1}
    assert '1 row(s) that train or validate hold the crystal of a test row, one-3' in found.report['notes'][0]


def test_rows_without_the_crystals_of_tests(one, other):
    found = pretraining_rows(other, {'one': rows_that_test(one)}, validation_fraction=0.2)
    parts = found.table.set_index('name')['part']
    assert set(parts[['other-20', 'other-21']]) == {'excluded'}
    assert set(parts[['other-22', 'other-23']]) == {'test'}
    assert found.report['parts'] == {'excluded': 2, 'test': 2, 'train': 11, 'validation': 3}
    assert found.report['excluded'] == {'one': ['other-20', 'other-21']}
    with pytest.raises(ValueError, match='a sample of 15 rows cannot be drawn from a pool of 14: of 18 rows 2 test'):
        pretraining_rows(other, {'one': rows_that_test(one)}, 15)


def test_tests_that_are_drawn_have_no_twin_in_the_training(one):
    twins = pd.concat([one, halides('twin', kind='cubic')], ignore_index=True).drop(columns='published_split')
    found = sampled_rows(twins, 10, test_fraction=0.25, test_seed=4)
    assert found.report['parts']['test'] == 12
    of = {part: {name.rpartition('-')[2] for name in some['name']} for part, some in found.table.groupby('part')}
    assert not of['test'] & (of['train'] | of['validation'])
    assert of['excluded'] <= of['test']


def test_relations(one, other):
    other = other.assign(target=-2 * other['target'] + 5)
    table = relations({'one': one, 'other': other}, units={'other': 'eV'}).set_index(['source', 'target'])
    assert table.reset_index().columns.tolist() == list(COLUMNS)
    found = table.loc[('other', 'one')]
    assert found['n_shared'] == 18
    assert found['pearson'] == pytest.approx(-1)
    assert found['spearman'] == pytest.approx(-1)
    assert (found['elements_seen'], found['systems_seen']) == (0.9, 0.75)
    assert table.loc[('one', 'other'), 'nearest'] == pytest.approx(0, abs=1e-6)
    assert table.loc[('one', 'other'), 'source_unit'] is pd.NA
    assert found['nearest_own'] > 0


def test_relations_against_scipy(one):
    from scipy.stats import pearsonr, spearmanr

    target = one['target'] + np.random.default_rng(0).normal(scale=6, size=len(one))
    found = relations({'a': one, 'b': one.assign(target=target)}).iloc[0]
    expected = pearsonr(one['target'], target)
    interval = expected.confidence_interval()
    assert found[['pearson', 'pearson_low', 'pearson_high']].tolist() == pytest.approx(
        [expected.statistic, interval.low, interval.high]
    )
    assert found['spearman'] == pytest.approx(spearmanr(one['target'], target).statistic)
    assert found['spearman_low'] < found['spearman'] < found['spearman_high']


def test_relations_that_are_refused(one):
    with pytest.raises(ValueError, match='two or more datasets'):
        relations({'one': one})
    with pytest.raises(ValueError, match="'one-2' of b has no target"):
        relations({'a': one, 'b': one.assign(target=one['target'].where(one.index != 2))})
