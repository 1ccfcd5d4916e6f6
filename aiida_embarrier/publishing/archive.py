"""Archives for publication: nodes with everything they came from, checked for what must not be published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiida.orm import Group, Node, QueryBuilder
from aiida.tools.archive import create_archive
from aiida.tools.graph.graph_traversers import get_nodes_export

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ('LICENSED_TYPES', 'export_archive', 'refuse_licensed')

#: Node types that hold licensed content: VASP's potentials as uploaded by a licensee.
LICENSED_TYPES = ('data.vasp.potcar_file.',)


def refuse_licensed(pks: Iterable[int]) -> None:
    """Refuse nodes whose content must not be published.

    :raises ValueError: naming the first of them.
    """
    query = QueryBuilder().append(
        Node,
        filters={'id': {'in': list(pks)}, 'or': [{'node_type': {'like': f'{name}%'}} for name in LICENSED_TYPES]},
        project=['id', 'node_type'],
    )
    found = query.first()
    if found is not None:
        raise ValueError(
            f'node {found[0]} ({found[1]}) holds a licensed POTCAR file, which must not be published: '
            'keep it out of the group'
        )


def export_archive(
    path: Path | str, nodes: Sequence[Node] = (), groups: Sequence[Group] = (), overwrite: bool = False
) -> Path:
    """Write an archive of nodes and groups, with all their ancestors and what these made.

    :param path: of the archive; the suffix `.aiida` is customary.
    :return: the path.
    :raises ValueError: without nodes and groups, for licensed content, and where the file exists or its folder does not
        or cannot be written.
    """
    path = Path(path)
    entities = [*nodes, *groups]
    if not entities:
        raise ValueError('nothing to export: name nodes or groups')
    if path.exists() and not overwrite:
        raise ValueError(f'{path} exists: choose another name, or allow to overwrite it (--overwrite)')
    if not path.parent.is_dir():
        raise ValueError(f'the folder {path.parent} does not exist')
    members = [node for group in groups for node in group.nodes]
    starting = {node.pk for node in [*nodes, *members] if node.pk is not None}
    refuse_licensed(get_nodes_export(starting_pks=starting)['nodes'])
    try:
        create_archive(entities, filename=path, overwrite=overwrite)
    except PermissionError as error:
        raise ValueError(f'{path} cannot be written: {error.strerror}') from error
    return path
