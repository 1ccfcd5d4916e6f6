"""The round trip: an archive is opened read-only, its table computed again from its content, and compared."""

from __future__ import annotations

import hashlib
import sqlite3
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiida.common.exceptions import AiidaException
from aiida.manage import get_config_option
from aiida.orm import Node, QueryBuilder
from aiida.repository import Repository
from aiida.storage.sqlite_zip.backend import SqliteZipBackend
from aiida.storage.sqlite_zip.migrator import get_schema_version_head, list_versions
from aiida.storage.sqlite_zip.utils import extract_metadata
from sqlalchemy.exc import SQLAlchemyError

from aiida_embarrier.publishing.numbers import datasets_of, numbers
from aiida_embarrier.publishing.shown import Starting
from aiida_embarrier.publishing.tables import ATTRIBUTE_DIGITS, SHOWN, differences, read_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiida_embarrier.publishing.shown import Links

__all__ = ('Verification', 'open_archive', 'verify')

CHUNK = 1 << 20
#: What reading an archive with wrong bytes raises; RuntimeError where they say that a file in it is encrypted.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, RuntimeError, FileNotFoundError, EOFError),
    *(AiidaException, SQLAlchemyError, sqlite3.Error),
)


@dataclass(frozen=True)
class Verification:
    """What a round trip found.

    :param n_rows: rows of the table.
    :param n_numbers: numbers in it that were computed again.
    :param n_inside: numbers in the tables, datasets and values that it names by their hashes.
    :param n_nodes: nodes in the archive.
    :param n_links: links between them.
    :param n_objects: files in the archive, each of which has the content that its name, a sha256, says.
    :param warnings: what a reader should know, and is no fault of the archive.
    """

    n_rows: int
    n_numbers: int
    n_inside: int
    n_nodes: int
    n_links: int
    n_objects: int
    warnings: list[str] = field(default_factory=list)


@contextmanager
def open_archive(path: Path) -> Iterator[SqliteZipBackend]:
    """Open an archive read-only, as a profile of its own that nothing else sees.

    :raises ValueError: where there is none, where it is damaged, and where another version of AiiDA wrote it.
    """
    if not path.is_file():
        raise ValueError(f'there is no archive {path}')
    # AiiDA turns its warnings on when it first reads its configuration; its QueryBuilder, which silences one about
    # itself, must not be the first to ask.
    get_config_option('warnings.showdeprecations')
    version = _version_of(path)
    if version != get_schema_version_head():
        raise ValueError(_other_version(path, version))
    backend = SqliteZipBackend(SqliteZipBackend.create_profile(path.resolve()))
    try:
        yield backend
    except _DAMAGE as error:
        raise ValueError(f'{path} is damaged: {_first_line(error)}. Fetch or write it again') from error
    finally:
        backend.close()


def _version_of(path: Path) -> str:
    try:
        return str(extract_metadata(path, search_limit=None)['export_version'])
    except (AiidaException, KeyError) as error:
        raise ValueError(
            f'{path} is no archive of AiiDA, or only a part of one (truncated?): fetch or write it again'
        ) from error


def _other_version(path: Path, version: str) -> str:
    from aiida import __version__

    writer = extract_metadata(path, search_limit=None).get('aiida_version', 'unknown')
    what = f'{path} has version {version} of the format (aiida-core {writer} wrote it)'
    if version in list_versions():
        return f'{what}, an older one: bring a copy to the version of today with `verdi archive migrate`'
    return (
        f'{what}, which aiida-core {__version__} does not know, for its newest is {get_schema_version_head()}: install '
        'a newer aiida-core, such as `pip install --upgrade aiida-core`'
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip('.')


def verify(archive: Path, table: Path) -> Verification:
    """Compute the table of a publication again from its archive, and compare.

    Energies give the barriers, positions the hop, tables their hashes; the attributes of the nodes have to say the
    same; every node of the table has as many ancestors as the table says; every file has its content.

    :raises ValueError: naming what differs or is missing.
    """
    written = read_numbers(table)
    with open_archive(archive) as backend:
        starting = _starting(archive)
        problems, n_objects = _check_files(archive, backend)
        links = _links(backend)
        if not n_objects[1]:
            again = numbers(starting, links, backend=backend)
            problems += differences(written, again, 'the content of the archive')
        stated = numbers(starting, links, recompute=False, backend=backend)
        problems += differences(written, stated, 'the attributes in the archive', ATTRIBUTE_DIGITS)
        n_nodes = QueryBuilder(backend=backend).append(Node).count()
        warnings = [] if problems else _unknown_origins(starting, links, backend)
    if problems:
        raise ValueError(_tell(archive, table, list(dict.fromkeys(problems))))
    n_numbers, n_inside = int(written.select_dtypes('number').notna().sum().sum()), int(written['n_numbers'].sum())
    return Verification(len(written), n_numbers, n_inside, n_nodes, len(links), n_objects[0], warnings)


def _tell(archive: Path, table: Path, problems: list[str]) -> str:
    more = len(problems) - SHOWN
    listed = problems[:SHOWN] + ([f'and {more} more differences'] if more > 0 else [])
    return f'{archive.name} and {table.name} do not agree:\n  ' + '\n  '.join(listed)


def _starting(archive: Path) -> Starting:
    """Return what the writer of an archive asked for; AiiDA notes it in every archive."""
    metadata = extract_metadata(archive, search_limit=None)
    found = metadata.get('creation_parameters', {}).get('entities_starting_set')
    if not found:
        raise ValueError(
            f'{archive} holds a whole database and not what was chosen for a publication: there is no table of it'
        )
    return Starting(tuple(found.get('group', ())), tuple(found.get('node', ())))


def _links(backend: SqliteZipBackend) -> Links:
    query = QueryBuilder(backend=backend).append(Node, project='id', tag='source')
    query.append(Node, with_incoming='source', project='id', edge_project=['type', 'label'])
    return frozenset(tuple(row) for row in query.iterall(batch_size=10000))


def _check_files(archive: Path, backend: SqliteZipBackend) -> tuple[list[str], tuple[int, int]]:
    """Check the content of all files; return problems, the number of files and of those that are missing or wrong."""
    problems, wrong, sound = [], 0, set()
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            folder, _, key = name.partition('/')
            if folder != 'repo' or not key:
                continue
            digest = hashlib.sha256()
            with file.open(name) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
            if digest.hexdigest() == key:
                sound.add(key)
            else:
                wrong += 1
    query = QueryBuilder(backend=backend).append(Node, project=['uuid', 'repository_metadata'])
    n_objects = len(sound) + wrong
    for uuid, metadata in query.iterall(batch_size=1000):
        for name, key in Repository.flatten(metadata).items():
            if key is not None and key not in sound:
                wrong += 1
                problems.append(f'the file {name} of {uuid} is missing or was changed')
    return problems, (n_objects, wrong)


def _unknown_origins(starting: Starting, links: Links, backend: SqliteZipBackend) -> list[str]:
    """Return a warning for each dataset whose rows name nodes as their origin that are not in the archive."""
    warnings = []
    for node in datasets_of(starting, links, backend):
        table = node.table
        named = set(table['origin'].dropna()) if 'origin' in table else set()
        query = QueryBuilder(backend=backend).append(Node, filters={'uuid': {'in': list(named)}}, project='uuid')
        missing = sorted(named - set(query.all(flat=True))) if named else []
        if missing:
            warnings.append(
                f'{len(missing)} of {len(named)} nodes that the rows of the dataset {node.uuid} name as their origin '
                f'are not in the archive, such as {missing[0]}'
            )
    return warnings
