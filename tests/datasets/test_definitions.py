"""What the barriers of a dataset are."""

import pandas as pd
import pytest

from aiida_embarrier.bands.barriers import QUANTITIES, barriers
from aiida_embarrier.datasets.definitions import (
    DEFINITIONS,
    UNSTATED,
    definition_of_rows,
    definitions_in_words,
    definitions_of,
    names_of_definitions,
)
from aiida_embarrier.datasets.schema import check_rows


def test_all_barriers_of_a_band_have_words():
    assert set(DEFINITIONS) == {*QUANTITIES, UNSTATED}
    assert set(QUANTITIES) <= set(barriers([0.0, 1.0, 0.0]).definitions)


def test_rows_that_name_none_are_unstated():
    frame = pd.DataFrame({'barrier_definition': pd.Series(['span', None, 'span', 'literature', 'span'], dtype='str')})
    assert definition_of_rows(frame).tolist() == ['span', UNSTATED, 'span', UNSTATED, 'span']
    assert definitions_of(frame) == {'span': 3, UNSTATED: 2}
    assert list(definitions_of(frame)) == ['span', UNSTATED]
    assert definitions_of(pd.DataFrame({'name': ['a', 'b']})) == {UNSTATED: 2}
    assert definitions_of(frame.iloc[:0]) == {}
    gaps = pd.DataFrame({'barrier_definition': [None, None]})
    assert definitions_of(gaps) == {UNSTATED: 2}


def test_words():
    assert definitions_in_words({'forward': 3}) == f'{DEFINITIONS["forward"]} (forward)'
    assert definitions_in_words({}) == 'not recorded'
    mixed = definitions_in_words({'span': 3, UNSTATED: 2})
    assert mixed == f'mixed; span (3 rows): {DEFINITIONS["span"]}; literature (2 rows): {DEFINITIONS[UNSTATED]}'
    assert names_of_definitions({'span': 3, UNSTATED: 2}) == 'span, literature'
    assert names_of_definitions({}) is None


def test_other_definitions_are_refused():
    row = {'name': 'a', 'lattice': '', 'species': '', 'frac_coords': '', 'n_atoms': 1, 'barrier': 1.0, 'ion': 'Li'}
    frame = pd.DataFrame([{**row, 'path': '', 'barrier_definition': 'maximum'}]).astype({'n_atoms': 'Int64'})
    with pytest.raises(ValueError, match="'maximum': choose from forward, reverse, rate_limiting, span, literature"):
        check_rows(frame, 'barrier')
