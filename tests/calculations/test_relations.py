"""Relations of properties as a job of the worker."""

import re

import pytest
from aiida.engine import run_get_node
from property_systems import halides

from aiida_embarrier.calculations.relations import RelationsCalculation
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.relations import relations
from aiida_embarrier.jobs.relations import RelationsResult
from aiida_embarrier.parsers.relations import RelationsParser


@pytest.fixture
def datasets(aiida_profile):
    gap = DatasetData(halides('one'), schema='property', target='gap', target_unit='eV')
    density = DatasetData(halides('other', kind='cubic'), schema='property', target='density')
    return {'gap': gap, 'density': density}


def test_through_the_worker(worker_code, datasets):
    found, node = run_get_node(RelationsCalculation, code=worker_code, datasets=datasets)
    assert node.is_finished_ok, node.exit_message
    frames = {label: dataset.table for label, dataset in sorted(datasets.items())}
    expected = relations(frames, units={'gap': 'eV', 'density': None})
    assert found['relations'].table.equals(TableData(expected).table)
    row = found['relations'].table.set_index('source').loc['gap']
    assert row[['target', 'source_unit', 'n_shared']].tolist() == ['density', 'eV', 24]
    assert found['results']['n_rows'] == {'density': 24, 'gap': 24}


def test_what_is_refused_at_launch(worker_code, datasets):
    for given, message in (
        ({'gap': datasets['gap']}, 'relations are those of two or more datasets, got gap'),
        ({**datasets, 'hops': None}, "relations are those of properties, and 'hops' is a dataset of barriers"),
    ):
        chosen = {label: node or barriers() for label, node in given.items()}
        with pytest.raises(ValueError, match=re.escape(message)):
            run_get_node(RelationsCalculation, code=worker_code, datasets=chosen)


def barriers():
    node = DatasetData(halides(), schema='property', target='barrier')
    node.base.attributes.set('schema_name', 'barrier')
    return node


def test_table_that_was_altered(make_calcjob_node, datasets, tmp_path):
    node = make_calcjob_node('embarrier.relations', {}, files={'results.json': RelationsResult().model_dump_json()})
    (tmp_path / 'relations.parquet').write_bytes(b'rubbish')
    _, process = RelationsParser.parse_from_node(node, store_provenance=False, retrieved_temporary_folder=str(tmp_path))
    assert process.exit_status == 302
