"""What the work chains of many structures and of many bands share: one chain for each, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aiida.engine import WorkChain
from aiida.orm import Bool, Dict, Int

from aiida_embarrier.engines.base import status_of, why
from aiida_embarrier.engines.vasp.base import define_shared_inputs
from aiida_embarrier.engines.vasp.results import collect
from aiida_embarrier.jobs.schemas import GRAVEST_FIRST

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_embarrier.engines.vasp.base import VaspRestartWorkChain

__all__ = ('VaspManyWorkChain',)


class VaspManyWorkChain(WorkChain):
    """Run a restart work chain for each entry of a namespace, and return what they return under the same labels."""

    _chain: ClassVar[type[VaspRestartWorkChain]]
    _namespace: ClassVar[str]
    _subject: ClassVar[str]

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline, the outputs and the exit codes."""
        super().define(spec)
        define_shared_inputs(spec)
        spec.input('max_iterations', valid_type=Int, default=lambda: Int(20), help='Jobs allowed for each entry.')
        spec.input(
            'clean_workdir', valid_type=Bool, default=lambda: Bool(False), help='Remove the folders of the jobs.'
        )
        spec.outline(cls.run_chains, cls.inspect_chains)
        spec.output('results', valid_type=Dict, required=False, help='Status, energies, steps and cost of each entry.')
        spec.exit_code(201, 'ERROR_INVALID_INPUT', message='{message}')
        spec.exit_code(310, 'ERROR_UNRECOVERABLE', message='{message}')
        spec.exit_code(311, 'ERROR_ENDPOINTS', message='{message}')
        spec.exit_code(312, 'ERROR_NO_VTST', message='{message}')
        spec.exit_code(410, 'ERROR_ELECTRONIC_NOT_CONVERGED', message='{message}')
        spec.exit_code(420, 'ERROR_WALL_TIME', message='{message}')
        spec.exit_code(501, 'ERROR_NOT_CONVERGED', message='{message}')
        spec.exit_code(502, 'ERROR_DIVERGED', message='{message}')

    def _further(self) -> dict[str, Any]:
        """Return further inputs of each chain."""
        return {}

    def run_chains(self) -> Any:
        """Submit a chain for each entry."""
        shared = {
            name: self.inputs[name]
            for name in ('code', 'protocol', 'charge', 'options', 'vdw_kernel', 'max_iterations', 'clean_workdir')
            if name in self.inputs
        }
        self.ctx.labels = list(self.inputs[self._namespace])
        for label in self.ctx.labels:
            node = self.submit(
                self._chain,
                metadata={'call_link_label': label},
                **{self._subject: self.inputs[self._namespace][label]},
                **shared,
                **self._further(),
            )
            self.report(f'{self._subject} {label!r}: {node.pk}')
            self.to_context(**{f'chain_{label}': node})

    def inspect_chains(self) -> ExitCode | None:
        """Collect what the chains returned."""
        chains: dict[str, ProcessNode] = {label: self.ctx[f'chain_{label}'] for label in self.ctx.labels}
        found = {label: node.outputs[self._subject] for label, node in chains.items() if self._subject in node.outputs}
        if found:
            self.out(self._namespace, found)
        reports = {label: node.outputs.results for label, node in chains.items() if 'results' in node.outputs}
        if reports:
            self.out('results', collect(**reports))
        failed = {label: node for label, node in chains.items() if not node.is_finished_ok}
        if not failed:
            return None

        def gravity(label: str) -> int:
            task = reports[label].get_dict() if label in reports else {}
            return GRAVEST_FIRST.index(status_of(task, chains[label]))

        label = min(failed, key=gravity)
        message = f'{self._subject} {label!r}: {why(failed[label])}'
        known = {code.status: code for code in self.exit_codes.values()}
        code = known.get(failed[label].exit_status, self.exit_codes.ERROR_UNRECOVERABLE)
        return code.format(message=message)
