"""Runs of the stand-in: it obeys the INCAR as VASP does."""

import numpy as np
import pytest
from emulators.vasp.byhand import BASE, CLIMB, electronic_steps, energies, forces, run, write
from emulators.vasp.crystals import lithia, lithia_hop, shaken_lithia, spinel
from emulators.vasp.inputs import read, read_poscar
from emulators.vasp.output import seconds_per_step
from emulators.vasp.potential import Potential


def test_static(tmp_path):
    write(tmp_path, BASE, [lithia()])
    assert run(tmp_path).returncode == 0
    assert len(energies(tmp_path)) == 1
    assert read_poscar(tmp_path / 'CONTCAR').positions == pytest.approx(read_poscar(tmp_path / 'POSCAR').positions)
    assert 'General timing and accounting' in (tmp_path / 'OUTCAR').read_text()
    assert (tmp_path / 'vasprun.xml').read_text().endswith('</modeling>\n')


@pytest.mark.parametrize(('ibrion', 'isif'), [(1, 2), (2, 2), (3, 2), (1, 3), (2, 3)])
def test_relaxation(tmp_path, ibrion, isif):
    structure = shaken_lithia()
    incar = {**BASE, 'NSW': 80, 'IBRION': ibrion, 'ISIF': isif, 'EDIFFG': -0.02, 'SMASS': 0.4}
    write(tmp_path, incar, [structure])
    assert run(tmp_path).returncode == 0
    assert 'reached required accuracy' in (tmp_path / 'OUTCAR').read_text()
    steps = energies(tmp_path)
    assert 2 < len(steps) < 80
    assert steps[-1] < steps[0]
    assert np.linalg.norm(forces(tmp_path), axis=1).max() < 0.02
    cells = [read_poscar(tmp_path / name).lattice for name in ('POSCAR', 'CONTCAR')]
    assert np.allclose(*cells) == (isif == 2)
    if isif == 3:
        pressure = float((tmp_path / 'OUTCAR').read_text().rsplit('external pressure =', 1)[1].split()[0])
        assert abs(pressure) < 5


def test_steps_run_out(tmp_path):
    structure = shaken_lithia()
    write(tmp_path, {**BASE, 'NSW': 3, 'IBRION': 2, 'EDIFFG': -0.001}, [structure])
    assert run(tmp_path).returncode == 0
    assert len(energies(tmp_path)) == 3
    assert 'reached required accuracy' not in (tmp_path / 'OUTCAR').read_text()


def test_a_later_run_goes_on_from_contcar_with_fewer_electronic_steps(tmp_path):
    structure = shaken_lithia()
    write(tmp_path, {**BASE, 'NSW': 3, 'IBRION': 1, 'EDIFFG': -0.001}, [structure])
    run(tmp_path)
    before, cold = energies(tmp_path), electronic_steps(tmp_path)
    (tmp_path / 'CONTCAR').rename(tmp_path / 'POSCAR')
    run(tmp_path)
    assert energies(tmp_path)[0] == pytest.approx(before[-1], abs=1e-6)
    assert electronic_steps(tmp_path)[0] < cold[0]
    (tmp_path / 'WAVECAR').write_text('')
    run(tmp_path)
    assert electronic_steps(tmp_path)[0] == cold[0]
    assert 'WAVECAR not read' in (tmp_path / 'stdout').read_text()


def test_selective_dynamics(tmp_path):
    structure = shaken_lithia()
    write(tmp_path, {**BASE, 'NSW': 4, 'IBRION': 1}, [structure])
    lines = (tmp_path / 'POSCAR').read_text().splitlines()
    lines[8:] = [
        line.rsplit(' ', 1)[0] + (' F F F' if number < 5 else ' T T F') for number, line in enumerate(lines[8:20])
    ]
    (tmp_path / 'POSCAR').write_text('\n'.join([*lines[:7], 'Selective dynamics', *lines[7:]]) + '\n')
    run(tmp_path)
    moved = read_poscar(tmp_path / 'CONTCAR').positions - read_poscar(tmp_path / 'POSCAR').positions
    np.testing.assert_allclose(moved[:5], 0, atol=1e-9)
    np.testing.assert_allclose(moved[:, 2], 0, atol=1e-9)
    assert np.abs(moved[5:, :2]).max() > 0.01


@pytest.mark.parametrize('iopt', [1, 2, 3, 4, 7])
def test_band_of_a_vtst_build_climbs(tmp_path, iopt):
    path = lithia_hop(5)
    write(tmp_path, {**CLIMB, 'NSW': 120, 'IOPT': iopt}, path)
    assert run(tmp_path).returncode == 0
    outcar = (tmp_path / '02' / 'OUTCAR').read_text()
    assert 'VTST: version' in outcar
    assert 'OPT: skip step - force has converged' in outcar
    # At the saddle the whole true force vanishes, below it only what lies across the path.
    assert np.linalg.norm(forces(tmp_path / '02'), axis=1).max() < 0.03
    assert np.linalg.norm(forces(tmp_path / '01'), axis=1).max() > 0.1
    tops = [energies(tmp_path / f'0{image}')[-1] for image in (1, 2, 3)]
    assert tops[1] > tops[0] + 0.2
    assert not (tmp_path / '00' / 'OUTCAR').exists()
    assert not (tmp_path / '01' / 'stdout').exists()
    assert ' E0= ' in (tmp_path / 'stdout').read_text()
    assert ' E0= ' in (tmp_path / '02' / 'stdout').read_text()


def test_stock_build_ignores_what_it_does_not_know(tmp_path):
    path = lithia_hop(5)
    write(tmp_path, {**CLIMB, 'NSW': 4}, path)
    run(tmp_path, {'build': 'stock'})
    outcar = (tmp_path / '02' / 'OUTCAR').read_text()
    assert 'VTST' not in outcar
    assert 'CHAIN + TOTAL' in outcar
    # POTIM = 0 leaves the ions where they are, as IOPT means nothing to it.
    assert len(set(energies(tmp_path / '02'))) == 1
    write(tmp_path, {**CLIMB, 'NSW': 60, 'POTIM': 0.5, 'IBRION': 1}, path)
    run(tmp_path, {'build': 'stock'})
    assert 'reached required accuracy' in (tmp_path / '02' / 'OUTCAR').read_text()
    # An odd band of equivalent ends has its saddle in the middle by symmetry; nothing climbs, and that shows beside it.
    assert energies(tmp_path / '02')[-1] > energies(tmp_path / '01')[-1]


def test_stopcar_ends_a_run(tmp_path):
    write(tmp_path, CLIMB, lithia_hop(5))
    (tmp_path / 'STOPCAR').write_text('LSTOP = .TRUE.\n')
    assert run(tmp_path).returncode == 0
    assert len(energies(tmp_path / '01')) == 1
    assert 'General timing' in (tmp_path / '03' / 'OUTCAR').read_text()


def test_moments_and_antiferromagnetism(tmp_path):
    found = {}
    for name, moments in (('parallel', '5 5 5 5'), ('opposite', '5 -5 5 -5')):
        hubbard = {'LDAU': True, 'LDAUL': '-1 2 -1', 'LDAUU': '0 3.9 0', 'LDAUJ': '0 0 0'}
        write(tmp_path, {**BASE, **hubbard, 'MAGMOM': f'2*0.6 {moments} 8*0.6'}, [spinel()])
        assert run(tmp_path).returncode == 0
        found[name] = energies(tmp_path)[-1]
    assert found['opposite'] < found['parallel'] - 0.05
    block = (tmp_path / 'OUTCAR').read_text().rsplit('magnetization (x)', 1)[1].splitlines()[4:18]
    totals = [float(line.split()[-1]) for line in block]
    np.testing.assert_array_equal(np.sign(totals[2:6]), [1, -1, 1, -1])


def test_settings_tell_calculations_apart(tmp_path):
    changes = ({}, {'ENCUT': 520}, {'PREC': 'Accurate'}, {'METAGGA': 'SCAN'}, {'NELECT': 47}, {'ISMEAR': 1})
    cases = [(change, (1, 1, 1)) for change in changes] + [({}, (2, 2, 2))]
    found = set()
    for change, kpoints in cases:
        write(tmp_path, {**BASE, **change}, [lithia()], kpoints)
        inputs = read(tmp_path)
        image = inputs.images[0]
        found.add(round(Potential(inputs.symbols, inputs.settings()).compute(image.positions, image.lattice)[0], 6))
    assert len(found) == len(cases)


def test_times_are_longer_for_scan_and_shorter_on_more_cores(tmp_path):
    times = []
    for change, cores in (({}, 1), ({'METAGGA': 'SCAN'}, 1), ({'METAGGA': 'SCAN'}, 4)):
        write(tmp_path, {**BASE, **change}, [spinel()])
        times.append(seconds_per_step(read(tmp_path), cores))
    assert times[1] > 1.5 * times[0]
    assert times[2] < 0.7 * times[1]
    run(tmp_path)
    assert f'LOOP:  cpu time {times[1]:9.4f}' in (tmp_path / 'OUTCAR').read_text()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'MAGMOM': '3*0.6'}, "Error reading item 'MAGMOM' from file INCAR."),
        ({'LDAU': True, 'LDAUL': '2 2 2', 'LDAUU': '1 1 1'}, "Error reading item 'LDAUU' from file INCAR."),
        ({'METAGGA': 'FANCY'}, 'the stand-in knows no functional FANCY'),
        ({'NSW': 5, 'IBRION': 6}, 'IBRION = 6'),
        ({'NSW': 5, 'IBRION': 1, 'ISIF': 4}, 'ISIF 0 to 3 only'),
    ],
)  # fmt: skip
def test_input_that_vasp_refuses(tmp_path, change, message):
    write(tmp_path, {**BASE, **change}, [lithia()])
    assert run(tmp_path).returncode == 1
    output = (tmp_path / 'stdout').read_text()
    assert message in output
    assert 'I REFUSE TO CONTINUE' in output
    assert not (tmp_path / 'CONTCAR').exists()


def test_other_input_that_is_refused(tmp_path):
    write(tmp_path, {**BASE, 'ISPIN': 1, 'NELECT': 115}, [spinel()])
    assert run(tmp_path).returncode == 1
    assert 'odd number of electrons' in (tmp_path / 'stdout').read_text()
    write(tmp_path, BASE, [lithia()])
    text = (tmp_path / 'POTCAR').read_text()
    first, second = text.split('End of Dataset\n')[:2]
    (tmp_path / 'POTCAR').write_text(f'{second}End of Dataset\n{first}End of Dataset\n')
    assert run(tmp_path).returncode == 1
    assert 'POSCAR and POTCAR are incompatible' in (tmp_path / 'stdout').read_text()
    (tmp_path / 'POTCAR').unlink()
    assert run(tmp_path).returncode == 1
    assert 'no POTCAR found' in (tmp_path / 'stdout').read_text()


def test_ranks_are_a_multiple_of_the_images(tmp_path):
    write(tmp_path, CLIMB, lithia_hop(5))
    assert run(tmp_path, OMPI_COMM_WORLD_SIZE='4').returncode == 1
    assert 'M_divide' in (tmp_path / 'stdout').read_text()
    assert run(tmp_path, OMPI_COMM_WORLD_SIZE='6').returncode == 0
    assert 'running on    6 total cores' in (tmp_path / 'stdout').read_text()
    assert 'each k-point on    2 cores' in (tmp_path / '02' / 'OUTCAR').read_text()
    (tmp_path / 'stdout').unlink()
    assert run(tmp_path, OMPI_COMM_WORLD_SIZE='6', OMPI_COMM_WORLD_RANK='3').returncode == 0
    assert (tmp_path / 'stdout').read_text() == ''


def test_incar_is_read_as_vasp_reads_it(tmp_path):
    write(tmp_path, BASE, [lithia()])
    with (tmp_path / 'INCAR').open('a') as file:
        file.write('ediff = 1d-6 ! comment\nLWAVE = F ; LCHARG = .false. # more\nSYSTEM = a b c\nENCUT = 999\n')
    tags = read(tmp_path).tags
    assert tags['EDIFF'] == 1e-6
    assert tags['LWAVE'] is False
    assert tags['LCHARG'] is False
    assert tags['ENCUT'] == 400
    assert tags['MAGMOM'] == [0.6] * 12
    run(tmp_path)
    assert not (tmp_path / 'WAVECAR').exists()


def test_kpoints(tmp_path):
    write(tmp_path, BASE, [lithia()], kpoints=(2, 3, 1))
    inputs = read(tmp_path)
    # Time reversal keeps Gamma and (1/2, 0, 0) and pairs the other four.
    assert len(inputs.kpoints) == 4
    assert inputs.weights.sum() == pytest.approx(1)
    (tmp_path / 'KPOINTS').unlink()
    with (tmp_path / 'INCAR').open('a') as file:
        file.write('KSPACING = 0.5\n')
    assert len(read(tmp_path).kpoints) == 14
