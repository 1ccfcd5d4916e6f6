"""Progress lines of a job: what the worker writes while it runs, read as the histories of its tasks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ('JobHistory', 'TaskHistory', 'describe_progress', 'fraction_done', 'latest_line', 'read_lines', 'residual')

#: Steps over which the trend of the force is taken, and the fewest that show one.
TREND_STEPS = 20
FEWEST_STEPS = 5


def read_lines(text: str) -> list[dict[str, Any]]:
    """Return the lines of a progress file, without those that were not written to their end."""
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:  # being written, or cut off when the disk was full or the worker was killed
            continue
    return lines


@dataclass
class TaskHistory:
    """The steps of one task of a job as far as its progress file tells.

    :param label: names the task.
    :param started: when its job began, in seconds of the clock of its machine.
    :param steps: the lines of its steps.
    :param message: how it ended, None while it goes on.
    """

    label: str
    started: float
    steps: list[dict[str, Any]] = field(default_factory=list)
    message: str | None = None

    @property
    def last(self) -> dict[str, Any]:
        """The line of the last step."""
        return self.steps[-1]

    @property
    def running(self) -> bool:
        """Whether the task goes on."""
        return self.message is None and (not self.steps or self.last.get('status') == 'running')

    @property
    def elapsed(self) -> float | None:
        """Seconds from the start of the job to the last step of the task, None before the first."""
        return self.last['time'] - self.started if self.steps else None

    @property
    def time_left(self) -> float | None:
        """Seconds until the force falls below its threshold if it goes on as lately; None where that is not to be told.

        The trend is a straight line through the logarithm of the force against the step, by least squares. What is
        counted takes as long for the rest as for what is done.
        """
        if self.running and self.steps and self.last.get('total'):
            return self._time_for_rest()
        recent = [line for line in self.steps[-TREND_STEPS:] if residual(line)]
        threshold = recent[-1].get('force_threshold') if recent else None
        if not self.running or not threshold or len(recent) < FEWEST_STEPS:
            return None
        steps = [line['step'] for line in recent]
        logs = [math.log(residual(line) or math.nan) for line in recent]
        mean_step, mean_log = sum(steps) / len(steps), sum(logs) / len(logs)
        spread = sum((step - mean_step) ** 2 for step in steps)
        if spread == 0:
            return None
        slope = sum((step - mean_step) * (log - mean_log) for step, log in zip(steps, logs, strict=True)) / spread
        excess = mean_log + slope * (steps[-1] - mean_step) - math.log(threshold)
        pace = (recent[-1]['time'] - recent[0]['time']) / (steps[-1] - steps[0])
        if excess <= 0:
            return pace  # on the line it is there already: a step or so
        return pace * excess / -slope if slope < 0 else None

    def _time_for_rest(self) -> float | None:
        first, last = self.steps[0], self.last
        done, took = last['step'] - first['step'], last['time'] - first['time']
        return took / done * (last['total'] - last['step']) if done and took else None


@dataclass
class JobHistory:
    """The tasks of a job as far as its progress file tells.

    :param started: when the job began, in seconds of the clock of its machine; None where it did not yet.
    :param tasks: by their labels, in the order of their first steps.
    """

    started: float | None = None
    tasks: dict[str, TaskHistory] = field(default_factory=dict)

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take further lines of the file."""
        for line in lines:
            if self.started is None:
                self.started = line['time']
            if line['event'] == 'start':
                continue
            task = self.tasks.setdefault(line['task'], TaskHistory(line['task'], self.started))
            if line['event'] == 'step':
                while task.steps and task.steps[-1]['step'] >= line['step']:
                    task.steps.pop()  # the worker was started again from a checkpoint before them
                task.steps.append(line)
                task.message = None
            elif line['event'] == 'end':
                task.message = line['message']


def latest_line(history: JobHistory) -> dict[str, Any] | None:
    """Return the line of the last step of any task of a job that still runs, None before the first."""
    lines = [task.last for task in history.tasks.values() if task.running and task.steps]
    return max(lines, key=lambda line: line['time'], default=None)


def residual(line: dict[str, Any]) -> float | None:
    """Return the force of a progress line that has to fall below its threshold."""
    return line.get('residual_force', line.get('max_force'))


def fraction_done(line: dict[str, Any]) -> float:
    """Return how far a task is.

    Of what is counted it is the part that is done; of an optimisation it is told on the logarithm of its force from a
    hundred times the threshold down to it.
    """
    if line.get('total'):
        return float(min(line['step'] / line['total'], 1.0))
    force, threshold = residual(line), line.get('force_threshold')
    if not force or not threshold:
        return 0.0
    return min(max(1 - math.log(force / threshold) / math.log(100), 0.0), 1.0)


def describe_progress(line: dict[str, Any]) -> str:
    """Return a progress line for people."""
    if 'unit' in line:
        total = '' if line.get('total') is None else f' of {line["total"]}'
        learned = ''.join(
            f', {name} {line[key]:.4g}'
            for key, name in (('loss', 'loss'), ('mae', 'validation MAE'), ('residual_force', 'force in eV/Å'))
            if line.get(key) is not None
        )
        return f'{line["task"]}: {line["step"]}{total} {line["unit"]}{learned}'
    parts = [f'{line["task"]}, step {line["step"]}']
    force = residual(line)
    if force is not None:
        parts.append(f'force {force:.3f} (aim {line["force_threshold"]:.3f}) eV/Å')
    if line.get('barrier') is not None:
        parts.append(f'barrier so far {line["barrier"]:.3f} eV')
    return ', '.join(parts)
