"""A network of barriers: graphs of a path through one encoder of crystals, pooled, combined, and a head."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from aiida_embarrier.jobs.learning import Transfer
from aiida_embarrier.learning.alignn import ALIGNN, angle_layers, bond_layers, convolved
from aiida_embarrier.learning.model_files import read_model
from aiida_embarrier.learning.strategies import check_parent, transferred
from aiida_embarrier.prediction.attention import AttentionPooling
from aiida_embarrier.prediction.paths import N_COMPOSITE

if TYPE_CHECKING:
    from pathlib import Path

    from aiida_embarrier.jobs.learning import Architecture
    from aiida_embarrier.learning.alignn import Embedded
    from aiida_embarrier.learning.batches import Batch
    from aiida_embarrier.prediction.network_specs import NetworkSpec
    from aiida_embarrier.prediction.path_graphs import PathBatch

__all__ = ('BARRIER', 'PathNetwork', 'first_network')

#: The label of the one head.
BARRIER = 'barrier'


class _Shallow(nn.Module):
    """One layer over angles and one over bonds, through which the published MODEL-2 sees how the ends differ."""

    def __init__(self, encoder: ALIGNN):
        super().__init__()
        one_each = encoder.architecture.model_copy(update={'alignn_layers': 1, 'gcn_layers': 1})
        self.alignn_layers, self.gcn_layers = angle_layers(one_each), bond_layers(one_each)

    def forward(self, batch: Batch, start: Embedded) -> torch.Tensor:
        """Return features of atoms."""
        return convolved(batch, start, self.alignn_layers, self.gcn_layers)


class PathNetwork(nn.Module):
    """Any of the networks of barriers.

    :param spec: which one.
    :param encoder: of crystals, with the head :data:`BARRIER`; it becomes part of the network as it is. What the
        network has beside it is drawn from the global random state of torch.
    :raises ValueError: where the difference of both ends needs angles, and the encoder has none.
    """

    def __init__(self, spec: NetworkSpec, encoder: ALIGNN):
        super().__init__()
        self.spec = spec
        self.encoder = encoder
        hidden = encoder.architecture.hidden
        self.shallow: _Shallow | None = None
        if spec.combination == 'delta':
            if encoder.angle_embedding is None:
                raise ValueError(f'{spec.name} needs angles: take an architecture with an ALIGNN layer')
            self.shallow = _Shallow(encoder)
        self.pools: nn.ModuleDict | None = None
        if spec.attention:
            self.pools = nn.ModuleDict({kind: AttentionPooling(hidden) for kind in spec.graphs})
        self.joint: nn.Linear | None = None
        if spec.combination in {'concat', 'delta'}:
            self.joint = nn.Linear(2 * hidden, hidden)
        self.mark: nn.Parameter | None = None
        self.level: nn.Linear | None = None
        if spec.combination == 'profile':
            self.mark, self.level = nn.Parameter(torch.zeros(hidden)), nn.Linear(hidden, 1)

    def describe(self, batch: PathBatch) -> torch.Tensor:
        """Return features of paths, shape (n_paths, hidden); of a profile the mean of those of the ion."""
        if self.spec.combination == 'profile':
            return self._ions(batch).mean(dim=1)
        crystals = [batch.graphs[kind] for kind in self.spec.graphs]
        starts = [self.encoder.embed(crystal) for crystal in crystals]
        if self.shallow is not None:
            initial, final = [
                self._mean(crystal, self.shallow(crystal, start))
                for crystal, start in zip(crystals, starts, strict=True)
            ]
            return self._joined(self._encoded(0, crystals[0], starts[0]), initial - final)
        first, *others = [
            self._encoded(number, crystal, start)
            for number, (crystal, start) in enumerate(zip(crystals, starts, strict=True))
        ]
        if self.spec.combination == 'single':
            return first
        (second,) = others
        if self.spec.combination == 'add':
            return first + second
        if self.spec.combination == 'sub':
            return first - second
        return self._joined(first, second)

    def forward(self, batch: PathBatch) -> torch.Tensor:
        """Return scaled barriers, shape (n_paths, 1)."""
        head = self.encoder.heads[BARRIER]
        if self.level is None:
            return head(self.describe(batch))
        ions = self._ions(batch)
        energies = head(ions)[:, :, 0]
        span = energies.amax(dim=1) - energies.amin(dim=1)
        return span[:, None] + self.level(ions.mean(dim=1))

    def _ions(self, batch: PathBatch) -> torch.Tensor:
        """Return features of the ion in each image, which are the first atoms, shape (n_paths, n_images, hidden)."""
        assert self.mark is not None
        marked = batch.graphs['images']
        crystal = copy(marked)
        crystal.z = marked.z.abs()
        start = self.encoder.embed(crystal)
        start = replace(start, atoms=start.atoms + (marked.z < 0)[:, None] * self.mark)
        atoms = convolved(crystal, start, self.encoder.alignn_layers, self.encoder.gcn_layers)
        images = torch.arange(N_COMPOSITE, device=crystal.ptr.device)
        return atoms[crystal.ptr[:-1, None] + images]

    def _encoded(self, number: int, crystal: Batch, start: Embedded) -> torch.Tensor:
        """Return features of crystals, shape (n_paths, hidden).

        :param number: of the graph of the path that they are.
        """
        atoms = convolved(crystal, start, self.encoder.alignn_layers, self.encoder.gcn_layers)
        if self.pools is None:
            return self._mean(crystal, atoms)
        return self.pools[self.spec.graphs[number]](atoms, crystal.ptr.diff().tolist())

    def _mean(self, crystal: Batch, atoms: torch.Tensor) -> torch.Tensor:
        return self.encoder.readout(atoms, ptr=crystal.ptr)

    def _joined(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        assert self.joint is not None
        return self.joint(torch.cat([first, second], dim=1))


def first_network(
    spec: NetworkSpec, architecture: Architecture | None = None, parent: Path | None = None
) -> tuple[PathNetwork, str | None]:
    """Return a network before its first step, and the sha256 of the weights of its parent.

    What is new is drawn from the global random state of torch.

    :param architecture: of its encoder; the head is that of the network. None for that of the parent, or the published
        one.
    :param parent: folder with the model whose encoder becomes that of the network, or the file with its weights; None
        for random weights.
    :raises ModelFilesError: where there is no such model.
    :raises ValueError: where the parent is of another architecture, or has learned on other graphs.
    """
    if parent is None:
        own = spec.published_architecture if architecture is None else spec.architecture(architecture)
        return PathNetwork(spec, ALIGNN(own, (BARRIER,))), None
    model, card = read_model(parent) if parent.is_dir() else read_model(parent.parent, parent.stem)
    own = spec.architecture(card.architecture if architecture is None else architecture)
    check_parent(card, own, spec.settings)
    encoder, _ = transferred(model, card, Transfer(strategy='all', head='new'), (BARRIER,), own)
    return PathNetwork(spec, encoder), card.weights_sha256
