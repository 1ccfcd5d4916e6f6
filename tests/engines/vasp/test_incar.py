"""The INCAR of every functional, charge and task against expected files, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from pymatgen.core import Structure

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.incar import OPTIMISERS, Task, check_neb, kpoint_mesh, make_incar, render_incar
from aiida_embarrier.engines.vasp.layout import Layout

#: Electrons of MgMn2O4 with the potentials Mg_pv, Mn_pv and O: 8 x 8 + 16 x 13 + 32 x 6.
SPINEL_ELECTRONS = 8 * 8 + 16 * 13 + 32 * 6


def incar(structure, settings, task, **electrons):
    functional = load_functionals(FUNCTIONALS).resolve(settings['functional'], settings['hubbard_u'])
    layout = Layout.of(
        *kinds_of(structure), functional, magnetic_start=settings['magnetic_start'], moments=settings['moments']
    )
    return make_incar(layout, settings, functional, task, **electrons)


@pytest.mark.parametrize(
    'functional',
    ['pbe', 'pbe+u', 'scan', 'scan+u', 'r2scan', 'pbesol', 'lda', 'pbe-d3', 'pbe+u-d3bj', 'scan-d3bj', 'scan+u-rvv10'],
)
def test_functionals(functional, protocol, spinel, file_regression):
    tags = incar(
        spinel, protocol(functional=functional), Task('neb', n_images=7, climb=True), n_valence=SPINEL_ELECTRONS
    )
    file_regression.check(render_incar(tags), extension='.incar', basename=f'functional_{functional}')


@pytest.mark.parametrize(
    ('name', 'task', 'charge', 'overrides'),
    [
        ('host', Task('relax', cell='full'), 0.0, {}),
        ('endpoint', Task('relax'), -2.0, {}),
        ('static_endpoint', Task('static', in_band=True), -2.0, {}),
        ('first_stage', Task('neb', n_images=9), -2.0, {}),
        ('stock', Task('neb', n_images=7), 0.0, {'neb': {'build': 'stock', 'climb': False}}),
        ('single_point', Task('neb', n_images=7), 0.0, {'neb': {'max_steps': 0}}),
        ('fire', Task('neb', n_images=7, climb=True), 2.0, {'neb': {'optimiser': 'fire'}, 'parallel': {'ncore': 4}}),
    ],
)
def test_tasks(name, task, charge, overrides, protocol, spinel, file_regression):
    tags = incar(spinel, protocol(functional='pbe+u', **overrides), task, charge=charge, n_valence=SPINEL_ELECTRONS)
    file_regression.check(render_incar(tags), extension='.incar', basename=f'task_{name}')


def test_charge_becomes_electrons(protocol, spinel):
    tags = [
        incar(spinel, protocol(), Task('relax'), charge=charge, n_valence=SPINEL_ELECTRONS) for charge in (0, -1, 2)
    ]
    # -1 is a lithium ion taken out without its electron: one electron more than the neutral cell
    assert [entry.get('NELECT') for entry in tags] == [None, SPINEL_ELECTRONS + 1, SPINEL_ELECTRONS - 2]
    without_potcar = incar(spinel, protocol(), Task('relax'), charge=-1)
    assert without_potcar['NELECT'] == 'sum of ZVAL +1'


def test_odd_electrons_need_spin():
    structure = Structure(np.eye(3) * 5, ['Li', 'O'], [[0, 0, 0], [0.5, 0.5, 0]])

    def tags(spin, n_valence, charge=0.0):
        from aiida_embarrier.engines.base import get_engine

        settings = get_engine('vasp').resolve_protocol(None, {'spin': spin})
        return incar(structure, settings, Task('relax'), n_valence=n_valence, charge=charge)

    assert tags('auto', 10)['ISPIN'] == 1
    assert tags('auto', 9) | {'ISPIN': 2, 'MAGMOM': '2*0.6'} == tags('auto', 9)
    assert tags('auto', 9, charge=-1)['ISPIN'] == 1
    assert tags('polarised', 10)['ISPIN'] == 2
    assert tags('none', 10)['ISPIN'] == 1
    with pytest.raises(ValueError, match='odd number of electrons, 9, which needs spin'):
        tags('none', 9)
    with pytest.raises(ValueError, match="unknown value 'atuo' of spin: did you mean 'auto'"):
        tags('atuo', 10)


def test_odd_electrons_are_seen_without_potcar(protocol):
    structure = Structure(np.eye(3) * 5, ['Li', 'O'], [[0, 0, 0], [0.5, 0.5, 0]])  # 11 electrons

    def tags(charge=0.0, **overrides):
        return incar(structure, protocol(**overrides), Task('relax'), charge=charge)

    assert (tags()['ISPIN'], tags()['MAGMOM']) == (2, '2*0.6')
    assert (tags(charge=-1)['ISPIN'], tags(charge=-1)['NELECT']) == (1, 'sum of ZVAL +1')
    assert tags(charge=-0.5)['ISPIN'] == 1
    with pytest.raises(ValueError, match='odd number of electrons, 11 with those of the cores, which needs spin'):
        tags(spin='none')
    assert tags(charge=1, spin='none')['ISPIN'] == 1
    # the core of Nd_3 holds three f electrons: atomic numbers do not tell
    structure = Structure(np.eye(3) * 5, ['Nd', 'Al'], [[0, 0, 0], [0.5, 0.5, 0]])
    assert tags()['ISPIN'] == 1
    assert tags(paw={'mapping': {'Nd': 'Nd'}})['ISPIN'] == 2


def test_lmaxmix_goes_by_the_shells(protocol):
    def lmaxmix(element):
        return incar(Structure(np.eye(3) * 4, [element], [[0, 0, 0]]), protocol(), Task('relax'))['LMAXMIX']

    assert [lmaxmix(element) for element in ('Li', 'O', 'Ti', 'Mn', 'Ce')] == [2, 2, 4, 4, 6]


def test_a_climbing_image_needs_vtst(protocol):
    with pytest.raises(ValueError, match='stock VASP has no climbing image'):
        check_neb(protocol(neb={'build': 'stock'})['neb'])
    check_neb(protocol(neb={'build': 'stock', 'climb': False})['neb'])
    with pytest.raises(ValueError, match="unknown build of VASP 'vtts': did you mean 'vtst'"):
        check_neb(protocol(neb={'build': 'vtts'})['neb'])
    with pytest.raises(ValueError, match="'lbfgs' is none of stock VASP"):
        check_neb(protocol(neb={'build': 'stock', 'climb': False, 'optimiser': 'lbfgs'})['neb'])


def test_stages_stop_at_their_thresholds(protocol, spinel):
    settings = protocol(neb={'climb_threshold': 0.4, 'force_threshold': 0.02})
    first = incar(spinel, settings, Task('neb', n_images=5))
    then = incar(spinel, settings, Task('neb', n_images=5, climb=True))
    assert (first['LCLIMB'], first['EDIFFG']) == (False, -0.4)
    assert (then['LCLIMB'], then['EDIFFG']) == (True, -0.02)
    never = incar(spinel, protocol(neb={'climb': False}), Task('neb', n_images=5))
    assert (never['LCLIMB'], never['EDIFFG']) == (False, -0.05)


def test_further_tags(protocol, spinel):
    tags = incar(spinel, protocol(incar={'nelmin': 6, 'ALGO': 'Fast'}), Task('relax'))
    assert (tags['NELMIN'], tags['ALGO']) == (6, 'Fast')
    with pytest.raises(ValueError, match='NELECT is set by the charge, not here'):
        incar(spinel, protocol(incar={'nelect': 6}), Task('relax'))


def test_kpoint_mesh(protocol):
    lattice = np.diag([8.0, 4.0, 20.0])
    assert kpoint_mesh(lattice, protocol(kspacing=0.25)) == [4, 7, 2]
    assert kpoint_mesh(lattice, protocol(kmesh=[1, 1, 1])) == [1, 1, 1]


def test_u_values_said_to_be_verified_are_those_of_the_materials_project():
    import pymatgen.io.vasp.sets

    path = Path(pymatgen.io.vasp.sets.__file__).parent / 'MPRelaxSet.yaml'
    published = yaml.safe_load(path.read_text())['INCAR']['LDAUU']['O']
    table = load_functionals(FUNCTIONALS).hubbard_u
    verified = {element: entry.u for element, entry in table['pbe'].items() if entry.verified}
    assert verified == published
    assert not any(entry.verified for entry in table['scan'].values())


def test_optimisers_move_the_band_only_by_ways_that_follow_projected_forces():
    # conjugate gradients (IBRION = 2) minimise an energy, which a band has not
    tags = [tags for build in OPTIMISERS.values() for tags in build.values()]
    assert all(entry['IBRION'] in (1, 3) for entry in tags)
