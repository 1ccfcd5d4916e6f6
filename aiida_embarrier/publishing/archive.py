"""Archives: nodes and groups with everything they came from, and what these made."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Group, Node, ProcessNode, QueryBuilder
from aiida.tools.archive import create_archive
from aiida.tools.graph.graph_traversers import get_nodes_export

from aiida_embarrier.publishing.checks import check_contents, refuse_licensed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ('Selection', 'check_target', 'export_archive', 'scratch_for', 'select', 'write_archive')


@dataclass(frozen=True)
class Selection:
    """What goes into an archive.

    :param groups: groups that are asked for, with their nodes.
    :param nodes: nodes that are asked for.
    :param starting: PKs of these nodes and of those in the groups.
    :param closure: PKs of all nodes that go in: those, all their ancestors, and what these made.
    :param links: all links between them, as (source PK, target PK, type, label).
    """

    groups: tuple[Group, ...]
    nodes: tuple[Node, ...]
    starting: frozenset[int]
    closure: frozenset[int]
    links: frozenset[tuple[int, int, str, str]]


def select(nodes: Sequence[Node] = (), groups: Sequence[Group] = ()) -> Selection:
    """Return what an archive of nodes and groups holds.

    :raises ValueError: without nodes and groups, and where a process still runs.
    """
    if not nodes and not groups:
        raise ValueError('nothing to export: name nodes or groups')
    starting = {node.pk for node in nodes}
    if groups:
        query = QueryBuilder().append(Group, filters={'id': {'in': [group.pk for group in groups]}}, tag='group')
        starting |= set(query.append(Node, with_group='group', project='id').all(flat=True))
    found: dict[str, Any] = get_nodes_export(starting_pks=starting, get_links=True)
    closure = frozenset(found['nodes'])
    _refuse_running(closure)
    links = frozenset(
        (link.source_id, link.target_id, link.link_type, link.link_label) for link in found['links'] or ()
    )
    return Selection(tuple(groups), tuple(nodes), frozenset(starting), closure, links)


def _refuse_running(pks: frozenset[int]) -> None:
    query = QueryBuilder().append(
        ProcessNode,
        filters={'id': {'in': list(pks)}, 'attributes.sealed': {'!in': [True]}},
        project=['id', 'attributes.process_state'],
    )
    running = sorted(query.all())
    if running:
        pk, state = running[0]
        more = f' and {len(running) - 1} more' if len(running) > 1 else ''
        raise ValueError(
            f'process {pk}{more} has not ended (state: {state or "unknown"}), so it cannot go into an archive: wait '
            f'for its end, or stop it with `verdi process kill {pk}`'
        )


def check_target(path: Path, overwrite: bool) -> None:
    """Check before anything is computed that a file can be written.

    :raises ValueError: where it exists and may not be replaced, and where its folder does not exist or is read-only.
    """
    if path.is_dir():
        raise ValueError(f'{path} is a folder: name a file')
    if path.exists() and not overwrite:
        raise ValueError(f'{path} exists: choose another name, or allow to overwrite it (--overwrite)')
    if not path.parent.is_dir():
        raise ValueError(f'the folder {path.parent} does not exist')
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f'{path} cannot be written: its folder is read-only')


@contextmanager
def scratch_for(path: Path) -> Iterator[Path]:
    """Give a scratch folder beside a file to come, so that the finished file takes its place in one step.

    :raises ValueError: where the folder of the file cannot be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix='.aiida-embarrier-', dir=path.parent)
    except OSError as error:
        raise ValueError(f'{path} cannot be written: {error.strerror}') from error
    with folder as name:
        yield Path(name)


def write_archive(path: Path, selection: Selection) -> None:
    """Write an archive, whole or not at all; a file of this name is replaced."""
    with scratch_for(path) as scratch:
        written = scratch / 'archive.aiida'
        create_archive([*selection.nodes, *selection.groups], filename=written)
        written.replace(path)


def export_archive(
    path: Path | str, nodes: Sequence[Node] = (), groups: Sequence[Group] = (), overwrite: bool = False
) -> Path:
    """Write an archive of nodes and groups, with all their ancestors and what these made.

    :param path: of the archive; the suffix `.aiida` is customary.
    :return: the path.
    :raises ValueError: without nodes and groups, for licensed content and processes that run, and where the file exists
        or its folder does not or cannot be written.
    """
    path = Path(path)
    check_target(path, overwrite)
    selection = select(nodes, groups)
    refuse_licensed(check_contents(selection.closure, private=False), selection.links, selection.starting)
    write_archive(path, selection)
    return path
