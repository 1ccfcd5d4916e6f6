"""Time and memory of predicted barriers: all hops of a crystal of 110 atoms, and the published rows in one job.

    python tests/benchmarks/predicting.py [--models MODEL ...] [--crystal FILE --ion SYMBOL] [--data FILE]

Commands are run as a user runs them, start of Python included. Memory is that of the command and all processes below
it: the largest sum of their resident memory that was seen, in which pages that they share count for each of them. The
aims are 60 s and 4 GB for the hops; the time of the processors, beside it, does not depend on other work. The
throughput of the rows is that which the job tells, numbers that describe the paths included; their time and memory are
those of `evaluate`, which also scores them. The last line is a JSON object; the exit status is 1 where an aim is
missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / 'shared' / 'data' / 'barriers_train' / 'barriers_train.json.gz'
AIM_S, AIM_MB = 60.0, 4000.0
#: Seconds between two looks at the memory.
INTERVAL = 0.1


def run(*arguments: object) -> tuple[dict[str, Any], dict[str, float]]:
    """Run the command line; return what it printed as JSON, and its time and peak memory.

    :raises RuntimeError: where it fails, with what it said.
    """
    command = [str(Path(sys.executable).with_name('aiida-embarrier')), *map(str, arguments), '--format', 'json']
    start, cpu_start, peak = time.perf_counter(), cpu_of_children(), 0
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as errors:
        with subprocess.Popen(command, stdout=out, stderr=errors) as process:
            while process.poll() is None:
                peak = max(peak, resident(process.pid))
                time.sleep(INTERVAL)
        wall, cpu = time.perf_counter() - start, cpu_of_children() - cpu_start
        for file in (out, errors):
            file.seek(0)
        if process.returncode:
            raise RuntimeError(f'{" ".join(command)} failed: {errors.read().strip()}')
        return json.load(out), {'wall_s': round(wall, 1), 'cpu_s': round(cpu, 1), 'peak_mb': round(peak / 1e6)}


def cpu_of_children() -> float:
    """Return the seconds of processors that the commands took so far, with all that they started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def resident(pid: int) -> int:
    """Return the resident memory in bytes of a process and all below it; 0 once it has ended."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def main() -> int:
    """Print a line for each model and a JSON object; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--models', nargs='+', default=['released'], help='`released`, or folders')
    parser.add_argument('--crystal', type=Path, default=ROOT / 'examples' / 'LiFePO4.cif')
    parser.add_argument('--ion', default='Li')
    parser.add_argument('--data', type=Path, default=DATA)
    given = parser.parse_args()
    found = []
    for model in given.models:
        hops, of_hops = run('predict', given.crystal, '--ion', given.ion, '--model', model)
        rows, of_rows = run('evaluate', '--data', given.data, '--model', model, '--resamples', 1)
        predicted = [hop for hop in hops['predictions'] if hop['prediction'] is not None]
        found.append(
            {
                'model': model,
                'potential': hops['model']['potential'],
                'hops': len(predicted),
                'atoms': max(hop['n_atoms'] for hop in predicted),
                **{f'hops_{name}': value for name, value in of_hops.items()},
                'rows': rows['n_rows'],
                'rows_per_s': round(rows['rows_per_s'], 1),
                **{f'rows_{name}': value for name, value in of_rows.items()},
            }
        )
        print(found[-1], flush=True)
    reached = all(one['hops_wall_s'] <= AIM_S and one['hops_peak_mb'] <= AIM_MB for one in found)
    load = [round(value, 1) for value in psutil.getloadavg()]
    print(json.dumps({'models': found, 'cores': psutil.cpu_count(), 'load': load, 'reached': reached}))
    return 0 if reached else 1


if __name__ == '__main__':
    sys.exit(main())
