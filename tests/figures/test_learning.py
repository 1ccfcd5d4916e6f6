"""Pictures of trainings and of transfer studies: what is drawn is what the tables say."""

import numpy as np
import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of
from matplotlib.image import imread
from matplotlib.text import Text

from aiida_embarrier.figures.learning_curve import learning_curve
from aiida_embarrier.figures.multi_property import multi_property
from aiida_embarrier.figures.parity import parity
from aiida_embarrier.figures.relations import gains_by_relation, relation
from aiida_embarrier.figures.style import save
from aiida_embarrier.figures.transfer_bars import transfer_bars
from aiida_embarrier.figures.transfer_cells import at_size, over_trials, sources_in_order, without_other_choices
from aiida_embarrier.figures.transfer_heatmap import transfer_heatmap
from aiida_embarrier.figures.transfer_sizes import transfer_sizes

# R² by source, target, size; trials lie 0.01 below and above
SCORES = {
    ('multi', 'dc', 800): 0.66,
    ('scratch', 'dc', 800): 0.65,
    ('fe', 'dc', 800): 0.68,
    ('bg', 'dc', 800): 0.70,
    ('scratch', 'ph', 800): 0.90,
    ('fe', 'ph', 800): 0.95,
    ('multi', 'ph', 800): 0.98,
    ('scratch', 'dc', 100): -30.0,
    ('fe', 'dc', 100): 0.10,
}


def cells(**columns):
    rows = [
        {
            'target': target,
            'source': source,
            'size': size,
            'pretraining_size': None if source == 'scratch' else 941,
            'trial': trial,
            'strategy': None if source == 'scratch' else 'all',
            'lr': 1e-3,
            'sampling': 'random',
            'r2': r2 + shift,
            'mae': (3.0 if target == 'dc' else 60.0) * (1.5 - r2 - shift),
            'unit': None if target == 'dc' else '1/cm',
            'reduced': None,
        }
        for (source, target, size), r2 in SCORES.items()
        for trial, shift in ((1, -0.01), (2, 0.01))
    ]
    return pd.DataFrame(rows).assign(**columns)


def texts(figure):
    figure.draw_without_rendering()
    return [entry.get_text() for entry in figure.findobj(Text) if entry.get_visible() and entry.get_text()]


# ---------------------------------------------------------------- trainings


def curve(n=20, **columns):
    epochs = np.arange(1, n + 1)
    return pd.DataFrame(
        {
            'epoch': epochs,
            'lr': 1e-3 * np.sin(epochs / n),
            'loss_train': 1.0 / epochs,
            'loss_validation': 1.2 / epochs,
            'mae_validation': 1.5 / epochs,
            'seconds': 2.0,
        }
    ).assign(**columns)


def test_learning_curve():
    figure = learning_curve(curve(), best_epoch=18)
    above, below = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in above.lines}
    np.testing.assert_allclose(lines['loss, training'], curve()['loss_train'])
    np.testing.assert_allclose(lines['MAE, validation'], curve()['mae_validation'])
    np.testing.assert_allclose(below.lines[0].get_ydata(), curve()['lr'])
    assert above.get_yscale() == 'log'
    assert {'best epoch: 18', '20 epochs, 2 s in the median one'} <= set(texts(figure))


def test_learning_curve_without_validation_of_one_epoch():
    figure = learning_curve(curve(1, loss_validation=None, mae_validation=np.nan))
    assert [line.get_label() for line in figure.axes[0].lines] == ['loss, training']
    assert figure.axes[0].lines[0].get_marker() == 'o', 'one epoch is a point, as a line it would not be seen'


def test_learning_curve_of_a_training_that_diverged():
    losses = curve()['loss_train'].where(curve()['epoch'] < 15, np.inf)
    assert 'the loss is not finite from epoch 15' in texts(learning_curve(curve(loss_train=losses)))


def test_no_epoch():
    with pytest.raises(ValueError, match='before its first epoch'):
        learning_curve(curve().head(0))


def test_parity():
    rows = pd.DataFrame(
        {
            'target': 'gap',
            'part': ['train'] * 3 + ['test'] * 4 + ['test'],
            'value': [0.0, 5.0, 9.0, 1.0, 2.0, 3.0, 4.0, np.nan],
            'prediction': [0.0, 5.0, 9.0, 1.5, 2.0, 3.0, 3.5, 8.0],
        }
    )
    figure = parity(rows, names={'gap': 'band gap'}, units={'gap': 'eV'})
    (axes,) = figure.axes
    points = {line.get_label(): len(line.get_xdata()) for line in axes.lines if line.get_marker() == 'o'}
    assert points == {'train': 3, 'test': 4}
    written = texts(figure)
    assert 'test, n = 4: MAE 0.25 eV, R² 0.900' in written
    assert {'known band gap (eV)', 'predicted band gap (eV)'} <= set(written)
    with pytest.raises(ValueError, match='no row has a known value'):
        parity(rows.assign(value=np.nan))


def test_parity_of_several_targets():
    rows = pd.DataFrame({'target': list('abcd'), 'part': 'test', 'value': 1.0, 'prediction': 1.0})
    figure = parity(rows)
    assert [axes.get_title() for axes in figure.axes[:4]] == ['test, n = 1: MAE 0'] * 4, 'no R² of one row'


def test_parity_cuts_nothing_off(tmp_path):
    predictions = predictions_of(predicted_rows().iloc[6:], ('trees',), ('host_group', 'family_group', 'chemsys_group'))
    rows = predictions.rename(columns={'validation': 'target', 'barrier': 'value'}).assign(part='test')
    figure = parity(rows, units=dict.fromkeys(rows['target'], 'eV'), title='trees')
    inked = imread(save(figure, tmp_path / 'parity.png'))[..., :3].min(axis=2) < 0.9
    lines = np.flatnonzero(inked.any(axis=1))
    assert len(inked) - 1 - lines[-1] > 4, 'the axis titles end at the edge of the picture'


# ---------------------------------------------------------------- studies


def test_means_over_trials():
    table = over_trials(cells(), ['source', 'target', 'size'], 'r2').set_index(['source', 'target', 'size'])
    assert table.loc[('fe', 'dc', 800), 'mean'] == pytest.approx(0.68)
    assert table.loc[('fe', 'dc', 800), 'sd'] == pytest.approx(0.01 * np.sqrt(2))
    assert table.loc[('fe', 'dc', 800), 'n'] == 2
    assert sources_in_order(cells()) == ['scratch', 'fe', 'bg', 'multi']
    assert at_size(cells(), None)[1] == 800
    with pytest.raises(ValueError, match='no cell of size 200 has a result: there are results of sizes 100, 800'):
        at_size(cells(), 200)
    with pytest.raises(ValueError, match='no cell of the study has a result'):
        at_size(cells(r2=np.nan), None)


def test_heat_map():
    figure = transfer_heatmap(cells())
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ['scratch', 'fe', 'bg', 'multi']
    assert [label.get_text() for label in axes.get_xticklabels()] == ['dc', 'ph']
    written = {text.get_text(): text for text in axes.texts}
    assert {'0.650', '0.700', '0.980', '± 0.014', '–'} <= set(written)
    bold = {name for name, text in written.items() if text.get_weight() == 'bold'}
    assert bold == {'0.660', '0.680', '0.700', '0.950', '0.980'}, 'what is better than scratch'
    assert 'R² after training on 800 rows, mean of 2 trials' in texts(figure)


def study_of_choices():
    """Return cells as the published study has them: beside every pair also strategies, rates, sizes and sampling."""
    table = cells()
    tuned = table[(table['source'] == 'fe') & (table['size'] == 800)]
    one = tuned[tuned['trial'] == 1]
    drawn = table[table['size'] == 100]
    return pd.concat(
        [
            table.assign(sampling='published'),
            tuned.assign(sampling='published', pretraining_size=700, r2=tuned['r2'] - 0.3),
            one.assign(sampling='published', strategy='last_layer', r2=-0.6),
            one.assign(sampling='published', lr=1e-5, r2=-2.5),
            drawn.assign(sampling='diverse', r2=0.0),
        ],
        ignore_index=True,
    ).astype({'size': 'Int64', 'pretraining_size': 'Int64', 'strategy': 'string', 'sampling': 'string'})


def test_other_choices_are_not_mixed():
    """A mean over trials that included the lowest rate, -2.5, and a frozen network would say nothing of the source."""
    table = study_of_choices()
    kept, words = without_other_choices(table)
    assert kept.index.tolist() == list(range(len(cells())))
    assert words == (
        '12 trainings with other ways to draw rows, sizes of the pre-training, strategies, learning rates are not drawn'
    )
    assert without_other_choices(cells())[1] == ''
    written = texts(transfer_heatmap(table))
    assert {'0.680', '0.950', '± 0.014'} <= set(written)
    assert 'R² after training on 800 rows, mean of 2 trials' in written
    assert any('trainings with other sizes of the pre-training' in text for text in written)
    bars = multi_property(table, metric='r2').axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], [0.65, 0.70, 0.66])
    bars = [bar.get_height() for bar in transfer_bars(table, by='strategy').axes[0].patches]
    np.testing.assert_allclose(sorted(bars), [-0.3, -0.3, 0.66, 0.68, 0.70, 0.95, 0.98])
    assert len(transfer_sizes(table, along='pretraining_size', targets=['ph']).axes[0].get_xticks()) == 2


def test_bars_are_those_of_the_size_with_a_choice():
    figure = transfer_bars(study_of_choices(), by='sampling')
    assert 'R² by sampling, 100 rows of the target' in texts(figure)
    assert len(figure.axes[0].patches) == 4, 'published and diverse, of scratch and of one source'


def test_heat_map_of_errors():
    figure = transfer_heatmap(cells(), metric='mae')
    axes = figure.axes[0]
    assert 'ph\n(1/cm)' in [label.get_text() for label in axes.get_xticklabels()]
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown[0], [1.0, 1.0])  # scratch over itself
    np.testing.assert_allclose(shown[1], [(1.5 - 0.68) / (1.5 - 0.65), (1.5 - 0.95) / (1.5 - 0.90)])
    bold = {text.get_text() for text in axes.texts if text.get_weight() == 'bold'}
    assert f'{3 * (1.5 - 0.68):#.3g}' in bold


def test_heat_map_without_scratch_and_with_one_trial():
    table = cells()
    table = table[(table['source'] != 'scratch') & (table['trial'] == 1)]
    figure = transfer_heatmap(table, metric='mae')
    written = texts(figure)
    assert 'MAE over that of the column' in written
    assert not any(text.startswith('±') for text in written)


def test_what_falls_short_is_said():
    table = cells(reduced='20 of 500 epochs')
    table.loc[0, ['r2', 'mae']] = np.nan
    assert 'reduced: 20 of 500 epochs; 1 of 14 cells have no result' in texts(transfer_heatmap(table))


def test_sizes():
    figure = transfer_sizes(cells(), targets=['dc'])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ['100', '800']
    assert axes.get_ylim()[0] == pytest.approx(-0.3)
    assert 'dc  (2 of 12 trainings below the axis)' in texts(figure)
    below = [line for line in axes.lines if line.get_marker() == 'v']
    assert [len(line.get_xdata()) for line in below] == [1], 'one mean lies below the axis'
    points = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == '.')
    assert points == 12, 'every trial is a point'


def test_errors_that_span_decades_have_a_logarithmic_axis():
    figure = transfer_sizes(cells(), metric='mae')
    assert [axes.get_yscale() for axes in figure.axes] == ['log', 'linear']
    assert figure.axes[1].get_ylabel() == 'MAE (1/cm)'


def test_sizes_of_the_pre_training():
    table = cells()
    more = table[(table['source'] == 'fe') & (table['size'] == 800)].assign(pretraining_size=5000)
    figure = transfer_sizes(pd.concat([table, more]), along='pretraining_size', targets=['ph'])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ['941', '5K']
    across = [line for line in axes.lines if line.get_label() == 'scratch']
    np.testing.assert_allclose(across[0].get_ydata(), [0.9, 0.9])


def test_no_such_target():
    with pytest.raises(ValueError, match='for these targets'):
        transfer_sizes(cells(), targets=['pz'])


@pytest.mark.parametrize('metric', ['r2', 'mae'])
def test_bars(metric):
    table = cells()
    other = table.assign(strategy=table['strategy'].where(table['strategy'].isna(), 'last_layer'), r2=table['r2'] - 2)
    figure = transfer_bars(pd.concat([table, other]), metric=metric)
    bars = [bar for axes in figure.axes for bar in axes.patches]
    assert len(bars) == 10, 'two strategies of five pairs at the largest size; scratch has none'
    if metric == 'r2':
        cut = [bar for bar in bars if bar.get_height() == pytest.approx(-0.3)]
        assert len(cut) == 5
        assert '-1.32' in texts(figure), 'the number of a bar that is cut off'
    else:
        assert [axes.get_ylabel() for axes in figure.axes] == ['MAE of dc', 'MAE of ph (1/cm)']


def test_bars_by_learning_rate():
    table = cells()
    figure = transfer_bars(pd.concat([table, table.assign(lr=1e-5)]), by='lr')
    assert [handle.get_label() for handle in figure.axes[0].containers if handle.get_label()[0] != '_'] == [
        '0.001',
        '1e-05',
    ]
    with pytest.raises(ValueError, match='says its strategy'):
        transfer_bars(cells(strategy=None))


def test_several_properties_against_one():
    figure = multi_property(cells(), metric='r2')
    dc, ph = figure.axes
    assert [label.get_text() for label in dc.get_xticklabels()] == ['scratch', 'best single:\nbg', 'multi']
    np.testing.assert_allclose([bar.get_height() for bar in dc.patches], [0.65, 0.70, 0.66])
    assert [label.get_text() for label in ph.get_xticklabels()][1] == 'best single:\nfe'
    by_error = multi_property(cells(), metric='mae')
    assert [label.get_text() for label in by_error.axes[0].get_xticklabels()][1] == 'best single:\nbg'
    single = cells()
    with pytest.raises(ValueError, match="begins with 'multi'"):
        multi_property(single[single['source'] != 'multi'])


def test_relation():
    shared = pd.DataFrame({'source': [0.0, 1.0, 2.0, 3.0], 'target': [0.0, 1.0, 4.0, 9.0]})
    figure = relation(shared, np.arange(10.0), np.arange(5.0), source='shear modulus', target='last peak (1/cm)')
    written = texts(figure)
    assert '4 crystals with both: Pearson 0.96, Spearman 1.00' in written
    assert 'shear modulus, n = 10' in written
    outlines = figure.axes[1].patches
    for outline, n in zip(outlines, (10, 5), strict=True):
        heights = np.unique(outline.get_xy()[:, 1])
        assert heights.max() == pytest.approx(100 / n)
    assert '0 crystals with both: no correlation' in texts(
        relation(shared.head(0), np.arange(3.0), np.ones(2), source='a', target='b')
    )
    with pytest.raises(ValueError, match='no values of b'):
        relation(shared, np.arange(3.0), np.array([]), source='a', target='b')


def test_gains():
    table = pd.DataFrame(
        {
            'source': ['fe', 'bg', 'gv', 'ph'],
            'target': ['dc', 'dc', 'ph', 'dc'],
            'spearman': [-0.8, 0.2, 0.5, np.nan],
            'wasserstein': [0.1, 0.2, 0.3, 0.4],
            'gain': [0.3, 0.1, 0.2, np.nan],
        }
    )
    figure = gains_by_relation(table)
    left, right = figure.axes
    assert left.get_title() == '3 pairs, rank correlation 1.00', 'an inverse relation is one, too'
    assert right.get_title() == '3 pairs, rank correlation -0.50'
    assert sorted(text.get_text() for text in left.texts) == ['bg', 'fe', 'gv']
    with pytest.raises(ValueError, match='no pair has both'):
        gains_by_relation(table.assign(gain=np.nan))
