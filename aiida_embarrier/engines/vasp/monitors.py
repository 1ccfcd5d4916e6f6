"""The monitor of running jobs: it stops those whose energies are no numbers, or changed beyond reason."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode
    from aiida.transports import Transport

__all__ = ('watch_energies',)

#: The line of an ionic step in an OSZICAR.
STEP = re.compile(r'\s*(\d+)\s+F=\s*(\S+)\s+E0=\s*(\S+)')


def watch_energies(node: CalcJobNode, transport: Transport, max_energy_change: float = 100.0) -> str | None:
    """Return why a job is to be stopped, None where it may go on.

    It reads the OSZICAR of the job, or those of the images 01, 02, ... of a band, which are small.

    :param max_energy_change: how far the energy may lie from that of the first step, in eV.
    """
    folder = PurePosixPath(node.get_remote_workdir())
    names = [f'{image:02d}/OSZICAR' for image in range(1, _n_images(node) - 1)] or ['OSZICAR']
    for name in names:
        code, output, _ = transport.exec_command_wait(f"grep 'F=' {_quoted(str(folder / name))}")
        if code != 0:  # not written yet
            continue
        problem = _problem(output, max_energy_change)
        if problem is not None:
            return f'{name}: {problem}'
    return None


def _n_images(node: CalcJobNode) -> int:
    """Return the number of images of a band, 0 for a single structure."""
    return int(node.inputs.band.base.attributes.get('n_images')) if 'band' in node.inputs else 0


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _problem(lines: str, max_energy_change: float) -> str | None:
    first = None
    for line in lines.splitlines():
        match = STEP.match(line)
        if match is None:
            continue
        try:
            energy = float(match.group(3))
        except ValueError:  # stars
            energy = math.nan
        if not math.isfinite(energy):
            return f'the energy of ionic step {match.group(1)} is no number'
        first = energy if first is None else first
        if abs(energy - first) > max_energy_change:
            return (
                f'the energy of ionic step {match.group(1)} differs by {energy - first:+.0f} eV from that of the first '
                f'(max_energy_change: {max_energy_change:g} eV)'
            )
    return None
