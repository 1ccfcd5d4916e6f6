"""Any ASE calculator as a potential: users bring their own models this way."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.potentials.evaluator import Evaluation, ModelEvaluator, PotentialError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

__all__ = ('CalculatorEvaluator',)


class CalculatorEvaluator(ModelEvaluator):
    """An ASE calculator in this process.

    :param calculator: `module:callable` that returns an ASE calculator.
    :param arguments: keyword arguments of that callable.
    :param device: `cpu` or `cuda`; the calculator chooses its own device, through its arguments.
    :raises PotentialError: where the callable cannot be found or does not return a calculator.
    """

    def __init__(self, calculator: str, arguments: dict[str, Any], device: str) -> None:
        super().__init__(device)
        module, _, name = calculator.partition(':')
        try:
            create = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise WeightsError(
                f'the calculator {calculator!r} cannot be imported ({error}): install its package where '
                '`embarrier-worker` is installed, or correct `calculator`'
            ) from error
        try:
            self._calculator = create(**arguments)
        except Exception as error:
            raise PotentialError(f'{calculator} with the arguments {arguments} failed: {error}') from error
        if not hasattr(self._calculator, 'get_potential_energy'):
            raise PotentialError(f'{calculator} returned {self._calculator!r}, which is not an ASE calculator')

    def _compute(self, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        results = []
        for structure in structures:
            atoms = structure.copy()
            atoms.calc = self._calculator
            forces = np.array(atoms.get_forces(), dtype=float)
            results.append(
                Evaluation(
                    energy=float(atoms.get_potential_energy()),
                    forces=forces,
                    stress=np.array(atoms.get_stress(voigt=False), dtype=float) if stress else None,
                )
            )
        return results
