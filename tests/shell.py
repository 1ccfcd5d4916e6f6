"""Commands as users type them, in an AiiDA configuration of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from systems import EMT, aluminium, aluminium_vacancy_ends

BIN = Path(sys.executable).parent
TESTS = Path(__file__).parent

#: EMT as the engine's potential, on one process.
POTENTIAL = (
    *('--set', 'engine.potential.name=ase', '--set', 'engine.potential.model=emt'),
    *('--set', f'engine.potential.calculator={EMT.calculator}', '--set', 'engine.settings.processes=1'),
)


class Shell:
    """Runs commands with an own AiiDA configuration.

    :param folder: working directory, with the configuration and the folder of the jobs.
    :param variables: further environment variables.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith('AIIDA')},
            'AIIDA_PATH': str(folder),
            'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}',  # AiiDA starts its daemon by name
            # where the calculators of the tests are, and whatever a test puts into its folder
            'PYTHONPATH': os.pathsep.join(map(str, (TESTS, TESTS.parent, folder))),
            **variables,
        }

    def __call__(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which is to have this exit code."""
        done = subprocess.run(
            [str(BIN / str(arguments[0])), *map(str, arguments[1:])],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f'{arguments}\n{done.stdout}\n{done.stderr}'
        return done

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            [str(BIN / str(arguments[0])), *map(str, arguments[1:])],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def query(self, script: str) -> object:
        """Return what a Python script with the profile loaded prints as JSON."""
        text = f'import json\nfrom aiida import load_profile, orm\nload_profile()\n{script}'
        return json.loads(self('python', '-c', text).stdout)

    def wait_for_end(self, pk: int, seconds: float = 300) -> tuple[str, int | None, str | None]:
        """Return state, exit status and exit message of a process once it has ended."""
        script = f"""
import time
from aiida_embarrier.cli.following import refresh_database
node, deadline = orm.load_node({pk}), time.time() + {seconds}
while not node.is_terminated and time.time() < deadline:
    time.sleep(0.3)
    refresh_database()
print(json.dumps([node.process_state.value, node.exit_status, node.exit_message]))
"""
        found = self.query(script)
        assert isinstance(found, list)
        return found[0], found[1], found[2]

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the running processes of this configuration whose command line has one of the words."""
        return [process for process in psutil.process_iter() if self._is_ours(process, words)]

    def kill(self, *words: str) -> int:
        """Kill those processes as `kill -9` does, and return how many there were."""
        found = self.processes(*words)
        for process in found:
            process.kill()
        psutil.wait_procs(found, timeout=10)
        return len(found)

    def start_daemon(self, workers: int = 1) -> None:
        """Start the daemon, which does not run, and wait until a worker listens to its broker."""
        # a broker that was killed leaves behind where its socket was, and a worker that is there before the next broker
        # listens to that for ever (aiida-core 2.9.4)
        for path in self.folder.glob('.aiida/broker/*/broker.*'):
            path.unlink()
        self('verdi', 'daemon', 'start', workers)
        deadline = time.monotonic() + 180
        while not self._listeners():
            assert time.monotonic() < deadline, 'no daemon worker listens to its broker'
            time.sleep(0.5)

    def _listeners(self) -> int:
        """Return how many workers the broker knows that runs now."""
        for path in self.folder.glob('.aiida/broker/*/broker.status'):
            status = json.loads(path.read_text())
            if psutil.pid_exists(status['pid']):
                return status['task_subscribers']
        return 0

    def kill_daemon(self) -> None:
        """Kill daemon, daemon workers and broker."""
        assert self.kill('start-circus', 'daemon worker', 'daemon broker', 'circus import stats')

    def _is_ours(self, process: psutil.Process, words: tuple[str, ...]) -> bool:
        try:
            command = ' '.join(process.cmdline())
            place = process.environ().get('AIIDA_PATH', '')
        except psutil.Error:  # gone, or not ours
            return False
        return place.startswith(str(self.folder)) and any(word in command for word in words)


def make_shell(folder: Path, prepend_text: str = '') -> Shell:
    """Return a shell with a profile as `verdi presto` makes it, the code of the worker, and structures to work on.

    :param prepend_text: lines at the beginning of each job script.
    """
    shell = Shell(folder)
    shell('verdi', 'presto', '--use-zeromq', '-n', '-p', 'test')
    setup = ('aiida-embarrier', 'setup', '--computer', 'here', '--work-dir', folder / 'work')
    shell(*setup, *(('--prepend-text', prepend_text) if prepend_text else ()))
    write_structures(folder)
    return shell


def write_structures(folder: Path) -> None:
    """Write a crystal, Al.cif, and both ends of a hop in it, A.vasp and B.vasp."""
    aluminium((1, 1, 1)).to_file(str(folder / 'Al.cif'))
    initial, final = aluminium_vacancy_ends()
    initial.to_file(str(folder / 'A.vasp'), fmt='poscar')
    final.to_file(str(folder / 'B.vasp'), fmt='poscar')


FAR_TRANSPORT = """
from aiida.transports.plugins.local import LocalTransport


class FarTransport(LocalTransport):
    \"\"\"A transport to this machine that nobody can tell from one to another machine.\"\"\"
"""


def add_far_computer(shell: Shell) -> None:
    """Give a profile the computer `far`, which is this machine behind a transport of its own, and its worker."""
    (shell.folder / 'far.py').write_text(FAR_TRANSPORT)
    metadata = shell.folder / 'far.egg-info'
    metadata.mkdir()
    (metadata / 'PKG-INFO').write_text('Metadata-Version: 2.1\nName: far\nVersion: 1.0\n')
    (metadata / 'entry_points.txt').write_text('[aiida.transports]\ntests.far = far:FarTransport\n')
    options = ('--transport', 'tests.far', '--executable', BIN / 'embarrier-worker')
    shell('aiida-embarrier', 'setup', '--computer', 'far', '--work-dir', shell.folder / 'far-work', *options)
    shell.query(
        'computer = orm.load_computer("far")\n'
        'computer.configure(user=orm.User.collection.get_default(), safe_interval=0.0)\n'
        'computer.set_minimum_job_poll_interval(1.0)\n'
        'print("null")'
    )
