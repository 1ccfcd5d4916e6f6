"""Bands from folders of VASP: real files, and small ones of the same format for what these do not show."""

import gzip
import lzma
import shutil
import warnings

import numpy as np
import pytest

from aiida_embarrier.bands.tangents import band_forces
from aiida_embarrier.bands.vasp import functional_of, read_band, read_poscar
from aiida_embarrier.bands.vasp_outputs import Species, read_outputs, read_species

LATTICE = np.diag([6.0, 7.0, 8.0])
ELEMENTS = ['Mn', 'Mn', 'O', 'Li']
#: The path of a Li ion that leaves the cell at its end, beside three atoms that yield a little.
PATH = np.array(
    [
        [[1, 1, 1], [4, 1, 1], [1, 4, 4], [1 + 2.2 * step, 3, 6.5 + 1.2 * step]]
        for step in np.linspace(0, 1, 5)
    ]
) + 0.02 * np.sin(np.arange(5))[:, None, None]  # fmt: skip
ENERGIES = np.array([-30.0, -29.7, -29.412345, -29.65, -29.98])
FORCES = np.random.default_rng(3).normal(scale=0.1, size=PATH.shape).round(6)
MOMENTS = np.round(np.array([[3.9, -3.9, 0.01, 0.002]] * 5) - 0.1 * np.arange(5)[:, None], 3)

HEADER = """ vasp.6.4.2 20Jul23 (build Jan 01 2024 00:00:00) complex
   POTCAR:    PAW_PBE Mn_pv 02Aug2007
   LEXCH  = PE
   TITEL  = PAW_PBE Mn_pv 02Aug2007
   POMASS =   54.938; ZVAL   =   13.000    mass and valenz
   LEXCH  = PE
   TITEL  = PAW_PBE O 08Apr2002
   POMASS =   16.000; ZVAL   =    6.000    mass and valenz
   LEXCH  = PE
   TITEL  = PAW_PBE Li_sv 10Sep2004
   POMASS =    7.010; ZVAL   =    3.000    mass and valenz
{vtst}   ions per type =               2   1   1
   ISPIN  =      2    spin polarized calculation?
   LNONCOLLINEAR =      F non collinear calculations
   METAGGA= {metagga:>8}
   ENCUT  = {encut} eV  38.22 Ry
   NELECT = {n_electrons:12.4f}    total number of electrons
   GGA     =    {gga}    GGA type
"""
STEP = """--------------------------------------- Iteration {number:6d}(   1)  ------------------------
  energy without entropy =       -99.00000000  energy(sigma->0) =       -99.00000000
 magnetization (x)

# of ion       s       p       d       tot
------------------------------------------
{moments}
--------------------------------------------------
tot         0.000   0.000   0.000   0.000

      direct lattice vectors                 reciprocal lattice vectors
{lattice}
 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{table}
 -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000
  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  = {free:18.8f} eV

  energy  without entropy={energy:18.8f}  energy(sigma->0) ={energy:18.8f}
"""
END = """
 reached required accuracy - stopping structural energy minimisation
 General timing and accounting informations for this job:
                         Elapsed time (sec):     1234.500
"""


def step_text(number, positions, energy, forces, moments):
    """Return an ionic step as an OUTCAR has it; positions in the cell, as VASP writes them."""
    inside = positions - np.floor(positions @ np.linalg.inv(LATTICE) + 1e-9) @ LATTICE
    rows = np.hstack([inside, forces])
    return STEP.format(
        number=number,
        moments='\n'.join(f'{i:4d}      0.000   0.000   0.000 {value:7.3f}' for i, value in enumerate(moments, 1)),
        lattice='\n'.join(' '.join(f'{v:13.9f}' for v in row) + '  0.0 0.0 0.0' for row in LATTICE),
        table='\n'.join(''.join(f'{v:13.5f}' for v in r[:3]) + ''.join(f'{v:14.6f}' for v in r[3:]) for r in rows),
        free=energy - 0.01,
        energy=energy,
    )


def outcar_text(image, *, before=(), end=END, **header):
    """Return the OUTCAR of an image, with steps before the last."""
    head = HEADER.format(
        **{'vtst': ' VTST: version 4.2, (03/28/24)\n', 'metagga': 'F', 'gga': 'PE', 'encut': 520.0}
        | {'n_electrons': 35.0}
        | header
    )
    steps = [step_text(number, *step) for number, step in enumerate(before, 1)]
    last = step_text(len(steps) + 1, PATH[image], ENERGIES[image], FORCES[image], MOMENTS[image])
    return head + ''.join(steps) + last + end


def poscar_text(positions, frozen=()):
    rows = positions @ np.linalg.inv(LATTICE)
    dynamics = ['F F F' if index in frozen else 'T T T' for index in range(len(rows))] if frozen else [''] * len(rows)
    return '\n'.join(
        [
            'made up for a test',
            '1.0',
            *(' '.join(f'{value:.10f}' for value in row) for row in LATTICE),
            'Mn O Li',
            '2 1 1',
            *(['Selective dynamics'] if frozen else []),
            'Direct',
            *(f'{" ".join(f"{v % 1:.14f}" for v in row)} {flags}' for row, flags in zip(rows, dynamics, strict=True)),
            '',
        ]
    )


INCAR = """
ISPIN = 2 ; MAGMOM = 4 -4 0.6 0
ENCUT = 520
GGA = PE
LDAU = .TRUE. ; LDAUTYPE = 2
LDAUL = 2 -1 -1
LDAUU = 4.9 0 0
LDAUJ = 1.0 0 0
IVDW = 12
NELECT = 35
IMAGES = 3 ; SPRING = -5 ; LCLIMB = .TRUE. ; ICHAIN = 0
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder of a finished calculation."""
    for image, positions in enumerate(PATH):
        place = tmp_path / f'{image:02d}'
        place.mkdir()
        (place / 'POSCAR').write_text(poscar_text(positions + 0.01 * (0 < image < 4)))
        (place / 'OUTCAR').write_text(outcar_text(image))
        if 0 < image < 4:
            (place / 'CONTCAR').write_text(poscar_text(positions))
    (tmp_path / 'INCAR').write_text(INCAR)
    return tmp_path


def test_real_files(shared_data, tmp_path):
    """Energies and forces to the printed digits, against ASE's parser."""
    from ase.io import read

    source = shared_data / 'neb_vasp_fixtures' / 'pymatgen_neb1'
    imported = read_band(source)
    band = imported.band
    assert np.isnan(band.energies[1:4]).all()
    assert np.isnan(band.forces[1:4]).all()
    for image in (0, 4):
        path = source / f'{image:02d}' / 'OUTCAR.xz'
        plain = tmp_path / f'OUTCAR{image}'
        plain.write_bytes(lzma.decompress(path.read_bytes()))
        atoms = read(plain, format='vasp-out', index=-1)
        assert band.energies[image] == atoms.get_potential_energy()  # energy(sigma->0)
        # in the OUTCAR of image 4 the ion that moves stands first, in the band it is atom 7
        order = list(range(31)) if image == 0 else [*range(1, 8), 0, *range(8, 31)]
        np.testing.assert_array_equal(band.forces[image], atoms.get_forces()[order])
        np.testing.assert_array_equal(band.moments[image], atoms.get_magnetic_moments()[order])
    assert band.energies.tolist()[::4] == [-255.97992669, -255.98097765]
    assert band.mobile == (7,)
    assert band.mobile_ion == 'Fe'
    assert band.hop_length == pytest.approx(2.4508, abs=1e-3)
    assert np.abs(band.displacements).max() < 0.8  # positions are as meant, though these files wrap them
    info = band.info
    assert (info.functional, info.charge, info.converged, info.climbing) == ('pbe', 0.0, None, None)
    assert info.mechanism is None
    assert info.residual_force is None
    assert 'the energies of images 1, 2, 3 are not known' in imported.warnings
    assert any('04: the atoms of OUTCAR.xz are in another order' in text for text in imported.warnings)
    assert imported.settings['species'] == [{'title': 'PAW_PBE Fe_pv 06Sep2000', 'electrons': 14.0, 'functional': 'PE'}]


def test_finished_calculation(folder):
    imported = read_band(folder, mechanism='vacancy')
    band = imported.band
    np.testing.assert_array_equal(band.energies, ENERGIES)
    np.testing.assert_array_equal(band.forces, FORCES)
    np.testing.assert_array_equal(band.moments, MOMENTS)
    np.testing.assert_allclose(np.diff(band.positions, axis=0), np.diff(PATH, axis=0), atol=1e-9)
    assert band.mobile == (3,)
    assert band.elements == ELEMENTS
    info = band.info
    assert info.functional == 'pbe+u-d3bj'
    assert info.charge == pytest.approx(2 * 13 + 6 + 3 - 35)
    assert (info.climbing, info.converged, info.mechanism, info.engine) == (True, True, 'vacancy', 'vasp')
    expected = band_forces(PATH, ENERGIES, FORCES, 1.0, climbing=2).residuals
    np.testing.assert_allclose(band.max_perpendicular_forces, expected, atol=1e-6)
    assert info.residual_force == pytest.approx(expected.max(), abs=1e-6)
    kinds = [(kind.element, kind.magnetic_moment, kind.hubbard_u) for kind in band.kinds]
    assert kinds == [('Mn', 4.0, 3.9), ('Mn', -4.0, 3.9), ('O', 0.6, None), ('Li', 0.0, None)]
    assert imported.warnings == []
    assert imported.settings['version'] == '6.4.2'
    assert imported.settings['vtst'] == '4.2'
    assert imported.settings['wall_s'] == 1234.5


def test_charged_cell(folder):
    for image in range(5):
        (folder / f'{image:02d}' / 'OUTCAR').write_text(outcar_text(image, n_electrons=36.0))
    assert read_band(folder).band.info.charge == -1.0


def test_stock_vasp_never_climbs(folder):
    for image in range(5):
        (folder / f'{image:02d}' / 'OUTCAR').write_text(outcar_text(image, vtst=''))
    imported = read_band(folder)
    assert imported.band.info.climbing is False
    expected = band_forces(PATH, ENERGIES, FORCES, 1.0).residuals
    np.testing.assert_allclose(imported.band.max_perpendicular_forces, expected, atol=1e-6)


def test_killed_calculation(folder):
    """Positions are those of the last step that is complete, not those that CONTCAR has for the next one."""
    place = folder / '02'
    first = (PATH[2] + 0.003, -29.5, FORCES[1], MOMENTS[1])
    whole = outcar_text(2, before=[first], end='')
    (place / 'OUTCAR').write_text(whole[: whole.rindex('-' * 83) - 40])  # ends inside the forces of the second step
    imported = read_band(folder)
    band = imported.band
    assert band.energies[2] == -29.5
    np.testing.assert_array_equal(band.forces[2], FORCES[1])
    np.testing.assert_array_equal(band.moments[2], MOMENTS[1])
    np.testing.assert_allclose(band.positions[2] - band.positions[1], first[0] - PATH[1], atol=2e-5)
    assert band.info.converged is False
    assert imported.sources[2]['structure'] == 'OUTCAR'


def test_outcar_of_another_structure(folder):
    """As where the files of two hops were mixed: a warning says so."""
    far = PATH[4] + [[0, 0, 0], [0, 1.5, 0], [0, 0, 0], [0, 0, 0]]
    (folder / '04' / 'POSCAR').write_text(poscar_text(far))
    assert any(
        '04: OUTCAR is of another structure than POSCAR, from which an atom lies 1.50 Å away' in text
        for text in read_band(folder).warnings
    )


def test_outcar_without_species(folder):
    """The POSCAR tells what the header of an OUTCAR that was cut does not."""
    for path in folder.rglob('OUTCAR'):
        text = path.read_text()
        path.write_text(text[text.index(' magnetization (x)') :])
    band = read_band(folder).band
    assert np.isnan(band.energies).all()  # without the heading of its first step no step can be told
    for path in folder.rglob('OUTCAR'):
        path.write_text('------ Iteration      1(   1)  ------\n' + path.read_text())
    band = read_band(folder).band
    np.testing.assert_array_equal(band.energies, ENERGIES)
    assert band.elements == ELEMENTS


def test_atoms_that_were_held_do_not_count(folder):
    for image in range(5):
        (folder / f'{image:02d}' / 'POSCAR').write_text(poscar_text(PATH[image], frozen=(0,)))
        (folder / f'{image:02d}' / 'CONTCAR').unlink(missing_ok=True)
    forces = FORCES.copy()
    forces[:, 0] = 0
    expected = band_forces(PATH, ENERGIES, forces, 1.0, climbing=2).residuals
    band = read_band(folder).band
    np.testing.assert_allclose(band.max_perpendicular_forces, expected, atol=1e-6)
    np.testing.assert_array_equal(band.forces, FORCES)


def test_compressed_files(folder):
    for path in list(folder.rglob('*')):
        if path.is_file():
            with gzip.open(f'{path}.gz', 'wb') as file:
                file.write(path.read_bytes())
            path.unlink()
    imported = read_band(folder)
    np.testing.assert_array_equal(imported.band.energies, ENERGIES)
    assert imported.sources[2] == {
        'structure': 'CONTCAR.gz', 'energy': 'OUTCAR.gz', 'forces': 'OUTCAR.gz', 'moments': 'OUTCAR.gz'
    }  # fmt: skip


def test_energy_of_an_oszicar(folder):
    (folder / '01' / 'OUTCAR').unlink()
    (folder / '01' / 'OSZICAR').write_text(
        'RMM:  12    -0.297E+02   -0.1E-06   -0.1E-07  1234   0.3E-03\n'
        '   1 F= -.29700000E+02 E0= -.29812345E+02  d E =0.0  mag=     0.0\n'
        '   2 F= -.29700000E+02 E0= -.29712345E+02  d E =0.0  mag=     0.0\n'
    )
    imported = read_band(folder)
    assert imported.band.energies[1] == -29.712345
    assert np.isnan(imported.band.forces[1]).all()
    assert imported.band.info.converged is None
    assert imported.band.info.residual_force is None
    assert any('01: the energy is that of OSZICAR' in text for text in imported.warnings)
    assert 'the forces of image 1 are not known' in imported.warnings


def test_endpoints_computed_otherwise(folder):
    (folder / '00' / 'OUTCAR').write_text(outcar_text(0, encut=400.0))
    found = [text for text in read_band(folder).warnings if 'different settings' in text]
    assert found == ['00 and 01 were computed with different settings (ENCUT = 400.0 and 520.0): compare no energies']


def test_nothing_but_positions(folder):
    for path in folder.rglob('OUTCAR'):
        path.unlink()
    (folder / 'INCAR').unlink()
    imported = read_band(folder)
    assert np.isnan(imported.band.energies).all()
    assert imported.band.forces is None
    assert imported.band.info.functional is None
    assert imported.band.info.charge is None
    assert 'the energies of any image are not known' in imported.warnings
    assert any('the functional is not known' in text for text in imported.warnings)


def test_potentials_from_elsewhere(folder):
    """What a POTCAR beside the folders says, or what is given: only its headers."""
    for path in folder.rglob('OUTCAR'):
        path.unlink()
    incar = folder / 'INCAR'
    incar.write_text(incar.read_text().replace('GGA = PE', '').replace('NELECT = 35', 'NELECT = 33'))
    species = [Species('PAW Mn', 13.0, 'CA'), Species('PAW O', 6.0, 'CA'), Species('PAW Li', 3.0, 'CA')]
    info = read_band(folder, potentials=species).band.info
    assert (info.functional, info.charge) == ('lda+u-d3bj', 2.0)
    header = '  {title}\n   LEXCH  = CA\n   TITEL  = {title}\n   POMASS =  1.0; ZVAL   =  {z:7.3f}    mass and valenz\n'
    (folder / 'POTCAR').write_text(''.join(header.format(title=entry.title, z=entry.electrons) for entry in species))
    assert read_band(folder).band.info == info
    assert read_species((folder / 'POTCAR').read_text().splitlines()) == species


def test_poscar_without_symbols(folder):
    path = folder / '00' / 'POSCAR'
    path.write_text(path.read_text().replace('Mn O Li\n', ''))
    assert read_band(folder).band.elements == ELEMENTS
    with pytest.raises(ValueError, match='no line with chemical symbols, and no OUTCAR or POTCAR'):
        read_poscar(path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda folder: shutil.rmtree(folder / '02'), 'lacks the folder 02 between 00 and 04'),
        (lambda folder: [shutil.rmtree(folder / f'{i:02d}') for i in (2, 3, 4)], 'is no NEB calculation of VASP'),
        (lambda folder: (folder / 'INCAR').write_text('IMAGES = 5'), 'INCAR says IMAGES = 5, but .* has 3 folders'),
        (lambda folder: (folder / '01/POSCAR').write_text('nonsense'), '01/POSCAR cannot be read'),
        (lambda folder: [path.unlink() for path in (folder / '01').iterdir()], '01 has neither CONTCAR nor POSCAR'),
    ],
)
def test_folders_that_are_refused(folder, change, message):
    change(folder)
    with pytest.raises(ValueError, match=message):
        read_band(folder)


def test_an_image_with_other_atoms_is_refused(folder):
    for path in (folder / '02').iterdir():
        path.unlink()
    text = poscar_text(PATH[2]).replace('2 1 1', '1 2 1')
    (folder / '02' / 'POSCAR').write_text(text)
    with pytest.raises(ValueError, match='image 2 and image 0 differ in the number or order of their elements'):
        read_band(folder)


@pytest.mark.parametrize(
    ('incar', 'key'),
    [
        ({'GGA': 'PE'}, 'pbe'),
        ({'GGA': 'Ps'}, 'pbesol'),
        ({}, 'lda'),  # that of the pseudopotentials
        ({'METAGGA': 'Scan', 'LDAU': True}, 'scan+u'),
        ({'METAGGA': 'R2SCAN', 'LUSE_VDW': True, 'BPARAM': 11.95}, 'r2scan-rvv10'),
        ({'GGA': 'PE', 'IVDW': 11}, 'pbe-d3'),
        ({'GGA': 'PE', 'LHFCALC': True, 'HFSCREEN': 0.2}, 'hse06'),
        ({'GGA': 'PE', 'LHFCALC': True}, 'pbe0'),
    ],
)
def test_functional(incar, key):
    assert functional_of(incar, [Species('PAW Mn', 13.0, 'CA')]) == (key, [])


def test_numbers_that_do_not_fit(folder):
    """Fortran writes stars where a number does not fit, and NaN where there is none."""
    text = outcar_text(1).replace(f'{ENERGIES[1]:18.8f}', '               NaN')
    outcar = read_outputs(text.splitlines())
    assert np.isnan(outcar.energy)
    rows = outcar_text(1).splitlines()
    first = next(number for number, row in enumerate(rows) if 'TOTAL-FORCE' in row) + 2
    rows[first] = rows[first][:39] + '*' * 14 + rows[first][53:]
    outcar = read_outputs(rows)
    assert np.isnan(outcar.forces[0, 0])
    np.testing.assert_array_equal(outcar.forces[1:], FORCES[1, 1:])


def test_no_noise(folder):
    """Pymatgen warns of much that is none of a reader's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        read_band(folder)
