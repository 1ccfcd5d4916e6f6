"""``aiida-embarrier publish``: a group as an archive with a README and a table, checked before and after."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT, load_profile

if TYPE_CHECKING:
    from aiida_embarrier.publishing.publication import Files, Plan
    from aiida_embarrier.publishing.verification import Verification

__all__ = ('command',)

PRIVATE = (
    Column('kind', 'kind'),
    Column('what would go out', 'value', width=60),
    Column('first place', 'place', width=50),
    Column('places', 'n_places', 'd'),
)

NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command('publish')
@click.argument('group', required=False)
@click.option('-o', '--output', type=NEW_FILE, metavar='FILE', help='Archive to write (.aiida).')
@click.option(
    '--table', type=NEW_FILE, metavar='FILE', help='Table of the numbers, .csv or .parquet [default: beside FILE].'
)
@click.option('--title', help='Title in the README [default: the label of the group].')
@click.option('--authors', multiple=True, metavar='NAME', help='Author in the README; may be repeated.')
@click.option('--licence', metavar='NAME', help='Licence of the data in the README, such as CC-BY-4.0.')
@click.option('--exclude', multiple=True, metavar='NODE', help='Member of the group to leave out; may be repeated.')
@click.option('--dry-run', is_flag=True, help='Say what would go out, and write nothing.')
@click.option('--strict', is_flag=True, help='Refuse whatever tells of people and machines.')
@click.option('--overwrite', is_flag=True, help='Replace files that exist.')
@click.option(
    '--verify', 'archive', type=NEW_FILE, metavar='FILE', help='Only compare an archive with the table beside it.'
)
@click.option('-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.')
@FORMAT
def command(
    group: str | None,
    output: Path | None,
    table: Path | None,
    archive: Path | None,
    profile_name: str | None,
    output_format: str,
    **options: Any,
) -> None:
    """Publish GROUP: an archive with everything its members came from, a README and a table of UUIDs and numbers.

    What the licences of VASP and of the ICSD forbid is refused; paths, hosts, names and e-mails that would go out are
    listed. After writing, the archive is opened read-only, its table computed again from the energies in it, and
    compared. `--verify` does the same for whoever received an archive, and needs no profile.
    """
    if archive is not None:
        if group is not None or output is not None:
            raise click.UsageError('--verify takes an archive that is there: leave out GROUP and --output')
        return _verify(archive, table, output_format)
    if group is None:
        raise click.UsageError('name a GROUP to publish, or an archive to compare with its table (--verify FILE)')
    if output is None and not options['dry_run']:
        raise click.UsageError('name the archive to write (--output FILE.aiida), or say --dry-run')
    load_profile(profile_name)
    return _publish(group, output, table, options, output_format)


def _verify(archive: Path, table: Path | None, output_format: str) -> None:
    from aiida_embarrier.publishing.publication import Files
    from aiida_embarrier.publishing.verification import verify

    files = Files.beside(archive, table)
    found = verify(files.archive, files.table)
    if output_format == 'json':
        echo_json(_verified(files, found))
    else:
        click.echo(_agreement(files, found))


def _publish(label: str, output: Path | None, table: Path | None, options: dict[str, Any], output_format: str) -> None:
    from aiida.common.log import LOG_LEVEL_REPORT, override_log_level

    from aiida_embarrier.publishing.publication import Files, plan_publication, publish, to_dict
    from aiida_embarrier.publishing.readme import Description

    group = _find_group(label)
    files = None if output is None else Files.beside(output, table)
    if files is not None:
        files.check(options['overwrite'])
    plan = plan_publication(group, options['exclude'])
    report = to_dict(plan)
    if options['licence'] is None:
        report['warnings'].append('no licence is stated, so nobody may use the data without asking (--licence)')
    if output_format == 'text':
        _echo_plan(plan, report)
    if options['dry_run']:
        if output_format == 'json':
            echo_json(report)
        plan.refuse(options['strict'])
        return
    plan.refuse(options['strict'])
    assert files is not None
    description = Description(options['title'] or group.label, options['authors'], options['licence'])
    with override_log_level(LOG_LEVEL_REPORT):  # it reports fifty lines of defaults
        found = publish(plan, files, description, options['overwrite'])
    if output_format == 'json':
        echo_json({**report, 'written': _verified(files, found)})
        return
    click.echo(f'\nwrote {files.archive} ({files.archive.stat().st_size / 1e6:.2f} MB), {files.table}, {files.readme}')
    click.echo(_agreement(files, found))


def _find_group(label: str) -> Any:
    """Return the group of a label, PK or UUID.

    :raises click.ClickException: where there is none; the message names the closest labels.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import Group, QueryBuilder, load_group

    try:
        return load_group(label)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        labels = QueryBuilder().append(Group, project='label').all(flat=True)
        close = difflib.get_close_matches(label, labels, cutoff=0.4)
        hint = f'did you mean {" or ".join(map(repr, close))}?' if close else '`verdi group list` shows all groups'
        raise click.ClickException(f'there is no group {label!r} in this profile: {hint}') from error


def _echo_plan(plan: Plan, report: dict[str, Any]) -> None:
    nodes, files = report['nodes'], report['files']
    click.echo(
        f'{nodes["total"]} nodes with {nodes["links"]} links, {files["different"]} different files of '
        f'{files["bytes"] / 1e6:.2f} MB: an archive of about {plan.n_bytes / 1e6:.2f} MB\n'
    )
    types = [{'type': name, 'nodes': number} for name, number in nodes['by_type'].items()]
    echo_table(types, [Column('type', 'type'), Column('nodes', 'nodes', 'd')])
    processes = [{'process': label, **counts} for label, counts in nodes['by_process'].items()]
    if processes:
        click.echo()
        columns = [Column('process', 'process'), Column('runs', 'runs', 'd'), Column('failed', 'failed', 'd')]
        echo_table(processes, columns)
    rows = ', '.join(f'{number} {kind}' for kind, number in report['table']['by_kind'].items())
    click.echo(f'\ntable of {report["table"]["rows"]} rows' + (f': {rows}' if rows else ''))
    if report['private']:
        click.echo('\nThis tells of people and machines, and would go out:\n')
        echo_table(report['private'], PRIVATE)
    for warning in report['warnings']:
        click.echo(f'warning: {warning}')


def _verified(files: Files, found: Verification) -> dict[str, Any]:
    from dataclasses import asdict

    result = {'archive': files.archive, 'table': files.table, 'bytes': files.archive.stat().st_size, 'agrees': True}
    if files.readme.exists():
        result['readme'] = files.readme
    return {**result, **asdict(found)}


def _agreement(files: Files, found: Verification) -> str:
    inside = f'; the hashes of tables, datasets and values cover {found.n_inside} more' if found.n_inside else ''
    lines = [
        f'{files.archive.name} and {files.table.name} agree: {found.n_rows} rows with {found.n_numbers} numbers '
        f'computed again from {found.n_nodes} nodes and {found.n_objects} files, all of them whole{inside}',
        *(f'warning: {warning}' for warning in found.warnings),
    ]
    return '\n'.join(lines)
