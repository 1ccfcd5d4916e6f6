"""Models of numbers: that they learn, that their files predict the same, that they are those of scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from prediction.small_paths import small_rows

from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.numbers import Numbers, to_barriers, to_logarithms
from aiida_embarrier.prediction.registry import make_model, restore_model
from aiida_embarrier.prediction.trees import Forest

SETTINGS = {
    'random_forest': {'n_trees': 20},
    'extra_trees': {'n_trees': 20},
    'gradient_boosting': {'n_trees': 60},
    'support_vectors': {},
    'design_rules': {'n_trees': 20},
    'ensemble': {'members': {'extra_trees': {'settings': {'n_trees': 20}}, 'support_vectors': {}}},
}


def rows_with_features(n=60, seed=0):
    """Return rows whose barriers are a function of two of their features; one is noise, one constant, one has gaps."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(size=(n, 3)), columns=['rule_a', 'rule_b', 'noise'])
    table['constant'] = 3.0
    table['gaps'] = np.where(random.random(n) < 0.5, np.nan, table['rule_a'])
    barriers = np.exp(0.5 * table['rule_a'] - 0.3 * table['rule_b'] ** 2).to_numpy()
    return Rows(paths=small_rows(2).paths[:1] * n, features=table, barriers=barriers)


@pytest.mark.parametrize('name', SETTINGS)
def test_learns(name):
    training, judged = rows_with_features(), rows_with_features(seed=1)
    model = make_model(name, **SETTINGS[name])
    model.fit(training, seed=0)
    error = np.abs(model.predict(judged) - judged.barriers).mean()
    constant = np.abs(np.median(training.barriers) - judged.barriers).mean()
    assert error < 0.6 * constant


@pytest.mark.parametrize('name', SETTINGS)
def test_restored_model_predicts_the_same(name):
    rows = rows_with_features()
    model = make_model(name, **SETTINGS[name])
    model.fit(rows, seed=3)
    arrays, values = model.state()
    again = restore_model(name, arrays, json.loads(json.dumps(values)))
    assert again.predict(rows).tolist() == model.predict(rows).tolist()
    if model.difficulty(rows) is not None:
        assert again.difficulty(rows).tolist() == model.difficulty(rows).tolist()


@pytest.mark.parametrize('name', ['extra_trees', 'random_forest', 'gradient_boosting'])
def test_seed(name):
    rows, found = rows_with_features(), []
    for seed in (1, 1, 2):
        model = make_model(name, **SETTINGS[name])
        model.fit(rows, seed=seed)
        found.append(model.predict(rows_with_features(seed=1)).tolist())
    assert found[0] == found[1] != found[2]


def test_forest_is_that_of_scikit_learn():
    from sklearn.ensemble import ExtraTreesRegressor

    rows = rows_with_features()
    numbers = rows.features[['rule_a', 'rule_b', 'noise']].to_numpy()
    trees = ExtraTreesRegressor(15, random_state=0).fit(numbers, rows.barriers)
    other = rows_with_features(seed=1).features[['rule_a', 'rule_b', 'noise']].to_numpy()
    found = Forest.from_estimators(trees.estimators_).predict(other)
    expected = [tree.predict(other.astype(np.float32)) for tree in trees.estimators_]
    assert found == pytest.approx(np.array(expected), rel=1e-6)


def test_support_vectors_are_those_of_scikit_learn():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    rows = rows_with_features()
    some = Rows(rows.paths, rows.features[['rule_a', 'rule_b']], barriers=rows.barriers)
    model = make_model('support_vectors', penalty=3.0, inverse_width=1.0, tube=0.1)
    model.fit(some)
    machine = make_pipeline(StandardScaler(), SVR(C=3.0, gamma=0.5, epsilon=0.1))
    machine.fit(some.features.to_numpy(), to_logarithms(rows.barriers))
    assert model.predict(some) == pytest.approx(to_barriers(machine.predict(some.features.to_numpy())))


def test_spread_grows_where_errors_do():
    rows = rows_with_features(200)
    noisy = rows.barriers * np.exp(np.where(rows.features['noise'] > 0, 1.0, 0.0) * np.sin(np.arange(200) * 7.0))
    model = make_model('ensemble', **SETTINGS['ensemble'])
    model.fit(Rows(rows.paths, rows.features, barriers=noisy), seed=0)
    judged = rows_with_features(200, seed=1)
    spread = model.difficulty(judged)
    assert spread.shape == (200, 2)
    wild = (judged.features['noise'] > 0).to_numpy()
    assert spread[wild, 0].mean() > 1.5 * spread[~wild, 0].mean()


def test_numbers():
    table = rows_with_features().features
    numbers = Numbers.fit(table)
    assert numbers.columns == ('rule_a', 'rule_b', 'noise', 'gaps')  # what is constant tells nothing
    assert np.isfinite(numbers.filled(table)).all()
    assert np.abs(numbers.standardised(table)).max() <= 4
    shuffled = table[['noise', 'gaps', 'constant', 'rule_b', 'rule_a']]
    assert numbers.filled(shuffled).tolist() == numbers.filled(table).tolist()
    assert Numbers.fit(table, ['rule_']).columns == ('rule_a', 'rule_b')
    with pytest.raises(ValueError, match='whose names begin with other_'):
        Numbers.fit(table, ['other_'])


def test_logarithms():
    barriers = np.array([0.0, 0.1, 0.6, 8.0])
    assert to_barriers(to_logarithms(barriers)) == pytest.approx(barriers)
    assert to_barriers(np.array([-5.0])) == 0


def test_one_number():
    rows = rows_with_features()
    with pytest.raises(ValueError, match=r"no number 'potential_placed_forward', .* described with a `potential` \("):
        make_model('potential_path').fit(rows)
    table = rows.features.assign(potential_placed_forward=np.where(np.arange(60) % 2, np.nan, 0.7))
    model = make_model('potential_path')
    model.fit(Rows(rows.paths, table, barriers=rows.barriers))
    found = model.predict(Rows(rows.paths, table))
    assert found[0] == 0.7
    assert found[1] == pytest.approx(np.median(rows.barriers))


def test_members_look_at_numbers_of_their_own():
    rows = rows_with_features()
    members = {
        'rules': {'model': 'extra_trees', 'settings': {'n_trees': 10, 'prefixes': ['rule_'], 'without': ['rule_b']}},
        'vectors': {'model': 'support_vectors', 'settings': {'without': ['no*e']}},
        'forest': {'model': 'random_forest', 'settings': {'n_trees': 10}},
    }
    model = make_model('ensemble', members=members)
    model.fit(rows, seed=3)
    columns = {label: member.numbers.columns for label, member in model.members.items()}
    assert columns == {
        'rules': ('rule_a',),
        'vectors': ('rule_a', 'rule_b', 'gaps'),
        'forest': ('rule_a', 'rule_b', 'noise', 'gaps'),
    }
    alone = [make_model(member['model'], **member['settings']) for member in members.values()]
    for other in alone:
        other.fit(rows, seed=3)
    assert model.predict(rows) == pytest.approx(np.mean([other.predict(rows) for other in alone], axis=0))
    trees = np.mean([alone[0].difficulty(rows), alone[2].difficulty(rows)], axis=0)
    assert model.difficulty(rows)[:, 0] == pytest.approx(trees)
    again = restore_model('ensemble', *model.state())
    assert again.predict(rows).tolist() == model.predict(rows).tolist()


def test_members_are_checked():
    for members, message in (
        ({}, 'an ensemble needs members'),
        ({'extra_tree': {}}, "extra_tree: a member is one of extra_trees, random_forest, .*, not 'extra_tree'"),
        ({'a': {'model': 'extra_trees', 'settings': {'trees': 3}}}, "a: extra_trees has no setting 'trees': it has"),
    ):
        with pytest.raises(ValueError, match=message):
            make_model('ensemble', members=members)
