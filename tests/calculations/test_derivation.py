"""Derivations as steps in the provenance graph."""

import pytest
from aiida.orm import Dict
from conftest import EXAMPLES
from pymatgen.core import Lattice, Structure

from aiida_embarrier.calculations.derivation import charge_state, substitute_and_scale
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.structures.charge_states import set_charge_state
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.oxidation import with_oxidation_states
from aiida_embarrier.structures.substitution import substitute
from aiida_embarrier.structures.volumes import scale_volume

pytestmark = pytest.mark.usefixtures('aiida_profile')

STATES = {'Li': 1, 'Fe': 2, 'P': 5, 'O': -2}


@pytest.fixture
def olivine():
    """Return LiFePO4 with oxidation states and moments of two signs."""
    crystal = Structure.from_file(EXAMPLES / 'LiFePO4.cif')
    symbols = [site.specie.symbol for site in crystal]
    crystal = with_oxidation_states(crystal, [STATES[symbol] for symbol in symbols])
    crystal.add_site_property(
        'magmom', [4.0 * (-1) ** n if symbol == 'Fe' else 0.0 for n, symbol in enumerate(symbols)]
    )
    return crystal


def test_substitution_and_volume(olivine):
    node, kinds = node_from_structure(olivine)
    made = substitute_and_scale(node, Dict({'substitute': {'Li': 'Na'}}), kinds)
    expected = scale_volume(substitute(olivine, {'Li': 'Na'}).structure, olivine)
    results = made['results'].get_dict()
    assert results['volume'] == pytest.approx(expected.volume)
    assert (results['formula'], results['parent_formula']) == ('NaFePO4', 'LiFePO4')
    assert (results['radii_used'], results['fell_back'], results['warnings']) == ('ionic', False, [])
    assert results['radii_derived']['Na+'] == 1.16
    assert results['oxidation_states_from'] == {'derived': 'given', 'parent': 'given'}
    back = structure_from_node(made['structure'], made['kinds'])
    assert back.volume == pytest.approx(expected.volume)
    assert back.composition.reduced_formula == 'NaFePO4'
    assert {site.properties['oxidation_state'] for site in back if site.specie.symbol == 'Na'} == {1}
    assert {site.properties['magmom'] for site in back if site.specie.symbol == 'Fe'} == {4, -4}


def test_unknown_oxidation_states_name_the_remedy():
    crystal = Structure.from_spacegroup(
        'R-3m', Lattice.hexagonal(2.888, 15.6), ['Na', 'Co', 'O'], [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.2305]]
    )
    node, kinds = node_from_structure(crystal)
    unknown = substitute_and_scale(node, Dict({'substitute': {'Na': 'K'}}), kinds)['results']
    assert 'atomic radii are used' in unknown['warnings'][-2]
    assert '`guess_oxidation_states: true`' in unknown['warnings'][-1]
    settings = {'substitute': {'Na': 'K'}, 'guess_oxidation_states': True}
    guessed = substitute_and_scale(node, Dict(settings), kinds)['results']
    assert (guessed['radii_used'], guessed['warnings']) == ('ionic', [])


def test_volume_by_a_parent(olivine):
    sodium = substitute(olivine, {'Li': 'Na'}).structure
    (node, kinds), (parent, parent_kinds) = node_from_structure(sodium), node_from_structure(olivine)
    made = substitute_and_scale(node, Dict({'radii': 'atomic'}), kinds, parent=parent, parent_kinds=parent_kinds)
    assert made['results']['radii_used'] == 'atomic'
    assert made['results']['volume'] == pytest.approx(scale_volume(sodium, olivine, radii='atomic').volume)


def test_charge_states_and_their_kinds(olivine):
    node, kinds = node_from_structure(olivine)
    made = charge_state(node, Dict({'ion': 'Li', 'state': 'charged'}), kinds)
    expected = set_charge_state(olivine, 'Li', 'charged')
    results = made['results'].get_dict()
    assert (results['mechanism'], results['content'], results['formula']) == ('interstitial', 0.0, 'FePO4')
    assert results['oxidation_states_changed'] == {'Fe': [2.0, 3.0]}
    back = structure_from_node(made['structure'], made['kinds'])
    assert sorted({site.properties['magmom'] for site in back if site.specie.symbol == 'Fe'}) == [-5, 5]
    lengths = [hop.length for hop in find_hops(back, 'Li', mechanism='interstitial', sites=results['sites'])]
    direct = find_hops(expected.structure, 'Li', mechanism='interstitial', sites=expected.sites)
    assert lengths == pytest.approx([hop.length for hop in direct])
    half = charge_state(node, Dict({'ion': 'Li', 'count': 2}), kinds)['results']
    assert (half['content'], half['n_choices'], half['state']) == (0.5, 6, 'given')


@pytest.mark.parametrize(
    ('function', 'parameters', 'message'),
    [
        (substitute_and_scale, {'substitut': {'Li': 'Na'}}, "'substitut': did you mean 'substitute'?"),
        (substitute_and_scale, {}, 'nothing is to be done: name species in `substitute`, or a `parent`'),
        (substitute_and_scale, {'substitute': {'Na': 'Li'}}, "there is no 'Na' in LiFePO4"),
        (charge_state, {'state': 'charged'}, 'no `ion` is named'),
        (charge_state, {'ion': 'Li', 'state': 0.3}, '0.3 of the 4 ions of the cell is no whole number'),
    ],
)  # fmt: skip
def test_refusals_are_exit_codes(olivine, function, parameters, message):
    node, kinds = node_from_structure(olivine)
    _, process = function.run_get_node(structure=node, parameters=Dict(parameters), kinds=kinds)
    assert process.exit_status == 201
    assert message in process.exit_message
