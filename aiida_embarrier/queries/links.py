"""Many links of the provenance graph in one query: what is above and below nodes, without loading a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiida.common.links import LinkType
from aiida.orm import Node, QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ('CALLS', 'INPUTS', 'MADE', 'Call', 'Link', 'ancestries', 'links_from', 'links_into')

CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)
INPUTS = (LinkType.INPUT_CALC, LinkType.INPUT_WORK)
#: What data are made of: work chains only call and return.
MADE = (LinkType.CREATE, LinkType.INPUT_CALC)


class Link(NamedTuple):
    """A link from one node to another by their PKs."""

    source: int
    target: int
    label: str
    type: str


class Call(NamedTuple):
    """Who called a process, and by which label; None where it gave no label."""

    caller: int
    label: str | None


def links_into(pks: Iterable[int], types: Collection[LinkType], labels: Collection[str] | None = None) -> list[Link]:
    """Return the links that end at nodes.

    :param types: only links of these types.
    :param labels: only links with these labels.
    """
    return _links(pks, types, labels, into=True)


def links_from(pks: Iterable[int], types: Collection[LinkType], labels: Collection[str] | None = None) -> list[Link]:
    """Return the links that begin at nodes; arguments as those of :func:`links_into`."""
    return _links(pks, types, labels, into=False)


def _links(pks: Iterable[int], types: Collection[LinkType], labels: Collection[str] | None, into: bool) -> list[Link]:
    ends = {'id': {'in': sorted(set(pks))}}
    if not ends['id']['in']:
        return []
    edges = {'type': {'in': [kind.value for kind in types]}}
    if labels is not None:
        edges['label'] = {'in': list(labels)}
    query = QueryBuilder()
    query.append(Node, tag='source', filters={} if into else ends, project='id')
    query.append(
        Node,
        with_incoming='source',
        filters=ends if into else {},
        project='id',
        edge_filters=edges,
        edge_project=['label', 'type'],
    )
    return [Link(source, target, label, kind) for source, target, label, kind in query.all()]


def ancestries(pks: Iterable[int]) -> dict[int, list[Call]]:
    """Return who called processes, who called those, and so on, the nearest first.

    One query for each generation, whatever the number of processes.

    :return: by the PK of the process; an empty list for one that somebody started.
    """
    asked = set(pks)
    above: dict[int, Call] = {}
    looked_up: set[int] = set()
    generation = set(asked)
    while generation:
        looked_up |= generation
        calls = links_into(generation, CALLS)
        above |= {call.target: Call(call.source, None if call.label == 'CALL' else call.label) for call in calls}
        generation = {call.source for call in calls} - looked_up
    found: dict[int, list[Call]] = {}
    for pk in asked:
        found[pk] = []
        here = above.get(pk)
        while here is not None:
            found[pk].append(here)
            here = above.get(here.caller)
    return found
