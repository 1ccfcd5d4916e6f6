"""``aiida-embarrier hops``: the distinct hops of an ion in a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, ION, MOMENTS, STRUCTURE, read_crystal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)

COLUMNS = (
    Column('hop', 'number', 'd'),
    Column('length (Å)', 'length', '.3f'),
    Column('direction', 'direction'),
    Column('in the cell', 'multiplicity', 'd'),
    Column('equivalent ends', 'equivalent_ends'),
    Column('clearance (Å)', 'clearance', '.2f'),
)


@click.command('hops')
@STRUCTURE
@ION
@click.option(
    '--mechanism',
    type=click.Choice(['vacancy', 'interstitial']),
    default='vacancy',
    show_default=True,
    help='Whether the ion moves into an empty site of its own, or an added ion moves.',
)
@click.option('--max-length', type=float, metavar='Å', help='Longest hop; 5 Å unless given.')
@click.option(
    '--extra-vacancies',
    type=int,
    default=0,
    show_default=True,
    metavar='N',
    help='Further sites of the ion left empty.',
)
@click.option(
    '--min-distance',
    type=float,
    metavar='Å',
    help='Smallest distance between periodic images of the ion in the supercell; 8 Å unless given.',
)
@click.option(
    '--symprec',
    type=float,
    metavar='Å',
    help='How far sites may lie from where symmetry wants them; 0.01 Å unless given. Hops are told apart by it.',
)
@MOMENTS
@FORMAT
def command(
    structure: Path,
    ion: str,
    mechanism: str,
    max_length: float | None,
    extra_vacancies: int,
    min_distance: float | None,
    symprec: float | None,
    moments: dict[str, float | list[float]],
    output_format: str,
) -> None:
    """List the symmetry-distinct hops of an ion in the crystal in FILE, shortest first.

    Lengths that agree within --symprec count as one, and such hops come in the order of their sites. FILE is anything
    that pymatgen or ASE reads: CIF, POSCAR, extended XYZ. Needs no AiiDA profile. The number of a hop is what `launch
    barrier --hop` takes, with the same --moments: sites that differ in their moments are not equivalent.
    """
    result = find(structure, ion, mechanism, max_length, extra_vacancies, min_distance, symprec, moments)
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result)


def find(
    path: Path,
    ion: str,
    mechanism: str,
    max_length: float | None,
    extra_vacancies: int,
    min_distance: float | None,
    symprec: float | None,
    moments: dict[str, float | list[float]],
) -> dict[str, Any]:
    """Return the hops and the supercell for them, as the command prints them in JSON."""
    from aiida_embarrier.bands.geometry import image_distance
    from aiida_embarrier.structures.hops import DEFAULT_SYMPREC, find_hops
    from aiida_embarrier.structures.supercells import Supercell, supercell_for

    crystal = read_crystal(path, moments)
    symprec = DEFAULT_SYMPREC if symprec is None else symprec
    hops = find_hops(
        crystal, ion, mechanism=mechanism, max_length=max_length, symprec=symprec, extra_vacancies=extra_vacancies
    )
    matrix = supercell_for(crystal) if min_distance is None else supercell_for(crystal, min_distance)
    added = 1 if mechanism == 'interstitial' else -1 - extra_vacancies
    cells = Supercell(crystal, matrix).size
    if mechanism == 'vacancy':
        _check_room(cells * sum(site.specie.symbol == ion for site in crystal), ion, extra_vacancies, matrix)
    return {
        'file': str(path),
        'formula': crystal.composition.reduced_formula,
        'ion': ion,
        'mechanism': mechanism,
        'symprec': symprec,
        'supercell': matrix,
        'supercell_atoms': cells * len(crystal) + added,
        'image_distance': image_distance(matrix @ crystal.lattice.matrix),
        'hops': [hop.to_dict() for hop in hops],
    }


def _check_room(n_sites: int, ion: str, extra_vacancies: int, matrix: Any) -> None:
    # The two ends of the hop are sites too.
    if n_sites < extra_vacancies + 2:
        raise ValueError(
            f'there are not enough sites for {extra_vacancies} further vacancies: the supercell {_supercell(matrix)} '
            f'has {n_sites} sites of {ion}, and the hop itself takes two; ask for fewer, or raise --min-distance'
        )


def _echo_text(result: dict[str, Any]) -> None:
    click.echo(
        f'{len(result["hops"])} distinct {result["mechanism"]} hop(s) of {result["ion"]} in {result["formula"]}\n'
    )
    columns = list(COLUMNS)
    if any(hop['further_vacancies'] for hop in result['hops']):
        columns.append(Column('further vacancies', lambda hop: ', '.join(map(_site, hop['further_vacancies']))))
    if any(_note(hop) for hop in result['hops']):
        columns.append(Column('note', _note))
    if result['hops']:
        echo_table(result['hops'], columns)
        _echo_footnotes(result)
    else:
        click.echo('Allow longer hops with --max-length.')
    click.echo(
        f'\nsupercell {_supercell(result["supercell"])}: {result["supercell_atoms"]} atoms, periodic images of the ion '
        f'{result["image_distance"]:.2f} Å apart'
    )


def _note(hop: dict[str, Any]) -> str:
    from aiida_embarrier.bands.geometry import MIN_CLEARANCE
    from aiida_embarrier.structures.hops import THROUGH_ATOM

    if hop['clearance'] < THROUGH_ATOM:
        return 'through an atom'
    return 'close to an atom' if hop['clearance'] < MIN_CLEARANCE else ''


def _echo_footnotes(result: dict[str, Any]) -> None:
    """Say below the table what its columns do not say themselves."""
    click.echo('\nclearance: distance of the straight line of the hop from the nearest other atom')
    if any(_note(hop) for hop in result['hops']):
        click.echo('A hop marked as close to or through an atom has to bend around it, or is no hop of its own.')
    if any(_note(hop) == 'through an atom' for hop in result['hops']):
        click.echo('`launch network` leaves out those through an atom, unless --hops names them.')
    # As the table shows them: two lengths that look alike are in order.
    lengths = [float(format(hop['length'], '.3f')) for hop in result['hops']]
    if lengths != sorted(lengths):
        click.echo(
            f'Lengths that agree within {result["symprec"]:g} Å (--symprec) count as one; such hops come in the order '
            'of their sites.'
        )


def _site(site: dict[str, Any]) -> str:
    return '(' + ' '.join(f'{value:.3f}' for value in site['coords']) + ')'


def _supercell(matrix: Any) -> str:
    rows = matrix.tolist()
    diagonal = all(value == 0 for i, row in enumerate(rows) for j, value in enumerate(row) if i != j)
    return ' x '.join(str(rows[i][i]) for i in range(3)) if diagonal else str(rows)
