"""``aiida-embarrier launch network``: the barriers of all hops of an ion in a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.settings import JOBS, METHOD, POTENTIAL, job_inputs, method_inputs
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import ION, STRUCTURE, with_profile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch network LiFePO4.cif --ion Li
  aiida-embarrier launch network LiFePO4.cif --ion Li --hops 0,2"""


def read_numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """Return the numbers in a list such as ``0,2``."""
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(',')]
    except ValueError as error:
        raise click.BadParameter(f'{text!r} is no list of numbers such as 0,2') from error


@click.command('network', epilog=EXAMPLES)
@STRUCTURE
@ION
@click.option(
    '--hops',
    'numbers',
    metavar='N,M,...',
    callback=read_numbers,
    help='Numbers of the hops, as `hops` lists them; all unless given.',
)
@click.option(
    '--mechanism',
    type=click.Choice(['vacancy', 'interstitial']),
    default='vacancy',
    show_default=True,
    help='Mechanism, as given to `hops`.',
)
@click.option('--max-length', type=float, metavar='Å', help='Longest hop, as given to `hops`; 5 Å.')
@click.option('--extra-vacancies', type=int, default=0, metavar='N', help='Further vacancies, as given to `hops`.')
@click.option('--symprec', type=float, metavar='Å', help='Tolerance of symmetry, as given to `hops`.')
@METHOD
@POTENTIAL
@click.option('--images', 'n_images', type=int, metavar='N', help='Number of images, the endpoints included.')
@click.option(
    '--min-distance', 'min_image_distance', type=float, metavar='Å', help='Distance between periodic images of the ion.'
)
@JOBS
@START
@with_profile
def command(
    structure: Path,
    ion: str,
    numbers: list[int] | None,
    mechanism: str,
    max_length: float | None,
    extra_vacancies: int,
    symprec: float | None,
    method: dict[str, Any],
    potential: str | None,
    n_images: int | None,
    min_image_distance: float | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Compute the barriers of all hops of an ion in the crystal in FILE, side by side in one supercell.

    The host and every symmetry-distinct vacancy (or place of an added ion) are relaxed once. A hop that fails leaves
    the others alone.
    """
    from aiida_embarrier.data.convert import node_from_structure
    from aiida_embarrier.structures.reading import read_structure
    from aiida_embarrier.workflows.network import MigrationNetworkWorkChain

    crystal, kinds = node_from_structure(read_structure(structure))
    given = {
        'numbers': numbers,
        'max_length': max_length,
        'symprec': symprec,
        'extra_vacancies': extra_vacancies or None,
    }
    builder = MigrationNetworkWorkChain.get_builder_from_protocol(
        structure=crystal,
        kinds=kinds,
        hops={
            'ion': ion,
            'mechanism': mechanism,
            **{name: value for name, value in given.items() if value is not None},
        },
        **method_inputs(**method, potential=potential, n_images=n_images, min_image_distance=min_image_distance),
        **job_inputs(**jobs),
    )
    start(builder, **how)
