"""An engine that makes barriers up, so that tests of comparisons know what has to come out.

It computes nothing: energies along the path, moments and times follow from functional, charge and climbing image by the
rules in :func:`expected_barrier` and :data:`COSTS`. The structure of its work chains is that of real engines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode, WorkChain, calcfunction
from aiida.orm import Dict, Float, Str, StructureData

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_geometry, structure_from_node
from aiida_embarrier.engines.base import Engine
from aiida_embarrier.jobs.schemas import Geometry

PROTOCOL = {
    'default': {
        'functional': 'pbe',
        'hubbard_u': {},
        'fail': None,  # host, endpoints, neb (does not converge) or band (nothing comes out)
        'relax': {'force_threshold': 0.03},
        'neb': {'force_threshold': 0.05, 'climb': True},
    },
    'protocols': {'balanced': {}, 'fast': {}, 'stringent': {}},
}

#: What a functional adds to the barrier in eV, and what one structure takes in seconds.
OFFSETS = {'pbe': -0.1, 'pbe+u': 0.15, 'scan': 0.01, 'scan+u': -0.12}
COSTS = {'pbe': 10.0, 'pbe+u': 11.0, 'scan': 40.0, 'scan+u': 50.0}
#: By how much the lattice of each functional is longer.
STRETCH = {'pbe': 1.01, 'pbe+u': 1.02, 'scan': 1.0, 'scan+u': 1.005}
CORES = 4
BASE = {'Al': 0.6, 'Cu': 0.8}
PER_CHARGE, PER_CLIMBING, TILT = 0.01, 0.004, 0.05


def expected_barrier(ion: str, functional: str, charge: float, climbing: bool) -> float:
    """Return the forward barrier that the engine makes up, in eV."""
    return BASE[ion] + OFFSETS[functional] + PER_CHARGE * charge + PER_CLIMBING * climbing


def inputs_from_protocol(protocol: dict[str, Any], *, code: None = None, options: Any = None) -> dict[str, Any]:
    shared = {name: protocol[name] for name in ('functional', 'hubbard_u', 'fail')}
    return {kind: {'parameters': Dict({**shared, **protocol[kind]})} for kind in ('relax', 'neb')}


@calcfunction
def made_up_relax(structure: StructureData, cell: Str, parameters: Dict) -> dict[str, Any] | ExitCode:
    host = cell.value == 'full'
    if parameters['fail'] == ('host' if host else 'endpoints'):
        return ExitCode(310, 'the electrons did not converge')
    plain = structure_from_node(structure)
    if host:
        plain.scale_lattice(plain.volume * STRETCH[parameters['functional']] ** 3)
    geometry = Geometry(
        lattice=plain.lattice.matrix.tolist(),
        elements=[site.specie.symbol for site in plain],
        positions=plain.cart_coords.tolist(),
    )
    task = {'status': 'converged', 'message': '', 'energy': -float(len(plain)), 'n_steps': 2, 'n_evaluations': 3}
    return {'structure': node_from_geometry(geometry, structure), 'task': Dict(task)}


@calcfunction
def made_up_neb(band: BandData, parameters: Dict, charge: Float) -> dict[str, Any] | ExitCode:
    if parameters['fail'] == 'band':
        return ExitCode(310, 'the electrons did not converge')
    plain = band.band
    functional, climb = parameters['functional'], parameters['climb']
    part = np.linspace(0, 1, plain.n_images)
    height = expected_barrier(str(plain.mobile_ion), functional, charge.value, climb)
    bump = np.sin(np.pi * part) ** 2
    energies = height * bump + TILT * (part - 0.5 * bump)
    energies += (height - energies.max()) * bump
    moments = np.ones((plain.n_images, plain.n_atoms))
    if functional.endswith('+u'):  # an electron settles on the second atom while the ion passes
        moments[:, 1] -= bump
    converged = parameters['fail'] != 'neb'
    result = plain.replace(
        energies=energies,
        forces=np.zeros(plain.positions.shape),
        max_perpendicular_forces=np.full(plain.n_images, 0.01 if converged else 0.5),
        moments=moments,
        residual_force=0.01 if converged else 0.5,
        converged=converged,
        climbing=climb,
        engine='made-up',
        functional=functional,
        charge=charge.value,
    )
    n_steps = 5 if band.is_computed else 20
    task = {
        'status': 'converged' if converged else 'not_converged',
        'message': '' if converged else '0.500 eV/Å after 20 steps',
        'n_steps': n_steps,
        'n_evaluations': n_steps * (plain.n_images - 2),
    }
    return {'band': BandData(result), 'task': Dict(task)}


@calcfunction
def gather(parameters: Dict, **tasks: Dict) -> Dict:
    found = {label: task.get_dict() for label, task in tasks.items()}
    count = sum(task['n_evaluations'] for task in found.values())
    wall = count * COSTS[parameters['functional']]
    return Dict({'tasks': found, 'n_evaluations': count, 'wall_s': wall, 'core_s': CORES * wall})


class MadeUpWorkChain(WorkChain):
    """What both work chains share."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('parameters', valid_type=Dict)
        spec.input('charge', valid_type=Float, default=lambda: Float(0.0))
        spec.output('results', valid_type=Dict, required=False)
        spec.outline(cls.run_tasks)
        spec.exit_code(310, 'ERROR_FAILED', message='{message}')
        spec.exit_code(501, 'ERROR_NOT_CONVERGED', message='Not converged: {message}')

    def run_tasks(self) -> ExitCode | None:
        made = {}
        for label in self.inputs[self.namespace]:
            outputs, node = self.run_task(label)
            if not node.is_finished_ok:
                return self.exit_codes.ERROR_FAILED.format(message=node.exit_message)
            made[label] = outputs
        results = gather(self.inputs.parameters, **{label: outputs['task'] for label, outputs in made.items()})
        self.out('results', results)
        self.out(self.namespace, {label: outputs[self.namespace[:-1]] for label, outputs in made.items()})
        wrong = [task['message'] for task in results['tasks'].values() if task['message']]
        return self.exit_codes.ERROR_NOT_CONVERGED.format(message=wrong[0]) if wrong else None


class MadeUpRelaxWorkChain(MadeUpWorkChain):
    """Relax structures."""

    namespace = 'structures'

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input_namespace('structures', valid_type=StructureData, dynamic=True)
        spec.input('kinds', valid_type=Dict, required=False)
        spec.input('cell', valid_type=Str, default=lambda: Str('fixed'))
        spec.output_namespace('structures', valid_type=StructureData, dynamic=True, required=False)

    def run_task(self, label: str) -> Any:
        return made_up_relax.run_get_node(self.inputs.structures[label], self.inputs.cell, self.inputs.parameters)


class MadeUpNebWorkChain(MadeUpWorkChain):
    """Optimise bands."""

    namespace = 'bands'

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input_namespace('bands', valid_type=BandData, dynamic=True)
        spec.output_namespace('bands', valid_type=BandData, dynamic=True, required=False)

    def run_task(self, label: str) -> Any:
        return made_up_neb.run_get_node(self.inputs.bands[label], self.inputs.parameters, self.inputs.charge)


ENGINE = Engine(
    name='made-up',
    description='barriers that tests know',
    relax='made_up.relax',
    neb='made_up.neb',
    protocol=PROTOCOL,
    inputs='functional_engine:inputs_from_protocol',
    functionals=tuple(OFFSETS),
    functional_table=Path(__file__).with_suffix('.yaml'),
    capabilities=frozenset({'charge', 'magnetism', 'hubbard'}),
)
