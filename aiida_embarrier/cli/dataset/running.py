"""Run processes that make datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

__all__ = ('run_function', 'run_worker')


def run_worker(entry_point: str, code: str | None, label: str, **inputs: Any) -> ProcessNode:
    """Run a job of the worker to its end in this terminal.

    :param entry_point: of its CalcJob.
    :param code: label of the code; None for the one of this machine, which is made where there is none.
    :param label: of the process.
    :raises click.ClickException: for inputs that are refused, and where the job failed.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_code
    from aiida.plugins import CalculationFactory

    from aiida_embarrier.cli.running import Interrupted, run_in_terminal
    from aiida_embarrier.engines.potential.setup import setup_code, setup_computer

    builder = CalculationFactory(entry_point).get_builder()
    try:
        builder.code = setup_code(setup_computer()[0])[0] if code is None else load_code(code)
        for name, value in inputs.items():
            setattr(builder, name, value)
        builder.metadata.label = label
        process = run_in_terminal(builder)
    except NotExistent as error:
        raise click.ClickException(f'there is no code {code!r} in this profile: {error}') from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except Interrupted as interrupt:
        raise click.ClickException(f'interrupted: process {interrupt.node.pk} was ended') from interrupt
    return _checked(process)


def run_function(function: Any, *inputs: Any) -> tuple[dict[str, Any], ProcessNode]:
    """Run a calcfunction, and return its outputs and its process.

    :raises click.ClickException: where it refused its inputs.
    """
    outputs, process = function.run_get_node(*inputs)
    return outputs, _checked(process)


def _checked(process: ProcessNode) -> ProcessNode:
    if not process.is_finished_ok:
        message = process.exit_message or f'`verdi process report {process.pk}` tells more'
        raise click.ClickException(f'{message} (process {process.pk})')
    return process
