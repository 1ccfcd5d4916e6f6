"""Speed and memory of a training step against `alignn` on the same machine, graphs and weights' shapes.

`make peers`, then `python tests/benchmarks/learning_speed.py`; a quarter of an hour on a machine that does nothing
else. The last line is a JSON object.

A step is forward, backward and AdamW in single precision, of the published architecture (4 + 4 layers of 256 features)
with the normalisation that `alignn` 2026 has (`--norm batch` puts the published one into it). Batches are of crystals
of 28 and 54 atoms with an experimental band gap, and of composite structures of published barriers with about 137.
Graphs are the same, made here: with the published bonds of the multi-property models, of which many are there twice
(`doubled`), and with those of the models of one property (`canonised`). Each side runs in processes of its own with as
many threads, which step in turn; the least wall time of each counts. `step_speedup_*` is the smaller one of the two
conventions. Memory is the largest of a process less what it had after importing.

`unfolded` is without the folding of atoms that are alike. `matrix_products` is the share of `alignn`'s time that goes
into these, and `flop_utilisation` what part of the fastest matrix product of this run our step reaches with those that
it needs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from learning_graphs import DATA, ROOT, composite, crystal_of_row, graph_speed
from pymatgen.core import Element

from aiida_embarrier.jobs.learning import Architecture, GraphSettings
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.elements import features
from aiida_embarrier.learning.folding import fold
from aiida_embarrier.learning.graph import CrystalGraph
from aiida_embarrier.learning.graphs import build_graph

#: Crystals in a batch by their numbers of atoms, as published where `alignn` does so with 8 GB.
BATCHES = {
    28: {'doubled': 4, 'canonised': 16},
    54: {'doubled': 4, 'canonised': 16},
    137: {'doubled': 2, 'canonised': 4},
}
CONVENTIONS = {'doubled': True, 'canonised': False}
ARRAYS = ('numbers', 'source', 'target', 'vectors', 'multiplicity', 'reverse')


def chosen_crystals(n_atoms, n_crystals):
    """Return crystals of this size."""
    if n_atoms > 100:
        return [composite(n_atoms)] * n_crystals
    rows = pd.read_parquet(DATA / 'tl' / 'ebg.parquet')
    return [crystal_of_row(row) for row in rows[rows.n_atoms == n_atoms].head(n_crystals).itertuples()]


def write_graphs(path, crystals, doubled):
    """Write graphs for both sides."""
    arrays = {'n_graphs': np.array(len(crystals)), 'features': features()}
    for index, crystal in enumerate(crystals):
        numbers = [Element(symbol).Z for symbol in crystal['species']]
        graph = build_graph(crystal['lattice'], numbers, crystal['frac_coords'], GraphSettings(doubled=doubled))
        arrays |= {f'{name}_{index}': getattr(graph, name) for name in ARRAYS}
    np.savez(path, **arrays)


def read_graphs(path):
    """Return graphs that were written."""
    with np.load(path) as arrays:
        numbers = range(arrays['n_graphs'])
        return [CrystalGraph(**{name: arrays[f'{name}_{index}'] for name in ARRAYS}) for index in numbers]


def memory_mb():
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_gflops():
    """Return what the fastest matrix product of the shape of a piece reaches."""
    rows, weight = torch.randn(2048, 256), torch.randn(256, 256)
    out, best = torch.empty(2048, 256), np.inf
    for _ in range(50):
        start = time.perf_counter()
        torch.mm(rows, weight, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * rows.numel() * 256 / best / 1e9


def products_gflop(batch, architecture):
    """Return what the matrix products of a step need, those of the embeddings and heads left out."""
    layers, width = architecture.alignn_layers, architecture.hidden**2
    over_bonds = (layers + architecture.gcn_layers) * (len(batch.length) + 4 * len(batch.z))
    over_angles = layers * (len(batch.cosine) + 4 * len(batch.length))
    return 3 * 2 * width * (over_bonds + over_angles) / 1e9


def serve(path, folded, norm):
    """Answer each line of the standard input with a line of JSON: our side."""
    base = memory_mb()
    graphs = read_graphs(path)
    torch.manual_seed(0)
    architecture = Architecture(norm=norm)
    model = ALIGNN(architecture, ['a'])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = collate([fold(graph) for graph in graphs] if folded else graphs)
    for line in sys.stdin:
        start = time.perf_counter(), time.process_time()
        optimiser.zero_grad()
        model(batch).square().mean().backward()
        optimiser.step()
        answer = {'wall': time.perf_counter() - start[0], 'cpu': time.process_time() - start[1]}
        if line.strip() == 'last':
            answer |= {
                'memory_mb': memory_mb() - base,
                'angles': len(batch.cosine),
                'gflop': products_gflop(batch, architecture),
                'peak_gflops': peak_gflops(),
            }
        print(json.dumps(answer), flush=True)


class Side:
    """A process that steps when it is told to.

    :param command: that starts it.
    """

    def __init__(self, command, threads):
        environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.steps = []

    def step(self, last=False):
        """Step once; the first one warms up."""
        self._process.stdin.write('last\n' if last else 'step\n')
        self._process.stdin.flush()
        self.steps.append(json.loads(self._process.stdout.readline()))

    def end(self):
        """End the process; return its least times and what it said last."""
        self._process.stdin.close()
        self._process.wait()
        least = {name: min(step[name] for step in self.steps[1:]) for name in ('wall', 'cpu')}
        return self.steps[-1] | least


def compared(python, path, arguments):
    """Return how both sides step with these graphs."""
    peers = [str(python), str(Path(__file__).with_name('learning_speed_peers.py')), str(path), arguments.norm]
    own = [sys.executable, __file__, '--serve', str(path), '--norm', arguments.norm]
    sides = {
        'alignn': Side(peers, arguments.threads),
        'folded': Side([*own, '--folded'], arguments.threads),
        'unfolded': Side(own, arguments.threads),
    }
    for number in range(arguments.steps + 1):
        for side in sides.values():
            side.step(last=number == arguments.steps)
    result = {name: side.end() for name, side in sides.items()}
    theirs = result['alignn']
    for name in ('folded', 'unfolded'):
        mine = result[name]
        mine['speedup'] = theirs['wall'] / mine['wall']
        mine['speedup_cpu'] = theirs['cpu'] / mine['cpu']
        mine['memory_ratio'] = mine['memory_mb'] / theirs['memory_mb']
        mine['flop_utilisation'] = mine['gflop'] / mine['wall'] / mine['peak_gflops']
    return result


def main():
    """Print a table and a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peers', type=Path, default=ROOT / '.venv-peers' / 'bin' / 'python', help='their Python')
    parser.add_argument('--norm', choices=('layer', 'batch'), default='layer')
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--sizes', type=int, nargs='+', default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument('--serve', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--folded', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.folded, arguments.norm)
        return
    if not arguments.peers.exists():
        parser.error(f'there is no {arguments.peers}: run `make peers`')
    cases, report = {}, {}
    columns = f'{"angles":>8}{"s":>8}{"alignn s":>10}{"ratio":>7}{"of CPU":>7}{"memory":>8}{"flops":>7}'
    print(f'{"atoms":>5} {"bonds":10}{"":9}{columns}')
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            for name, doubled in CONVENTIONS.items():
                crystals = chosen_crystals(size, BATCHES[size][name])
                path = Path(folder) / f'{size}_{name}.npz'
                write_graphs(path, crystals, doubled)
                case = cases[f'{size}_{name}'] = compared(arguments.peers, path, arguments)
                for kind in ('folded', 'unfolded'):
                    mine = case[kind]
                    print(
                        f'{size:5} {name:10}{kind:9}{mine["angles"]:8}{mine["wall"]:8.2f}{case["alignn"]["wall"]:10.2f}'
                        f'{mine["speedup"]:7.1f}{mine["speedup_cpu"]:7.1f}{mine["memory_ratio"]:8.2f}'
                        f'{mine["flop_utilisation"]:7.2f}',
                        flush=True,
                    )
            both = [cases[f'{size}_{name}']['folded'] for name in CONVENTIONS]
            report[f'step_speedup_{size}'] = round(min(case['speedup'] for case in both), 2)
    first = cases[f'{arguments.sizes[0]}_canonised']
    report |= {
        'graph_speedup': graph_speed(arguments.peers)['graph_speedup'],
        'memory_ratio': round(max(case['folded']['memory_ratio'] for case in cases.values()), 3),
        'memory_ratio_unfolded': round(max(case['unfolded']['memory_ratio'] for case in cases.values()), 3),
        'flop_utilisation': round(first['unfolded']['flop_utilisation'], 2),
        'matrix_products': round(first['alignn']['matrix_products'], 2),
        'speedups': {
            f'{label}_{kind}': round(case[kind]['speedup'], 2)
            for label, case in cases.items()
            for kind in ('folded', 'unfolded')
        },
        'norm': arguments.norm,
        'batches': {str(size): BATCHES[size] for size in arguments.sizes},
        'threads': arguments.threads,
        'load_average': round(os.getloadavg()[0], 2),
        'cases': cases,
    }
    print(json.dumps(report))


if __name__ == '__main__':
    main()
