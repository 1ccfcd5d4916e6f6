"""What neb.x wrote: the iterations of every image from its PW.out, and how the run ended from its output.

neb.x appends to PW.out of an image at every iteration, so these files hold the whole history, also of a run that was
killed and of those it was restarted from.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import numpy as np

from aiida_embarrier.engines.quantumespresso.settings import BOHR, RYDBERG

__all__ = ('Evaluation', 'NebOutput', 'complete_iterations', 'inner_maximum', 'read_neb_output', 'read_pw_output')

_START = re.compile(r'^ +coordinates at iteration +(\d+)', re.MULTILINE)
_ENERGY = re.compile(r'^! +total energy += +(-?[\d.]+) Ry', re.MULTILINE)
_FORCE = re.compile(r'^ +atom +(\d+) type +\d+ +force = +(\S+) +(\S+) +(\S+)', re.MULTILINE)
_MOMENT = re.compile(r'^ +atom:? +(\d+) .*?magn *[:=] *(-?[\d.]+)', re.MULTILINE)
_POSITIONS = re.compile(
    r'^ATOMIC_POSITIONS +[({]?(\w+)[)}]?\n((?: *[A-Z][\w-]*(?: +-?\d+\.\d+){3}.*\n)+)', re.MULTILINE
)
_ALAT = re.compile(r'lattice parameter \(alat\) += +([\d.]+)')
_ERROR = re.compile(r'%{20,}\n(.*?)%{20,}', re.DOTALL)
_TIME = re.compile(r'^ +NEB +:.*?CPU +(?:(\d+)d)? *(?:(\d+)h)? *(?:(\d+)m)? *(?:([\d.]+)s)? WALL', re.MULTILINE)
_TABLE = re.compile(r'image +energy \(eV\) +error \(eV/A\) +frozen\s+((?: +\d+ +\S+ +\S+ +[TF] *\n)+)')


@dataclass(frozen=True)
class Evaluation:
    """One image at one iteration.

    :param positions: in Å as they are meant, shape (n_atoms, 3).
    :param energy: in eV, None where self-consistency was not reached.
    :param forces: in eV/Å, shape (n_atoms, 3), None where there are none.
    :param moments: in Bohr magnetons, shape (n_atoms,), None for a calculation without spin.
    :param out_of_time: whether it stopped for want of time.
    """

    positions: np.ndarray
    energy: float | None
    forces: np.ndarray | None
    moments: np.ndarray | None = None
    out_of_time: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether energy and forces are known."""
        return self.energy is not None and self.forces is not None


@dataclass(frozen=True)
class NebOutput:
    """How a run of neb.x ended.

    :param version: of the program.
    :param ended: whether it ended by itself.
    :param converged: whether it found path_thr kept.
    :param out_of_steps: whether it reached nstep_path.
    :param failed_image: number from 0 of the image whose self-consistency failed or that was being computed when the
        time was over; None where none was.
    :param errors: messages of the program.
    :param ignored_cards: cards of the input that the program does not know, such as HUBBARD before 7.1.
    :param n_evaluations: images whose self-consistency was begun in this run.
    :param wall_s: wall time in s, None where it is not known.
    :param threshold_errors: what neb.x calls the error, its largest over the moving images, of each iteration in eV/Å;
        None where it is beyond the digits that neb.x has for it.
    """

    version: str | None
    ended: bool
    converged: bool
    out_of_steps: bool
    failed_image: int | None
    errors: list[str]
    ignored_cards: list[str]
    n_evaluations: int
    wall_s: float | None
    threshold_errors: list[float | None] = field(default_factory=list)


def read_pw_output(text: str) -> dict[int, Evaluation]:
    """Return the evaluations of an image by their iteration; of one that was begun twice the last is kept.

    :param text: the content of PW.out.
    """
    starts = list(_START.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    found = {}
    for start, end in zip(starts, ends, strict=False):  # there is no start in an empty file
        block = text[start.end() : end]
        evaluation = _read_block(block)
        if evaluation is not None:
            found[int(start[1])] = evaluation
    return found


def _read_block(block: str) -> Evaluation | None:
    lines = _POSITIONS.search(block)
    if lines is None:  # killed while it wrote
        return None
    positions = np.array([[float(word) for word in line.split()[1:4]] for line in lines[2].splitlines()])
    unit = lines[1]
    if unit == 'alat':
        alat = _ALAT.search(block)
        if alat is None:
            return None
        positions = positions * float(alat[1]) * BOHR
    elif unit == 'bohr':
        positions = positions * BOHR
    n_atoms = len(positions)
    energy = _ENERGY.findall(block)
    forces = _FORCE.findall(block)[:n_atoms]
    moments = _MOMENT.findall(block)[-n_atoms:]
    numbers = [str(number) for number in range(1, n_atoms + 1)]
    return Evaluation(
        positions=positions,
        energy=float(energy[-1]) * RYDBERG if energy else None,
        forces=_forces(forces) if [row[0] for row in forces] == numbers else None,
        moments=np.array([float(row[1]) for row in moments]) if [row[0] for row in moments] == numbers else None,
        out_of_time='Maximum CPU time exceeded' in block,
    )


def _forces(rows: list[tuple[str, ...]]) -> np.ndarray | None:
    """Return forces in eV/Å, None where one is beyond the digits that pw.x has for it."""
    forces = np.array([[_number(word) for word in row[1:]] for row in rows]) * RYDBERG / BOHR
    return forces if np.all(np.isfinite(forces)) else None


def _number(word: str) -> float:
    """Return a number, NaN for the stars that Fortran prints where it has no room for one."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def complete_iterations(images: list[dict[int, Evaluation]]) -> list[list[Evaluation]]:
    """Return the bands of all iterations that are complete, in their order.

    The endpoints are computed at the first iteration only and hold for all.

    :param images: the evaluations of each image by their iteration.
    """
    ends = [_last_complete(images[0]), _last_complete(images[-1])]
    if ends[0] is None or ends[1] is None:
        return []
    iterations = sorted(set.intersection(*(set(image) for image in images[1:-1])))
    bands = [[ends[0], *(image[number] for image in images[1:-1]), ends[1]] for number in iterations]
    return [band for band in bands if all(evaluation.is_complete for evaluation in band)]


def inner_maximum(energies: np.ndarray) -> int | None:
    """Return the index of the highest image, None where that is an endpoint: there neb.x lets no image climb.

    :param energies: of all images, shape (n_images,).
    """
    highest = 1 + int(np.argmax(energies[1:-1]))
    return highest if energies[highest] > max(energies[0], energies[-1]) else None


def _last_complete(image: dict[int, Evaluation]) -> Evaluation | None:
    complete = [image[number] for number in sorted(image) if image[number].is_complete]
    return complete[-1] if complete else None


def read_neb_output(text: str) -> NebOutput:
    """Return how a run ended.

    :param text: what neb.x printed.
    """
    version = re.search(r'Program NEB v\.(\S+)', text)
    failed = re.search(r'NOT achieved on image +(\d+)', text)
    moving = [
        [_number(row.split()[2]) for row in table.splitlines() if row.split()[3] == 'F']
        for table in _TABLE.findall(text)
    ]
    return NebOutput(
        version=version[1] if version else None,
        ended='JOB DONE.' in text,
        converged='neb: convergence achieved' in text,
        out_of_steps='reached the maximum number of steps' in text,
        failed_image=int(failed[1]) - 1 if failed else None,
        errors=[' '.join(message.split()) for message in dict.fromkeys(_ERROR.findall(text))],
        ignored_cards=sorted(set(re.findall(r'[Ww]arning: card +(\S+).*?ignored', text))),
        n_evaluations=len(re.findall(r'self-consistency for image', text)),
        wall_s=_seconds(_TIME.search(text)),
        threshold_errors=[None if np.any(np.isnan(errors)) else max(errors) for errors in moving if errors],
    )


def _seconds(found: re.Match[str] | None) -> float | None:
    if found is None:
        return None
    return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (86400, 3600, 60, 1), strict=True))
