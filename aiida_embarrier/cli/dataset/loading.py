"""Datasets that commands take: files of any format that can be imported, and nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    import pandas as pd

    from aiida_embarrier.datasets.importing import Target

__all__ = ('Loaded', 'load_frame', 'load_node_frame')


class Loaded(NamedTuple):
    """A dataset for a command.

    :param frame: its rows.
    :param schema: `barrier` or `property`.
    :param node: the node that it comes from, None for a file.
    :param target: what its numbers are, None where that is not known.
    :param unit: of the numbers.
    """

    frame: pd.DataFrame
    schema: str
    node: Any | None
    target: str | None = None
    unit: str | None = None

    def named(self) -> Target | None:
        """Return what its numbers are, with their unit."""
        from aiida_embarrier.datasets.importing import Target

        return None if self.target is None else Target(self.target, self.unit)


def load_frame(identifier: str | Path, profile: str | None = None, *, labelled: bool = True) -> Loaded:
    """Return the dataset in a file, or that of a node (PK, UUID or label); files need no profile.

    What names an existing file is a file. A node may also be a plain table with the columns of a schema, or a process
    with the output `dataset`.

    :param profile: name of the profile to look for nodes in; None for the default one.
    :param labelled: whether barriers are known of all rows; else those without one stay, with gaps in `barrier`.
    :raises click.ClickException: where there is neither, and for what holds no dataset.
    """
    path = Path(identifier)
    if path.is_file():
        return _of_file(path, labelled)
    if path.suffix or len(path.parts) > 1:
        raise click.ClickException(f'there is no file {str(identifier)!r}')
    from aiida_embarrier.cli.params import load_profile

    load_profile(profile)
    return load_node_frame(str(identifier), labelled=labelled)


def _of_file(path: Path, labelled: bool) -> Loaded:
    from aiida_embarrier.datasets.importing import DatasetError, read_dataset

    try:
        found = read_dataset(path, labelled=labelled)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    frame = found.frame if labelled else _with_barriers(found.frame, found.schema)
    return Loaded(frame, found.schema, None, found.target.name, found.target.unit)


def _with_barriers(frame: pd.DataFrame, schema: str) -> pd.DataFrame:
    """Return rows with the column `barrier`, empty where there was none; those of properties as they are."""
    return frame if schema != 'barrier' or 'barrier' in frame else frame.assign(barrier=float('nan'))


def load_node_frame(identifier: str, *, labelled: bool = True) -> Loaded:
    """Return the dataset of a node in the profile that is loaded.

    :param labelled: see :func:`load_frame`.
    :raises click.ClickException: where there is no such node, and where it is no dataset.
    """
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.params import find_node
    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.datasets.schema import check_rows

    node = find_node(identifier)
    if isinstance(node, ProcessNode) and 'dataset' in node.outputs:
        node = node.outputs.dataset
    if not isinstance(node, TableData):
        raise click.ClickException(f'node {node.pk} is no dataset but a {type(node).__name__}')
    frame = node.table
    of_barriers = 'barrier' in frame or (not labelled and 'path' in frame)
    schema = node.base.attributes.get('schema_name', None) or ('barrier' if of_barriers else 'property')
    try:
        check_rows(frame, schema, labelled=labelled)
    except ValueError as error:
        raise click.ClickException(f'node {node.pk} is a table and no dataset: {error}') from error
    about = (node.base.attributes.get(name, None) for name in ('target', 'target_unit'))
    return Loaded(frame if labelled else _with_barriers(frame, schema), schema, node, *about)
