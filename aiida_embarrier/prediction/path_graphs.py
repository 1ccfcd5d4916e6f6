"""Paths as graphs: the crystal at either end, the published composite, what surrounds the ion in that, and images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.learning.batches import collate
from aiida_embarrier.learning.folding import FoldedGraphs
from aiida_embarrier.learning.graph import CrystalGraph
from aiida_embarrier.learning.graph_store import graphs_of
from aiida_embarrier.learning.loaders import MOST_ROWS
from aiida_embarrier.learning.sizes import batches_by_size, n_angles
from aiida_embarrier.prediction.network_specs import GraphKind
from aiida_embarrier.prediction.paths import N_COMPOSITE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import ArrayLike

    from aiida_embarrier.jobs.learning import GraphSettings
    from aiida_embarrier.learning.batches import Batch
    from aiida_embarrier.learning.folding import FoldedCrystal
    from aiida_embarrier.prediction.paths import MigrationPath

__all__ = ('PathBatch', 'PathItems', 'crystal_table', 'path_graphs', 'surroundings')

#: The graph of which `local` is a part has bonds to fewer neighbours, as published.
LOCAL = {'n_neighbours': 6, 'cutoff': 3.0}


def crystal_table(paths: Sequence[MigrationPath], kind: Literal['initial', 'final', 'composite']) -> pd.DataFrame:
    """Return the crystal of each path that becomes its graph, as datasets of properties hold crystals.

    :returns: columns `name`, `lattice`, `species` and `frac_coords`; the ion comes first, in a composite five times in
        the order of the path, and the host's atoms follow in theirs.
    :raises ValueError: for a kind of graph that is not one crystal.
    """
    if kind == 'composite':
        return _crystals(paths, np.linspace(0, 1, N_COMPOSITE), 0.0)
    if kind not in (fractions := {'initial': 0.0, 'final': 1.0}):
        raise ValueError(f'there is no crystal {kind!r} of a path: choose from initial, final, composite')
    return _crystals(paths, [fractions[kind]], fractions[kind])


def _crystals(paths: Sequence[MigrationPath], ions: ArrayLike, host: float) -> pd.DataFrame:
    """Return crystals with the ion at some fractions of its path at once, and the host as it is at one of them."""
    n_ions = len(np.atleast_1d(ions))
    return pd.DataFrame(
        {
            'name': [path.name for path in paths],
            'lattice': [to_json(path.lattice) for path in paths],
            'species': [to_json([path.ion] * n_ions + list(path.species)) for path in paths],
            'frac_coords': [to_json(np.concatenate([path.at(ions), path.host_at(host)])) for path in paths],
        }
    )


def path_graphs(
    paths: Sequence[MigrationPath],
    kind: GraphKind,
    settings: GraphSettings,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    processes: int = 1,
) -> Sequence[CrystalGraph]:
    """Return the graph of each path; marked ions, its first atoms, have minus their atomic numbers.

    :param kind: which one.
    :param settings: of the graphs; for `local` the published numbers of :data:`LOCAL` stand in for theirs.
    :param folder: where graphs are kept, see :func:`~aiida_embarrier.learning.graph_store.graphs_of`.
    :param progress: called with the number of graphs that were built, and of all.
    :param processes: that build.
    :raises RefusedRowsError: where paths cannot become graphs, with all of them (for `images`, of the first image that
        has such).
    :raises ValueError: for a kind of graph that there is not.
    """
    if kind not in get_args(GraphKind):
        raise ValueError(f'there is no graph {kind!r} of a path: choose from {", ".join(get_args(GraphKind))}')

    def built(crystals: pd.DataFrame, own: GraphSettings) -> Sequence[CrystalGraph]:
        return graphs_of(crystals, own, folder, progress, processes)

    if kind == 'images':
        images = [built(_crystals(paths, [place], place), settings) for place in np.linspace(0, 1, N_COMPOSITE)]
        return [_side_by_side([surroundings(graph, 1) for graph in own]) for own in zip(*images, strict=True)]
    if kind == 'local':
        crystals = crystal_table(paths, 'composite')
        return [surroundings(graph, N_COMPOSITE) for graph in built(crystals, settings.model_copy(update=LOCAL))]
    return built(crystal_table(paths, kind), settings)


def _side_by_side(graphs: Sequence[CrystalGraph]) -> CrystalGraph:
    """Return graphs as one: their first atoms come first, marked by the sign of their numbers, then all others."""
    sizes = np.array([len(graph.numbers) for graph in graphs])
    starts = np.cumsum(sizes) - sizes
    atoms = np.concatenate([starts, np.setdiff1d(np.arange(sizes.sum()), starts)])
    place = np.empty_like(atoms)
    place[atoms] = np.arange(len(atoms))
    target = place[np.concatenate([graph.target + start for graph, start in zip(graphs, starts, strict=True)])]
    order = np.argsort(target, kind='stable')
    bond_place = np.empty_like(order)
    bond_place[order] = np.arange(len(order))
    n_bonds = np.array([len(graph.target) for graph in graphs])
    bond_starts = np.cumsum(n_bonds) - n_bonds
    source = place[np.concatenate([graph.source + start for graph, start in zip(graphs, starts, strict=True)])]
    reverse = np.concatenate([graph.reverse + start for graph, start in zip(graphs, bond_starts, strict=True)])
    numbers = np.concatenate([graph.numbers for graph in graphs])[atoms]
    numbers[: len(graphs)] *= -1
    return CrystalGraph(
        numbers=numbers,
        source=source[order].astype(graphs[0].source.dtype),
        target=target[order].astype(graphs[0].target.dtype),
        vectors=np.concatenate([graph.vectors for graph in graphs])[order],
        multiplicity=np.concatenate([graph.multiplicity for graph in graphs])[order],
        reverse=bond_place[reverse[order]].astype(graphs[0].reverse.dtype),
    )


def surroundings(graph: CrystalGraph, n_first: int) -> CrystalGraph:
    """Return the part of a graph that has all bonds of its first atoms, and the atoms that these join.

    Atoms keep their order, so the first ones stay the first.

    :param graph: of a crystal.
    :param n_first: how many atoms come first.
    """
    kept = (graph.source < n_first) | (graph.target < n_first)
    atoms = np.unique(graph.target[kept])  # each bond runs back, too: the sources are the same
    atom_place, bond_place = np.full(len(graph.numbers), -1), np.cumsum(kept) - 1
    atom_place[atoms] = np.arange(len(atoms))
    return CrystalGraph(
        numbers=graph.numbers[atoms],
        source=atom_place[graph.source[kept]].astype(graph.source.dtype),
        target=atom_place[graph.target[kept]].astype(graph.target.dtype),
        vectors=graph.vectors[kept],
        multiplicity=graph.multiplicity[kept],
        reverse=bond_place[graph.reverse[kept]].astype(graph.reverse.dtype),
    )


@dataclass(frozen=True)
class PathBatch:
    """Paths side by side: one batch of each kind of graph.

    :param graphs: by their kinds.
    """

    graphs: Mapping[GraphKind, Batch]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PathBatch:
        """Return the batch on a device."""
        return PathBatch({kind: batch.to(device, non_blocking=non_blocking) for kind, batch in self.graphs.items()})


@dataclass(frozen=True)
class PathItems:
    """Paths to learn from, and to predict; they are what a :class:`~aiida_embarrier.learning.training.Trainer` reads.

    :param graphs: of each kind one for each path.
    :param targets: scaled barriers, NaN where they are not known, float32, shape (n_paths, 1).
    :param most_angles: angles in a batch of which nothing is learned, at most, unless one path has more.
    """

    graphs: Mapping[GraphKind, Sequence[FoldedCrystal]]
    targets: torch.Tensor
    most_angles: int

    @classmethod
    def of(
        cls, graphs: Mapping[GraphKind, Sequence[CrystalGraph]], targets: torch.Tensor, most_angles: int
    ) -> PathItems:
        """Return paths whose graphs are folded when they are first asked for."""
        return cls({kind: FoldedGraphs(own) for kind, own in graphs.items()}, targets, most_angles)

    def batch(self, numbers: np.ndarray) -> PathBatch:
        """Return paths by their numbers as the input of a network."""
        return PathBatch({kind: collate([own[int(one)] for one in numbers]) for kind, own in self.graphs.items()})

    def portions(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return which of some paths are predicted together: places in `numbers`."""
        sizes = sum(np.array([n_angles(own[int(one)]) for one in numbers], dtype=int) for own in self.graphs.values())
        return batches_by_size(np.asarray(sizes), MOST_ROWS, self.most_angles)
