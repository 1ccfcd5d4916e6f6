"""How many iterations of neb.x a band saves that a potential has prepared.

    python tests/benchmarks/qe_preparation.py [CRYSTAL ...]

runs hops with Debian's Quantum ESPRESSO (`make services` installs it) from both starting bands, the interpolated one
and the one that CHGNet prepared, in a profile of its own, and prints the rows of the table in docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pymatgen.core import Lattice, Structure

BIN = Path(sys.executable).parent
PSEUDOS = Path('/usr/share/espresso/pseudo')
#: Crystals with the pseudopotentials and cutoffs (Ry) they are computed with: those of Debian, for tests.
CRYSTALS = {
    'Li2O': (
        Structure.from_spacegroup('Fm-3m', Lattice.cubic(4.6), ['O', 'Li'], [[0, 0, 0], [0.25, 0.25, 0.25]]),
        ('Li.pbesol-s-rrkjus_psl.0.2.1.UPF', 'O.pbesol-n-rrkjus_psl.0.1.UPF'),
        (30, 240),
    ),
}
#: Hop of the ion, interpolation of the band, number of images, force threshold in eV/Å.
RUNS = (('Li2O', 0, 'linear', 5, 0.2), ('Li2O', 1, 'linear', 5, 0.2), ('Li2O', 1, 'idpp', 5, 0.2))


def main(chosen: list[str]) -> None:
    """Print a table."""
    folder = Path(tempfile.mkdtemp(prefix='qe_preparation_'))
    environment = {
        **os.environ,
        'AIIDA_PATH': str(folder),
        'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}',
        'OMP_NUM_THREADS': '1',
    }

    def shell(*words: object) -> str:
        done = subprocess.run(
            list(map(str, words)), env=environment, cwd=folder, check=False, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            sys.exit(f'{words[:3]} ended with {done.returncode}: {done.stdout}')
        return done.stdout

    shell('verdi', 'presto', '--use-zeromq', '-n', '-p', 'benchmark')
    shell('aiida-embarrier', 'setup')
    for name in ('pw', 'neb'):
        where = ('--computer', 'localhost', '--filepath-executable', shutil.which(f'{name}.x'), '--no-with-mpi')
        plugin = ('--default-calc-job-plugin', f'quantumespresso.{name}')
        shell('verdi', 'code', 'create', 'core.code.installed', '-n', '--label', name, *where, *plugin)
    for name, (structure, pseudos, _) in CRYSTALS.items():
        (folder / name).mkdir()
        for pseudo in pseudos:
            shutil.copy(PSEUDOS / pseudo, folder / name)
        shell('aiida-pseudo', 'install', 'family', name, name, '-P', 'pseudo.upf')
        structure.to(str(folder / f'{name}.cif'), fmt='cif')
    print('| hop | images | interpolation | first force, eV/Å | iterations | evaluations | barrier, eV |')
    print('|---|---|---|---|---|---|---|')
    for name, hop, interpolation, images, threshold in RUNS:
        if chosen and name not in chosen:
            continue
        wfc, rho = CRYSTALS[name][2]
        settings = {
            'relax_host': 'none',
            'supercell': '[1, 1, 1]',
            'interpolation': interpolation,
            'preparation.compare': 'true',
            'engine.pseudo_family': name,
            'engine.ecutwfc': wfc,
            'engine.ecutrho': rho,
            'engine.kpoints_mesh': '[1, 1, 1]',
            'engine.smearing': 'fixed',
            'engine.relax.force_threshold': threshold / 4,
            'engine.neb.force_threshold': threshold,
            'engine.neb.climb_threshold': 'null',
        }
        given = [word for key, value in settings.items() for word in ('--set', f'{key}={value}')]
        codes = [word for code in ('pw', 'neb', 'embarrier-worker') for word in ('--code', f'{code}@localhost')]
        found = json.loads(
            shell(
                *('aiida-embarrier', 'launch', 'barrier', f'{name}.cif', '--ion', 'Li', '--hop', hop, '--charge', -1),
                *('--engine', 'quantumespresso', '--functional', 'pbesol', '--prepare-with', 'potential'),
                *('--images', images, *codes, *given, '--format', 'json'),
            )
        )
        script = (
            'import json\nfrom aiida import load_profile, orm\nload_profile()\n'
            f'print(json.dumps(orm.load_node({found["pk"]}).outputs.summary.get_dict()["preparation"]["comparison"]))'
        )
        row = json.loads(shell(sys.executable, '-c', script))
        for start in ('interpolated', 'prepared'):
            words = interpolation if start == 'interpolated' else f'{interpolation}, then CHGNet'
            print(
                f'| {name}, {hop} | {images} | {words} | {row["first_force"][start]:.2f} | {row["n_steps"][start]} '
                f'| {row["n_evaluations"][start]} | {row["barrier_forward"][start]:.3f} |',
                flush=True,
            )
    shutil.rmtree(folder)


if __name__ == '__main__':
    main(sys.argv[1:])
