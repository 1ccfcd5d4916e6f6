"""The narrowest window of anions through which a path goes."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import ConvexHull, QhullError

if TYPE_CHECKING:
    from aiida_embarrier.structures.coordination import PathEnvironment

__all__ = ('Window', 'narrowest_window')

#: Anions nearest to a stretch of the path of which windows are made.
AROUND = 12
_TRIPLES = np.array(list(combinations(range(AROUND), 3)))
#: A path that goes through the edge of a triangle goes through it, but for rounding: in units of its edges.
EDGE = 0.01
#: Anions belong to a window where they are this near to its plane, in Å, and within so many radii from its centre: the
#: next anions of a close-packed layer are two radii from the centre of a triangle.
PLANE, ROUND = 0.4, 1.25


class Window(NamedTuple):
    """Anions around a path, in a plane.

    :param at: where the path goes through it, as a fraction of its points from 0 to 1.
    :param corners: number of anions.
    :param radius: of the circle through the three anions that are nearest to each other, in Å.
    :param area: of the polygon in Å².
    :param diagonal: longest distance between its corners, in Å.
    :param anions: symbols of its corners.
    """

    at: float
    corners: int
    radius: float
    area: float
    diagonal: float
    anions: tuple[str, ...]


def narrowest_window(environment: PathEnvironment) -> Window | None:
    """Return the window whose circle through three anions is the smallest, of all that the path goes through.

    Where cages share a face, it is that face: the circles through triangles inside of a cage are as large as the cage.
    A fourth or further anion in the plane of the window and near its circle belongs to it.

    :param environment: of a path; the finer its points, the better. Anions move with them.
    :return: None where the path goes through no triangle of anions.
    """
    points = environment.points
    starts, ends = points[:-1], points[1:]
    # relative to the start of each stretch
    around = environment.positions[:-1, :AROUND]
    there = np.isfinite(environment.distances[:-1, :AROUND])
    a, b, c = (around[:, _TRIPLES[:, corner]] for corner in range(3))
    whole = there[:, _TRIPLES].all(axis=2)
    e1, e2, d = b - a, c - a, (ends - starts)[:, None]
    # T. Möller and B. Trumbore, J. Graph. Tools 2, 21 (1997)
    normal = np.cross(d, e2)
    determinant = np.einsum('ijk,ijk->ij', e1, normal)
    spans = np.cross(e1, e2)
    areas = np.linalg.norm(spans, axis=2) / 2
    possible = whole & (np.abs(determinant) > 1e-9) & (areas > 1e-3)
    safe = np.where(possible, determinant, 1.0)
    u = -np.einsum('ijk,ijk->ij', a, normal) / safe
    q = np.cross(-a, e1)
    v = np.einsum('ijk,ijk->ij', np.broadcast_to(d, q.shape), q) / safe
    t = np.einsum('ijk,ijk->ij', e2, q) / safe
    crossed = possible & (u >= -EDGE) & (v >= -EDGE) & (u + v <= 1 + EDGE) & (t >= -1e-6) & (t <= 1 + 1e-6)
    if not crossed.any():
        return None
    edges = [np.linalg.norm(edge, axis=2) for edge in (e1, e2, c - b)]
    radii = np.where(crossed, edges[0] * edges[1] * edges[2] / np.where(crossed, 4 * areas, 1.0), np.inf)
    # of equal ones the first: rounding does not choose
    stretch, triple = np.unravel_index(np.argmin(np.round(radii, 6)), radii.shape)
    radius = float(radii[stretch, triple])
    corners = np.stack([a[stretch, triple], b[stretch, triple], c[stretch, triple]])
    members = _members(corners, radius, environment.positions[stretch][np.isfinite(environment.distances[stretch])])
    chosen = environment.positions[stretch][members]
    unit = spans[stretch, triple] / np.linalg.norm(spans[stretch, triple])
    along = e1[stretch, triple] / np.linalg.norm(e1[stretch, triple])
    flat = chosen @ np.column_stack([along, np.cross(unit, along)])
    try:
        area = float(ConvexHull(flat).volume)
    except QhullError:
        area = float(areas[stretch, triple])
    return Window(
        at=float((stretch + np.clip(t[stretch, triple], 0, 1)) / len(starts)),
        corners=len(members),
        radius=radius,
        area=area,
        diagonal=float(np.linalg.norm(chosen[:, None] - chosen, axis=2).max()),
        anions=tuple(environment.anions[stretch][members].tolist()),
    )


def _members(corners: np.ndarray, radius: float, positions: np.ndarray) -> np.ndarray:
    """Return the numbers of anions that belong to the window of a triangle, shape (m,)."""
    a, e1, e2 = corners[0], corners[1] - corners[0], corners[2] - corners[0]
    span = np.cross(e1, e2)
    centre = a + np.cross((e1 @ e1) * e2 - (e2 @ e2) * e1, span) / (2 * span @ span)
    heights = (positions - a) @ span / np.linalg.norm(span)
    beside = np.linalg.norm(positions - centre, axis=1)
    corner = (np.linalg.norm(positions[:, None] - corners, axis=2) < 1e-6).any(axis=1)
    return np.flatnonzero(corner | ((np.abs(heights) < PLANE) & (beside < ROUND * radius)))
