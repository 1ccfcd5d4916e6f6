"""One path by several potentials, each with itself from the endpoints on, or on the images of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, if_
from aiida.orm import Bool, Dict, Float, List, Str
from aiida.plugins import WorkflowFactory

from aiida_embarrier.calculations.segments import make_segments, take_images
from aiida_embarrier.calculations.studies import tabulate_potentials
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import get_engine, why
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import port_validator
from aiida_embarrier.workflows.studies import (
    BarrierStudyWorkChain,
    changes,
    charge_of,
    label_of,
    merge,
    validate_variations,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from aiida_embarrier.engines.base import Codes

__all__ = ('PotentialComparisonWorkChain',)

#: Keys of an entry that is spelt out.
ENTRY = ('label', 'engine', 'code', 'protocol', 'overrides', 'options')


def check_entries(value: Any) -> str | None:
    """Check what is compared."""
    if not value:
        return 'there is nothing to compare: name at least one potential'
    wrong = [entry for entry in value if not isinstance(entry, Mapping) or set(entry) != {'label', 'name'}]
    return f'an entry has a `label` and a `name`, got {wrong[0]!r}' if wrong else None


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Check that single points have a path to stand on, and the inputs of all runs."""
    given = inputs['barrier']
    single_point = 'single_point' in inputs and inputs['single_point'].value
    if single_point and 'band' not in given:
        return (
            'single points are computed on the images of a band: compute one first, or leave out `single_point` so '
            'that each potential makes its own'
        )
    if 'reference_label' in inputs and 'reference_barrier' not in inputs:
        return f'the reference {inputs["reference_label"].value!r} lacks its value: give `reference_barrier` in eV'
    labels = [entry['label'] for entry in inputs['entries'].get_list()]
    known = inputs.get('variations', {})
    unknown = [label for label in known if label not in labels]
    if unknown:
        return f'the variation {unknown[0]!r} is that of no entry: choose from {", ".join(labels)}'
    if 'band' in given and not single_point:
        for label in labels:
            if 'relax' not in merge(given, known.get(label, {}))['engine_inputs']:
                return (
                    f'{label}: the namespace `engine_inputs.relax` is missing: fill it by `get_builder_from_protocol`'
                )
    return validate_variations(inputs)


class PotentialComparisonWorkChain(BarrierStudyWorkChain):
    """The barrier of one path by several potentials, models or engines, in one table.

    Each relaxes host, endpoints and band with itself. From a band each relaxes its endpoints, and starts from its
    images. With `single_point` all only evaluate the images of the given band, so that energies of the same geometries
    are compared. A potential that fails is a row that says why.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input(
            'entries',
            valid_type=List,
            validator=port_validator(check_entries),
            help='What is compared, in order: for each the `label` of its run and its `name` for people.',
        )
        spec.input(
            'single_point',
            valid_type=Bool,
            default=lambda: Bool(False),
            help='Only evaluate the images of the given band.',
        )
        spec.input('reference_barrier', valid_type=Float, required=False, help='Barrier to compare with in eV.')
        spec.input('reference_label', valid_type=Str, required=False, help='Where that barrier comes from.')
        spec.inputs.validator = validate_inputs
        spec.outline(
            cls.setup,
            if_(cls.should_relax_ends)(cls.relax_ends, cls.run_bands).else_(cls.run_barriers),
            cls.tabulate,
        )
        spec.output('table', valid_type=Dict, required=False, help='Barriers, residual forces, costs, failures.')
        spec.output_namespace('bands', valid_type=BandData, required=False, dynamic=True, help='The band of each.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: Codes,
        *,
        potentials: Sequence[str | Mapping[str, Any]],
        single_point: bool = False,
        reference_barrier: float | None = None,
        reference_label: str | None = None,
        quantity: str | None = None,
        engine: str = 'potential',
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **path: Any,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine; for the potential engine that of `embarrier-worker`.
        :param potentials: what to compare. Of the potential engine a name and, after a colon, a model (`chgnet`,
            `sevennet:7net-0`). Anything else is a mapping with a `label`, and, where they differ from those below,
            `overrides`, `engine`, `code`, `protocol` and `options`.
        :param single_point: only evaluate the images of the band that is given as `band`.
        :param reference_barrier: barrier to compare with in eV.
        :param reference_label: where it comes from.
        :param quantity: the barrier that is compared, see :data:`~aiida_embarrier.bands.barriers.QUANTITIES`;
            None for the forward barrier.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: for all of them.
        :param path: which path, as
            :meth:`~aiida_embarrier.workflows.barrier.MigrationBarrierWorkChain.get_builder_from_protocol` takes it.
        :raises ValueError: for unknown potentials, engines, protocols and keys.
        """
        common = {'code': code, 'engine': engine, 'protocol': protocol, 'options': options}
        entries: list[dict[str, str]] = []
        builders: list[ProcessBuilder] = []
        for potential in potentials:
            entry = _entry(potential)
            chosen = {**common, **{key: value for key, value in entry.items() if key in common}}
            settings = merge(overrides or {}, entry.get('overrides', {}))
            if single_point:
                settings = merge(settings, {'engine': _single_point(chosen['engine'])})
            builders.append(MigrationBarrierWorkChain.get_builder_from_protocol(**chosen, overrides=settings, **path))
            taken = [other['label'] for other in entries]
            entries.append({'label': label_of(entry['label'], taken=taken), 'name': str(entry['label'])})
        if not entries:
            raise ValueError('there is nothing to compare: name at least one potential')
        builder = cls.get_builder()
        builder.barrier = {name: value for name, value in merge(builders[0], {}).items() if name != 'metadata'}
        builder.metadata.description = builders[0].metadata.description
        variations = {
            entry['label']: changes(builders[0], other) for entry, other in zip(entries, builders, strict=True)
        }
        if any(variations.values()):
            builder.variations = {label: change for label, change in variations.items() if change}
        builder.entries = List(entries)
        builder.single_point = Bool(single_point)
        if reference_barrier is not None:
            builder.reference_barrier = Float(reference_barrier)
        if reference_label is not None:
            builder.reference_label = Str(reference_label)
        if quantity is not None:
            builder.quantity = Str(quantity)
        return builder

    # ---------------------------------------------------------------- steps

    @property
    def labels(self) -> list[str]:
        """The labels of the runs."""
        return [entry['label'] for entry in self.inputs.entries]

    def setup(self) -> None:
        """Say what is going to happen."""
        self.ctx.failures = {}
        names = ', '.join(entry['name'] for entry in self.inputs.entries)
        how = 'single points on one band' if self.inputs.single_point.value else 'each with itself'
        self.report(f'comparing {names}: {how}')

    def should_relax_ends(self) -> bool:
        """Return whether the ends of a given band are to be relaxed."""
        return 'band' in self.inputs.barrier and not self.inputs.single_point.value

    def run_barriers(self) -> None:
        """Start all runs from what was given."""
        for label in self.labels:
            self.start_run(label, self.run_inputs(label))

    def _images(self) -> dict[str, int]:
        return {'initial': 0, 'final': self.inputs.barrier.band.base.attributes.get('n_images') - 1}

    def relax_ends(self) -> Any:
        """Relax the ends of the given band with each potential."""
        taken = take_images(
            self.inputs.barrier.band,
            Dict({'images': self._images()}),
            metadata={'call_link_label': 'take_ends'},
        )
        waiting = {}
        for label in self.labels:
            inputs = self.run_inputs(label)
            waiting[f'relax_{label}'] = self.submit(
                WorkflowFactory(get_engine(inputs['engine'].value).relax),
                structures={name: taken[name] for name in self._images()},
                kinds=taken['kinds'],
                cell=Str('fixed'),
                metadata={'call_link_label': f'relax_{label}'},
                **charge_of(inputs),
                **inputs['engine_inputs']['relax'],
            )
        self.report('relaxing the ends of the band with each of them')
        return ToContext(**waiting)

    def run_bands(self) -> None:
        """Start the runs of those whose endpoints are relaxed, from the images of the given band."""
        band = self.inputs.barrier.band
        for label in self.labels:
            relaxed = self.ctx[f'relax_{label}']
            if not relaxed.is_finished_ok:
                self.ctx.failures[label] = f'the relaxation of the endpoints failed: {why(relaxed)}'
                continue
            made, node = make_segments.run_get_node(
                band=band,
                parameters=Dict({'n_images': band.base.attributes.get('n_images'), 'images': self._images()}),
                **{name: relaxed.outputs.structures[name] for name in self._images()},
                metadata={'call_link_label': f'starting_band_{label}'},
            )
            if not node.is_finished_ok:
                self.ctx.failures[label] = node.exit_message
                continue
            inputs = self.run_inputs(label)
            self.start_run(
                label,
                {
                    'band': made['segment_1'],
                    'engine': inputs['engine'],
                    'engine_inputs': {'neb': inputs['engine_inputs']['neb']},
                    **charge_of(inputs),
                },
            )

    def tabulate(self) -> ExitCode | None:
        """Gather what the runs gave."""
        summaries, failures = self.collect(self.labels)
        if self.inputs.single_point.value:  # nothing was to converge
            failures = {label: message for label, message in failures.items() if label not in summaries}
        if not summaries:
            return self.exit_codes.ERROR_NO_RUN_SUCCEEDED.format(message=next(iter(failures.values())))
        reference = None
        if 'reference_barrier' in self.inputs:
            label = self.inputs.reference_label.value if 'reference_label' in self.inputs else 'reference'
            reference = {'barrier': self.inputs.reference_barrier.value, 'label': label}
        relaxed = {
            f'relax_{label}': self.ctx[f'relax_{label}'].outputs.results
            for label in self.labels
            if f'relax_{label}' in self.ctx and 'results' in self.ctx[f'relax_{label}'].outputs
        }
        table = tabulate_potentials(
            Dict(
                {
                    'entries': self.inputs.entries.get_list(),
                    'quantity': self.inputs.quantity.value,
                    'single_point': self.inputs.single_point.value,
                    'failures': failures,
                    'reference': reference,
                }
            ),
            **summaries,
            **relaxed,
            metadata={'call_link_label': 'tabulate'},
        )
        self.out('table', table)
        self.out('bands', {label: self.run_of(label).outputs.band for label in summaries})
        for row in table['rows']:
            value = row.get(self.inputs.quantity.value)
            barrier = '' if value is None else f' {value:.3f} eV'
            problem = '' if row['message'] is None else f': {row["message"]}'
            self.report(f'{row["name"]}:{barrier} {row["status"]}{problem}')
        return None


def _entry(potential: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be compared, spelt out.

    :raises ValueError: for unknown keys, and where the label is missing.
    """
    if isinstance(potential, str):
        name, _, model = potential.partition(':')
        chosen = {'name': name, 'model': model or None}
        return {'label': potential, 'engine': 'potential', 'overrides': {'engine': {'potential': chosen}}}
    unknown = sorted(set(potential) - set(ENTRY))
    if unknown or 'label' not in potential:
        raise ValueError(f'an entry has the keys {", ".join(ENTRY)} and at least a label, got {sorted(potential)}')
    return dict(potential)


def _single_point(engine: str) -> Mapping[str, Any]:
    """Return the overrides of an engine's protocol for single points.

    :raises ValueError: for an engine that has none.
    """
    overrides = get_engine(engine).single_point
    if overrides is None:
        raise ValueError(f'the engine {engine!r} cannot evaluate single points: compare it with `single_point=False`')
    return overrides
