"""Images between endpoints: straight, through waypoints, or relaxed in the image-dependent pair potential (IDPP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aiida_embarrier.bands.band import UNKNOWN
from aiida_embarrier.bands.geometry import MIN_CLEARANCE, ClosestPair, closest_pair

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aiida_embarrier.bands.band import Band

__all__ = ('ClearanceError', 'check_clearance', 'closest_approach', 'interpolate')

InterpolationMethod = Literal['idpp', 'linear']

#: Pairs of atoms within this distance in Å in some image take part in the IDPP. Their weight falls with the fourth
#: power of the distance, so a pair at 6 Å counts 1/80 of a bond of 2 Å.
PAIR_CUTOFF = 6.0
#: Weight of the squared bends of the path in the IDPP objective in 1/Å⁴. Without it neighbouring images can evade an
#: atom on opposite sides (a Mg hop that passes an O at 0.3 Å: steps of 0.5 to 1.8 Å); with it these steps are 0.64 to
#: 0.99 Å and the nearest approach changes by less than 0.1 Å. A straight, even path has no bends: nothing shortens it.
SMOOTHNESS = 0.05


class ClearanceError(ValueError):
    """An endpoint has the migrating ion too near another atom."""


def interpolate(
    band: Band,
    n_images: int,
    method: InterpolationMethod = 'idpp',
    waypoints: ArrayLike | None = None,
    *,
    fractional_waypoints: bool = False,
) -> Band:
    """Return a band of `n_images` images, evenly spaced along a path through the images of `band`.

    `linear` goes straight from image to image of the given band, usually its two endpoints. `idpp` lets this path relax
    until the distances between atoms come as close as possible to those interpolated along it (S. Smidstrup,
    A. Pedersen, K. Stokbro and H. Jónsson, J. Chem. Phys. 140, 214106 (2014)). Endpoints stay as they are with their
    energies; what else was computed is left out. Where the ends have different lattices the images get the lattices in
    between, and atoms move straight in fractional coordinates.

    :param n_images: number of images, the endpoints included.
    :param waypoints: places that the migrating ion passes on its way, shape (n_waypoints, 3), or (n_waypoints,
        n_mobile, 3) for several ions; Cartesian in Å. They are taken as written and never wrapped, as all positions of
        a band. The images need not lie on them: the length of the path is divided evenly.
    :param fractional_waypoints: whether the waypoints are fractional.
    :raises ValueError: for fewer than two images, an unknown method, a path without length, and waypoints that do not
        fit the band.
    """
    if n_images < 2:
        raise ValueError(f'a band needs at least its two endpoints, got n_images={n_images}')
    if method not in get_args(InterpolationMethod):
        raise ValueError(f'unknown method {method!r}: choose one of {", ".join(get_args(InterpolationMethod))}')
    anchors = band if waypoints is None else _through_waypoints(band, waypoints, fractional_waypoints)
    if anchors.reaction_coordinate[-1] < 1e-6:
        raise ValueError('the path has no length: the endpoints are the same')
    places = _even_places(anchors, n_images)
    lattices = np.stack([anchors.lattice_of(image) for image in range(anchors.n_images)])
    lattices = _between(lattices, places)
    positions = _between(anchors.fractional, places) @ lattices
    if method == 'idpp' and n_images > 2:
        positions[1:-1] = _idpp(anchors, places, positions, lattices)
        relaxed = _images(band, positions, lattices)
        positions = _between(relaxed.fractional, _even_places(relaxed, n_images)) @ lattices
    # the endpoints to the last bit
    positions[0], positions[-1] = band.positions[0], band.positions[-1]
    energies = np.full(n_images, np.nan)
    energies[[0, -1]] = band.energies[[0, -1]]
    return _images(band, positions, lattices, energies)


def _images(band: Band, positions: np.ndarray, lattices: np.ndarray, energies: np.ndarray = UNKNOWN) -> Band:
    """Return other images of the same atoms, about which nothing but perhaps energies is known."""
    return band.replace(
        lattice=band.lattice if band.lattice.ndim == 2 else lattices,
        positions=positions,
        energies=energies,
        forces=None,
        max_perpendicular_forces=UNKNOWN,
        moments=None,
        climbing=None,
        converged=None,
        residual_force=None,
    )


def closest_approach(band: Band) -> list[ClosestPair]:
    """Return for each image the two atoms that are nearest to each other, over periodic boundaries in any cell."""
    return [closest_pair(band.positions[image], band.lattice_of(image)) for image in range(band.n_images)]


def check_clearance(band: Band, threshold: float = MIN_CLEARANCE) -> list[str]:
    """Return a warning for each image between the endpoints in which a migrating ion comes near another atom.

    :param threshold: distance in Å.
    :raises ClearanceError: where a migrating ion is that near another atom in an endpoint: no relaxation mends that.
    :raises ValueError: for a band that names no migrating ion.
    """
    if not band.mobile:
        raise ValueError('the band names no migrating ion')
    warnings = []
    for image in range(band.n_images):
        near = closest_pair(band.positions[image], band.lattice_of(image), among=band.mobile)
        if near.distance >= threshold:
            continue
        ion, other = (near.first, near.second) if near.first in band.mobile else (near.second, near.first)
        where = {0: 'the first endpoint', band.n_images - 1: 'the last endpoint'}.get(image, f'image {image}')
        text = (
            f'in {where} the migrating {band.elements[ion]} (site {ion}) is {near.distance:.2f} Å from '
            f'{band.elements[other]} (site {other}), nearer than {threshold:g} Å'
        )
        if image in (0, band.n_images - 1):
            raise ClearanceError(f'{text}: the ion cannot rest there, check the structure of the endpoint')
        warnings.append(f'{text}: interpolate by IDPP or give waypoints around it')
    return warnings


def _through_waypoints(band: Band, waypoints: ArrayLike, fractional: bool) -> Band:
    """Return the endpoints with one image more for each waypoint, hosts moving evenly with the way of the ion."""
    mobile = list(band.mobile)
    if not mobile:
        raise ValueError('waypoints need a band that names its migrating ion')
    if band.n_images != 2:
        raise ValueError(f'waypoints need a band of two endpoints, got one of {band.n_images} images')
    places = np.asarray(waypoints, dtype=float)
    if places.ndim == 2 and len(mobile) == 1:
        places = places[:, None, :]
    if places.ndim != 3 or places.shape[1:] != (len(mobile), 3) or not np.all(np.isfinite(places)):
        raise ValueError(
            f'waypoints must be finite positions of {len(mobile)} migrating ion(s), shape (n_waypoints, 3) or '
            f'(n_waypoints, n_mobile, 3), got {np.shape(waypoints)}'
        )
    mean = (band.lattice_of(0) + band.lattice_of(-1)) / 2
    if not fractional:
        places = places @ np.linalg.inv(mean)
    ends = band.fractional
    way = np.concatenate([ends[:1, mobile], places, ends[-1:, mobile]])
    steps = np.linalg.norm((np.diff(way, axis=0) @ mean).reshape(len(way) - 1, -1), axis=1)
    if np.any(steps < 1e-6):
        raise ValueError('two waypoints in a row are the same place, or a waypoint is an endpoint')
    shares = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    anchors = _between(ends, shares)
    anchors[:, mobile] = way
    lattices = _between(np.stack([band.lattice_of(0), band.lattice_of(-1)]), shares)
    return _images(band, anchors @ lattices, lattices)


def _even_places(band: Band, n_images: int) -> np.ndarray:
    """Return places that divide the path evenly, counted in images of the band, shape (n_images,)."""
    lengths = band.reaction_coordinate
    return np.interp(np.linspace(0, lengths[-1], n_images), lengths, np.arange(band.n_images))


def _between(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate linearly between the entries of an array at places counted in entries."""
    left = np.minimum(places.astype(int), len(values) - 2)
    share = (places - left).reshape(-1, *[1] * (values.ndim - 1))
    interpolated: np.ndarray = (1 - share) * values[left] + share * values[left + 1]
    return interpolated


def _idpp(anchors: Band, places: np.ndarray, positions: np.ndarray, lattices: np.ndarray) -> np.ndarray:
    """Return the interior images relaxed in the IDPP, shape (n_images - 2, n_atoms, 3).

    Own objective instead of `ase.mep.neb.IDPP`, which takes the nearest periodic image of each pair anew in every image
    and interpolates between distances to *different* periodic images when the nearest one changes on the way; on a
    hop of half the cell or more that is so for most pairs with the migrating ion. Here a pair is two atoms and a
    translation, fixed along the path, and several images of one atom can be neighbours. Instead of springs and forces
    projected on a tangent, bends of the path are penalised, so there is one smooth objective for L-BFGS.
    """
    from scipy.optimize import minimize

    first, second, cells = _pairs(positions, lattices)
    anchor_lattices = np.stack([anchors.lattice_of(image) for image in range(anchors.n_images)])
    at_anchors = np.linalg.norm(
        anchors.positions[:, second] - anchors.positions[:, first] + cells @ anchor_lattices, axis=2
    )
    targets = _between(at_anchors, places)[1:-1]
    translations = (cells @ lattices)[1:-1]
    shape = positions[1:-1].shape

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        interior = flat.reshape(shape)
        vectors = interior[:, second] - interior[:, first] + translations
        distances = np.maximum(np.linalg.norm(vectors, axis=2), 1e-3)
        excess = distances - targets
        value = 0.5 * float(np.sum(excess**2 / distances**4))
        slope = excess / distances**4 - 2 * excess**2 / distances**5
        forces = (slope / distances)[..., None] * vectors
        gradient = np.zeros(shape)
        for axis in range(3):
            for image, force in enumerate(forces[:, :, axis]):
                gradient[image, :, axis] = np.bincount(second, force, shape[1]) - np.bincount(first, force, shape[1])

        path = np.concatenate([positions[:1], interior, positions[-1:]])
        bends = np.diff(path, 2, axis=0)
        value += 0.5 * SMOOTHNESS * float(np.sum(bends**2))
        # the transpose of the second difference, without its rows for the endpoints
        gradient += SMOOTHNESS * np.diff(np.pad(bends, ((1, 1), (0, 0), (0, 0))), 2, axis=0)
        return value, gradient.ravel()

    result = minimize(objective, positions[1:-1].ravel(), jac=True, method='L-BFGS-B', options={'maxiter': 300})
    relaxed: np.ndarray = result.x.reshape(shape)
    return relaxed


def _pairs(positions: np.ndarray, lattices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs (atom, atom, cell of the second) that are within the cutoff in some image, each pair once."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    found = []
    for image, lattice in zip(positions, lattices, strict=True):
        points = np.ascontiguousarray(image)
        # compiled; ase.neighborlist took 0.2 s for each image of 111 atoms, this takes 0.01 s
        first, second, cells, _ = find_points_in_spheres(
            points, points, PAIR_CUTOFF, np.ones(3, dtype=np.int64), np.ascontiguousarray(lattice)
        )
        # a pair comes from both of its atoms; an atom and its own image keep their distance and do not count
        once = first < second
        found.append(np.column_stack([first, second, cells])[once].astype(int))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1], pairs[:, 2:]
