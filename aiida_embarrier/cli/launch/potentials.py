"""``aiida-embarrier launch potentials``: compare several potentials on one path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_embarrier.cli.launch.paths import PATH, path_inputs
from aiida_embarrier.cli.launch.settings import (
    JOBS,
    METHOD,
    MIN_DISTANCE,
    N_IMAGES,
    QUANTITY,
    job_inputs,
    method_inputs,
)
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import read_mapping, with_profile

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch potentials LiFePO4.cif --ion Li --hop 0 --potential chgnet --potential sevennet:7net-0
  aiida-embarrier launch potentials --band 293 --single-point --potential chgnet --potential mace=mace.yaml"""


def read_entry(text: str) -> str | dict[str, Any]:
    """Return what an option ``--potential`` names: a potential of the package, or the overrides in a file.

    :raises click.BadParameter: for a file that cannot be read.
    """
    label, equals, file = text.partition('=')
    if not equals:
        return text
    path = Path(file)
    if not path.is_file():
        raise click.BadParameter(f'there is no file {file!r} for the potential {label!r}', param_hint='--potential')
    return {'label': label, 'overrides': read_mapping(path, '--potential')}


@click.command('potentials', epilog=EXAMPLES)
@PATH
@click.option(
    '--potential',
    'potentials',
    multiple=True,
    required=True,
    metavar='NAME[:MODEL]',
    help='A potential to compare, such as chgnet or sevennet:7net-0; may be repeated. For others LABEL=YAML, a file '
    'with values that replace those of the protocol.',
)
@click.option(
    '--single-point', is_flag=True, help='Only evaluate the images of --band, instead of a band of each potential.'
)
@click.option('--reference', 'reference_barrier', type=float, metavar='eV', help='Barrier to compare with.')
@click.option('--reference-label', metavar='TEXT', help='Where it comes from.')
@QUANTITY
@METHOD
@N_IMAGES
@MIN_DISTANCE
@JOBS
@START
@with_profile
def command(
    path: dict[str, Any],
    potentials: tuple[str, ...],
    single_point: bool,
    reference_barrier: float | None,
    reference_label: str | None,
    quantity: str | None,
    method: dict[str, Any],
    n_images: int | None,
    min_image_distance: float | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Compute one path with several potentials, each with itself from the host on, and compare their barriers.

    The path is a hop of the crystal in FILE, two endpoints, or a band, whose ends are then relaxed by each potential. A
    potential that fails is reported in the table.
    """
    from aiida_embarrier.workflows.potentials import PotentialComparisonWorkChain

    settings = method_inputs(**method, n_images=n_images, min_image_distance=min_image_distance)
    builder = PotentialComparisonWorkChain.get_builder_from_protocol(
        potentials=[read_entry(text) for text in potentials],
        single_point=single_point,
        reference_barrier=reference_barrier,
        reference_label=reference_label,
        quantity=quantity,
        **path_inputs(**path),
        **settings,
        **job_inputs(settings, **jobs),
    )
    start(builder, **how)
