"""The table shows what was asked for and what processes gave, with numbers from the content."""

import numpy as np
import pandas as pd
import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, FolderData, Int, StructureData, WorkChainNode
from learned_models import rocksalts, write_model_folder
from systems import computed_band, straight_band

from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.datasets.tables import content_hash
from aiida_embarrier.publishing.archive import select
from aiida_embarrier.publishing.numbers import COLUMNS, numbers
from aiida_embarrier.publishing.shown import Starting


def table_of(*nodes, **how):
    starting = Starting(nodes=tuple(node.uuid for node in nodes))
    return numbers(starting, select(nodes).links, **how)


def test_bands(make_band):
    first = make_band(0.1 + 0.2, 'first')
    [row] = table_of(first).to_dict(orient='records')
    found = barriers([0.0, 0.3, 0.1 + 0.2, 0.35, 0.1])
    assert (row['kind'], row['name'], row['uuid'], row['mobile_ion'], row['host']) == (
        *('band', 'first', first.uuid, 'Al', 'Al'),
    )
    for name in ('forward', 'reverse', 'span', 'rate_limiting', 'rate_limiting_reverse'):
        assert row[f'barrier_{name}'] == getattr(found, name)
    assert (row['n_images'], row['converged'], row['n_ancestors']) == (5, True, 2)
    assert row['hop_length'] == pytest.approx(4.05 / np.sqrt(2))


def test_attributes_say_the_same(make_band):
    nodes = [make_band(0.1 + 0.2), make_band(0.7)]
    again = table_of(*nodes, recompute=False)
    pd.testing.assert_frame_equal(again, table_of(*nodes)[list(again.columns)], rtol=1e-13)


def test_bands_without_energies(aiida_profile_clean):
    from aiida_embarrier.data.band import BandData

    [row] = table_of(BandData(straight_band()).store()).to_dict(orient='records')
    assert pd.isna(row['barrier_forward'])
    assert row['n_images'] == 5


def test_tables_and_values(aiida_profile_clean):
    from aiida_embarrier.data.table import TableData

    frame = pd.DataFrame({'a': [1.0, np.nan, 3.0], 'b': ['x', 'y', 'z'], 'c': [True, False, True]})
    nodes = [
        Dict({'b': [2, True, 'two'], 'a': {'x': 1.5}}).store(),
        TableData(frame).store(),
        Int(1).store(),
        StructureData(),
    ]
    table = table_of(*nodes[:3])
    assert table['kind'].tolist() == ['table', 'values']
    assert table['n_rows'].tolist() == [3, 2]
    assert table['n_numbers'].tolist() == [2, 2], 'neither gaps nor truth values are numbers'
    assert table['content_hash'][0] == content_hash(frame)
    same, other = (Dict({'a': {'x': x}, 'b': [2, True, 'two']}).store() for x in (1.5, 1.6))
    hashes = table_of(same, other).set_index('uuid')['content_hash']
    assert table['content_hash'][1] == hashes[same.uuid] != hashes[other.uuid]


def test_outputs_of_processes_and_their_names(aiida_profile_clean):
    from aiida.orm import CalcFunctionNode

    from aiida_embarrier.data.band import BandData

    root, inner = WorkChainNode(label='LiFePO4, hop 0'), CalcFunctionNode()
    root.store()
    inner.base.links.add_incoming(root, LinkType.CALL_CALC, 'neb')
    inner.store()
    band, left = BandData(computed_band()), BandData(computed_band())
    for label, node in {'band': band, 'bands__left': left}.items():
        node.base.links.add_incoming(inner, LinkType.CREATE, label)
        node.store()
    band.base.links.add_incoming(root, LinkType.RETURN, 'band')
    for process in (inner, root):
        process.set_process_state('finished')
        process.seal()
    of_root = table_of(root)
    assert of_root['uuid'].tolist() == [band.uuid], 'what it returned, and not what was made on the way'
    assert of_root['name'].tolist() == ['LiFePO4, hop 0/band']
    assert table_of(left)['name'].tolist() == ['LiFePO4, hop 0/bands/left']
    assert of_root['n_ancestors'].tolist() == [2]


def test_models_and_files(aiida_profile_clean, tmp_path):
    from aiida.orm import CalcJobNode

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.model import ModelData

    write_model_folder(tmp_path / 'model')
    job = CalcJobNode(label='trained')
    given = {
        'model': ModelData.from_folder(tmp_path / 'model'),
        'figures': FolderData(),
        'retrieved': FolderData(),
    }
    dataset = DatasetData(rocksalts(), schema='property', target='gap', target_unit='eV').store()
    job.base.links.add_incoming(dataset, LinkType.INPUT_CALC, 'dataset')
    job.base.links.add_incoming(Dict({'epochs': 1}).store(), LinkType.INPUT_CALC, 'settings')
    given['figures'].base.repository.put_object_from_bytes(b'<h1>', 'pages/index.html')
    job.store()
    for label, node in given.items():
        node.base.links.add_incoming(job, LinkType.CREATE, label)
        node.store()
    job.set_process_state('finished')
    job.seal()
    table = table_of(job)
    assert table[['kind', 'name', 'n_rows']].to_numpy().tolist() == [
        ['dataset', 'trained/dataset', len(rocksalts())],
        ['model', 'trained/model', 2],
        ['files', 'trained/figures', 1],
    ]
    other = FolderData()
    other.base.repository.put_object_from_bytes(b'<h2>', 'pages/index.html')
    hashes = table_of(other.store(), given['figures'])['content_hash']
    assert table['content_hash'][2] in set(hashes)
    assert hashes.nunique() == 2
    pd.testing.assert_frame_equal(
        table_of(job, recompute=False), table.drop(columns=['barrier_rate_limiting_reverse', 'n_numbers'])
    )


def test_nothing_to_show(aiida_profile_clean):
    table = table_of(Int(1).store())
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 0
