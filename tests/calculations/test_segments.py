"""Calcfunctions that take a path apart and put it together: what becomes of minima, and what readers are told."""

import numpy as np
import pytest
from aiida.orm import Dict
from systems import adatom_path, with_emt

from aiida_embarrier.bands.segments import part
from aiida_embarrier.calculations.segments import join_segments, make_segments, summarise_segments, take_images
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture(scope='module')
def path():
    return with_emt(adatom_path(), converged=True, equivalent_endpoints=True)


def structure(path, image, toward=None, share=1.0):
    """Return an image as a node, moved some of the way to another one."""
    target = image if toward is None else toward
    positions = (1 - share) * path.positions[image] + share * path.positions[target]
    return node_from_structure(path.replace(positions=np.stack([positions] * path.n_images)).structure(0))[0]


def segments_of(path, images, ends, n_images=5):
    parameters = Dict({'n_images': n_images, 'images': images})
    return make_segments(BandData(path), parameters, **ends)


def test_taken_images(path):
    taken = take_images(BandData(path), Dict({'images': {'corner': 4}}))
    assert set(taken) == {'corner', 'kinds'}
    np.testing.assert_allclose([site.position for site in taken['corner'].sites], path.positions[4])


def test_two_segments(path):
    made = segments_of(path, {'corner': 4}, {'corner': structure(path, 4)})
    assert set(made) == {'segment_1', 'segment_2', 'found'}
    assert made['found'].get_dict() == {'images': [0, 4, 8], 'notes': []}
    np.testing.assert_allclose(made['segment_2'].band.positions, path.positions[4:], atol=1e-9)
    assert made['segment_1'].base.attributes.get('equivalent_endpoints') is None


@pytest.mark.parametrize(('toward', 'words'), [(0, 'the first end'), (8, 'the last end')])
def test_minimum_that_relaxes_into_an_end(path, toward, words):
    made = segments_of(path, {'corner': 4}, {'corner': structure(path, 4, toward, 0.95)})
    assert set(made) == {'found'}
    first, second = made['found']['notes']
    assert 'moved by 2.7' in first
    assert second == f'image 4 is no minimum: relaxed, it went into {words}'


def test_minima_that_relax_into_one_another(path):
    images = {'a': 4, 'b': 5}
    made = segments_of(path, images, {'a': structure(path, 4), 'b': structure(path, 5, 4, 0.95)})
    assert made['found']['images'] == [0, 4, 8]
    assert made['found']['notes'] == ['image 5 is no minimum: relaxed, it went into the minimum at image 4']


def test_other_ends_of_the_whole_path(path):
    ends = {'initial': structure(path, 0, 1, 0.1), 'final': structure(path, 8)}
    made = segments_of(path, {'initial': 0, 'final': 8}, ends, 9)
    band = made['segment_1'].band
    np.testing.assert_allclose(band.positions[0], 0.9 * path.positions[0] + 0.1 * path.positions[1])
    assert band.info.equivalent_endpoints is True
    _, node = make_segments.run_get_node(
        BandData(path),
        Dict({'n_images': 9, 'images': {'initial': 0, 'final': 8}}),
        initial=structure(path, 0),
        final=structure(path, 8, 0, 0.95),
    )
    assert node.exit_status == 201
    assert 'both ends of the path relaxed into the same place' in node.exit_message


def test_join_and_summary(path):
    pieces = {'segment_1': BandData(part(path, 0, 4)), 'segment_2': BandData(part(path, 4, 8))}
    joined = join_segments(BandData(path), **pieces)
    assert joined.base.attributes.get('equivalent_endpoints') is True
    np.testing.assert_array_equal(joined.band.energies, path.energies)
    result = Dict({'n_evaluations': 7, 'wall_s': 1.0})
    parameters = Dict({'depth': 0.02, 'notes': ['look'], 'settled': []})
    summary = summarise_segments(joined, BandData(path), parameters, **pieces, neb_1=result).get_dict()
    assert summary['barriers'] == {key: summary['unsplit'][key] for key in summary['barriers']}
    assert [row['images'] for row in summary['segments']] == [[0, 4], [4, 8]]
    assert summary['force_evaluations'] == {'neb_1': 7}
    assert summary['notes'] == ['look']
    assert summary['warnings'] == []


@pytest.mark.parametrize(
    ('energies', 'equivalent', 'segment'),
    [
        ([0.0, 0.1, 0.257, 0.1, -0.01, 0.1, 0.257, 0.1, 0.0], True, 2),  # as high, but from a lower place
        ([0.0, 0.1, 0.4, 0.1, 0.05, 0.1, 0.3, 0.1, 0.0], True, 1),
        ([0.0, 0.1, 0.2, 0.1, 0.05, 0.1, 0.3, 0.1, 0.0], True, 2),
        ([0.0, 0.1, 0.2, -0.5, -1.0, -0.8, -0.5, -0.8, -1.0], False, 2),  # lower, but the larger rise
    ],
)
def test_rate_limiting_segment(path, energies, equivalent, segment):
    given = path.replace(energies=energies, equivalent_endpoints=equivalent)
    pieces = {'segment_1': BandData(part(given, 0, 4)), 'segment_2': BandData(part(given, 4, 8))}
    parameters = Dict({'depth': 0.02, 'notes': [], 'settled': []})
    node = BandData(given)
    summary = summarise_segments(node, node, parameters, **pieces)
    assert summary['rate_limiting_segment'] == segment
    limiting = summary['segments'][segment - 1]
    assert summary['barriers']['rate_limiting'] >= limiting['forward'] - 1e-9


def test_warnings_of_a_split_path(path):
    """A segment that has a minimum itself, one without a saddle that did not converge, and another method."""
    falling = part(path, 4, 8).replace(energies=path.energies[8] - np.arange(5) / 100, converged=False)
    pieces = {'segment_1': BandData(path), 'segment_2': BandData(falling)}
    other = BandData(path.replace(potential='morse'))
    parameters = {'depth': 0.02, 'notes': [], 'settled': []}
    warnings = summarise_segments(BandData(path), other, Dict(parameters), **pieces)['warnings']
    for words in (
        'the unsplit path was computed by morse, the segments by emt',
        'segment 1 has an interior minimum itself (image 4 of the joined path)',
        'segment 2 is not converged',
        'segment 2 has its highest energy at an end',
    ):
        assert any(words in warning for warning in warnings), words
    assert len(warnings) == 4
    settled = summarise_segments(BandData(path), other, Dict({**parameters, 'settled': [1]}), **pieces)['warnings']
    assert len(settled) == 3, 'minima that turned out to be none are not to be split again'
