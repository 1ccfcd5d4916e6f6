"""How a barrier depends on the settings it is computed with: one setting after the other around a base set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.engine import if_
from aiida.orm import Dict, Float, Str

from aiida_embarrier.calculations.paths import reinterpolate
from aiida_embarrier.calculations.studies import tabulate_settings
from aiida_embarrier.engines.base import why
from aiida_embarrier.structures.supercells import supercell_matrix
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import port_validator
from aiida_embarrier.workflows.studies import (
    BarrierStudyWorkChain,
    changes,
    charge_of,
    flat,
    label_of,
    merge,
    validate_variations,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import BandData

    from aiida_embarrier.engines.base import Codes

__all__ = ('ConvergenceWorkChain', 'from_coarse_to_fine')

#: The label of the run with the settings that all others vary.
BASE = 'base'
#: Inputs that matter only once the endpoints are there: runs that differ in nothing else share their endpoints.
AFTER_ENDPOINTS = ('n_images', 'interpolation', 'waypoints')


def from_coarse_to_fine(key: str, values: Sequence[Any]) -> list[Any]:
    """Return the values of a variable from the coarsest to the finest, each once.

    Numbers of images and distances between images of the ion are finer when larger, supercells by their volume,
    thresholds and tolerances when smaller. Values of any other key are taken in the order given, the last as finest.

    :param key: key of the protocol, dots between its levels.
    :raises ValueError: for fewer than two different values, and for supercells that are none.
    """
    given = list(values)
    unique = [value for number, value in enumerate(given) if value not in given[:number]]
    if len(unique) < 2:
        raise ValueError(f'the variable {key!r} needs at least two different values to compare, got {given}')
    name = key.rpartition('.')[2]
    try:
        if name in ('n_images', 'min_image_distance'):
            return sorted(unique)
        if name == 'supercell':
            return sorted(unique, key=lambda value: abs(np.linalg.det(supercell_matrix(value))))
        if name.endswith(('threshold', 'tolerance')):
            return sorted(unique, reverse=True)
    except TypeError as error:
        raise ValueError(f'the values of {key!r} cannot be put in order: {given}') from error
    return unique


def check_tolerance(value: Any) -> str | None:
    """Check that a value is a tolerance of a barrier."""
    return None if 0 < value < 10 else f'{value!r} is no tolerance in eV: 0.01 means 10 meV'


def check_study(value: Any) -> str | None:
    """Check what is varied."""
    variables = value.get('variables')
    if not variables:
        return 'no variable is given: fill the inputs with `get_builder_from_protocol(..., variables={...})`'
    for variable in variables:
        if set(variable) != {'key', 'values', 'runs'} or len(variable['values']) != len(variable['runs']):
            return f'a variable has a `key`, `values` and as many `runs`, got {variable}'
    return None


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Check that all variables have an influence, and the inputs of all runs."""
    given = inputs['barrier']
    study = inputs['study'].get_dict()
    variations = inputs.get('variations', {})
    for variable in study['variables']:
        unknown = [run for run in variable['runs'] if run != BASE and run not in variations]
        if unknown:
            return f'the run {unknown[0]!r} of the variable {variable["key"]!r} is not among the `variations`'
        name = variable['key'].partition('.')[0]
        if 'structure' not in given and name in ('supercell', 'min_image_distance', 'relax_host'):
            return f'{name!r} has no influence on given endpoints or bands: start from a crystal and a hop to vary it'
        if 'band' in given and (name in AFTER_ENDPOINTS or name in ('relax_endpoints', 'rattle')):
            return f'{name!r} has no influence on a given band: start from a crystal and a hop, or from two endpoints'
        if name == 'min_image_distance' and 'supercell' in given:
            return "'min_image_distance' has no influence beside a given supercell: leave out one of them"
    return validate_variations(inputs)


class ConvergenceWorkChain(BarrierStudyWorkChain):
    """How the barrier of a path depends on number of images, supercell, force threshold or any other setting.

    Settings are varied one at a time around a base set. Identical settings are run once, and runs that differ only in
    their bands share the relaxed host and endpoints of one of them. The table says which is the cheapest setting within
    a tolerance of the finest one, for each variable, or that nothing is shown to be converged.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input(
            'study',
            valid_type=Dict,
            validator=port_validator(check_study),
            help='`variables`: for each the `key` of the protocol, its `values` from the coarsest to the finest, and '
            f'their `runs`: labels in `variations`, or `{BASE}`.',
        )
        spec.input(
            'tolerance',
            valid_type=Float,
            default=lambda: Float(0.01),
            validator=port_validator(check_tolerance),
            help='Difference to the finest setting in eV within which a setting is good enough.',
        )
        spec.inputs.validator = validate_inputs
        spec.outline(
            cls.setup,
            cls.run_whole,
            if_(cls.should_share_endpoints)(cls.run_bands),
            cls.tabulate,
        )
        spec.output(
            'table', valid_type=Dict, required=False, help='Barriers, residual forces, costs and a recommendation.'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: Codes,
        *,
        variables: Mapping[str, Sequence[Any]],
        tolerance: float | None = None,
        quantity: str | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        **barrier: Any,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine; for the potential engine that of `embarrier-worker`.
        :param variables: values to try by key of the protocol, dots between its levels, such as `n_images`,
            `supercell`, `engine.neb.force_threshold`; the keys of an engine are its own.
        :param tolerance: in eV; None for 0.01 eV.
        :param quantity: the barrier that is compared, see :data:`~aiida_embarrier.bands.barriers.QUANTITIES`;
            None for the forward barrier.
        :param protocol: `fast`, `balanced` (default) or `stringent`: the base set, with `overrides`.
        :param barrier: which path, engine and options, as
            :meth:`~aiida_embarrier.workflows.barrier.MigrationBarrierWorkChain.get_builder_from_protocol` takes them.
        :raises ValueError: for unknown keys, and for variables with fewer than two values.
        """

        def barrier_builder(settings: Mapping[str, Any]) -> ProcessBuilder:
            return MigrationBarrierWorkChain.get_builder_from_protocol(
                code, protocol=protocol, overrides=settings, **barrier
            )

        if not variables:
            raise ValueError('no variable is given: name at least one key of the protocol with two values')
        base = barrier_builder(overrides or {})
        variations: dict[str, dict[str, Any]] = {}
        study = []
        for key, values in variables.items():
            runs = []
            ordered = from_coarse_to_fine(key, values)
            for value in ordered:
                change = changes(base, barrier_builder(_with_value(overrides or {}, key, value)))
                same = [label for label, other in variations.items() if flat(other) == flat(change)]
                label = BASE if not change else same[0] if same else label_of(key, value, taken={*variations, BASE})
                if change:
                    variations.setdefault(label, change)
                runs.append(label)
            study.append({'key': key, 'values': ordered, 'runs': runs})
        builder = cls.get_builder()
        builder.barrier = {name: value for name, value in merge(base, {}).items() if name != 'metadata'}
        builder.metadata.description = base.metadata.description
        if variations:
            builder.variations = variations
        builder.study = Dict({'variables': study})
        if tolerance is not None:
            builder.tolerance = Float(tolerance)
        if quantity is not None:
            builder.quantity = Str(quantity)
        return builder

    # ---------------------------------------------------------------- steps

    def setup(self) -> None:
        """Find out which runs there are, and which can share the endpoints of another one."""
        variables = self.inputs.study['variables']
        self.ctx.labels = list(dict.fromkeys(label for variable in variables for label in variable['runs']))
        self.ctx.failures = {}
        alike = (
            [] if 'band' in self.inputs.barrier else [label for label in self.ctx.labels if self._has_same_ends(label)]
        )
        self.ctx.provider = BASE if BASE in alike else next(iter(alike), None)
        self.ctx.sharing = [label for label in alike if label != self.ctx.provider]
        what = '; '.join(f'{variable["key"]} {", ".join(map(str, variable["values"]))}' for variable in variables)
        self.report(
            f'{len(self.ctx.labels)} runs for {what}; {len(self.ctx.sharing)} share the endpoints of another one'
        )

    def _has_same_ends(self, label: str) -> bool:
        """Return whether a run relaxes the same host and endpoints as the base set."""
        changed = flat(self.inputs.get('variations', {}).get(label, {}))
        return all(path in AFTER_ENDPOINTS or path.startswith('engine_inputs.neb.') for path in changed)

    def run_whole(self) -> None:
        """Start the runs that relax endpoints of their own."""
        for label in self.ctx.labels:
            if label not in self.ctx.sharing:
                self.start_run(label, self.run_inputs(label))

    def should_share_endpoints(self) -> bool:
        """Return whether there are runs that take the endpoints of another one."""
        return bool(self.ctx.sharing)

    def run_bands(self) -> None:
        """Start the runs that take the endpoints of another one, each with a starting band of its own."""
        provider = self.run_of(self.ctx.provider)
        if 'band' not in provider.outputs:
            problem = f'the run {self.ctx.provider!r}, whose endpoints it takes, gave no band: {why(provider)}'
            self.ctx.failures = dict.fromkeys(self.ctx.sharing, problem)
            return
        for label in self.ctx.sharing:
            inputs = self.run_inputs(label)
            self.start_run(
                label,
                {
                    'band': self._starting_band(label, provider.outputs.band, inputs),
                    'n_images': inputs['n_images'],
                    'engine': inputs['engine'],
                    'engine_inputs': {'neb': inputs['engine_inputs']['neb']},
                    **charge_of(inputs),
                },
            )

    def _starting_band(self, label: str, band: BandData, inputs: Mapping[str, Any]) -> BandData:
        parameters = {'n_images': inputs['n_images'].value, 'interpolation': inputs['interpolation'].value}
        if 'waypoints' in inputs:
            parameters['waypoints'] = inputs['waypoints'].get_list()
        return reinterpolate(band, Dict(parameters), metadata={'call_link_label': f'reinterpolate_{label}'})

    def tabulate(self) -> ExitCode | None:
        """Gather what the runs gave."""
        summaries, failures = self.collect(self.ctx.labels)
        for label, message in failures.items():
            self.report(f'run {label} failed: {message}')
        if not summaries:
            return self.exit_codes.ERROR_NO_RUN_SUCCEEDED.format(message=next(iter(failures.values())))
        table = tabulate_settings(
            Dict(
                {
                    'variables': self.inputs.study['variables'],
                    'quantity': self.inputs.quantity.value,
                    'tolerance': self.inputs.tolerance.value,
                    'failures': failures,
                    'shares': dict.fromkeys(self.ctx.sharing, self.ctx.provider),
                }
            ),
            **summaries,
            metadata={'call_link_label': 'tabulate'},
        )
        self.out('table', table)
        for variable in table['variables']:
            self.report(f'{variable["key"]}: {variable["message"]}')
        return None


def _with_value(overrides: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return overrides of a protocol with another value at a key, dots between its levels."""
    name, _, rest = key.partition('.')
    if not rest:
        return {**overrides, name: value}
    inner = overrides.get(name, {})
    if not isinstance(inner, Mapping):
        raise ValueError(f'{name!r} in the variable {key!r} is a value in the overrides, not a group of keys')
    return {**overrides, name: _with_value(inner, rest, value)}
