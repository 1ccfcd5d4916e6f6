"""CHGNet: energies and forces of crystals, and what it thinks of their sites."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from chgnet.model.model import BatchedGraph, CHGNet
from pymatgen.core import Structure

from aiida_embarrier.potentials.evaluator import BatchEvaluator, Evaluation, Sites

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ase import Atoms

__all__ = ('CHGNetEvaluator',)


class CHGNetEvaluator(BatchEvaluator):
    """CHGNet in this process.

    `CHGNet.predict_graph` differentiates in a way that allows second derivatives, as training needs it. Here the model
    is asked for the energy alone and differentiated once: for 111 atoms on one core 0.42 s instead of 0.48 s (with
    stress 0.42 s instead of 0.78 s) in half the memory, forces and stress equal to within rounding.

    Its smooth cutoffs and their derivatives run through numbers below 1e-38, on which a CPU is slow: where these are
    taken for zero, LiCoO2 of 71 atoms takes 0.76 s instead of 1.11 s.

    :param weights: file of the weights, which the caller has checked.
    :param device: `cpu` or `cuda`.
    """

    def __init__(self, weights: Path, device: str) -> None:
        super().__init__(device)
        # CHGNet 0.3.0 and r2scan have no bias in their last layer; the package passes the same when it loads by name.
        with contextlib.redirect_stdout(None):  # it announces itself
            self._model = CHGNet.from_file(str(weights), mlp_out_bias=False).to(device).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)

    def _compute(self, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        with _subnormals_are_zero():
            return self._evaluations(structures, stress)

    def _evaluations(self, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        model = self._model
        graphs = [
            model.graph_converter(
                Structure(atoms.cell.array, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True)
            ).to(self.device)
            for atoms in structures
        ]
        with warnings.catch_warnings():
            # CHGNet takes the volume out of a tensor that has a gradient, on purpose
            warnings.filterwarnings('ignore', message='Converting a tensor with requires_grad=True to a scalar')
            batch = BatchedGraph.from_graphs(
                graphs,
                bond_basis_expansion=model.bond_basis_expansion,
                angle_basis_expansion=model.angle_basis_expansion,
                compute_stress=stress,
            )
        sizes = torch.tensor([len(atoms) for atoms in structures], device=self.device)
        found = model._compute(batch, compute_magmom=True, return_site_energies=True, return_atom_feas=True)
        learned = found['e']
        if model.is_intensive:
            learned = learned * sizes
        positions, strains = list(batch.atom_positions), list(batch.strains) if stress else []
        gradients = [
            gradient.detach().cpu().double().numpy()
            for gradient in torch.autograd.grad(learned.sum(), [*positions, *strains])
        ]
        with torch.no_grad():
            reference = model.composition_model(graphs) * (sizes if model.is_intensive else 1)
        energies = (learned.detach().double() + reference.double()).cpu().numpy()
        forces, virials = gradients[: len(positions)], gradients[len(positions) :]
        return [
            Evaluation(
                energy=float(energies[i]),
                forces=-forces[i],
                stress=(virials[i] + virials[i].T) / (2 * atoms.get_volume()) if stress else None,
                sites=Sites(*(_plain(found[name][i]) for name in ('site_energies', 'm', 'atom_fea'))),
            )
            for i, atoms in enumerate(structures)
        ]


@contextlib.contextmanager
def _subnormals_are_zero() -> Iterator[None]:
    """Let this thread take subnormal numbers for zero, and no longer than it must: others may count on them."""
    were_zero = sys.float_info.min / 2 == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(were_zero)


def _plain(values: torch.Tensor) -> np.ndarray:
    return np.asarray(values.detach().cpu().numpy())
