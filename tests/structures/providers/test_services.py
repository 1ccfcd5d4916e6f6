"""The Materials Project and OPTIMADE, as services on this machine speak them, with their faults."""

import json
import logging
import time
from email.utils import formatdate

import pytest
from crystal_services import KEY
from pymatgen.analysis.structure_matcher import StructureMatcher

from aiida_embarrier.structures.providers.base import ProviderError, Query
from aiida_embarrier.structures.providers.materials_project import MaterialsProjectProvider
from aiida_embarrier.structures.providers.optimade import OptimadeProvider, optimade_filter

QUICK = {'timeout': 2.0, 'pause': 0.0}


@pytest.fixture
def ordered(service):
    """Leave the disordered crystal out: the Materials Project has none."""
    del service.crystals['LFP-disordered']
    return service


@pytest.fixture
def materials_project(ordered):
    return MaterialsProjectProvider(KEY, ordered.url, **QUICK)


@pytest.fixture
def optimade(service):
    return OptimadeProvider(service.url, **QUICK)


@pytest.fixture(params=['materials_project', 'optimade'])
def provider(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    ('query', 'found'),
    [
        ({'formula': 'Li4Fe4P4O16'}, {'LFP'}),
        ({'chemical_system': 'Fe-Na-O-P'}, {'NFP'}),
        ({'elements': ['Fe', 'Na']}, {'NFP'}),
        ({'elements': ['Na'], 'space_group': 'Fm-3m'}, {'salt'}),
        ({'ids': ['salt', 'NFP']}, {'salt', 'NFP'}),
        ({'formula': 'KFePO4'}, set()),
    ],
)
def test_queries_reach_the_service(provider, query, found):
    answer = provider.search(Query(**query))
    assert {entry.id for entry in answer.entries} == found
    assert answer.complete
    assert answer.problems == ()


def test_crystals_come_as_they_are(provider, crystals):
    entry = provider.search(Query(formula='LiFePO4', space_group=62)).entries[0]
    assert entry.space_group == 'Pnma'
    assert len(entry.structure) == 28
    assert StructureMatcher(scale=False).fit(entry.structure, crystals['LFP'])


def test_version_and_details_of_the_materials_project(materials_project):
    answer = materials_project.search(Query(elements=['P']))
    assert answer.version == '2026.04.01'
    energies = [entry.extra['energy_above_hull'] for entry in answer.entries]
    assert energies == sorted(energies)
    assert answer.entries[0].extra['icsd_ids'] == ['icsd-1']


def test_version_and_pages_of_optimade(optimade, service):
    answer = optimade.search(Query(elements=['O']))
    assert [entry.id for entry in answer.entries] == ['LFP', 'NFP', 'L05FP', 'LFP-disordered']
    assert answer.version == 'Crystals, implementation 0.9, OPTIMADE 1.2.0'
    assert sum(path == '/v1/structures' for path, _, _ in service.requests) == 4
    disordered = answer.entries[-1].structure
    assert not disordered.is_ordered
    assert disordered.composition == service.crystals['LFP-disordered'].composition
    assert answer.entries[0].extra == {'immutable_id': 'LFP-1'}


def test_the_version_in_an_address_is_no_matter(service):
    for url in (service.url, f'{service.url}/', f'{service.url}/v1', f'{service.url}/v1/'):
        assert OptimadeProvider(url, **QUICK).base_url == service.url
    with pytest.raises(ProviderError, match='is no address: it begins with https://'):
        OptimadeProvider('optimade.org')


def test_filters():
    query = Query(formula='LiFePO4', chemical_system='Li-O', elements=['Fe'], ids=['a"b', 'c'])
    assert optimade_filter(query) == (
        'chemical_formula_reduced="FeLiO4P" AND elements HAS ALL "Li", "O" AND nelements=2 AND elements HAS ALL "Fe" '
        'AND (id="a\\"b" OR id="c")'
    )


def test_as_many_as_asked_for(provider):
    answer = provider.search(Query(elements=['O'], max_results=1))
    assert len(answer.entries) == 1
    assert not answer.complete


def test_pages_of_the_materials_project(materials_project, monkeypatch):
    monkeypatch.setattr('aiida_embarrier.structures.providers.materials_project.PAGE', 2)
    assert len(materials_project.search(Query(elements=['O'])).entries) == 3


def test_entries_that_cannot_be_read_are_said(provider, service):
    service.spoilt['NFP'] = {'id': 'NFP', 'material_id': 'NFP', 'attributes': {'species': []}}
    answer = provider.search(Query(chemical_system='Fe-Na-O-P'))
    assert answer.entries == ()
    assert answer.problems[0].startswith('NFP: ')


def test_species_that_nobody_knows_are_said(optimade, service):
    unknown = {'name': 'X', 'chemical_symbols': ['X'], 'concentration': [1.0]}
    attributes: dict = {'species': [unknown], 'species_at_sites': ['X'], 'cartesian_site_positions': [[0, 0, 0]]}
    attributes['lattice_vectors'] = [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
    service.spoilt['NFP'] = {'id': 'NFP', 'attributes': attributes}
    assert 'unknown element' in optimade.search(Query(chemical_system='Fe-Na-O-P')).problems[0]


@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        ((401, {}, ''), r'refuses access \(401\)'),
        ((403, {}, '{"message": "quota"}'), r'refuses access \(403: quota\)'),
        ((404, {}, '<html>'), r'has nothing at http://127.0.0.1:\d+/\S+ \(404\)'),
        ((400, {}, '{"errors": [{"detail": "no such field"}]}'), r'not understand the query \(400: no such field\)'),
        ((200, {}, '<html>maintenance</html>'), "answered with what is no JSON: '<html>maintenance</html>'"),
        ((200, {}, '{"data": [1'), 'what is no JSON'),
        ((200, {}, '[1]'), 'answered with a JSON list'),
        ((429, {'Retry-After': '3600'}, ''), r'too many requests \(429\): try again in 3600 s'),
    ],
)  # fmt: skip
def test_faults_that_last_end_at_once(provider, service, fault, message):
    service.faults = [fault]
    with pytest.raises(ProviderError, match=message) as caught:
        provider.search(Query(formula='LiFePO4'))
    assert len(service.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    'fault',
    [
        (429, {'Retry-After': '0'}, ''),
        (429, {'Retry-After': formatdate(time.time() - 5, usegmt=True)}, ''),
        (429, {'Retry-After': 'soon'}, ''),
        (500, {}, 'oops'),
        (503, {}, ''),
    ],
)
def test_faults_that_pass_are_waited_for(provider, service, fault):
    service.faults = [fault, fault]
    assert [entry.id for entry in provider.search(Query(formula='LiFePO4')).entries] == ['LFP']


@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        ((500, {}, '{"detail": "broken"}'), r'out of order \(500: broken\): try again later'),
        ((429, {}, ''), r'too many requests \(429\): try again later'),
    ],
)
def test_faults_that_do_not_pass_end_after_three_tries(provider, service, fault, message):
    service.faults = [fault] * 3
    with pytest.raises(ProviderError, match=message):
        provider.search(Query(formula='LiFePO4'))
    assert len(service.requests) == 3


def test_silence(service):
    service.faults = [5.0, 5.0]
    provider = OptimadeProvider(service.url, timeout=0.1, tries=2, pause=0.0)
    with pytest.raises(ProviderError, match=r'did not answer within 0.1 s, 2 times'):
        provider.search(Query(formula='LiFePO4'))


def test_nobody_there():
    provider = OptimadeProvider('http://127.0.0.1:9', timeout=1.0, tries=1)
    with pytest.raises(ProviderError, match=r'cannot be reached at http://127.0.0.1:9/v1/info'):
        provider.search(Query(formula='LiFePO4'))


def test_services_of_another_kind(provider, service):
    service.answer = lambda *_: (200, {}, '{"meta": {}}')
    with pytest.raises(ProviderError, match='answered without `data`'):
        provider.search(Query(formula='LiFePO4'))


def test_pages_that_lead_back_end(optimade, service):
    proper = service.answer

    def circular(path, query, headers):
        if path == '/v1/structures':
            return 200, {}, json.dumps({'data': [], 'links': {'next': f'{service.url}/v1/structures'}})
        return proper(path, query, headers)

    service.answer = circular
    answer = optimade.search(Query(formula='LiFePO4'))
    assert answer.entries == ()
    assert not answer.complete
    assert 'reading stopped after 1 pages' in answer.problems[0]


def test_the_key_is_a_secret(ordered, monkeypatch, caplog):
    monkeypatch.delenv('MP_API_KEY', raising=False)
    with pytest.raises(ProviderError, match='set the environment variable MP_API_KEY'):
        MaterialsProjectProvider()
    # the HTTP library would show these in its errors
    for damaged in ('abc\ndef', 'ключ'):
        with pytest.raises(ProviderError, match='characters other than letters and digits') as caught:
            MaterialsProjectProvider(damaged)
        assert damaged not in str(caught.value)
    monkeypatch.setenv('MP_API_KEY', 'wrong')
    with pytest.raises(ProviderError, match=r'403: Invalid API key\): see that the key in MP_API_KEY'):
        MaterialsProjectProvider(base_url=ordered.url, **QUICK).search(Query(formula='LiFePO4'))
    monkeypatch.setenv('MP_API_KEY', KEY)
    monkeypatch.setenv('MP_API_ENDPOINT', ordered.url)
    caplog.set_level(logging.DEBUG)
    answer = MaterialsProjectProvider(**QUICK).search(Query(formula='LiFePO4'))
    assert KEY not in repr(answer.to_dict()) + caplog.text
    assert all(KEY not in path + repr(query) for path, query, _ in ordered.requests)


def test_the_key_goes_nowhere_else(materials_project, ordered):
    ordered.faults = [(302, {'Location': 'http://127.0.0.1:9/elsewhere?x=1'}, '')]
    with pytest.raises(ProviderError, match=r'redirects to http://127.0.0.1:9/elsewhere, where the key is not sent'):
        materials_project.search(Query(formula='LiFePO4'))
