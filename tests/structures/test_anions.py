"""Which atoms are anions: by electronegativity and by bonds."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.structures.anions import electronegativity, sublattices

TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)


def parts_of(structure: Structure):
    """Return the symbols of the anions and of the centres of a crystal."""
    symbols = [site.specie.symbol for site in structure]
    found = sublattices(structure.lattice.matrix, symbols, structure.frac_coords)
    names = np.array(symbols)
    return set(names[found.anions]), set(names[found.centres]), found


def boxed(symbols, positions):
    return Structure(Lattice.cubic(10), symbols, positions, coords_are_cartesian=True)


@pytest.mark.parametrize(
    ('centre', 'ligand', 'length'), [('S', 'O', 1.48), ('P', 'S', 2.05), ('P', 'Se', 2.23), ('B', 'H', 1.2)]
)
def test_the_centre_of_a_tetrahedron_is_no_anion(centre, ligand, length):
    molecule = boxed([centre, *4 * [ligand]], np.vstack([np.zeros(3), length * TETRAHEDRON]) + 5)
    anions, centres, found = parts_of(molecule)
    assert (anions, centres) == ({ligand}, {centre})
    assert sorted(found.bonds.tolist()) == [[0, number] for number in range(1, 5)]
    assert found.lengths == pytest.approx(length)


def test_hydrogen_is_an_anion_only_where_nothing_takes_its_electron():
    assert parts_of(boxed(['O', 'H', 'Na'], [[0, 0, 0], [0, 0, 0.97], [2.4, 0, 0]]))[0] == {'O'}
    assert parts_of(boxed(['Na', 'H'], [[0, 0, 0], [2.4, 0, 0]]))[0] == {'H'}


def test_both_ends_of_cyanide_are_one_anion():
    anions, centres, _ = parts_of(boxed(['Fe', 'C', 'N', 'Mn'], [[0, 0, 0], [1.9, 0, 0], [3.07, 0, 0], [5.0, 0, 0]]))
    assert (anions, centres) == ({'C', 'N'}, set())
    # the carbon of thiocyanate has two neighbours that take its electrons
    anions, centres, _ = parts_of(boxed(['S', 'C', 'N'], [[0, 0, 0], [1.65, 0, 0], [2.82, 0, 0]]))
    assert (anions, centres) == ({'S', 'N'}, {'C'})


def test_a_bond_across_the_face_of_the_cell_counts():
    molecule = boxed(['S', *4 * ['O']], np.vstack([np.zeros(3), 1.48 * TETRAHEDRON]))
    assert parts_of(molecule)[:2] == ({'O'}, {'S'})


def test_metals_are_no_anions():
    anions, centres, found = parts_of(Structure.from_spacegroup('Pm-3m', Lattice.cubic(3), ['Cu'], [[0, 0, 0]]))
    assert (anions, centres) == (set(), set())
    assert found.metals.all()


@pytest.mark.parametrize(
    ('name', 'anions', 'centres'),
    [
        ('MgP2Ru2', {'P'}, set()),
        ('g-Li3PS4_2', {'S'}, {'P'}),
        ('FeSO4F_Li_2', {'O', 'F'}, {'S'}),
        ('K2FePO4CO3', {'O'}, {'P', 'C'}),
        ('Li3SI', {'S', 'I'}, set()),
        ('Na3SeCl', {'Se', 'Cl'}, set()),
        ('CaFeSO', {'S', 'O'}, set()),
        ('Na-FeC5N5', {'C', 'N'}, set()),
        ('Li7P3Se11', {'Se'}, {'P'}),
        ('LiScGeO4', {'O'}, {'Ge'}),
        ('Ca3MnN3_1', {'N'}, set()),
        ('Mn2O4_Zn', {'O'}, set()),
    ],
)
def test_hosts_of_the_literature(literature, name, anions, centres):
    path = MigrationPath.from_row(literature[name])
    found = sublattices(path.lattice, path.species, path.coords)
    names = np.array(path.species)
    assert (set(names[found.anions]), set(names[found.centres])) == (anions, centres)
    # all atoms of an element are the same in these hosts
    assert all(len(set(found.anions[names == symbol])) == 1 for symbol in set(path.species))
    assert (found.anions.astype(int) + found.centres + found.metals == 1).all()


def test_an_unknown_electronegativity_is_no_warning(recwarn):
    assert electronegativity('O') == 3.44
    assert np.isnan(electronegativity('He'))
    assert not recwarn.list
