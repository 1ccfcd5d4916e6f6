"""`aiida-embarrier dataset`: import, info, filter, join and assemble."""

import gzip
import json

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from potential_systems import vacancy_hop
from property_systems import halides

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.cli import main
from aiida_embarrier.cli.dataset.assemble import _distinct, _inputs
from aiida_embarrier.cli.dataset.filter import read_conditions
from aiida_embarrier.datasets.importing import read_dataset
from aiida_embarrier.datasets.tables import content_hash, write_parquet


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ['dataset', *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


@pytest.fixture
def rows(shared_data, tmp_path):
    """Return a file of published rows, some with a defect."""
    raw = (shared_data / 'barriers_train' / 'barriers_train.json.gz').read_bytes()
    chosen = [row for row in json.loads(gzip.decompress(raw)) if row['n_atoms'] < 60][:20]
    file = tmp_path / 'some.json.gz'
    file.write_bytes(gzip.compress(json.dumps(chosen).encode()))
    return file


@pytest.mark.usefixtures('no_profile')
def test_files_need_no_profile(run, rows):
    """A file is imported into a table, looked at, filtered and joined."""
    text = run('import', rows, '--repair', 'class_alias', '--source', 'arXiv:2508.06459', '-o', 'all.parquet')
    assert 'rows                20' in text
    frame = pd.read_parquet('all.parquet')
    pd.testing.assert_frame_equal(
        frame, read_dataset(rows, repairs=['class_alias'], source_text='arXiv:2508.06459').frame, check_dtype=False
    )
    info = json.loads(run('info', 'all.parquet', '--format', 'json'))
    assert info['n_rows'] == 20
    assert info['barrier']['max'] == pytest.approx(frame['barrier'].max())
    assert sum(info['counts']['ion'].values()) == 20
    assert info['n_flagged'] == frame['flags'].notna().sum()
    assert 'rows with a defect' in run('info', rows, '--defects')

    limit = float(frame['barrier'].median())
    left = json.loads(run('filter', 'all.parquet', '--where', f'barrier<={limit}', '-o', 'low.csv', '--format', 'json'))
    low = pd.read_csv('low.csv')
    assert set(low['name']) == set(frame['name'][frame['barrier'] <= limit])
    assert left['n_rows'] == len(low)
    assert {entry['name'] for entry in left['left_out']} == set(frame['name']) - set(low['name'])
    run('filter', 'all.parquet', '--where', f'barrier>={limit}', '-o', 'high.parquet')
    both = json.loads(
        run('join', 'low.csv', 'high.parquet', '-o', 'both.parquet', '--duplicates', 'left', '--format', 'json')
    )
    assert both['n_rows'] == 20
    assert set(pd.read_parquet('both.parquet')['name']) == set(frame['name'])


@pytest.mark.usefixtures('no_profile')
def test_labels_of_another_table(run, rows, shared_data):
    run('import', rows, '-o', 'all.parquet')
    frame = pd.read_parquet('all.parquet').drop(columns=['space_group', 'mace_relax'])
    frame.to_csv('fewer.csv', index=False)
    labels = shared_data / 'barriers_train' / 'barriers_train.csv'
    out = run(
        'join',
        'fewer.csv',
        labels,
        '--labels',
        '--on',
        'sys_name',
        '--columns',
        'space_group,mace_relax_eV',
        '-o',
        'labelled.parquet',
    )
    assert 'the dataset has no row of this name' in out
    assert 'more; --format json names all' in out
    found = pd.read_parquet('labelled.parquet').set_index('name')
    table = pd.read_csv(labels).set_index('sys_name').loc[found.index]
    assert list(found['space_group']) == list(table['space_group'])
    np.testing.assert_array_equal(found['mace_relax_eV'], table['mace_relax_eV'])


@pytest.mark.usefixtures('no_profile')
def test_what_is_refused(run, rows, tmp_path):
    """Nothing is written where anything is wrong, and messages name the remedy."""
    rows.with_name('cut.json.gz').write_bytes(rows.read_bytes()[:-300])
    before = sorted(tmp_path.iterdir())
    for arguments, message in (
        (('import', 'cut.json.gz', '-o', 'x.parquet'), 'ends too early'),
        (('import', rows, '-o', 'x.json'), 'ends in neither .csv nor .parquet'),
        (('import', rows, '-o', 'nowhere/x.csv'), "there is no folder 'nowhere'"),
        (('import', rows, '--repair', 'all', '-o', 'x.csv'), "there is no repair 'all': choose from"),
        (('filter', rows, '-o', 'x.csv'), 'nothing to filter by'),
        (('filter', rows, '--where', 'ion=Li'), 'name it with -o'),
        (('filter', rows, '--where', 'iom=Li', '-o', 'x.csv'), "there is no column 'iom': did you mean 'ion'?"),
        (('filter', rows, '--where', 'iom=Li'), "there is no column 'iom': did you mean 'ion'?"),
        (('filter', rows, '--where', 'ion', '-o', 'x.csv'), "'ion' is no condition such as ion=Li,Na"),
        (('filter', rows, '--where', 'ion>=1', '-o', 'x.csv'), "'ion' holds no numbers, so it has no min"),
        (('filter', rows, '--where', 'ion=Cs', '-o', 'x.csv'), 'no row meets the conditions: loosen them'),
        (('filter', rows, '--where', 'flags!=none', '-o', 'x.csv'), "there is no defect 'none'"),
        (('join', rows, rows, '-o', 'x.csv'), '20 name(s) are in both datasets'),
        (('join', rows, rows, '--labels', '-o', 'x.csv'), 'is no table with a column'),
        (('info', 'none.csv'), "there is no file 'none.csv'"),
    ):
        assert message in run(
            *arguments,
            code=2
            if 'nothing' in message or 'neither' in message or 'with -o' in message or 'no condition' in message
            else 1,
        )
    assert sorted(tmp_path.iterdir()) == before
    run('import', rows, '-o', 'there.csv')
    assert 'is there already' in run('import', rows, '-o', 'there.csv', code=1)
    run('import', rows, '-o', 'there.csv', '--overwrite')


def test_conditions():
    assert read_conditions(('ion=Li, Na', 'barrier<=1', 'barrier>=0.1', 'flags!=close_ion', 'name~MnO', 'jid=3')) == {
        'ion': {'in': ['Li', 'Na']},
        'barrier': {'max': 1.0, 'min': 0.1},
        'flags': {'not': ['close_ion']},
        'name': {'contains': 'MnO'},
        'jid': {'in': ['3']},
    }
    assert read_conditions(('flags!=a,b', 'flags!=c')) == {'flags': {'not': ['a', 'b', 'c']}}
    with pytest.raises(click.BadParameter, match='two conditions ion= are given'):
        read_conditions(('ion=Li', 'ion=Na'))


def test_names_of_rows_are_distinct():
    assert _distinct({'a': 'X', 'b': 'X', 'c': 'X_1', 'd': 'Y'}) == {'a': 'X_2', 'b': 'X_3', 'c': 'X_1', 'd': 'Y'}


@pytest.mark.slow
def test_nodes(run, rows, worker_code):
    """The same with nodes: each step is a process, and its result a dataset with an origin."""
    made = json.loads(run('import', rows, '--title', 'twenty rows', '--format', 'json'))
    assert (made['n_rows'], made['title'], made['format']) == (20, 'twenty rows', 'barriers-train')
    info = json.loads(run('info', made['dataset'], '--format', 'json'))
    assert (info['pk'], info['n_rows'], info['n_flagged']) == (made['dataset'], 20, made['n_flagged'])
    assert json.loads(run('info', made['process'], '--format', 'json'))['uuid'] == made['uuid']
    lithium = json.loads(run('filter', made['dataset'], '--where', 'ion=Li', '--curate', '--format', 'json'))
    others = json.loads(run('filter', made['dataset'], '--where', 'ion!=Li', '--format', 'json'))
    assert lithium['n_rows'] + len(lithium['left_out']) == 20
    assert lithium['n_rows'] + others['n_rows'] == 20
    joined = json.loads(run('join', lithium['dataset'], others['dataset'], '--format', 'json'))
    assert (joined['n_rows'], joined['title']) == (20, 'twenty rows')
    assert '20 name(s) are in both' in run('join', joined['dataset'], made['dataset'], code=1)
    assert 'no dataset but a' in run('info', worker_code.pk, code=1)
    from aiida.orm import load_node

    above = load_node(joined['dataset']).base.links.get_incoming().one().node
    assert above.process_label == 'join_datasets'


@pytest.mark.slow
def test_assemble(run, worker_code):
    """Bands become rows under names of their own; one that did not converge is named."""
    from aiida_embarrier.data.band import BandData

    ends = vacancy_hop('Cu')

    def node(height, converged=True):
        images = np.linspace(ends.positions[0], ends.positions[-1], 3)
        info = BandInfo(engine='potential', mechanism='vacancy', host='Cu', converged=converged)
        energies = np.array([0.0, height, 0.0])
        return BandData(
            ends.replace(positions=images, energies=energies, forces=None, max_perpendicular_forces=None, info=info)
        ).store()

    good, other, bad = node(0.3), node(0.4), node(0.5, converged=False)
    from aiida.orm import Dict

    literature = {'barrier': 0.45, 'definition': 'literature', 'functional': 'PBE'}
    entry = Dict({'name': 'from a book', 'source': 'a book', 'literature': literature, 'nodes': {'band': other.uuid}})
    found = json.loads(
        run('assemble', good.pk, entry.store().pk, good.pk, bad.pk, '--title', 'copper', '--format', 'json')
    )
    assert (found['n_rows'], found['title']) == (2, 'copper')
    assert [entry['name'] for entry in found['left_out']] == ['Cu_Cu_2']
    from aiida.orm import load_node

    frame = load_node(found['dataset']).table
    assert list(frame['name']) == ['Cu_Cu_1', 'from a book']
    assert list(frame['origin']) == [good.uuid, other.uuid]
    assert list(frame['barrier']) == pytest.approx([0.3, 0.4])
    assert frame['literature_barrier'][1] == 0.45
    assert frame['source'][1] == 'a book'
    assert 'no band is left' in run('assemble', bad.pk, code=1)
    assert "no group 'none'" in run('assemble', '--group', 'none', code=1)
    assert 'name bands or processes' in run('assemble', code=2)


def test_bands_that_are_named_beside_their_entries(aiida_profile):
    """A band that is named itself before its entry keeps the literature value, and rows keep their order."""
    from aiida.orm import Dict

    from aiida_embarrier.data.band import BandData

    band = BandData(vacancy_hop('Cu')).store()
    entry = Dict({'name': 'row', 'literature': {}, 'nodes': {'band': band.uuid}}).store()
    inputs, names = _inputs([band, entry])
    assert (inputs['entries'].keys(), list(names.values())) == (inputs['bands'].keys(), ['row'])


@pytest.mark.usefixtures('no_profile')
def test_files_keep_what_their_numbers_are(run, tmp_path):
    """Parquet says the property and its unit, through every command; a CSV cannot, which is told."""
    (tmp_path / 'raw.parquet').write_bytes(write_parquet(halides('one')))

    def told(file):
        info = json.loads(run('info', file, '--format', 'json'))
        return info['property'], info['target_unit']

    assert told('raw.parquet') == ('target', None)
    about = ('--target', 'band gap', '--unit', 'eV')
    found = json.loads(run('import', 'raw.parquet', *about, '-o', 'gaps.parquet', '--format', 'json'))
    assert found['notes'] == []
    assert told('gaps.parquet') == ('band gap', 'eV')
    run('filter', 'gaps.parquet', '--where', 'n_atoms<=2', '-o', 'small.parquet')
    assert told('small.parquet') == ('band gap', 'eV')
    run('join', 'gaps.parquet', 'small.parquet', '--duplicates', 'left', '-o', 'both.parquet')
    assert told('both.parquet') == ('band gap', 'eV')
    assert content_hash(pd.read_parquet('both.parquet')) == content_hash(pd.read_parquet('gaps.parquet'))

    text = run('filter', 'gaps.parquet', '--where', 'n_atoms<=2', '-o', 'small.csv')
    assert "import it with --target 'band gap' --unit eV, or write parquet" in ' '.join(text.split())
    assert told('small.csv') == ('target', None)

    run('import', 'raw.parquet', '--target', 'bulk modulus', '--unit', 'GPa', '-o', 'moduli.parquet')
    refused = run('join', 'gaps.parquet', 'moduli.parquet', '--duplicates', 'left', '-o', 'x.parquet', code=1)
    assert 'the first file holds band gap (eV), moduli.parquet bulk modulus (GPa)' in refused
