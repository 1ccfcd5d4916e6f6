"""Checkpoints that a job left in its folder and that nobody retrieved."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aiida.engine import calcfunction
from aiida.orm import RemoteData, SinglefileData

from aiida_embarrier.jobs import learning, prediction, schemas

__all__ = ('CHECKPOINTS', 'fetch_checkpoint')

#: Names of checkpoints in folders of jobs: of potentials, of trainings, and of models of barriers.
CHECKPOINTS = (
    schemas.CHECKPOINT_FILE,
    learning.CHECKPOINT_FILE,
    prediction.FEATURES_CHECKPOINT_FILE,
    prediction.MODEL_CHECKPOINT_FILE,
)


@calcfunction
def fetch_checkpoint(folder: RemoteData) -> SinglefileData:
    """Return the checkpoint in the folder of a job that was killed before its files were retrieved.

    :param folder: the folder of the job, which holds a checkpoint.
    :raises OSError: where the checkpoint cannot be read.
    """
    files = folder.listdir()
    name = next((name for name in CHECKPOINTS if name in files), CHECKPOINTS[0])
    with tempfile.TemporaryDirectory() as here:
        path = Path(here) / name
        folder.getfile(name, str(path))
        return SinglefileData(path, filename=name)
