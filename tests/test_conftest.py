"""Skipped tests become failures where .ci/run asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason='marked')
def test_marked():
    pass

def test_inside():
    pytest.skip('inside')

@pytest.mark.xfail(reason='known', strict=True)
def test_expected_failure():
    raise AssertionError
"""


@pytest.fixture
def suite(tmp_path):
    """Return a folder with a small test suite under the conftest.py of this repository."""
    (tmp_path / 'conftest.py').write_text((Path(__file__).parent / 'conftest.py').read_text())
    (tmp_path / 'test_some.py').write_text(TESTS)
    (tmp_path / 'test_module.py').write_text("import pytest\npytest.skip('module', allow_module_level=True)\n")
    return tmp_path


@pytest.mark.parametrize(('no_skips', 'closing'), [('', '1 passed, 3 skipped, 1 xfailed'), ('1', 'error')])
def test_skips_are_failures_where_asked(suite, no_skips, closing):
    finished = subprocess.run(
        [
            sys.executable,
            '-m',
            'pytest',
            '-ra',
            '--continue-on-collection-errors',
            '-p',
            'no:cacheprovider',
            '-p',
            'no:warnings',
            suite,
        ],
        env={**os.environ, 'EMBARRIER_NO_SKIPS': no_skips},
        cwd=suite,
        capture_output=True,
        text=True,
        check=False,
    )
    assert closing in finished.stdout.splitlines()[-1], finished.stdout
    assert finished.returncode == (1 if no_skips else 0)
    if no_skips:
        assert '1 failed, 1 passed, 1 xfailed, 2 errors' in finished.stdout.splitlines()[-1]
        for reason in ('marked', 'inside', 'module'):
            assert f'EMBARRIER_NO_SKIPS=1: Skipped: {reason}' in finished.stdout
