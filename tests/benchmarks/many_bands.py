"""Many bands queued through the daemon, which is killed twice meanwhile: all have to finish, and nothing twice.

Bands of vacancy hops in strained and disturbed fcc metals, computed with ASE's effective medium theory, which takes a
few milliseconds an evaluation: what is measured is the machinery. Every evaluation is written into a file, so that
those made twice are counted. The machine has no queue, so a lock lets as many jobs run at a time as there are cores.

    python tests/benchmarks/many_bands.py --bands 20

The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shell import Shell, make_shell

METALS = {'Al': 4.05, 'Ni': 3.52, 'Cu': 3.61, 'Pd': 3.89, 'Ag': 4.09, 'Pt': 3.92, 'Au': 4.08}
FAULTS = (1 / 3, 2 / 3)  # of the processes are done when the daemon is killed


def main() -> int:
    """Run the benchmark; return 0 where nothing was lost and nothing done twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bands', type=int, default=200)
    parser.add_argument('--per-process', type=int, default=1, help='bands of one work chain, which share its job')
    parser.add_argument('--cores', type=int, default=2, help='jobs at a time, and processes of the daemon')
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix='many-bands-'))
    os.environ['AIIDA_PATH'] = str(folder)
    shell = make_shell(folder, prepend_text=queue_of(given.cores, folder))
    shell.start_daemon(given.cores)
    try:
        report = measure(shell, given.bands, given.per_process, given.cores)
    finally:
        shell.kill(
            'start-circus', 'daemon worker', 'daemon broker', 'circus import stats', '_aiidasubmit.sh', 'embarrier'
        )
    shutil.rmtree(folder)
    print(json.dumps(report))
    return 0 if report['finished'] == report['bands'] and not report['evaluations_repeated'] else 1


def queue_of(places: int, folder: Path) -> str:
    """Return lines of a job script that wait until one of so many places is free, and keep it until the job ends."""
    return f'exec 9> {folder}/place-$(( $$ % {places} )).lock; flock 9'


def measure(shell: Shell, n_bands: int, per_process: int, n_workers: int) -> dict[str, object]:
    """Submit the bands, kill the daemon twice, wait for the end, and return the figures."""
    from aiida import load_profile
    from aiida.engine import submit
    from aiida.orm import Dict, load_code
    from aiida.plugins import WorkflowFactory

    from aiida_embarrier.data.band import BandData
    from aiida_embarrier.jobs.potentials import resolve_potential

    load_profile()
    log = shell.folder / 'evaluations.log'
    potential = resolve_potential(
        'ase', model='logged-emt', calculator='analytic_surfaces:LoggedEMT', arguments={'log': str(log)}
    )
    shared = {
        'code': load_code('embarrier-worker@here'),
        'potential': Dict(potential.model_dump(exclude_none=True)).store(),
        'parameters': Dict({'climb': True, 'force_threshold': 0.02}).store(),
        'settings': Dict({'processes': 1}).store(),
    }
    chain = WorkflowFactory('embarrier.potential.neb')
    beginning = time.monotonic()
    pks = []
    for first in range(0, n_bands, per_process):
        numbers = range(first, min(first + per_process, n_bands))
        pks.append(submit(chain, bands={f'band_{i}': BandData(band(i)) for i in numbers}, **shared).pk)
    submitted = time.monotonic() - beginning
    watch = Memory(shell)
    faults = [round(share * len(pks)) for share in FAULTS]
    while (done := count_ended(pks)) < len(pks):
        watch.look()
        if faults and done >= faults[0]:
            faults.pop(0)
            print(f'{done} of {len(pks)} processes are done: killing the daemon', file=sys.stderr)
            shell.kill_daemon()
            time.sleep(2)
            shell.start_daemon(n_workers)
        time.sleep(1)
    seconds = time.monotonic() - beginning
    words = collections.Counter(log.read_text().splitlines())
    return {
        'bands': n_bands,
        'processes': len(pks),
        **results_of(pks),
        'evaluations': words.total(),
        'evaluations_repeated': words.total() - len(words),
        'daemon_killed': len(FAULTS) - len(faults),
        'submission_s': round(submitted, 1),
        'wall_s': round(seconds, 1),
        'bands_per_min': round(60 * n_bands / seconds, 1),
        'daemon_worker_MB': watch.daemon,
        'job_MB': watch.job,
        'load_average': os.getloadavg()[0],
    }


def band(number: int):
    """Return the straight band of a vacancy hop in an fcc metal, strained and disturbed a little."""
    from ase.build import bulk

    from aiida_embarrier.bands.band import Band, BandInfo, Kind

    generator = np.random.default_rng(number)
    element, lattice = list(METALS.items())[number % len(METALS)]
    crystal = bulk(element, cubic=True, a=lattice * generator.uniform(0.98, 1.02)).repeat(2)
    ion = min(range(1, len(crystal)), key=lambda index: crystal.get_distance(0, index))
    way = crystal.positions[0] - crystal.positions[ion]
    crystal.rattle(0.02, rng=generator)
    start = crystal[1:]
    positions = np.repeat(start.positions[None], 5, axis=0)
    positions[:, ion - 1] += np.linspace(0, 1, 5)[:, None] * way
    return Band(
        kinds=(Kind(element, element),),
        kind_indices=np.zeros(len(start), dtype=int),
        lattice=crystal.cell.array,
        positions=positions,
        mobile=(ion - 1,),
        info=BandInfo(mechanism='vacancy', host=element),
    )


def count_ended(pks: list[int]) -> int:
    """Return how many of the processes have ended."""
    from aiida.orm import ProcessNode, QueryBuilder

    from aiida_embarrier.cli.following import refresh_database

    refresh_database()
    states = {'attributes.process_state': {'in': ['finished', 'excepted', 'killed']}, 'id': {'in': pks}}
    return QueryBuilder().append(ProcessNode, filters=states).count()


def results_of(pks: list[int]) -> dict[str, int]:
    """Return how many bands converged, and how many jobs there were."""
    from aiida.orm import load_node

    chains = [load_node(pk) for pk in pks]
    tasks = [task for chain in chains if chain.is_finished_ok for task in chain.outputs.results['tasks'].values()]
    return {
        'finished': sum(task['status'] == 'converged' for task in tasks),
        'jobs': sum(len(chain.called) for chain in chains),
    }


class Memory:
    """The largest memory that processes took so far, in MB.

    :param shell: whose processes are looked at.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.daemon = 0
        self.job = 0

    def look(self) -> None:
        """Look at the processes that run now."""
        self.daemon = max([self.daemon, *(taken(process) for process in self._shell.processes('daemon worker'))])
        for process in self._shell.processes('embarrier-worker'):
            try:
                family = [process, *process.children(recursive=True)]
            except psutil.Error:
                continue
            self.job = max(self.job, sum(taken(member) for member in family))


def taken(process: psutil.Process) -> int:
    """Return the resident memory of a process in MB, 0 where it is gone."""
    try:
        return round(process.memory_info().rss / 1e6)
    except psutil.Error:
        return 0


if __name__ == '__main__':
    sys.exit(main())
