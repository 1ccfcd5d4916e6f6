"""A folder of crystals as a source."""

import pytest

from aiida_embarrier.structures.providers.base import ProviderError, Query
from aiida_embarrier.structures.providers.folder import FolderProvider


def test_crystals_of_all_formats_are_found(folder):
    answer = FolderProvider(folder).search(Query(elements=['O']))
    assert [entry.id for entry in answer.entries] == [
        'disordered.cif',
        'olivines/LFP.cif',
        'olivines/NFP.vasp',
        'olivines/POSCAR_half',
    ]
    assert answer.complete
    assert answer.entries[1].space_group == 'Pnma'
    assert [entry.structure.is_ordered for entry in answer.entries] == [False, True, True, True]
    salt = FolderProvider(folder).search(Query(formula='NaCl', space_group='Fm-3m'))
    assert [entry.id for entry in salt.entries] == ['salt.json']


def test_files_that_hold_no_crystal_are_said(folder):
    answer = FolderProvider(folder).search(Query(formula='LiFePO4'))
    assert [entry.id for entry in answer.entries] == ['olivines/LFP.cif']
    assert len(answer.problems) == 1
    assert answer.problems[0].startswith('broken.cif: ')


def test_crystals_by_name_and_names_that_there_are_not(folder):
    answer = FolderProvider(folder).search(Query(ids=['olivines/NFP.vasp', 'olivines/KFP.vasp']))
    assert [entry.formula for entry in answer.entries] == ['NaFePO4']
    assert 'olivines/KFP.vasp: there is no crystal of that name' in answer.problems


def test_the_version_is_that_of_names_and_contents(folder):
    provider = FolderProvider(folder)
    first = provider.version()
    assert provider.search(Query(formula='NaCl')).version == first == FolderProvider(folder).version()
    (folder / 'notes.txt').write_text('something else')
    assert provider.version() == first
    (folder / 'salt.json').rename(folder / 'rock_salt.json')
    second = provider.version()
    assert second != first
    path = folder / 'olivines' / 'LFP.cif'
    path.write_text(path.read_text().replace('10.33', '10.34'))
    assert provider.version() not in {first, second}


def test_no_more_than_asked_for(folder):
    answer = FolderProvider(folder).search(Query(elements=['O'], max_results=2))
    assert len(answer.entries) == 2
    assert not answer.complete


def test_progress_and_a_folder_that_is_not_there(folder, tmp_path):
    seen = []
    FolderProvider(folder, lambda *counts: seen.append(counts)).version()
    assert seen[0] == (0, 6)
    with pytest.raises(ProviderError, match=r'there is no folder .*nowhere'):
        FolderProvider(tmp_path / 'nowhere')


def test_the_answer_in_plain_values(folder):
    found = FolderProvider(folder).search(Query(formula='LiFePO4')).to_dict()
    assert found['provider'] == 'folder'
    assert found['where'] == str(folder)
    assert found['query'] == {'formula': 'LiFePO4', 'max_results': 50}
    assert found['retrieved_at'].endswith('+00:00')
    assert found['entries'][0]['n_atoms'] == 28
