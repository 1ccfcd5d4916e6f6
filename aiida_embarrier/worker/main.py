"""The command `embarrier-worker`; it imports little, so that `--version` and wrong jobs answer at once."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from aiida_embarrier import __version__

__all__ = ('main',)

#: When the process started, on the monotonic clock; what a job needs is imported later and takes seconds.
STARTED = time.monotonic()


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='embarrier-worker')
def main() -> None:
    """Run jobs of aiida-embarrier on this machine."""


@main.command()
@click.argument('job', type=click.Path(exists=True, dir_okay=False, path_type=Path))
def run(job: Path) -> None:
    """Run the relaxations and bands, or whatever else it says, of a JOB file.

    Other files are read from and written to its folder: results.json, progress.jsonl, checkpoint.npz and the bands. The
    exit status is 0 wherever the tasks have results, also if they did not converge; 1 where the job could not be done,
    with the reason in results.json and on standard error.
    """
    from aiida_embarrier.worker.plain import kind_of

    result: Any
    try:
        if kind_of(job) is None:
            from aiida_embarrier.worker.runner import run_job

            result = run_job(job, STARTED)
        else:
            from aiida_embarrier.worker.plain import run_plain_job

            result = run_plain_job(job, STARTED)
    except OSError as error:
        click.echo(
            f'embarrier-worker: the results cannot be written to {job.absolute().parent}: {error}; make the folder '
            'writable, see that its disk and your quota have space, and run the job again',
            err=True,
        )
        sys.exit(1)
    if result.error is not None:
        click.echo(f'embarrier-worker: {result.error}', err=True)
        sys.exit(1)


@main.command()
@click.argument('name')
@click.argument('model', required=False)
@click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), default='auto', show_default=True)
@click.option(
    '--load/--no-load', default=True, show_default=True, help='Load the model, too, as a job would, or make a step.'
)
def check(name: str, model: str | None, device: str, load: bool) -> None:
    """Check a potential (`chgnet` or `sevennet`, and a MODEL of it) or `learning` here; prints a JSON object."""
    from aiida_embarrier.worker.checks import check_learning, check_potential

    if name == 'learning':
        if model is not None:
            raise click.UsageError(f'learning has no model to choose: leave out {model!r}')
        report = check_learning(device, load)
    else:
        report = check_potential(name, model, device, load)
    click.echo(json.dumps(report, indent=2))
    if report['error'] is not None:
        sys.exit(1)


if __name__ == '__main__':
    main()
