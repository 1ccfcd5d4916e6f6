"""Charged cells: which steps get the charge, who refuses one, and symmetry of antiferromagnetic cells with a charge."""

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.orm import Float
from pymatgen.core import Lattice, Structure
from systems import aluminium, computed_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import validate_inputs
from aiida_embarrier.workflows.network import MigrationNetworkWorkChain
from aiida_embarrier.workflows.potentials import PotentialComparisonWorkChain
from aiida_embarrier.workflows.segments import SegmentedBarrierWorkChain

SETTINGS = {'n_images': 5, 'supercell': [2, 2, 2]}
HOP = {'ion': 'Al', 'number': 0}


@pytest.fixture
def made_up(aiida_profile, entry_points):
    """Register the engine that makes barriers up."""
    entry_points.add('functional_engine:MadeUpRelaxWorkChain', 'aiida.workflows:made_up.relax')
    entry_points.add('functional_engine:MadeUpNebWorkChain', 'aiida.workflows:made_up.neb')
    entry_points.add('functional_engine:ENGINE', 'aiida_embarrier.engines:made-up')


@pytest.fixture
def charged(toy_codes, entry_points):
    """Register the toy engine with charges."""
    entry_points.add('charged_toy:ChargedRelaxWorkChain', 'aiida.workflows:charged.relax')
    entry_points.add('charged_toy:ChargedNebWorkChain', 'aiida.workflows:charged.neb')
    entry_points.add('charged_toy:ENGINE', 'aiida_embarrier.engines:charged')


def crystal():
    return node_from_structure(aluminium((1, 1, 1)))[0]


def charges_of(node):
    """Return the charge of every engine's work chain below a process, by its step."""
    found = {}
    for child in node.called_descendants:
        if child.process_label in ('MadeUpRelaxWorkChain', 'MadeUpNebWorkChain'):
            label = child.base.links.get_incoming(link_type=LinkType.CALL_WORK).one().link_label
            found[label] = child.inputs.charge.value
    return found


@pytest.mark.slow
def test_endpoints_and_band_are_charged_and_the_host_is_not(made_up):
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        None, structure=crystal(), hop=HOP, engine='made-up', overrides=SETTINGS, charge=-1
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    charges = charges_of(node)
    assert charges.pop('relax_host') == 0.0
    assert charges == dict.fromkeys(charges, -1.0)
    assert {'relax_endpoints', 'neb'} <= set(charges)
    assert node.outputs.band.base.attributes.get('charge') == -1.0
    assert node.outputs.summary['charge'] == -1.0


@pytest.mark.slow
def test_all_hops_are_charged(made_up):
    builder = MigrationNetworkWorkChain.get_builder_from_protocol(
        None,
        structure=crystal(),
        hops={'ion': 'Al', 'max_length': 3.0},
        engine='made-up',
        overrides=SETTINGS,
        charge=2,
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    charges = charges_of(node)
    assert charges.pop('relax_host') == 0.0
    assert charges == dict.fromkeys(charges, 2.0)


@pytest.mark.slow
def test_a_split_path_and_a_compared_one_keep_their_charge(made_up):
    band = BandData(computed_band().replace(energies=[0.0, 0.5, 0.2, 0.6, 0.1], charge=-1.0))
    common = {'engine': 'made-up', 'overrides': {'n_images': 3}}
    _, node = run_get_node(SegmentedBarrierWorkChain.get_builder_from_protocol(None, band, max_rounds=1, **common))
    assert node.is_finished_ok, node.exit_message
    assert charges_of(node) == {'relax_minima_1': -1.0, 'neb_1': -1.0}
    entries = [{'label': 'one'}, {'label': 'two', 'overrides': {'engine': {'functional': 'scan'}}}]
    builder = PotentialComparisonWorkChain.get_builder_from_protocol(
        None, potentials=entries, band=band, charge=-1, **common
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    charges = charges_of(node)
    assert {'relax_one', 'relax_two', 'neb'} <= set(charges)
    assert set(charges.values()) == {-1.0}


def test_engines_without_electrons_refuse_a_charge_everywhere(toy_codes, made_up):
    inputs = dict(
        MigrationBarrierWorkChain.get_builder_from_protocol(
            None, structure=crystal(), hop=HOP, engine='toy', overrides=SETTINGS
        )
    )
    assert validate_inputs({**inputs, 'charge': Float(0.0)}, None) is None
    assert "the engine 'toy' knows no electrons" in validate_inputs({**inputs, 'charge': Float(-1.0)}, None)
    # in a comparison each engine is asked
    builder = PotentialComparisonWorkChain.get_builder_from_protocol(
        None,
        potentials=[{'label': 'one'}],
        structure=crystal(),
        hop=HOP,
        engine='made-up',
        overrides=SETTINGS,
        charge=-1,
    )
    toy = MigrationBarrierWorkChain.get_builder_from_protocol(
        None, structure=crystal(), hop=HOP, engine='toy', overrides=SETTINGS
    )
    builder.variations = {'one': {'engine': toy.engine, 'engine_inputs': dict(toy.engine_inputs)}}
    message = PotentialComparisonWorkChain.spec().inputs.validator(builder._inputs(prune=True), None)
    assert message.startswith("variations.one: the engine 'toy' knows no electrons")


@pytest.mark.slow
def test_the_charge_is_left_out_where_a_potential_prepares_the_band(charged):
    """What prepares the band knows no charge; the engine that computes it does."""
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        None,
        structure=crystal(),
        hop=HOP,
        engine='charged',
        protocol='fast',
        overrides={**SETTINGS, 'n_images': 3, 'relax_host': 'none', 'preparation': {'with': 'toy'}},
        charge=-1,
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = node.outputs.summary['preparation']
    assert (found['status'], found['charge_ignored']) == ('used', True)


def antiferromagnet():
    """Return a crystal of Au and Cu in layers, rows of Au with moments +, 0, -, 0.

    Of the places of Cu, between these rows, only an operation that reverses all moments makes neighbours of each other
    across a row without moments.
    """
    rows = np.arange(4) / 4
    sites = [[x, 0, 0] for x in rows] + [[x + 1 / 8, 0.5, 0.5] for x in rows]
    structure = Structure(Lattice.orthorhombic(4 * 2.8, 2.8, 3.7), ['Au'] * 4 + ['Cu'] * 4, sites)
    structure.add_site_property('magmom', [3.0, 0.0, -3.0, 0.0, *[0.0] * 4])
    return structure


@pytest.mark.slow
def test_symmetry_with_reversed_moments_is_verified_with_the_charge(charged):
    structure = antiferromagnet()
    node, kinds = node_from_structure(structure)
    hop = _hop_across_a_row_without_moments(structure)
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        None,
        structure=node,
        kinds=kinds,
        hop=hop,
        engine='charged',
        overrides={
            'n_images': 3,
            'supercell': [1, 2, 2],
            'relax_host': 'none',
            'engine': {'neb': {'max_steps': 0}},
        },
        charge=-1,
    )
    _, done = run_get_node(builder)
    assert done.exit_status == 510, done.exit_message  # nothing but the first images was asked for
    summary = done.outputs.summary
    assert summary['endpoint_mapping'] == 'verified'
    assert summary['relaxations_saved'] == 1
    [mapping] = [child for child in done.called if child.process_label == 'map_endpoints']
    assert mapping.outputs.mapping['final']['operation']['time_reversal'] is True
    verification = done.base.links.get_outgoing(link_label_filter='verify_endpoints').one().node
    assert verification.inputs.charge.value == -1.0
    assert verification.inputs.kinds.get_dict() == kinds.get_dict()
    # each atom keeps its kind, and with it its moment
    made = next(child for child in done.called if child.process_label == 'create_endpoints').outputs
    for label in ('initial', 'final'):
        names = [[site.kind_name for site in node.sites] for node in (made[label], done.outputs[label])]
        assert names[0] == names[1]
    moments = structure_from_node(done.outputs.final, kinds).site_properties['magmom']
    assert sorted(set(moments)) == [-3.0, 0.0, 3.0]
    energies = done.outputs.band.band.energies
    assert energies[0] == pytest.approx(energies[-1], abs=1e-4)


def _hop_across_a_row_without_moments(structure):
    """Return the hop in a layer of Cu across one of the two rows of Au without moments."""
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hops import find_hops

    for hop in find_hops(structure, 'Cu', max_length=3.0):
        ends = make_endpoints(structure, hop, supercell=[1, 2, 2], min_distance=1.0)
        x = sorted(end[ends.mobile].coords[0] / 2.8 for end in (ends.initial, ends.final))
        if x[1] - x[0] == pytest.approx(1.0) and (x[0] + x[1]) / 2 % 2 == pytest.approx(1.0):
            return hop.to_dict()
    raise AssertionError('there is no such hop')
