"""Paths unlike those of the training are flagged for what they are, and most others are not."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import DOCS

from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.jobs.flags import FLAGS
from aiida_embarrier.prediction.domain import _MOVED, Domain, path_geometry
from aiida_embarrier.prediction.paths import MigrationPath


def rocksalt(metal='Co', anion='O', ion='Li', edge=4.2, points=((0.5, 0.5, 0.5), (0.5, 0.0, 0.0))):
    coords = [(0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.5, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)]
    species = (metal, metal, metal, anion, anion)
    return MigrationPath(f'{metal}{anion}', np.eye(3) * edge, species, np.array(coords), ion, np.array(points))


@pytest.fixture
def training():
    """Return paths, features and groups: in each of 60 groups three paths whose features nearly agree."""
    random = np.random.default_rng(0)
    paths = [
        rocksalt('CoNiMn'[2 * (n % 3) :][:2], 'OF'[n % 2], ('Li', 'Na')[n % 2], 4.1 + 0.001 * n) for n in range(180)
    ]
    groups = np.repeat(np.arange(60), 3)
    numbers = random.normal(0, 1, (60, 4))[groups] + random.normal(0, 0.01, (180, 4))
    features = pd.DataFrame(numbers * (1, 10, 0.1, 5) + 3, columns=['a', 'b', 'c', 'd'])
    features['always'] = 2.0
    features['seldom'] = np.where(np.arange(180) < 5, 1.0, np.nan)
    return paths, features, groups


def test_geometry_by_eye():
    found = path_geometry(rocksalt(edge=4.0, points=((0.5, 0.5, 0.5), (0.5, 0.25, 0.5), (0.5, 0.25, 0.25))))
    assert found['hop_length'] == pytest.approx(np.sqrt(2))
    assert found['detour'] == pytest.approx(np.sqrt(2))
    # from the ends at (2, 2, 2) and (2, 1, 1) the nearest atoms are at (2, 2, 0) and there at a distance of sqrt(2)
    assert found['closest_approach'] == pytest.approx(np.sqrt(2))


def test_closest_approach_as_pymatgen_has_it(shared_data):
    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    for number in (0, 50, 300):
        path = MigrationPath.from_row(frame.iloc[number])
        expected = min(
            structure.distance_matrix[0, 1:].min()
            for structure in map(path.structure, np.linspace(0, 1, int(np.ceil(path.path_length / 0.1)) + 1))
        )
        assert path_geometry(path)['closest_approach'] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ('path', 'flags'),
    [
        (rocksalt(), []),
        (rocksalt(ion='K'), ['unknown_ion']),
        (rocksalt(metal='U'), ['unknown_element']),
        (rocksalt(anion='Ni'), ['no_anion']),
        (rocksalt(points=((0.5, 0.5, 0.5), (0.5, 0.4, 0.4))), ['short_hop', 'far_from_atoms']),
        (rocksalt(points=((0.5, 0.5, 0.5), (-0.5, 0.5, 0.5))), ['long_hop', 'through_atom']),
        (rocksalt(points=((0.5, 0.5, 0.5), (0.5, 0.6, 0.0), (0.5, 0.0, 0.0))), ['bent_path', 'through_atom']),
        # nearer to atoms than the sound paths of the training
        (rocksalt(edge=3.6), ['short_hop', 'close_to_atom']),
        # five points on a line, with the digits of a file
        (
            rocksalt(points=np.add(np.linspace((0.5, 0.5, 0.5), (0.5, 0, 0), 5), [[0], [5e-5], [-5e-5], [5e-5], [0]])),
            [],
        ),
    ],
)
def test_flags_of_paths(training, path, flags):
    paths, *_ = training
    assert Domain.fit(paths).flags([path]) == [flags]
    assert set(flags) <= set(FLAGS)


def test_paths_that_cannot_be_are_flagged_whatever_the_training_holds(training):
    """Published paths lead through atoms, too; a second atom that moves stands in no number of the geometry."""
    through = rocksalt(points=((0.5, 0.5, 0.5), (-0.5, 0.5, 0.5)))
    moved = rocksalt().coords + np.array([[0.0, 0.0, 0.0]] * 4 + [[0.4, 0.0, 0.0]])
    paths = [*training[0], through]
    second = replace(rocksalt(), final_coords=moved)
    assert Domain.fit(paths).flags([through, second]) == [['through_atom'], ['second_mover']]


def test_hosts_that_move_farther_than_any_of_the_training(training):
    """From 0.35 Å on, unless the training has such, too; a model that was written before that was kept had none."""

    def moved(by):
        coords = rocksalt().coords + np.array([[0.0, 0.0, 0.0]] * 4 + [[by / 4.2, 0.0, 0.0]])
        return replace(rocksalt(), final_coords=coords)

    paths, *_ = training
    domain = Domain.fit(paths)
    asked = [moved(by) for by in (0.3, 0.4, 0.8, 1.6)]
    assert domain.flags(asked) == [[], ['moved_host'], ['moved_host'], ['second_mover']]
    assert f'{_MOVED:g} Å' in FLAGS['moved_host']
    used_to = Domain.fit([*paths, moved(0.6)])
    assert used_to.flags(asked) == [[], [], ['moved_host'], ['second_mover']]
    arrays, values = used_to.state()
    assert Domain.from_state(arrays, values).flags(asked) == used_to.flags(asked)
    values.pop('host_move')
    assert Domain.from_state(arrays, values).flags(asked) == domain.flags(asked)


def test_an_ion_is_a_known_element(training):
    """Sodium moves in one host of the training, and stays in this one."""
    host = rocksalt()
    assert Domain.fit(training[0]).flags([replace(host, species=('Na', *host.species[1:]))]) == [[]]


def test_few_rows_of_new_groups_are_unlike(training):
    """By its own rule 5 % of the groups lie beyond the threshold; features far away are, those between are not."""
    paths, features, groups = training
    domain = Domain.fit(paths, features, groups)
    left_out = []
    for fold in range(5):
        rest = groups % 5 != fold
        part = Domain.fit([path for path, kept in zip(paths, rest, strict=True) if kept], features[rest], groups[rest])
        own = np.flatnonzero(~rest)
        found = part.flags([paths[number] for number in own], features.iloc[own])
        left_out += ['unlike_training' in flags for flags in found]
    assert 0.01 < np.mean(left_out) < 0.2
    assert not any('unlike_training' in flags for flags in domain.flags(paths, features))
    far = features.iloc[:2].assign(a=500.0)
    assert domain.flags(paths[:2], far) == [['unlike_training']] * 2
    assert (domain.distances(far) > 1).all()
    assert (domain.distances(features) < 1).all()


def test_siblings_do_not_set_the_threshold(training):
    paths, features, groups = training
    assert Domain.fit(paths, features).threshold < 0.3 * Domain.fit(paths, features, groups).threshold


def test_features_that_are_missing(training):
    """What some rows of the training lack may be missing; what all of them have is missed."""
    paths, features, groups = training
    domain = Domain.fit(paths, features, groups)
    assert domain.columns == ('a', 'b', 'c', 'd'), 'a feature without spread tells nothing'
    assert domain.flags(paths[9:10], features.iloc[9:10].assign(c=np.nan)) == [['not_described']]
    some = features.assign(c=features['c'].where(np.arange(180) % 2 == 0))
    assert Domain.fit(paths, some, groups).flags(paths[9:10], some.iloc[9:10]) == [[]]
    with pytest.raises(ValueError, match="1 features of the training are missing, such as 'c'"):
        domain.flags(paths[:1], features.iloc[:1].drop(columns='c'))
    with pytest.raises(ValueError, match='1 paths need the numbers'):
        domain.flags(paths[:1])


def test_rows_of_the_training_are_known(training):
    paths, features, groups = training
    domain = Domain.fit(paths[:90], features[:90], groups[:90])
    rounded = features.round(6)
    assert domain.knows(rounded).tolist() == [True] * 90 + [False] * 90
    assert Domain.fit(paths).knows(features) is None, 'of paths alone it cannot be told'
    one = Domain.fit(paths[:90], features[['a']][:90], groups[:90])
    assert one.knows(features[['a']]) is None, 'by one number strangers would be known'
    unknown = rounded.assign(**dict.fromkeys(('a', 'b', 'c', 'd', 'seldom'), np.nan))
    assert not domain.knows(unknown).any(), 'what is not known of a path tells nothing'


def test_order_of_columns_does_not_matter(training):
    paths, features, groups = training
    domain = Domain.fit(paths, features, groups)
    other = features.assign(more=1.0)[['more', 'd', 'seldom', 'c', 'b', 'a', 'always']]
    assert (domain.distances(other) == domain.distances(features)).all()


def test_state(training):
    paths, features, groups = training
    domain = Domain.fit(paths, features, groups)
    arrays, values = domain.state()
    again = Domain.from_state(arrays, json.loads(json.dumps(values)))
    odd = features * 1.7
    assert again.flags(paths, odd) == domain.flags(paths, odd)
    assert (again.distances(odd) == domain.distances(odd)).all()


def test_nothing_to_be_unlike(training):
    paths, features, groups = training
    with pytest.raises(ValueError, match='there is no path'):
        Domain.fit([])
    with pytest.raises(ValueError, match='as many features'):
        Domain.fit(paths, features.iloc[:3])
    with pytest.raises(ValueError, match='as many features'):
        Domain.fit(paths, features, groups[:3])


@pytest.mark.slow
def test_published_rows_are_in_their_own_domain(shared_data):
    """And with folds of families few are not: a flag on every second row would say nothing."""
    frame = read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame
    paths = [MigrationPath.from_row(row) for row in frame.to_dict('records')]
    own_flags = {flag for flags in Domain.fit(paths).flags(paths) for flag in flags}
    # what is wrong with a path whatever the training holds, and is so in some published ones
    assert own_flags <= {'through_atom', 'second_mover'}
    families = np.unique(frame['family_group'], return_inverse=True)[1]
    flagged = 0
    for fold in range(10):
        own = families % 10 == fold
        rest = [path for path, judged in zip(paths, own, strict=True) if not judged]
        flagged += sum(map(bool, Domain.fit(rest).flags([paths[number] for number in np.flatnonzero(own)])))
    assert 0 < flagged < 0.15 * len(paths)


def test_flags_are_documented_as_they_are_told():
    text = (DOCS / 'howto' / 'predict_barriers.md').read_text()
    assert dict(re.findall(r'^\| `(\w+)` \| (.+) \|$', text.partition('\n## Flags')[2], re.MULTILINE)) == FLAGS
