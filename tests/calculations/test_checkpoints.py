"""Checkpoints that are fetched from the folders of jobs that were killed."""

import importlib
import pkgutil

import pytest
from aiida.orm import RemoteData

from aiida_embarrier import jobs
from aiida_embarrier.calculations.checkpoints import CHECKPOINTS, fetch_checkpoint


def test_no_job_is_forgotten():
    named = {
        value
        for module in pkgutil.iter_modules(jobs.__path__)
        for name, value in vars(importlib.import_module(f'{jobs.__name__}.{module.name}')).items()
        if name.endswith('CHECKPOINT_FILE')
    }
    assert set(CHECKPOINTS) == named


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_it_is_fetched_as_it_lies_there(aiida_localhost, tmp_path, name):
    (tmp_path / 'progress.jsonl').write_text('')
    (tmp_path / name).write_bytes(b'how far it came')
    folder = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path)).store()
    fetched = fetch_checkpoint(folder=folder)
    assert fetched.filename == name
    assert fetched.get_content(mode='rb') == b'how far it came'
