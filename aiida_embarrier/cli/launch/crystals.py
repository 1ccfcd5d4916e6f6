"""Crystals for launches that take disordered ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.params import read_crystal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('crystal_nodes', 'named_worker')


def crystal_nodes(path: Path, moments: Any = None) -> tuple[Any, Any]:
    """Return the nodes of the crystal in a file, ordered or not.

    :param moments: start moments by element, or one for each site.
    :raises ValueError: for files that hold no crystal, and moments that do not fit it.
    """
    from aiida_embarrier.data.convert import node_from_disordered, node_from_structure
    from aiida_embarrier.structures.reading_disordered import read_disordered

    average = read_disordered(path)
    if not average.is_ordered:
        if moments:
            raise ValueError(f'{path}: sites that are occupied partly have no start moments: leave out the moments')
        return node_from_disordered(average)
    if moments and not isinstance(moments, dict):
        from aiida_embarrier.structures.reading import read_structure
        from aiida_embarrier.workflows.functionals_inputs import with_moments

        return node_from_structure(with_moments(read_structure(path), moments))
    return node_from_structure(read_crystal(path, moments or {}))


def named_worker(label: str | None) -> dict[str, Any]:
    """Return the code of the worker where it was named, for the builders of derivations.

    :raises click.ClickException: where there is no such code.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_code

    if label is None:
        return {}
    try:
        return {'worker_code': load_code(label)}
    except NotExistent as error:
        raise click.ClickException(
            f'there is no code {label!r} in this profile: `aiida-embarrier setup` makes the one of the worker'
        ) from error
