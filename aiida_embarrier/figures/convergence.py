"""How bands and relaxations converged: force and barrier against the steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.figures.style import colours, new_figure
from aiida_embarrier.jobs.progress import residual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_embarrier.jobs.progress import TaskHistory

__all__ = ('convergence',)

#: More curves than these cannot be told apart: they are drawn in grey, without a legend.
_MOST_CURVES = 6
#: Ticks of the axis of evaluations.
_TICKS = 6
#: Letters of notes, and where they stand.
_NOTE: dict[str, Any] = {'xytext': (4, 3), 'textcoords': 'offset points', 'fontsize': 8, 'color': '0.3'}


def convergence(histories: Mapping[str, TaskHistory], *, title: str | None = None, width: float = 6.4) -> Figure:
    """Draw the residual force and the forward barrier so far against the steps.

    The aim is a dashed line. A triangle stands where the highest image began to climb, a vertical line where another
    job went on. A single task has the evaluations made until then above. Relaxations have energies, relative to the
    last, in place of barriers.

    :param histories: tasks by their names; all bands, or all relaxations.
    :param title: None for the name of a single task.
    :param width: of the figure in inches.
    :raises ValueError: where no task made a step.
    """
    tasks = {name: task for name, task in histories.items() if task.steps}
    if not tasks:
        raise ValueError('there is nothing to draw: no task made a step yet')
    figure = new_figure(width, 0.9 * width)
    above, below = figure.subplots(2, sharex=True)
    many = len(tasks) > _MOST_CURVES
    for (name, task), colour in zip(tasks.items(), colours(), strict=False):
        _draw(above, below, name, task, '0.6' if many else colour)
    for aim in sorted({task.last['force_threshold'] for task in tasks.values() if task.last.get('force_threshold')}):
        above.axhline(aim, color='0.4', linestyle='--', linewidth=1, zorder=1)
        above.annotate(
            f'aim {aim:g}',
            (0, aim),  # at the end the curve is there
            xycoords=above.get_yaxis_transform(),
            **_NOTE,
        )
    above.set(yscale='log', ylabel='residual force (eV/Å)')
    bands = any(task.last.get('barrier') is not None for task in tasks.values())
    below.set(xlabel='step', ylabel='barrier so far (eV)' if bands else 'energy relative to the last (eV)')
    for axes in (above, below):
        axes.spines[['top', 'right']].set_visible(False)
    if len(tasks) == 1:
        task = next(iter(tasks.values()))
        _write_notes(below, task)
        _write_evaluations(above, task)
    elif not many:
        figure.legend(
            *above.get_legend_handles_labels(), loc='outside lower center', frameon=False, fontsize=9, ncols=3
        )
    figure.suptitle(title if title is not None else next(iter(tasks)) if len(tasks) == 1 else '', fontsize=11)
    return figure


def _draw(above: Axes, below: Axes, name: str, task: TaskHistory, colour: str) -> None:
    lines = task.steps
    steps = np.array([line['step'] for line in lines])
    forces = np.array([_number(residual(line)) for line in lines])
    heights = np.array([_number(line.get('barrier')) for line in lines])
    if np.all(np.isnan(heights)):
        energies = np.array([_number(line.get('energy')) for line in lines])
        heights = energies - energies[-1]
    marker = '.' if len(lines) < 60 else None
    above.plot(steps, forces, color=colour, marker=marker, linewidth=1.2, label=name)
    below.plot(steps, heights, color=colour, marker=marker, linewidth=1.2)
    for number in _first_climbing(task):
        for axes, values in ((above, forces), (below, heights)):
            axes.plot(steps[number], values[number], marker='^', color=colour, markersize=7, zorder=3)
    for place in _places_between_jobs(task):
        for axes in (above, below):
            axes.axvline(place, color=colour, linewidth=0.8, linestyle=':', zorder=0)


def _first_climbing(task: TaskHistory) -> list[int]:
    """Return the number of the line in which an image climbed first, in a list that is empty where none did."""
    return [number for number, line in enumerate(task.steps) if line.get('climbing_image') is not None][:1]


def _places_between_jobs(task: TaskHistory) -> list[float]:
    """Return where, on the axis of steps, another job went on."""
    pairs = pairwise(task.steps)
    return [(here['step'] + there['step']) / 2 for here, there in pairs if here.get('job') != there.get('job')]


def _write_notes(axes: Axes, task: TaskHistory) -> None:
    """Say what the marks are."""
    for number in _first_climbing(task):
        line = task.steps[number]
        axes.annotate('an image climbs', (line['step'], line['barrier']), **{**_NOTE, 'xytext': (8, -3)})
    for place in _places_between_jobs(task)[:1]:
        axes.annotate('another job', (place, 0.97), xycoords=axes.get_xaxis_transform(), **{**_NOTE, 'va': 'top'})


def _write_evaluations(axes: Axes, task: TaskHistory) -> None:
    """Write the evaluations made until then above the steps."""
    count = len(task.steps)
    chosen = sorted({round(place) for place in np.linspace(0, count - 1, min(_TICKS, count))})
    other = axes.secondary_xaxis('top')
    other.set_xticks(
        [task.steps[place]['step'] for place in chosen], [str(task.steps[place]['n_evaluations']) for place in chosen]
    )
    other.set_xlabel('force evaluations')
    other.spines['top'].set_visible(False)


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
