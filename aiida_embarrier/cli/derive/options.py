"""Options that the derivations share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.derive.orderings import read_states

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymatgen.core import Structure

__all__ = ('COMPENSATION', 'OUTPUT', 'OVERWRITE', 'OXIDATION', 'check_output', 'read_numbers', 'write_output')


def OXIDATION(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  (two options that go together)
    """Give a command the options that say oxidation states."""
    given = click.option(
        '--oxidation',
        multiple=True,
        metavar='ELEMENT=STATE',
        callback=lambda _context, _option, texts: read_states(texts),
        help='Oxidation state, such as Li=1; may be repeated. Elements without one are guessed.',
    )
    guess = click.option(
        '--guess-oxidation', is_flag=True, help='Guess the oxidation states of FILE where it has none.'
    )
    return given(guess(command))


COMPENSATION = click.option(
    '--compensation',
    type=click.Choice(['spread', 'localised']),
    default='spread',
    show_default=True,
    help='How the transition metals take up charge: all alike, or one electron each, next to the ion.',
)

OUTPUT = click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    metavar='FILE',
    help='Write the crystal: .cif, .vasp or .json, of which only the last keeps both oxidation states and moments.',
)

OVERWRITE = click.option('--overwrite', is_flag=True, help='Replace files that are there.')


def check_output(path: Path | None, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    :raises ValueError: for a name that says no format, and a file that is there.
    """
    if path is None:
        return
    from aiida_embarrier.structures.writing import format_of

    format_of(path)
    if path.exists() and not overwrite:
        raise ValueError(f'{path} is there already: replace it with --overwrite, or give another name')


def write_output(structure: Structure, path: Path | None) -> None:
    """Write a crystal where a file was asked for."""
    if path is not None:
        from aiida_embarrier.structures.writing import write_structure

        write_structure(structure, path)


def read_numbers(text: str | None) -> list[int] | None:
    """Return the whole numbers in a text such as ``0,2,5-7``.

    :raises click.BadParameter: for anything else.
    """
    if text is None:
        return None
    numbers: list[int] = []
    for part in text.split(','):
        first, _, last = part.strip().partition('-')
        if not first.isdigit() or (last and not last.isdigit()):
            raise click.BadParameter(f'{text!r} is no list of numbers, such as 0,2,5-7')
        numbers += range(int(first), int(last or first) + 1)
    return numbers
