"""Every ionic step of an OUTCAR, also of one that ends in mid-step: energies, forces, positions and moments.

aiida-vasp's parser keeps the last energy and forces of an image only. A band needs those of one and the same step of
all its images, as one image may be a step ahead of another when a job is killed, and the trend of the forces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ('ITERATION', 'IonicStep', 'OutcarRun', 'numbers_in', 'read_outcar')

ITERATION = re.compile(r'Iteration\s+(\d+)\(\s*(\d+)\)')
RANKS = re.compile(r'running(?: on)?\s+(\d+)\s+(?:total cores|mpi-ranks)(?:, with\s+(\d+)\s+threads/rank)?')
NUMBER = re.compile(r'[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[ed][-+]?\d+)?|[-+]?(?:nan|infinity|inf)\b|\*+', re.IGNORECASE)


@dataclass
class IonicStep:
    """One ionic step of one structure; what is missing is NaN or None.

    :param number: of the step, from 1.
    :param n_electronic: electronic steps.
    :param energy: extrapolated to zero smearing (`energy(sigma->0)`) in eV.
    :param lattice: lattice vectors as rows in Å.
    :param positions: Cartesian positions in Å, shape (n_atoms, 3), five decimals, as VASP wraps them.
    :param forces: true forces in eV/Å, shape (n_atoms, 3).
    :param moments: magnetic moments of the sites in Bohr magnetons, shape (n_atoms,).
    :param stress: stress of the cell in kB, the six components as VASP prints them.
    :param scf_done: whether VASP says that its electronic convergence was reached.
    :param wall_s: wall time that VASP prints for the step, in seconds.
    """

    number: int
    n_electronic: int = 0
    energy: float = np.nan
    lattice: np.ndarray | None = None
    positions: np.ndarray | None = None
    forces: np.ndarray | None = None
    moments: np.ndarray | None = None
    stress: list[float] | None = None
    scf_done: bool = False
    wall_s: float = 0.0
    has_energy: bool = field(default=False, repr=False)
    tangent: np.ndarray | None = field(default=None, repr=False)
    along: float | None = field(default=None, repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether energy and forces were written."""
        return self.forces is not None and self.has_energy

    @property
    def is_finite(self) -> bool:
        """Whether energy, positions and forces are numbers."""
        return bool(
            np.isfinite(self.energy)
            and self.forces is not None
            and self.positions is not None
            and np.all(np.isfinite(self.forces))
            and np.all(np.isfinite(self.positions))
        )

    def restore_true_forces(self) -> None:
        """Give the forces the true component along the band that VTST prints, if they had been projected.

        VTST prints the tangent and the true force along it. Where the table of forces holds the true ones already this
        changes nothing; where it holds what drives the band, the true force is put in place of springs.
        """
        if self.tangent is None or self.along is None or self.forces is None:
            return
        if self.tangent.shape != self.forces.shape or not np.isfinite(self.along):
            return
        missing = self.along - float(np.vdot(self.forces, self.tangent))
        if abs(missing) > 1e-3:  # more than the rounding of what VASP prints
            self.forces = self.forces + missing * self.tangent


@dataclass
class OutcarRun:
    """What one OUTCAR says.

    :param steps: ionic steps whose energy and forces were written.
    :param unfinished: the ionic step in which the file ends, None where it ends after a whole one.
    :param finished: whether VASP came to its end.
    :param reached_accuracy: whether VASP says that its criterion for stopping was met.
    :param nelm: NELM. :param nsw: NSW.
    :param n_cores: cores of the job.
    :param elapsed_s: wall time that VASP prints at its end, None where it did not get there.
    :param version: first word of the file, such as `vasp.6.4.2`.
    :param vtst: whether it is a build with the VTST patch.
    """

    steps: list[IonicStep] = field(default_factory=list)
    unfinished: IonicStep | None = None
    finished: bool = False
    reached_accuracy: bool = False
    nelm: int | None = None
    nsw: int | None = None
    n_cores: int = 1
    elapsed_s: float | None = None
    version: str | None = None
    vtst: bool = False

    @property
    def wall_s(self) -> float:
        """Wall time in seconds; of a job that was stopped what its ionic steps took."""
        if self.elapsed_s is not None:
            return self.elapsed_s
        return sum(step.wall_s for step in self.steps)

    def scf_converged(self, index: int) -> bool:
        """Return whether the electrons of a whole step converged."""
        step = self.steps[index]
        return step.scf_done or self.nelm is None or step.n_electronic < self.nelm


def read_outcar(lines: Iterable[str]) -> OutcarRun:
    """Return what an OUTCAR says; it may end anywhere.

    :param lines: of the file.
    """
    run = OutcarRun()
    step: IonicStep | None = None
    rows = iter(lines)
    for number, line in enumerate(rows):
        if number == 0:
            run.version = line.split()[0] if line.strip() else None
        match = ITERATION.search(line)
        if match:
            if step is None or step.number != int(match.group(1)):
                _close(run, step)
                step = IonicStep(int(match.group(1)))
            step.n_electronic = int(match.group(2))
        elif step is None:
            _read_header(run, line)
        else:
            _read_step(run, step, line, rows)
        if 'VTST: version' in line:
            run.vtst = True
    _close(run, step)
    return run


def _close(run: OutcarRun, step: IonicStep | None) -> None:
    run.unfinished = None
    if step is None:
        return
    if step.is_complete:
        step.restore_true_forces()
        run.steps.append(step)
    else:
        run.unfinished = step


def _read_header(run: OutcarRun, line: str) -> None:
    """Read what stands before the first electronic step."""
    words = line.replace('=', ' = ').replace(';', ' ; ').split()
    if words[:2] == ['NELM', '=']:
        run.nelm = int(words[2])
    elif words[:2] == ['NSW', '=']:
        run.nsw = int(words[2])
    else:
        match = RANKS.search(line)
        if match:
            run.n_cores = int(match.group(1)) * int(match.group(2) or 1)


def _read_step(run: OutcarRun, step: IonicStep, line: str, rows: Iterator[str]) -> None:
    """Read a line of an ionic step, and the table below it."""
    if 'TOTAL-FORCE (eV/Angst)' in line:
        table = _table(rows, 6)
        if table is not None:
            step.positions, step.forces = table[:, :3], table[:, 3:]
    elif 'energy  without entropy' in line:  # two blanks: that of the ionic step, after its forces
        step.energy = _last_number(line)
        step.has_energy = True
    elif 'magnetization (x)' in line:
        next(rows, None)
        table = _table(rows, None, header=True)
        if table is not None:
            step.moments = table[:, -1]
    elif 'direct lattice vectors' in line:
        vectors = [numbers_in(next(rows, ''))[:3] for _ in range(3)]
        if all(len(vector) == 3 for vector in vectors):
            step.lattice = np.array(vectors)
    elif line.startswith('  in kB'):
        numbers = numbers_in(line[7:])
        step.stress = numbers if len(numbers) == 6 else None
    elif 'NEB: Tangent' in line:
        step.tangent = _table(rows, 3)
    elif 'projections on to tangent' in line:
        numbers = numbers_in(line.rpartition(')')[2])
        step.along = numbers[1] if len(numbers) > 1 else None
    elif 'aborting loop because EDIFF is reached' in line:
        step.scf_done = True
    elif 'LOOP+' in line:
        step.wall_s = _last_number(line)
    elif 'reached required accuracy' in line or 'OPT: skip step - force has converged' in line:
        run.reached_accuracy = True
    elif 'General timing and accounting informations' in line:
        run.finished = True
    elif 'Elapsed time (sec)' in line:
        run.elapsed_s = _last_number(line)


def _table(rows: Iterator[str], columns: int | None, header: bool = False) -> np.ndarray | None:
    """Return the numbers of a table between two rules, None where the file ends in it.

    :param columns: numbers in a row; None for whatever there is, without the first, a count.
    :param header: whether a line of titles stands before the first rule.
    """
    if header:
        next(rows, None)
    next(rows, None)  # the rule
    table: list[list[float]] = []
    for line in rows:
        if line.lstrip().startswith('---') or not line.strip():
            return np.array(table) if table else None
        numbers = numbers_in(line)
        if columns is None:
            numbers = numbers[1:]
        elif len(numbers) != columns:
            return None
        table.append(numbers)
    return None


def numbers_in(line: str) -> list[float]:
    """Return the numbers in a line; what Fortran could not write in its column is NaN."""
    return [np.nan if text.startswith('*') else float(text.lower().replace('d', 'e')) for text in NUMBER.findall(line)]


def _last_number(line: str) -> float:
    numbers = numbers_in(line)
    return numbers[-1] if numbers else np.nan
