"""Start a process, in this terminal or through the daemon, and print what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida.engine import ProcessBuilder
    from aiida.orm import ProcessNode

__all__ = ('START', 'start')

NO_DAEMON = """the daemon is not running, so nothing was submitted. Start it, or leave out --submit to run here:

    verdi daemon start"""


def START(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  (options that go together)
    """Give a command the options of :func:`start`."""
    label = click.option('--label', help='Label of the process node.')
    submit = click.option('--submit', is_flag=True, help='Submit to the daemon and return at once.')
    return label(submit(FORMAT(command)))


def start(
    builder: ProcessBuilder,
    *,
    label: str | None,
    submit: bool,
    output_format: str,
    resumes: ProcessNode | None = None,
) -> None:
    """Run or submit a process and print its result; end with exit code 1 where it failed.

    :param label: label of the process node.
    :param submit: submit to the daemon and return at once.
    :param output_format: `text` or `json`.
    :param resumes: an earlier process that it goes on from.
    """
    if label is not None:
        builder.metadata.label = label
    if not submit:
        _report(_run(builder, resumes), output_format)
        return
    node = _submit(builder, resumes)
    if output_format == 'json':
        echo_json({'pk': node.pk, 'uuid': node.uuid, 'state': node.process_state.value})
    else:
        click.echo(f'submitted {node.process_label} {node.pk}\n')
        click.echo(f'how it goes:     aiida-embarrier watch {node.pk}')
        click.echo(f'when it is done: aiida-embarrier show {node.pk}')


def _submit(builder: ProcessBuilder, resumes: ProcessNode | None) -> ProcessNode:
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    from aiida_embarrier.cli.running import daemon_runs
    from aiida_embarrier.engines.resumption import RESUMES

    profile = get_manager().get_profile()
    if profile is not None and profile.process_control_backend is None:
        raise click.ClickException(
            'this profile has no broker, so nothing can be submitted: leave out --submit, or '
            '`verdi profile configure-broker core.zeromq`'
        )
    if not daemon_runs():
        raise click.ClickException(NO_DAEMON)
    runner = get_manager().get_runner()
    process = instantiate_process(runner, builder)
    if resumes is not None:  # which has to be known before the daemon looks at it; `submit` leaves no time for that
        process.node.base.extras.set(RESUMES, resumes.uuid)
    runner.persister.save_checkpoint(process)
    process.close()
    runner.controller.continue_process(process.pid, nowait=False, no_reply=True)
    return process.node


def _run(builder: ProcessBuilder, resumes: ProcessNode | None) -> ProcessNode:
    from aiida_embarrier.cli.running import Interrupted, run_in_terminal

    try:
        return run_in_terminal(builder, resumes)
    except Interrupted as interrupt:
        pk = interrupt.node.pk
        raise click.ClickException(
            f'interrupted: process {pk} was ended; go on from there: aiida-embarrier resume {pk}'
        ) from interrupt


def _report(node: ProcessNode, output_format: str) -> None:
    """Print the result of a process; end with exit code 1 where it failed."""
    from aiida_embarrier.cli.views import view_of
    from aiida_embarrier.engines.base import why

    view = view_of(node)
    description = view.describe(node) if view.OUTPUT in node.outputs else None
    if output_format == 'json':
        result: dict[str, Any] = {'pk': node.pk, 'uuid': node.uuid, 'exit_status': node.exit_status}
        echo_json({**result, 'exit_message': node.exit_message, view.OUTPUT: description})
    elif description is not None:
        view.echo({**description, 'exit_message': None})  # which follows
    if not node.is_finished_ok:
        raise click.ClickException(
            f'process {node.pk} failed [{node.exit_status}]: {why(node)}\n'
            f'`verdi process report {node.pk}` tells how far it came, {_what_to_do(node)}'
        )
    if output_format == 'text':
        click.echo()
        if getattr(view, 'has_picture', lambda _: True)(node):
            click.echo(f'draw it:  aiida-embarrier plot {node.pk} -o {view.PICTURE}.png')
        name = str(node.process_type).rpartition('.')[2]
        click.echo(f'share it: aiida-embarrier export {node.pk} -o {name}.aiida')


def _what_to_do(node: ProcessNode) -> str:
    """Return how a user goes on with a process that failed: what was refused would be refused again."""
    from aiida.orm import CalcJobNode

    from aiida_embarrier.calculations.plain import PlainCalculation

    jobs = [job for job in (node, *node.called_descendants) if isinstance(job, CalcJobNode)]
    last = max(jobs, key=lambda job: job.pk, default=None)
    refused = PlainCalculation.exit_codes.ERROR_INVALID_INPUT.status
    if last is None or not last.is_failed or last.exit_status != refused:
        return f'`aiida-embarrier resume {node.pk}` goes on from there'
    if 'features' not in node.outputs:
        return 'then launch it again with inputs that are mended'
    return (
        f'then launch a file that is mended, with `features: {node.pk}` in place of `describe`, so that no path is '
        'described again'
    )
