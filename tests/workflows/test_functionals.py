"""Comparison of functionals with an engine whose answers are known."""

import re

import pandas as pd
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.orm import Dict, Int, load_node
from functional_engine import BASE, CORES, OFFSETS, PER_CHARGE, PER_CLIMBING, STRETCH, expected_barrier
from pymatgen.core import Lattice, Structure
from systems import aluminium, aluminium_vacancy_ends

from aiida_embarrier.workflows.functionals import (
    FunctionalComparisonWorkChain,
    problems_of,
    validate_inputs,
)
from aiida_embarrier.workflows.functionals_inputs import ComparedSystem, Experiment, inputs_of_cell

#: Small enough to be quick; the engine makes its barriers up anyway.
SETTINGS = {'n_images': 5, 'supercell': [2, 2, 2]}
COPPER = Structure.from_spacegroup('Fm-3m', Lattice.cubic(3.6), ['Cu'], [[0, 0, 0]])


@pytest.fixture
def made_up(aiida_profile, entry_points):
    entry_points.add('functional_engine:MadeUpRelaxWorkChain', 'aiida.workflows:made_up.relax')
    entry_points.add('functional_engine:MadeUpNebWorkChain', 'aiida.workflows:made_up.neb')
    entry_points.add('functional_engine:ENGINE', 'aiida_embarrier.engines:made-up')


def crystal(name, structure, **options):
    ion = structure[0].specie.symbol
    return ComparedSystem(name=name, structure=structure, hop={'ion': ion, 'number': 0}, **options)


def between_ends(name='ends', **options):
    initial, final = aluminium_vacancy_ends()
    return ComparedSystem(name=name, initial=initial, final=final, mechanism='vacancy', **options)


@pytest.fixture
def build(made_up):
    def make(*systems, functionals=('pbe', 'scan'), **options):
        return FunctionalComparisonWorkChain.get_builder_from_protocol(
            None, systems=systems, functionals=functionals, engine='made-up', **{'overrides': SETTINGS, **options}
        )

    return make


def steps_of(barrier):
    links = barrier.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    return [link.link_label for link in sorted(links, key=lambda link: link.node.pk)]


@pytest.mark.slow
def test_functionals_charges_and_climbing_images(build):
    measured = Experiment(barrier=(0.55, 0.62), source='impedance')
    builder = build(
        crystal('Al', aluminium((1, 1, 1)), experiment=measured, overrides={'map_endpoints': False}),
        between_ends(experiment=Experiment(barrier=0.6), charges=(0.0,)),
        charges=(0.0, -1.0),
        min_systems=2,
        max_concurrent=4,
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    cells = outputs['cells'].table
    assert len(cells) == 2 * 2 * (2 + 1)
    assert (cells['status'] == 'converged').all()
    for row in cells.itertuples():
        assert row.barrier == pytest.approx(expected_barrier('Al', row.functional, row.charge, row.climbing))
        assert row.barrier == row.forward
    # the error against a range is that against its nearer end
    by_cell = cells.set_index('cell')
    assert by_cell.loc['Al_pbe_neutral_neb', 'error_nearest'] == pytest.approx(0.5 - 0.55)
    assert by_cell.loc['Al_pbe_neutral_neb', 'error_middle'] == pytest.approx(0.5 - 0.585)
    assert by_cell.loc['ends_pbe_neutral_neb', 'error_nearest'] == pytest.approx(-0.1)

    # --- shared: one host for each functional, endpoints for each charge, bands that go on
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()}
    assert len(called) == 2 + 12
    for functional in ('pbe', 'scan'):
        host = node.outputs.hosts[f'host_Al_{functional}']
        assert called[f'host_Al_{functional}'].outputs.structures.host.uuid == host.uuid
        assert host.cell_lengths[0] == pytest.approx(STRETCH[functional] * aluminium((1, 1, 1)).lattice.a)
        for charge in ('neutral', 'minus_1'):
            barrier = called[f'Al_{functional}_{charge}_neb']
            assert barrier.inputs.relaxed_host.uuid == host.uuid
            assert barrier.inputs.charge.value == (0 if charge == 'neutral' else -1)
            assert steps_of(barrier) == ['relax_endpoints', 'neb']
            assert barrier.outputs.band.base.attributes.get('host_treatment') == 'cell'
            climbing = called[f'Al_{functional}_{charge}_ci_neb']
            assert climbing.inputs.band.uuid == barrier.outputs.band.uuid
            assert climbing.inputs.engine_inputs.neb.parameters['climb'] is True
            assert climbing.inputs.engine_inputs.neb.parameters['functional'] == functional
            assert climbing.outputs.band.uuid == node.outputs.bands[f'Al_{functional}_{charge}_ci_neb'].uuid
            assert steps_of(climbing) == ['neb']

    # --- costs: what a cell stands on is counted in its total
    host, plain, climbing = (
        called[label].outputs for label in ('host_Al_scan', 'Al_scan_neutral_neb', 'Al_scan_neutral_ci_neb')
    )
    own = sum(plain.summary['worker_wall_s'].values())
    continued = sum(climbing.summary['worker_wall_s'].values())
    first, second = by_cell.loc['Al_scan_neutral_neb'], by_cell.loc['Al_scan_neutral_ci_neb']
    assert first['wall_s'] == own
    assert first['total_wall_s'] == own + host.results['wall_s']
    assert second['wall_s'] == continued < own
    assert second['total_wall_s'] == continued + own + host.results['wall_s']
    assert second['core_h'] == pytest.approx(CORES * continued / 3600)
    assert first[['ionic_steps', 'n_images', 'n_problems']].to_list() == [20, 5, 0]
    assert first['host_volume'] == pytest.approx(aluminium((1, 1, 1)).volume)
    assert pd.isna(by_cell.loc['ends_scan_neutral_neb', 'host_volume'])
    assert by_cell.loc['ends_scan_neutral_neb', 'endpoint_difference'] == pytest.approx(0.05)
    assert load_node(first['band']).uuid == plain.band.uuid

    # --- what it says
    table = outputs['functionals'].table
    chosen = table[(table['charge_state'] == 'neutral') & table['climbing']].set_index('functional')
    assert chosen['relative_wall'].to_dict() == pytest.approx({'pbe': 1, 'scan': 4})
    assert chosen['relative_core_h'].to_dict() == pytest.approx({'pbe': 1, 'scan': 4})
    assert chosen['n_systems'].to_list() == [2, 2]
    assert chosen['mae'].to_dict() == pytest.approx({'pbe': (0.046 + 0.096) / 2, 'scan': (0 + 0.014) / 2})
    effects = outputs['effects'].table
    charge = effects[effects['effect'] == 'charge']
    assert (charge['difference'] / charge['charge']).to_list() == pytest.approx([PER_CHARGE] * 4)
    assert effects.loc[effects['effect'] == 'climbing', 'difference'].to_list() == pytest.approx([PER_CLIMBING] * 6)
    recommendation = outputs['recommendation'].get_dict()
    assert recommendation['better']['functional'] == 'scan'
    assert recommendation['quick']['functional'] == 'pbe'
    assert outputs['cells'].units['barrier'] == 'eV'
    assert node.inputs.estimate['jobs'] == {'hosts': 2, 'endpoints': 12, 'bands': 12, 'images': 36}


@pytest.mark.slow
def test_cells_that_fail_leave_the_others_alone(build):
    builder = build(
        between_ends(),
        crystal('Cu', COPPER, overrides={'engine': {'fail': 'host'}}),
        functionals=('pbe', 'pbe+u', 'scan', 'scan+u'),
        functional_overrides={
            'pbe+u': {'engine': {'fail': 'neb'}},
            'scan': {'engine': {'fail': 'band'}},
            'scan+u': {'engine': {'fail': 'endpoints'}},
        },
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == 511
    cells = outputs['cells'].table.set_index('cell')
    pairs = {
        functional: [cells.loc[f'ends_{functional}_neutral_{kind}', 'status'] for kind in ('neb', 'ci_neb')]
        for functional in ('pbe', 'pbe_u', 'scan', 'scan_u')
    }
    assert pairs == {
        'pbe': ['converged', 'converged'],
        'pbe_u': ['not converged', 'not run'],
        'scan': ['failed', 'not run'],
        'scan_u': ['failed', 'not run'],
    }
    assert set(cells.loc[cells['system'] == 'Cu', 'status']) == {'not run'}
    assert 'the electrons did not converge' in cells.loc['ends_scan_neutral_neb', 'message']
    assert cells.loc['Cu_pbe_neutral_neb', 'message'].startswith('the relaxation of its host failed: the electrons')
    assert cells.loc['ends_pbe_u_neutral_ci_neb', 'message'].startswith(
        'the band that it starts from, ends_pbe_u_neutral_neb, did not converge'
    )
    assert cells.loc['ends_pbe_u_neutral_neb', ['n_problems', 'total_problems']].to_list() == [1, 1]
    # the last good band of one that did not converge is an output, and its barrier a number
    assert cells.loc['ends_pbe_u_neutral_neb', 'barrier'] == pytest.approx(BASE['Al'] + OFFSETS['pbe+u'])
    assert set(node.outputs.bands) == {'ends_pbe_neutral_neb', 'ends_pbe_neutral_ci_neb', 'ends_pbe_u_neutral_neb'}
    # an electron that settles somewhere is seen in its moments
    assert node.outputs.bands.ends_pbe_u_neutral_neb.band.moments[2, 1] == pytest.approx(0.0)
    rows = outputs['functionals'].table
    assert rows[rows['climbing']].set_index('functional')['n_converged'].to_list() == [1, 0, 0, 0]
    assert '14 of 16 cells gave no converged barrier' in node.exit_message
    assert outputs['recommendation']['better']['reason'].startswith('cannot tell')
    # `resume` starts it again with the same inputs
    again = node.get_builder_restart()._inputs(prune=True)
    assert validate_inputs(again, None) is None
    assert again['variations']['Cu']['pbe']['relax']['parameters'].uuid == (
        node.inputs.variations.Cu.pbe.relax.parameters.uuid
    )


@pytest.mark.slow
def test_nothing_succeeds(build):
    outputs, node = run_get_node(build(between_ends(), overrides={**SETTINGS, 'engine': {'fail': 'endpoints'}}))
    assert node.exit_status == 310
    assert 'the electrons did not converge' in node.exit_message
    assert list(outputs['cells'].table['status']) == ['failed', 'not run'] * 2


def test_a_limit_holds(build):
    builder = build(between_ends(), max_concurrent=3)
    assert builder.max_concurrent.value == 3
    with pytest.raises(ValueError, match='at least one process'):
        builder.max_concurrent = Int(0)


@pytest.mark.parametrize(
    ('exit_status', 'is_problem'),
    [(0, False), (310, True), (502, True), (401, False), (501, False), (120, False), (140, False), (150, True)],
)
def test_what_counts_as_a_problem(make_calcjob_node, exit_status, is_problem):
    job = make_calcjob_node('embarrier.potential.neb', {}, exit_status=exit_status, exit_message='it diverged')
    assert problems_of(job) == ([f'job {job.pk} [{exit_status}]: it diverged'] if is_problem else [])


# ---------------------------------------------------------------- inputs


def test_what_cells_have_in_common_is_there_once(build):
    other = {'n_images': 7, 'engine': {'relax': {'force_threshold': 0.01}}}
    builder = build(
        crystal('Al', aluminium((1, 1, 1))),
        crystal('my Al', aluminium((1, 1, 1)), overrides=other),
        functionals=('pbe', 'pbe+u'),
        overrides={**SETTINGS, 'engine': {'hubbard_u': {'Mn': 3.0}}},
        functional_overrides={'pbe+u': {'engine': {'hubbard_u': {'Mn': 4.0}}}},
    )
    assert set(builder.systems) == {'Al', 'my_Al'}
    assert builder.systems['my_Al']['n_images'].value == 7
    parameters = {label: builder.methods[label]['neb']['parameters'] for label in ('pbe', 'pbe_u')}
    # U values are for functionals that have one, and those of a functional win
    assert {label: node['hubbard_u'] for label, node in parameters.items()} == {'pbe': {}, 'pbe_u': {'Mn': 4.0}}
    assert builder.methods['pbe']['climbing']['parameters']['climb'] is True
    assert parameters['pbe']['climb'] is False
    # only what a system changes of the inputs of a functional stands apart
    assert set(builder.variations) == {'my_Al'}
    assert set(builder.variations['my_Al']['pbe']) == {'relax'}
    assert builder.variations['my_Al']['pbe']['relax']['parameters']['force_threshold'] == 0.01
    assert [cell['starts_from'] for cell in builder.study['cells'][:2]] == [None, 'Al_pbe_neutral_neb']
    assert validate_inputs(builder._inputs(prune=True), None) is None


def test_what_only_one_functional_has_is_for_it_alone(build):
    builder = build(
        crystal('Al', aluminium((1, 1, 1))),
        overrides={'n_images': 5, 'min_image_distance': 6.0},
        functional_overrides={'pbe': {'supercell': [2, 2, 2], 'n_images': 7}},
    )
    assert 'supercell' not in builder.systems['Al']
    inputs = builder._inputs(prune=True)
    pbe, scan = (inputs_of_cell(inputs, 'Al', functional) for functional in ('pbe', 'scan'))
    assert (pbe['supercell'].get_list(), pbe['n_images'].value) == ([2, 2, 2], 7)
    assert ('supercell' in scan, scan['n_images'].value) == (False, 5)


def test_bad_input_is_refused(build, entry_points):
    system = between_ends()
    for options, message in (
        ({'functionals': ('pbe', 'scn')}, "unknown functional 'scn': did you mean 'scan'"),
        ({'functionals': ('lda',)}, "'lda' cannot be computed here: it was left out"),
        ({'functionals': ()}, 'needs functionals that differ'),
        ({'functionals': ('pbe', 'pbe')}, 'needs functionals that differ'),
        ({'charges': ()}, 'needs charges that differ'),
        ({'overrides': {'n_image': 5}}, "ends: unknown protocol key 'n_image': did you mean 'n_images'"),
        ({'overrides': {'engine': {'neb': {'climbing': True}}}}, "did you mean 'climb'"),
    ):
        with pytest.raises(ValueError, match=message):
            build(system, **options)
    with pytest.raises(ValueError, match='needs systems that differ'):
        build(system, system)
    with pytest.raises(ValueError, match=r'Al: .*hop'):
        build(ComparedSystem(name='Al', structure=aluminium((1, 1, 1)), hop={'ion': 'Al', 'number': 99}))
    with pytest.raises(ValueError, match="the engine 'potential' has no density functionals"):
        FunctionalComparisonWorkChain.get_builder_from_protocol(
            None, systems=[system], functionals=['pbe'], engine='potential'
        )
    inputs = build(system)._inputs(prune=True)
    study = inputs['study'].get_dict()
    ports = FunctionalComparisonWorkChain.spec().inputs
    for change, message in (
        ({'cells': []}, 'there is nothing to compute'),
        ({'cells': [{**study['cells'][0], 'functional': 'pb'}]}, "unknown functional 'pb': did you mean 'pbe'"),
        ({'cells': study['cells'][1:2]}, 'starts from .*, which is no cell'),
        ({'cells': [study['cells'][0]] * 2}, 'the labels of cells have to differ'),
    ):
        assert re.search(message, ports['study'].validate(Dict({**study, **change})).message)
    assert ports['study'].validate(Dict(study)) is None
    incomplete = {name: value for name, value in inputs.items() if name != 'systems'}
    assert 'systems.ends is missing' in validate_inputs({**incomplete, 'systems': {}}, None)
    typo = {**inputs['systems']['ends'], 'n_imges': Int(5)}
    assert "no input 'n_imges' here: did you mean 'n_images'" in validate_inputs(
        {**inputs, 'systems': {'ends': typo}}, None
    )
    few = {**inputs['systems']['ends'], 'n_images': Int(2)}
    assert 'n_images: a band needs' in validate_inputs({**inputs, 'systems': {'ends': few}}, None)
    without = {**inputs, 'methods': {**inputs['methods'], 'scan': {'relax': inputs['methods']['scan']['relax']}}}
    assert 'the input `parameters` is missing' in validate_inputs(without, None)


def test_charges_that_an_engine_does_not_know(build, monkeypatch):
    import functional_engine

    inputs = build(between_ends(), charges=(0.0, -1.0))._inputs(prune=True)
    monkeypatch.setitem(functional_engine.ENGINE.__dict__, 'capabilities', frozenset())
    assert 'knows no electrons' in validate_inputs(inputs, None)
