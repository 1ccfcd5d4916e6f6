"""``predict --ion`` and ``predict --initial --final``: all hops, one path, and inputs without a barrier to tell."""

import json
from contextlib import contextmanager

import pandas as pd
import pytest
from barrier_paths import path_rows
from learned_models import rocksalts
from pymatgen.core import Lattice, Structure
from small_barrier_models import run_jobs_in_this_process, write_small_model
from systems import EMT

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.here import WorkerError
from aiida_embarrier.jobs.prediction import COLUMNS_OF_PATHS
from aiida_embarrier.jobs.progress import describe_progress
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops


def halite(cation='Li', anion='O'):
    return Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.1), [cation, anion], [[0, 0, 0], [0.5, 0, 0]])


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models') / 'small'
    write_small_model(folder)
    return folder


@pytest.fixture
def given(run, monkeypatch, tmp_path, no_profile):
    halite().to_file(tmp_path / 'Li2O2.cif')
    ends = make_endpoints(halite(), find_hops(halite(), 'Li')[0])
    ends.initial.to_file(tmp_path / 'first.vasp', fmt='poscar')
    ends.final.to_file(tmp_path / 'last.vasp', fmt='poscar')
    return run_jobs_in_this_process(monkeypatch)


def test_all_hops(run, given, model, tmp_path):
    found = json.loads(run('predict', 'Li2O2.cif', '--ion', 'Li', '--model', model, '--format', 'json'))
    hops = find_hops(halite(), 'Li')
    assert [row['number'] for row in found['predictions']] == [hop.number for hop in hops]
    assert found['unit'] == 'eV'
    assert found['model']['coverage'] == 0.5
    assert found['model']['barrier_definitions'] == {'literature': 20}
    for row in found['predictions']:
        assert row['lower'] < row['prediction'] < row['upper']
        assert row['reason'] is None
        assert row['barrier_definition'] == 'literature'
    assert set(found['flags']) == {flag for row in found['predictions'] for flag in row['flags']}
    assert [set(rows) <= set(COLUMNS_OF_PATHS) for rows in given] == [True]
    shown = run('predict', 'Li2O2.cif', '--ion', 'Li', '--model', model, '--max-length', 4, '-o', 'hops.parquet')
    assert '1 distinct hop(s); the model: made up' in shown
    assert '50% interval (eV)' in shown
    assert 'definition of the barriers: as the literature gives it, definition and direction mostly not' in shown
    assert f'{found["predictions"][0]["prediction"]:.3f}' in shown
    table = read_parquet((tmp_path / 'hops.parquet').read_bytes())
    assert table['prediction'][0] == pytest.approx(found['predictions'][0]['prediction'])
    assert json.loads(table['flags'][0]) == found['predictions'][0]['flags']


def test_what_happens_before_the_first_path_is_shown(run, given, model, monkeypatch):
    lines = []

    @contextmanager
    def bar():
        yield lines.append

    monkeypatch.setattr('aiida_embarrier.cli.predicting_barriers.job_bar', bar)
    run('predict', 'Li2O2.cif', '--ion', 'Li', '--max-length', 5.2, '--model', model)
    shown = [describe_progress(line) for line in lines if line['event'] == 'step']
    assert shown[:4] == [
        'placing the distinct hops: 0 of 2 hops',
        'placing the distinct hops: 1 of 2 hops',
        '2 distinct hops, describing: 0 of 2 paths',
        'describing: 0 of 2 paths',
    ]


def test_one_path(run, given, model):
    ends = ('--initial', 'first.vasp', '--final', 'last.vasp')
    found = json.loads(run('predict', *ends, '--model', model, '--format', 'json'))
    (row,) = found['predictions']
    assert row['ion'] == 'Li'
    assert row['n_atoms'] == 63
    (hop,) = json.loads(run('predict', 'Li2O2.cif', '--ion', 'Li', '--hop', 0, '--model', model, '--format', 'json'))[
        'predictions'
    ]
    assert row['prediction'] == pytest.approx(hop['prediction'], abs=1e-3)
    assert 'path' in run('predict', *ends, '--ion', 'Li', '--model', model)


def test_a_dataset_of_paths(run, given, model, tmp_path):
    frame = path_rows(6)
    frame.loc[4, 'path'] = '[[0,0,0],[0,0,0]]'
    (tmp_path / 'paths.parquet').write_bytes(write_parquet(frame.drop(columns='barrier')))
    frame.to_csv(tmp_path / 'known.csv', index=False)
    how = ('--model', model, '--format', 'json')
    found = json.loads(run('predict', 'paths.parquet', *how))
    rows = found['predictions']
    assert [row['name'] for row in rows] == frame['name'].tolist()
    assert [row['reason'] is None for row in rows] == [True] * 4 + [False, True]
    assert list(found['left_out']) == [frame['name'][4]]
    assert all(row['lower'] < row['prediction'] < row['upper'] for row in rows if row['reason'] is None)
    assert rows[0]['length'] == pytest.approx(2.1)
    assert not any('evaluate' in note for note in found['notes'])
    # barriers that are there change nothing: `evaluate` is for them
    known = json.loads(run('predict', 'known.csv', *how))
    assert known['predictions'] == rows
    assert '6 of 6 paths have a known barrier: `evaluate` compares' in known['notes']
    assert [set(one) <= set(COLUMNS_OF_PATHS) for one in given] == [True, True]
    shown = run('predict', '--model', model, 'paths.parquet', '-o', 'barriers.csv')
    assert '6 paths; the model: made up' in shown
    assert f'{rows[0]["prediction"]:.3f}' in shown
    written = pd.read_csv(tmp_path / 'barriers.csv')
    assert written['prediction'].tolist()[:4] == pytest.approx([row['prediction'] for row in rows[:4]])
    (tmp_path / 'gaps.parquet').write_bytes(write_parquet(rocksalts()))
    assert 'not of paths: for properties name a MODEL' in run('predict', 'gaps.parquet', '--model', model, code=1)
    assert "there is no file 'gone.parquet'" in run('predict', 'gone.parquet', code=1)
    assert '--hop goes with a crystal' in run('predict', 'paths.parquet', '--hop', 0, code=2)


def test_hops_that_have_no_room_are_named(run, given, model):
    how = ('predict', 'Li2O2.cif', '--ion', 'Li', '--supercell', '1x1x1', '--max-length', 5.5, '--model', model)
    shown = run(*how)
    assert 'not predicted: Li2O2 Li hop 1: in the supercell' in shown
    assert 'note: finite size' in shown
    lines = run(*how, '--format', 'csv').splitlines()
    assert lines[0].startswith('name,number,ion,')


def test_bad_paths_are_never_silent(run, given, model, tmp_path):
    """An ion and a host unlike the training are flagged; the same site, two movers and no ion are refused."""

    def flags_of(crystal, ion):
        crystal.to_file(tmp_path / 'odd.cif')
        how = ('--ion', ion, '--max-length', 4.2, '--model', model, '--format', 'json')
        return json.loads(run('predict', 'odd.cif', *how))['flags']

    assert 'unknown_ion' in flags_of(halite('K'), 'K')
    assert 'unknown_element' in flags_of(halite('Li', 'Te'), 'Li')
    assert 'no_anion' in flags_of(halite('Li', 'Ag'), 'Li')
    # anions stand between the ions along one axis
    cube = Structure(Lattice.cubic(4.0), ['Li', 'O'], [[0, 0, 0], [0.5, 0, 0]])
    assert 'through_atom' in flags_of(cube, 'Li')
    start = ('predict', '--model', model, '--initial', 'first.vasp')
    assert 'give two different endpoints' in run(*start, '--final', 'first.vasp', code=1)
    both = Structure.from_file(tmp_path / 'last.vasp')
    both.translate_sites([5], [0.12, 0.12, 0.12])
    both.to_file(tmp_path / 'both.vasp', fmt='poscar')
    assert '2 atom(s) move farther' in run(*start, '--final', 'both.vasp', code=1)
    assert "there is no 'Na'" in run('predict', 'Li2O2.cif', '--ion', 'Na', '--model', model, code=1)


def test_potential_that_is_not_there(run, given, tmp_path):
    potential = {'name': 'chgnet', 'model': '0.3.0', 'sha256': '0' * 64}
    write_small_model(tmp_path / 'needy', potential)
    shown = run('predict', 'Li2O2.cif', '--ion', 'Li', '--model', 'needy', code=1)
    assert 'are not those that chgnet-0.3.0 asks for' in shown


REFINE = ('predict', 'Al.cif', '--ion', 'Al', '--supercell', '2x2x2', '--max-length', 3)


@pytest.fixture
def emt(monkeypatch):
    """Let bands be relaxed by a potential of no weight."""
    monkeypatch.setattr('aiida_embarrier.cli.predicting_barriers.read_potential', lambda _: EMT)


def test_predictions_are_refined(run, given, emt, model, tmp_path):
    how = (*REFINE, '--model', model, '--refine')
    found = json.loads(run(*how, '--format', 'json'))
    (row,) = found['predictions']
    assert found['refined_with']['model'] == 'emt'
    assert row['neb_status'] == 'converged'
    assert row['neb_span'] == pytest.approx(0.39, abs=0.02)
    assert max(row['neb_energies']) == pytest.approx(row['neb_forward'])
    assert row['neb_span'] != row['prediction']
    shown = run(*how, '-o', 'refined.csv')
    assert f'{row["prediction"]:.3f}' in shown
    assert f'{row["neb_forward"]:.3f}' in shown
    table = pd.read_csv(tmp_path / 'refined.csv')
    assert json.loads(table['neb_energies'][0]) == pytest.approx(row['neb_energies'])
    ends = ('--initial', 'A.vasp', '--final', 'B.vasp')
    (path,) = json.loads(run('predict', *ends, '--model', model, '--refine', '--format', 'json'))['predictions']
    assert path['neb_forward'] == pytest.approx(row['neb_forward'], abs=0.01)


def test_only_the_lowest_are_refined(run, given, emt, model, monkeypatch, tmp_path):
    """A band that has not converged says so, and hops through atoms come last."""
    asked = []

    def neb(rows, potential, hardware, on_progress=None):
        asked.extend(rows['name'])
        row = {'status': 'not_converged', 'message': 'too few steps', 'n_evaluations': 9, 'warnings': '["odd"]'}
        numbers = dict.fromkeys(('forward', 'reverse', 'span', 'residual_force'), float('nan'))
        return pd.DataFrame([{'name': name, 'energies': '[]', **row, **numbers} for name in rows['name']]), None

    monkeypatch.setattr('aiida_embarrier.cli.refining.neb_here', neb)
    # along one axis anions stand between the ions
    Structure(Lattice.cubic(4.0), ['Li', 'O'], [[0, 0, 0], [0.5, 0, 0]]).to_file(tmp_path / 'cube.cif')
    how = ('predict', 'cube.cif', '--ion', 'Li', '--max-length', 4.2, '--model', model, '--refine', '--refine-count', 1)
    found = json.loads(run(*how, '--format', 'json'))
    clear = [row for row in found['predictions'] if 'through_atom' not in row['flags']]
    assert len(clear) < len(found['predictions'])
    assert asked == [min(clear, key=lambda row: row['prediction'])['name']]
    assert [row['neb_status'] for row in found['predictions'] if row['name'] not in asked] == [None] * (
        len(found['predictions']) - 1
    )
    assert f'{asked[0]}: the band is not_converged, its barrier is none: too few steps' in found['notes']
    assert f'{asked[0]}: odd' in found['notes']
    assert 'too few steps' in run(*how)


def test_predictions_stay_where_refining_fails(run, given, emt, model, monkeypatch):
    def fail(*_, **__):
        raise WorkerError('no more memory')

    monkeypatch.setattr('aiida_embarrier.cli.refining.neb_here', fail)
    shown = run(*REFINE, '--model', model, '--refine', code=1)
    assert '1 distinct hop(s)' in shown
    assert 'the barriers are predicted, but not refined: no more memory' in shown


def test_refining_without_the_potential(run, given, model, monkeypatch):
    """What is missing is said before anything runs."""
    monkeypatch.setattr('importlib.util.find_spec', lambda _: None)
    shown = run(*REFINE, '--model', model, '--refine', '--potential', 'sevennet', code=1)
    assert "needs the package sevenn: install it with `pip install 'aiida-embarrier[potential]'`" in shown
    assert given == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('Li2O2.cif', 'first.vasp', '--ion', 'Li'), 'one FILE with a crystal, not 2'),
        (('--ion', 'Li'), 'one FILE with a crystal, not 0'),
        (('Li2O2.cif', '--initial', 'first.vasp', '--final', 'last.vasp'), 'leave out Li2O2.cif'),
        (('--initial', 'first.vasp'), 'a path has two ends'),
        (('--initial', 'first.vasp', '--final', 'last.vasp', '--hop', '0'), '--hop goes with a FILE'),
        (('Li2O2.cif', '--ion', 'Li', '--as-written'), '--as-written goes with --initial'),
        (('Li2O2.cif', '--ion', 'Li', '--lattice-policy', 'mean'), '--lattice-policy goes with --initial'),
        (('--initial', 'first.vasp', '--final', 'last.vasp', '--max-hops', '3'), '--max-hops goes with a FILE'),
        (('Li2O2.cif', '--ion', 'Li', '--supercell', 'fit'), 'three or nine integers'),
        (('Li2O2.cif', '--ion', 'Li', '--known', 'gap'), '--known goes with properties'),
        (('Li2O2.cif', '--ion', 'Li', '--store'), 'the job `embarrier.predict_barriers`'),
        (('model', 'Li2O2.cif', '--max-length', '3'), '--max-length goes with barriers'),
        (('Li2O2.cif', '--ion', 'Li', '--refine-count', '2'), '--refine-count goes with --refine'),
        (('Li2O2.cif', '--ion', 'Li', '--potential', 'chgnet'), '--potential goes with --refine'),
        (('Li2O2.cif', '--ion', 'Li', '--refine', '--potential', 'chgne'), "did you mean 'chgnet'"),
        (('Li2O2.cif', '--ion', 'Li', '--refine', '--refine-count', '0'), '0 is not in the range'),
        (('model', 'Li2O2.cif', '--refine'), '--refine goes with barriers'),
        (('Li2O2.cif',), 'for barriers name a FILE and the --ion'),
    ],
)
def test_calls_that_make_no_sense(run, given, arguments, message):
    assert message in ' '.join(run('predict', *arguments, code=2).split())


@pytest.mark.parametrize(
    ('name', 'meant'), [('released_potential', 'released-potential'), ('Released', 'released'), ('relased', 'released')]
)
def test_a_misspelt_model_of_the_package_needs_no_profile(run, given, name, meant):
    shown = ' '.join(run('predict', 'Li2O2.cif', '--ion', 'Li', '--model', name, code=1).split())
    assert f"there is no model '{name}': did you mean `{meant}`? The models of this package are `released` and" in shown


def test_a_model_of_barriers_in_the_place_of_one_of_properties(run, given, model, tmp_path):
    shown = ' '.join(run('predict', 'released', 'Li2O2.cif', code=2).split())
    assert 'such as `aiida-embarrier predict --model released Li2O2.cif --ion Li`' in shown


def test_errors_name_options_only(run, given, tmp_path):
    shown = ' '.join(run('predict', '--initial', 'first.vasp', '--final', 'first.vasp', code=1).split())
    assert 'give two different endpoints, or --as-written for a hop to a periodic image' in shown
    stretched = Structure.from_file(tmp_path / 'last.vasp')
    stretched.scale_lattice(1.05 * stretched.volume)
    stretched.to_file(tmp_path / 'stretched.vasp', fmt='poscar')
    shown = ' '.join(run('predict', '--initial', 'first.vasp', '--final', 'stretched.vasp', code=1).split())
    assert shown.endswith('initial one with --lattice-policy initial, or the mean with --lattice-policy mean')


@pytest.mark.slow
def test_the_worker_itself(run, model, tmp_path, no_profile):
    halite().to_file(tmp_path / 'Li2O2.cif')
    found = json.loads(run('predict', 'Li2O2.cif', '--ion', 'Li', '--model', model, '--hop', 0, '--format', 'json'))
    assert found['predictions'][0]['prediction'] is not None
