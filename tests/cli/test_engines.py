"""Engines on the command line: functionals, charges, codes of several programs, and what would be computed."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from aiida.common.exceptions import NotExistent
from aiida.orm import InstalledCode, load_code
from systems import EMT, computed_band

from aiida_embarrier.workflows.barrier_inputs import barrier_protocol

PW, NEB = 'quantumespresso.pw', 'quantumespresso.neb'


@pytest.fixture
def made_up(aiida_profile, entry_points):
    """Register the engine that makes barriers up, which has functionals and knows charges."""
    entry_points.add('functional_engine:MadeUpRelaxWorkChain', 'aiida.workflows:made_up.relax')
    entry_points.add('functional_engine:MadeUpNebWorkChain', 'aiida.workflows:made_up.neb')
    entry_points.add('functional_engine:ENGINE', 'aiida_embarrier.engines:made-up')


@pytest.fixture
def launch(run, monkeypatch):
    """Return a function that gives a launch command and returns the builder that it would start."""

    def invoke(name, *arguments):
        started = []
        monkeypatch.setattr(f'aiida_embarrier.cli.launch.{name}.start', lambda builder, **_: started.append(builder))
        run('launch', name, *arguments)
        return started[0]

    return invoke


@pytest.fixture
def code_of(aiida_profile_clean, aiida_localhost):
    """Return a function that makes a code with a default calculation plugin, in a profile that has no other."""

    def make(label, plugin):
        try:
            return load_code(f'{label}@localhost')
        except NotExistent:
            pass
        code = InstalledCode(computer=aiida_localhost, filepath_executable='/bin/true', label=label)
        code.default_calc_job_plugin = plugin
        return code.store()

    return make


@pytest.fixture
def chosen(aiida_profile_clean, monkeypatch, run):
    """Return a function that says which codes and options a launch with the quantumespresso engine takes."""

    def invoke(*arguments, code=0):
        taken = []

        def take(**kwargs):
            taken.append(kwargs)

        monkeypatch.setattr(
            'aiida_embarrier.workflows.barrier.MigrationBarrierWorkChain.get_builder_from_protocol', take
        )
        monkeypatch.setattr('aiida_embarrier.cli.launch.barrier.start', lambda *_, **__: None)
        ends = ('--initial', 'A.vasp', '--final', 'B.vasp')
        output = run('launch', 'barrier', *ends, '--engine', 'quantumespresso', *arguments, code=code)
        return taken[0] if taken else ' '.join(output.split())

    return invoke


ENDS = ('--initial', 'A.vasp', '--final', 'B.vasp')
CRYSTAL = ('Al.cif', '--ion', 'Al', '--hop', '0')

# ---------------------------------------------------------------- functionals and charges


def test_functional_u_and_charge_of_a_launch(launch, made_up):
    options = ('--engine', 'made-up', '--functional', 'scan+u', '--hubbard-u', 'Mn=4.2', '--charge', '-1')
    builder = launch('barrier', *CRYSTAL, *options)
    parameters = builder.engine_inputs['neb']['parameters']
    assert parameters['functional'] == 'scan+u'
    assert parameters['hubbard_u'] == {'Mn': 4.2}
    assert builder.charge.value == -1.0
    assert launch('network', 'Al.cif', '--ion', 'Al', *options).charge.value == -1.0
    study = launch('convergence', *CRYSTAL, *options, '--images', '5,7')
    assert study.barrier['charge'].value == -1.0


def test_a_split_path_keeps_its_charge(launch, made_up, worker_code):
    from aiida_embarrier.data.band import BandData

    energies = [0.0, 0.5, 0.2, 0.6, 0.1]
    band = BandData(computed_band().replace(energies=energies, charge=-1.0)).store()
    options = ('--engine', 'made-up', '--functional', 'pbe')
    assert launch('segments', band.pk, *options).charge.value == -1.0
    assert launch('segments', band.pk, *options, '--charge', '0').charge.value == 0.0
    # a potential knows no charge
    emt = ('--set', 'engine.potential.name=ase', '--set', f'engine.potential.calculator={EMT.calculator}')
    assert 'charge' not in dict(launch('segments', band.pk, *emt, '--code', worker_code.full_label))


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (('--engine', 'made-up', '--functional', 'scn'), 1, "unknown functional 'scn': did you mean 'scan'?"),
        (('--engine', 'made-up', '--functional', 'lda'), 1, 'cannot be computed here: it was left out'),
        (('--engine', 'made-up', '--hubbard-u', 'Mn=4'), 1, "'pbe' has no Hubbard U, but values are given for Mn"),
        (('--engine', 'made-up', '--hubbard-u', 'Mn:4'), 2, "'Mn:4' is not ELEMENT=eV, such as Mn=3.9"),
        (
            ('--engine', 'made-up', '--set', 'engine.nb.climb=true'),
            1,
            "unknown protocol key 'engine.nb': did you mean 'neb'",
        ),
        (('--engine', 'made_up'), 1, "unknown engine 'made_up': did you mean 'made-up'"),
        (('--engine', 'made-up', '--potential', 'chgnet'), 2, '--potential goes with --engine potential or'),
        (('--functional', 'pbe'), 2, "the engine 'potential' has no density functionals"),
        (('--prepare-with', 'potental'), 1, "unknown engine 'potental': did you mean 'potential'"),
    ],
)
def test_bad_method(run, made_up, arguments, code, message):
    assert message in ' '.join(run('launch', 'barrier', *ENDS, *arguments, code=code).split())


def test_potentials_refuse_a_charge(run, worker_code):
    options = ('--set', 'engine.potential.name=ase', '--set', f'engine.potential.calculator={EMT.calculator}')
    output = run('launch', 'barrier', *ENDS, *options, '--charge', '-1', '--code', worker_code.full_label, code=1)
    assert 'knows no electrons and computes neutral cells only: leave out the charge -1' in ' '.join(output.split())


# ---------------------------------------------------------------- codes


def test_codes_are_told_apart_by_their_plugins(chosen, code_of):
    pw, neb = code_of('one', PW), code_of('two', NEB)
    taken = chosen('--code', neb.full_label, '--code', pw.full_label, '--cores', '16', '--wall-time', '600')
    assert {name: code.pk for name, code in taken['code'].items()} == {'pw': pw.pk, 'neb': neb.pk}
    # cores of density functional programs are ranks
    assert taken['options']['resources']['num_mpiprocs_per_machine'] == 16
    assert taken['options']['resources']['num_cores_per_mpiproc'] == 1
    assert taken['options']['max_wallclock_seconds'] == 600


def test_codes_by_name_and_by_default(chosen, code_of, worker_code):
    pw, neb = code_of('pw', PW), code_of('mine', None)
    taken = chosen('--code', f'neb={neb.full_label}', '--prepare-with', 'potential', '--potential', 'chgnet')
    assert {name: code.pk for name, code in taken['code'].items()} == {
        'pw': pw.pk,
        'neb': neb.pk,
        'embarrier-worker': worker_code.pk,
    }
    preparation = taken['overrides']['preparation']
    assert preparation == {'with': 'potential', 'engine': {'potential': {'name': 'chgnet'}}}


def test_cores_of_the_worker_are_threads(launch, worker_code):
    options = ('--set', 'engine.potential.name=ase', '--set', f'engine.potential.calculator={EMT.calculator}')
    builder = launch('barrier', *ENDS, *options, '--code', worker_code.full_label, '--cores', '4')
    resources = builder.engine_inputs['neb']['options']['resources']
    assert resources == {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 4}


@pytest.mark.parametrize(
    ('codes', 'message'),
    [
        (('px=some@localhost',), "quantumespresso run no program 'px'; there is: pw, neb"),
        (
            ('other@localhost',),
            "which program is the code 'other@localhost'? Its default calculation plugin is not set",
        ),
        (('pw=some@localhost', 'some@localhost'), 'two codes for pw'),
        (('pw=no@where',), "there is no code 'no@where'"),
        (('some@localhost',), "there is no code 'neb@localhost' in this profile: name the code of neb"),
    ],
)
def test_bad_codes(chosen, code_of, codes, message):
    code_of('some', PW)
    code_of('other', None)
    arguments = [word for code in codes for word in ('--code', code)]
    assert message in chosen(*arguments, code=1 if 'there is no code' in message else 2)


@pytest.mark.usefixtures('aiida_profile')
def test_codes_of_engines(code_of):
    from aiida_embarrier.engines.base import get_engine
    from aiida_embarrier.workflows.barrier_inputs import check_codes

    pw, neb, worker = code_of('a', PW), code_of('b', NEB), code_of('c', None)
    several, one = get_engine('quantumespresso'), get_engine('potential')
    everything = {'pw': pw, 'neb': neb, 'embarrier-worker': worker}
    assert several.codes_among(everything) == {'pw': pw, 'neb': neb}
    assert one.codes_among(everything) is worker
    assert one.codes_among(worker) is worker
    with pytest.raises(ValueError, match='runs several programs: give a code for each'):
        several.codes_among(pw)
    with pytest.raises(ValueError, match='needs a code for neb'):
        several.codes_among({'pw': pw})
    with pytest.raises(ValueError, match='runs embarrier-worker: give a code'):
        one.codes_among(None)
    check_codes(everything, 'quantumespresso', 'potential')
    with pytest.raises(ValueError, match="no program 'pv' is run: choose one of pw, neb"):
        check_codes({'pv': pw}, 'quantumespresso', None)
    with pytest.raises(ValueError, match="prepared by 'potential' and computed by 'vasp': give a code for each"):
        check_codes(worker, 'vasp', 'potential')


# ---------------------------------------------------------------- before a launch


def test_resolved_inputs_of_a_crystal(run):
    options = ('--engine', 'vasp', '--functional', 'scan+u', '--format', 'json')
    found = json.loads(run('show-protocol', 'Al.cif', *options, '--ion', 'Al', '--charge', '-1'))
    assert found['host']['cell'] == {'formula': 'Al4', 'n_atoms': 4}
    assert found['band']['cell']['n_atoms'] == 31
    assert found['band']['INCAR']['METAGGA'] == 'SCAN'
    # the host is neutral, and relaxed with its cell
    assert (found['host']['INCAR']['ISIF'], found['host']['INCAR']['IBRION']) == (3, 2)
    assert 'NELECT' in found['band']['INCAR']
    assert 'NELECT' not in found['host']['INCAR']
    # a cell as it is
    found = json.loads(run('show-protocol', 'A.vasp', *options))
    assert set(found) == {'band'}
    assert found['band']['cell']['n_atoms'] == 31


def test_antiferromagnet(run):
    """Moments of the command line reach the engine, and tell sites apart."""
    moments = ('--moments', 'Al=2,-2,-2,2')
    options = ('--engine', 'vasp', '--format', 'json', *moments)
    found = json.loads(run('show-protocol', 'Al.cif', *options))
    assert found['band']['INCAR']['MAGMOM'] == '2*2 2*-2'
    plain, magnetic = (json.loads(run('hops', 'Al.cif', '--ion', 'Al', '--format', 'json', *m)) for m in ((), moments))
    assert len(magnetic['hops']) > len(plain['hops'])
    assert '4 sites of Al need as many moments, got 2' in run(
        'hops', 'Al.cif', '--ion', 'Al', '--moments=Al=1,2', code=1
    )
    assert 'is not ELEMENT=MOMENT' in run('hops', 'Al.cif', '--ion', 'Al', '--moments=Al=up', code=2)


def test_protocol_of_an_engine_with_functionals(run, made_up):
    text = run('show-protocol', '--engine', 'made-up', '--functional', 'scan', '--protocol', 'fast')
    assert yaml.safe_load(text) == barrier_protocol('made-up', 'fast', {'engine': {'functional': 'scan'}})


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (('Al.cif',), 1, "what the engine 'potential' computes stands in its protocol: leave out the crystal"),
        (('--engine', 'vasp', '--functional', 'pbee'), 1, "unknown functional 'pbee': did you mean 'pbe'"),
        (('--engine', 'vasp', '--charge', '1'), 2, '--ion, --charge and --moments go with a crystal FILE'),
        (('Al.cif', '--engine', 'vasp', '--ion', 'Li'), 1, 'Li'),
    ],
)
def test_bad_show_protocol(run, arguments, code, message):
    assert message in ' '.join(run('show-protocol', *arguments, code=code).split())


@pytest.mark.parametrize(
    ('path', 'engine', 'names'),
    [
        (
            CRYSTAL,
            'vasp',
            {
                *('INCAR', 'INCAR.climb', 'INCAR.endpoint', 'INCAR.relax', 'KPOINTS', 'POTCAR.spec'),
                *(f'{image:02d}/POSCAR' for image in range(5)),
            },
        ),
        (ENDS, 'quantumespresso', {'neb.dat', 'neb_climb.dat', *(f'pw_{image}.in' for image in range(1, 6))}),
    ],
)
def test_dry_run(run, tmp_path, path, engine, names):
    output = run('launch', 'barrier', *path, '--engine', engine, '--images', '5', '--dry-run', 'look')
    folder = tmp_path / 'look'
    assert {str(file.relative_to(folder)) for file in folder.rglob('*') if file.is_file()} == names
    assert f'{len(names)} files for a band of 5 images of 31 atoms; nothing was launched' in output
    assert 'look/' in output
    # never over other files
    again = run('launch', 'barrier', *path, '--engine', engine, '--dry-run', 'look', code=1)
    assert 'the folder look is not empty' in again
    listed = json.loads(
        run('launch', 'barrier', *path, '--engine', engine, '--images', '5', '--dry-run', 'other', '--format', 'json')
    )
    assert len(listed['files']) == len(names)


@pytest.mark.parametrize('path', [CRYSTAL, ENDS])
def test_dry_run_without_profile(run, tmp_path, path):
    """Files are those that are written with a profile."""
    command = ('launch', 'barrier', *path, '--engine', 'vasp', '--images', '5', '--dry-run')
    run(*command, 'with')
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / 'nowhere'), 'AIIDA_PROFILE': ''}
    words = [sys.executable, '-c', 'from aiida_embarrier.cli import main; main()', *command, 'without']
    finished = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
    files = [file for file in (tmp_path / 'with').rglob('*') if file.is_file()]
    assert len(files) == 11
    for file in files:
        assert file.read_text() == (tmp_path / 'without' / file.relative_to(tmp_path / 'with')).read_text()
    # a profile that is named has to be there
    words = [*words[:-1], 'more', '--profile', 'absent']
    finished = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert finished.returncode == 1
    assert 'there is no AiiDA profile yet' in finished.stderr


def test_dry_run_of_a_band(run, tmp_path):
    from aiida_embarrier.data.band import BandData

    band = BandData(computed_band()).store()
    run('launch', 'barrier', '--band', band.pk, '--engine', 'vasp', '--dry-run', 'look')
    assert (tmp_path / 'look' / '04' / 'POSCAR').is_file()


def test_dry_run_refuses_what_cannot_be(run):
    output = run('launch', 'barrier', *ENDS, '--dry-run', 'look', code=1)
    assert "the engine 'potential' writes no input files" in ' '.join(output.split())
    hop = ('Al.cif', '--ion', 'Al', '--hop', '99', '--engine', 'vasp')
    assert 'there is no hop 99' in run('launch', 'barrier', *hop, '--dry-run', 'look', code=1)
    cores = (*ENDS, '--engine', 'vasp', '--images', '7', '--dry-run', 'look', '--cores')
    output = ' '.join(run('launch', 'barrier', *cores, '64', code=1).split())
    assert '64 MPI ranks cannot be shared by the 5 interior images' in output
    assert 'use 60 or 65 ranks' in output
    run('launch', 'barrier', *cores, '65')


# ---------------------------------------------------------------- results and doctor


def test_list_by_functional_and_charge(run, aiida_profile_clean):
    from aiida_embarrier.data.band import BandData

    band = computed_band().replace(engine='vasp', potential=None)
    charged = BandData(band.replace(functional='scan+u', charge=-1.0)).store()
    neutral = BandData(band.replace(functional='pbe', charge=0.0)).store()
    rows = json.loads(run('list', '--format', 'json'))
    assert {(row['pk'], row['functional'], row['charge']) for row in rows} == {
        (charged.pk, 'scan+u', -1.0),
        (neutral.pk, 'pbe', 0.0),
    }
    for arguments in (('--functional', 'scan+u'), ('--charge', '-1')):
        assert [row['pk'] for row in json.loads(run('list', *arguments, '--format', 'json'))] == [charged.pk]
    assert 'scan+u' in run('list')
    shown = run('show', charged.pk)
    assert 'scan+u' in shown
    assert '-1 e' in shown


def test_show_says_what_a_preparation_was_worth():
    from aiida_embarrier.cli.views.band import _preparation

    found = {'status': 'used', 'engine': 'potential', 'potential': 'chgnet-0.3.0', 'functional': 'PBE+U'}
    found |= {'barrier_forward': 0.3, 'distance': 0.2, 'charge_ignored': True}
    text = 'by chgnet-0.3.0, barrier 0.300 eV, 0.20 Å from the interpolated band, without the charge'
    assert _preparation(found) == text
    comparison = {'steps_saved': 8, 'n_steps': {'prepared': 4, 'interpolated': 12}}
    assert _preparation({**found, 'comparison': comparison}) == f'{text}, 8 of 12 steps saved'
    failed = {'status': 'failed', 'engine': 'potential', 'message': 'the memory is full'}
    assert _preparation(failed) == 'no, potential could not: the memory is full'


def test_doctor_looks_at_every_engine(run, code_of, monkeypatch):
    from aiida_embarrier.cli import doctor

    code_of('pw', PW)
    rows = {row['item']: row for row in map(vars, [*doctor._plugins(), *doctor._engines()])}
    assert rows['engine potential']['state'] == 'ok'
    assert 'aiida-vasp 5' in rows['engine vasp']['detail']
    assert rows['quantumespresso: code of pw'] | {'remedy': ''} == {
        'item': 'quantumespresso: code of pw',
        'state': 'ok',
        'detail': 'pw@localhost',
        'remedy': '',
    }
    assert '--default-calc-job-plugin quantumespresso.neb' in rows['quantumespresso: code of neb']['remedy']
    assert rows['vasp: POTCAR families']['state'] == 'optional'
    assert 'uploadfamily' in rows['vasp: POTCAR families']['remedy']
    # nothing else is missing where a plugin is
    monkeypatch.setattr(doctor, '_version', lambda name: None if name == 'aiida-vasp' else '1')
    rows = {row['item']: row for row in map(vars, [*doctor._plugins(), *doctor._engines()])}
    assert rows['engine vasp']['remedy'] == "pip install 'aiida-embarrier[vasp]'"
    assert not any(item.startswith('vasp:') for item in rows)
    # what a plugin raises does not hide the others
    monkeypatch.setattr('aiida_embarrier.engines.quantumespresso.pseudos.examine', lambda: 1 / 0)
    rows = {row['item']: row for row in map(vars, doctor._engines())}
    assert 'ZeroDivisionError' in rows['quantumespresso: data']['detail']
