"""Rows of a dataset written in the formats in which others publish them: what an import has to give back."""

import json

import numpy as np
from pymatgen.core import Lattice, Structure

from aiida_embarrier.datasets.schema import endpoints_of_row, path_of_row


def jarvis(lattice, species, coords):
    """Return a mapping as `Atoms.to_dict` of jarvis-tools makes it."""
    cell = Lattice(lattice)
    return {
        'lattice_mat': np.asarray(lattice).tolist(),
        'coords': np.asarray(coords).tolist(),
        'elements': list(species),
        'abc': list(cell.abc),
        'angles': list(cell.angles),
        'cartesian': False,
        'props': [''] * len(species),
    }


def of_structure(structure):
    return jarvis(structure.lattice.matrix, [site.specie.symbol for site in structure], structure.frac_coords)


def five_images(row):
    """Return a row as the composite of MODEL-3; places of the ion are wrapped into the cell."""
    initial, _ = endpoints_of_row(row)
    path = path_of_row(row)
    species = [row['ion']] * len(path) + [site.specie.symbol for site in initial][1:]
    composite = Structure(initial.lattice, species, [*path, *initial.frac_coords[1:]])
    return {
        'class': row['structural_class'],
        'sys_name': row['name'],
        'target': row['barrier'],
        'formula': composite.composition.formula,
        'atoms': jarvis(initial.lattice.matrix, species, [*(path % 1), *initial.frac_coords[1:]]),
        'jid': row['jid'],
    }


def two_ends(row):
    """Return a row as the pair of MODEL-1."""
    initial, final = endpoints_of_row(row)
    return {
        'class': row['structural_class'],
        'sys_name': row['name'],
        'target': row['barrier'],
        'formula': initial.composition.formula,
        'atoms_ini': of_structure(initial),
        'atoms_fin': of_structure(final),
        'jid': row['jid'],
    }


def ten_tags(row, shuffled=False):
    """Return a row with the ten tags of the data repository, structures of pymatgen; the ion stands last in both."""
    ends = [Structure.from_sites([*end[1:], end[0]]) for end in endpoints_of_row(row)]
    if shuffled:
        ends[1] = Structure.from_sites(ends[1][::-1])
    return {
        'jid': row['jid'],
        'structure_ini': ends[0].as_dict(),
        'structure_fin': ends[1].as_dict(),
        'target': row['barrier'],
        'formula': row['formula'],
        'crystal_class': row['structural_class'],
        'sys_name': row['name'],
        'space_group': row['space_group'],
        'XC': row['functional'],
        'bibtex': f'@article{{{row["name"]}}}',
    }


def as_json(rows, convert):
    """Return a file with some rows in a format."""
    return json.dumps([convert(row) for row in rows]).encode()
