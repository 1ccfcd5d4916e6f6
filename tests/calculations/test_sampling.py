"""Samples of properties as processes."""

import gzip
import io
import json

import pytest
from aiida.orm import Dict, SinglefileData
from property_systems import halides

from aiida_embarrier.calculations.sampling import pretraining_split, sample_split
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.tables import content_hash
from aiida_embarrier.datasets.training_rows import sampled_rows

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture(scope='module')
def frame():
    return halides('one')


@pytest.fixture
def dataset(frame, aiida_profile):
    return DatasetData(frame, schema='property', target='gap', target_unit='eV')


@pytest.fixture
def published():
    rows = {'one': {'test': [23, 22, 21, 20], 'trial1_10': [3, 1, 4, 15, 9, 2, 6, 5, 8, 7]}}
    return SinglefileData(io.BytesIO(gzip.compress(json.dumps(rows).encode())), filename='splits.json.gz')


def test_sample_with_its_report(dataset, frame):
    parameters = {'size': 10, 'method': 'diverse', 'seed': 2}
    found, node = sample_split.run_get_node(dataset, Dict(parameters))
    assert node.is_finished_ok
    expected = sampled_rows(frame, 10, 'diverse', seed=2)
    assert found['split'].table.equals(expected.table)
    report = found['report'].get_dict()
    assert report['parts'] == {'test': 4, 'train': 9, 'unused': 10, 'validation': 1}
    assert report['dataset_hash'] == content_hash(frame)


def test_published_sample(dataset, published):
    found, node = sample_split.run_get_node(
        dataset, Dict({'method': 'published', 'trial': 1, 'size': 10}), published=published
    )
    assert node.is_finished_ok, node.exit_message
    parts = found['split'].table.set_index('name')['part']
    assert parts[['one-3', 'one-7', 'one-20', 'one-0']].tolist() == ['train', 'validation', 'test', 'unused']


def test_pretraining_without_the_crystals_of_tests(dataset):
    other = DatasetData(halides('other', kind='cubic', n_test=0), schema='property', target='density')
    found, node = pretraining_split.run_get_node(other, Dict({'validation_fraction': 0.25}), gap=dataset)
    assert node.is_finished_ok, node.exit_message
    assert found['report']['parts'] == {'excluded': 4, 'train': 15, 'validation': 5}
    assert found['report']['excluded'] == {'gap': [f'other-{number}' for number in range(20, 24)]}
    split = TableData(halides('one')[['name']].assign(part=['test', *['train'] * 23]))
    found = pretraining_split(other, Dict({}), gap=dataset, split_gap=split)
    assert found['report']['excluded'] == {'gap': ['other-0']}


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'size': 21}, 'a sample of 21 rows cannot be drawn from a pool of 20: of 24 rows 4 test'),
        ({'size': '3'}, "size is a whole number, got '3'"),
        ({'sise': 3}, "unknown parameter 'sise': did you mean 'size'?"),
        ({'trial': 1, 'size': 10}, "`trial` goes with the method `published`, not with 'random'"),
        ({'method': 'published', 'trial': 1, 'size': 10}, 'published samples need the file that holds them'),
        ({'method': 'published', 'seed': 1}, "published samples are what they are: leave out 'seed'"),
        ({'test_published': False, 'test_fraction': 1.5}, 'the share of rows that test lies between 0 and 1, got 1.5'),
    ],
)
def test_what_is_refused(dataset, parameters, message):
    _, node = sample_split.run_get_node(dataset, Dict(parameters))
    assert node.exit_status == 201
    assert message in node.exit_message


def test_datasets_that_are_refused(dataset, published):
    barriers = TableData(halides().rename(columns={'target': 'barrier'}))
    _, node = sample_split.run_get_node(barriers, Dict({}))
    assert "dataset is no dataset of a property: it lacks the column 'target'" in node.exit_message
    untested = DatasetData(halides(n_test=0), schema='property', target='gap')
    _, node = pretraining_split.run_get_node(dataset, Dict({}), gap=untested)
    assert 'gap: no row of this dataset tests' in node.exit_message
    _, node = pretraining_split.run_get_node(dataset, Dict({}), split_gap=untested)
    assert "there is the split split_gap and no dataset 'gap'" in node.exit_message
    _, node = sample_split.run_get_node(dataset, Dict({'size': 10}), published=published)
    assert 'a file with published samples goes with the method `published`' in node.exit_message
