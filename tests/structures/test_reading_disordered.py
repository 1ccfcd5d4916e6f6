"""Crystals with partly occupied sites from files, and occupancies that are none."""

import json

import pytest
from disordered_crystals import rock_salt

from aiida_embarrier.structures.reading_disordered import check_disordered, read_disordered

HEAD = """data_test
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


@pytest.fixture
def cif(tmp_path):
    def write(*rows):
        path = tmp_path / 'test.cif'
        path.write_text(HEAD + '\n'.join(rows) + '\n')
        return path

    return write


def test_occupancies_of_a_cif(cif):
    crystal = read_disordered(cif('Li1 Li 0 0 0 0.25(2)', 'Na1 Na 0 0 0 0.5', 'Cl1 Cl 0.5 0.5 0.5 1'))
    held = {site.species_string for site in crystal}
    assert held == {'Na:0.500, Li:0.250', 'Cl'} or held == {'Na:0.5, Li:0.25', 'Cl'}
    assert crystal.composition.as_dict() == {'Li': 0.25, 'Na': 0.5, 'Cl': 1.0}


def test_oxidation_states_of_json(tmp_path):
    crystal = rock_salt({'Fe2+': 0.25, 'Fe3+': 0.5}, 'O2-')
    path = tmp_path / 'crystal.json'
    path.write_text(json.dumps(crystal.as_dict()))
    assert read_disordered(path) == crystal


def test_an_ordered_crystal_is_read_too(tmp_path):
    crystal = rock_salt('Li')
    crystal.to(str(tmp_path / 'POSCAR'), fmt='poscar')
    assert read_disordered(tmp_path / 'POSCAR').composition == crystal.composition


def test_rounded_sums_are_scaled_and_nothing_is_left_out(cif):
    crystal = read_disordered(cif('Li1 Li 0 0 0 0.503', 'Na1 Na 0 0 0 0.503', 'K1 K 0.5 0 0 0', 'Cl1 Cl 0.5 0.5 0.5 1'))
    assert len(crystal) == 2
    assert crystal.composition['Li'] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        (
            ['Li1 Li 0 0 0 0.7', 'Na1 Na 0 0 0 0.7'],
            r'\(site 0 at 0\.0000, 0\.0000, 0\.0000\) has occupancies that sum to 1\.4: a site holds at most one atom',
        ),
        (['Li1 Li 0 0 0 -0.5', 'Cl1 Cl 0.5 0.5 0.5 1'], "the occupancy of Li1 is '-0.5': it must be a number from 0"),
        (['Li1 Li 0 0 0 1.5', 'Cl1 Cl 0.5 0.5 0.5 1'], "the occupancy of Li1 is '1.5'"),
        (['Li1 Li 0 0 0 half', 'Cl1 Cl 0.5 0.5 0.5 1'], "the occupancy of Li1 is 'half'"),
        (['Li1 Li 0 0 0 ?', 'Cl1 Cl 0.5 0.5 0.5 1'], r"the occupancy of Li1 is '\?'"),
        (['Li1 Li 0 0 0 .', 'Cl1 Cl 0.5 0.5 0.5 1'], r"the occupancy of Li1 is '\.'"),
        (['Q1 Qq 0 0 0 0.5', 'Cl1 Cl 0.5 0.5 0.5 1'], "holds 'Qq', which is no element"),
        (['Li1 Li 0 0 0 0'], 'the structure has no atoms'),
        (['Li1 Li 0 0'], 'cannot be read as a'),
    ],
)
def test_what_is_no_occupancy_is_refused(cif, rows, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_disordered(cif(*rows))
    assert 'test.cif' in str(caught.value)


def test_a_file_that_is_no_crystal(tmp_path):
    (tmp_path / 'a.cif').write_text('nothing to see here\n')
    with pytest.raises(ValueError, match=r"a\.cif' cannot be read as a"):
        read_disordered(tmp_path / 'a.cif')
    with pytest.raises(FileNotFoundError, match='no file'):
        read_disordered(tmp_path / 'b.cif')


def test_every_real_crystal_is_read(shared_data):
    files = sorted((shared_data / 'disordered_cifs').glob('*.cif'))
    assert len(files) == 21
    for path in files:
        assert any(not site.is_ordered for site in read_disordered(path))


def test_site_properties_follow_their_sites():
    crystal = rock_salt({'Li': 0.5})
    crystal.add_site_property('magmom', list(range(8)))
    crystal.replace(0, {'Li': 1e-9}, properties={'magmom': 0})
    assert check_disordered(crystal).site_properties['magmom'] == list(range(1, 8))
