"""``aiida-embarrier plot``: a result as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, find_node, with_profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ('command',)


@click.command('plot')
@click.argument('nodes', nargs=-1, required=True, metavar='NODE...')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    help='File to write: PNG, SVG or PDF; energy_path.png for bands unless given.',
)
@click.option(
    '--path', 'through_crystal', is_flag=True, help='Draw the way through the crystal instead of the energies.'
)
@click.option(
    '--direction',
    type=int,
    nargs=3,
    metavar='U V W',
    help='With --path: lattice direction along which to look at the crystal; the one that shows the path best unless '
    'given.',
)
@click.option(
    '--convergence',
    'of_convergence',
    is_flag=True,
    help='Draw force and barrier of the bands of a process, running or done, against the steps.',
)
@click.option(
    '--figure',
    'figure_name',
    metavar='NAME',
    help='Which picture, where there are several: of a comparison of functionals paths (unless given), errors, cost or '
    'moments; of bands moments, the magnetic moments of their sites.',
)
@FORMAT
@with_profile
def command(
    nodes: tuple[str, ...],
    output: Path | None,
    through_crystal: bool,
    direction: tuple[int, int, int] | None,
    of_convergence: bool,
    figure_name: str | None,
    output_format: str,
) -> None:
    """Draw the energy path of one or more bands, or what a study found (PKs or UUIDs of bands or of processes)."""
    from aiida_embarrier.figures.style import save

    found = [find_node(node) for node in nodes]
    if not of_convergence:
        figure, name = _draw_result(found, through_crystal, direction, figure_name)
    elif len(found) > 1 or through_crystal or direction is not None or figure_name is not None:
        raise click.UsageError(
            '--convergence draws one process, and goes with none of --path, --direction and --figure'
        )
    else:
        figure, name = _draw_convergence(found[0]), 'convergence'
    path = output or Path(f'{name}.png')
    save(figure, path)
    if output_format == 'json':
        echo_json({'file': path})
    else:
        click.echo(f'wrote {path}')


def _draw_result(
    found: list[Any], through_crystal: bool, direction: tuple[int, int, int] | None, figure_name: str | None
) -> tuple[Figure, str]:
    """Return the picture of a result, and its name."""
    from aiida_embarrier.cli.views import view_of

    views = [view_of(node) for node in found]
    view = views[0]
    if any(other is not view for other in views):
        raise click.UsageError('these nodes are of different kinds, so no picture holds them all: draw them one by one')
    if figure_name is not None:
        return _draw_figure(view, found, figure_name, through_crystal or direction is not None), figure_name
    if view.OUTPUT == 'band':
        figure = view.draw(found, through_crystal=through_crystal, direction=direction)
    elif through_crystal or direction is not None:
        raise click.UsageError('--path and --direction are for bands')
    elif len(found) > 1:
        raise click.UsageError('one such node is drawn at a time')
    else:
        figure = view.draw(found[0])
    return figure, view.PICTURE


def _draw_figure(view: Any, found: list[Any], name: str, has_other_options: bool) -> Figure:
    """Return one of several pictures of a result."""
    known = getattr(view, 'FIGURES', ())
    if name not in known:
        choice = f'choose one of {", ".join(known)}' if known else 'there is one only, so leave out --figure'
        raise click.UsageError(f'there is no picture {name!r} of it: {choice}')
    if len(found) > 1 or has_other_options:
        raise click.UsageError('--figure draws one node, and goes with neither --path nor --direction')
    try:
        figure: Figure = view.draw(found if view.OUTPUT == 'band' else found[0], figure=name)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return figure


def _draw_convergence(process: Any) -> Figure:
    """Return how the bands of a process converged; its relaxations where it has no bands."""
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.following import ProgressFollower
    from aiida_embarrier.figures.convergence import convergence
    from aiida_embarrier.queries.histories import task_histories

    if not isinstance(process, ProcessNode):
        raise click.ClickException(f'node {process.pk} is not a process: name the process that computed it')
    with ProgressFollower() as follower:
        histories = task_histories(process, follower.read)
    bands = {name: task for name, task in histories.items() if task.steps and 'barrier' in task.last}
    return convergence(bands or histories)
