"""Models of migration barriers: how they compare, and how the one that was kept agrees with known barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.model.barrier_card import echo_barrier_scores
from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.views import output_of

if TYPE_CHECKING:
    from aiida.orm import Node, ProcessNode
    from matplotlib.figure import Figure

__all__ = ('OUTPUT', 'PICTURE', 'check_validated', 'describe', 'draw', 'echo', 'has_picture')

OUTPUT = 'results'
PICTURE = 'barrier_parity'

_OF_RESULTS = (
    'rows',
    'n_unused',
    'left_out',
    'n_fits',
    'n_taken_over',
    'scores',
    'learned',
    'fitted',
    'fit_s',
    'peak_memory_mb',
    'warnings',
)
_NODES = ('model', 'predictions', 'comparison', 'features', 'analysis', 'figures')


#: Of networks, a row for each fit.
FITS = (
    Column('network', 'model', width=40),
    Column('validation', 'validation'),
    Column('fold', 'fold', 'd'),
    Column('seed', 'seed', 'd'),
    Column('parameters', 'n_parameters', ',d'),
    Column('starts from', lambda row: row['parent'][:12] if row.get('parent') else 'random weights'),
    Column('rows', 'n_training', 'd'),
    Column('epochs', 'epochs', 'd'),
    Column('time (s)', 'seconds', '.0f'),
)


def describe(node: ProcessNode) -> dict[str, Any]:
    """Return how models were compared.

    :raises click.ClickException: for a process that came to nothing.
    """
    results = output_of(node, OUTPUT, 'results').get_dict()
    return {
        'pk': node.pk,
        'uuid': node.uuid,
        'exit_message': node.exit_message,
        'nodes': {name: node.outputs[name].pk for name in _NODES if name in node.outputs},
        **{name: results.get(name) for name in _OF_RESULTS},
    }


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    nodes, rows = description['nodes'], description['rows'] or {}
    unused = description['n_unused']
    fits, seconds = description['n_fits'], description['fit_s']
    pairs = {
        'process': description['pk'],
        'model': None if 'model' not in nodes else f'{nodes["model"]}, {description["fitted"]}',
        'rows': ', '.join(f'{part} {n}' for part, n in rows.items()) or None,
        'not used': None if not unused else f'{unused} rows, which the split has in no part that is used',
        'fits': None if not fits else f'{fits} in {seconds:.1f} s',
        'figures': None
        if 'figures' not in nodes
        else f'{nodes["figures"]}, written by `aiida-embarrier model analyse {description["pk"]} -o FOLDER`',
    }
    echo_pairs({key: value for key, value in pairs.items() if value is not None})
    echo_barrier_scores(description['scores'] or [])
    fits = [{'model': model, **fit} for model, some in (description['learned'] or {}).items() for fit in some]
    if fits:
        click.echo()
        echo_table(fits, FITS)
    for name, reason in (description['left_out'] or {}).items():
        click.echo(f'\nleft out: {name}: {reason}')
    for warning in description['warnings'] or []:
        click.echo(f'\nwarning: {warning}')
    if description['exit_message']:
        click.echo(f'\nfailed: {description["exit_message"]}')


def has_picture(node: ProcessNode) -> bool:
    """Return whether there are predictions of rows that a model did not learn from."""
    return 'predictions' in node.outputs


def check_validated(node: Node) -> None:
    """Check that a process that fitted a model also validated some.

    :raises click.ClickException: where it only fitted one.
    """
    from aiida.orm import ProcessNode

    of_barriers = isinstance(node, ProcessNode) and str(node.process_type).endswith('barrier_model')
    if of_barriers and node.is_finished_ok and not has_picture(node):
        raise click.ClickException(
            f'process {node.pk} fitted a model and validated none, so there are no predictions of rows that it did not '
            'learn from: launch it again with `validations`'
        )


def draw(node: ProcessNode) -> Figure:
    """Draw predicted against known barriers of rows that the model did not learn from, a panel for each validation.

    The model is the one that was kept, else that with the lowest error in the first validation.

    :raises click.ClickException: for a process without predictions.
    """
    from aiida_embarrier.figures.barrier_parity import barrier_parity

    check_validated(node)
    table = output_of(node, 'predictions', 'predictions').table
    model = output_of(node, OUTPUT, 'results').get_dict().get('fitted')
    if model is None:
        first = table[table['validation'] == table['validation'].iloc[0]]
        model = (first['prediction'] - first['barrier']).abs().groupby(first['model']).mean().idxmin()
    return barrier_parity(table, model, title=f'{node.label}: {model}' if node.label else None)
