"""Crystals side by side as one graph, laid out so that sums over neighbours are sums along an axis.

Atoms with as many bonds form a group: the bonds into its `n` atoms are a block (n, k), and the angles at them, each
between a bond A that leads to an atom and a bond B that leaves it, a block (n, d, k); d is k, or more where bonds that
are alike stand once. Nothing is scattered: sums over neighbours run along an axis, in the same order each time, on CPUs
and GPUs. The line graph is never there. Groups of nearly the same size become one with bonds that count 0 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch_geometric.data import Data

from aiida_embarrier.learning.folding import FoldedCrystal, unfolded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.learning.graph import CrystalGraph

__all__ = ('COSINES', 'GROUP_COST', 'Batch', 'collate')

#: Intervals of the cosine between -1 and 1 for interpolation. The radial functions are 39 / 2 wide, of which cubic
#: interpolation is off by 2e-8.
N_INTERVALS = 512
#: The points, of which one more lies beyond either end.
COSINES = torch.linspace(-1 - 2 / N_INTERVALS, 1 + 2 / N_INTERVALS, N_INTERVALS + 3, dtype=torch.float64)

#: As many angles more may be computed to save a group.
GROUP_COST = 128


class Batch(Data):
    """Crystals as one graph; names are those of PyTorch Geometric where it has one.

    PyTorch Geometric's own `Batch.from_data_list` joins attribute by attribute in Python and keeps the order of the
    atoms, so :func:`collate` makes this instead.

    :param z: atomic numbers, shape (n_atoms,), sorted by group.
    :param counts: how many atoms each stands for, shape (n_atoms,), float.
    :param position: which of these each atom of the crystals, in their order, is, shape (number of atoms of the
        crystals,).
    :param ptr: where each crystal begins in `position`, and the length of that last, shape (n_crystals + 1,).
    :param edge_index: atoms that each bond comes from and leads to, shape (2, n_bonds), sorted by the second.
    :param reverse: number of the bond that runs back, shape (n_bonds,).
    :param length: of the bonds in Å, shape (n_bonds,).
    :param edge_counts: how often each bond leads to its atom, shape (n_bonds,), float; 0 for one that fills a block.
    :param edge_weights: how many bonds of the crystals each stands for: the same times that of its atom.
    :param arriving: bonds A of each atom, shape (sum of n d,).
    :param arriving_counts: how often each is there, float.
    :param cosine: of the angles, shape (sum of n d k,). B is the bond that runs back along the k-th one into the atom;
        along A itself the cosine is 1.
    :param cosine_points: points of :data:`COSINES` between which cubic interpolation gives what belongs to each cosine,
        shape (sum of n d k, 4).
    :param cosine_shares: their shares, shape (sum of n d k, 4).
    :param point_weights: how many angles of the crystals each point stands for by these, shape (n_points,).
    :param angle_weights: how many angles of the crystals each stands for, shape (sum of n d k,), float.
    :param groups: (n, d, k) of each group.
    :param even_bonds: whether all `edge_counts` of a group are 1, of each group.
    :param even_angles: the same of `arriving_counts`.
    """

    z: torch.Tensor
    counts: torch.Tensor
    position: torch.Tensor
    ptr: torch.Tensor
    edge_index: torch.Tensor
    reverse: torch.Tensor
    length: torch.Tensor
    edge_counts: torch.Tensor
    edge_weights: torch.Tensor
    arriving: torch.Tensor
    arriving_counts: torch.Tensor
    cosine: torch.Tensor
    cosine_points: torch.Tensor
    cosine_shares: torch.Tensor
    point_weights: torch.Tensor
    angle_weights: torch.Tensor
    groups: tuple[tuple[int, int, int], ...]
    even_bonds: tuple[bool, ...]
    even_angles: tuple[bool, ...]

    @property
    def n_crystals(self) -> int:
        """Number of crystals."""
        return int(self.ptr.shape[0]) - 1


def _joined(arrays: Sequence[np.ndarray], added: np.ndarray | None = None) -> np.ndarray:
    """Return arrays one after the other, each with a number added."""
    whole = np.concatenate(arrays)
    if added is None:
        return whole
    return whole.astype(np.int64) + np.repeat(added, [len(array) for array in arrays])


def _starts(lengths: np.ndarray) -> np.ndarray:
    """Return where parts of these lengths begin."""
    return np.cumsum(lengths) - lengths


def _within(lengths: np.ndarray) -> np.ndarray:
    """Return 0, 1, ... for each part of these lengths."""
    return np.arange(lengths.sum()) - np.repeat(_starts(lengths), lengths)


def _merged(sizes: np.ndarray, n_atoms: np.ndarray, cost: int) -> np.ndarray:
    """Return the sizes (d, k) of the groups that groups of other sizes become part of, shape (n_sizes, 2).

    The two whose merging adds the fewest angles become one, as long as those are fewer than `cost`.
    """
    members = [[number] for number in range(len(sizes))]
    sizes, n_atoms = sizes.astype(np.int64), n_atoms.astype(np.int64)
    current = sizes.copy()
    while len(members) > 1:
        both = np.maximum(current[:, None], current[None])
        own = n_atoms * current.prod(axis=1)
        added = (n_atoms[:, None] + n_atoms) * both.prod(axis=2) - own[:, None] - own
        np.fill_diagonal(added, np.iinfo(np.int64).max)
        one, other = sorted(np.unravel_index(added.argmin(), added.shape))
        if added[one, other] >= cost:
            break
        current[one] = both[one, other]
        n_atoms[one] += n_atoms[other]
        members[one] += members.pop(other)
        current, n_atoms = np.delete(current, other, axis=0), np.delete(n_atoms, other)
    result = np.empty_like(sizes)
    for size, numbers in zip(current, members, strict=True):
        result[numbers] = size
    return result


@dataclass(frozen=True)
class _Layout:
    """Where atoms, their bonds and the bonds A of their angles are in the blocks.

    :param groups: (n, d, k) of each group.
    :param position: of each atom.
    :param bond_starts: of the bonds of each atom.
    :param arriving_starts: of the bonds A of each atom.
    """

    groups: tuple[tuple[int, int, int], ...]
    position: np.ndarray
    bond_starts: np.ndarray
    arriving_starts: np.ndarray

    @classmethod
    def of(cls, n_arriving: np.ndarray, n_bonds: np.ndarray, cost: int) -> _Layout:
        """Return a layout for atoms with these numbers of bonds."""
        sizes, kinds, n_atoms = np.unique(
            np.stack([n_arriving, n_bonds], axis=1), axis=0, return_inverse=True, return_counts=True
        )
        padded = _merged(sizes, n_atoms, cost)[kinds.ravel()]
        order = np.lexsort((np.arange(len(padded)), padded[:, 1], padded[:, 0]))
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        groups, counts = np.unique(padded, axis=0, return_counts=True)
        starts = np.stack([_starts(column) for column in padded[order].T])[:, position]
        return cls(
            groups=tuple((int(n), int(d), int(k)) for n, (d, k) in zip(counts, groups, strict=True)),
            position=position,
            bond_starts=starts[1],
            arriving_starts=starts[0],
        )


def _angles(
    layout: _Layout, arriving: np.ndarray, bonds: np.ndarray, arriving_counts: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and weights of the angles, block by block.

    :param arriving: unit vectors along the bonds A.
    :param bonds: unit vectors along the bonds into the atoms.
    :param weights: of the bonds that run back along these.
    """
    cosines, counts, first, first_arriving = [], [], 0, 0
    for n, d, k in layout.groups:
        ins, outs = slice(first_arriving, first_arriving + n * d), slice(first, first + n * k)
        cosines.append((arriving[ins].reshape(n, d, 3) @ bonds[outs].reshape(n, k, 3).transpose(0, 2, 1)).ravel())
        counts.append((arriving_counts[ins].reshape(n, d, 1) * weights[outs].reshape(n, 1, k)).ravel())
        first, first_arriving = outs.stop, ins.stop
    return np.clip(np.concatenate(cosines), -1, 1), np.concatenate(counts)


def _interpolation(cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the four points next to each cosine and their shares, by Lagrange's formula, shapes (n, 4)."""
    place = (cosines.astype(np.float64) + 1) * (N_INTERVALS / 2)
    below = np.minimum(place.astype(np.int64), N_INTERVALS - 1)
    x = place - below
    shares = np.stack(
        [-x * (x - 1) * (x - 2) / 6, (x * x - 1) * (x - 2) / 2, -x * (x + 1) * (x - 2) / 2, x * (x * x - 1) / 6], axis=1
    )
    return below[:, None] + np.arange(4), shares.astype(np.float32)


def collate(crystals: Sequence[CrystalGraph | FoldedCrystal], group_cost: int = GROUP_COST) -> Batch:
    """Return crystals as one batch.

    :param crystals: graphs, in which every atom is computed, or folded ones.
    :param group_cost: groups become one where that adds fewer angles. A GPU, for which each group is some hundred
        kernels to start, wants many more than a CPU.
    :raises ValueError: without a crystal, or for an atom without a bond.
    """
    if not crystals:
        raise ValueError('a batch needs at least one crystal')
    parts = [crystal if isinstance(crystal, FoldedCrystal) else unfolded(crystal) for crystal in crystals]
    n_bonds, n_arriving = _joined([part.n_bonds for part in parts]), _joined([part.n_arriving for part in parts])
    atom_starts = _starts(np.array([len(part.numbers) for part in parts]))
    old_bond_starts = _starts(np.array([len(part.source) for part in parts]))
    layout = _Layout.of(n_arriving, n_bonds, group_cost)
    position = layout.position
    counts = np.empty(len(position), dtype=np.float32)
    counts[position] = _joined([part.counts for part in parts])

    rows = np.repeat(layout.bond_starts, n_bonds) + _within(n_bonds)
    target = np.repeat(np.arange(len(position)), np.concatenate([np.full(n, k) for n, _, k in layout.groups]))
    source, reverse = target.copy(), np.arange(len(target))
    source[rows] = position[_joined([part.source for part in parts], atom_starts)]
    reverse[rows] = rows[_joined([part.reverse for part in parts], old_bond_starts)]
    lengths, bond_counts = np.zeros(len(target), dtype=np.float32), np.zeros(len(target), dtype=np.float32)
    lengths[rows] = _joined([part.lengths for part in parts])
    bond_counts[rows] = _joined([part.bond_counts for part in parts])
    weights = bond_counts * counts[target]

    inward = np.repeat(layout.arriving_starts, n_arriving) + _within(n_arriving)
    n_inward = sum(n * d for n, d, _ in layout.groups)
    arriving, arriving_counts = np.zeros(n_inward, dtype=np.int64), np.zeros(n_inward, dtype=np.float32)
    arriving_units, bond_units = np.zeros((n_inward, 3), dtype=np.float32), np.zeros((len(target), 3), dtype=np.float32)
    units = _joined([part.units for part in parts])
    arriving[inward] = rows[_joined([part.arriving for part in parts], old_bond_starts)]
    arriving_counts[inward] = _joined([part.multiplicity for part in parts])
    arriving_units[inward] = units
    old_inward_starts = _starts(np.array([len(part.arriving) for part in parts]))
    bond_units[rows] = units[_joined([part.representatives for part in parts], old_inward_starts)]
    cosines, angle_weights = _angles(layout, arriving_units, bond_units, arriving_counts, weights[reverse])

    points, shares = _interpolation(cosines)
    point_weights = np.bincount(points.ravel(), (shares * angle_weights[:, None]).ravel(), minlength=len(COSINES))

    arrays = {
        'z': _joined([part.numbers for part in parts]).astype(np.int64)[np.argsort(position)],
        'counts': counts,
        'position': position[_joined([part.atoms for part in parts], atom_starts)],
        'ptr': np.concatenate([[0], np.cumsum([len(part.atoms) for part in parts])]),
        'edge_index': np.stack([source, target]),
        'reverse': reverse,
        'length': lengths,
        'edge_counts': bond_counts,
        'edge_weights': weights,
        'arriving': arriving,
        'arriving_counts': arriving_counts,
        'cosine': cosines,
        'cosine_points': points,
        'cosine_shares': shares,
        'point_weights': point_weights.astype(np.float32),
        'angle_weights': angle_weights,
    }
    ends = np.cumsum([(n * k, n * d) for n, d, k in layout.groups], axis=0)[:-1].T
    even_bonds, even_angles = (
        tuple(bool((part == 1).all()) for part in np.split(numbers, parts))
        for numbers, parts in zip((bond_counts, arriving_counts), ends, strict=True)
    )
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return Batch(groups=layout.groups, even_bonds=even_bonds, even_angles=even_angles, **tensors)
