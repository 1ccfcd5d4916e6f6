"""Train a model."""

from __future__ import annotations

import random
import resource
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pandas as pd
import torch

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.learning import (
    CHECKPOINT_FILE,
    CURVE_FILE,
    PREDICTIONS_FILE,
    TrainJob,
    TrainResult,
)
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.learning.checkpoint import (
    CheckpointError,
    check_fingerprints,
    read_checkpoint,
    write_checkpoint,
)
from aiida_embarrier.learning.devices import choose_device
from aiida_embarrier.learning.folding import FoldedGraphs
from aiida_embarrier.learning.graph_store import graphs_of
from aiida_embarrier.learning.loaders import CrystalItems
from aiida_embarrier.learning.model_files import n_parameters, n_trained, read_model, write_model
from aiida_embarrier.learning.places import place_of
from aiida_embarrier.learning.preparation import fingerprints_of, first_model, fit_scalers, read_rows
from aiida_embarrier.learning.processes import (
    OtherProcessError,
    all_or_none,
    deterministic,
    open_fabric,
    others_started,
    wanted_processes,
)
from aiida_embarrier.learning.rows import prediction_table
from aiida_embarrier.learning.scaling import scale
from aiida_embarrier.learning.scores import scores_of
from aiida_embarrier.learning.sizes import MOST_FEATURES
from aiida_embarrier.learning.strategies import check_parent
from aiida_embarrier.learning.training import Hooks, Trainer
from aiida_embarrier.potentials.resources import available_cores
from aiida_embarrier.worker.plain import NoDeviceError, ParentError, RefusedError, Stopped
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from aiida_embarrier.jobs.learning import ModelCard, Scaler, Score
    from aiida_embarrier.learning.alignn import ALIGNN
    from aiida_embarrier.learning.early_ending import Status
    from aiida_embarrier.learning.graph_store import Graphs
    from aiida_embarrier.learning.rows import CrystalRows
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = TrainJob

#: From so many crystals on several processes build the graphs: each takes some seconds to start.
_MANY_CRYSTALS = 2000

#: Crystals that are predicted between two looks at whether to stop.
_CHUNK = 1000


def run(job: TrainJob, context: JobContext) -> TrainResult:
    """Train the model of a job, and predict all of its rows with it.

    Several processes come here, for a job with several; only the first one writes.

    :raises RefusedError: where the job cannot be done as it is.
    """
    training = _Training(job, context)
    threads = torch.get_num_threads()
    try:
        with deterministic(job.training.deterministic):
            return training.run()
    except Stopped as stop:
        return training.interrupted(str(stop))
    finally:
        torch.set_num_threads(threads)


class _Training:
    """One job from its files to its results.

    :param job: what is asked for.
    :param context: its folder, and how it tells of itself.
    """

    def __init__(self, job: TrainJob, context: JobContext) -> None:
        self._job = job
        self._context = context
        self._folder = context.folder
        self._place = place_of()
        self._trainer: Trainer | None = None
        self._model: ALIGNN | None = None
        self._card: ModelCard | None = None
        self._warnings: list[str] = []
        self._entries: dict[str, Any] = {'seed': job.training.seed, 'precision': job.training.precision}

    def run(self) -> TrainResult:
        job = self._job
        try:
            wanted = wanted_processes(job.hardware, self._place)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        self._device()
        parent = self._read_parent()
        alone = self._place.world == 1
        with others_started(self._context.file, self._place, wanted) as self._place:
            fabric = open_fabric(self._device(), job.training.precision, self._place)
            torch.set_num_threads(self._threads(alone))  # Fabric chose as many as there are cores
            try:
                with all_or_none(fabric, self._place):
                    rows, scalers, graphs = self._read()
                with all_or_none(fabric, self._place):  # the others read the graphs that the first one made
                    trainer, hooks = self._prepare(fabric, rows, scalers, graphs or self._graphs(rows), parent)
            except OtherProcessError as error:
                if self._place.first:
                    raise
                raise Stopped(str(error)) from error
            status, reason = trainer.run(hooks)
            if status is None:
                raise Stopped(reason or 'the first process was told to stop')
            return self._finish(status, rows, scalers)

    def _read(self) -> tuple[CrystalRows, list[Scaler], Graphs | None]:
        """Return what is learned from; its graphs only in the first process."""
        try:
            rows = read_rows(self._job, self._folder, partial(self._tell, 'crystals', 'rows'))
            scalers = fit_scalers(self._job, rows, self._folder)
            self._warnings += rows.notes
            return rows, scalers, self._graphs(rows) if self._place.first else None
        except ValueError as error:
            raise RefusedError(str(error)) from error

    def _prepare(
        self,
        fabric: Fabric,
        rows: CrystalRows,
        scalers: list[Scaler],
        graphs: Graphs,
        parent: tuple[ALIGNN, ModelCard] | None,
    ) -> tuple[Trainer, Hooks]:
        """Return the training at its first step, or at that which a checkpoint says."""
        job, device = self._job, fabric.device
        targets = np.stack([scale(scaler, rows.values[:, i]) for i, scaler in enumerate(scalers)], axis=1)
        items = CrystalItems(
            FoldedGraphs(graphs),
            torch.from_numpy(targets.astype(np.float32)),
            MOST_FEATURES[device.type] // job.architecture.hidden,
        )
        _seed(job.training.seed)
        try:
            self._model, self._card = first_model(job, parent, rows, scalers)
        except ValueError as error:
            raise ParentError(str(error)) from error
        self._model.to(device)
        if not self._place.first:  # processes do not draw the same
            _seed(job.training.seed + self._place.rank)
        parts = rows.of_part('train'), rows.of_part('validation')
        try:
            trainer = Trainer(self._model, items, *parts, job.training, fabric, self._place, rows.labels)
            self._trainer = trainer
            fingerprints = fingerprints_of(job, self._card, rows)
            self._restore(fingerprints)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        self._entries |= {
            'rows': rows.counts,
            'n_parameters': n_parameters(self._model),
            'n_trained': n_trained(self._model),
            'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu',
            'n_processes': self._place.world,
        }
        self._warn(scalers)
        return trainer, self._hooks(fingerprints)

    def interrupted(self, reason: str) -> TrainResult:
        """Return the result of a job that was stopped, which leaves a checkpoint, its curve and the best model so far.

        A job that was stopped before its first step hands over the checkpoint that it was to go on from.
        """
        own = self._folder / CHECKPOINT_FILE
        if self._place.first:
            if not own.is_file() and self._job.restart is not None and (self._folder / self._job.restart).is_file():
                shutil.copyfile(self._folder / self._job.restart, own)
            self._write_model()
            self._write_curve()
        entries = {'outcome': Outcome.INTERRUPTED, 'error': reason, 'checkpoint': own.is_file()}
        return self._result(**entries)

    def _tell(self, task: str, unit: str, done: int, total: int) -> None:
        self._context.progress(task, done, total, unit)

    def _device(self) -> torch.device:
        try:
            return choose_device(self._job.hardware, self._job.training.precision, self._place.local_rank)
        except ValueError as error:
            raise NoDeviceError(str(error)) from error

    def _threads(self, alone: bool) -> int:
        """Return the threads of this process.

        :param alone: whether it was started alone, so that its cores are shared with those that it starts itself.
        """
        shared = self._job.hardware.devices if alone else 1
        return self._job.hardware.threads or max(1, available_cores() // shared)

    def _read_parent(self) -> tuple[ALIGNN, ModelCard] | None:
        if not self._job.parent:
            return None
        try:
            model, card = read_model(self._folder, 'parent')
            check_parent(card, self._job.architecture, self._job.graphs)
        except ValueError as error:
            raise ParentError(str(error)) from error
        return model, card

    def _graphs(self, rows: CrystalRows) -> Graphs:
        cache = self._job.hardware.cache
        folder = self._folder / ('graphs' if cache is None else Path(cache).expanduser())
        threads = self._job.hardware.threads
        # the processes of the training wait meanwhile
        cores = available_cores() if threads is None else threads * self._job.hardware.devices
        return graphs_of(
            rows.frame,
            self._job.graphs,
            folder,
            partial(self._tell, 'graphs', 'crystals'),
            cores if len(rows) >= _MANY_CRYSTALS else 1,
        )

    def _restore(self, fingerprints: dict[str, str]) -> None:
        """Go on from a checkpoint: that which a worker left here before it was killed, else that of an earlier job."""
        own = self._folder / CHECKPOINT_FILE
        restart = None if self._job.restart is None else self._folder / self._job.restart
        if own.is_file() and restart != own:
            try:
                self._restore_from(own, fingerprints)
            except CheckpointError as error:
                self._warnings.append(f'not gone on from the {CHECKPOINT_FILE} that lay in the folder: {error}')
                click.echo(f'warning: {self._warnings[-1]}')
            else:
                return
        if restart is not None:
            self._restore_from(restart, fingerprints)

    def _restore_from(self, path: Path, fingerprints: dict[str, str]) -> None:
        assert self._trainer is not None
        tensors, header = read_checkpoint(path)
        check_fingerprints(path, header['fingerprints'], fingerprints)
        self._warnings += self._trainer.restore(tensors, header)
        click.echo(f'going on from {path.name}: {header["epoch"]} epochs and {header["step"]} steps are done')

    def _warn(self, scalers: list[Scaler]) -> None:
        job = self._job
        if self._place.world > 1 and job.architecture.norm == 'batch':
            self._warnings.append(
                f'batch normalisation sees the rows of one of {self._place.world} processes at a time: weights are not '
                'those of one process; `norm: layer` does not depend on it'
            )
        if any(scaler.leaks for scaler in scalers):
            self._warnings.append(
                'the scaling `whole_set` was fitted on all rows, those of the test included: it leaks'
            )

    def _hooks(self, fingerprints: dict[str, str]) -> Hooks:
        job, context = self._job, self._context

        def on_epoch(entry: dict[str, Any]) -> None:
            numbers = {
                'loss': entry['loss_train'],
                'mae': entry['mae_validation'],
                'lr': entry['lr'],
            }
            # whether to stop is asked after each step, where a checkpoint is written
            with suppress(Stopped):
                context.progress('training', entry['epoch'], job.training.epochs, 'epochs', **numbers)

        def on_checkpoint(tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
            try:
                write_checkpoint(self._folder / CHECKPOINT_FILE, tensors, {**header, 'fingerprints': fingerprints})
            except OSError as error:  # the training is worth more; the next one may find space
                warning = f'a checkpoint could not be written ({error}): see that the disk and your quota have space'
                click.echo(f'warning: {warning}')
                if warning not in self._warnings:
                    self._warnings.append(warning)

        return Hooks(
            reason_to_stop=context.reason_to_stop,
            on_epoch=on_epoch,
            on_checkpoint=on_checkpoint,
            checkpoint_seconds=job.checkpoint_seconds,
        )

    def _finish(self, status: Status, rows: CrystalRows, scalers: list[Scaler]) -> TrainResult:
        """Predict all rows with the weights that are kept, and write everything."""
        trainer = self._trainer
        assert trainer is not None
        kept = trainer.keep()
        found = None if kept is None else self._predict(rows)
        if found is not None and not np.isfinite(found).all():
            status, found = 'diverged', None
        if not self._place.first:
            return self._result(status=status)
        self._write_curve()
        scores = []
        if found is None:
            self._warnings.append('no epoch left weights that can be used, so there is no model')
        else:
            table = prediction_table(rows, scalers, found)
            self._write(PREDICTIONS_FILE, write_parquet(table))
            scores = scores_of(table, scalers)
            self._write_model(scores)
        if status == 'diverged':
            self._warnings.append(
                f'the training diverged in epoch {len(trainer.curve)}: lower `lr`, or set `gradient_clip`'
            )
        if status == 'stalled':
            self._warnings.append(
                'the training loss did not move and is that of the mean: raise `lr`, or let more layers be trained'
            )
        (self._folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        return self._result(status=status, scores=scores)

    def _predict(self, rows: CrystalRows) -> np.ndarray:
        """Return what the model says of all crystals, in scaled units, shape (n, n_targets)."""
        assert self._trainer is not None
        found = []
        for start in range(0, len(rows), _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, len(rows)))
            found.append(self._trainer.predict(numbers).numpy())
            if self._place.world == 1:  # where one of several stopped here, the others would wait for it
                self._context.progress('predictions', int(numbers[-1]) + 1, len(rows), 'crystals')
        return np.concatenate(found)

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)  # somebody may have deleted it
        (self._folder / name).write_bytes(content)

    def _write_curve(self) -> None:
        if self._trainer is not None and self._trainer.curve:
            frame = pd.DataFrame(self._trainer.curve)
            self._write(CURVE_FILE, write_parquet(frame.astype({'loss_validation': float, 'mae_validation': float})))

    def _write_model(self, scores: list[Score] | None = None) -> None:
        """Write the model with the weights that are kept, if any epoch left such."""
        if self._trainer is None or self._model is None or self._card is None:
            return
        kept = self._trainer.keep()
        if kept is None:
            return
        card = self._card.model_copy(
            update={
                'epochs': len(self._trainer.curve),
                'best_epoch': kept,
                'scores': scores or [],
                'versions': self._versions(),
            }
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        write_model(self._folder, self._model, card)

    def _versions(self) -> dict[str, str]:
        return versions_of('numpy', 'pandas', 'torch', 'lightning-fabric', 'safetensors')

    def _result(self, **entries: Any) -> TrainResult:
        if self._trainer is not None:
            rates = [entry['rows_per_s'] for entry in self._trainer.curve]
            entries |= {
                'epochs': len(self._trainer.curve),
                'best_epoch': self._trainer.kept_epoch,
                'training_s': self._trainer.seconds,
                'rows_per_s': float(np.median(rates)) if rates else None,
            }
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            entries['peak_gpu_memory_mb'] = torch.cuda.max_memory_allocated() / 1e6
        return TrainResult(
            **self._entries,
            **entries,
            peak_memory_mb=peak,
            warnings=self._warnings,
            versions=self._versions(),
        )


def _seed(seed: int) -> None:
    """Let everything that is drawn follow from a seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (what others may draw from)
    torch.manual_seed(seed)
