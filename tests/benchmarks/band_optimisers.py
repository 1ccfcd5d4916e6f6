"""Optimisers of a band on twelve hops of the literature: how many evaluations each takes to the same convergence.

Run with `python tests/benchmarks/band_optimisers.py`; it takes an hour on one core, because the slow ones do. What was
computed is kept in the folder of `--cache`, so that a run that was stopped goes on. The last line is a JSON object.

The hops are entries of the barriers in ../shared/data, one of each class and ion that fits into 50 atoms: the endpoints
are relaxed at fixed cell with CHGNet, seven images, climbing, largest force 0.05 eV/Å, no mapping by symmetry. One step
of an optimiser costs one evaluation of each image that moved.
"""

import argparse
import gzip
import json
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).parents[1]))

import warnings

import numpy as np
from ase import Atoms
from ase.optimize.precon import Exp
from potential_systems import band_of, relaxed_with

from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.bands.io import read_npz, write_npz
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import NebTask, Status
from aiida_embarrier.potentials.band_optimisers import QuasiNewtonBand
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.loading import load_model, verify_potential
from aiida_embarrier.potentials.neb import NudgedElasticBand
from aiida_embarrier.potentials.optimisers import FireOptimiser, LbfgsOptimiser

DATA = Path(__file__).parents[3] / 'shared' / 'data' / 'barriers_train' / 'barriers_train.json.gz'
NAMES = (
    *('e-VOPO4_Li_1', 'e-VOPO4_Na_2', 'Fe2S3O12_Ca', 'Li3OCl_2', 'Na3SeCl', 'KVF3'),
    *('CaCu2S2_2', 'Na7P3O11', 'Mn2S4_Zn', 'CaNiN_1', 'Cr2O4_Li', 'TiS2_Mg'),
)
MAX_STEPS = 150


class WholeBand:
    """An optimiser of points as one of bands: all moving images are one point."""

    def __init__(self, optimiser):
        self._optimiser = optimiser

    def step(self, positions, forces, band_forces, climbing):  # noqa: ARG002  (what drives the band is enough)
        moving = positions[1:-1]
        return self._optimiser.step(moving.ravel().copy(), -band_forces.driving.ravel()).reshape(moving.shape)


class Preconditioned:
    """FIRE with ASE's exponential preconditioner (Packwood et al., J. Chem. Phys. 144, 164109 (2016)) on each image."""

    def __init__(self, band, settings):
        self._precon = Exp(A=3, mu=1.0, c_stab=0.1)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            self._precon.make_precon(band.atoms(band.n_images // 2))
        self._fire = FireOptimiser(3 * band.n_atoms * (band.n_images - 2), settings.time_step, settings.max_step_length)

    def step(self, positions, forces, band_forces, climbing):  # noqa: ARG002
        moving = positions[1:-1]
        # a mu of 1 eV/Å² makes a metric only, which is brought to the scale of the forces
        driving = np.stack([self._precon.solve(force.ravel()) for force in band_forces.driving]) * 3
        return self._fire.step(moving.ravel().copy(), -driving.ravel()).reshape(moving.shape)


class Restless(QuasiNewtonBand):
    """All images move in every step."""

    REST = 0.0


def optimisers():
    """Return for each name what makes the optimiser of a task."""
    return {
        'fire': None,
        'preconditioned fire': lambda task, band: Preconditioned(band, task),
        'l-bfgs': lambda task, band: WholeBand(
            LbfgsOptimiser(3 * band.n_atoms * (band.n_images - 2), task.max_step_length)
        ),
        'quasi-newton, no rest': lambda task, _: Restless(
            task.max_step_length, task.spring_constant, task.force_threshold
        ),
        'quasi-newton': None,
        'quasi-newton, linear start': None,
    }


def starting_bands(model, cache):
    """Yield name and endpoints of each hop, relaxed."""
    with gzip.open(DATA) as handle:
        records = {record['sys_name']: record for record in json.load(handle)}
    for name in NAMES:
        path = cache / f'{name}.npz'
        if not path.exists():
            record = records[name]
            symbols = [record['mobile_species'], *record['species']]
            ends = [
                Atoms(symbols, scaled_positions=[place, *record['frac_coords']], cell=record['lattice'], pbc=True)
                for place in (record['path_frac'][0], record['path_frac'][-1])
            ]
            write_npz(path, band_of(relaxed_with(ends, model), [0]))
        yield name, read_npz(path)


def run(name, make, ends, model, spec):
    """Return how one optimiser fared with one hop."""
    settings = NebTask(
        label='path',
        max_steps=MAX_STEPS,
        use_symmetry=False,
        optimiser='fire' if name == 'fire' else 'quasi_newton',
    )
    band = interpolate(ends, 7, method='linear' if 'linear' in name else 'idpp')
    task = NudgedElasticBand(settings, band, spec)
    if make is not None:
        task._optimiser = make(settings, band)
    run_tasks([task], model)
    result = task.result()
    return {
        'converged': result.status is Status.CONVERGED,
        'evaluations': result.n_evaluations,
        'barrier': round(result.barriers[-1], 4),
        'lowest': round(float(task.band.energies.min() - task.band.energies[0]), 4),
    }


def main():
    """Print a table and a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--cache', type=Path, default=Path('/tmp/embarrier_band_optimisers'))
    parser.add_argument('--only', nargs='*', help='names of optimisers')
    arguments = parser.parse_args()
    arguments.cache.mkdir(exist_ok=True, parents=True)
    spec = verify_potential(resolve_potential('chgnet'))
    model = load_model(spec, 'cpu')
    chosen = {name: make for name, make in optimisers().items() if not arguments.only or name in arguments.only}
    rows = {}
    print(f'{"hop":16}' + ''.join(f'{name:>28}' for name in chosen), flush=True)
    for hop, ends in starting_bands(model, arguments.cache):
        row = rows[hop] = {}
        for name, make in chosen.items():
            path = arguments.cache / f'{hop}.{name.replace(" ", "_")}.json'
            if not path.exists():
                path.write_text(json.dumps(run(name, make, ends, model, spec)))
            row[name] = json.loads(path.read_text())
        cells = (f'{r["evaluations"]}{"" if r["converged"] else "!"} {r["barrier"]:.3f} eV' for r in row.values())
        print(f'{hop:16}' + ''.join(f'{cell:>28}' for cell in cells), flush=True)
    totals = {name: sum(row[name]['evaluations'] for row in rows.values()) for name in chosen}
    unconverged = {name: sum(not row[name]['converged'] for row in rows.values()) for name in chosen}
    print(f'{"sum":16}' + ''.join(f'{totals[name]:>28}' for name in chosen))
    print(json.dumps({'evaluations': totals, 'unconverged': unconverged, 'hops': rows}))


if __name__ == '__main__':
    main()
