"""``aiida-embarrier query barriers``: all barriers, with conditions on any attribute of bands."""

from __future__ import annotations

import re
from typing import Any

import click

from aiida_embarrier.cli.bands import BAND_FILTERS, BAND_TABLE, find_listed, nothing_found
from aiida_embarrier.cli.params import with_profile
from aiida_embarrier.cli.tables import TABLE_FORMAT, echo_frame

__all__ = ('command', 'read_condition')

CONDITION = re.compile(r'\s*(?P<name>\w+)\s*(?P<operator><=|>=|!=|==|=|<|>)\s*(?P<value>.+?)\s*')


@click.command('barriers')
@BAND_FILTERS
@click.option(
    '--where',
    'conditions',
    multiple=True,
    metavar='CONDITION',
    help='Condition on any attribute of a band, such as "n_images>=7", "climbing=true" or "host_treatment!=none"; as '
    'often as needed.',
)
@TABLE_FORMAT
@with_profile
def command(filters: dict[str, Any], conditions: tuple[str, ...], output_format: str) -> None:
    """All barriers that meet conditions: one row per band with energies, the newest first."""
    where: dict[str, dict[str, Any]] = {}
    for text in conditions:
        name, condition = read_condition(text)
        where.setdefault(name, {'and': []})['and'].append(condition)
    found = find_listed({**filters, 'where': where})
    echo_frame(found, BAND_TABLE, output_format, nothing_found() if found.empty and output_format == 'text' else '')


def read_condition(text: str) -> tuple[str, dict[str, Any]]:
    """Return the attribute that a condition names, and the condition in the language of the QueryBuilder.

    :raises click.BadParameter: for what is no condition, and attributes that bands do not have.
    """
    import difflib

    import yaml

    from aiida_embarrier.data.band import BandData

    found = CONDITION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f'{text!r} is not NAME<VALUE, with one of <, <=, =, !=, >=, >', param_hint='--where')
    name, operator = found['name'], found['operator'].replace('==', '=')
    known = list(BandData.AttributesModel.__annotations__)
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f'did you mean {close[0]!r}?' if close else f'choose from {", ".join(known)}'
        raise click.BadParameter(f'bands have no attribute {name!r}: {hint}', param_hint='--where')
    value = yaml.safe_load(found['value'])
    if isinstance(value, list | dict):
        raise click.BadParameter(f'{text!r} compares with more than one value', param_hint='--where')
    return name, {{'=': '==', '!=': '!=='}.get(operator, operator): value}
