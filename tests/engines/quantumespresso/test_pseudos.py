"""Families of pseudopotentials: what is missing, what does not fit, and the command that mends it."""

from pathlib import Path

import pytest

from aiida_embarrier.bands.band import Kind
from aiida_embarrier.engines.quantumespresso.pseudos import (
    choose_pseudos,
    examine,
    find_family,
    functional_of,
    install_command,
)
from aiida_embarrier.engines.quantumespresso.settings import Atoms, check_settings

LI2O = Atoms([Kind('Li', 'Li'), Kind('O', 'O')], [0, 0, 1])


def choose(protocol, atoms=LI2O, **overrides):
    return choose_pseudos(check_settings(protocol(**overrides)), atoms)


def test_pseudopotentials_of_a_crystal(families, protocol):
    found = choose(protocol, Atoms([Kind('Mn1', 'Mn'), Kind('Mn2', 'Mn'), Kind('O', 'O')], [0, 1, 2]))
    assert found.files == {'Mn1': 'Mn.pbe.upf', 'Mn2': 'Mn.pbe.upf', 'O': 'O.pbe.upf'}
    assert found.nodes['Mn1'].uuid == found.nodes['Mn2'].uuid
    assert found.z_valence == {'Mn': 15.0, 'O': 6.0}
    assert found.cutoffs == pytest.approx((55.0, 335.0))
    assert choose(protocol, ecutwfc=30, ecutrho=240).cutoffs is None


@pytest.mark.parametrize(
    ('overrides', 'atoms', 'message'),
    [
        ({'pseudo_family': None}, LI2O, 'aiida-pseudo install sssp -v 1.3 -x PBE -p efficiency'),
        ({'pseudo_family': 'mine'}, LI2O, 'aiida-pseudo install family FOLDER mine'),
        ({}, Atoms([Kind('Na', 'Na')], [0]), "'invented/pbe' has none for Na: it has Al, H, Li, Mn, O"),
        ({'functional': 'pbesol'}, LI2O, r'made for pbesol, but that of Li .*Li.pbe.upf. was made for pbe'),
        ({'functional': 'lda'}, LI2O, 'made for lda'),
        ({'pseudo_stringency': 'high'}, LI2O, r'recommends no cutoffs .*`ecutwfc` and `ecutrho`'),
    ],
)
def test_what_is_missing(families, protocol, overrides, atoms, message):
    with pytest.raises(ValueError, match=message):
        choose(protocol, atoms, **overrides)


def test_functional_decides_the_family(families, protocol):
    assert choose(protocol, functional='pbesol', pseudo_family='invented/pbesol').z_valence == {'Li': 3.0, 'O': 6.0}


@pytest.mark.usefixtures('families')
def test_family_without_cutoffs(protocol):
    import io

    from aiida.orm import QueryBuilder
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    label = 'invented/bare'
    if not QueryBuilder().append(PseudoPotentialFamily, filters={'label': label}).count():
        content = b'<PP_HEADER element="Al" functional="PBE" z_valence="3.0"/>'
        family = PseudoPotentialFamily(label=label).store()
        family.add_nodes([UpfData(io.BytesIO(content), filename='Al.upf').store()])
    aluminium = Atoms([Kind('Al', 'Al')], [0])
    with pytest.raises(ValueError, match="'invented/bare' recommends no cutoffs: give both"):
        choose(protocol, aluminium, pseudo_family=label)
    assert choose(protocol, aluminium, pseudo_family=label, ecutwfc=20, ecutrho=80).cutoffs is None


@pytest.mark.parametrize(
    ('text', 'functional'),
    [
        ('<PP_HEADER functional="PBE" z_valence="1"/>', 'pbe'),
        ('<PP_HEADER\n functional=" SLA  PW   PBX  PBC"/>', 'pbe'),
        ('<PP_HEADER functional=" SLA  PW   PBE  PBE"/>', 'pbe'),
        ('<PP_HEADER functional="PBESOL"/>', 'pbesol'),
        ('<PP_HEADER functional=" SLA  PW   PSX  PSC"/>', 'pbesol'),
        ('<PP_HEADER functional="LDA                 "/>', 'lda'),
        (' SLA  PZ   NOGX NOGC   PZ   Exchange-Correlation functional', 'lda'),
        (' SLA  PW   PBX  PBC    PBE  Exchange-Correlation functional', 'pbe'),
        ('<PP_HEADER functional=" SLA  LYP  B88  BLYP"/>', 'SLA LYP B88 BLYP'),
        ('nothing of it', None),
    ],
)
def test_functional_in_headers(text, functional):
    assert functional_of(text) == functional


def test_installed_pseudopotentials_of_debian():
    """Those of quantum-espresso-data, where it is installed, name their functional in their file names."""
    names = {'pbe': 'pbe', 'pbesol': 'pbesol', 'pz': 'lda', 'rel-pbe': 'pbe', 'rel-pz': 'lda'}
    for path in Path('/usr/share/espresso/pseudo').glob('*.*-*.UPF'):
        words = path.name.split('.')[1].removeprefix('rel-').split('-')
        if words[0] in names:
            assert functional_of(path.read_text(errors='replace')) == names[words[0]], path.name


def test_install_commands():
    assert install_command('SSSP/1.3/PBEsol/precision') == 'aiida-pseudo install sssp -v 1.3 -x PBEsol -p precision'
    assert install_command('PseudoDojo/0.4/LDA/SR/standard/upf') == (
        'aiida-pseudo install pseudo-dojo -v 0.4 -x LDA -r SR -p standard -f upf'
    )


@pytest.mark.usefixtures('families')
def test_examination():
    found = {what: (present, command) for what, present, command in examine()}
    assert set(found) == {'pseudopotentials for pbe', 'pseudopotentials for pbesol', 'pseudopotentials for lda'}
    assert found['pseudopotentials for pbe'] == (None, 'aiida-pseudo install sssp -v 1.3 -x PBE -p efficiency')
    assert find_family('invented/pbe').label == 'invented/pbe'
