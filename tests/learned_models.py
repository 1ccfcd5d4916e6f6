"""Small models with weights as they were drawn, and rows for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.jobs.learning import Architecture, GraphSettings, ModelCard, Scaler, Score, TrainingSettings

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE = {
    'base': 'tiny',
    'hidden': 8,
    'embedding': 6,
    'edge_bins': 10,
    'angle_bins': 5,
}


def write_model_folder(folder: Path, labels: tuple[str, ...] = ('gap',), **entries: Any) -> ModelCard:
    """Write a model that nobody trained into a folder, and return its card."""
    import torch

    from aiida_embarrier.learning.alignn import ALIGNN
    from aiida_embarrier.learning.model_files import write_model

    architecture = Architecture(alignn_layers=1, gcn_layers=1, hidden=8, embedding=6, edge_bins=10, angle_bins=5)
    torch.manual_seed(1)
    card = ModelCard(
        architecture=architecture,
        graphs=entries.pop('graphs', GraphSettings()),
        scalers=[Scaler(label=label, property='band gap', unit='eV', method='minmax') for label in labels],
        training=TrainingSettings(epochs=7),
        epochs=5,
        best_epoch=4,
        n_trained=12,
        scores=[Score(label=labels[0], part='test', n=3, mae=0.25, rmse=0.5, r2=0.75, mae_scaled=0.1)],
        **entries,
    )
    folder.mkdir(exist_ok=True)
    return write_model(folder, ALIGNN(architecture, labels), card)


def rocksalts(n: int = 16) -> pd.DataFrame:
    """Return crystals of rock salt with lattice constants from 4 to 6 Å, and a property that falls with these."""
    rows = []
    for number in range(n):
        constant = 4.0 + 2.0 * number / max(n - 1, 1)
        half = constant / 2
        rows.append(
            {
                'name': f'row-{number}',
                'lattice': to_json([[0, half, half], [half, 0, half], [half, half, 0]]),
                'species': '["Na","Cl"]' if number % 2 else '["Li","F"]',
                'frac_coords': '[[0.0,0.0,0.0],[0.5,0.5,0.5]]',
                'n_atoms': 2,
                'target': 12.0 - 1.5 * constant,
                'published_split': 'test' if number % 4 == 0 else 'train',
            }
        )
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64'})
