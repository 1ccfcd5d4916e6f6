"""The barrier of a path by a whole elastic band of a potential: what a prediction of barriers saves, and its yardstick.

The ends are relaxed at fixed cell, images between them are interpolated in the image-dependent pair potential, and the
band is optimised with a climbing image. By default it is of five images, ends included, with springs of 5 eV/Å² and a
threshold of 0.05 eV/Å, as the published MACE-RELAX barriers very probably are (`mace_relax` of the published dataset),
which have no climbing image and are the highest minus the lowest energy: here the span.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.band import UNKNOWN, Band
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.jobs.prediction import NebSettings
from aiida_embarrier.jobs.schemas import Geometry, NebTask, RelaxTask, Status
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.neb import NudgedElasticBand
from aiida_embarrier.potentials.relaxation import Relaxation
from aiida_embarrier.prediction.paths import MIN_HOP
from aiida_embarrier.structures.mirror import find_mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.schemas import NebResult, RelaxResult
    from aiida_embarrier.potentials.evaluator import Evaluator
    from aiida_embarrier.potentials.task import OptimisationTask
    from aiida_embarrier.prediction.paths import MigrationPath

__all__ = ('NebBarrier', 'neb_barrier', 'neb_numbers')

#: Points of a bent path, ends left out, that the ion is led through.
N_WAYPOINTS = 7
#: An ion that relaxes farther than this from its end of the path, in Å, has probably gone to another site.
FAR = 1.0


@dataclass(frozen=True)
class NebBarrier:
    """How an elastic band of a potential along a path came out.

    :param status: of the band, or of the end that could not be relaxed.
    :param message: what happened.
    :param n_evaluations: of the potential, ends included.
    :param energies: of the images of the last good band relative to the first, eV, shape (n_images,); empty where there
        is no band.
    :param residual_force: largest force by the definition of convergence, eV/Å; None where there is no band.
    :param mirrored: whether symmetry gave one end and one half of the band.
    :param warnings: what a reader of the barrier must know.
    """

    status: Status
    message: str
    n_evaluations: int
    energies: np.ndarray = field(default_factory=lambda: np.empty(0))
    residual_force: float | None = None
    mirrored: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the barriers can be used."""
        return self.status == Status.CONVERGED

    @property
    def forward(self) -> float | None:
        """Highest energy minus that of the initial state in eV, of the last good band."""
        return self._of_band('forward')

    @property
    def reverse(self) -> float | None:
        """Highest energy minus that of the final state in eV, of the last good band."""
        return self._of_band('reverse')

    @property
    def span(self) -> float | None:
        """Highest minus lowest energy in eV, of the last good band."""
        return self._of_band('span')

    def _of_band(self, definition: str) -> float | None:
        return float(getattr(barriers(self.energies), definition)) if len(self.energies) else None


def neb_barrier(
    path: MigrationPath,
    evaluator: Evaluator,
    potential: PotentialSpec,
    settings: NebSettings | None = None,
    on_step: Callable[[OptimisationTask], Any] = lambda _: None,
) -> NebBarrier:
    """Return the barrier of a path by a whole elastic band of a potential, some hundreds of evaluations.

    What goes wrong with the path stands in the status and the message; only faults of the machine are raised.

    :param potential: that the evaluator evaluates.
    :param on_step: called after each step of a relaxation or of the band; what it raises ends the whole.
    :raises PotentialError: where the evaluator gave up.
    """
    return _Run(path, evaluator, potential, settings or NebSettings(), on_step).barrier()


def neb_numbers(
    path: MigrationPath,
    evaluator: Evaluator,
    potential: PotentialSpec,
    settings: NebSettings,
    on_step: Callable[[OptimisationTask], Any] = lambda _: None,
) -> dict[str, float]:
    """Return the numbers of a path that come from its elastic band; NaN where it was not run or has not converged."""
    numbers = dict.fromkeys((f'potential_neb_{name}' for name in _NUMBERS), np.nan)
    if settings.max_atoms is not None and path.n_atoms > settings.max_atoms:
        return numbers
    found = neb_barrier(path, evaluator, potential, settings, on_step)
    numbers['potential_neb_converged'] = float(found.converged)
    numbers['potential_neb_evaluations'] = float(found.n_evaluations)
    if found.converged:
        numbers |= {f'potential_neb_{name}': getattr(found, name) for name in ('forward', 'reverse', 'span')}
    return numbers


_NUMBERS = ('forward', 'reverse', 'span', 'converged', 'evaluations')


class _Run:
    """The relaxations and the band of one path."""

    def __init__(
        self,
        path: MigrationPath,
        evaluator: Evaluator,
        potential: PotentialSpec,
        settings: NebSettings,
        on_step: Callable[[OptimisationTask], Any],
    ) -> None:
        self._path = path
        self._evaluator = evaluator
        self._potential = potential
        self._settings = settings
        self._on_step = on_step
        self._tasks: list[OptimisationTask] = []

    def barrier(self) -> NebBarrier:
        """Relax the ends, then the band between them."""
        try:
            ends = self._relaxed_ends()
            return ends if isinstance(ends, NebBarrier) else self._of_band(ends)
        except ValueError as error:  # atoms on top of each other, and bands without length
            return self._without_band(Status.FAILED, str(error))

    @property
    def _n_evaluations(self) -> int:
        return sum(task.n_evaluations for task in self._tasks)

    def _run(self, tasks: Sequence[OptimisationTask]) -> None:
        """Run tasks within what is left of the evaluations."""
        self._tasks += tasks
        limit = self._settings.max_evaluations

        def reason_to_stop(_: float) -> str | None:
            return f'the limit of {limit} evaluations was reached' if self._n_evaluations >= limit else None

        run_tasks(tasks, self._evaluator, reason_to_stop=reason_to_stop, on_step=self._on_step)

    def _without_band(self, status: Status, message: str) -> NebBarrier:
        return NebBarrier(status, message, self._n_evaluations)

    def _relaxed_ends(self) -> Band | NebBarrier:
        """Return both ends, relaxed; of a path that is its own mirror image one is relaxed and the other mapped."""
        path = self._path
        fractions = (0.0, 1.0) if path.is_straight else np.linspace(0, 1, N_WAYPOINTS + 2)
        placed = Band.from_structures([path.structure(float(fraction)) for fraction in fractions], mobile=(0,))
        mirror = find_mirror(placed)
        images = {'initial': 0} if mirror is not None else {'initial': 0, 'final': -1}
        tasks = {name: self._relaxation(name, placed, image) for name, image in images.items()}
        self._run(list(tasks.values()))
        results = {name: task.result() for name, task in tasks.items()}
        for name, result in results.items():
            if result.status != Status.CONVERGED:
                return self._without_band(_status(result.status), f'the {name} state: {self._said(result)}')
        relaxed = [np.array(result.structure.positions) for result in results.values()]
        if mirror is not None:
            relaxed.append(mirror.positions(relaxed[0]))
        ends = placed.replace(positions=np.stack(relaxed), energies=UNKNOWN, max_perpendicular_forces=UNKNOWN)
        moved = ends.positions[-1, 0] - ends.positions[0, 0]
        if np.linalg.norm(moved) < MIN_HOP:
            return self._without_band(
                Status.COLLAPSED,
                f'both ends relax to the same site: the ion is {np.linalg.norm(moved):.2f} Å from one to the other, so '
                'one of them is no site of its own with this potential',
            )
        return ends

    def _relaxation(self, name: str, band: Band, image: int) -> Relaxation:
        structure = Geometry(
            lattice=band.lattice.tolist(), elements=band.elements, positions=band.positions[image].tolist()
        )
        return Relaxation(RelaxTask(label=name, structure=structure, force_threshold=self._settings.force_threshold))

    def _of_band(self, ends: Band) -> NebBarrier:
        """Relax the band between relaxed ends."""
        path, settings = self._path, self._settings
        between = None if path.is_straight else path.at(np.linspace(0, 1, N_WAYPOINTS + 2)[1:-1])
        start = interpolate(ends, settings.n_images, waypoints=between, fractional_waypoints=True)
        task = NudgedElasticBand(
            NebTask(
                label='band',
                spring_constant=settings.spring_constant,
                climb=settings.climb,
                force_threshold=settings.force_threshold,
            ),
            start,
            self._potential,
        )
        self._run([task])
        result = task.result()
        energies = task.band.energies
        return NebBarrier(
            status=_status(result.status),
            message=self._said(result),
            n_evaluations=self._n_evaluations,
            energies=energies - energies[0] if np.isfinite(energies).all() else np.empty(0),
            residual_force=result.residual_force,
            mirrored=result.mirrored,
            warnings=self._warnings(ends),
        )

    def _warnings(self, ends: Band) -> tuple[str, ...]:
        """Return a warning for each end that the ion leaves when it relaxes."""
        placed = self._path.at([0.0, 1.0]) @ self._path.lattice
        shifts = np.linalg.norm(ends.positions[[0, -1], 0] - placed, axis=1)
        return tuple(
            f'the ion relaxes {shift:.2f} Å away from the {end} site: this may be the barrier of another hop'
            for end, shift in zip(('initial', 'final'), shifts, strict=True)
            if shift > FAR
        )

    def _said(self, result: RelaxResult | NebResult) -> str:
        """Return what a task says of its end; there is no checkpoint here that it could go on from."""
        if result.status == Status.INTERRUPTED:
            return (
                f'not converged after {result.n_steps} steps, when the limit of {self._settings.max_evaluations} '
                'evaluations was reached: allow more of them'
            )
        return result.message.partition('; continue from the checkpoint')[0]


def _status(status: Status) -> Status:
    """Return the status of a task; one that was ended by the limit of evaluations has not converged."""
    return Status.NOT_CONVERGED if status == Status.INTERRUPTED else status
