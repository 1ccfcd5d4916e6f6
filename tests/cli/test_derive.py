"""``aiida-embarrier derive lookup|scale|charge|endpoints``: what they print, write and refuse, without a profile."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES
from crystal_services import KEY, Service, running
from pymatgen.core import Structure

from aiida_embarrier.bands.alignment import align_endpoints
from aiida_embarrier.cli import main
from aiida_embarrier.cli.derive.endpoints import read_site
from aiida_embarrier.cli.derive.options import read_numbers
from aiida_embarrier.structures.oxidation import oxidation_states_of
from aiida_embarrier.structures.reading import read_structure


@pytest.fixture
def derive(tmp_path, monkeypatch):
    """Return a function that runs a derivation in a folder with LFP.cif, where no profile must be loaded."""
    import aiida.manage.configuration

    def refuse(*_, **__):
        raise AssertionError('a profile is loaded')

    monkeypatch.setattr(aiida.manage.configuration, 'load_profile', refuse)
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLES / 'LiFePO4.cif', 'LFP.cif')

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, ['derive', *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return run


def parsed(text):
    return json.loads(text)


def test_help_names_all_derivations(derive):
    text = derive('--help')
    for name in ('lookup', 'scale', 'orderings', 'charge', 'endpoints'):
        assert f'\n  {name} ' in text


def test_scale(derive):
    text = derive('scale', 'LFP.cif', '--substitute', 'Li=Na', '-o', 'NFP.cif')
    assert text.startswith('NaFePO4: 346.91 Å³ by LiFePO4 of 291.35 Å³ (+19.1 %)\nionic radii\n')
    assert 'derived: Na+ 1.16' in text
    assert read_structure('NFP.cif').volume == pytest.approx(346.9118, abs=1e-3)
    again = derive('scale', 'LFP.cif', '--substitute', 'Li=Na', '-o', 'NFP.cif', code=1)
    assert 'NFP.cif is there already: replace it with --overwrite' in again
    derive('scale', 'LFP.cif', '--substitute', 'Li=Na', '--guess-oxidation', '-o', 'NFP.json')
    by_parent = parsed(derive('scale', 'NFP.json', '--parent', 'LFP.cif', '--format', 'json'))
    assert by_parent['volume'] == pytest.approx(346.9118, abs=1e-3)


def test_scale_with_oxidation_states_of_the_parent(derive):
    plain = parsed(derive('scale', 'LFP.cif', '--substitute', 'Li=K', '--format', 'json'))
    assert plain['fell_back']
    assert '(--oxidation), or have them guessed (--guess-oxidation)' in plain['warnings'][-1]
    result = parsed(derive('scale', 'LFP.cif', '--substitute', 'Li=K', '--guess-oxidation', '--format', 'json'))
    assert result['oxidation_states_from'] == {'derived': 'given', 'parent': 'given'}
    assert (result['radii_used'], result['fell_back']) == ('ionic', False)
    given = ['--oxidation', 'Li=1', '--oxidation', 'K=1', '-o', 'KFP.json', '--format', 'json']
    assert parsed(derive('scale', 'LFP.cif', '--substitute', 'Li=K', *given))['volume'] == result['volume']
    assert oxidation_states_of(read_structure('KFP.json'))[0] == 1


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        ([], 2, 'exchange elements with --substitute'),
        (['--substitute', 'LiNa'], 2, "'LiNa' is not OLD=NEW"),
        (['--substitute', 'Na=K'], 1, "there is no 'Na' in LiFePO4"),
        (['--substitute', 'Li=Na', '-o', 'a.txt'], 1, "'a.txt' says no format"),
        (['--parent', 'salt.vasp'], 1, 'different contents'),
    ],
)
def test_scale_refuses(derive, arguments, code, message):
    Structure.from_spacegroup('Fm-3m', [[5.6, 0, 0], [0, 5.6, 0], [0, 0, 5.6]], ['Na', 'Cl'], [[0] * 3, [0.5] * 3]).to(
        'salt.vasp', fmt='poscar'
    )
    text = derive('scale', 'LFP.cif', *arguments, code=code)
    assert message in ' '.join(text.split())
    assert sorted(path.name for path in Path().iterdir()) == ['LFP.cif', 'salt.vasp']


def test_charge(derive):
    text = derive(
        'charge',
        'LFP.cif',
        '--ion',
        'Li',
        '--state',
        '0.5',
        '--guess-oxidation',
        '--moments',
        'Fe=4',
        '-o',
        'half.json',
    )
    lines = text.splitlines()
    assert lines[0] == 'LiFe2(PO4)2 (26 atoms) from LiFePO4: 0.5 of the Li sites are occupied'
    assert lines[1:3] == ['Fe: +2 becomes +2.5', '6 choices of ions, 2 of which have the lowest energy']
    half = read_structure('half.json')
    assert {site.properties['magmom'] for site in half if site.specie.symbol == 'Fe'} == {4.5}
    result = parsed(derive('charge', 'LFP.cif', '--ion', 'Li', '--remove', '0,2-3', '--format', 'json'))
    assert (result['removed'], result['kept'], result['content']) == ([0, 2, 3], [1], 0.25)
    assert parsed(derive('charge', 'LFP.cif', '--ion', 'Li', '--count', '0', '--format', 'json'))['formula'] == 'FePO4'


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        ([], 2, 'give one of --state, --count and --remove'),
        (['--state', 'charged', '--count', '1'], 2, 'give one of --state, --count and --remove'),
        (['--state', '0.4'], 1, 'no whole number'),
        (['--remove', 'a'], 2, "'a' is no list of numbers"),
        (['--remove', '9'], 1, 'site 9 is no intercalant'),
        (['--state', 'charged', '--oxidation', 'Li'], 2, "'Li' is not ELEMENT=STATE"),
    ],
)
def test_charge_refuses(derive, arguments, code, message):
    assert message in derive('charge', 'LFP.cif', '--ion', 'Li', *arguments, code=code)


def test_endpoints_of_every_hop(derive):
    text = derive('endpoints', 'LFP.cif', '--ion', 'Li', '--write', 'ends')
    assert text.startswith('endpoints of 2 vacancy hop(s) of Li in LiFePO4\n')
    assert 'ends/hop_000' in text
    initial, final = (read_structure(f'ends/hop_000/{side}.vasp') for side in ('initial', 'final'))
    band = align_endpoints(initial, final, ion='Li')
    assert band.hop_length == pytest.approx(3.005, abs=1e-3)
    assert len(initial) == 111
    again = derive('endpoints', 'LFP.cif', '--ion', 'Li', '--write', 'ends', code=1)
    assert 'is there already: replace it with --overwrite' in again
    derive('endpoints', 'LFP.cif', '--ion', 'Li', '--write', 'ends', '--overwrite')


def test_endpoints_in_the_charged_host(derive):
    arguments = ['--ion', 'Li', '--state', 'charged', '--guess-oxidation', '--hop', '0', '--supercell', '1x2x1']
    result = parsed(derive('endpoints', 'LFP.cif', *arguments, '--write', 'ends', '--as', 'json', '--format', 'json'))
    (row,) = result['endpoints']
    assert (result['formula'], row['mechanism'], row['n_atoms']) == ('FePO4', 'interstitial', 49)
    assert row['length'] == pytest.approx(3.005, abs=1e-3)
    assert 'finite size' in row['warnings'][0]
    initial = read_structure(row['files']['initial'])
    assert initial.composition.element_composition.reduced_formula == 'LiFe8(PO4)8'


def test_endpoints_between_two_sites(derive):
    result = parsed(derive('endpoints', 'LFP.cif', '--ion', 'Li', '--from', '0', '--to', '0,0.5,0', '--format', 'json'))
    (row,) = result['endpoints']
    assert (row['number'], row['initial']['index'], row['final']['index']) == (0, 0, 2)
    assert 'files' not in row
    # numbers are those of FILE in every state: of the ions 0 to 3, 1 and 2 stay
    half = ['endpoints', 'LFP.cif', '--ion', 'Li', '--state', '0.5', '--format', 'json']
    by_number, by_place = (
        parsed(derive(*half, '--from', '0', '--to', last))['endpoints'][0]['final'] for last in ('3', '0.5,0.5,0.5')
    )
    assert by_number['coords'] == by_place['coords']
    assert 'site 1 is none of the emptied ones: choose from [0, 3]' in derive(*half, '--from', '0', '--to', '1', code=1)
    (stayed,) = parsed(derive(*half, '--mechanism', 'vacancy', '--from', '1', '--to', '2'))['endpoints']
    assert (stayed['initial']['index'], stayed['final']['index']) == (0, 1)
    assert stayed['initial']['coords'] == pytest.approx([0.5, 0, 0.5])


def test_hops_without_room_leave_the_others_alone(derive):
    lithium = [[0, 0, 0], [0.5, 0.25, 0], [0, 0, 0.5]]
    crystal = Structure([[3, 0, 0], [0, 8, 0], [0, 0, 8]], ['Li', 'Li', 'O'], lithium)
    crystal.to('two.vasp', fmt='poscar')
    arguments = ['two.vasp', '--ion', 'Li', '--supercell', '1x1x1', '--format', 'json', '--write', 'ends']
    rows = parsed(derive('endpoints', *arguments))['endpoints']
    failed = [row for row in rows if 'error' in row]
    made = [row for row in rows if 'files' in row]
    assert failed
    assert made
    assert 'take a larger supercell' in failed[0]['error']
    assert {path.parent.name for path in Path('ends').rglob('*.vasp')} == {f'hop_{row["number"]:03d}' for row in made}
    assert 'has no endpoints' in derive('endpoints', 'two.vasp', '--ion', 'Li', '--supercell', '1x1x1')


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['--from', '0'], 2, '--from and --to go together'),
        (['--from', '0', '--to', '1', '--hop', '0'], 2, 'give either --hop, or --from and --to'),
        (['--from', '0', '--to', 'b'], 2, "'b' is no site"),
        (['--hop', '9'], 1, 'there is no hop 9'),
        (['--max-length', '1'], 1, 'allow longer ones with --max-length'),
        (['--supercell', 'fit'], 2, '--supercell fit is for orderings'),
        (['--supercell', '2x2'], 2, "'2x2' is no supercell"),
    ],
)
def test_endpoints_refuse(derive, arguments, code, message):
    assert message in derive('endpoints', 'LFP.cif', '--ion', 'Li', *arguments, code=code)


def test_lookup_in_a_folder(derive, tmp_path):
    (tmp_path / 'broken.cif').write_text('nothing')
    text = derive('lookup', '--folder', '.', '--formula', 'LiFePO4', '--write', 'found')
    assert 'LFP.cif  LiFePO4    Pnma' in text
    assert 'warning: not read: broken.cif' in text
    assert read_structure('found/000_LFP.cif').composition.reduced_formula == 'LiFePO4'
    assert 'no entry fits' in derive('lookup', '--folder', 'found', '--formula', 'NaFePO4')


def test_lookup_of_an_intercalated_crystal(derive):
    derive('charge', 'LFP.cif', '--ion', 'Li', '--state', 'charged', '-o', 'FP.cif')
    text = derive('lookup', '--folder', '.', '--host', 'FP.cif', '--ion', 'Li')
    assert text.startswith('The intercalated crystal is in a database.')
    result = parsed(derive('lookup', '--folder', '.', '--host', 'FP.cif', '--ion', 'Na', '--format', 'json'))
    assert (result['verdict'], result['matches'], result['entries']) == ('to_be_derived', [], [])


def test_lookup_in_services(derive, monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.delenv('MP_API_KEY', raising=False)
    assert 'needs a key' in derive('lookup', '--materials-project', '--formula', 'LiFePO4', code=1)
    with running(Service({'LFP': read_structure('LFP.cif')})) as service:
        monkeypatch.setenv('MP_API_KEY', KEY)
        monkeypatch.setenv('MP_API_ENDPOINT', service.url)
        result = parsed(derive('lookup', '--materials-project', '--id', 'LFP', '--format', 'json'))
        assert (result['provider'], result['version']) == ('materials_project', '2026.04.01')
        text = derive('lookup', '--optimade', service.url, '--elements', 'Li,Fe', '--space-group', '62')
        assert 'LFP' in text
        assert KEY not in text


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['--formula', 'LiF'], 2, 'say where to look'),
        (['--folder', '.', '--materials-project', '--formula', 'LiF'], 2, 'say where to look'),
        (['--folder', '.'], 1, 'nothing is sought'),
        (['--folder', '.', '--host', 'LFP.cif'], 2, '--host and --host-ion go with --ion'),
        (['--folder', '.', '--ion', 'Li'], 2, '--ion goes with either --host or --formula'),
        (['--folder', '.', '--ion', 'Li', '--formula', 'LiF', '--id', 'a'], 2, 'leave the other terms out'),
        (['--optimade', 'optimade.org', '--formula', 'LiF'], 1, 'begins with https://'),
    ],
)
def test_lookup_refuses(derive, arguments, code, message):
    assert message in derive('lookup', *arguments, code=code)


def test_lists_of_numbers_and_sites():
    assert read_numbers('0, 2,5-7') == [0, 2, 5, 6, 7]
    assert read_numbers(None) is None
    assert read_site('3') == 3
    assert read_site('0.5 0 -0.5') == [0.5, 0.0, -0.5]
