"""Tables of transfer studies, with numbers that can be checked by hand."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.datasets.tables import check_table
from aiida_embarrier.datasets.transfer import CELLS, cells_table, published_results, summary_table

PUBLISHED = pd.DataFrame(
    [
        ('SCRATCH_MODELS/DC/T1/800/p.csv', 'SCRATCH_MODELS/DC', 'scratch', 'dc', 'T1', 800.0, None, 0.6, 3.0, 0.02),
        ('SCRATCH_MODELS/DC/T2/800/p.csv', 'SCRATCH_MODELS/DC', 'scratch', 'dc', 'T2', 800.0, None, 0.7, 2.0, 0.01),
        ('FE/T1/dc/800/p.csv', 'PAIR-WISE/PT-941-FT', 'fe', 'dc', 'T1', 800.0, None, 0.68, 2.5, 0.015),
        ('FE/10K/T1/dc/800/p.csv', 'PAIR-WISE/LARGE-PT-SIZE', 'fe', 'dc', 'T1', 800.0, '10K', 0.69, 2.4, 0.014),
        ('dc/T1/800/p.csv', 'MULTI-PROPERTY/SEPARATE-HEAD-FT', 'multi', 'dc', 'T1', 800.0, None, 0.66, 2.6, 0.017),
        (
            'JARVIS/FE-jarvis/p.csv',
            'MULTI-PROPERTY/JARVIS',
            'multi',
            None,
            None,
            None,
            None,
            0.67,
            None,
            0.13,
        ),
        ('BG-DC/2B/800/p.csv', 'HP-TUNE/BEST-FT-STRATEGY', 'bg', 'dc', None, 800.0, None, 0.66, 2.6, 0.017),
    ],
    columns=['path', 'group', 'pretrain', 'target', 'trial', 'ft_size', 'pt_size', 'r2', 'mae', 'mae_scaled'],
)


def cell(source, trial, r2, mae, **changes):
    row = {
        'cell': f'dc_{source}_{trial}',
        'target': 'dc',
        'source': source,
        'size': 800,
        'trial': trial,
        'strategy': None if source == 'scratch' else 'all',
        'lr': 1e-3,
        'sampling': 'published',
        'status': 'done',
        'r2': r2,
        'mae': mae,
        'mae_scaled': None if mae is None else mae / 100,
        'epochs': 10 * trial,
        'unit': None,
        'pretraining_size': None if source == 'scratch' else 8000,
    }
    return {**row, **changes}


@pytest.fixture
def rows():
    return [
        cell('scratch', 1, 0.5, 4.0),
        cell('scratch', 2, 0.7, 2.0),
        cell('fe', 1, 0.6, 3.0),
        cell('fe', 2, 0.7, 1.8),
        cell('fe', 3, None, None, status='failed', message='the machine burnt down'),
        cell('multi_all', 1, 0.9, 1.0),
    ]


def test_a_table_of_cells_has_all_columns_and_can_be_stored(rows):
    cells = cells_table(rows)
    assert list(cells) == list(CELLS)
    check_table(cells, {})
    assert cells['published_r2'].isna().all()
    assert cells.set_index('cell').loc['dc_fe_3', 'message'] == 'the machine burnt down'


def test_means_spreads_and_gains_of_pairs(rows):
    summary = summary_table(cells_table(rows)).set_index('source')
    check_table(summary.reset_index(), {})
    scratch, tuned, multi = (summary.loc[name] for name in ('scratch', 'fe', 'multi_all'))
    assert scratch[['n_trials', 'n_failed']].to_list() == [2, 0]
    assert tuned[['n_trials', 'n_failed']].to_list() == [2, 1]
    assert scratch['r2_mean'] == pytest.approx(0.6)
    assert scratch['r2_sd'] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert scratch['r2_ci95'] == pytest.approx(12.7062 * np.std([0.5, 0.7], ddof=1) / np.sqrt(2), rel=1e-4)
    assert pd.isna(scratch['r2_gain'])
    # pairs of the same trial: 0.1 and 0.0 in R², 1.0 and 0.2 in the error
    assert tuned['n_pairs'] == 2
    assert tuned['r2_gain'] == pytest.approx(0.05)
    assert tuned['mae_gain'] == pytest.approx(0.6)
    assert tuned['mae_gain_relative'] == pytest.approx(0.6 / 3.0)
    assert tuned['epochs_mean'] == 15
    # one trial has no spread
    assert multi['r2_mean'] == 0.9
    assert pd.isna(multi['r2_sd'])
    assert multi['r2_gain'] == pytest.approx(0.4)
    assert pd.isna(multi['r2_gain_ci95'])


def test_gains_are_of_the_same_rows(rows):
    other = [cell('fe', 1, 0.6, 3.0, cell='other', sampling='random')]
    summary = summary_table(cells_table([*rows, *other]))
    drawn = summary[summary['sampling'] == 'random'].iloc[0]
    assert drawn['n_pairs'] == 0
    assert pd.isna(drawn['r2_gain'])


def test_published_values_stand_beside(rows):
    published = published_results(PUBLISHED)
    cells = cells_table(rows, published).set_index('cell')
    assert cells['published_r2'].fillna(-1).to_list() == [0.6, 0.7, 0.69, -1, -1, 0.66]
    # of two published pre-trainings the one whose number of rows is nearer
    assert cells.loc['dc_fe_1', 'published_as'] == 'published: pre-trained on 10K'
    few = cells_table([cell('fe', 1, 0.6, 3.0, pretraining_size=1000)], published).iloc[0]
    assert (few['published_r2'], few['published_as']) == (0.68, 'published: pre-trained on 941')
    means = summary_table(cells_table(rows, published), published).set_index('source')
    assert means.loc['scratch', 'published_r2'] == pytest.approx(0.65)
    assert means.loc['scratch', 'published_mae'] == pytest.approx(2.5)


def test_other_strategies_and_samples_are_not_those_that_were_published(rows):
    published = published_results(PUBLISHED)
    others = [
        cell('fe', 1, 0.6, 3.0, strategy='last_layer'),
        cell('fe', 1, 0.6, 3.0, sampling='random'),
        cell('fe', 1, 0.6, 3.0, size=500),
    ]
    assert cells_table(others, published)['published_r2'].isna().all()


def test_the_published_file(shared_data):
    frame = pd.read_parquet(shared_data / 'tl' / 'published_test_metrics.parquet')
    published = published_results(frame)
    # a seventh of 175 trainings from scratch on each target, 42 pairs and 7 of several properties by 5 trials and sizes
    counts = published['as'].value_counts()
    assert counts['published: scratch'] == 175
    assert counts['published: pre-trained on 941'] == 42 * 25
    assert counts['published: several properties without the target'] == 175
    means = summary_table(cells_table([cell('scratch', 1, 0.5, 4.0)], published), published).iloc[0]
    assert means['published_r2'] == pytest.approx(0.653, abs=1e-3)
    two = published[published['target'] == 'jarvis2d'].set_index('source')
    assert two.loc['fe', 'r2'] == pytest.approx(0.671, abs=1e-3)
    assert two.loc['scratch', 'size'] == 993
    assert two['mae'].equals(two['mae_scaled'])


def test_published_errors_of_piezoelectric_moduli_are_scaled_in_two_ways(shared_data):
    moduli = pd.read_parquet(shared_data / 'tl' / 'pz.parquet').groupby('split_paper')['target'].agg(['min', 'max'])
    published = published_results(pd.read_parquet(shared_data / 'tl' / 'published_test_metrics.parquet'))
    of_pz = published[(published['target'] == 'pz') & (published['size'] == 800)]
    widths = (of_pz['mae'] / of_pz['mae_scaled']).groupby(of_pz['as']).mean()
    # by the rows that do not test, whose largest one became 1 then; by all rows
    assert widths['published: scratch'] == pytest.approx((moduli.loc['train', 'max'] - moduli['min'].min()) / 2)
    several = widths['published: several properties without the target']
    assert several == pytest.approx((moduli['max'].max() - moduli['min'].min()) / 2)
    # in these files test rows go up to 2.025
    assert moduli.loc['test', 'max'] / widths['published: scratch'] - 1 == pytest.approx(2.025, abs=1e-3)


def test_a_table_of_something_else():
    with pytest.raises(ValueError, match='pt_size is missing'):
        published_results(PUBLISHED.drop(columns='pt_size'))
