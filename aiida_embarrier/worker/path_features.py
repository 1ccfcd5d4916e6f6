"""Describe migration paths by numbers."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pandas as pd

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.model_files import replace_file
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.prediction import (
    FEATURES_CHECKPOINT_FILE,
    FEATURES_FILE,
    PathFeaturesJob,
    PathFeaturesResult,
)
from aiida_embarrier.jobs.schemas import NUMERICS_VERSION
from aiida_embarrier.potentials.evaluator import PotentialError, WeightsError
from aiida_embarrier.potentials.loading import open_evaluator, verify_potential
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.rows import paths_of
from aiida_embarrier.worker.plain import NoDeviceError, RefusedError, Stopped
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path

    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.prediction import BarrierHardware, FeatureSettings
    from aiida_embarrier.potentials.evaluator import Evaluator
    from aiida_embarrier.potentials.task import OptimisationTask
    from aiida_embarrier.prediction.paths import MigrationPath
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'Describer', 'open_potential', 'read_rows', 'run')

JOB = PathFeaturesJob

#: Paths that are described between two looks at whether to stop, without a potential. With one they are described one
#: by one in as many threads as it has processes: three or five images of one path do not keep two of these busy.
_CHUNK = 4
#: What is wrong with the machine or the potential; whatever else goes wrong does so with one path: the others go on.
_OF_ALL_PATHS = (PotentialError, OSError, MemoryError)


def run(job: PathFeaturesJob, context: JobContext) -> PathFeaturesResult:
    """Describe the rows of a job; those that cannot be described keep gaps and a reason.

    :raises RefusedError: where the job cannot be done as it is.
    """
    frame = read_rows(context.folder / job.dataset)
    try:
        paths, left_out = paths_of(frame)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    describer = Describer(job.features, job.hardware, job.checkpoint_seconds)
    warnings = describer.take_over(context, job.restart)
    reason = None
    started = time.monotonic()
    try:
        describer.describe(paths, context)
    except Stopped as stop:
        reason = str(stop)
    finally:
        describer.write_checkpoint(context.folder)
    entries: dict[str, Any] = {
        'n_rows': len(frame),
        'n_taken_over': describer.n_taken_over,
        'potential': describer.potential,
        'device': describer.device,
        'warnings': warnings,
        'versions': versions_of('torch', 'ase', 'scikit-learn'),
    }
    left_checkpoint = (context.folder / FEATURES_CHECKPOINT_FILE).is_file()
    if reason is not None:
        return PathFeaturesResult(outcome=Outcome.INTERRUPTED, error=reason, checkpoint=left_checkpoint, **entries)
    table = describer.table(paths)
    reasons = dict(zip(table['name'], table['reason'], strict=True))
    left_out |= {str(name): why for name, why in reasons.items() if isinstance(why, str)}
    if len(left_out) == len(frame):
        raise RefusedError(f'none of the rows can be described: {next(iter(left_out.values()))}')
    table = table.set_index('name').reindex(frame['name'].astype(str)).reset_index()
    table['reason'] = pd.Series([left_out.get(name) for name in table['name']], dtype='str')
    (context.folder / FEATURES_FILE).write_bytes(write_parquet(table.astype({'name': 'str'})))
    (context.folder / FEATURES_CHECKPOINT_FILE).unlink(missing_ok=True)
    n_new = len(paths) - describer.n_taken_over
    return PathFeaturesResult(
        n_described=len(frame) - len(left_out),
        n_features=len(table.columns) - 2,
        left_out=left_out,
        rows_per_s=n_new / max(time.monotonic() - started, 1e-9) if n_new else None,
        **entries,
    )


def read_rows(path: Path) -> pd.DataFrame:
    """Return the rows of a job.

    :raises RefusedError: where there are none.
    """
    try:
        frame = read_parquet(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RefusedError(f'the rows cannot be read from {path.name}: {error}') from error
    if frame.empty:
        raise RefusedError('there are no rows')
    return frame


@dataclass
class Describer:
    """Describes paths, a few at a time, and remembers what it came to.

    :param settings: what the numbers depend on.
    :param hardware: what it may use.
    :param checkpoint_seconds: how often it writes a checkpoint; None for never.
    """

    settings: FeatureSettings
    hardware: BarrierHardware
    checkpoint_seconds: float | None = None
    potential: PotentialSpec | None = None
    device: str | None = None
    n_taken_over: int = 0
    _done: dict[str, dict[str, Any]] = field(default_factory=dict)
    _written: float = field(default_factory=time.monotonic)

    def take_over(self, context: JobContext, restart: str | None) -> list[str]:
        """Take over what an earlier job described, or a worker that was killed in this folder.

        :param restart: name of the checkpoint of an earlier job.
        :returns: what a reader of the results must know.
        :raises RefusedError: where the checkpoint that is asked for cannot be read.
        """
        warnings = []
        for name in dict.fromkeys((restart, FEATURES_CHECKPOINT_FILE)):
            if name is None or not ((context.folder / name).is_file() or name == restart):
                continue
            try:
                table = read_parquet((context.folder / name).read_bytes())
                records = table.drop(columns='key').to_dict('records')
                self._done |= dict(zip(table['key'], records, strict=True))
            except (OSError, ValueError, KeyError) as error:
                if name == restart:
                    raise RefusedError(f'the checkpoint {name} cannot be read: {error}') from error
                warnings.append(f'not gone on from the {name} that lay in the folder: {error}')
                click.echo(f'warning: {warnings[-1]}')
        return warnings

    def describe(self, paths: Sequence[MigrationPath], context: JobContext) -> None:
        """Describe paths.

        :raises RefusedError: where the potential is not there, or other than asked for.
        :raises NoDeviceError: where there is no such device.
        :raises Stopped: where the job is to stop; what was described is kept.
        """
        left = [path for path in paths if self._key(path) not in self._done]
        self.n_taken_over = len(paths) - len(left)
        if not left:
            return
        with self._open(max(path.n_atoms for path in left)) as evaluator:
            size = _CHUNK if evaluator is None else 1
            chunks = (left[start : start + size] for start in range(0, len(left), size))
            n_threads = 1 if evaluator is None else evaluator.processes
            n_done = self.n_taken_over
            context.progress('describing', n_done, len(paths), 'paths')
            with ThreadPoolExecutor(n_threads) as threads:
                running: dict[Future[None], int] = {}
                while n_done < len(paths):
                    for chunk in islice(chunks, n_threads - len(running)):
                        running[threads.submit(self._describe, chunk, evaluator, context)] = len(chunk)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        n_done += running.pop(future)
                        future.result()
                    if self._is_due():
                        self.write_checkpoint(context.folder)
                    context.progress('describing', n_done, len(paths), 'paths')  # stops here if it is to stop

    def _is_due(self) -> bool:
        return self.checkpoint_seconds is not None and time.monotonic() - self._written > self.checkpoint_seconds

    def table(self, paths: Sequence[MigrationPath]) -> pd.DataFrame:
        """Return `name`, numbers, and `reason` of the paths that were described, in their order."""
        described = [path for path in paths if self._key(path) in self._done]
        found, reasons = _split([self._done[self._key(path)] for path in described])
        found.insert(0, 'name', pd.Series([path.name for path in described], dtype='str'))
        return found.assign(reason=reasons)

    def write_checkpoint(self, folder: Path) -> None:
        """Write what was described so far; where that fails the job goes on, which is worth more."""
        self._written = time.monotonic()
        if self.checkpoint_seconds is None or not self._done:
            return
        done = self._done.copy()  # threads go on
        numbers, reasons = _split(list(done.values()))
        table = numbers.assign(reason=reasons, key=pd.Series(list(done), dtype='str'))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / FEATURES_CHECKPOINT_FILE, write_parquet(table))
        except OSError as error:
            click.echo(f'warning: a checkpoint could not be written ({error})')

    def _open(self, largest: int) -> AbstractContextManager[Evaluator | None]:
        if self.settings.potential is None:
            return nullcontext()
        self.potential, evaluator = open_potential(self.settings.potential, self.hardware, largest)
        self.device = evaluator.device
        return evaluator

    def _describe(self, paths: Sequence[MigrationPath], evaluator: Evaluator | None, context: JobContext) -> None:
        """Describe paths together, and one by one where something is wrong with one of them."""

        def stop_in_time(_: OptimisationTask) -> None:
            reason = context.reason_to_stop()
            if reason is not None:
                raise Stopped(reason)

        try:
            table = describe(paths, evaluator=evaluator, settings=self.settings, on_step=stop_in_time)
        except (*_OF_ALL_PATHS, Stopped):
            raise
        except Exception as error:
            if len(paths) == 1:
                what = '' if isinstance(error, ValueError) else f'{type(error).__name__}: '
                self._done[self._key(paths[0])] = {'reason': f'{paths[0].name}: {what}{error}'}
            else:
                for path in paths:
                    self._describe([path], evaluator, context)
            return
        for path, numbers in zip(paths, table.to_dict('records'), strict=True):
            self._done[self._key(path)] = {str(name): value for name, value in numbers.items()}

    def _key(self, path: MigrationPath) -> str:
        """Return the sha256 of what the numbers of a path depend on."""
        digest = hashlib.sha256()
        about = [NUMERICS_VERSION, self.settings.dumped(), path.ion, path.species, path.functional]
        digest.update(json.dumps(about, sort_keys=True).encode())
        for array in (path.lattice, path.coords, path.points, path.final_coords):
            digest.update(b'none' if array is None else np.ascontiguousarray(array, dtype='<f8').tobytes())
        return digest.hexdigest()


def open_potential(
    potential: PotentialSpec, hardware: BarrierHardware, largest: int
) -> tuple[PotentialSpec, Evaluator]:
    """Return a potential as it was found here, and what evaluates it, a context manager.

    :param largest: atoms in the largest structure.
    :raises RefusedError: where the potential is not there, or other than asked for.
    :raises NoDeviceError: where there is no such device.
    """
    try:
        found = verify_potential(potential)
    except WeightsError as error:
        raise RefusedError(str(error)) from error
    try:
        return found, open_evaluator(found, hardware.device, hardware.processes, largest)
    except PotentialError as error:
        if hardware.device == 'cuda':
            raise NoDeviceError(str(error)) from error
        raise


def _split(records: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.Series]:
    """Return the numbers of paths, and why some have none."""
    frame = pd.DataFrame(records, index=range(len(records)))
    reasons = frame.pop('reason').tolist() if 'reason' in frame else [None] * len(frame)
    # numbers of some hundred columns that come one by one are in as many blocks: a copy has one
    return frame.astype(float).copy(), pd.Series(
        [value if isinstance(value, str) else None for value in reasons], index=frame.index, dtype='str'
    )
