"""``aiida-embarrier show-protocol``: everything that a launch would use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import ENGINE, FORMAT, OVERRIDES, PROTOCOL, collect_overrides

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command',)


@click.command('show-protocol')
@ENGINE
@PROTOCOL
@OVERRIDES
@FORMAT
def command(
    engine: str, protocol: str | None, config: Path | None, settings: tuple[str, ...], output_format: str
) -> None:
    """Print the inputs of a protocol, with overrides applied, as YAML that --config takes. Needs no AiiDA profile."""
    import yaml

    from aiida_embarrier.workflows.barrier_inputs import barrier_protocol

    resolved = barrier_protocol(engine, protocol, collect_overrides(config, settings))
    if output_format == 'json':
        echo_json(resolved)
    else:
        click.echo(yaml.safe_dump(resolved, sort_keys=False).rstrip())
