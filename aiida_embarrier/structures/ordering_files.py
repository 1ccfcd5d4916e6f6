"""Orderings as CIFs in a folder: all of them, or none."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pymatgen.io.cif import CifWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.structures.orderings import Ordering, Progress

__all__ = ('check_folder', 'file_name', 'write_orderings')


def file_name(ordering: Ordering) -> str:
    """Return the name of the file of an ordering: its number, and its energy where it has one."""
    energy = '' if ordering.ewald_energy is None else f'_{ordering.ewald_energy:.4f}eV'
    return f'ordering_{ordering.number:04d}{energy}.cif'


def _existing(folder: Path) -> list[Path]:
    return sorted(folder.glob('ordering_*.cif'))


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that cannot be written to, or that holds orderings already.

    :param overwrite: whether these may be replaced.
    :raises ValueError: with the remedy.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{folder} is a file: give a folder to write the orderings to')
    there = _existing(folder)
    if there and not overwrite:
        raise ValueError(
            f'{folder} holds {len(there)} ordering(s) already, such as {there[0].name}: replace them with --overwrite, '
            'or write to another folder'
        )


def write_orderings(folder: Path, orderings: Sequence[Ordering], progress: Progress | None = None) -> list[Path]:
    """Write each ordering as a CIF; orderings that were in the folder before are replaced when all are written.

    :param progress: as of :func:`~aiida_embarrier.structures.orderings.find_orderings`.
    :returns: the files.
    :raises OSError: where that fails; nothing is left behind then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', dir=folder.parent))
    try:
        names = []
        for ordering in orderings:
            names.append(file_name(ordering))
            CifWriter(ordering.structure).write_file(part / names[-1])
            if progress is not None:
                progress('files', len(names), len(orderings), 'files')
        if folder.exists():
            for path in _existing(folder):
                path.unlink()
            for name in names:
                (part / name).replace(folder / name)
        else:
            part.chmod(0o755)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / name for name in names]
