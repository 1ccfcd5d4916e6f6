"""The statistics of a dataset as a folder: the page, the tables as CSV files and the pictures as PNG and SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_embarrier.datasets.statistics_tables import TABLES
from aiida_embarrier.figures.dataset_overview import pictures_of
from aiida_embarrier.figures.page_folder import write_folder
from aiida_embarrier.figures.statistics_page import statistics_page

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('write_statistics',)


def write_statistics(
    folder: str | os.PathLike[str],
    frame: pd.DataFrame,
    statistics: Statistics,
    title: str,
    source: str | None = None,
    *,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write the statistics of a dataset into a folder of their own; it is there with all its files or not at all.

    :param folder: to make; the one around it is there.
    :param frame: the rows that were summarised.
    :param statistics: of these rows.
    :param title: heading of the page.
    :param source: where the dataset comes from.
    :param overwrite: replace a folder with statistics of a dataset.
    :param tell: called with the name of each file before it is made.
    :return: the files.
    :raises OSError: see :func:`~aiida_embarrier.figures.page_folder.check_folder`.
    """
    return write_folder(
        folder,
        statistics.tables,
        pictures_of(frame, statistics),
        lambda figures: statistics_page(frame, statistics, title, source, figures=figures),
        ('statistics.json', _summary(statistics, title, source)),
        'statistics',
        overwrite=overwrite,
        tell=tell,
    )


def _summary(statistics: Statistics, title: str, source: str | None) -> dict[str, object]:
    return {
        'title': title,
        'source': source,
        'schema': statistics.schema,
        'quantity': statistics.name,
        'unit': statistics.unit,
        'numbers': statistics.numbers,
        'tables': {name: {'title': TABLES[name].title, 'meaning': TABLES[name].meaning} for name in statistics.tables},
    }
