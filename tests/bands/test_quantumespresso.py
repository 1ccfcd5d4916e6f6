"""Bands from folders of neb.x: a real run (examples/neb_x_h2_h), and what it does not show."""

import gzip
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_embarrier.bands.quantumespresso import functional_of, given_images, read_band, read_input, read_path_file
from aiida_embarrier.bands.tangents import band_forces

FIXTURE = Path(__file__).resolve().parents[2] / 'examples' / 'neb_x_h2_h'

#: Two manganese atoms of opposite moments with U, as version 7.1 and later want it.
ANTIFERROMAGNET = """&CONTROL
  prefix = 'mno'
/
&SYSTEM
  ibrav = 0, nat = 3, ntyp = 3, ecutwfc = 40, nspin = 2, tot_charge = -1
  starting_magnetization(1) = 0.3
  starting_magnetization(2) = -0.3
  {system}
/
&ELECTRONS
/
ATOMIC_SPECIES
Mn1 54.9 Mn.upf
Mn2 54.9 Mn.upf
O 16.0 O.upf
ATOMIC_POSITIONS crystal
Mn1 0.0 0.0 0.0
Mn2 0.5 0.5 0.0
O   0.5 0.0 {z}
K_POINTS automatic
2 2 2 0 0 1
CELL_PARAMETERS angstrom
4.0 0.0 0.0
0.0 4.0 0.0
0.0 0.0 4.0
{cards}
"""


@pytest.fixture
def folder(tmp_path):
    """Return a copy of the real run that a test may change."""
    return Path(shutil.copytree(FIXTURE, tmp_path / 'run', ignore=shutil.ignore_patterns('README.md')))


@pytest.fixture
def write_run(tmp_path):
    """Return a function that writes a run of three images of the antiferromagnet."""

    def write(system='', cards='') -> Path:
        (tmp_path / 'neb.dat').write_text('&PATH\n  num_of_images = 3\n/\n')
        for number, z in ((1, 0.9), (2, 0.1)):
            (tmp_path / f'pw_{number}.in').write_text(ANTIFERROMAGNET.format(system=system, cards=cards, z=z))
        rows = []
        for image, z in enumerate((0.9, 1.0, 0.1)):  # the last is written in the next cell
            rows += [f'Image: {image + 1:4d}', f'  {-1.0 + 0.01 * (image == 1):.10f}']
            for place in ((0, 0, 0), (0.5, 0.5, 0), (0.5, 0, z)):
                position = np.array(place) * 4.0 / 0.529177210903
                rows.append(' '.join(f'{value:.12f}' for value in (*position, 0.001 * image, 0.0, 0.0)))
        head = ['RESTART INFORMATION', '5', '50', '0', 'NUMBER OF IMAGES', '3', 'ENERGIES, POSITIONS AND GRADIENTS']
        (tmp_path / 'mno.path').write_text('\n'.join([*head, *rows, 'VELOCITIES', '']))
        return tmp_path

    return write


def test_real_run():
    imported = read_band(FIXTURE)
    band = imported.band
    text = (FIXTURE / 'neb0.out').read_text()
    printed = [float(value) for value in re.findall(r'^ +\d +(-\d+\.\d+) +\d', text.rpartition('image  ')[2], re.M)]
    assert len(printed) == 7
    np.testing.assert_allclose(band.energies, printed, atol=6e-8)  # as many digits as neb.x prints
    activation = float(re.findall(r'activation energy \(->\) = +(\S+) eV', text)[-1])
    assert band.energies.max() - band.energies[0] == pytest.approx(activation, abs=6e-7)
    # forces in eV/Å against those that neb.x wrote for viewers in Hartree/Å
    rows = [line.split() for line in (FIXTURE / 'H2+H.axsf').read_text().splitlines() if line.startswith(' H ')]
    table = np.array([[float(word) for word in row[1:]] for row in rows]).reshape(7, 3, 6)
    np.testing.assert_allclose(band.positions, table[..., :3], atol=1e-9)
    np.testing.assert_allclose(band.forces, table[..., 3:] * 27.211386245988, atol=1e-8)
    expected = band_forces(band.positions, band.energies, band.forces, 1.0, climbing=3).residuals
    np.testing.assert_allclose(band.max_perpendicular_forces, expected, atol=1e-9)
    # neb.x does the same at the climbing image, and says so as its error
    assert band.max_perpendicular_forces[3] == pytest.approx(0.016834, abs=1e-6)
    info = band.info
    assert (info.engine, info.functional, info.charge) == ('quantumespresso', 'pbe', 0.0)
    assert (info.climbing, info.converged, info.mechanism) == (True, True, 'any')
    assert band.mobile == (0, 2)
    assert [(kind.name, kind.magnetic_moment) for kind in band.kinds] == [('H', 0.5)]
    np.testing.assert_array_equal(band.moments[3], [0.0677, -0.0119, 0.0677])
    assert imported.warnings == []
    assert imported.settings['iterations'] == 13
    assert imported.settings['version'] == '6.7'
    assert imported.settings['wall_s'] == 16.6
    assert imported.settings['potentials'] == {'H': 'HUSPBE.RRKJ3'}


def test_one_input_for_all(folder):
    expected = read_input(folder)
    for name in ('neb.dat', 'pw_1.in', 'pw_2.in'):
        (folder / name).unlink()
    found = read_input(folder)
    assert found.path == expected.path
    assert found.namelists == expected.namelists
    assert found.labels == expected.labels == ['H', 'H', 'H']
    assert found.pseudopotentials == expected.pseudopotentials
    assert read_band(folder).band.info == read_band(FIXTURE).band.info


@pytest.mark.parametrize('combined', [False, True])
def test_given_images(folder, combined):
    if combined:
        (folder / 'neb.dat').unlink()
    lattice = np.diag([12.0, 5.0, 5.0]) * 0.529177210903
    images = given_images(read_input(folder), lattice)
    assert len(images) == 2
    np.testing.assert_allclose(images, read_path_file(folder / 'H2+H.path').positions[[0, -1]], atol=1e-9)


def test_without_path_file(folder):
    (folder / 'H2+H.path').unlink()
    imported, expected = read_band(folder), read_band(FIXTURE)
    np.testing.assert_allclose(imported.band.energies, expected.band.energies, atol=1e-7)
    np.testing.assert_allclose(imported.band.forces, expected.band.forces, atol=1e-8)
    assert imported.sources[3] == {
        'structure': 'H2+H.axsf', 'energy': 'the output of neb.x', 'forces': 'H2+H.axsf', 'moments': 'PW.out'
    }  # fmt: skip


def test_what_is_missing_is_unknown(folder):
    (folder / 'neb0.out').unlink()
    for path in folder.rglob('PW.out.gz'):
        path.unlink()
    imported = read_band(folder)
    assert imported.band.info.converged is None
    assert imported.band.info.functional is None
    assert imported.band.moments is None
    assert imported.band.kinds[0].magnetic_moment is None
    assert [text.split(':')[0] for text in imported.warnings] == [
        'the initial moments are not known',
        'the functional is not known',
    ]


def test_not_converged(folder):
    path = folder / 'neb0.out'
    path.write_text(path.read_text().replace('neb: convergence achieved in', 'neb: reached the maximum number of'))
    assert read_band(folder).band.info.converged is False


def test_outdir_elsewhere_and_compressed(folder):
    (folder / 'out').mkdir()
    for number in range(1, 8):
        (folder / f'H2+H_{number}').rename(folder / 'out' / f'H2+H_{number}')
    path = folder / 'H2+H.path'
    with gzip.open(f'{path}.gz', 'wb') as file:
        file.write(path.read_bytes())
    path.unlink()
    imported = read_band(folder)
    assert imported.sources[0]['energy'] == 'H2+H.path.gz'
    np.testing.assert_array_equal(imported.band.moments, read_band(FIXTURE).band.moments)


@pytest.mark.parametrize(
    ('system', 'cards'),
    [
        (
            "vdw_corr = 'grimme-d3', dftd3_version = 4, input_dft = 'PBE'",
            'HUBBARD (ortho-atomic)\nU Mn1-3d 3.9\nU Mn2-3d 3.9',
        ),
        (
            "vdw_corr = 'grimme-d3', dftd3_version = 4, input_dft = 'PBE', lda_plus_u = .true., Hubbard_U(1) = 3.9, "
            'Hubbard_U(2) = 3.9',
            '',
        ),
    ],
)
def test_kinds(write_run, system, cards):
    band = read_band(write_run(system, cards)).band
    assert [(kind.name, kind.element, kind.hubbard_u) for kind in band.kinds] == [
        ('Mn1', 'Mn', 3.9), ('Mn2', 'Mn', 3.9), ('O', 'O', None)
    ]  # fmt: skip
    assert band.info.functional == 'pbe+u-d3bj'
    assert band.info.charge == -1.0
    assert band.info.climbing is False
    assert band.mobile == (2,)
    # the oxygen goes on into the next cell, and not back through the whole
    np.testing.assert_allclose(band.positions[:, 2, 2], [3.6, 4.0, 4.4], atol=1e-9)
    np.testing.assert_allclose(band.energies - band.energies[0], [0, 0.01 * 27.211386245988, 0], atol=1e-8)
    assert band.forces[1, 0, 0] == pytest.approx(-0.001 * 27.211386245988 / 0.529177210903)
    assert band.info.residual_force == pytest.approx(band.max_perpendicular_forces.max())


def test_moments_are_parts_of_the_valence(write_run):
    folder = write_run()
    place = folder / 'mno_1'
    place.mkdir()
    (place / 'PW.out').write_text(
        '     Exchange-correlation= PBESOL (   1   4  10   8   0   0   0)\n'
        '     atomic species   valence    mass     pseudopotential\n'
        '        Mn1           15.00    54.90000     Mn( 1.00)\n'
        '        Mn2           15.00    54.90000     Mn( 1.00)\n'
        '        O              6.00    16.00000     O ( 1.00)\n\n'
    )
    band = read_band(folder).band
    assert [kind.magnetic_moment for kind in band.kinds] == [4.5, -4.5, None]
    assert band.info.functional == 'pbesol'


def test_images_that_climb_by_hand(write_run):
    folder = write_run()
    (folder / 'neb.dat').write_text("&PATH\n  CI_scheme = 'manual'\n/\nCLIMBING_IMAGES\n2\n")
    assert read_input(folder).climbing_images == (2,)
    assert read_band(folder).band.info.climbing is True


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda folder: (folder / 'mno.path').unlink(), 'has neither mno.path nor mno.axsf'),
        (lambda folder: (folder / 'pw_1.in').unlink(), 'has no input of neb.x'),
        (lambda folder: (folder / 'neb.dat').write_text('&OTHER\n/\n'), 'is none of neb.x'),
        (
            lambda folder: (folder / 'mno.path').write_text((folder / 'mno.path').read_text()[:300]),
            'mno.path is no restart file of neb.x, or is cut off',
        ),
        (
            lambda folder: (folder / 'pw_1.in').write_text(
                (folder / 'pw_1.in').read_text().replace('nat = 3', 'nat = 2')
            ),
            'mno.path is of 3 atoms, the input of 2',
        ),
        (
            lambda folder: (folder / 'pw_1.in').write_text(
                (folder / 'pw_1.in').read_text().replace('ibrav = 0', 'ibrav = 1')
            ),
            'the lattice is not known: mno.axsf is missing',
        ),
    ],
)
def test_folders_that_are_refused(write_run, change, message):
    folder = write_run()
    change(folder)
    with pytest.raises(ValueError, match=message):
        read_band(folder)


@pytest.mark.parametrize(
    ('system', 'printed', 'key'),
    [
        ('', 'pbe', 'pbe'),
        ("input_dft = 'PZ'", None, 'lda'),
        ("vdw_corr = 'grimme-d3'", 'pbe', 'pbe-d3'),
        ("vdw_corr = 'ts-vdw'", 'pbe', 'pbe-ts'),
    ],
)
def test_functional(write_run, system, printed, key):
    assert functional_of(read_input(write_run(system)), printed) == (key, [])
