"""What pw.x and neb.x are told, and what is refused before anything runs."""

import math

import numpy as np
import pytest

from aiida_embarrier.bands.band import Kind
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.quantumespresso import FUNCTIONALS
from aiida_embarrier.engines.quantumespresso.settings import (
    BOHR,
    RYDBERG,
    Atoms,
    Settings,
    check_settings,
    hubbard_of,
    kpoints_mesh,
    path_namelist,
    pw_namelists,
)

VALENCE = {'Mn': 15.0, 'O': 6.0, 'Li': 3.0, 'Al': 3.0}
UP, DOWN = Kind('Mn1', 'Mn', magnetic_moment=5.0), Kind('Mn2', 'Mn', magnetic_moment=-5.0)
OXYGEN = Kind('O', 'O', magnetic_moment=0.0)


@pytest.fixture
def settings(protocol):
    return lambda *args, **overrides: check_settings(protocol(*args, **overrides))


@pytest.mark.parametrize('name', ['fast', 'balanced', 'stringent'])
def test_protocols_are_valid_settings(settings, name):
    assert settings(name).neb.max_steps == 100


def test_every_setting_stands_in_the_protocol(protocol):
    resolved = protocol()
    assert set(resolved) == set(Settings.model_fields)
    for part in ('relax', 'neb'):
        assert set(resolved[part]) == set(Settings.model_fields[part].annotation.model_fields)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (
            {'functional': 'scan'},
            "'scan' cannot be computed here: Quantum ESPRESSO has it only where it was built",
        ),
        ({'functional': 'r2scan'}, 'Meta-GGA not implemented with USPP/PAW'),
        ({'functional': 'pbee'}, "unknown functional 'pbee': did you mean 'pbe'"),
        ({'functional': 'lda-d3'}, "'d3' has no parameters for 'lda'"),
        ({'hubbard_u': {'Mn': 4}}, 'use pbe.u'),
        ({'ecutwfc': 50}, 'give both cutoffs'),
        ({'ecutwfc': 50, 'ecutrho': 100}, 'less than 4 times ecutwfc'),
        ({'neb': {'k_min': 0.2}}, 'k_min is 0.2 and larger than k_max, 0.1'),
        ({'neb': {'path': {'num_of_images': 7}}}, 'num_of_images follows from'),
        ({'neb': {'opt_scheme': 'bfgs'}}, 'neb.opt_scheme'),
        ({'smearing': 'tetrahedra'}, 'smearing'),
        ({'kpoints_mesh': [2, 0, 2]}, 'kpoints_mesh'),
        ({'namelists': {'SYSTEMS': {}}}, "no namelist 'SYSTEMS'"),
        ({'namelists': {'SYSTEM': {'Nbnd': 10}}}, "write 'nbnd' in small letters"),
        ({'mixing_beta': 1.5}, 'mixing_beta'),
        ({'neb': {'spacing_tolerance': 0}}, 'neb.spacing_tolerance'),
        ({'moments': {'Xx': 3}}, "moments: 'Xx' is no element"),
        ({'moments': [3, 3]}, 'moments: Input should be a valid dictionary'),
        ({'magnetic_start': 'high'}, "magnetic_start: Input should be 'default' or 'none'"),
    ],
)
def test_what_cannot_be_is_refused(settings, overrides, message):
    with pytest.raises(ValueError, match=message):
        settings(**overrides)


def test_unknown_key(protocol):
    with pytest.raises(ValueError, match="unknown protocol key 'pseudo_famili': did you mean 'pseudo_fami"):
        get_engine('quantumespresso').resolve_protocol(None, {'pseudo_famili': 'x'})
    with pytest.raises(ValueError, match="unknown key 'smearin': did you mean 'smearing'"):
        check_settings({**protocol(), 'smearin': 'cold'})


def test_antiferromagnet_with_u(settings):
    chosen = settings(functional='pbe+u', hubbard_card=False, hubbard_projectors='atomic')
    namelists = pw_namelists(Atoms([UP, DOWN, OXYGEN], [0, 1, 2, 2]), chosen, 0.0, 'scf', VALENCE, (50, 400))
    system = namelists['SYSTEM']
    assert system['nspin'] == 2
    assert system['starting_magnetization'] == pytest.approx({'Mn1': 1 / 3, 'Mn2': -1 / 3, 'O': 0.0})
    assert system['hubbard_u'] == {'Mn1': 3.9, 'Mn2': 3.9}
    assert (system['lda_plus_u'], system['u_projection_type']) == (True, 'atomic')
    assert (system['ecutwfc'], system['ecutrho']) == (50, 400)
    assert namelists['ELECTRONS']['conv_thr'] == pytest.approx(8e-10)
    with_card = pw_namelists(Atoms([UP, DOWN, OXYGEN], [0, 1, 2]), settings(functional='pbe+u'), z_valence=VALENCE)
    assert not any('hubbard' in key or 'lda_plus' in key for key in with_card['SYSTEM'])


@pytest.mark.parametrize(
    ('element', 'orbital', 'manifold'),
    [('Mn', 'd', '3d'), ('Mo', 'd', '4d'), ('W', 'd', '5d'), ('O', 'p', '2p'), ('Ce', 'f', '4f'), ('U', 'f', '5f')],
)
def test_shell_of_u(settings, element, orbital, manifold):
    chosen = settings(functional='pbe+u', hubbard_u={element: {'u': 4.0, 'orbital': orbital}})
    found = hubbard_of(Atoms([Kind(element, element)], [0]), chosen)
    assert found[element].model_dump() == {'u': 4.0, 'manifold': manifold}


def test_u_of_kinds_prevails(settings):
    atoms = Atoms([Kind('Mn1', 'Mn', hubbard_u=2.5), Kind('Mn2', 'Mn'), Kind('Mn3', 'Mn', hubbard_u=0.0)], [0, 1, 2])
    found = hubbard_of(atoms, settings(functional='pbe+u'))
    assert {name: entry.u for name, entry in found.items()} == {'Mn1': 2.5, 'Mn2': 3.9}
    assert hubbard_of(atoms, settings()) == {}  # a functional without U ignores those of kinds


def test_shell_of_u_that_no_table_has(settings):
    chosen = settings(functional='pbe+u')
    for element, manifold in (('Ti', '3d'), ('Ce', '4f'), ('U', '5f')):
        found = hubbard_of(Atoms([Kind(element, element, hubbard_u=4.5)], [0]), chosen)
        assert found[element].model_dump() == {'u': 4.5, 'manifold': manifold}
    with pytest.raises(ValueError, match='which shell of O the Hubbard U acts on is not known'):
        hubbard_of(Atoms([Kind('O', 'O', hubbard_u=5.0)], [0]), chosen)


def test_u_values_have_sources():
    table = load_functionals(FUNCTIONALS)
    assert all(entry.verified and 'MPRelaxSet' in entry.source for entry in table.hubbard_u['pbe'].values())


def test_verified_u_values_are_those_of_their_source():
    from importlib.resources import files

    import yaml

    source = yaml.safe_load((files('pymatgen.io.vasp') / 'MPRelaxSet.yaml').read_text())['INCAR']['LDAUU']['O']
    assert {element: entry.u for element, entry in load_functionals(FUNCTIONALS).hubbard_u['pbe'].items()} == source


def test_magnetic_start_of_elements(settings):
    atoms = Atoms([Kind('Mn', 'Mn'), Kind('O', 'O')], [0, 0, 1, 1])
    start = pw_namelists(atoms, settings(), z_valence=VALENCE)['SYSTEM']['starting_magnetization']
    assert start == pytest.approx({'Mn': 1 / 3, 'O': 0})
    other = pw_namelists(atoms, settings(moments={'Mn': 3.0}), z_valence=VALENCE)['SYSTEM']
    assert other['starting_magnetization']['Mn'] == pytest.approx(0.2)
    assert 'nspin' not in pw_namelists(atoms, settings(magnetic_start='none'), z_valence=VALENCE)['SYSTEM']
    assert 'nspin' not in pw_namelists(atoms, settings(spin='none'), z_valence=VALENCE)['SYSTEM']
    in_words = pw_namelists(atoms, settings())['SYSTEM']
    assert in_words['starting_magnetization']['Mn'] == '5 Bohr magnetons over Z valence'
    assert in_words['ecutwfc'] == 'recommended by invented/pbe'
    with pytest.raises(ValueError, match="'Mn1' has a magnetic moment, but spin is `none`"):
        pw_namelists(Atoms([UP], [0]), settings(spin='none'), z_valence=VALENCE)


def test_odd_number_of_electrons(settings):
    atoms = Atoms([Kind('Li', 'Li'), Kind('O', 'O')], [0] * 7 + [1] * 4)
    with pytest.raises(ValueError, match=r'charge \+0 has 45 electrons, an odd number.*`auto` or `collinear`'):
        pw_namelists(atoms, settings(spin='none'), 0.0, 'scf', VALENCE)
    charged = pw_namelists(atoms, settings(), -1.0, 'scf', VALENCE)['SYSTEM']
    assert charged['tot_charge'] == -1.0
    assert 'nspin' not in charged
    even = Atoms([Kind('Li', 'Li'), Kind('O', 'O')], [0] * 8 + [1] * 4)
    for polarised in (
        pw_namelists(atoms, settings(), 0.0, 'scf', VALENCE)['SYSTEM'],
        pw_namelists(even, settings(spin='collinear'), 0.0, 'scf', VALENCE)['SYSTEM'],
    ):
        assert polarised['nspin'] == 2
        assert all(value > 0 for value in polarised['starting_magnetization'].values())


def test_odd_number_of_electrons_without_pseudopotentials(settings):
    atoms = Atoms([Kind('Li', 'Li'), Kind('O', 'O')], [0] * 7 + [1] * 4)
    system = pw_namelists(atoms, settings())['SYSTEM']
    assert (system['nspin'], system['starting_magnetization']) == (2, {'Li': 0.2, 'O': 0.2})
    assert 'nspin' not in pw_namelists(atoms, settings(), -1.0)['SYSTEM']
    with pytest.raises(ValueError, match='an odd number, which needs spin'):
        pw_namelists(atoms, settings(spin='none'))
    # f electrons may stand in the core
    assert 'nspin' not in pw_namelists(Atoms([Kind('Nd', 'Nd'), Kind('Al', 'Al')], [0, 1]), settings())['SYSTEM']


@pytest.mark.parametrize(('name', 'element'), [('Mn_up', 'Mn'), ('up', 'Mn'), ('Mn10', 'Mn'), ('O1', 'Mn')])
def test_kind_names_that_pw_cannot_tell_apart(name, element):
    with pytest.raises(ValueError, match='name the kinds of Mn Mn1, Mn2'):
        Atoms([Kind(name, element)], [0])


def test_only_kinds_that_have_atoms_count():
    atoms = Atoms([Kind('Li', 'Li'), Kind('O', 'O'), Kind('Mn_gone', 'Mn')], [1, 1, 0])
    assert (atoms.species, atoms.counts, atoms.n_atoms) == (['Li', 'O'], {'Li': 1, 'O': 2}, 3)


def test_dispersion_smearing_and_further_entries(settings):
    atoms = Atoms([Kind('Al', 'Al')], [0, 0])
    chosen = settings(
        functional='pbe-d3bj', smearing='fixed', namelists={'SYSTEM': {'nbnd': 20}, 'ELECTRONS': {'mixing_ndim': 4}}
    )
    namelists = pw_namelists(atoms, chosen, z_valence=VALENCE)
    assert (namelists['SYSTEM']['vdw_corr'], namelists['SYSTEM']['dftd3_version']) == ('grimme-d3', 4)
    assert namelists['SYSTEM']['occupations'] == 'fixed'
    assert 'degauss' not in namelists['SYSTEM']
    assert (namelists['SYSTEM']['nbnd'], namelists['ELECTRONS']['mixing_ndim']) == (20, 4)


def test_thresholds_of_relaxations(settings):
    atoms = Atoms([Kind('Al', 'Al')], [0, 0])
    namelists = pw_namelists(atoms, settings(), 0.0, 'vc-relax', VALENCE)
    assert namelists['CONTROL']['forc_conv_thr'] * RYDBERG / BOHR == pytest.approx(0.03)
    assert namelists['CELL']['press_conv_thr'] == pytest.approx(0.9613, abs=1e-4)  # kbar
    assert namelists['CONTROL']['calculation'] == 'vc-relax'
    fixed = pw_namelists(atoms, settings(), 0.0, 'relax', VALENCE)
    assert 'CELL' not in fixed
    assert 'IONS' not in pw_namelists(atoms, settings(), 0.0, 'scf', VALENCE)


def test_path_of_both_stages(settings):
    approach = path_namelist(settings(), 5, climbing=False, steps=100)
    assert approach['ci_scheme'] == 'no-CI'
    assert approach['path_thr'] == pytest.approx(0.5 / math.sqrt(3))
    climb = path_namelist(settings(), 5, climbing=True, steps=120, restart=True)
    assert (climb['ci_scheme'], climb['restart_mode'], climb['nstep_path']) == ('auto', 'restart', 120)
    assert climb['path_thr'] == pytest.approx(0.05 / math.sqrt(3))
    assert climb['minimum_image'] is False  # positions are as meant
    own = settings(neb={'path': {'path_thr': 0.1, 'use_freezing': True}})
    assert path_namelist(own, 5, True, 100)['path_thr'] == 0.1
    assert path_namelist(own, 5, False, 100)['path_thr'] == pytest.approx(0.5 / math.sqrt(3))
    assert path_namelist(own, 5, False, 100)['use_freezing'] is True
    without = settings(neb={'climb': False})
    assert path_namelist(without, 5, False, 100)['path_thr'] == pytest.approx(0.05 / math.sqrt(3))


def test_mesh_of_k_points(settings):
    lattice = [[4.0, 0, 0], [1.0, 4.0, 0], [0, 0, 12.0]]
    mesh = kpoints_mesh(lattice, settings(kpoints_distance=0.4))
    reciprocal = 2 * np.pi * np.linalg.inv(lattice).T
    assert all(np.linalg.norm(vector) / count <= 0.4 for vector, count in zip(reciprocal, mesh, strict=True))
    assert mesh == (5, 4, 2)
    assert kpoints_mesh(lattice, settings(kpoints_mesh=[1, 2, 3])) == (1, 2, 3)
