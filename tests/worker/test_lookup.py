"""Jobs that look crystals up."""

import re

import pytest
from conftest import EXAMPLES
from crystal_services import KEY, Service, running
from pymatgen.core import Structure

from aiida_embarrier.jobs.lookup import LookupJob, LookupResult
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.schemas import Geometry
from aiida_embarrier.structures.providers.folder import FolderProvider
from aiida_embarrier.worker.plain import run_plain_job


@pytest.fixture
def olivine():
    return Structure.from_file(EXAMPLES / 'LiFePO4.cif')


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a job and returns its result, as it is written."""

    def run(**settings):
        path = tmp_path / 'job' / 'job.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(LookupJob(**settings).model_dump_json())
        run_plain_job(path)
        text = (path.parent / 'results.json').read_text()
        assert KEY not in text
        return LookupResult.model_validate_json(text)

    return run


@pytest.fixture
def crystals(tmp_path, olivine):
    folder = tmp_path / 'crystals'
    folder.mkdir()
    olivine.to(str(folder / 'LFP.vasp'), fmt='poscar')
    (folder / 'broken.cif').write_text('nothing')
    return folder


def geometry(structure):
    return Geometry(
        lattice=structure.lattice.matrix.tolist(),
        elements=[site.specie.symbol for site in structure],
        positions=structure.cart_coords.tolist(),
    )


def test_a_query_to_a_folder(run, crystals, olivine):
    result = run(provider='folder', folder=str(crystals), query={'formula': 'LiFePO4'})
    assert result.outcome is Outcome.DONE
    assert [entry['id'] for entry in result.entries] == ['LFP.vasp']
    assert (result.provider, result.query) == ('folder', {'formula': 'LiFePO4', 'max_results': 50})
    assert result.version == FolderProvider(crystals).version()
    assert len(result.problems) == 1
    assert result.warnings[0].startswith('1 could not be read, the first: broken.cif')
    assert Structure.from_dict(result.structures[0]).composition == olivine.composition
    assert result.verdict is None


def test_an_intercalated_crystal(run, crystals, olivine):
    host = olivine.copy()
    host.remove_species(['Li'])
    found = run(provider='folder', folder=str(crystals), ion='Li', host=geometry(host))
    assert found.verdict == 'in_database'
    assert found.matches[0]['content'] == 1.0
    missing = run(provider='folder', folder=str(crystals), ion='K', formula='KFePO4')
    assert missing.verdict == 'to_be_derived'
    assert (missing.matches, missing.structures) == ([], [])


def test_a_pinned_version(run, crystals):
    version = FolderProvider(crystals).version()
    query = {'provider': 'folder', 'folder': str(crystals), 'query': {'formula': 'LiFePO4'}}
    assert run(**query, version=version).outcome is Outcome.DONE
    (crystals / 'broken.cif').unlink()
    result = run(**query, version=version)
    assert result.outcome is Outcome.FAILED
    assert re.search(f'the job asks for {version}: bring back that state', result.error)


def test_a_service_with_its_key(run, olivine, monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    with running(Service({'LFP': olivine})) as service:
        monkeypatch.setenv('MP_API_ENDPOINT', service.url)
        query = {'provider': 'materials_project', 'query': {'formula': 'LiFePO4'}}
        monkeypatch.delenv('MP_API_KEY', raising=False)
        # what fails now may be mended: the job is not refused, which would be kept
        without = run(**query)
        assert without.outcome is Outcome.FAILED
        assert 'set the environment variable MP_API_KEY' in without.error
        monkeypatch.setenv('MP_API_KEY', KEY)
        found = run(**query)
        assert [entry['id'] for entry in found.entries] == ['LFP']
        assert found.version == '2026.04.01'
        more = run(provider='optimade', base_url=service.url, query={'elements': ['Li'], 'max_results': 1})
        assert more.provider == 'optimade'


def test_folders_and_queries_that_there_are_not(run, tmp_path, crystals):
    result = run(provider='folder', folder=str(tmp_path / 'nowhere'), query={'formula': 'LiFePO4'})
    assert result.outcome is Outcome.FAILED
    assert 'there is no folder' in result.error
    refused = run(provider='folder', folder=str(crystals), ion='Lithium', formula='LiFePO4')
    assert refused.outcome is Outcome.REFUSED
    assert "'Lithium' is no element" in refused.error
    alone = run(provider='folder', folder=str(crystals), ion='Li')
    assert alone.outcome is Outcome.REFUSED
    assert 'goes with a host' in alone.error


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'provider': 'folder', 'folder': 'x'}, 'ask either with `query`'),
        ({'provider': 'folder', 'query': {'formula': 'LiF'}}, 'folder needs the entry `folder`'),
        ({'provider': 'materials_project', 'base_url': 'x', 'query': {'formula': 'LiF'}}, 'no use for the entry `b'),
        ({'provider': 'folder', 'folder': 'x', 'query': {'formula': 'Rubbish'}}, "'Rubbish' is no formula"),
        ({'provider': 'folder', 'folder': 'x', 'query': {'formula': 'LiF'}, 'formula': 'LiF'}, 'go with an `ion`'),
        ({'provider': 'aflow', 'query': {'formula': 'LiF'}}, 'provider'),
    ],
)  # fmt: skip
def test_jobs_without_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        LookupJob(**settings)
