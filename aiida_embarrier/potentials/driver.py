"""Many relaxations and bands side by side on one evaluator."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import closing
from dataclasses import dataclass
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
        a text, unfinished tasks are interrupted once what they have under way is evaluated.
    :param on_step: called for each task after each of its steps.
    :param on_checkpoint: called after a step where :data:`CHECKPOINT_INTERVAL` times its own duration have passed since
        it was last called, so after every step where writing is much cheaper than evaluating; and at the end.
    :raises PotentialError: where the evaluator gave up; the tasks are as they were before the step.
    """
    brake = _Brake()
    if isinstance(evaluator, PoolEvaluator):
        steps = _as_completed(tasks, evaluator, brake)
    else:
        steps = _in_rounds(tasks, evaluator, brake)
    longest, cost, written = 0.0, 0.0, time.monotonic()
    reason = reason_to_stop(longest)
    with closing(steps):
        for task, outcomes, duration in steps if reason is None else ():
            task.tell(outcomes)
            on_step(task)
            if brake.pulled:  # the last ones, whose evaluations were under way
                continue
            longest = max(longest, duration)
            now = time.monotonic()
            if now - written > CHECKPOINT_INTERVAL * cost:
                on_checkpoint()
                written = time.monotonic()
                cost = written - now
            reason = reason_to_stop(longest)
            brake.pulled = reason is not None
    for task in tasks:
        if not task.finished:
            task.interrupt(reason or 'stopped')
            on_step(task)
    on_checkpoint()


@dataclass
class _Brake:
    """Once it is pulled no further evaluation begins; those that were begun are still taken."""

    pulled: bool = False


#: A task, the outcomes of all that it asked for, and how long that took in s.
_Step = tuple['OptimisationTask', list['Outcome'], float]


def _in_rounds(tasks: Sequence[OptimisationTask], evaluator: Evaluator, brake: _Brake) -> Generator[_Step]:
    """Evaluate the structures of all unfinished tasks together, again and again."""
    while not brake.pulled and (unfinished := [task for task in tasks if not task.finished]):
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


def _as_completed(tasks: Sequence[OptimisationTask], evaluator: PoolEvaluator, brake: _Brake) -> Generator[_Step]:
    """Keep every process at work: evaluate for each task on its own, and yield it once all it asked for is there."""
    running: dict[OptimisationTask, tuple[list[Future[Outcome]], float]] = {}

    def submit(task: OptimisationTask) -> None:
        if not task.finished and not brake.pulled:
            running[task] = evaluator.submit(task.ask(), task.stress), time.monotonic()

    for task in sorted(tasks, key=lambda task: -max((len(atoms) for atoms in task.ask()), default=0)):
        submit(task)
    try:
        while running:
            if brake.pulled:
                # they are begun in the order of being handed out: where the first of a task waits, all of it do
                for task in [task for task, (futures, _) in running.items() if futures[0].cancel()]:
                    for future in running.pop(task)[0]:
                        future.cancel()
            complete = [task for task, (futures, _) in running.items() if all(future.done() for future in futures)]
            if running and not complete:
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
