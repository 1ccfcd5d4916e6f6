"""Runs that failed, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Computer, Log, ProcessNode, QueryBuilder

from aiida_embarrier.queries.links import CALLS, ancestries, links_from

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import pandas as pd

__all__ = ('BY', 'FAILURE_COLUMNS', 'count_failures', 'find_failures')

#: Columns of the table of failures, and what they hold.
FAILURE_COLUMNS = {
    'pk': 'PK of the process',
    'uuid': 'UUID of the process',
    'ctime': 'when it was made',
    'process': 'process label',
    'process_type': 'entry point',
    'state': 'finished, excepted or killed',
    'exit_status': 'exit status; None where it was excepted or killed',
    'message': 'exit message, or the exception',
    'n_failed_below': 'failed processes that it called: none where it failed by itself',
    'root': 'PK of the process that somebody started',
    'root_process': 'process label of that',
    'root_state': 'its state: the process that somebody started may have ended well in spite of a failure below',
    'root_exit_status': 'its exit status',
    'computer': 'label of the computer of a job',
    'last_log': 'last line of its log, None where it only says the message again',
}

#: Columns of the table of failures by which they can be counted.
BY = ('process', 'exit_status', 'message', 'computer', 'root', 'root_process')

#: What a process is that failed, in the language of the QueryBuilder.
FAILED = {
    'or': [
        {'attributes.exit_status': {'>': 0}},
        {'attributes.exit_status': {'<': 0}},
        {'attributes.process_state': {'in': ['excepted', 'killed']}},
    ]
}


def find_failures(
    *,
    since: datetime | None = None,
    process: str | None = None,
    own: bool = False,
    pks: Iterable[int] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the processes that ended with an exit status other than 0, were killed or raised, the newest first.

    :param since: only those made since then.
    :param process: only those with this process label or entry point, such as `embarrier.potential.neb`.
    :param own: only those that failed by themselves, and not because a process failed that they called.
    :param pks: only these processes and what is below them.
    :param limit: at most so many.
    :return: one row per process with :data:`FAILURE_COLUMNS`.
    """
    import pandas as pd

    conditions: list[dict[str, Any]] = [FAILED]
    if since is not None:
        conditions.append({'ctime': {'>=': since}})
    if process is not None:
        conditions.append(
            {
                'or': [
                    {'attributes.process_label': process},
                    {'process_type': process},
                    {'process_type': {'like': f'%:{process}'}},
                ]
            }
        )
    if pks is not None:
        conditions.append({'id': {'in': sorted(_with_called(pks))}})
    attributes = ('process_label', 'process_state', 'exit_status', 'exit_message', 'exception')
    query = QueryBuilder()
    query.append(
        ProcessNode,
        tag='process',
        filters={'and': conditions},
        project=['id', 'uuid', 'ctime', 'process_type', *(f'attributes.{name}' for name in attributes)],
    )
    query.append(Computer, with_node='process', project='label', outerjoin=True)
    query.order_by({'process': [{'ctime': 'desc'}, {'id': 'desc'}]})
    if limit is not None and not own:
        query.limit(limit)
    found = query.all()
    below = _failed_below(row[0] for row in found)
    if own:
        found = [row for row in found if not below.get(row[0])][:limit]
    above = ancestries(row[0] for row in found)
    roots = {pk: calls[-1].caller if calls else pk for pk, calls in above.items()}
    described = _describe(roots.values())
    logs = _last_logs([row[0] for row in found])
    rows = []
    for pk, uuid, ctime, process_type, label, state, exit_status, message, exception, computer in found:
        root = roots[pk]
        message, last = message or exception or None, logs.get(pk)
        root_process, root_state, root_exit_status = described[root]
        rows.append(
            {
                'pk': pk,
                'uuid': uuid,
                'ctime': ctime,
                'process': label,
                'process_type': process_type,
                'state': state,
                'exit_status': exit_status,
                'message': message,
                'n_failed_below': below.get(pk, 0),
                'root': root,
                'root_process': root_process,
                'root_state': root_state,
                'root_exit_status': root_exit_status,
                'computer': computer,
                'last_log': None if message and last and message in last else last,
            }
        )
    table = pd.DataFrame(rows, columns=list(FAILURE_COLUMNS))
    return table.astype({'exit_status': 'Int64', 'root_exit_status': 'Int64'})


def count_failures(failures: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return how often something failed, the most frequent first.

    :param failures: as :func:`find_failures` returns them.
    :param by: a column of that table, one of :data:`BY`.
    :return: one row per value with it, `n_failures`, `n_recovered` (the process that somebody started ended well), and
        `newest` and `newest_pk`, the last of them.
    :raises ValueError: for another column.
    """
    import pandas as pd

    if by not in BY:
        raise ValueError(f'failures cannot be counted by {by!r}: choose from {", ".join(BY)}')
    rows = []
    for value, group in failures.groupby(by, dropna=False):
        newest = group.loc[group['ctime'].idxmax()]
        rows.append(
            {
                by: None if pd.isna(value) else value,
                'n_failures': len(group),
                'n_recovered': int(group['root_exit_status'].eq(0).fillna(False).sum()),
                'newest': newest['ctime'],
                'newest_pk': newest['pk'],
            }
        )
    table = pd.DataFrame(rows, columns=[by, 'n_failures', 'n_recovered', 'newest', 'newest_pk'])
    return table.sort_values('n_failures', ascending=False, kind='stable', ignore_index=True)


def _with_called(pks: Iterable[int]) -> set[int]:
    found = set(pks)
    generation = set(found)
    while generation:
        generation = {link.target for link in links_from(generation, CALLS)} - found
        found |= generation
    return found


def _failed_below(pks: Iterable[int]) -> dict[int, int]:
    """Return how many of the processes that processes called failed, by their PKs."""
    callers: dict[int, int] = {link.target: link.source for link in links_from(pks, CALLS)}
    found: dict[int, int] = {}
    if callers:
        query = QueryBuilder().append(
            ProcessNode, filters={'and': [FAILED, {'id': {'in': sorted(callers)}}]}, project='id'
        )
        for called in query.all(flat=True):
            found[callers[called]] = found.get(callers[called], 0) + 1
    return found


def _describe(pks: Iterable[int]) -> dict[int, tuple[str | None, str | None, int | None]]:
    """Return process label, state and exit status of processes by their PKs."""
    wanted = sorted(set(pks))
    if not wanted:
        return {}
    names = ('process_label', 'process_state', 'exit_status')
    query = QueryBuilder().append(
        ProcessNode, filters={'id': {'in': wanted}}, project=['id', *(f'attributes.{name}' for name in names)]
    )
    return {pk: (label, state, status) for pk, label, state, status in query.all()}


def _last_logs(pks: list[int]) -> dict[int, str]:
    """Return the last line of the log of processes by their PKs; of an exception, whose log is its trace, the end."""
    if not pks:
        return {}
    query = QueryBuilder()
    query.append(ProcessNode, filters={'id': {'in': pks}}, tag='process', project='id')
    query.append(Log, with_node='process', tag='log', project=['id', 'message'])
    query.order_by({'log': [{'time': 'asc'}, {'id': 'asc'}]})
    return {pk: message.strip().splitlines()[-1] for pk, _, message in query.all() if message.strip()}
