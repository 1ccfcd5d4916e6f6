"""Bands that a cheaper engine prepares for a dearer one."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, if_
from aiida.orm import Bool, Dict, Str
from aiida.plugins import WorkflowFactory

from aiida_embarrier.calculations.preparation import UNPREPARED, transfer_band
from aiida_embarrier.engines.base import get_engine, status_of, why
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol, check_codes, define_preparation
from aiida_embarrier.workflows.migration import MigrationWorkChain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_embarrier.data.band import BandData
    from aiida_embarrier.engines.base import Codes, Engine

__all__ = ('PreparedMigrationWorkChain',)


class PreparedMigrationWorkChain(MigrationWorkChain):
    """The steps from relaxed endpoints to bands, where asked for with starting bands that a cheaper engine prepared.

    `ctx.guesses` holds the interpolated bands by their labels, `ctx.paths` how they were made. What is optimised in the
    end is `ctx.starts`: the prepared bands, or those that were interpolated where a preparation failed.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs."""
        super().define(spec)
        define_preparation(spec)

    @classmethod
    def _fill(
        cls,
        code: Codes,
        given: Mapping[str, Any],
        *,
        engine: str,
        protocol: str | None,
        overrides: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
        charge: float | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol, those of an engine that prepares bands among them."""
        preparation = barrier_protocol(engine, protocol, overrides)['preparation']
        check_codes(code, engine, preparation['with'])
        builder = super()._fill(
            code, given, engine=engine, protocol=protocol, overrides=overrides, options=options, charge=charge
        )
        if preparation['with'] is None:
            return builder
        builder.preparation.engine = Str(preparation['with'])
        builder.preparation.compare = Bool(preparation['compare'])
        inputs = get_engine(preparation['with']).inputs_from_protocol(
            preparation['engine'],
            code=code,
            # programs that are the same need the same
            options=preparation['options'] or (options if preparation['with'] == engine else None),
        )
        for kind, values in inputs.items():
            builder.preparation.engine_inputs[kind] = values
        return builder

    def setup(self) -> None:
        """Begin with an empty context."""
        super().setup()
        self.ctx.paths = {}
        self.ctx.guesses = {}
        self.ctx.starts = {}
        self.ctx.preparing = {}
        self.ctx.preparations = {}

    @classmethod
    def preparation_steps(cls) -> Any:
        """Return the part of an outline that prepares the bands."""
        return if_(cls.should_prepare)(cls.prepare_endpoints, cls.prepare_bands, cls.take_prepared_bands)

    @abstractmethod
    def _ends_of(self, label: str) -> dict[str, str]:
        """Return for `initial` and `final` the label of the state at this end of a band."""

    @property
    def preparer(self) -> Engine:
        """The engine that prepares bands."""
        return get_engine(self.inputs.preparation.engine.value)

    def should_prepare(self) -> bool:
        """Return whether a cheaper engine is to prepare the bands."""
        return 'engine' in self.inputs.get('preparation', {}) and bool(self.ctx.guesses)

    @property
    def _compares(self) -> bool:
        return 'compare' in self.inputs.preparation and self.inputs.preparation.compare.value

    def prepare_endpoints(self) -> Any:
        """Relax the endpoints, as the dearer engine left them, with the cheaper one in the same cell."""
        ends = {end for label in self.ctx.guesses for end in self._ends_of(label).values()}
        node = self.submit(
            WorkflowFactory(self.preparer.relax),
            structures={end: self.ctx.relaxed[end] for end in sorted(ends)},
            cell=Str('fixed'),
            metadata={'call_link_label': 'prepare_endpoints'},
            **self._kinds(),
            **self._charge(self.preparer),
            **self.inputs.preparation.engine_inputs.relax,
        )
        self.report(f'preparing the band with {self.preparer.name}, its endpoints: {node.pk}')
        return ToContext(prepare_endpoints=node)

    def prepare_bands(self) -> Any:
        """Optimise the bands between these endpoints with the cheaper engine."""
        node = self.ctx.prepare_endpoints
        tasks = _tasks_of(node)
        structures = node.outputs.structures if 'structures' in node.outputs else {}
        for label in self.ctx.guesses:
            ends = self._ends_of(label)
            wrong = [
                f'the {side} endpoint: {tasks.get(end, {}).get("message") or why(node)}'
                for side, end in ends.items()
                if end not in structures or status_of(tasks.get(end, {}), node) is not Status.CONVERGED
            ]
            if wrong:
                self._not_prepared(label, f'{self.preparer.name} could not relax {wrong[0]}')
                continue
            band, message = self._interpolate(
                **{side: structures[end] for side, end in ends.items()},
                path=self.ctx.paths[label],
                label=f'interpolate_to_prepare_{label}',
            )
            if band is None:
                self._not_prepared(label, message)
            else:
                self.ctx.preparing[label] = band
        if not self.ctx.preparing:
            return None
        neb = self.submit(
            WorkflowFactory(self.preparer.neb),
            bands=dict(self.ctx.preparing),
            metadata={'call_link_label': 'prepare_bands'},
            **self._charge(self.preparer),
            **self.inputs.preparation.engine_inputs.neb,
        )
        self.report(f'preparing the band with {self.preparer.name}: {neb.pk}')
        return ToContext(prepare_bands=neb)

    def take_prepared_bands(self) -> None:
        """Move the prepared bands onto the endpoints of the dearer engine."""
        for label in self.ctx.preparing:
            node = self.ctx.prepare_bands
            task = _tasks_of(node).get(label, {})
            bands = node.outputs.bands if 'bands' in node.outputs else {}
            if label not in bands or status_of(task, node) is not Status.CONVERGED:
                self._not_prepared(label, task.get('message') or why(node))
                continue
            made, calculation = transfer_band.run_get_node(
                prepared=bands[label],
                guess=self.ctx.guesses[label],
                metadata={'call_link_label': f'transfer_{label}'},
            )
            if not calculation.is_finished_ok:
                self._not_prepared(label, calculation.exit_message)
                continue
            self.ctx.starts[label] = made['band']
            report = made['report'].get_dict()
            attributes = bands[label].base.attributes
            self.ctx.preparations[label] = {
                **self._prepared(),
                'status': 'used',
                'band': bands[label].uuid,
                'functional': attributes.get('functional') or attributes.get('potential_functional'),
                'potential': attributes.get('potential'),
                'barrier_forward': attributes.get('barrier_forward'),
                'barrier_reverse': attributes.get('barrier_reverse'),
                **report,
            }
            self.report(
                f'{label} prepared: barrier {attributes.get("barrier_forward"):.3f} eV by {self.preparer.name}, '
                f'up to {report["distance"]:.2f} Å from the interpolated band'
            )

    def _prepared(self) -> dict[str, Any]:
        """Return what is to be known of any preparation."""
        steps = {name: self.ctx[name] for name in ('prepare_endpoints', 'prepare_bands') if name in self.ctx}
        results = {name: node.outputs.results.get_dict() for name, node in steps.items() if 'results' in node.outputs}
        known = 'charge' in self.preparer.capabilities
        return {
            'engine': self.preparer.name,
            'n_force_evaluations': sum(found.get('n_evaluations', 0) for found in results.values()),
            'wall_s': {name: found['wall_s'] for name, found in results.items() if 'wall_s' in found},
            'charge_ignored': self.inputs.charge.value != 0 and not known,
        }

    def _not_prepared(self, label: str, message: str) -> None:
        """Go on with the interpolated band, as if nothing had been to prepare."""
        self.ctx.preparations[label] = {**self._prepared(), 'status': 'failed', 'message': message}
        self.report(f'{label} could not be prepared, so it starts from the interpolated one: {message}')

    # ---------------------------------------------------------------- the bands of the dearer engine

    def _starting_bands(self) -> dict[str, BandData]:
        """Return what is to be optimised: where asked for also the interpolated bands beside the prepared ones."""
        bands = {label: self.ctx.starts.get(label, guess) for label, guess in self.ctx.guesses.items()}
        if self.should_prepare() and self._compares:
            bands |= {label + UNPREPARED: self.ctx.guesses[label] for label in self.ctx.starts}
        return bands

    def _of_preparation(self, label: str, node: ProcessNode) -> dict[str, Any]:
        """Return the inputs of the summary of a band that concern its preparation.

        :param node: the NEB work chain of the dearer engine.
        """
        if label not in self.ctx.preparations:
            return {}
        inputs: dict[str, Any] = {'preparation': Dict(self.ctx.preparations[label])}
        bands = node.outputs.bands if 'bands' in node.outputs else {}
        if label + UNPREPARED in bands:
            inputs['unprepared'] = bands[label + UNPREPARED]
        return inputs


def _tasks_of(node: ProcessNode) -> dict[str, Any]:
    return node.outputs.results['tasks'] if 'results' in node.outputs else {}
