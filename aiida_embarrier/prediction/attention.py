"""Pooling by attention: a crystal is the mean of its atoms, and those that look like the others once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ('AttentionPooling',)

#: Share of the weights of atoms that are left out in training, as published.
DROPOUT = 0.2


class AttentionPooling(nn.Module):
    r"""The pooling of the published MODEL-4.

    With features :math:`h_i` of the N atoms of a crystal and :math:`q_i, k_i, v_i = \mathrm{ReLU}(W_{q,k,v} h_i + b)`,

    .. math::
        w = \mathrm{softmax}_i \sum_j \tanh(k_i \cdot q_j), \quad
        h = \mathrm{LN}\Big(\frac{1}{N} \sum_i h_i + \sum_i w_i v_i\Big)

    with LN a layer normalisation, and in training a fifth of the :math:`w_i` set to 0 and the others raised by as much
    (:func:`~torch.nn.functional.dropout`). The published code has a number of heads that nothing reads: there is one.

    :param features: of atoms.
    """

    def __init__(self, features: int):
        super().__init__()
        self.query = nn.Linear(features, features)
        self.key = nn.Linear(features, features)
        self.value = nn.Linear(features, features)
        self.norm = nn.LayerNorm(features)

    def forward(self, atoms: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
        """Return features of crystals, shape (n_crystals, features).

        :param atoms: features of their atoms, one crystal after the other, shape (n_atoms, features).
        :param sizes: how many atoms each has.
        """
        queries, keys, values = (functional.relu(layer(atoms)) for layer in (self.query, self.key, self.value))
        # Crystal by crystal: side by side they would be padded to the largest, which has ten times the median of atoms.
        parts = [rows.split(list(sizes)) for rows in (atoms, queries, keys, values)]
        return self.norm(torch.stack([self._pooled(*own) for own in zip(*parts, strict=True)]))

    def _pooled(
        self, atoms: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        weights = torch.tanh(keys @ queries.T).sum(dim=1).softmax(dim=0)
        return atoms.mean(dim=0) + functional.dropout(weights, DROPOUT, self.training) @ values
