"""The edge-gated graph convolution on blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from aiida_embarrier.learning.gates import gated_sums
from aiida_embarrier.learning.normalisation import make_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiida_embarrier.learning.gates import Neighbourhood

__all__ = ('EdgeGatedConv', 'Interpolated', 'gathered', 'spread', 'turned')


class _Turned(torch.autograd.Function):
    """Rows in the order of the bonds that run back; turning twice changes nothing."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, reverse: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(reverse)
        return rows.index_select(0, reverse)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None


class _Spread(torch.autograd.Function):
    """A row of each atom for each of its bonds; backwards a sum along an axis, where an index would be scattered."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, target: torch.Tensor, shapes: Sequence[tuple[int, int]]) -> torch.Tensor:
        ctx.shapes = shapes
        return rows.index_select(0, target)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        parts = gradient.split([n * k for n, k in ctx.shapes])
        sums = [part.view(n, k, -1).sum(dim=1) for part, (n, k) in zip(parts, ctx.shapes, strict=True)]
        return torch.cat(sums), None, None


class _Gathered(torch.autograd.Function):
    """Rows of bonds as those that arrive at atoms, of which neighbours may be alike; backwards a sum over those.

    It adds to the rows of one atom in a fixed order, so that the result is the same each time.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, arriving: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(arriving)
        ctx.n_rows = len(rows)
        return rows.index_select(0, arriving)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        result = gradient.new_zeros((ctx.n_rows, gradient.shape[1]))
        return result.index_add_(0, ctx.saved_tensors[0], gradient), None


def gathered(rows: torch.Tensor, arriving: torch.Tensor) -> torch.Tensor:
    """Return rows of bonds as those that arrive at atoms."""
    return _Gathered.apply(rows, arriving)


def turned(rows: torch.Tensor, reverse: torch.Tensor) -> torch.Tensor:
    """Return rows of bonds in the order of the bonds that run back."""
    return _Turned.apply(rows, reverse)


def spread(rows: torch.Tensor, target: torch.Tensor, shapes: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Return rows of atoms for each of the bonds that lead to them.

    :param target: atom of each bond, ascending.
    :param shapes: number of atoms and of bonds into each, of each group.
    """
    return _Spread.apply(rows, target, shapes)


@dataclass(frozen=True)
class Interpolated:
    """Rows between a few that they are interpolated from, so that a matrix product needs those few only.

    :param rows: the few, shape (n_points, features).
    :param points: which of them each row lies between, shape (n, 4).
    :param shares: theirs, shape (n, 4).
    """

    rows: torch.Tensor
    points: torch.Tensor
    shares: torch.Tensor

    def all_rows(self) -> torch.Tensor:
        """Return all rows, shape (n, features)."""
        return self._all(self.rows)

    def multiplied(self, weight: torch.Tensor) -> torch.Tensor:
        """Return all rows times the transposed weight."""
        return self._all(functional.linear(self.rows, weight).to(self.rows.dtype))

    def _all(self, rows: torch.Tensor) -> torch.Tensor:
        shares = self.shares.to(rows.dtype)
        return functional.embedding_bag(self.points, rows, per_sample_weights=shares, mode='sum')


class EdgeGatedConv(nn.Module):
    r"""Edge-gated graph convolution.

    .. math::
        m_{ij} = W_s h_i + W_d h_j + W_e e_{ij}, \quad
        h_j' = h_j + \mathrm{SiLU}\Big(\mathrm{N}\Big(W_u h_j + \frac{\sum_i \sigma(m_{ij}) W_v h_i}
        {\sum_i \sigma(m_{ij}) + 10^{-6}}\Big)\Big), \quad
        e_{ij}' = e_{ij} + \mathrm{SiLU}(\mathrm{N}(m_{ij}))

    with σ the logistic function, N the normalisation, and sums over the neighbours i of j (arXiv:1711.07553; as in
    ALIGNN, npj Comput. Mater. 7, 185 (2021)).

    :param features: of nodes and edges.
    :param norm: normalisation, `batch` or `layer`.
    :param updates_edges: whether there are new edges, too; without them nothing is learned for them.
    """

    def __init__(self, features: int, norm: str, updates_edges: bool = True):
        super().__init__()
        self.src_gate = nn.Linear(features, features)
        self.dst_gate = nn.Linear(features, features)
        self.edge_gate = nn.Linear(features, features)
        self.src_update = nn.Linear(features, features)
        self.dst_update = nn.Linear(features, features)
        self.norm_nodes = make_norm(norm, features)
        self.norm_edges = make_norm(norm, features) if updates_edges else None

    def forward(
        self,
        nodes: torch.Tensor,
        edges: torch.Tensor | Interpolated,
        to_sources: Callable[[torch.Tensor], torch.Tensor],
        to_targets: Callable[[torch.Tensor], torch.Tensor],
        from_targets: Callable[[torch.Tensor], torch.Tensor],
        neighbourhood: Neighbourhood,
        node_weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return new nodes and edges.

        :param nodes: shape (n_nodes, features).
        :param edges: shape (n_edges, features), in the blocks of the neighbourhood.
        :param to_sources: rows of nodes as sources of the blocks.
        :param to_targets: rows of nodes as targets of the blocks.
        :param from_targets: rows of targets of the blocks as nodes.
        :param node_weights: how many nodes each stands for.
        """
        weight = torch.cat([self.src_gate.weight, self.dst_update.weight, self.dst_gate.weight, self.src_update.weight])
        bias = torch.cat([self.src_gate.bias, self.dst_update.bias, self.dst_gate.bias, self.src_update.bias])
        gates_and_values, gates, own = functional.linear(nodes, weight, bias).split_with_sizes(
            [2 * nodes.shape[1], nodes.shape[1], nodes.shape[1]], dim=1
        )
        at_source, values = to_sources(gates_and_values).chunk(2, dim=1)
        if isinstance(edges, Interpolated):
            products, rows = edges.multiplied(self.edge_gate.weight), edges.all_rows()
        else:
            products, rows = None, edges
        sums, new_edges = gated_sums(
            rows, self.edge_gate, at_source, to_targets(gates), values, neighbourhood, self.norm_edges, products
        )
        updated = self.norm_nodes(own + from_targets(sums), node_weights)
        return nodes + functional.silu(updated), new_edges
