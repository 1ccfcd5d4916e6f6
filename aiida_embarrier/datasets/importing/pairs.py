"""A row of barriers from the initial and the final structure of a hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.datasets.importing.base import Crystal, DatasetError, barrier_row
from aiida_embarrier.datasets.schema import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('N_IMAGES', 'row_of_ends')

#: Positions on the straight line from end to end, as the published composites have them.
N_IMAGES = 5
#: An atom that moves farther than this, in Å, hopped; see :func:`~aiida_embarrier.bands.alignment.align_endpoints`.
_HOPPED = 1.2
#: Positions and lattices that differ by less, in Å, are the same.
_SAME = 1e-3


def row_of_ends(
    name: str, initial: Crystal, final: Crystal, barrier: float, labels: Mapping[str, Any], mover: int | None = None
) -> dict[str, Any]:
    """Return the row of a hop between two structures.

    Where both structures have their atoms in one order, that order and the displacement of the ion as it is written are
    taken; else atoms are found again by their positions. The path is the straight line, in fractional coordinates.

    :param mover: index of the migrating atom; None for the one that moves farthest.
    :raises DatasetError: for structures that are not two ends of one hop.
    """
    where = f'row {name}'
    coords = _in_order(initial, final, mover, where)
    moves = _moves(initial.lattice, coords - initial.coords)
    ion = _mover(initial, coords, moves) if mover is None else mover
    others = np.delete(np.arange(len(initial.species)), ion)
    path = np.linspace(initial.coords[ion], coords[ion], N_IMAGES)
    rest = Crystal(initial.lattice, tuple(initial.species[index] for index in others), initial.coords[others])
    row = barrier_row(name, rest, path, initial.species[ion], barrier, labels)
    if not np.allclose(initial.lattice, final.lattice, rtol=0, atol=_SAME):
        row['final_lattice'] = to_json(final.lattice)
    if np.linalg.norm(moves[others], axis=1).max(initial=0.0) > _SAME:
        near = initial.coords[others] + moves[others] @ np.linalg.inv(initial.lattice)
        row['final_frac_coords'] = to_json(near)
    return row


def _moves(lattice: np.ndarray, written: np.ndarray) -> np.ndarray:
    return minimum_image(written @ lattice, lattice)


def _mover(initial: Crystal, coords: np.ndarray, moves: np.ndarray) -> int:
    """Return the atom that moved farthest; where all stay within 0.5 Å of a periodic image, as the coordinates say."""
    lengths = np.linalg.norm(moves, axis=1)
    if lengths.max() < 0.5:
        lengths = np.linalg.norm((coords - initial.coords) @ initial.lattice, axis=1)
    return int(np.argmax(lengths))


def _in_order(initial: Crystal, final: Crystal, mover: int | None, where: str) -> np.ndarray:
    """Return the fractional coordinates of the final structure in the order of the initial one."""
    if initial.species == final.species:
        moves = np.linalg.norm(_moves(initial.lattice, final.coords - initial.coords), axis=1)
        hopped = int(np.argmax(moves)) if mover is None else mover
        if np.delete(moves, hopped).max(initial=0.0) <= _HOPPED:
            return final.coords
    from pymatgen.core import Structure

    from aiida_embarrier.bands.alignment import AlignmentError, align_endpoints

    ends = [Structure(one.lattice, list(one.species), one.coords) for one in (initial, final)]
    try:
        band = align_endpoints(*ends, lattice_policy='per_image')
    except AlignmentError as error:
        if initial.species == final.species:  # taken as it is written, and found again among the defects
            return final.coords
        raise DatasetError(f'{where}: its structures are not two ends of one hop: {error}') from error
    return np.asarray(band.positions[-1] @ np.linalg.inv(final.lattice))
