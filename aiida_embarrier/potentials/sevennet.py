"""SevenNet: energies and forces from the checkpoints in its wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sevenn._keys as keys
from sevenn.atom_graph_data import AtomGraphData
from sevenn.train.dataload import unlabeled_atoms_to_graph
from sevenn.util import load_checkpoint
from torch_geometric.data import Batch

from aiida_embarrier.potentials.evaluator import BatchEvaluator, Evaluation, EvaluationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

__all__ = ('SevenNetEvaluator',)

#: SevenNet gives the stress as xx, yy, zz, xy, yz, zx.
STRESS_ROWS = ([0, 1, 2, 0, 1, 2, 1, 2, 0], [0, 1, 2, 1, 2, 0, 0, 1, 2])


class SevenNetEvaluator(BatchEvaluator):
    """SevenNet in this process.

    :param weights: file of the weights, which the caller has checked.
    :param device: `cpu` or `cuda`.
    :param modal: for multi-fidelity models: which fidelity.
    """

    def __init__(self, weights: Path, device: str, modal: str | None = None) -> None:
        super().__init__(device)
        checkpoint = load_checkpoint(str(weights))
        self._model = checkpoint.build_model().to(device).eval()
        self._model.set_is_batch_data(True)
        self._cutoff = checkpoint.config[keys.CUTOFF]
        self._known = set(checkpoint.config[keys.TYPE_MAP])
        self._modal = modal

    def _compute(self, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        graphs = []
        for atoms in structures:
            unknown = sorted(set(atoms.symbols[[z not in self._known for z in atoms.numbers]]))
            if unknown:
                raise EvaluationError(f'SevenNet does not know the element(s) {", ".join(unknown)}')
            graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, self._cutoff))
            if self._modal is not None:
                graph[keys.DATA_MODALITY] = self._modal
            graphs.append(graph)
        output = self._model(Batch.from_data_list(graphs).to(self.device))
        energies = output[keys.PRED_TOTAL_ENERGY].detach().cpu().double().numpy().reshape(-1)
        forces = output[keys.PRED_FORCE].detach().cpu().double().numpy()
        stresses = -output[keys.PRED_STRESS].detach().cpu().double().numpy().reshape(-1, 6)
        ends = np.cumsum([len(atoms) for atoms in structures])
        results = []
        for energy, end, atoms, components in zip(energies, ends, structures, stresses, strict=True):
            tensor = np.zeros((3, 3))
            tensor[STRESS_ROWS] = components[[0, 1, 2, 3, 4, 5, 3, 4, 5]]
            results.append(Evaluation(float(energy), forces[end - len(atoms) : end], tensor if stress else None))
        return results
