"""From a resolved protocol to the inputs of the potential engine's work chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, Int

from aiida_embarrier.jobs.potentials import resolve_potential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.orm import AbstractCode

__all__ = ('inputs_from_protocol',)


def inputs_from_protocol(
    protocol: Mapping[str, Any], *, code: AbstractCode, options: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the inputs of the relax and NEB work chains.

    :param protocol: the resolved protocol of the engine.
    :param code: the code of `embarrier-worker`.
    :param options: options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
    :raises ValueError: for potentials that the worker does not know.
    """
    entries = {key: value for key, value in protocol['potential'].items() if value not in (None, {})}
    spec = resolve_potential(entries.pop('name'), entries.pop('model', None), **entries)
    potential = Dict(spec.model_dump(exclude_none=True))
    settings = {key: value for key, value in protocol['settings'].items() if value is not None}
    shared: dict[str, Any] = {
        'code': code,
        'potential': potential,
        'max_iterations': Int(protocol['max_iterations']),
        'settings': Dict(settings),
    }
    if options:
        shared['options'] = Dict(dict(options))
    return {kind: {**shared, 'parameters': Dict(dict(protocol[kind]))} for kind in ('relax', 'neb')}
