"""``aiida-embarrier dataset info``: what a dataset holds, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import DEFECTS, counted
from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('command',)

FOUND = (
    Column('row', 'name'),
    Column('defect', 'defect'),
    Column('repairable', 'repairable'),
    Column('detail', 'detail', width=80),
)


@click.command('info')
@click.argument('dataset', metavar='FILE-OR-NODE')
@click.option('--defects', 'list_defects', is_flag=True, help='Also each defect of each row, with numbers.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(dataset: str, list_defects: bool, profile: str | None, output_format: str) -> None:
    """Say what a dataset holds: rows, ions, range of the target, groups, known defects. Files need no profile."""
    from aiida_embarrier.cli.dataset.loading import load_frame

    loaded = load_frame(dataset, profile)
    info = _describe(loaded.frame, loaded.schema)
    if loaded.schema == 'property':
        # the entry `target` holds its numbers
        info = {'property': loaded.target, 'target_unit': loaded.unit, **info}
    if loaded.node is not None:
        node = loaded.node
        names = ('title', 'source', 'target_unit', 'content_hash')
        own = {name: node.base.attributes.get(name, None) for name in names}
        info = {'pk': node.pk, 'uuid': node.uuid, **own, **info}
    if list_defects:
        from aiida_embarrier.datasets.defects import find_defects

        info['defects'] = find_defects(loaded.frame, loaded.schema).table.to_dict('records')
    if output_format == 'json':
        echo_json(info)
    else:
        _echo(info)


def _describe(frame: pd.DataFrame, schema: str) -> dict[str, Any]:
    from aiida_embarrier.datasets.about import summary

    column = 'barrier' if schema == 'barrier' else 'target'
    values = frame[column]
    counts = {
        name: {str(key): int(count) for key, count in frame[name].value_counts().items()}
        for name in ('ion', 'functional', 'charge_state', 'endpoint_symmetry', 'published_split')
        if name in frame
    }
    about = summary(frame)
    return {
        'schema': schema,
        'n_rows': len(frame),
        column: {key: float(value) for key, value in values.agg(['min', 'median', 'mean', 'max']).items()},
        'n_atoms': [int(frame['n_atoms'].min()), int(frame['n_atoms'].max())],
        'n_elements': len(about['elements']),
        'elements': about['elements'],
        'counts': counts,
        'groups': {name: int(frame[name].nunique()) for name in about['groups']},
        'n_structural_groups': int(frame['structural_group'].nunique()) if 'structural_group' in frame else None,
        'n_flagged': about['n_flagged'],
        'flags': about['flags'],
        'n_repaired': int(frame['repairs'].notna().sum()) if 'repairs' in frame else 0,
        'columns': list(map(str, frame)),
    }


def _echo(info: dict[str, Any]) -> None:
    column = 'barrier' if info['schema'] == 'barrier' else 'target'
    unit = ' (eV)' if column == 'barrier' else f' ({info["target_unit"]})' if info.get('target_unit') else ''
    numbers = info[column]
    pairs = {
        **{key: info[key] for key in ('pk', 'title', 'source', 'property') if info.get(key) is not None},
        'schema': info['schema'],
        'rows': info['n_rows'],
        f'{column}{unit}': ', '.join(f'{key} {numbers[key]:.4g}' for key in ('min', 'median', 'mean', 'max')),
        'atoms in a cell': f'{info["n_atoms"][0]} to {info["n_atoms"][1]}',
        'elements': info['n_elements'],
    }
    for name, counts in info['counts'].items():
        pairs[name.replace('_', ' ')] = ', '.join(f'{key} {count}' for key, count in counts.items())
    if info['n_structural_groups'] is not None:
        pairs['structural groups'] = info['n_structural_groups']
    pairs['groups'] = ', '.join(f'{name.removesuffix("_group")} {count}' for name, count in info['groups'].items())
    pairs['rows with a defect'] = info['n_flagged']
    pairs['rows with a repair'] = info['n_repaired']
    echo_pairs(pairs)
    if info['schema'] == 'property':
        click.echo(
            '\nWhich crystals are there again, here or in other datasets, says `aiida-embarrier dataset overlap`.'
        )
    if info['flags']:
        click.echo()
        echo_table(counted(info['flags']), DEFECTS)
    if 'defects' in info:
        click.echo()
        echo_table(info['defects'], FOUND)
