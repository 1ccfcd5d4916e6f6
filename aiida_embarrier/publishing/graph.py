"""The provenance graph of a node as a picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from aiida.tools.visualization import Graph

if TYPE_CHECKING:
    from aiida.orm import Node

__all__ = ('provenance_graph',)


def provenance_graph(node: Node, path: Path | str) -> list[Path]:
    """Write the graph of what led to a node and what it led to: DOT, and SVG where graphviz's `dot` is installed.

    :param path: of the files, without suffix; one of theirs, `.dot` or `.svg`, is taken off.
    :return: the files written.
    """
    path = Path(path)
    if path.suffix in {'.dot', '.svg'}:
        path = path.with_suffix('')
    graph = Graph(graph_attr={'rankdir': 'TB', 'size': '30'})
    graph.recurse_ancestors(node, annotate_links='both', include_process_outputs=True)
    graph.recurse_descendants(node, annotate_links='both', include_process_inputs=True)
    written = [Path(f'{path}.dot')]
    written[0].write_text(graph.graphviz.source, encoding='utf8')
    if shutil.which('dot') is not None:
        written.append(Path(graph.graphviz.render(filename=str(path), format='svg', cleanup=True)))
    return written
