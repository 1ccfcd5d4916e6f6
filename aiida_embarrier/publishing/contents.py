"""What nodes hold, for searches: their files, decompressed and piece by piece, and the text in their attributes."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from aiida.orm import Node, QueryBuilder
from aiida.repository import Repository

from aiida_embarrier.datasets.tables import column_type, read_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ('Readable', 'UnreadableError', 'files_of', 'is_text', 'lines_of', 'pieces', 'texts_of')

CHUNK = 1 << 20
#: Compressed bytes that are decompressed at once: of what can shrink a thousandfold a small part.
SLICE = 1 << 16
#: A line that is longer is cut, and its end is looked at again together with what follows.
LONGEST_LINE, OVERLAP = 1 << 16, 512
#: Files that hold files are opened within each other so many times: a gz file in a tar.gz file in a zip file is.
DEEPEST = 4
#: What tar archives are made of, in bytes: headers are one block, and files are filled up to whole ones.
BLOCK = 512


class Readable(Protocol):
    """Whatever can be read."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        ...


class UnreadableError(ValueError):
    """A compressed file that cannot be read to its end."""


def files_of(pks: Iterable[int]) -> dict[str, list[tuple[int, str]]]:
    """Return the objects in the repository by their keys, each with the nodes and the names of the file it is."""
    query = QueryBuilder().append(Node, filters={'id': {'in': list(pks)}}, project=['id', 'repository_metadata'])
    files: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for pk, metadata in query.iterall(batch_size=1000):
        for name, key in Repository.flatten(metadata).items():
            if key is not None:
                files[key].append((pk, name))
    return dict(files)


def pieces(stream: Readable, depth: int = DEEPEST) -> Iterator[bytes]:
    """Return a file in pieces of some MB that end with a line: as it is, and decompressed where it is compressed.

    gz, bz2, xz, zip and tar files are opened, one in another too. Of a parquet file come the texts in its table.

    :raises UnreadableError: after what could be read, where a compressed file or an archive is cut off or damaged.
    """
    head = stream.read(CHUNK)
    opener = _opener(head)
    if opener is None or depth == 0:
        yield from lines_of(_chunks(head, stream))
        return
    if opener in (_zipped, _tarred):
        yield from opener(_chunks(head, stream), depth)
        return
    if opener is _texts_of_table:
        yield from _texts_of_table(_chunks(head, stream))
        return
    yield from pieces(_Joined(opener(_chunks(head, stream))), depth - 1)


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Return what chunks hold in pieces that end with a line, so that no line is in two of them.

    A line of more than 64 kB, as binary files have, is cut; its last 512 bytes come again with the next piece.
    """
    rest = b''
    for chunk in chunks:
        whole, newline, rest = (rest + chunk).rpartition(b'\n')
        if whole or newline:
            yield whole + newline
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = rest[-OVERLAP:]
    if rest:
        yield rest


def is_text(piece: bytes) -> bool:
    """Return whether a piece of a file is text: it has no zero byte."""
    return b'\0' not in piece


def texts_of(value: Any) -> Iterator[str]:
    """Return all texts in what JSON can hold, the keys of mappings among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from texts_of(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from texts_of(entry)


def _chunks(head: bytes, stream: Readable) -> Iterator[bytes]:
    while head:
        yield head
        head = stream.read(CHUNK)


def _opener(head: bytes) -> Callable[..., Iterator[bytes]] | None:
    """Return what opens a file that begins so, None for files that are not compressed."""
    for magic, opener in (
        (rb'\x1f\x8b\x08', _decompressed(lambda: zlib.decompressobj(wbits=31))),
        (rb'BZh[1-9]1AY&SY', _decompressed(bz2.BZ2Decompressor)),
        (rb'\xfd7zXZ\x00', _decompressed(lzma.LZMADecompressor)),
        (rb'PK\x03\x04', _zipped),
        (rb'PAR1\x15', _texts_of_table),
    ):
        if re.match(magic, head):
            return opener
    return None if _header(head[:BLOCK]) is None else _tarred


def _decompressed(new: Callable[[], Any]) -> Callable[[Iterable[bytes]], Iterator[bytes]]:
    """Return a function that decompresses chunks, of files that were put one behind the other too."""

    def decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
        machine, begun = new(), False
        try:
            for chunk in chunks:
                for first in range(0, len(chunk), SLICE):
                    data = chunk[first : first + SLICE]
                    while data:
                        if machine.eof:
                            machine = new()
                        begun = True
                        yield machine.decompress(data)
                        data = machine.unused_data if machine.eof else b''
        except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
            raise UnreadableError(f'it is damaged ({error})') from error
        if begun and not machine.eof:
            raise UnreadableError('it is cut off')

    return decompress


def _files_within(files: Iterable[Readable], depth: int) -> Iterator[bytes]:
    """Return the pieces of the files of an archive; one that cannot be read to its end hides none behind it.

    :raises UnreadableError: after all files, the first of theirs.
    """
    first: UnreadableError | None = None
    for file in files:
        try:
            yield from pieces(file, depth - 1)
        except UnreadableError as error:
            first = first or error
    if first is not None:
        raise first


def _tarred(chunks: Iterable[bytes], depth: int) -> Iterator[bytes]:
    """Return the pieces of the files in a tar archive, and what follows behind its damaged places as it is.

    The blocks are walked through here, with the headers read by tarfile: what tarfile itself gives of an archive leaves
    out what stands behind its end, and fills holes of files with as many zeros as their headers ask for.
    """
    stream = _Joined(chunk[first : first + SLICE] for chunk in chunks for first in range(0, len(chunk), SLICE))
    rest: list[bytes] = []
    yield from _files_within(_members(stream, rest), depth)
    if rest:
        yield from lines_of(_chunks(rest[0], stream))
        raise UnreadableError('it is a tar archive that is damaged or cut off')


def _members(stream: _Joined, rest: list[bytes]) -> Iterator[_Part]:
    """Yield the files in a tar archive; the first block that is no header, of one that is damaged, goes into `rest`."""
    while block := stream.read(BLOCK):
        if not block.strip(b'\0'):  # the end of an archive, which another one may follow
            continue
        header = _header(block)
        if header is None:
            rest.append(block)
            return
        if not (header.isdir() or header.islnk() or header.issym() or header.isdev()):
            part = _Part(stream, header.size)
            yield part
            while part.read(CHUNK):
                pass
            if part.left:
                raise UnreadableError('it is cut off')
            stream.read(-header.size % BLOCK)


def _header(block: bytes) -> tarfile.TarInfo | None:
    """Return what a block says as the header of a file in a tar archive, None where its sum shows that it is none."""
    try:
        header = tarfile.TarInfo.frombuf(block, 'utf8', 'surrogateescape')
    except tarfile.HeaderError:
        return None
    return header if header.size >= 0 else None


def _zipped(chunks: Iterable[bytes], depth: int) -> Iterator[bytes]:
    with tempfile.SpooledTemporaryFile(max_size=16 * CHUNK) as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                yield from _files_within(map(archive.open, archive.infolist()), depth)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            # what a damaged file holds uncompressed is looked at all the same
            file.seek(0)
            raw = io.BytesIO()
            shutil.copyfileobj(file, raw)
            yield from lines_of([raw.getvalue()])
            raise UnreadableError(f'it cannot be opened ({error})') from error


def _texts_of_table(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Return what stands in the table of a parquet file, whose bytes are compressed: names of columns and texts."""
    content = b''.join(chunks)
    try:
        table = read_parquet(content)
    except (ValueError, OSError) as error:
        yield from lines_of([content])
        raise UnreadableError(f'it cannot be opened ({str(error).splitlines()[0]})') from error
    for name, column in table.items():
        texts = column.dropna().unique() if column_type(column) in {'string', 'category'} else ()
        yield ''.join(f'{text}\n' for text in (name, *texts)).encode()


class _Joined:
    """Chunks as a file that can be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b''
        self._error: UnreadableError | None = None

    def read(self, size: int, /) -> bytes:
        """Return as many bytes as there are, at most so many; an error comes after what could be read before it."""
        while len(self._rest) < size and self._error is None:
            try:
                chunk = next(self._chunks, None)
            except UnreadableError as error:
                self._error = error
                break
            if chunk is None:
                break
            self._rest += chunk
        if self._error is not None and not self._rest:
            raise self._error
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


class _Part:
    """The next bytes of a file, as a file that can be read."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream = stream
        self.left = size

    def read(self, size: int, /) -> bytes:
        """Return as many bytes as there are, at most so many."""
        data = self._stream.read(min(size, self.left))
        self.left -= len(data)
        return data
