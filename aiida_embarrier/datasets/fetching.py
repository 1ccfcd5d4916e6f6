"""Bring the bytes of one address into a file, going on where an earlier attempt broke off."""

from __future__ import annotations

import errno
import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from aiida_embarrier.datasets.sources import is_url, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Response, Session

    Progress = Callable[[int, int | None], None]

__all__ = ('CHUNK', 'WrongLengthError', 'fetch')

#: Bytes that are read at a time.
CHUNK = 1 << 16
#: Seconds to wait for a connection, and for the next bytes of one.
TIMEOUT = (10.0, 60.0)
#: Longest pause between two attempts in seconds, whatever a server asks for.
LONGEST_WAIT = 60.0
#: Answers after which another attempt may succeed.
BUSY = {408, 425, 429, 500, 502, 503, 504}


class WrongLengthError(ValueError):
    """The file at an address has not the length of the one that was asked for."""


class _TryAgain(Exception):  # noqa: N818  (it never leaves this module)
    """An attempt failed in a way that the next one may not.

    :param wait: seconds that the server asks to wait.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def fetch(
    address: str,
    part: Path,
    n_bytes: int | None = None,
    *,
    attempts: int = 5,
    wait: float = 1.0,
    progress: Progress | None = None,
) -> None:
    """Bring a file to `part`, going on with what is there of it.

    A file is continued only where the server says that it is still the same (`If-Range` with its ETag or date), and
    begun anew where it does not.

    :param address: an http, https or file address, or a path.
    :param n_bytes: length that the file must have, None where unknown.
    :param attempts: how often to try where the connection fails or the server is busy.
    :param wait: seconds before the second attempt, doubled from attempt to attempt.
    :param progress: called with the bytes that are there and those of the whole file, None where unknown.
    :raises WrongLengthError: where the file has another length; what arrived of it stays.
    :raises OSError: where it cannot be had; what arrived stays.
    """
    report = progress or (lambda _done, _total: None)
    if not is_url(address) or urlsplit(address).scheme == 'file':
        _copy(_path_of(address), part, n_bytes, report)
        return
    from requests import Session

    shown = without_secrets(address)
    with Session() as session:
        for attempt in range(1, attempts + 1):
            try:
                _attempt(session, address, part, n_bytes, report)
                return
            except _TryAgain as error:
                if attempt == attempts:
                    raise OSError(
                        f'{shown} could not be had in {attempts} attempt(s): {error}. {_what_is_there(part)}'
                    ) from error
                time.sleep(min(LONGEST_WAIT, error.wait if error.wait is not None else wait * 2 ** (attempt - 1)))


def _path_of(address: str) -> Path:
    if not is_url(address):
        return Path(address)
    parts = urlsplit(address)
    if parts.netloc not in {'', 'localhost'}:
        raise OSError(f'{address} names a file on the machine {parts.netloc!r}: write file:/// with three strokes')
    return Path(unquote(parts.path))


def _copy(origin: Path, part: Path, n_bytes: int | None, report: Progress) -> None:
    if not origin.is_file():
        raise OSError(f'there is no file {origin}: check the folder that --from or EMBARRIER_DATA_URL names')
    size = origin.stat().st_size
    _check_length(str(origin), size, n_bytes)
    _check_room(part, size)
    with origin.open('rb') as source, part.open('wb') as handle:
        while block := source.read(CHUNK):
            handle.write(block)
            report(handle.tell(), size)


def _attempt(session: Session, address: str, part: Path, n_bytes: int | None, report: Progress) -> None:
    """Ask once for what is missing of a file and write it."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import RequestException, Timeout
    from urllib3.exceptions import HTTPError

    there = part.stat().st_size if part.exists() else 0
    headers = {'Accept-Encoding': 'identity', 'User-Agent': 'aiida-embarrier'}
    validator = _validator(part, address) if there else None
    if validator is not None:
        headers.update({'Range': f'bytes={there}-', 'If-Range': validator})
    try:
        with session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _write(response, address, part, n_bytes, report)
    except (HTTPError, NoConnectionError, Timeout) as error:
        raise _TryAgain(f'the connection failed ({_brief(error)})') from error
    except RequestException as error:
        raise OSError(f'{without_secrets(address)} cannot be asked for: {_brief(error)}') from error


def _write(response: Response, address: str, part: Path, n_bytes: int | None, report: Progress) -> None:
    shown = without_secrets(address)
    status = response.status_code
    if status in BUSY:
        raise _TryAgain(f'the server answers {status} {response.reason}', _retry_after(response))
    there = part.stat().st_size if part.exists() else 0
    start = _start_of(response, there)
    if status == 416 or (status == 206 and start is None):
        # What is there is no beginning of the file, or more than all of it.
        part.unlink(missing_ok=True)
        raise _TryAgain(f'the server cannot go on after {there} bytes', 0.0)
    if status not in {200, 206}:
        raise OSError(f'{shown} answers {status} {response.reason}: check the address, or take it from elsewhere')
    if status == 200:
        start = 0
    assert start is not None
    missing = _content_length(response)
    total = None if missing is None else start + missing
    if total is not None:
        _check_length(shown, total, n_bytes)
        _check_room(part, total - start)
    if not start:
        part.unlink(missing_ok=True)  # what is there must never go under the name of the new version
    _remember(part, address, response)
    with part.open('ab') as handle:
        done = start
        report(done, total or n_bytes)
        # The bytes as they are sent: some servers label every .gz file as a compressed one, to be unpacked on its way.
        for block in response.raw.stream(CHUNK, decode_content=False):
            handle.write(block)
            done += len(block)
            if n_bytes is not None and done > n_bytes:
                raise WrongLengthError(f'{shown} sends more than the {n_bytes} bytes of that file: it is another one')
            report(done, total or n_bytes)
    wanted = n_bytes if total is None else total
    if wanted is not None and done < wanted:
        raise _TryAgain(f'it broke off after {done} of {wanted} bytes')


def _check_length(shown: str, found: int, n_bytes: int | None) -> None:
    if n_bytes is not None and found != n_bytes:
        what = 'it was cut off' if found < n_bytes else 'it is another one'
        raise WrongLengthError(f'{shown} has {found} bytes, not the {n_bytes} of that file: {what}, or another version')


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f'{needed} bytes are needed and {free} free', str(part))


def _content_length(response: Response) -> int | None:
    text = response.headers.get('Content-Length', '')
    return int(text) if text.isdigit() else None


def _start_of(response: Response, there: int) -> int | None:
    """Return where the bytes of an answer to a request for a range begin; None where not where we asked for."""
    unit, _, span = response.headers.get('Content-Range', '').partition(' ')
    first = span.partition('-')[0]
    return there if unit == 'bytes' and first.isdigit() and int(first) == there else None


def _retry_after(response: Response) -> float | None:
    text = response.headers.get('Retry-After', '')
    return float(text) if text.isdigit() else None


def _notes(part: Path) -> Path:
    return part.with_name(f'{part.name}.json')


def _remember(part: Path, address: str, response: Response) -> None:
    """Write down which version of a file the server is sending."""
    tag = response.headers.get('ETag', '')
    # A weak tag says that two files mean the same, not that their bytes agree.
    validator = tag if tag and not tag.startswith('W/') else response.headers.get('Last-Modified')
    notes: dict[str, Any] = {'address': without_secrets(address), 'validator': validator}
    _notes(part).write_text(json.dumps(notes), encoding='utf8')


def _validator(part: Path, address: str) -> str | None:
    """Return what the server called the version that a partial file is of; None where it is not known."""
    with suppress(OSError, ValueError, AttributeError):
        notes = json.loads(_notes(part).read_text(encoding='utf8'))
        if notes.get('address') == without_secrets(address):
            return notes.get('validator')
    return None


def _what_is_there(part: Path) -> str:
    if not part.exists() or not part.stat().st_size:
        return 'Nothing arrived; try again later, or take it from elsewhere with --from'
    return f'{part.stat().st_size} bytes arrived and stay in {part.name}: run the same again to go on'


def _brief(error: BaseException) -> str:
    """Return what went wrong at the bottom of an error, without the address, which may hold a key."""
    while True:
        cause = getattr(error, 'reason', None) or (error.args[0] if error.args else None)
        if not isinstance(cause, BaseException):
            break
        error = cause
    text = str(error.args[0]) if error.args and isinstance(error.args[0], str) else str(error)
    return text.rpartition('): ')[2] or text
