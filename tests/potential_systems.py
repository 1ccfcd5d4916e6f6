"""Bands on fast potentials, and an evaluator that watches what it is asked."""

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100
from ase.calculators.emt import EMT
from ase.mep import NEB
from ase.optimize import BFGS
from pymatgen.core import Structure

from aiida_embarrier.bands.band import Band
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.potentials.loading import load_model


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
