"""Write two small datasets of properties that are easily checked: crystals of rock salt, their volumes and bonds."""

import itertools
import json
from pathlib import Path

import pandas as pd

from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.datasets.tables import write_parquet

rows = []
for cation, anion in itertools.product(('Li', 'Na', 'K', 'Rb'), ('F', 'Cl', 'Br')):
    for step in range(4):
        constant = 4.5 + 0.5 * step  # Å
        half = constant / 2
        rows.append(
            {
                'name': f'{cation}{anion}-{step}',
                'lattice': to_json([[0, half, half], [half, 0, half], [half, half, 0]]),
                'species': json.dumps([cation, anion]),
                'frac_coords': to_json([[0, 0, 0], [0.5, 0.5, 0.5]]),
                'n_atoms': 2,
                'volume': constant**3 / 8,
                'bond': half,
            }
        )
table = pd.DataFrame(rows).astype({'n_atoms': 'Int64'})
for name in ('volume', 'bond'):
    dataset = table.drop(columns=['volume', 'bond']).assign(target=table[name])
    Path(__file__).with_name(f'{name}s.parquet').write_bytes(write_parquet(dataset))
print(f'wrote twice {len(rows)} rows')
