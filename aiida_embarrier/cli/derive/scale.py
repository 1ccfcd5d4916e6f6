"""``aiida-embarrier derive scale``: species exchanged, and the volume that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.derive.options import COMPENSATION, OUTPUT, OVERWRITE, OXIDATION, check_output, write_output
from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import EXISTING_FILE, FORMAT, STRUCTURE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)


def read_species(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the new element by the old one in texts such as ``Li=Na``.

    :raises click.BadParameter: where one is none.
    """
    species = {}
    for text in texts:
        old, equals, new = (part.strip() for part in text.partition('='))
        if not (old and equals and new):
            raise click.BadParameter(f'{text!r} is not OLD=NEW, such as Li=Na')
        species[old] = new
    return species


@click.command('scale')
@STRUCTURE
@click.option(
    '--substitute',
    multiple=True,
    metavar='OLD=NEW',
    callback=lambda _context, _option, texts: read_species(texts),
    help='Element that is exchanged, such as Li=Na; may be repeated.',
)
@click.option('--parent', type=EXISTING_FILE, metavar='FILE', help='Crystal whose volume is known; FILE unless given.')
@click.option(
    '--radii',
    type=click.Choice(['ionic-atomic', 'ionic', 'atomic']),
    default='ionic-atomic',
    show_default=True,
    help='Ionic radii, atomic ones, or ionic ones where all are known.',
)
@OXIDATION
@COMPENSATION
@click.option('--any-structure', is_flag=True, help='Scale by a parent of another structure type, too.')
@OUTPUT
@OVERWRITE
@FORMAT
def command(
    structure: Path,
    substitute: dict[str, str],
    parent: Path | None,
    radii: str,
    oxidation: dict[str, float],
    guess_oxidation: bool,
    compensation: str,
    any_structure: bool,
    output: Path | None,
    overwrite: bool,
    output_format: str,
) -> None:
    """Exchange elements of the crystal in FILE, and scale its cell to the volume that the radii of its ions predict.

    With --parent FILE is the derived crystal, and its volume follows from that of the parent. Radii go by oxidation
    states: those in the files, or by --oxidation or --guess-oxidation of the parent, or else by bond valences. Needs no
    AiiDA profile.
    """
    if not substitute and parent is None:
        raise click.UsageError('nothing is to be done: exchange elements with --substitute, or give a --parent')
    check_output(output, overwrite)
    result, derived = scale(
        structure, substitute, parent, radii, oxidation, guess_oxidation, compensation, any_structure
    )
    write_output(derived, output)
    if output is not None:
        result['output'] = str(output)
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result)


def scale(
    path: Path,
    species: dict[str, str],
    parent: Path | None,
    radii: str,
    oxidation: dict[str, float],
    guess: bool,
    compensation: str,
    any_structure: bool,
) -> tuple[dict[str, Any], Any]:
    """Return the prediction as the command prints it in JSON, and the derived crystal."""
    from aiida_embarrier.structures.reading import read_structure
    from aiida_embarrier.structures.substitution import substitute
    from aiida_embarrier.structures.volumes import scale_volume

    given = read_structure(path)
    reference = given if parent is None else read_structure(parent)
    derived, notes, changed = given, [], {}
    if species:
        made = substitute(given, species, oxidation, compensation=compensation, guess=guess)
        derived, notes, changed = made.structure, list(made.warnings), made.changed
        if parent is None and made.parent is not None:
            reference = made.parent  # the radii of both go by the states that were given or guessed
    predicted = scale_volume(derived, reference, radii=radii, require_isostructural=not any_structure)
    result = {
        'file': str(path),
        'parent': str(path if parent is None else parent),
        'formula': predicted.structure.composition.reduced_formula,
        'parent_formula': reference.composition.element_composition.reduced_formula,
        'parent_volume': float(reference.volume),
        'substituted': species,
        'oxidation_states_changed': changed,
        **predicted.to_dict(),
        'lattice': predicted.structure.lattice.matrix,
    }
    result['warnings'] = [*notes, *predicted.warnings]
    if predicted.fell_back and species and 'given' not in predicted.oxidation_states:
        result['warnings'].append(
            'for ionic radii give the oxidation states (--oxidation), or have them guessed (--guess-oxidation)'
        )
    return result, predicted.structure


def _echo_text(result: dict[str, Any]) -> None:
    change = 100 * (result['ratio'] - 1)
    click.echo(
        f'{result["formula"]}: {result["volume"]:.2f} Å³ by {result["parent_formula"]} of '
        f'{result["parent_volume"]:.2f} Å³ ({change:+.1f} %)'
    )
    fell_back = ', for ionic ones are not known' if result['fell_back'] else ''
    click.echo(f'{result["radii_used"]} radii{fell_back}')
    for name in ('derived', 'parent'):
        radii = ', '.join(f'{species} {radius:.2f}' for species, radius in result[f'radii_{name}'].items())
        source = result['oxidation_states_from'][name]
        click.echo(f'  {name}: {radii} Å' + (f' (oxidation states: {source})' if source else ''))
    for element, (before, after) in result['oxidation_states_changed'].items():
        click.echo(f'{element}: {before:+g} becomes {after:+g}')
    for warning in result['warnings']:
        click.echo(f'warning: {warning}')
    if 'output' in result:
        click.echo(f'written to {result["output"]}')
