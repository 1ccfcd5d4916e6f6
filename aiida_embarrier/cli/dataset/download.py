"""``aiida-embarrier dataset download``: put published or prepared files into a folder, checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from aiida_embarrier.datasets.download import Downloaded
    from aiida_embarrier.datasets.sources import Source

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset download --list
  aiida-embarrier dataset download barriers_train --from /shared/data
  aiida-embarrier dataset download obelix-published/all.csv --to data"""

SOURCES = (
    Column('name', 'name'),
    Column('bytes', 'n_bytes', 'd'),
    Column('sha256', lambda row: row['sha256'][:12] + '…' if row['sha256'] else 'not known'),
    Column('published', lambda row: row['address'] is not None),
)

FILES = (
    Column('file', 'path'),
    Column('bytes', 'n_bytes', 'd'),
    Column('sha256', 'sha256'),
    Column('was known', 'pinned'),
    Column('note', lambda row: 'was there already' if row['present'] else 'downloaded'),
)


@click.command('download', epilog=EXAMPLES)
@click.argument('name', required=False)
@click.option(
    '--to',
    'folder',
    type=click.Path(file_okay=False, path_type=Path),
    help='Folder to put the files into; one with the name of the collection unless given.',
)
@click.option(
    '--from',
    'base',
    metavar='URL-OR-FOLDER',
    envvar='EMBARRIER_DATA_URL',
    help='Where to take them from instead of where they are published; also the variable EMBARRIER_DATA_URL.',
)
@click.option('--sha256', metavar='HEX', help='Checksum that the file must have, where none is known here.')
@click.option('--unpinned', is_flag=True, help='Take files of unknown checksum on trust; their sha256 is recorded.')
@click.option('--attempts', type=click.IntRange(min=1), default=5, show_default=True, help='How often to try.')
@click.option('--list', 'list_only', is_flag=True, help='List what is known, and download nothing.')
@FORMAT
def command(
    name: str | None,
    folder: Path | None,
    base: str | None,
    sha256: str | None,
    unpinned: bool,
    attempts: int,
    list_only: bool,
    output_format: str,
) -> None:
    """Download NAME: a collection, COLLECTION/FILE, or, with --from and --sha256, any file.

    Every file is checked against its sha256 before it gets its name. One that broke off is continued by the same
    command; one that is there already and right is left alone. What is written down of each stands in downloads.json
    beside it: address, sha256, licence, what to cite. Needs no AiiDA profile.
    """
    if list_only:
        _list(name, output_format)
        return
    if name is None:
        raise click.UsageError('say what to download; --list shows what is known')
    sources = _sources(name, base, sha256)
    if sha256 is not None and len(sources) > 1:
        raise click.UsageError(f'--sha256 is that of one file, and {name} has {len(sources)}: name one of them')
    target = Path(sources[0].collection) if folder is None else folder
    found = [_download(source, target, base, sha256, unpinned, attempts) for source in sources]
    rows = [_row(one, source) for one, source in zip(found, sources, strict=True)]
    if output_format == 'json':
        echo_json(rows)
        return
    echo_table(rows, FILES)
    for text in dict.fromkeys(f'licence: {row["licence"]}; cite {", ".join(row["citation"])}' for row in rows):
        click.echo(f'\n{text}' if rows[0]['citation'] else '\nNothing is known here of its licence.')


def _sources(name: str, base: str | None, sha256: str | None) -> list[Source]:
    from aiida_embarrier.datasets.sources import find_sources, other_source

    try:
        return find_sources(name)
    except ValueError:
        if base is None or sha256 is None:
            raise
        return [other_source(name, sha256)]


def _download(
    source: Source, target: Path, base: str | None, sha256: str | None, unpinned: bool, attempts: int
) -> Downloaded:
    from tqdm import tqdm

    from aiida_embarrier.datasets.download import download

    # The bar is for people: none where standard error is no terminal.
    with tqdm(desc=source.file, unit='B', unit_scale=True, leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return download(source, target, base=base, sha256=sha256, unpinned=unpinned, attempts=attempts, progress=show)


def _row(found: Downloaded, source: Source) -> dict[str, Any]:
    return {
        'name': source.name,
        'path': str(found.path),
        'address': found.address,
        'n_bytes': found.n_bytes,
        'sha256': found.sha256,
        'pinned': found.pinned,
        'present': found.present,
        'licence': source.licence,
        'citation': list(source.citation),
    }


def _list(name: str | None, output_format: str) -> None:
    from aiida_embarrier.datasets.sources import find_sources, known_sources

    rows = [
        {
            'name': source.name,
            'title': source.title,
            'n_bytes': source.n_bytes,
            'sha256': source.sha256,
            'git_blob': source.blob,
            'address': source.address() if source.url or source.base else None,
            'licence': source.licence,
            'citation': list(source.citation),
        }
        for source in (known_sources() if name is None else find_sources(name))
    ]
    if output_format == 'json':
        echo_json(rows)
        return
    for title in dict.fromkeys(row['title'] for row in rows):
        files = [row for row in rows if row['title'] == title]
        click.echo(f'{title}\nlicence: {files[0]["licence"]}\n')
        echo_table(files, SOURCES)
        click.echo()
    click.echo('What is not published is taken from where --from or EMBARRIER_DATA_URL says.')
