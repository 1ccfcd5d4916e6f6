"""The computer and the code that the potential engine needs, made in one go."""

from __future__ import annotations

from pathlib import Path

from aiida.common.exceptions import NotExistent
from aiida.orm import Computer, InstalledCode, User, load_code, load_computer

from aiida_embarrier.jobs.executable import WORKER, find_worker

__all__ = ('setup_code', 'setup_computer')


def setup_computer(
    label: str = 'localhost',
    *,
    hostname: str | None = None,
    transport: str = 'core.local',
    scheduler: str = 'core.direct',
    work_dir: str | None = None,
) -> tuple[Computer, bool]:
    """Return the computer with this label, made if it does not exist, and whether it was made.

    The connection is configured for this machine only; `verdi computer configure` does it for others.

    :param hostname: the label if None.
    :param transport: `core.local`, `core.ssh_async`, ...
    :param scheduler: `core.direct`, `core.slurm`, ...
    :param work_dir: folder for the jobs; None for `aiida_run` in the home folder of the user.
    """
    try:
        return load_computer(label), False
    except NotExistent:
        pass
    computer = Computer(
        label=label,
        hostname=hostname or label,
        transport_type=transport,
        scheduler_type=scheduler,
        workdir=work_dir
        or (str(Path.home() / 'aiida_run') if transport == 'core.local' else '/home/{username}/aiida_run'),
    )
    computer.set_default_mpiprocs_per_machine(1)  # the worker is one process, which starts its own
    computer.store()
    if transport == 'core.local':  # a connection to another machine is for the user to configure
        # a login shell would read the profile of the user, and may take half a second, for every command of AiiDA
        computer.configure(user=User.collection.get_default(), safe_interval=0.0, use_login_shell=False)
        computer.set_minimum_job_poll_interval(1.0)
    return computer, True


def setup_code(
    computer: Computer, executable: str | None = None, label: str = WORKER, prepend_text: str = ''
) -> tuple[InstalledCode, bool]:
    """Return the worker's code on a computer, made if it does not exist, and whether it was made.

    :param executable: absolute path of `embarrier-worker` on that computer; None for the one of this environment, where
        the computer is this machine.
    :param prepend_text: lines for the job script before the worker starts, for instance `module load`.
    :raises ValueError: where the executable is not known, and where the code exists and is another.
    """
    name = f'{label}@{computer.label}'
    try:
        code = load_code(name)
    except NotExistent:
        pass
    else:
        differs = executable is not None and str(code.filepath_executable) != executable
        if differs or (prepend_text and code.prepend_text != prepend_text):
            raise ValueError(
                f'the code {name} exists with the executable {code.filepath_executable} and cannot be changed: '
                'choose another label (--label), or remove it with `verdi code delete` if nothing used it'
            )
        return code, False
    if executable is None and computer.transport_type == 'core.local':
        executable = find_worker()
    if executable is None:
        raise ValueError(
            f'where is {WORKER} on {computer.label}? Install aiida-embarrier there and give the absolute path of '
            'the executable'
        )
    made = InstalledCode(
        label=label,
        computer=computer,
        filepath_executable=executable,
        default_calc_job_plugin='embarrier.potential.neb',
        prepend_text=prepend_text,
        use_double_quotes=False,
    )  # whether it runs under MPI is for each job to say: a training on several nodes does
    return made.store(), True
