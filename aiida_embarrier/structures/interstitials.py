"""Sites between the atoms of a host where an ion can sit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import Voronoi
from scipy.spatial.distance import squareform

from aiida_embarrier.bands.geometry import MIN_CLEARANCE
from aiida_embarrier.structures.crystals import site_name
from aiida_embarrier.structures.symmetry import symmetry_operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from pymatgen.core import Lattice, Structure

    from aiida_embarrier.structures.symmetry import SymmetryOperation

__all__ = ('complete_sites', 'interstitial_sites')


def interstitial_sites(
    structure: Structure,
    min_distance: float = 1.7,
    merge: float = 1.0,
    operations: Sequence[SymmetryOperation] | None = None,
) -> np.ndarray:
    """Return the voids of a crystal, one of each set of equivalent ones, largest first.

    Candidates are the vertices of the Voronoi diagram of all atoms: points as far from at least four atoms as from any
    other. Those too near to an atom are dropped. Vertices that lie together belong to one void: its site is their
    centre, which has the symmetry of the void (an octahedral site with unequal bonds has many vertices around it).

    :param structure: the host.
    :param min_distance: smallest distance from any atom in Å.
    :param merge: vertices within this distance of each other, in Å, belong to one void.
    :param operations: symmetry of the host, where it is known already.
    :returns: fractional coordinates in [0, 1), shape (n, 3).
    :raises ValueError: where no void is large enough.
    """
    lattice = structure.lattice
    vertices = _vertices(structure)
    distances = lattice.get_all_distances(vertices, structure.frac_coords).min(axis=1)
    vertices = vertices[distances >= min_distance]
    if not len(vertices):
        raise ValueError(
            f'{structure.composition.reduced_formula} has no void farther than {min_distance} Å from every atom (the '
            f'largest is {distances.max():.2f} Å away): lower that distance or name the interstitial sites (`sites`)'
        )
    operations = symmetry_operations(structure) if operations is None else operations
    centres = np.array(
        [_symmetrised(centre, lattice, merge, operations) for centre in _centres(vertices, lattice, merge)]
    )
    radii = lattice.get_all_distances(centres, structure.frac_coords).min(axis=1)
    kept = radii >= min_distance
    order = sorted(np.flatnonzero(kept), key=lambda number: (-round(radii[number], 2), *np.round(centres[number], 4)))
    distinct: list[np.ndarray] = []
    for number in order:
        images = np.stack([operation.apply(centres[number]) for operation in operations])
        if not distinct or lattice.get_all_distances(images, np.array(distinct)).min() > merge:
            distinct.append(centres[number])
    if not distinct:
        raise ValueError(
            f'no void of {structure.composition.reduced_formula} has its centre farther than {min_distance} Å from '
            'every atom: lower that distance or `merge`, or name the interstitial sites (`sites`)'
        )
    return np.array(distinct)


def complete_sites(
    structure: Structure, sites: ArrayLike, operations: Sequence[SymmetryOperation], tolerance: float = 0.05
) -> np.ndarray:
    """Return interstitial sites with all their equivalents in the cell, in the order given, each followed by its own.

    :param sites: fractional coordinates, shape (n, 3).
    :param tolerance: sites within this distance of each other, in Å, are the same.
    :returns: fractional coordinates, shape (m, 3); equivalents are wrapped into [0, 1), given ones kept.
    :raises ValueError: for no sites, a wrong shape, and sites on top of an atom or of each other.
    """
    given = np.asarray(sites, dtype=float)
    if given.ndim != 2 or given.shape[1] != 3 or not len(given) or not np.all(np.isfinite(given)):
        raise ValueError(f'interstitial sites must be fractional coordinates, three numbers each, got {sites!r}')
    lattice = structure.lattice
    distances = lattice.get_all_distances(given, structure.frac_coords)
    for number, row in enumerate(distances):
        if row.min() < MIN_CLEARANCE:
            raise ValueError(
                f'the interstitial site {given[number].tolist()} is {row.min():.2f} Å from '
                f'{site_name(structure, int(row.argmin()))}: it must be at least {MIN_CLEARANCE} Å from any atom'
            )
    complete: list[np.ndarray] = []
    for site in given:
        if complete and lattice.get_all_distances(site, np.array(complete)).min() <= tolerance:
            continue
        orbit = [site]
        for image in sorted(
            (_wrap(operation.apply(site)) for operation in operations), key=lambda x: tuple(x.round(4))
        ):
            if lattice.get_all_distances(image, np.array(orbit)).min() > tolerance:
                orbit.append(image)
        complete += orbit
    points = np.array(complete)
    distances = lattice.get_all_distances(points, points) + np.diag(np.full(len(points), np.inf))
    if distances.min() < MIN_CLEARANCE / 2:
        one, other = np.unravel_index(distances.argmin(), distances.shape)
        raise ValueError(
            f'the interstitial sites {points[one].round(4).tolist()} and {points[other].round(4).tolist()}, which '
            f'symmetry makes of those given, are only {distances.min():.2f} Å apart: give the site between them'
        )
    return points


def _wrap(fractional: np.ndarray) -> np.ndarray:
    wrapped = np.mod(fractional, 1.0)
    return np.where(wrapped > 1 - 1e-6, 0.0, wrapped)


def _vertices(structure: Structure) -> np.ndarray:
    """Return the Voronoi vertices in the cell, fractional, shape (n, 3).

    No point is farther from a lattice point than half the root of the summed squares of any three lattice vectors that
    span the lattice (Babai's nearest plane), so no void is larger, and atoms up to that distance from the cell decide.
    """
    lattice: Any = structure.lattice
    reach = float(np.sqrt(sum(length**2 for length in lattice.get_lll_reduced_lattice().abc))) / 2
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T @ lattice.matrix
    centre = corners.mean(axis=0)
    radius = np.linalg.norm(corners - centre, axis=1).max() + reach + 1e-3
    found, _, _, _ = lattice.get_points_in_sphere(structure.frac_coords, centre, radius, zip_results=False)
    vertices = lattice.get_fractional_coords(Voronoi(lattice.get_cartesian_coords(found)).vertices)
    inside = vertices[np.all((vertices > -1e-6) & (vertices < 1 - 1e-6), axis=1)]
    return np.unique(_wrap(inside).round(8), axis=0)


def _centres(vertices: np.ndarray, lattice: Lattice, merge: float) -> np.ndarray:
    """Return the centres of groups of vertices, fractional, shape (n, 3)."""
    if len(vertices) == 1:
        return vertices
    distances = lattice.get_all_distances(vertices, vertices)
    np.fill_diagonal(distances, 0.0)
    groups = fcluster(linkage(squareform(distances, checks=False), method='complete'), merge, criterion='distance')
    centres = []
    for group in sorted(set(groups.tolist())):
        members = vertices[groups == group]
        offsets = members - members[0]
        near = [lattice.get_distance_and_image(members[0], member)[1] for member in members]
        centres.append(_wrap(members[0] + (offsets + np.array(near)).mean(axis=0)))
    return np.array(centres)


def _symmetrised(
    centre: np.ndarray, lattice: Lattice, merge: float, operations: Sequence[SymmetryOperation]
) -> np.ndarray:
    """Return the mean of a centre and its equivalents nearby, repeated until those that are left coincide with it."""
    for _ in range(20):
        offsets = []
        for operation in operations:
            image = operation.apply(centre)
            distance, shift = lattice.get_distance_and_image(centre, image)
            if distance <= merge:
                offsets.append(image + shift - centre)
        mean = np.mean(offsets, axis=0)
        centre = _wrap(centre + mean)
        if np.linalg.norm(mean @ lattice.matrix) < 1e-6:
            break
    return centre
