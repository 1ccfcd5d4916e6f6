"""The page of a dataset: well-formed, whole in itself, and with everything that was counted in it."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import pytest
from dataset_rows import barrier_rows, property_rows
from pages import Page

from aiida_embarrier.datasets.statistics import dataset_statistics
from aiida_embarrier.figures import statistics_page as module
from aiida_embarrier.figures.dataset_overview import pictures_of
from aiida_embarrier.figures.statistics_page import statistics_page

TITLE = 'Barriers of <i>four</i> hosts & more'


@pytest.fixture(scope='module')
def frame():
    return barrier_rows()


@pytest.fixture(scope='module')
def source(frame):
    return statistics_page(frame, dataset_statistics(frame), TITLE, 'made up for <tests>')


@pytest.fixture(scope='module')
def page(source):
    return Page(source)


@pytest.mark.slow
def test_structure(page, source):
    assert source.startswith('<!doctype html>')
    assert page.all('html') == [{'lang': 'en'}]
    assert page.text('title') == page.text('h1') == [TITLE]
    ids = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all('a'):
        assert attributes['href'].removeprefix('#') in ids
    for _, attributes in page.elements:
        assert attributes.get('aria-labelledby', ids[0]) in ids
    assert len(page.all('h1')) == len(page.all('main')) == 1
    assert all(attributes.get('scope') in {'col', 'row'} for attributes in page.all('th'))
    assert page.all('label') == [{'for': 'search'}]


@pytest.mark.slow
def test_asks_no_other_computer(page, source):
    """All that a browser would load is in the page."""
    for _, attributes in page.elements:
        for name in ('src', 'href', 'srcset', 'data', 'action', 'poster'):
            if name in attributes:
                assert attributes[name].startswith(('#', 'data:')), attributes
    style = source[source.index('<style>') : source.index('</style>')]
    assert not re.search(r'url\(|@import', style)
    script = source[source.index('<script>') : source.index('</script>')]
    assert not re.search(r'fetch|XMLHttpRequest|import\b|https?:', script)
    for image in page.all('img'):
        assert 'xlink:href="http' not in svg_of(image)


def svg_of(image):
    return base64.b64decode(image['src'].removeprefix('data:image/svg+xml;base64,')).decode()


@pytest.mark.slow
def test_figures(page, frame):
    pictures = pictures_of(frame, dataset_statistics(frame))
    images = page.all('img')
    assert [image['alt'] for image in images] == [picture.description for picture in pictures]
    assert len(page.all('figure')) == len(pictures) == 10
    for image in images:
        assert int(image['width']) > 400
        root = ElementTree.fromstring(svg_of(image))
        assert root.tag == '{http://www.w3.org/2000/svg}svg'
        # black follows the page
        text = svg_of(image)
        assert 'prefers-color-scheme:dark' in text
        assert '#000000' not in text


@pytest.mark.slow
def test_rows(page, frame, source):
    cells = page.text('th')
    for name in frame['name']:
        assert name in cells
    assert '<b>&"NaX"</b>' in cells, 'a name is text, whatever it looks like'
    assert '<b>' not in source
    assert f'{frame["barrier"].max():.3f}' in page.text('td')
    headers = page.text('th')
    for header in ('barrier (eV)', 'hop length (Å)', 'structural group', 'share (%)', 'median (eV)'):
        assert header in headers, header
    assert 'low_symmetry' in page.text('td')


@pytest.mark.slow
def test_numbers_and_definitions(page, frame):
    numbers = dataset_statistics(frame).numbers
    shown = page.text('dd')
    assert f'{numbers["n_rows"]}' in shown
    assert f'{numbers["median"]:.3f}' in shown
    assert f'{numbers["n_charged_discharged_pairs"]}' in shown
    terms = page.text('dt')
    for term in ('rows', 'median', 'Charged and discharged', 'Space groups', 'Mean, median, deviation'):
        assert term in terms, term
    assert 'Source: made up for <tests>' in page.text('p')


def test_same_rows_make_the_same_page():
    frame = property_rows()
    first, second = (statistics_page(frame, dataset_statistics(frame, 'property'), TITLE) for _ in range(2))
    assert first == second


def test_property():
    frame = property_rows()
    found = dataset_statistics(frame, 'property', target='bulk modulus', unit='GPa')
    page = Page(statistics_page(frame, found, 'Moduli'))
    assert len(page.all('figure')) == 2
    assert 'bulk modulus (GPa)' in page.text('th')
    assert '120 values of the property bulk modulus in GPa.' in page.text('p')
    assert not any('Source' in text for text in page.text('p'))


def test_many_rows(monkeypatch):
    """Of a large dataset the first rows are listed, and the page says so."""
    monkeypatch.setattr(module, 'MOST_ROWS', 10)
    frame = property_rows()
    page = Page(statistics_page(frame, dataset_statistics(frame, 'property'), 'Many'))
    assert 'The first 10 of 120 rows; all are in the dataset itself.' in page.text('p')
    assert 'crystal 9' in page.text('th')
    assert 'crystal 10' not in page.text('th')
