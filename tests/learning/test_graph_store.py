"""Graphs of datasets on disk."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.jobs.learning import GraphSettings
from aiida_embarrier.learning import graph_store
from aiida_embarrier.learning.graph_store import CHUNK, RefusedRowsError, graphs_of
from aiida_embarrier.learning.graphs import build_graph

FIELDS = ('numbers', 'source', 'target', 'vectors', 'multiplicity', 'reverse')


def crystals(n, seed=3):
    """Return rows of crystals with two to four atoms."""
    random = np.random.default_rng(seed)
    sizes = random.integers(2, 5, n)
    return pd.DataFrame(
        {
            'name': [f'row {number}' for number in range(n)],
            'lattice': [json.dumps((np.eye(3) * random.uniform(4, 5)).tolist()) for _ in range(n)],
            'species': [json.dumps(random.choice(['Li', 'O', 'Fe'], size).tolist()) for size in sizes],
            'frac_coords': [json.dumps((np.arange(size)[:, None] / size + [0, 0.1, 0.2]).tolist()) for size in sizes],
        }
    )


def assert_same(found, expected):
    """Check that two sequences of graphs hold the same."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for field in FIELDS:
            first, second = getattr(one, field), getattr(other, field)
            assert first.dtype == second.dtype
            assert np.array_equal(first, second)


@pytest.fixture
def built(monkeypatch):
    """Count the rows that are built."""
    rows = []
    original = graph_store.build_graph
    monkeypatch.setattr(graph_store, 'build_graph', lambda *parts: rows.append(1) or original(*parts))
    return rows


def test_graphs_of_rows(tmp_path, built):
    """Graphs are those of the rows, in their order, from memory, on writing and on reading, where nothing is built."""
    frame, settings, told = crystals(CHUNK + 7), GraphSettings(doubled=True), []
    numbers = {'Li': 3, 'O': 8, 'Fe': 26}
    expected = [
        build_graph(json.loads(lattice), [numbers[one] for one in json.loads(species)], json.loads(coords), settings)
        for lattice, species, coords in frame[['lattice', 'species', 'frac_coords']].itertuples(index=False)
    ]
    assert_same(graphs_of(frame, settings), expected)
    assert_same(graphs_of(frame, settings, tmp_path / 'store', lambda *parts: told.append(parts)), expected)
    assert told == [(CHUNK, CHUNK + 7), (CHUNK + 7, CHUNK + 7)]
    assert len(built) == 2 * (CHUNK + 7)
    stored = graphs_of(frame, settings, tmp_path / 'store', lambda *_: pytest.fail('it builds'))
    assert_same(stored, expected)
    assert len(built) == 2 * (CHUNK + 7)
    assert stored.n_atoms.tolist() == [len(graph.numbers) for graph in expected]
    assert stored.n_bonds.tolist() == [len(graph.source) for graph in expected]
    assert_same(stored[-3:], expected[-3:])
    assert_same([stored[-1]], expected[-1:])
    with pytest.raises(IndexError):
        stored[len(frame)]


def test_names_do_not_matter_but_crystals_and_settings_do(tmp_path, built):
    """A store is found by what its graphs depend on."""
    frame = crystals(3)
    graphs_of(frame, GraphSettings(), tmp_path)
    graphs_of(frame.assign(name=['a', 'b', 'c'], target=1.0).set_index('name', drop=False), GraphSettings(), tmp_path)
    assert len(built) == 3
    graphs_of(frame, GraphSettings(doubled=True), tmp_path)
    graphs_of(frame[::-1], GraphSettings(), tmp_path)
    graphs_of(crystals(3, seed=4), GraphSettings(), tmp_path)
    assert len(built) == 12
    assert len(list(tmp_path.iterdir())) == 4


def test_new_version_of_the_rule(tmp_path, built, monkeypatch):
    """Graphs by an older version of the rule are not taken."""
    graphs_of(crystals(3), GraphSettings(), tmp_path)
    monkeypatch.setattr(graph_store, 'VERSION', graph_store.VERSION + 1)
    graphs_of(crystals(3), GraphSettings(), tmp_path)
    assert len(built) == 6


def truncate(place):
    """End a file early."""
    path = place / 'vectors.npy'
    path.write_bytes(path.read_bytes()[:-5])


def flip(place):
    """Change a bit."""
    path = place / 'source.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def spoil_index(place):
    """Leave half of the index."""
    (place / 'index.json').write_text('{"numbers": ')


def strip_index(place):
    """Leave the index out."""
    (place / 'index.json').unlink()


def empty(place):
    """Leave an empty folder."""
    shutil.rmtree(place)
    place.mkdir()


@pytest.mark.parametrize('damage', [truncate, flip, spoil_index, strip_index, empty])
def test_damaged_store_is_built_anew(tmp_path, built, damage):
    """What is damaged is noticed, built and stored again, and nothing else is left behind."""
    frame, settings = crystals(4), GraphSettings()
    expected = list(graphs_of(frame, settings))
    graphs_of(frame, settings, tmp_path)
    (place,) = tmp_path.iterdir()
    damage(place)
    assert_same(graphs_of(frame, settings, tmp_path), expected)
    assert len(built) == 12
    assert_same(graphs_of(frame, settings, tmp_path), expected)
    assert len(built) == 12
    assert list(tmp_path.iterdir()) == [place]


def test_stores_are_for_all_who_may_read_the_folder(tmp_path):
    """Members of a group share one, which a temporary folder is not made for."""
    folder = tmp_path / 'shared'
    folder.mkdir()
    folder.chmod(0o2775)
    graphs_of(crystals(2), GraphSettings(), folder)
    (place,) = folder.iterdir()
    assert place.stat().st_mode & 0o7777 == 0o2775


def test_what_killed_jobs_left_is_removed_after_a_day(tmp_path):
    """Of others that write just now nothing is taken away."""
    old, young = tmp_path / '.draft-old', tmp_path / '.draft-young'
    for folder in (old, young):
        folder.mkdir()
        (folder / 'vectors.npy').write_bytes(b'half')
    os.utime(old, (time.time() - 90000,) * 2)
    graphs_of(crystals(2), GraphSettings(), tmp_path)
    assert not old.exists()
    assert young.exists()


def test_another_job_was_faster(tmp_path, monkeypatch):
    """Where another job stored the same graphs meanwhile, its store stays, and is not disturbed."""
    frame, settings = crystals(3), GraphSettings()
    expected = list(graphs_of(frame, settings))
    original = graph_store._build

    def build(*parts):
        arrays = original(*parts)
        monkeypatch.setattr(graph_store, '_build', original)
        graphs_of(frame, settings, tmp_path)
        (tmp_path / next(tmp_path.iterdir()).name / 'mine').touch()
        return arrays

    monkeypatch.setattr(graph_store, '_build', build)
    assert_same(graphs_of(frame, settings, tmp_path), expected)
    (place,) = tmp_path.iterdir()
    assert (place / 'mine').exists()


def test_refused_rows(tmp_path):
    """All rows without a graph are named, with why, and nothing is stored."""
    frame = crystals(CHUNK + 20)
    frame.loc[2, 'species'] = frame.loc[2, 'species'].replace('Li', 'Xx').replace('O', 'Xx').replace('Fe', 'Xx')
    frame.loc[CHUNK + 1, 'frac_coords'] = json.dumps(
        np.zeros((len(json.loads(frame['species'][CHUNK + 1])), 3)).tolist()
    )
    frame.loc[CHUNK + 2, 'lattice'] = '[[1,0,0'
    frame.loc[CHUNK + 3, 'lattice'] = '[[1,0,0],[0,1,0],[0,0,null]]'
    frame.loc[CHUNK + 4 : CHUNK + 7, 'lattice'] = '[[1,0,0],[0,1,0],[0,0,0]]'
    with pytest.raises(
        RefusedRowsError, match=rf'8 of {CHUNK + 20} rows cannot become graphs: row 2: .*; and 3 more'
    ) as found:
        graphs_of(frame, GraphSettings(), tmp_path)
    assert list(found.value.reasons) == ['row 2', *(f'row {CHUNK + number}' for number in range(1, 8))]
    assert found.value.reasons['row 2'] == "there is no element 'Xx'"
    assert 'on one spot' in found.value.reasons[f'row {CHUNK + 1}']
    assert list(tmp_path.iterdir()) == []
    left = frame[~frame['name'].isin(found.value.reasons)]
    expected = graphs_of(left, GraphSettings(), tmp_path)
    assert len(expected) == CHUNK + 12
    assert_same(found.value.graphs, expected)


def test_a_refused_chunk():
    """Where no row of the first chunk has a graph, those of the next ones begin with the first."""
    frame = crystals(CHUNK + 3)
    frame.loc[: CHUNK - 1, 'lattice'] = '[[1,0,0'
    with pytest.raises(RefusedRowsError) as found:
        graphs_of(frame, GraphSettings())
    assert_same(found.value.graphs, graphs_of(frame[CHUNK:].reset_index(drop=True), GraphSettings()))


def test_several_processes():
    """Processes that build side by side give the same graphs."""
    frame = crystals(2 * CHUNK + 1)
    assert_same(graphs_of(frame, GraphSettings(), processes=2), graphs_of(frame, GraphSettings()))


def test_stopped_while_building(tmp_path):
    """A stop that the progress asks for ends the building at once, and nothing is stored."""

    class StoppedError(Exception):
        """Asked to stop."""

    def stop(done, total):
        raise StoppedError(done, total)

    with pytest.raises(StoppedError):
        graphs_of(crystals(3 * CHUNK), GraphSettings(), tmp_path, stop)
    assert list(tmp_path.iterdir()) == []


def test_no_rows():
    """A table without rows has no graphs."""
    assert len(graphs_of(crystals(3)[:0], GraphSettings())) == 0
