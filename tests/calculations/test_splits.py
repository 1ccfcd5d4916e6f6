"""Splits as processes."""

import pytest
from aiida.orm import Dict
from split_systems import small_dataset

from aiida_embarrier.calculations.splits import split_dataset
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets import splits
from aiida_embarrier.datasets.tables import content_hash

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture
def dataset(aiida_profile):
    return TableData(small_dataset(), title='small').store()


def test_split_with_its_report(dataset):
    found, node = split_dataset.run_get_node(dataset, Dict({'method': 'family', 'test_fraction': 0.3, 'seed': 2}))
    assert node.is_finished_ok
    expected = splits.split_dataset(small_dataset(), 'family', test_fraction=0.3, seed=2)
    assert found['split'].table.equals(expected.table)
    assert found['leakage'].table.equals(expected.leakage.table)
    report = found['report'].get_dict()
    assert report['method'] == 'family'
    assert report['seed'] == 2
    assert report['dataset_hash'] == content_hash(small_dataset()) == dataset.base.attributes.get('content_hash')
    assert report['parts'].keys() == {'train', 'test'}
    shared = {row['criterion']: row['n_shared'] for row in report['leakage']['summary']}
    assert shared['family'] == 0
    assert {entry.link_label for entry in node.base.links.get_incoming().all()} == {'dataset', 'parameters'}


def test_folds_survive_the_table(dataset):
    found = split_dataset(dataset, Dict({'method': 'random', 'n_folds': 4, 'compare_hops': False}))
    assert sorted(found['split'].table['fold'].unique().tolist()) == [0, 1, 2, 3]
    assert set(found['leakage'].table['part']) == {f'fold {number}' for number in range(4)}


def test_split_without_evaluation(dataset):
    found, node = split_dataset.run_get_node(dataset, Dict({'n_test': 0, 'compare_hops': False}))
    assert node.is_finished_ok
    assert len(found['leakage'].table) == 0


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'method': 'famly'}, "there is no method 'famly' to split a dataset"),
        ({'metod': 'family'}, "a split has no parameter 'metod': choose from method, "),
        ({'method': 'family', 'n_test': 1}, 'no group fits into 1 test row'),
        ({'method': ['a']}, "method is a name, got ['a']"),
        ({'method': 'column', 'group_by': {'a': 1}}, "group_by is a name, got {'a': 1}"),
        ({'n_test': '3'}, "n_test is a whole number, got '3'"),
        ({'n_folds': True}, 'n_folds is a whole number, got True'),
        ({'seed': None}, 'seed is a whole number, got None'),
        ({'validation_fraction': [0.1]}, 'validation_fraction is a number, got [0.1]'),
        ({'compare_hops': 'no'}, "compare_hops is true or false, got 'no'"),
    ],
)
def test_what_is_refused(dataset, parameters, message):
    found, node = split_dataset.run_get_node(dataset, Dict(parameters))
    assert found == {} or found is None
    assert node.exit_status == 201
    assert message in node.exit_message


def test_table_that_is_no_dataset(aiida_profile):
    table = TableData(small_dataset()[['name', 'barrier']])
    _, node = split_dataset.run_get_node(table, Dict({}))
    assert node.exit_status == 201
    assert 'this table is no dataset' in node.exit_message


def test_dataset_of_properties(aiida_profile):
    frame = small_dataset().drop(columns=['ion', 'path', 'barrier']).assign(target=1.0)
    found, node = split_dataset.run_get_node(TableData(frame), Dict({'method': 'family', 'n_test': 8}))
    assert node.is_finished_ok
    assert found['leakage'].table['scenario'].isna().all()
    assert found['report']['leakage']['scenarios'] == []
