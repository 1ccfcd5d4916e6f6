"""Where data come from: the chain of processes back to the crystals, files and literature that somebody put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import NotExistent
from aiida.common.links import LinkType
from aiida.orm import ProcessNode, WorkflowNode, load_node

from aiida_embarrier.queries.descriptions import describe_nodes
from aiida_embarrier.queries.links import MADE, ancestries, links_from, links_into

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from aiida.orm import Node

    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.queries.descriptions import NodeDescription
    from aiida_embarrier.queries.links import Call, Link

__all__ = ('CHAIN_COLUMNS', 'chain_of', 'chain_of_row', 'chain_tree')

#: Columns of the table of a chain, and what they hold.
CHAIN_COLUMNS = {
    'step': 'how many processes lie between the node and this row, by the longest way; 0 for the node itself',
    'kind': 'node or row: what was asked for; data: what a row names; process; source: data that no process made; '
    'literature: what a publication says; missing: a node that is not in this profile',
    'pk': 'PK; None where there is no node',
    'uuid': 'UUID',
    'name': 'process label, or what the data are',
    'exit_status': 'exit status of a process',
    'settings': 'inputs of a process that nobody computed and that say how, as text by their labels',
    'made': 'what of the chain a process made: PKs by the labels of the links',
    'call': 'the labels by which a process was called, such as run_base/neb/iteration_01',
    'root': 'PK of the process that somebody started',
    'root_process': 'process label of that',
    'ctime': 'when the node was made',
    'made_from': 'PKs of the rows that it was made of',
}


def chain_of(node: Node) -> pd.DataFrame:
    """Return the processes that led to a node, back to what no process made.

    Processes are those that made data; the work chain that somebody started stands beside each. What several steps
    used stands there once. Literature is found among the inputs of these work chains, too: a Dict that says its
    citation.

    :param node: data, or a process: of one that calls others the chain of what it returned.
    :return: one row per process and source with :data:`CHAIN_COLUMNS`, the node first, then step by step.
    """
    return _table(_rows_of(node))


def chain_of_row(dataset: TableData, name: str) -> pd.DataFrame:
    """Return the chain of one row of a dataset: from the node that its column `origin` names, and its literature.

    A row that names no node came with the file that the dataset was made of, so its chain is that of the dataset.

    :param dataset: a table with a column `name`.
    :return: as :func:`chain_of`; the row stands first.
    :raises ValueError: for a table without names, and a name that it has not.
    """
    import difflib

    table = dataset.table
    if 'name' not in table:
        raise ValueError(f'node {dataset.pk} is a table without the column `name`: it is no dataset')
    names = [str(value) for value in table['name']]
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f', did you mean {close[0]!r}?' if close else f': its {len(names)} rows are named {names[0]!r}, ...'
        raise ValueError(f'the dataset {dataset.pk} has no row {name!r}{hint}')
    row = table.iloc[names.index(name)]
    origin, source = (row[key] if key in row and isinstance(row[key], str) else None for key in ('origin', 'source'))
    first = {**_empty(0, 'row', f'row {name} of dataset {dataset.pk}'), 'ctime': dataset.ctime}
    others = []
    if source is not None:
        others.append(_empty(1, 'literature', source))
    start: Node | None = dataset
    if origin is not None:
        try:
            start = load_node(uuid=origin)
        except NotExistent:
            start = None
            text = f'node {origin}, which is not in this profile: import the archive that holds it'
            others.append({**_empty(1, 'missing', text), 'uuid': origin})
    chain = [] if start is None else _rows_of(start)
    for entry in chain:
        entry['step'] += 1
        if entry['kind'] == 'node':
            entry['kind'] = 'data' if entry['made_from'] else 'source'
    first['made_from'] = [] if start is None else [start.pk]
    return _table([first, *others, *chain])


def chain_tree(chain: pd.DataFrame) -> str:
    """Return a chain as text: each row below what was made of it, indented; what is there already is only named."""
    rows = chain.astype(object).where(chain.notna(), None).to_dict(orient='records')
    by_pk = {row['pk']: row for row in rows[1:] if row['pk'] is not None}
    nameless = [row for row in rows[1:] if row['pk'] is None]
    shown: set[Any] = set()
    lines: list[str] = []

    def write(row: Mapping[str, Any], first: str, rest: str) -> None:
        below = [by_pk[pk] for pk in row['made_from'] if pk in by_pk]
        repeated = row['pk'] is not None and row['pk'] in shown
        lines.append(first + _line(row) + (' (see above)' if repeated and below else ''))
        if repeated:
            return
        shown.add(row['pk'])
        if row is rows[0]:
            linked = {pk for other in rows for pk in other['made_from']}
            # literature stands at the end: a row names it, or the work chain was given it
            below += nameless + [other for other in rows[1:] if other['pk'] is not None and other['pk'] not in linked]
        for number, other in enumerate(below):
            last = number == len(below) - 1
            write(other, rest + ('└─ ' if last else '├─ '), rest + ('   ' if last else '│  '))

    write(rows[0], '', '')
    return '\n'.join(lines)


def _line(row: Mapping[str, Any]) -> str:
    kind = row['kind'] if row['kind'] in ('source', 'literature', 'missing') else None
    text = row['name'] if kind is None else f'{kind}: {row["name"]}'
    if row['pk'] is not None:
        text += f' ({row["pk"]})'
    if row['exit_status']:
        text += f', exit status {row["exit_status"]}'
    if row['call'] is None:
        return text
    workflow = f'{row["root_process"]} {row["root"]}'
    return f'{text}, {workflow}' if row['call'] == row['name'] else f'{text}, {row["call"]} of {workflow}'


def _rows_of(node: Node) -> list[dict[str, Any]]:
    """Return the rows of the chain of a node."""
    levels, links = _climb(node)
    made_by = {link.target: link.source for link in links if link.type == LinkType.CREATE.value}
    above = ancestries({*made_by.values(), *([node.pk] if isinstance(node, ProcessNode) else [])})
    workflows = {call.caller for calls in above.values() for call in calls}
    described = describe_nodes({*levels, *workflows})
    for pk, entry in _literature_of(workflows, levels).items():
        levels[pk] = max(levels.values())
        described[pk] = entry
    arriving: dict[int, list[Link]] = {}
    for link in sorted(links, key=lambda link: link.label):
        arriving.setdefault(link.target, []).append(link)
    rows = []
    for pk, level in levels.items():
        entry = described[pk]
        if pk != node.pk and not entry.is_process and (pk in made_by or entry.is_setting):
            continue  # what processes hand to each other, and what stands among the settings of a process
        row = _row(entry, arriving.get(pk, []), made_by, described)
        row['kind'] = 'node' if pk == node.pk else row['kind']
        row['step'] = (level + 1) // 2 if entry.is_process or pk == node.pk else level // 2 + 1
        row['made'] = {link.label: link.target for link in links if link.source == pk and link.target in made_by}
        if entry.is_process:
            row |= _called(pk, above.get(pk, []), described)
        rows.append(row)
    return sorted(rows, key=lambda row: (row['step'], row['ctime'], row['pk']))


def _climb(node: Node) -> tuple[dict[int, int], list[Link]]:
    """Return what a node was made of: levels by PKs, even for data and odd for processes, and the links between.

    A level is the longest way from the node. A process begins at -1, what it was given or returned at 0.
    """
    level = -1 if isinstance(node, ProcessNode) else 0
    levels, generation = {node.pk: level}, {node.pk}
    known: dict[int, list[Link]] = {}
    if isinstance(node, WorkflowNode):  # work chains make nothing: the chain is that of what they returned
        returned = links_from([node.pk], (LinkType.RETURN,))
        given = links_into([node.pk], (LinkType.INPUT_WORK,))
        known[node.pk] = [link._replace(source=link.target, target=node.pk) for link in returned] or given
    while generation:
        new = generation - known.keys()
        known |= {pk: [] for pk in new}
        for link in links_into(new, MADE):
            known[link.target].append(link)
        level += 1
        generation = {link.source for pk in generation for link in known[pk]}
        levels |= dict.fromkeys(generation, level)
    return levels, [link for links in known.values() for link in links]


def _literature_of(workflows: set[int], known: Mapping[int, int]) -> dict[int, NodeDescription]:
    """Return what of the inputs of work chains comes from the literature and is not in the chain yet."""
    inputs = {link.source for link in links_into(workflows, (LinkType.INPUT_WORK,))} - known.keys()
    return {pk: entry for pk, entry in describe_nodes(inputs).items() if entry.is_literature}


def _row(
    entry: NodeDescription, arriving: list[Link], made_by: Mapping[int, int], described: Mapping[int, NodeDescription]
) -> dict[str, Any]:
    """Return the row of a node.

    :param arriving: links from what it was made of.
    :param made_by: processes by the data that they made.
    """
    settings, before = {}, []
    for link in arriving:
        source = described[link.source]
        if source.is_process or link.source in made_by:
            before.append(made_by.get(link.source, link.source))
        elif source.is_setting:
            settings[link.label] = source.text
        else:
            before.append(link.source)
    kind = 'process' if entry.is_process else 'literature' if entry.is_literature else 'source'
    status = entry.attributes.get('exit_status') if entry.is_process else None
    return {
        **_empty(0, kind, entry.text),
        'pk': entry.pk,
        'uuid': entry.uuid,
        'exit_status': status,
        'settings': settings,
        'ctime': entry.ctime,
        'made_from': list(dict.fromkeys(before)),
    }


def _called(pk: int, calls: list[Call], described: Mapping[int, NodeDescription]) -> dict[str, Any]:
    """Return by whom a process was called."""
    labels = [call.label for call in reversed(calls) if call.label is not None]
    root = calls[-1].caller if calls else pk
    return {'call': '/'.join(labels) or None, 'root': root, 'root_process': described[root].text}


def _empty(step: int, kind: str, name: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(CHAIN_COLUMNS),
        'step': step,
        'kind': kind,
        'name': name,
        'settings': {},
        'made': {},
        'made_from': [],
    }


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(CHAIN_COLUMNS))
    return table.astype(dict.fromkeys(('pk', 'exit_status', 'root'), 'Int64'))
