"""`publish` on the command line: what would go out, the files, the comparison; in text and in JSON."""

import io
import json

import pytest
from click.testing import CliRunner
from emulators.vasp.potcars import potcar
from systems import computed_band

from aiida_embarrier.cli import main


@pytest.fixture
def publish(aiida_profile_clean):
    """Return a function that runs `publish` on a profile with a group `paper` of one band; it returns both outputs."""
    from aiida.orm import Dict, Group

    from aiida_embarrier.data.band import BandData

    group = Group('paper').store()
    group.add_nodes(
        [BandData(computed_band(), label='hop').store(), Dict({'file': '/home/ann/x.cif', 'a': 4.05}).store()]
    )

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ['publish', *(str(argument) for argument in arguments)])
        assert result.exit_code == code, result.output
        return result.stdout, result.stderr

    return invoke


def test_dry_run(publish, tmp_path):
    text, _ = publish('paper', '--dry-run')
    for part in ('BandData  ', 'table of 2 rows: 1 band, 1 values', '/home/ann/x.cif', 'no licence is stated'):
        assert part in text
    report = json.loads(publish('paper', '--dry-run', '--licence', 'CC0-1.0', '--format', 'json')[0])
    assert report['nodes']['by_type'] == {'BandData': 1, 'Dict': 1}
    assert report['table'] == {'rows': 2, 'by_kind': {'band': 1, 'values': 1}}
    assert [(entry['kind'], entry['value']) for entry in report['private']] == [
        ('user', 'ann'),
        ('path', '/home/ann/x.cif'),
    ]
    assert report['licensed'] == []
    assert report['warnings'] == []
    assert report['archive_bytes_estimate'] > 1000
    assert list(tmp_path.iterdir()) == []


def test_files_and_comparison(publish, tmp_path):
    path = tmp_path / 'x.aiida'
    arguments = ('--title', 'Aluminium', '--authors', 'A. One', '--authors', 'B. Two', '--licence', 'CC-BY-4.0')
    report = json.loads(publish('paper', '-o', path, *arguments, '--format', 'json')[0])
    assert report['written']['agrees'] is True
    assert report['written']['bytes'] == path.stat().st_size
    assert '# Aluminium\n\nAuthors: A. One; B. Two' in (tmp_path / 'x.README.md').read_text()
    assert 'x.csv exists: choose another name' in publish('paper', '-o', tmp_path / 'x', code=1)[1]
    assert 'x.aiida and x.csv agree: 2 rows' in publish('paper', '-o', path, '--overwrite')[0]
    text = publish('--verify', path)[0]
    assert 'x.aiida and x.csv agree: 2 rows' in text
    assert 'the hashes of tables, datasets and values cover 1 more' in text
    assert json.loads(publish('--verify', path, '--format', 'json')[0])['n_rows'] == 2
    table = tmp_path / 'x.csv'
    table.write_text(table.read_text().replace(',0.6,', ',0.59,'))
    error = publish('--verify', path, code=1)[1]
    assert 'barrier_forward of' in error
    assert 'is 0.59 in the table, and 0.6 from the content of the archive' in error


def test_what_is_refused(publish, tmp_path):
    from aiida.orm import SinglefileData, load_group

    node = SinglefileData(io.BytesIO(potcar('Al').encode()), filename='POTCAR').store()
    load_group('paper').add_nodes(node)
    for arguments in (['--dry-run'], ['-o', tmp_path / 'x.aiida']):
        assert f'node {node.pk} (SinglefileData), file POTCAR holds' in publish('paper', *arguments, code=1)[1]
    report, error = publish('paper', '--dry-run', '--format', 'json', code=1)
    assert [entry['pk'] for entry in json.loads(report)['licensed']] == [node.pk]
    assert f'--exclude {node.pk}' in error
    assert 'tell of people and machines' in publish('paper', '--exclude', node.pk, '--dry-run', '--strict', code=1)[1]
    assert list(tmp_path.iterdir()) == []
    publish('paper', '--exclude', node.uuid, '-o', tmp_path / 'x.aiida')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'name a GROUP to publish'),
        (['paper'], 'name the archive to write'),
        (['paper', '--verify', 'x.aiida'], 'leave out GROUP and --output'),
    ],
)
def test_usage(publish, arguments, message):
    assert message in publish(*arguments, code=2)[1]


def test_unknown_names(publish, tmp_path):
    assert "no group 'papr' in this profile: did you mean 'paper'?" in publish('papr', '--dry-run', code=1)[1]
    assert '`verdi group list`' in publish('quite different', '--dry-run', code=1)[1]
    assert 'does not exist' in publish('paper', '-o', tmp_path / 'no' / 'x.aiida', code=1)[1]
    assert 'ends in none of .csv' in publish('paper', '-o', tmp_path / 'x.aiida', '--table', 'x.txt', code=1)[1]
    assert 'there is no' in publish('--verify', tmp_path / 'x.aiida', code=1)[1]
