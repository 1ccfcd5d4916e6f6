"""Pictures of datasets: what is drawn is what was counted, and nothing is cut off."""

from __future__ import annotations

import numpy as np
import pytest
from dataset_rows import barrier_rows, property_rows
from matplotlib.figure import Figure
from matplotlib.text import Text

from aiida_embarrier.datasets.statistics import dataset_statistics
from aiida_embarrier.figures.dataset_counts import counts_by_label, paths_of_materials, space_group_in_print
from aiida_embarrier.figures.dataset_distribution import hop_lengths, value_histogram, values_by_ion
from aiida_embarrier.figures.dataset_elements import element_counts
from aiida_embarrier.figures.dataset_overview import pictures_of
from aiida_embarrier.figures.dataset_pairs import charge_state_pairs
from aiida_embarrier.figures.style import save

FRAME = barrier_rows()
FOUND = dataset_statistics(FRAME)


def texts(figure):
    figure.draw_without_rendering()
    return [entry.get_text() for entry in figure.findobj(Text) if entry.get_visible() and entry.get_text()]


def test_histogram():
    figure = value_histogram(FRAME, FOUND)
    (axes,) = figure.axes
    heights = np.zeros(len(FOUND.tables['histogram']))
    for part in axes.containers:
        heights += [bar.get_height() for bar in part]
    np.testing.assert_array_equal(heights, FOUND.tables['histogram']['n'])
    assert [sum(bar.get_height() for bar in part) for part in axes.containers] == FOUND.tables['ranges']['n'].tolist()
    written = ' '.join(texts(figure))
    assert 'migration barrier (eV)' in written
    assert 'rows per 0.25 eV' in written
    assert '2 rows beyond the axis, the farthest at 9.25' in written
    assert axes.get_xlim()[1] < 6.5, 'two outliers do not squeeze the others'


def test_histogram_of_a_property():
    frame = property_rows()
    found = dataset_statistics(frame, 'property', target='dielectric constant')
    figure = value_histogram(frame, found)
    (axes,) = figure.axes
    np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], found.tables['histogram']['n'])
    assert axes.get_legend() is None
    assert 'dielectric constant' in texts(figure)


@pytest.mark.parametrize(
    ('targets', 'width', 'limits'),
    [
        (np.linspace(-3.0, -0.5, 26), 0.5, (-3.0, 0.0)),
        ([0.3 - 1e-15, 0.5, 0.7], 0.1, (0.3, 0.8)),
        ([0.0, 0.0, 0.0], 1.0, (0.0, 1.0)),
    ],
    ids=['negative', 'a little below an edge', 'all the same'],
)
def test_no_value_is_beyond_the_axis_without_outliers(targets, width, limits):
    frame = property_rows().head(len(targets)).assign(target=targets)
    figure = value_histogram(frame, dataset_statistics(frame, 'property', bin_width=width))
    assert figure.axes[0].get_xlim() == pytest.approx(limits)
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == len(targets)
    assert 'beyond' not in ' '.join(texts(figure))


def test_by_ion():
    figure = values_by_ion(FRAME, FOUND)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ['Li (104)', 'Mg (104)']
    points = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in ('o', '>'))
    assert points == len(FRAME)
    beyond = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == '>')
    assert beyond == (FRAME['barrier'] > axes.get_xlim()[1]).sum() >= 2
    assert any(f'{beyond} rows above' in text for text in texts(figure))


@pytest.mark.parametrize('label', ['structural_group', 'crystal_system', 'space_group', 'functional', 'charge_state'])
def test_counts(label):
    figure = counts_by_label(FOUND, label)
    left, right = figure.axes
    table = FOUND.tables[f'by_{label}']
    assert [bar.get_width() for bar in left.patches] == table['n'].tolist()
    medians = next(line for line in right.lines if line.get_label() == 'median')
    np.testing.assert_allclose(medians.get_xdata(), table['median'])


def test_most_frequent_only():
    figure = counts_by_label(FOUND, 'structural_group', most=3)
    assert len(figure.axes[0].patches) == 3
    assert '3 of 4; the others have 52 rows' in texts(figure)


def test_labels_that_are_no_formula_or_too_long():
    frame = barrier_rows()
    labels = [
        r'$\frac$',
        'a $ b',
        'so long that nothing of the picture would be left beside it, were it drawn as it is',
    ]
    frame['structural_group'] = [labels[number % 3] for number in range(len(frame))]
    figure = counts_by_label(dataset_statistics(frame), 'structural_group')
    written = texts(figure)
    assert {r'\$\frac\$', r'a \$ b', 'so long that nothing of the picture …'} <= set(written)


def test_unknown_labels():
    frame = FRAME.assign(functional=FRAME['functional'].where(FRAME['functional'] == 'GGA'))
    assert 'unknown' in texts(counts_by_label(dataset_statistics(frame), 'functional'))


@pytest.mark.parametrize(
    ('symbol', 'printed'),
    [
        ('Fd-3m', r'Fd$\overline{3}$m'),
        ('P21/c', 'P2$_{1}$/c'),
        ('P42/mnm', 'P4$_{2}$/mnm'),
        ('P-421m', r'P$\overline{4}$2$_{1}$m'),
        ('R32', 'R32'),
        ('P32', 'P3$_{2}$'),
        ('P321', 'P321'),
        ('I42d', 'I42d'),  # a bar was lost in print
    ],
)
def test_space_groups_in_print(symbol, printed):
    assert space_group_in_print(symbol) == printed


def test_paths():
    (axes,) = paths_of_materials(FOUND).axes
    materials, rows = ([bar.get_height() for bar in part] for part in axes.containers)
    assert sum(materials) == FOUND.numbers['n_materials']
    assert sum(rows) == len(FRAME)


def test_pairs():
    figure = charge_state_pairs(FOUND)
    (axes,) = figure.axes
    points = sorted(
        point for line in axes.lines if line.get_marker() != 'None' for point in zip(*line.get_data(), strict=True)
    )
    table = FOUND.tables['pairs']
    assert len(points) == 8
    np.testing.assert_allclose(points, sorted(zip(table['mean_discharged'], table['mean_charged'], strict=True)))
    assert sum(' in ' in text for text in texts(figure)) >= 6, 'the hosts that differ most are named'


def test_hop_lengths():
    figure = hop_lengths(FRAME, FOUND)
    (axes,) = figure.axes
    assert sum(len(line.get_xdata()) for line in axes.lines) == len(FRAME)
    assert any('Spearman' in text for text in texts(figure))


def test_elements():
    figure = element_counts(FOUND)
    written = texts(figure)
    for row in FOUND.tables['elements'].itertuples():
        assert row.element in written
        assert f'{row.n}' in written
    assert {'U', 'Lr', 'Xe'} <= set(written), 'elements that are not there have a place'


@pytest.mark.slow
def test_all_pictures_are_described_and_whole(tmp_path):
    """Every picture can be written, and none of its texts is cut at the border of the page."""
    pictures = pictures_of(FRAME, FOUND)
    assert [picture.name for picture in pictures] == [
        *('histogram', 'by_ion', 'by_structural_group', 'by_crystal_system', 'by_space_group', 'by_functional'),
        *('paths', 'pairs', 'hop_lengths', 'elements'),
    ]
    for picture in pictures:
        assert picture.table in FOUND.tables
        assert picture.title
        assert len(picture.description) > 40
        figure = picture.draw()
        assert isinstance(figure, Figure)
        assert save(figure, tmp_path / f'{picture.name}.svg').stat().st_size > 5000
        page = figure.bbox.padded(2)
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text().strip():
                box = text.get_window_extent()
                inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
                # Labels of ticks beyond the limits of an axis are there, but not drawn.
                assert inside or text in [tick for axes in figure.axes for tick in ticks(axes)], (picture.name, text)


def ticks(axes):
    return [*axes.get_xticklabels(which='both'), *axes.get_yticklabels(which='both')]


def test_pictures_of_a_property():
    frame = property_rows()
    found = dataset_statistics(frame, 'property', target='bulk modulus', unit='GPa')
    pictures = pictures_of(frame, found)
    assert [picture.name for picture in pictures] == ['histogram', 'elements']
    assert pictures[0].title == 'Bulk modulus'
    assert 'GPa' in pictures[0].description
