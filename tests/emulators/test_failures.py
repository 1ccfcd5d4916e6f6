"""Failures on demand: each leaves what the real failure leaves."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from emulators.vasp.byhand import BASE, CLIMB, electronic_steps, energies, forces, run, write
from emulators.vasp.crystals import lithia, lithia_hop, shaken_lithia
from emulators.vasp.failures import ConfigurationError, cured, load
from emulators.vasp.setup import SCRIPT, behave, write_executable, write_mpirun

ENDS = 'General timing and accounting'


@pytest.fixture
def band(tmp_path):
    return write(tmp_path / 'band', CLIMB, lithia_hop(5))


def fail(**fields):
    return {'failures': [fields]}


def outcar(band, image):
    return (band / f'{image:02d}' / 'OUTCAR').read_text()


def test_electronic_steps_of_one_image(band):
    assert run(band, fail(kind='scf', image=2, step=3)).returncode == 0
    steps = electronic_steps(band / '02')
    assert steps[:2] != [60, 60]
    assert set(steps[2:]) == {60}
    assert set(electronic_steps(band / '01')) != {60}
    assert 'EDIFF was not reached' in outcar(band, 2)
    assert 'EDIFF was not reached' not in outcar(band, 1)
    assert 'W    W  A    A  R    R  N    N  II  N    N   GGGG   !!!' in (band / '02' / 'stdout').read_text()


@pytest.mark.parametrize(
    ('tags', 'fails'), [({'ALGO': 'All'}, False), ({'NELM': 120}, False), ({'NELM': 80}, True), ({}, True)]
)
def test_electronic_steps_are_cured_by_what_was_named(tmp_path, tags, fails):
    write(tmp_path, {**BASE, **tags}, [lithia()])
    run(tmp_path, fail(kind='scf', unless={'NELM': 100, 'ALGO': ['All', 'Damped'], 'AMIX': 0.1}))
    assert ('EDIFF was not reached' in (tmp_path / 'OUTCAR').read_text()) == fails


def test_energies_that_have_not_settled_are_wrong(tmp_path):
    write(tmp_path, BASE, [lithia()])
    run(tmp_path)
    right, at_rest = energies(tmp_path)[0], forces(tmp_path)
    run(tmp_path, fail(kind='scf'))
    assert energies(tmp_path)[0] == pytest.approx(right + 0.08, abs=1e-6)
    assert np.abs(forces(tmp_path) - at_rest).max() > 0.05


def test_a_failure_happens_so_many_times(tmp_path):
    write(tmp_path, BASE, [lithia()])
    asked = {'state': str(tmp_path / 'state'), **fail(kind='scf', after=1, times=2)}
    breached = []
    for _ in range(4):
        run(tmp_path, asked)
        breached.append(electronic_steps(tmp_path)[0] == 60)
    assert breached == [False, True, True, False]


def test_a_failure_of_one_task_only(band, tmp_path):
    asked = fail(kind='crash', task='neb')
    write(tmp_path / 'static', BASE, [lithia()])
    assert run(tmp_path / 'static', asked).returncode == 0
    assert run(band, asked).returncode == 174


def test_wall_time(band):
    result = run(band, fail(kind='wall_time', step=4))
    assert result.returncode == -9
    assert 'DUE TO TIME LIMIT' in result.stderr
    for image in (1, 2, 3):
        text = outcar(band, image)
        assert 'Iteration    5(   2)' in text
        assert text.count('TOTAL-FORCE (eV/Angst)') == 4
        assert ENDS not in text
        assert (band / f'0{image}' / 'WAVECAR').read_text() == ''
    # The CONTCAR is a step ahead of the last energies: another run begins with new ones.
    last = energies(band / '02')[-1]
    for image in (1, 2, 3):
        (band / f'0{image}' / 'CONTCAR').rename(band / f'0{image}' / 'POSCAR')
    assert run(band).returncode == 0
    assert energies(band / '02')[0] != pytest.approx(last, abs=1e-7)
    assert 'reached required accuracy' in outcar(band, 2)


def test_wall_time_of_a_relaxation_truncates_vasprun(tmp_path):
    structure = shaken_lithia()
    write(tmp_path, {**BASE, 'NSW': 20, 'IBRION': 1}, [structure])
    assert run(tmp_path, fail(kind='wall_time', step=2)).returncode == -9
    text = (tmp_path / 'vasprun.xml').read_text()
    assert text.count('<calculation>') == 2
    assert '</modeling>' not in text


def test_not_a_number(band):
    assert run(band, fail(kind='nan', image=3, step=2)).returncode == 0
    assert 'energy(sigma->0) =              NaN' in outcar(band, 3)
    assert 'NaN' in (band / '03' / 'OSZICAR').read_text()
    assert 'NaN' in (band / '03' / 'CONTCAR').read_text()
    assert np.isnan(energies(band / '03')[1:]).all()
    assert np.isfinite(energies(band / '03')[0])
    assert np.isfinite(energies(band / '01')[:3]).all()
    # It never counts as converged.
    assert len(energies(band / '01')) == 60


def test_truncated_and_missing_files(band):
    asked = {'failures': [{'kind': 'truncated', 'image': 2}, {'kind': 'missing_contcar', 'image': 3}]}
    assert run(band, asked).returncode == 0
    assert ENDS not in outcar(band, 2)
    assert ENDS in outcar(band, 1)
    assert (band / '01' / 'CONTCAR').exists()
    assert not (band / '03' / 'CONTCAR').exists()


def test_crashes(band):
    result = run(band, fail(kind='crash'))
    assert result.returncode == 174
    assert 'SIGSEGV' in result.stderr
    assert not (band / '01' / 'CONTCAR').exists()
    assert 'Iteration' not in outcar(band, 1)
    assert run(band, fail(kind='crash', step=3)).returncode == 174
    assert len(energies(band / '02')) == 3
    assert (band / '01' / 'CONTCAR').exists()


def test_error_that_vasp_prints(band):
    assert run(band, fail(kind='error', step=2, message=' ZBRENT: fatal error in bracketing')).returncode == 1
    assert 'ZBRENT: fatal error' in (band / 'stdout').read_text()


def test_node_lost(band):
    assert run(band, fail(kind='node_lost', step=2)).returncode == -9
    assert list(band.iterdir()) == []


def test_forces_that_never_get_small(tmp_path):
    structure = shaken_lithia()
    write(tmp_path, {**BASE, 'NSW': 8, 'IBRION': 1, 'EDIFFG': -0.5}, [structure])
    run(tmp_path, fail(kind='ionic'))
    assert len(energies(tmp_path)) == 8
    assert 'reached required accuracy' not in (tmp_path / 'OUTCAR').read_text()


def test_hanging_and_slow_runs_can_be_watched(tmp_path):
    structure = shaken_lithia()
    write(tmp_path, {**BASE, 'NSW': 20, 'IBRION': 1, 'EDIFFG': -1e-9}, [structure])
    asked = {'sleep': 0.05, **fail(kind='hang', step=3)}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, stdout=subprocess.DEVNULL, env={'VASP_EMULATOR': json.dumps(asked)}
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / 'OSZICAR').exists() or len(energies(tmp_path)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        assert process.poll() is None
        assert len(energies(tmp_path)) == 3
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    'asked',
    [{'speed': 1}, {'build': 'fancy'}, fail(kind='earthquake'), fail(kind='scf', where=2), fail(kind='scf', times=1)],
    ids=['key', 'build', 'kind', 'field', 'state'],
)  # fmt: skip
def test_what_cannot_be_asked_for(tmp_path, asked):
    write(tmp_path, BASE, [lithia()])
    result = run(tmp_path, asked)
    assert result.returncode == 2
    assert result.stderr
    assert not (tmp_path / 'OUTCAR').exists()


def test_the_variable():
    assert load('') == {}
    assert load('build=stock sleep=2') == {'build': 'stock', 'sleep': '2'}
    assert load('{"sleep": 2}') == {'sleep': 2}
    with pytest.raises(ConfigurationError, match='no JSON'):
        load('{sleep')
    assert cured('NELM', 100, 120)
    assert not cured('NELM', 100, 60)
    assert cured('AMIX', 0.1, 0.05)
    assert not cured('AMIX', 0.1, 0.4)
    assert cured('ALGO', ['Damped', 'All'], 'all')
    assert not cured('LDAU', True, False)
    assert not cured('ALGO', 'All', None)


def test_executables(tmp_path):
    write(tmp_path / 'job', BASE, [lithia()])
    failing = write_executable(tmp_path / 'bin', fail(kind='crash', times=1))
    launcher = write_mpirun(tmp_path / 'bin')
    command = [launcher, '-np', '3', failing]
    assert subprocess.run(command, cwd=tmp_path / 'job', capture_output=True).returncode == 174
    finished = subprocess.run(command, cwd=tmp_path / 'job', capture_output=True, text=True)
    assert finished.returncode == 0
    assert 'running on    3 total cores' in finished.stdout
    behave(failing, fail(kind='crash', times=1))
    assert subprocess.run(command, cwd=tmp_path / 'job', capture_output=True).returncode == 174
    other = subprocess.run(command, cwd=tmp_path / 'job', env={'VASP_EMULATOR': 'build=none'}, capture_output=True)
    assert other.returncode == 2
