"""Fixtures that several rooms share."""

import os
import sqlite3
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ['aiida.tools.pytest_fixtures']

DOCS = Path(__file__).resolve().parents[1] / 'docs'
EXAMPLES = Path(__file__).resolve().parents[1] / 'examples'
SHARED_DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'

#: Seconds between two looks after the jobs of this machine.
JOB_POLL_INTERVAL = 0.2
#: Seconds between two looks of a work chain after the processes that it waits for.
CHILD_POLL_INTERVAL = 0.05


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder with the real data, which lies beside the repository; .ci/run makes its absence an error."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f'the real data are not at {SHARED_DATA}')
    return SHARED_DATA


@pytest.fixture(scope='session', autouse=True)
def _no_database_outlives_a_power_cut() -> Iterator[None]:
    """Let SQLite not wait for the disk: a barrier commits 400 times, each of which took 4 to 8 ms."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def hurry(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute('PRAGMA synchronous=OFF')

    event.listen(Engine, 'connect', hurry)
    yield
    event.remove(Engine, 'connect', hurry)


@pytest.fixture(scope='session', autouse=True)
def _chains_leave_the_processor_to_their_jobs() -> Iterator[None]:
    """Let work chains pause between two looks after their children.

    With a test profile AiiDA makes none: a chain that waited for a job kept one processor busy, which the job lacked.
    """
    from aiida.manage.manager import Manager

    create_runner = Manager.create_runner

    def with_pauses(manager: Manager, with_persistence: bool = True, **settings: Any) -> Any:
        return create_runner(manager, with_persistence, **{'poll_interval': CHILD_POLL_INTERVAL, **settings})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manager, 'create_runner', with_pauses)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that have most slow tests, so that none of them is left to one worker alone at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker('slow'))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope='session')
def hops() -> Callable[[str], Any]:
    """Return bands on EMT by their names: vacancies in Al and Cu, an adatom on Au(100)."""
    from potential_systems import adatom_hop, vacancy_hop

    @cache
    def band(name: str) -> Any:
        element, kind = name.split()
        return vacancy_hop(element) if kind == 'vacancy' else adatom_hop(element)

    return band


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a skipped test a failed one where the environment variable EMBARRIER_NO_SKIPS is 1, as .ci/run sets it."""
    if os.environ.get('EMBARRIER_NO_SKIPS') == '1' and report.skipped and not hasattr(report, 'wasxfail'):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = 'failed'
        report.longrepr = f'EMBARRIER_NO_SKIPS=1: {reason}'


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture
def worker_code(aiida_profile: Any, aiida_localhost: Any) -> Any:
    """Return the code of the worker of this environment on this machine."""
    from aiida_embarrier.engines.potential.setup import setup_code

    return setup_code(aiida_localhost)[0]


@pytest.fixture
def toy_codes(aiida_profile: Any, entry_points: Any, monkeypatch: Any) -> dict[str, Any]:
    """Register the engine `toy` as the documentation says it, and return its codes: it has none."""
    page = (DOCS / 'howto' / 'write_an_engine.md').read_text()
    declared = tomllib.loads(page.partition('```toml\n')[2].partition('```')[0])['project']['entry-points']
    monkeypatch.syspath_prepend(EXAMPLES)
    for group, entries in declared.items():
        for name, value in entries.items():
            entry_points.add(value, group=group, name=name)
    return {}


@pytest.fixture
def aiida_localhost(aiida_computer_local: Any) -> Any:
    """Return AiiDA's own computer of this machine, without a login shell: it takes half a second for each command.

    Jobs are looked after five times a second: a look costs 18 ms of processor time, and without a pause between them
    they keep one processor busy, which the job then lacks.
    """
    computer = aiida_computer_local(label='localhost', configure=False)
    if not computer.is_configured:
        computer.configure(safe_interval=0.0, use_login_shell=False)
        computer.set_minimum_job_poll_interval(JOB_POLL_INTERVAL)
    return computer


class VaspEmulator:
    """Codes of the stand-in for VASP (tests/emulators/vasp/README.md) and made-up POTCARs for them."""

    def __init__(self, computer: Any, folder: Path) -> None:
        self.computer = computer
        self.folder = folder

    def code(self, emulation: dict[str, Any] | None = None, label: str = 'vasp') -> Any:
        """Return a stored code that behaves as asked; without a question it works and has VTST's tools."""
        from emulators.vasp.setup import make_code

        return make_code(self.computer, self.folder, emulation, label)

    def potcars(self, elements: Any, names: Any = ()) -> str:
        """Return the label of a family with X, X_pv and X_sv of each element, and with further names."""
        from emulators.vasp.setup import upload_family

        return upload_family(self.folder, elements, names)


@pytest.fixture
def vasp_emulator(aiida_profile: Any, aiida_localhost: Any, tmp_path: Path) -> VaspEmulator:
    """Return the stand-in for VASP on this machine."""
    return VaspEmulator(aiida_localhost, tmp_path / 'vasp')


@pytest.fixture
def make_calcjob_node(aiida_profile: Any, aiida_localhost: Any) -> Callable[..., Any]:
    """Return a factory of finished CalcJob nodes with retrieved files, for parsers and handlers."""
    from aiida.common.links import LinkType
    from aiida.orm import CalcJobNode, FolderData
    from aiida.plugins.entry_point import format_entry_point_string

    def make(
        entry_point: str,
        inputs: dict[str, Any],
        files: dict[str, str | bytes] | None = None,
        outputs: dict[str, Any] | None = None,
        exit_status: int | None = None,
        exit_message: str | None = None,
        caller: Any = None,
    ) -> CalcJobNode:
        node = CalcJobNode(
            computer=aiida_localhost, process_type=format_entry_point_string('aiida.calculations', entry_point)
        )
        node.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
        for label, value in inputs.items():
            node.base.links.add_incoming(value.store(), link_type=LinkType.INPUT_CALC, link_label=label)
        if caller is not None:
            node.base.links.add_incoming(caller, link_type=LinkType.CALL_CALC, link_label='iteration_01')
        node.store()
        retrieved = FolderData()
        for name, content in (files or {}).items():
            retrieved.base.repository.put_object_from_bytes(
                content if isinstance(content, bytes) else content.encode(), name
            )
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
        retrieved.store()
        for label, value in (outputs or {}).items():
            value.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=label)
            value.store()
        if exit_status is not None:
            node.set_process_state('finished')
            node.set_exit_status(exit_status)
            node.set_exit_message(exit_message or '')
        return node

    return make
