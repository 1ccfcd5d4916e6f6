"""``aiida-embarrier derive lookup``: crystals in a folder or a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.derive.options import OVERWRITE
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import EXISTING_FILE, FORMAT

if TYPE_CHECKING:
    from aiida_embarrier.structures.providers.base import Answer

__all__ = ('command',)

COLUMNS = (
    Column('id', 'id'),
    Column('formula', 'formula'),
    Column('space group', 'space_group'),
    Column('atoms', 'n_atoms', 'd'),
    Column('volume (Å³)', 'volume', '.2f'),
    Column('ordered', 'ordered'),
)
MATCH = (Column('same framework', 'same_framework'), Column('content', 'content', '.3g'))


@click.command('lookup')
@click.option(
    '--folder', type=click.Path(exists=True, file_okay=False), metavar='DIR', help='Look in a folder of crystals.'
)
@click.option(
    '--materials-project', is_flag=True, help='Look in the Materials Project; its key is taken from MP_API_KEY.'
)
@click.option('--optimade', metavar='URL', help='Look in a database with an OPTIMADE interface.')
@click.option('--formula', metavar='FORMULA', help='Composition, such as LiFePO4.')
@click.option('--system', metavar='A-B-...', help='Elements of which nothing but these all, such as Fe-Li-O-P.')
@click.option('--elements', metavar='A,B,...', help='Elements that are there, perhaps beside others.')
@click.option('--space-group', metavar='GROUP', help='Number or symbol, such as Pnma.')
@click.option('--id', 'ids', multiple=True, metavar='ID', help='Identifier of an entry; may be repeated.')
@click.option(
    '--max-results', type=click.IntRange(min=1), default=50, show_default=True, metavar='N', help='Entries at most.'
)
@click.option(
    '--host',
    type=EXISTING_FILE,
    metavar='FILE',
    help='Ask whether this host is known with --ion in it; entries are compared with its framework.',
)
@click.option('--ion', metavar='SYMBOL', help='The ion that is sought in the host, or in --formula.')
@click.option('--host-ion', metavar='SYMBOL', help='Ion of the host that it replaces.')
@click.option(
    '--write', 'folder_out', type=click.Path(path_type=Path), metavar='DIR', help='Write the crystals as CIFs.'
)
@OVERWRITE
@FORMAT
def command(
    folder: str | None,
    materials_project: bool,
    optimade: str | None,
    formula: str | None,
    system: str | None,
    elements: str | None,
    space_group: str | None,
    ids: tuple[str, ...],
    max_results: int,
    host: Path | None,
    ion: str | None,
    host_ion: str | None,
    folder_out: Path | None,
    overwrite: bool,
    output_format: str,
) -> None:
    """Look crystals up, or whether an intercalated one is known.

    The answer says what was sought, where, in which version, and when. Needs no AiiDA profile; the process
    `embarrier.lookup` does the same with the answer as a node.
    """
    from aiida_embarrier.structures.providers.base import ProviderError, Query
    from aiida_embarrier.structures.providers.choice import make_provider
    from aiida_embarrier.structures.providers.intercalated import find_intercalated

    if (folder is not None) + materials_project + (optimade is not None) != 1:
        raise click.UsageError('say where to look: one of --folder, --materials-project and --optimade')
    name = 'folder' if folder is not None else 'optimade' if optimade is not None else 'materials_project'
    if ion is None and (host is not None or host_ion is not None):
        raise click.UsageError('--host and --host-ion go with --ion')
    if ion is not None and (host is None) == (formula is None):
        raise click.UsageError('--ion goes with either --host or --formula')
    if ion is not None and (system or elements or space_group or ids):
        raise click.UsageError('--ion goes with --host or --formula alone: leave the other terms out')
    try:
        if ion is None:
            query = Query(
                formula=formula,
                chemical_system=system,
                elements=tuple(part.strip() for part in (elements or '').split(',') if part.strip()),
                space_group=space_group,
                ids=ids,
                max_results=max_results,
            )
            found: Any = make_provider(name, folder, optimade).search(query)
            answer = found
        else:
            wanted = _read_host(host) if host is not None else str(formula)
            provider = make_provider(name, folder, optimade)
            found = find_intercalated(provider, wanted, ion, host_ion=host_ion, max_results=max(max_results, 200))
            answer = found.answer
    except ProviderError as error:
        raise click.ClickException(str(error)) from error
    result = found.to_dict()
    if folder_out is not None:
        _write(result, answer, folder_out, overwrite)
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result)


def _read_host(path: Path) -> Any:
    from aiida_embarrier.structures.reading import read_structure

    return read_structure(path)


def _write(result: dict[str, Any], answer: Answer, folder: Path, overwrite: bool) -> None:
    """Write the crystals of an answer, named by number and identifier."""
    from aiida_embarrier.structures.writing import write_structures

    names = []
    for number, entry in enumerate(answer.entries):
        safe = ''.join(letter if letter.isalnum() or letter in '-_.' else '_' for letter in entry.id)
        names.append(f'{number:03d}_{safe.removesuffix(".cif")}.cif')
    files = write_structures(
        folder, {name: entry.structure for name, entry in zip(names, answer.entries, strict=True)}, overwrite
    )
    for row, path in zip(result['entries'], files, strict=True):
        row['file'] = str(path)


def _echo_text(result: dict[str, Any]) -> None:
    rows = result['entries']
    if 'verdict' in result:
        known = 'in a database' if result['verdict'] == 'in_database' else 'not there: to be derived'
        click.echo(f'The intercalated crystal is {known}.\n')
        rows = [{**row, **match} for row, match in zip(rows, result['matches'], strict=True)]
    if rows:
        columns = [*COLUMNS, *(MATCH if 'verdict' in result else ())]
        echo_table(rows, columns)
    else:
        click.echo('no entry fits')
    click.echo(f'\n{result["where"]}, version {result["version"] or "unknown"}, {result["retrieved_at"]}')
    if not result['complete']:
        click.echo('There are more entries: raise --max-results.')
    for problem in result['problems']:
        click.echo(f'warning: not read: {problem}')
