"""From a crystal to the barriers of all hops of one ion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, if_
from aiida.orm import Dict, Str

from aiida_embarrier.calculations.network import ends_of, summarise_network
from aiida_embarrier.calculations.paths import resolve_hops
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.base import status_of, why
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.workflows.barrier_inputs import validate_engine_inputs
from aiida_embarrier.workflows.hop_endpoints import HopEndpointsWorkChain
from aiida_embarrier.workflows.preparation import PreparedMigrationWorkChain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode, ProcessBuilder
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import StructureData

    from aiida_embarrier.engines.base import Codes

__all__ = ('MigrationNetworkWorkChain',)


def validate_network_inputs(inputs: Any, _: Any) -> str | None:
    """Check that there are such hops, and the inputs of the engine against its own work chains."""
    if 'structure' not in inputs:
        return 'the input `structure` is missing'
    try:
        resolve_hops(inputs['structure'], inputs['hops'].get_dict(), inputs.get('kinds'))
    except ValueError as error:
        return str(error)
    return validate_engine_inputs(inputs)


class MigrationNetworkWorkChain(HopEndpointsWorkChain, PreparedMigrationWorkChain):
    """The migration barriers of all hops of an ion in a crystal, or of some of them, with any engine.

    The host is relaxed once. All hops share one supercell; of the vacancies (or places of an added ion) that symmetry
    makes of each other one is relaxed and mapped onto the others. All bands are optimised side by side in one call of
    the engine. A hop that fails leaves the others alone: what there is, is an output, and the table says which.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        spec.input(
            'hops',
            valid_type=Dict,
            help='The hops: `ion`, and where wanted `numbers` (a list, as `aiida-embarrier hops` lists them; without '
            'all that go through no other atom), `mechanism`, `max_length`, `extra_vacancies`, `sites`, `symprec`.',
        )
        spec.inputs.validator = validate_network_inputs

        spec.outline(
            cls.setup,
            cls.host_steps(),
            cls.make_endpoints,
            cls.endpoint_steps(),
            cls.interpolate,
            cls.preparation_steps(),
            if_(cls.has_bands)(cls.run_neb, cls.inspect_neb),
            cls.finish,
        )

        spec.output_namespace(
            'bands', valid_type=BandData, dynamic=True, required=False, help='The band of each hop; the last good one.'
        )
        spec.output_namespace(
            'summaries', valid_type=Dict, dynamic=True, required=False, help='Barriers and convergence of each hop.'
        )
        spec.output(
            'network',
            valid_type=Dict,
            required=False,
            help='Table of the hops with their barriers, the barrier for transport in 1, 2 and 3 dimensions, cost.',
        )
        spec.exit_code(312, 'ERROR_NO_BARRIER', message='No hop gave a barrier: {message}')
        spec.exit_code(
            511,
            'ERROR_SOME_HOPS',
            message='{failed} of {n_hops} hops gave no converged barrier; what the others gave are outputs: {message}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: Codes,
        *,
        structure: StructureData,
        hops: Mapping[str, Any] | Dict,
        kinds: Dict | None = None,
        engine: str = 'potential',
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        charge: float | None = None,
    ) -> ProcessBuilder:
        """Return a builder with everything filled in; every input can still be changed.

        :param code: the code of the engine, or codes by the names of programs, as those of the barrier work chain.
        :param hops: `{'ion': 'Li'}` for all hops of an ion; further keys as the input `hops` has them.
        :param protocol: `fast`, `balanced` (default) or `stringent`, those of the barrier work chain.
        :param overrides: nested mapping of values that replace those of the protocol; a misspelt key is an error.
        :param options: options of all jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
        :param charge: charge of the cell of endpoints and bands in units of e.
        :raises ValueError: for unknown engines, protocols, keys and functionals, and for codes that are missing.
        """
        given = {
            'structure': structure,
            'kinds': kinds,
            'hops': hops if isinstance(hops, Dict) else Dict(dict(hops)),
        }
        return cls._fill(
            code, given, engine=engine, protocol=protocol, overrides=overrides, options=options, charge=charge
        )

    # ---------------------------------------------------------------- steps

    def setup(self) -> None:
        """Say what is going to happen."""
        super().setup()
        self.ctx.computed = {}
        hops = self.inputs.hops.get_dict()
        which = 'all hops' if hops.get('numbers') is None else f'hops {", ".join(map(str, hops["numbers"]))}'
        self.report(f'barriers of {which} of {hops["ion"]} in {self.ctx.host.get_formula()}, engine {self.engine.name}')

    def make_endpoints(self) -> ExitCode | None:
        """Make the endpoints of all hops in one supercell of the host."""
        return self._make_endpoints(self.inputs.hops, self.inputs.structure)

    def interpolate(self) -> None:
        """Make the starting bands."""
        for label, path in self.ctx.paths.items():
            if label in self.ctx.failures:
                continue
            ends = {side: self.ctx.relaxed[end] for side, end in ends_of(label).items()}
            band, message = self._interpolate(**ends, path=path, label=f'interpolate_{label}')
            if band is None:
                self._fail(label, message)
            else:
                self.ctx.guesses[label] = band

    def _ends_of(self, label: str) -> dict[str, str]:
        return ends_of(label)

    def has_bands(self) -> bool:
        """Return whether there is a band to optimise."""
        return bool(self.ctx.guesses)

    def run_neb(self) -> Any:
        """Optimise all bands side by side."""
        node = self._submit_neb(self._starting_bands())
        images = self.inputs.n_images.value
        self.report(f'optimising {len(self.ctx.guesses)} band(s) of {images} images in one go: {node.pk}')
        return ToContext(neb=node)

    def inspect_neb(self) -> None:
        """Take the bands, also those that did not converge."""
        node = self.ctx.neb
        tasks = self._take_results('neb', node)
        bands = node.outputs.bands if 'bands' in node.outputs else {}
        for label, guess in self.ctx.guesses.items():
            task = tasks.get(label, {})
            if label not in bands:
                self._fail(label, task.get('message') or why(node))
                continue
            summary = self._summarise(
                bands[label],
                f'summarise_{label}',
                path=self.ctx.paths[label],
                guess=self.ctx.starts.get(label, guess),
                label=Str(label),
                **self._of_preparation(label, node),
            )
            if summary is not None:
                self.ctx.computed[label] = summary
            if status_of(task, node) is not Status.CONVERGED:
                self._fail(label, task.get('message') or why(node))

    def finish(self) -> ExitCode | None:
        """Attach what there is, and the table."""
        bands = {label: self.ctx.neb.outputs.bands[label] for label in self.ctx.computed}
        if bands:
            self.out('bands', bands)
            self.out('summaries', self.ctx.computed)
        table, node = summarise_network.run_get_node(
            crystal=self.inputs.structure,
            hops=self.inputs.hops,
            plan=self.ctx.plan,
            failures=Dict(self.ctx.failures),
            **self._kinds(),
            **{f'band_{label}': band for label, band in bands.items()},
            **{f'summary_{label}': summary for label, summary in self.ctx.computed.items()},
            **{f'results_{name}': results for name, results in self.ctx.results.items()},
            metadata={'call_link_label': 'summarise_network'},
        )
        if node.is_finished_ok:
            self.out('network', table)
            self.report(
                f'{table["n_converged"]} of {len(table["hops"])} hops converged; symmetry saved '
                f'{table["relaxations_saved"]} relaxations'
            )
        alike: dict[str, list[str]] = {}
        for label, text in self.ctx.failures.items():
            alike.setdefault(text, []).append(label)
        message = '; '.join(f'{", ".join(labels)}: {text}' for text, labels in alike.items())
        if not bands:
            return self.exit_codes.ERROR_NO_BARRIER.format(message=message)
        if self.ctx.failures:
            return self.exit_codes.ERROR_SOME_HOPS.format(
                failed=len(self.ctx.failures), n_hops=len(self.ctx.plan['hops']), message=message
            )
        return None
