"""The CalcJob that looks crystals up: through the worker, what is cached, and what is refused before there is a job."""

import re
import shutil

import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import Dict
from conftest import EXAMPLES
from pymatgen.core import Structure

from aiida_embarrier.calculations.lookup import LookupCalculation
from aiida_embarrier.data.convert import disordered_from_node, node_from_structure, structure_from_node
from aiida_embarrier.jobs.lookup import LookupResult
from aiida_embarrier.parsers.lookup import LookupParser


@pytest.fixture
def olivine():
    return Structure.from_file(EXAMPLES / 'LiFePO4.cif')


@pytest.mark.slow
def test_a_lookup_through_the_worker(worker_code, tmp_path, olivine):
    shutil.copy(EXAMPLES / 'LiFePO4.cif', tmp_path)
    host = olivine.copy()
    host.remove_species(['Li'])
    inputs = {
        'code': worker_code,
        'parameters': Dict({'provider': 'folder', 'folder': str(tmp_path), 'ion': 'Li'}),
        'host': node_from_structure(host)[0],
    }
    with enable_caching():
        results, process = run_get_node(LookupCalculation, **inputs)
    assert process.is_finished_ok, process.exit_message
    summary = results['results'].get_dict()
    assert (summary['verdict'], summary['provider'], summary['where']) == ('in_database', 'folder', str(tmp_path))
    assert [match['id'] for match in summary['matches']] == ['LiFePO4.cif']
    assert summary['retrieved_at']
    assert 'structures' not in summary
    found = structure_from_node(results['structures']['entry_000'], results['kinds']['entry_000'])
    assert found.composition.reduced_formula == 'LiFePO4'
    # the folder may be another one tomorrow
    assert not process.base.caching.is_valid_cache


def finished(make_calcjob_node, result, parameters, status=0):
    node = make_calcjob_node(
        'embarrier.lookup',
        {'parameters': Dict(parameters)},
        files={'results.json': result.model_dump_json()},
        exit_status=status,
    )
    node.seal()
    return node


@pytest.mark.parametrize(
    ('parameters', 'status', 'valid'),
    [
        ({'provider': 'folder', 'folder': 'x', 'version': 'abc'}, 0, True),
        ({'provider': 'folder', 'folder': 'x', 'version': 'abc'}, 303, False),
        ({'provider': 'folder', 'folder': 'x'}, 0, False),
        ({'provider': 'optimade', 'base_url': 'http://x', 'version': 'abc'}, 0, False),
        ({'provider': 'materials_project'}, 0, False),
    ],
)
def test_only_folders_of_a_pinned_version_are_cached(make_calcjob_node, parameters, status, valid):
    node = finished(make_calcjob_node, LookupResult(), {**parameters, 'query': {'formula': 'LiF'}}, status)
    assert node.base.caching.is_valid_cache is valid


def test_disordered_crystals_become_nodes_too(make_calcjob_node, olivine):
    olivine.replace_species({'Li': {'Li': 0.5}})
    result = LookupResult(structures=[olivine.as_dict()], provider='folder', entries=[{'id': 'a'}])
    node = finished(make_calcjob_node, result, {'provider': 'folder', 'folder': 'x', 'query': {'formula': 'LiF'}})
    outputs, process = LookupParser.parse_from_node(node, store_provenance=False)
    assert process.is_finished_ok, process.exit_message
    back = disordered_from_node(outputs['structures']['entry_000'], outputs['kinds']['entry_000'])
    assert back.composition == olivine.composition
    assert outputs['results']['entries'] == [{'id': 'a'}]


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'provider': 'folder', 'folder': 'x', 'querry': {}}, "unknown parameter 'querry': did you mean 'query'?"),
        ({'provider': 'folder', 'folder': 'x', 'query': {'formula': 'Rubbish'}}, "'Rubbish' is no formula"),
        ({'provider': 'folder', 'folder': 'x', 'query': {'formula': 'LiF'}}, 'a host goes with the `ion`'),
        ({'provider': 'folder', 'folder': 'x', 'ion': 'Li', 'formula': 'LiF'}, 'either the input `host`'),
        ({'provider': 'folder', 'ion': 'Li'}, 'needs the entry `folder`'),
        ({'provider': 'folder', 'folder': 'x', 'ion': 'Li', 'max_seconds': 3}, "unknown parameter 'max_seconds'"),
    ],
)
def test_questions_without_sense_are_refused_at_launch(worker_code, olivine, parameters, message):
    host = node_from_structure(olivine)[0]
    with pytest.raises(ValueError, match=re.escape(message)):
        run_get_node(LookupCalculation, code=worker_code, host=host, parameters=Dict(parameters))
