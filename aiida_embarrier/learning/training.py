"""The training loop: steps and epochs, on one process or several, with a state that goes on where it stopped."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from aiida_embarrier.learning.checkpoint import random_state, restore_random_state
from aiida_embarrier.learning.early_ending import best_epoch, ending_of
from aiida_embarrier.learning.loaders import StepOrder, prefetched, share_of
from aiida_embarrier.learning.losses import TargetLoss
from aiida_embarrier.learning.optimiser import make_optimiser
from aiida_embarrier.learning.schedule import rates_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricOptimizer

    from aiida_embarrier.jobs.learning import TrainingSettings
    from aiida_embarrier.learning.early_ending import Status
    from aiida_embarrier.learning.loaders import Items
    from aiida_embarrier.learning.places import Place

__all__ = ('Hooks', 'Trainer')

#: On a GPU every how many steps the loss is looked at and processes agree on stopping: each look waits for the GPU.
_STEPS_BETWEEN_LOOKS = 10


@dataclass(frozen=True)
class Hooks:
    """What a training tells and asks on its way; of several processes only the first one does.

    :param reason_to_stop: asked after each step; returns why the training is to stop, None while it goes on.
    :param on_epoch: told the entry of the curve of each epoch.
    :param on_checkpoint: given tensors and header of a checkpoint to write.
    :param checkpoint_seconds: how often.
    """

    reason_to_stop: Callable[[], str | None] = lambda: None
    on_epoch: Callable[[dict[str, Any]], None] = lambda _: None
    on_checkpoint: Callable[[dict[str, torch.Tensor], dict[str, Any]], None] = lambda _, __: None
    checkpoint_seconds: float = math.inf


@dataclass
class _State:
    """Where a training is.

    :param epoch: epochs that are done.
    :param step: steps of the epoch that runs.
    :param sums: over these steps: loss times rows, and rows.
    :param curve: one entry per epoch.
    :param best: weights of the epoch with the least validation error so far.
    :param seconds: of training, and of the epoch that runs.
    """

    epoch: int = 0
    step: int = 0
    sums: torch.Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    curve: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None
    seconds: float = 0.0
    epoch_seconds: float = 0.0


class Trainer:
    """Trains a model.

    Several processes share the rows of each step. Each adds up the errors of its rows and divides by the number of rows
    of the whole step, so the sum of their gradients is that of one process with all rows, also where their shares
    differ. Gradients are added up once per step instead of by torch's `DistributedDataParallel`, which takes the mean
    over processes and hangs where one has no row. Normalisation over a batch sees the share of its process only;
    its running statistics are those of the processes, averaged by their rows.

    :param model: takes what `items.batch` returns and returns scaled targets, shape (n_rows, n_targets); on the device.
    :param items: what it learns from.
    :param training: numbers of the training rows.
    :param validation: numbers of the validation rows; may be none.
    :param settings: how it is trained.
    :param fabric: device, precision and processes.
    :param place: which process this is.
    :param labels: of the targets.
    :raises ValueError: where no parameter of the model is to be trained.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        items: Items,
        training: np.ndarray,
        validation: np.ndarray,
        settings: TrainingSettings,
        fabric: Fabric,
        place: Place,
        labels: tuple[str, ...],
    ) -> None:
        self.model = model
        self._items = items
        self._order = StepOrder(training, settings.batch_size, settings.seed, settings.shuffle)
        self._validation = validation
        self._settings = settings
        self._fabric = fabric
        self._place = place
        self._labels = labels
        self._loss = TargetLoss(settings)
        self._raw_optimiser = make_optimiser(model, settings)
        self._optimiser = cast('_FabricOptimizer', fabric.setup_optimizers(self._raw_optimiser))
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._state = _State()
        self._state.sums = self._state.sums.to(fabric.device)
        targets = items.targets[training]
        self._loss_of_mean = float(self._loss(targets.nanmean(dim=0).expand_as(targets), targets))
        self._looks = _STEPS_BETWEEN_LOOKS if fabric.device.type == 'cuda' else 1
        self._reason: str | None = None
        self._saved = time.monotonic()

    @property
    def curve(self) -> list[dict[str, Any]]:
        """One entry per epoch: losses and errors in scaled units, rate at its end, seconds."""
        return self._state.curve

    @property
    def seconds(self) -> float:
        """Seconds of training, with those before the checkpoint that it went on from."""
        return self._state.seconds

    @property
    def kept_epoch(self) -> int | None:
        """The epoch whose weights are kept, from 1; None where there are none worth it."""
        best = best_epoch(self.curve)
        if self._settings.keep == 'best' and best is not None:
            return best
        return len(self.curve) if self.curve and math.isfinite(self.curve[-1]['loss_train']) else None

    def keep(self) -> int | None:
        """Give the model the weights that are kept, and return their epoch; None where there are none worth it."""
        if self._settings.keep == 'best' and self._state.best is not None:
            self.model.load_state_dict(self._state.best)
        return self.kept_epoch

    def run(self, hooks: Hooks) -> tuple[Status | None, str | None]:
        """Train until an end.

        :returns: how the training ended, or None and the reason why it was stopped; a checkpoint was handed over then.
        """
        while (status := ending_of(self.curve, self._settings, self._loss_of_mean)) is None:
            if not self._run_epoch(hooks):
                self._hand_over(hooks)
                return None, self._reason
        self._hand_over(hooks)
        return status, None

    def predict(self, numbers: np.ndarray) -> torch.Tensor:
        """Return what the model says of rows, in scaled units, shape (n_rows, n_targets), float32 on the CPU.

        Several processes share the rows; each returns all.
        """
        found = torch.zeros((len(numbers), len(self._labels)), dtype=torch.float32, device=self._fabric.device)
        mine = share_of(np.arange(len(numbers)), self._place.rank, self._place.world)
        steps = [mine[portion] for portion in self._items.portions(numbers[mine])]
        self.model.eval()
        with torch.no_grad():
            batches = prefetched(lambda step: self._items.batch(numbers[step]), steps)
            for step, batch in zip(steps, batches, strict=True):
                found[torch.as_tensor(step, device=found.device)] = self._forward(batch).float()
        return self._summed(found).cpu()

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return everything that :meth:`restore` needs, as tensors and JSON values; all processes call it together."""
        state = self._state
        tensors = {f'model/{name}': value for name, value in self.model.state_dict().items()}
        tensors |= {f'best/{name}': value for name, value in (state.best or {}).items()}
        for name, parameter in self.model.named_parameters():
            for moment, value in self._raw_optimiser.state.get(parameter, {}).items():
                tensors[f'optimiser/{moment}/{name}'] = value
        for name, value in random_state(self._fabric.device).items():
            tensors[f'random/{name}'] = torch.stack(self._everyones(value))
        tensors['sums'] = state.sums
        header = {
            'epoch': state.epoch,
            'step': state.step,
            'curve': state.curve,
            'seconds': state.seconds,
            'epoch_seconds': state.epoch_seconds,
            'threads': torch.get_num_threads(),
            'processes': self._place.world,
            'device': self._fabric.device.type,
            'precision': dict(self._fabric.strategy.precision.state_dict()),
        }
        return tensors, header

    def restore(self, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> list[str]:
        """Go on from what :meth:`state` returned.

        :returns: what may make the weights differ in their last digits from those of a training that was not stopped.
        """
        self.model.load_state_dict(_below('model/', tensors))
        best = _below('best/', tensors)
        device = self._fabric.device
        for name, parameter in self.model.named_parameters():
            moments = {
                moment: tensors[f'optimiser/{moment}/{name}']
                for moment in ('step', 'exp_avg', 'exp_avg_sq')
                if f'optimiser/{moment}/{name}' in tensors
            }
            if moments:
                fused = self._raw_optimiser.defaults['fused']
                self._raw_optimiser.state[parameter] = {
                    moment: value.to(device).clone() if moment != 'step' or fused else value.clone()
                    for moment, value in moments.items()
                }
        self._state = _State(
            epoch=header['epoch'],
            step=header['step'],
            sums=tensors['sums'].to(device),
            curve=list(header['curve']),
            best=best or None,
            seconds=header['seconds'],
            epoch_seconds=header['epoch_seconds'],
        )
        self._fabric.strategy.precision.load_state_dict(header['precision'])
        here = {
            'threads': torch.get_num_threads(),
            'processes': self._place.world,
            'device': device.type,
        }
        states = _below('random/', tensors)
        if self._place.rank < header['processes']:
            restore_random_state({name: value[self._place.rank] for name, value in states.items()}, device)
        return [
            f'the training goes on with {name} {value} after {header[name]}: its last digits may differ'
            for name, value in here.items()
            if value != header[name]
        ]

    def _run_epoch(self, hooks: Hooks) -> bool:
        """Run what is left of an epoch; return whether it ended, which it does not where it is to stop."""
        state, place = self._state, self._place
        steps = self._order.steps(state.epoch)[state.step :]
        shares = [share_of(step, place.rank, place.world) for step in steps]
        started = time.monotonic()
        self.model.train()
        for step, share, batch in zip(steps, shares, prefetched(self._items.batch, shares), strict=True):
            self._step(step, share, batch)
            state.step += 1
            state.epoch_seconds += time.monotonic() - started
            state.seconds += time.monotonic() - started
            started = time.monotonic()
            if state.step % self._looks and state.step < self._order.n_steps:
                continue
            if not math.isfinite(float(state.sums[0])):
                break
            wish = self._wish(hooks)
            if wish == 'stop':
                return False
            if wish == 'save':
                self._hand_over(hooks)
                started = time.monotonic()
        self._end_epoch(started, hooks)
        return True

    def _step(self, step: np.ndarray, share: np.ndarray, batch: Any) -> None:
        """Make a step with the rows of all processes, of which `batch` are those of this one."""
        state, settings, fabric = self._state, self._settings, self._fabric
        lr, momentum = self._rates(state.step)
        for group in self._raw_optimiser.param_groups:
            group['lr'], group['betas'] = lr, (momentum, group['betas'][1])
        self._optimiser.zero_grad()
        loss = torch.zeros((), device=fabric.device)
        if batch is not None:
            targets = self._items.targets[share].to(fabric.device, non_blocking=True)
            sums, weights = self._loss.sums(self._forward(batch), targets)
            if self._place.world > 1:
                everyones = self._items.targets[step]
                weights = self._loss.sums(torch.zeros_like(everyones), everyones)[1].to(fabric.device)
            loss = self._loss.combine(sums, weights)
            fabric.backward(loss)
        loss = loss.detach()
        if self._place.world > 1:
            loss = self._add_up(loss, len(share) / len(step))
        if settings.gradient_clip is not None:
            fabric.clip_gradients(
                self.model, self._optimiser, max_norm=settings.gradient_clip, error_if_nonfinite=False
            )
        self._optimiser.step()
        state.sums[0] += loss.double() * len(step)
        state.sums[1] += len(step)

    def _rates(self, step: int) -> tuple[float, float]:
        """Return learning rate and first momentum at a step of the epoch that runs."""
        n_steps, settings = self._order.n_steps, self._settings
        return rates_at(self._state.epoch * n_steps + step, settings.epochs * n_steps, settings)

    def _forward(self, batch: Any) -> torch.Tensor:
        if self._fabric.device.type != 'cpu':
            batch = batch.to(self._fabric.device, non_blocking=True)
        with self._fabric.autocast():
            return self.model(batch)

    def _add_up(self, loss: torch.Tensor, share: float) -> torch.Tensor:
        """Add up gradients and loss over the processes in one message, and average running statistics; return the loss.

        A head of which no row of any process is has no gradient in a single process either: it stays without one.

        :param share: of the rows of the step that this process has.
        """
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._trained]
        has = torch.tensor([p.grad is not None for p in self._trained], dtype=loss.dtype, device=loss.device)
        statistics = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        pieces = [loss[None], has, *(g.flatten() for g in gradients), *(b.flatten() * share for b in statistics)]
        flat = self._summed(torch.cat(pieces))
        summed = iter(flat.split([len(piece) for piece in pieces]))
        loss, has = next(summed)[0], next(summed)
        for parameter, known in zip(self._trained, has.tolist(), strict=True):
            gradient = next(summed).view_as(parameter)
            parameter.grad = gradient if known else None
        with torch.no_grad():
            for buffer in statistics:
                buffer.copy_(next(summed).view_as(buffer))
        return loss

    def _summed(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum over the processes."""
        return (
            value if self._place.world == 1 else cast('torch.Tensor', self._fabric.all_reduce(value, reduce_op='sum'))
        )

    def _everyones(self, value: torch.Tensor) -> list[torch.Tensor]:
        """Return what each process has for a tensor."""
        if self._place.world == 1:
            return [value]
        own = value.to(self._fabric.device)
        found = [torch.empty_like(own) for _ in range(self._place.world)]
        torch.distributed.all_gather(found, own)  # that of Fabric imports seconds of what is not needed
        return [tensor.cpu() for tensor in found]

    def _end_epoch(self, started: float, hooks: Hooks) -> None:
        state = self._state
        loss, rows = state.sums.tolist()
        entry: dict[str, Any] = {
            'epoch': state.epoch + 1,
            'lr': self._rates(max(state.step - 1, 0))[0],
            'loss_train': loss / rows,
            'loss_validation': None,
            'mae_validation': None,
            'rows_per_s': rows / state.epoch_seconds,
        }
        if len(self._validation) and math.isfinite(loss):
            entry |= self._validate()
        elapsed = time.monotonic() - started
        state.seconds += elapsed
        entry['seconds'] = state.epoch_seconds + elapsed
        state.curve.append(entry)
        state.epoch, state.step, state.epoch_seconds = state.epoch + 1, 0, 0.0
        state.sums = torch.zeros_like(state.sums)
        if best_epoch(state.curve) == state.epoch:
            state.best = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
        if self._place.first:
            hooks.on_epoch(entry)

    def _validate(self) -> dict[str, float]:
        """Return loss and errors of the validation rows; that of several targets is the mean of theirs."""
        targets = self._items.targets[self._validation]
        found = self.predict(self._validation)
        errors = (found - targets).abs().nanmean(dim=0)
        own = {label: float(error) for label, error in zip(self._labels, errors, strict=True)}
        entry = {'loss_validation': float(self._loss(found, targets)), 'mae_validation': float(errors.nanmean())}
        return entry if len(own) == 1 else entry | {f'mae_validation_{label}': value for label, value in own.items()}

    def _wish(self, hooks: Hooks) -> str | None:
        """Return `stop` or `save` where the first process wishes it; all processes call it together."""
        wish = 0
        if self._place.first:
            self._reason = hooks.reason_to_stop()
            if self._reason is not None:
                wish = 2
            elif time.monotonic() - self._saved >= hooks.checkpoint_seconds:
                wish = 1
        return (None, 'save', 'stop')[int(self._summed(torch.tensor(wish, device=self._fabric.device)))]

    def _hand_over(self, hooks: Hooks) -> None:
        tensors, header = self.state()
        if self._place.first:
            hooks.on_checkpoint(tensors, header)
        self._saved = time.monotonic()


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
