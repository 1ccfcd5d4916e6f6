"""The derivation of a structure, branch by branch, with the toy engine on alloys that EMT describes."""

import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict
from pymatgen.core import Lattice, Structure
from systems import aluminium

from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.workflows.derive import DeriveStructureWorkChain
from aiida_embarrier.workflows.derive_inputs import derive_protocol, validate_derive

#: One relaxation of a cell takes the toy engine about a second.
OVERRIDES = {'min_image_distance': 5.0, 'engine': {'relax': {'force_threshold': 0.1}}}


def ordered_alloy(ion='Cu', other='Au'):
    """Return an ordered alloy in the structure of Cu3Au."""
    sites = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return Structure(Lattice.cubic(3.75), [other, ion, ion, ion], sites)


@pytest.fixture
def build(toy_codes):
    """Return a function that fills a builder from a pymatgen structure."""

    def make(structure=None, overrides=None, **inputs):
        if structure is not None:
            inputs['structure'], inputs['kinds'] = node_from_structure(structure)
        return DeriveStructureWorkChain.get_builder_from_protocol(
            None, engine='toy', overrides={**OVERRIDES, **(overrides or {})}, **inputs
        )

    return make


def taken(node):
    """Return the branches that a derivation took."""
    return {branch['step']: branch['taken'] for branch in node.outputs.summary['branches']}


def steps(node):
    """Return the names of the steps of a process."""
    return [link.link_label for link in node.base.links.get_outgoing().all() if link.link_type.value.startswith('call')]


def test_given_and_not_relaxed(build):
    builder = build(ordered_alloy(), {'relax_host': 'none'})
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.structure.pk == builder.structure.pk
    assert taken(node) == {'source': 'given', 'occupancies': 'ordered', 'relaxation': 'not relaxed'}
    assert 'unrelaxed' not in node.outputs
    assert node.outputs.summary['energy'] is None
    assert node.outputs.summary['formula'] == 'Cu3Au'


@pytest.mark.slow
def test_discharged_with_endpoints(build):
    _, node = run_get_node(build(ordered_alloy(), hops={'ion': 'Cu', 'number': 0}))
    assert node.is_finished_ok, node.exit_message
    assert taken(node)['relaxation'] == 'cell'
    assert taken(node)['endpoints'] == 'vacancy'
    relaxed, unrelaxed = (structure_from_node(node.outputs[name]) for name in ('structure', 'unrelaxed'))
    assert unrelaxed.volume == pytest.approx(3.75**3)
    assert relaxed.volume != pytest.approx(unrelaxed.volume, rel=1e-3)
    [(label, ends)] = node.outputs.endpoints.items()
    assert label == 'hop_0'
    initial, final = (structure_from_node(ends[side]) for side in ('initial', 'final'))
    assert len(initial) == len(final) == 8 * 4 - 1
    assert initial.lattice.matrix == pytest.approx(2 * relaxed.lattice.matrix)
    # the ends were relaxed, one of them by symmetry
    assert {'relax_host', 'create_network', 'relax_endpoints', 'map_endpoints', 'verify_endpoints'} <= set(steps(node))
    hop = node.outputs.hops['hops']['hop_0']
    assert (hop['ion'], hop['mechanism'], hop['number']) == ('Cu', 'vacancy', 0)
    summary = node.outputs.summary.get_dict()
    assert summary['energy'] < 0.5
    assert set(summary['force_evaluations']) == {'relax_host', 'relax_endpoints', 'verify_endpoints'}


@pytest.mark.slow
def test_charged(build):
    """Gold takes the place of an intercalant: the copper that is left is relaxed, and one gold atom put in again."""
    inputs = {'charge_state': {'ion': 'Au', 'state': 'charged'}, 'hops': {'max_length': 4.0}}
    _, node = run_get_node(build(ordered_alloy(), {'relax_endpoints': False}, **inputs))
    assert node.is_finished_ok, node.exit_message
    assert taken(node)['charge state'] == 'charged'
    assert taken(node)['endpoints'] == 'interstitial'
    host = structure_from_node(node.outputs.structure)
    assert host.composition.formula == 'Cu3'
    assert len(node.outputs.unrelaxed.sites) == 3
    [ends] = node.outputs.endpoints.values()
    initial = structure_from_node(ends['initial'])
    assert initial.composition.formula == 'Cu24 Au1'
    # it hops between sites where gold was
    assert initial[0].specie.symbol == 'Au'
    assert node.outputs.hops['hops']['hop_0']['length'] == pytest.approx(node.outputs.unrelaxed.cell[0][0])
    # the charged host was relaxed, and only that: it was emptied as it was given
    assert steps(node).count('relax_host') == 1
    assert node.outputs.unrelaxed.cell == node.inputs.structure.cell
    assert set(node.outputs.summary['force_evaluations']) == {'relax_host'}
    assert [entry['step'] for entry in node.outputs.summary['branches']][-1] == 'endpoints'


@pytest.mark.slow
def test_numbers_of_hops_in_a_charged_host_are_those_of_the_crystal_as_given(build):
    """A relaxation may exchange the order of two hops; those that are counted before the launch are meant."""
    given = ordered_alloy()
    given.lattice = Lattice.tetragonal(3.7, 3.9)
    inputs = {'charge_state': {'ion': 'Au', 'state': 'charged'}, 'hops': {'max_length': 4.0, 'number': 1}}
    builder = build(given, {'relax_endpoints': False}, **inputs)
    assert validate_derive(dict(builder), None) is None
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    [hop] = node.outputs.hops['hops'].values()
    assert hop['length'] == pytest.approx(3.9)
    [choice] = [link.node for link in node.base.links.get_outgoing(link_label_filter='choose_hops').all()]
    assert choice.inputs.host.cell == node.inputs.structure.cell


def test_derived_from_a_parent(build):
    parent, kinds = node_from_structure(ordered_alloy('Cu', 'Au'))
    inputs = {'parent': parent, 'kinds': kinds, 'substitution': {'substitute': {'Au': 'Pt'}, 'radii': 'atomic'}}
    _, node = run_get_node(build(**inputs))
    assert node.is_finished_ok, node.exit_message
    assert taken(node)['source'] == 'derived'
    assert structure_from_node(node.outputs.structure).composition.reduced_formula == 'Cu3Pt'
    reason = node.outputs.summary['branches'][0]['why']
    assert 'Cu3Pt from Cu3Au by Au to Pt' in reason
    assert 'atomic radii' in reason
    assert node.outputs.structure.creator.caller.caller.pk == node.pk


def test_hop_between_two_sites(build):
    hops = {'ion': 'Cu', 'between': [1, 2]}
    _, node = run_get_node(build(ordered_alloy(), {'relax_host': 'none', 'relax_endpoints': False}, hops=hops))
    assert node.is_finished_ok, node.exit_message
    [hop] = node.outputs.hops['hops'].values()
    assert hop['length'] == pytest.approx(3.75 / 2**0.5)


def test_what_there_is_is_an_output_on_failure(build):
    """Elements that EMT does not know fail in the engine, hops that are not there after the relaxation."""
    _, node = run_get_node(build(ordered_alloy('Cu', 'Fe')))
    assert node.exit_status == 310
    assert 'EMT knows no Fe' in node.exit_message
    assert node.outputs.summary['message'] == node.exit_message
    assert taken(node)['occupancies'] == 'ordered'


def test_endpoints_without_room(build):
    inputs = {'overrides': {'supercell': [1, 1, 1], 'relax_host': 'none'}, 'hops': {'ion': 'Cu', 'max_length': 4.0}}
    _, node = run_get_node(build(ordered_alloy(), **inputs))
    assert node.exit_status == 511
    assert set(node.outputs.endpoints) == {'hop_0'}
    assert 'periodic images of each other' in node.outputs.summary['failures']['hop_1']
    assert 'structure' in node.outputs


def test_substitution_that_makes_no_sense(build):
    parent, kinds = node_from_structure(ordered_alloy())
    inputs = {'parent': parent, 'kinds': kinds, 'substitution': {'substitute': {'Li': 'Na'}}}
    _, node = run_get_node(build(**inputs))
    assert node.exit_status == 202
    assert 'Li' in node.exit_message
    assert 'structure' not in node.outputs


ALLOY = 'alloy'


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ({}, 'there is nothing to start from'),
        ({'structure': ALLOY, 'parent': ALLOY}, 'got `structure` and `parent`'),
        ({'parent': ALLOY}, '`parent` is there without `substitution`'),
        ({'substitution': {'substitute': {'Cu': 'Ag'}}, 'lookup': {}}, '`substitution` is there without `parent`'),
        ({'lookup': {'formula': 'LiFePO4'}}, 'give its code as `worker_code`'),
        ({'structure': ALLOY, 'orderings': {}}, 'there is nothing to order'),
        ({'structure': ALLOY, 'hops': {'ion': 'Na'}}, "there is no 'Na' in Cu3Au"),
        ({'structure': ALLOY, 'hops': {'number': 0}}, 'no `ion` is named'),
        ({'structure': ALLOY, 'hops': {'ion': 'Cu', 'number': 0, 'numbers': [1]}}, 'one of number, numbers'),
        ({'structure': ALLOY, 'hops': {'ion': 'Cu', 'between': [1]}}, '`between` names two sites'),
        ({'structure': ALLOY, 'hops': {'ion': 'Cu', 'number': 77}}, 'there is no hop 77'),
        ({'structure': ALLOY, 'charge_state': {'state': 'charged'}}, 'no `ion` is named'),
        ({'structure': ALLOY, 'charge_state': {'ion': 'K', 'state': 'charged'}}, "there is no 'K'"),
        ({'structure': ALLOY, 'charge_state': {'ion': 'Cu', 'remove': 3, 'state': 'given'}}, 'is of the wrong kind'),
        ({'structure': ALLOY, 'charge_state': {'ion': 'Cu', 'state': [1]}}, 'is of the wrong kind'),
        ({'structure': ALLOY, 'hops': {'ion': 'Cu', 'between': [1, 2], 'max_length': 'x'}}, 'is of the wrong kind'),
    ],
)
def test_bad_inputs_are_refused_at_launch(build, inputs, message):
    given = dict(inputs)
    structure = ordered_alloy() if given.pop('structure', None) else None
    if 'parent' in given:
        given['parent'], _ = node_from_structure(ordered_alloy())
    assert message in validate_derive(dict(build(structure, **given)), None)


@pytest.mark.parametrize(
    ('substitution', 'message'),
    [
        ({}, 'names the new element by the old one'),
        ({'substitute': {}}, 'names the new element by the old one'),
        ({'substitute': 'Cu=Ag'}, "got 'Cu=Ag'"),
        (
            {'substitute': {'Cu': 'silver'}},
            "'silver' is no element: give a chemical symbol such as Li; did you mean Ag",
        ),
        ({'substitute': {'Xx': 'Ag'}}, "'Xx' is no element"),
    ],
)
def test_substitutions_by_nothing_are_refused_at_launch(build, substitution, message):
    parent, kinds = node_from_structure(ordered_alloy())
    with pytest.raises(ValueError, match='substitution') as caught:
        build(parent=parent, kinds=kinds, substitution=substitution)
    assert message in str(caught.value)


def test_every_parameter_of_the_charge_state_passes_the_check(build):
    parameters = {'ion': 'Cu', 'state': 'charged', 'guess_oxidation_states': False, 'compensation': 'spread'}
    assert validate_derive(dict(build(ordered_alloy(), charge_state=parameters)), None) is None


def test_misspelt_keys_name_the_closest_one(build):
    for name, value, closest in (
        ('hops', {'ions': 'Cu'}, 'ion'),
        ('charge_state', {'stat': 'charged'}, 'state'),
        ('substitution', {'substitut': {}}, 'substitute'),
    ):
        with pytest.raises(ValueError, match=f"did you mean '{closest}'"):
            build(ordered_alloy(), **{name: value})
    with pytest.raises(ValueError, match="did you mean 'relax_orderings'"):
        derive_protocol('toy', overrides={'relax_ordering': 3})


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'relax_host': 'all'}, "relax_host`: 'all' is not one of none, positions, cell"),
        ({'relax_orderings': 0}, 'at least one ordering is relaxed'),
        ({'engine': 3}, 'takes a mapping'),
        ({'n_images': 5}, "unknown protocol key 'n_images'"),
    ],
)
@pytest.mark.usefixtures('toy_codes')
def test_values_of_the_protocol(overrides, message):
    with pytest.raises(ValueError, match=message):
        derive_protocol('toy', overrides=overrides)


def test_protocols(build):
    assert derive_protocol('potential', 'fast')['relax_orderings'] == 3
    builder = build(aluminium((1, 1, 1)), {'rattle': 0.05, 'supercell': [2, 2, 2]})
    assert builder.rattle.value == 0.05
    assert builder.supercell.get_list() == [2, 2, 2]
    assert 'neb' not in builder.engine_inputs
    assert validate_derive(dict(builder), None) is None
    missing = {**dict(builder), 'engine_inputs': {}}
    assert 'the namespace `engine_inputs.relax` is missing' in validate_derive(missing, None)
    assert isinstance(builder.engine_inputs.relax['parameters'], Dict)
