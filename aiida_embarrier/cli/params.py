"""Options that several commands share."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ('FORMAT', 'ION', 'STRUCTURE', 'with_profile')

NO_PROFILE = """there is no AiiDA profile yet. These two lines make one and start its daemon, without any service:

    verdi presto --use-zeromq
    verdi daemon start"""

FORMAT = click.option(
    '--format',
    'output_format',
    type=click.Choice(['text', 'json']),
    default='text',
    show_default=True,
    help='Text for readers or JSON for programs.',
)

ION = click.option('--ion', required=True, metavar='SYMBOL', help='The migrating ion, such as Li.')

STRUCTURE = click.argument('structure', metavar='FILE', type=click.Path(exists=True, dir_okay=False, path_type=Path))


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
