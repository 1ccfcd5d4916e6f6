"""Barriers of a crystal in Python: those of hops and of the same hop between two crystals agree."""

import pytest
from ase.build import molecule
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from small_barrier_models import run_jobs_in_this_process, write_small_model

from aiida_embarrier.prediction.hops import predict_hops, predict_path
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops


def test_hops_and_the_same_path(tmp_path, monkeypatch):
    write_small_model(tmp_path / 'model')
    run_jobs_in_this_process(monkeypatch)
    crystal = Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.1), ['Li', 'O'], [[0, 0, 0], [0.5, 0, 0]])
    crystal.to_file(tmp_path / 'crystal.cif')
    table = predict_hops(tmp_path / 'crystal.cif', 'Li', model=tmp_path / 'model', max_length=4.0)
    (hop,) = find_hops(crystal, 'Li', max_length=4.0)
    assert table['length'].tolist() == pytest.approx([hop.length])
    assert table['reason'].isna().all()
    assert table['lower'][0] < table['prediction'][0] < table['upper'][0]
    assert 'unknown_element' not in table['flags'][0]
    assert table.attrs['warnings'] == []
    atoms = AseAtomsAdaptor.get_atoms(crystal)
    assert predict_hops(atoms, 'Li', model=tmp_path / 'model', max_length=4.0)['prediction'].tolist() == pytest.approx(
        table['prediction'].tolist()
    )
    ends = make_endpoints(crystal, hop)
    path = predict_path(ends.initial, ends.final, model=tmp_path / 'model')
    assert path['prediction'] == pytest.approx(table['prediction'][0])
    assert path['ion'] == 'Li'


def test_what_is_no_crystal_is_refused():
    with pytest.raises(TypeError, match='a Lattice is no crystal: give a Structure of pymatgen, Atoms of ASE, or'):
        predict_hops(Lattice.cubic(4.0), 'Li')
    with pytest.raises(ValueError, match='it is not periodic in three dimensions'):
        predict_hops(molecule('H2O'), 'H')
