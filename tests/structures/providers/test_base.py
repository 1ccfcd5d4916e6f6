"""Queries: what they take, and what fits them."""

import pytest

from aiida_embarrier.structures.providers.base import Entry, Query, canonical_formula
from aiida_embarrier.structures.providers.choice import make_provider


@pytest.mark.parametrize(
    ('formula', 'canonical'),
    [('LiFePO4', 'FeLiO4P'), ('Li2Fe2P2O8', 'FeLiO4P'), ('Fe(PO4)Li', 'FeLiO4P'), ('LiNi0.5Mn1.5O4', 'Li2Mn3NiO8')],
)
def test_equal_compositions_have_one_formula(formula, canonical):
    assert canonical_formula(formula) == canonical


@pytest.mark.parametrize('space_group', ['Pnma', 'Pbnm', 62, '62', 'P n m a'])
def test_space_groups_in_all_their_names(space_group):
    assert Query(formula='LiFePO4', space_group=space_group).space_group == 62


def test_screw_axes_with_and_without_underscores():
    assert Query(ids=['a'], space_group='P2_1/c').space_group == Query(ids=['a'], space_group='P21/c').space_group == 14


@pytest.mark.parametrize(
    ('settings', 'fits'),
    [
        ({'formula': 'Li2Fe2P2O8'}, True),
        ({'formula': 'FePO4'}, False),
        ({'chemical_system': 'O-P-Fe-Li'}, True),
        ({'chemical_system': 'O-P-Fe'}, False),
        ({'elements': ['Li', 'Fe']}, True),
        ({'elements': ['Na']}, False),
        ({'formula': 'LiFePO4', 'space_group': 'Pnma'}, True),
        ({'formula': 'LiFePO4', 'space_group': 'Pmnb'}, True),
        ({'formula': 'LiFePO4', 'space_group': 'Cmcm'}, False),
    ],
)
def test_what_fits(crystals, settings, fits):
    assert Query(**settings).fits(Entry.of('LFP', crystals['LFP'])) is fits


def test_queries_survive_their_dictionary():
    query = Query(elements=['Li', 'O'], ids=['a'], space_group='Pnma', max_results=3)
    assert Query.from_dict(query.to_dict()) == query
    assert query.to_dict() == {'elements': ['Li', 'O'], 'ids': ['a'], 'space_group': 62, 'max_results': 3}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'nothing is sought'),
        ({'formula': 'Rubbish'}, "'Rubbish' is no formula"),
        ({'chemical_system': 'Li-Xx'}, "'Xx' is no element"),
        ({'elements': ['lithium']}, 'did you mean Li'),
        ({'formula': 'LiF', 'space_group': 'Pnmz'}, "'Pnmz' is no space group"),
        ({'formula': 'LiF', 'space_group': 300}, 'there is no space group 300'),
        ({'formula': 'LiF', 'max_results': 0}, 'at least 1'),
        ({'formulae': 'LiF'}, "no entry 'formulae'"),
    ],
)
def test_queries_without_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        Query.from_dict(settings)


@pytest.mark.parametrize(
    ('name', 'settings', 'message'),
    [
        ('aflow', {}, "no provider 'aflow': choose from folder"),
        ('folder', {}, 'folder needs the setting folder'),
        ('optimade', {'folder': 'x', 'base_url': 'https://x'}, 'optimade has no use for the setting folder'),
        ('materials_project', {'base_url': 'https://x'}, 'materials_project has no use for the setting base_url'),
    ],
)
def test_providers_by_name(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make_provider(name, **settings)
