"""Parts of a path that are computed on their own: give a path other ends, and join parts to one path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.bands.band import UNKNOWN
from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.bands.interpolation import interpolate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from aiida_embarrier.bands.band import Band

__all__ = ('SAME_PLACE', 'ion_displacement', 'join', 'part', 'unwrapped', 'with_ends')

#: Two minima between which no migrating ion moves by more than this, in Å, are one place; half of the shortest hops
#: between neighbouring sites of split interstitials, a sixth of those between lattice sites.
SAME_PLACE = 0.5
#: Positions at a joint of two parts that agree within this, in Å, are the same image.
JOINT = 1e-3


def part(band: Band, first: int, last: int) -> Band:
    """Return the images `first` to `last`, both included, as a band of its own.

    Whether its ends are equivalent is not known, whatever was known of the ends of the whole path.

    :raises ValueError: for images that the band does not have in this order.
    """
    if not 0 <= first < last < band.n_images:
        raise ValueError(f'a band of {band.n_images} images has no part from image {first} to image {last}')
    images = slice(first, last + 1)
    return band.replace(
        lattice=band.lattice if band.lattice.ndim == 2 else band.lattice[images],
        positions=band.positions[images],
        energies=band.energies[images],
        forces=None if band.forces is None else band.forces[images],
        max_perpendicular_forces=band.max_perpendicular_forces[images],
        moments=None if band.moments is None else band.moments[images],
        equivalent_endpoints=None,
    )


def with_ends(band: Band, first: ArrayLike, last: ArrayLike, n_images: int) -> Band:
    """Return a starting band along the same path between other ends near the old ones.

    Each image follows the ends in proportion to its place on the path. Then the path is divided evenly; where the given
    band has no image between its ends, it is interpolated by IDPP. Energies are left out, for they are others now, and
    so is what computed them.

    :param first: positions of the atoms at the first end in Å, shape (n_atoms, 3); they may be wrapped into the cell,
        for an end is taken to have moved by the shortest way.
    :param last: the same at the last end.
    :param n_images: number of images, the endpoints included.
    :raises ValueError: for positions that do not fit the band, and for a path without length.
    """
    moves = [unwrapped(band, image, positions) - band.positions[image] for image, positions in ((0, first), (-1, last))]
    length = band.reaction_coordinate[-1]
    if length < 1e-6:
        raise ValueError('the path has no length: the endpoints are the same')
    place = (band.reaction_coordinate / length)[:, None, None]
    moved = band.replace(
        positions=band.positions + (1 - place) * moves[0] + place * moves[1],
        energies=UNKNOWN,
        forces=None,
        max_perpendicular_forces=UNKNOWN,
        moments=None,
        **dict.fromkeys(('engine', 'functional', 'potential', 'potential_functional', 'charge')),
    )
    return interpolate(moved, n_images, 'linear' if band.n_images > 2 else 'idpp')


def unwrapped(band: Band, image: int, positions: ArrayLike) -> np.ndarray:
    """Return positions of an image after a relaxation, with every atom next to where it was, shape (n_atoms, 3).

    Programs wrap positions into the cell as they like, while those of a band are stored as they are meant.

    :param positions: in Å, shape (n_atoms, 3).
    :raises ValueError: for positions that do not fit the band.
    """
    given, old = np.asarray(positions, dtype=float), band.positions[image]
    if given.shape != old.shape:
        raise ValueError(f'an image of this band has positions of the shape {old.shape}, got {given.shape}')
    return old + minimum_image(given - old, band.lattice_of(image))


def ion_displacement(band: Band, first: np.ndarray, last: np.ndarray) -> float:
    """Return how far the migrating ion (the farthest, if several) moves between two sets of positions, in Å.

    Where a band names no ion that migrates, all atoms count.

    :param first: positions in Å as they are meant, shape (n_atoms, 3).
    :param last: the same.
    """
    atoms = list(band.mobile) or slice(None)
    return float(np.linalg.norm(last[atoms] - first[atoms], axis=-1).max())


def join(parts: Sequence[Band], equivalent_endpoints: bool | None = None) -> Band:
    """Return one band of parts that follow each other, each beginning with the image with which the last one ended.

    It has converged when all parts have, and its residual force is the largest of theirs; the force perpendicular to
    the path at a joint is not known. Energies are those of the parts; they have to come from the same method.

    :param parts: in the order of the path, all with the same atoms.
    :param equivalent_endpoints: whether the ends of the whole path are equivalent.
    :raises ValueError: for no part, for parts that do not meet, and for lattices that change along the path.
    """
    if not parts:
        raise ValueError('there is no part to join')
    first = parts[0]
    shift = np.zeros_like(first.positions[0])
    positions: list[np.ndarray] = []
    for number, piece in enumerate(parts):
        if piece.lattice.ndim == 3 or not np.allclose(piece.lattice, first.lattice, atol=1e-6):
            raise ValueError(f'part {number} has another lattice than part 0: only parts of one lattice can be joined')
        if positions:
            shift = positions[-1][-1] - piece.positions[0]
            gap = float(np.linalg.norm(minimum_image(shift, piece.lattice), axis=1).max())
            if gap > JOINT:
                raise ValueError(
                    f'part {number} does not begin where part {number - 1} ends: an atom lies {gap:.3f} Å away'
                )
        positions.append(piece.positions[int(number > 0) :] + shift)
    perpendicular = np.concatenate([_following(piece.max_perpendicular_forces, n) for n, piece in enumerate(parts)])
    perpendicular[np.cumsum([piece.n_images - 1 for piece in parts[:-1]], dtype=int)] = np.nan
    forces = [_following(piece.forces, n) for n, piece in enumerate(parts) if piece.forces is not None]
    moments = [_following(piece.moments, n) for n, piece in enumerate(parts) if piece.moments is not None]
    residuals = [piece.info.residual_force for piece in parts if piece.info.residual_force is not None]
    states = [piece.info.converged for piece in parts]
    return first.replace(
        positions=np.concatenate(positions),
        energies=np.concatenate([_following(piece.energies, n) for n, piece in enumerate(parts)]),
        forces=np.concatenate(forces) if len(forces) == len(parts) else None,
        max_perpendicular_forces=perpendicular,
        moments=np.concatenate(moments) if len(moments) == len(parts) else None,
        equivalent_endpoints=equivalent_endpoints,
        converged=None if None in states else all(states),
        residual_force=max(residuals) if len(residuals) == len(parts) else None,
    )


def _following(values: np.ndarray, number: int) -> np.ndarray:
    """Return what a part adds to those before it: its first image is theirs already."""
    return values[int(number > 0) :]
