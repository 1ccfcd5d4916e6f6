"""Many links of the provenance graph in one query: what is above and below nodes, without loading a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aiida.common.links import LinkType
from aiida.orm import Node, QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

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


def links_into(
    pks: Iterable[int],
    types: Sequence[LinkType],
    labels: Collection[str] | None = None,
    sources: Iterable[int] | None = None,
) -> list[Link]:
    """Return the links that end at nodes.

    :param types: only links of these types.
    :param labels: only links with these labels.
    :param sources: only links from these nodes.
    """
    return _links(sources, pks, types, labels)


def links_from(pks: Iterable[int], types: Sequence[LinkType], labels: Collection[str] | None = None) -> list[Link]:
    """Return the links that begin at nodes; arguments as those of :func:`links_into`."""
    return _links(pks, None, types, labels)


def _links(
    sources: Iterable[int] | None,
    targets: Iterable[int] | None,
    types: Sequence[LinkType],
    labels: Collection[str] | None,
) -> list[Link]:
    ends = [None if pks is None else sorted(set(pks)) for pks in (sources, targets)]
    if [] in ends:
        return []
    conditions = [{} if pks is None else {'id': {'in': pks}} for pks in ends]
    edges: dict[str, Any] = {'type': {'in': [kind.value for kind in types]}}
    if labels is not None:
        edges['label'] = {'in': list(labels)}
    # AiiDA takes about 10 microseconds for every value of every row: a type that is known is not asked for
    wanted = ['label', 'type'] if len(types) > 1 else ['label']
    query = QueryBuilder()
    query.append(Node, tag='source', filters=conditions[0], project='id')
    query.append(
        Node, with_incoming='source', filters=conditions[1], project='id', edge_filters=edges, edge_project=wanted
    )
    if len(types) > 1:
        return [Link(*row) for row in query.all()]
    return [Link(source, target, label, types[0].value) for source, target, label in query.all()]


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
        calls = [link for kind in CALLS for link in links_into(generation, (kind,))]
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
