"""Follow the progress files of running jobs, on this machine and on others."""

from __future__ import annotations

import json
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from aiida.common.exceptions import NotExistent
from aiida.manage import get_manager
from aiida.orm import CalcJobNode

from aiida_embarrier.jobs.progress import read_lines
from aiida_embarrier.jobs.schemas import PROGRESS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.orm import ProcessNode
    from aiida.transports import Transport

__all__ = ('ProgressFollower', 'is_here', 'output_name', 'refresh_database', 'running_jobs')

#: Of a file that is met for the first time no more than its end is read, in bytes: about a thousand steps of a band.
LONGEST_TAIL = 262144
LONGEST_LINE = 8192


def running_jobs(node: ProcessNode) -> list[CalcJobNode]:
    """Return the jobs of a process that are not done: those below it, or a job itself."""
    if isinstance(node, CalcJobNode):
        return [] if node.is_terminated else [node]
    return [job for child in node.called if not child.is_terminated for job in running_jobs(child)]


def is_here(job: CalcJobNode) -> bool:
    """Return whether the folder of a job is on this machine."""
    try:
        return job.computer.transport_type == 'core.local'
    except NotExistent:  # an imported job, whose computer is not known here
        return False


def output_name(job: CalcJobNode) -> str | None:
    """Return the name of the file into which the program of a job prints, None where that is not known."""
    try:
        told = json.loads(job.base.repository.get_object_content('.aiida/calcinfo.json'))
        name = told['codes_info'][0]['stdout_name']
    except (OSError, KeyError, IndexError, ValueError):
        return None
    return str(name) if name else None


def refresh_database() -> None:
    """Let what is read next be what other processes wrote last: SQLite shows a session what was there at its start."""
    get_manager().get_profile_storage().get_session().commit()


class _File(Protocol):
    """A file that grows."""

    def size(self) -> int:
        """Return its bytes, 0 where it is not there yet."""
        ...

    def read(self, begin: int, count: int) -> bytes:
        """Return a part of it."""
        ...


class _LocalFile:
    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def size(self) -> int:
        return self._path.stat().st_size if self._path.is_file() else 0

    def read(self, begin: int, count: int) -> bytes:
        with self._path.open('rb') as handle:
            handle.seek(begin)
            return handle.read(count)


class _RemoteFile:
    def __init__(self, path: str, transport: Transport) -> None:
        self._name, self._transport = shlex.quote(path), transport

    def size(self) -> int:
        return int(self._run(f'cat {self._name} 2> /dev/null | wc -c'))

    def read(self, begin: int, count: int) -> bytes:
        return self._run(f'tail -c +{begin + 1} {self._name} | head -c {count}')

    def _run(self, command: str) -> bytes:
        _, output, _ = self._transport.exec_command_wait_bytes(command)
        return bytes(output)


@dataclass
class _Place:
    """How far a file was read, and the beginning of a line that was not complete."""

    offset: int = 0
    rest: bytes = b''


class ProgressFollower:
    """Reads what jobs add to their progress files; of files on other machines only what is new travels.

    A context manager: connections to other computers stay open until its end, and are opened again where they broke.

    :param through_transport: read the files of this machine through AiiDA's transport, too.
    """

    def __init__(self, through_transport: bool = False) -> None:
        self._through_transport = through_transport
        self._transports: dict[int, Transport] = {}
        self._places: dict[str, _Place] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()

    def connects(self, job: CalcJobNode) -> bool:
        """Return whether reading the file of a job needs a connection."""
        return self._through_transport or not is_here(job)

    def read(self, job: CalcJobNode) -> list[dict[str, Any]]:
        """Return the lines of a job that are new since the last call; the first line is among those of the first call.

        :raises OSError: where the file cannot be read or the other computer cannot be reached.
        """
        folder = job.get_remote_workdir()
        if folder is None:
            return []
        with self._opened(job, f'{folder}/{PROGRESS_FILE}') as file:
            return self._read(file, job.uuid)

    def last_line(self, job: CalcJobNode) -> tuple[str, str] | None:
        """Return the name of the file into which the program of a job prints, and its last line; None without any.

        :raises OSError: where the file cannot be read or the other computer cannot be reached.
        """
        folder, name = job.get_remote_workdir(), output_name(job)
        if folder is None or name is None:
            return None
        with self._opened(job, f'{folder}/{name}') as file:
            size = file.size()
            text = file.read(max(0, size - LONGEST_LINE), LONGEST_LINE).decode(errors='replace') if size else ''
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return (name, lines[-1]) if lines else None

    @contextmanager
    def _opened(self, job: CalcJobNode, path: str) -> Iterator[_File]:
        if not self.connects(job):
            yield _LocalFile(path)
            return
        try:
            yield _RemoteFile(path, self._transport(job))
        except Exception as error:  # each kind of transport has its own
            self._transports.pop(job.computer.pk, None)
            raise OSError(f'the computer {job.computer.label} cannot be read from: {error}') from error

    def _read(self, file: _File, key: str) -> list[dict[str, Any]]:
        size = file.size()
        place = self._places.setdefault(key, _Place())
        if size < place.offset:  # another file of that name: the job was started again
            place = self._places[key] = _Place()
        if size == place.offset:
            return []
        if place.offset == 0 and size > LONGEST_TAIL:
            first = file.read(0, LONGEST_LINE).partition(b'\n')[0]
            new = first + b'\n' + file.read(size - LONGEST_TAIL, LONGEST_TAIL).partition(b'\n')[2]
        else:
            new = file.read(place.offset, size - place.offset)
        place.offset = size
        complete, _, place.rest = (place.rest + new).rpartition(b'\n')
        return read_lines(complete.decode())

    def _transport(self, job: CalcJobNode) -> Transport:
        transport = self._transports.get(job.computer.pk)
        if transport is None:
            transport = job.get_authinfo().get_transport()
            transport.open()
            self._transports[job.computer.pk] = transport
        return transport
