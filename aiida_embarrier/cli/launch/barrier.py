"""``aiida-embarrier launch barrier``: the barrier of one path."""

from __future__ import annotations

from typing import Any

import click

from aiida_embarrier.cli.launch.paths import PATH, path_inputs
from aiida_embarrier.cli.launch.settings import (
    JOBS,
    METHOD,
    MIN_DISTANCE,
    N_IMAGES,
    POTENTIAL,
    job_inputs,
    method_inputs,
)
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import with_profile

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch barrier LiFePO4.cif --ion Li --hop 0
  aiida-embarrier launch barrier --initial A.vasp --final B.vasp --images 5"""


@click.command('barrier', epilog=EXAMPLES)
@PATH
@METHOD
@POTENTIAL
@N_IMAGES
@MIN_DISTANCE
@JOBS
@START
@with_profile
def command(
    path: dict[str, Any],
    method: dict[str, Any],
    potential: str | None,
    n_images: int | None,
    min_image_distance: float | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Compute a migration barrier: of hop N of an ion in the crystal in FILE, between two endpoints, or from a band."""
    from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain

    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        **path_inputs(**path),
        **method_inputs(**method, potential=potential, n_images=n_images, min_image_distance=min_image_distance),
        **job_inputs(**jobs),
    )
    start(builder, **how)
