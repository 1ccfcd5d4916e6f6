"""``aiida-embarrier doctor``: what is missing, and how to mend it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ('command',)


@dataclass(frozen=True)
class Finding:
    """What a check found.

    :param state: `ok`, `missing` (a launch would fail) or `optional` (something is not there that not all need).
    :param remedy: what to type, empty where all is well.
    """

    item: str
    state: str
    detail: str
    remedy: str = ''


@click.command('doctor')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to examine.')
@click.option(
    '--deep', is_flag=True, help='Also start the worker, load the default potential and what learning needs (seconds).'
)
@FORMAT
def command(profile: str | None, deep: bool, output_format: str) -> None:
    """Examine profile, broker, daemon, codes, potentials, learning and devices; say what is missing and how to mend it.

    The exit code is 1 where a launch would fail.
    """
    findings = [*_potentials(), *_learning(), *_plugins(), *_tools(), *_profile(profile)]
    if deep:
        findings.extend([*_worker(), *_worker_learns()])
    if output_format == 'json':
        echo_json([asdict(finding) for finding in findings])
    else:
        echo_table(
            [asdict(finding) for finding in findings],
            (Column('', 'state'), Column('item', 'item'), Column('found', 'detail'), Column('to mend it', 'remedy')),
        )
    if any(finding.state == 'missing' for finding in findings):
        sys.exit(1)


def _potentials() -> Iterator[Finding]:
    from aiida_embarrier.jobs.potentials import KNOWN_MODELS, file_sha256, resolve_potential, weights_path

    install = "pip install 'aiida-embarrier[potential]'"
    for number, (name, model) in enumerate(KNOWN_MODELS):
        spec = resolve_potential(name, model)
        absent = 'missing' if number == 0 else 'optional'
        try:
            path = weights_path(spec)
        except ModuleNotFoundError:
            yield Finding(f'potential {spec.label}', absent, 'not installed here', f'{install} (not for remote jobs)')
            continue
        if path is None or not path.is_file():
            yield Finding(f'potential {spec.label}', absent, f'no weights at {path}', f'{install} --force-reinstall')
        elif file_sha256(path) != spec.sha256:
            yield Finding(
                f'potential {spec.label}', 'missing', f'altered weights: {path}', f'{install} --force-reinstall'
            )
        else:
            yield Finding(f'potential {spec.label}', 'ok', f'{spec.distribution} {spec.version}, weights as released')


def _learning() -> Iterator[Finding]:
    """Say whether trainings and predictions by learned models can run here; those of clusters need nothing here."""
    from importlib.metadata import requires

    wanted = [
        line for line in requires('aiida-embarrier') or [] if line.replace("'", '"').endswith('extra == "learning"')
    ]
    names = [re.split(r'[^\w.-]', line, maxsplit=1)[0] for line in wanted]
    versions = {name: _version(name) for name in sorted(names)}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        remedy = "pip install 'aiida-embarrier[learning]' (not for remote jobs)"
        yield Finding('learning', 'optional', f'{", ".join(missing)}: not installed here', remedy)
    else:
        yield Finding('learning', 'ok', ', '.join(f'{name} {version}' for name, version in versions.items()))


def _plugins() -> Iterator[Finding]:
    from aiida_embarrier.engines.base import available_engines, get_engine

    for name in available_engines():
        engine = get_engine(name)
        versions = {distribution: _version(distribution) for distribution in engine.requires}
        missing = [distribution for distribution, version in versions.items() if version is None]
        if missing:
            remedy = f"pip install 'aiida-embarrier[{engine.extra}]'" if engine.extra else f'pip install {missing[0]}'
            yield Finding(f'engine {name}', 'optional', f'{", ".join(missing)}: not installed', remedy)
        else:
            found = ', '.join(f'{distribution} {version}' for distribution, version in versions.items())
            yield Finding(f'engine {name}', 'ok', found or 'comes with this package')


def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _engines() -> Iterator[Finding]:
    """Say what of the engines whose plugins are installed is there in the profile; that of the worker is elsewhere."""
    from aiida.orm import InstalledCode, QueryBuilder

    from aiida_embarrier.engines.base import available_engines, get_engine

    for name in available_engines():
        engine = get_engine(name)
        if name == 'potential' or None in map(_version, engine.requires):
            continue
        for program, plugin in engine.codes.items():
            query = QueryBuilder().append(InstalledCode, filters={'attributes.input_plugin': plugin})
            codes = ', '.join(code.full_label for code in query.all(flat=True))
            remedy = (
                f'verdi code create core.code.installed --label {program} --computer localhost '
                f'--default-calc-job-plugin {plugin}'
            )
            yield Finding(f'{name}: code of {program}', *(('ok', codes) if codes else ('optional', 'none', remedy)))
        if engine.examine is None:
            continue
        try:
            found = engine.load(engine.examine)()
        except Exception as error:
            # Whatever a plugin may raise, the others are still to be examined.
            yield Finding(f'{name}: data', 'optional', ' '.join(f'{type(error).__name__}: {error}'.split()))
            continue
        for what, present, remedy in found:
            yield Finding(f'{name}: {what}', *(('ok', present) if present else ('optional', 'none', remedy)))


def _tools() -> Iterator[Finding]:
    from aiida_embarrier.jobs.executable import find_worker

    worker = find_worker()
    if worker is None:
        yield Finding('embarrier-worker', 'missing', 'not on the PATH', 'pip install aiida-embarrier')
    else:
        yield Finding('embarrier-worker', 'ok', worker)
    yield _gpus()
    if shutil.which('dot') is None:
        yield Finding('graphviz', 'optional', 'no dot: provenance graphs are DOT text', 'apt-get install graphviz')
    else:
        yield Finding('graphviz', 'ok', str(shutil.which('dot')))


def _gpus() -> Finding:
    """Return which GPUs the driver knows, without torch, whose import takes seconds."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return Finding('GPU', 'optional', 'none on this machine: potentials and trainings run on the processor')
    asked = [program, '--query-gpu=name,memory.total', '--format=csv,noheader']
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603  (the driver's)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, 'stdout', None) or str(error)
        return Finding('GPU', 'optional', f'nvidia-smi fails: {" ".join(told.split())}', 'look at the driver')
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if not names:
        return Finding('GPU', 'optional', 'nvidia-smi lists none', 'look at the driver')
    return Finding('GPU', 'ok', f'{"; ".join(names)}; --deep tells whether torch can use them')


def _profile(name: str | None) -> Iterator[Finding]:
    from aiida_embarrier.cli.params import load_profile

    try:
        load_profile(name)
    except click.ClickException as error:
        first, _, _ = error.message.partition('. ')
        yield Finding('profile', 'missing', first, 'verdi presto --use-zeromq')
        return
    from aiida.manage import get_manager
    from aiida.orm import Computer, InstalledCode, QueryBuilder

    from aiida_embarrier.cli.running import daemon_runs, daemon_trouble

    profile = get_manager().get_profile()
    assert profile is not None
    yield Finding('profile', 'ok', f'{profile.name}, storage {profile.storage_backend}')
    broker = profile.process_control_backend
    if broker is None:
        yield Finding(
            'broker',
            'optional',
            'none: processes run in the terminal only',
            'verdi profile configure-broker core.zeromq',
        )
    else:
        yield Finding('broker', 'ok', broker)
        if not daemon_runs():
            yield Finding('daemon', 'optional', 'not running: --submit needs it', 'verdi daemon start')
        elif daemon_trouble() is not None:
            yield Finding('daemon', 'optional', 'running, but no worker listens', 'verdi daemon restart')
        else:
            yield Finding('daemon', 'ok', 'running')
    computers = QueryBuilder().append(Computer).all(flat=True)
    codes = [code for code in QueryBuilder().append(InstalledCode).all(flat=True) if _is_worker(code)]
    if not computers:
        yield Finding('computer', 'missing', 'none', 'aiida-embarrier setup')
    for computer in computers:
        yield Finding(f'computer {computer.label}', 'ok', f'{computer.transport_type}, {computer.scheduler_type}')
    if not codes:
        yield Finding('code of the worker', 'missing', 'none', 'aiida-embarrier setup')
    for code in codes:
        try:
            code.validate_filepath_executable()
        except Exception as error:
            # Whatever the connection to another machine may raise, the others are still to be examined.
            remedy = f'aiida-embarrier setup --computer {code.computer.label} --label NEW --executable PATH'
            yield Finding(f'code {code.full_label}', 'missing', ' '.join(str(error).split()), remedy)
        else:
            yield Finding(f'code {code.full_label}', 'ok', str(code.filepath_executable))

    yield from _engines()


def _is_worker(code: object) -> bool:
    from pathlib import PurePath

    return PurePath(str(getattr(code, 'filepath_executable', ''))).name == 'embarrier-worker'


def _worker() -> Iterator[Finding]:
    report = _asked('chgnet')
    if report is None:
        return
    if report['error'] is not None:
        yield Finding('worker', 'missing', report['error'], report.get('remedy', ''))
    else:
        detail = f'{report["potential"]} loads in {report["load_s"]} s on {report["device"]}, {report["cores"]} core(s)'
        yield Finding('worker', 'ok', detail)


def _worker_learns() -> Iterator[Finding]:
    report = _asked('learning')
    if report is None:
        return
    if report['error'] is not None:
        yield Finding('worker learns', 'optional', report['error'], report.get('remedy', ''))
    else:
        gpus = f', GPUs: {", ".join(report["gpus"])}' if report['gpus'] else ''
        detail = f'a step of training on {report["device"]}, {report["load_s"]} s from the start{gpus}'
        yield Finding('worker learns', 'ok', detail)


def _asked(what: str) -> dict[str, Any] | None:
    """Return what the worker of this machine says of a potential or of learning; None where there is no worker."""
    from aiida_embarrier.jobs.executable import find_worker

    worker = find_worker()
    if worker is None:
        return None
    done = subprocess.run([worker, 'check', what], capture_output=True, text=True, check=False)  # noqa: S603  (ours)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ['it printed nothing'])[-1]
        return {'error': last, 'remedy': "pip install --force-reinstall 'aiida-embarrier[potential,learning]'"}
    return report
