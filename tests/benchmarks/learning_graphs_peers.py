"""Graphs and line graphs by `alignn`, for `learning_graphs.py`: runs in the peers' environment, imports none of ours.

    python learning_graphs_peers.py CRYSTALS.json BONDS.npz REPEATS

`doubled` and `canonised` are the code of `Graph.atom_dgl_multigraph` for its default, 12 nearest neighbours, without
and with `use_canonize`, and with the line graph that `alignn` makes in torch: that of DGL, which `alignn` 2026 can do
without, compares all pairs of bonds. `pure_torch` is the way of `alignn` without DGL: other graphs, whose atoms have
12 neighbours, whichever of a shell, and whose bonds need not run back. The last line is a JSON object; the bonds of the
first two are written to a file.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from alignn.graphs import build_undirected_edgedata, nearest_neighbor_edges
from alignn.torch_graph_builder import TorchGraph, _line_graph_edges, build_pure_torch_graph, torch_bond_cosines
from jarvis.core.atoms import Atoms
from jarvis.core.specie import get_node_attributes

CUTOFF, N_NEIGHBOURS = 8.0, 12


def k_nearest(atoms, use_canonize):
    """Return graph and line graph of the nearest neighbours."""
    edges, _ = nearest_neighbor_edges(atoms=atoms, cutoff=CUTOFF, max_neighbors=N_NEIGHBOURS, use_canonize=use_canonize)
    source, target, vectors, images = build_undirected_edgedata(atoms, edges)
    features = np.array([list(get_node_attributes(symbol, atom_features='cgcnn')) for symbol in atoms.elements])
    nodes = {'atom_features': torch.tensor(features).type(torch.get_default_dtype())}
    graph = TorchGraph(len(features), source, target, nodes, {'r': vectors, 'images': images})
    first, second = _line_graph_edges(source, target, len(features))
    cosines = torch_bond_cosines(vectors[first], vectors[second])
    return graph, TorchGraph(graph.num_edges, first, second, {'r': vectors}, {'h': cosines})


def pure_torch(atoms):
    """Return graph and line graph of the builder without DGL."""
    return build_pure_torch_graph(atoms, CUTOFF, CUTOFF, N_NEIGHBOURS)


def seconds(function, repeats):
    """Return the least time that a call took, and what it returned."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def main():
    """Build, time, write and print."""
    crystals, path, repeats = sys.argv[1:]
    torch.set_num_threads(1)
    report, bonds = {}, {}
    for label, entry in json.loads(Path(crystals).read_text()).items():
        atoms = Atoms(
            lattice_mat=entry['lattice'], coords=entry['frac_coords'], elements=entry['species'], cartesian=False
        )
        for symbol in set(entry['species']):
            get_node_attributes(symbol, atom_features='cgcnn')  # read from a file once, and kept
        report[label] = {}
        for name, function in {
            'doubled': partial(k_nearest, atoms, use_canonize=False),
            'canonised': partial(k_nearest, atoms, use_canonize=True),
            'pure_torch': partial(pure_torch, atoms),
        }.items():
            wall, (graph, line_graph) = seconds(function, int(repeats))
            report[label][name] = {'seconds': wall, 'bonds': graph.num_edges, 'angles': line_graph.num_edges}
            if name != 'pure_torch':
                bonds[f'{label}/{name}'] = np.column_stack([graph.src, graph.dst, graph.edata['r']])
    np.savez(path, **bonds)
    print(json.dumps(report))


if __name__ == '__main__':
    main()
