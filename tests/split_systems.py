"""A small dataset of barriers for tests of splits."""

import itertools
import json

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.schema import to_json

HOSTS = {'LAYERED': ('Co', 'Ni', 'Mn'), 'SPINEL': ('Ti', 'V'), 'OLIVINE': ('Fe', 'Cr')}
STEPS = [(2.0, 0, 0), (0, 2.0, 0), (1.2, 1.2, 0), (2.0, 0.7, 0)]


def rocksalt_like(name, ion, metal, edge, step, n_lithium=3, barrier=0.3, structural_class='LAYERED'):
    """Return a row of a cubic cell with four metal and four oxygen atoms, in which the ion moves by a step in Å."""
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    oxygen = np.add(sites, [0.5, 0, 0]) % 1.0
    others = np.add(sites, 0.25)[1 : n_lithium + 1]
    species = [*[metal] * 4, *['O'] * 4, *[ion] * len(others)]
    coords = np.concatenate([sites, oxygen, others])
    path = np.linspace([0.25, 0.25, 0.25], np.add([0.25, 0.25, 0.25], np.array(step) / edge), 5)
    return {
        'name': name,
        'formula': f'{ion}{metal}O2',
        'lattice': to_json(np.eye(3) * edge),
        'species': json.dumps(species),
        'frac_coords': to_json(coords),
        'n_atoms': len(species) + 1,
        'ion': ion,
        'path': to_json(path),
        'barrier': barrier,
        'structural_class': structural_class,
    }


def small_dataset():
    """Return a dataset of 3 classes, 7 metals and 2 ions, each with 4 paths in 2 cells."""
    rows = []
    for structural_class, metals in HOSTS.items():
        for metal, ion in itertools.product(metals, ('Li', 'Na')):
            for number, step in enumerate(STEPS):
                edge = 4.2 + 0.1 * (number // 2) + 0.1 * len(metal)
                barrier = 0.2 + 0.05 * len(rows)
                name = f'{ion}{metal}O2_{number}'
                rows.append(rocksalt_like(name, ion, metal, edge, step, 3, barrier, structural_class))
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64'})
