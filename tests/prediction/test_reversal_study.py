"""The study of what the direction of a path says of its barrier: examples/barriers/reversal_study.py."""

import sys

import numpy as np
import pandas as pd
import pytest
from barrier_paths import path_rows
from conftest import EXAMPLES
from small_barrier_models import write_small_model

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.rows import rows_of


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / 'barriers'))
    import reversal_study

    return reversal_study


@pytest.fixture
def make_study(script):
    """Return a function that makes a study of made-up paths, none its own mirror image, with given numbers."""

    def make(barriers=None, **columns):
        rows, _ = rows_of(path_rows(60))
        features = pd.DataFrame(columns, index=[path.name for path in rows.paths])
        known = rows.barriers if barriers is None else barriers
        return script.Study(
            Rows(rows.paths, features, rows.labels, known), np.zeros(60, dtype=bool), np.arange(60) % 2 == 0
        )

    return make


def ends_of(seed=0):
    """Return a number of the first and of the last end of 60 paths."""
    return np.random.default_rng(seed).random((2, 60))


def directed(first, last):
    """Return numbers of the ends as descriptors tell them."""
    return {
        'ends': (first + last) / 2,
        'asymmetry': abs(last - first),
        'at_initial': first,
        'at_difference': last - first,
    }


def test_reversed_features_are_those_of_reversed_paths(script):
    rows, _ = rows_of(path_rows(4))
    forward, backward = describe(rows.paths), describe([path.reversed() for path in rows.paths])
    # that of a path which is its own mirror image would prove nothing
    assert (forward['anion_nearest_difference'].abs() > 0.1).all()
    # of two windows that are equally narrow either may be taken
    found, expected = (
        table.drop(columns='rule_window_offset') for table in (script.reversed_features(forward), backward)
    )
    pd.testing.assert_frame_equal(found, expected, atol=1e-3)


def test_forward_and_reverse_barriers_change_places(script):
    table = pd.DataFrame(
        {'potential_forward': [1.0, 2.0], 'potential_reverse': [3.0, 4.0], 'potential_span': [3.0, 4.0]}
    )
    found = script.reversed_features(table)
    assert found['potential_forward'].tolist() == [3.0, 4.0]
    assert found['potential_reverse'].tolist() == [1.0, 2.0]
    assert found['potential_span'].tolist() == [3.0, 4.0]
    pd.testing.assert_frame_equal(script.reversed_features(found), table)


def test_direction_helps_where_barriers_depend_on_it(script, make_study):
    first, last = ends_of()
    study = make_study(0.5 + first, **directed(first, last))
    predicted = script.predictions_of(study, 'support_vectors', 5, [0])
    found = script.error_table(study, predicted)
    of = found[found['paths'] == 'others'].set_index('way')
    assert of.loc['written', 'difference_eV_high'] < 0
    assert of.loc['written', 'mae_eV'] < 0.5 * of.loc['symmetric', 'mae_eV']
    assert of.loc['symmetric', 'difference_eV'] == 0
    # half of the paths say the number of the wrong end
    assert of.loc['drawn', 'mae_eV'] > 2 * of.loc['written', 'mae_eV']
    changes = script.turning_table(study, predicted).set_index(['paths', 'way'])['mean_eV']
    assert changes['others', 'written'] == pytest.approx(abs(last - first).mean(), abs=0.1)
    assert changes['others', 'symmetric'] == changes['others', 'mean'] == 0
    # learned from in both directions, a path has both barriers, and models find something between
    assert changes['others', 'both'] < 0.5 * changes['others', 'written']


def test_direction_does_not_help_where_barriers_do_not_depend_on_it(script, make_study):
    first, last = ends_of()
    study = make_study(0.5 + abs(last - first), **directed(first, last))
    found = script.error_table(study, script.predictions_of(study, 'support_vectors', 5, [0])).set_index(
        ['paths', 'way']
    )
    assert found.loc[('others', 'symmetric'), 'mae_eV'] < found.loc[('others', 'written'), 'mae_eV']
    assert found.loc[('others', 'mean'), 'mae_eV'] < found.loc[('others', 'written'), 'mae_eV']


def test_the_definition_of_the_barriers_is_found(script, make_study):
    first, last = ends_of()
    energies = {
        'potential_placed_forward': 1.5 - first,
        'potential_placed_reverse': 1.5 - last,
        'potential_placed_span': 1.5 - np.minimum(first, last),
    }
    study = make_study((1.5 - first) ** 2, **energies)
    found = script.height_table(study, 5)
    assert set(found['energies']) == {'placed'}
    assert set(found['definition']) == set(script.HEIGHTS)
    whole = found[found['paths'] == 'not symmetric'].set_index('definition')
    some = found[found['paths'] == 'ends differ by 0.05 eV'].set_index('definition')
    assert (some['n'] == (abs(last - first) > 0.05).sum()).all()
    exact = found[found['paths'] == 'of these, final state exact']
    assert (exact['n'] == (abs(last - first) > 0.05)[::2].sum()).all()
    assert whole['spearman'].idxmax() == whole['mae_eV'].idxmin() == 'forward'
    assert whole.loc['forward', 'spearman'] == pytest.approx(1)
    assert (whole.drop(index='forward')['difference_eV_low'] > 0).all()
    assert whole.loc['reverse', 'spearman'] < whole.loc['lower_end', 'spearman']
    # without interior minima the span is the climb from the lower end
    assert whole.loc['span', 'spearman'] == whole.loc['lower_end', 'spearman']
    assert script.height_table(make_study(ends=first), 5).empty


def test_the_script(script, tmp_path, monkeypatch, capsys):
    rows = path_rows(20)
    # every other hop goes half of the cell along x, in a host that a mirror in the middle of the hop maps onto itself
    rows.loc[::2, 'frac_coords'] = '[[0.25,0.5,0.5],[0.25,0,0.5],[0.75,0.5,0]]'
    (tmp_path / 'rows.parquet').write_bytes(write_parquet(rows))
    write_small_model(tmp_path / 'small')
    arguments = ['--models', 'support_vectors', '--folds', '4', '--seeds', '0', '1']
    arguments += ['--fitted', str(tmp_path / 'small'), '-o', str(tmp_path / 'out')]
    monkeypatch.setattr(sys, 'argv', ['reversal_study.py', str(tmp_path / 'rows.parquet'), *arguments])
    script.main()
    shown = capsys.readouterr().out
    assert '20 paths, 10 of them are reversed by a symmetry operation' in shown
    errors, turning = (pd.read_csv(tmp_path / 'out' / f'{name}.csv') for name in ('errors', 'turning'))
    assert not (tmp_path / 'out' / 'heights.csv').exists()
    assert errors['n'].tolist() == [20] * 5 + [10] * 10
    first = errors.iloc[0]
    assert f'{first["mae_eV"]:.3f} ({first["mae_eV_low"]:.3f} to {first["mae_eV_high"]:.3f})' in shown
    small = turning[turning['model'] == 'small'].set_index('paths')
    assert small.loc['own mirror images', 'largest_eV'] < 1e-3 < small.loc['others', 'largest_eV']
