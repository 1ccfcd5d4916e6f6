"""The energy, or the relaxation, of one crystal with VASP, restarted until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ProcessHandlerReport, process_handler, while_
from aiida.orm import Dict, Str, StructureData

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.data.convert import structure_from_node
from aiida_embarrier.engines.vasp.base import CODES, VaspRestartWorkChain
from aiida_embarrier.engines.vasp.calculation import VaspStructureCalculation
from aiida_embarrier.engines.vasp.incar import Task
from aiida_embarrier.engines.vasp.results import fetch_structure
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    import numpy as np
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import CalcJobNode

__all__ = ('VaspStructureWorkChain',)

#: A cell that was strained by more than this is relaxed again, as its plane waves are those of the old cell; so often.
CELL_CHANGE, MAX_CELL_RERUNS = 0.005, 3

#: What a chain can do: a static calculation of an endpoint of a band, or a relaxation.
TASKS = ('fixed', 'full', 'endpoint')


def validate_task(node: Str | None, _: Any) -> str | None:
    """Check what is to be done."""
    if node is not None and node.value not in TASKS:
        return f'unknown task {node.value!r}: choose one of {", ".join(TASKS)}'
    return None


class VaspStructureWorkChain(VaspRestartWorkChain):
    """Relax a crystal, or compute its energy with the settings of a band."""

    _process_class = VaspStructureCalculation
    _subject = 'structure'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the inputs, the outline and the outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, help='The crystal.')
        spec.input('kinds', valid_type=Dict, required=False, help='Moments and U by the names of the kinds.')
        spec.input(
            'task',
            valid_type=Str,
            default=lambda: Str('fixed'),
            validator=validate_task,
            help='Relax positions (`fixed`), positions and cell (`full`), or the energy of an endpoint (`endpoint`).',
        )
        spec.outline(
            cls.setup,
            cls.take_over,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.output('structure', valid_type=StructureData, required=False, help='The last good structure.')

    def setup(self) -> Any:
        """Collect the inputs of the first job."""
        self.ctx.n_reruns = 0
        exit_code = super().setup()
        if 'kinds' in self.inputs:
            self.ctx.inputs.kinds = self.inputs.kinds
        return exit_code

    def _plain(self) -> Any:
        return structure_from_node(self.inputs.structure, self.inputs.get('kinds'))

    def _kinds(self) -> Any:
        return kinds_of(self._plain())

    def _lattice(self) -> np.ndarray:
        lattice: np.ndarray = self._plain().lattice.matrix
        return lattice

    def _task(self) -> Task:
        if self.inputs.task.value == 'endpoint':
            return Task('static', in_band=True)
        return Task('relax', cell=self.inputs.task.value)

    def _criteria(self) -> dict[str, Any]:
        relaxes = self.inputs.task.value != 'endpoint'
        return {
            'force_threshold': self.ctx.protocol['relax']['force_threshold'] if relaxes else None,
            'cell': 'full' if self.inputs.task.value == 'full' else 'fixed',
        }

    def _shorter_steps(self) -> dict[str, Any]:
        return {'POTIM': self._incar().get('POTIM', 0.5) / 2}

    def _fetch(self, job: CalcJobNode) -> StructureData:
        kinds = {'kinds': self.inputs.kinds} if 'kinds' in self.inputs else {}
        return fetch_structure(
            structure=job.inputs.structure,
            folder=job.outputs.remote_folder,
            protocol=self.inputs.protocol,
            criteria=job.inputs.criteria,
            **kinds,
        )

    @process_handler(priority=470, exit_codes=[CODES.ERROR_IONIC_NOT_CONVERGED])
    def handle_ionic(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Go on relaxing what reached its step limit."""
        results = node.outputs.results.get_dict()
        if not self._may_extend() or self.ctx.protocol['relax']['max_steps'] == 0:
            return self._give_up('ERROR_NOT_CONVERGED', Status.NOT_CONVERGED)
        return self._again(node, f'going on relaxing, the largest force is {results["max_force"]:.3f} eV/Å')

    @process_handler(priority=100, exit_codes=[CODES.NO_ERROR])
    def handle_changed_cell(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Relax again a cell that changed much: VASP kept the plane waves of the cell that it began with."""
        results = node.outputs.results.get_dict()
        if self.inputs.task.value != 'full' or results['strain'] < CELL_CHANGE:
            return None
        if self.ctx.n_reruns >= MAX_CELL_RERUNS:
            self.report(f'the cell still changed by {results["strain"]:.3f} in job {node.pk}; it is taken as it is')
            return None
        self.ctx.n_reruns += 1
        return self._again(node, f'the cell changed by {results["strain"]:.3f}: relaxing it with its own plane waves')
