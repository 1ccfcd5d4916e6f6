"""How ``show``, ``plot`` and the end of a launch present what is in the database, by the kind of node.

A view is a module of this package with

* ``OUTPUT``: the output of a process that it presents, the key of its JSON too;
* ``PICTURE``: name of its picture, without suffix;
* ``describe(node)``: what the node, such a process, holds, as plain values: the JSON of ``show``;
* ``echo(description)``: print that for people;
* ``draw(node)``: its picture, a matplotlib Figure (the view of bands draws several nodes);
* optionally ``has_picture(node)``: whether such a process has something to draw, where not each has;
* optionally ``FIGURES``, names of several pictures, and ``draw(node, figure=NAME)`` that draws them.

A new view is such a module, and a line in :data:`VIEWS` or :data:`DATA_VIEWS`. Bands, and processes that return one,
need no line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida.orm import Node, ProcessNode

__all__ = ('VIEWS', 'output_of', 'view_of', 'warning_of')

#: Modules of this package by the entry point of a process (in ``aiida.workflows``).
VIEWS: dict[str, str] = {
    'embarrier.network': 'network',
    'embarrier.convergence': 'convergence',
    'embarrier.segments': 'segments',
    'embarrier.potentials': 'potentials',
    'embarrier.functionals': 'functionals',
    'embarrier.derive': 'derive',
    'embarrier.entry': 'entry',
    'embarrier.train': 'train',
    'embarrier.transfer': 'transfer',
    'embarrier.barrier_model': 'barrier_model',
    'embarrier.fit_barrier_model': 'barrier_model',
}

#: The same by the type of a node of data.
DATA_VIEWS = {'data.embarrier.model.ModelData.': 'model'}


def view_of(node: Node) -> Any:
    """Return the view of a node."""
    _, _, entry_point = str(node.process_type or '').partition(':')
    name = DATA_VIEWS.get(node.node_type) or VIEWS.get(entry_point, 'band')
    return importlib.import_module(f'{__name__}.{name}')


def output_of(node: ProcessNode, name: str, what: str) -> Any:
    """Return an output of a process.

    :param what: the output in words, for the message.
    :raises click.ClickException: where there is none.
    """
    if name in node.outputs:
        return node.outputs[name]
    state = node.process_state.value if node.process_state else 'of unknown state'
    raise click.ClickException(
        f'process {node.pk} ({node.process_label}, {state}) has no {what}: '
        f'`verdi process report {node.pk}` tells how far it came'
    )


def warning_of(text: str, band: int | None) -> str:
    """Return a warning with the PK of its band in the command that it names."""
    from aiida_embarrier.calculations.paths import SPLIT

    return text if band is None else text.replace(SPLIT, SPLIT.replace('PK', str(band)))
