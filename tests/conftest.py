"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder with the real data, which lies beside the repository; .ci/run makes its absence an error."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f'the real data are not at {SHARED_DATA}')
    return SHARED_DATA


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
