"""Files of models, checked by hand: whole ones pass, and whatever was done to a file is told."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from aiida_embarrier.jobs.learning import Architecture, GraphSettings, ModelCard, Scaler, TrainingSettings
from aiida_embarrier.jobs.model_files import (
    ModelFilesError,
    check_model_files,
    parse_card,
    read_model_files,
    read_tensor_entries,
)


def tensors() -> dict[str, np.ndarray]:
    return {
        'heads.gap.weight': np.array([[1.0, 2.0, 3.0]], dtype=np.float32),
        'heads.gap.bias': np.array([0.5], dtype=np.float32),
        'readout.norm.running_mean': np.zeros(3, dtype=np.float32),
        'readout.norm.num_batches_tracked': np.array(7, dtype=np.int64),
    }


def card_of(weights: bytes, **entries: Any) -> str:
    card = ModelCard(
        architecture=Architecture(hidden=3),
        graphs=GraphSettings(),
        scalers=[Scaler(label='gap', property='band gap', unit='eV')],
        training=TrainingSettings(),
        n_parameters=4,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )
    return json.dumps(card.model_dump(mode='json') | entries)


def test_whole_files(tmp_path):
    weights = save(tensors(), {'format': 'pt'})
    (tmp_path / 'model.safetensors').write_bytes(weights)
    for given in (weights, tmp_path / 'model.safetensors'):
        card = check_model_files(given, card_of(weights))
        assert card.labels == ['gap']
    entries = read_tensor_entries(weights)
    assert {name: (entry.dtype, entry.shape) for name, entry in entries.items()} == {
        'heads.gap.weight': ('F32', (1, 3)),
        'heads.gap.bias': ('F32', (1,)),
        'readout.norm.running_mean': ('F32', (3,)),
        'readout.norm.num_batches_tracked': ('I64', ()),
    }
    entry = entries['heads.gap.weight']
    assert np.frombuffer(weights[entry.start : entry.stop], '<f4').tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content[:-4], 'truncated, .* bytes are there: copy the file again'),
        (lambda content: content[:40], 'truncated, 40 of at least'),
        (lambda content: content[:3], '3 bytes are too few'),
        (lambda content: content + b'more', '4 bytes too many'),
        (lambda content: content[:-1] + b'\x01', 'the sha256 of the weights is .* the card says'),
        (lambda content: b'PK\x03\x04' + content, 'no safetensors file: .* torch.save'),
        (lambda content: content.replace(b'"shape":[1,3]', b'"shape":[1,4]'), 'heads.gap.weight do not lie where'),
        (lambda content: content.replace(b'"dtype"', b'"dtypo"'), 'header of the weights cannot be read'),
        (lambda _: save({'heads.gap.weight': np.zeros(2, dtype=np.float16)}), 'of the type F16, not F32 or I64'),
        (lambda _: (500_000).to_bytes(8, 'little') + b'{"a":' * 100_000, 'header of the weights cannot be read'),
    ],
)
def test_what_was_done_to_weights(change, message):
    weights = save(tensors())
    with pytest.raises(ModelFilesError, match=message):
        check_model_files(change(weights), card_of(weights))


def test_weights_of_another_model():
    other = save({'heads.modulus.weight': np.zeros((1, 4), dtype=np.float32)})
    with pytest.raises(ModelFilesError, match='heads for modulus, the card speaks of gap'):
        check_model_files(other, card_of(other))
    weights = save(tensors())
    twice = card_of(weights, scalers=[{'label': 'gap', 'property': 'band gap'}, {'label': 'gap', 'property': 'width'}])
    with pytest.raises(ModelFilesError, match='heads for gap, the card speaks of gap, gap'):
        check_model_files(weights, twice)
    bigger = save(tensors() | {'gcn_layers.0.weight': np.zeros((5, 5), dtype=np.float32)})
    with pytest.raises(ModelFilesError, match='29 parameters, the card says 4'):
        check_model_files(bigger, card_of(bigger))


def test_weights_that_are_not_finite():
    diverged = save(tensors() | {'heads.gap.bias': np.array([np.nan], dtype=np.float32)})
    with pytest.raises(ModelFilesError, match=r'heads\.gap\.bias holds numbers that are not finite'):
        check_model_files(diverged, card_of(diverged))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'not JSON'),
        ('[]', 'has the format None'),
        ('{"format": "embarrier-model-9"}', "'embarrier-model-9', not 'embarrier-model-1'"),
        ('{"format": "embarrier-model-1"}', 'architecture: Field required'),
        (card_of(b'', epochs='many'), r"epochs: .* \(got 'many'\)"),
        (card_of(b'', epoch=3), 'epoch: Extra inputs are not permitted'),
        (card_of(b'', epoch=3, versions={'aiida-embarrier': '9.1'}), 'aiida-embarrier 9.1 wrote it, .*: install that'),
        (card_of(b'', scalers=[{'label': 'gap', 'property': 'gap', 'centre': np.nan}]), 'centre: .* finite number'),
        (card_of(b'', scalers=[{'label': 'gap', 'property': 'gap', 'width': np.inf}]), 'width: .* finite number'),
        ('[' * 100_000, 'not JSON'),
    ],
)
def test_cards_that_are_none(text, message):
    with pytest.raises(ModelFilesError, match=message):
        parse_card(text)


def test_a_folder(tmp_path):
    with pytest.raises(ModelFilesError, match=r'no file parent\.json to be read in .* \(No such file or directory\)'):
        read_model_files(tmp_path, 'parent')
    weights = save(tensors())
    (tmp_path / 'parent.json').write_text(card_of(weights))
    with pytest.raises(ModelFilesError, match=r'no file parent\.safetensors to be read'):
        read_model_files(tmp_path, 'parent')
    (tmp_path / 'parent.safetensors').write_bytes(weights)
    assert read_model_files(tmp_path, 'parent') == (weights, parse_card(card_of(weights)))
