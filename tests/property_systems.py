"""Small datasets of properties with crystals of known relations, for the tests of several rooms."""

import json

import numpy as np
import pandas as pd
from pymatgen.core import Lattice, Structure

from aiida_embarrier.datasets.schema import to_json

#: Corners of a face-centred cell.
_FACES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rock_salt(cation, anion, length=5.6, kind='primitive'):
    """Return rock salt in its primitive cell, in the cubic one, or in one that is turned, shifted and shuffled."""
    if kind == 'cubic':
        return _cubic(cation, anion, length, [0.5, 0.5, 0.5])
    primitive = Structure(length * _FACES[1:], [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])
    if kind == 'primitive':
        return primitive
    other = primitive.copy()
    other.make_supercell([[2, 1, 0], [0, 1, 0], [0, 0, 1]])
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    shifted = (other.frac_coords + np.array([0.13, 0.27, 0.41])) % 1
    order = [3, 0, 2, 1]
    return Structure(other.lattice.matrix @ turn, [other.species[i] for i in order], shifted[order])


def zinc_blende(cation, anion, length=5.6):
    """Return zinc blende in its cubic cell."""
    return _cubic(cation, anion, length, [0.25, 0.25, 0.25])


def _cubic(cation, anion, length, shift):
    return Structure(Lattice.cubic(length), [cation] * 4 + [anion] * 4, [*_FACES, *(_FACES + shift) % 1])


def row(name, structure, target=0.0, **labels):
    """Return a crystal as a row of properties."""
    return {
        'name': name,
        'lattice': to_json(structure.lattice.matrix),
        'species': json.dumps([site.specie.symbol for site in structure], separators=(',', ':')),
        'frac_coords': to_json(structure.frac_coords),
        'n_atoms': len(structure),
        'target': target,
        **labels,
    }


def frame(*rows):
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64', 'target': 'float64'})


CATIONS, ANIONS = ('Li', 'Na', 'K', 'Rb', 'Cs', 'Ag'), ('F', 'Cl', 'Br', 'I')


def halides(prefix='halide', n_test=4, kind='primitive', scale=1.0):
    """Return 24 halides with a made-up target; the last ones test."""
    pairs = [(cation, anion) for anion in ANIONS for cation in CATIONS]
    rows = [
        row(
            f'{prefix}-{number}',
            rock_salt(cation, anion, scale * (4.0 + 0.1 * number), kind),
            float((7 * number) % 24),
            published_split='test' if number >= len(pairs) - n_test else 'train',
        )
        for number, (cation, anion) in enumerate(pairs)
    ]
    return frame(*rows)
