"""``aiida-embarrier derive orderings``: the orderings of a disordered crystal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import FORMAT, STRUCTURE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida_embarrier.structures.orderings import OrderingCount, Orderings, Progress

__all__ = ('command',)

#: Structures that are listed or written unless asked.
KEEP = 1000
#: Rows of the table for readers.
SHOWN = 20

COLUMNS = (
    Column('ordering', 'number', 'd'),
    Column('multiplicity', 'multiplicity', 'd'),
    Column('Ewald energy (eV)', 'ewald_energy', '.4f'),
    Column('above the lowest (eV)', 'above', '.4f'),
)


def read_supercell(text: str | None) -> str | list[int] | list[list[int]] | None:
    """Return the supercell in a text such as ``2x1x1``, ``2 1 1``, ``fit``, or nine integers.

    :raises click.BadParameter: for anything else.
    """
    if text is None or text == 'fit':
        return text
    words = text.replace('x', ' ').replace(',', ' ').replace('[', ' ').replace(']', ' ').split()
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) == 9:
        return [numbers[0:3], numbers[3:6], numbers[6:9]]
    if len(numbers) not in {1, 3}:
        raise click.BadParameter(f'{text!r} is no supercell: give fit, three integers such as 2x1x1, or nine')
    return numbers * 3 if len(numbers) == 1 else numbers


def read_states(texts: tuple[str, ...]) -> dict[str, float]:
    """Return the oxidation states by symbol in texts such as ``Li=1``.

    :raises click.BadParameter: where one is none.
    """
    states = {}
    for text in texts:
        element, _, number = text.partition('=')
        try:
            states[element] = float(number)
        except ValueError as error:
            raise click.BadParameter(f'{text!r} is not ELEMENT=STATE, such as Li=1') from error
    return states


@click.command('orderings')
@STRUCTURE
@click.option(
    '--exact/--pymatgen',
    'exact',
    default=True,
    show_default=True,
    help="All orderings that differ by symmetry, or those that pymatgen's order-disorder transformation proposes.",
)
@click.option(
    '--algorithm',
    type=click.Choice(['fast', 'best_first']),
    default='fast',
    show_default=True,
    help='How pymatgen searches, with --pymatgen; fast takes very long in large cells.',
)
@click.option(
    '--supercell',
    metavar='CELL',
    callback=lambda _context, _option, text: read_supercell(text),
    help='Such as 2x1x1 or "2 1 1", nine integers of a matrix, or fit for the smallest diagonal one that holds whole '
    'atoms; the cell of FILE unless given.',
)
@click.option(
    '--fix',
    type=click.Choice(['occupancy', 'orbit']),
    default='occupancy',
    show_default=True,
    help='Share atoms among all sites with the same occupancies, or among those that symmetry makes of each other.',
)
@click.option(
    '--tolerance', type=float, metavar='T', help='By how much rounding may change an occupancy; 0.07 unless given.'
)
@click.option(
    '--limit',
    type=click.IntRange(min=1),
    metavar='N',
    help='Most arrangements that are enumerated, 5000000 unless given; with --pymatgen most orderings that it '
    'proposes, 1000.',
)
@click.option(
    '--keep',
    type=click.IntRange(min=1),
    default=KEEP,
    show_default=True,
    metavar='N',
    help='How many orderings, those of lowest Ewald energy, are listed and written.',
)
@click.option(
    '--oxidation',
    multiple=True,
    metavar='ELEMENT=STATE',
    callback=lambda _context, _option, texts: read_states(texts),
    help='Oxidation state such as Li=1, of every element where it is given for one; a guess unless FILE has them.',
)
@click.option(
    '--symprec', type=float, metavar='Å', help='How far sites may lie from where symmetry wants them; 0.01 Å.'
)
@click.option('--count', 'only_count', is_flag=True, help='Count only; for cells of any size.')
@click.option('--write', 'folder', type=click.Path(path_type=Path), metavar='DIR', help='Write a CIF of each ordering.')
@click.option('--overwrite', is_flag=True, help='Replace the orderings in DIR.')
@FORMAT
def command(
    structure: Path,
    exact: bool,
    algorithm: str,
    supercell: Any,
    fix: str,
    tolerance: float | None,
    limit: int | None,
    keep: int,
    oxidation: dict[str, float],
    symprec: float | None,
    only_count: bool,
    folder: Path | None,
    overwrite: bool,
    output_format: str,
) -> None:
    """Order the crystal in FILE, whose sites are partly occupied or shared: all ways that differ by symmetry.

    Atoms are shared out among the sites that have the same occupancies. Arrangements that an operation of the average
    crystal makes of each other, translations in its cell included, are one ordering. They are listed by their Ewald
    energy, lowest first. Needs no AiiDA profile.
    """
    from aiida_embarrier.structures.ordering_files import check_folder, write_orderings
    from aiida_embarrier.structures.orderings import count_orderings, find_orderings
    from aiida_embarrier.structures.reading_disordered import read_disordered

    if only_count and folder is not None:
        raise click.UsageError('--count makes no structures that --write could write: leave one of them out')
    if folder is not None:
        check_folder(folder, overwrite)
    crystal = read_disordered(structure)
    cell = {'supercell': supercell, 'fix': fix}
    given = {'tolerance': tolerance, 'symprec': symprec}
    cell |= {name: value for name, value in given.items() if value is not None}
    result: dict[str, Any] = {'file': str(structure), 'mode': 'exact' if exact else 'pymatgen', **cell}
    if only_count:
        count = count_orderings(crystal, **cell)
        result |= {**_describe(count), 'warnings': list(count.warnings)}
    else:
        with _bar() as progress:
            found = find_orderings(
                crystal,
                **cell,
                limit=limit,
                exact=exact,
                algorithm=algorithm,
                keep=keep if folder is not None else 0,
                oxidation_states=oxidation or None,
                progress=progress,
            )
            result |= _results(found, keep)
            if folder is not None:
                files = write_orderings(folder, found.orderings, progress)
                for row, path in zip(result['structures'], files, strict=True):
                    row['file'] = str(path)
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result, folder)


def _describe(count: OrderingCount) -> dict[str, Any]:
    return {
        'formula': count.formula,
        'supercell': count.supercell,
        'contents': list(count.contents),
        'n_operations': count.n_operations,
        'n_arrangements': count.n_arrangements,
        'n_distinct': count.n_distinct,
    }


def _results(found: Orderings, keep: int) -> dict[str, Any]:
    rows = []
    for number, multiplicity in enumerate(found.multiplicities[:keep].tolist()):
        energy = None if found.energies is None else float(found.energies[number])
        above = None if found.energies is None else float(found.energies[number] - found.energies[0])
        rows.append({'number': number, 'multiplicity': multiplicity, 'ewald_energy': energy, 'above': above})
    return {
        **_describe(found.count),
        'n_found': len(found.multiplicities),
        'ranked': found.ranked,
        'oxidation_states': found.oxidation_states,
        'oxidation_source': found.oxidation_source,
        'warnings': list(found.warnings),
        'structures': rows,
    }


@contextmanager
def _bar() -> Iterator[Progress | None]:
    """Show progress on standard error where that is a terminal."""
    from tqdm import tqdm

    if not sys.stderr.isatty():
        yield None
        return
    with tqdm(leave=False, unit_scale=True) as bar:
        shown = ''

        def show(task: str, done: int, total: int, unit: str) -> None:
            nonlocal shown
            if task != shown:
                bar.reset(total)
                bar.unit = f' {unit}'
                bar.set_description(task)
                shown = task
            bar.update(done - bar.n)

        yield show


def _echo_text(result: dict[str, Any], folder: Path | None) -> None:
    rows = result['supercell'].tolist()
    diagonal = all(value == 0 for i, row in enumerate(rows) for j, value in enumerate(row) if i != j)
    echo_pairs(
        {
            'content': result['formula'],
            'supercell': ' x '.join(str(rows[i][i]) for i in range(3)) if diagonal else str(rows),
            'arrangements': str(result['n_arrangements']),
            'distinct': str(result['n_distinct']),
        }
    )
    for entry in result['contents']:
        counts = ', '.join(f'{count} {name}' for name, count in entry['counts'].items())
        occupancy = ', '.join(f'{name}:{value:.4g}' for name, value in entry['occupancy'].items())
        click.echo(f'{entry["n_sites"]} sites with {occupancy}: {counts}, {entry["vacancies"]} empty')
    for warning in result['warnings']:
        click.echo(f'note: {warning}')
    if 'structures' not in result:
        return
    if result['ranked']:
        states = ', '.join(f'{name} {charge:+g}' for name, charge in result['oxidation_states'].items())
        origin = {'given': 'as given', 'file': 'of the file', 'guess': 'guessed'}[result['oxidation_source']]
        click.echo(f'oxidation states {origin}: {states}')
    click.echo()
    echo_table(result['structures'][:SHOWN], COLUMNS if result['ranked'] else COLUMNS[:2])
    if len(result['structures']) > SHOWN or result['n_found'] > len(result['structures']):
        click.echo(f'... {min(SHOWN, len(result["structures"]))} of {result["n_found"]} orderings')
    if folder is not None:
        click.echo(f'{len(result["structures"])} of {result["n_found"]} orderings written to {folder}')
