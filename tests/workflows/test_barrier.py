"""The barrier work chain: every way in, every output, and what bad input gets."""

from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode, Dict, Int, to_aiida_type
from analytic_surfaces import TwinValleys
from potential_systems import relaxed_with, surface
from pymatgen.core import Structure
from systems import EMT, aluminium, aluminium_vacancy_ends, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.potentials.loading import load_model
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import validate_inputs

#: EMT as the engine's potential, on one process so that little is started.
OVERRIDES = {
    'n_images': 5,
    'min_image_distance': 7.5,  # two cubic cells of EMT's aluminium, 31 atoms
    'engine': {
        'potential': {'name': 'ase', 'model': 'emt', 'calculator': EMT.calculator},
        'settings': {'processes': 1},
    },
}


@pytest.fixture
def build(worker_code):
    """Return a function that fills a builder for EMT."""

    def make(overrides=None, **inputs):
        merged = {**OVERRIDES, **(overrides or {})}
        return MigrationBarrierWorkChain.get_builder_from_protocol(worker_code, overrides=merged, **inputs)

    return make


def jobs_of(node):
    return [child for child in node.called_descendants if isinstance(child, CalcJobNode)]


@pytest.fixture(scope='module')
def crystal_run(aiida_profile, tmp_path_factory):
    """Run the whole chain once, from a crystal: the tests below look at different sides of it."""
    from aiida_embarrier.engines.potential.setup import setup_code, setup_computer

    work_dir = tmp_path_factory.mktemp('work')
    computer, _ = setup_computer('barrier-tests', work_dir=str(work_dir))
    computer.set_minimum_job_poll_interval(0.2)
    code, _ = setup_code(computer)
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        code, structure=crystal, hop={'ion': 'Al', 'number': 0}, overrides=OVERRIDES
    )
    _, node = run_get_node(builder)
    return builder, node


@pytest.mark.slow
def test_from_a_crystal(crystal_run):
    _, node = crystal_run
    assert node.is_finished_ok, node.exit_message
    attributes = node.outputs.band.base.attributes.all
    assert attributes['barrier_forward'] == pytest.approx(attributes['barrier_reverse'], abs=0.005)
    assert 0.1 < attributes['barrier_forward'] < 1.0
    assert attributes['converged'] is True
    assert attributes['climbing'] is True
    assert attributes['host'] == 'Al'
    assert attributes['host_treatment'] == 'cell'
    assert attributes['mechanism'] == 'vacancy'
    assert attributes['potential'] == 'emt'
    assert attributes['periodic_image_distance'] == pytest.approx(2 * node.outputs.host.cell_lengths[0])
    assert len(node.outputs.initial.sites) == 31


@pytest.mark.slow
def test_summary(crystal_run):
    _, node = crystal_run
    summary = node.outputs.summary.get_dict()
    assert summary['barriers']['forward'] == node.outputs.band.base.attributes.get('barrier_forward')
    assert set(summary['force_evaluations']) == {'relax_host', 'relax_endpoints', 'verify_endpoints', 'neb'}
    assert summary['n_force_evaluations'] == sum(summary['force_evaluations'].values())
    assert summary['spline_maximum']['energy'] >= summary['barriers']['forward'] - 1e-9
    # EMT's lattice is a little too short for 8 Å in two cells
    assert [warning.split(':')[0] for warning in summary['warnings']] == ['finite size']


@pytest.mark.slow
def test_one_relaxation_serves_both_endpoints(crystal_run):
    _, node = crystal_run
    summary = node.outputs.summary.get_dict()
    assert summary['endpoint_mapping'] == 'verified'
    assert summary['endpoint_states'] == {'initial': 'relaxed', 'final': 'verified'}
    assert summary['relaxations_saved'] == 1
    evaluations = summary['force_evaluations']
    assert evaluations['verify_endpoints'] == 1
    assert summary['evaluations_saved'] == evaluations['relax_endpoints'] - 1 > 0
    energies = node.outputs.band.band.energies
    assert energies[0] == pytest.approx(energies[-1], abs=1e-6)
    first, last = (node.outputs[label] for label in ('initial', 'final'))
    assert first.creator.process_label == last.creator.process_label == 'PotentialRelaxCalculation'
    shifts = np.array([site.position for site in last.sites]) - [site.position for site in first.sites]
    assert np.linalg.norm(shifts, axis=1)[1:].max() < 0.5, 'no atom but the ion changes its place'
    [mapping] = [child for child in node.called if child.process_label == 'map_endpoints']
    assert mapping.outputs.mapping['final']['from'] == 'initial'
    assert 0 < mapping.outputs.mapping['final']['motion'] < 0.2


@pytest.mark.slow
def test_everything_has_a_creator(crystal_run):
    _, node = crystal_run
    for label in ('band', 'summary', 'host', 'initial', 'final'):
        assert node.outputs[label].creator is not None, label


@pytest.mark.slow
def test_report_reads_like_a_lab_book(crystal_run):
    from aiida.cmdline.utils.common import get_workchain_report

    _, node = crystal_run
    report = get_workchain_report(node, 'REPORT')
    for words in (
        'migration barrier from Al4, hop 0 of Al',
        'relaxing the host (4 atoms, positions and cell)',
        'host relaxed:',
        'endpoints made: 31 atoms',
        'the ion moves 2.',
        'barrier 0.',
    ):
        assert words in report


@pytest.mark.slow
def test_a_second_run_takes_its_jobs_from_the_cache(crystal_run):
    builder, first = crystal_run
    with enable_caching():
        _, node = run_get_node(builder)
    jobs = jobs_of(node)
    assert len(jobs) == 4
    assert all(job.base.caching.is_created_from_cache for job in jobs)
    assert node.outputs.band.band.energies.tolist() == first.outputs.band.band.energies.tolist()


@pytest.mark.slow
def test_between_shuffled_endpoints(build):
    initial, final = aluminium_vacancy_ends()
    order = list(range(30, -1, -1))
    shuffled = final.copy()
    shuffled._sites = [final[index] for index in order]
    first, kinds = node_from_structure(initial)
    last, _ = node_from_structure(shuffled)
    builder = build(initial=first, final=last, kinds=kinds, overrides={'relax_endpoints': False})
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert len(jobs_of(node)) == 1
    band = node.outputs.band
    assert band.base.attributes.get('mobile') == [0]
    assert band.base.attributes.get('hop_length') == pytest.approx(4.05 / 2**0.5)


@pytest.mark.slow
def test_band_that_does_not_converge_is_an_output(build):
    builder = build(band=BandData(straight_band()))
    for kind in ('neb',):
        inputs = builder.engine_inputs[kind]
        inputs['max_iterations'] = Int(1)
        inputs['parameters'] = Dict({**inputs['parameters'].get_dict(), 'max_steps': 3})
    _, node = run_get_node(builder)
    assert node.exit_status == 510
    assert 'within the step limit' in node.exit_message
    assert node.outputs.band.base.attributes.get('converged') is False
    assert any('not converged' in warning for warning in node.outputs.summary['warnings'])


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'hop': {'ion': 'Na', 'number': 0}}, 'Na'),
        ({'hop': {'ion': 'Al', 'number': 99}}, 'there is no hop 99: Al has'),
        ({'hop': {'ion': 'Al', 'numbr': 0}}, 'numbr'),
        ({'hop': {'ion': 'Al', 'number': '0'}}, "the number of a hop is a whole number, got '0'"),
        ({'hop': {'ion': 'Al', 'number': 0, 'max_length': '5'}}, 'of the wrong kind'),
        ({'hop': {'ion': 'Al', 'number': 0, 'max_lenth': 5}}, 'a hop is chosen by'),
        ({'band': 'straight'}, 'give a crystal and a hop'),
        ({'hop': None}, 'the input `hop` is missing'),
    ],
)
def test_bad_path_is_refused_at_launch(build, change, message):
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    builder = build(structure=crystal, hop={'ion': 'Al', 'number': 0})
    inputs = dict(builder)
    ((name, value),) = change.items()
    if value is None:
        del inputs[name]
    else:
        inputs[name] = BandData(straight_band()) if name == 'band' else Dict(value)
    assert message in validate_inputs(inputs, None)


@pytest.mark.usefixtures('aiida_profile')
def test_bad_engine_inputs_are_refused_at_launch(build):
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    builder = build(structure=crystal, hop={'ion': 'Al', 'number': 0})
    inputs = dict(builder)
    assert validate_inputs(inputs, None) is None
    relax, neb = (dict(builder.engine_inputs[kind]) for kind in ('relax', 'neb'))
    without_code = {key: value for key, value in neb.items() if key != 'code'}
    for engine_inputs, message in (
        ({'relax': relax}, 'the namespace `engine_inputs.neb` is missing'),
        ({'relax': relax, 'neb': without_code}, 'engine_inputs.neb: the input `code` is missing'),
        ({'relax': relax, 'neb': {**neb, 'cde': Int(1)}}, "has no input 'cde': did you mean 'code'"),
        ({'relax': relax, 'neb': {**neb, 'bands': Int(1)}}, '`bands` is filled in by the work chain'),
        ({'relax': relax, 'neb': {**neb, 'options': Dict({'acount': 'x'})}}, "did you mean 'account'"),
        ({'relax': relax, 'neb': {**neb, 'parameters': Dict({'climb': 'perhaps'})}}, 'climb'),
        (
            {'relax': relax, 'neb': {**neb, 'potential': Dict({'name': 'chgnt', 'model': '1'})}},
            "unknown potential 'chgnt'",
        ),
    ):
        assert message in validate_inputs({**inputs, 'engine_inputs': engine_inputs}, None)


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ({'n_images': 2}, 'at least 3 images'),
        ({'relax_host': 'shape'}, "'shape' is not one of none, positions, cell"),
        ({'interpolation': 'spline'}, "'spline' is not one of idpp, linear"),
        ({'engine': 'vas'}, "unknown engine 'vas'"),
        ({'waypoints': [[1, 2]]}, '[1, 2] is no position'),
        ({'supercell': [0, 1, 1]}, '[0, 1, 1] is no supercell'),
        ({'min_image_distance': -1.0}, '-1.0 is no distance'),
        ({'rattle': 2.0}, '2.0 is no random displacement in Å'),
        ({'rattle_seed': -1}, '-1 is no seed'),
        ({'alignment': {'lattice_polcy': 'mean'}}, "did you mean 'lattice_policy'"),
        ({'alignment': {'lattice_policy': 'men'}}, "lattice_policy: 'men' is not one of refuse, initial, mean"),
        ({'alignment': {'threshold': 'far'}}, "threshold: 'far' is no distance"),
    ],
)
@pytest.mark.usefixtures('aiida_profile')
def test_bad_values_are_refused_by_their_ports(inputs, message):
    ports = MigrationBarrierWorkChain.spec().inputs
    ((name, value),) = inputs.items()
    assert message in ports[name].validate(to_aiida_type(value)).message


@pytest.mark.usefixtures('aiida_profile')
def test_misspelt_override_is_refused(build):
    with pytest.raises(ValueError, match="unknown protocol key 'n_image': did you mean 'n_images'"):
        build(overrides={'n_image': 5})


@pytest.mark.usefixtures('aiida_profile')
def test_band_on_top_of_the_host_is_refused(build):
    band = straight_band()
    positions = band.positions.copy()
    positions[-1, 0] = positions[-1, 1] + [0.6, 0, 0]
    builder = build(band=BandData(band.replace(positions=positions)))
    assert 'in the last endpoint the migrating Al (site 0) is 0.60 Å from' in validate_inputs(dict(builder), None)


@pytest.mark.slow
def test_waypoints_and_relaxed_positions(build):
    crystal, _ = node_from_structure(aluminium((2, 2, 2)))
    builder = build(
        structure=crystal,
        hop={'ion': 'Al', 'number': 0},
        overrides={'relax_host': 'positions', 'relax_endpoints': False, 'interpolation': 'linear'},
        waypoints=[[0.8, 1.0, 1.0]],
    )
    builder.engine_inputs.neb['parameters'] = Dict({'max_steps': 0})
    builder.engine_inputs.neb['max_iterations'] = Int(1)
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.band.base.attributes.get('host_treatment') == 'positions'
    # the hop goes from the origin to (0, 2, 2): only the waypoint takes it off the plane
    assert node.outputs.band.band.positions[2, 0] == pytest.approx([0.8, 1.0, 1.0], abs=0.05)
    # the cell stays where it was
    assert node.outputs.host.get_cell_volume() == pytest.approx(crystal.get_cell_volume())


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda end: end.replace(3, 'Cu'), 'Cu'),
        (lambda end: end.remove_sites([3]), '30'),
        (lambda end: end.apply_strain(0.05), 'lattice'),
    ],
)
def test_endpoints_that_do_not_fit_each_other_are_refused_at_launch(build, change, message):
    initial, final = aluminium_vacancy_ends()
    change(final)
    builder = build(initial=node_from_structure(initial)[0], final=node_from_structure(final)[0])
    assert message in validate_inputs(dict(builder), None)


@pytest.mark.slow
def test_endpoints_with_different_lattices_by_a_policy(build):
    initial, final = aluminium_vacancy_ends()
    final.apply_strain(0.01)
    builder = build(
        initial=node_from_structure(initial)[0],
        final=node_from_structure(final)[0],
        alignment={'lattice_policy': 'initial'},
        overrides={'relax_endpoints': False},
    )
    builder.engine_inputs.neb['parameters'] = Dict({'max_steps': 0})
    builder.engine_inputs.neb['max_iterations'] = Int(1)
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.band.band.lattice[0, 0] == pytest.approx(initial.lattice.a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('start', 'exit_status', 'outputs'),
    [('crystal', 310, {'host'}), ('ends', 311, {'initial', 'final'}), ('mapped ends', 311, {'initial'})],
)
def test_relaxation_that_fails_leaves_its_structures(build, start, exit_status, outputs):
    if start == 'crystal':
        structure, _ = node_from_structure(aluminium((1, 1, 1)))
        builder = build(structure=structure, hop={'ion': 'Al', 'number': 0})
    else:
        initial, final = (node_from_structure(end)[0] for end in aluminium_vacancy_ends())
        builder = build(initial=initial, final=final, overrides={'map_endpoints': start == 'mapped ends'})
    builder.engine_inputs.relax['parameters'] = Dict({'max_steps': 0, 'force_threshold': 1e-9})
    builder.engine_inputs.relax['max_iterations'] = Int(1)
    _, node = run_get_node(builder)
    assert node.exit_status == exit_status
    assert 'within the step limit' in node.exit_message
    assert set(node.outputs) == outputs


@pytest.fixture
def endpoints_only(build):
    """Return a function that relaxes two endpoints, and goes no further than the starting band."""

    def run(initial, final, **overrides):
        first, kinds = node_from_structure(initial)
        last, _ = node_from_structure(final)
        builder = build(initial=first, final=last, kinds=kinds, overrides=overrides)
        builder.engine_inputs.neb['parameters'] = Dict({'max_steps': 0})
        builder.engine_inputs.neb['max_iterations'] = Int(1)
        _, node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
        return node

    return run


@pytest.mark.slow
def test_given_endpoints_are_mapped_in_any_order_and_wrapping(endpoints_only):
    initial, final = aluminium_vacancy_ends()
    order = np.random.default_rng(3).permutation(31)
    final = type(final)(final.lattice, ['Al'] * 31, final.frac_coords[order] % 1)
    summary = endpoints_only(initial, final).outputs.summary
    assert summary['endpoint_mapping'] == 'verified'
    assert summary['relaxations_saved'] == 1
    assert summary['barriers']['forward'] == pytest.approx(summary['barriers']['reverse'], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('choice', ['asymmetric', 'not asked'])
def test_endpoints_that_are_not_mapped_are_both_relaxed(endpoints_only, choice):
    initial, final = aluminium_vacancy_ends()
    if choice == 'asymmetric':
        far = int(np.argmax(initial.distance_matrix[0]))
        for end in (initial, final):
            end.replace(far, 'Cu')
    node = endpoints_only(initial, final, map_endpoints=choice != 'not asked')
    summary = node.outputs.summary
    assert summary['endpoint_mapping'] == {'asymmetric': 'no_operation', 'not asked': 'not_asked'}[choice]
    assert summary['endpoint_states'] == {'initial': 'relaxed', 'final': 'relaxed'}
    assert (summary['relaxations_saved'], summary['evaluations_saved']) == (0, 0)
    assert len(jobs_of(node)) == 2


@pytest.mark.slow
@pytest.mark.parametrize('what', ['energy', 'forces'])
def test_a_mapping_that_does_not_hold_costs_a_relaxation_only(endpoints_only, monkeypatch, what):
    """Where a potential does not keep the symmetry, or an operation is not exact, no wrong endpoint comes of it."""
    from aiida_embarrier.calculations import mapping
    from aiida_embarrier.structures import mapping as plain

    original = plain.map_state

    def inexact(*arguments):
        found = original(*arguments)
        found.structure.translate_sites([0], [0.05, 0, 0], frac_coords=False, to_unit_cell=False)
        return found

    if what == 'energy':
        monkeypatch.setattr(mapping, 'ENERGY_TOLERANCE', -1.0)
    else:
        monkeypatch.setattr(plain, 'map_state', inexact)
    node = endpoints_only(*aluminium_vacancy_ends())
    summary = node.outputs.summary
    assert summary['endpoint_mapping'] == {'energy': 'energy_differs', 'forces': 'relaxed_further'}[what]
    assert summary['relaxations_saved'] == 0
    assert ('relax_refused_endpoints' in summary['force_evaluations']) is (what == 'energy')
    assert (summary['evaluations_saved'] < 0) is (what == 'energy')
    energies = node.outputs.band.band.energies
    assert energies[-1] == pytest.approx(energies[0], abs=0.002)


@pytest.mark.slow
def test_band_that_cannot_be_computed_at_all(build):
    builder = build(band=BandData(straight_band()))
    wrong = {**builder.engine_inputs.neb['potential'].get_dict(), 'calculator': 'no_such_module:Calculator'}
    builder.engine_inputs.neb['potential'] = Dict(wrong)
    _, node = run_get_node(builder)
    assert node.exit_status == 312
    assert 'no_such_module' in node.exit_message
    assert len(jobs_of(node)) == 1
    assert 'band' not in node.outputs


@pytest.mark.slow
def test_rattled_endpoints_leave_the_symmetry_that_holds_them_on_a_saddle(worker_code):
    """The endpoints lie on the ridge between two valleys, where a relaxation stays without a force."""
    still = [1.5, 10, 10]  # an atom without forces: rattling moves no centre
    cell = np.diag([20.0] * 3)
    ridge = [Structure(cell, ['Li', 'O'], [[x, 0, 0], still], coords_are_cartesian=True) for x in (0, 3)]
    unrattled = relaxed_with([ridge[0].to_ase_atoms()], load_model(surface('TwinValleys'), 'cpu'))[0]
    assert unrattled.positions[0] == pytest.approx(np.zeros(3))
    builder = MigrationBarrierWorkChain.get_builder_from_protocol(
        worker_code,
        initial=node_from_structure(ridge[0])[0],
        final=node_from_structure(ridge[1])[0],
        overrides={
            'n_images': 5,
            'rattle': 0.1,
            'rattle_seed': 1,
            'engine': {
                'potential': {'name': 'ase', 'calculator': 'analytic_surfaces:TwinValleys', 'distribution': None},
                'settings': {'processes': 1},
            },
        },
        options={'environment_variables': {'PYTHONPATH': str(Path(__file__).parents[1])}},
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    steps = [child.process_label for child in node.called]
    assert steps.count('rattle') == 1
    assert set(next(child for child in node.called if child.process_label == 'rattle').outputs) == {'initial'}
    assert node.outputs.summary['endpoint_mapping'] == 'verified', 'the other end is mapped from the relaxed one'
    places = [abs(node.outputs[label].sites[0].position[1]) for label in ('initial', 'final')]
    assert places == pytest.approx([TwinValleys.width] * 2, abs=0.05)
    assert node.outputs.band.band.energies[[0, -1]] == pytest.approx([0, 0], abs=2e-3)
    assert (node.inputs.rattle.value, node.inputs.rattle_seed.value) == (0.1, 1)


@pytest.mark.usefixtures('aiida_profile')
def test_process_says_its_protocol(worker_code):
    band = BandData(straight_band())
    for protocol, overrides, words in ((None, None, 'balanced'), ('fast', {'n_images': 9}, 'fast, with changes')):
        builder = MigrationBarrierWorkChain.get_builder_from_protocol(
            worker_code, band=band, protocol=protocol, overrides=overrides
        )
        assert builder.metadata.description == f'protocol {words}'


@pytest.mark.usefixtures('aiida_profile')
def test_rattle_without_a_relaxation_is_refused(build):
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    hop = {'ion': 'Al', 'number': 0}
    builder = build(structure=crystal, hop=hop, overrides={'rattle': 0.05, 'relax_endpoints': False})
    assert 'endpoints that are not relaxed are not rattled' in validate_inputs(dict(builder), None)
    builder = build(band=BandData(straight_band()), overrides={'rattle': 0.05})
    assert 'leave out `rattle`' in validate_inputs(dict(builder), None)
