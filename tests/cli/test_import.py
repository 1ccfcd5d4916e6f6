"""`aiida-embarrier import`: finished calculations from their folders, and what show and plot make of them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_embarrier.cli import main

NEB_X = Path(__file__).resolve().parents[2] / 'examples' / 'neb_x_h2_h'

#: An image in a folder of VASP.
POSCAR = 'made up\n1.0\n6 0 0\n0 6 0\n0 0 6\nLi O\n1 1\nDirect\n{x} 0.5 0.5\n0.0 0.0 0.0\n'


@pytest.fixture
def run(aiida_profile_clean):
    """Return a function that runs the command line and returns its output and its messages."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.stdout, result.stderr

    return invoke


@pytest.fixture
def vasp(tmp_path):
    """Return a folder of VASP with nothing but structures."""
    for image in range(3):
        place = tmp_path / 'vasp' / f'{image:02d}'
        place.mkdir(parents=True)
        (place / 'POSCAR').write_text(POSCAR.format(x=0.2 + 0.3 * image))
    return tmp_path / 'vasp'


def heading_of(text: str) -> dict[str, str]:
    """Return the names and values above the tables."""
    rows = [re.split(' {2,}', line, maxsplit=1) for line in text.partition('\n\n')[0].splitlines()]
    return dict(rows)


@pytest.mark.slow
def test_import(run, vasp, tmp_path):
    """One folder prints its barrier, several a table; one that is refused does not end the others."""
    text, _ = run('import', 'quantumespresso', NEB_X)
    assert '0.204' in text
    heading = heading_of(text)
    assert heading['ion'] == 'H, any mechanism'
    assert heading['converged'] == 'yes'
    assert heading['residual force'] == '0.024 eV/Å'
    process = heading['process']
    assert run('show', process)[0] == text
    run('plot', process, '-o', tmp_path / 'path.png')
    assert (tmp_path / 'path.png').stat().st_size > 10_000
    assert [row['barrier_forward'] for row in json.loads(run('list', '--format', 'json')[0])] == [
        pytest.approx(0.20427, abs=1e-6)
    ]

    other = Path(shutil.copytree(NEB_X, tmp_path / 'other'))
    (other / 'neb0.out').unlink()
    text, message = run('import', 'quantumespresso', NEB_X, other, vasp, '-G', 'old', code=1)
    rows = [line for line in text.splitlines() if '0.204' in line]
    assert len(rows) == 2
    assert f'{vasp}: ' in message
    assert 'has no input of neb.x' in message
    from aiida.orm import load_group

    assert {node.label for node in load_group('old').nodes} == {'neb_x_h2_h', 'other'}


@pytest.mark.slow
def test_import_without_energies(run, vasp):
    """What the files do not tell is said, and no barrier is made up."""
    text, _ = run('import', 'vasp', vasp, '--mechanism', 'interstitial')
    heading = heading_of(text)
    assert heading['ion'] == 'Li, interstitial mechanism'
    assert heading['converged'] == '-'
    assert 'warning: the energies of any image are not known' in text
    assert 'definition' not in text
    found = json.loads(run('import', 'vasp', vasp, '--format', 'json')[0])
    assert found['barrier_forward'] is None
    assert found['energies'] == [None, None, None]
    assert found['mechanism'] is None
    _, message = run('plot', found['process'], code=1)
    assert 'the energies of image(s) 0, 1, 2 are not known' in message


def test_import_refuses(run, vasp, tmp_path):
    _, message = run('import', 'vasp', tmp_path, code=1)
    assert 'is no NEB calculation of VASP: it needs the folders 00, 01' in message
    _, message = run('import', 'vasp', tmp_path / 'nowhere', code=2)
    assert 'does not exist' in message
    _, message = run('import', 'vasp', vasp, '--computer', 'none', code=1)
    assert 'none' in message
