"""How the bands and relaxations of a process converged, over all its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import CalcJobNode

from aiida_embarrier.jobs.progress import JobHistory, read_lines
from aiida_embarrier.jobs.schemas import PROGRESS_FILE
from aiida_embarrier.queries.runs import call_label, run_of, task_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida.orm import ProcessNode

    from aiida_embarrier.jobs.progress import TaskHistory

__all__ = ('task_histories',)


def task_histories(
    process: ProcessNode, read_running: Callable[[CalcJobNode], list[dict[str, Any]]] | None = None
) -> dict[str, TaskHistory]:
    """Return the history of each task of a process, that of later jobs joined to that of those before.

    Steps that were made again after a fault count once, and of a task that started afresh the last start is kept. Each
    line has the key `job`, the PK of the job that made the step.

    :param process: a job, or anything above jobs.
    :param read_running: returns the progress lines of a job that was not retrieved; None to leave such jobs out.
    :returns: by the label of the task, with the label of its step before it where the process has several; in a study
        by what tells its runs apart, such as `n_images = 7`.
    """
    jobs = [process] if isinstance(process, CalcJobNode) else process.called_descendants
    chains: dict[int, JobHistory] = {}
    names: dict[int, str] = {}
    runs: dict[int, str | None] = {}
    for job in sorted((job for job in jobs if isinstance(job, CalcJobNode)), key=lambda job: job.pk):
        chain = job if job.caller is None or isinstance(process, CalcJobNode) else job.caller
        lines = _lines_of(job, read_running)
        chains.setdefault(chain.pk, JobHistory()).add({**line, 'job': job.pk} for line in lines)
        names[chain.pk] = call_label(chain) or str(chain.pk)
        runs[chain.pk] = run_of(job, process)
    histories = {}
    for pk, history in chains.items():
        for label, task in history.tasks.items():
            name = label if len(chains) == 1 else f'{names[pk]} {label}'
            if runs[pk] is not None:
                name = task_name(runs[pk], label)
            histories[name if name not in histories else f'{name} ({pk})'] = task
    return histories


def _lines_of(
    job: CalcJobNode, read_running: Callable[[CalcJobNode], list[dict[str, Any]]] | None
) -> list[dict[str, Any]]:
    if 'retrieved' in job.outputs:
        repository = job.outputs.retrieved.base.repository
        written = PROGRESS_FILE in repository.list_object_names()
        return read_lines(repository.get_object_content(PROGRESS_FILE)) if written else []
    return [] if read_running is None else read_running(job)
