"""From a pinned potential to an evaluator: what was asked for is checked before anything is read from a file."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_embarrier.jobs.potentials import KNOWN_MODELS, distribution_of, file_sha256, weights_path
from aiida_embarrier.potentials.evaluator import PotentialError, WeightsError
from aiida_embarrier.potentials.resources import available_cores, available_memory

if TYPE_CHECKING:
    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.potentials.evaluator import Evaluator, ModelEvaluator

__all__ = ('choose_device', 'load_model', 'open_evaluator', 'verify_potential')


@dataclass(frozen=True)
class _Memory:
    """Memory of one process in bytes: imports and weights, and for each atom (dense oxides, with stress)."""

    base: float
    per_atom: float


#: Measured peaks, rounded up: CHGNet 0.77 GB at 111 atoms of LiFePO4; SevenNet 1.0 GB (7net-0) and 1.6 GB (l3i5) at
#: 47 atoms of LiCoO2. Other calculators are assumed to be like CHGNet.
MEMORY = {'sevennet': _Memory(0.8e9, 25e6)}
DEFAULT_MEMORY = _Memory(0.6e9, 8e6)


def verify_potential(spec: PotentialSpec) -> PotentialSpec:
    """Check version and weights of a potential on this machine; nothing is unpickled or imported.

    :returns: the same potential with distribution and version filled in where they were open; both stay open for a
        calculator that belongs to no distribution.
    :raises WeightsError: where the package or the weights are missing or differ from what the job asks for.
    """
    installed = None
    if spec.distribution is None and spec.calculator is not None:
        spec = spec.model_copy(update={'distribution': distribution_of(spec.calculator)})
    if spec.distribution is not None:
        try:
            installed = importlib.metadata.version(spec.distribution)
        except importlib.metadata.PackageNotFoundError:
            if spec.version is not None:
                raise WeightsError(
                    f'{spec.label} needs {spec.distribution} {spec.version}, which is not installed here: '
                    f'pip install {spec.distribution}=={spec.version}'
                ) from None
    if spec.version is not None and installed is not None and installed != spec.version:
        raise WeightsError(
            f'{spec.label} was prepared for {spec.distribution} {spec.version}, here is {installed}: '
            f'pip install {spec.distribution}=={spec.version}, or prepare the job again for {installed}'
        )
    try:
        weights = weights_path(spec)
    except ModuleNotFoundError as error:
        raise WeightsError(str(error)) from error
    if weights is not None:
        if not weights.is_file():
            raise WeightsError(f'the weights of {spec.label} are not at {weights}: put them there, or correct the path')
        found = file_sha256(weights)
        if spec.sha256 is not None and found != spec.sha256:
            raise WeightsError(
                f'the weights {weights} are not those that {spec.label} asks for: sha256 {found}, expected '
                f'{spec.sha256}; install them again, or name the potential anew if the change was meant'
            )
        if spec.sha256 is None:
            spec = spec.model_copy(update={'sha256': found})
    return spec.model_copy(update={'version': installed or spec.version})


def load_model(spec: PotentialSpec, device: str) -> ModelEvaluator:
    """Load a potential into this process.

    :param spec: as returned by :func:`verify_potential`.
    :param device: `cpu` or `cuda`.
    :raises PotentialError: where it cannot be loaded.
    """
    weights = weights_path(spec)
    try:
        if spec.name == 'ase':
            from aiida_embarrier.potentials.ase_calculator import CalculatorEvaluator

            assert spec.calculator is not None
            arguments = dict(spec.arguments)
            if weights is not None and spec.weights_argument is not None:
                arguments[spec.weights_argument] = str(Path(weights).absolute())
            return CalculatorEvaluator(spec.calculator, arguments, device)
        assert weights is not None
        if spec.name == 'chgnet':
            from aiida_embarrier.potentials.chgnet import CHGNetEvaluator

            return CHGNetEvaluator(weights, device)
        from aiida_embarrier.potentials.sevennet import SevenNetEvaluator

        return SevenNetEvaluator(weights, device, modal=KNOWN_MODELS[spec.name, spec.model].modal)
    except PotentialError:
        raise
    except Exception as error:
        raise PotentialError(f'{spec.label} cannot be loaded: {type(error).__name__}: {error}') from error


def choose_device(device: str) -> str:
    """Return `cpu` or `cuda` for `auto`; torch is imported only where the machine shows a sign of a GPU.

    :raises PotentialError: where a GPU is asked for and there is none.
    """
    signs = ('/dev/nvidiactl', '/dev/nvidia0', '/dev/dxg', '/dev/kfd')
    if device == 'cpu' or (device == 'auto' and not any(Path(sign).exists() for sign in signs)):
        return 'cpu'
    try:
        import torch

        available = torch.cuda.is_available()
    except ImportError:
        available = False
    if not available and device == 'cuda':
        raise PotentialError(
            'the job asks for a GPU, but torch finds none here: ask for `cpu`, or for a node with a GPU'
        )
    return 'cuda' if available else 'cpu'


def _calculator_device(spec: PotentialSpec, device: str) -> str:
    """Return `cpu` or `cuda` for an ASE calculator, whose own argument has the last word."""
    argument = spec.arguments.get('device')
    chosen = device if argument in (None, 'auto') else argument
    return 'cuda' if str(chosen).startswith('cuda') else 'cpu'


def open_evaluator(
    spec: PotentialSpec, device: str = 'auto', processes: int | None = None, largest: int = 0
) -> Evaluator:
    """Return an evaluator that makes the best of this machine: a batch on a GPU, one-thread processes on a CPU.

    An ASE calculator chooses its device itself: it gets one process to itself where its arguments name a GPU
    (`device: cuda`), else processes on the CPU.

    :param spec: as returned by :func:`verify_potential`.
    :param device: `cpu`, `cuda`, or `auto`. Where the arguments of an ASE calculator name no device, it runs on a GPU
        only if this says `cuda`.
    :param processes: on a CPU; None for as many as cores and memory allow.
    :param largest: atoms in the largest structure, for the estimate of memory.
    :raises PotentialError: where the potential cannot be loaded.
    """
    device = _calculator_device(spec, device) if spec.name == 'ase' else choose_device(device)
    if device == 'cuda':
        return load_model(spec, device)
    from aiida_embarrier.potentials.pool import PoolEvaluator

    cores = available_cores()
    if processes is None:
        memory, need = available_memory(), MEMORY.get(spec.name, DEFAULT_MEMORY)
        fitting = cores if memory is None else int(0.9 * memory / (need.base + need.per_atom * largest))
        processes = max(1, min(cores, fitting))
    return PoolEvaluator(spec, processes)
