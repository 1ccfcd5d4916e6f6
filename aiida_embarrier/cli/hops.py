"""``aiida-embarrier hops``: the distinct hops of an ion in a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, ION, STRUCTURE

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
@FORMAT
def command(
    structure: Path,
    ion: str,
    mechanism: str,
    max_length: float | None,
    extra_vacancies: int,
    min_distance: float | None,
    output_format: str,
) -> None:
    """List the symmetry-distinct hops of an ion in the crystal in FILE, shortest first.

    FILE is anything that pymatgen or ASE reads: CIF, POSCAR, extended XYZ. Needs no AiiDA profile. The number of a
    hop is what `launch barrier --hop` takes.
    """
    result = find(structure, ion, mechanism, max_length, extra_vacancies, min_distance)
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result)


def find(
    path: Path, ion: str, mechanism: str, max_length: float | None, extra_vacancies: int, min_distance: float | None
) -> dict[str, Any]:
    """Return the hops and the supercell for them, as the command prints them in JSON."""
    from aiida_embarrier.bands.geometry import image_distance
    from aiida_embarrier.structures.hops import find_hops
    from aiida_embarrier.structures.reading import read_structure
    from aiida_embarrier.structures.supercells import Supercell, supercell_for

    crystal = read_structure(path)
    hops = find_hops(crystal, ion, mechanism=mechanism, max_length=max_length, extra_vacancies=extra_vacancies)
    matrix = supercell_for(crystal) if min_distance is None else supercell_for(crystal, min_distance)
    added = 1 if mechanism == 'interstitial' else -1 - extra_vacancies
    return {
        'file': str(path),
        'formula': crystal.composition.reduced_formula,
        'ion': ion,
        'mechanism': mechanism,
        'supercell': matrix,
        'supercell_atoms': Supercell(crystal, matrix).size * len(crystal) + added,
        'image_distance': image_distance(matrix @ crystal.lattice.matrix),
        'hops': [hop.to_dict() for hop in hops],
    }


def _echo_text(result: dict[str, Any]) -> None:
    click.echo(
        f'{len(result["hops"])} distinct {result["mechanism"]} hop(s) of {result["ion"]} in {result["formula"]}\n'
    )
    columns = list(COLUMNS)
    if any(hop['further_vacancies'] for hop in result['hops']):
        columns.append(Column('further vacancies', lambda hop: ', '.join(map(_site, hop['further_vacancies']))))
    if result['hops']:
        echo_table(result['hops'], columns)
    else:
        click.echo('Allow longer hops with --max-length.')
    click.echo(
        f'\nsupercell {_supercell(result["supercell"])}: {result["supercell_atoms"]} atoms, periodic images of the ion '
        f'{result["image_distance"]:.2f} Å apart'
    )


def _site(site: dict[str, Any]) -> str:
    return '(' + ' '.join(f'{value:.3f}' for value in site['coords']) + ')'


def _supercell(matrix: Any) -> str:
    rows = matrix.tolist()
    diagonal = all(value == 0 for i, row in enumerate(rows) for j, value in enumerate(row) if i != j)
    return ' x '.join(str(rows[i][i]) for i in range(3)) if diagonal else str(rows)
