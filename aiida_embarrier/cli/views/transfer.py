"""A study of transfer learning: scores, what pre-training gains, and how the trainings fall short of the published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, as_text, echo_pairs, echo_table
from aiida_embarrier.cli.tables import records
from aiida_embarrier.cli.views import output_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('FIGURES', 'OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'cells'
PICTURE = 'transfer_r2'

#: What can be drawn of it; names with `mae` draw errors, the others R².
FIGURES = (
    'r2',
    'mae',
    'sizes',
    'sizes_mae',
    'pretraining_sizes',
    'pretraining_sizes_mae',
    'strategies',
    'strategies_mae',
    'rates',
    'rates_mae',
    'sampling',
    'sampling_mae',
    'multi',
    'multi_mae',
    'relations',
)

#: What trainings differ in, shown where they do.
DIFFERENCES = (
    Column('rows of the source', 'pretraining_size', 'd'),
    Column('strategy', 'strategy'),
    Column('lr', 'lr', 'g'),
    Column('sampling', 'sampling'),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the tables of a study.

    :raises click.ClickException: for a process that made none.
    """
    output_of(node, OUTPUT, 'table of trainings')
    outputs = {name: node.outputs[name].table for name in ('cells', 'summary', 'relations') if name in node.outputs}
    budget = node.inputs.budget.get_dict() if 'budget' in node.inputs else {}
    return {
        'pk': node.pk,
        'uuid': node.uuid,
        **{name: records(table) for name, table in outputs.items()},
        'estimate': budget.get('estimate'),
    }


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    cells, summary = description['cells'], description['summary']
    done = [row for row in cells if row['status'] == 'done']
    hours = sum(row['wall_s'] or 0.0 for row in done) / 3600
    echo_pairs(
        {
            'process': description['pk'],
            'trainings': f'{len(done)} of {len(cells)} have a result; their jobs took {hours:.2f} h together',
            'numbers': 'means over trials on the test rows ± standard deviation; gains over scratch on the same rows',
        }
    )
    for target in dict.fromkeys(row['target'] for row in summary):
        own = [row for row in summary if row['target'] == target and row['n_trials']]
        if not own:
            continue
        unit = next((row['unit'] for row in own if row['unit']), None)
        click.echo()
        echo_table(own, _columns(target, unit, own))
    for reduced, labels in _by(done, 'reduced').items():
        if reduced is not None:
            click.echo(f'\nreduced ({len(labels)} trainings, such as {labels[0]}): {reduced}')
    for message, labels in _by([row for row in cells if row['status'] != 'done'], 'message').items():
        more = f' and {len(labels) - 3} more' if len(labels) > 3 else ''
        click.echo(f'\n{", ".join(labels[:3])}{more}: {message}')


def _columns(target: str, unit: str | None, rows: list[dict[str, Any]]) -> list[Column]:
    """Return the columns of the table of a target: choices that are all the same are left out."""
    differing = [
        column
        for column in DIFFERENCES
        if len({row[str(column.key)] for row in rows if row['source'] != 'scratch'}) > 1
    ]
    columns = [
        Column('target', lambda _: target),
        Column('source', 'source'),
        Column('rows', 'size', 'd'),
        *differing,
        Column('trials', 'n_trials', 'd'),
        Column('R²', lambda row: _with_spread(row, 'r2', '.3f')),
        Column('gain', 'r2_gain', '+.3f'),
        Column(f'MAE ({unit})' if unit else 'MAE', lambda row: _with_spread(row, 'mae', '.3g')),
        Column('gain', 'mae_gain_relative', '+.0%'),
        Column('parameters', 'n_parameters', 'd'),
    ]
    if any(row['published_r2'] is not None for row in rows):
        columns += [
            Column('published R²', 'published_r2', '.3f'),
            Column('published MAE', 'published_mae', '.3g'),
        ]
    return columns


def _with_spread(row: Mapping[str, Any], metric: str, form: str) -> str:
    spread = row[f'{metric}_sd']
    return as_text(row[f'{metric}_mean'], form) + ('' if spread is None else f' ± {spread:{form}}')


def _by(cells: list[dict[str, Any]], name: str) -> dict[Any, list[str]]:
    """Return the labels of trainings by what they say."""
    found: dict[Any, list[str]] = {}
    for row in cells:
        found.setdefault(row[name], []).append(row['cell'])
    return found


def draw(node: ProcessNode, figure: str = 'r2') -> Figure:
    """Draw one of :data:`FIGURES`.

    :raises click.ClickException: for a process without tables.
    :raises ValueError: where there is nothing of it to draw.
    """
    cells = output_of(node, OUTPUT, 'table of trainings').table
    title = node.label or None
    if figure == 'relations':
        return _relations(node, title)
    name, _, ending = figure.partition('_mae')
    metric: Any = 'mae' if ending or figure.endswith('mae') else 'r2'
    if name in ('r2', 'mae'):
        from aiida_embarrier.figures.transfer_heatmap import transfer_heatmap

        return transfer_heatmap(cells, metric=metric, title=title)
    if name in ('sizes', 'pretraining_sizes'):
        from aiida_embarrier.figures.transfer_sizes import transfer_sizes

        return transfer_sizes(
            cells, metric=metric, along='size' if name == 'sizes' else 'pretraining_size', title=title
        )
    if name == 'multi':
        from aiida_embarrier.figures.multi_property import multi_property

        return multi_property(cells, metric=metric, title=title)
    from aiida_embarrier.figures.transfer_bars import transfer_bars

    by: Any = {'strategies': 'strategy', 'rates': 'lr', 'sampling': 'sampling'}[name]
    return transfer_bars(cells, by=by, metric=metric, title=title)


def _relations(node: ProcessNode, title: str | None) -> Figure:
    from aiida_embarrier.datasets.transfer import CHOICES
    from aiida_embarrier.figures.relations import gains_by_relation
    from aiida_embarrier.figures.transfer_cells import without_other_choices

    relations: pd.DataFrame = output_of(node, 'relations', 'table of relations').table
    cells = output_of(node, OUTPUT, 'table of trainings').table.dropna(subset=['r2'])
    summary = output_of(node, 'summary', 'table of means').table
    drawn, _ = without_other_choices(cells[cells['size'] == cells.groupby('target')['size'].transform('max')])
    chosen = summary.merge(drawn[list(CHOICES)].drop_duplicates(), on=list(CHOICES))
    gains = chosen[['source', 'target', 'r2_gain']].rename(columns={'r2_gain': 'gain'})
    return gains_by_relation(relations.merge(gains, on=['source', 'target']), title=title)
