"""Crystals from files, and the files that are none."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from aiida_embarrier.structures.reading import read_structure


def test_the_example_is_the_published_crystal():
    from tests.structures.conftest import EXAMPLES

    crystal = read_structure(EXAMPLES / 'LiFePO4.cif')
    assert crystal.get_space_group_info(symprec=1e-3) == ('Pnma', 62)
    assert crystal.composition.formula == 'Li4 Fe4 P4 O16'
    bonds = {}
    for element, reach in (('P', 1.8), ('Fe', 2.6)):
        site = next(site for site in crystal if site.specie.symbol == element)
        bonds[element] = sorted(near.nn_distance for near in crystal.get_neighbors(site, reach))
    assert len(bonds['P']) == 4
    assert 1.50 < bonds['P'][0] < bonds['P'][-1] < 1.56
    assert len(bonds['Fe']) == 6
    assert 2.05 < bonds['Fe'][0] < bonds['Fe'][-1] < 2.26


@pytest.mark.parametrize('name', ['a.cif', 'POSCAR', 'a.vasp', 'a.json'])
def test_formats_of_pymatgen(olivine, tmp_path, name):
    olivine.to(filename=str(tmp_path / name), fmt='poscar' if name.endswith('vasp') else '')
    assert_same(read_structure(tmp_path / name), olivine)


def test_extended_xyz_with_moments(antiferromagnetic_spinel, tmp_path):
    atoms = antiferromagnetic_spinel.to_ase_atoms()
    atoms.set_initial_magnetic_moments(antiferromagnetic_spinel.site_properties['magmom'])
    write(tmp_path / 'a.xyz', atoms, format='extxyz')
    read = read_structure(tmp_path / 'a.xyz')
    assert_same(read, antiferromagnetic_spinel)
    assert read.site_properties == antiferromagnetic_spinel.site_properties


def test_magnetic_cif_keeps_collinear_moments(antiferromagnetic_spinel, tmp_path):
    vectors = [[0.0, 0.0, moment] for moment in antiferromagnetic_spinel.site_properties['magmom']]
    crystal = antiferromagnetic_spinel.copy()
    crystal.add_site_property('magmom', vectors)
    CifWriter(crystal, write_magmoms=True).write_file(tmp_path / 'a.mcif')
    read = read_structure(tmp_path / 'a.mcif')
    moments = [site.properties['magmom'] for site in read if site.specie.symbol == 'Mn']
    assert sorted(np.round(moments, 3)) == [-4, -4, 4, 4]
    assert moments[0] > 0


def test_moments_that_are_not_collinear_are_refused(olivine, tmp_path):
    olivine.add_site_property('magmom', [[i % 2, (i + 1) % 2, 0] for i in range(len(olivine))])
    olivine.to(filename=str(tmp_path / 'a.json'))
    with pytest.raises(ValueError, match='only collinear moments'):
        read_structure(tmp_path / 'a.json')


def test_moments_of_some_sites_only_are_refused(olivine, tmp_path):
    olivine.add_site_property('magmom', [4.0 if site.specie.symbol == 'Fe' else None for site in olivine])
    olivine.to(filename=str(tmp_path / 'a.json'))
    with pytest.raises(ValueError, match='0 where there is none'):
        read_structure(tmp_path / 'a.json')


def test_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere\.cif'"):
        read_structure('nowhere.cif')


@pytest.mark.parametrize('name', ['a.cif', 'a.txt', 'POSCAR'])
def test_a_file_that_is_no_crystal(tmp_path, name):
    (tmp_path / name).write_text('nothing to see here\n')
    with pytest.raises(ValueError, match=rf"{name}' cannot be read as a crystal"):
        read_structure(tmp_path / name)


@pytest.mark.parametrize(
    ('name', 'text', 'why'),
    [
        ('a.cif', '', 'the file is empty'),
        ('cell.in', '&control\n/\n', 'it is not periodic in three dimensions'),
        ('a.vasp', 'a\n1\n1 0 0\n0 1 0\n0 0 x\nLi\n1\ndirect\n0 0 0', "could not convert string to float: 'x'"),
        ('b.vasp', 'a\n1\n1 0 0\n0 1 0\n', None),  # list index out of range, twice
        ('c.json', '{}', None),  # a KeyError
    ],
)
def test_reasons_are_those_of_the_file(tmp_path, name, text, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match='cannot be read as a crystal') as caught:
        read_structure(tmp_path / name)
    behind = str(caught.value).partition('as a crystal')[2].partition(': give a whole CIF')[0]
    assert behind == ('' if why is None else f' ({why})')


def test_a_molecule_is_refused(tmp_path):
    write(tmp_path / 'a.xyz', Atoms('CO', positions=[[0, 0, 0], [0, 0, 1.1]]), format='xyz')
    with pytest.raises(ValueError, match='with a lattice'):
        read_structure(tmp_path / 'a.xyz')


def test_a_disordered_crystal_is_refused_with_the_site(shared_data):
    with pytest.raises(ValueError, match=r'order the structure first') as caught:
        read_structure(shared_data / 'disordered_cifs' / 'pymatgen_Li10GeP2S12.cif')
    assert 'site ' in str(caught.value)


def test_two_atoms_on_top_of_each_other_are_refused(tmp_path):
    crystal = Structure(Lattice.cubic(4), ['Li', 'O', 'O'], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.52]])
    crystal.to(filename=str(tmp_path / 'POSCAR'))
    with pytest.raises(ValueError, match=r'O \(site 1 .* and O \(site 2 .* are 0.08 Å apart'):
        read_structure(tmp_path / 'POSCAR')


def assert_same(one: Structure, other: Structure) -> None:
    assert one.composition == other.composition
    assert np.allclose(one.lattice.parameters, other.lattice.parameters, atol=1e-4)
    distances = other.lattice.get_all_distances(one.frac_coords, other.frac_coords)
    assert distances.min(axis=1).max() < 1e-3
