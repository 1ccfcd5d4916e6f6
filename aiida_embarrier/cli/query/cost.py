"""``aiida-embarrier query cost``: core hours by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column
from aiida_embarrier.cli.params import with_profile
from aiida_embarrier.cli.tables import TABLE_FORMAT, echo_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('BY', 'command')

#: `queries.costs.BY`, which cannot be imported before the command runs.
BY = ('step', 'path', 'process', 'root', 'computer')

SUMS = (
    Column('jobs', 'n_jobs', 'd'),
    Column('cached', 'n_cached', 'd'),
    Column('measured', 'n_measured', 'd'),
    Column('wall (h)', 'wall_h', '.3f'),
    Column('core hours', 'core_h', '.3f'),
    Column('evaluations', 'n_evaluations', 'd'),
)
JOBS = (
    Column('PK', 'pk', 'd'),
    Column('step', 'path'),
    Column('process', 'process'),
    Column('computer', 'computer'),
    Column('exit', 'exit_status', 'd'),
    Column('cached', 'cached'),
    Column('cores', 'cores', 'd'),
    Column('wall (s)', 'wall_s', '.1f'),
    Column('core hours', 'core_h', '.4f'),
    Column('measured by', 'measured_by'),
    Column('evaluations', 'n_evaluations', 'd'),
)


@click.command('cost')
@click.argument('nodes', nargs=-1, metavar='[NODE|GROUP]...')
@click.option('--by', type=click.Choice(BY), default='step', show_default=True, help='What costs are added up by.')
@click.option('--jobs', 'each', is_flag=True, help='Every job, not added up.')
@TABLE_FORMAT
@with_profile
def command(nodes: tuple[str, ...], by: str, each: bool, output_format: str) -> None:
    """Core hours by step: of processes, of what made data, of groups, or of the whole profile.

    As the scheduler accounts them (Slurm), else as the program says. Jobs of which neither tells are not measured, and
    jobs taken from the database cost nothing.
    """
    from aiida_embarrier.queries.costs import add_up_costs, job_costs

    jobs = job_costs([_entity(name) for name in nodes] if nodes else None)
    if each:
        echo_frame(jobs, JOBS, output_format, 'No job has run.')
        return
    first = Column(by.replace('_', ' '), lambda row: None if row[by] is None else str(row[by]))
    echo_frame(add_up_costs(jobs, by), (first, *SUMS), output_format, 'No job has run.')
    if output_format == 'text' and not jobs.empty:
        click.echo(_total(jobs))


def _total(jobs: pd.DataFrame) -> str:
    """Return what all jobs took together, and how much of it was measured."""
    paid = jobs[~jobs['cached'].astype(bool)]
    measured = paid['core_h'].notna()
    known = f'{paid["core_h"].sum():.3f} core hours' if measured.any() else 'unknown'
    text = f'\nTogether: {known}, measured for {measured.sum()} of {len(paid)} jobs'
    return text + ('.' if measured.all() else '; the others are not in the sum.')


def _entity(identifier: str) -> Any:
    """Return the node or the group that a PK, a UUID or a label names; nodes go first.

    :raises click.ClickException: where there is neither.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_group, load_node

    try:
        return load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError):
        pass
    try:
        return load_group(label=identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise click.ClickException(f'there is neither a node nor a group {identifier!r} in this profile') from error
