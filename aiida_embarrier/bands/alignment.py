"""Endpoints of a band from two structures whose sites may be in another order and differently wrapped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aiida_embarrier.bands.band import MECHANISMS, Band, BandInfo, Kind, kinds_of
from aiida_embarrier.bands.geometry import OVERLAP, closest_pair, minimum_image

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ('AlignmentError', 'LatticePolicy', 'SeveralMoveError', 'align_endpoints')

LatticePolicy = Literal['refuse', 'initial', 'mean', 'per_image']

#: Lattices that differ by less, in Å, are the same lattice written with other roundings.
LATTICE_TOLERANCE = 1e-3
#: An ion that moves less, in Å, did not hop.
SHORTEST_HOP = 0.1
#: Preference for equal kinds among equally good assignments, in Å²: too small to outweigh a real displacement.
_KIND_PREFERENCE = 0.01
#: Longest list of atoms in a message.
_NAMED_ATOMS = 8


class AlignmentError(ValueError):
    """The endpoints are not two ends of one hop by the mechanism, or are not sound structures."""


class SeveralMoveError(AlignmentError):
    """Other atoms move than the mechanism allows.

    :param found: which ones, and how far.
    :param remedy: what to do about it.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f'{found}. {remedy}')
        self.found = found


def align_endpoints(
    initial: Structure,
    final: Structure,
    *,
    ion: str | None = None,
    mechanism: str = 'vacancy',
    lattice_policy: LatticePolicy = 'refuse',
    threshold: float = 1.2,
    keep_images: bool = False,
) -> Band:
    """Return a band of two images, in which every atom of the initial structure is found again in the final one.

    Atoms are assigned one to one within each element by their minimum-image displacements, which hold in any cell. For
    the mechanisms `vacancy` and `interstitial` the assignment has as few atoms as possible that move farther than
    `threshold`, and among those the smallest sum of squared displacements; for `any` just the smallest sum, so that a
    chain of short hops is preferred to one long hop. The order, wrapping and kinds are those of the initial structure;
    kinds may differ at the ends (moments after relaxation, a polaron that moved along) and then serve only to choose
    between assignments that are equally good otherwise. No drift of the host is taken out.

    What lattices that differ become (`lattice_policy`):

    - `refuse`: an error that states the difference.
    - `initial`: both ends get the lattice of the initial structure, at their own fractional coordinates.
    - `mean`: both ends get the mean of the two lattices, at their own fractional coordinates.
    - `per_image`: both ends keep their lattices, and interpolation goes through lattices in between. Engines that
      compute at a fixed cell refuse such a band.

    Lattices that differ by rotation or by the choice of cell vectors only are the same, and the initial one is used.

    :param ion: element of the migrating ion; None for whichever moved.
    :param mechanism: `vacancy` or `interstitial`: one ion moves; `any`: several may, all those beyond `threshold`.
    :param threshold: displacement in Å up to which an atom is taken to have relaxed, not hopped. The default is half of
        the shortest distance between neighbours that oxide and polyanion hosts have (O-O, 2.4 Å), so that two atoms in
        swapped order always exceed it, and thrice the 0.4 Å that hosts typically relax by.
    :param keep_images: take the displacement of migrating ions as written in the coordinates, instead of the shortest
        one: for hops that are longer than half the cell, or that end on a periodic image of where they began.
    :raises AlignmentError: for structures with different composition or with two atoms on one place, for lattices
        that differ under `refuse`, and where other atoms, more atoms or no atom moved.
    """
    if mechanism not in MECHANISMS:
        raise AlignmentError(f'unknown mechanism {mechanism!r}: choose one of {", ".join(MECHANISMS)}')
    if lattice_policy not in get_args(LatticePolicy):
        raise AlignmentError(
            f'unknown lattice policy {lattice_policy!r}: choose one of {", ".join(get_args(LatticePolicy))}'
        )
    _check_sound(initial, final, ion)
    lattices, fractional = _in_common_lattice(initial, final, lattice_policy)
    mean = lattices.mean(axis=0)

    written = fractional[1][None, :, :] - fractional[0][:, None, :]
    shortest = minimum_image(written @ mean, mean)
    order = _assignment(initial, final, shortest, threshold=threshold, fewest=mechanism != 'any')
    rows = np.arange(len(order))
    moves = _as_written_where_equal(shortest[rows, order], written[rows, order] @ mean)
    if keep_images:
        mobile = _moved(initial, moves, ion, mechanism, threshold, as_written=written[rows, order] @ mean)
        moves[mobile] = written[mobile, order[mobile]] @ mean
    else:
        mobile = _moved(initial, moves, ion, mechanism, threshold)

    kinds, kind_indices = kinds_of(initial)
    # whole cells between the place as written and the place as meant, so that no digit is lost on the way
    cells = np.round(moves @ np.linalg.inv(mean) - written[rows, order])
    ends = np.stack([fractional[0], fractional[1][order] + cells])
    return Band(
        kinds=kinds,
        kind_indices=kind_indices,
        lattice=mean if np.array_equal(*lattices) else lattices,
        positions=ends @ lattices,
        mobile=tuple(mobile),
        info=BandInfo(mechanism=mechanism),
    )


def _check_sound(initial: Structure, final: Structure, ion: str | None) -> None:
    ends = {'initial': initial, 'final': final}
    for name, structure in ends.items():
        if not structure.is_ordered:
            raise AlignmentError(f'the {name} structure has partially occupied sites: order it first')
        if len(structure) == 0:
            raise AlignmentError(f'the {name} structure has no atoms')
    counts = [Counter(site.specie.symbol for site in structure) for structure in ends.values()]
    if counts[0] != counts[1]:
        differing = [
            f'{element} {counts[0][element]} and {counts[1][element]}'
            for element in sorted(counts[0] | counts[1])
            if counts[0][element] != counts[1][element]
        ]
        what = 'number of atoms' if len(initial) != len(final) else 'composition'
        raise AlignmentError(
            f'the endpoints differ in their {what}, {len(initial)} and {len(final)} atoms ({", ".join(differing)}): '
            'both ends need the same atoms'
        )
    if ion is not None and ion not in counts[0]:
        raise AlignmentError(f'the endpoints contain no {ion}, only {", ".join(sorted(counts[0]))}')
    for name, structure in ends.items():
        nearest = closest_pair(structure.cart_coords, structure.lattice.matrix)
        if nearest.distance < OVERLAP:
            raise AlignmentError(
                f'in the {name} structure {_name(structure, nearest.first)} and {_name(structure, nearest.second)} are '
                f'{nearest.distance:.2f} Å apart: one of them stands there twice'
            )


def _in_common_lattice(
    initial: Structure, final: Structure, policy: LatticePolicy
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the lattices of both ends, shape (2, 3, 3), and the fractional coordinates in them."""
    first, last = initial.lattice.matrix, final.lattice.matrix
    fractional = [initial.frac_coords, final.frac_coords]
    if np.allclose(first, last, rtol=0, atol=LATTICE_TOLERANCE):
        return np.stack([first, first]), fractional
    change = last @ np.linalg.inv(first)
    if abs(abs(np.linalg.det(change)) - 1) < 0.1 and np.allclose(
        np.round(change) @ first, last, rtol=0, atol=LATTICE_TOLERANCE
    ):
        # the same translations, spanned by other vectors
        return np.stack([first, first]), [fractional[0], final.cart_coords @ np.linalg.inv(first)]
    parameters = [np.array(structure.lattice.parameters) for structure in (initial, final)]
    tolerance = LATTICE_TOLERANCE * np.linalg.norm(first)
    if np.allclose(first @ first.T, last @ last.T, rtol=0, atol=tolerance) and (
        np.linalg.det(first) * np.linalg.det(last) > 0
    ):
        # the same cell, turned as a whole
        return np.stack([first, first]), fractional
    if policy == 'refuse':
        texts = ['{:.3f} {:.3f} {:.3f} Å {:.2f} {:.2f} {:.2f}°'.format(*values) for values in parameters]
        volumes = initial.volume, final.volume
        raise AlignmentError(
            f'the lattices of the endpoints differ: {texts[0]} and {texts[1]} (volume {volumes[0]:.2f} and '
            f'{volumes[1]:.2f} Å³, {100 * (volumes[1] / volumes[0] - 1):+.2f} %): put both ends into one lattice at '
            "their fractional coordinates, that of the initial one with lattice_policy='initial' (--lattice-policy "
            "initial), or the mean with lattice_policy='mean' (--lattice-policy mean)"
        )
    if policy == 'initial':
        return np.stack([first, first]), fractional
    if policy == 'mean':
        mean = (first + last) / 2
        return np.stack([mean, mean]), fractional
    return np.stack([first, last]), fractional


def _assignment(
    initial: Structure, final: Structure, moves: np.ndarray, *, threshold: float, fewest: bool
) -> np.ndarray:
    """Return for each site of the initial structure the index of the same atom in the final one."""
    from scipy.optimize import linear_sum_assignment

    squares = np.einsum('ijk,ijk->ij', moves, moves)
    if fewest:
        # more than all relaxations together can cost, so the number of hops is minimised first
        squares = np.where(squares > threshold**2, squares + len(initial) * squares.max(), squares)
    kinds = [kinds_of(structure) for structure in (initial, final)]
    differ = np.array([[not _alike(one, other) for other in kinds[1][0]] for one in kinds[0][0]])
    cost = squares + _KIND_PREFERENCE * differ[np.ix_(kinds[0][1], kinds[1][1])]
    elements = [np.array([site.specie.symbol for site in structure]) for structure in (initial, final)]
    order = np.empty(len(initial), dtype=int)
    for element in np.unique(elements[0]):
        here, there = (np.flatnonzero(symbols == element) for symbols in elements)
        rows, columns = linear_sum_assignment(cost[np.ix_(here, there)])
        order[here[rows]] = there[columns]
    return order


def _alike(one: Kind, other: Kind) -> bool:
    """Whether two kinds can be the same atom before and after a relaxation, which changes the size of a moment."""
    moments = one.magnetic_moment, other.magnetic_moment
    same_moment = None in moments or abs((moments[0] or 0.0) - (moments[1] or 0.0)) < 0.5
    return same_moment and one.oxidation_state == other.oxidation_state and one.hubbard_u == other.hubbard_u


def _as_written_where_equal(shortest: np.ndarray, written: np.ndarray) -> np.ndarray:
    """Prefer the displacement as written where another one is just as short: a hop of exactly half the cell."""
    equal = np.linalg.norm(written, axis=1) < np.linalg.norm(shortest, axis=1) + 1e-6
    return np.where(equal[:, None], written, shortest)


def _moved(
    initial: Structure,
    moves: np.ndarray,
    ion: str | None,
    mechanism: str,
    threshold: float,
    as_written: np.ndarray | None = None,
) -> list[int]:
    """Return the migrating atoms, or say why there are none or too many."""
    distances = np.linalg.norm(moves, axis=1)
    eligible = np.array([ion in (None, site.specie.symbol) for site in initial])
    beyond = np.flatnonzero(distances > threshold)
    strangers = [index for index in beyond if not eligible[index]]
    several = mechanism != 'any' and len(beyond) > 1
    if strangers or several:
        others = np.setdiff1d(np.arange(len(moves)), beyond)
        drift = float(np.linalg.norm(moves[others].mean(axis=0))) if len(others) else 0.0
        allowed = f'only {ion} may move' if strangers and not several else f'the mechanism {mechanism} allows one'
        raise SeveralMoveError(
            f'{len(beyond)} atom(s) move farther than {threshold:g} Å from the initial to the final structure, but '
            f'{allowed}: {_list(initial, distances, beyond)}; the others move by {drift:.2f} Å on average as one body',
            'Check that both ends belong to one hop, raise the threshold if these atoms relax, or use '
            "mechanism='any' (--mechanism any)",
        )
    if len(beyond):
        return [int(index) for index in beyond]
    if as_written is not None:
        whole_way = np.linalg.norm(as_written, axis=1)
        around = np.flatnonzero(eligible & (whole_way > max(threshold, SHORTEST_HOP)))
        if len(around) > 1 and mechanism != 'any':
            raise AlignmentError(
                f'{len(around)} atoms are written farther than {threshold:g} Å from where they began, all of them on '
                f'periodic images: {_list(initial, whole_way, around)}; with keep_images (--as-written) only '
                'the migrating ion may be'
            )
        if len(around):
            return [int(index) for index in around]
    farthest = int(np.argmax(np.where(eligible, distances, -1.0)))
    if distances[farthest] < SHORTEST_HOP:
        raise AlignmentError(
            f'no {ion or "atom"} moves from the initial to the final structure (the largest displacement is '
            f'{distances[farthest]:.3f} Å, of {_name(initial, farthest)}): give two different endpoints'
            + ('' if as_written is not None else ', or keep_images=True (--as-written) for a hop to a periodic image')
        )
    return [farthest]


def _list(structure: Structure, distances: np.ndarray, indices: np.ndarray) -> str:
    ordered = sorted(indices, key=lambda index: -distances[index])
    named = [f'{_name(structure, index)} by {distances[index]:.2f} Å' for index in ordered[:_NAMED_ATOMS]]
    more = len(ordered) - len(named)
    return ', '.join(named) + (f' and {more} more' if more else '')


def _name(structure: Structure, index: int) -> str:
    return f'{structure[int(index)].specie.symbol} (site {int(index)})'
