"""The contract of everything that evaluates an interatomic potential: many structures in, energies and forces out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from ase import Atoms

__all__ = (
    'Evaluation',
    'EvaluationError',
    'Evaluator',
    'NonFiniteError',
    'Outcome',
    'PotentialError',
    'Sites',
    'WeightsError',
)


class PotentialError(RuntimeError):
    """The potential cannot be used at all."""


class WeightsError(PotentialError):
    """The weights or the package of a potential are missing or not those that were asked for."""


class EvaluationError(RuntimeError):
    """The potential refused one structure."""


class NonFiniteError(EvaluationError):
    """Energy, forces or stress of one structure are not finite numbers."""


@dataclass(frozen=True)
class Sites:
    """What a potential thinks of each atom of a structure on its way to the energy.

    :param energies: share of each atom in the energy, less that of its element, eV, shape (n_atoms,).
    :param moments: absolute magnetic moments in Bohr magnetons, shape (n_atoms,).
    :param features: numbers of the network that tell an atom's surroundings, shape (n_atoms, n_features).
    """

    energies: np.ndarray
    moments: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """What the potential says about one structure.

    :param energy: potential energy in eV.
    :param forces: in eV/Å, shape (n_atoms, 3).
    :param stress: in eV/Å³, symmetric, shape (3, 3), positive under tension (the sign of ASE); None where it was not
        asked for.
    :param sites: None for potentials that do not tell.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None = None
    sites: Sites | None = None


#: One structure that is refused does not spoil the others: its error stands in its place.
Outcome = Evaluation | EvaluationError


class Evaluator(Protocol):
    """Evaluates structures, as a context manager that frees processes and memory at its end.

    :ivar device: device that the potential runs on, `cpu` or `cuda`.
    :ivar processes: processes that evaluate side by side.
    """

    device: str
    processes: int

    def evaluate(self, structures: Sequence[Atoms], stress: bool = False) -> list[Outcome]:
        """Return one outcome for each structure, in their order.

        :param stress: evaluate the stress, too.
        :raises PotentialError: where nothing can be evaluated any more, for instance because a process was killed.
        """
        ...

    def close(self) -> None:
        """Free what the evaluator holds; it cannot be used afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ModelEvaluator(ABC):
    """Base of the evaluators that run a model inside this process.

    :param device: `cpu` or `cuda`.
    """

    processes = 1

    def __init__(self, device: str) -> None:
        self.device = device

    def evaluate(self, structures: Sequence[Atoms], stress: bool = False) -> list[Outcome]:
        """Return one outcome for each structure; see :meth:`Evaluator.evaluate`."""
        return [self.evaluate_one(atoms, index, stress) for index, atoms in enumerate(structures)]

    def evaluate_one(self, atoms: Atoms, index: int, stress: bool) -> Outcome:
        """Return the outcome for one structure; `index` stands in messages.

        :raises PotentialError: for want of memory and for faults of the machine, which are not the structure's.
        """
        try:
            return checked(self._compute([atoms], stress)[0], index)
        except EvaluationError as error:
            return error
        except PotentialError:
            raise
        except Exception as error:
            if _is_out_of_memory(error):
                raise PotentialError(
                    f'a structure of {len(atoms)} atoms does not fit into the memory of {self.device}: '
                    'use a machine with more memory or a smaller cell'
                ) from error
            if _is_machine_fault(error):
                raise PotentialError(
                    f'this machine failed at structure {index}: {type(error).__name__}: {error}; continue the job from '
                    'its checkpoint, on another machine if it happens again'
                ) from error
            return EvaluationError(f'the potential refused structure {index}: {type(error).__name__}: {error}')

    @abstractmethod
    def _compute(self, structures: Sequence[Atoms], stress: bool) -> list[Evaluation]:
        """Return one evaluation for each structure."""

    def close(self) -> None:  # noqa: B027  (most models have nothing to free)
        """Nothing to free: the model goes with this object."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BatchEvaluator(ModelEvaluator):
    """Base of the models that take many structures at once, which pays on a GPU and not on a CPU.

    CHGNet on 5 images of 47 atoms took 2.56 s one by one and 3.11 s in one batch (one thread), so a CPU evaluates one
    structure at a time. On a GPU a batch that does not fit into memory is halved until it does, and later batches
    keep to the size that fitted.
    """

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self._batch_size: int | None = 1 if device == 'cpu' else None  # None: all at once

    def evaluate(self, structures: Sequence[Atoms], stress: bool = False) -> list[Outcome]:
        """Return one outcome for each structure; see :meth:`Evaluator.evaluate`."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(structures):
            start = len(outcomes)
            size = min(self._batch_size or len(structures), len(structures) - start)
            batch = structures[start : start + size]
            if size == 1:
                outcomes.append(self.evaluate_one(batch[0], start, stress))
                continue
            try:
                results = self._compute(batch, stress)
            except Exception as error:
                if _is_out_of_memory(error):
                    self._free_memory()
                    self._batch_size = size // 2
                else:  # one of them is refused: find out which
                    outcomes += [self.evaluate_one(atoms, start + i, stress) for i, atoms in enumerate(batch)]
                continue
            outcomes += [_outcome(checked, result, start + i) for i, result in enumerate(results)]
        return outcomes

    def _free_memory(self) -> None:
        import torch

        if self.device != 'cpu':
            torch.cuda.empty_cache()


def checked(evaluation: Evaluation, index: int) -> Evaluation:
    """Return the evaluation if all its numbers are finite.

    :param index: of the structure, for the message.
    :raises NonFiniteError: otherwise.
    """
    stress = evaluation.stress
    wrong = [
        name
        for name, values in (('energy', evaluation.energy), ('forces', evaluation.forces), ('stress', stress))
        if values is not None and not np.all(np.isfinite(values))
    ]
    if wrong:
        raise NonFiniteError(
            f'the potential gave {" and ".join(wrong)} that are not finite for structure {index}: '
            'atoms may lie on top of each other, or the structure is far from what the potential was trained on'
        )
    return evaluation


def _outcome(function: Callable[[Evaluation, int], Evaluation], evaluation: Evaluation, index: int) -> Outcome:
    try:
        return function(evaluation, index)
    except EvaluationError as error:
        return error


#: What stands in messages of torch's RuntimeErrors where the fault is not the structure's.
_OUT_OF_MEMORY = ('DefaultCPUAllocator: ', 'CUDA out of memory', 'CUBLAS_STATUS_ALLOC_FAILED')
_MACHINE_FAULTS = ('CUDA error', 'CUDA driver', 'cuDNN error', 'cuFFT error', 'HIP error')


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == 'OutOfMemoryError':
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def _is_machine_fault(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MACHINE_FAULTS)
