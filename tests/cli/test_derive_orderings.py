"""``aiida-embarrier derive orderings``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from disordered_crystals import rock_salt
from pymatgen.core import Structure

from aiida_embarrier.cli import main


@pytest.fixture
def half(tmp_path):
    """Return a file of a rock-salt cell whose cations are half there."""
    path = tmp_path / 'half.cif'
    rock_salt({'Mg': 0.5}).to(str(path))
    return path


def orderings(*arguments, code=0):
    shown = CliRunner().invoke(main, ['derive', 'orderings', *map(str, arguments)])
    assert shown.exit_code == code, shown.output
    assert code == 0 or isinstance(shown.exception, SystemExit), 'no traceback'
    return shown.output


def as_json(*arguments):
    return json.loads(orderings(*arguments, '--format', 'json'))


def test_text(half):
    lines = orderings(half, '--supercell', '2x1x1').splitlines()
    assert lines[:3] == ['content       Mg4 Cl8', 'supercell     2 x 1 x 1', 'arrangements  70']
    rows = [line.split() for line in lines[lines.index('') + 3 :]]
    assert lines[3] == f'distinct      {len(rows)}'
    assert sum(int(row[1]) for row in rows) == 70
    assert '8 sites with Mg:0.5: 4 Mg, 4 empty' in lines
    assert 'oxidation states guessed: Cl -1, Mg +2' in lines


@pytest.mark.parametrize('supercell', ['2x1x1', '2 1 1', '2,1,1', '[[2,0,0],[0,1,0],[0,0,1]]', '2 0 0 0 1 0 0 0 1'])
def test_json(half, supercell):
    result = as_json(half, '--supercell', supercell)
    assert result['n_arrangements'] == 70
    assert result['n_distinct'] == result['n_found'] == len(result['structures'])
    assert sum(row['multiplicity'] for row in result['structures']) == 70
    assert result['supercell'] == [[2, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert result['structures'][0]['above'] == 0
    energies = [row['ewald_energy'] for row in result['structures']]
    assert energies == sorted(energies)


def test_written_files_are_the_structures(half, tmp_path):
    result = as_json(half, '--supercell', '2x1x1', '--write', tmp_path / 'out', '--keep', 2)
    assert len(result['structures']) == 2
    for row in result['structures']:
        assert Structure.from_file(row['file']).composition.formula == 'Mg4 Cl8'
    message = orderings(half, '--write', tmp_path / 'out', code=1)
    assert 'holds 2 ordering(s) already' in message
    assert '--overwrite' in message
    text = orderings(half, '--write', tmp_path / 'out', '--overwrite')
    assert text.splitlines()[-1] == f'1 of 1 orderings written to {tmp_path / "out"}'
    assert len(list((tmp_path / 'out').iterdir())) == 1


def test_count_of_a_large_cell(half):
    result = as_json(half, '--supercell', '2', '--count')
    assert result['n_arrangements'] == 601080390
    assert 'structures' not in result
    message = orderings(half, '--supercell', '2', code=1)
    assert str(result['n_arrangements']) in message
    assert str(result['n_distinct']) in message
    assert 'a smaller cell' in message


@pytest.mark.slow
def test_pymatgen_agrees(half):
    exact, proposed = (as_json(half, '--supercell', '2x1x1', mode) for mode in ('--exact', '--pymatgen'))
    assert proposed['mode'] == 'pymatgen'
    assert [row['multiplicity'] for row in proposed['structures']] != []
    assert sorted(row['multiplicity'] for row in proposed['structures']) == sorted(
        row['multiplicity'] for row in exact['structures']
    )


def test_options_reach_the_search(tmp_path):
    path = tmp_path / 'crystal.cif'
    rock_salt({'Li': 0.55}).to(str(path))
    refused = orderings(path, '--tolerance', '0.01', code=1)
    assert 'more than the tolerance of 0.01' in refused
    result = as_json(path, '--oxidation', 'Li=1', '--oxidation', 'Cl=-0.5', '--fix', 'orbit', '--symprec', '0.1')
    assert result['oxidation_states'] == {'Cl': -0.5, 'Li': 1.0}
    assert result['oxidation_source'] == 'given'
    assert any('rounded to 2 Li' in warning for warning in result['warnings'])
    assert as_json(path, '--supercell', 'fit', '--tolerance', '0.001', '--count')['n_arrangements'] == 167960


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['--supercell', '2x1'], 2, "'2x1' is no supercell: give fit, three integers such as 2x1x1, or nine"),
        (['--supercell', 'big'], 2, "'big' is no supercell"),
        (['--supercell', '0x1x1'], 1, 'is no supercell'),
        (['--oxidation', 'Mg'], 2, "'Mg' is not ELEMENT=STATE"),
        (['--oxidation', 'Na=1'], 1, "given for 'Na', which is not in the crystal"),
        (['--tolerance', '-1'], 1, 'a number from 0 to 1'),
        (['--symprec', '0'], 1, 'symprec must be a positive distance'),
        (['--limit', '5'], 1, 'more than the limit of 5 arrangements'),
        (['--count', '--write', 'out'], 2, '--count makes no structures'),
        (['--write', __file__], 1, 'is a file: give a folder'),
    ],
)
def test_bad_input_is_a_message(half, arguments, code, message):
    assert message in orderings(half, *arguments, code=code)


def test_bad_files_are_a_message(tmp_path):
    assert 'does not exist' in orderings(tmp_path / 'absent.cif', code=2)
    assert 'cannot be read as a crystal' in orderings(__file__, code=1)
    assert Path(__file__).name in orderings(__file__, code=1)
