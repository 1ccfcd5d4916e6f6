"""An optimisation that asks for evaluations and is told their outcome, so that many can share one evaluator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.geometry import OVERLAP, closest_pair
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.potentials.evaluator import Evaluation, EvaluationError, NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from aiida_embarrier.jobs.schemas import NebResult, RelaxResult
    from aiida_embarrier.potentials.evaluator import Outcome

__all__ = ('DivergenceWatch', 'OptimisationTask')

State = dict[str, Any]


class DivergenceWatch:
    """Tells an optimisation that runs away from one that is only rough at its start.

    It diverges where, after the first evaluation, a force exceeds `MAX_FORCE`, or where the energy stays more than
    `MAX_RISE` above the lowest so far for `PATIENCE` evaluations on end. Bonds that break cost a few eV and forces
    between atoms on top of each other reach hundreds of eV/Å, so neither bound is met by a sound optimisation.
    """

    MAX_FORCE = 1000.0  # eV/Å
    MAX_RISE = 2.0  # eV
    PATIENCE = 10

    def __init__(self) -> None:
        self.lowest = np.inf
        self.count = 0
        self.first = True

    def update(self, energy: float, max_force: float) -> str | None:
        """Take note of an evaluation; return what is wrong if the optimisation has diverged.

        :param energy: in eV, of a structure, or the highest of a band.
        :param max_force: in eV/Å.
        """
        first, self.first = self.first, False
        if max_force > self.MAX_FORCE and not first:
            return f'a force of {max_force:.3g} eV/Å appeared, more than {self.MAX_FORCE:g} eV/Å'
        self.lowest = min(self.lowest, energy)
        self.count = self.count + 1 if energy > self.lowest + self.MAX_RISE else 0
        if self.count >= self.PATIENCE:
            return (
                f'the energy stayed more than {self.MAX_RISE:g} eV above its lowest value for {self.PATIENCE} steps '
                f'(now {energy - self.lowest:.2f} eV above)'
            )
        return None

    @property
    def rising(self) -> bool:
        """Whether the last evaluation lay too far above the lowest."""
        return self.count > 0

    def state(self) -> list[float]:
        """Return what :meth:`restore` takes; the lowest energy is NaN before the first evaluation."""
        return [self.lowest if np.isfinite(self.lowest) else np.nan, float(self.count), float(self.first)]

    def restore(self, state: Sequence[float]) -> None:
        """Put back what :meth:`state` returned."""
        self.lowest = float(state[0]) if np.isfinite(state[0]) else np.inf
        self.count, self.first = int(state[1]), bool(state[2])


class OptimisationTask(ABC):
    """Base of relaxations and bands.

    A task is asked for the structures it wants evaluated and told the outcomes. In between it is always at a point
    where it may be stopped: its state holds what was evaluated and where to go next, and nothing is evaluated twice.

    :param label: names the task.
    :param max_steps: limit on optimisation steps, those before a restart included.
    :ivar status: None while the task goes on.
    :ivar message: what happened, and what to do about it.
    :ivar n_steps: optimisation steps made.
    :ivar n_evaluations: structures evaluated.
    """

    #: Whether the stress is needed.
    stress = False

    def __init__(self, label: str, max_steps: int) -> None:
        self.label = label
        self.max_steps = max_steps
        self.status: Status | None = None
        self.message = ''
        self.n_steps = 0
        self.n_evaluations = 0
        self._watch = DivergenceWatch()
        self._advanced = True  # whether the structures to ask for lie beyond what was evaluated

    @property
    def finished(self) -> bool:
        """Whether nothing remains to be evaluated."""
        return self.status is not None

    @property
    def evaluated_step(self) -> int:
        """Number of steps that led to what was evaluated last."""
        return self.n_steps - 1 if self._advanced and self.n_steps else self.n_steps

    def ask(self) -> list[Atoms]:
        """Return the structures to evaluate next, none when finished."""
        return [] if self.finished else self._structures()

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes for the structures that :meth:`ask` returned, in their order, and go on to the next."""
        self.n_evaluations += len(outcomes)
        errors = [outcome for outcome in outcomes if isinstance(outcome, EvaluationError)]
        if errors:
            diverged = isinstance(errors[0], NonFiniteError) and self.n_steps > 0
            self._end(Status.DIVERGED if diverged else Status.FAILED, self._describe(errors[0]))
            return
        self._advanced = False
        problem = self._record([outcome for outcome in outcomes if isinstance(outcome, Evaluation)])
        if problem is not None:
            self._end(*problem)
            return
        self._go_on()

    def interrupt(self, reason: str) -> None:
        """End an unfinished task so that it can be restored and go on."""
        if not self.finished:
            self._end(Status.INTERRUPTED, f'{reason} after {self.n_steps} steps: continue from the checkpoint')

    def _go_on(self) -> None:
        converged = self._converged()
        if converged is not None:
            self._keep()  # also where it lies far above the lowest energy: what is at rest there is the result
            self._end(Status.CONVERGED, converged)
        elif self.n_steps >= self.max_steps:
            self._end(Status.NOT_CONVERGED, self._shortfall())
        else:
            self._advance()
            self.n_steps += 1
            self._advanced = True

    def _end(self, status: Status, message: str) -> None:
        self.status, self.message = status, message

    def _describe(self, error: EvaluationError) -> str:
        return f'{error} (step {self.n_steps})'

    def state(self) -> State:
        """Return all that the task needs to go on: arrays and JSON values."""
        return {
            'status': None if self.status is None else str(self.status),
            'message': self.message,
            'n_steps': self.n_steps,
            'n_evaluations': self.n_evaluations,
            'advanced': self._advanced,
            'watch': np.array(self._watch.state()),
        }

    def restore(self, state: State) -> None:
        """Put back what :meth:`state` returned, and go on if limits or thresholds now allow it.

        A task that converged stays converged unless its thresholds were tightened, one that ran out of steps goes on if
        it is allowed more, an interrupted one goes on; diverged, collapsed and failed tasks stay as they are.
        """
        self.message, self.n_steps = state['message'], int(state['n_steps'])
        self.n_evaluations, self._advanced = int(state['n_evaluations']), bool(state['advanced'])
        self._watch.restore(state['watch'])
        self.status = None if state['status'] is None else Status(state['status'])
        self._restore(state)
        if self.status in {Status.CONVERGED, Status.NOT_CONVERGED, Status.INTERRUPTED}:
            self.status, self.message = None, ''
            if not self._advanced:
                self._go_on()

    @abstractmethod
    def progress(self) -> dict[str, Any]:
        """Return what a progress line says of the last evaluation, as JSON values."""

    @abstractmethod
    def result(self) -> RelaxResult | NebResult:
        """Return the outcome."""

    @abstractmethod
    def _structures(self) -> list[Atoms]:
        """Return the structures to evaluate."""

    @abstractmethod
    def _record(self, evaluations: list[Evaluation]) -> tuple[Status, str] | None:
        """Keep the evaluations; return status and message where the task has to end."""

    @abstractmethod
    def _keep(self) -> None:
        """Take what was evaluated last for the last good result."""

    @abstractmethod
    def _converged(self) -> str | None:
        """Return a message if the task has converged, else None."""

    @abstractmethod
    def _shortfall(self) -> str:
        """Return the message for a task that ran out of steps."""

    @abstractmethod
    def _advance(self) -> None:
        """Make one optimisation step."""

    @abstractmethod
    def _restore(self, state: State) -> None:
        """Put back what a subclass added to the state."""


def check_distances(positions: np.ndarray, lattice: np.ndarray, elements: Sequence[str], name: str) -> None:
    """Refuse a structure with two atoms at one place: some potentials leave such a pair out and give sound numbers.

    :param name: of the structure, for the message.
    :raises ValueError: where two atoms are closer than `OVERLAP`.
    """
    if len(positions) < 2:
        return
    pair = closest_pair(positions, lattice)
    if pair.distance < OVERLAP:
        atoms = ' and '.join(f'{elements[index]}{index}' for index in (pair.first, pair.second))
        raise ValueError(
            f'the atoms {atoms} (counted from 0) of {name} are {pair.distance:.2g} Å apart: correct the structure, or '
            'take another interpolation'
        )


def with_prefix(prefix: str, entries: State) -> State:
    """Return the entries with a prefix before their names."""
    return {f'{prefix}.{name}': value for name, value in entries.items()}


def without_prefix(prefix: str, entries: State) -> State:
    """Return the entries that have the prefix, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in entries.items() if name.startswith(f'{prefix}.')}
