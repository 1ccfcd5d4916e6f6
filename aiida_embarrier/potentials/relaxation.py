"""Relaxation of one structure, at fixed cell or with the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter

from aiida_embarrier.jobs.schemas import Geometry, RelaxResult, Status
from aiida_embarrier.potentials.optimisers import LbfgsOptimiser
from aiida_embarrier.potentials.task import OptimisationTask, check_distances, with_prefix, without_prefix

if TYPE_CHECKING:
    from aiida_embarrier.jobs.schemas import RelaxTask
    from aiida_embarrier.potentials.evaluator import Evaluation
    from aiida_embarrier.potentials.task import State

__all__ = ('Relaxation',)


class Relaxation(OptimisationTask):
    """Relaxation with L-BFGS; with the cell in the coordinates of ASE's `FrechetCellFilter`.

    It has converged when the largest force on an atom is below `force_threshold` and, with the cell, the largest
    component of the stress below `stress_threshold`.

    :param task: structure and settings.
    :raises ValueError: where atoms lie on top of each other.
    """

    def __init__(self, task: RelaxTask) -> None:
        super().__init__(task.label, task.max_steps)
        self._task = task
        self.stress = task.cell == 'full'
        self._atoms = atoms_of(task.structure)
        check_distances(self._atoms.positions, self._atoms.cell.array, task.structure.elements, 'the structure')
        self._start_optimiser(self._atoms.cell.array)
        self._evaluation: Evaluation | None = None
        self._good: Atoms | None = None
        self._good_numbers: dict[str, Any] = {'energy': None, 'max_force': None, 'max_stress': None}
        self._energies: list[float] = []

    def _start_optimiser(self, original_cell: np.ndarray) -> None:
        atoms = self._atoms
        if self.stress:
            # the filter measures strain from the cell it is made with, which must be the first one after a restart, too
            cell = atoms.cell.array.copy()
            atoms.set_cell(original_cell)
            self._filter = FrechetCellFilter(atoms)
            atoms.set_cell(cell)
        n_rows = len(atoms) + (3 if self.stress else 0)
        self._optimiser = LbfgsOptimiser(3 * n_rows, self._task.max_step_length)

    def _structures(self) -> list[Atoms]:
        atoms = self._atoms.copy()
        return [atoms]

    def _record(self, evaluations: list[Evaluation]) -> tuple[Status, str] | None:
        (evaluation,) = evaluations
        self._evaluation = evaluation
        self._energies.append(evaluation.energy)
        problem = self._watch.update(evaluation.energy, self._residuals()[0])
        if problem is not None:
            return Status.DIVERGED, (
                f'the relaxation diverged at step {self.n_steps}: {problem}; look for atoms that are too close in the '
                'starting structure, or take a smaller max_step_length; the last good structure is returned'
            )
        if not self._watch.rising:
            self._keep()
        return None

    def _keep(self) -> None:
        assert self._evaluation is not None
        force, stress = self._residuals()
        self._good = self._atoms.copy()
        self._good_numbers = {
            'energy': self._evaluation.energy,
            'max_force': force,
            'max_stress': stress if self.stress else None,
        }

    def _residuals(self) -> tuple[float, float]:
        assert self._evaluation is not None
        force = float(np.linalg.norm(self._evaluation.forces, axis=1).max(initial=0.0))
        stress = self._evaluation.stress
        return force, 0.0 if stress is None or not self.stress else float(np.abs(stress).max())

    def _converged(self) -> str | None:
        force, stress = self._residuals()
        if force >= self._task.force_threshold or stress >= self._task.stress_threshold:
            return None
        return f'converged in {self.n_steps} steps'

    def _shortfall(self) -> str:
        force, stress = self._residuals()
        text = f'not converged after {self.n_steps} steps: the largest force is {force:.3f} eV/Å'
        if self.stress:
            text += f', the largest stress {stress:.2g} eV/Å³'
        return f'{text}; continue from the checkpoint with more steps'

    def _advance(self) -> None:
        assert self._evaluation is not None
        atoms, evaluation = self._atoms, self._evaluation
        if not self.stress:
            positions = self._optimiser.step(atoms.positions.ravel().copy(), -evaluation.forces.ravel())
            atoms.positions = positions.reshape(-1, 3)
            return
        assert evaluation.stress is not None
        voigt = evaluation.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        atoms.calc = SinglePointCalculator(atoms, energy=evaluation.energy, forces=evaluation.forces, stress=voigt)
        x = self._optimiser.step(self._filter.get_positions().ravel(), -self._filter.get_forces().ravel())
        atoms.calc = None
        self._filter.set_positions(x.reshape(-1, 3))

    def progress(self) -> dict[str, Any]:
        """Return energy (eV), largest force (eV/Å) and stress (eV/Å³) with their thresholds."""
        if self._evaluation is None:
            return {}
        force, stress = self._residuals()
        entries: dict[str, Any] = {
            'energy': self._evaluation.energy,
            'max_force': force,
            'force_threshold': self._task.force_threshold,
        }
        if self.stress:
            entries |= {'max_stress': stress, 'stress_threshold': self._task.stress_threshold}
        return entries

    def state(self) -> State:
        """Return all that the relaxation needs to go on."""
        state = super().state() | {
            'positions': self._atoms.positions.copy(),
            'cell': self._atoms.cell.array.copy(),
            'energies': np.array(self._energies),
            'good_numbers': self._good_numbers,
        }
        if self.stress:
            state['original_cell'] = np.array(self._filter.orig_cell)
        state |= with_prefix('optimiser', self._optimiser.state())
        if self._good is not None:
            state |= {'good.positions': self._good.positions.copy(), 'good.cell': self._good.cell.array.copy()}
        if self._evaluation is not None and not self._advanced:
            state['forces'] = self._evaluation.forces
            if self._evaluation.stress is not None:
                state['stress'] = self._evaluation.stress
        return state

    def _restore(self, state: State) -> None:
        from aiida_embarrier.potentials.evaluator import Evaluation

        self._atoms.set_cell(state['cell'])
        self._atoms.positions = state['positions'].copy()
        self._start_optimiser(state['original_cell'] if self.stress else state['cell'])
        self._optimiser.restore(without_prefix('optimiser', state))
        self._energies = [float(energy) for energy in state['energies']]
        self._good_numbers = dict(state['good_numbers'])
        good = without_prefix('good', state)
        if good:
            self._good = self._atoms.copy()
            self._good.set_cell(good['cell'])
            self._good.positions = good['positions'].copy()
        if 'forces' in state:
            self._evaluation = Evaluation(self._energies[-1], state['forces'], state.get('stress'))

    def result(self) -> RelaxResult:
        """Return the outcome, with the last good structure."""
        return RelaxResult(
            label=self.label,
            status=self.status or Status.INTERRUPTED,
            message=self.message,
            n_steps=self.n_steps,
            n_evaluations=self.n_evaluations,
            structure=self._task.structure if self._good is None else geometry_of(self._good, self._task.structure),
            energies=self._energies,
            **self._good_numbers,
        )


def atoms_of(geometry: Geometry) -> Atoms:
    """Return a structure of a job as ASE atoms."""
    return Atoms(
        geometry.elements,
        positions=geometry.positions,
        cell=geometry.lattice,
        pbc=True,
        magmoms=geometry.magnetic_moments,
    )


def geometry_of(atoms: Atoms, original: Geometry) -> Geometry:
    """Return ASE atoms as a structure of a job, magnetic moments as in the original."""
    return original.model_copy(update={'lattice': atoms.cell.array.tolist(), 'positions': atoms.positions.tolist()})
