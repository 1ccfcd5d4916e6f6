"""``aiida-embarrier launch convergence``: how a barrier depends on the settings it is computed with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.paths import PATH, path_inputs
from aiida_embarrier.cli.launch.settings import JOBS, METHOD, POTENTIAL, QUANTITY, job_inputs, method_inputs
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import with_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch convergence LiFePO4.cif --ion Li --hop 0 --images 5,7,9 --force 0.1,0.05,0.02
  aiida-embarrier launch convergence LiFePO4.cif --ion Li --hop 0 --supercell 1x2x2,2x2x2,2x3x3
  aiida-embarrier launch convergence --initial A.vasp --final B.vasp --vary engine.neb.spring_constant=1,5"""

#: The key of the protocol that each option varies; that of the force threshold is the same for all engines.
KEYS = {
    'images': 'n_images',
    'supercells': 'supercell',
    'distances': 'min_image_distance',
    'forces': 'engine.neb.force_threshold',
}


def listed(read: Callable[[str], Any], example: str) -> Callable[[Any, Any, str | None], list[Any] | None]:
    """Return the callback of an option that takes a list such as ``5,7,9``.

    :param read: what makes a value of each entry.
    :param example: a list that it takes, for messages.
    """

    def callback(_: click.Context, __: click.Parameter, text: str | None) -> list[Any] | None:
        if text is None:
            return None
        try:
            return [read(entry.strip()) for entry in text.split(',')]
        except ValueError as error:
            raise click.BadParameter(f'{text!r} is no list such as {example}') from error

    return callback


def read_supercell(text: str) -> list[int]:
    """Return the supercell in a text such as ``2x2x1``.

    :raises ValueError: where it is none.
    """
    numbers = [int(number) for number in text.lower().replace('×', 'x').split('x')]
    if len(numbers) != 3:
        raise ValueError(f'{text!r} has not three numbers')
    return numbers


def read_variables(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values by key in texts such as ``engine.neb.climb=true,false``; values are read as YAML.

    :raises click.BadParameter: where one is none.
    """
    import yaml

    variables = {}
    for text in texts:
        key, equals, values = text.partition('=')
        try:
            read = yaml.safe_load(f'[{values}]') if key and equals else None
        except yaml.YAMLError:
            read = None
        if not read:
            raise click.BadParameter(f'{text!r} is not KEY=VALUE,VALUE,...', param_hint='--vary')
        variables[key] = read
    return variables


@click.command('convergence', epilog=EXAMPLES)
@PATH
@click.option(
    '--images', metavar='N,M,...', callback=listed(int, '5,7,9'), help='Numbers of images, the endpoints included.'
)
@click.option(
    '--supercell',
    'supercells',
    metavar='AxBxC,...',
    callback=listed(read_supercell, '1x2x2,2x2x2'),
    help='Supercells, with FILE.',
)
@click.option(
    '--min-distance',
    'distances',
    metavar='Å,Å,...',
    callback=listed(float, '8,10'),
    help='Distances between periodic images of the ion, with FILE; the smallest supercell is taken that keeps each.',
)
@click.option(
    '--force',
    'forces',
    metavar='F,F,...',
    callback=listed(float, '0.1,0.05,0.02'),
    help='Force thresholds of the band in eV/Å.',
)
@click.option(
    '--vary',
    multiple=True,
    metavar='KEY=V,V,...',
    help='Any other key of the protocol, its values from the coarsest to the finest; may be repeated.',
)
@click.option(
    '--tolerance',
    type=float,
    metavar='eV',
    help='Difference to the finest setting within which a setting is good enough; 0.01 eV unless given.',
)
@QUANTITY
@METHOD
@POTENTIAL
@JOBS
@START
@with_profile
def command(
    path: dict[str, Any],
    vary: tuple[str, ...],
    tolerance: float | None,
    quantity: str | None,
    method: dict[str, Any],
    potential: str | None,
    jobs: dict[str, Any],
    label: str | None,
    submit: bool,
    output_format: str,
    **lists: list[Any] | None,
) -> None:
    """Vary settings one at a time, and find the cheapest ones that are good enough.

    The path is a hop of the crystal in FILE, two endpoints, or a band. The other settings are those of the protocol, of
    --config and of --set; an option with one value beside others with several is a setting of all runs.
    """
    from aiida_embarrier.workflows.convergence import ConvergenceWorkChain

    variables = {KEYS[name]: values for name, values in lists.items() if values is not None}
    variables.update(read_variables(vary))
    # one value beside others that are varied is that of all runs
    fixed = {key: values[0] for key, values in variables.items() if len(values) == 1}
    if len(fixed) < len(variables):
        variables = {key: values for key, values in variables.items() if key not in fixed}
        given = tuple(f'{key}={json.dumps(value)}' for key, value in fixed.items())
        method = {**method, 'settings': (*method['settings'], *given)}
    if not variables:
        raise click.UsageError('nothing is varied: give at least one of --images, --supercell, --force, --vary')
    settings = method_inputs(**method, potential=potential)
    builder = ConvergenceWorkChain.get_builder_from_protocol(
        variables=variables,
        tolerance=tolerance,
        quantity=quantity,
        **path_inputs(**path),
        **settings,
        **job_inputs(settings, **jobs),
    )
    start(builder, label=label, submit=submit, output_format=output_format)
