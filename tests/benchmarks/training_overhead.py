"""What AiiDA costs per training: the wall time of a work chain less the time inside its worker, and where it goes.

    python tests/benchmarks/training_overhead.py [--rows 50000] [--daemon]

makes a profile of its own, trains a tiny model on 12 rows of a dataset of so many (validation, storage and transport
see all of them), and prints a table and, last, one JSON object with `overhead_s` (aim: at most 15), `total_s`,
`worker_s` and the parts. `cpu_share` is how much of two processors the machine had to spare: on a busy one all takes
longer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def measure(folder: Path, arguments: list[str]) -> dict[str, float]:
    """Make a profile in this folder, run this script in it, and return what it measured, in s."""
    environment = {**os.environ, 'AIIDA_PATH': str(folder), 'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}'}
    for command in (['verdi', 'presto', '--use-zeromq', '-n', '-p', 'benchmark'], ['aiida-embarrier', 'setup']):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    daemon = '--daemon' in arguments
    try:
        if daemon:
            subprocess.run(['verdi', 'daemon', 'start', '1'], env=environment, check=True, capture_output=True)
        printed = subprocess.run(
            [sys.executable, __file__, '--inside', *arguments],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    finally:
        if daemon:
            subprocess.run(['verdi', 'daemon', 'stop'], env=environment, check=True, capture_output=True)
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found


def train(n_rows: int, daemon: bool) -> dict[str, float]:
    """Train in the profile of the environment and return where the time went, in s."""
    sys.path.insert(0, str(ROOT / 'tests'))
    from aiida import load_profile
    from aiida.engine import run_get_node, submit
    from aiida.orm import CalcJobNode, load_code

    load_profile()
    from training_nodes import PARAMETERS, dataset, split

    from aiida_embarrier.workflows.train import TrainModelWorkChain

    start = time.monotonic()
    crystals, parts = dataset(n_rows), split(n_rows, **{f'salt_{number}': 'left_out' for number in range(18, n_rows)})
    crystals.store()
    parts.store()
    stored = time.monotonic()
    builder = TrainModelWorkChain.get_builder_from(
        load_code('embarrier-worker@localhost'), {'gap': crystals}, {'gap': parts}, parameters=PARAMETERS
    )
    if daemon:
        node = submit(builder)
        while not node.is_terminated:
            time.sleep(0.2)
    else:
        _, node = run_get_node(builder)
    total = time.monotonic() - stored
    assert node.is_finished_ok, node.exit_message
    (job,) = (child for child in node.called if isinstance(child, CalcJobNode))
    worker = job.outputs.results['wall_s']
    of_job = (job.mtime - job.ctime).total_seconds()
    return {
        'overhead_s': total - worker,
        'total_s': total,
        'worker_s': worker,
        'submission_polling_and_retrieval_s': of_job - worker,
        'work_chain_s': total - of_job,
        'making_the_datasets_s': stored - start,
    }


def cpu_share() -> float:
    """Return how much of two processors this machine has to spare just now."""
    burn = (
        'import time; start = time.monotonic(); sum(range(10**7)); print(time.monotonic() - start, time.process_time())'
    )
    pair = [subprocess.Popen([sys.executable, '-c', burn], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    times = [list(map(float, process.communicate()[0].split())) for process in pair]
    return sum(min(used / wall, 1.0) for wall, used in times) / 2


def main() -> None:
    """Print the table and the JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rows', type=int, default=18)
    parser.add_argument('--daemon', action='store_true')
    parser.add_argument('--inside', action='store_true')
    arguments = parser.parse_args()
    if arguments.inside:
        print(json.dumps(train(arguments.rows, arguments.daemon)))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {**measure(Path(folder), sys.argv[1:]), 'cpu_share': cpu_share()}
    for name, value in found.items():
        print(f'{name:40} {value:8.1f}')
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == '__main__':
    main()
