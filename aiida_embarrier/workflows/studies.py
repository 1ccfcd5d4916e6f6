"""What work chains share that compute one path several times: runs that differ from each other in a few inputs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from aiida.engine import WorkChain
from aiida.orm import Data, Str

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.engines.base import get_engine, why
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import one_of, port_validator, validate_engine_inputs

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import WorkChainNode

__all__ = (
    'BarrierStudyWorkChain',
    'changes',
    'charge_of',
    'flat',
    'label_of',
    'merge',
    'same_inputs',
    'validate_variations',
)


def flat(inputs: Mapping[str, Any], place: str = '') -> dict[str, Any]:
    """Return nested inputs in one level, the names of their ports joined by dots; metadata are left out."""
    result = {}
    for name, value in inputs.items():
        if name == 'metadata':
            continue
        path = f'{place}.{name}' if place else name
        result.update(flat(value, path) if isinstance(value, Mapping) else {path: value})
    return result


def changes(base: ProcessBuilder, other: ProcessBuilder) -> dict[str, Any]:
    """Return the inputs of a builder that differ from those of another one, nested as they stand.

    Inputs of another engine have nothing to do with those of the first: they are all returned.
    """
    known, given = flat(base), flat(other)
    result: dict[str, Any] = {}
    for path, node in given.items():
        before, inside, _ = path.partition('engine_inputs.')
        engines = [inputs.get(f'{before}engine') for inputs in (known, given)] if inside else [None, None]
        of_other_engine = engines[0] != engines[1]
        if path in known and not of_other_engine and bool(known[path] == node):
            continue
        *outer, last = path.split('.')
        place = result
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = node
    return result


def same_inputs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether processes with these inputs compute the same, by what their nodes hold.

    Metadata, and `options` of jobs, say where and for how long something is computed, and may differ.

    :param one: inputs of a process that was started, so that their nodes are stored.
    :param other: the same of another one.
    """
    parts = [
        {path: node for path, node in flat(inputs).items() if path.rpartition('.')[2] != 'options'}
        for inputs in (one, other)
    ]
    return parts[0].keys() == parts[1].keys() and all(_same(node, parts[1][path]) for path, node in parts[0].items())


def _same(one: Any, other: Any) -> bool:
    """Return whether two inputs are the same node, or hold the same."""
    if not isinstance(one, Data) or not isinstance(other, Data):
        return bool(one == other)
    if one.uuid == other.uuid:
        return True
    found = one.base.caching.compute_hash()
    return found is not None and found == other.base.caching.compute_hash()


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs with some of them changed, the inverse of :func:`changes`."""
    result = {
        name: merge(value, {}) if isinstance(value, Mapping) else value
        for name, value in base.items()
        if name != 'engine_inputs' or 'engine' not in change
    }
    for name, value in change.items():
        result[name] = merge(result.get(name, {}), value) if isinstance(value, Mapping) else value
    return result


def charge_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the charge among inputs of a run, for work chains of its engine; nothing where the engine knows none."""
    known = 'charge' in get_engine(inputs['engine'].value).capabilities
    return {'charge': inputs['charge']} if known and 'charge' in inputs else {}


def label_of(*words: Any, taken: Collection[str] = ()) -> str:
    """Return a label that can name a link, made of words and numbers, and not one of those taken."""
    label = re.sub(r'[^A-Za-z0-9]+', '_', '_'.join(map(str, words))).strip('_') or 'run'
    numbered, number = label, 1
    while numbered in taken:
        number += 1
        numbered = f'{label}_{number}'
    return numbered


def validate_variations(inputs: Any) -> str | None:
    """Check what the runs of a study change, port by port, and the inputs of their engines.

    What they have in common is checked by the barrier work chain's own validator.
    """
    ports = MigrationBarrierWorkChain.spec().inputs
    for label, change in inputs.get('variations', {}).items():
        for name, value in change.items():
            if name not in ports:
                return f'variations.{label}: the barrier work chain has no input {name!r}{closest(name, ports)}'
            if isinstance(value, Mapping):
                continue
            error = ports[name].validate(value)
            if error is not None:
                return f'variations.{label}.{name}: {error.message}'
        message = validate_engine_inputs(merge(inputs['barrier'], change))
        if message is not None:
            return f'variations.{label}: {message}'
    return None


class BarrierStudyWorkChain(WorkChain):
    """Base of work chains that run the barrier work chain several times for one path.

    The inputs that all runs share are those of the namespace `barrier`; what a run changes of them stands under its
    label in `variations`. A run that fails is reported and does not end the others.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs that studies share."""
        super().define(spec)
        spec.expose_inputs(MigrationBarrierWorkChain, namespace='barrier', exclude=('metadata',))
        spec.input_namespace('variations', dynamic=True, required=False, help='What each run changes, by its label.')
        spec.input(
            'quantity',
            valid_type=Str,
            default=lambda: Str('forward'),
            validator=port_validator(one_of(*QUANTITIES)),
            help=f'The barrier that is compared: {", ".join(QUANTITIES)}.',
        )
        spec.exit_code(
            310, 'ERROR_NO_RUN_SUCCEEDED', message='None of the runs gave a barrier; the first of them: {message}'
        )

    def run_inputs(self, label: str) -> dict[str, Any]:
        """Return the inputs of a run."""
        return merge(self.inputs.barrier, self.inputs.get('variations', {}).get(label, {}))

    def start_run(self, label: str, inputs: Mapping[str, Any]) -> WorkChainNode:
        """Submit a run and await it."""
        node = self.submit(MigrationBarrierWorkChain, metadata={'call_link_label': f'run_{label}'}, **inputs)
        self.report(f'run {label}: {node.pk}')
        self.to_context(**{f'run_{label}': node})
        return node

    def run_of(self, label: str) -> Any:
        """Return a run, None where it was not started."""
        return self.ctx.get(f'run_{label}')

    def collect(self, labels: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the summaries of the runs that gave a barrier, and why others (or their bands) failed, by label."""
        summaries, failures = {}, dict(self.ctx.get('failures', {}))
        for label in labels:
            node = self.run_of(label)
            if node is None:
                continue
            if 'summary' in node.outputs:
                summaries[label] = node.outputs.summary
            if not node.is_finished_ok:
                failures[label] = why(node)
        return summaries, failures
