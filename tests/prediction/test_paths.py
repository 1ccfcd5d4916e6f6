"""Paths of rows and bands, what is read off them, and what is none."""

import json

import numpy as np
import pytest
from prediction.small_paths import small_path

from aiida_embarrier.bands.band import Band
from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.prediction.paths import MigrationPath, PathError


def entries(path):
    """Return what a path is made of."""
    return {
        'name': path.name,
        'lattice': path.lattice,
        'species': path.species,
        'coords': path.coords,
        'ion': path.ion,
        'points': path.points,
        'final_coords': path.final_coords,
    }


def test_points_in_between():
    path = small_path()
    bent = MigrationPath(**{**entries(path), 'points': [[0, 0, 0], [0.3, 0, 0], [0.3, 0.6, 0]]})
    cell = bent.lattice
    lengths = [np.linalg.norm(cell[0]) * 0.3, np.linalg.norm(cell[1]) * 0.6]
    assert bent.path_length == pytest.approx(sum(lengths))
    assert bent.hop_length == pytest.approx(np.linalg.norm([0.3, 0.6, 0] @ cell))
    corner = lengths[0] / sum(lengths)
    assert bent.at([0, corner, 1]) == pytest.approx(np.array([[0, 0, 0], [0.3, 0, 0], [0.3, 0.6, 0]]))
    assert bent.at([corner / 2])[0] == pytest.approx([0.15, 0, 0])


def test_composite_is_the_published_one():
    path = small_path(moves=0.02)
    composite = path.composite()
    assert [site.specie.symbol for site in composite] == ['Li'] * 5 + ['Mg'] * 2 + ['O'] * 4
    steps = np.diff(composite.frac_coords[:5], axis=0)
    assert steps == pytest.approx(np.broadcast_to((path.points[-1] - path.points[0]) / 4, (4, 3)))
    assert composite.frac_coords[5:] == pytest.approx(path.coords)  # the host of the initial state, as published


def test_composites_of_the_published_rows(shared_data):
    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    for row in frame.iloc[::40].to_dict('records'):
        composite = MigrationPath.from_row(row).composite()
        assert len(composite) == row['n_atoms'] + 4
        assert composite.frac_coords[:5] == pytest.approx(np.array(json.loads(row['path'])), abs=2e-8)


def test_host_goes_the_short_way():
    path = small_path(moves=0.02)
    wrapped = MigrationPath(**{**entries(path), 'final_coords': path.final_coords + np.array([1.0, 0, -1.0])})
    assert wrapped.host_at(0.5) == pytest.approx((path.coords + path.final_coords) / 2)
    assert wrapped.final.distance_matrix == pytest.approx(path.final.distance_matrix)


def test_reversed():
    path = small_path(moves=0.02)
    back = path.reversed()
    assert back.initial.cart_coords[0] == pytest.approx(path.final.cart_coords[0])
    assert back.host_at(0.0) == pytest.approx(path.host_at(1.0))
    assert back.reversed().host_at(0.3) == pytest.approx(path.host_at(0.3))


def test_row_and_band_give_the_same_path():
    path = small_path(moves=0.02, functional='GGA+U')
    row = {
        'name': 'a',
        'lattice': to_json(path.lattice, 12),
        'species': to_json(path.species),
        'frac_coords': to_json(path.coords, 12),
        'ion': 'Li',
        'path': to_json(path.points, 12),
        'final_frac_coords': to_json(path.final_coords, 12),
        'functional': 'GGA+U',
        'barrier': 0.3,
    }
    of_row = MigrationPath.from_row(row)
    of_band = MigrationPath.from_band(
        Band.from_structures([path.structure(at) for at in (0, 0.5, 1)], mobile=(0,)), 'a'
    )
    for found in (of_row, of_band):
        assert found.points[[0, -1]] == pytest.approx(path.points)
        assert found.host_at(1.0) == pytest.approx(path.final_coords)
        assert found.species == path.species
    assert (of_row.functional, of_band.functional) == ('GGA+U', None)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'points': [[0, 0, 0], [0.01, 0, 0]]}, r'0\.04\d Å apart, so they are the same site'),
        ({'points': [[0, 0, 0]]}, 'two points at least'),
        ({'ion': 'Xx'}, "'Xx' is no element"),
        ({'coords': [[0, 0, 0]]}, r'coords has the shape \(1, 3\)'),
        ({'lattice': np.zeros((3, 3))}, 'no volume'),
        ({'points': [[0, 0, 0], [np.nan, 0, 0]]}, 'not finite'),
        ({'final_coords': [[0, 0, 0]]}, 'does not have the atoms of the initial one'),
    ],
)
def test_refused(changes, message):
    with pytest.raises(PathError, match=message):
        MigrationPath(**{**entries(small_path()), **changes})


def test_band_with_a_second_mover():
    path = small_path()
    first, last = path.initial, path.final
    moved = last.copy()
    moved.translate_sites([1], [0.4, 0, 0], to_unit_cell=False)
    with pytest.raises(PathError, match=r'besides Li 0, Mg 1 moves by 1\.\d\d Å'):
        MigrationPath.from_band(Band.from_structures([first, moved], mobile=(0,)))
    with pytest.raises(PathError, match='2 atoms of the band are mobile'):
        MigrationPath.from_band(Band.from_structures([first, last], mobile=(0, 1)))
