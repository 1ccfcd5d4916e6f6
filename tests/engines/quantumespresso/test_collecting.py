"""Structures with U, relaxed structures, bands of single images, and results."""

import numpy as np
import pytest
from aiida.orm import Dict, Str, StructureData, TrajectoryData

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.collecting import (
    add_hubbard,
    assemble_band,
    collect_bands,
    collect_jobs,
    collect_relaxations,
    image_structures,
    place_atoms,
)

pytestmark = pytest.mark.usefixtures('aiida_profile')


def trajectory(energies, forces=None, **arrays):
    node = TrajectoryData()
    count = len(energies)
    positions = np.zeros((count, 2, 3))
    node.set_trajectory(symbols=['Mn1', 'O'], positions=positions, stepids=np.arange(count), pbc=(False,) * 3)
    node.set_array('energy', np.array(energies))
    node.set_array('forces', np.zeros((count, 2, 3)) if forces is None else np.array(forces))
    for name, values in arrays.items():
        node.set_array(name, np.array(values))
    return node


def test_card_of_an_antiferromagnet(afm_band):
    """aiida-quantumespresso writes the card of each kind once."""
    from aiida_quantumespresso.utils.hubbard import HubbardUtils

    structure = image_structures(BandData(afm_band))['image_00']
    kinds = {name: {'u': 3.9, 'manifold': '3d'} for name in ('Mn1', 'Mn2')}
    node = add_hubbard(structure, Dict({'projectors': 'ortho-atomic', 'kinds': kinds}))
    lines = [line.split() for line in HubbardUtils(node).get_hubbard_card().splitlines()]
    assert lines == [['HUBBARD', 'ortho-atomic'], ['U', 'Mn1-3d', '3.9'], ['U', 'Mn2-3d', '3.9']]
    assert [site.kind_name for site in node.sites] == ['Mn1', 'O', 'Mn2', 'O']
    assert np.allclose([site.position for site in node.sites], afm_band.positions[0])


def test_images_are_not_wrapped(afm_band):
    images = image_structures(BandData(afm_band))
    assert list(images) == ['image_00', 'image_01', 'image_02']
    for image, node in enumerate(images.values()):
        assert np.allclose([site.position for site in node.sites], afm_band.positions[image])


@pytest.mark.parametrize('cell', ['fixed', 'full'])
def test_relaxed_atoms_stay_beside_where_they_were(cell):
    before, after = (StructureData(cell=np.diag([size, 4.0, 4.0]).tolist()) for size in (4.0, 4.00000004))
    before.append_atom(position=(-0.1, 0, 0), symbols='Mn', name='Mn1')
    before.append_atom(position=(4.2, 2, 2), symbols='O', name='O')
    after.append_atom(position=(3.95, 0, 0), symbols='Mn', name='Mn1')
    after.append_atom(position=(0.25, 2, 2), symbols='O', name='O')
    placed = place_atoms(before.store(), after.store(), Str(cell))
    assert [site.kind_name for site in placed.sites] == ['Mn1', 'O']
    assert placed.sites[0].position == pytest.approx((-0.05, 0, 0), abs=1e-6)
    assert placed.sites[1].position == pytest.approx((4.25, 2, 2), abs=1e-6)
    assert (placed.cell == before.cell) == (cell == 'fixed')


def test_results_of_relaxations():
    jobs = {
        'a_1_parameters': Dict({'wall_time_seconds': 10.0}),
        'a_1_trajectory': trajectory([-1.0, -1.2, -1.3]),
        'a_2_parameters': Dict({'wall_time_seconds': 5.0}),
        'a_2_trajectory': trajectory([-1.3, -1.4], [np.zeros((2, 3)), [[0.0, 0.3, 0.4], [0, 0, 0.1]]]),
        'b_1_parameters': Dict({'wall_time_seconds': 1.0, 'energy': -2.0}),
    }
    described = {
        'a': {'status': 'converged', 'message': '', 'jobs': [{'name': 'a_1', 'cores': 2}, {'name': 'a_2', 'cores': 2}]},
        'b': {'status': 'converged', 'message': '', 'jobs': [{'name': 'b_1', 'cores': 4}]},
        'c': {'status': 'failed', 'message': 'why', 'jobs': [{'name': 'c_1', 'cores': 1}]},
    }
    results = collect_relaxations(Dict(described), **jobs).get_dict()
    first = results['tasks']['a']
    assert (first['energy'], first['n_steps'], first['n_evaluations']) == (-1.4, 3, 5)
    assert (first['wall_s'], first['core_s']) == (15.0, 30.0)
    assert first['max_force'] == pytest.approx(0.5)
    assert (results['tasks']['b']['energy'], results['tasks']['b']['n_steps']) == (-2.0, 0)
    assert results['tasks']['c']['energy'] is None
    assert (results['n_evaluations'], results['wall_s'], results['core_s']) == (6, 16.0, 34.0)


def test_final_self_consistency_of_a_cell_is_no_step():
    described = {'a': {'status': 'converged', 'message': '', 'jobs': [{'name': 'a_1', 'cores': 1}], 'extra': 1}}
    results = collect_relaxations(Dict(described), a_1_trajectory=trajectory([-1.0, -1.1, -1.1])).get_dict()
    assert (results['tasks']['a']['n_steps'], results['tasks']['a']['n_evaluations']) == (1, 3)


def evaluated(band, count):
    images = {}
    for image in range(count):
        forces = np.zeros((1, band.n_atoms, 3))
        forces[0, 0, 1] = 0.1 * image
        node = TrajectoryData()
        node.set_trajectory(
            symbols=['X'] * band.n_atoms, positions=band.positions[[image]], stepids=np.arange(1), pbc=(False,) * 3
        )
        node.set_array('energy', np.array([float(image)]))
        node.set_array('forces', forces)
        node.set_array('atomic_magnetic_moments', np.array([[4.0, 0.1, -4.0, 0.1]]) + image)
        images[f'image_{image:02d}_trajectory'] = node
        images[f'image_{image:02d}_parameters'] = Dict({'wall_time_seconds': 2.0})
    return images


def test_band_of_single_images(afm_band):
    described = Dict({'functional': 'pbe', 'charge': -1.0, 'message': '', 'cores': 3})
    made = assemble_band(BandData(afm_band), described, **evaluated(afm_band, 3))
    band, results = made['band'].band, made['results'].get_dict()
    assert band.energies.tolist() == [0, 1, 2]
    assert np.allclose(band.positions, afm_band.positions)
    assert band.moments[2].tolist() == [6.0, 2.1, -2.0, 2.1]
    assert (band.info.converged, band.info.charge, band.info.functional) == (False, -1.0, 'pbe')
    assert (results['n_evaluations'], results['n_steps'], results['core_s']) == (3, 0, 18.0)
    assert results['residual_force'] == pytest.approx(0.1)


def test_band_with_an_image_that_failed(afm_band):
    described = Dict({'functional': 'pbe', 'charge': 0.0, 'message': 'image_02: why', 'cores': 1})
    made = assemble_band(BandData(afm_band), described, **evaluated(afm_band, 2))
    assert set(made) == {'results'}
    assert (made['results']['status'], made['results']['message']) == ('failed', 'image_02: why')


def test_results_of_jobs_and_bands():
    jobs = [
        {'n_steps': 3, 'n_evaluations': 17, 'wall_s': 5.0, 'residual_forces': [3.0, 2.0, 1.0], 'residual_force': 1.0},
        {'n_steps': 0, 'n_evaluations': 2, 'residual_forces': [], 'residual_force': None},
        {'n_steps': 2, 'n_evaluations': 10, 'wall_s': 4.0, 'residual_forces': [0.5, 0.1], 'residual_force': 0.1},
    ]
    joined = collect_jobs(**{f'job_{number}': Dict(job) for number, job in enumerate(jobs, start=1)})
    assert joined['residual_forces'] == [3.0, 2.0, 1.0, 0.5, 0.1]
    assert (joined['n_steps'], joined['n_evaluations'], joined['wall_s'], joined['n_jobs']) == (5, 29, 9.0, 3)
    assert joined['residual_force'] == 0.1
    described = {'one': {'status': 'converged', 'message': ''}, 'two': {'status': 'failed', 'message': 'why'}}
    results = collect_bands(Dict(described), one=joined).get_dict()
    assert results['tasks']['two'] == {'status': 'failed', 'message': 'why'}
    assert results['tasks']['one']['n_steps'] == 5
    assert results['n_evaluations'] == 29
