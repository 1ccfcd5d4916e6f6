"""Many relaxations and bands side by side on one evaluator."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any

from aiida_embarrier.potentials.pool import PoolEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from concurrent.futures import Future

    from aiida_embarrier.potentials.evaluator import Evaluator, Outcome
    from aiida_embarrier.potentials.task import OptimisationTask

__all__ = ('run_tasks',)

#: A checkpoint is written when so many times its cost has passed since the last: at most 5 % of the time goes there.
CHECKPOINT_INTERVAL = 20


def run_tasks(
    tasks: Sequence[OptimisationTask],
    evaluator: Evaluator,
    *,
    reason_to_stop: Callable[[float], str | None] = lambda _: None,
    on_step: Callable[[OptimisationTask], Any] = lambda _: None,
    on_checkpoint: Callable[[], Any] = lambda: None,
) -> None:
    """Run tasks until all have finished, or until there is a reason to stop.

    Processes of a CPU are handed structures as they become free: a task makes its next step as soon as it has all it
    asked for, whatever the others do. In one process, as with a GPU, the structures of all unfinished tasks are
    evaluated together.

    :param reason_to_stop: called before each step with the duration of the longest step so far in s; where it returns
        a text, unfinished tasks are interrupted.
    :param on_step: called for each task after each of its steps.
    :param on_checkpoint: called after a step where :data:`CHECKPOINT_INTERVAL` times its own duration have passed since
        it was last called, so after every step where writing is much cheaper than evaluating; and at the end.
    :raises PotentialError: where the evaluator gave up; the tasks are as they were before the step.
    """
    steps = _as_completed(tasks, evaluator) if isinstance(evaluator, PoolEvaluator) else _in_rounds(tasks, evaluator)
    longest, cost, written = 0.0, 0.0, time.monotonic()
    try:
        reason = reason_to_stop(longest)
        while reason is None:
            found = next(steps, None)
            if found is None:
                break
            task, outcomes, duration = found
            task.tell(outcomes)
            on_step(task)
            longest = max(longest, duration)
            now = time.monotonic()
            if now - written > CHECKPOINT_INTERVAL * cost:
                on_checkpoint()
                written = time.monotonic()
                cost = written - now
            reason = reason_to_stop(longest)
    finally:
        steps.close()
    for task in tasks:
        if not task.finished:
            task.interrupt(reason or 'stopped')
            on_step(task)
    on_checkpoint()


#: A task, the outcomes of all that it asked for, and how long that took in s.
_Step = tuple['OptimisationTask', list['Outcome'], float]


def _in_rounds(tasks: Sequence[OptimisationTask], evaluator: Evaluator) -> Generator[_Step]:
    """Evaluate the structures of all unfinished tasks together, again and again."""
    while unfinished := [task for task in tasks if not task.finished]:
        start = time.monotonic()
        asked = [task.ask() for task in unfinished]
        told: list[list[Outcome]] = [[] for _ in unfinished]
        for stress in (False, True):
            members = [index for index, task in enumerate(unfinished) if task.stress == stress]
            structures = [atoms for index in members for atoms in asked[index]]
            if structures:
                outcomes = iter(evaluator.evaluate(structures, stress=stress))
                for index in members:
                    told[index] = [next(outcomes) for _ in asked[index]]
        duration = time.monotonic() - start
        for task, results in zip(unfinished, told, strict=True):
            yield task, results, duration


def _as_completed(tasks: Sequence[OptimisationTask], evaluator: PoolEvaluator) -> Generator[_Step]:
    """Keep every process at work: evaluate for each task on its own, and yield it once all it asked for is there."""
    running: dict[OptimisationTask, tuple[list[Future[Outcome]], float]] = {}

    def submit(task: OptimisationTask) -> None:
        if not task.finished:
            running[task] = evaluator.submit(task.ask(), task.stress), time.monotonic()

    for task in sorted(tasks, key=lambda task: -max((len(atoms) for atoms in task.ask()), default=0)):
        submit(task)
    try:
        while running:
            complete = [task for task, (futures, _) in running.items() if all(future.done() for future in futures)]
            if not complete:
                unfinished = {future for futures, _ in running.values() for future in futures if not future.done()}
                wait(unfinished, return_when=FIRST_COMPLETED)
            for task in complete:
                futures, start = running.pop(task)
                yield task, evaluator.collect(futures), time.monotonic() - start
                submit(task)
    finally:
        for futures, _ in running.values():
            for future in futures:
                future.cancel()
