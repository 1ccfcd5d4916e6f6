"""Which rows of a dataset are one hop: the same path in the same host, whatever the cell, its size or its setting.

Two hops of the same ion in hosts of the same reduced formula are compared by what stands around them. Both are
brought to the same volume per host atom, their paths are laid on each other, forward or backward, and a rotation or
mirror image is sought that takes the host atoms around one to those around the other. Neither cells nor orders of
sites, settings, or directions of a hop matter; other atoms of the migrating element do not count, so that the same path
in the charged and in the discharged host is one hop.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.groups import framework_of_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ('HopEnvironment', 'deviation', 'environment_of_row', 'equivalent_hops')

#: Farthest that an atom or a point of the path may lie from where the other hop has it, in Å. Of the 559 published
#: rows that train models 25 pairs agree within 1e-6 Å and some 59 more within 0.5 Å: one path in the charged and in the
#: discharged host, or in two settings. In one cell only, ε-VOPO4 with Li, two hops that symmetry tells apart are as
#: near (0.12 Å): hops that are nearly equivalent count as equivalent.
TOLERANCE = 0.5
#: How far beyond the path host atoms are compared, in Å: the ions' own shell and the next.
MARGIN = 3.5
#: Points that paths are compared at.
N_POINTS = 5
#: How many atoms, those nearest to the middle of the hop, are looked at before all others; they lie within the margin.
N_NEAR = 4
#: An atom nearer to the line of the hop than this, in Å, does not say how to turn around it.
OFF_AXIS = 0.7


@dataclass(frozen=True, eq=False)
class HopEnvironment:
    """A path and the host atoms around it, in Cartesian coordinates in Å from the middle between its ends.

    :param path: positions of the ion, evenly spaced, shape (5, 3).
    :param elements: of the host atoms near the path, nearest to the middle first, shape (n,).
    :param positions: of these atoms, shape (n, 3).
    :param scale: cube root of the volume per host atom in Å.
    """

    path: np.ndarray
    elements: np.ndarray
    positions: np.ndarray
    scale: float

    @property
    def length(self) -> float:
        """Distance between the ends in Å."""
        return float(np.linalg.norm(self.path[-1] - self.path[0]))

    def scaled(self, scale: float) -> HopEnvironment:
        """Return the same hop in a host of another volume."""
        factor = scale / self.scale
        return HopEnvironment(self.path * factor, self.elements, self.positions * factor, scale)

    def reversed(self) -> HopEnvironment:
        """Return the hop in the other direction."""
        return HopEnvironment(self.path[::-1], self.elements, self.positions, self.scale)


def environment_of_row(row: Mapping[str, Any], margin: float = MARGIN) -> HopEnvironment | None:
    """Return what stands around the hop of a row of barriers; None where nothing does, or the ion goes nowhere.

    :param margin: how far beyond the path host atoms are taken, in Å.
    """
    from pymatgen.core import Lattice

    lattice = Lattice(json.loads(row['lattice']))
    species = np.array(json.loads(row['species']))
    host = species != row['ion']
    path = _evenly(np.array(json.loads(row['path']), dtype=float) @ lattice.matrix)
    length = float(np.linalg.norm(path[-1] - path[0]))
    if not host.any() or length < 0.1:
        return None
    centre = (path[0] + path[-1]) / 2
    coords = np.array(json.loads(row['frac_coords']), dtype=float).reshape(-1, 3)[host]
    # A little more than is compared, for the hop of a larger host shrinks when both are brought to the same volume.
    radius = 1.3 * (length / 2 + margin)
    near: Any = lattice.get_points_in_sphere(coords, centre, radius, zip_results=False)
    fractional, distances, indices, _ = near
    order = np.argsort(distances, kind='stable')
    return HopEnvironment(
        path=path - centre,
        elements=species[host][np.asarray(indices, dtype=int)[order]],
        positions=(np.asarray(fractional).reshape(-1, 3) @ lattice.matrix - centre)[order],
        scale=float((lattice.volume / host.sum()) ** (1 / 3)),
    )


def _evenly(points: np.ndarray) -> np.ndarray:
    """Return points at equal distances along the straight pieces between given points."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    wanted = np.linspace(0.0, steps[-1], N_POINTS)
    return np.column_stack([np.interp(wanted, steps, points[:, axis]) for axis in range(3)])


def deviation(first: HopEnvironment, second: HopEnvironment, tolerance: float = TOLERANCE) -> float:
    """Return how far the farthest atom or point of the path of one hop lies from where the other has it, in Å.

    :param tolerance: what lies farther apart is no correspondence.
    :return: infinity where the hops do not correspond.
    """
    second = second.scaled(first.scale)
    if abs(first.length - second.length) > tolerance:
        return np.inf
    radius = max(first.length, second.length) / 2 + MARGIN
    found = (
        _fit(first, other, rotation, radius, tolerance)
        for other in (second, second.reversed())
        for rotation in _rotations(first, other, tolerance)
    )
    return min(found, default=np.inf)


def _rotations(first: HopEnvironment, second: HopEnvironment, tolerance: float) -> list[np.ndarray]:
    """Return rotations, mirror images too, that lay the second hop on the first and one atom beside it on another."""
    axis, other_axis = (hop.path[-1] - hop.path[0] for hop in (first, second))
    heights, distances = _cylinder(first.positions, axis)
    beside = np.flatnonzero(distances > OFF_AXIS)
    if not len(beside):
        return []
    # The nearest atom of the rarest element has the fewest to be laid on.
    candidates = first.elements[beside]
    counts = (candidates[:, None] == second.elements[None]).sum(axis=1)
    anchor = beside[counts.argmin()]  # the atoms come nearest first
    other_heights, other_distances = _cylinder(second.positions, other_axis)
    fits = (
        (second.elements == first.elements[anchor])
        & (np.abs(other_heights - heights[anchor]) <= 2 * tolerance)
        & (np.abs(other_distances - distances[anchor]) <= 2 * tolerance)
        & (other_distances > OFF_AXIS / 2)
    )
    frame = _frame(axis, first.positions[anchor])
    return [
        _frame(other_axis, second.positions[index]).T @ np.diag([1.0, 1.0, hand]) @ frame
        for index, hand in itertools.product(np.flatnonzero(fits), (1.0, -1.0))
    ]


def _cylinder(positions: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where positions are along an axis, and how far from it."""
    unit = axis / np.linalg.norm(axis)
    heights = positions @ unit
    return heights, np.linalg.norm(positions - heights[:, None] * unit, axis=1)


def _frame(axis: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Return three unit vectors as rows: the axis, the direction to a point beside it, and one normal to both."""
    along = axis / np.sqrt(axis @ axis)
    across = beside - (beside @ along) * along
    across = across / np.sqrt(across @ across)
    (a, b, c), (x, y, z) = along, across
    return np.array([along, across, [b * z - c * y, c * x - a * z, a * y - b * x]])


def _fit(first: HopEnvironment, second: HopEnvironment, rotation: np.ndarray, radius: float, tolerance: float) -> float:
    """Return the largest deviation after the best superposition that begins with a rotation of the second hop."""
    # An atom that anchors the rotation may itself lie off its place: the first match is a loose one.
    partners = _partners(first, second.elements, second.positions @ rotation, radius, 2 * tolerance)
    if partners is None:
        return np.inf
    mine, its = partners
    target = np.concatenate([first.path, first.positions[mine]])
    moved = np.concatenate([second.path, second.positions[its]])
    shift, other_shift = target.mean(axis=0), moved.mean(axis=0)
    left, _, right = np.linalg.svd((moved - other_shift).T @ (target - shift))
    fitted = (moved - other_shift) @ (left @ right) + shift
    largest = float(np.linalg.norm(fitted - target, axis=1).max())
    return largest if largest <= tolerance else np.inf


def _partners(
    first: HopEnvironment, elements: np.ndarray, positions: np.ndarray, radius: float, tolerance: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return which atoms correspond, None where one well inside the radius has no partner of its own."""
    near = _distances(first.elements[:N_NEAR], first.positions[:N_NEAR], elements, positions)
    if near.min(axis=1).max(initial=0.0) > tolerance:  # most turns end here
        return None
    distances = _distances(first.elements, first.positions, elements, positions)
    inside, other_inside = (np.linalg.norm(all_of, axis=1) <= radius for all_of in (first.positions, positions))
    mine = np.flatnonzero(inside)
    its = distances[mine].argmin(axis=1)
    if len(set(its.tolist())) != len(its) or distances[mine, its].max(initial=0.0) > tolerance:
        return None
    if distances[:, other_inside].min(axis=0).max(initial=0.0) > tolerance:
        return None
    return mine, its


def _distances(elements: np.ndarray, positions: np.ndarray, others: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return distances between two sets of atoms, infinite between those of different elements."""
    distances = np.sqrt(((positions[:, None] - places[None]) ** 2).sum(axis=2))
    distances[elements[:, None] != others[None]] = np.inf
    return distances


def equivalent_hops(frame: pd.DataFrame, tolerance: float = TOLERANCE) -> pd.Series:
    """Return a label for the hop of each row: the first name, by the alphabet, of the rows with that hop.

    Rows are one hop where a chain of rows within the tolerance leads from one to the other. Only hops of the same ion
    in hosts of the same reduced formula are compared. A row whose hop cannot be compared is a hop of its own.

    :param frame: rows of barriers with unique names.
    :param tolerance: farthest that an atom may lie from where the other hop has it, in Å.
    """
    import pandas as pd

    rows = sorted(frame.to_dict('records'), key=lambda row: row['name'])
    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        alike.setdefault((framework_of_row(row), row['ion']), []).append(row)
    labels = {row['name']: row['name'] for row in rows}
    for members in alike.values():
        if len(members) > 1:
            labels.update(_labels(members, tolerance))
    return pd.Series([labels[name] for name in frame['name']], index=frame.index, name='hop')


def _labels(rows: list[Mapping[str, Any]], tolerance: float) -> dict[str, str]:
    """Return the label of the hop of each of some rows, which come in the order of their names."""
    hops = {row['name']: environment_of_row(row) for row in rows}
    labels = {name: name for name in hops}
    for (name, hop), (other, its) in itertools.combinations(hops.items(), 2):
        if hop is None or its is None or labels[name] == labels[other]:
            continue
        if deviation(hop, its, tolerance) <= tolerance:
            old, new = sorted([labels[name], labels[other]], reverse=True)
            labels = {key: new if label == old else label for key, label in labels.items()}
    return labels
