"""Orderings as files: all or none, and never over others without being asked."""

import pytest
from disordered_crystals import rock_salt

from aiida_embarrier.structures import ordering_files
from aiida_embarrier.structures.ordering_files import check_folder, write_orderings
from aiida_embarrier.structures.orderings import find_orderings
from aiida_embarrier.structures.reading import read_structure


@pytest.fixture(scope='module')
def found():
    return find_orderings(rock_salt({'Mg2+': 0.5}, 'Cl-'), supercell=[2, 1, 1])


def test_files_are_the_orderings(found, tmp_path):
    paths = write_orderings(tmp_path / 'new' / 'folder', found.orderings)
    assert sorted(paths) == sorted((tmp_path / 'new' / 'folder').iterdir())
    assert paths[0].name == f'ordering_0000_{found.energies[0]:.4f}eV.cif'
    for path, ordering in zip(paths, found.orderings, strict=True):
        again = read_structure(path)
        assert again.composition == ordering.structure.composition
        assert [str(site.specie) for site in again] == [str(site.specie) for site in ordering.structure]
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['folder']


def test_orderings_without_energies_have_none_in_their_names(tmp_path):
    metals = find_orderings(rock_salt({'Nb': 0.5, 'Zr': 0.5}, 'Ti'))
    assert [path.name for path in write_orderings(tmp_path / 'metals', metals.orderings)] == ['ordering_0000.cif']


def test_earlier_orderings_are_replaced_when_all_are_written(found, tmp_path):
    (tmp_path / 'ordering_0000_-1.0000eV.cif').write_text('old')
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(ValueError, match=r'holds 1 ordering\(s\) already, such as ordering_0000_-1\.0000eV\.cif'):
        check_folder(tmp_path, overwrite=False)
    check_folder(tmp_path, overwrite=True)
    paths = write_orderings(tmp_path, found.orderings[:2])
    assert sorted(tmp_path.iterdir()) == sorted([*paths, tmp_path / 'notes.txt'])


@pytest.mark.parametrize('exists', [False, True])
def test_a_failure_leaves_what_was_there(found, tmp_path, monkeypatch, exists):
    folder = tmp_path / 'folder'
    if exists:
        folder.mkdir()
        (folder / 'ordering_0000.cif').write_text('old')
    writer = ordering_files.CifWriter

    class Full:
        def __init__(self, structure):
            self.structure = structure

        def write_file(self, path):
            if '_0001_' in path.name:
                raise OSError(28, 'No space left on device')
            writer(self.structure).write_file(path)

    monkeypatch.setattr(ordering_files, 'CifWriter', Full)
    with pytest.raises(OSError, match='No space left'):
        write_orderings(folder, found.orderings)
    assert [path.name for path in tmp_path.rglob('*')] == (['folder', 'ordering_0000.cif'] if exists else [])


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='is a file: give a folder'):
        check_folder(tmp_path / 'file', overwrite=True)
