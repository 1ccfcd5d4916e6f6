"""``aiida-embarrier launch barrier``: the barrier of one path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_embarrier.cli.launch.paths import PATH, path_inputs, plain_path
from aiida_embarrier.cli.launch.settings import (
    JOBS,
    METHOD,
    MIN_DISTANCE,
    N_IMAGES,
    POTENTIAL,
    PREPARE_WITH,
    RATTLE,
    job_inputs,
    job_options,
    method_inputs,
)
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import load_profile

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch barrier LiFePO4.cif --ion Li --hop 0
  aiida-embarrier launch barrier --initial A.vasp --final B.vasp --images 5
  aiida-embarrier launch barrier LiFePO4.cif --ion Li --hop 0 --engine vasp --functional scan+u \\
      --prepare-with potential --code vasp@cluster --cores 60 --submit
  aiida-embarrier launch barrier LiFePO4.cif --ion Li --hop 0 --engine vasp --dry-run look"""


@click.command('barrier', epilog=EXAMPLES)
@PATH
@METHOD
@POTENTIAL
@PREPARE_WITH
@N_IMAGES
@MIN_DISTANCE
@RATTLE
@JOBS
@click.option(
    '--dry-run',
    type=click.Path(file_okay=False, path_type=Path),
    metavar='FOLDER',
    help='Write the input files of the band between the unrelaxed endpoints into FOLDER and end; needs neither '
    'profile nor code.',
)
@START
@click.option('-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.')
def command(
    path: dict[str, Any],
    method: dict[str, Any],
    potential: str | None,
    prepare_with: str | None,
    n_images: int | None,
    min_image_distance: float | None,
    rattle: float | None,
    jobs: dict[str, Any],
    dry_run: Path | None,
    profile_name: str | None,
    **how: Any,
) -> None:
    """Compute a migration barrier: of hop N of an ion in the crystal in FILE, between two endpoints, or from a band."""
    try:
        load_profile(profile_name)
    except click.ClickException:  # files can be written without one; where there is one, it knows pseudopotentials
        if dry_run is None or profile_name or path['band'] is not None:
            raise
    settings = method_inputs(
        **method,
        prepare_with=prepare_with,
        potential=potential,
        n_images=n_images,
        min_image_distance=min_image_distance,
        rattle=rattle,
    )
    if dry_run is not None:
        _write(dry_run, plain_path(**path), settings, job_options(settings, **jobs), how['output_format'])
        return
    from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain

    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        **path_inputs(**path),
        **settings,
        **job_inputs(settings, **jobs),
    )
    start(builder, **how)


def _write(
    folder: Path, path: dict[str, Any], settings: dict[str, Any], options: dict[str, Any], output_format: str
) -> None:
    """Write the input files of the band that would be launched, and list them."""
    from aiida_embarrier.cli.output import echo_json
    from aiida_embarrier.workflows.barrier_inputs import barrier_protocol
    from aiida_embarrier.workflows.preview import starting_band, write_input_files

    charge = settings.get('charge', 0.0)
    protocol = barrier_protocol(settings['engine'], settings['protocol'], settings['overrides'])
    band = starting_band(protocol, **path)
    files = write_input_files(folder, band, settings['engine'], protocol, charge=charge, options=options)
    if output_format == 'json':
        echo_json({'folder': folder, 'files': files})
        return
    for file in files:
        click.echo(file)
    click.echo(
        f'\n{len(files)} files for a band of {band.n_images} images of {band.n_atoms} atoms; nothing was launched.'
    )
