"""Branches of a derivation that run jobs of the worker: orderings of a disordered crystal, and lookups in a folder."""

import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import Dict
from pymatgen.core import Lattice, Structure

from aiida_embarrier.data.convert import node_from_disordered, node_from_structure, structure_from_node
from aiida_embarrier.workflows.derive import DeriveStructureWorkChain
from aiida_embarrier.workflows.derive_inputs import validate_derive

OVERRIDES = {'engine': {'relax': {'force_threshold': 0.1}}}

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def disordered_alloy():
    """Return an alloy of copper and gold that is ordered nowhere."""
    return Structure(Lattice.cubic(3.85), [{'Cu': 0.5, 'Au': 0.5}] * 4, FCC)


@pytest.fixture
def build(toy_codes, worker_code):
    """Return a function that fills a builder for the toy engine, with the code of the worker."""

    def make(structure=None, overrides=None, **inputs):
        if structure is not None:
            inputs['structure'], inputs['kinds'] = node_from_disordered(structure)
        return DeriveStructureWorkChain.get_builder_from_protocol(
            None, engine='toy', worker_code=worker_code, overrides={**OVERRIDES, **(overrides or {})}, **inputs
        )

    return make


@pytest.fixture
def jobs_run_once():
    """Take a job with the same inputs from an earlier test: what is tested here is what becomes of its results."""
    with enable_caching(identifier='aiida.calculations:embarrier.orderings'):
        yield


ORDERED = {'orderings': {'supercell': [1, 1, 2], 'oxidation_states': {'Cu': 1.0, 'Au': -1.0}}}


def taken(node):
    return {branch['step']: branch['taken'] for branch in node.outputs.summary['branches']}


@pytest.mark.slow
@pytest.mark.usefixtures('jobs_run_once')
def test_ground_state_is_the_ordering_of_lowest_relaxed_energy(build):
    _, node = run_get_node(build(disordered_alloy(), {'relax_host': 'positions', 'relax_orderings': 3}, **ORDERED))
    assert node.is_finished_ok, node.exit_message
    table = node.outputs.orderings.table
    assert len(table) > 3
    relaxed = table[table['status'] == 'relaxed']
    assert len(relaxed) == 3
    first = table[table['rank'] == 1].iloc[0]
    assert first['relaxed_energy'] == relaxed['relaxed_energy'].min()
    assert sorted(relaxed['rank']) == [1, 2, 3]
    assert table.loc[table['status'] == 'not relaxed', 'rank'].isna().all()
    assert node.outputs.orderings.units['relaxed_energy'] == 'eV per formula unit'
    # per formula unit: a cell of eight atoms has four of CuAu
    assert first['relaxed_energy'] == pytest.approx(node.outputs.summary['energy'] / 4)
    assert taken(node)['occupancies'] == 'disordered'
    assert taken(node)['ordering'] == f'ordering_{int(first["number"]):04d}'
    structure = structure_from_node(node.outputs.structure)
    assert structure.composition.formula == 'Cu4 Au4'
    assert any('were not relaxed' in text for text in node.outputs.summary['warnings'])
    # the ground state of the discharged crystal has kinds of its own
    assert {site.kind_name for site in node.outputs.structure.sites} <= set(node.outputs.kinds.get_dict())


@pytest.mark.slow
@pytest.mark.usefixtures('jobs_run_once')
def test_ordering_is_emptied_as_it_was_before_its_relaxation(build):
    """Orderings are relaxed to be ranked; the sites that are emptied, and hops, are those of the ordering as made."""
    inputs = {'charge_state': {'ion': 'Au', 'state': 'charged'}, 'hops': {'number': 0, 'max_length': 5.0}}
    overrides = {'relax_orderings': 1, 'relax_endpoints': False, 'min_image_distance': 3.0}
    _, node = run_get_node(build(disordered_alloy(), overrides, **ORDERED, **inputs))
    assert node.is_finished_ok, node.exit_message
    steps = {link.link_label: link.node for link in node.base.links.get_outgoing().all()}
    ordering = steps['relax_orderings'].inputs.structures[taken(node)['ordering']]
    assert steps['charge_state'].inputs.structure.uuid == ordering.uuid
    emptied = steps['charge_state'].outputs.structure
    assert steps['choose_hops'].inputs.host.uuid == emptied.uuid == node.outputs.unrelaxed.uuid
    assert steps['relax_host'].inputs.structures.host.uuid == emptied.uuid
    assert set(node.outputs.summary['force_evaluations']) == {'relax_orderings', 'relax_host'}
    assert node.outputs.summary['energy'] == steps['relax_host'].outputs.results['tasks']['host']['energy']


@pytest.mark.slow
@pytest.mark.usefixtures('jobs_run_once')
def test_ordering_that_fails_leaves_the_others_alone(build):
    """Without any step only those converge whose forces symmetry makes zero."""
    builder = build(disordered_alloy(), {'relax_host': 'positions', 'relax_orderings': 10}, **ORDERED)
    builder.engine_inputs.relax['parameters'] = Dict({'strength': 1.0, 'force_threshold': 1e-4, 'max_steps': 0})
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    statuses = node.outputs.orderings.table['status'].to_list()
    assert {'relaxed', 'failed'} == set(statuses)
    failed = node.outputs.orderings.table.set_index('status').loc[['failed']]
    assert failed['message'].str.contains('forces are too large').all()
    assert failed['rank'].isna().all()
    assert any('the ground state is that of the others' in text for text in node.outputs.summary['warnings'])


@pytest.mark.slow
@pytest.mark.usefixtures('jobs_run_once')
def test_no_ordering_is_left(build):
    builder = build(disordered_alloy(), {'relax_orderings': 10}, **ORDERED)
    builder.engine_inputs.relax['parameters'] = Dict({'strength': 1.0, 'force_threshold': 1e-9, 'max_steps': 0})
    _, node = run_get_node(builder)
    assert node.exit_status == 315
    assert 'forces are too large' in node.exit_message
    # nothing that was computed is lost
    assert set(node.outputs.orderings.table['status']) == {'failed'}
    assert node.outputs.orderings.table['ewald_energy'].notna().all()
    assert 'structure' not in node.outputs


@pytest.mark.slow
@pytest.mark.usefixtures('jobs_run_once')
def test_orderings_that_are_not_relaxed_are_ranked_by_ewald_energy(build):
    _, node = run_get_node(build(disordered_alloy(), {'relax_host': 'none', 'relax_orderings': 10}, **ORDERED))
    assert node.is_finished_ok, node.exit_message
    table = node.outputs.orderings.table
    assert table.loc[table['rank'] == 1, 'ewald_energy'].item() == table['ewald_energy'].min()
    assert set(table['status']) == {'not relaxed'}
    assert 'unrelaxed' not in node.outputs


@pytest.fixture
def folder(tmp_path):
    """Return a folder with one crystal, Cu3Pt."""
    Structure(Lattice.cubic(3.7), ['Pt', 'Cu', 'Cu', 'Cu'], FCC).to_file(str(tmp_path / 'Cu3Pt.cif'))
    return tmp_path


@pytest.mark.slow
def test_found_in_a_folder_or_derived(build, folder):
    """The same parent, once with the database having what is sought, and once not."""
    parent, kinds = node_from_structure(Structure(Lattice.cubic(3.75), ['Au', 'Cu', 'Cu', 'Cu'], FCC))
    derived = {}
    for element in ('Pt', 'Pd'):
        lookup = {'provider': 'folder', 'folder': str(folder), 'query': {'formula': f'Cu3{element}'}}
        substitution = {'substitute': {'Au': element}, 'radii': 'atomic'}
        _, derived[element] = run_get_node(
            build(
                overrides={'relax_host': 'none'}, parent=parent, kinds=kinds, lookup=lookup, substitution=substitution
            )
        )
    found, made = derived['Pt'], derived['Pd']
    assert found.is_finished_ok, found.exit_message
    assert taken(found)['lookup'] == 'found'
    assert 'Cu3Pt' in found.outputs.summary['branches'][0]['why']
    assert structure_from_node(found.outputs.structure).lattice.a == pytest.approx(3.7)
    assert 'source' not in taken(found), 'nothing was derived'
    assert made.is_finished_ok, made.exit_message
    assert (taken(made)['lookup'], taken(made)['source']) == ('not found', 'derived')
    assert structure_from_node(made.outputs.structure).composition.reduced_formula == 'Cu3Pd'


@pytest.mark.slow
def test_what_was_done_is_not_done_again_by_a_process_that_goes_on(build):
    """The orderings are those of the process before, though the relaxations have to be made again."""
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    from aiida_embarrier.engines.resumption import RESUMES

    builder = build(disordered_alloy(), {'relax_host': 'none', 'relax_orderings': 2}, **ORDERED)
    _, before = run_get_node(builder)
    again = instantiate_process(get_manager().get_runner(), before.get_builder_restart())
    again.node.base.extras.set(RESUMES, before.uuid)
    again.execute()
    [job] = [child for child in again.node.called if child.process_label == 'OrderingsCalculation']
    assert again.node.is_finished_ok
    assert job.base.caching.is_created_from_cache


@pytest.mark.slow
def test_not_found_and_no_parent(build, folder):
    lookup = {'provider': 'folder', 'folder': str(folder), 'query': {'formula': 'LiFePO4'}}
    _, node = run_get_node(build(lookup=lookup))
    assert node.exit_status == 203
    assert 'LiFePO4' in node.exit_message
    assert node.outputs.summary['message'] in node.exit_message


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ({'orderings': {'mod': 'exact'}}, "did you mean 'mode'"),
        ({'orderings': {'keep': 0}}, 'keep'),
        ({'hops': {'number': 0}}, 'no `ion` is named'),
        ({'lookup': {'provider': 'folder'}}, 'got `structure` and `lookup`'),
    ],
)
def test_bad_inputs_are_refused_at_launch(build, inputs, message):
    assert message in validate_derive(dict(build(disordered_alloy(), **inputs)), None)


def test_bad_lookups_are_refused_at_launch(build):
    def refusal(**lookup):
        return validate_derive(dict(build(lookup=lookup)), None)

    assert 'the provider folder needs the entry `folder`' in refusal(provider='folder', query={'formula': 'Cu'})
    assert 'ask either with `query`' in refusal(provider='folder', folder='/tmp')
    assert 'an `ion` goes with either the input `host`' in refusal(provider='folder', folder='/tmp', ion='Li')
    assert refusal(provider='folder', folder='/tmp', query={'formula': 'Cu'}, entry='Cu.cif') is None
