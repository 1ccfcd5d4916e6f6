"""What is told of a look at a process: tables and curves on a screen, lines in a log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from aiida_embarrier.cli.output import Column, format_table

__all__ = ('frame_of', 'how_to_resume', 'news_of')

JOB = Column('job', 'job', 'd')
WHAT = (
    Column('task', 'task'),
    Column('step', lambda row: steps_of(row), 's'),
)
OPTIMISATIONS = (
    Column('eV', 'barrier', '.3f'),
    Column('eV/Å (aim)', lambda row: force_and_aim(row)),
    Column('images', 'n_images', 'd'),
    Column('evals', 'n_evaluations', 'd'),
)
TRAININGS = (
    Column('loss', 'loss', '.4g'),
    Column('validation MAE (scaled)', 'mae', '.4g'),
    Column('learning rate', 'lr', '.2e'),
)
TIMES = (
    Column('elapsed', lambda row: clock(row['elapsed_s'])),
    Column('left', lambda row: clock(row['left_s']) or '?' if row['state'] == 'running' else row['state']),
)
BARRIERS = (
    Column('band', 'band'),
    Column('PK', 'pk', 'd'),
    Column('forward (eV)', 'barrier_forward', '.3f'),
    Column('reverse (eV)', 'barrier_reverse', '.3f'),
    Column('force (eV/Å)', 'residual_force', '.3f'),
    Column('converged', 'converged'),
)


def frame_of(look: dict[str, Any], task: str | None = None) -> list[str]:
    """Return what is shown of a look.

    :param task: label of the band to draw, None for the one that moved last.
    :raises ValueError: where no running job has such a band.
    """
    lines = [_heading(look)]
    if look['ended']:
        return lines + _ending(look)
    if look['report']:
        lines.append(look['report'])
    if look['tasks']:
        lines.append(done_of(look['tasks']))
    if look['trouble']:
        lines.append(look['trouble'])
    lines += [
        f'process {entry["pk"]} ({entry["process"]}) is paused: {entry["status"] or "it was asked to"}; go on with '
        f'{how_to_resume(look["pk"])}, or as it is with `verdi process play {entry["pk"]}`'
        for entry in look['paused']
    ]
    for job in look['jobs']:
        if job['problem']:
            lines.append(f'job {job["pk"]}: {job["problem"]}')
        elif not job['tasks']:
            lines.append(
                f'job {job["pk"]} ({job["process"]}, {job["step"]}) on {job["computer"]}: {job["status"] or "starting"}'
            )
            if job['output']:
                lines.append(f'    {job["output"]["file"]}: {job["output"]["line"]}')
    rows = [task for job in look['jobs'] for task in job['tasks']]
    if rows:
        columns = _columns(rows) if len(look['jobs']) == 1 else (JOB, *_columns(rows))
        lines += ['', *format_table(rows, columns).splitlines()]
    lines += _drawing(rows, task)
    return lines


def _columns(rows: list[dict[str, Any]]) -> tuple[Column, ...]:
    """Return the columns of tasks, of which some belong to bands and relaxations, others to trainings."""
    optimisations = OPTIMISATIONS if any(row['unit'] is None for row in rows) else ()
    trainings = TRAININGS if any(row['loss'] is not None for row in rows) else ()
    return (*WHAT, *optimisations, *trainings, *TIMES)


def _heading(look: dict[str, Any]) -> str:
    label = f' "{look["label"]}"' if look['label'] else ''
    status = f' [{look["exit_status"]}]' if look['exit_status'] is not None else ''
    return f'{look["process"]} {look["pk"]}{label}: {look["state"]}{status}'


def _ending(look: dict[str, Any]) -> list[str]:
    lines = [look['exit_message']] if look['exit_message'] else []
    if look['barriers']:
        lines += ['', *format_table(look['barriers'], BARRIERS).splitlines()]
    if look['exit_status'] == 0:
        return lines
    return [*lines, '', f'go on from where it stopped: aiida-embarrier resume {look["pk"]}']


def _drawing(rows: list[dict[str, Any]], label: str | None) -> list[str]:
    """Return energy path and forces of one band; nothing where none tells its energies yet."""
    from aiida_embarrier.cli.drawing import draw_energy_path, draw_history

    bands = [row for row in rows if row['energies'] and label in (None, row['task'])]
    if not bands:
        if label is not None and label not in {row['task'] for row in rows}:
            labels = ', '.join(sorted({row['task'] for row in rows})) or 'none'
            raise ValueError(f'no running job has a task {label!r}; there are: {labels}')
        return []
    band = max(bands, key=lambda row: (row['state'] == 'running', row['time']))
    first, last, aim = band['forces'][0], band['forces'][-1], band['force_threshold']
    return [
        '',
        f'energy path of {band["task"]}',
        *draw_energy_path(band['energies']),
        f'force {first:.3g} {draw_history(band["forces"], aim)} {last:.3g}, aim {aim:g} eV/Å',
    ]


def news_of(look: dict[str, Any], told: dict[tuple[int, str], Any]) -> list[str]:
    """Return a line for every task that moved since the last look.

    :param told: what was told already; brought up to date.
    """
    lines = []
    if look['tasks'] and told.get((look['pk'], '')) != look['tasks']:
        told[look['pk'], ''] = look['tasks']
        lines.append(f'{datetime.now().strftime("%H:%M:%S")} [{look["pk"]}] {done_of(look["tasks"])}')
    for job in look['jobs']:
        if job['output'] and not job['tasks']:
            news = job['output']['line']
            if told.get((job['pk'], '')) != news:
                told[job['pk'], ''] = news
                lines.append(f'{datetime.now().strftime("%H:%M:%S")} [{job["pk"]}] {job["step"]}: {news}')
    for row in (row for job in look['jobs'] for row in job['tasks']):
        news = (row['step'], row['state'], row['message'])
        if told.get((row['job'], row['task'])) == news:
            continue
        told[row['job'], row['task']] = news
        time_of_day = datetime.fromtimestamp(row['time']).strftime('%H:%M:%S') if row['time'] else '--:--:--'
        where = f'step {row["step"]}' if row['unit'] is None else steps_of(row)
        parts = [row['message'] or f'{row["state"]}, {where}']
        if row['barrier'] is not None:
            parts.append(f'barrier {row["barrier"]:.3f} eV')
        if row['force'] is not None:
            parts.append(f'force {force_and_aim(row)} eV/Å')
        if row['loss'] is not None:
            parts.append(learned(row))
        evaluations = '' if row['n_evaluations'] is None else f'{row["n_evaluations"]} evaluations '
        parts.append(f'{evaluations}in {clock(row["elapsed_s"])}')
        if row['state'] == 'running':
            parts.append(f'{clock(row["left_s"]) or "?"} left')
        lines.append(f'{time_of_day} [{row["job"]}] {row["task"]}: {", ".join(parts)}')
    return lines


def done_of(tasks: dict[str, int]) -> str:
    """Return how far a study is."""
    waiting = tasks['total'] - tasks['ended'] - tasks['running']
    failed = f', {tasks["failed"]} failed' if tasks['failed'] else ''
    return f'{tasks["ended"]} of {tasks["total"]} have ended{failed}, {tasks["running"]} running, {waiting} waiting'


def force_and_aim(row: dict[str, Any]) -> str | None:
    """Return the force of a task, with its threshold in brackets."""
    return None if row['force'] is None else f'{row["force"]:.3f} ({row["force_threshold"]:.3g})'


def learned(row: dict[str, Any]) -> str:
    """Return how well a training does, in scaled units."""
    mae = '' if row['mae'] is None else f', validation MAE {row["mae"]:.4g}'
    return f'loss {row["loss"]:.4g}{mae} (scaled)'


def steps_of(row: dict[str, Any]) -> str | None:
    """Return how far a task is: the number of its step, or how much of what is counted is done."""
    if row['unit'] is None:
        return None if row['step'] is None else str(row['step'])
    total = '' if row['total'] is None else f' of {row["total"]}'
    return f'{row["step"]}{total} {row["unit"]}'


def clock(seconds: float | None) -> str | None:
    """Return a duration as hours, minutes and seconds."""
    return None if seconds is None else str(timedelta(seconds=round(seconds)))


def how_to_resume(pk: int) -> str:
    """Return what goes on with a process."""
    return f'`aiida-embarrier resume {pk}`'
