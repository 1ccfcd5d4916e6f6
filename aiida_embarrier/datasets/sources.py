"""The files that `dataset download` knows: where they are published, how long they are, and their checksums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field

__all__ = ('Source', 'find_sources', 'known_sources', 'other_source', 'without_secrets')

SHA256 = r'^[0-9a-f]{64}$'


class _File(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)

    bytes: int | None = Field(None, gt=0)
    sha256: str | None = Field(None, pattern=SHA256)
    blob: str | None = Field(None, pattern=r'^[0-9a-f]{8,40}$')
    path: str | None = None
    url: str | None = None


class _Collection(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)

    title: str
    licence: str
    citation: tuple[str, ...]
    base: str | None = None
    files: dict[str, _File]


@dataclass(frozen=True)
class Source:
    """One file that can be downloaded.

    :param collection: what it belongs to; the name of the folder that it is put into.
    :param file: its name.
    :param path: where it lies below a base address.
    :param base: address below which it is published, None where it is published nowhere.
    :param url: its own address, for a single file that is published apart from its collection.
    :param n_bytes: its length, None where unknown.
    :param sha256: its checksum in hexadecimal digits, None where unknown.
    :param blob: the first digits of the id that git gives its content, None where unknown.
    :param title: what it is.
    :param licence: under which terms it may be used.
    :param citation: what to cite.
    """

    collection: str
    file: str
    path: str
    base: str | None = None
    url: str | None = None
    n_bytes: int | None = None
    sha256: str | None = None
    blob: str | None = None
    title: str = ''
    licence: str = 'not known'
    citation: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Collection and file, as a command takes them."""
        return f'{self.collection}/{self.file}'

    def address(self, base: str | None = None) -> str:
        """Return where the file is to be taken from: an address, or a path on this machine.

        :param base: address or folder to use instead of the published one.
        :raises ValueError: where the file is published nowhere and no base is given, and for other kinds of addresses.
        """
        if base is None and self.url is not None:
            return self.url
        base = self.base if base is None else base
        if base is None:
            raise ValueError(
                f'{self.name} has no public address, because this project prepared it: say where a copy lies with '
                '--from (a folder or an address) or the environment variable EMBARRIER_DATA_URL'
            )
        if is_url(base):
            parts = urlsplit(base)  # what follows a question mark, such as a key, stays at the end
            return urlunsplit(parts._replace(path=f'{parts.path.rstrip("/")}/{quote(self.path)}', fragment=''))
        if '://' in base:
            raise ValueError(f'{base} is no address that can be read: http, https and file are understood, or a folder')
        return str(_inside(Path(base), self))


def _inside(folder: Path, source: Source) -> Path:
    """Return where a file lies in a folder of this machine: the one of its collection or the one above."""
    for path in (folder / source.path, folder / source.file, folder / source.collection / source.file):
        if path.is_file():
            return path
    return folder / source.path


def is_url(text: str) -> bool:
    """Return whether a text is an address and not a path."""
    return urlsplit(text).scheme in {'http', 'https', 'file'}


def without_secrets(address: str) -> str:
    """Return an address without user name, password, query and fragment, which may hold keys."""
    if not is_url(address):
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '', ''))


@cache
def known_sources() -> tuple[Source, ...]:
    """Return all files of `sources.yaml`, in its order."""
    entries = yaml.safe_load(Path(__file__).with_name('sources.yaml').read_text(encoding='utf8'))
    collections = {name: _Collection.model_validate(entry) for name, entry in entries.items()}
    return tuple(
        Source(
            collection=name,
            file=file,
            # A prepared file lies in the folder of its collection, a published one where its repository has it.
            path=entry.path or (file if collection.base else f'{name}/{file}'),
            base=collection.base,
            url=entry.url,
            n_bytes=entry.bytes,
            sha256=entry.sha256,
            blob=entry.blob,
            title=collection.title,
            licence=collection.licence,
            citation=collection.citation,
        )
        for name, collection in collections.items()
        for file, entry in collection.files.items()
    )


def find_sources(name: str) -> list[Source]:
    """Return the files that a name stands for: a collection, `COLLECTION/FILE`, or a file whose name is unique.

    :raises ValueError: for an unknown name, and for a file that several collections have.
    """
    sources = known_sources()
    found = [source for source in sources if name in {source.collection, source.name}]
    if found:
        return found
    found = [source for source in sources if name == source.file]
    if len(found) > 1:
        raise ValueError(f'{name!r} is in several collections: say {" or ".join(source.name for source in found)}')
    if not found:
        collections = dict.fromkeys(source.collection for source in sources)
        raise ValueError(
            f'there is no source {name!r}: choose a collection ({", ".join(collections)}), one of its files as '
            'COLLECTION/FILE (--list shows all), or name any file of yours with both --from and --sha256'
        )
    return found


def other_source(name: str, sha256: str) -> Source:
    """Return a source that `sources.yaml` does not know, by its name below a base address and its checksum.

    :raises ValueError: for a name that leads out of the folder.
    """
    path = Path(name)
    if path.is_absolute() or '..' in path.parts or path.name in {'', '.'}:
        raise ValueError(f'{name!r} is no file below an address: put the folder or address into --from')
    return Source(collection='downloads', file=path.name, path=path.as_posix(), sha256=sha256)
