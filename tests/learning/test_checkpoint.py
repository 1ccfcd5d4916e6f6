"""Checkpoints: what is written is read, and what is altered, cut off or of another training is refused."""

import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aiida_embarrier.learning.checkpoint import (
    CheckpointError,
    check_fingerprints,
    random_state,
    read_checkpoint,
    restore_random_state,
    write_checkpoint,
)

TENSORS = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.tensor(7), 'c': torch.zeros(0)}
HEADER = {'epoch': 3, 'curve': [{'loss': 0.1}], 'fingerprints': {'data': '1', 'settings': '2'}}


def test_round_trip(tmp_path):
    path = tmp_path / 'new folder' / 'checkpoint'
    write_checkpoint(path, TENSORS, HEADER)
    tensors, header = read_checkpoint(path)
    assert header == HEADER
    assert all(
        torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in TENSORS.items()
    )
    assert [entry.name for entry in path.parent.iterdir()] == ['checkpoint']


def test_tensors_that_share_memory_are_written_apart(tmp_path):
    shared = torch.arange(4.0)
    write_checkpoint(tmp_path / 'x', {'a': shared, 'b': shared[1:], 'c': shared.view(2, 2).T}, HEADER)
    assert torch.equal(read_checkpoint(tmp_path / 'x')[0]['c'], shared.view(2, 2).T)


def test_one_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / 'checkpoint'
    write_checkpoint(path, TENSORS, HEADER)

    def full(*_, **__):
        (tmp_path / 'checkpoint.partial').write_text('half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('aiida_embarrier.learning.checkpoint.save_file', full)
    with pytest.raises(OSError, match='No space left'):
        write_checkpoint(path, {}, {})
    assert read_checkpoint(path)[1] == HEADER
    assert not (tmp_path / 'checkpoint.partial').exists()


@pytest.mark.parametrize('length', [0, 7, 100, -1])
def test_one_that_is_cut_off_is_refused(tmp_path, length):
    path = tmp_path / 'checkpoint'
    write_checkpoint(path, TENSORS, HEADER)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match='cannot be read'):
        read_checkpoint(path)


def test_what_is_none_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match='does not exist'):
        read_checkpoint(tmp_path / 'nothing')
    save_file({'a': torch.zeros(1)}, tmp_path / 'weights')
    with pytest.raises(CheckpointError, match='no checkpoint of a training'):
        read_checkpoint(tmp_path / 'weights')
    save_file({'a': torch.zeros(1)}, tmp_path / 'other', metadata={'format': 'other', 'header': json.dumps({})})
    with pytest.raises(CheckpointError, match="of the format 'other'"):
        read_checkpoint(tmp_path / 'other')


def test_one_of_another_training_is_refused(tmp_path):
    check_fingerprints(tmp_path, {'data': '1', 'settings': '2'}, {'data': '1', 'settings': '2'})
    with pytest.raises(CheckpointError, match='is of another training: architecture and settings differ'):
        check_fingerprints(
            tmp_path, {'data': '1', 'settings': '2'}, {'architecture': '0', 'data': '1', 'settings': '3'}
        )


def test_random_numbers_go_on_where_they_were():
    def draw():
        return [
            float(torch.randn(())),
            float(torch.rand(())),
            random.random(),
            random.gauss(0, 1),
            np.random.rand(),  # noqa: NPY002  (what other packages may draw from)
            np.random.standard_normal(),  # noqa: NPY002
        ]

    draw()
    random.gauss(0, 1)  # the second number of a pair is kept for the next time
    np.random.standard_normal()  # noqa: NPY002
    device = torch.device('cpu')
    states = random_state(device)
    expected = [draw() for _ in range(3)]
    restore_random_state(states, device)
    assert [draw() for _ in range(3)] == expected
