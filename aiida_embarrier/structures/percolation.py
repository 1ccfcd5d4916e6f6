"""In how many dimensions hops connect the sites of a crystal, and the lowest barrier at which they do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.structures.symmetry import point_distances, symmetry_operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.structures.hops import Hop

__all__ = ('HopEnergies', 'PercolationLevel', 'percolation')

#: Saddles that differ by less, in eV, are one level.
SAME_LEVEL = 1e-6


@dataclass(frozen=True)
class HopEnergies:
    """The energies of one hop in eV, on a zero that all hops of the crystal share.

    :param saddle: highest energy along its path.
    :param lowest: lowest energy along its path; that of an end where its ends are minima, as they should be.
    """

    saddle: float
    lowest: float


@dataclass(frozen=True)
class PercolationLevel:
    """The lowest level at which an ion can go any distance in as many dimensions.

    :param dimension: 1, 2 or 3.
    :param barrier: energy in eV of the highest saddle that cannot be avoided, above the lowest on the paths of these
        hops. Of several networks that are connected at the same level it is that of the lowest barrier.
    :param hop: number of the hop with this saddle.
    :param hops: numbers of all hops whose saddle is not higher and that belong to the same network.
    """

    dimension: int
    barrier: float
    hop: int
    hops: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the level as plain Python values."""
        return {**asdict(self), 'hops': list(self.hops)}


def percolation(
    structure: Structure, hops: Sequence[Hop], energies: Sequence[HopEnergies], symprec: float = 0.01
) -> dict[int, PercolationLevel]:
    """Return for 1, 2 and 3 dimensions the lowest level at which hops connect the crystal; what is never, is left out.

    Hops with all their equivalents are edges of a periodic graph. They are added from the lowest saddle up; the
    translations around the cycles of a connected part span as many dimensions as an ion can go in there. The energies
    are those of one ion or vacancy: hops with further vacancies are no edges between sites.

    :param structure: the crystal in which the hops were found.
    :param hops: its hops; a hop that is left out is no way.
    :param energies: of each hop.
    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    """
    if not hops:
        return {}
    edges = _edges(structure, hops, symprec)
    graph = _PeriodicGraph()
    levels: dict[int, PercolationLevel] = {}
    order = sorted(range(len(hops)), key=lambda i: energies[i].saddle)
    for i, following in zip(order, [*order[1:], None], strict=True):
        for first, second, cell in edges[i]:
            graph.connect(first, second, cell, hops[i].number, energies[i].lowest)
        if following is not None and energies[following].saddle - energies[i].saddle < SAME_LEVEL:
            continue  # equally high saddles come together
        reached = sorted(graph.parts(), key=lambda part: -part.lowest)
        for dimension in (1, 2, 3):
            part = next((part for part in reached if part.dimension >= dimension), None)
            if part is not None and dimension not in levels:
                barrier = energies[i].saddle - part.lowest
                levels[dimension] = PercolationLevel(dimension, barrier, hops[i].number, tuple(sorted(part.hops)))
    return levels


def _edges(
    structure: Structure, hops: Sequence[Hop], symprec: float
) -> list[list[tuple[int, int, tuple[int, int, int]]]]:
    """Return for each hop all its equivalents: number of the first site, of the second, and the cell of the latter."""
    operations = symmetry_operations(structure, symprec)
    matrix = structure.lattice.matrix
    sites = np.empty((0, 3))

    def find(point: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the number of a site, new where it is not known, and the cell that it stands in."""
        nonlocal sites
        if len(sites):
            distances, cells = point_distances(point[None], sites, matrix)
            nearest = int(distances[0].argmin())
            if distances[0, nearest] <= 5 * symprec:
                return nearest, cells[0, nearest].astype(int)
        sites = np.vstack([sites, point])
        return len(sites) - 1, np.zeros(3, dtype=int)

    found = []
    for hop in hops:
        edges = set()
        for operation in operations:
            ends = operation.apply([hop.initial.coords, hop.final.coords])
            (first, here), (second, there) = (find(point) for point in ends)
            a, b, c = (int(value) for value in there - here)
            edges.add((first, second, (a, b, c)))
        found.append(sorted(edges))
    return found


@dataclass
class _Part:
    """A connected part of the graph; of each member the cell is known, relative to the part."""

    cells: dict[int, np.ndarray]
    lowest: float = np.inf
    cycles: list[np.ndarray] = field(default_factory=list)
    hops: set[int] = field(default_factory=set)

    @property
    def dimension(self) -> int:
        return int(np.linalg.matrix_rank(np.array(self.cycles))) if self.cycles else 0


class _PeriodicGraph:
    """Connected parts of a periodic graph, edge by edge."""

    def __init__(self) -> None:
        self._part_of: dict[int, _Part] = {}

    def parts(self) -> list[_Part]:
        return list({id(part): part for part in self._part_of.values()}.values())

    def connect(self, first: int, second: int, cell: tuple[int, int, int], hop: int, lowest: float) -> None:
        """Add an edge from a site in the home cell to one in another cell."""
        for site in (first, second):
            self._part_of.setdefault(site, _Part({site: np.zeros(3, dtype=int)}))
        one, other = self._part_of[first], self._part_of[second]
        # where the second site would have to be for the edge to close no cycle
        gap = one.cells[first] + np.array(cell) - other.cells[second]
        if one is other:
            if np.any(gap):
                one.cycles.append(gap)
        else:
            for site, place in other.cells.items():
                one.cells[site] = place + gap
                self._part_of[site] = one
            one.cycles += other.cycles
            one.hops |= other.hops
            one.lowest = min(one.lowest, other.lowest)
        one.hops.add(hop)
        one.lowest = min(one.lowest, lowest)
