"""``aiida-embarrier setup``: the computer and the code of the worker, in one go."""

from __future__ import annotations

import click

from aiida_embarrier.cli.output import echo_json
from aiida_embarrier.cli.params import FORMAT, with_profile

__all__ = ('command',)


@click.command('setup')
@click.option(
    '--computer', default='localhost', show_default=True, help='Label of the computer; made if there is none.'
)
@click.option('--hostname', help='Its host name; its label unless given.')
@click.option(
    '--transport', default='core.local', show_default=True, help='core.local, or core.ssh_async for a remote machine.'
)
@click.option('--scheduler', default='core.direct', show_default=True, help='core.direct, core.slurm, core.pbspro, ...')
@click.option('--work-dir', help='Folder for jobs; aiida_run in the home folder unless given.')
@click.option('--executable', help='Absolute path of embarrier-worker on that computer.')
@click.option('--label', default='embarrier-worker', show_default=True, help='Label of the code.')
@click.option('--prepend-text', default='', help='Lines for the job script before the worker, such as `module load`.')
@FORMAT
@with_profile
def command(
    computer: str,
    hostname: str | None,
    transport: str,
    scheduler: str,
    work_dir: str | None,
    executable: str | None,
    label: str,
    prepend_text: str,
    output_format: str,
) -> None:
    """Make the computer and the code that the potential engine needs; what exists is left as it is."""
    from aiida_embarrier.engines.potential.setup import setup_code, setup_computer

    machine, machine_made = setup_computer(
        computer, hostname=hostname, transport=transport, scheduler=scheduler, work_dir=work_dir
    )
    code, code_made = setup_code(machine, executable, label, prepend_text)
    if output_format == 'json':
        echo_json(
            {
                'computer': {'label': machine.label, 'made': machine_made},
                'code': {'label': code.full_label, 'executable': str(code.filepath_executable), 'made': code_made},
            }
        )
        return
    click.echo(f'computer {machine.label}: {"made" if machine_made else "existed"}')
    click.echo(f'code {code.full_label}: {"made" if code_made else "existed"}, {code.filepath_executable}')
    if not machine.is_user_configured(code.user):
        click.echo(f'Configure the connection: verdi computer configure {machine.transport_type} {machine.label}')
