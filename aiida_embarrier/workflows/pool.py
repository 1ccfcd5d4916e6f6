"""Work chains that run many processes, a limited number of them at a time, each as soon as it can."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from aiida.engine import WorkChain, while_
from aiida.orm import Int, load_node
from plumpy import ProcessState

from aiida_embarrier.workflows.barrier_inputs import port_validator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

__all__ = ('TASKS', 'PoolWorkChain')

#: Extra of a process that runs a pool: how many tasks it has in `total`, and how many have `ended` and are `running`.
TASKS = 'embarrier_tasks'


def check_max_concurrent(value: Any) -> str | None:
    """Check how many processes may run at a time."""
    return None if value >= 1 else f'at least one process has to run at a time, got {value}'


class PoolWorkChain(WorkChain):
    """Base of work chains that run many processes, some after others.

    AiiDA goes on with the outline of a work chain once *all* processes that it waits for have ended. Here each one that
    ends lets the chain go on, so that what waited for it, or for its place, starts at once: a cheap functional does not
    wait for a dear one.

    A subclass names its tasks by :meth:`fill_pool`, says what a task waits for, and starts it. `ctx.active` holds the
    PKs of those that run; the process of a task that has ended stands in the context under its name.
    """

    _awaitables: list[Any]  # of AiiDA

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the limit."""
        super().define(spec)
        spec.input(
            'max_concurrent',
            valid_type=Int,
            required=False,
            validator=port_validator(check_max_concurrent),
            help='How many processes run at a time; as many as there are unless given.',
        )

    @classmethod
    def pool_steps(cls) -> Any:
        """Return the part of an outline that runs all tasks."""
        return while_(cls.has_tasks)(cls.run_tasks)

    def fill_pool(self, tasks: Iterable[str]) -> None:
        """Begin with these tasks, to be started in their order."""
        self.ctx.waiting = list(tasks)
        self.ctx.n_tasks = len(self.ctx.waiting)
        self.ctx.active = {}

    @abstractmethod
    def is_ready(self, task: str) -> bool:
        """Return whether a task can start: what it stands on has ended, well or not."""

    @abstractmethod
    def start_task(self, task: str) -> ProcessNode | None:
        """Submit the process of a task; return None where there is nothing to start, with the reason noted."""

    def has_tasks(self) -> bool:
        """Return whether a task has not ended."""
        return bool(self.ctx.waiting or self.ctx.active)

    def has_ended(self, task: str) -> bool:
        """Return whether a task has ended, well or not."""
        return task not in self.ctx.waiting and task not in self.ctx.active

    def run_tasks(self) -> None:
        """Await what runs, and start what can be started."""
        # Those that run are awaited before anything is submitted: the end of one meanwhile is then not missed.
        nodes = {task: load_node(pk) for task, pk in self.ctx.active.items()}
        self.ctx.update({task: node for task, node in nodes.items() if node.is_terminated})
        running = {task: node for task, node in nodes.items() if not node.is_terminated}
        self.to_context(**running)
        self.ctx.active = {task: node.pk for task, node in running.items()}
        self._start_what_can()
        total, active, waiting = self.ctx.n_tasks, len(self.ctx.active), len(self.ctx.waiting)
        # an extra: attributes of a process belong to AiiDA, and its context is hidden from those who watch
        self.node.base.extras.set(TASKS, {'total': total, 'ended': total - active - waiting, 'running': active})
        if waiting and not active:
            raise RuntimeError(f'the tasks {", ".join(self.ctx.waiting)} wait for each other')

    def _start_what_can(self) -> None:
        limit = self.inputs.max_concurrent.value if 'max_concurrent' in self.inputs else None
        started = True
        while started:  # one that cannot start has ended, which others may wait for
            started = False
            for task in list(self.ctx.waiting):
                if limit is not None and len(self.ctx.active) >= limit:
                    return
                if not self.is_ready(task):
                    continue
                self.ctx.waiting = [name for name in self.ctx.waiting if name != task]
                node = self.start_task(task)
                if node is None:
                    started = True
                    continue
                self.ctx.active = {**self.ctx.active, task: node.pk}
                self.to_context(**{task: node})

    # ---------------------------------------------------------------- what AiiDA does for each process that ends

    def _action_awaitables(self) -> None:
        """Ask to be told of the end of each awaited process; once only, though it is awaited again and again."""
        told: set[int] = self.__dict__.setdefault('_told', set())
        awaitables = self._awaitables
        self._awaitables = [awaitable for awaitable in awaitables if awaitable.pk not in told]
        super()._action_awaitables()
        self._awaitables = awaitables
        told.update(awaitable.pk for awaitable in awaitables)

    def _on_awaitable_finished(self, awaitable: Any) -> None:
        """Take a process that has ended, and go on although others still run."""
        current = next((other for other in self._awaitables if other.pk == awaitable.pk), None)
        if current is None:  # it ended just before it was awaited again: ask again
            self.__dict__.get('_told', set()).discard(awaitable.pk)
            return
        super()._on_awaitable_finished(current)
        if self.state == ProcessState.WAITING and self._awaitables:
            self.resume()
