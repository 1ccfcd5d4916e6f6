"""Which rows of a dataset are one hop: the same path in the same host, whatever the cell, its size or its setting.

Two hops of the same ion in hosts of the same reduced formula are compared by what stands around them. Both are
brought to the same volume per host atom, their paths are laid on each other, forward or backward, and a rotation or
mirror image is sought that takes the host atoms around one to those around the other. Neither cells nor orders of
sites, settings, or directions of a hop matter; other atoms of the migrating element do not count, so that the same path
in the charged and in the discharged host is one hop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.groups import framework_of_row
from aiida_embarrier.datasets.hop_shapes import Shapes, cylinder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

__all__ = ('HopEnvironment', 'deviation', 'environment_of_row', 'equivalent_hops')

#: Farthest that an atom or a point of the path may lie from where the other hop has it, in Å. Of the 559 published
#: rows that train models 25 pairs agree within 1e-6 Å and some 59 more within 0.5 Å: one path in the charged and in the
#: discharged host, or in two settings. In one cell only, ε-VOPO4 with Li, two hops that symmetry tells apart are as
#: near (0.12 Å): hops that are nearly equivalent count as equivalent.
TOLERANCE = 0.5
#: A hop that agrees with another one within this share of the tolerance is compared with no others, for they are as far
#: from the other one, within about that: only a pair that is as near to the tolerance could be judged differently.
COINCIDENCE = 0.02
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
    return min(
        (found for other in (second, second.reversed()) for found in _fits(first, other, tolerance)), default=np.inf
    )


def _fits(first: HopEnvironment, second: HopEnvironment, tolerance: float) -> Iterator[float]:
    """Yield the largest deviation for each way to lay the second hop, of the same volume, on the first."""
    radius = max(first.length, second.length) / 2 + MARGIN
    rotations = _rotations(first, second, tolerance)
    for rotation in rotations[_near_fit(first, second, rotations, tolerance)]:
        yield _fit(first, second, rotation, radius, tolerance)


def _rotations(first: HopEnvironment, second: HopEnvironment, tolerance: float) -> np.ndarray:
    """Return rotations, mirror images too, that lay the second hop on the first and one atom beside it on another.

    :return: shape (n, 3, 3).
    """
    axis, other_axis = (hop.path[-1] - hop.path[0] for hop in (first, second))
    heights, distances = cylinder(first.positions, axis)
    beside = np.flatnonzero(distances > OFF_AXIS)
    if not len(beside):
        return np.empty((0, 3, 3))
    # The nearest atom of the rarest element has the fewest to be laid on.
    candidates = first.elements[beside]
    counts = (candidates[:, None] == second.elements[None]).sum(axis=1)
    anchor = beside[counts.argmin()]  # the atoms come nearest first
    other_heights, other_distances = cylinder(second.positions, other_axis)
    fits = (
        (second.elements == first.elements[anchor])
        & (np.abs(other_heights - heights[anchor]) <= 2 * tolerance)
        & (np.abs(other_distances - distances[anchor]) <= 2 * tolerance)
        & (other_distances > OFF_AXIS / 2)
    )
    frame = _frames(axis, first.positions[[anchor]])[0]
    frames = np.repeat(_frames(other_axis, second.positions[fits]), 2, axis=0)
    frames[1::2, 2] *= -1.0  # of each turn the mirror image
    rotations: np.ndarray = frames.transpose(0, 2, 1) @ frame
    return rotations


def _frames(axis: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Return three unit vectors as rows for each point: the axis, the direction to the point, and one normal to both.

    :param beside: points beside the axis, shape (n, 3).
    :return: shape (n, 3, 3).
    """
    along = axis / np.linalg.norm(axis)
    across = beside - (beside @ along)[:, None] * along
    across /= np.linalg.norm(across, axis=1)[:, None]
    return np.stack([np.broadcast_to(along, across.shape), across, np.cross(along, across)], axis=1)


def _near_fit(first: HopEnvironment, second: HopEnvironment, rotations: np.ndarray, tolerance: float) -> np.ndarray:
    """Return which rotations lay an atom of the second hop near each of the nearest atoms of the first."""
    found = np.ones(len(rotations), dtype=bool)
    for element, position in zip(first.elements[:N_NEAR], first.positions[:N_NEAR], strict=True):
        steps = second.positions[second.elements == element] @ rotations - position
        found &= ((steps**2).sum(axis=2) <= (2 * tolerance) ** 2).any(axis=1)
    return found


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
    """Return the label of the hop of each of some rows, which come in the order of their names.

    Surroundings are laid on each other only where the shapes of two hops leave it open whether they are one.
    """
    comparable = {row['name']: hop for row in rows if (hop := environment_of_row(row)) is not None}
    if not comparable:
        return {}
    names = list(comparable)
    elements = np.unique(np.concatenate([hop.elements for hop in comparable.values()]))
    # numbers in the place of symbols, which compare slowly
    hops = [replace(hop, elements=np.searchsorted(elements, hop.elements)) for hop in comparable.values()]
    shapes = Shapes(hops, MARGIN, N_NEAR)
    labels = np.arange(len(hops))  # the first hop that each is
    coincides = np.zeros(len(hops), dtype=bool)  # with one that has been compared with all
    for number, hop in enumerate(hops):
        if coincides[number]:
            continue
        others = np.flatnonzero(~coincides & (labels != labels[number]))
        others = others[others > number]
        for other, possible in zip(others, shapes.possible(number, others, tolerance), strict=True):
            if labels[other] == labels[number] or not possible.any():
                continue
            found = _first_fit(hop, hops[other], possible, tolerance)
            if found is not None:
                old, new = sorted([labels[number], labels[other]], reverse=True)
                labels[labels == old] = new
                coincides[other] = found <= COINCIDENCE * tolerance
    return {name: names[label] for name, label in zip(names, labels, strict=True)}


def _first_fit(first: HopEnvironment, second: HopEnvironment, possible: np.ndarray, tolerance: float) -> float | None:
    """Return the deviation of the first way found to lay a hop on another within the tolerance, None without any.

    :param possible: whether the second may be the first as it is, and in the other direction.
    """
    second = second.scaled(first.scale)
    if abs(first.length - second.length) > tolerance:
        return None
    directions = [other for other, may in zip((second, second.reversed()), possible, strict=True) if may]
    fits = (found for other in directions for found in _fits(first, other, tolerance))
    return next((found for found in fits if found <= tolerance), None)
