"""What would be computed, and the files of it, without profile, code or POTCAR."""

import subprocess
import sys

import numpy as np
import pytest
from pymatgen.io.vasp import Incar, Kpoints, Poscar

from aiida_embarrier.bands.band import Band
from aiida_embarrier.engines.base import get_engine


def resolve(structure, protocol, **options):
    engine = get_engine('vasp')
    return engine.load(engine.resolve)(structure, protocol, **options)


def test_resolve(spinel, protocol):
    found = resolve(spinel, protocol(functional='scan+u'), charge=-2, n_images=9)
    assert found['relax']['INCAR']['METAGGA'] == found['neb']['INCAR']['METAGGA'] == 'SCAN'
    assert found['neb']['INCAR']['IMAGES'] == 7
    assert found['neb']['INCAR']['NELECT'] == 'sum of ZVAL +2'
    assert found['neb']['INCAR once it climbs'] == {'EDIFFG': -0.05, 'LCLIMB': True}
    assert found['neb']['KPOINTS'] == {'mesh': [3, 3, 3], 'centre': 'Gamma'}
    assert found['neb']['POTCAR'] == ['PBE.54/Mg_pv', 'PBE.54/Mn_pv', 'PBE.54/O']
    assert found['neb']['POSCAR'][1] == {'group': 'Mn', 'atoms': 16}
    u = found['relax']['hubbard_u']
    assert (u['Mn']['u'], u['Mn']['verified']) == (2.7, False)
    assert 'hubbard_u' not in resolve(spinel, protocol())['relax']


def test_files_are_read_by_others(shuffled, protocol, tmp_path):
    engine = get_engine('vasp')
    ends = [shuffled, shuffled.copy()]
    ends[1].translate_sites([3], [0.2, 0, 0], to_unit_cell=False)
    band = Band.from_structures([ends[0], ends[0], ends[1]], mobile=[3])
    settings = protocol(functional='pbe+u')
    paths = engine.load(engine.write_inputs)(tmp_path / 'job', band, settings, charge=-1)
    names = sorted(str(path.relative_to(tmp_path / 'job')) for path in paths)
    incars = ['INCAR', 'INCAR.climb', 'INCAR.endpoint', 'INCAR.relax']
    assert names == ['00/POSCAR', '01/POSCAR', '02/POSCAR', *incars, 'KPOINTS', 'POTCAR.spec']
    for name in incars:
        # no number, at which VASP stops: without the tag it would compute the neutral cell
        assert 'NELECT = sum of ZVAL +1' in (tmp_path / 'job' / name).read_text().splitlines()
    text = (tmp_path / 'job' / 'INCAR').read_text().replace('NELECT = sum of ZVAL +1\n', '')
    incar = Incar.from_str(text)
    assert incar['LDAUU'] == [0, 3.9, 0]
    assert incar['IMAGES'] == 1
    poscar = Poscar.from_file(tmp_path / 'job' / '02' / 'POSCAR').structure
    # the moments of the INCAR are those of the atoms in the POSCAR, and so are the positions
    for site, moment in zip(poscar, incar['MAGMOM'], strict=True):
        match = [k for k in range(len(shuffled)) if np.allclose(site.coords, band.positions[2][k], atol=1e-8)]
        assert len(match) == 1
        assert shuffled[match[0]].specie.symbol == site.specie.symbol
        assert shuffled[match[0]].properties['magmom'] == moment
    assert Kpoints.from_file(tmp_path / 'job' / 'KPOINTS').kpts == [(3, 3, 3)]
    assert (tmp_path / 'job' / 'POTCAR.spec').read_text().split() == ['PBE.54/Mg_pv', 'PBE.54/Mn_pv', 'PBE.54/O']


def test_files_of_all_stages_with_the_electrons_of_the_family(skewed_band, protocol, vasp_potcars, tmp_path):
    engine = get_engine('vasp')
    write = engine.load(engine.write_inputs)
    settings = protocol(paw={'family': vasp_potcars})
    write(tmp_path / 'charged', skewed_band, settings, charge=-1)
    # two Mn_pv, Li_sv, O, and one electron more
    electrons = 2 * 13 + 3 + 6 + 1
    found = {
        name: Incar.from_file(tmp_path / 'charged' / name)
        for name in ('INCAR', 'INCAR.climb', 'INCAR.endpoint', 'INCAR.relax')
    }
    assert {incar['NELECT'] for incar in found.values()} == {electrons}
    assert (found['INCAR']['LCLIMB'], found['INCAR']['EDIFFG']) == (False, -0.5)
    assert (found['INCAR.climb']['LCLIMB'], found['INCAR.climb']['EDIFFG']) == (True, -0.05)
    assert (found['INCAR.endpoint']['NSW'], found['INCAR.endpoint']['ISYM']) == (0, 0)
    assert 'IMAGES' not in found['INCAR.endpoint']
    assert (found['INCAR.relax']['IBRION'], found['INCAR.relax']['ISIF']) == (2, 2)
    # one stage only
    write(tmp_path / 'once', skewed_band, protocol(neb={'climb_threshold': None}, paw={'family': vasp_potcars}))
    assert not (tmp_path / 'once' / 'INCAR.climb').exists()
    assert 'NELECT' not in (tmp_path / 'once' / 'INCAR').read_text()
    with pytest.raises(ValueError, match="the functional 'lda' needs one for the LDA"):
        write(tmp_path / 'lda', skewed_band, protocol(functional='lda', paw={'family': vasp_potcars}))


def test_a_hop_beyond_half_the_cell_keeps_its_way(skewed_band, protocol, tmp_path):
    engine = get_engine('vasp')
    engine.load(engine.write_inputs)(tmp_path, skewed_band, protocol())
    found = []
    for image in range(5):
        lines = (tmp_path / f'{image:02d}' / 'POSCAR').read_text().splitlines()
        assert lines[5].split() == ['Mn', 'Li', 'O']
        found.append([float(word) for word in lines[10].split()])  # Li is the third atom, behind two Mn
    assert np.allclose(found, skewed_band.positions[:, 1], atol=1e-10)


def test_listing_and_resolving_import_no_plugin():
    code = (
        'import sys\n'
        'from aiida_embarrier.engines.base import get_engine\n'
        'engine = get_engine("vasp")\n'
        'engine.load(engine.resolve), engine.load(engine.write_inputs)\n'
        'assert "scan+u" in engine.functionals\n'
        'assert not {"aiida_vasp", "parsevasp", "aiida_embarrier.engines.vasp.calculation"} & set(sys.modules)\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_values_that_cannot_be(spinel, protocol):
    with pytest.raises(ValueError, match='protocol key `nelm`: input should be greater than or equal to 1'):
        resolve(spinel, protocol(nelm=-3))


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'functional': 'scann'}, "unknown functional 'scann': did you mean 'scan'"),
        ({'functional': 'r2scan+u'}, 'no table of U values for r2SCAN'),
        ({'encutt': 400}, "unknown protocol key 'encutt': did you mean 'encut'"),
        ({'functional': 'pbe-rvv10'}, "'rvv10' has no parameters for 'pbe'"),
    ],
)
def test_misspelt_overrides(protocol, overrides, message):
    with pytest.raises(ValueError, match=message):
        protocol(**overrides)


@pytest.mark.parametrize('functional', ['pbe', 'pbe+u', 'scan', 'scan+u', 'r2scan', 'pbesol', 'lda'])
def test_other_files_of_every_functional(functional, skewed_band, protocol, tmp_path, file_regression):
    """KPOINTS, the POSCAR of an end and of an image, and the names of the potentials are the same for all of them."""
    engine = get_engine('vasp')
    engine.load(engine.write_inputs)(tmp_path / 'job', skewed_band, protocol(functional=functional))
    names = ('KPOINTS', '00/POSCAR', '02/POSCAR', 'POTCAR.spec')
    text = '\n'.join(f'--- {name}\n{(tmp_path / "job" / name).read_text()}' for name in names)
    file_regression.check(text, extension='.txt', basename='files')
