"""``aiida-embarrier derive charge``: intercalants taken out of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.derive.options import (
    COMPENSATION,
    OUTPUT,
    OVERWRITE,
    OXIDATION,
    check_output,
    read_numbers,
    write_output,
)
from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, ION, MOMENTS, STRUCTURE, read_crystal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)


@click.command('charge')
@STRUCTURE
@ION
@click.option(
    '--state',
    default=None,
    metavar='STATE',
    help='discharged, charged, dilute (one ion stays), or the share of sites that stay occupied, such as 0.5.',
)
@click.option('--count', type=click.IntRange(min=0), metavar='N', help='How many ions stay, instead of --state.')
@click.option(
    '--remove',
    metavar='SITES',
    callback=lambda _context, _option, text: read_numbers(text),
    help='Numbers of the sites that are emptied, such as 0,3, instead of those that leave the lowest energy.',
)
@click.option(
    '--sites',
    'indices',
    metavar='SITES',
    callback=lambda _context, _option, text: read_numbers(text),
    help='Sites of the intercalant, where others of the same element belong to the framework.',
)
@OXIDATION
@COMPENSATION
@MOMENTS
@OUTPUT
@OVERWRITE
@FORMAT
def command(
    structure: Path,
    ion: str,
    state: str | None,
    count: int | None,
    remove: list[int] | None,
    indices: list[int] | None,
    oxidation: dict[str, float],
    guess_oxidation: bool,
    compensation: str,
    moments: dict[str, float | list[float]],
    output: Path | None,
    overwrite: bool,
    output_format: str,
) -> None:
    """Bring the discharged host in FILE into another charge state.

    Where oxidation states are known, the transition metals take up the charge of the ions that go, and moments of
    high-spin ions follow. In text the emptied sites are listed, where an ion can be put in again: `derive endpoints
    --state` does so. Needs no AiiDA profile.
    """
    from aiida_embarrier.structures.charge_states import set_charge_state

    if sum(choice is not None for choice in (state, count, remove)) != 1:
        raise click.UsageError('give one of --state, --count and --remove')
    check_output(output, overwrite)
    crystal = read_crystal(structure, moments)
    made = set_charge_state(
        crystal,
        ion,
        state,
        count=count,
        remove=remove,
        indices=indices,
        oxidation_states=oxidation,
        compensation=compensation,
        guess=guess_oxidation,
    )
    write_output(made.structure, output)
    result = {
        'file': str(structure),
        'formula': made.structure.composition.element_composition.reduced_formula,
        'host_formula': crystal.composition.element_composition.reduced_formula,
        'n_atoms': len(made.structure),
        **made.to_dict(),
        **({} if output is None else {'output': str(output)}),
    }
    if output_format == 'json':
        echo_json(result)
    else:
        _echo_text(result)


def _echo_text(result: dict[str, Any]) -> None:
    click.echo(
        f'{result["formula"]} ({result["n_atoms"]} atoms) from {result["host_formula"]}: {result["content"]:.4g} of '
        f'the {result["ion"]} sites are occupied'
    )
    for element, (before, after) in result['oxidation_states_changed'].items():
        click.echo(f'{element}: {before:+g} becomes {after:+g}')
    if result['n_choices'] > 1:
        click.echo(f'{result["n_choices"]} choices of ions, {result["n_lowest"]} of which have the lowest energy')
    if result['removed']:
        click.echo('emptied sites:')
        for index, site in zip(result['removed'], result['sites'], strict=True):
            click.echo(f'  {index}: ' + ' '.join(f'{value:.4f}' for value in site))
    for warning in result['warnings']:
        click.echo(f'warning: {warning}')
    if 'output' in result:
        click.echo(f'written to {result["output"]}')
