"""What AiiDA costs: the wall time of the demo's graph less the time inside its workers, and where it goes.

    python tests/benchmarks/provenance_overhead.py

prints a table and, last, one JSON object with `overhead_s` (aim: at most 30), `total_s`, `workers_s` and the parts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def measure(folder: Path) -> dict[str, float]:
    """Run the demo's graph in a profile in this folder and return where the time went, in s."""
    environment = {**os.environ, 'AIIDA_PATH': str(folder), 'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}'}
    for command in (['verdi', 'presto', '--use-zeromq', '-n', '-p', 'benchmark'], ['aiida-embarrier', 'setup']):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    start = time.monotonic()
    crystal = str(ROOT / 'examples' / 'LiFePO4.cif')
    launched = subprocess.run(
        ['aiida-embarrier', 'launch', 'barrier', crystal, '--ion', 'Li', '--hop', '0', '--format', 'json'],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    total = time.monotonic() - start
    pk = json.loads(launched.stdout)['pk']
    parts = json.loads(
        subprocess.run(
            [sys.executable, __file__, '--parts', str(pk)],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    )
    graph = parts.pop('graph_s')
    parts['work_chain_steps_s'] = graph - sum(parts.values())
    parts['start_and_output_of_the_command_s'] = total - graph
    overhead = sum(value for name, value in parts.items() if name != 'workers_s')
    return {'overhead_s': overhead, 'total_s': total, **parts}


def parts_of(pk: int) -> dict[str, float]:
    """Return what the nodes of a finished process say, in s."""
    from aiida import load_profile
    from aiida.orm import CalcFunctionNode, CalcJobNode, load_node

    load_profile()
    node = load_node(pk)

    def duration(process) -> float:
        return (process.mtime - process.ctime).total_seconds()

    jobs = [child for child in node.called_descendants if isinstance(child, CalcJobNode)]
    functions = [child for child in node.called_descendants if isinstance(child, CalcFunctionNode)]
    workers = sum(job.outputs.results['wall_s'] for job in jobs)
    return {
        'graph_s': duration(node),
        'workers_s': workers,
        'submission_polling_and_retrieval_s': sum(duration(job) for job in jobs) - workers,
        'calcfunctions_s': sum(duration(function) for function in functions),
    }


def main() -> None:
    """Print the table and the JSON object."""
    if sys.argv[1:2] == ['--parts']:
        print(json.dumps(parts_of(int(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    for name, value in found.items():
        print(f'{name:40} {value:8.1f}')
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == '__main__':
    main()
