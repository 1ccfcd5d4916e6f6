"""The stand-in for AiiDA: a code, a family of made-up POTCARs, and an mpirun that starts one process."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .potcars import names_of, write_family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida.orm import Computer, InstalledCode

SCRIPT = Path(__file__).with_name('vasp_std.py')
FAMILY = 'EMULATED.54'


def write_executable(folder: Path, emulation: dict[str, Any] | None = None, name: str = 'vasp_std') -> Path:
    """Write a `vasp_std` that runs the stand-in with this Python, and return its path.

    :param emulation: what VASP_EMULATOR is to say (see README.md), as :func:`behave` takes it. A variable that is set
        when the executable runs wins.
    """
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\n[ -n "$VASP_EMULATOR" ] || VASP_EMULATOR=$(cat {shlex.quote(str(path))}.json)\n'
        f'export VASP_EMULATOR\nexec {shlex.quote(sys.executable)} -E {shlex.quote(str(SCRIPT))} "$@"\n',
        encoding='utf-8',
    )
    path.chmod(0o755)
    behave(path, emulation)
    return path


def behave(executable: Path | str, emulation: dict[str, Any] | None = None) -> None:
    """Say how an executable, of a code that may be stored already, behaves from now on.

    :param emulation: `state` becomes a new folder beside the executable where failures are counted and it is not given.
    """
    executable = Path(executable)
    asked = dict(emulation or {})
    if any(failure.keys() & {'times', 'after'} for failure in asked.get('failures', [])) and 'state' not in asked:
        asked['state'] = tempfile.mkdtemp(prefix=f'{executable.name}-state-', dir=executable.parent)
    executable.with_name(f'{executable.name}.json').write_text(json.dumps(asked), encoding='utf-8')


def write_mpirun(folder: Path) -> Path:
    """Write an `mpirun -np N PROGRAM` that starts one process and tells it that there are N."""
    path = folder / 'mpirun'
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '#!/bin/sh\n[ "$1" = -np ] || { echo "mpirun: expected -np" >&2; exit 2; }\n'
        'OMPI_COMM_WORLD_SIZE=$2 OMPI_COMM_WORLD_RANK=0\nexport OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_RANK\n'
        'shift 2\nexec "$@"\n',
        encoding='utf-8',
    )
    path.chmod(0o755)
    return path


def make_code(
    computer: Computer, folder: Path, emulation: dict[str, Any] | None = None, label: str = 'vasp'
) -> InstalledCode:
    """Return a stored code of the stand-in.

    :param folder: where the executable is written.
    :param emulation: as for :func:`write_executable`.
    :param label: of the code; a number is added where the computer has such a code, so that labels stay unique.
    """
    from aiida.orm import InstalledCode, QueryBuilder

    filters = {'label': {'or': [{'==': label}, {'like': f'{label}-%'}]}}
    query = QueryBuilder().append(type(computer), filters={'uuid': computer.uuid}, tag='computer')
    taken = query.append(InstalledCode, filters=filters, with_computer='computer').count()
    label = f'{label}-{taken + 1}' if taken else label
    path = write_executable(folder, emulation, name=f'{label}_std')
    return InstalledCode(
        label=label, computer=computer, filepath_executable=str(path), default_calc_job_plugin='vasp.vasp'
    ).store()


def upload_family(
    folder: Path,
    elements: Iterable[str] = (),
    names: Iterable[str] = (),
    family: str = FAMILY,
    exchange: str = 'PE',
) -> str:
    """Make POTCARs, upload them as `aiida-vasp potcar uploadfamily` does, and return the label of the family.

    :param folder: where the files are written.
    :param elements: for which X, X_pv and X_sv are made.
    :param names: further ones, such as Ga_d.
    :param exchange: LEXCH, what they were made for.
    """
    from aiida_vasp.data.potcar import PotcarData

    source = write_family(folder / family, [*names_of(elements), *names], exchange)
    PotcarData.upload_potcar_family(
        source, family, group_description='Made-up POTCARs of the tests', stop_if_existing=False
    )
    return family
