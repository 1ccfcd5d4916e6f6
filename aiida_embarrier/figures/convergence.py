"""How bands and relaxations converged: force and barrier against the steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.figures.style import COLOURS, new_figure
from aiida_embarrier.jobs.progress import residual

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from aiida_embarrier.jobs.progress import TaskHistory

__all__ = ('convergence',)

#: Lines of curves after those that have all colours.
_STYLES = ('-', '--', '-.')
#: More curves than these cannot be told apart: they are drawn in grey, without a legend.
_MOST_CURVES = len(COLOURS) * len(_STYLES)
#: A curve that reaches so many times higher than the curves usually do is cut off, so that the others can be seen: one
#: of forces, on its logarithmic axis, and one of barriers.
_FAR_FORCE, _FAR_BARRIER = 30.0, 3.0
#: Height of a line of the legend in inches, characters for each inch of its width, and what a mark takes of them.
_LEGEND_LINE, _CHARACTERS_PER_INCH, _MARK = 0.2, 13, 7
_MOST_COLUMNS = 3
#: What a triangle means.
_CLIMBS = 'an image begins to climb'
#: What tells curves from marks among the lines of the axes.
_CURVE = 'curve'
#: Ticks of the axis of evaluations.
_TICKS = 6
#: Letters of notes, and where they stand.
_NOTE: dict[str, Any] = {'xytext': (4, 3), 'textcoords': 'offset points', 'fontsize': 8, 'color': '0.3'}


def convergence(histories: Mapping[str, TaskHistory], *, title: str | None = None, width: float = 6.4) -> Figure:
    """Draw the residual force and the forward barrier so far against the steps.

    The aim is a dashed line. A triangle stands where the highest image began to climb, a vertical line where another
    job went on. A single task has the evaluations made until then above. Relaxations have energies, relative to the
    last, in place of barriers. Of several curves one that goes far beyond the others, as that of a band that diverged
    does, is cut off, and named.

    :param histories: tasks by their names; all bands, or all relaxations.
    :param title: None for the name of a single task.
    :param width: of the figure in inches.
    :raises ValueError: where no task made a step.
    """
    tasks = {name: task for name, task in histories.items() if task.steps}
    if not tasks:
        raise ValueError('there is nothing to draw: no task made a step yet')
    many = len(tasks) > _MOST_CURVES
    columns = _columns(tasks, width)
    lines = 0 if many or len(tasks) == 1 else len(tasks) / columns
    figure = new_figure(width, 0.9 * width + _LEGEND_LINE * lines)
    above, below = figure.subplots(2, sharex=True)
    for number, (name, task) in enumerate(tasks.items()):
        colour = '0.6' if many else COLOURS[number % len(COLOURS)]
        _draw(above, below, name, task, colour, '-' if many else _STYLES[number // len(COLOURS)])
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
    for axes, far in ((above, _FAR_FORCE), (below, _FAR_BARRIER)):
        _cut_off(axes, tasks, far)
    if len(tasks) == 1:
        task = next(iter(tasks.values()))
        _write_notes(below, task)
        _write_evaluations(above, task)
    else:
        handles, names = above.get_legend_handles_labels()
        if many:
            handles, names = [], []
        for marks, words in _marks(tasks.values()):
            handles.append(marks)
            names.append(words)
        if handles:
            figure.legend(handles, names, loc='outside lower center', frameon=False, fontsize=9, ncols=columns)
    figure.suptitle(title if title is not None else next(iter(tasks)) if len(tasks) == 1 else '', fontsize=11)
    return figure


def _columns(names: Iterable[str], width: float) -> int:
    """Return how many columns of a legend with these names fit into a width in inches."""
    longest = max(len(name) for name in [*names, _CLIMBS])
    return max(1, min(_MOST_COLUMNS, int(_CHARACTERS_PER_INCH * width / (longest + _MARK))))


def _marks(tasks: Iterable[TaskHistory]) -> list[tuple[Line2D, str]]:
    """Return what the marks on several curves mean, as entries of a legend."""
    from matplotlib.lines import Line2D

    drawn = list(tasks)
    marks = []
    if any(map(_first_climbing, drawn)):
        marks.append((Line2D([], [], color='0.3', marker='^', linestyle='none'), _CLIMBS))
    if any(map(_places_between_jobs, drawn)):
        marks.append((Line2D([], [], color='0.3', linewidth=0.8, linestyle=':'), 'another job goes on'))
    return marks


def _cut_off(axes: Axes, names: Iterable[str], far: float) -> None:
    """Limit the axis to what most curves reach, and name those that go beyond.

    :param names: of the curves, in the order in which they were drawn.
    :param far: how many times higher than the median of their highest points a curve goes that is cut off.
    """
    curves = [line for line in axes.lines if line.get_gid() == _CURVE]
    highest = np.array([np.nanmax(np.append(line.get_ydata(), -np.inf)) for line in curves])
    beyond = highest > far * max(float(np.median(highest)), 1e-9)
    if len(curves) < 3 or not np.any(beyond):
        return
    low, _ = axes.get_ylim()
    top = 1.15 * float(highest[~beyond].max())
    if axes.get_yscale() == 'linear':
        lowest = min(float(np.nanmin(line.get_ydata())) for line in curves)
        low = lowest - 0.05 * (top - lowest)
    axes.set_ylim(low, top)
    cut = ', '.join(name for name, above in zip(names, beyond, strict=True) if above)
    axes.annotate(
        f'off the scale: {cut}',
        (0.99, 0.97),
        xycoords='axes fraction',
        ha='right',
        va='top',
        fontsize=8,
        bbox={'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.8},
    )


def _draw(above: Axes, below: Axes, name: str, task: TaskHistory, colour: str, style: str) -> None:
    lines = task.steps
    steps = np.array([line['step'] for line in lines])
    forces = np.array([_number(residual(line)) for line in lines])
    heights = np.array([_number(line.get('barrier')) for line in lines])
    if np.all(np.isnan(heights)):
        energies = np.array([_number(line.get('energy')) for line in lines])
        heights = energies - energies[-1]
    marker = '.' if len(lines) < 60 else None
    above.plot(steps, forces, style, color=colour, marker=marker, linewidth=1.2, label=name, gid=_CURVE)
    below.plot(steps, heights, style, color=colour, marker=marker, linewidth=1.2, gid=_CURVE)
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
