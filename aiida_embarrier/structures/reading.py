"""Crystals from files."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Structure
from pymatgen.electronic_structure.core import Magmom
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_embarrier.structures.crystals import check_crystal

if TYPE_CHECKING:
    from os import PathLike

    from ase import Atoms

__all__ = ('parse_structure', 'read_structure', 'structure_of_atoms')

#: What errors of parsers hold that say more of their code than of the file.
_OF_CODE = re.compile('array|index out of range|Unrecognized extension')


def read_structure(path: str | PathLike[str]) -> Structure:
    """Return the crystal in a file, its cell as written there.

    Formats are those of pymatgen (CIF and magnetic CIF, POSCAR, pymatgen JSON, ...) and of ASE (extended XYZ, Quantum
    ESPRESSO and CASTEP input, ...), told by name and content. Collinear magnetic moments are kept as the site property
    `magmom`, in Bohr magnetons; the first moment that is not zero points up in a magnetic CIF, which gives vectors.

    :raises FileNotFoundError: where there is no such file.
    :raises ValueError: for files that hold no periodic structure, and structures that
        :func:`~aiida_embarrier.structures.crystals.check_crystal` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {str(path)!r}')
    structure = parse_structure(path)
    _make_moments_scalar(structure)
    try:
        check_crystal(structure)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return structure


def parse_structure(path: Path) -> Structure:
    """Return what a file holds, as pymatgen or ASE read it and without any check.

    :raises ValueError: where neither of them can read it.
    """
    reasons: dict[str, None] = {}
    for reader in (_with_pymatgen, _with_ase):
        try:
            return reader(path)
        # Parsers of dozens of formats raise whatever their authors met: each failure is a reason to try the next.
        except Exception as error:
            reason = ' '.join(str(error).split())
            if type(error) is ValueError and reason and not _OF_CODE.search(reason):
                reasons[reason] = None
    if path.is_file() and not path.stat().st_size:
        reasons = {'the file is empty': None}
    why = f' ({"; ".join(reasons)})' if reasons else ''
    raise ValueError(
        f'{str(path)!r} cannot be read as a crystal{why}: give a whole CIF, a POSCAR, an extended XYZ file with a '
        'lattice, or a file of another format that pymatgen or ASE knows'
    )


def _with_pymatgen(path: Path) -> Structure:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # notes on rounding in CIFs
        structure: Any = Structure.from_file(path)
    if not isinstance(structure, Structure):
        raise ValueError(f'it holds a {type(structure).__name__}, not a structure')
    return structure


def _with_ase(path: Path) -> Structure:
    from ase.io import read

    atoms: Any = read(path)
    return structure_of_atoms(atoms)


def structure_of_atoms(atoms: Atoms) -> Structure:
    """Return the crystal that atoms of ASE are, with their moments and without other properties of sites.

    :raises ValueError: for atoms that are not periodic in three dimensions.
    """
    if not all(atoms.pbc):
        raise ValueError('it is not periodic in three dimensions')
    structure: Any = AseAtomsAdaptor.get_structure(atoms)
    for name in set(structure.site_properties) - {'magmom', 'oxidation_state', 'hubbard_u', 'kind'}:
        structure.remove_site_property(name)
    return structure


def _make_moments_scalar(structure: Structure) -> None:
    """Replace moments that are vectors along one axis by numbers; others are left for the check to refuse."""
    moments = structure.site_properties.get('magmom')
    if moments is None or not all(isinstance(moment, Magmom | list | tuple | np.ndarray) for moment in moments):
        return
    vectors = np.array([Magmom(moment).global_moment for moment in moments], dtype=float)
    lengths = np.linalg.norm(vectors, axis=1)
    if not lengths.any():
        structure.add_site_property('magmom', [0.0] * len(moments))
        return
    axis = vectors[lengths.argmax()] / lengths.max()
    along = vectors @ axis
    if np.allclose(np.abs(along), lengths, atol=0.01):
        first = along[np.flatnonzero(np.abs(along) > 0.01)[0]]
        structure.add_site_property('magmom', [float(value) for value in along * np.sign(first)])
