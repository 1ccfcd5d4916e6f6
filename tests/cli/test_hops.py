"""``aiida-embarrier hops``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_embarrier.cli import main

LIFEPO4 = str(Path(__file__).resolve().parents[2] / 'examples' / 'LiFePO4.cif')


def hops(*arguments: str) -> str:
    """Return what the command prints."""
    shown = CliRunner().invoke(main, ['hops', *arguments], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_table_shows_the_hop_along_b():
    lines = hops(LIFEPO4, '--ion', 'Li').splitlines()
    first = next(line for line in lines if line.split()[:1] == ['0'])
    assert first.split() == ['0', '3.005', '[010]', '4', 'yes', '1.45']
    assert lines[-1] == 'supercell 1 x 2 x 2: 111 atoms, periodic images of the ion 9.38 Å apart'


def test_json_has_every_hop():
    result = json.loads(hops(LIFEPO4, '--ion', 'Li', '--format', 'json', '--max-length', '6.1'))
    assert result['formula'] == 'LiFePO4'
    assert result['supercell'] == [[1, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert result['supercell_atoms'] == 111
    lengths = [hop['length'] for hop in result['hops']]
    assert lengths == sorted(lengths)
    assert lengths[0] == pytest.approx(6.010 / 2)
    assert 4.692 < max(lengths) <= 6.1
    assert [hop['number'] for hop in result['hops']] == list(range(len(lengths)))


def test_smaller_distance_gives_a_smaller_cell():
    result = json.loads(hops(LIFEPO4, '--ion', 'Li', '--min-distance', '6', '--format', 'json'))
    assert result['supercell_atoms'] == 55
    assert result['image_distance'] == pytest.approx(6.010)


def test_further_vacancies_are_listed():
    arguments = [LIFEPO4, '--ion', 'Li', '--extra-vacancies', '1', '--max-length', '3.1']
    result = json.loads(hops(*arguments, '--format', 'json'))
    assert result['supercell_atoms'] == 110
    assert result['hops'] == []
    assert 'Allow longer hops with --max-length' in hops(*arguments)
    text = hops(*arguments[:-1], '6.1')
    assert 'further vacancies' in text
    assert '(0.000 1.000 0.000)' in text
    assert 'supercell 1 x 2 x 2: 110 atoms' in text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([LIFEPO4, '--ion', 'Xx'], "there is no 'Xx' in LiFePO4"),
        ([LIFEPO4, '--ion', 'Na'], 'it consists of Fe, Li, O, P'),
        ([LIFEPO4, '--ion', 'Li', '--max-length', '-1'], 'positive length'),
        ([LIFEPO4, '--ion', 'Li', '--min-distance', '0'], '0'),
        ([LIFEPO4, '--ion', 'Li', '--mechanism', 'exchange'], "'exchange' is not one of 'vacancy', 'interstitial'"),
        ([LIFEPO4], "Missing option '--ion'"),
        (['absent.cif', '--ion', 'Li'], "'absent.cif' does not exist"),
        ([__file__, '--ion', 'Li'], 'cannot be read as a crystal'),
    ],
)
def test_bad_input_is_a_message(arguments, message):
    shown = CliRunner().invoke(main, ['hops', *arguments])
    assert shown.exit_code in {1, 2}
    assert message in shown.output
    assert isinstance(shown.exception, SystemExit), 'no traceback'
