"""The published rows, read once."""

import pytest

from aiida_embarrier.datasets.importing import read_dataset


@pytest.fixture(scope='session')
def barriers(shared_data):
    """Return the published rows as they were imported; do not change them."""
    return read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz')
