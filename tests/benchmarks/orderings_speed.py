"""Orderings of disordered crystals against pymatgen: time for the same set of distinct orderings.

    python tests/benchmarks/orderings_speed.py [--systems NAME ...] [--data FOLDER]

Each crystal is ordered in the cell of its file, or in the smallest diagonal supercell that holds whole atoms. The peer
is what users of pymatgen do: its order-disorder transformation, asked for all arrangements, and its structure matcher
with tolerances at which it tells split positions apart. Both sets must agree: number, multiplicities and Ewald
energies. Imports do not count. The crystals with most arrangements, for which pymatgen would take days, are timed
without it, each in a process of its own whose peak memory is measured. The last line is a JSON object; the exit status
is 1 where sets differ or a ratio is below the aim.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.ewald import find_charges
from aiida_embarrier.structures.occupancies import fix_contents
from aiida_embarrier.structures.ordering_cell import Cell
from aiida_embarrier.structures.orderings import find_orderings
from aiida_embarrier.structures.reading_disordered import read_disordered
from aiida_embarrier.structures.transformation import structure_matcher, transformed

DATA = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'disordered_cifs'
#: Crystals with more than 25 arrangements, in the order of their number.
COMPARED = ('pymatgen_PF_sd_1615854', 'obelix_97b', 'obelix_mn3', 'obelix_e6b', 'obelix_gxz', 'obelix_ob9')
ALONE = ('pymatgen_srycoo', 'pymatgen_Li10GeP2S12')
AIM = 5.0


def timed(crystal: Structure, name: str) -> dict:
    """Return times of both for one crystal, and whether their sets agree."""
    start = time.perf_counter()
    own = find_orderings(crystal, supercell='fit')
    own_s = time.perf_counter() - start

    contents = fix_contents(crystal, 'fit')
    cell, charges = Cell(contents, 0.01), find_charges(contents)[0]
    start = time.perf_counter()
    made = transformed(cell, charges, 'fast', own.count.n_arrangements)
    transformation_s = time.perf_counter() - start
    energies = {id(structure): energy for energy, structure in made}
    start = time.perf_counter()
    groups = structure_matcher().group_structures([structure for _, structure in made])
    matcher_s = time.perf_counter() - start

    theirs = sorted((round(energies[id(group[0])], 5), len(group)) for group in groups)
    background = own.energies[0] - theirs[0][0] if theirs else 0.0  # the transformation leaves that of a charge out
    same = len(groups) == own.count.n_distinct and sorted(own.multiplicities.tolist()) == sorted(n for _, n in theirs)
    same = same and np.allclose(np.sort(own.energies) - background, [energy for energy, _ in theirs], atol=1e-4)
    return {
        'crystal': name,
        'arrangements': own.count.n_arrangements,
        'distinct': own.count.n_distinct,
        'own_s': round(own_s, 4),
        'pymatgen_s': round(transformation_s + matcher_s, 3),
        'of_which_transformation_s': round(transformation_s, 3),
        'ratio': round((transformation_s + matcher_s) / own_s, 1),
        'same_set': bool(same),
    }


def alone(path: Path) -> dict:
    """Return time and peak memory for one crystal; for a process of its own."""
    crystal = read_disordered(path)
    before = peak_mb()
    start, cpu_start = time.perf_counter(), time.process_time()
    found = find_orderings(crystal, supercell='fit', keep=10)
    return {
        'crystal': path.stem,
        'arrangements': found.count.n_arrangements,
        'distinct': len(found.multiplicities),
        'own_s': round(time.perf_counter() - start, 3),
        'own_cpu_s': round(time.process_time() - cpu_start, 3),
        'peak_mb': peak_mb(),
        'of_which_imports_mb': before,
    }


def peak_mb() -> int:
    """Return the peak memory of this process; `ru_maxrss` is that of the process that started it, too."""
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return int(status['VmHWM'].split()[0]) // 1024


def main() -> None:
    """Print a table and a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--systems', nargs='*', default=[*COMPARED, *ALONE])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--alone', action='store_true', help='time the one system here, without pymatgen')
    arguments = parser.parse_args()
    warnings.simplefilter('ignore')
    if arguments.alone:
        print(json.dumps(alone(arguments.data / f'{arguments.systems[0]}.cif')))
        return
    # What is imported and read at the first call does not count, of neither.
    warm_up = Structure(Lattice.cubic(4), [{'Mg': 0.5}, {'Mg': 0.5}, 'Cl', 'Cl'], [[0, 0, z / 4] for z in (0, 2, 1, 3)])
    timed(warm_up, 'warm-up')
    rows, large = [], []
    for name in arguments.systems:
        path = arguments.data / f'{name}.cif'
        if name in ALONE:
            command = [sys.executable, __file__, '--alone', '--data', arguments.data, '--systems', name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            large.append(json.loads(done.stdout.splitlines()[-1]))
            print(large[-1], flush=True)
        else:
            rows.append(timed(read_disordered(path), name))
            print(rows[-1], flush=True)
    smallest = min((row['ratio'] for row in rows), default=None)
    ok = all(row['same_set'] for row in rows) and (smallest is None or smallest >= AIM)
    print(json.dumps({'compared': rows, 'alone': large, 'smallest_ratio': smallest, 'aim': AIM, 'ok': ok}))
    sys.exit(0 if ok else 1)


if __name__ == '__main__':
    main()
