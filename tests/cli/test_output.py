"""Tables and JSON."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from aiida_embarrier.cli.output import Column, as_text, echo_json, echo_pairs, echo_table


def test_json_knows_numpy_and_nothing_that_is_not_finite(capsys):
    echo_json(
        {
            'energies': np.array([0.0, np.nan, np.inf]),
            'pair': (np.int64(1), np.float64(0.25)),
            'path': Path('a/b'),
            'when': date(2026, 11, 22),
            'unknown': None,
            'flag': np.bool_(True),
            2: 'Å',
        }
    )
    printed = capsys.readouterr().out
    assert json.loads(printed) == {
        'energies': [0.0, None, None],
        'pair': [1, 0.25],
        'path': 'a/b',
        'when': '2026-11-22',
        'unknown': None,
        'flag': True,
        '2': 'Å',
    }
    assert 'Å' in printed


@pytest.mark.parametrize(
    ('value', 'specification', 'text'),
    [(0.12345, '.3f', '0.123'), (None, '.3f', '-'), (float('nan'), '.3f', '-'), (True, '', 'yes'), (False, '', 'no')],
)
def test_text_of_values(value, specification, text):
    assert as_text(value, specification) == text


def test_table(capsys):
    rows = [{'number': 0, 'length': 3.0051, 'label': '1e5'}, {'number': 10, 'length': None, 'label': 'b'}]
    columns = [
        Column('hop', 'number', 'd'),
        Column('length (Å)', 'length', '.2f'),
        Column('label', lambda row: row['label'].upper()),
    ]
    echo_table(rows, columns)
    heading, _, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ['hop', 'length', '(Å)', 'label']
    assert first.split() == ['0', '3.01', '1E5']
    assert second.split() == ['10', '-', 'B']
    assert first.index('3.01') + 4 == second.index('-') + 1, 'numbers stand to the right'


def test_pairs(capsys):
    echo_pairs({'barrier': '0.16 eV', 'converged': True})
    assert capsys.readouterr().out == 'barrier    0.16 eV\nconverged  yes\n'
