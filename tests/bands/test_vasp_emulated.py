"""A band of the stand-in for VASP, as it lies in its folder: all files that VASP writes, of one calculation."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from emulators.vasp.crystals import hop, spinel
from emulators.vasp.potcars import potcar
from emulators.vasp.setup import SCRIPT
from pymatgen.io.vasp.inputs import Poscar

from aiida_embarrier.bands.tangents import band_forces
from aiida_embarrier.bands.vasp import read_band

INCAR = """
ENCUT = 400 ; GGA = PE ; IVDW = 12 ; LORBIT = 11
ISPIN = 2 ; MAGMOM = 0 4 -4 4 -4 8*0.6
LDAU = .TRUE. ; LDAUTYPE = 2 ; LDAUL = -1 2 -1 ; LDAUU = 0 3.9 0 ; LDAUJ = 0 0 0
NELECT = 79
"""
BAND = 'IMAGES = 2 ; SPRING = -5 ; LCLIMB = .TRUE. ; ICHAIN = 0 ; IOPT = 1 ; IBRION = 3 ; POTIM = 0 ; EDIFFG = -0.05\n'


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """Return the folder of a band of an antiferromagnetic spinel with U, its ends computed, too."""
    images = hop(spinel(), 'Mg', 4, noise=0.02)
    folder = tmp_path_factory.mktemp('band')
    places = {'band': folder / 'band', '00': folder / 'initial', '03': folder / 'final'}
    for place in places.values():
        place.mkdir()
        (place / 'KPOINTS').write_text('made up\n0\nGamma\n1 1 1\n0 0 0\n')
        (place / 'POTCAR').write_text(''.join(potcar(name) for name in ('Mg', 'Mn', 'O')))
        (place / 'INCAR').write_text(INCAR + (f'{BAND}NSW = 60\n' if place.name == 'band' else 'NSW = 0\n'))
    for number, image in enumerate(images):
        (places['band'] / f'{number:02d}').mkdir()
        Poscar(image).write_file(places['band'] / f'{number:02d}' / 'POSCAR')
    for name, end in (('00', images[0]), ('03', images[-1])):
        Poscar(end).write_file(places[name] / 'POSCAR')
    for place in places.values():
        subprocess.run([sys.executable, SCRIPT], cwd=place, check=True, stdout=subprocess.DEVNULL)
    for name in ('00', '03'):
        shutil.copy(places[name] / 'OUTCAR', places['band'] / name / 'OUTCAR')
    return places['band']


@pytest.fixture
def folder(finished, tmp_path):
    """Return a copy that a test may change."""
    return shutil.copytree(finished, tmp_path / 'band')


def test_whole(finished):
    imported = read_band(finished)
    band, info = imported.band, imported.band.info
    assert imported.warnings == []
    assert (info.functional, info.charge, info.climbing, info.converged) == ('pbe+u-d3bj', -1.0, True, True)
    kinds = [(kind.name, kind.magnetic_moment, kind.hubbard_u) for kind in band.kinds]
    assert kinds == [('Mg', 0.0, None), ('Mn1', 4.0, 3.9), ('Mn2', -4.0, 3.9), ('O', 0.6, None)]
    assert band.mobile == (0,)
    assert np.all(band.moments[:, [1, 3]] > 3)
    assert np.all(band.moments[:, [2, 4]] < -3)
    climbing = 1 + int(np.argmax(band.energies[1:-1]))
    expected = band_forces(band.positions, band.energies, band.forces, 5.0, climbing=climbing).residuals
    np.testing.assert_allclose(band.max_perpendicular_forces, expected, atol=1e-9)
    assert info.residual_force < 0.05  # EDIFFG: the program found the same forces small enough
    # the energies of an OSZICAR are the same ones, with fewer digits
    last = (finished / '01' / 'OSZICAR').read_text().rpartition('E0=')[2].split()[0]
    assert band.energies[1] == pytest.approx(float(last), abs=1e-6)


def test_without_incar(folder, finished):
    (folder / 'INCAR').unlink()
    imported, expected = read_band(folder), read_band(finished)
    assert imported.band.info == expected.band.info
    assert imported.band.kinds == expected.band.kinds
    assert imported.band.info.functional == 'pbe+u-d3bj'


def test_vasprun_where_an_outcar_is_missing(folder, finished):
    (folder / 'INCAR').unlink()
    for name in ('01', '02'):
        (folder / name / 'OUTCAR').unlink()
    imported, expected = read_band(folder), read_band(finished)
    np.testing.assert_array_equal(imported.band.energies, expected.band.energies)
    np.testing.assert_allclose(imported.band.forces, expected.band.forces, atol=1e-6)
    np.testing.assert_allclose(imported.band.positions, expected.band.positions, atol=1e-6)
    assert imported.band.kinds == expected.band.kinds
    assert imported.sources[1]['energy'] == 'vasprun.xml'
    assert imported.warnings == ['the magnetic moments of images 1, 2 are not known']


def test_vasprun_that_is_cut_off(folder, finished):
    """The last whole ionic step counts; where there is none, the OSZICAR tells the energy."""
    (folder / '01' / 'OUTCAR').unlink()
    path = folder / '01' / 'vasprun.xml'
    text = path.read_text()
    path.write_text(text[: text.rindex('<calculation>') + 500])
    imported = read_band(folder)
    assert imported.sources[1]['energy'] == 'vasprun.xml'
    assert imported.band.energies[1] != read_band(finished).band.energies[1]
    path.write_text(text[: text.index('<calculation>') + 500])
    imported = read_band(folder)
    assert imported.sources[1]['energy'] == 'OSZICAR'
    assert any('01: vasprun.xml cannot be read' in warning for warning in imported.warnings)
