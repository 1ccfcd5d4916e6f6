"""Speed of a nudged elastic band against ASE and matcalc, on the same machine and from the same starting band.

The peers run in an environment of their own: `make peers`, then `python tests/benchmarks/neb_speed.py`; some minutes on
a machine that does nothing else. The last line is a JSON object.

LiFePO4, one lithium vacancy, 55 atoms, hop along [010], seven images of which five move, climbing image, largest force
0.05 eV/Å, CHGNet 0.3.0. Wall times are from the starting band to the converged one, without imports and loading of the
model. The peers may use all cores by the threads of torch; the worker runs a process of one thread on each. A peer that
did not converge within the time limit counts with that time: its ratio is a lower bound.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ase.io import write
from potential_systems import relaxed_with

from aiida_embarrier.bands.band import Band
from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.bands.io import write_npz
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import Job, NebTask
from aiida_embarrier.potentials.loading import open_evaluator, verify_potential
from aiida_embarrier.potentials.resources import available_cores
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.reading import read_structure

ROOT = Path(__file__).parents[2]
PEERS = ('ase_shared', 'ase_per_image', 'matcalc', 'matcalc_fire')
POTENTIAL = resolve_potential('chgnet')


def starting_band(supercell=(1, 2, 1), number=0):
    """Return the interpolated band between relaxed endpoints."""
    crystal = read_structure(ROOT / 'examples' / 'LiFePO4.cif')
    ends = make_endpoints(crystal, find_hops(crystal, 'Li')[number], supercell=supercell).band()
    with open_evaluator(verify_potential(POTENTIAL), 'cpu') as evaluator:
        relaxed = relaxed_with([ends.atoms(0), ends.atoms(1)], evaluator)
    return interpolate(ends.replace(positions=[atoms.positions for atoms in relaxed]), 7)


def run_worker(folder: Path, bands: dict[str, Band], device: str, **settings) -> dict:
    """Run a job of bands as users do and return how it went, timed from the first to the last line of its progress."""
    folder.mkdir(parents=True)
    tasks = [NebTask(label=label, **settings) for label in bands]
    for task in tasks:
        write_npz(folder / task.band_file, bands[task.label])
    (folder / 'job.json').write_text(Job(potential=POTENTIAL, tasks=tasks, device=device).model_dump_json())
    worker = Path(sys.executable).parent / 'embarrier-worker'
    subprocess.run([str(worker), 'run', 'job.json'], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    results = json.loads((folder / 'results.json').read_text())
    events = [json.loads(line) for line in (folder / 'progress.jsonl').read_text().splitlines()]
    return {
        'wall_s': events[-1]['time'] - events[0]['time'],
        'evaluations': results['n_evaluations'],
        'steps': max(task['n_steps'] for task in results['results']),
        'converged': all(task['status'] == 'converged' for task in results['results']),
        'barrier': results['results'][0]['barriers'][-1],
        'device': results['device'],
        'mirrored': results['results'][0]['mirrored'],
    }


def run_peer(python: Path, name: str, path: Path, settings: NebTask, limit: float) -> dict:
    """Run a peer and return how it went."""
    script = Path(__file__).with_name('neb_speed_peers.py')
    numbers = [str(number) for number in (settings.force_threshold, settings.spring_constant, limit)]
    command = [str(python), str(script), name, str(path), *numbers]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def one_job_or_many(folder: Path, n_hops: int, device: str) -> dict:
    """Compare a job of many bands with as many jobs of one."""
    base = starting_band()
    bands = {f'hop_{number}': base for number in range(n_hops)}
    together = run_worker(folder / 'together', bands, device, use_symmetry=False)
    apart = [run_worker(folder / label, {label: band}, device, use_symmetry=False) for label, band in bands.items()]
    seconds = sum(run['wall_s'] for run in apart)
    return {'together_s': together['wall_s'], 'one_after_the_other_s': seconds, 'ratio': seconds / together['wall_s']}


def main():
    """Print a table and a JSON object; the exit status is 1 where a barrier is off by more than 5 meV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peers', type=Path, default=ROOT / '.venv-peers' / 'bin' / 'python', help='their Python')
    parser.add_argument('--device', default='auto', help='for the worker: cpu, cuda or auto')
    parser.add_argument('--limit', type=float, default=400, help='seconds after which a peer is ended')
    parser.add_argument('--hops', type=int, default=0, help='compare one job of so many hops with as many jobs, too')
    arguments = parser.parse_args()
    if not arguments.peers.exists():
        parser.error(f'there is no {arguments.peers}: run `make peers`')
    settings = NebTask(label='path')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        band = starting_band()
        write(folder / 'band.extxyz', [band.atoms(index) for index in range(band.n_images)])
        runs = {'worker': run_worker(folder / 'job', {'path': band}, arguments.device)}
        runs['worker_without_symmetry'] = run_worker(
            folder / 'whole', {'path': band}, arguments.device, use_symmetry=False
        )
        for peer in PEERS:
            runs[peer] = run_peer(arguments.peers, peer, folder / 'band.extxyz', settings, arguments.limit)
        many = one_job_or_many(folder / 'many', arguments.hops, arguments.device) if arguments.hops else None
    print(f'{"":26}{"wall s":>9}{"ratio":>8}{"evals":>8}{"an image":>10}{"barrier/eV":>12}  converged')
    for label, run in runs.items():
        run['evaluations_per_image'] = run['evaluations'] / (band.n_images - 2)
        run['speedup'] = run['wall_s'] / runs['worker']['wall_s']
        barrier = 'none' if run['barrier'] is None else f'{run["barrier"]:.4f}'
        print(
            f'{label:26}{run["wall_s"]:9.1f}{run["speedup"]:8.2f}{run["evaluations"]:8}'
            f'{run["evaluations_per_image"]:10.1f}{barrier:>12}  {run["converged"]}'
        )
    off = abs(runs['worker']['barrier'] - runs['ase_per_image']['barrier'])
    report = {f'speedup_vs_{peer}': round(runs[peer]['speedup'], 2) for peer in PEERS}
    report |= {f'evaluations_per_image_{label}': round(run['evaluations_per_image'], 1) for label, run in runs.items()}
    report |= {
        'atoms': band.n_atoms,
        'images': band.n_images,
        'cores': available_cores(),
        'load_average': round(os.getloadavg()[0], 2),
        'barrier_difference_meV': round(1000 * off, 2),
        'runs': runs,
    }
    if many is not None:
        report['many_hops'] = many
    print(json.dumps(report))
    sys.exit(off > 0.005)


if __name__ == '__main__':
    main()
