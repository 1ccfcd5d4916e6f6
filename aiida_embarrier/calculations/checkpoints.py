"""Checkpoints that a job left in its folder and that nobody retrieved."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aiida.engine import calcfunction
from aiida.orm import RemoteData, SinglefileData

from aiida_embarrier.jobs.schemas import CHECKPOINT_FILE

__all__ = ('fetch_checkpoint',)


@calcfunction
def fetch_checkpoint(folder: RemoteData) -> SinglefileData:
    """Return the checkpoint in the folder of a job that was killed before its files were retrieved.

    :param folder: the folder of the job, which holds a checkpoint.
    :raises OSError: where the checkpoint cannot be read.
    """
    with tempfile.TemporaryDirectory() as here:
        path = Path(here) / CHECKPOINT_FILE
        folder.getfile(CHECKPOINT_FILE, str(path))
        return SinglefileData(path, filename=CHECKPOINT_FILE)
