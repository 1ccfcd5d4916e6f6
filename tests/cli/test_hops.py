"""``aiida-embarrier hops``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pymatgen.core import Lattice, Structure

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
    arguments = [LIFEPO4, '--ion', 'Li', '--extra-vacancies', '1', '--max-length', '6.1']
    result = json.loads(hops(*arguments, '--format', 'json'))
    assert result['supercell_atoms'] == 110
    assert all(len(hop['further_vacancies']) == 1 for hop in result['hops'])
    text = hops(*arguments)
    assert 'further vacancies' in text
    assert '(0.000 1.000 0.000)' in text
    assert 'supercell 1 x 2 x 2: 110 atoms' in text


def test_no_hop_says_what_to_change():
    text = hops(LIFEPO4, '--ion', 'Li', '--max-length', '2.5')
    assert '0 distinct vacancy hop(s)' in text
    assert 'Allow longer hops with --max-length' in text
    assert 'clearance' not in text


@pytest.fixture
def blocked(tmp_path):
    """Return a file of a crystal with an oxygen atom in the middle of the shortest hop."""
    lattice = Lattice.orthorhombic(3.0, 4.0, 5.0)
    path = tmp_path / 'blocked.cif'
    Structure(lattice, ['Li', 'O'], [[0, 0, 0], [0.5, 0.05, 0]]).to(str(path))
    return str(path)


def test_hops_through_atoms_are_marked(blocked):
    text = hops(blocked, '--ion', 'Li')
    rows = [line for line in text.splitlines() if line.split()[:1] in (['0'], ['1'])]
    assert rows[0].endswith('through an atom')
    assert rows[0].split()[5] == '0.20'
    assert not rows[1].endswith('atom')
    assert 'clearance: distance of the straight line of the hop from the nearest other atom' in text
    assert 'has to bend around it' in text
    assert '`launch network` leaves out those through an atom' in text
    clear = hops(LIFEPO4, '--ion', 'Li')
    assert 'clearance: distance' in clear
    assert 'note' not in clear
    assert 'bend around' not in clear


def test_order_of_hops_of_nearly_one_length_is_explained(shared_data):
    crystal = str(shared_data / 'neb_vasp_fixtures/pmg_diffusion_paths/MnO2_full_Li.vasp')
    explanation = 'Lengths that agree within 0.01 Å (--symprec) count as one'
    assert explanation in hops(crystal, '--ion', 'Li')
    assert explanation not in hops(LIFEPO4, '--ion', 'Li')
    fine = hops(crystal, '--ion', 'Li', '--symprec', '0.0001')
    assert 'count as one' not in fine
    result = json.loads(hops(crystal, '--ion', 'Li', '--symprec', '0.0001', '--format', 'json'))
    assert result['symprec'] == 0.0001
    lengths = [hop['length'] for hop in result['hops']]
    assert lengths == pytest.approx(sorted(lengths), abs=1e-4)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([LIFEPO4, '--ion', 'li'], 'did you mean Li?'),
        ([LIFEPO4, '--ion', 'Na'], 'for an added ion choose --mechanism interstitial'),
        ([LIFEPO4, '--ion', 'li', '--mechanism', 'interstitial'], "'li' is no element"),
        ([LIFEPO4, '--ion', 'Li', '--symprec', '0'], 'symprec must be a positive distance'),
        ([LIFEPO4, '--ion', 'Li', '--extra-vacancies', '99'], 'not enough sites for 99 further vacancies'),
        (
            [LIFEPO4, '--ion', 'Li', '--extra-vacancies', '1', '--max-length', '3.1'],
            'at most 0 other site(s) of the ion; ask for fewer, or raise --max-length',
        ),
        (
            [LIFEPO4, '--ion', 'Li', '--extra-vacancies', '3', '--max-length', '6.1', '--min-distance', '4'],
            'has 4 sites of Li, and the hop itself takes two',
        ),
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
