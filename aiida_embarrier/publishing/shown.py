"""Which nodes the table of a publication shows, and by which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida.common.links import LinkType
from aiida.orm import Group, Node, ProcessNode, QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ('DATASET', 'Links', 'Starting', 'members_of', 'shown_nodes')

#: Links between nodes, as (source PK, target PK, type, label).
Links = frozenset[tuple[int, int, str, str]]

#: Beginning of the node type of datasets.
DATASET = 'data.embarrier.dataset.'

_GIVES = (LinkType.CREATE.value, LinkType.RETURN.value)
_TAKES = (LinkType.INPUT_CALC.value, LinkType.INPUT_WORK.value)
_CALLS = (LinkType.CALL_CALC.value, LinkType.CALL_WORK.value)


@dataclass(frozen=True)
class Starting:
    """What was asked for, by UUIDs, which say the same in the profile and in the archive.

    :param groups: of groups.
    :param nodes: of nodes.
    """

    groups: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


def members_of(starting: Starting, backend: Any = None) -> set[int]:
    """Return the PKs of the nodes that were asked for, by themselves or in a group."""
    members: set[int] = set()
    if starting.groups:
        wanted = {'uuid': {'in': list(starting.groups)}}
        query = QueryBuilder(backend=backend).append(Group, filters=wanted, tag='group')
        members |= set(query.append(Node, with_group='group', project='id').all(flat=True))
    if starting.nodes:
        wanted = {'uuid': {'in': list(starting.nodes)}}
        members |= set(QueryBuilder(backend=backend).append(Node, filters=wanted, project='id').all(flat=True))
    return members


def shown_nodes(starting: Starting, links: Links, backend: Any = None) -> dict[int, str]:
    """Return the PKs of the members, of what the processes among them gave and of the datasets that these took.

    Beside each stands its name, for nodes without one.

    A name is that of the process, its label where it has one, with the name of the output. Of several processes it is
    the one that returned the node to whoever asked for it, else the outermost one above the one that made it.
    """
    members = members_of(starting, backend)
    given = sorted(
        (source, label, target) for source, target, kind, label in links if source in members and kind in _GIVES
    )
    taken = sorted(
        (target, label, source) for source, target, kind, label in links if target in members and kind in _TAKES
    )
    datasets = _datasets({source for *_, source in taken}, backend)
    made = {target: (source, label) for source, target, kind, label in links if kind == LinkType.CREATE.value}
    caller = {target: source for source, target, kind, _ in links if kind in _CALLS}
    naming: dict[int, tuple[int, str]] = {}
    for source, label, target in given:
        naming.setdefault(target, (source, label))
    for pk in members & set(made):
        process, label = made[pk]
        while process in caller:
            process = caller[process]
        naming.setdefault(pk, (process, label))
    for process, label, source in taken:
        if source in datasets:
            naming.setdefault(source, (process, label))
    labels = _labels({process for process, _ in naming.values()}, backend)
    # outputs in a namespace have two underscores in the names of their links
    names = {pk: f'{labels[process]}/{label.replace("__", "/")}' for pk, (process, label) in naming.items()}
    return {pk: names.get(pk, '') for pk in members | set(names)}


def _datasets(nodes: Collection[int], backend: Any) -> set[int]:
    """Return those of some nodes that are datasets."""
    if not nodes:  # AiiDA refuses to ask for nothing
        return set()
    wanted = {'id': {'in': list(nodes)}, 'node_type': {'like': f'{DATASET}%'}}
    return set(QueryBuilder(backend=backend).append(Node, filters=wanted, project='id').all(flat=True))


def _labels(processes: Collection[int], backend: Any) -> dict[int, str]:
    if not processes:
        return {}
    query = QueryBuilder(backend=backend).append(
        ProcessNode,
        filters={'id': {'in': list(processes)}},
        project=['id', 'label', 'attributes.process_label', 'uuid'],
    )
    rows: Iterable[Any] = query.iterall(batch_size=1000)
    return {pk: label or process or uuid[:8] for pk, label, process, uuid in rows}
