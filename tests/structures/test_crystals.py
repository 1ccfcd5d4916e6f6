"""Crystals that nothing can be computed for, and a light import."""

import subprocess
import sys

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.crystals import check_crystal, check_element
from aiida_embarrier.structures.hops import find_hops


def test_a_disordered_site_is_named(olivine):
    olivine[2] = {'Li': 0.5, 'Na': 0.5}
    with pytest.raises(ValueError, match=r'0\.5 \(site 2 at .* order the structure first'):
        find_hops(olivine, 'Li')


def test_atoms_on_top_of_each_other_are_named(olivine):
    olivine.append('Li', [0.01, 0, 0])
    with pytest.raises(ValueError, match=r'Li \(site 0 .* and Li \(site 28 .* are 0\.10 Å apart'):
        find_hops(olivine, 'Li')


def test_an_empty_structure_and_coordinates_that_are_no_numbers():
    with pytest.raises(ValueError, match='no atoms'):
        check_crystal(Structure(Lattice.cubic(3), [], []))
    with pytest.raises(ValueError, match='not finite'):
        check_crystal(Structure(Lattice.cubic(3), ['Li'], [[np.nan, 0, 0]]))


@pytest.mark.parametrize(
    ('ion', 'meant'), [('Li+', 'Li'), ('lithium', 'Li'), ('li', 'Li'), ('Lx', 'Li'), ('magnesum', 'Mg')]
)
def test_closest_symbol(ion, meant):
    with pytest.raises(ValueError, match=rf'is no element: .*; did you mean {meant}\?'):
        check_element(ion)


def test_the_room_imports_neither_torch_nor_aiida():
    modules = ['crystals', 'endpoints', 'hops', 'interstitials', 'reading', 'sublattices', 'supercells', 'symmetry']
    code = ';'.join(f'import aiida_embarrier.structures.{name}' for name in modules)
    code += ';import sys;print(sorted({"torch","aiida"} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
