"""Small trainings as jobs of the worker, and the worker as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.learning import Architecture, Hardware, Target, TrainingSettings, TrainJob

#: An architecture with all kinds of layers; one of few features.
SMALL = Architecture(alignn_layers=2, gcn_layers=2, hidden=8, embedding=6, edge_bins=10, angle_bins=5)
PAIRS = ('NaCl', 'LiF', 'MgO', 'CaO', 'SrO', 'BaO', 'KCl', 'KBr', 'NiO', 'MnO', 'CoO', 'FeO', 'LiH', 'NaF')
PARTS = ['train'] * 9 + ['validation'] * 2 + ['test'] * 2 + ['unused']


def rows() -> pd.DataFrame:
    """Return 14 rocksalts with a number each."""
    half = 0.5 * (1 - np.eye(3))
    species = [[pair[: 2 if pair[1].islower() else 1], pair[2 if pair[1].islower() else 1 :]] for pair in PAIRS]
    return pd.DataFrame(
        {
            'name': pd.Series(PAIRS, dtype='str'),
            'lattice': [json.dumps((4.0 + 0.1 * number) * half, default=np.ndarray.tolist) for number in range(14)],
            'species': [json.dumps(pair) for pair in species],
            'frac_coords': '[[0,0,0],[0.5,0.5,0.5]]',
            'target': np.cos(np.arange(14.0)),
        }
    )


def write_job(folder: Path, *, frame=None, parts=PARTS, hardware=None, training=None, **entries) -> Path:
    """Write a job with its files, and return the job file."""
    folder.mkdir(exist_ok=True)
    frame = rows() if frame is None else frame
    split = pd.DataFrame({'name': frame['name'], 'part': pd.Series(parts, dtype='str')})
    (folder / 'rows.parquet').write_bytes(write_parquet(frame))
    (folder / 'split.parquet').write_bytes(write_parquet(split))
    job = TrainJob(
        targets=[Target(label='y', property='cosine', unit='eV', dataset='rows.parquet', split='split.parquet')],
        training=TrainingSettings(**{'epochs': 4, 'batch_size': 4, 'early_stopping': None, **(training or {})}),
        hardware=Hardware(**{'device': 'cpu', 'threads': 1, **(hardware or {})}),
        **{'architecture': SMALL, **entries},
    )
    path = folder / 'job.json'
    path.write_text(job.model_dump_json())
    return path


def start(path: Path, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the worker with a job, and with more variables."""
    command = [sys.executable, '-m', 'aiida_embarrier.worker.main', 'run', str(path)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **(variables or {})}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
