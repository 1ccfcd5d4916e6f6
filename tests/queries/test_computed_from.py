"""Everything computed from a crystal, and which crystals are the one in a file."""

import pytest
from aiida.orm import CifData, Int, SinglefileData
from pymatgen.core import Lattice, Structure
from systems import aluminium

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.queries.computed_from import (
    CRYSTAL_COLUMNS,
    PROCESS_COLUMNS,
    bands_from,
    find_crystals,
    processes_from,
)

from .conftest import calculate, call, finish


def store(structure):
    return node_from_structure(structure)[0].store()


def test_bands_and_processes(barrier, crystal):
    made = barrier(({'wall_s': 1.0}, {'wall_s': 2.0}))
    other = barrier(of=store(aluminium((2, 1, 1))))
    bands = bands_from([crystal.pk])
    assert bands['pk'].tolist() == [made.band.pk]
    assert bands[['process', 'hop']].values.tolist() == [[made.root.pk, 3]]
    assert set(bands_from([crystal.pk], replaced=True)['pk']) == {band.pk for band in made.bands}
    processes = processes_from([crystal.pk])
    assert processes['pk'].tolist() == [made.root.pk]
    assert processes['n_steps'].tolist() == [5]  # the process, its chain, two jobs, the endpoints
    assert processes['exit_status'].tolist() == [0]
    both = processes_from([crystal.pk, other.guess.pk])
    assert both['pk'].tolist() == [made.root.pk, other.root.pk]


def test_processes_that_failed_before_they_had_a_band(crystal):
    failed = finish(call('barrier', structure=crystal), 401, 'no')
    processes = processes_from([crystal.pk])
    assert processes['pk'].tolist() == [failed.pk]
    assert processes['exit_status'].tolist() == [401]
    assert bands_from([crystal.pk]).empty


def test_nothing_computed(crystal):
    assert list(processes_from([crystal.pk]).columns) == list(PROCESS_COLUMNS)
    assert processes_from([crystal.pk]).empty
    assert bands_from([crystal.pk]).empty
    assert {'pk', 'process', 'hop', 'run'} <= set(bands_from([crystal.pk]).columns)


def test_crystals_of_a_file(aiida_profile_clean, tmp_path):
    path = tmp_path / 'Al.cif'
    conventional = aluminium((1, 1, 1))
    conventional.to_file(str(path))
    strained = conventional.copy()
    strained.scale_lattice(conventional.volume * 1.3)
    derived = node_from_structure(conventional.get_primitive_structure())[0]
    primitive = store(conventional.get_primitive_structure())
    calculate('derive', {'crystal': store(strained)}, {'result': derived})
    store(Structure(Lattice.cubic(4.05), ['Al', 'Cu', 'Al', 'Al'], conventional.frac_coords))
    file = SinglefileData(path).store()
    cif = CifData(file=str(path)).store()
    found = find_crystals(path)
    assert list(found.columns) == list(CRYSTAL_COLUMNS)
    assert dict(zip(found['pk'], found['match'], strict=True)) == {
        primitive.pk: 'matcher', file.pk: 'content', cif.pk: 'content',
    }  # fmt: skip
    exact = store(Structure.from_file(path))
    assert dict(zip(*(find_crystals(path)[name] for name in ('pk', 'match')), strict=True))[exact.pk] == 'content'


def test_no_crystal_is_the_one_in_the_file(aiida_profile_clean, tmp_path):
    aluminium((1, 1, 1)).to_file(str(tmp_path / 'Al.cif'))
    assert find_crystals(tmp_path / 'Al.cif').empty
    Int(1).store()
    assert find_crystals(tmp_path / 'Al.cif').empty
    with pytest.raises(FileNotFoundError):
        find_crystals(tmp_path / 'other.cif')
    (tmp_path / 'bad.cif').write_text('no crystal')
    with pytest.raises(ValueError, match='cannot be read as a crystal'):
        find_crystals(tmp_path / 'bad.cif')
