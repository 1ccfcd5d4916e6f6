"""Many relaxations and bands side by side on one evaluator."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiida_embarrier.potentials.evaluator import Evaluator, Outcome
    from aiida_embarrier.potentials.task import OptimisationTask

__all__ = ('run_tasks',)


def run_tasks(
    tasks: Sequence[OptimisationTask],
    evaluator: Evaluator,
    *,
    reason_to_stop: Callable[[float], str | None] = lambda _: None,
    on_step: Callable[[OptimisationTask], Any] = lambda _: None,
    on_checkpoint: Callable[[], Any] = lambda: None,
    checkpoint_every: int = 5,
) -> None:
    """Run tasks in lock-step until all have finished, or until there is a reason to stop.

    In each round the structures of all unfinished tasks are evaluated together, so no process idles while there is
    work.

    :param reason_to_stop: called before each round with the duration of the longest round so far in s; where it returns
        a text, unfinished tasks are interrupted.
    :param on_step: called for each task after each of its rounds.
    :param on_checkpoint: called every `checkpoint_every` rounds, and whenever a task finishes or is interrupted.
    :raises PotentialError: where the evaluator gave up; the tasks are as they were before the round.
    """
    longest, rounds = 0.0, 0
    while unfinished := [task for task in tasks if not task.finished]:
        reason = reason_to_stop(longest)
        if reason is not None:
            for task in unfinished:
                task.interrupt(reason)
                on_step(task)
            on_checkpoint()
            break
        start = time.monotonic()
        for task, outcomes in zip(unfinished, _evaluate(unfinished, evaluator), strict=True):
            task.tell(outcomes)
            on_step(task)
        longest = max(longest, time.monotonic() - start)
        rounds += 1
        if rounds % checkpoint_every == 0 or any(task.finished for task in unfinished):
            on_checkpoint()


def _evaluate(tasks: Sequence[OptimisationTask], evaluator: Evaluator) -> list[list[Outcome]]:
    asked = [task.ask() for task in tasks]
    told: list[list[Outcome]] = [[] for _ in tasks]
    for stress in (False, True):
        members = [index for index, task in enumerate(tasks) if task.stress == stress]
        structures = [atoms for index in members for atoms in asked[index]]
        if structures:
            outcomes = iter(evaluator.evaluate(structures, stress=stress))
            for index in members:
                told[index] = [next(outcomes) for _ in asked[index]]
    return told
