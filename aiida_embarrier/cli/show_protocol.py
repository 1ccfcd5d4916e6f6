"""``aiida-embarrier show-protocol``: everything that a launch would use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import (
    CHARGE,
    ENGINE,
    EXISTING_FILE,
    FORMAT,
    FUNCTIONAL,
    HUBBARD_U,
    MOMENTS,
    OVERRIDES,
    PROTOCOL,
    add_method,
    collect_overrides,
    read_crystal,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier show-protocol --protocol stringent
  aiida-embarrier show-protocol LiFePO4.cif --ion Li --engine vasp --functional scan+u"""


@click.command('show-protocol', epilog=EXAMPLES)
@click.argument('structure', metavar='[FILE]', type=EXISTING_FILE, required=False)
@ENGINE
@PROTOCOL
@FUNCTIONAL
@HUBBARD_U
@CHARGE
@MOMENTS
@click.option('--ion', metavar='SYMBOL', help='With FILE: the migrating ion, for the supercell of a hop.')
@click.option('--hop', type=int, default=0, metavar='N', help='With --ion: number of the hop, as `hops` lists them; 0.')
@OVERRIDES
@FORMAT
def command(
    structure: Path | None,
    engine: str,
    protocol: str | None,
    functional: str | None,
    hubbard_u: dict[str, float],
    charge: float | None,
    moments: dict[str, float | list[float]],
    ion: str | None,
    hop: int,
    config: Path | None,
    settings: tuple[str, ...],
    output_format: str,
) -> None:
    """Print the inputs of a protocol, with overrides applied, as YAML that --config takes. Needs no AiiDA profile.

    With the crystal in FILE: what the engine makes of them, as it stands in its input files; of the host and of the
    band of a hop with --ion, else of a band in the cell of FILE. Needs no code and no pseudopotentials either.
    """
    import yaml

    from aiida_embarrier.workflows.barrier_inputs import barrier_protocol

    overrides = collect_overrides(config, settings)
    add_method(overrides, engine, functional, hubbard_u)
    resolved = barrier_protocol(engine, protocol, overrides)
    if structure is not None:
        resolved = _resolve(structure, moments, engine, resolved, ion=ion, hop=hop, charge=charge or 0.0)
    elif ion is not None or charge is not None or moments:
        raise click.UsageError('--ion, --charge and --moments go with a crystal FILE: a protocol holds none of them')
    if output_format == 'json':
        echo_json(resolved)
    else:
        click.echo(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).rstrip())


def _resolve(
    structure: Path, moments: dict[str, float | list[float]], engine: str, resolved: dict[str, Any], **how: Any
) -> dict[str, Any]:
    from aiida_embarrier.workflows.preview import resolved_inputs

    return resolved_inputs(read_crystal(structure, moments), engine, resolved, **how)
