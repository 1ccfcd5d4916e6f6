"""Tables as nodes."""

import numpy as np
import pandas as pd
import pytest
from aiida.common.exceptions import ValidationError
from aiida.orm import QueryBuilder, load_node
from aiida.plugins import DataFactory

from aiida_embarrier.data.table import FILE, TableData

pytestmark = pytest.mark.usefixtures('aiida_profile')


def frame():
    return pd.DataFrame(
        {
            'system': ['LiFePO4', 'Na3PS4', None],
            'barrier': [0.27, np.nan, 0.06],
            'images': pd.array([7, None, 9], 'Int64'),
        }
    )


def test_table_comes_back():
    assert DataFactory('embarrier.table') is TableData
    node = TableData(frame(), units={'barrier': 'eV'}, title='barriers').store()
    loaded = load_node(node.uuid)
    pd.testing.assert_frame_equal(loaded.table, frame(), check_exact=True)
    assert (loaded.title, loaded.units) == ('barriers', {'barrier': 'eV'})
    assert loaded.base.attributes.get('n_rows') == 3
    assert loaded.base.attributes.get('columns') == [
        {'name': 'system', 'dtype': 'string', 'unit': None},
        {'name': 'barrier', 'dtype': 'float64', 'unit': 'eV'},
        {'name': 'images', 'dtype': 'Int64', 'unit': None},
    ]
    query = QueryBuilder().append(
        TableData, filters=TableData.fields.title == 'barriers', project=['attributes.n_rows']
    )
    assert [3] in query.all()


def test_hash_is_that_of_the_content(monkeypatch):
    node = TableData(frame(), units={'barrier': 'eV'}, title='barriers').store()
    original = pd.DataFrame.to_parquet

    def as_another_library_would(self, path, **options):
        return original(self, path, **{**options, 'compression': 'snappy', 'version': '1.0'})

    monkeypatch.setattr(pd.DataFrame, 'to_parquet', as_another_library_would)
    other = TableData(frame(), units={'barrier': 'eV'}, title='barriers').store()
    files = [table.base.repository.get_object_content(FILE, mode='rb') for table in (node, other)]
    assert files[0] != files[1]
    assert node.base.caching.get_hash() == other.base.caching.get_hash()
    assert node.base.caching.get_hash() is not None


def test_hash_sees_content_and_units():
    def hash_of(table, **what):
        return TableData(table, **what).store().base.caching.get_hash()

    changed = frame()
    changed.loc[2, 'barrier'] = 0.07
    hashes = [
        hash_of(frame()),
        hash_of(frame(), units={'barrier': 'eV'}),
        hash_of(frame(), title='barriers'),
        hash_of(changed),
    ]
    assert len(set(hashes)) == 4


def test_what_is_no_table():
    with pytest.raises(ValidationError, match='needs a table'):
        TableData().store()
    with pytest.raises(ValueError, match='holds list'):
        TableData(pd.DataFrame({'a': [[1]]}))
    with pytest.raises(ValueError, match="a unit is given for 'volume'"):
        TableData(frame(), units={'volume': 'Å³'})
    with pytest.raises(TypeError, match='a table is a pandas DataFrame'):
        TableData({'a': [1]})
