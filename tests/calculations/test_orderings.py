"""The CalcJob that orders a crystal: through the worker, and what is refused before there is a job."""

import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict
from disordered_crystals import rock_salt

from aiida_embarrier.calculations.orderings import OrderingsCalculation
from aiida_embarrier.data.convert import node_from_disordered, structure_from_node


@pytest.fixture
def half_filled():
    """Return a cubic cell of four lithium sites, half of them filled, and four of oxygen."""
    return rock_salt({'Li+': 0.5}, 'O2-', 4.2)


@pytest.mark.slow
def test_orderings_through_the_worker(half_filled, worker_code):
    half_filled.replace_species({'O2-': {'O2-': 0.25, 'Cl-': 0.75}})
    node, kinds = node_from_disordered(half_filled)
    results, process = run_get_node(
        OrderingsCalculation,
        code=worker_code,
        structure=node,
        kinds=kinds,
        parameters=Dict({'keep': 1}),
    )
    assert process.is_finished_ok, process.exit_message
    assert set(results['structures']) == {'ordering_0000'}
    table = results['table'].table
    summary = results['results'].get_dict()
    assert summary['n_arrangements'] == 6 * 4 == table['multiplicity'].sum()
    assert summary['n_distinct'] == len(table) == summary['n_found']
    assert summary['oxidation_source'] == 'file'
    assert list(table['ewald_energy']) == sorted(table['ewald_energy'])
    assert results['table'].units == {'ewald_energy': 'eV'}
    lowest = structure_from_node(results['structures']['ordering_0000'], results['kinds']['ordering_0000'])
    assert lowest.composition.formula == 'Li2 Cl3 O1'
    assert sorted(set(lowest.site_properties['oxidation_state'])) == [-2, -1, 1]


@pytest.mark.slow
def test_a_refused_cell_is_an_exit_code(half_filled, worker_code):
    half_filled.replace_species({'O2-': {'O2-': 0.4}})
    node, kinds = node_from_disordered(half_filled)
    _, process = run_get_node(OrderingsCalculation, code=worker_code, structure=node, kinds=kinds)
    assert process.exit_status == 201
    assert 'a supercell of 2 cells would do' in process.exit_message
    assert set(process.outputs) >= {'results', 'retrieved'}
    assert 'table' not in process.outputs


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'tolerence': 0.1}, "unknown parameter 'tolerence': did you mean 'tolerance'?"),
        ({'supercell': [0, 1, 1]}, 'is no supercell'),
        ({'supercell': 'fits'}, 'supercell'),
        ({'keep': 0}, 'keep'),
        ({'mode': 'exakt'}, "'exact' or 'pymatgen'"),
        ({'tolerance': 2}, 'tolerance'),
    ],
)
def test_parameters_are_checked_at_launch(half_filled, aiida_code_installed, parameters, message):
    node, kinds = node_from_disordered(half_filled)
    code = aiida_code_installed('embarrier.orderings', 'bash')
    with pytest.raises(ValueError, match='parameters') as caught:
        run_get_node(OrderingsCalculation, code=code, structure=node, kinds=kinds, parameters=Dict(parameters))
    assert message in str(caught.value)


@pytest.mark.usefixtures('aiida_profile')
def test_kinds_that_do_not_fit_are_refused(half_filled, aiida_code_installed):
    node, _ = node_from_disordered(half_filled)
    code = aiida_code_installed('embarrier.orderings', 'bash')
    with pytest.raises(ValueError, match='2 oxidation states: give one for each'):
        run_get_node(OrderingsCalculation, code=code, structure=node, kinds=Dict({'Li': {'oxidation_states': [1, 1]}}))
