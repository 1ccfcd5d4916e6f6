"""Derived structures and entries of datasets on the command line: launches with the toy engine, and what show makes."""

import json

import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, WorkChainNode
from click.testing import CliRunner
from pymatgen.core import Lattice, Structure
from systems import aluminium, computed_band

from aiida_embarrier.cli import main
from aiida_embarrier.data.band import BandData


@pytest.fixture
def run():
    """Return a function that runs the command line; JSON is what it printed last."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output if code else result.stdout

    return invoke


@pytest.fixture
def crystal(tmp_path):
    path = tmp_path / 'Al.cif'
    aluminium((1, 1, 1)).to_file(str(path))
    return path


#: Nothing is relaxed, so that a launch takes seconds.
QUICK = ('--engine', 'toy', '--set', 'relax_host=none', '--set', 'relax_endpoints=false', '--set', 'supercell=[2,2,2]')


@pytest.mark.slow
def test_launch_derive_show_and_plot(run, aiida_profile_clean, toy_codes, crystal, tmp_path):
    words = ('launch', 'derive', crystal, '--ion', 'Al', '--hops', '0', *QUICK, '--format', 'json')
    found = json.loads(run(*words))
    assert found['exit_status'] == 0
    assert [branch['taken'] for branch in found['summary']['branches']] == [
        'given',
        'ordered',
        'not relaxed',
        'vacancy',
    ]
    [hop] = found['summary']['hops']
    text = run('show', found['pk'])
    assert 'every site holds one atom' in text
    assert str(hop['initial']) in text
    assert '2.8' in text
    picture = tmp_path / 'hop.svg'
    run('plot', found['pk'], '-o', picture)
    assert 'hop 0' in picture.read_text()
    # a hop by its sites, and a structure that was derived
    text = run(
        *(
            'launch',
            'derive',
            '--parent',
            crystal,
            '--substitute',
            'Al=Cu',
            '--ion',
            'Cu',
            '--between',
            '0',
            '0.5,0.5,0',
        ),
        *QUICK,
    )
    assert 'Cu from Al by Al to Cu' in text


@pytest.mark.slow
def test_launch_entry_show_and_plot(run, aiida_profile_clean, toy_codes, crystal, tmp_path):
    row = tmp_path / 'row.yaml'
    row.write_text(
        'name: Al_1\nbarrier: 0.61\nsource: a handbook\nion: Al\nstructure: Al.cif\nhop: 0\n'
        'overrides: {n_images: 3, engine: {neb: {force_threshold: 1.0, climb: false}}}\n'
    )
    found = json.loads(run('launch', 'entry', row, *QUICK, '--format', 'json'))
    entry = found['entry']
    assert entry['comparison']['literature'] == 0.61
    assert entry['computed']['n_images'] == 3
    text = run('show', found['pk'])
    for words in ('a handbook', '0.610', 'does not say how its barrier is defined', 'forward'):
        assert words in text
    picture = tmp_path / 'path.svg'
    run('plot', found['pk'], '-o', picture)
    assert 'literature 0.610 eV' in picture.read_text()


@pytest.fixture
def entry(aiida_profile_clean):
    """Return a finished work chain as the computation of an entry leaves it."""
    node = WorkChainNode(process_type='aiida.workflows:embarrier.entry').store()
    content = {
        'name': 'LiX_1',
        'ion': 'Li',
        'formula': 'LiX',
        'source': 'Somebody et al.',
        'literature': {'barrier': 0.5, 'definition': 'span', 'functional': 'GGA', 'notes': None},
        'computed': {
            'forward': 0.6,
            'reverse': 0.5,
            'rate_limiting': 0.6,
            'span': 0.62,
            'mechanism': 'vacancy',
            'functional': None,
            'potential': 'chgnet',
            'engine': 'potential',
            'converged': True,
        },
        'definitions': {'span': 'largest minus smallest'},
        'comparison': {'definition': 'span', 'is_assumed': False, 'literature': 0.5, 'computed': 0.62}
        | {'difference': 0.12},
        'branches': [{'step': 'occupancies', 'taken': 'disordered', 'why': 'sites are occupied partly'}],
        'warnings': ['too small a cell'],
    }
    for label, output in {'entry': Dict(content), 'band': BandData(computed_band())}.items():
        output.store()
        output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    return node


def test_show_of_an_entry(run, entry):
    rows = [line.split() for line in run('show', entry.pk).splitlines()]
    assert ['span', '0.620', '0.500', '+0.120', 'largest', 'minus', 'smallest'] in rows
    assert ['forward', '0.600', '-', '-', '-'] in rows
    assert ['occupancies', 'disordered', 'sites', 'are', 'occupied', 'partly'] in rows
    assert json.loads(run('show', entry.pk, '--format', 'json'))['band'] == entry.outputs.band.pk


def test_show_of_what_is_not_done(run, aiida_profile_clean):
    for name in ('derive', 'entry'):
        node = WorkChainNode(process_type=f'aiida.workflows:embarrier.{name}').store()
        assert f'`verdi process report {node.pk}`' in run('show', node.pk, code=1)


@pytest.mark.usefixtures('aiida_profile_clean', 'toy_codes')
@pytest.mark.parametrize(
    ('words', 'message', 'code'),
    [
        (('--hops', '0', '--all-hops'), 'exclude each other', 2),
        (('--max-length', '4'), 'go with --hops', 2),
        (('--ion', 'Al'), '--ion Al goes with --state, --hops', 2),
        (('--substitute', 'Li'), 'is not OLD=NEW', 2),
        (('--between', '0', 'b'), 'is no site', 2),
        (('--state', 'charged'), 'no `ion` is named', 1),
        (('--set', 'relax_ordering=3'), "did you mean 'relax_orderings'", 1),
        (('--set', 'n_images=3'), "unknown protocol key 'n_images'", 1),
        (('--ion', 'Li', '--all-hops'), "there is no 'Li' in Al", 1),
        (('--substitute', 'Al=Cu'), '`structure` and `substitution`', 1),
    ],
)
def test_launch_derive_refuses_before_anything_starts(run, crystal, words, message, code):
    assert message in run('launch', 'derive', crystal, '--engine', 'toy', *words, code=code)


@pytest.mark.usefixtures('aiida_profile_clean', 'toy_codes')
def test_launch_derive_from_nothing_speaks_of_options(run, crystal):
    start = ('launch', 'derive', '--engine', 'toy')
    assert 'give a FILE, or --parent FILE with --substitute' in ' '.join(run(*start, code=2).split())
    assert 'name its file with --parent' in run(*start, '--substitute', 'Al=Cu', code=2)
    assert '--parent goes with --substitute' in run(*start, '--parent', crystal, code=2)


@pytest.mark.usefixtures('aiida_profile_clean', 'toy_codes')
def test_files_of_steps_and_rows(run, crystal, tmp_path):
    steps = tmp_path / 'steps.yaml'
    steps.write_text('ordering: {mode: exact}')
    words = ('launch', 'derive', crystal, '--engine', 'toy', '--steps', steps)
    assert "did you mean 'orderings'" in run(*words, code=1)
    assert 'give ROW.yaml, or a row' in run('launch', 'entry', '--engine', 'toy', code=2)
    assert 'give ROW.yaml, or a row' in run('launch', 'entry', '--dataset', 'x.parquet', '--engine', 'toy', code=2)
    row = tmp_path / 'row.yaml'
    row.write_text('name: Al_1\nbarrier: 0.61\nsource: a handbook\nion: Al\n')
    assert "row 'Al_1' has no structure" in run('launch', 'entry', row, '--engine', 'toy', code=1)
    row.write_text('name: Al_1\nbarrier: 0.61\nsource: a handbook\nion: Al\nstructure: Al.cif\nhop: 9\n')
    assert 'there is no hop 9' in run('launch', 'entry', row, '--engine', 'toy', code=1)


@pytest.mark.usefixtures('aiida_profile_clean', 'toy_codes')
def test_disordered_crystals_need_the_worker(run, tmp_path):
    path = tmp_path / 'CuAu.cif'
    Structure(Lattice.cubic(3.8), [{'Cu': 0.5, 'Au': 0.5}], [[0, 0, 0]]).to_file(str(path))
    assert 'give its code as `worker_code`' in run('launch', 'derive', path, '--engine', 'toy', code=1)
    words = ('launch', 'derive', path, '--engine', 'toy', '--worker-code', 'nobody@here')
    assert "there is no code 'nobody@here'" in run(*words, code=1)


@pytest.mark.slow
def test_rows_of_a_published_dataset(run, aiida_profile_clean, toy_codes, shared_data):
    """A misspelt name is seen before anything starts."""
    words = (
        'launch',
        'entry',
        '--engine',
        'toy',
        '--dataset',
        shared_data / 'barriers_train' / 'barriers_train.json.gz',
    )
    assert "did you mean 'Li3OCl_1'" in run(*words, '--row', 'Li3OCl1', code=1)
