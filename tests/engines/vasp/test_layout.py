"""The order of atoms in VASP's files: positions, MAGMOM, LDAUU and POTCAR agree."""

import numpy as np
import pytest
from pymatgen.core import Structure

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.layout import Layout, paw_names


def functional(name, u=None):
    return load_functionals(FUNCTIONALS).resolve(name, u)


def layout_of(structure, name='pbe', u=None, **settings):
    return Layout.of(*kinds_of(structure), functional(name, u), **settings)


def test_kinds_with_opposite_moments_are_one_group(spinel, shuffled):
    for structure in (spinel, shuffled):
        layout = layout_of(structure)
        assert {(group.name, group.count) for group in layout.groups} == {('Mg', 8), ('Mn', 16), ('O', 32)}
        # elements and moments in VASP's order are those of the atoms that stand there
        assert [structure[atom].specie.symbol for atom in layout.order] == layout.names
        assert [structure[atom].properties['magmom'] for atom in layout.order] == list(layout.moments)
        # equal moments stand beside each other, so that MAGMOM is short
        assert sum(a != b for a, b in zip(layout.moments, layout.moments[1:], strict=False)) <= 3


def test_arrays_come_back_in_the_order_of_the_crystal(shuffled):
    layout = layout_of(shuffled)
    in_vasp = shuffled.cart_coords[list(layout.order)]
    assert np.array_equal(in_vasp[layout.inverse], shuffled.cart_coords)


def test_groups_of_one_element_with_different_u_stand_beside_each_other():
    structure = Structure(
        np.eye(3) * 6,
        ['Mn', 'O', 'Mn', 'Mn'],
        [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]],
        site_properties={'hubbard_u': [3.0, None, 5.0, None]},
    )
    layout = layout_of(structure, 'pbe+u')
    groups = [(group.name, group.element, group.count, group.u) for group in layout.groups]
    # the value of the table where the kind gives none
    assert groups == [('Mn1', 'Mn', 1, 5.0), ('Mn2', 'Mn', 1, 3.9), ('Mn3', 'Mn', 1, 3.0), ('O', 'O', 1, 0.0)]
    assert layout.order == (2, 3, 0, 1)
    assert layout_of(structure).groups[0].count == 3  # a functional without U ignores both


def test_u_of_an_element_whose_shell_nobody_knows():
    structure = Structure(np.eye(3) * 4, ['O'], [[0, 0, 0]], site_properties={'hubbard_u': [6.0]})
    with pytest.raises(ValueError, match='which shell of O the Hubbard U acts on is not known'):
        layout_of(structure, 'pbe+u')
    assert layout_of(structure, 'pbe+u', {'O': {'u': 5.0, 'orbital': 'p'}}).groups[0].shell == 'p'


def test_start_moments():
    structure = Structure(np.eye(3) * 5, ['Fe', 'Co', 'O'], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0]])
    assert layout_of(structure).moments == (5.0, 0.6, 0.0)
    assert layout_of(structure, moments={'Co': 3}).moments == (5.0, 3.0, 0.0)
    assert layout_of(structure, magnetic_start='none').moments is None
    assert layout_of(structure, magnetic_start='none', moments={'Co': 3}).moments == (0.0, 3.0, 0.0)
    lithium_oxide = Structure(np.eye(3) * 5, ['Li', 'O'], [[0, 0, 0], [0.5, 0.5, 0]])
    assert layout_of(lithium_oxide).moments is None
    with pytest.raises(ValueError, match='unknown magnetic_start'):
        layout_of(structure, magnetic_start='high')


def test_paw_names():
    assert paw_names(['Mn', 'O', 'Mn'], {}) == {'Mn': 'Mn_pv', 'O': 'O'}
    assert paw_names(['Mn'], {'Mn': 'Mn'}) == {'Mn': 'Mn'}
    with pytest.raises(ValueError, match="'Xx' is no element"):
        paw_names(['Mn'], {'Xx': 'Xx'})
    with pytest.raises(ValueError, match='no usual PAW potential of Og'):
        paw_names(['Og'], {})
