"""What the worker says of learning on a machine; `test_runner` asks it about potentials."""

import importlib
import json

import pytest
import torch
from click.testing import CliRunner

from aiida_embarrier.worker import checks
from aiida_embarrier.worker.checks import check_learning
from aiida_embarrier.worker.main import main


def test_check_of_learning():
    report = check_learning('cpu')
    assert (report['error'], report['device']) == (None, 'cpu')
    assert report['load_s'] > 0
    assert {'torch', 'torch-geometric', 'lightning-fabric', 'safetensors'} <= {*report['versions']}


@pytest.mark.parametrize(
    ('broken', 'message'),
    [
        (lambda: torch.zeros(2).view(3), 'is invalid for input of size 2'),
        (lambda: importlib.import_module('lightning_fabrik'), "pip install 'aiida-embarrier[learning]'"),
    ],
)
def test_check_of_learning_that_fails(monkeypatch, broken, message):
    """Whatever torch says, and a package that is not there, become an answer with a remedy."""
    monkeypatch.setattr(checks, '_make_step', lambda _: broken())
    assert message in check_learning('cpu')['error']
    asked = CliRunner().invoke(main, ['check', 'learning', '--device', 'cpu'])
    assert asked.exit_code == 1
    assert message in json.loads(asked.output)['error']
    assert 'no model to choose' in CliRunner().invoke(main, ['check', 'learning', 'large']).output
    assert check_learning('cpu', load=False)['error'] is None


def test_check_of_learning_on_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert 'asks for a GPU' in check_learning('cuda')['error']
