"""``aiida-embarrier derive endpoints``: both ends of hops, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_embarrier.cli.derive.options import OVERWRITE, OXIDATION
from aiida_embarrier.cli.derive.orderings import read_supercell
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, ION, MOMENTS, STRUCTURE, read_crystal

__all__ = ('command',)

COLUMNS = (
    Column('hop', 'number', 'd'),
    Column('length (Å)', 'length', '.3f'),
    Column('direction', 'direction'),
    Column('equivalent ends', 'equivalent_ends'),
    Column('atoms', 'n_atoms', 'd'),
    Column('images apart (Å)', 'image_distance', '.2f'),
    Column('written to', 'folder'),
)


def read_site(text: str | None) -> int | list[float] | None:
    """Return the index or the fractional coordinates in a text such as ``0`` or ``0.5,0,0.5``.

    :raises click.BadParameter: for anything else.
    """
    if text is None:
        return None
    words = text.replace(',', ' ').split()
    try:
        if len(words) == 1:
            return int(words[0])
        if len(words) == 3:
            return [float(word) for word in words]
    except ValueError:
        pass
    raise click.BadParameter(f'{text!r} is no site: give its number, or three coordinates such as 0.5,0,0.5')


@click.command('endpoints')
@STRUCTURE
@ION
@click.option(
    '--state',
    default='discharged',
    show_default=True,
    metavar='STATE',
    help='Charge state of the host, as of `derive charge`: of any but discharged the ion is put into emptied sites.',
)
@click.option(
    '--mechanism',
    type=click.Choice(['vacancy', 'interstitial']),
    help='Whether the ion moves into an empty site, or is added; by --state unless given.',
)
@click.option('--hop', 'numbers', type=int, multiple=True, metavar='N', help='Number of a hop; all unless given.')
@click.option(
    '--from',
    'first',
    metavar='SITE',
    callback=lambda _context, _option, text: read_site(text),
    help='Where the ion starts: the number of a site of FILE, or coordinates such as 0.5,0,0.5; with --to instead of '
    '--hop.',
)
@click.option(
    '--to',
    'second',
    metavar='SITE',
    callback=lambda _context, _option, text: read_site(text),
    help='Where it arrives, in the nearest periodic image.',
)
@click.option('--as-written', is_flag=True, help='Go to the image of --to that its coordinates say.')
@click.option('--through', is_flag=True, help='Allow a hop by --from and --to that passes another site of the ion.')
@click.option('--max-length', type=float, metavar='Å', help='Longest hop; 5 Å unless given.')
@click.option(
    '--supercell',
    metavar='CELL',
    callback=lambda _context, _option, text: None if text is None else read_supercell(text),
    help='Such as 2x1x1, or nine integers; the smallest that keeps --min-distance unless given.',
)
@click.option(
    '--min-distance',
    type=float,
    metavar='Å',
    help='Smallest distance between periodic images of the ion; 8 Å unless given.',
)
@click.option('--symprec', type=float, metavar='Å', help='How far sites may lie from where symmetry wants them.')
@OXIDATION
@MOMENTS
@click.option('--write', 'folder', type=click.Path(path_type=Path), metavar='DIR', help='Write the pairs of crystals.')
@click.option(
    '--as',
    'form',
    type=click.Choice(['cif', 'vasp', 'json']),
    default='vasp',
    show_default=True,
    help='Format of the files; json keeps moments and oxidation states.',
)
@OVERWRITE
@FORMAT
def command(
    structure: Path,
    ion: str,
    state: str,
    moments: dict[str, float | list[float]],
    oxidation: dict[str, float],
    guess_oxidation: bool,
    folder: Path | None,
    form: str,
    overwrite: bool,
    output_format: str,
    **settings: Any,
) -> None:
    """Make the initial and the final state of hops in the crystal in FILE, in a supercell, not relaxed.

    Of every distinct hop, as `aiida-embarrier hops` numbers them, or of those named by --hop, or of the one between two
    sites. Needs no AiiDA profile.
    """
    if (settings['first'] is None) != (settings['second'] is None):
        raise click.UsageError('--from and --to go together')
    if settings['numbers'] and settings['first'] is not None:
        raise click.UsageError('give either --hop, or --from and --to')
    if settings['supercell'] == 'fit':
        raise click.UsageError('--supercell fit is for orderings: give three or nine integers')
    from aiida_embarrier.structures.charge_states import set_charge_state
    from aiida_embarrier.structures.writing import write_structures

    crystal = read_crystal(structure, moments)
    made = None
    if state != 'discharged':
        made = set_charge_state(crystal, ion, state, oxidation_states=oxidation, guess=guess_oxidation)
        crystal = made.structure
    rows, files = _pairs(crystal, ion, made, form=form, **settings)
    if folder is not None:
        write_structures(folder, files, overwrite)
        for row in rows:
            if 'files' in row:
                row['files'] = {side: str(folder / name) for side, name in row['files'].items()}
                row['folder'] = str(Path(row['files']['initial']).parent)
    else:
        for row in rows:
            row.pop('files', None)
    result = {
        'file': str(structure),
        'formula': crystal.composition.element_composition.reduced_formula,
        'ion': ion,
        'state': state,
        'warnings': [] if made is None else list(made.warnings),
        'endpoints': rows,
    }
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result)


def _pairs(
    crystal: Any,
    ion: str,
    made: Any,
    *,
    form: str,
    mechanism: str | None,
    numbers: tuple[int, ...],
    first: Any,
    second: Any,
    as_written: bool,
    through: bool,
    max_length: float | None,
    supercell: Any,
    min_distance: float | None,
    symprec: float | None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a row for each hop, and the crystals by the names of their files."""
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hop_between import hop_between
    from aiida_embarrier.structures.hops import DEFAULT_SYMPREC, find_hops, select_hop
    from aiida_embarrier.structures.supercells import DEFAULT_MIN_DISTANCE

    how: dict[str, Any] = {
        'mechanism': mechanism or ('vacancy' if made is None else made.mechanism),
        'symprec': DEFAULT_SYMPREC if symprec is None else symprec,
    }
    if made is not None and how['mechanism'] == 'interstitial':
        how['sites'] = made.sites
    if first is not None:
        first, second = (_place(site, made, how['mechanism']) for site in (first, second))
        hops = [hop_between(crystal, ion, first, second, as_written=as_written, through=through, **how).hop]
    else:
        hops = find_hops(crystal, ion, max_length=max_length, **how)
        hops = [select_hop(hops, number) for number in numbers] if numbers else hops
    if not hops:
        raise ValueError('there is no hop within the largest length: allow longer ones with --max-length')
    rows: list[dict[str, Any]] = []
    files: dict[str, Any] = {}
    for hop in hops:
        row = {**hop.to_dict(), 'folder': None}
        rows.append(row)
        try:
            ends = make_endpoints(
                crystal, hop, supercell, DEFAULT_MIN_DISTANCE if min_distance is None else min_distance
            )
        except ValueError as error:
            if len(hops) == 1:
                raise
            row['error'] = str(error)
            continue
        names = {side: f'hop_{hop.number:03d}/{side}.{form}' for side in ('initial', 'final')}
        row |= {
            'n_atoms': len(ends.initial),
            'supercell': ends.supercell,
            'image_distance': ends.image_distance,
            'mobile': ends.mobile,
            'warnings': list(ends.warnings),
            'files': names,
        }
        files |= {names['initial']: ends.initial, names['final']: ends.final}
    return rows, files


def _place(site: int | list[float], made: Any, mechanism: str) -> int | list[float]:
    """Return where a site of the file, given by its number, is among those of the hops in a charge state."""
    from aiida_embarrier.structures.charge_states import place_in_state

    if made is None or not isinstance(site, int):
        return site
    return place_in_state(site, made.removed, made.kept, mechanism)


def _echo_text(result: dict[str, Any]) -> None:
    rows = result['endpoints']
    state = '' if result['state'] == 'discharged' else f' ({result["state"]})'
    click.echo(
        f'endpoints of {len(rows)} {rows[0]["mechanism"]} hop(s) of {result["ion"]} in {result["formula"]}{state}\n'
    )
    echo_table(rows, COLUMNS if any(row['folder'] for row in rows) else COLUMNS[:-1])
    notes = [*result['warnings']]
    notes += [f'hop {row["number"]}: {note}' for row in rows for note in row.get('warnings', [])]
    notes += [f'hop {row["number"]} has no endpoints: {row["error"]}' for row in rows if 'error' in row]
    if notes:
        click.echo('')
    for note in notes:
        click.echo(f'warning: {note}')
