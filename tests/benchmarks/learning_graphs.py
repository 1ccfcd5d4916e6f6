"""Speed of graphs and line graphs against `alignn` on the same machine, and whether they are the same graphs.

`make peers`, then `python tests/benchmarks/learning_graphs.py`; half a minute on a machine that does nothing else. The
last line is a JSON object. Both sides go from lattice, elements and coordinates in memory to what their model takes:
bonds and angles as tensors. One thread each, the least of several times. `graph_speedup` is the smallest of three
crystals and both conventions of bonds.

The crystals are the first ones of 28 and 54 atoms with an experimental band gap, and the composite structure of a
published barrier whose number of atoms is nearest to 137. With `--check N` as many crystals of the dielectric constants
are compared bond by bond, too. `alignn` compares distances exactly, so that rounding errors decide which atoms of a
shell are neighbours: it is told how many crystals have the same bonds as they are, with an exact comparison here, too,
and with the tolerance that is the default here; and how many have them once strain and displacements leave no shell of
several atoms. Those are all, but for crystals where the last neighbours are the images +n and -n of the atom itself, of
which `alignn` may take one.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Element

from aiida_embarrier.jobs.learning import GraphSettings
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.graphs import build_graph

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / 'shared' / 'data'
SIZES = (28, 54, 137)
CONVENTIONS = {'doubled': True, 'canonised': False}


def crystal_of_row(row):
    """Return a crystal of the parquet files of properties."""
    return {
        'lattice': np.reshape(row.lattice, (3, 3)).astype(float).tolist(),
        'species': row.species.split(),
        'frac_coords': np.reshape(row.frac_coords, (-1, 3)).astype(float).round(6).tolist(),
    }


def composite(n_atoms):
    """Return the composite structure of a barrier, five positions of the ion in its host, that is nearest in size."""
    with gzip.open(DATA / 'barriers_train' / 'barriers_train.json.gz', 'rt') as file:
        rows = json.load(file)
    row = min(rows, key=lambda row: abs(len(row['species']) + len(row['path_frac']) - n_atoms))
    return {
        'lattice': row['lattice'],
        'species': [row['mobile_species']] * len(row['path_frac']) + row['species'],
        'frac_coords': row['path_frac'] + row['frac_coords'],
    }


def crystals():
    """Return the crystals to time, by their nominal sizes."""
    small = pd.read_parquet(DATA / 'tl' / 'ebg.parquet')
    return {
        **{str(size): crystal_of_row(small[small.n_atoms == size].iloc[0]) for size in SIZES[:2]},
        str(SIZES[2]): composite(SIZES[2]),
    }


def ours(crystal, settings):
    """Return the graph of a crystal, and what the model takes."""
    numbers = [Element(symbol).Z for symbol in crystal['species']]
    graph = build_graph(crystal['lattice'], numbers, crystal['frac_coords'], settings)
    return graph, collate([graph])


def least_seconds(crystal, settings, repeats):
    """Return the least time that a graph took."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        ours(crystal, settings)
        times.append(time.perf_counter() - start)
    return min(times)


def counted(crystal, source, target, vectors, multiplicity):
    """Return how often each bond is there, by its atoms and the cell that the second one lies in."""
    coords = np.array(crystal['frac_coords'])
    cells = np.asarray(vectors, dtype=float) @ np.linalg.inv(crystal['lattice']) - coords[target] + coords[source]
    bonds = Counter()
    for one, other, cell, times in zip(source, target, np.round(cells).astype(int), multiplicity, strict=True):
        bonds[(int(one), int(other), *cell)] += int(times)
    return bonds


def peer(python, chosen, repeats):
    """Return the times of the peer, and its bonds by crystal and convention."""
    with tempfile.TemporaryDirectory() as folder:
        given, bonds = Path(folder) / 'crystals.json', Path(folder) / 'bonds.npz'
        given.write_text(json.dumps(chosen))
        script = Path(__file__).with_name('learning_graphs_peers.py')
        command = [str(python), str(script), str(given), str(bonds), str(repeats)]
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        with np.load(bonds) as arrays:
            return json.loads(done.stdout.strip().splitlines()[-1]), dict(arrays)


def same_bonds(crystal, settings, bonds):
    """Return whether the peer has the same bonds, as often."""
    graph, _ = ours(crystal, settings)
    source, target = bonds[:, :2].astype(int).T
    theirs = counted(crystal, source, target, bonds[:, 2:], np.ones(len(bonds)))
    return counted(crystal, graph.source, graph.target, graph.vectors, graph.multiplicity) == theirs


def graph_speed(python, repeats=5):
    """Return times and ratios of all crystals, the least ratio as `graph_speedup`.

    :param python: of the environment of the peers.
    """
    torch.set_num_threads(1)
    chosen = crystals()
    peers, bonds = peer(python, chosen, repeats)
    report = {}
    for label, crystal in chosen.items():
        report[label] = {'atoms': len(crystal['species'])}
        for name, doubled in CONVENTIONS.items():
            settings = GraphSettings(doubled=doubled)
            wall = least_seconds(crystal, settings, 20 * repeats)
            graph, _ = ours(crystal, settings)
            degrees = np.bincount(graph.target, weights=graph.multiplicity)
            report[label][name] = {
                'seconds': wall,
                'bonds': int(graph.multiplicity.sum()),
                'angles': int((degrees**2).sum()),
                'same_bonds': same_bonds(crystal, settings, bonds[f'{label}/{name}']),
                'speedup': peers[label][name]['seconds'] / wall,
                'speedup_vs_pure_torch': peers[label]['pure_torch']['seconds'] / wall,
            }
        report[label]['alignn'] = peers[label]
    ratios = [report[label][name]['speedup'] for label in report for name in CONVENTIONS]
    return {'graph_speedup': round(min(ratios), 1), 'crystals': report}


def rattled(crystal, random):
    """Return a crystal that is strained and whose atoms are displaced, so that it has no symmetry."""
    strain = np.eye(3) + random.normal(scale=0.02, size=(3, 3))
    coords = np.array(crystal['frac_coords'])
    return crystal | {
        'lattice': (np.array(crystal['lattice']) @ strain).tolist(),
        'frac_coords': (coords + random.normal(scale=0.01, size=coords.shape)).tolist(),
    }


def agreement(python, n_crystals):
    """Return how many crystals have the same bonds as the peer's, by convention and by what is compared."""
    rows = pd.read_parquet(DATA / 'tl' / 'dc.parquet')
    rows = rows[rows.n_atoms <= 12].sample(n_crystals, random_state=1)
    chosen = {str(row.row_id): crystal_of_row(row) for row in rows.itertuples()}
    random = np.random.default_rng(1)
    without = {label: rattled(crystal, random) for label, crystal in chosen.items()}
    report = {'crystals': n_crystals}
    for kind, of_kind, tolerances in (
        ('symmetric', chosen, {'exact': 0, 'tolerance': 1e-4}),
        ('rattled', without, {'exact': 0}),
    ):
        _, bonds = peer(python, of_kind, 1)
        for name, doubled in CONVENTIONS.items():
            for what, tolerance in tolerances.items():
                settings = GraphSettings(doubled=doubled, shell_tolerance=tolerance)
                report[f'{kind}_{name}_{what}'] = sum(
                    same_bonds(crystal, settings, bonds[f'{label}/{name}']) for label, crystal in of_kind.items()
                )
    return report


def main():
    """Print a table and a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peers', type=Path, default=ROOT / '.venv-peers' / 'bin' / 'python', help='their Python')
    parser.add_argument('--check', type=int, default=0, help='crystals whose bonds are compared')
    arguments = parser.parse_args()
    if not arguments.peers.exists():
        parser.error(f'there is no {arguments.peers}: run `make peers`')
    report = graph_speed(arguments.peers)
    print(f'{"atoms":>6} {"bonds":10}{"ms":>8}{"alignn ms":>11}{"ratio":>7}{"vs pure torch":>15}  same bonds')
    for entry in report['crystals'].values():
        for name in CONVENTIONS:
            mine, theirs = entry[name], entry['alignn'][name]
            print(
                f'{entry["atoms"]:6} {name:10}{1e3 * mine["seconds"]:8.2f}{1e3 * theirs["seconds"]:11.1f}'
                f'{mine["speedup"]:7.0f}{mine["speedup_vs_pure_torch"]:15.1f}  {mine["same_bonds"]}'
            )
    if arguments.check:
        report['same_bonds'] = agreement(arguments.peers, arguments.check)
    report['load_average'] = round(os.getloadavg()[0], 2)
    print(json.dumps(report))
    sys.exit(report['graph_speedup'] < 10)


if __name__ == '__main__':
    main()
