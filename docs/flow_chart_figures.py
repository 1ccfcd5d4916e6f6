"""Draw the provenance of the entries of docs/explanation/flow_chart.md: what each was made of, without work chains.

Run it in the profile of ``examples/literature_rows.py`` with the PKs of its processes, in its order of rows:
``python docs/flow_chart_figures.py 33 120 240 350``. It needs graphviz.
"""

import re
import sys
from pathlib import Path

from aiida import load_profile, orm
from aiida.tools.visualization import Graph

HERE = Path(__file__).parent / 'explanation'
NAMES = ('ordered_discharged', 'derived', 'charged', 'disordered')

#: Inputs that say how something is computed; they are the same for all steps and would hide what is made of what.
SETTINGS = ('code', 'potential', 'parameters', 'settings', 'kinds')


def graph_of(entry: orm.Dict) -> Graph:
    """Return the graph of the calculations that led to an entry, with what they were made of."""
    graph = Graph(graph_attr={'rankdir': 'TB', 'size': '9', 'ranksep': '0.25', 'nodesep': '0.15'})
    waiting, seen = [entry], set()
    while waiting:
        node = waiting.pop()
        if node.pk in seen:
            continue
        seen.add(node.pk)
        graph.add_node(node)
        if isinstance(node, orm.Data):
            if node.creator is not None:
                graph.add_node(node.creator)
                graph.add_edge(node.creator, node)
                waiting.append(node.creator)
            continue
        for link in node.base.links.get_incoming(node_class=orm.Data).all():
            name = link.link_label.rpartition('__')[2]
            if name not in SETTINGS and not isinstance(link.node, orm.List):
                graph.add_node(link.node)
                graph.add_edge(link.node, node)
                waiting.append(link.node)
    return graph


def main() -> None:
    load_profile()
    for name, pk in zip(NAMES, sys.argv[1:], strict=False):
        text = graph_of(orm.load_node(int(pk)).outputs.entry).graphviz.pipe(format='svg').decode()
        # titles and comments are the UUIDs of nodes that nobody else has
        text = re.sub(r'<!--.*?-->\n?|<title>.*?</title>\n?', '', text, flags=re.DOTALL)
        (HERE / f'flow_chart_{name}.svg').write_text(text)


if __name__ == '__main__':
    main()
