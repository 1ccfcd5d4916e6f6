"""Pictures of predicted barriers: what is drawn is what the tables say."""

import numpy as np
import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of

from aiida_embarrier.figures.barrier_dots import errors_by_label, model_comparison
from aiida_embarrier.figures.barrier_parity import barrier_parity
from aiida_embarrier.figures.barrier_shares import coverage_of_intervals, error_buckets
from aiida_embarrier.figures.barrier_tables import hardest, validation_name
from aiida_embarrier.figures.style import save
from aiida_embarrier.prediction.analysis import analyse

FRAME = predicted_rows()
PREDICTIONS = predictions_of(FRAME)


@pytest.fixture(scope='module')
def tables():
    return analyse(PREDICTIONS, FRAME, n_resamples=20, compare_hops=False)


def lines_of(axes):
    """Return what is drawn as dots, by its label."""
    return {line.get_label(): line for line in axes.get_lines() if line.get_marker() == 'o'}


def test_parity(tmp_path):
    figure = barrier_parity(PREDICTIONS, 'trees')
    assert len(figure.axes) == 2
    own = PREDICTIONS[(PREDICTIONS['model'] == 'trees') & (PREDICTIONS['validation'] == 'random')]
    means = own.groupby('name')['prediction'].mean()
    dots = lines_of(figure.axes[0])
    assert len(dots['flagged'].get_xdata()) == 5
    assert len(dots['like the training'].get_xdata()) == 51
    drawn = np.concatenate([line.get_ydata() for line in dots.values()])
    assert np.sort(drawn) == pytest.approx(np.sort(means.to_numpy()))
    mae = (own['prediction'] - own['barrier']).abs().mean()
    assert f'n = 56: MAE {mae:.3g} eV' in figure.axes[0].get_title()
    assert figure.axes[1].get_title().startswith('new cells')
    assert save(figure, tmp_path / 'parity.png').stat().st_size > 10_000


def test_parity_of_low_barriers_says_what_it_leaves_out():
    figure = barrier_parity(PREDICTIONS, 'trees', highest=0.5)
    own = PREDICTIONS[(PREDICTIONS['model'] == 'trees') & (PREDICTIONS['validation'] == 'random')]
    means = own.groupby('name')[['barrier', 'prediction']].mean()
    beyond = int((means.max(axis=1) > 0.5).sum())
    assert beyond > 5
    assert f'{beyond} rows lie beyond' in figure.axes[0].get_xlabel()
    assert f'all 56 rows: MAE {(own["prediction"] - own["barrier"]).abs().mean():.3g} eV' in figure.axes[0].get_title()
    assert figure.axes[0].get_xlim() == (0, 0.5)


def test_parity_without_intervals_and_flags():
    figure = barrier_parity(PREDICTIONS.drop(columns=['lower', 'upper', 'flags']), 'trees')
    assert list(lines_of(figure.axes[0])) == ['like the training']
    assert not figure.legends
    with pytest.raises(ValueError, match="no prediction of the model 'forest': choose from median, trees"):
        barrier_parity(PREDICTIONS, 'forest')


def test_comparison(tables):
    figure = model_comparison(tables['comparison'], references={'published': 0.261}, title='Models')
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ['trees', 'median']
    wanted = tables['comparison'].query('validation == "random"').set_index('model')['mae_eV']
    assert lines_of(axes)['random folds'].get_xdata() == pytest.approx(wanted[['trees', 'median']].to_numpy())
    assert 'published' in axes.get_legend_handles_labels()[1]
    assert axes.get_xlim()[0] == 0
    ends = axes.collections[0].get_segments()[0][:, 0]
    row = tables['comparison'].iloc[0]
    assert sorted(ends) == pytest.approx([row['mae_eV_low'], row['mae_eV_high']])


def test_better_models_stand_on_top_also_where_more_is_better(tables):
    for table, metric in (('comparison', 'r2'), ('discrimination', 'lowest_found')):
        (axes,) = model_comparison(tables[table], metric).axes
        assert [label.get_text() for label in axes.get_yticklabels()] == ['trees', 'median'], metric
    assert 'by chance' in axes.get_legend_handles_labels()[1]
    assert axes.get_xlabel() == 'share of crystals whose lowest path is found (28 crystals)'
    assert axes.get_xlim()[0] == 0
    # a model that tells no paths apart has no Kendall's tau
    (axes,) = model_comparison(tables['discrimination'], 'kendall_tau').axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ['trees']


def test_what_cannot_be_compared(tables):
    with pytest.raises(ValueError, match="no metric 'mape': choose from mae_eV"):
        model_comparison(tables['comparison'], 'mape')
    with pytest.raises(ValueError, match='no model has a value of r2'):
        model_comparison(tables['comparison'].assign(r2=np.nan), 'r2')
    many = pd.concat([tables['comparison'].assign(validation=f'v{number}') for number in range(7)])
    with pytest.raises(ValueError, match='7 validations are too many'):
        model_comparison(many.drop_duplicates(['model', 'validation']))


@pytest.mark.parametrize('label', ['ion', 'structural_group', 'functional', 'barrier_range', 'scenario', 'flag'])
def test_errors_by_label(tables, label):
    table = tables[f'by_{label}']
    (axes,) = errors_by_label(table, label, 'trees').axes
    own = table[(table['model'] == 'trees') & (table['validation'] == 'random')].set_index(label)['mae_eV']
    drawn = lines_of(axes)['random folds'].get_xdata()
    assert sorted(drawn[np.isfinite(drawn)]) == pytest.approx(sorted(own))
    texts = [text.get_text() for text in axes.get_yticklabels()]
    assert len(texts) == table[table['model'] == 'trees'][label].nunique()
    assert all('(' in text for text in texts), 'numbers of rows'
    ranges = any('–' in text.rpartition('(')[2] for text in texts)
    assert ranges == axes.get_xlabel().endswith('fewest–most of the validations')


def test_labels_for_readers(tables):
    (axes,) = errors_by_label(tables['by_structural_group'], 'structural_group', 'trees').axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ['Layered (24)', 'Olivine (16)', 'Spinel (16)']
    (axes,) = errors_by_label(tables['by_flag'], 'flag', 'trees').axes
    assert 'long hop (5)' in [text.get_text() for text in axes.get_yticklabels()]
    with pytest.raises(ValueError, match="no model 'forest'"):
        errors_by_label(tables['by_ion'], 'ion', 'forest')


def test_buckets(tables):
    figure = error_buckets(tables['buckets'], title='Errors')
    own = tables['buckets'].query('model == "trees" and validation == "random"')
    bars = [container.patches[0].get_width() for container in figure.axes[0].containers]
    assert bars == pytest.approx((100 * own['fraction']).tolist())
    assert sum(bars) == pytest.approx(100)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        'up to 0.1 eV',
        '0.1 to 0.3 eV',
        'above 0.3 eV',
    ]
    with pytest.raises(ValueError, match='5 buckets are too many'):
        error_buckets(pd.concat([tables['buckets']] + [own.assign(low=one) for one in (5.0, 6.0)]))


def test_coverage(tables):
    figure = coverage_of_intervals(tables['coverage'], 'trees')
    held, wide = figure.axes
    own = tables['coverage'].query('model == "trees" and validation == "random"')
    drawn = {line.get_label(): line for line in wide.get_lines()}
    assert drawn['random folds'].get_ydata() == pytest.approx(own['median_width_eV'].to_numpy())
    dots = next(line for line in held.get_lines() if line.get_marker() == 'o')
    assert dots.get_ydata() == pytest.approx(own['coverage'].to_numpy())
    with pytest.raises(ValueError, match="no model 'forest'"):
        coverage_of_intervals(tables['coverage'], 'forest')


def test_names_of_validations():
    assert hardest(['random', 'family_group', 'host_group']) == 'family_group'
    assert hardest(['random', 'other']) == 'random'
    assert hardest(['one', 'other']) == 'other'
    assert validation_name('family_group') == 'new families'
    assert validation_name('my_group') == 'my group'
