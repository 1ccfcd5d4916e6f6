"""What a machine can do: potentials, learning, device, cores, memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier import __version__
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.potentials.evaluator import PotentialError, WeightsError
from aiida_embarrier.potentials.loading import choose_device, load_model, verify_potential
from aiida_embarrier.potentials.resources import available_cores, available_memory
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    import torch

#: What trainings and learned models need beside this package.
LEARNING = ('torch', 'torch-geometric', 'lightning-fabric', 'safetensors')

__all__ = ('check_learning', 'check_potential')


def check_potential(name: str, model: str | None = None, device: str = 'auto', load: bool = True) -> dict[str, Any]:
    """Return what a job with this potential would find here, as JSON values.

    :param load: load the model, too, which takes seconds.
    :returns: version, sha256, whether the weights are the right ones, device, seconds to load, and `error`: None, or
        what is wrong and how to mend it.
    """
    report = _machine()
    report |= {'potential': None, 'version': None, 'sha256': None, 'weights_ok': None, 'device': None, 'load_s': None}
    try:
        spec = verify_potential(resolve_potential(name, model))
        report |= {'potential': spec.label, 'version': spec.version, 'sha256': spec.sha256, 'weights_ok': True}
        report['device'] = choose_device(device)
        if load:
            start = time.monotonic()
            load_model(spec, report['device']).close()
            report['load_s'] = round(time.monotonic() - start, 2)
    except WeightsError as error:
        report |= {'weights_ok': False, 'error': str(error)}
    except (PotentialError, ValueError) as error:
        report['error'] = str(error)
    return report


def check_learning(device: str = 'auto', load: bool = True) -> dict[str, Any]:
    """Return what a training would find here, as JSON values.

    :param load: make a step of training with a small network, too, which takes seconds.
    :returns: versions of what it needs, device, names of all GPUs, seconds to load and step, and `error`: None, or what
        is wrong and how to mend it.
    """
    report = {**_machine(), 'versions': versions_of(*LEARNING), 'device': None, 'gpus': [], 'load_s': None}
    start = time.monotonic()
    try:
        import torch

        from aiida_embarrier.jobs.learning import Hardware
        from aiida_embarrier.learning.devices import choose_device as choose_for_training

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        report['gpus'] = [torch.cuda.get_device_name(number) for number in range(count)]
        chosen = choose_for_training(Hardware(device=device), '32-true')
        report['device'] = report['gpus'][chosen.index or 0] if chosen.type == 'cuda' else 'cpu'
        if load:
            _make_step(chosen)
            report['load_s'] = round(time.monotonic() - start, 2)
    except ImportError as error:
        report['error'] = f"{error}: install what learning needs, pip install 'aiida-embarrier[learning]'"
    except (RuntimeError, ValueError) as error:  # torch's errors are of the first kind
        report['error'] = ' '.join(str(error).split())
    return report


def _make_step(device: torch.device) -> None:
    """Train a small network by one step, with all that a training imports."""
    import torch

    from aiida_embarrier.jobs.learning import ARCHITECTURES, GraphSettings
    from aiida_embarrier.learning import processes  # noqa: F401  (Lightning Fabric is a part of what is checked)
    from aiida_embarrier.learning.alignn import ALIGNN
    from aiida_embarrier.learning.batches import collate
    from aiida_embarrier.learning.graphs import build_graph

    salt = build_graph(
        [[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]], [11, 17], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), GraphSettings()
    )
    model = ALIGNN(ARCHITECTURES['tiny'], ['number']).to(device)
    optimiser = torch.optim.AdamW(model.parameters())
    model(collate([salt, salt]).to(device)).square().sum().backward()
    optimiser.step()


def _machine() -> dict[str, Any]:
    memory = available_memory()
    return {
        'worker_version': __version__,
        'cores': available_cores(),
        'memory_gb': None if memory is None else round(memory / 1e9, 1),
        'error': None,
    }
