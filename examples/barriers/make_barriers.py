"""Write a toy dataset of migration barriers: hops in made-up crystals, whose barriers depend on ion and cell."""

import json
from pathlib import Path

import pandas as pd

from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.datasets.tables import write_parquet

METALS = (
    'Ti',
    'V',
    'Cr',
    'Mn',
    'Fe',
    'Co',
    'Ni',
    'Cu',
    'Zn',
    'Zr',
    'Nb',
    'Mo',
    'Ru',
    'Rh',
    'Pd',
    'Ag',
    'Hf',
    'Ta',
    'W',
    'Ir',
)
BARRIERS = {'Li': 0.4, 'Na': 0.5, 'Mg': 0.8}  # eV

rows = []
for number, metal in enumerate(METALS):
    for ion, barrier in BARRIERS.items():
        constant = 4.2 + 0.03 * number  # Å
        rows.append(
            {
                'name': f'{metal}O2_{ion}_1',
                'lattice': to_json([[constant, 0, 0], [0, constant, 0], [0, 0, constant]]),
                'species': json.dumps([metal, 'O', 'O']),
                'frac_coords': to_json([[0.5, 0.5, 0.5], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
                'n_atoms': 4,
                'ion': ion,
                'path': to_json([[0, 0, 0], [0.5, 0, 0]]),
                'barrier': barrier - 0.1 * (constant - 4.5) + 0.05 * (number % 3),
                'structural_class': 'SPINEL' if number % 2 else 'LAYERED',
            }
        )
table = pd.DataFrame(rows).astype({'n_atoms': 'Int64'})
Path(__file__).with_name('barriers.parquet').write_bytes(write_parquet(table))
print(f'wrote {len(table)} rows')
