"""``aiida-embarrier launch network``: the barriers of all hops of an ion in a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.paths import HOP_LIMITS, hop_limits
from aiida_embarrier.cli.launch.settings import (
    JOBS,
    METHOD,
    MIN_DISTANCE,
    N_IMAGES,
    POTENTIAL,
    PREPARE_WITH,
    RATTLE,
    job_inputs,
    method_inputs,
)
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import ION, MOMENTS, STRUCTURE, bundle, read_crystal, with_profile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch network LiFePO4.cif --ion Li
  aiida-embarrier launch network LiFePO4.cif --ion Li --hops 0-3,5"""


def read_numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """Return the numbers in a list such as ``0-3,5``."""
    if text is None:
        return None
    numbers: list[int] = []
    try:
        for entry in text.split(','):
            first, dash, last = entry.partition('-')
            listed = list(range(int(first), int(last if dash else first) + 1))
            if not listed:
                raise ValueError(f'{entry} ends before it begins')
            numbers += listed
    except ValueError as error:
        raise click.BadParameter(f'{text!r} is no list of numbers such as 0,2 or 0-3,5') from error
    return numbers


@click.command('network', epilog=EXAMPLES)
@STRUCTURE
@ION
@click.option(
    '--hops',
    'numbers',
    metavar='N,M-K,...',
    callback=read_numbers,
    help='Numbers of the hops, as `hops` lists them, such as 0-3,5; all that go through no other atom unless given.',
)
@click.option(
    '--mechanism',
    type=click.Choice(['vacancy', 'interstitial']),
    default='vacancy',
    show_default=True,
    help='Mechanism, as given to `hops`.',
)
@bundle('limits', *HOP_LIMITS)
@MOMENTS
@METHOD
@POTENTIAL
@PREPARE_WITH
@N_IMAGES
@MIN_DISTANCE
@RATTLE
@JOBS
@START
@with_profile
def command(
    structure: Path,
    ion: str,
    numbers: list[int] | None,
    mechanism: str,
    limits: dict[str, Any],
    moments: dict[str, float | list[float]],
    method: dict[str, Any],
    potential: str | None,
    prepare_with: str | None,
    n_images: int | None,
    min_image_distance: float | None,
    rattle: float | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Compute the barriers of all hops of an ion in the crystal in FILE, side by side in one supercell.

    The host and every symmetry-distinct vacancy (or place of an added ion) are relaxed once. A hop that fails leaves
    the others alone.
    """
    from aiida_embarrier.data.convert import node_from_structure
    from aiida_embarrier.workflows.network import MigrationNetworkWorkChain

    crystal, kinds = node_from_structure(read_crystal(structure, moments))
    chosen = {} if numbers is None else {'numbers': numbers}
    settings = method_inputs(
        **method,
        prepare_with=prepare_with,
        potential=potential,
        n_images=n_images,
        min_image_distance=min_image_distance,
        rattle=rattle,
    )
    builder = MigrationNetworkWorkChain.get_builder_from_protocol(
        structure=crystal,
        kinds=kinds,
        hops={'ion': ion, 'mechanism': mechanism, **chosen, **hop_limits(**limits)},
        **settings,
        **job_inputs(settings, **jobs),
    )
    start(builder, **how)
