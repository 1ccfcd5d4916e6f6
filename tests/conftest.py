"""Fixtures that several rooms share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder with the real data, which lies beside the repository; .ci/run makes its absence an error."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f'the real data are not at {SHARED_DATA}')
    return SHARED_DATA
