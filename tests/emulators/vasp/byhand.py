"""Run the stand-in without AiiDA: write a folder, start it, look at what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.io.vasp import Poscar

from .potcars import potcar
from .setup import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymatgen.core import Structure

#: A quick and quiet start for any of the tests' systems.
BASE: dict[str, Any] = {'ENCUT': 400, 'ISMEAR': 0, 'SIGMA': 0.05, 'ISPIN': 2, 'LORBIT': 11}
#: Of a band in a build with VTST's tools.
CLIMB: dict[str, Any] = {
    **BASE, 'NSW': 60, 'IBRION': 3, 'POTIM': 0, 'IOPT': 3, 'LCLIMB': True, 'SPRING': -5, 'EDIFFG': -0.03,
}  # fmt: skip


def write(
    folder: Path, incar: dict[str, Any], structures: Sequence[Structure], kpoints: Sequence[int] = (1, 1, 1)
) -> Path:
    """Write a folder for one structure, or for a band of several, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    tags = {**incar, **({'IMAGES': len(structures) - 2} if len(structures) > 1 else {})}
    tags.setdefault('MAGMOM', ' '.join('5' if s.specie.symbol in ('Mn', 'Fe') else '0.6' for s in structures[0]))
    (folder / 'INCAR').write_text(''.join(f'{name} = {_incar(value)}\n' for name, value in tags.items()))
    (folder / 'KPOINTS').write_text('mesh\n0\nGamma\n' + ' '.join(str(n) for n in kpoints) + '\n')
    elements = list(dict.fromkeys(site.specie.symbol for site in structures[0]))
    (folder / 'POTCAR').write_text(''.join(potcar(element) for element in elements))
    places = [folder] if len(structures) == 1 else [folder / f'{number:02d}' for number in range(len(structures))]
    for place, structure in zip(places, structures, strict=True):
        place.mkdir(exist_ok=True)
        (place / 'POSCAR').write_text(Poscar(structure).get_str(significant_figures=12))
    return folder


def _incar(value: Any) -> str:
    return f'.{str(value).upper()}.' if isinstance(value, bool) else str(value)


def run(folder: Path, emulation: dict[str, Any] | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run in a folder; standard output goes to `stdout` there, as aiida-vasp wants it of a band."""
    asked = json.dumps(emulation) if emulation else ''
    with (folder / 'stdout').open('w') as stdout:
        return subprocess.run(
            [sys.executable, '-E', str(SCRIPT)],
            cwd=folder,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, 'VASP_EMULATOR': asked, **environment},
        )


def energies(folder: Path) -> list[float]:
    """Return the energies of the ionic steps, extrapolated, as OSZICAR prints them, in eV."""
    lines = [line for line in (folder / 'OSZICAR').read_text().splitlines() if ' E0= ' in line]
    return [float(line.split('E0=')[1].split()[0]) for line in lines]


def electronic_steps(folder: Path) -> list[int]:
    """Return the number of electronic steps of each ionic step."""
    counts = [0]
    for line in (folder / 'OSZICAR').read_text().splitlines():
        if ' E0= ' in line:
            counts.append(0)
        elif ': ' in line:
            counts[-1] += 1
    return counts[:-1]


def forces(folder: Path) -> np.ndarray:
    """Return the true forces of the last ionic step, (n_atoms, 3) in eV/Å."""
    block = (folder / 'OUTCAR').read_text().rsplit('TOTAL-FORCE (eV/Angst)\n', 1)[1].split('\n')[1:]
    rows = []
    for line in block:
        if line.startswith(' ---'):
            break
        rows.append([float(x) for x in line.split()[3:]])
    return np.array(rows)
