"""Small systems that the stand-in's own tests compute."""

from __future__ import annotations

import functools

import numpy as np
from pymatgen.core import Lattice, Structure


@functools.cache
def _crystal(group: str, edge: float, elements: tuple[str, ...], places: tuple[float, ...]) -> Structure:
    # Half a second each, so they are made once.
    return Structure.from_spacegroup(group, Lattice.cubic(edge), elements, [[place] * 3 for place in places])


def lithia() -> Structure:
    """Return Li2O, 12 atoms, at about the volume of the stand-in's PBE."""
    return _crystal('Fm-3m', 4.82, ('Li', 'O'), (0.25, 0)).copy()


def spinel() -> Structure:
    """Return MgMn2O4 in its primitive cell of 14 atoms."""
    return _crystal('Fd-3m', 8.5, ('Mg', 'Mn', 'O'), (0, 0.625, 0.3875)).get_primitive_structure()


def shaken_lithia() -> Structure:
    """Return Li2O with each atom displaced by 0.1 Å, always the same way."""
    crystal = lithia()
    directions = np.random.default_rng(5).normal(size=(len(crystal), 3))
    moved = crystal.cart_coords + 0.1 * directions / np.linalg.norm(directions, axis=1)[:, None]
    return Structure(crystal.lattice, crystal.species, moved, coords_are_cartesian=True)


def hop(crystal: Structure, element: str, n_images: int, noise: float = 0.0) -> list[Structure]:
    """Return the straight path of an atom into the vacancy of its nearest like, both ends included.

    :param noise: standard deviation in Å by which the atoms of the images between are displaced.
    """
    sites = [number for number, site in enumerate(crystal) if site.specie.symbol == element]
    mover = sites[0]
    likes = [n for n in crystal.get_neighbors(crystal[mover], 6) if n.specie.symbol == element]
    nearest = min(likes, key=lambda neighbour: neighbour.nn_distance)
    initial = crystal.copy()
    initial.remove_sites([nearest.index])
    mover -= mover > nearest.index
    start, step = initial.cart_coords, np.zeros_like(initial.cart_coords)
    step[mover] = nearest.coords - start[mover]
    generator = np.random.default_rng(0)
    path = []
    for number in range(n_images):
        shaken = noise * generator.normal(size=start.shape) * (0 < number < n_images - 1)
        coordinates = start + step * number / (n_images - 1) + shaken
        path.append(Structure(initial.lattice, initial.species, coordinates, coords_are_cartesian=True))
    return path


def lithia_hop(n_images: int) -> list[Structure]:
    """Return the hop of a Li vacancy of Li2O, images shaken a little."""
    return hop(lithia(), 'Li', n_images, noise=0.03)
