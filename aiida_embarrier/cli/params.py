"""Options that several commands share."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymatgen.core import Structure

__all__ = (
    'CHARGE',
    'ENGINE',
    'EXISTING_FILE',
    'FORMAT',
    'FUNCTIONAL',
    'HUBBARD_U',
    'ION',
    'MOMENTS',
    'OVERRIDES',
    'PROTOCOL',
    'STRUCTURE',
    'add_method',
    'band_of',
    'bundle',
    'collect_overrides',
    'find_node',
    'last_band',
    'load_band',
    'read_crystal',
    'read_mapping',
    'with_profile',
)

NO_PROFILE = """there is no AiiDA profile yet. These lines make one, start its daemon and make the code of the worker,
without any service:

    verdi presto --use-zeromq
    verdi daemon start
    aiida-embarrier setup"""

FORMAT = click.option(
    '--format',
    'output_format',
    type=click.Choice(['text', 'json']),
    default='text',
    show_default=True,
    help='Text for readers or JSON for programs.',
)

ION = click.option('--ion', required=True, metavar='SYMBOL', help='The migrating ion, such as Li.')

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

STRUCTURE = click.argument('structure', metavar='FILE', type=EXISTING_FILE)

ENGINE = click.option(
    '--engine', default='potential', show_default=True, metavar='NAME', help='Engine to compute with.'
)

PROTOCOL = click.option('--protocol', metavar='NAME', help='fast, balanced (default) or stringent.')


def OVERRIDES(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  (two options that go together)
    """Give a command the options that change values of a protocol."""
    file = click.option(
        '--config',
        type=EXISTING_FILE,
        metavar='YAML',
        help='File with values that replace those of the protocol; `show-protocol` prints one.',
    )
    single = click.option(
        '--set',
        'settings',
        multiple=True,
        metavar='KEY=VALUE',
        help='A single value, for instance `--set engine.neb.climb=false`; may be repeated.',
    )
    return file(single(command))


FUNCTIONAL = click.option(
    '--functional', metavar='KEY', help='Density functional, such as scan+u or pbe-d3bj, of engines that have some.'
)

CHARGE = click.option(
    '--charge',
    type=float,
    metavar='Q',
    help='Charge of the cell of endpoints and band in units of e, compensated by a uniform background; a Li+ taken out '
    'of a discharged host without its electron is -1.',
)

HUBBARD_U = click.option(
    '--hubbard-u',
    'hubbard_u',
    multiple=True,
    metavar='ELEMENT=eV',
    callback=lambda _context, _option, texts: read_hubbard_u(texts),
    help='Hubbard U that replaces the one of the functional, such as Mn=3.9; may be repeated.',
)


MOMENTS = click.option(
    '--moments',
    multiple=True,
    metavar='ELEMENT=μB',
    callback=lambda _context, _option, texts: read_moments(texts),
    help='Start moments in FILE, such as Fe=4, or one for each site of the element in order, such as Fe=4,-4,-4,4 '
    'in an antiferromagnet; may be repeated.',
)


def read_moments(texts: tuple[str, ...]) -> dict[str, float | list[float]]:
    """Return the moments in Bohr magnetons by element in texts such as ``Fe=4`` and ``Fe=4,-4``.

    :raises click.BadParameter: where one is none.
    """
    values: dict[str, float | list[float]] = {}
    for text in texts:
        element, _, numbers = text.partition('=')
        try:
            each = [float(number) for number in numbers.split(',')]
        except ValueError as error:
            raise click.BadParameter(f'{text!r} is not ELEMENT=MOMENT, such as Fe=4 or Fe=4,-4') from error
        values[element] = each[0] if len(each) == 1 else each
    return values


def read_crystal(path: Path, moments: dict[str, float | list[float]]) -> Structure:
    """Return the crystal in a file, with the moments of the option ``--moments`` where that was given.

    :raises ValueError: for files that hold no crystal, and moments that do not fit it.
    """
    from aiida_embarrier.structures.reading import read_structure

    structure = read_structure(path)
    if not moments:
        return structure
    from aiida_embarrier.workflows.functionals_inputs import with_moments

    return with_moments(structure, moments)


def read_hubbard_u(texts: tuple[str, ...]) -> dict[str, float]:
    """Return the U values in eV by element in texts such as ``Mn=3.9``.

    :raises click.BadParameter: where one is none.
    """
    values = {}
    for text in texts:
        element, _, number = text.partition('=')
        try:
            values[element] = float(number)
        except ValueError as error:
            raise click.BadParameter(f'{text!r} is not ELEMENT=eV, such as Mn=3.9') from error
    return values


def add_method(overrides: dict[str, Any], engine: str, functional: str | None, hubbard_u: dict[str, float]) -> None:
    """Put the options ``--functional`` and ``--hubbard-u`` into the overrides of a protocol.

    :raises click.UsageError: for engines that have no functionals.
    """
    from aiida_embarrier.engines.base import get_engine

    if functional is None and not hubbard_u:
        return
    if not get_engine(engine).functionals:
        raise click.UsageError(
            f'the engine {engine!r} has no density functionals: leave out --functional and --hubbard-u, or choose '
            'another one with --engine'
        )
    of_engine = overrides.setdefault('engine', {})
    if functional is not None:
        of_engine['functional'] = functional
    if hubbard_u:
        of_engine['hubbard_u'] = {**of_engine.get('hubbard_u', {}), **hubbard_u}


def bundle(name: str, *options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command options that go together, whose values come as one mapping.

    :param name: the argument of the command that takes the mapping.
    :param options: decorators that each add one or more options.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own: list[str] = []

        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return command(*args, **{name: {key: kwargs.pop(key) for key in own}}, **kwargs)

        others = len(getattr(wrapper, '__click_params__', ()))
        decorated: Any = wrapper
        for option in reversed(options):
            decorated = option(decorated)
        own.extend(param.name for param in decorated.__click_params__[others:])
        return decorated

    return decorate


def collect_overrides(config: Path | None, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the overrides of a protocol from a file and single settings, which win.

    :raises click.BadParameter: for a file that holds no mapping, and settings that are not KEY=VALUE.
    """
    import yaml

    overrides: Any = {} if config is None else read_mapping(config, '--config')
    for setting in settings:
        key, equals, text = setting.partition('=')
        if not equals or not key:
            raise click.BadParameter(f'{setting!r} is not KEY=VALUE', param_hint='--set')
        place = overrides
        *outer, last = key.split('.')
        for name in outer:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise click.BadParameter(f'{name!r} in {setting!r} is a value, not a group of keys', param_hint='--set')
        place[last] = yaml.safe_load(text)
    return overrides


def read_mapping(path: Path, option: str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    :param option: the option that took the file, for messages.
    :raises click.BadParameter: for a file that is no YAML or holds no mapping.
    """
    import yaml

    try:
        mapping = yaml.safe_load(path.read_text(encoding='utf8')) or {}
    except yaml.YAMLError as error:
        raise click.BadParameter(f'{path} is not YAML: {error}', param_hint=option) from error
    if not isinstance(mapping, dict):
        raise click.BadParameter(f'{path} holds no mapping of keys to values', param_hint=option)
    return mapping


def with_profile(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--profile``, and load that profile before the command runs.

    Put it nearest to the function, below ``@click.command()`` and beside other options.

    :raises click.ClickException: when the command runs and there is no such profile; the message says what to do.
    """

    @click.option(
        '-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.'
    )
    @functools.wraps(command)
    def wrapper(*args: Any, profile_name: str | None, **kwargs: Any) -> Any:
        load_profile(profile_name)
        return command(*args, **kwargs)

    return wrapper


def load_profile(name: str | None = None) -> None:
    """Load an AiiDA profile, the default one where none is named; one that is loaded already stays.

    :raises click.ClickException: where there is none, or none of that name.
    """
    from aiida.common.exceptions import MissingConfigurationError, ProfileConfigurationError
    from aiida.manage import get_manager

    manager = get_manager()
    loaded = manager.get_profile()
    if loaded is not None and name in {None, loaded.name}:
        return
    try:
        config = manager.get_config()
    except MissingConfigurationError as error:
        raise click.ClickException(NO_PROFILE) from error
    if not config.profile_names:
        raise click.ClickException(NO_PROFILE)
    try:
        profile = config.get_profile(name)
    except ProfileConfigurationError as error:
        known = ', '.join(config.profile_names)
        wanted = f'no AiiDA profile {name!r}' if name else 'no default AiiDA profile'
        raise click.ClickException(f'there is {wanted}: choose one of {known} with --profile') from error
    manager.load_profile(profile)


def find_node(identifier: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
    """Return the node that a PK, a UUID or a label names.

    Of several nodes with one label processes that another of them called are passed over.

    :param wanted: which of several nodes with one label are meant.
    :raises click.ClickException: where there is no such node, and where a label names several.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_node

    try:
        return load_node(identifier)
    except (NotExistent, ValueError) as error:
        raise click.ClickException(f'there is no node {identifier!r} in this profile: {error}') from error
    except MultipleObjectsError as error:
        found = _labelled(identifier)
        meant = [node for node in found if wanted(node)] or found
        if len(meant) == 1:
            return meant[0]
        kinds = [f'{node.pk} ({getattr(node, "process_label", None) or type(node).__name__})' for node in meant[-5:]]
        raise click.ClickException(
            f'{identifier!r} names {len(meant)} nodes: give the PK of one, such as {", ".join(kinds)}'
            if meant
            else str(error)  # the begin of several UUIDs
        ) from error


def _labelled(label: str) -> list[Any]:
    """Return the nodes with a label, without processes that were called by one with the same label."""
    from aiida.orm import Node, ProcessNode, QueryBuilder

    found = QueryBuilder().append(Node, filters={'label': label}).order_by({Node: 'id'}).all(flat=True)
    return [
        node for node in found if not (isinstance(node, ProcessNode) and node.caller and node.caller.label == label)
    ]


def load_band(identifier: str) -> Any:
    """Return the band node that a PK, a UUID or a label names: a band itself, or the band of a process.

    :raises click.ClickException: where there is no such node, and where it has no band.
    """
    return band_of(find_node(identifier))


def band_of(node: Any) -> Any:
    """Return a band node: the node itself, or the band of a process, the last one of its jobs where it returned none.

    :raises click.ClickException: where there is no band.
    """
    from aiida.orm import ProcessNode

    from aiida_embarrier.data.band import BandData

    if isinstance(node, BandData):
        return node
    if isinstance(node, ProcessNode):
        if 'band' in node.outputs:
            return node.outputs.band
        last = last_band(node)
        if last is not None:
            click.echo(f'process {node.pk} returned no band; this is the last one of its jobs', err=True)
            return last
        state = node.process_state.value if node.process_state else 'of unknown state'
        raise click.ClickException(
            f'process {node.pk} ({node.process_label}, {state}) has no band: '
            f'`verdi process report {node.pk}` tells how far it came'
        )
    raise click.ClickException(
        f'node {node.pk} is neither a band nor a process, it is of type {type(node).__name__}: `dataset info` tells of '
        f'datasets, `model show` of models, `verdi data embarrier table show {node.pk}` of tables'
    )


def last_band(process: Any) -> Any | None:
    """Return the newest band with energies that the jobs below a process left, None where there is none."""
    from aiida.common.links import LinkType

    from aiida_embarrier.data.band import BandData

    bands = [
        link.node
        for job in process.called_descendants
        for link in job.base.links.get_outgoing(node_class=BandData, link_type=LinkType.CREATE).all()
        if link.node.base.attributes.get('barrier_forward', None) is not None
    ]
    return max(bands, key=lambda node: node.pk, default=None)
