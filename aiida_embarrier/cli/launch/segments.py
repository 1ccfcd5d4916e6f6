"""``aiida-embarrier launch segments``: split a path at its interior minima, and compute the segments on their own."""

from __future__ import annotations

from typing import Any

import click

from aiida_embarrier.cli.launch.settings import JOBS, METHOD, POTENTIAL, job_inputs, method_inputs
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import band_of, find_node, with_profile

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch segments 293
  aiida-embarrier launch segments 293 --images 9 --protocol stringent"""


@click.command('segments', epilog=EXAMPLES)
@click.argument('node')
@click.option('--images', 'n_images', type=int, metavar='N', help='Number of images of each segment, with its ends.')
@click.option(
    '--depth', type=float, metavar='eV', help='Depth from which an interior minimum splits the path; 0.02 unless given.'
)
@click.option(
    '--rounds',
    'max_rounds',
    type=int,
    metavar='N',
    help='How often segments with an interior minimum are split again; 2 unless given, 1 for never.',
)
@METHOD
@POTENTIAL
@JOBS
@START
@with_profile
def command(
    node: str,
    n_images: int | None,
    depth: float | None,
    max_rounds: int | None,
    method: dict[str, Any],
    potential: str | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Split the path of NODE, a band or the process that computed one (PK or UUID), at its interior minima.

    Without any option that says how or where to compute, all is done as in the barrier process that made the band.
    """
    from aiida_embarrier.workflows.segments import SegmentedBarrierWorkChain

    found = find_node(node)
    band = band_of(found)
    given = [
        value for value in (*method.values(), *jobs.values(), potential) if value not in (None, (), {}, 'potential')
    ]
    process = None if given else barrier_process(band)
    if process is not None:
        builder = SegmentedBarrierWorkChain.get_builder_from_process(
            process, n_images=n_images, depth=depth, max_rounds=max_rounds
        )
    else:
        settings = method_inputs(**method, potential=potential, n_images=n_images)
        builder = SegmentedBarrierWorkChain.get_builder_from_protocol(
            band=band,
            depth=depth,
            max_rounds=max_rounds,
            **settings,
            **job_inputs(settings, **jobs),
        )
    start(builder, **how)


def barrier_process(band: Any) -> Any | None:
    """Return the barrier process that returned a band and can relax its minima too, None where there is none."""
    from aiida.common.links import LinkType

    for link in band.base.links.get_incoming(link_type=LinkType.RETURN).all():
        inputs = link.node.inputs
        if link.link_label == 'band' and 'engine_inputs' in inputs and 'relax' in inputs.engine_inputs:
            return link.node
    return None
