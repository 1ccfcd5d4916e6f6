"""Functionals as data: names, refusals, dispersion, U values, and files that make no sense."""

import copy

import pytest
import yaml

from aiida_embarrier.engines.base import available_engines, get_engine
from aiida_embarrier.engines.functionals import FunctionalTable, load_functionals

CONTENT = yaml.safe_load("""
functionals:
  pbe: {description: PBE, tags: {GGA: PE}}
  pbe+u: {description: PBE with U, tags: {GGA: PE, LASPH: true}, hubbard: pbe}
  scan: {description: SCAN, tags: {METAGGA: SCAN}}
  hse: {refused: exact exchange takes too long here}
dispersions:
  d3bj:
    description: D3 with Becke-Johnson damping
    tags: {IVDW: 12, VDW_S8: 1.0}
    functionals: [pbe, pbe+u]
    overrides: {pbe+u: {VDW_S8: 0.5}}
hubbard_u:
  pbe:
    Mn: {u: 3.9, orbital: d, source: oxides, verified: true}
    Ce: {u: 4.5, orbital: f, source: from memory, verified: false}
""")


@pytest.fixture
def table():
    return FunctionalTable(**copy.deepcopy(CONTENT))


def test_keys_are_those_that_can_be_computed(table):
    assert table.keys == ('pbe', 'pbe+u', 'scan')


def test_a_functional_in_any_case(table):
    found = table.resolve('PBE+U')
    assert (found.key, found.base, found.dispersion, found.has_u) == ('pbe+u', 'pbe+u', None, True)
    assert found.tags == {'GGA': 'PE', 'LASPH': True}
    assert found.hubbard_u['Mn'].u == 3.9
    assert not table.resolve('pbe').has_u
    assert table.resolve('pbe').hubbard_u == {}


def test_dispersion_adds_its_tags_and_those_of_the_functional_win(table):
    assert table.resolve('pbe-d3bj').tags == {'GGA': 'PE', 'IVDW': 12, 'VDW_S8': 1.0}
    found = table.resolve('pbe+u-d3bj')
    assert (found.key, found.base, found.dispersion, found.has_u) == ('pbe+u-d3bj', 'pbe+u', 'd3bj', True)
    assert found.tags['VDW_S8'] == 0.5
    assert 'Becke-Johnson' in found.description
    # what is resolved does not leak into the table
    assert table.resolve('pbe').tags == {'GGA': 'PE'}


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('scn', r"unknown functional 'scn': did you mean 'scan'\? \(known: pbe, pbe\+u, scan\)"),
        ('blyp3', 'unknown functional'),
        ('hse', "'hse' cannot be computed here: exact exchange takes too long here"),
        ('pbe-d3b', "unknown dispersion correction 'd3b' in 'pbe-d3b': did you mean 'd3bj'"),
        ('scan-d3bj', r"'d3bj' has no parameters for 'scan': it goes with pbe, pbe\+u"),
    ],
)
def test_what_cannot_be_computed_says_why(table, name, message):
    with pytest.raises(ValueError, match=message):
        table.resolve(name)


def test_u_values_of_the_user(table):
    found = table.resolve('pbe+u', {'Mn': 4.2, 'Ni': {'u': 6.0, 'orbital': 'd'}, 'Ce': 5}).hubbard_u
    assert (found['Mn'].u, found['Mn'].orbital, found['Mn'].source) == (4.2, 'd', 'given by the user')
    assert (found['Ce'].u, found['Ce'].orbital) == (5.0, 'f'), 'the shell is that of the table'
    assert found['Ni'].u == 6.0
    # of elements in no table it is that of their block
    found = table.resolve('pbe+u', {'Zr': 2, 'Pr': 5, 'O': {'u': 4, 'orbital': 'p'}}).hubbard_u
    assert {element: found[element].orbital for element in ('Zr', 'Pr', 'O')} == {'Zr': 'd', 'Pr': 'f', 'O': 'p'}
    assert table.resolve('pbe+u').hubbard_u['Mn'].u == 3.9


@pytest.mark.parametrize(
    ('name', 'values', 'message'),
    [
        ('scan', {'Mn': 4.0}, r"'scan' has no Hubbard U, but values are given for Mn: use scan\+u"),
        ('pbe+u', {'Mn': 'large'}, "the Hubbard U of Mn is {'u': 'large'"),
        ('pbe+u', {'Mn': -1.0}, 'the Hubbard U of Mn'),
        ('pbe+u', {'O': 4.0}, 'which shell of O the Hubbard U acts on is not known'),
        ('pbe+u', {'Fee': 4.0}, "a Hubbard U is given for 'Fee', which is no element"),
        ('pbe+u', {'Mn': {'u': 4.0, 'orbital': 'g'}}, 'the Hubbard U of Mn'),
    ],
)
def test_bad_u_values(table, name, values, message):
    with pytest.raises(ValueError, match=message):
        table.resolve(name, values)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content['functionals'].update({'lda': {}}), 'either a description and tags, or `refused`'),
        (lambda content: content['functionals']['hse'].update(description='HSE'), 'either a description'),
        (lambda content: content['functionals']['pbe+u'].update(hubbard='pbs'), "no table of U values 'pbs'"),
        (lambda content: content['functionals']['pbe+u'].pop('hubbard'), r'only these, end in \+u'),
        (lambda content: content['functionals']['pbe'].update(hubbard='pbe'), r'only these, end in \+u'),
        (lambda content: content['dispersions']['d3bj']['functionals'].append('pw91'), "no functional 'pw91'"),
        (lambda content: content['hubbard_u']['pbe']['Mn'].pop('source'), 'source'),
        (lambda content: content.update(hubard_u={}), 'hubard_u'),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(change, message):
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(ValueError, match=message):
        FunctionalTable(**content)


@pytest.mark.parametrize('name', available_engines())
def test_tables_of_the_engines(name):
    engine = get_engine(name)
    if engine.functional_table is None:
        assert engine.functionals == (), 'an engine with functionals says how it computes them'
        return
    table = load_functionals(engine.functional_table)
    assert table.keys == engine.functionals
    assert 'pbe' in table.keys
    for key in table.keys:
        assert table.resolve(key).description
    for dispersion, entry in table.dispersions.items():
        for key in entry.functionals:
            tags = set(table.resolve(f'{key}-{dispersion}').tags)
            assert tags >= set(table.resolve(key).tags) | set(entry.tags)
    for values in table.hubbard_u.values():
        assert all(value.source for value in values.values())
