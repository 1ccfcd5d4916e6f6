"""The nudged elastic band of this package against ASE's: same potential, starting band and settings.

Run with `python tests/benchmarks/neb_vs_ase.py`; it takes some minutes. The last line is a JSON object.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import ase
from potential_systems import (
    adatom_hop,
    crystal_hop,
    line,
    lithium_iron_phosphate,
    lithium_oxide,
    run_ase,
    run_own,
    surface,
    vacancy_hop,
)

from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import NebTask, Status

TOLERANCE_EV = 0.005
EXACT_TOLERANCE_EV = 0.001


def systems():
    """Yield name, potential, starting band and, where it is known, the exact barrier in eV."""
    emt = resolve_potential('ase', calculator='ase.calculators.emt:EMT')
    chgnet = resolve_potential('chgnet')
    # minima of the surface of Müller and Brown, and the saddle between them, in eV at 0.01 eV a unit
    minima = [[-0.55822363, 1.44172584, 0], [-0.05001083, 0.46669410, 0]]
    yield 'Müller-Brown surface', surface('MuellerBrown'), line(minima, 7), -0.4066484 + 1.4669952
    yield 'curved cosine valley', surface('CurvedCosine'), line([[0, 0, 0], [1.4, 0.6, 0.2], [3, 0, 0]], 6), 0.4
    yield 'Al vacancy, EMT', emt, vacancy_hop('Al'), None
    yield 'Cu vacancy, EMT', emt, vacancy_hop('Cu'), None
    yield 'Au adatom on Au(100), EMT', emt, adatom_hop('Au'), None
    yield 'Li2O, CHGNet', chgnet, crystal_hop(lithium_oxide() * (2, 1, 1), chgnet), None
    yield 'LiFePO4, CHGNet', chgnet, crystal_hop(lithium_iron_phosphate(), chgnet), None


def main():
    """Print a table and a JSON object; the exit status is 1 where a barrier is off."""
    rows, failed = [], False
    titles = [f'{title:>{width}}' for title, width in (('evals', 7), ('ASE', 6), ('CPU s', 8), ('ASE', 8))]
    print(f'{"system":28}{"method":17}{"own/eV":>9}{"ASE/eV":>9}{"meV off":>9}', *titles, sep='')
    for name, spec, band, exact in systems():
        for method in ('improvedtangent', 'eb'):
            settings = NebTask(label='path', method=method, force_threshold=0.02 if exact else 0.05)
            start = time.process_time()
            task = run_own(band, spec, settings)
            own_s, start = time.process_time() - start, time.process_time()
            barrier, steps, evaluations = run_ase(band, spec, settings)
            ase_s = time.process_time() - start
            own = task.result()
            row = {
                'system': name,
                'method': method,
                'n_atoms': band.n_atoms,
                'n_images': band.n_images,
                'barrier_eV': own.barriers[-1],
                'ase_barrier_eV': barrier,
                'exact_barrier_eV': exact,
                'converged': own.status == Status.CONVERGED,
                'steps': own.n_steps,
                'ase_steps': steps,
                'evaluations': own.n_evaluations,
                'ase_evaluations': evaluations,
                'cpu_s': round(own_s, 2),
                'ase_cpu_s': round(ase_s, 2),
            }
            rows.append(row)
            off = own.barriers[-1] - barrier
            failed |= abs(off) > TOLERANCE_EV or not row['converged']
            failed |= exact is not None and abs(own.barriers[-1] - exact) > EXACT_TOLERANCE_EV
            print(
                f'{name:28}{method:17}{own.barriers[-1]:9.4f}{barrier:9.4f}{1000 * off:9.2f}{own.n_evaluations:7d}'
                f'{evaluations:6d}{own_s:8.1f}{ase_s:8.1f}',
                flush=True,
            )
    print(json.dumps({'ase': ase.__version__, 'tolerance_eV': TOLERANCE_EV, 'within': not failed, 'rows': rows}))
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
