"""All hops of a crystal in one work chain: one relaxation for each state, all bands in one call, and hops that fail."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, Int
from pymatgen.core import Lattice, Structure
from systems import EMT, aluminium

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.workflows.network import MigrationNetworkWorkChain, validate_network_inputs

OVERRIDES = {
    'n_images': 5,
    'min_image_distance': 7.5,
    'relax_host': 'none',
    'engine': {
        'potential': {'name': 'ase', 'model': 'emt', 'calculator': EMT.calculator},
        'relax': {'force_threshold': 0.01},
        'neb': {'force_threshold': 0.1},
        'settings': {'processes': 1},
    },
}


def ordered_alloy():
    """Return Cu3Au, an ordered alloy that EMT describes."""
    return Structure(
        Lattice.cubic(3.75), ['Au', 'Cu', 'Cu', 'Cu'], [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    )


def build(code, structure, hops, **overrides):
    node, kinds = node_from_structure(structure)
    return MigrationNetworkWorkChain.get_builder_from_protocol(
        code, structure=node, kinds=kinds, hops=hops, overrides={**OVERRIDES, **overrides}
    )


def jobs_of(node):
    return [child for child in node.called_descendants if isinstance(child, CalcJobNode)]


@pytest.fixture(scope='module')
def code(aiida_profile, tmp_path_factory):
    from aiida_embarrier.engines.potential.setup import setup_code, setup_computer

    computer, _ = setup_computer('network-tests', work_dir=str(tmp_path_factory.mktemp('work')))
    computer.set_minimum_job_poll_interval(0.2)
    return setup_code(computer)[0]


@pytest.fixture(scope='module')
def alloy_run(code):
    """Run all hops of Cu in Cu3Au up to 4 Å once."""
    return run_get_node(build(code, ordered_alloy(), {'ion': 'Cu', 'max_length': 4.0}))[1]


@pytest.mark.slow
def test_each_state_is_relaxed_once(alloy_run):
    assert alloy_run.is_finished_ok, alloy_run.exit_message
    table = alloy_run.outputs.network.get_dict()
    hops = table['hops']
    assert len(hops) > 1
    assert {row['status'] for row in hops} == {'converged'}
    # relaxations, checks, bands: whatever the number of hops
    assert len(jobs_of(alloy_run)) == 3
    # all vacancies of Cu are one
    relaxed = alloy_run.called_descendants
    [first] = [node for node in relaxed if node.base.links.get_incoming().first().link_label == 'relax_endpoints']
    assert len(first.outputs.structures) == 1
    assert table['relaxations_saved'] == 2 * len(hops) - 1
    assert sum(row['relaxations_saved'] for row in hops) == table['relaxations_saved']
    assert table['evaluations_saved'] > 0


@pytest.mark.slow
def test_every_hop_has_a_band_and_a_summary(alloy_run):
    table = alloy_run.outputs.network.get_dict()
    for row in table['hops']:
        band, summary = (alloy_run.outputs[name][row['label']] for name in ('bands', 'summaries'))
        assert band.base.attributes.get('barrier_forward') == summary['barriers']['forward'] == row['barrier_forward']
        assert band.base.attributes.get('converged') is True
        assert band.base.attributes.get('hop_length') == pytest.approx(row['length'], rel=0.05)
        assert set(summary['force_evaluations']) == {'neb'}
        assert row['barrier_forward'] == pytest.approx(row['barrier_reverse'], abs=0.01)
    evaluations = table['force_evaluations']
    assert evaluations['neb'] == sum(row['n_force_evaluations'] for row in table['hops'])
    energies = [alloy_run.outputs.bands[row['label']].band.energies[0] for row in table['hops']]
    assert np.ptp(energies) < 0.005, 'all hops start from the same state'


@pytest.mark.slow
def test_barriers_are_those_of_single_hops(alloy_run, code):
    from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain

    node, kinds = node_from_structure(ordered_alloy())
    last = alloy_run.outputs.network['hops'][-1]
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        code,
        structure=node,
        kinds=kinds,
        hop={'ion': 'Cu', 'number': last['hop'], 'max_length': 4.0},
        overrides={**OVERRIDES, 'map_endpoints': False},
    )
    _, single = run_get_node(builder)
    assert single.outputs.summary['barriers']['forward'] == pytest.approx(last['barrier_forward'], abs=0.005)


@pytest.mark.slow
def test_transport(alloy_run):
    table = alloy_run.outputs.network.get_dict()
    bands = [alloy_run.outputs.bands[f'hop_{number}'].band for number in table['percolation']['3']['hops']]
    highest, lowest = (pick(float(pick(band.energies)) for band in bands) for pick in (max, min))
    assert table['percolation']['3']['barrier'] == pytest.approx(highest - lowest)
    assert table['percolation']['1']['barrier'] <= table['percolation']['3']['barrier']


@pytest.mark.slow
def test_everything_has_a_creator_and_the_report_reads_like_a_lab_book(alloy_run):
    from aiida.cmdline.utils.common import get_workchain_report

    outputs = alloy_run.outputs
    for node in (outputs.network, *outputs.bands.values(), *outputs.summaries.values()):
        assert node.creator is not None
    report = get_workchain_report(alloy_run, 'REPORT')
    for words in ('all hops of Cu in', 'relaxing 1 endpoint(s)', 'mapped by symmetry', 'band(s) of 5 images in one go'):
        assert words in report


@pytest.mark.slow
def test_a_hop_that_fails_does_not_spoil_the_others(code):
    """Of two hops of the alloy one has no room for its ends in so small a cell."""
    node = run_get_node(build(code, ordered_alloy(), {'ion': 'Cu', 'max_length': 4.0}, supercell=[1, 2, 2]))[1]
    rows = {row['status']: row for row in node.outputs.network['hops']}
    assert node.exit_status == 511
    assert 'periodic images of each other' in rows['failed']['message']
    assert rows['failed']['label'] in node.exit_message
    assert rows['converged']['label'] in node.outputs.bands
    assert rows['failed']['label'] not in node.outputs.bands
    assert 'barrier_forward' not in rows['failed']


@pytest.mark.slow
def test_bands_that_do_not_converge(code):
    builder = build(code, aluminium((1, 1, 1)), {'ion': 'Al', 'numbers': [0]}, relax_endpoints=False)
    builder.engine_inputs.neb['parameters'] = Dict({'max_steps': 1, 'force_threshold': 1e-6})
    builder.engine_inputs.neb['max_iterations'] = Int(1)
    _, node = run_get_node(builder)
    assert node.exit_status == 511
    [row] = node.outputs.network['hops']
    assert (row['status'], row['label']) == ('not_converged', 'hop_0')
    assert row['barrier_forward'] > 0
    assert node.outputs.network['percolation'] == {}
    assert len(jobs_of(node)) == 1


@pytest.mark.slow
def test_relaxation_that_fails(code):
    builder = build(code, aluminium((1, 1, 1)), {'ion': 'Al', 'numbers': [0]})
    builder.engine_inputs.relax['parameters'] = Dict({'max_steps': 0, 'force_threshold': 1e-9})
    builder.engine_inputs.relax['max_iterations'] = Int(1)
    _, node = run_get_node(builder)
    assert node.exit_status == 312
    assert 'hop_0: its initial state could not be relaxed: not converged after' in node.exit_message
    assert node.outputs.network['hops'][0]['status'] == 'failed'


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('hops', 'message'),
    [
        ({'ion': 'Na'}, 'Na'),
        ({'numbers': [0]}, 'hops are chosen by ion,'),
        ({'ion': 'Al', 'numbers': [99]}, 'there is no hop 99: Al has'),
        ({'ion': 'Al', 'numbers': []}, 'leave `numbers` out for all hops'),
        ({'ion': 'Al', 'numbers': ['0']}, "the number of a hop is a whole number, got '0'"),
        ({'ion': 'Al', 'numbers': 0}, 'of the wrong kind'),
        ({'ion': 'Al', 'number': 0}, 'hops are chosen by'),
        ({'ion': 'Al', 'max_length': 1.0}, 'allow longer hops'),
    ],
)
def test_bad_hops_are_refused_at_launch(worker_code, hops, message):
    builder = build(worker_code, aluminium((1, 1, 1)), hops)
    assert message in validate_network_inputs(dict(builder), None)


@pytest.mark.usefixtures('aiida_profile')
def test_bad_inputs_are_refused_at_launch(worker_code):
    builder = build(worker_code, aluminium((1, 1, 1)), {'ion': 'Al'})
    inputs = dict(builder)
    assert validate_network_inputs(inputs, None) is None
    without = {name: value for name, value in inputs.items() if name != 'structure'}
    assert 'the input `structure` is missing' in validate_network_inputs(without, None)
    neb = {**builder.engine_inputs.neb, 'bands': Int(1)}
    engine_inputs = {'relax': dict(builder.engine_inputs.relax), 'neb': neb}
    message = validate_network_inputs({**inputs, 'engine_inputs': engine_inputs}, None)
    assert '`bands` is filled in by the work chain' in message
