"""Datasets, splits and models as nodes, small enough to train on in a second."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save

from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.model import ModelData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.jobs.learning import GraphSettings, ModelCard, Scaler, TrainingSettings, architecture_of

#: An architecture that trains in milliseconds; layer norm, so that processes together compute what one does.
TINY = {'base': 'tiny', 'hidden': 8, 'embedding': 6, 'edge_bins': 8, 'angle_bins': 5, 'norm': 'layer'}
PARAMETERS: dict[str, Any] = {'architecture': TINY, 'training': {'epochs': 3, 'batch_size': 4, 'lr': 0.01}}
#: Cations of rocksalts, and one of the periods that their property depends on.
CATIONS = ('Li', 'Na', 'K', 'Mg', 'Ca', 'Sr')


def rows(n: int = 18, missing: tuple[int, ...] = ()) -> pd.DataFrame:
    """Return rocksalts with a number that follows their lattice constant.

    :param missing: rows whose number is infinite.
    """
    entries = []
    for number in range(n):
        constant = 4.0 + 0.1 * number
        half = constant / 2
        entries.append(
            {
                'name': f'salt_{number}',
                'lattice': json.dumps([[0, half, half], [half, 0, half], [half, half, 0]]),
                'species': json.dumps([CATIONS[number % len(CATIONS)], 'Cl' if number % 2 else 'F']),
                'frac_coords': '[[0,0,0],[0.5,0.5,0.5]]',
                'n_atoms': 2,
                'target': np.inf if number in missing else 10.0 - constant + 0.3 * (number % 3),
            }
        )
    return pd.DataFrame(entries).astype({'n_atoms': 'Int64'})


def dataset(n: int = 18, **entries: Any) -> DatasetData:
    """Return those rows as a dataset of band gaps."""
    about = {'target': 'band gap', 'target_unit': 'eV'} | entries
    missing = about.pop('missing', ())
    return DatasetData(rows(n, missing), schema='property', **about)


def split(n: int = 18, **parts: str) -> TableData:
    """Return a split of 2/3 train, the rest validation and test.

    :param parts: of rows that are to have others, by their names.
    """
    names = [f'salt_{number}' for number in range(n)]
    usual = ['validation' if number % 6 == 4 else 'test' if number % 6 == 5 else 'train' for number in range(n)]
    return TableData(
        pd.DataFrame({'name': names, 'part': [parts.get(name, part) for name, part in zip(names, usual, strict=True)]})
    )


def model(**entries: Any) -> ModelData:
    """Return a model of band gaps whose weights are those of a head only."""
    scalers = entries.pop('scalers', [Scaler(label='gap', property='band gap', unit='eV')])
    tensors = {f'heads.{scaler.label}.bias': np.array([0.5], dtype=np.float32) for scaler in scalers}
    weights = save(tensors)
    card = ModelCard(
        architecture=architecture_of(TINY),
        graphs=GraphSettings(),
        scalers=scalers,
        training=TrainingSettings(),
        n_parameters=len(scalers),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        **entries,
    )
    return ModelData(weights, card)
