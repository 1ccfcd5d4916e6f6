"""The page and the folder of an analysis of predicted barriers: whole, and with everything that was found."""

import json

import pandas as pd
import pytest
from barrier_predictions import predicted_rows, predictions_of
from pages import Page

from aiida_embarrier.figures.barrier_overview import best_model, pictures_of
from aiida_embarrier.figures.barrier_page import barrier_page, write_barrier_analysis
from aiida_embarrier.figures.barrier_tables import TABLES
from aiida_embarrier.prediction.analysis import analyse

FRAME = predicted_rows()
PREDICTIONS = predictions_of(FRAME, ('<b>trees</b>', 'median'))
TITLE = 'Barriers of <i>seven</i> metals'


@pytest.fixture(scope='module')
def tables():
    return analyse(PREDICTIONS, FRAME, n_resamples=20)


@pytest.fixture(scope='module')
def source(tables):
    return barrier_page(tables, PREDICTIONS, TITLE, 'made up for <tests>', frame=FRAME)


@pytest.fixture(scope='module')
def page(source):
    return Page(source)


@pytest.mark.slow
def test_structure(page):
    assert page.text('title') == page.text('h1') == [TITLE]
    ids = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all('a'):
        assert attributes['href'].removeprefix('#') in ids
    assert 'Source: made up for <tests>' in page.text('p')
    assert 'it is <b>trees</b>; numbers and rows are those of new cells.' in ' '.join(page.text('p'))
    assert 'Their definition is as the literature gives it, definition and' in ' '.join(page.text('dd'))


@pytest.mark.slow
def test_every_picture_and_table_is_there(page, tables):
    pictures = pictures_of(tables, PREDICTIONS, '<b>trees</b>')
    names = ['comparison', 'buckets', 'parity', 'parity_low', 'coverage', 'by_ion', 'by_structural_group']
    names += ['by_functional', 'by_barrier_range', 'by_scenario', 'by_flag', 'lowest_found', 'leakage']
    assert [picture.name for picture in pictures] == names
    assert [image['alt'] for image in page.all('img')] == [picture.description for picture in pictures]
    titles = page.text('caption')
    for name in tables:
        assert TABLES[name].title in titles
    captions = page.text('figcaption')
    assert sum('bands of 0.1 and 0.3 eV' in caption for caption in captions) == 2


@pytest.mark.slow
def test_numbers(page, tables):
    row = tables['comparison'].query('model == "<b>trees</b>" and validation == "host_group"').iloc[0]
    labels, values = page.text('dt'), page.text('dd')
    place = labels.index(f'MAE ({row["mae_eV_low"]:.3f} to {row["mae_eV_high"]:.3f})')
    assert values[place] == f'{row["mae_eV"]:.3f}'
    cells = page.text('td')
    assert f'{row["mae_eV"]:.3f} ({row["mae_eV_low"]:.3f} to {row["mae_eV_high"]:.3f})' in cells
    assert f'{row["r2"]:.3f} ({row["r2_low"]:.3f} to {row["r2_high"]:.3f})' in cells


@pytest.mark.slow
def test_rows(page):
    """All barriers are listed, the largest error first, with their labels."""
    own = PREDICTIONS.query('model == "<b>trees</b>" and validation == "host_group"')
    means = own.groupby('name')[['barrier', 'prediction']].mean()
    order = (means['prediction'] - means['barrier']).abs().sort_values(ascending=False).index
    listed = [text for text in page.text('th') if text in set(FRAME['name'])]
    assert listed[-len(order) :] == list(order)
    headers = page.text('th')
    for header in ('ion', 'structural group', 'barrier (eV)', 'prediction (eV)', 'error (eV)', 'lower (eV)', 'flags'):
        assert header in headers
    assert page.text('td').count('long_hop, unknown_ion') == 5


@pytest.mark.slow
def test_without_intervals_flags_and_dataset():
    plain = PREDICTIONS.drop(columns=['lower', 'upper', 'flags', 'difficulty'])
    held = plain.query('model == "median" and seed == 0 and validation == "random"').assign(fold=0, validation='split')
    tables = analyse(held.iloc[::3], FRAME, n_resamples=5, compare_hops=False)
    page = Page(barrier_page(tables, held.iloc[::3], 'Held out'))
    assert 'coverage' not in page.text('dt')
    assert 'lower (eV)' not in page.text('th')
    assert 'numbers and rows are those of held-out rows.' in ' '.join(page.text('p'))


def test_two_crystals_say_nothing_of_lowest_paths(tables):
    few = {**tables, 'discrimination': tables['discrimination'].assign(n_hosts=2)}
    assert 'lowest_found' not in [picture.name for picture in pictures_of(few, PREDICTIONS, 'median')]


def test_best_model(tables):
    assert best_model(tables) == '<b>trees</b>'


@pytest.mark.slow
def test_folder(tables, tmp_path):
    told = []
    folder = tmp_path / 'analysis'
    files = write_barrier_analysis(folder, tables, PREDICTIONS, TITLE, frame=FRAME, model='median', tell=told.append)
    names = {str(path.relative_to(folder)) for path in files}
    expected = {'index.html', 'analysis.json', *(f'tables/{name}.csv' for name in tables)}
    expected |= {f'figures/{name}.{end}' for name in told if name != 'index.html' for end in ('png', 'svg')}
    assert names == expected
    assert told[-1] == 'index.html'
    summary = json.loads((folder / 'analysis.json').read_text())
    assert (summary['model'], summary['validation']) == ('median', 'host_group')
    assert [row['mae_eV'] for row in summary['comparison']] == tables['comparison']['mae_eV'].tolist()
    assert set(summary['tables']) == set(tables)
    for name, table in tables.items():
        assert len(pd.read_csv(folder / 'tables' / f'{name}.csv', keep_default_na=False)) == len(table)
    with pytest.raises(FileExistsError, match='--overwrite'):
        write_barrier_analysis(folder, tables, PREDICTIONS, TITLE)
    (folder / 'mine.txt').touch()
    with pytest.raises(FileExistsError, match=r'no analysis of predictions, such as mine\.txt'):
        write_barrier_analysis(folder, tables, PREDICTIONS, TITLE, overwrite=True)
