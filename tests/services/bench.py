"""A profile with a daemon, and runs whose evaluations are counted: what the tests of faults share."""

from __future__ import annotations

import collections
import json
import time
from pathlib import Path

import numpy as np

#: Seconds of an evaluation.
SECONDS = 0.04
LINE = ('--initial', 'A.vasp', '--final', 'B.vasp', '--images', '7')
SETTINGS = {
    'relax_endpoints': 'false',
    'engine.potential.name': 'ase',
    'engine.potential.model': 'logged',
    'engine.potential.calculator': 'analytic_surfaces:LoggedEMT',
    'engine.settings.processes': 1,
    'engine.neb.force_threshold': 0.0005,  # so that it takes long enough for faults
    'engine.neb.use_symmetry': 'false',
}
WORKER = ('_aiidasubmit.sh', 'embarrier-worker', 'spawn_main')


class Bench:
    """A profile with a daemon, and runs whose evaluations are counted.

    :param shell: of the profile.
    """

    #: The code that runs run with.
    code = 'embarrier-worker@here'

    def __init__(self, shell) -> None:
        self.shell = shell
        self.expected: collections.Counter[str] = collections.Counter()

    def arguments(self, name: str, seconds: float = SECONDS, code: str | None = None) -> list[object]:
        """Return the arguments of a launch whose evaluations are written to a file of this name."""
        settings = {
            **SETTINGS,
            'engine.potential.arguments.log': self.log(name),
            'engine.potential.arguments.seconds': seconds,
        }
        given = [word for key, value in settings.items() for word in ('--set', f'{key}={value}')]
        return ['aiida-embarrier', 'launch', 'barrier', *LINE, '--code', code or self.code, *given]

    def submit(self, name: str, *options: object, seconds: float = SECONDS) -> int:
        """Submit a run and return the PK."""
        done = self.shell(*self.arguments(name, seconds), *options, '--submit', '--format', 'json')
        return json.loads(done.stdout)['pk']

    def log(self, name: str) -> Path:
        """Return the file with the evaluations of a run."""
        return self.shell.folder / f'{name}.log'

    def evaluated(self, name: str) -> collections.Counter[str]:
        """Return the evaluations of a run."""
        return collections.Counter(self.log(name).read_text().splitlines() if self.log(name).exists() else [])

    def wait_for_band(self, name: str, evaluations: int = 25) -> Path:
        """Wait until a run has made so many evaluations and written a checkpoint; return the folder of its job."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if self.evaluated(name).total() < evaluations:
                continue
            for folder in self.running_folders():
                if (folder / 'checkpoint.npz').exists():
                    return folder
        raise AssertionError(f'{name} has no checkpoint after {self.evaluated(name).total()} evaluations')

    def running_folders(self) -> list[Path]:
        """Return the folders in which workers are at work."""
        return [Path(process.cwd()) for process in self.shell.processes('embarrier-worker')]

    def in_vain(self, name: str) -> int:
        """Return how many evaluations a run made beyond those of a run without faults; no evaluation is missing."""
        assert set(self.evaluated(name)) == set(self.expected)
        assert not self.expected - self.evaluated(name)
        return (self.evaluated(name) - self.expected).total()

    def jobs(self, pk: int) -> list[list[object]]:
        """Return exit status, and UUID of the job it was taken from, of the jobs below a process."""
        found = self.shell.query(
            f'jobs = [node for node in orm.load_node({pk}).called_descendants if isinstance(node, orm.CalcJobNode)]\n'
            'jobs.sort(key=lambda node: node.pk)\n'
            'print(json.dumps([[job.exit_status, job.base.caching.get_cache_source()] for job in jobs]))'
        )
        assert isinstance(found, list)
        return found


def saved(path: Path) -> int:
    """Return how many evaluations a checkpoint stands for."""
    with np.load(path) as archive:
        return sum(task['n_evaluations'] for task in json.loads(str(archive['header']))['tasks'].values())


def unfinished(bench) -> list[int]:
    """Return the PKs of processes that have not ended."""
    found = bench.shell.query(
        'filters = {"attributes.process_state": {"!in": ["finished", "killed", "excepted"]}}\n'
        'print(json.dumps(orm.QueryBuilder().append(orm.ProcessNode, filters=filters, project="id").all(flat=True)))'
    )
    assert isinstance(found, list)
    return found


def wait_until(condition, seconds=90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
