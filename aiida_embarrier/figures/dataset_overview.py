"""All pictures of a dataset: which there are, what they show, and who draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.figures.dataset_counts import counts_by_label, paths_of_materials
from aiida_embarrier.figures.dataset_distribution import hop_lengths, value_histogram, values_by_ion
from aiida_embarrier.figures.dataset_elements import element_counts
from aiida_embarrier.figures.dataset_pairs import charge_state_pairs
from aiida_embarrier.figures.page import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('pictures_of',)

#: How many space groups and compositions are shown.
_MOST = 15


def pictures_of(frame: pd.DataFrame, statistics: Statistics) -> list[Picture]:
    """Return the pictures that the rows of a dataset have something to show in; none is drawn yet.

    :param frame: the rows that were summarised.
    :param statistics: of these rows.
    """
    return list(_pictures(frame, statistics))


def _pictures(frame: pd.DataFrame, statistics: Statistics) -> Iterator[Picture]:
    numbers, tables = statistics.numbers, statistics.tables
    unit = f' {statistics.unit}' if statistics.unit else ''
    capital = statistics.name[:1].upper() + statistics.name[1:]
    spread = (
        f'{numbers["n"]} rows from {numbers["min"]:.3g} to {numbers["max"]:.3g}{unit}, '
        f'median {numbers["median"]:.3g}{unit}, mean {numbers["mean"]:.3g}{unit}'
    )
    if 'ranges' in tables:
        table = tables['ranges']
        spread += '; ' + ', '.join(f'{label} {n}' for label, n in zip(table['range'], table['n'], strict=True))
    yield Picture(
        'histogram', capital, f'Histogram: {spread}.', 'histogram', lambda: value_histogram(frame, statistics)
    )
    if 'by_ion' in tables:
        medians = tables['by_ion'].dropna(subset='ion').head(4)
        said = ', '.join(f'{row.ion} {row.median:.3g}{unit} ({row.n} rows)' for row in medians.itertuples())
        yield Picture(
            'by_ion',
            f'{capital} by ion',
            f'Points and boxes by ion. Medians of the most frequent ions: {said}.',
            'by_ion',
            lambda: values_by_ion(frame, statistics),
        )
    for label, title, most in (
        ('structural_group', 'Structural groups', None),
        ('crystal_system', 'Crystal systems', None),
        ('space_group', 'Most frequent space groups', _MOST),
        ('functional', 'Density functionals', None),
    ):
        if f'by_{label}' in tables:
            yield _by_label(statistics, label, title, most)
    if numbers.get('n_materials_with_several_paths'):
        said = (
            f'{numbers["n_materials_with_several_paths"]} of {numbers["n_materials"]} materials have several paths, '
            f'{numbers["n_rows_of_these"]} rows'
        )
        yield Picture(
            'paths',
            'Paths of a material',
            f'Bars by the number of paths: {said}.',
            'paths',
            lambda: paths_of_materials(statistics),
        )
    if 'pairs' in tables:
        table = tables['pairs']
        higher = int((table['mean_charged'] > table['mean_discharged']).sum())
        yield Picture(
            'pairs',
            'Charged and discharged hosts',
            f'Mean barrier of the charged against that of the discharged state of {len(table)} pairs; it is higher in '
            f'the charged state in {higher} of them.',
            'pairs',
            lambda: charge_state_pairs(statistics),
        )
    if 'hop_lengths' in tables:
        said = f'{numbers["hop_length_min"]:.2f} to {numbers["hop_length_max"]:.2f} Å'
        yield Picture(
            'hop_lengths',
            f'{capital} and length of the hop',
            f'One point for each row with a known length of the hop, {said}, and medians of bins of 1 Å.',
            'hop_lengths',
            lambda: hop_lengths(frame, statistics),
        )
    most_frequent = ', '.join(f'{row.element} {row.n}' for row in tables['elements'].head(6).itertuples())
    yield Picture(
        'elements',
        'Elements',
        f'Periodic table with the number of rows that have each of {numbers["n_different_elements"]} elements. '
        f'Most frequent: {most_frequent}.',
        'elements',
        lambda: element_counts(statistics),
    )


def _by_label(statistics: Statistics, label: str, title: str, most: int | None) -> Picture:
    table = statistics.tables[f'by_{label}']
    known = table[table[label].notna()]
    said = ', '.join(f'{name} {n}' for name, n in zip(known[label].head(5), known['n'].head(5), strict=True))
    return Picture(
        f'by_{label}',
        title,
        f'Bars by label, and beside them lowest, median, mean and highest value. {len(known)} labels; '
        f'most frequent: {said}.',
        f'by_{label}',
        lambda: counts_by_label(statistics, label, most),
    )
