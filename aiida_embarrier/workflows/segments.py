"""A path with several humps, split at its interior minima into segments that are computed on their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, WorkChain, while_
from aiida.orm import Dict, Float, Int, Str, StructureData
from aiida.plugins import WorkflowFactory

from aiida_embarrier.bands.barriers import SPLIT_DEPTH
from aiida_embarrier.calculations.segments import (
    join_segments,
    make_segments,
    minima_of,
    summarise_segments,
    take_images,
)
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import get_engine, why
from aiida_embarrier.workflows.barrier_inputs import (
    barrier_protocol,
    check_codes,
    check_n_images,
    define_engine_inputs,
    port_validator,
    validate_engine_inputs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import WorkChainNode

    from aiida_embarrier.engines.base import Codes

__all__ = ('SegmentedBarrierWorkChain',)


def check_depth(value: Any) -> str | None:
    """Check that a value is the depth of a minimum."""
    return None if 0 < value < 100 else f'{value!r} is no depth of a minimum in eV: give a small positive number'


def check_rounds(value: Any) -> str | None:
    """Check how often a path may be split."""
    return None if value >= 1 else f'a path is split at least once, got {value} rounds'


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Check that there is something to split, and the inputs of the engine."""
    band, depth = inputs['band'].band, inputs['depth'].value
    try:
        found = minima_of(band, depth)
    except ValueError as error:
        return f'the band {inputs["band"].pk} cannot be split: {error}'
    if not found:
        return (
            f'the path has no interior minimum of at least {depth:g} eV, so there is nothing to split: '
            'choose a smaller `depth`, or take its barrier as it is'
        )
    if 'relax' not in inputs.get('engine_inputs', {}):
        return 'the namespace `engine_inputs.relax` is missing: fill it with `get_builder_from_protocol`'
    return validate_engine_inputs(inputs)


def new_part(band: BandData) -> dict[str, Any]:
    """Return a part of the path as the work chain keeps it: what is known of it, and what it is being split into."""
    return {'band': band, 'final': False, 'images': {}, 'labels': []}


class SegmentedBarrierWorkChain(WorkChain):
    """The barriers of a path with several humps, each hump a band of its own.

    The path is split at its interior minima; these are relaxed as endpoints, side by side, and the segments between
    them are optimised, side by side too, starting from the images of the old path. Segments that again have an interior
    minimum are split again, up to a number of rounds. In the end they are joined to one path.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input('band', valid_type=BandData, help='The path: a band with energies and an interior minimum.')
        spec.input(
            'depth',
            valid_type=Float,
            default=lambda: Float(SPLIT_DEPTH),
            validator=port_validator(check_depth),
            help='Depth in eV from which an interior minimum splits the path.',
        )
        spec.input(
            'n_images',
            valid_type=Int,
            default=lambda: Int(7),
            validator=port_validator(check_n_images),
            help='Number of images of each segment, its ends included.',
        )
        spec.input(
            'max_rounds',
            valid_type=Int,
            default=lambda: Int(2),
            validator=port_validator(check_rounds),
            help='How often segments are split again where they have an interior minimum themselves; 1 for never.',
        )
        spec.input(
            'charge',
            valid_type=Float,
            default=lambda: Float(0.0),
            help='Charge of the cell in units of e, that of the path.',
        )
        define_engine_inputs(spec)
        spec.inputs.validator = validate_inputs

        spec.outline(
            cls.setup,
            while_(cls.should_split)(cls.relax_minima, cls.run_segments, cls.inspect_segments),
            cls.finish,
        )

        spec.output('band', valid_type=BandData, required=False, help='The joined path.')
        spec.output_namespace('segments', valid_type=BandData, required=False, dynamic=True, help='Each segment.')
        spec.output('summary', valid_type=Dict, required=False, help='Barriers of the whole, segments, what changed.')
        spec.exit_code(201, 'ERROR_INVALID_PATH', message='The path cannot be split or joined: {message}')
        spec.exit_code(311, 'ERROR_MINIMA', message='The relaxation of the interior minima failed: {message}')
        spec.exit_code(312, 'ERROR_SEGMENTS', message='The segments could not be computed: {message}')
        spec.exit_code(
            510,
            'ERROR_SEGMENTS_NOT_CONVERGED',
            message='Not all segments converged; the joined path of their last good bands is an output: {message}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: Codes,
        band: BandData,
        *,
        depth: float | None = None,
        max_rounds: int | None = None,
        engine: str = 'potential',
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        charge: float | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine, or codes by the names of programs, as those of the barrier work chain.
        :param band: the path.
        :param depth: depth in eV from which an interior minimum splits the path; None for 0.02 eV.
        :param max_rounds: how often it is split; None for 2.
        :param protocol: `fast`, `balanced` (default) or `stringent`.
        :param overrides: as those of the barrier work chain; `n_images` is that of each segment.
        :param options: options of all jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
        :param charge: charge of the cell in units of e; None for that of the path, where the engine knows charges.
        :raises ValueError: for unknown engines, protocols and keys.
        """
        resolved = barrier_protocol(engine, protocol, overrides)
        found = get_engine(engine)
        check_codes(code, engine, None)
        inputs = found.inputs_from_protocol(resolved['engine'], code=code, options=options)
        if charge is None and 'charge' in found.capabilities:
            charge = band.base.attributes.get('charge', None)
        return cls._builder(band, engine, inputs, resolved['n_images'], depth, max_rounds, charge)

    @classmethod
    def get_builder_from_process(
        cls,
        process: WorkChainNode,
        *,
        n_images: int | None = None,
        depth: float | None = None,
        max_rounds: int | None = None,
    ) -> ProcessBuilder:
        """Return a builder that splits the band of a finished barrier process, with the engine and inputs it had.

        :param process: of :class:`~aiida_embarrier.workflows.barrier.MigrationBarrierWorkChain`.
        :param n_images: of each segment; None for as many as the process used.
        :raises ValueError: for a process without a band, or that relaxed nothing.
        """
        if 'band' not in process.outputs:
            raise ValueError(f'process {process.pk} has no band: {why(process)}')
        given = process.inputs.engine_inputs
        if 'relax' not in given:
            raise ValueError(
                f'process {process.pk} has no inputs for relaxations: give code and protocol to split its band'
            )
        inputs = {kind: dict(given[kind]) for kind in ('relax', 'neb')}
        images = process.inputs.n_images.value if n_images is None else n_images
        engine, charge = process.inputs.engine.value, process.inputs.charge if 'charge' in process.inputs else None
        return cls._builder(
            process.outputs.band, engine, inputs, images, depth, max_rounds, None if charge is None else charge.value
        )

    @classmethod
    def _builder(
        cls,
        band: BandData,
        engine: str,
        inputs: Mapping[str, Any],
        n_images: int,
        depth: float | None,
        max_rounds: int | None,
        charge: float | None,
    ) -> ProcessBuilder:
        builder = cls.get_builder()
        builder.band = band
        builder.engine = Str(engine)
        builder.n_images = Int(n_images)
        if depth is not None:
            builder.depth = Float(depth)
        if max_rounds is not None:
            builder.max_rounds = Int(max_rounds)
        if charge is not None:
            builder.charge = Float(charge)
        for kind, values in inputs.items():
            builder.engine_inputs[kind] = values
        return builder

    # ---------------------------------------------------------------- steps

    def setup(self) -> None:
        """Say what is going to happen."""
        #: The parts of the path in their order; a part that is final is not split again.
        self.ctx.parts = [new_part(self.inputs.band)]
        self.ctx.rounds = 0
        self.ctx.notes = []
        self.ctx.results = {}
        self.ctx.exit_code = self.ctx.problem = None
        images = ', '.join(map(str, minima_of(self.inputs.band.band, self.inputs.depth.value)))
        self.report(f'splitting band {self.inputs.band.pk} at its interior minima (image {images})')

    def _charge(self) -> dict[str, Float]:
        """Return the charge for work chains of engines that know charges."""
        return {'charge': self.inputs.charge} if 'charge' in get_engine(self.inputs.engine.value).capabilities else {}

    def _minima(self, part: Mapping[str, Any]) -> list[int]:
        return [] if part['final'] else minima_of(part['band'].band, self.inputs.depth.value)

    def should_split(self) -> bool:
        """Return whether a part of the path has an interior minimum, and another round is allowed."""
        if self.ctx.exit_code is not None or self.ctx.rounds >= self.inputs.max_rounds.value:
            return False
        return any(map(self._minima, self.ctx.parts))

    def relax_minima(self) -> Any:
        """Relax the minima of all parts, side by side."""
        self.ctx.rounds += 1
        structures: dict[str, StructureData] = {}
        kinds: dict[str, Dict] = {}
        for number, part in enumerate(self.ctx.parts, start=1):
            part['images'] = {f'part_{number}_image_{image}': image for image in self._minima(part)}
            if part['images']:
                taken = take_images(
                    part['band'],
                    Dict({'images': part['images']}),
                    metadata={'call_link_label': f'take_minima_{self.ctx.rounds}_{number}'},
                )
                kinds['kinds'] = taken.pop('kinds')
                structures.update(taken)
        node = self.submit(
            WorkflowFactory(get_engine(self.inputs.engine.value).relax),
            structures=structures,
            cell=Str('fixed'),
            metadata={'call_link_label': f'relax_minima_{self.ctx.rounds}'},
            **kinds,
            **self._charge(),
            **self.inputs.engine_inputs.relax,
        )
        self.report(f'relaxing {len(structures)} interior minim{"a" if len(structures) > 1 else "um"}: {node.pk}')
        return ToContext(relax=node)

    def run_segments(self) -> ExitCode | ToContext | None:
        """Optimise the segments between what relaxed to minima, side by side."""
        relax = self.ctx.relax
        self.ctx.neb = None
        if not relax.is_finished_ok:
            self._end('ERROR_MINIMA', why(relax))
            return None
        self.ctx.results[f'relax_minima_{self.ctx.rounds}'] = relax.outputs.results
        bands = {}
        for number, part in enumerate(self.ctx.parts, start=1):
            if not part['images']:
                continue
            made, node = make_segments.run_get_node(
                band=part['band'],
                parameters=Dict({'n_images': self.inputs.n_images.value, 'images': part['images']}),
                **{label: relax.outputs.structures[label] for label in part['images']},
                metadata={'call_link_label': f'make_segments_{self.ctx.rounds}_{number}'},
            )
            if not node.is_finished_ok:
                return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
            notes = made.pop('found')['notes']
            for note in notes:
                self.report(note)
            self.ctx.notes.extend(notes)
            part['final'] = not made
            part['labels'] = [f'part_{number}_{label}' for label in made]
            bands.update({f'part_{number}_{label}': band for label, band in made.items()})
        if not bands:
            return None
        neb = self.submit(
            WorkflowFactory(get_engine(self.inputs.engine.value).neb),
            bands=bands,
            metadata={'call_link_label': f'neb_{self.ctx.rounds}'},
            **self._charge(),
            **self.inputs.engine_inputs.neb,
        )
        self.report(f'optimising {len(bands)} segments: {neb.pk}')
        return ToContext(neb=neb)

    def inspect_segments(self) -> ExitCode | None:
        """Put the segments in the place of the parts that were split."""
        neb = self.ctx.neb
        if neb is None:
            return None
        outputs = neb.outputs.bands if 'bands' in neb.outputs else {}
        done = {label: outputs[label] for label in outputs if outputs[label].is_computed}
        if not neb.is_finished_ok:
            self._end('ERROR_SEGMENTS_NOT_CONVERGED', why(neb))
        parts = []
        for part in self.ctx.parts:
            labels = part['labels']
            if any(label not in done for label in labels):
                self._end('ERROR_SEGMENTS', why(neb))
                labels = []
            bands = [done[label] for label in labels]
            parts.extend([new_part(band) for band in bands] or [part])
        self.ctx.parts = parts
        if 'results' in neb.outputs:
            self.ctx.results[f'neb_{self.ctx.rounds}'] = neb.outputs.results
        return None

    def _end(self, exit_code: str, message: str) -> None:
        """Remember why the chain ends; what was computed so far is joined before it does."""
        self.ctx.exit_code, self.ctx.problem = exit_code, message

    def finish(self) -> ExitCode | None:
        """Join the segments, and summarise the path."""
        original, bands = self.inputs.band, [part['band'] for part in self.ctx.parts]
        segments = {f'segment_{number}': band for number, band in enumerate(bands, start=1)} if len(bands) > 1 else {}
        band = bands[0]
        if segments:
            band, node = join_segments.run_get_node(
                original=original, **segments, metadata={'call_link_label': 'join_segments'}
            )
            if not node.is_finished_ok:
                return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
            self.out('segments', segments)
        self.out('band', band)
        summary, node = summarise_segments.run_get_node(
            band=band,
            original=original,
            parameters=Dict(
                {
                    'depth': self.inputs.depth.value,
                    'notes': self.ctx.notes,
                    'settled': [number for number, part in enumerate(self.ctx.parts, start=1) if part['final']],
                }
            ),
            **segments,
            **self.ctx.results,
            metadata={'call_link_label': 'summarise'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
        self.out('summary', summary)
        if segments:
            limiting = summary['rate_limiting_segment']
            self.report(
                f'{len(segments)} segments, segment {limiting} limits the rate: '
                f'{summary["barriers"]["rate_limiting"]:.3f} eV, unsplit {summary["unsplit"]["rate_limiting"]:.3f} eV'
            )
        elif self.ctx.exit_code is None:
            self.report('the path is left as it is: none of its interior minima is a minimum when it is relaxed')
        if self.ctx.exit_code is not None:
            return self.exit_codes[self.ctx.exit_code].format(message=self.ctx.problem)
        return None
