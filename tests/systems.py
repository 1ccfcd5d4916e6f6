"""Small systems with known answers that tests of several rooms compute."""

from __future__ import annotations

import ase.calculators.emt
import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100
from ase.optimize import BFGS
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_embarrier.bands.band import Band, BandInfo
from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.jobs.potentials import resolve_potential

#: EMT, ASE's effective medium theory: real forces of fcc metals within milliseconds.
EMT = resolve_potential('ase', model='emt', calculator='ase.calculators.emt:EMT')


def aluminium(repeat=(2, 2, 2)):
    """Return fcc aluminium in cubic cells as a pymatgen structure."""
    return AseAtomsAdaptor.get_structure(bulk('Al', cubic=True).repeat(repeat))


def aluminium_vacancy_ends():
    """Return both ends of the vacancy hop of fcc aluminium, 31 atoms; the first atom moves."""
    structure = aluminium()
    distances = structure.lattice.get_all_distances(structure.frac_coords[:1], structure.frac_coords)[0]
    vacancy = int(np.argsort(distances)[1])
    target = structure.cart_coords[0] + structure[0].distance_and_image(structure[vacancy])[0] * _direction(
        structure, vacancy
    )
    initial = structure.copy()
    initial.remove_sites([vacancy])
    final = initial.copy()
    final.translate_sites([0], target - structure.cart_coords[0], frac_coords=False, to_unit_cell=False)
    return initial, final


def _direction(structure, other):
    _, image = structure[0].distance_and_image(structure[other])
    vector = (structure[other].frac_coords + image - structure[0].frac_coords) @ structure.lattice.matrix
    return vector / np.linalg.norm(vector)


def straight_band(n_images=5, **info):
    """Return the straight band of the vacancy hop of aluminium."""
    initial, final = aluminium_vacancy_ends()
    ends = Band.from_structures([initial, final], mobile=[0])
    weights = np.linspace(0, 1, n_images)[:, None, None]
    positions = ends.positions[0] + weights * (ends.positions[1] - ends.positions[0])
    return Band(
        kinds=ends.kinds,
        kind_indices=ends.kind_indices,
        lattice=ends.lattice,
        positions=positions,
        mobile=(0,),
        info=BandInfo(mechanism='vacancy', host='Al', **info),
    )


def computed_band(**info):
    """Return a band with energies and forces that somebody might have computed."""
    band = straight_band(5, engine='potential', potential='emt', **info)
    return band.replace(
        energies=[0.0, 0.3, 0.6, 0.35, 0.1],
        forces=np.zeros(band.positions.shape),
        max_perpendicular_forces=[np.nan, 0.01, 0.04, 0.02, np.nan],
        converged=True,
        residual_force=0.04,
        climbing=True,
    )


def adatom_path(n_images=9, steps=((1, 0), (0, 1))):
    """Return the path of an Al adatom on Al(100) from hollow to hollow over bridges.

    The hollows are relaxed with EMT, and the images lie straight between them; with two steps the middle one is a
    minimum.

    :param steps: from each hollow to the next, in distances between hollows.
    """
    slab = fcc100('Al', size=(2, 2, 2), vacuum=6.0)
    add_adsorbate(slab, 'Al', 1.7, 'hollow')
    slab.pbc = True
    step = slab.cell[0, 0] / 2
    hollows = []
    for place in np.cumsum([(0, 0), *steps], axis=0) * step:
        atoms = slab.copy()
        atoms.positions[-1, :2] += place
        atoms.calc = ase.calculators.emt.EMT()
        BFGS(atoms, logfile=None).run(fmax=0.01, steps=100)
        hollows.append(AseAtomsAdaptor.get_structure(Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)))
    through = Band.from_structures(hollows, mobile=[len(slab) - 1], info=BandInfo(host='Al', mechanism='any'))
    return interpolate(through, n_images, 'linear')


def with_emt(band, **info):
    """Return a band with the energies and forces that EMT gives its images."""
    energies, forces = [], []
    for image in range(band.n_images):
        atoms = band.atoms(image)
        atoms.calc = ase.calculators.emt.EMT()
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    return band.replace(energies=energies, forces=np.array(forces), engine='potential', potential='emt', **info)
