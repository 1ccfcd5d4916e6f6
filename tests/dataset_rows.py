"""Made-up rows of datasets, with something for every table and picture of the statistics."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

__all__ = ('barrier_rows', 'property_rows')

CELL = '[[6,0,0],[0,6,0],[0,0,6]]'
HOSTS = (
    ('FePO4', 'OLIVINE', 'Orthorhombic', 'Pnma'),
    ('Mn2O4', 'SPINEL', 'Cubic', 'Fd-3m'),
    ('CoO2', 'LAYERED', 'Trigonal', 'R-3m'),
    ('V2(PO4)3', 'NASICON', 'Monoclinic', 'P21/c'),
)
ELEMENTS = {'FePO4': 'Fe P O', 'Mn2O4': 'Mn O', 'CoO2': 'Co O', 'V2(PO4)3': 'V P O'}


def barrier_rows() -> pd.DataFrame:
    """Return 208 rows: four hosts with two ions, charged and discharged, 13 paths each; two of them are far out."""
    random = np.random.default_rng(5)
    rows = []
    for host, group, system, space_group in HOSTS:
        for ion in ('Li', 'Mg'):
            for state in ('charged', 'discharged'):
                for path in range(1, 14):
                    species = ELEMENTS[host].split() + ([ion] if state == 'discharged' else [])
                    length = float(random.uniform(2.5, 6.5))
                    rows.append(
                        {
                            'name': f'{host}_{ion}_{state}_{path}',
                            'formula': f'{ion}{host}',
                            'lattice': CELL,
                            'species': json.dumps(species),
                            'frac_coords': json.dumps(random.random((len(species), 3)).round(4).tolist()),
                            'n_atoms': len(species) + 1,
                            'crystal_system': system,
                            'space_group': space_group,
                            'flags': json.dumps(['low_symmetry'] if path == 4 else []),
                            'barrier': round(float(random.gamma(2.0, 0.25 if ion == 'Li' else 0.4)), 3),
                            'ion': ion,
                            'path': f'[[0,0,0],[{length / 6:.4f},0,0]]',
                            'hop_length': length,
                            'host': host,
                            'charge_state': state,
                            'functional': 'GGA+U' if path == 3 else 'GGA',
                            'structural_class': group,
                            'structural_group': group,
                            'path_label': f'PATH {path}',
                        }
                    )
    frame = pd.DataFrame(rows).astype({'n_atoms': 'Int64'})
    frame.loc[[3, 11], 'barrier'] = (6.5, 9.25)
    frame.loc[5, 'name'] = '<b>&"NaX"</b>'  # a name that HTML would read as markup
    return frame


def property_rows(n: int = 120) -> pd.DataFrame:
    """Return crystals with a property whose distribution has a long tail."""
    random = np.random.default_rng(8)
    return pd.DataFrame(
        {
            'name': [f'crystal {number}' for number in range(n)],
            'lattice': CELL,
            'species': [json.dumps(list(pair)) for pair in random.choice(['Ga', 'As', 'Zn', 'O'], (n, 2))],
            'frac_coords': '[[0,0,0],[0.5,0.5,0.5]]',
            'n_atoms': pd.array([2] * n, dtype='Int64'),
            'target': random.lognormal(1, 1, n),
        }
    )
