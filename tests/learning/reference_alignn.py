"""ALIGNN as one would write it down: an edge and an angle per row, every copy computed, sums by `index_add`.

It shares no code with the package; it reads the weights of its models by their names.
"""

from itertools import product

import numpy as np
import torch
from torch.nn import functional


def expanded(graphs):
    """Return all atoms, bonds (each copy its own) and angles of crystals as plain tensors."""
    numbers, crystals, sources, targets, vectors = [], [], [], [], []
    for index, graph in enumerate(graphs):
        for source, target, vector, count in zip(
            graph.source, graph.target, graph.vectors, graph.multiplicity, strict=True
        ):
            sources += [int(source) + len(numbers)] * int(count)
            targets += [int(target) + len(numbers)] * int(count)
            vectors += [vector.astype(np.float64)] * int(count)
        numbers += graph.numbers.tolist()
        crystals += [index] * len(graph.numbers)
    arriving = {atom: [bond for bond, target in enumerate(targets) if target == atom] for atom in range(len(numbers))}
    leaving = {atom: [bond for bond, source in enumerate(sources) if source == atom] for atom in range(len(numbers))}
    pairs = [pair for atom in arriving for pair in product(arriving[atom], leaving[atom])]
    cosines = [-vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b]) for a, b in pairs]
    return {
        'numbers': torch.tensor(numbers),
        'crystals': torch.tensor(crystals),
        'bonds': torch.tensor([sources, targets]),
        'lengths': torch.tensor([np.linalg.norm(vector) for vector in vectors]),
        'angles': torch.tensor(pairs).T,
        'cosines': torch.tensor(cosines).clamp(-1, 1),
    }


class ReferenceALIGNN:
    """The published network with the weights of a model of the package, in double precision.

    :param model: with the weights.
    :param training: whether batch normalisation uses the statistics of the batch.
    """

    def __init__(self, model, table, training):
        self.weights = {
            name: value.detach().double().clone().requires_grad_(value.is_floating_point())
            for name, value in model.state_dict().items()
        }
        for name, value in self.weights.items():
            if 'running' in name:
                value.requires_grad_(False)
        self.architecture, self.labels, self.table, self.training = model.architecture, model.labels, table, training

    def linear(self, name, rows):
        return functional.linear(rows, self.weights[f'{name}.weight'], self.weights[f'{name}.bias'])

    def norm(self, name, rows):
        weight, bias = self.weights[f'{name}.weight'], self.weights[f'{name}.bias']
        if f'{name}.running_mean' not in self.weights:
            return functional.layer_norm(rows, rows.shape[1:], weight, bias)
        mean, variance = self.weights[f'{name}.running_mean'], self.weights[f'{name}.running_var']
        return functional.batch_norm(rows, mean, variance, weight, bias, training=self.training)

    def layer(self, name, rows):
        return functional.silu(self.norm(f'{name}.norm', self.linear(f'{name}.linear', rows)))

    def radial(self, name, values, low, high, bins):
        centres = torch.linspace(low, high, bins, dtype=torch.float64)
        rows = torch.exp(-(bins - 1) / (high - low) * (values[:, None] - centres) ** 2)
        return self.layer(f'{name}.outer', self.layer(f'{name}.inner', rows))

    def convolve(self, name, nodes, edges, source, target):
        gates = (
            self.linear(f'{name}.src_gate', nodes)[source]
            + self.linear(f'{name}.dst_gate', nodes)[target]
            + self.linear(f'{name}.edge_gate', edges)
        )
        opened = torch.sigmoid(gates)
        zeros = torch.zeros_like(nodes)
        above = zeros.index_add(0, target, opened * self.linear(f'{name}.dst_update', nodes)[source])
        below = zeros.index_add(0, target, opened)
        updated = self.linear(f'{name}.src_update', nodes) + above / (below + 1e-6)
        new_nodes = nodes + functional.silu(self.norm(f'{name}.norm_nodes', updated))
        if f'{name}.norm_edges.weight' not in self.weights:
            return new_nodes, None
        return new_nodes, edges + functional.silu(self.norm(f'{name}.norm_edges', gates))

    def head(self, label, crystals):
        if self.architecture.head_layers == 0:
            return self.linear(f'heads.{label}.0', crystals)
        rows = functional.silu(crystals)
        for number in range(self.architecture.head_layers):
            rows = functional.silu(self.linear(f'heads.{label}.{2 * number + 1}', rows))
        return self.linear(f'heads.{label}.{2 * self.architecture.head_layers + 1}', rows)

    def encode(self, graphs):
        flat = expanded(graphs)
        sizes = self.architecture
        if sizes.atom_features == 'learned':
            features = self.weights['atom_embedding.elements.weight'][flat['numbers']]
        else:
            features = torch.tensor(self.table[flat['numbers'].numpy()]).double()
        atoms = self.layer('atom_embedding.layer', features)
        bonds = self.radial('edge_embedding', flat['lengths'], 0, 8, sizes.edge_bins)
        if 'angle_embedding.inner.linear.weight' in self.weights:
            angles = self.radial('angle_embedding', flat['cosines'], -1, 1, sizes.angle_bins)
        for number in range(sizes.alignn_layers):
            atoms, bonds = self.convolve(f'alignn_layers.{number}.node_update', atoms, bonds, *flat['bonds'])
            if f'alignn_layers.{number}.edge_update.src_gate.weight' in self.weights:
                bonds, angles = self.convolve(f'alignn_layers.{number}.edge_update', bonds, angles, *flat['angles'])
        for number in range(sizes.gcn_layers):
            atoms, bonds = self.convolve(f'gcn_layers.{number}', atoms, bonds, *flat['bonds'])
        return torch.stack([atoms[flat['crystals'] == index].mean(dim=0) for index in range(len(graphs))])

    def __call__(self, graphs):
        crystals = self.encode(graphs)
        return torch.cat([self.head(label, crystals) for label in self.labels], dim=1)
