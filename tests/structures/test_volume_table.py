"""The table of predicted and stored volumes in the documentation is what its script makes."""

import gzip
import json
import sys
from pathlib import Path

import pytest
from conftest import DOCS, EXAMPLES


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_the_table_is_what_the_script_makes(shared_data, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import volume_scaling_table as script

    with gzip.open(shared_data / 'barriers_train' / 'barriers_train.json.gz') as handle:
        rows = json.load(handle)
    predictions = [found for pair in script.pairs_of(rows) if (found := script.predict(*pair)) is not None]
    assert len(predictions) >= 10
    page = (DOCS / 'explanation' / 'volume_scaling.md').read_text()
    assert script.table_of(predictions) in page
    summary = script.summary_of(predictions)
    for number in (summary['pairs'], summary['plain']['mean_absolute'], summary['carried']['mean_absolute']):
        assert f'{number}' in page.partition(script.END)[2]
    monkeypatch.delitem(sys.modules, 'volume_scaling_table')
    assert Path(script.__file__).parent == EXAMPLES
