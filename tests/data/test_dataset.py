"""Datasets as nodes: what they are about can be queried."""

import pandas as pd
import pytest
from aiida.orm import QueryBuilder, load_node
from aiida.plugins import DataFactory

from aiida_embarrier.data.dataset import DatasetData

pytestmark = pytest.mark.usefixtures('aiida_profile')

CELL = {'lattice': '[[8,0,0],[0,8,0],[0,0,8]]', 'species': '["Fe","O"]', 'frac_coords': '[[0,0,0],[0.5,0.5,0.5]]'}


def barriers():
    row = {**CELL, 'barrier': 0.3, 'path': '[[0.25,0,0],[0.25,0.5,0]]', 'hop_length': 4.0}
    frame = pd.DataFrame(
        [
            {**row, 'name': 'a', 'ion': 'Li', 'flags': '["close_ion"]', 'published_split': 'train', 'host_group': 'a'},
            {**row, 'name': 'b', 'ion': 'Na', 'published_split': 'test', 'host_group': 'b'},
        ]
    )
    return frame.assign(n_atoms=pd.array([3, 3], 'Int64'))


def test_dataset_comes_back():
    assert DataFactory('embarrier.dataset') is DatasetData
    node = DatasetData(barriers(), title='two rows', source='a book').store()
    loaded = load_node(node.uuid)
    pd.testing.assert_frame_equal(loaded.table, barriers())
    assert (loaded.schema, loaded.title) == ('barrier', 'two rows')
    assert loaded.units == {'barrier': 'eV', 'lattice': 'Å', 'hop_length': 'Å'}
    attributes = {name: loaded.base.attributes.get(name) for name in ('target', 'ions', 'elements', 'n_flagged')}
    assert attributes == {
        'target': 'migration barrier',
        'ions': ['Li', 'Na'],
        'elements': ['Fe', 'Li', 'Na', 'O'],
        'n_flagged': 1,
    }
    assert loaded.base.attributes.get('flags') == {'close_ion': 1}
    assert loaded.base.attributes.get('groups') == ['host_group']
    assert loaded.base.attributes.get('published_splits') == ['test', 'train']


def test_questions():
    node = DatasetData(barriers(), source='for questions').store()
    query = QueryBuilder().append(
        DatasetData,
        filters={
            'attributes.ions': {'contains': ['Na']},
            'attributes.n_flagged': {'<': 2},
            'attributes.source': 'for questions',
        },
        project=['uuid', 'attributes.n_rows'],
    )
    assert query.all() == [[node.uuid, 2]]
    fields = QueryBuilder().append(DatasetData, filters=DatasetData.fields.source == 'for questions', project='uuid')
    assert fields.all() == [[node.uuid]]


def test_properties():
    frame = pd.DataFrame([{**CELL, 'name': 'x', 'target': 2.0}]).assign(n_atoms=pd.array([2], 'Int64'))
    node = DatasetData(frame, schema='property', target='band gap', target_unit='eV', title='gaps')
    assert (node.schema, node.units['target'], node.base.attributes.get('target')) == ('property', 'eV', 'band gap')
    assert node.base.attributes.get('ions') == []
    smaller = node.like(frame.head(0), title='none')
    assert (smaller.schema, smaller.units['target'], smaller.title) == ('property', 'eV', 'none')


def test_what_is_no_dataset():
    frame = barriers()
    for wrong, message in (
        (frame.drop(columns='ion'), "needs the column 'ion'"),
        (frame.assign(name='a'), "the name 'a' is there more than once"),
        (frame.assign(barrier=['x', 'y']), "the column 'barrier' is of type string"),
    ):
        with pytest.raises(ValueError, match=message):
            DatasetData(wrong)
    with pytest.raises(ValueError, match='there is no schema'):
        DatasetData(frame, schema='barriers')
    with pytest.raises(ValueError, match="barriers are in eV, not in 'meV'"):
        DatasetData(frame, target_unit='meV')
