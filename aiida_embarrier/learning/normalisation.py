"""Normalisations of rows that stand for several, each followed by SiLU in the network."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ('RowNorm', 'WeightedBatchNorm', 'make_norm')


class WeightedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of rows that stand for several: a weight is how many."""

    momentum: float
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def forward(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Return normalised rows.

        :param rows: shape (n, features).
        :param weights: shape (n,).
        """
        rows = rows.float() if rows.dtype in {torch.float16, torch.bfloat16} else rows
        if not self.training:
            return functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        total = weights.sum()
        share = (weights / total)[:, None]
        mean = (share * rows).sum(dim=0)
        variance = (share * (rows - mean).square()).sum(dim=0)
        self.follow(mean, variance, total)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return torch.addcmul(self.bias, rows - mean, scale)

    @torch.no_grad()
    def follow(self, mean: torch.Tensor, variance: torch.Tensor, total: torch.Tensor) -> None:
        """Let the running statistics follow those of a batch of so many rows, as PyTorch does."""
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        unbiased = variance * (total / (total - 1).clamp(min=1))
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked += 1


class RowNorm(nn.LayerNorm):
    """Layer normalisation: it knows no other row, so that weights do not matter."""

    def forward(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # noqa: ARG002
        """Return normalised rows."""
        return super().forward(rows)


def make_norm(kind: str, features: int) -> WeightedBatchNorm | RowNorm:
    """Return the normalisation that an architecture names, `batch` or `layer`."""
    return WeightedBatchNorm(features) if kind == 'batch' else RowNorm(features)
