"""What a machine can do: potentials, device, cores, memory."""

from __future__ import annotations

import time
from typing import Any

from aiida_embarrier import __version__
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.potentials.evaluator import PotentialError, WeightsError
from aiida_embarrier.potentials.loading import choose_device, load_model, verify_potential
from aiida_embarrier.potentials.resources import available_cores, available_memory

__all__ = ('check_potential',)


def check_potential(name: str, model: str | None = None, device: str = 'auto', load: bool = True) -> dict[str, Any]:
    """Return what a job with this potential would find here, as JSON values.

    :param load: load the model, too, which takes seconds.
    :returns: version, sha256, whether the weights are the right ones, device, seconds to load, and `error`: None, or
        what is wrong and how to mend it.
    """
    memory = available_memory()
    report: dict[str, Any] = {
        'worker_version': __version__,
        'cores': available_cores(),
        'memory_gb': None if memory is None else round(memory / 1e9, 1),
        'potential': None,
        'version': None,
        'sha256': None,
        'weights_ok': None,
        'device': None,
        'load_s': None,
        'error': None,
    }
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
