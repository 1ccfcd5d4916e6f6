"""Disordered crystals for tests."""

from pymatgen.core import Lattice, Structure


def rock_salt(cation, anion='Cl', edge=5.0):
    """Return a rock-salt cell of four formula units with something on its cations: a species, or occupancies."""
    faces = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    edges = [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    return Structure(Lattice.cubic(edge), [cation] * 4 + [anion] * 4, faces + edges)


def pair_of_sets():
    """Return a tetragonal cell with two sites half full of Li and two that hold Na and K, at general heights."""
    return Structure(
        Lattice.tetragonal(4.0, 9.0),
        [{'Li': 0.5}, {'Li': 0.5}, {'Na': 0.5, 'K': 0.5}, {'Na': 0.5, 'K': 0.5}, 'Cl', 'Cl'],
        [[0, 0, 0.1], [0, 0, 0.9], [0.5, 0.5, 0.2], [0.5, 0.5, 0.8], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    )
