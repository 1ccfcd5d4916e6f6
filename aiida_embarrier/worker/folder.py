"""The folder of one job: what the worker reads from it and writes to it, whatever happens to the folder meanwhile."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from aiida_embarrier.bands.io import write_npz
from aiida_embarrier.jobs.schemas import CHECKPOINT_FILE, RESULT_FILE, STOP_FILE
from aiida_embarrier.potentials.checkpoint import CheckpointError, read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.potentials.task import State

__all__ = ('FolderError', 'JobFolder')

LOCK_FILE = 'worker.lock'


class FolderError(RuntimeError):
    """What a job has cannot be written."""


class JobFolder:
    """The folder of one job.

    A folder that somebody deleted while the job ran is made anew, so that what was computed is still handed over.

    :param path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other workers out of the folder; wait where one is at work there.

        A daemon that is killed just after it submitted a job submits it again: the second worker then finds everything
        done in the checkpoint. On file systems without locks there is none.
        """
        try:
            descriptor = os.open(self.path / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o644)
        except OSError:  # read-only: what follows says so
            yield
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                click.echo(f'another worker is at work in {self.path}: waiting for it to end')
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                click.echo(f'warning: {self.path} cannot be locked ({error})')
            yield
        finally:
            os.close(descriptor)

    def read_checkpoint(
        self, fingerprints: Mapping[str, str], restart: str | None, afresh: list[str]
    ) -> dict[str, State]:
        """Return the states of tasks that go on, by their labels.

        The checkpoint that a worker left here before, which was killed and started again by its scheduler, comes first.

        :param fingerprints: what each task computes, by its label.
        :param restart: name of the checkpoint of an earlier job, None where there is none.
        :param afresh: tasks that start afresh whatever that checkpoint says.
        :raises CheckpointError: where the checkpoint of the earlier job cannot be read or does not fit.
        """
        own = self.path / CHECKPOINT_FILE
        if own.is_file() and restart != CHECKPOINT_FILE:
            try:
                states = read_checkpoint(own, fingerprints)
            except CheckpointError as error:
                click.echo(f'warning: not going on from {CHECKPOINT_FILE}: {error}')
            else:
                click.echo(f'going on from {CHECKPOINT_FILE}, which a worker left here')
                return states
        if restart is None:
            return {}
        return read_checkpoint(
            self.path / restart, {label: value for label, value in fingerprints.items() if label not in afresh}
        )

    def write_checkpoint(
        self, states: Mapping[str, State], fingerprints: Mapping[str, str], bands: Mapping[str, Band]
    ) -> None:
        """Write a checkpoint, and bands as they are now to their result files.

        :param bands: by the names of their files.
        :raises FolderError: where it cannot be written; the checkpoint before is still there.
        """
        try:
            _in_spite_of_deletion(lambda: self._write_states(states, fingerprints, bands))
        except OSError as error:
            raise FolderError(
                f'the checkpoint cannot be written to {self.path} ({error}): see that its disk and your quota have '
                'space and that it is writable; the job goes on from the checkpoint before, if there is one'
            ) from error

    def _write_states(
        self, states: Mapping[str, State], fingerprints: Mapping[str, str], bands: Mapping[str, Band]
    ) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.path / CHECKPOINT_FILE, states, fingerprints)
        for name, band in bands.items():
            write_npz(self.path / name, band)

    def write_result(self, result: BaseModel) -> None:
        """Write the result of the job.

        :raises OSError: where it cannot be written.
        """
        text = result.model_dump_json(indent=1)
        _in_spite_of_deletion(lambda: self._write_text(RESULT_FILE, text))

    def _write_text(self, name: str, text: str) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / name
        partial = path.with_name(f'{path.name}.partial')
        try:
            partial.write_text(text)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def remove_result(self) -> None:
        """Remove the result of a worker before, so that it is not taken for that of this one."""
        (self.path / RESULT_FILE).unlink(missing_ok=True)

    def asked_to_stop(self) -> str | None:
        """Return the reason to stop where somebody asked for it with a file."""
        return f'stopped by the file {STOP_FILE!r}' if (self.path / STOP_FILE).exists() else None


def _in_spite_of_deletion(write: Callable[[], None]) -> None:
    """Write files into a folder, and once more where somebody deletes it just between two steps of that."""
    try:
        write()
    except FileNotFoundError:
        write()
