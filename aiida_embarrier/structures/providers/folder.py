"""Crystals in a folder, in files that pymatgen or ASE reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_embarrier.structures.providers.base import Answer, Entry, ProviderError, Query, cut, now
from aiida_embarrier.structures.reading_disordered import read_disordered

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from pymatgen.core import Structure

__all__ = ('FolderProvider',)

#: Names of files that may hold a crystal; others are not looked at.
PATTERNS = ('*.cif', '*.mcif', '*.vasp', '*.poscar', 'POSCAR*', 'CONTCAR*', '*.json', '*.extxyz', '*.xyz')


class FolderProvider:
    """A folder of crystals, with its folders in it; disordered ones too.

    The identifier of a crystal is the path of its file in the folder. The version is a hash of names and contents of
    all these files, so that another state of the folder has another one.

    :param path: the folder.
    :param progress: called with how many files are read, and how many there are.
    :raises ProviderError: where there is no such folder.
    """

    name = 'folder'

    def __init__(self, path: str | PathLike[str], progress: Callable[[int, int], None] | None = None) -> None:
        self.progress = progress
        self.path = Path(path).expanduser().resolve()
        if not self.path.is_dir():
            raise ProviderError(f'there is no folder {str(self.path)!r} on this machine: name one with crystals')

    def files(self) -> list[Path]:
        """Return the files that may hold a crystal, by their paths."""
        found = {path for pattern in PATTERNS for path in self.path.rglob(pattern) if path.is_file()}
        return sorted(found)

    def version(self) -> str:
        """Return the sha256 of names and contents of the files, in hexadecimal digits."""
        return self._read()[0]

    def _read(self) -> tuple[str, dict[str, Structure], list[str]]:
        """Return the version of the folder, its crystals by their files, and which files cannot be read.

        Both in one pass, so that what is hashed is what is looked at.
        """
        digest = hashlib.sha256()
        crystals: dict[str, Structure] = {}
        problems = []
        files = self.files()
        for number, path in enumerate(files):
            if self.progress is not None:
                self.progress(number, len(files))
            name = path.relative_to(self.path).as_posix()
            try:
                content = path.read_bytes()
            except OSError as error:
                problems.append(f'{name}: {error.strerror}')
                content = b''
            else:
                try:
                    crystals[name] = read_disordered(path)
                # A parser raises whatever its author met.
                except Exception as error:
                    problems.append(f'{name}: {" ".join(str(error).split())[:200] or type(error).__name__}')
            for piece in (name.encode(), content):
                digest.update(len(piece).to_bytes(8, 'little'))
                digest.update(piece)
        return digest.hexdigest(), crystals, problems

    def search(self, query: Query) -> Answer:
        """Return the crystals that fit a query, in the order of their files."""
        version, crystals, problems = self._read()
        missing = [name for name in query.ids if name not in crystals]
        problems += [f'{name}: there is no crystal of that name' for name in missing]
        wanted = {name: crystals[name] for name in query.ids if name in crystals} if query.ids else crystals
        candidates = (Entry(name, structure, '') for name, structure in wanted.items())
        fitting = (Entry.of(entry.id, entry.structure) for entry in candidates if query.fits(entry))
        entries, complete = cut(fitting, query)
        return Answer(entries, self.name, version, query, now(), str(self.path), complete, tuple(problems))
