"""Four barriers of the literature, each with its structure derived in another way, and the computed ones beside them.

It runs `aiida-embarrier launch entry` for each file in ``literature_rows/``, in an AiiDA profile of its own inside
``literature_rows_results/``, and writes the table, the provenance graphs and the archive there. Arguments go to each
launch: ``python examples/literature_rows.py --protocol fast``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'literature_rows_results'
ROWS = ROOT / 'examples' / 'literature_rows'
NAMES = ('ordered_discharged', 'derived', 'charged', 'disordered')
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith('AIIDA')},
    'AIIDA_PATH': str(RESULTS),
    'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}',
}


def run(*arguments: object) -> str:
    """Type a command and return what it printed; what it says of its progress goes to the terminal."""
    words = [str(argument) for argument in arguments]
    print(f'\n$ {" ".join(word.replace(f"{ROOT}/", "") for word in words)}', flush=True)
    done = subprocess.run(words, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout, end='', flush=True)
        sys.exit(f'stopped: the command above ended with exit code {done.returncode}')
    return done.stdout


def main() -> None:
    """Compute all rows, and write ``table.json``, one graph for each, and the archive."""
    if RESULTS.exists():  # somebody may have worked on in the profile of an earlier run
        kept = ROOT / time.strftime('literature_rows_results-%Y%m%d-%H%M%S')
        RESULTS.rename(kept)
        print(f'The results that were here are now in {kept.name}/; remove it when you no longer need it.')
    RESULTS.mkdir()
    run('verdi', 'presto', '--use-zeromq', '--non-interactive', '--profile-name', 'rows')
    run('aiida-embarrier', 'setup')
    table, pks = [], []
    for name in NAMES:
        start = time.monotonic()
        file = ROWS / f'{name}.yaml'
        found = json.loads(run('aiida-embarrier', 'launch', 'entry', file, '--format', 'json', *sys.argv[1:]))
        wall = time.monotonic() - start
        pk, entry = found['pk'], found['entry']
        pks.append(pk)
        print(run('aiida-embarrier', 'show', pk))
        run('aiida-embarrier', 'graph', pk, '-o', RESULTS / name)
        run('aiida-embarrier', 'plot', pk, '-o', RESULTS / f'{name}.png')
        (RESULTS / f'{name}.txt').write_text(run('verdi', 'process', 'report', pk))
        computed = entry['computed']
        table.append(
            {
                'file': file.name,
                'row': entry['name'],
                **entry['comparison'],
                'computed_by': computed['potential'],
                'converged': computed['converged'],
                'branches': [f'{branch["step"]}: {branch["taken"]}' for branch in entry['branches']],
                'wall_s': round(wall, 1),
            }
        )
    run('aiida-embarrier', 'export', *pks[:1], '-o', RESULTS / 'ordered_discharged.aiida')
    (RESULTS / 'table.json').write_text(json.dumps(table, indent=2) + '\n')
    print(f'\n{"row":12} {"literature":>11} {"computed":>9} {"difference":>11}   (eV)')
    for row in table:
        print(f'{row["row"]:12} {row["literature"]:11.3f} {row["computed"]:9.3f} {row["difference"]:+11.3f}')
    print('\nEverything is in literature_rows_results/.')


if __name__ == '__main__':
    main()
