"""Statistics of datasets as processes."""

import pytest
from aiida.orm import Dict
from dataset_rows import barrier_rows, property_rows

from aiida_embarrier.calculations.statistics import summarise_dataset
from aiida_embarrier.data.dataset import DatasetData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.statistics import dataset_statistics

pytestmark = pytest.mark.usefixtures('aiida_profile')


def test_barriers(aiida_profile):
    frame = barrier_rows()
    found, node = summarise_dataset.run_get_node(DatasetData(frame, title='made up'), Dict({'bin_width': 0.5}))
    assert node.is_finished_ok
    expected = dataset_statistics(frame, bin_width=0.5)
    # AiiDA rounds numbers to 14 digits
    assert found['numbers'].get_dict() == pytest.approx(expected.numbers, rel=1e-12)
    assert set(found) == {'numbers', *expected.tables}
    for name, table in expected.tables.items():
        assert found[name].table.equals(table), name
        assert found[name].units == expected.units_of(name)
        assert found[name].title
    assert {entry.link_label for entry in node.base.links.get_incoming().all()} == {'dataset', 'parameters'}


def test_property(aiida_profile):
    dataset = DatasetData(property_rows(), schema='property', target='bulk modulus', target_unit='GPa')
    found = summarise_dataset(dataset)
    assert found['histogram'].units == {'low': 'GPa', 'high': 'GPa'}
    assert 'by_ion' not in found


def test_plain_table(aiida_profile):
    """A table with the columns of a schema is a dataset, too."""
    frame = barrier_rows().drop(columns=['flags', 'charge_state'])
    found = summarise_dataset(TableData(frame))
    assert found['by_ion'].table['n'].tolist() == [104, 104]
    assert 'pairs' not in found


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'width': 1}, "there is no setting 'width' of statistics: choose from bin_width, thresholds, ranges"),
        ({'bin_width': -1}, 'the width of a bin is a positive number, got -1'),
        ({'bin_width': 'a'}, "bin_width is a number, got 'a'"),
        ({'thresholds': 0.5}, 'thresholds is a list of numbers, got 0.5'),
        ({'ranges': ['low', 2]}, "ranges is a list of numbers, got ['low', 2]"),
        ({'ranges': [2, 1]}, 'two limits, the lower one first'),
    ],
)
def test_refused(aiida_profile, parameters, message):
    _, node = summarise_dataset.run_get_node(TableData(barrier_rows()), Dict(parameters))
    assert node.exit_status == 201
    assert message in node.exit_message
