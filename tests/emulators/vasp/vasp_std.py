"""Start the stand-in: `python vasp_std.py` in a folder with INCAR, POSCAR, POTCAR and KPOINTS."""

import os
import sys
from pathlib import Path

# Threads of a linear-algebra library cost more to start than a run computes.
for variable in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ[variable] = '1'
# The folder of the package `emulators` instead of this script's own.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from emulators.vasp.program import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
