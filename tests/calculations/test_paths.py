"""Calcfunctions of a path: what they make, and that input without sense gives an exit code and not an exception."""

import re

import numpy as np
import pytest
from aiida.orm import Dict
from systems import aluminium, aluminium_vacancy_ends, computed_band, straight_band

from aiida_embarrier.calculations import paths
from aiida_embarrier.calculations.results import add_up
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture
def ends():
    """Return the nodes of both endpoints."""
    return [node_from_structure(end)[0] for end in aluminium_vacancy_ends()]


def test_create_endpoints():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    made = paths.create_endpoints(crystal, Dict({'ion': 'Al', 'number': 0}), Dict({'min_image_distance': 8.0}))
    assert [len(made[label].sites) for label in ('initial', 'final')] == [31, 31]
    path = made['path'].get_dict()
    assert path['mobile'] == [0]
    assert path['mechanism'] == 'vacancy'
    assert path['equivalent_endpoints'] is True
    assert path['supercell'] == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert path['warnings'] == []


def test_lowered_limit_does_not_silence_the_warning():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    made = paths.create_endpoints(crystal, Dict({'ion': 'Al', 'number': 0}), Dict({'min_image_distance': 4.0}))
    assert 'finite size' in made['path']['warnings'][0]
    small = [node_from_structure(end)[0] for end in aluminium_vacancy_ends()]
    made = paths.align(*small, Dict({'mechanism': 'vacancy', 'min_image_distance': 4.0}))
    assert made['path']['warnings'] == []  # 8.1 Å


def test_host_that_became_another_crystal_is_a_warning():
    crystal, grown = aluminium((1, 1, 1)), aluminium((1, 1, 1))
    grown.apply_strain(0.05)
    nodes = {'crystal': node_from_structure(crystal)[0], 'host': node_from_structure(grown)[0]}
    made = paths.create_endpoints(
        hop=Dict({'ion': 'Al', 'number': 0}), parameters=Dict({'min_image_distance': 8.0}), **nodes
    )
    assert 'the volume of the host changed by +16 %' in made['path']['warnings'][0]


def test_hop_that_became_another_is_a_warning():
    band = computed_band()
    path = Dict({'warnings': [], 'hop': {'length': 2 * band.hop_length}})
    summary = paths.summarise(BandData(band), path=path)
    assert any('look where it went' in warning for warning in summary['warnings'])
    positions = band.positions.copy()
    positions[:, 5, 2] += [0, 3, 6, 9, 12]
    summary = paths.summarise(BandData(band.replace(positions=positions)))
    assert any('the host rearranges along it' in warning for warning in summary['warnings'])


def test_small_supercell_gives_a_warning_that_travels():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    parameters = Dict({'min_image_distance': 8.0, 'supercell': [2, 2, 1]})
    made = paths.create_endpoints(crystal, Dict({'ion': 'Al', 'number': 0}), parameters)
    assert 'finite size' in made['path']['warnings'][0]
    summary = paths.summarise(BandData(computed_band()), path=made['path'])
    assert 'finite size' in summary['warnings'][0]


def test_hop_spelt_out():
    from aiida_embarrier.structures.hops import find_hops

    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    hop = Dict(find_hops(aluminium((1, 1, 1)), 'Al')[0].to_dict())
    chosen = paths.create_endpoints(crystal, Dict({'ion': 'Al', 'number': 0}), Dict({'min_image_distance': 8.0}))
    spelt = paths.create_endpoints(crystal, hop, Dict({'min_image_distance': 8.0}))
    assert spelt['path'].get_dict() == chosen['path'].get_dict()


def test_hop_that_does_not_exist_is_an_exit_code():
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    _, node = paths.create_endpoints.run_get_node(
        crystal, Dict({'ion': 'Al', 'number': 7}), Dict({'min_image_distance': 8.0})
    )
    assert node.exit_status == 201
    assert 'there is no hop 7' in node.exit_message


def test_align_finds_the_ion_and_warns_of_a_small_cell(ends):
    made = paths.align(*ends, Dict({'mechanism': 'vacancy', 'min_image_distance': 10.0}))
    assert made['path']['mobile'] == [0]
    assert 'periodic images of the migrating Al are 8.10 Å apart, less than 10 Å' in made['path']['warnings'][0]


def test_rattle_is_repeatable_and_moves_no_centre(ends):
    parameters = Dict({'amplitude': 0.05, 'seed': 3})
    both = paths.rattle(parameters, initial=ends[0], final=ends[1])
    alone = paths.rattle(parameters, initial=ends[0])
    before, after = ([site.position for site in node.sites] for node in (ends[0], both['initial']))
    shifts = np.subtract(after, before)
    assert shifts.std() == pytest.approx(0.05, rel=0.3)
    assert shifts.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-12)
    assert [site.position for site in alone['initial'].sites] == after
    other = paths.rattle(Dict({'amplitude': 0.05, 'seed': 4}), initial=ends[0])
    assert [site.position for site in other['initial'].sites] != after
    assert [site.kind_name for site in both['final'].sites] == [site.kind_name for site in ends[1].sites]


@pytest.mark.parametrize('interpolation', ['idpp', 'linear'])
def test_interpolate(ends, interpolation):
    path = Dict({'mobile': [0], 'mechanism': 'vacancy', 'host': 'Al', 'equivalent_endpoints': True})
    band = paths.interpolate(
        *ends, path, Dict({'n_images': 5, 'interpolation': interpolation, 'host_treatment': 'cell'})
    )
    attributes = band.base.attributes.all
    assert attributes['n_images'] == 5
    assert (attributes['host'], attributes['host_treatment'], attributes['mechanism']) == ('Al', 'cell', 'vacancy')
    assert attributes['equivalent_endpoints'] is True


def test_endpoints_that_are_one_minimum_are_an_exit_code(ends):
    path = Dict({'mobile': [0], 'mechanism': 'vacancy'})
    parameters = Dict({'n_images': 5, 'interpolation': 'linear'})
    _, node = paths.interpolate.run_get_node(ends[0], ends[0].clone(), path, parameters)
    assert node.exit_status == 201
    assert 'both endpoints are the same minimum' in node.exit_message


def test_endpoint_on_top_of_the_host_is_an_exit_code(ends):
    final = aluminium_vacancy_ends()[1]
    final.translate_sites([0], np.subtract(final.cart_coords[1] + [0.7, 0, 0], final.cart_coords[0]), frac_coords=False)
    parameters = Dict({'n_images': 5, 'interpolation': 'linear'})
    path = Dict({'mobile': [0], 'mechanism': 'vacancy'})
    _, node = paths.interpolate.run_get_node(ends[0], node_from_structure(final)[0], path, parameters)
    assert node.exit_status == 201
    assert 'the last endpoint' in node.exit_message


def test_image_near_the_host_is_a_warning_of_the_summary():
    band = straight_band()
    positions = band.positions.copy()
    positions[2, 0] = positions[2, 5] + [0, 0, 0.9]
    summary = paths.summarise(BandData(computed_band()), guess=BandData(band.replace(positions=positions)))
    assert any('starting band: in image 2 the migrating Al' in warning for warning in summary['warnings'])


def test_summary_counts_every_step():
    results = [Dict({'n_evaluations': count, 'wall_s': float(count)}) for count in (3, 4)]
    summary = paths.summarise(BandData(computed_band()), neb=results[0], relax_host=results[1])
    assert summary['n_force_evaluations'] == 7
    assert summary['worker_wall_s'] == {'neb': 3.0, 'relax_host': 4.0}


def test_summary_warns_of_equivalent_endpoints_that_are_not():
    summary = paths.summarise(BandData(computed_band(equivalent_endpoints=True)))
    assert any('equivalent by symmetry' in warning for warning in summary['warnings'])
    # a path with equivalent endpoints is periodic, whatever its energies say
    assert summary['barriers']['rate_limiting'] == summary['barriers']['span']


@pytest.mark.parametrize(
    ('energies', 'words', 'others'),
    [
        (
            [0.0, -0.078, 0.368, -0.05, 0.0],
            (
                'the first endpoint is no minimum, image 1 lies 0.078 eV below it and the last endpoint is no minimum',
                '`rattle: 0.1`',
                'launch segments PK --depth 0.02',
                'the rate-limiting barrier, 0.446 eV',
            ),
            'interior',
        ),
        ([0.0, 0.3, 0.1, 0.4, 0.0], ('interior minimum at image 2 (0.200 eV deep)', 'PK --depth 0.02'), 'no minimum'),
        ([0.0, 0.3, 0.2956, 0.4, 0.0], ('shallow dip at image 2 (0.004 eV deep)', 'PK --depth 0.004'), 'interior'),
    ],
)
def test_summary_warns_of_ends_and_images_between_humps(energies, words, others):
    [warning] = paths.summarise(BandData(computed_band().replace(energies=energies)))['warnings']
    assert all(word in warning for word in words)
    assert others not in warning


def test_depth_that_a_warning_names_splits_the_path():
    from aiida_embarrier.calculations.segments import minima_of

    for energies in ([0.0, 0.3, 0.2956, 0.4, 0.0], [0.0, -0.01, 0.3, 0.1, 0.2]):
        band = computed_band().replace(energies=energies)
        [warning] = paths.summarise(BandData(band))['warnings']
        assert minima_of(band, float(re.search(r'--depth ([\d.]+)', warning).group(1)))


def test_summary_of_a_starting_band_is_an_exit_code():
    _, node = paths.summarise.run_get_node(BandData(straight_band()))
    assert node.exit_status == 201
    assert 'are not known' in node.exit_message


def test_add_up():
    jobs = {
        f'job_{number}': Dict({'n_evaluations': number, 'wall_s': 1.5, 'tasks': {'band': {'n_steps': number}}})
        for number in range(1, 12)
    }
    total = add_up(**jobs)
    assert total['n_evaluations'] == 66
    assert total['wall_s'] == pytest.approx(16.5)
    assert total['n_jobs'] == 11
    assert total['tasks']['band']['n_steps'] == 11
