"""The migration barrier of lithium in LiFePO4, from the crystal to the archive; `make demo` runs this.

It types the commands of the README one after the other, in an AiiDA profile of its own inside ``demo/``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / 'demo'
BIN = Path(sys.executable).parent
CRYSTAL = ROOT / 'examples' / 'LiFePO4.cif'
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith('AIIDA')},
    'AIIDA_PATH': str(DEMO),
    'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}',
}


def run(*arguments: object, show: bool = True) -> str:
    """Type a command, let it write to the terminal, and return what it printed."""
    words = [str(argument) for argument in arguments]
    print(f'\n$ {" ".join(word.replace(f"{ROOT}/", "") for word in words)}', flush=True)
    done = subprocess.run(words, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if show or done.returncode:
        print(done.stdout, end='', flush=True)
    if done.returncode:
        sys.exit(f'the demo stopped: the command above ended with exit code {done.returncode}')
    return done.stdout


def main() -> None:
    """Run the demo and write ``demo/result.json``."""
    start = time.monotonic()
    if DEMO.exists():  # somebody may have worked on in the profile of an earlier demo
        kept = ROOT / time.strftime('demo-%Y%m%d-%H%M%S')
        DEMO.rename(kept)
        print(f'The demo that was here is now in {kept.name}/; remove it when you no longer need it.')
    DEMO.mkdir()
    print('The barrier of a Li vacancy hop along [010] of LiFePO4, by CHGNet. Everything is written to demo/.')

    run('verdi', 'presto', '--use-zeromq', '--non-interactive', '--profile-name', 'demo', show=False)
    run('aiida-embarrier', 'setup')
    run('aiida-embarrier', 'hops', CRYSTAL, '--ion', 'Li')
    launch = ('aiida-embarrier', 'launch', 'barrier', CRYSTAL, '--ion', 'Li', '--hop', '0', '--format', 'json')
    process = json.loads(run(*launch, show=False))
    pk, band = process['pk'], process['band']
    run('aiida-embarrier', 'show', pk)
    run('aiida-embarrier', 'plot', pk, '-o', DEMO / 'energy_path.png')
    run('aiida-embarrier', 'plot', pk, '--path', '-o', DEMO / 'migration_path.png')
    run('aiida-embarrier', 'graph', pk, '-o', DEMO / 'provenance')
    run('aiida-embarrier', 'export', pk, '-o', DEMO / 'barrier.aiida')
    (DEMO / 'report.txt').write_text(run('verdi', 'process', 'report', pk, show=False))

    summary = band['summary']
    result = {
        'barrier_forward_eV': band['barrier_forward'],
        'barrier_reverse_eV': band['barrier_reverse'],
        'barrier_rate_limiting_eV': band['barrier_rate_limiting'],
        'converged': band['converged'],
        'residual_force_eV_per_A': band['residual_force'],
        'n_force_evaluations': summary['n_force_evaluations'],
        'wall_s': round(time.monotonic() - start, 1),
        'worker_wall_s': round(sum(summary['worker_wall_s'].values()), 1),
        'nodes': {'process': process['uuid'], 'band': band['uuid']},
    }
    (DEMO / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
    barriers = f'forward {result["barrier_forward_eV"]:.3f} eV, reverse {result["barrier_reverse_eV"]:.3f} eV'
    state = 'converged' if result['converged'] else 'NOT converged'
    print(
        f'\nBarrier: {barriers}, {state}.'
        f'\n{result["n_force_evaluations"]} force evaluations; {result["wall_s"]:.0f} s in all, '
        f'{result["worker_wall_s"]:.0f} s of them in the jobs.\n'
        '\nIn demo/: energy_path.png, migration_path.png, provenance.dot (and .svg with graphviz), barrier.aiida,'
        '\nreport.txt, result.json.\n'
        '\nWhat to type next, in this profile:\n'
        f'\n    export AIIDA_PATH={DEMO} PATH={BIN}:$PATH'
        f'\n    verdi process report {pk}                 # the lab book'
        '\n    aiida-embarrier list --ion Li --max-barrier 0.3'
        f'\n    verdi data embarrier band export {pk} -o images.xyz'
        '\n    aiida-embarrier launch barrier examples/LiFePO4.cif --ion Li --hop 1'
    )


if __name__ == '__main__':
    main()
