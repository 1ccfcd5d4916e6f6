"""Endpoints by symmetry as nodes: the plan, the mapped nodes, what a check says, and what was saved."""

from pathlib import Path

import numpy as np
import pytest
from aiida.orm import Dict
from pymatgen.core import Lattice, Structure
from systems import aluminium, aluminium_vacancy_ends

from aiida_embarrier.calculations import mapping, network, paths
from aiida_embarrier.data.convert import node_from_structure, structure_from_node

pytestmark = pytest.mark.usefixtures('aiida_profile')

EXAMPLES = Path(__file__).parents[2] / 'examples'

WANTED = {'min_image_distance': 7.5, 'map_endpoints': True}


def relaxed_by(node, amount=0.05, seed=1):
    structure = structure_from_node(node)
    for index, shift in enumerate(np.random.default_rng(seed).normal(scale=amount, size=(len(structure), 3))):
        structure.translate_sites([index], shift, frac_coords=False, to_unit_cell=False)
    return node_from_structure(structure)[0]


def test_plan_and_mapped_node():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    made = paths.create_endpoints(crystal, Dict({'ion': 'Al', 'number': 0}), Dict(WANTED))
    states = made['path']['states']
    assert states['representatives'] == ['initial']
    assert states['mapped']['final']['from'] == 'initial'
    assert states['mapped']['final']['beside'] == ['initial']
    assert states['mapped']['final']['operations'][0]['time_reversal'] is False
    relaxed = relaxed_by(made['initial'])
    outputs, node = mapping.map_endpoints.run_get_node(
        plan=made['path'],
        relaxed_initial=relaxed,
        unrelaxed_initial=made['initial'],
        unrelaxed_final=made['final'],
    )
    assert node.is_finished_ok
    assert [site.kind_name for site in outputs['final'].sites] == [site.kind_name for site in made['final'].sites]
    spectra = [np.sort(structure_from_node(end).distance_matrix.ravel()) for end in (relaxed, outputs['final'])]
    assert np.allclose(*spectra, atol=1e-3)
    assert outputs['mapping']['final']['motion'] > 0


def test_no_plan_unless_asked_for():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    made = paths.create_endpoints(crystal, Dict({'ion': 'Al', 'number': 0}), Dict({'min_image_distance': 7.5}))
    assert 'states' not in made['path'].get_dict()


@pytest.mark.parametrize('how', ['relaxed apart', 'different lattices', 'several ions may move'])
def test_given_endpoints_whose_host_cannot_be_rebuilt(how):
    initial, final = aluminium_vacancy_ends()
    settings = {'mechanism': 'any' if how == 'several ions may move' else 'vacancy', **WANTED}
    if how == 'relaxed apart':
        final.translate_sites(list(range(1, 31)), [0.1, 0, 0], frac_coords=False)
    if how == 'different lattices':
        final.apply_strain(0.02)
        settings['lattice_policy'] = 'per_image'
    nodes = [node_from_structure(end)[0] for end in (initial, final)]
    made = paths.align(*nodes, Dict(settings))
    assert made['path']['states'] == {'representatives': ['initial', 'final'], 'mapped': {}, 'copies': {}}


def magnetic_chain():
    """Return a crystal in which only a translation that reverses all moments takes one Li to the other."""
    sites = [[0, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0.2], [0.5, 0.5, 0.7], [0.5, 0, 0.06], [0.5, 0, 0.56]]
    structure = Structure(Lattice.orthorhombic(4.0, 4.7, 6.0), ['Fe', 'Fe', 'Li', 'Li', 'O', 'O'], sites)
    structure.add_site_property('magmom', [4.0, -4.0, 0.0, 0.0, 0.0, 0.0])
    return structure


def test_kinds_of_a_mapped_antiferromagnet():
    """The mapped state has the moments of the state that it stands for, though every atom came from the other spin."""
    crystal, kinds = node_from_structure(magnetic_chain())
    made = paths.create_endpoints(
        crystal, Dict({'ion': 'Li', 'number': 0}), Dict({**WANTED, 'supercell': [2, 2, 1]}), kinds=kinds
    )
    operations = made['path']['states']['mapped']['final']['operations']
    assert all(operation['time_reversal'] for operation in operations)
    mapped = mapping.map_endpoints(
        plan=made['path'],
        relaxed_initial=relaxed_by(made['initial']),
        unrelaxed_initial=made['initial'],
        unrelaxed_final=made['final'],
    )['final']
    assert [site.kind_name for site in mapped.sites] == [site.kind_name for site in made['final'].sites]
    assert structure_from_node(mapped, kinds).site_properties['magmom'].count(-4.0) == 4


def test_copies_of_a_state():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    made = network.create_network(crystal, Dict({'ion': 'Al', 'max_length': 4.5}), Dict(WANTED))
    copies = made['plan']['states']['copies']
    assert copies
    label, source = next(iter(copies.items()))
    relaxed = relaxed_by(made[source])
    copied = mapping.copy_endpoints(
        plan=made['plan'],
        **{f'relaxed_{source}': relaxed, f'unrelaxed_{source}': made[source]},
        **{f'unrelaxed_{name}': made[name] for name in copies},
    )[label]
    before, after = structure_from_node(relaxed), structure_from_node(copied)
    distances = before.lattice.get_all_distances(before.frac_coords, after.frac_coords)
    assert distances.min(axis=1).max() < 1e-6, 'the same atoms at the same places'
    shifts = after.cart_coords - structure_from_node(made[label]).cart_coords
    assert np.linalg.norm(shifts, axis=1).max() < 0.5, 'in the order and the images of the other hop'


def test_failed_hops_stand_in_the_plan():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    made = network.create_network(
        crystal, Dict({'ion': 'Al', 'max_length': 4.5}), Dict({**WANTED, 'supercell': [1, 2, 2]})
    )
    assert list(made['plan']['failed']) == ['hop_1']
    assert 'hop_1_path' not in made
    assert set(made['plan']['hops']) == {'hop_0', 'hop_1'}


def test_interstitial_and_divacancy_hops_make_networks():
    """An added ion has as few states as it has distinct places, and so has a pair of vacancies."""
    olivine = Structure.from_file(EXAMPLES / 'LiFePO4.cif')
    empty = olivine.copy()
    empty.remove_species(['Li'])
    settings = Dict({**WANTED, 'supercell': [1, 2, 1]})
    selection = {'ion': 'Li', 'mechanism': 'interstitial', 'sites': [[0, 0, 0]]}
    made = network.create_network(node_from_structure(empty)[0], Dict(selection), settings)
    assert made['plan']['states']['representatives'] == ['hop_0_initial']
    assert len(made['hop_0_initial'].sites) == 2 * 24 + 1
    hops = {'ion': 'Li', 'extra_vacancies': 1, 'max_length': 6.0, 'numbers': [0, 1, 2]}
    settings = Dict({**WANTED, 'supercell': [1, 2, 2]})
    made = network.create_network(node_from_structure(olivine)[0], Dict(hops), settings)
    states = made['plan']['states']
    assert 1 <= len(states['representatives']) < 6
    assert len(states['representatives']) + len(states['mapped']) + len(states['copies']) == 6
    assert len(made['hop_0_initial'].sites) == 110


def task(energy=-1.0, steps=0, status='converged', evaluations=None):
    return {
        'energy': energy,
        'n_steps': steps,
        'status': status,
        'n_evaluations': steps + 1 if evaluations is None else evaluations,
    }


@pytest.mark.parametrize(
    ('check', 'expected'),
    [
        (task(), 'verified'),
        (task(energy=-1.004), 'verified'),
        (task(energy=-1.006), 'energy_differs'),
        (task(energy=-1.006, steps=2), 'energy_differs'),
        (task(steps=3), 'relaxed_further'),
        (task(status='diverged'), 'failed'),
        (task(energy=None), 'failed'),
        (None, 'failed'),
    ],
)
def test_verdict(check, expected):
    assert mapping.verdict(-1.0, check) == expected


def test_economy_of_a_hop():
    states = {'mapped': {'final': {'from': 'initial'}}, 'copies': {}}
    ends = {'initial': 'initial', 'final': 'final'}
    results = {'relax_endpoints': {'tasks': {'initial': task(steps=19)}}}

    def saved(check):
        found = mapping.economy(ends, states, {**results, 'verify_endpoints': {'tasks': {'final': check}}})
        return found['endpoint_mapping'], found['relaxations_saved'], found['evaluations_saved']

    assert saved(task()) == ('verified', 1, 19)
    assert saved(task(steps=4)) == ('relaxed_further', 0, 15)
    assert saved(task(energy=0.0, steps=4)) == ('energy_differs', 0, -5)
    assert mapping.economy(ends, None, results)['endpoint_mapping'] == 'not_asked'
    assert mapping.economy(ends, {'mapped': {}, 'copies': {}}, results)['endpoint_mapping'] == 'no_operation'
    assert mapping.economy(ends, states, {}) == {}, 'nothing was relaxed'


def test_economy_of_shared_states():
    """A copy costs nothing, and one of a state that had to be relaxed saves nothing."""
    states = {'mapped': {'b': {'from': 'a'}}, 'copies': {'c': 'a', 'd': 'b'}}
    results = {
        'relax_endpoints': {'tasks': {'a': task(steps=9)}},
        'verify_endpoints': {'tasks': {'b': task()}},
    }
    found = mapping.economy({'initial': 'c', 'final': 'd'}, states, results)
    assert found['endpoint_states'] == {'initial': 'copied', 'final': 'copied'}
    assert (found['relaxations_saved'], found['evaluations_saved']) == (2, 20)
    assert found['endpoint_mapping'] == 'verified'
    results['verify_endpoints'] = {'tasks': {'b': task(energy=3.0)}}
    found = mapping.economy({'initial': 'c', 'final': 'd'}, states, results)
    assert found['endpoint_states'] == {'initial': 'copied', 'final': 'energy_differs'}
