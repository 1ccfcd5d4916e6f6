"""ALIGNN: a graph network that passes messages between bonds along angles, and between atoms along bonds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.nn import functional
from torch_geometric.nn.aggr import MeanAggregation

from aiida_embarrier.learning.batches import COSINES
from aiida_embarrier.learning.convolution import EdgeGatedConv, Interpolated, gathered, spread, turned
from aiida_embarrier.learning.elements import features
from aiida_embarrier.learning.gates import Neighbourhood
from aiida_embarrier.learning.normalisation import make_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiida_embarrier.jobs.learning import Architecture
    from aiida_embarrier.learning.batches import Batch

__all__ = ('ALIGNN', 'Embedded', 'angle_layers', 'bond_layers', 'convolved', 'from_alignn')

#: Radial functions reach from 0 to this distance in Å.
LARGEST_LENGTH = 8.0
#: Elements that a learned embedding knows, by atomic number.
N_ELEMENTS = 119


class MLPLayer(nn.Module):
    """Linear map, normalisation, SiLU."""

    def __init__(self, n_in: int, n_out: int, norm: str):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.norm = make_norm(norm, n_out)

    def forward(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return new rows; weights are how many each stands for."""
        return functional.silu(self.norm(self.linear(rows), weights))


class AtomEmbedding(nn.Module):
    """Features of an atom from its element: the 92 of CGCNN, or learned ones."""

    table: torch.Tensor

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.elements: nn.Embedding | None = None
        if architecture.atom_features == 'learned':
            self.elements = nn.Embedding(N_ELEMENTS, architecture.embedding)
            n_in = architecture.embedding
        else:
            table = torch.tensor(features())
            self.register_buffer('table', table, persistent=False)
            n_in = table.shape[1]
        self.layer = MLPLayer(n_in, architecture.hidden, architecture.norm)

    def forward(self, numbers: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return features, shape (n_atoms, hidden); counts are how many atoms each stands for."""
        rows = self.table[numbers] if self.elements is None else self.elements(numbers)
        return self.layer(rows, counts)


class RadialEmbedding(nn.Module):
    """Features of a number: Gaussians on a grid, then two layers.

    The width is that of the published code: exp(-(x - c)²/s), s the spacing of the centres (not s²).
    """

    centres: torch.Tensor

    def __init__(self, low: float, high: float, bins: int, architecture: Architecture):
        super().__init__()
        self.register_buffer('centres', torch.linspace(low, high, bins), persistent=False)
        self.gamma = (bins - 1) / (high - low)
        self.inner = MLPLayer(bins, architecture.embedding, architecture.norm)
        self.outer = MLPLayer(architecture.embedding, architecture.hidden, architecture.norm)

    def forward(self, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return features, shape (n, hidden)."""
        functions = torch.exp(-self.gamma * (values[:, None] - self.centres).square())
        return self.outer(self.inner(functions, weights), weights)


def _interpolated(embedding: RadialEmbedding, batch: Batch) -> Interpolated:
    """Return features of angles, interpolated between those of some hundred cosines.

    They depend on nothing but the cosine, of which a batch has a hundred thousand. Statistics of batch normalisation
    are those of the angles, to the accuracy of the interpolation.
    """
    rows = embedding(COSINES.to(batch.point_weights), batch.point_weights)
    return Interpolated(rows, batch.cosine_points, batch.cosine_shares)


class ALIGNNConv(nn.Module):
    """Atoms from bonds, then bonds from angles."""

    def __init__(self, architecture: Architecture, updates_angles: bool, updates_bonds: bool):
        super().__init__()
        self.node_update = EdgeGatedConv(architecture.hidden, architecture.norm, updates_edges=updates_bonds)
        self.edge_update: EdgeGatedConv | None = None
        if updates_bonds:
            self.edge_update = EdgeGatedConv(architecture.hidden, architecture.norm, updates_edges=updates_angles)


def angle_layers(architecture: Architecture) -> nn.ModuleList:
    """Return the layers of an architecture that update bonds by angles, and atoms by bonds."""
    n_alignn, n_gcn = architecture.alignn_layers, architecture.gcn_layers
    return nn.ModuleList(
        ALIGNNConv(architecture, number < n_alignn - 1, number < n_alignn - 1 or n_gcn > 0)
        for number in range(n_alignn)
    )


def bond_layers(architecture: Architecture) -> nn.ModuleList:
    """Return the layers of an architecture that update atoms by bonds."""
    n_gcn = architecture.gcn_layers
    return nn.ModuleList(
        EdgeGatedConv(architecture.hidden, architecture.norm, updates_edges=number < n_gcn - 1)
        for number in range(n_gcn)
    )


def _head(architecture: Architecture, style: Literal['published', 'free']) -> nn.Sequential:
    """Return the map from a crystal to one property."""
    if style == 'free':
        return nn.Sequential(nn.Linear(architecture.hidden, 64), nn.Linear(64, 1))
    if architecture.head_layers == 0:
        return nn.Sequential(nn.Linear(architecture.hidden, 1))
    layers: list[nn.Module] = [nn.SiLU()]
    width = architecture.hidden
    for _ in range(architecture.head_layers):
        layers += [nn.Linear(width, architecture.head_width), nn.SiLU()]
        width = architecture.head_width
    return nn.Sequential(*layers, nn.Linear(width, 1))


@dataclass(frozen=True)
class _Neighbours:
    """How rows of nodes become sources and targets of blocks, and back."""

    to_sources: Callable[[torch.Tensor], torch.Tensor]
    to_targets: Callable[[torch.Tensor], torch.Tensor]
    from_targets: Callable[[torch.Tensor], torch.Tensor]
    neighbourhood: Neighbourhood
    weights: torch.Tensor

    @classmethod
    def by_bonds(cls, batch: Batch) -> _Neighbours:
        """Atoms as nodes: from their own side the bonds into an atom are those that leave it, turned."""
        target = batch.edge_index[1]
        shapes = [(n, k) for n, _, k in batch.groups]
        blocks = [(n, k, 1) for n, _, k in batch.groups]
        return cls(
            to_sources=lambda rows: turned(spread(rows, target, shapes), batch.reverse),
            to_targets=lambda rows: rows,
            from_targets=lambda rows: rows,
            neighbourhood=Neighbourhood(blocks, batch.edge_counts, batch.edge_weights, batch.even_bonds),
            weights=batch.counts,
        )

    @classmethod
    def by_angles(cls, batch: Batch) -> _Neighbours:
        """Bonds as nodes."""
        return cls(
            to_sources=lambda rows: gathered(rows, batch.arriving),
            to_targets=lambda rows: turned(rows, batch.reverse),
            from_targets=lambda rows: turned(rows, batch.reverse),
            neighbourhood=Neighbourhood(batch.groups, batch.arriving_counts, batch.angle_weights, batch.even_angles),
            weights=batch.edge_weights,
        )

    def convolve(self, layer: Any, nodes: torch.Tensor, edges: Any) -> tuple[torch.Tensor, Any]:
        """Return new nodes and edges."""
        return layer(
            nodes, edges, self.to_sources, self.to_targets, self.from_targets, self.neighbourhood, self.weights
        )


@dataclass(frozen=True)
class Embedded:
    """What layers start from.

    :param atoms: features of atoms as the batch has them, shape (n_atoms, hidden).
    :param bonds: of bonds, shape (n_bonds, hidden).
    :param angles: of angles; None where no layer reads them.
    """

    atoms: torch.Tensor
    bonds: torch.Tensor
    angles: Interpolated | None


def convolved(batch: Batch, start: Embedded, over_angles: nn.ModuleList, over_bonds: nn.ModuleList) -> torch.Tensor:
    """Return features of the atoms behind some layers, in the order of the crystals, shape (n_atoms, hidden).

    :param over_angles: layers as :func:`angle_layers` makes them.
    :param over_bonds: layers as :func:`bond_layers` makes them.
    """
    by_bonds, by_angles = _Neighbours.by_bonds(batch), _Neighbours.by_angles(batch)
    atoms, bonds, angles = start.atoms, start.bonds, start.angles
    for layer in over_angles:
        atoms, bonds = by_bonds.convolve(layer.node_update, atoms, bonds)
        if layer.edge_update is not None:
            bonds, angles = by_angles.convolve(layer.edge_update, bonds, angles)
    for layer in over_bonds:
        atoms, bonds = by_bonds.convolve(layer, atoms, bonds)
    return atoms[batch.position]


class ALIGNN(nn.Module):
    """Atomistic line graph neural network (npj Comput. Mater. 7, 185 (2021)), one head per property.

    What nothing depends on is not there: the angles that the last layer over angles would make, the bonds of the last
    layer over bonds, and their parameters.

    :param architecture: its numbers.
    :param labels: of the properties, in the order of the outputs.
    :param head_style: `published`: as the architecture says; `free`: two linear maps with nothing between.
    """

    def __init__(
        self, architecture: Architecture, labels: Sequence[str], head_style: Literal['published', 'free'] = 'published'
    ):
        super().__init__()
        self.architecture = architecture
        self.labels = tuple(labels)
        self.atom_embedding = AtomEmbedding(architecture)
        self.edge_embedding = RadialEmbedding(0, LARGEST_LENGTH, architecture.edge_bins, architecture)
        self.alignn_layers = angle_layers(architecture)
        uses_angles = any(layer.edge_update is not None for layer in self.alignn_layers)
        self.angle_embedding = RadialEmbedding(-1, 1, architecture.angle_bins, architecture) if uses_angles else None
        self.gcn_layers = bond_layers(architecture)
        self.readout = MeanAggregation()
        self.heads = nn.ModuleDict({label: _head(architecture, head_style) for label in labels})

    def embed(self, batch: Batch) -> Embedded:
        """Return what the layers start from."""
        return Embedded(
            self.atom_embedding(batch.z, batch.counts),
            self.edge_embedding(batch.length, batch.edge_weights),
            None if self.angle_embedding is None else _interpolated(self.angle_embedding, batch),
        )

    def encode_atoms(self, batch: Batch) -> torch.Tensor:
        """Return features of the atoms in the order of the crystals, shape (n_atoms, hidden)."""
        return convolved(batch, self.embed(batch), self.alignn_layers, self.gcn_layers)

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return features of the crystals, the mean of their atoms, shape (n_crystals, hidden)."""
        return self.readout(self.encode_atoms(batch), ptr=batch.ptr)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the properties of the crystals, shape (n_crystals, n_labels)."""
        crystals = self.encode(batch)
        return torch.cat([self.heads[label](crystals) for label in self.labels], dim=1)


#: What the modules of the `alignn` package are called here.
NAMES = {
    'atom_embedding.layer.0.': 'atom_embedding.layer.linear.',
    'atom_embedding.layer.1.': 'atom_embedding.layer.norm.',
    **{
        f'{kind}_embedding.{theirs}.layer.{number}.': f'{kind}_embedding.{ours}.{part}.'
        for kind in ('edge', 'angle')
        for theirs, ours in ((1, 'inner'), (2, 'outer'))
        for number, part in ((0, 'linear'), (1, 'norm'))
    },
}


def from_alignn(state: Mapping[str, torch.Tensor], model: ALIGNN) -> dict[str, torch.Tensor]:
    """Return weights of a model of the `alignn` package under our names, of which those that `model` has.

    Its one linear head becomes that of the first label, where that is a linear map, too.

    :raises ValueError: where weights are missing, by their names.
    """
    renamed = {}
    for name, value in state.items():
        ours = name.replace('.bn_nodes.', '.norm_nodes.').replace('.bn_edges.', '.norm_edges.')
        for theirs, own in NAMES.items():
            ours = ours.replace(theirs, own)
        renamed[ours.replace('fc.', f'heads.{model.labels[0]}.0.') if ours.startswith('fc.') else ours] = value
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in renamed]
    if missing:
        raise ValueError(f'the weights lack {", ".join(missing)}: they are of another architecture')
    return {name: renamed[name] for name in wanted}
