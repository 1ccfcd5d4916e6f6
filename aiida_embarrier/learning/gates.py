"""The part of an edge-gated convolution that treats edges: most of the time of the network is spent here.

On a CPU the time of a plain implementation goes into reading and writing arrays with a row per angle. Here they are cut
into pieces that stay in the cache of a core, in which all is done that needs no other piece: the matrix product, gates,
sums over neighbours; backwards the gates are computed again. Only the gates before the logistic function are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional

from aiida_embarrier.learning.normalisation import RowNorm, WeightedBatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

__all__ = ('Neighbourhood', 'gated_sums')

#: Numbers in an array of a piece: on a CPU 1 MB, of which some stay in its cache at a time.
PIECE = {'cpu': 2**18}
#: The same for others, where pieces only bound the memory.
LARGE_PIECE = 2**28
#: Added to the sum of the gates, as published.
SMALL = 1e-6


class Neighbourhood(NamedTuple):
    """Edges in blocks (n, a, b): each of n places has a sources and b targets, and an edge between each two of them.

    :param shapes: (n, a, b) of each block.
    :param counts: how often each source counts in the sums, shape (sum of n a,).
    :param weights: how many edges each stands for, shape (sum of n a b,).
    :param even: whether all counts of a block are 1, of each block.
    """

    shapes: Sequence[tuple[int, int, int]]
    counts: torch.Tensor
    weights: torch.Tensor
    even: Sequence[bool]


class _Piece(NamedTuple):
    """A part of a block, with its rows of edges, sources and targets."""

    n: int
    a: int
    b: int
    edges: slice
    sources: slice
    targets: slice
    even: bool

    def by_edge(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows of edges with an axis each for places, sources and targets."""
        return rows.view(self.n, self.a, self.b, rows.shape[-1])

    def by_source(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows of these sources, to be used with edges."""
        return rows[self.sources].view(self.n, self.a, 1, -1)

    def counts(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return a number of each of these sources, to be used with edges."""
        return numbers[self.sources].view(self.n, self.a, 1, 1)

    def by_target(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows of these targets, to be used with edges."""
        return rows[self.targets].view(self.n, 1, self.b, -1)


def _pieces(neighbourhood: Neighbourhood, features: int, device: torch.device) -> Iterator[_Piece]:
    limit = PIECE.get(device.type, LARGE_PIECE)
    edge = source = target = 0
    for (n, a, b), even in zip(neighbourhood.shapes, neighbourhood.even, strict=True):
        step = max(1, limit // (a * b * features))
        for first in range(0, n, step):
            part = min(step, n - first)
            ends = edge + part * a * b, source + part * a, target + part * b
            yield _Piece(part, a, b, slice(edge, ends[0]), slice(source, ends[1]), slice(target, ends[2]), even)
            edge, source, target = ends


class _Affine:
    """Normalisation with mean and deviation of each feature, then SiLU; of fixed ones, or those of the rows themselves.

    :param mean: of each feature.
    :param deviation: square root of its variance, to which the usual small number was added.
    :param total: sum of the weights of the rows where mean and deviation are theirs.
    """

    def __init__(
        self,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        mean: torch.Tensor,
        deviation: torch.Tensor,
        total: torch.Tensor | None = None,
    ) -> None:
        self._mean, self._deviation, self._total = mean, deviation, total
        self._scale = gamma / deviation
        self._shift = beta - mean * self._scale
        self._of_beta, self._of_gamma = torch.zeros_like(mean), torch.zeros_like(mean)

    def new_edges(self, gates: torch.Tensor, edges: torch.Tensor, out: torch.Tensor) -> None:
        """Write edges plus what their gates become."""
        torch.add(edges, functional.silu(torch.addcmul(self._shift, gates, self._scale), inplace=True), out=out)

    def _collect(self, gates: torch.Tensor, before: torch.Tensor) -> None:
        total = before.sum(dim=0)
        self._of_beta += total
        self._of_gamma += ((before * gates).sum(dim=0) - total * self._mean) / self._deviation

    def prepare(self, gates: torch.Tensor, gradient: torch.Tensor, out: torch.Tensor) -> None:
        """Take a piece into the sums that the gradient of each row needs; write the gradient before SiLU."""
        shifted = torch.addcmul(self._shift, gates, self._scale)
        torch.ops.aten.silu_backward.grad_input(gradient, shifted, grad_input=out)
        self._collect(gates, out)

    def add_gradient(
        self, result: torch.Tensor, gates: torch.Tensor, gradient: torch.Tensor, weights: torch.Tensor
    ) -> None:
        """Add the gradient of the gates of a piece, from that before SiLU where sums were prepared."""
        if self._total is None:
            shifted = torch.addcmul(self._shift, gates, self._scale)
            gradient = torch.ops.aten.silu_backward(gradient, shifted)
            result.addcmul_(gradient, self._scale)
            self._collect(gates, gradient)
            return
        result.addcmul_(gradient, self._scale)
        slope = -self._scale * self._of_gamma / (self._deviation * self._total)
        constant = -self._scale * self._of_beta / self._total - self._mean * slope
        result.addcmul_(torch.addcmul(constant, gates, slope), weights[:, None])

    def parameters(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradients of scale and shift."""
        return self._of_gamma, self._of_beta


class _ByRow:
    """Normalisation of each row by itself, then SiLU."""

    def __init__(self, gamma: torch.Tensor, beta: torch.Tensor, eps: float) -> None:
        self._gamma, self._beta, self._eps = gamma, beta, eps
        self._of_gamma, self._of_beta = torch.zeros_like(gamma), torch.zeros_like(beta)

    def new_edges(self, gates: torch.Tensor, edges: torch.Tensor, out: torch.Tensor) -> None:
        """Write edges plus what their gates become."""
        y = functional.layer_norm(gates, self._gamma.shape, self._gamma, self._beta, self._eps)
        torch.add(edges, functional.silu(y, inplace=True), out=out)

    def add_gradient(
        self,
        result: torch.Tensor,
        gates: torch.Tensor,
        gradient: torch.Tensor,
        weights: torch.Tensor,  # noqa: ARG002
    ) -> None:
        """Add the gradient of the gates of a piece."""
        shape = self._gamma.shape
        y, mean, reciprocal = torch.native_layer_norm(gates, shape, self._gamma, self._beta, self._eps)
        before = torch.ops.aten.silu_backward(gradient, y)
        of_gates, of_gamma, of_beta = torch.ops.aten.native_layer_norm_backward(
            before, gates, shape, mean, reciprocal, self._gamma, self._beta, [True, True, True]
        )
        result += of_gates
        self._of_gamma += of_gamma
        self._of_beta += of_beta

    def parameters(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradients of scale and shift."""
        return self._of_gamma, self._of_beta


class _Statistics:
    """Mean and variance of rows that come in pieces, joined in double precision."""

    def __init__(self) -> None:
        self._parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def add(self, rows: torch.Tensor, weights: torch.Tensor) -> None:
        """Add a piece."""
        total = weights.sum()
        share = weights / total
        mean = share @ rows
        self._parts.append((total, mean, share @ (rows - mean).square_()))

    def joined(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return mean, variance and the sum of the weights of all."""
        totals, means, variances = (torch.stack(column).double() for column in zip(*self._parts, strict=True))
        total = totals.sum()
        mean = totals @ means / total
        variance = totals @ (variances + (means - mean).square()) / total
        dtype = self._parts[0][1].dtype
        return mean.to(dtype), variance.to(dtype), total.to(dtype)


def _computed_in(dtype: torch.dtype) -> torch.dtype:
    """Return the type of everything but matrix products: half precision is not enough."""
    return torch.float32 if dtype in {torch.float16, torch.bfloat16} else dtype


class _Norm(NamedTuple):
    """How new edges are normalised.

    :param kind: `batch`, `fixed` for batch normalisation with running statistics, or `layer`.
    :param eps: added to variances.
    :param moments: mean and variance of `fixed`.
    """

    kind: str
    eps: float
    moments: tuple[torch.Tensor, torch.Tensor] | None = None


class _GatedSums(torch.autograd.Function):
    """Sums over gated neighbours, and new edges."""

    @staticmethod
    def forward(
        ctx: Any,
        edges: torch.Tensor,
        products: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor,
        at_source: torch.Tensor,
        at_target: torch.Tensor,
        values: torch.Tensor,
        gamma: Any,
        beta: Any,
        norm: _Norm | None,
        neighbourhood: Neighbourhood,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor | None, ...]:
        _, counts, weights, _ = neighbourhood
        features, device = len(bias), edges.device
        exact = _computed_in(dtype)
        batch_wise = norm is not None and norm.kind == 'batch'
        learns = any(ctx.needs_input_grad)
        kept: Any = torch.empty((len(edges), features), dtype=dtype, device=device) if learns or batch_wise else None
        sums = torch.empty((len(at_target), features), dtype=exact, device=device)
        below = torch.empty_like(sums)
        new_edges: Any = None if norm is None else torch.empty_like(edges)
        statistics = _Statistics()
        normalise: _Affine | _ByRow | None = None
        factor, at_source, at_target = (x.to(dtype) for x in (weight.t(), at_source, at_target + bias))
        counted_values = values.to(exact) * counts[:, None]
        if norm is not None and norm.kind == 'layer':
            normalise = _ByRow(gamma, beta, norm.eps)
        elif norm is not None and norm.moments is not None:
            normalise = _Affine(gamma, beta, norm.moments[0], torch.sqrt(norm.moments[1] + norm.eps))
        with torch.autocast(device.type, enabled=False):
            for piece in _pieces(neighbourhood, features, device):
                rows = edges[piece.edges]
                gates = torch.empty_like(rows, dtype=dtype) if kept is None else kept[piece.edges]
                if products is None:
                    torch.mm(rows.to(dtype), factor, out=gates)
                else:
                    gates.copy_(products[piece.edges])
                piece.by_edge(gates).add_(piece.by_source(at_source)).add_(piece.by_target(at_target))
                gates = gates.to(exact)
                opened = torch.sigmoid(piece.by_edge(gates))
                part = below[piece.targets]
                torch.sum(
                    opened if piece.even else opened * piece.counts(counts),
                    dim=1,
                    out=part.view(piece.n, piece.b, features),
                )
                part += SMALL
                above = opened.mul_(piece.by_source(counted_values)).sum(dim=1)
                torch.div(above.view(part.shape), part, out=sums[piece.targets])
                if normalise is not None:
                    normalise.new_edges(gates, rows, new_edges[piece.edges])
                elif batch_wise:
                    statistics.add(gates, weights[piece.edges])
            mean = variance = total = None
            if norm is not None and batch_wise:
                mean, variance, total = statistics.joined()
                normalise = _Affine(gamma, beta, mean, torch.sqrt(variance + norm.eps))
                for piece in _pieces(neighbourhood, features, device):
                    normalise.new_edges(kept[piece.edges].to(exact), edges[piece.edges], new_edges[piece.edges])
                ctx.mark_non_differentiable(mean, variance, total)
        if learns:
            moments = (mean, variance, total) if batch_wise else (None if norm is None else norm.moments) or ()
            ctx.save_for_backward(edges, weight, kept, counted_values, sums, below, gamma, beta, *moments)
            ctx.rest = neighbourhood, norm, dtype, products is not None
        return sums, new_edges, mean, variance, total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor | None, ...]:
        edges, weight, kept, counted_values, sums, below = ctx.saved_tensors[:6]
        neighbourhood, norm, dtype, was_multiplied = ctx.rest
        _, counts, weights, _ = neighbourhood
        of_sums, of_edges = gradients[:2]
        exact, device, features = sums.dtype, edges.device, sums.shape[1]
        of_above = of_sums / below
        of_below = -of_above * sums
        result: Any = torch.empty_like(edges) if ctx.needs_input_grad[0] or of_edges is not None else None
        normalised: Any = None
        of_norm: Any = of_edges
        if of_edges is not None:
            normalised = _GatedSums._normalised(ctx)
            if norm.kind == 'batch':
                of_norm = result
                for piece in _pieces(neighbourhood, features, device):
                    normalised.prepare(kept[piece.edges].to(exact), of_edges[piece.edges], result[piece.edges])
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[2] and not was_multiplied else None
        of_products: Any = torch.empty_like(kept) if ctx.needs_input_grad[1] else None
        of_source, of_values = torch.empty_like(counted_values), torch.empty_like(counted_values)
        of_target = torch.empty_like(sums)
        factor = weight.to(dtype)
        for piece in _pieces(neighbourhood, features, device):
            gates = kept[piece.edges].to(exact)
            opened = torch.sigmoid(piece.by_edge(gates))
            opening = piece.by_source(counted_values) * piece.by_target(of_above)
            if piece.even:
                opening += piece.by_target(of_below)
            else:
                opening.addcmul_(piece.counts(counts), piece.by_target(of_below))
            of_gates = torch.ops.aten.sigmoid_backward(opening, opened)
            opened *= piece.by_target(of_above)
            torch.sum(opened, dim=2, out=of_values[piece.sources].view(piece.n, piece.a, features))
            rows = of_gates.view(gates.shape)
            if normalised is not None:
                normalised.add_gradient(rows, gates, of_norm[piece.edges], weights[piece.edges])
            torch.sum(of_gates, dim=2, out=of_source[piece.sources].view(piece.n, piece.a, features))
            torch.sum(of_gates, dim=1, out=of_target[piece.targets].view(piece.n, piece.b, features))
            rows = rows.to(dtype)
            if of_products is not None:
                of_products[piece.edges] = rows
            if of_weight is not None:
                if dtype == of_weight.dtype:
                    of_weight.addmm_(rows.t(), edges[piece.edges])
                else:
                    of_weight += torch.mm(rows.t(), edges[piece.edges].to(dtype))
            if ctx.needs_input_grad[0] and not was_multiplied:
                out = result[piece.edges]
                if of_edges is None:
                    out.copy_(torch.mm(rows, factor))
                elif dtype == out.dtype:
                    torch.addmm(of_edges[piece.edges], rows, factor, out=out)
                else:
                    torch.add(of_edges[piece.edges], torch.mm(rows, factor), out=out)
        of_values *= counts[:, None]
        of_gamma, of_beta = (None, None) if normalised is None else normalised.parameters()
        of_bias = of_target.sum(dim=0)
        if not was_multiplied:
            of_edges = result if ctx.needs_input_grad[0] else None
        of_inputs = of_edges, of_products, of_weight, of_bias, of_source, of_target, of_values, of_gamma, of_beta
        return (*of_inputs, None, None, None)

    @staticmethod
    def _normalised(ctx: Any) -> _Affine | _ByRow:
        """Return the normalisation of the forward pass."""
        gamma, beta, *moments = ctx.saved_tensors[6:]
        norm = ctx.rest[1]
        if norm.kind == 'layer':
            return _ByRow(gamma, beta, norm.eps)
        mean, variance, *total = moments
        return _Affine(gamma, beta, mean, torch.sqrt(variance + norm.eps), *total)


def gated_sums(
    edges: torch.Tensor,
    gate: nn.Linear,
    at_source: torch.Tensor,
    at_target: torch.Tensor,
    values: torch.Tensor,
    neighbourhood: Neighbourhood,
    norm: WeightedBatchNorm | RowNorm | None,
    products: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    r"""Return what edges let through to each target, and new edges.

    With :math:`m_{ab} = W e_{ab} + s_a + t_b` these are :math:`\sum_a \sigma(m_{ab}) v_a / (\sum_a \sigma(m_{ab}) +
    10^{-6})` and :math:`e_{ab} + \mathrm{SiLU}(\mathrm{N}(m_{ab}))`.

    :param edges: shape (sum of n a b, features).
    :param gate: its map W.
    :param at_source: s, shape (sum of n a, features).
    :param at_target: t, shape (sum of n b, features).
    :param values: v, shape (sum of n a, features).
    :param norm: N; without it there are no new edges.
    :param products: We without the bias of the map, where it is known.
    """
    dtype = torch.get_autocast_dtype(edges.device.type) if torch.is_autocast_enabled(edges.device.type) else edges.dtype
    how = None
    if norm is not None:
        how = _Norm('layer', norm.eps)
        if isinstance(norm, WeightedBatchNorm):
            how = _Norm('batch', norm.eps)
            if not norm.training:
                how = _Norm('fixed', norm.eps, (norm.running_mean, norm.running_var))
    gamma, beta = (None, None) if norm is None else (norm.weight, norm.bias)
    sums, new_edges, mean, variance, total = _GatedSums.apply(
        edges, products, gate.weight, gate.bias, at_source, at_target, values, gamma, beta, how, neighbourhood, dtype
    )
    if isinstance(norm, WeightedBatchNorm) and mean is not None:
        norm.follow(mean, variance, total)
    return sums, new_edges
