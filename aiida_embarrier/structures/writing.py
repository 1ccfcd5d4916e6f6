"""Crystals to files: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from aiida_embarrier.structures.oxidation import decorated, oxidation_states_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from pymatgen.core import Structure

__all__ = ('FORMATS', 'as_text', 'format_of', 'write_structure', 'write_structures')

#: Formats by their suffixes.
FORMATS = ('cif', 'vasp', 'json')


def format_of(path: str | PathLike[str]) -> str:
    """Return the format of a file by its name.

    :raises ValueError: for a name that says none.
    """
    path = Path(path)
    suffix = path.suffix.lower().removeprefix('.')
    if suffix in FORMATS:
        return suffix
    if suffix == 'poscar' or path.name.upper().startswith(('POSCAR', 'CONTCAR')):
        return 'vasp'
    raise ValueError(f'{str(path)!r} says no format of a crystal: let it end in .{", .".join(FORMATS)}')


def as_text(structure: Structure, form: str) -> str:
    """Return a crystal in a format.

    A CIF keeps oxidation states; of a crystal with moments it is a magnetic CIF, which keeps those instead. POSCAR
    keeps neither, but positions outside the cell. The JSON of pymatgen keeps all.

    :param form: `cif`, `vasp` or `json`.
    """
    if form == 'json':
        return str(structure.to_json())
    if form == 'vasp':
        return str(Poscar(structure).get_str(significant_figures=12))
    shown = structure.copy()
    magnetic = any(structure.site_properties.get('magmom', []))
    if structure.is_ordered:
        states = oxidation_states_of(structure)
        if magnetic:  # pymatgen takes a moment of a species for its spin, and then writes that
            shown.remove_oxidation_states()
        elif states is not None:
            shown = decorated(structure, states)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # on what a CIF cannot hold
        return str(CifWriter(shown, significant_figures=10, write_magmoms=magnetic))


def write_structure(structure: Structure, path: str | PathLike[str]) -> None:
    """Write a crystal to a file, whose name says the format; a file that was there is replaced once all is written.

    :raises ValueError: for a name that says no format.
    :raises OSError: where that fails; nothing half-written is left.
    """
    path = Path(path)
    text = as_text(structure, format_of(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f'there is no folder {str(path.parent)!r}')
    descriptor, part = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
        with os.fdopen(descriptor, 'w', encoding='utf8') as handle:
            handle.write(text)
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def write_structures(
    folder: str | PathLike[str], structures: Mapping[str, Structure], overwrite: bool = False
) -> list[Path]:
    """Write crystals to files in a folder, all or none.

    :param structures: by the names of their files, which may lie in a folder below it.
    :param overwrite: replace files that are there.
    :returns: the files.
    :raises ValueError: for names that say no format, and files that are there.
    :raises OSError: where that fails; nothing is left behind then, but the folder.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{folder} is a file: give a folder')
    texts = {name: as_text(structure, format_of(name)) for name, structure in structures.items()}
    there = [name for name in texts if (folder / name).exists()]
    if there and not overwrite:
        raise ValueError(f'{folder / there[0]} is there already: replace it with --overwrite, or give another folder')
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix='.part.', dir=folder))
    try:
        for name, text in texts.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(text, encoding='utf8')
        for name in texts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).replace(folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / name for name in texts]
