"""A comparison of functionals: barriers, errors, costs, and which functional to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, as_text, echo_pairs, echo_table
from aiida_embarrier.cli.views import output_of

if TYPE_CHECKING:
    import pandas as pd
    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

__all__ = ('FIGURES', 'OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'cells'
PICTURE = 'functional_paths'

#: What can be drawn of it.
FIGURES = ('paths', 'errors', 'cost', 'moments')

FUNCTIONALS = (
    Column('functional', 'functional'),
    Column('mean absolute error (meV)', 'mae', '.0f'),
    Column('mean signed error (meV)', 'mse', '+.0f'),
    Column('systems', 'n_systems', 'd'),
    Column('core hours', 'relative_core_h', '.2f'),
    Column('wall time', 'relative_wall', '.2f'),
    Column('converged', 'converged'),
    Column('problems', 'n_problems', 'd'),
)

TABLES = ('cells', 'functionals', 'effects')


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return the tables of a comparison, and what follows from them.

    :raises click.ClickException: for a process that made none.
    """
    output_of(node, OUTPUT, 'table of cells')
    pks = {label: node.outputs.bands[label].pk for label in node.outputs.bands} if 'bands' in node.outputs else {}
    tables = {name: _rows(node.outputs[name].table) for name in TABLES}
    for row in tables['cells']:
        row['band'] = pks.get(row['cell'])
    return {
        'pk': node.pk,
        'uuid': node.uuid,
        **tables,
        'recommendation': node.outputs.recommendation.get_dict(),
        'estimate': node.inputs.estimate.get_dict() if 'estimate' in node.inputs else None,
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None for what is missing."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict('records')]


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    found = description['recommendation']
    definition = found['definition']
    cells = description['cells']
    variant = (definition['charge_state'], definition['climbing'])
    echo_pairs(
        {
            'process': description['pk'],
            'barriers': f'{definition["barrier"].replace("_", "-")}, in eV; - where a cell gave none, * not converged',
            'converged': f'{sum(row["status"] == "converged" for row in cells)} of {len(cells)} cells',
        }
    )
    click.echo()
    names = list(dict.fromkeys(row['functional'] for row in cells))
    columns = (
        Column('system', 'system'),
        Column('charge', lambda row: f'{row["charge"]:+g}' if row['charge'] else '0'),
        Column('climbing', 'climbing'),
        *(Column(name, name) for name in names),
        Column('experiment', 'experiment'),
    )
    echo_table(_matrix(cells), columns)
    click.echo(f'\n{variant[0]} cells, {"with" if variant[1] else "without"} climbing image; {_error(definition)}\n')
    rows = [
        {
            **row,
            'mae': None if row['mae'] is None else 1000 * row['mae'],
            'mse': None if row['mse'] is None else 1000 * row['mse'],
            'converged': f'{row["n_converged"]}/{row["n_cells"]}',
        }
        for row in description['functionals']
        if (row['charge_state'], row['climbing']) == variant
    ]
    echo_table(rows, FUNCTIONALS)
    click.echo(f'\ncosts are those of whole barriers relative to {definition["costs_relative_to"]}')
    for name, words in (('charge', 'the charge'), ('climbing', 'the climbing image')):
        effect = found['effects'][name]
        if effect['n']:
            click.echo(
                f'{words} changes barriers by {1000 * effect["mean_absolute"]:.0f} meV on average, at most by '
                f'{1000 * effect["largest"]:.0f} meV (n = {effect["n"]} pairs)'
            )
    click.echo(f'\nquick choice: {found["quick"]["reason"]}')
    click.echo(f'better choice: {found["better"]["reason"]}')
    for row in cells:
        if row['status'] != 'converged':
            click.echo(f'\n{row["cell"]} ({row["status"]}): {row["message"]}')


def _error(definition: dict[str, Any]) -> str:
    return f'errors are the {definition["error_in_words"]}'


def _matrix(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each system, charge and climbing image, with a column for each functional."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in cells:
        key = (cell['system'], cell['charge'], cell['climbing'])
        row = rows.setdefault(
            key, {**{name: cell[name] for name in ('system', 'charge', 'climbing')}, 'experiment': _measured(cell)}
        )
        row[cell['functional']] = as_text(cell['barrier'], '.3f') + ('*' if cell['status'] == 'not converged' else '')
    return list(rows.values())


def _measured(cell: dict[str, Any]) -> str | None:
    low, high = cell['experiment_low'], cell['experiment_high']
    if low is None:
        return None
    return f'{low:g}' if low == high else f'{low:g} to {high:g}'


def draw(node: ProcessNode, figure: str = 'paths') -> Figure:
    """Draw one of :data:`FIGURES`.

    :raises click.ClickException: for a process without tables.
    :raises ValueError: where there is nothing of it to draw.
    """
    cells = output_of(node, OUTPUT, 'table of cells').table
    definition = node.outputs.recommendation['definition']
    variant = {'charge_state': definition['charge_state'], 'climbing': definition['climbing']}
    title = node.label or None
    if figure in ('errors', 'cost'):
        from aiida_embarrier.figures.functional_cost import functional_cost
        from aiida_embarrier.figures.functional_errors import functional_errors

        table = node.outputs.functionals.table
        if figure == 'cost':
            return functional_cost(cells, table, reference=definition['costs_relative_to'], title=title, **variant)
        return functional_errors(
            cells, table, error=definition['error'], quantity=definition['barrier'], title=title, **variant
        )
    bands = node.outputs.bands if 'bands' in node.outputs else {}
    chosen = cells[(cells['charge_state'] == variant['charge_state']) & (cells['climbing'] == variant['climbing'])]
    shown = {row.cell: bands[row.cell].band for row in chosen.itertuples(index=False) if row.cell in bands}
    if figure == 'moments':
        from aiida_embarrier.figures.moments import moments

        return moments(
            {
                (row.system, row.functional): shown[row.cell]
                for row in chosen.itertuples(index=False)
                if row.cell in shown
            },
            title=title,
        )
    from aiida_embarrier.figures.functional_paths import functional_paths

    return functional_paths(cells, shown, quantity=definition['barrier'], title=title, **variant)
