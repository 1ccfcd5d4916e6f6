"""Whether an intercalated crystal is in a database, or has to be derived."""

import pytest

from aiida_embarrier.structures.providers.folder import FolderProvider
from aiida_embarrier.structures.providers.intercalated import find_intercalated
from aiida_embarrier.structures.providers.optimade import OptimadeProvider


@pytest.fixture
def charged(crystals):
    """Return FePO4, compressed and in a cell of another origin than its lithium phosphate."""
    host = crystals['LFP'].copy()
    host.remove_species(['Li'])
    host.scale_lattice(0.93 * host.volume)
    host.translate_sites(range(len(host)), [0.25, 0.25, 0])
    return host


def test_the_crystal_with_the_same_framework_comes_first(folder, charged):
    found = find_intercalated(FolderProvider(folder), charged, 'Li')
    assert found.verdict == 'in_database'
    assert found.best.same_framework
    assert {match.entry.id: match.content for match in found.matches} == {
        'olivines/LFP.cif': 1.0,
        'olivines/POSCAR_half': 0.5,
        'disordered.cif': 0.5,
    }
    assert [entry.id for entry in found.answer.entries] == [match.entry.id for match in found.matches]


def test_an_ion_that_replaces_another(folder, crystals):
    assert find_intercalated(FolderProvider(folder), crystals['NFP'], 'Li', host_ion='Na').verdict == 'in_database'
    missing = find_intercalated(FolderProvider(folder), crystals['NFP'], 'K', host_ion='Na')
    assert missing.verdict == 'to_be_derived'
    assert missing.best is None
    assert missing.matches == ()


def test_the_same_elements_in_another_framework(service, charged):
    other = charged.copy()
    other.replace_species({'Fe': 'P', 'P': 'Fe'})
    found = find_intercalated(OptimadeProvider(service.url), other, 'Na')
    assert found.verdict == 'to_be_derived'
    assert [(match.entry.id, match.same_framework, match.rms) for match in found.matches] == [('NFP', False, None)]


def test_another_content_of_the_framework_is_no_match(folder, crystals):
    host = crystals['salt'].copy()
    host.replace_species({'Cl': 'O'})
    host.remove_species(['Na'])
    assert find_intercalated(FolderProvider(folder), host, 'Li').matches == ()


def test_a_formula_without_a_framework(folder):
    found = find_intercalated(FolderProvider(folder), 'NaFePO4', 'Na')
    assert found.verdict == 'in_database'
    assert found.best.same_framework is None
    assert find_intercalated(FolderProvider(folder), 'KFePO4', 'K').verdict == 'to_be_derived'
    assert found.to_dict()['matches'][0]['id'] == 'olivines/NFP.vasp'


def test_what_makes_no_sense(folder, crystals):
    provider = FolderProvider(folder)
    with pytest.raises(ValueError, match='there is no Li in FePO4'):
        find_intercalated(provider, 'FePO4', 'Li')
    with pytest.raises(ValueError, match="'Lithium' is no element"):
        find_intercalated(provider, crystals['LFP'], 'Lithium')
    with pytest.raises(ValueError, match='nothing is left of NaCl without Cl, Na'):
        find_intercalated(provider, crystals['salt'], 'Na', host_ion='Cl')
