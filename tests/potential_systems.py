"""Bands on fast potentials, and an evaluator that watches what it is asked."""

import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.io import read
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from ase.spacegroup import crystal
from pymatgen.core import Structure

from aiida_embarrier.bands.band import Band
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import Geometry, RelaxTask, Status
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.loading import load_model, open_evaluator, verify_potential
from aiida_embarrier.potentials.neb import NudgedElasticBand
from aiida_embarrier.potentials.relaxation import Relaxation


def surface(name, **arguments):
    """Return the pinned potential of a calculator in analytic_surfaces."""
    return resolve_potential('ase', calculator=f'analytic_surfaces:{name}', arguments=arguments, distribution=None)


def emt():
    return surface('FreshEMT')


def band_of(images, mobile=()):
    structures = [
        Structure(atoms.cell.array, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True)
        for atoms in images
    ]
    return Band.from_structures(structures, mobile)


def line(points, n_images):
    """Return a band of one Li atom through the points, images at equal distances."""
    points = np.array(points, dtype=float)
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.linspace(0, lengths[-1], n_images)
    positions = np.stack([np.interp(places, lengths, points[:, axis]) for axis in range(3)], axis=1)
    return band_of([Atoms('Li', positions=[position], cell=[20, 20, 20], pbc=True) for position in positions], [0])


class Counting:
    """An evaluator that keeps every geometry it saw, and may stop after a number of calls."""

    device, processes = 'cpu', 1

    def __init__(self, spec):
        self.model = load_model(spec, 'cpu')
        self.seen = []
        self.calls = 0

    def evaluate(self, structures, stress=False):
        self.calls += 1
        self.seen += [atoms.positions.tobytes() + atoms.cell.array.tobytes() for atoms in structures]
        return self.model.evaluate(structures, stress=stress)

    def close(self):
        pass


def relaxed(atoms):
    atoms = atoms.copy()
    atoms.calc = EMT()
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=300)
    atoms.calc = None
    return atoms


def vacancy_hop(element, n_images=5):
    """Return a band of a vacancy hop in an fcc metal, 31 atoms, endpoints relaxed."""
    crystal = bulk(element, cubic=True) * (2, 2, 2)
    ion = min(range(1, len(crystal)), key=lambda i: crystal.get_distance(0, i))
    initial, final = crystal.copy(), crystal.copy()
    final.positions[ion] = crystal.positions[0]
    initial, final = relaxed(initial[1:]), relaxed(final[1:])
    images = [initial.copy() for _ in range(n_images - 1)] + [final]
    NEB(images, method='improvedtangent').interpolate('idpp')
    return band_of(images, [ion - 1])


def adatom_hop(element, n_images=5):
    """Return a band of an adatom that hops over a bridge on a (100) surface, 9 atoms, endpoints relaxed."""
    slab = fcc100(element, size=(2, 2, 2), vacuum=6.0)
    add_adsorbate(slab, element, 1.7, 'hollow')
    initial, final = slab.copy(), slab.copy()
    final.positions[-1, 0] += slab.cell[0, 0] / 2
    initial, final = relaxed(initial), relaxed(final)
    initial.pbc = final.pbc = True
    images = [initial.copy() for _ in range(n_images - 1)] + [final]
    NEB(images, method='improvedtangent').interpolate()
    return band_of(images, [len(slab) - 1])


# ---------------------------------------------------------------- real crystals and ASE's own NEB, for comparison


def relaxed_with(structures, evaluator):
    """Return ASE atoms relaxed at fixed cell to the default threshold."""
    tasks = [
        Relaxation(
            RelaxTask(
                label=f'structure_{number}',
                structure=Geometry(
                    lattice=atoms.cell.array.tolist(),
                    elements=atoms.get_chemical_symbols(),
                    positions=atoms.positions.tolist(),
                ),
            )
        )
        for number, atoms in enumerate(structures)
    ]
    run_tasks(tasks, evaluator)
    relaxed_structures = [atoms.copy() for atoms in structures]
    for task, atoms in zip(tasks, relaxed_structures, strict=True):
        assert task.status == Status.CONVERGED, task.message
        atoms.positions = np.array(task.result().structure.positions)
    return relaxed_structures


def crystal_hop(structure, spec, n_images=5):
    """Return a band of the shortest vacancy hop of Li in a crystal at fixed cell, endpoints relaxed."""
    lithium = [index for index, atom in enumerate(structure) if atom.symbol == 'Li']
    vacancy = lithium[0]
    ion = min(lithium[1:], key=lambda index: structure.get_distance(vacancy, index, mic=True))
    initial, final = structure.copy(), structure.copy()
    final.positions[ion] += structure.get_distance(ion, vacancy, mic=True, vector=True)
    del initial[vacancy], final[vacancy]
    with open_evaluator(spec, 'cpu', processes=1) as evaluator:
        ends = relaxed_with([initial, final], evaluator)
    images = [ends[0].copy() for _ in range(n_images - 1)] + [ends[1]]
    NEB(images, method='improvedtangent').interpolate('idpp')
    return band_of(images, [ion - (ion > vacancy)])


def lithium_oxide():
    """Return antifluorite Li2O, 12 atoms, a = 4.619 Å (E. Zintl et al., Z. Elektrochem. 40, 588 (1934))."""
    return crystal(['O', 'Li'], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225, cellpar=[4.619] * 3 + [90] * 3)


def lithium_iron_phosphate():
    """Return LiFePO4, 28 atoms, from the file of the examples."""
    return read(Path(__file__).parents[1] / 'examples' / 'LiFePO4.cif')


class ThroughEvaluator(Calculator):
    """An ASE calculator that asks an evaluator, and counts."""

    implemented_properties = ('energy', 'forces')

    def __init__(self, evaluator):
        super().__init__()
        self.evaluator, self.count = evaluator, 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.count += 1
        outcome = self.evaluator.evaluate([atoms])[0]
        self.results = {'energy': outcome.energy, 'forces': outcome.forces}


def run_ase(band, spec, settings):
    """Run ASE's NEB with the settings of a task; return the forward barrier, steps and evaluations.

    Every image has a calculator of its own, which keeps its last result: ASE asks for each force about three times.
    """
    model = load_model(verify_potential(spec), 'cpu')
    images = [band.atoms(index) for index in range(band.n_images)]
    for atoms in images:
        atoms.calc = ThroughEvaluator(model)
    steps = 0
    for climb, threshold in ((False, settings.climb_threshold), (True, settings.force_threshold)):
        neb = NEB(images, k=settings.spring_constant, climb=climb, method=settings.method)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            optimiser = FIRE(neb, logfile=None, dt=settings.time_step)
            optimiser.run(fmax=threshold, steps=settings.max_steps)
        steps += optimiser.nsteps
    energies = [atoms.get_potential_energy() for atoms in images]
    return max(energies) - energies[0], steps, sum(atoms.calc.count for atoms in images)


def run_own(band, spec, settings):
    """Run the band of this package; return the task when it has ended."""
    task = NudgedElasticBand(settings, band, spec)
    with load_model(verify_potential(spec), 'cpu') as model:
        run_tasks([task], model)
    return task
