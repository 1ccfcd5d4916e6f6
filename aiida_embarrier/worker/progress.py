"""Progress of a job: one JSON object a line for programs, one sentence a line for people."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiida_embarrier.potentials.task import OptimisationTask

__all__ = ('ProgressLog',)


class ProgressLog:
    """Writes lines as things happen, so that whoever follows the file sees them at once.

    No line is worth a job: one that cannot be written, for instance on a full disk, is left out.

    :param path: file that is appended to; made anew where it was deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, potential: str, device: str, processes: int, tasks: Sequence[OptimisationTask]) -> None:
        """Say what begins."""
        entries = {'potential': potential, 'device': device, 'processes': processes, 'n_tasks': len(tasks)}
        self._write('start', entries)
        where = f'{processes} process(es)' if device == 'cpu' else device
        self._tell(f'{potential} on {where}: {", ".join(task.label for task in tasks)}')

    def step(self, task: OptimisationTask) -> None:
        """Say how a task stands."""
        status = 'running' if task.status is None else str(task.status)
        entries = {
            'task': task.label,
            'step': task.evaluated_step,
            'n_evaluations': task.n_evaluations,
            'status': status,
            **task.progress(),
        }
        self._write('step', entries)
        numbers = ', '.join(
            f'{name.replace("_", " ")} {value:.4f}' if isinstance(value, float) else f'{name.replace("_", " ")} {value}'
            for name, value in task.progress().items()
            if value is not None and not isinstance(value, list) and not name.endswith('_threshold')
        )
        self._tell(f'{task.label} step {task.evaluated_step}: {numbers}')

    def end(self, tasks: Sequence[OptimisationTask]) -> None:
        """Say how the tasks ended."""
        for task in tasks:
            self._write('end', {'task': task.label, 'status': str(task.status), 'message': task.message})
            self._tell(f'{task.label}: {task.message}')

    def _write(self, event: str, entries: dict[str, Any]) -> None:
        line = json.dumps({'event': event, 'time': round(time.time(), 3), **entries}) + '\n'
        with suppress(OSError), self._path.open('a', encoding='utf8') as handle:
            handle.write(line)

    def _tell(self, sentence: str) -> None:
        with suppress(OSError):
            click.echo(sentence)
