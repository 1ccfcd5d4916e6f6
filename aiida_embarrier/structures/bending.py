"""Straight paths bent to where the atoms of the host leave room, so that what is around an ion can be told.

Paths of datasets are straight lines between sites. In layered and olivine hosts such a line goes through the middle of
an edge of two anions, where no ion goes: it goes through the tetrahedron beside. One arc is enough to tell which way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from aiida_embarrier.structures.anions import sublattices
from aiida_embarrier.structures.bond_valence import SOFTNESS, bond_length
from aiida_embarrier.structures.coordination import neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ('bent_path',)

#: Farthest that the middle of a path is moved, in Å: from the middle of an edge of 3 Å to the centre of a tetrahedron
#: it is 1.06 Å.
FARTHEST = 1.6
#: Distance in Å at which a cation repels the ion as an anion at the length of a bond of valence 1 does. Of 2.0, 1.8 and
#: 1.5 the one with which the middles of hops of olivine and of layered NiO2, known to be tetrahedra, are most like them
#: (ECoN 3.2 and 2.5 to 2.7; 2.3 and 2.0 with 2.0 Å).
CATION_CONTACT = 1.5
#: Atoms farther than this from a point, in Å, do not repel: those at 3.5 Å still do by 0.02 valence units.
REPULSION = 3.5
#: What an arc costs, in valence units for each Å² of its height: without need paths stay straight.
STIFFNESS = 0.05
#: Exponent of the mean over the points of a path: large, so that the tightest ones decide.
POWER = 6
#: Arcs that are tried: heights in Å and number of directions.
_HEIGHTS = np.linspace(FARTHEST / 4, FARTHEST, 4)
_DIRECTIONS = 24


def bent_path(lattice: ArrayLike, species: Sequence[str], coords: ArrayLike, ion: str, points: ArrayLike) -> np.ndarray:
    """Return the points of a straight path on an arc between its ends, bent away from the atoms of the host.

    Of all arcs h sin(πx), x from 0 to 1 along the path and h across it, that one is taken on which the sum of
    exp[(R - d) / 0.37 Å] over the atoms is lowest, as a mean of high power over the points: bond valences of anions
    (see :mod:`~aiida_embarrier.structures.bond_valence`) and a repulsion of the same softness by cations.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of the n atoms of the host, without the ion.
    :param coords: their fractional coordinates, shape (n, 3), or shape (k, n, 3) where they move with the ion.
    :param ion: symbol of the ion.
    :param points: its fractional coordinates on a straight line, evenly spaced, shape (k, 3) with k at least 3.
    :returns: fractional coordinates, shape (k, 3); the ends stay.
    """
    cell = np.ascontiguousarray(lattice, dtype=float)
    places, atoms = np.asarray(points, dtype=float), np.asarray(coords, dtype=float)
    anions = sublattices(cell, species, atoms[0] if atoms.ndim == 3 else atoms).anions
    lengths = np.array([_contact(ion, symbol) for symbol in species])
    lengths[~anions] = CATION_CONTACT
    moving = atoms[1:-1] if atoms.ndim == 3 else atoms
    centre, other, positions, distances = neighbours(cell, moving, places[1:-1])
    near = distances < REPULSION + FARTHEST
    centre, other, positions = centre[near], other[near], positions[near]
    if not len(centre):
        return places.copy()
    shape = len(places) - 2, int(np.bincount(centre).max())
    order = np.argsort(centre, kind='stable')
    counts = np.bincount(centre, minlength=shape[0])
    ranks = np.arange(len(centre)) - np.repeat(np.cumsum(counts) - counts, counts)
    around, reach = np.zeros((*shape, 3)), np.full(shape, -np.inf)
    around[centre[order], ranks], reach[centre[order], ranks] = positions[order], lengths[other[order]]
    heights = np.sin(np.pi * np.linspace(0, 1, len(places)))[1:-1]
    across = np.linalg.svd((places[-1] - places[0])[None] @ cell)[2][1:]

    def cost(arc: np.ndarray) -> np.ndarray:
        """Return what arcs cost, shape (...,).

        :param arc: heights along both directions across the path, shape (..., 2).
        """
        moved = around - heights[:, None, None] * (arc @ across)[..., None, None, :]
        sums = np.exp((reach - np.sqrt(np.einsum('...i,...i->...', moved, moved))) / SOFTNESS).sum(axis=-1)
        mean = (sums**POWER).mean(axis=-1) ** (1 / POWER)
        return np.asarray(mean + STIFFNESS * np.einsum('...i,...i->...', arc, arc))

    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    tried = np.einsum('h,ai->hai', _HEIGHTS, np.column_stack([np.cos(angles), np.sin(angles)])).reshape(-1, 2)
    tried = np.concatenate([np.zeros((1, 2)), tried])
    costs = cost(tried)
    best = minimize(cost, tried[int(np.argmin(costs))], method='Nelder-Mead', options={'xatol': 1e-4, 'fatol': 1e-7}).x
    best *= min(1.0, FARTHEST / max(float(np.linalg.norm(best)), 1e-12))
    bent = places.copy()
    bent[1:-1] += (heights[:, None] * (best @ across)) @ np.linalg.inv(cell)
    return bent


def _contact(ion: str, anion: str) -> float:
    length = bond_length(ion, anion)
    return CATION_CONTACT if np.isnan(length) else length
