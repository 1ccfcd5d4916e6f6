"""What the OUTCAR of one image of a finished VASP calculation says: its last step, and what was computed how.

Of parsers that exist, ASE's (3.29) refuses compressed files, and pymatgen's Outcar reads no forces and takes five times
as long. Tests compare the numbers with ASE's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from aiida_embarrier.bands.vasp_outcar import ITERATION, numbers_in, read_outcar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

__all__ = ('Outcar', 'Species', 'read_outputs', 'read_species')

#: Tags that VASP echoes in every version, with how their values are read.
_TAGS = {
    'ISPIN': int,
    'GGA': str,
    'METAGGA': str,
    'EDIFFG': float,
    'NSW': int,
    'IBRION': int,
    'ENCUT': float,
    'LHFCALC': str,
    'LNONCOLLINEAR': str,
}
_TAG = re.compile(rf'^ *({"|".join(_TAGS)}) *= *(\S+)')


@dataclass(frozen=True)
class Species:
    """A species as its pseudopotential names it; nothing else of the pseudopotential is kept.

    :param title: name of the pseudopotential, for instance `PAW_PBE Fe_pv 06Sep2000`.
    :param electrons: number of valence electrons.
    :param functional: the functional that it was made with, as VASP spells it (`PE`, `CA`, ...).
    """

    title: str
    electrons: float | None = None
    functional: str | None = None

    @property
    def element(self) -> str:
        """The chemical symbol, without what tells pseudopotentials of one element apart."""
        words = self.title.split()
        return words[min(1, len(words) - 1)].split('_')[0]


@dataclass
class Outcar:
    """What an OUTCAR says; None where it does not.

    Energies, forces, positions and moments belong to the last ionic step that is complete.

    :param version: of VASP.
    :param vtst: version of the VTST tools, None for VASP without them.
    :param energy: energy extrapolated to no smearing, `energy(sigma->0)`, in eV.
    :param forces: in eV/Å, shape (n_atoms, 3).
    :param positions: in Å, shape (n_atoms, 3), 5 decimals.
    :param lattice: vectors as rows in Å, shape (3, 3).
    :param moments: on the sites in Bohr magnetons, shape (n_atoms,).
    :param species: in the order of the atoms.
    :param counts: number of atoms of each species.
    :param n_electrons: valence electrons of the cell.
    :param incar: the lines of the INCAR that VASP 6 repeats, none of older versions.
    :param tags: tags as VASP understood them.
    :param hubbard: effective U of each species in eV, None for those without.
    :param dispersion: whether energies contain a dispersion correction.
    :param n_steps: complete ionic steps.
    :param converged: whether VASP says that forces are converged; False where the file ends before it does.
    :param elapsed_s: wall time.
    """

    version: str | None = None
    vtst: str | None = None
    energy: float | None = None
    forces: np.ndarray | None = None
    positions: np.ndarray | None = None
    lattice: np.ndarray | None = None
    moments: np.ndarray | None = None
    species: list[Species] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    n_electrons: float | None = None
    incar: list[str] = field(default_factory=list)
    tags: dict[str, Any] = field(default_factory=dict)
    hubbard: list[float | None] | None = None
    dispersion: bool = False
    n_steps: int = 0
    converged: bool = False
    elapsed_s: float | None = None


def read_species(lines: Iterable[str]) -> list[Species]:
    """Return the species in the lines of an OUTCAR or a POTCAR."""
    found: list[dict[str, Any]] = []
    functional = None
    for line in lines:
        if 'TITEL' in line:
            # LEXCH stands before TITEL in an OUTCAR and in a POTCAR
            found.append({'title': line.split('=', 1)[1].strip(), 'functional': functional})
        elif 'LEXCH' in line and '=' in line and 'table' not in line:
            functional = line.split('=', 1)[1].split()[0]
        elif 'ZVAL' in line and found and 'electrons' not in found[-1]:
            # a line with several numbers lists those of all species
            numbers = numbers_in(line.split('ZVAL', 1)[1])
            found[-1] |= {'electrons': numbers[0]} if len(numbers) == 1 else {}
    return [Species(**entry) for entry in found]


def read_outputs(lines: Sequence[str]) -> Outcar:
    """Return what an OUTCAR says, also one that ends early.

    :param lines: its lines.
    """
    run = read_outcar(lines)
    outcar = Outcar(n_steps=len(run.steps), converged=run.reached_accuracy, elapsed_s=run.elapsed_s)
    if run.steps:
        last = run.steps[-1]
        outcar.energy, outcar.forces, outcar.positions = last.energy, last.forces, last.positions
        outcar.lattice, outcar.moments = last.lattice, last.moments
    outcar.dispersion = any('Edisp (eV)' in line for line in lines)
    _read_header(outcar, list(takewhile(lambda line: ITERATION.search(line) is None, lines)))
    return outcar


def _read_header(outcar: Outcar, lines: list[str]) -> None:
    outcar.species = read_species(lines)
    in_incar = False
    for line in lines:
        if line.startswith(' INCAR:'):
            in_incar = True
        elif in_incar and 'POTCAR' not in line and '=' in line:
            outcar.incar.append(line)
            continue
        else:
            in_incar = False
        if line.startswith(' vasp.'):
            outcar.version = line.split()[0].removeprefix('vasp.')
        elif 'VTST: version' in line:
            outcar.vtst = line.split('version', 1)[1].split(',')[0].strip()
        elif 'ions per type' in line:
            outcar.counts = [int(number) for number in line.split('=')[1].split()]
        elif line.strip().startswith('ZVAL') and '=' in line:
            _set_electrons(outcar, numbers_in(line.split('=')[1]))
        elif 'NELECT' in line:
            outcar.n_electrons = numbers_in(line)[0]
        elif 'U (eV)' in line and 'LDAUU' in line:
            outcar.hubbard = [value or None for value in numbers_in(line.split('=')[1])]
        elif 'J (eV)' in line and 'LDAUJ' in line and outcar.hubbard is not None:
            exchange = numbers_in(line.split('=')[1])
            outcar.hubbard = [
                None if u is None else round(u - j, 6) for u, j in zip(outcar.hubbard, exchange, strict=False)
            ]
        elif found := _TAG.match(line):
            name, value = found.groups()
            if name not in outcar.tags and value not in {'--'}:
                outcar.tags[name] = _as(_TAGS[name], value)


def _set_electrons(outcar: Outcar, numbers: list[float]) -> None:
    """Take the valence electrons of all species from the line that lists them, where their own lines did not tell."""
    if len(numbers) == len(outcar.species):
        outcar.species = [
            replace(entry, electrons=number) if entry.electrons is None else entry
            for entry, number in zip(outcar.species, numbers, strict=True)
        ]


def _as(kind: Any, value: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        return value
