"""The files of a transfer study that takes seconds: salts with two properties, and a network of a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    from pathlib import Path

CATIONS = {'Li': 0.76, 'Na': 1.02, 'K': 1.38, 'Rb': 1.52, 'Mg': 0.72, 'Ca': 1.0, 'Sr': 1.18, 'Ba': 1.35}
ANIONS = {'F': 1.33, 'Cl': 1.81, 'Br': 1.96, 'I': 2.2, 'O': 1.4, 'S': 1.84, 'Se': 1.98, 'Te': 2.21}
#: An architecture that trains in milliseconds.
ARCHITECTURE = {'base': 'tiny', 'hidden': 8, 'embedding': 6, 'edge_bins': 10, 'angle_bins': 5}
CELLS = {
    'rocksalt': ([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [0.5, 0.5, 0.5], 2.0),
    'caesium': ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0.5, 0.5, 0.5], 1.15),
}


def salts(anions: tuple[str, ...], prefix: str) -> pd.DataFrame:
    """Return salts of all cations with some anions, in two structures; a tenth of them tests.

    :param anions: by which datasets have different crystals.
    :param prefix: of the names of rows.
    """
    rows = []
    for cation, small in CATIONS.items():
        for anion in anions:
            for kind, (cell, place, factor) in CELLS.items():
                constant = factor * (small + ANIONS[anion])
                rows.append(
                    {
                        'name': f'{prefix}-{cation}{anion}-{kind}',
                        'lattice': to_json([[constant * number for number in vector] for vector in cell]),
                        'species': f'["{cation}","{anion}"]',
                        'frac_coords': to_json([[0.0, 0.0, 0.0], place]),
                        'n_atoms': 2,
                        'target': 10.0 / constant + (0.5 if kind == 'caesium' else 0.0),
                        'published_split': 'test' if len(rows) % 8 == 3 else 'train',
                    }
                )
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64'})


def write_study(folder: Path, **changes: Any) -> Path:
    """Write a study of two pre-trainings and a target with its two datasets, and return its file."""
    folder.mkdir(exist_ok=True)
    salts(('Cl', 'Br', 'I', 'S', 'F'), 'gap').to_parquet(folder / 'gaps.parquet')
    salts(('F', 'O', 'Se', 'Te'), 'modulus').to_parquet(folder / 'moduli.parquet')
    study = {
        'title': 'salts',
        'datasets': {
            'gap': {'dataset': 'gaps.parquet', 'property': 'band gap', 'unit': 'eV'},
            'modulus': {'dataset': 'moduli.parquet', 'property': 'bulk modulus', 'unit': 'GPa'},
        },
        'pretraining': {'sources': ['gap']},
        'finetuning': [{'targets': ['modulus'], 'rows': [20], 'trials': 2}],
        'architecture': ARCHITECTURE,
        'training': {'common': {'epochs': 3, 'batch_size': 8, 'lr': 0.01}},
        'hardware': {'device': 'cpu', 'threads': 1},
        'budget': {'max_concurrent': 2},
        **changes,
    }
    file = folder / 'study.yaml'
    file.write_text(yaml.safe_dump(study))
    return file
