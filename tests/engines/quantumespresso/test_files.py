"""The input files of an antiferromagnetic band with U, against files that were checked by eye."""

from pathlib import Path

import numpy as np
import pytest

from aiida_embarrier.engines.quantumespresso.inputs import write_inputs

EXPECTED = Path(__file__).parent / 'expected'


@pytest.mark.parametrize('style', ['card', 'namelist'])
def test_antiferromagnetic_band_with_u(families, protocol, afm_band, style, tmp_path):
    """For Quantum ESPRESSO 7.1 and newer (card) and for older ones."""
    settings = protocol(functional='pbe+u', hubbard_card=style == 'card', kpoints_mesh=[4, 4, 2])
    written = write_inputs(tmp_path, afm_band, settings, charge=-1.0)
    assert [path.name for path in written] == ['neb.dat', 'neb_climb.dat', 'pw_1.in', 'pw_2.in', 'pw_3.in']
    for path in written:
        assert path.read_text() == (EXPECTED / style / path.name).read_text(), path.name


def test_one_stage_has_one_file(protocol, afm_band, tmp_path):
    for name, neb in (('at_once', {'climb_threshold': None}), ('never', {'climb': False})):
        written = write_inputs(tmp_path / name, afm_band, protocol(neb=neb))
        assert [path.name for path in written] == ['neb.dat', 'pw_1.in', 'pw_2.in', 'pw_3.in']


def test_positions_are_written_as_meant(families, protocol, afm_band, tmp_path):
    """The atom that leaves the cell does not come back on the other side."""
    write_inputs(tmp_path, afm_band, protocol())
    for image in range(3):
        lines = (tmp_path / f'pw_{image + 1}.in').read_text().split('ATOMIC_POSITIONS angstrom\n')[1].splitlines()[:4]
        positions = [[float(word) for word in line.split()[1:]] for line in lines]
        assert np.allclose(positions, afm_band.positions[image], atol=1e-11)
    assert afm_band.fractional[2, 3, 0] > 1


def test_gamma_alone_and_what_is_not_known(protocol, afm_band, tmp_path):
    """Without the family the files say what it would fill in."""
    settings = protocol(pseudo_family='not/installed', kpoints_mesh=[1, 1, 1])
    write_inputs(tmp_path, afm_band, settings)
    text = (tmp_path / 'pw_1.in').read_text()
    assert 'K_POINTS gamma\n' in text
    assert '  ! ecutwfc = recommended by not/installed\n' in text
    assert '  ! starting_magnetization(1) = 5 Bohr magnetons over Z valence\n' in text
    assert 'Mn1  54.9380 Mn.upf\n' in text


def test_lattice_that_changes_is_refused(families, protocol, afm_band, tmp_path):
    lattice = np.stack([afm_band.lattice, afm_band.lattice * 1.01, afm_band.lattice])
    with pytest.raises(ValueError, match=r'neb\.x has one lattice for all images'):
        write_inputs(tmp_path, afm_band.replace(lattice=lattice), protocol())
