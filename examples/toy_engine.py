"""A toy engine in one file: effective medium theory (EMT) of ASE for some fcc metals, in calcfunctions.

It shows all that an engine of aiida-embarrier consists of. What really takes time belongs into a CalcJob: a
calcfunction keeps a worker of the daemon busy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import ExitCode, WorkChain, calcfunction
from aiida.orm import Dict, Str, StructureData
from ase.calculators.emt import EMT
from ase.calculators.emt import parameters as elements_of_emt
from ase.calculators.mixing import LinearCombinationCalculator
from ase.filters import FrechetCellFilter
from ase.mep import NEB
from ase.optimize import BFGS

from aiida_embarrier.bands.tangents import band_forces
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_geometry, structure_from_node
from aiida_embarrier.engines.base import Engine
from aiida_embarrier.jobs.schemas import Geometry

#: Every key that a user may change, as `show-protocol --engine toy` prints them, and what the other protocols change.
PROTOCOL = {
    'default': {
        'strength': 1.0,  # factor on all energies
        'relax': {'force_threshold': 0.03, 'max_steps': 200},  # eV/Å
        'neb': {'force_threshold': 0.05, 'max_steps': 200, 'spring_constant': 5.0, 'climb': True},
    },
    'protocols': {
        'balanced': {},
        'fast': {'neb': {'force_threshold': 0.1}},
        'stringent': {'relax': {'force_threshold': 0.01}, 'neb': {'force_threshold': 0.02}},
    },
}


def inputs_from_protocol(protocol: dict[str, Any], *, code: None = None, options: Any = None) -> dict[str, Any]:
    """Return the inputs of both work chains, apart from what the barrier work chain fills in."""
    del code, options  # it runs no program
    shared = {'strength': protocol['strength']}
    return {kind: {'parameters': Dict({**shared, **protocol[kind]})} for kind in ('relax', 'neb')}


def calculator(strength: float) -> Any:
    """Return what computes energies and forces."""
    return LinearCombinationCalculator([EMT()], [strength])


def unknown_elements(symbols: Any) -> ExitCode | None:
    """Return the exit code for elements that EMT does not know."""
    unknown = sorted(set(symbols) - set(elements_of_emt))
    if not unknown:
        return None
    return ExitCode(201, f'EMT knows no {", ".join(unknown)}: it is for {", ".join(elements_of_emt)}')


# ---------------------------------------------------------------- relaxation


@calcfunction
def toy_relax(structure: StructureData, cell: Str, parameters: Dict) -> dict[str, Any] | ExitCode:
    """Relax a structure, positions or also the cell."""
    atoms = structure_from_node(structure).to_ase_atoms()
    problem = unknown_elements(atoms.symbols)
    if problem is not None:
        return problem
    atoms.calc = calculator(parameters['strength'])
    with BFGS(FrechetCellFilter(atoms) if cell.value == 'full' else atoms, logfile=None) as optimiser:
        converged = optimiser.run(fmax=parameters['force_threshold'], steps=parameters['max_steps'])
    # ASE keeps atoms beside where they were; a program that wraps them into the cell would need more here
    geometry = Geometry(lattice=atoms.cell.tolist(), elements=list(atoms.symbols), positions=atoms.positions.tolist())
    task = {
        'status': 'converged' if converged else 'not_converged',
        'message': '' if converged else f'the forces are too large after {optimiser.nsteps} steps',
        'energy': float(atoms.get_potential_energy()),
        'n_steps': optimiser.nsteps,
        'n_evaluations': optimiser.nsteps + 1,
    }
    return {'structure': node_from_geometry(geometry, structure), 'task': Dict(task)}


@calcfunction
def gather(**tasks: Dict) -> Dict:
    """Return the results of all tasks as the contract of an engine wants them."""
    found = {label: task.get_dict() for label, task in tasks.items()}
    return Dict({'tasks': found, 'n_evaluations': sum(task['n_evaluations'] for task in found.values())})


class ToyWorkChain(WorkChain):
    """What both work chains share: one calcfunction for each task; one that fails does not spoil the others."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('parameters', valid_type=Dict)
        spec.output('results', valid_type=Dict, required=False)
        spec.outline(cls.run_tasks)
        spec.exit_code(201, 'ERROR_INPUT', message='{message}')
        spec.exit_code(501, 'ERROR_NOT_CONVERGED', message='Not converged; what there is is an output: {message}')

    def run_tasks(self) -> ExitCode | None:
        made, wrong, refused = {}, [], False
        for label in self.inputs[self.namespace]:
            outputs, node = self.run_task(label)
            if not node.is_finished_ok:
                refused = True
                wrong.append(f'{label}: {node.exit_message}')
                continue
            made[label] = outputs
            if outputs['task']['message']:
                wrong.append(f'{label}: {outputs["task"]["message"]}')
        if made:
            self.out('results', gather(**{label: outputs['task'] for label, outputs in made.items()}))
            self.out(self.namespace, {label: outputs[self.namespace[:-1]] for label, outputs in made.items()})
        if not wrong:
            return None
        code = self.exit_codes.ERROR_INPUT if refused else self.exit_codes.ERROR_NOT_CONVERGED
        return code.format(message='; '.join(wrong))


class ToyRelaxWorkChain(ToyWorkChain):
    """Relax structures."""

    namespace = 'structures'

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input_namespace('structures', valid_type=StructureData, dynamic=True)
        spec.input('kinds', valid_type=Dict, required=False)  # EMT has no use for moments
        spec.input('cell', valid_type=Str, default=lambda: Str('fixed'))
        spec.output_namespace('structures', valid_type=StructureData, dynamic=True, required=False)

    def run_task(self, label: str) -> Any:
        return toy_relax.run_get_node(
            self.inputs.structures[label],
            self.inputs.cell,
            self.inputs.parameters,
            metadata={'call_link_label': f'relax_{label}'},
        )


# ---------------------------------------------------------------- bands


@calcfunction
def toy_neb(band: BandData, parameters: Dict) -> dict[str, Any] | ExitCode:
    """Optimise a band."""
    plain = band.band
    problem = unknown_elements(plain.elements)
    if problem is not None:
        return problem
    images = [plain.atoms(image) for image in range(plain.n_images)]
    for image in images:
        image.calc = calculator(parameters['strength'])
    residuals: list[float] = []
    found: dict[str, Any] = {}

    def look() -> None:
        """Keep what the images are now, and their forces by the package's own definition of convergence."""
        positions = np.array([image.positions for image in images])
        energies = np.array([image.get_potential_energy() for image in images])
        forces = np.array([image.get_forces() for image in images])
        top = int(energies[1:-1].argmax()) + 1
        climbing = top if parameters['climb'] and energies[top] > energies[[0, -1]].max() else None
        left = band_forces(positions, energies, forces, parameters['spring_constant'], climbing=climbing).residuals
        found.update(positions=positions, energies=energies, forces=forces, max_perpendicular_forces=left)
        residuals.append(float(left.max()))

    neb = NEB(images, k=parameters['spring_constant'], climb=parameters['climb'], method='improvedtangent')
    with BFGS(neb, logfile=None) as optimiser:
        optimiser.attach(look)
        optimiser.run(fmax=parameters['force_threshold'], steps=parameters['max_steps'])
    converged = residuals[-1] <= parameters['force_threshold']
    result = plain.replace(
        **found,
        residual_force=residuals[-1],
        converged=converged,
        climbing=parameters['climb'],
        engine='toy',
        potential='emt',
    )
    task = {
        'status': 'converged' if converged else 'not_converged',
        'message': '' if converged else f'{residuals[-1]:.3f} eV/Å after {optimiser.nsteps} steps',
        'n_steps': optimiser.nsteps,
        'n_evaluations': len(residuals) * plain.n_images,
        'residual_forces': residuals,
    }
    return {'band': BandData(result), 'task': Dict(task)}


class ToyNebWorkChain(ToyWorkChain):
    """Optimise bands."""

    namespace = 'bands'

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input_namespace('bands', valid_type=BandData, dynamic=True)
        spec.output_namespace('bands', valid_type=BandData, dynamic=True, required=False)

    def run_task(self, label: str) -> Any:
        return toy_neb.run_get_node(
            self.inputs.bands[label], self.inputs.parameters, metadata={'call_link_label': f'neb_{label}'}
        )


ENGINE = Engine(
    name='toy',
    description="ASE's effective medium theory, as an example",
    relax='toy.relax',
    neb='toy.neb',
    protocol=PROTOCOL,
    inputs='toy_engine:inputs_from_protocol',
    single_point={'neb': {'max_steps': 0}},
)
