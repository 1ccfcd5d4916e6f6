"""Models as files: what is read is what was written, and what does not fit is refused."""

import hashlib

import pytest
import safetensors.torch
import torch

from aiida_embarrier.jobs.learning import GraphSettings, ModelCard, Scaler, TrainingSettings
from aiida_embarrier.jobs.model_files import ModelFilesError, parse_card
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.model_files import n_parameters, n_trained, read_model, write_model


@pytest.fixture
def card(tiny) -> ModelCard:
    scalers = [Scaler(label=label, property=label, unit='eV') for label in ('gap', 'energy')]
    return ModelCard(architecture=tiny, graphs=GraphSettings(), scalers=scalers, training=TrainingSettings())


def test_what_is_read_is_what_was_written(tmp_path, card, small_graphs):
    model = ALIGNN(card.architecture, card.labels)
    model(collate(small_graphs))  # statistics of batch normalisation belong to the model, too
    written = write_model(tmp_path, model, card, 'parent')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['parent.json', 'parent.safetensors']
    assert written.n_parameters == n_parameters(model)
    assert written.weights_sha256 == hashlib.sha256((tmp_path / 'parent.safetensors').read_bytes()).hexdigest()

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    found, found_card = read_model(tmp_path, 'parent')
    assert found_card == written == parse_card((tmp_path / 'parent.json').read_text())
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)  # what is drawn afterwards is as it was
    assert not found.training
    batch = collate(small_graphs)
    torch.testing.assert_close(found(batch), model.eval()(batch), rtol=0, atol=0)


def test_the_same_model_is_the_same_file(tmp_path, card):
    model = ALIGNN(card.architecture, card.labels)
    digests = {write_model(tmp_path, model, card).weights_sha256 for _ in range(2)}
    model.heads['gap'][0].bias.data += 1
    assert len(digests) == 1
    assert write_model(tmp_path, model, card).weights_sha256 not in digests


def test_a_model_that_cannot_be_written_leaves_the_one_before(tmp_path, card, monkeypatch):
    write_model(tmp_path, ALIGNN(card.architecture, card.labels), card)
    before = (tmp_path / 'model.safetensors').read_bytes()

    def full(path, content):
        path.touch()
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.write_bytes', full)
    with pytest.raises(OSError, match='No space left'):
        write_model(tmp_path, ALIGNN(card.architecture, card.labels), card)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['model.json', 'model.safetensors']
    assert (tmp_path / 'model.safetensors').read_bytes() == before
    read_model(tmp_path)


def test_a_card_of_other_targets(tmp_path, card):
    with pytest.raises(ValueError, match=r"outputs \['energy', 'gap'\], its card \['gap', 'energy'\]"):
        write_model(tmp_path, ALIGNN(card.architecture, ['energy', 'gap']), card)


def test_altered_weights(tmp_path, card):
    write_model(tmp_path, ALIGNN(card.architecture, card.labels), card)
    path = tmp_path / 'model.safetensors'
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelFilesError, match='the sha256 of the weights is'):
        read_model(tmp_path)
    path.write_bytes(content[:-100])
    with pytest.raises(ModelFilesError, match='truncated'):
        read_model(tmp_path)


def forged(tmp_path, card, change) -> None:
    """Write weights that were changed, with a card that fits them as far as can be told without the network."""
    model = ALIGNN(card.architecture, card.labels)
    write_model(tmp_path, model, card)
    state = dict(model.state_dict())
    change(state)
    content = safetensors.torch.save(state)
    (tmp_path / 'model.safetensors').write_bytes(content)
    size = sum(value.numel() for name, value in state.items() if 'running' not in name and 'num_batches' not in name)
    entries = {'weights_sha256': hashlib.sha256(content).hexdigest(), 'n_parameters': size}
    (tmp_path / 'model.json').write_text(card.model_copy(update=entries).model_dump_json())


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda state: state.update({'heads.gap.0.weight': torch.zeros(1, 9)}),
            r'another architecture than the model: heads\.gap\.0\.weight has the shape \(1, 9\), not \(1, 8\)',
        ),
        (
            lambda state: state.pop('atom_embedding.layer.linear.bias'),
            r'another architecture than the model: they have no atom_embedding\.layer\.linear\.bias',
        ),
        (
            lambda state: state.update({'gcn_layers.2.bias': torch.zeros(8)}),
            r'another architecture than the model, which has no gcn_layers\.2\.bias',
        ),
    ],
    ids=['shape', 'missing', 'too many'],
)
def test_weights_of_another_architecture(tmp_path, card, change, message):
    forged(tmp_path, card, change)
    with pytest.raises(ModelFilesError, match=message):
        read_model(tmp_path)


def test_counts(card):
    model = ALIGNN(card.architecture, card.labels)
    total = sum(p.numel() for p in model.parameters())
    assert n_parameters(model) == n_trained(model) == total
    model.heads.requires_grad_(False)
    assert n_trained(model) == total - 2 * 9
    assert n_parameters(model) == total
