"""Download a file so that what arrives is what was asked for: checked by its sha256, resumed where it broke off.

A file under its own name is complete and checked. What is still on its way is called `NAME.part`, with what the server
said of it in `NAME.part.json`; both lie beside it and are gone when it is there. `downloads.json` in the same folder
tells of each file where it came from, its sha256, and whether that was known before.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiida_embarrier.datasets.fetching import CHUNK, WrongLengthError, fetch
from aiida_embarrier.datasets.sources import SHA256, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiida_embarrier.datasets.fetching import Progress
    from aiida_embarrier.datasets.sources import Source

__all__ = ('RECORDS', 'Downloaded', 'UnpinnedError', 'WrongContentError', 'blob_id', 'download', 'sha256_of')

#: Tells of the files of a folder where they came from.
RECORDS = 'downloads.json'


class WrongContentError(ValueError):
    """What arrived, or lies there already, is not the file that was asked for."""


class UnpinnedError(ValueError):
    """Nothing is known that a file could be checked against."""


@dataclass(frozen=True)
class Downloaded:
    """A file that is there now.

    :param path: where.
    :param address: where it was taken from, without passwords and keys.
    :param n_bytes: its length.
    :param sha256: its checksum.
    :param pinned: whether the checksum was known before, and not taken from the file itself.
    :param present: whether it was there already.
    """

    path: Path
    address: str
    n_bytes: int
    sha256: str
    pinned: bool
    present: bool = False


def download(
    source: Source,
    folder: Path,
    *,
    base: str | None = None,
    sha256: str | None = None,
    unpinned: bool = False,
    attempts: int = 5,
    wait: float = 1.0,
    progress: Progress | None = None,
) -> Downloaded:
    """Put a file into a folder and return what is there then; one that is there and right is left alone.

    :param source: what to download.
    :param folder: where to; it is made where it is missing.
    :param base: address (https, http, file) or folder to take it from, instead of where it is published.
    :param sha256: checksum that the file must have, where the source knows none.
    :param unpinned: whether to take a file of unknown checksum on trust.
    :param attempts: how often to try before giving up, where the connection fails or the server is busy.
    :param wait: seconds before the second attempt, doubled from attempt to attempt.
    :param progress: called with the bytes that are there and those of the whole file, None where unknown.
    :raises UnpinnedError: where nothing is known to check the file against, and it is not to be taken on trust.
    :raises WrongContentError: where the file is another one: nothing of it stays. Where another file lies at its place
        already, that one stays.
    :raises ValueError: where the source has no address.
    :raises OSError: where the file cannot be had or written; what arrived stays as `NAME.part` and is continued.
    """
    expected = _expected(source, sha256, unpinned)
    address = source.address(base)
    path = folder / source.file
    folder.mkdir(parents=True, exist_ok=True)
    there = _present(path, expected, address)
    if there is not None:
        return there
    part = path.with_name(f'{path.name}.part')
    with _only_one(folder):
        try:
            # A run that was stopped just before the last step has left all of it.
            if not (expected is not None and part.exists() and sha256_of(part) == expected):
                with _full_disk_said(folder, part):
                    fetch(address, part, source.n_bytes, attempts=attempts, wait=wait, progress=progress)
        except WrongLengthError as error:
            _remove(part)
            raise WrongContentError(f'{source.name}: {error}') from error
        found = sha256_of(part)
        _check(part, source, found, expected, address)
        part.replace(path)
        _remove(part)
        result = Downloaded(path, without_secrets(address), path.stat().st_size, found, expected is not None)
        _record(source, result)
    return result


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    with path.open('rb') as handle:
        return hashlib.file_digest(handle, 'sha256').hexdigest()


def blob_id(path: Path) -> str:
    """Return the id that git gives the content of a file: the sha1 of a header with its length and of the content."""
    digest = hashlib.sha1(f'blob {path.stat().st_size}\0'.encode(), usedforsecurity=False)
    with path.open('rb') as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _expected(source: Source, sha256: str | None, unpinned: bool) -> str | None:
    given = None if sha256 is None else sha256.lower()
    if given is not None and re.match(SHA256, given) is None:
        raise ValueError(f'{sha256!r} is no sha256: 64 hexadecimal digits are needed, as `sha256sum FILE` prints them')
    if source.sha256 is not None and given not in {None, source.sha256}:
        raise ValueError(f'{source.name} has the sha256 {source.sha256}, not {given}: leave out --sha256')
    expected = source.sha256 or given
    if expected is None and not unpinned:
        raise UnpinnedError(
            f'the sha256 of {source.name} is not known here, so a tampered file would not be noticed: give it with '
            '--sha256, or take what comes with --unpinned, which prints and records the sha256 that it has'
        )
    return expected


def _present(path: Path, expected: str | None, address: str) -> Downloaded | None:
    """Return a file that is there already and right, None where there is none.

    :raises WrongContentError: where another one is there.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise WrongContentError(f'{path} is there already and no file: move it away, or choose another folder')
    found = sha256_of(path)
    # Taken on trust once, it is the same as long as it has not changed since.
    trusted = expected or _records(path.parent).get(path.name, {}).get('sha256')
    if found != trusted:
        wanted = 'a file nobody recorded the origin of' if trusted is None else f'not the one of sha256 {trusted}'
        raise WrongContentError(
            f'{path} is there already, with the sha256 {found}: {wanted}. Nothing was changed; move it away, or choose '
            'another folder with --to'
        )
    return Downloaded(path, without_secrets(address), path.stat().st_size, found, expected is not None, present=True)


def _check(part: Path, source: Source, found: str, expected: str | None, address: str) -> None:
    """Remove what arrived and say so, where it is not the file that was asked for."""
    if expected is not None and found != expected:
        reason = f'its sha256 is {found}, not {expected}'
    elif expected is None and source.blob is not None and not blob_id(part).startswith(source.blob):
        reason = f'git would call its content {blob_id(part)[: len(source.blob)]}..., not {source.blob}...'
    else:
        return
    _remove(part)
    raise WrongContentError(
        f'what {without_secrets(address)} holds is not {source.name}: {reason}. It was removed. Either it was changed '
        'on its way or by somebody, or that address has another version: take it from elsewhere with --from'
    )


def _remove(part: Path) -> None:
    for path in (part, part.with_name(f'{part.name}.json')):
        path.unlink(missing_ok=True)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep two downloads into one folder apart; on file systems without locks nothing does."""
    descriptor = os.open(folder, os.O_RDONLY)  # a lock on the folder itself leaves no file behind
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f'another download into {folder} is under way: wait for it to end') from error
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _full_disk_said(folder: Path, part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        free = shutil.disk_usage(folder).free
        there = part.stat().st_size if part.exists() else 0
        raise OSError(
            f'the disk of {folder} or your quota on it is full ({free} bytes are free): make room and run the same '
            f'again, it goes on after the {there} bytes in {part.name}; or choose another folder with --to'
        ) from error


def _records(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        entries = json.loads((folder / RECORDS).read_text(encoding='utf8'))
        if isinstance(entries, dict):
            return entries
    return {}


def _record(source: Source, result: Downloaded) -> None:
    """Write into `downloads.json` where a file came from."""
    folder = result.path.parent
    entries = _records(folder)
    entries[result.path.name] = {
        'source': source.name,
        'title': source.title,
        'address': result.address,
        'n_bytes': result.n_bytes,
        'sha256': result.sha256,
        'pinned': result.pinned,
        'git_blob': source.blob,
        'licence': source.licence,
        'citation': list(source.citation),
        'downloaded': datetime.now(UTC).isoformat(timespec='seconds'),
    }
    temporary = folder / f'.{RECORDS}.{os.getpid()}'
    temporary.write_text(json.dumps(dict(sorted(entries.items())), indent=1, ensure_ascii=False), encoding='utf8')
    temporary.replace(folder / RECORDS)
