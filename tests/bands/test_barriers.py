"""Barrier definitions, on paths worked out by hand and on every path under reversal and shift."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_embarrier.bands import Band, Kind
from aiida_embarrier.bands.barriers import barriers, end_falls, split_at_minima

# two humps, of which the second rises from a valley below both ends
HUMPS = [0.0, 0.40, -0.10, 0.35, 0.05]


def test_two_humps_by_hand():
    found = barriers(HUMPS)
    assert found.forward == pytest.approx(0.40)
    assert found.reverse == pytest.approx(0.35)
    assert found.span == pytest.approx(0.50)
    assert found.rate_limiting == pytest.approx(0.45)
    assert found.rate_limiting_images == (2, 3)
    assert found.rate_limiting_reverse == pytest.approx(0.50)
    assert (found.saddle, found.endpoint_maximum, found.equivalent_endpoints) == (1, False, False)
    ((image, energy, depth),) = found.minima
    assert image == 2
    assert energy == pytest.approx(-0.10)
    assert depth == pytest.approx(0.45)


def test_a_periodic_path_rises_over_its_boundary():
    energies = [0.0, 0.40, -0.10, 0.35, 0.01]
    # from the valley over the boundary to the first hump of the next period
    periodic = barriers(energies)
    assert periodic.equivalent_endpoints
    assert periodic.rate_limiting == periodic.rate_limiting_reverse == periodic.span == pytest.approx(0.50)
    assert periodic.rate_limiting_images == (2, 1)
    open_ended = barriers(energies, equivalent_endpoints=False)
    assert open_ended.rate_limiting == pytest.approx(0.45)
    assert not barriers(energies, tolerance=0.005).equivalent_endpoints
    assert 'periodic' in periodic.definitions['rate_limiting']
    assert 'periodic' not in open_ended.definitions['rate_limiting']


@pytest.mark.parametrize(
    ('energies', 'highest'),
    [([0.0, 0.1, 0.3], 2), ([0.3, 0.1, 0.0], 0), ([0.0, 0.3], 1), ([0.0, 0.3, 0.3], 2), ([0.2, 0.1, 0.2], 0)],
)
def test_a_maximum_at_an_endpoint_is_no_saddle(energies, highest):
    found = barriers(energies)
    assert found.endpoint_maximum
    assert found.saddle is None
    assert found.highest_image == highest


def test_a_path_that_only_falls_has_no_rate_limiting_rise():
    found = barriers([0.5, 0.3, 0.0])
    assert found.rate_limiting == 0.0
    assert found.rate_limiting_reverse == pytest.approx(0.5)


@pytest.mark.parametrize('equivalent', [True, False])
def test_noise_does_not_turn_a_rise_around(equivalent):
    """On a symmetric path the last image may be lower than the first by noise; the values stay exact."""
    found = barriers([0.0, 0.06, 0.158, 0.06, -0.00002], equivalent)
    assert found.rate_limiting_images == (0, 2)
    assert found.span == 0.158 + 0.00002
    assert found.rate_limiting == (found.span if equivalent else 0.158)
    start = barriers([0.0, -0.0009, 0.158, 0.06, 0.0], equivalent)
    assert start.rate_limiting_images == (0, 2)
    assert start.rate_limiting == 0.158 + 0.0009
    assert barriers([0.0, -0.0011, 0.158, 0.06, 0.0], equivalent).rate_limiting_images == (1, 2)


def test_minima_on_a_plateau_and_in_the_noise():
    found = barriers([0.0, 0.3, 0.1, 0.1, 0.1, 0.4, 0.3999, 0.4, 0.0])
    assert [minimum.image for minimum in found.minima] == [3]
    assert [minimum.image for minimum in barriers([0.0, 0.4, 0.3999, 0.4, 0.0], minimum_depth=1e-5).minima] == [2]


def test_the_dictionary_holds_plain_values_and_a_definition_for_every_barrier():
    found = barriers(np.array(HUMPS)).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert set(found['definitions']) == {'forward', 'reverse', 'span', 'rate_limiting', 'rate_limiting_reverse'}
    assert len(set(found['definitions'].values())) == 5


@pytest.mark.parametrize(
    ('energies', 'message'),
    [
        ([0.0, np.nan, 0.1, np.inf], r'image\(s\) 1, 3 are not known: compute'),
        ([0.0], 'at least two images'),
        ([[0.0, 0.1]], r'shape \(1, 2\)'),
    ],
)
def test_energies_that_make_no_path_are_refused(energies, message):
    with pytest.raises(ValueError, match=message):
        barriers(energies)


# multiples of 1/512 eV, so that sums and differences are exact and no two unlike energies count as a tie
PATHS = st.lists(st.integers(-1500, 1500).map(lambda number: number / 512), min_size=2, max_size=12)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(energies=PATHS, shift=st.integers(-100, 100), equivalent=st.sampled_from([None, True, False]))
def test_definitions_under_reversal_and_shift(energies, shift, equivalent):
    found = barriers(energies, equivalent)
    back = barriers(energies[::-1], equivalent)
    assert (back.forward, back.reverse, back.span) == (found.reverse, found.forward, found.span)
    assert (back.rate_limiting, back.rate_limiting_reverse) == (found.rate_limiting_reverse, found.rate_limiting)
    assert back.endpoint_maximum == found.endpoint_maximum
    assert sorted(minimum.depth for minimum in back.minima) == sorted(minimum.depth for minimum in found.minima)
    moved = barriers([energy + shift for energy in energies], equivalent)
    assert moved == found


@settings(derandomize=True, deadline=None, max_examples=300)
@given(energies=PATHS)
def test_definitions_against_all_pairs_of_images(energies):
    found = barriers(energies, equivalent_endpoints=False)
    rises = [later - earlier for index, earlier in enumerate(energies) for later in energies[index:]]
    assert found.rate_limiting == max(rises)
    low, high = found.rate_limiting_images
    assert low <= high
    assert energies[high] - energies[low] == found.rate_limiting
    assert max(found.forward, found.rate_limiting) <= found.span
    assert found.forward <= found.rate_limiting
    assert found.reverse <= found.rate_limiting_reverse
    # going round twice, the largest rise of a periodic path is its span
    twice = energies[:-1] * 2
    periodic = barriers([*energies[:-1], energies[0]], equivalent_endpoints=True)
    assert periodic.rate_limiting == max(
        later - earlier for index, earlier in enumerate(twice) for later in twice[index:]
    )
    for minimum in found.minima:
        left, right = energies[: minimum.image], energies[minimum.image + 1 :]
        assert min(max(left), max(right)) >= energies[minimum.image] + minimum.depth


def band(energies) -> Band:
    count = len(energies)
    positions = np.zeros((count, 2, 3))
    positions[:, 0, 0] = np.arange(count)
    return Band(
        kinds=(Kind('Li', 'Li'), Kind('O', 'O')),
        kind_indices=np.array([0, 1]),
        lattice=np.stack([np.eye(3) * (9 + image) for image in range(count)]),
        positions=positions,
        mobile=(0,),
        energies=np.array(energies),
        forces=positions * 0.1,
        max_perpendicular_forces=np.arange(count) / 100,
    )


def test_a_band_is_split_where_an_ion_can_rest():
    energies = [0.0, 0.40, -0.10, 0.35, 0.345, 0.36, 0.05]
    pieces = split_at_minima(band(energies))
    assert [piece.energies.tolist() for piece in pieces] == [energies[:3], energies[2:]]
    second = pieces[1]
    np.testing.assert_array_equal(second.positions[:, 0, 0], [2, 3, 4, 5, 6])
    np.testing.assert_array_equal(second.forces, band(energies).forces[2:])
    np.testing.assert_array_equal(second.lattice, band(energies).lattice[2:])
    np.testing.assert_array_equal(second.max_perpendicular_forces, band(energies).max_perpendicular_forces[2:])
    assert second.mobile == (0,)
    assert max(barriers(piece.energies, False).forward for piece in pieces) == barriers(energies).rate_limiting
    assert len(split_at_minima(band(energies), minimum_depth=0.001)) == 3
    assert len(split_at_minima(band([0.0, 0.3, 0.0]))) == 1


def test_published_profiles_span_what_their_authors_report(shared_data):
    with gzip.open(shared_data / 'neb_refs' / 'mlip_neb_energies.json.gz', 'rt') as handle:
        systems = json.load(handle)
    systems = systems if isinstance(systems, list) else list(systems.values())
    checked = 0
    for system in systems:
        for profile in system['mlip'].values():
            found = barriers(profile['energies_eV'])
            assert found.span == pytest.approx(profile['max_minus_min'], abs=1e-3)
            assert found.forward == pytest.approx(profile['max_minus_initial'], abs=1e-3)
            assert found.endpoint_maximum == profile['endpoint_is_max']
            checked += 1
    assert checked == 49


def test_ends_from_which_the_energy_falls_are_no_minima():
    path = [0.0, -0.05, -0.078, 0.37, -0.02, 0.0]
    assert [(fall.end, fall.image, round(fall.depth, 3)) for fall in end_falls(path)] == [
        ('first', 2, 0.078),
        ('last', 4, 0.02),
    ]
    assert end_falls([0.0, -0.004, 0.3, 0.1, 0.0]) == [], 'noise of relaxations is no fall'
    assert end_falls([0.5, 0.3, 0.1, 0.0]) == [], 'a path that only falls has no other minimum'
