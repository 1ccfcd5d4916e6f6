"""The training loop: steps as by hand, and endings that lead to the same weights however often it is stopped."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from aiida_embarrier.jobs.learning import Hardware, TrainingSettings
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.checkpoint import read_checkpoint, write_checkpoint
from aiida_embarrier.learning.devices import choose_device
from aiida_embarrier.learning.loaders import CrystalItems
from aiida_embarrier.learning.optimiser import make_optimiser
from aiida_embarrier.learning.places import Place
from aiida_embarrier.learning.processes import deterministic, open_fabric
from aiida_embarrier.learning.training import Hooks, Trainer


@pytest.fixture(autouse=True)
def _same_bits():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with deterministic(True):
        yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Points:
    """Rows of numbers instead of crystals."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def batch(self, numbers):
        return self.inputs[torch.as_tensor(numbers)]

    def portions(self, numbers):
        return np.array_split(np.arange(len(numbers)), 2)


class Network(torch.nn.Module):
    """A network that draws random numbers and keeps statistics, as networks do."""

    def __init__(self, n_targets=1, dropout=0.2):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 16),
            torch.nn.BatchNorm1d(16),
            torch.nn.SiLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(16, n_targets),
        )

    def forward(self, rows):
        return self.layers(rows)


def points(n_targets=1):
    """Return 50 rows whose targets are a smooth function of them."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 3, generator=generator)
    columns = [torch.sin(inputs[:, 0]) + 0.3 * inputs[:, 1], inputs[:, 2] ** 2]
    return Points(inputs, torch.stack(columns[:n_targets], dim=1))


def make_trainer(model=None, items=None, validation=10, labels=('y',), **settings):
    torch.manual_seed(3)
    model = Network(len(labels)) if model is None else model()
    items = points(len(labels)) if items is None else items
    settings = TrainingSettings(**{'epochs': 8, 'batch_size': 12, 'lr': 0.02, **settings})
    fabric = open_fabric(choose_device(Hardware(device='cpu'), settings.precision), settings.precision, Place())
    n_rows = len(items.targets)
    training = np.arange(n_rows - validation)
    return Trainer(
        model, items, training, np.arange(n_rows - validation, n_rows), settings, fabric, Place(), tuple(labels)
    )


def same(first, second):
    one, other = first.model.state_dict(), second.model.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def after(n_steps):
    """Return a function that asks to stop after so many steps."""
    count = iter(range(10**6))
    return lambda: 'enough' if next(count) + 1 == n_steps else None


def test_it_learns_and_keeps_the_best():
    trainer = make_trainer(epochs=20)
    told = []
    status, reason = trainer.run(Hooks(on_epoch=told.append))
    assert (status, reason) == ('trained', None)
    assert told == trainer.curve
    assert [entry['epoch'] for entry in told] == list(range(1, 21))
    assert told[-1]['mae_validation'] < 0.5 * told[0]['mae_validation']
    assert told[-1]['loss_train'] < 0.5 * told[0]['loss_train']
    errors = [entry['mae_validation'] for entry in told]
    best = trainer.keep()
    assert errors[best - 1] == min(errors)
    found = trainer.predict(np.arange(40, 50))
    assert float((found - trainer._items.targets[40:]).abs().mean()) == pytest.approx(min(errors), rel=1e-6)


def test_the_last_weights_can_be_kept():
    trainer = make_trainer(keep='last')
    trainer.run(Hooks())
    last = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert trainer.keep() == 8
    assert all(torch.equal(last[name], value) for name, value in trainer.model.state_dict().items())


def test_without_validation_rows_the_last_are_kept():
    trainer = make_trainer(validation=0, early_stopping=1)
    assert trainer.run(Hooks()) == ('trained', None)
    assert trainer.keep() == 8
    assert trainer.curve[-1]['mae_validation'] is None


@pytest.mark.parametrize('n_steps', [1, 4, 13, 32])
def test_a_training_that_was_stopped_ends_with_the_same_bits(n_steps, tmp_path):
    whole = make_trainer()
    whole.run(Hooks())
    stopped = make_trainer()
    path = tmp_path / 'checkpoint'
    hooks = Hooks(after(n_steps), on_checkpoint=lambda *state: write_checkpoint(path, *state))
    assert stopped.run(hooks) == (None, 'enough')
    torch.manual_seed(999)
    goes_on = make_trainer()
    assert goes_on.restore(*read_checkpoint(path)) == []
    assert goes_on.run(Hooks()) == ('trained', None)
    assert same(goes_on, whole)
    for entry, expected in zip(goes_on.curve, whole.curve, strict=True):
        for name in ('epoch', 'lr', 'loss_train', 'loss_validation', 'mae_validation'):
            assert entry[name] == expected[name]
    assert goes_on.keep() == whole.keep()
    assert same(goes_on, whole)


def test_checkpoints_on_the_way_change_nothing(tmp_path):
    whole = make_trainer()
    whole.run(Hooks())
    trainer = make_trainer()
    states = []
    trainer.run(
        Hooks(
            on_checkpoint=lambda tensors, header: states.append(
                ({name: value.clone() for name, value in tensors.items()}, header | {'curve': list(header['curve'])})
            ),
            checkpoint_seconds=0,
        )
    )
    assert same(trainer, whole)
    assert len(states) == 8 * 4 + 1
    goes_on = make_trainer()
    goes_on.restore(*states[17])
    goes_on.run(Hooks())
    assert same(goes_on, whole)


def test_a_network_of_crystals_goes_on_with_the_same_bits(small_graphs, tiny, tmp_path):
    items = CrystalItems(small_graphs, torch.linspace(-1, 1, 12)[:, None])

    def trainer():
        return make_trainer(lambda: ALIGNN(tiny, ['y']), items, validation=3, epochs=3, batch_size=4)

    whole, stopped, goes_on = trainer(), trainer(), trainer()
    whole.run(Hooks())
    path = tmp_path / 'checkpoint'
    stopped.run(Hooks(after(5), on_checkpoint=lambda *state: write_checkpoint(path, *state)))
    goes_on.restore(*read_checkpoint(path))
    goes_on.run(Hooks())
    assert same(goes_on, whole)


def test_another_number_of_threads_is_told():
    trainer = make_trainer()
    tensors, header = trainer.state()
    notes = make_trainer().restore(tensors, {**header, 'threads': 7})
    assert notes == ['the training goes on with threads 1 after 7: its last digits may differ']


def test_a_step_is_that_of_torch():
    settings = {'gradient_clip': 0.05, 'loss': 'huber', 'weight_decay': 0.3, 'schedule': 'constant', 'shuffle': False}
    trainer = make_trainer(lambda: Network(dropout=0.0), epochs=1, batch_size=40, **settings)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.run(Hooks())

    torch.manual_seed(3)
    model = Network(dropout=0.0)
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())
    items = points()
    loss = torch.nn.functional.huber_loss(model(items.inputs[:40]), items.targets[:40], delta=0.1)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
    decaying = [value for name, value in model.named_parameters() if value.ndim == 2]
    others = [value for name, value in model.named_parameters() if value.ndim == 1]
    groups = [{'params': decaying, 'weight_decay': 0.3}, {'params': others, 'weight_decay': 0.0}]
    torch.optim.AdamW(groups, lr=0.02).step()
    for name, value in model.named_parameters():
        assert torch.allclose(dict(trainer.model.named_parameters())[name], value, atol=1e-6), name
    assert trainer.curve[0]['loss_train'] == pytest.approx(loss.item(), rel=1e-6)


def test_what_decays():
    model = Network()
    groups = make_optimiser(model, TrainingSettings(weight_decay=0.1)).param_groups
    assert [(group['weight_decay'], len(group['params'])) for group in groups] == [(0.1, 2), (0.0, 4)]
    groups = make_optimiser(model, TrainingSettings(weight_decay=0.1, decay_all=True)).param_groups
    assert [(group['weight_decay'], len(group['params'])) for group in groups] == [(0.1, 6)]
    model.layers[0].requires_grad_(False)
    assert sum(len(group['params']) for group in make_optimiser(model, TrainingSettings()).param_groups) == 4
    with pytest.raises(ValueError, match='no parameter of the model is to be trained'):
        make_optimiser(model.requires_grad_(False), TrainingSettings())


def test_mixed_precision_learns_in_single_precision_weights():
    trainer = make_trainer(precision='bf16-mixed', epochs=20)
    assert trainer.run(Hooks())[0] == 'trained'
    assert trainer.curve[-1]['loss_train'] < 0.7 * trainer.curve[0]['loss_train']
    assert {value.dtype for value in trainer.model.parameters()} == {torch.float32}


def test_several_targets_of_which_some_are_missing():
    items = points(2)
    items.targets[::2, 1] = torch.nan
    trainer = make_trainer(items=items, labels=('a', 'b'), multi_loss='balanced', epochs=30)
    trainer.run(Hooks())
    last = trainer.curve[-1]
    assert last['mae_validation'] == pytest.approx((last['mae_validation_a'] + last['mae_validation_b']) / 2)
    assert last['loss_train'] < 0.5 * trainer.curve[0]['loss_train']


@pytest.mark.filterwarnings('ignore:overflow')
def test_a_training_that_runs_away_ends_and_keeps_what_was_good():
    trainer = make_trainer(lambda: torch.nn.Linear(3, 1), epochs=50, lr=1e30, schedule='constant', shuffle=False)
    assert trainer.run(Hooks())[0] == 'diverged'
    assert len(trainer.curve) < 50
    kept = trainer.keep()
    assert kept is None or all(value.isfinite().all() for value in trainer.model.parameters())


def test_a_loss_that_is_no_number_ends_the_epoch():
    items = points()
    items.inputs[20] = torch.nan
    trainer = make_trainer(items=items)
    assert trainer.run(Hooks())[0] == 'diverged'
    assert trainer.keep() is None
    assert math.isnan(trainer.curve[-1]['loss_train'])
    assert len(trainer.curve) == 1


def test_a_training_that_does_not_move_has_stalled():
    def far_off():
        model = torch.nn.Linear(3, 1)
        torch.nn.init.constant_(model.bias, 5.0)
        return model

    trainer = make_trainer(far_off, epochs=100, lr=1e-12, early_stopping=None)
    assert trainer.run(Hooks())[0] == 'stalled'
    assert len(trainer.curve) == 21


def test_early_stopping():
    trainer = make_trainer(epochs=200, early_stopping=5)
    assert trainer.run(Hooks())[0] == 'stopped_early'
    assert len(trainer.curve) == trainer.keep() + 5
