"""Crystals to look up, in a folder and in services on this machine."""

import shutil
from pathlib import Path

import pytest
from crystal_services import Service, running
from pymatgen.core import Lattice, Structure

OLIVINE = Path(__file__).resolve().parents[3] / 'examples' / 'LiFePO4.cif'


@pytest.fixture(scope='session')
def crystals_once():
    olivine = Structure.from_file(OLIVINE)
    sodium = olivine.copy()
    sodium.replace_species({'Li': 'Na'})
    sodium.scale_lattice(320)
    half = olivine.copy()
    half.remove_sites([0, 3])
    salt = Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.64), ['Na', 'Cl'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    disordered = olivine.copy()
    disordered.replace_species({'Li': {'Li': 0.5}})
    return {'LFP': olivine, 'NFP': sodium, 'L05FP': half, 'salt': salt, 'LFP-disordered': disordered}


@pytest.fixture
def crystals(crystals_once):
    """Return LiFePO4, the same with sodium and with half of its lithium, rock salt, and a disordered crystal."""
    return {name: crystal.copy() for name, crystal in crystals_once.items()}


@pytest.fixture(scope='session')
def folder_once(crystals_once, tmp_path_factory):
    path = tmp_path_factory.mktemp('crystals')
    (path / 'olivines').mkdir(parents=True)
    crystals_once['LFP'].to(str(path / 'olivines' / 'LFP.cif'))
    crystals_once['NFP'].to(str(path / 'olivines' / 'NFP.vasp'), fmt='poscar')
    crystals_once['L05FP'].to(str(path / 'olivines' / 'POSCAR_half'), fmt='poscar')
    crystals_once['salt'].to(str(path / 'salt.json'))
    crystals_once['LFP-disordered'].to(str(path / 'disordered.cif'))
    (path / 'broken.cif').write_text('data_nothing\n_cell_length_a 3\n')
    (path / 'notes.txt').write_text('no crystal, and not looked at')
    return path


@pytest.fixture
def folder(folder_once, tmp_path):
    """Return a folder of files of several formats, one of which is no crystal."""
    return Path(shutil.copytree(folder_once, tmp_path / 'crystals'))


@pytest.fixture
def service(crystals, monkeypatch):
    """Return a service on this machine with the crystals; no proxy stands between."""
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    with running(Service(crystals)) as found:
        yield found
