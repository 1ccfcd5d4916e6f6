"""What computing took: core hours by step, and what of it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Computer, Dict, Group, ProcessNode, QueryBuilder

from aiida_embarrier.queries.links import CALLS, ancestries, links_from, links_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from aiida.orm import Node

    from aiida_embarrier.queries.links import Call

__all__ = ('BY', 'COST_COLUMNS', 'JOB_COLUMNS', 'add_up_costs', 'job_costs')

#: Columns of the table of jobs, and what they hold.
JOB_COLUMNS = {
    'pk': 'PK of the job',
    'step': 'what the work chain around the job is called by its caller, such as neb; else the process label',
    'path': 'all labels from the process that somebody started down to the job, such as run_base/neb',
    'process': 'process label of the job',
    'root': 'PK of the process that somebody started',
    'computer': 'label of the computer',
    'ctime': 'when the job was made',
    'exit_status': 'exit status; None while it runs, and where it was killed or excepted',
    'cached': 'whether the job was taken from the database, so that it cost nothing',
    'cores': 'cores that it was given or used',
    'wall_s': 'wall time in s, None where it is not known',
    'core_h': 'core time in h, None where it is not known',
    'measured_by': 'scheduler: its accounting; results: the program; None where neither tells',
    'n_evaluations': 'force evaluations, None where the program does not count them',
}

#: Columns of the table of sums beside what it is added up by, and what they hold.
COST_COLUMNS = {
    'n_jobs': 'jobs, those taken from the database included',
    'n_cached': 'jobs that were taken from the database and cost nothing',
    'n_measured': 'jobs whose core time is known',
    'n_missing': 'jobs whose core time nobody measured: the sums leave them out',
    'wall_h': 'sum of the wall times of the measured jobs in h, None where none is known',
    'core_h': 'sum of the core times of the measured jobs in h, None where none is known',
    'n_evaluations': 'sum of their force evaluations, None where none is known',
}

#: Columns of the table of jobs by which they can be added up.
BY = ('step', 'path', 'process', 'root', 'computer')

#: Where programs leave their wall time in s: outputs of jobs, and the place in them.
WALL_TIMES = {
    'results': 'attributes.wall_s',
    'output_parameters': 'attributes.wall_time_seconds',
    'misc': 'attributes.run_stats.elapsed_time',
}

ITERATION = 'iteration_'


def job_costs(nodes: Iterable[Node | Group] | None = None) -> pd.DataFrame:
    """Return the jobs of the profile, of processes or of groups, and what each took.

    The accounting of a scheduler counts most, for it knows what was allocated (that of Slurm is read); then the core
    time that a program writes into its results, then its wall time times the cores of the job.

    :param nodes: processes; data, which stand for the process that somebody started to make them; groups of either.
        None for all jobs of the profile.
    :return: one row per job with :data:`JOB_COLUMNS`, the oldest first.
    """
    import pandas as pd

    filters: dict[str, Any] = {}
    if nodes is not None:
        filters['id'] = {'in': sorted(_processes_of(nodes))}
        if not filters['id']['in']:
            return pd.DataFrame(columns=list(JOB_COLUMNS))
    attributes = ('process_label', 'exit_status', 'resources', 'detailed_job_info')
    query = QueryBuilder()
    query.append(
        CalcJobNode,
        filters=filters,
        tag='job',
        project=['id', 'ctime', 'extras._aiida_cached_from', *(f'attributes.{name}' for name in attributes)],
    )
    query.append(Computer, with_node='job', project='label', outerjoin=True)
    query.order_by({'job': [{'ctime': 'asc'}, {'id': 'asc'}]})
    results = _results_of(filters)
    jobs = query.all()
    above = _labelled([job[0] for job in jobs])
    rows = []
    for pk, ctime, cached, process, exit_status, resources, accounting, computer in jobs:
        root, path = above[pk]
        rows.append(
            {
                'pk': pk,
                'step': path[-1] if path else process,
                'path': '/'.join(path) or None,
                'process': process,
                'root': root,
                'computer': computer,
                'ctime': ctime,
                'exit_status': exit_status,
                'cached': cached is not None,
                **_measured(resources or {}, accounting, results.get(pk, {})),
            }
        )
    table = pd.DataFrame(rows, columns=list(JOB_COLUMNS))
    return table.astype({'exit_status': 'Int64', 'n_evaluations': 'Int64', 'wall_s': float, 'core_h': float})


def add_up_costs(jobs: pd.DataFrame, by: str = 'step') -> pd.DataFrame:
    """Return what jobs took together, the dearest first.

    :param jobs: as :func:`job_costs` returns them.
    :param by: a column of that table, one of :data:`BY`.
    :return: one row per value of that column with it and :data:`COST_COLUMNS`.
    :raises ValueError: for another column.
    """
    import pandas as pd

    if by not in BY:
        raise ValueError(f'costs cannot be added up by {by!r}: choose from {", ".join(BY)}')
    rows = []
    for value, group in jobs.groupby(by, sort=True, dropna=False):
        paid = group[~group['cached'].astype(bool)]
        measured = paid[paid['core_h'].notna()]
        rows.append(
            {
                by: None if pd.isna(value) else value,
                'n_jobs': len(group),
                'n_cached': len(group) - len(paid),
                'n_measured': len(measured),
                'n_missing': len(paid) - len(measured),
                'wall_h': measured['wall_s'].sum(min_count=1) / 3600,
                'core_h': measured['core_h'].sum(min_count=1),
                'n_evaluations': measured['n_evaluations'].sum(min_count=1),
            }
        )
    table = pd.DataFrame(rows, columns=[by, *COST_COLUMNS])
    table = table.astype({'n_evaluations': 'Int64', 'wall_h': float, 'core_h': float})
    return table.sort_values('core_h', ascending=False, kind='stable', na_position='last', ignore_index=True)


def _labelled(pks: Sequence[int]) -> dict[int, tuple[int, list[str]]]:
    """Return for jobs the process that somebody started and the labels from there, without those of iterations."""
    return {
        pk: (calls[-1].caller if calls else pk, [label for label in _names(calls) if not label.startswith(ITERATION)])
        for pk, calls in ancestries(pks).items()
    }


def _names(calls: Sequence[Call]) -> list[str]:
    return [call.label for call in reversed(calls) if call.label is not None]


def _processes_of(nodes: Iterable[Node | Group]) -> set[int]:
    """Return the PKs of processes, and of all processes below them."""
    processes: set[int] = set()
    data: set[int] = set()
    for node in nodes:
        for member in node.nodes if isinstance(node, Group) else [node]:
            (processes if isinstance(member, ProcessNode) else data).add(member.pk)
    makers = {link.source for link in links_into(data, (LinkType.CREATE,))}
    processes |= {calls[-1].caller if calls else maker for maker, calls in ancestries(makers).items()}
    generation = set(processes)
    while generation:
        generation = {link.target for link in links_from(generation, CALLS)} - processes
        processes |= generation
    return processes


def _results_of(filters: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Return what programs say of their wall and core times in s, cores and evaluations, by the PKs of the jobs."""
    more = ('core_s', 'processes', 'n_evaluations')
    query = QueryBuilder()
    query.append(CalcJobNode, filters=dict(filters), tag='job', project='id')
    query.append(
        Dict,
        with_incoming='job',
        edge_filters={'type': LinkType.CREATE.value, 'label': {'in': list(WALL_TIMES)}},
        edge_project='label',
        project=[*WALL_TIMES.values(), *(f'attributes.{name}' for name in more)],
    )
    found: dict[int, dict[str, Any]] = {}
    for pk, *values, label in query.all():
        walls = dict(zip(WALL_TIMES, values[: len(WALL_TIMES)], strict=True))
        entry = {'wall_s': walls[label], **dict(zip(more, values[len(WALL_TIMES) :], strict=True))}
        found.setdefault(pk, {}).update({name: value for name, value in entry.items() if value is not None})
    return found


def _measured(
    resources: Mapping[str, Any], accounting: Mapping[str, Any] | None, results: Mapping[str, Any]
) -> dict[str, Any]:
    """Return cores, times and evaluations of a job from what its scheduler and its program tell."""
    ranks = resources.get('tot_num_mpiprocs') or (resources.get('num_machines') or 1) * (
        resources.get('num_mpiprocs_per_machine') or 1
    )
    cores = max(int(ranks * (resources.get('num_cores_per_mpiproc') or 1)), results.get('processes') or 1)
    accounted = _slurm(accounting)
    wall: float | None
    if accounted is not None:
        cores, wall, core_s = accounted
        source: str | None = 'scheduler'
    else:
        wall = results.get('wall_s')
        core_s = results.get('core_s', None if wall is None else wall * cores)
        source = None if core_s is None else 'results'
    return {
        'cores': cores,
        'wall_s': wall,
        'core_h': None if core_s is None else core_s / 3600,
        'measured_by': source,
        'n_evaluations': results.get('n_evaluations'),
    }


def _slurm(accounting: Mapping[str, Any] | None) -> tuple[int, float, float] | None:
    """Return cores, wall and core time in s from the accounting of Slurm, None where it has none of a job that ran."""
    lines = str((accounting or {}).get('stdout') or '').splitlines()
    if len(lines) < 2:
        return None
    entries = dict(zip(lines[0].split('|'), lines[1].split('|'), strict=False))  # the first line is the whole job
    try:
        cores, wall, core_s = (int(entries[name]) for name in ('AllocCPUS', 'ElapsedRaw', 'CPUTimeRAW'))
    except (KeyError, ValueError):
        return None
    return (cores, float(wall), float(core_s)) if wall > 0 else None
