"""Endpoints that symmetry makes of each other: one relaxation serves all of them.

A state is a supercell of the host with some sites of the ion empty, or with an ion added, in any order of its sites.
An operation of the host that takes the empty sites and the added ions of one state to those of another takes the first
state to the second, and with it everything that relaxes around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Structure

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.structures.symmetry import (
    SymmetryOperation,
    match_points,
    point_distances,
    symmetry_operations,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ('MappedState', 'StatePlan', 'map_state', 'mapping_operations', 'plan_states', 'rebuild_host')

#: How far an operation may miss a site, in Å.
TOLERANCE = 0.05
#: By how much moments may differ that count as equal, in Bohr magnetons.
MOMENT_TOLERANCE = 0.1
#: Mappings that move the other atoms equally far within this, in Å, are as good as each other.
EQUAL_MOTION = 1e-3

IDENTITY = SymmetryOperation(np.eye(3, dtype=int), np.zeros(3))


@dataclass(frozen=True, eq=False)
class MappedState:
    """A relaxed state that was mapped onto another.

    :param structure: the mapped state, its sites in the order and in the periodic images of the unrelaxed one.
    :param operation: the operation that was used.
    :param motion: root mean square distance in Å which the other atoms move to it from the states beside it.
    """

    structure: Structure
    operation: SymmetryOperation
    motion: float


@dataclass(frozen=True)
class StatePlan:
    """Which states of a host are to be relaxed, and what the others follow from.

    :param representatives: states to relax.
    :param mapped: for each state that a representative is mapped onto, the representative and the operations.
    :param copies: for each state that another one is already, only its sites in another order, that other one.
    """

    representatives: tuple[str, ...]
    mapped: dict[str, tuple[str, list[SymmetryOperation]]]
    copies: dict[str, str]


def plan_states(
    host: Structure, states: Mapping[str, Structure], symprec: float = 0.01, tolerance: float = TOLERANCE
) -> StatePlan:
    """Return which of several states have to be relaxed, so that symmetry makes all others of them.

    :param host: the supercell of the host, its lattice that of the states.
    :param states: unrelaxed states by their labels; the first of each class represents it.
    :param symprec: how far sites of the host may lie from where symmetry wants them, in Å.
    :param tolerance: how far an operation may miss a site, in Å.
    :raises ValueError: where the host has no symmetry, as with atoms closer than `symprec`.
    """
    operations = symmetry_operations(host, symprec, MOMENT_TOLERANCE)
    representatives: list[str] = []
    mapped: dict[str, tuple[str, list[SymmetryOperation]]] = {}
    copies: dict[str, str] = {}
    for label, state in states.items():
        same = (name for name in (*representatives, *mapped) if _takes(IDENTITY, states[name], state, tolerance))
        copied = next(same, None)
        if copied is not None:
            copies[label] = copied
            continue
        for name in representatives:
            found = mapping_operations(host, states[name], state, operations, tolerance)
            if found:
                mapped[label] = name, found
                break
        else:
            representatives.append(label)
    return StatePlan(tuple(representatives), mapped, copies)


def mapping_operations(
    host: Structure,
    start: Structure,
    end: Structure,
    operations: Iterable[SymmetryOperation],
    tolerance: float = TOLERANCE,
) -> list[SymmetryOperation]:
    """Return the operations of a host that take one of its states to another.

    Elements, oxidation states and U have to correspond site for site, and all magnetic moments are kept, or with an
    operation that reverses time all reversed.

    :param host: the supercell of the host, its lattice that of the states.
    :param start: unrelaxed state.
    :param end: unrelaxed state, its sites in any order.
    :param operations: operations of the host, from :func:`~aiida_embarrier.structures.symmetry.symmetry_operations`.
    :param tolerance: how far an operation may miss a site, in Å.
    """
    matrix = host.lattice.matrix
    if len(start) != len(end) or not all(
        np.allclose(state.lattice.matrix, matrix, atol=1e-6) for state in (start, end)
    ):
        return []
    candidates = list(operations)
    if not candidates:
        return []
    # A supercell has thousands of operations: what they do to the few empty and added sites sorts out nearly all.
    for here, there in zip(_defects(host, start, tolerance), _defects(host, end, tolerance), strict=True):
        if len(here) != len(there):
            return []
        if len(here):
            moved = np.stack([operation.apply(here) for operation in candidates])
            distances, _ = point_distances(moved, there, matrix)
            fits = np.all(distances.min(axis=-1) <= tolerance, axis=-1)
            candidates = [operation for operation, fit in zip(candidates, fits, strict=True) if fit]
            if not candidates:
                return []
    return [operation for operation in candidates if _takes(operation, start, end, tolerance)]


def map_state(
    relaxed: Structure,
    start: Structure,
    end: Structure,
    operations: Sequence[SymmetryOperation],
    beside: Sequence[tuple[Structure, Structure]] = (),
    tolerance: float = TOLERANCE,
) -> MappedState:
    """Return what becomes of a relaxed state under the operation that moves the other atoms least.

    Operations that take the same sites to the same sites differ in the relaxed state only where it is less symmetric
    than the unrelaxed one. The other atoms are those that both states have at the same place before they relax: all
    but the migrating ion.

    :param relaxed: the relaxed state, its sites in the order of `start`, wrapped in any way.
    :param start: the same before it was relaxed.
    :param end: the state to map it onto, not relaxed.
    :param operations: operations from :func:`mapping_operations`.
    :param beside: states which a hop connects with `end`, relaxed and unrelaxed, against which the motion of the other
        atoms is measured; it is NaN where there are none.
    :param tolerance: as given to :func:`mapping_operations`.
    :raises ValueError: where there is no operation, or one does not take the unrelaxed start to the end.
    """
    if not operations:
        raise ValueError('there is no symmetry operation that takes one state to the other: relax both')
    best: MappedState | None = None
    for operation in operations:
        positions = _mapped_positions(relaxed, start, end, operation, tolerance)
        motion = _motion(positions, end, beside, tolerance)
        if best is None or motion < best.motion - EQUAL_MOTION:
            structure = Structure(
                end.lattice,
                end.species,
                positions,
                coords_are_cartesian=True,
                site_properties=dict(end.site_properties),
            )
            best = MappedState(structure, operation, motion)
    assert best is not None
    return best


def rebuild_host(
    initial: Structure, final: Structure, mobile: Sequence[int], mechanism: str | None, tolerance: float = TOLERANCE
) -> Structure | None:
    """Return the host in which two given states are the ends of a hop, None where it cannot be rebuilt.

    For a vacancy it is what both states have together: the initial one with an ion put to its final place. For an
    interstitial it is what both have without the ion.

    :param initial: unrelaxed initial state.
    :param final: unrelaxed final state, its sites in the same order.
    :param mobile: index of the migrating ion.
    :param mechanism: `vacancy` or `interstitial`; for any other there is no telling what the host is.
    :param tolerance: how far the other atoms may lie apart in both states, in Å.
    """
    if mechanism not in ('vacancy', 'interstitial') or len(mobile) != 1:
        return None
    (ion,) = mobile
    moves = minimum_image(final.cart_coords - initial.cart_coords, initial.lattice.matrix)
    others = np.delete(np.linalg.norm(moves, axis=1), ion)
    if others.max(initial=0.0) > tolerance:
        return None
    host = initial.copy()
    if mechanism == 'interstitial':
        host.remove_sites([ion])
        return host
    site = initial[ion]
    host.append(site.species, final.cart_coords[ion], coords_are_cartesian=True, properties=dict(site.properties))
    return host


def _takes(operation: SymmetryOperation, start: Structure, end: Structure, tolerance: float) -> bool:
    """Return whether an operation takes each site of one state to one of its like in another."""
    if len(start) != len(end):
        return False
    (labels, moments), (other_labels, other_moments) = _labels(start), _labels(end)
    try:
        targets, _ = _match(operation, start, end, tolerance)
    except ValueError:
        return False
    if any(label != other_labels[target] for label, target in zip(labels, targets, strict=True)):
        return False
    sign = -1 if operation.time_reversal else 1
    return bool(np.abs(sign * moments - other_moments[targets]).max(initial=0.0) <= MOMENT_TOLERANCE)


def _match(
    operation: SymmetryOperation, start: Structure, end: Structure, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    return match_points(operation.apply(start.frac_coords), end.frac_coords, end.lattice.matrix, tolerance=tolerance)


def _labels(structure: Structure) -> tuple[list[Any], np.ndarray]:
    """Return what has to correspond of each site, and the moments, which may all be reversed."""
    kinds, indices = kinds_of(structure)
    labels = [(kinds[i].element, kinds[i].oxidation_state, kinds[i].hubbard_u) for i in indices]
    return labels, np.array([kinds[i].magnetic_moment or 0.0 for i in indices])


def _defects(host: Structure, state: Structure, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractional coordinates of sites which the host has and the state has not, and the reverse."""
    distances, _ = point_distances(host.frac_coords, state.frac_coords, host.lattice.matrix)
    empty = distances.min(axis=1) > tolerance
    added = distances.min(axis=0) > tolerance
    return host.frac_coords[empty], state.frac_coords[added]


def _mapped_positions(
    relaxed: Structure, start: Structure, end: Structure, operation: SymmetryOperation, tolerance: float
) -> np.ndarray:
    """Return Cartesian positions, shape (n, 3), of the sites of `end` when its relaxation is that of `start`."""
    matrix = end.lattice.matrix
    targets, cells = _match(operation, start, end, tolerance)
    # The whole relaxed state is moved, not its displacements: then distances between its atoms stay what they are, and
    # with them energy and forces, also where the unrelaxed sites are as accurate only as a file says them.
    moved = operation.apply((start.cart_coords + _relaxation(relaxed, start)) @ np.linalg.inv(matrix)) - cells
    missed = operation.apply(start.frac_coords) - cells - end.frac_coords[targets]
    positions = np.empty_like(end.cart_coords)
    # The translation of an operation is that of an average; as one body the state is to lie where its sites do.
    positions[targets] = (moved - missed.mean(axis=0)) @ matrix
    return positions


def _relaxation(relaxed: Structure, unrelaxed: Structure) -> np.ndarray:
    """Return by how much each site moved when the state was relaxed, in Å, shape (n, 3)."""
    return minimum_image(relaxed.cart_coords - unrelaxed.cart_coords, unrelaxed.lattice.matrix)


def _motion(
    positions: np.ndarray, end: Structure, beside: Sequence[tuple[Structure, Structure]], tolerance: float
) -> float:
    squares = [np.empty(0)]
    for relaxed, unrelaxed in beside:
        distances, _ = point_distances(end.frac_coords, unrelaxed.frac_coords, end.lattice.matrix)
        here, there = np.nonzero(distances <= tolerance)
        apart = (positions - end.cart_coords)[here] - _relaxation(relaxed, unrelaxed)[there]
        squares.append(np.einsum('ij,ij->i', apart, apart))
    found = np.concatenate(squares)
    return float(np.sqrt(found.mean())) if len(found) else float('nan')
