"""``aiida-embarrier dataset split``: parts that train and test a model, and what leaks between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import check_output, write_frame
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset split barriers.json.gz --method family --test 0.1 -o split.csv
  aiida-embarrier dataset split 1234 --method chemsys --folds 5"""

METHODS = ('random', 'host', 'framework', 'family', 'chemsys', 'published', 'source', 'column')

PARTS = (
    Column('part', 'part'),
    Column('rows', 'n_rows', 'd'),
    Column('groups', 'n_groups', 'd'),
    Column('mean target', 'target_mean', '.3f'),
    Column('median', 'target_median', '.3f'),
)


@click.command('split', epilog=EXAMPLES)
@click.argument('dataset', metavar='FILE-OR-NODE')
@click.option(
    '--method', type=click.Choice(METHODS), default='family', show_default=True, help='What stays together, see below.'
)
@click.option('--test', 'test_fraction', type=float, metavar='SHARE', help='Share of the rows that test; 0.1.')
@click.option('--n-test', type=int, metavar='N', help='How many rows test, instead of the share.')
@click.option(
    '--validation', 'validation_fraction', type=float, default=0.0, metavar='SHARE', help='Share of rows that validate.'
)
@click.option('--folds', 'n_folds', type=int, metavar='K', help='Put the rows that do not test into K folds.')
@click.option('--seed', type=int, default=0, show_default=True, help='Of what is drawn at random.')
@click.option(
    '--strata', type=int, default=1, metavar='Q', help='Draw equally from Q quantiles of the target; 1 for any.'
)
@click.option('--column', 'group_by', metavar='NAME', help='With --method column: whose groups stay together.')
@click.option('--no-hops', is_flag=True, help='Do not seek equivalent hops: slow for many hops in one host.')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    metavar='FILE',
    help='File for the split (name, part, fold), .csv or .parquet.',
)
@click.option(
    '--leakage',
    'leakage_file',
    type=click.Path(dir_okay=False, path_type=Path),
    metavar='FILE',
    help='File for what each evaluated row shares, .csv or .parquet.',
)
@click.option('--overwrite', is_flag=True, help='Replace files that are there.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    dataset: str,
    output: Path | None,
    leakage_file: Path | None,
    overwrite: bool,
    profile: str | None,
    no_hops: bool,
    output_format: str,
    **settings: Any,
) -> None:
    """Split a dataset, and report what its test rows share with the training.

    `random` splits row by row; `host`, `framework`, `family` and `chemsys` keep rows with the same cell, framework,
    family or set of elements together (`family` leaks least); `published` draws within structural groups as the
    published 559:60 split does; `source` takes the parts that the dataset comes with; `column` keeps together what
    --column says. A file needs no AiiDA profile; the split of a node is stored as a process, with its report.
    """
    from aiida_embarrier.cli.dataset.loading import load_frame

    for path, option in ((output, '--output'), (leakage_file, '--leakage')):
        check_output(path, overwrite, option)
    if output is not None and leakage_file is not None and output.resolve() == leakage_file.resolve():
        raise click.UsageError('--output and --leakage need files of their own')
    loaded = load_frame(dataset, profile)
    chosen = {key: value for key, value in settings.items() if value is not None}
    if no_hops:
        chosen['compare_hops'] = False
    found = _of_file(loaded.frame, chosen) if loaded.node is None else _of_node(loaded.node, chosen)
    for path, key in ((output, 'split'), (leakage_file, 'leakage_table')):
        if path is not None:
            write_frame(path, found[key])
            found['report'].setdefault('files', []).append(str(path))
    if output_format == 'json':
        echo_json(
            {
                **found['report'],
                'split': found['split'].astype(object).where(found['split'].notna(), None).to_dict('records'),
            }
        )
    else:
        _echo(found['report'])


def _of_file(frame: pd.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    from aiida_embarrier.datasets.splits import split_dataset

    split = split_dataset(frame, **settings)
    report = {**split.report, 'leakage': split.leakage.to_dict()}
    return {'split': split.table, 'leakage_table': split.leakage.table, 'report': report}


def _of_node(node: Any, settings: dict[str, Any]) -> dict[str, Any]:
    from aiida.orm import Dict

    from aiida_embarrier.calculations.splits import split_dataset

    outputs, process = split_dataset.run_get_node(node, Dict(settings))
    if not process.is_finished_ok:
        raise click.ClickException(f'{process.exit_message} (process {process.pk})')
    pks = {'process': process.pk, **{key: outputs[key].pk for key in ('split', 'leakage', 'report')}}
    report = {**outputs['report'].get_dict(), 'nodes': pks}
    return {'split': outputs['split'].table, 'leakage_table': outputs['leakage'].table, 'report': report}


def _echo(report: dict[str, Any]) -> None:
    click.echo(f'{report["method"]} split of {report["n_rows"]} rows, seed {report["seed"]}\n')
    echo_table([{'part': part, **entry} for part, entry in report['parts'].items()], PARTS)
    for note in report['notes']:
        click.echo(f'\nnote: {note}')
    leakage = report['leakage']
    if leakage['summary']:
        click.echo('\nRows that share with the training:\n')
        _echo_leakage(leakage)
    for note in leakage['notes']:
        click.echo(f'\nnote: {note}')
    for path in report.get('files', []):
        click.echo(f'\nwritten: {path}')
    if 'nodes' in report:
        click.echo('\n' + ', '.join(f'{key} {pk}' for key, pk in report['nodes'].items()))


def _echo_leakage(leakage: dict[str, Any]) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for entry in leakage['summary']:
        row = rows.setdefault(entry['criterion'], {'criterion': entry['criterion'].replace('_', ' ')})
        row[entry['part']] = f'{entry["n_shared"]} ({100 * entry["fraction"]:.0f} %)'
    for entry in leakage['scenarios']:
        row = rows.setdefault(entry['scenario'], {'criterion': f'scenario {entry["scenario"]}'})
        row[entry['part']] = str(entry['n_rows'])
    parts = dict.fromkeys(entry['part'] for entry in leakage['summary'])
    echo_table(list(rows.values()), [Column('', 'criterion'), *(Column(part, part) for part in parts)])
    click.echo(
        '\nscenarios: A another path of a compound that trains, B another content of ions in a host that trains, '
        'C another chemistry'
    )
