"""The page of a dataset in a real browser: headless Chromium, with the published barriers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from services.browser import Browser

from aiida_embarrier.datasets.importing import read_dataset
from aiida_embarrier.datasets.statistics import dataset_statistics
from aiida_embarrier.figures.statistics_page import statistics_page

pytestmark = [pytest.mark.slow, pytest.mark.services]

DESKTOP, PHONE = 1280, 360


@pytest.fixture(scope='module')
def frame(shared_data):
    return read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame


@pytest.fixture(scope='module')
def page(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp('page') / 'index.html'
    path.write_text(statistics_page(frame, dataset_statistics(frame), 'Published barriers'), encoding='utf8')
    return path


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp('chromium'))
    yield opened
    opened.close()


def pixels(browser):
    return np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert('RGB')).astype(int)


@pytest.mark.parametrize('width', [DESKTOP, PHONE])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_appearance(browser, page, width, scheme):
    """Nothing is wider than the window, every picture is there, the page is as light or dark as its reader likes it."""
    browser.show(page, width, scheme=scheme)
    assert browser.run('document.documentElement.scrollWidth') <= width
    sizes = browser.run('[...document.images].map(image => [image.complete, image.naturalWidth, image.clientWidth])')
    assert len(sizes) == 10
    assert all(complete and natural > 0 and shown > 250 for complete, natural, shown in sizes)
    seen = pixels(browser)
    assert width - 20 <= seen.shape[1] <= width, 'all but the bar to scroll'
    ground = seen[:, :4].mean()
    assert ground > 220 if scheme == 'light' else ground < 40
    # letters and pictures stand out from the ground all along the page
    contrast = np.abs(seen - seen[0, 0]).max(axis=2) > 90
    parts = np.array_split(contrast, 10)
    assert all(0.003 < part.mean() < 0.7 for part in parts)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_pictures_follow_the_page(browser, page, scheme):
    """The letters of a picture are dark on a light page, and light on a dark one."""
    browser.show(page, DESKTOP, scheme=scheme)
    box = browser.run('(({x, y, width, height}) => [x, y, width, height])(document.images[0].getBoundingClientRect())')
    x, y, width, height = (round(value) for value in box)
    picture = pixels(browser)[y : y + height, x : x + width]
    ground = picture[2, 2]
    # the axis at the left: a dark line on light ground or the other way round
    farthest = np.abs(picture - ground).sum(axis=2)
    grey = np.ptp(picture, axis=2) < 12
    ink = picture[(farthest > 500) & grey]
    assert len(ink) > 200
    assert (ink.mean() < 80) if scheme == 'light' else (ink.mean() > 180)


def test_search(browser, page, frame):
    browser.show(page, DESKTOP)
    search = """(words => {{
        const field = document.getElementById('search');
        field.value = words;
        field.dispatchEvent(new Event('input'));
        const rows = document.querySelectorAll('#rows-table tbody tr:not([hidden])');
        return [...rows].map(row => row.cells[0].textContent);
    }})({})"""
    found = browser.run(search.format("'nasicon scan'"))
    expected = frame[(frame['structural_group'] == 'NASICON') & (frame['functional'] == 'SCAN')]['name']
    assert len(found) > 0
    assert set(found) == set(expected)
    assert browser.run("document.querySelector('.count').textContent") == f'{len(found)} of 559 rows'
    assert browser.run(search.format("'nothing is called this'")) == []
    assert len(browser.run(search.format("''"))) == 559


def test_sorting(browser, page, frame):
    browser.show(page, DESKTOP)
    texts = browser.run("[...document.querySelectorAll('#rows-table th[scope=col]')].map(head => head.textContent)")
    place = texts.index('barrier (eV)')
    click = f"document.querySelectorAll('#rows-table th[scope=col]')[{place}].querySelector('button').click()"
    values = (
        f"[...document.querySelectorAll('#rows-table tbody tr')].map(row => Number(row.cells[{place}].textContent))"
    )
    expected = sorted(frame['barrier'])
    for direction, order in (('ascending', expected), ('descending', expected[::-1])):
        browser.run(click)
        assert browser.run(values) == pytest.approx(order, abs=6e-4)
        state = f"document.querySelectorAll('#rows-table th[scope=col]')[{place}].getAttribute('aria-sort')"
        assert browser.run(state) == direction
    # a click on another column takes over
    browser.run("document.querySelector('#rows-table th[scope=col] button').click()")
    assert browser.run("document.querySelectorAll('#rows-table th[aria-sort]').length") == 1


def test_keyboard(browser, page):
    """Headings of the table, tables that scroll and folded tables can be reached and used without a mouse."""
    browser.show(page, DESKTOP)
    reached = browser.run(
        "[...document.querySelectorAll('#rows-table th button, summary, #search')].every(e => e.tabIndex == 0)"
    )
    assert reached
    browser.run("document.querySelector('#rows-table th button').focus()")
    browser.ask(
        'Input.dispatchKeyEvent', type='keyDown', key='Enter', code='Enter', windowsVirtualKeyCode=13, text='\r'
    )
    browser.ask('Input.dispatchKeyEvent', type='keyUp', key='Enter', code='Enter', windowsVirtualKeyCode=13)
    assert browser.run("document.querySelector('#rows-table th').getAttribute('aria-sort')") == 'ascending'
