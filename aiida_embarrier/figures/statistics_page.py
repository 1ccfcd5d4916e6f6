"""The statistics of a dataset as one page for a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.schema import flags_of
from aiida_embarrier.datasets.statistics_tables import TABLES
from aiida_embarrier.figures.dataset_overview import pictures_of
from aiida_embarrier.figures.page import cells_of, page_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('statistics_page',)

#: Most rows that the page lists: browsers get slow with more.
MOST_ROWS = 5000

#: Columns of the rows that are listed, as far as the dataset has them.
_ROWS = (
    *('name', 'ion', 'barrier', 'target', 'formula', 'structural_group', 'crystal_system', 'space_group', 'functional'),
    *('charge_state', 'hop_length', 'n_atoms', 'path_label', 'flags'),
)

#: Numbers at the top of the page: name, and what readers call it.
_NUMBERS = (
    ('n_rows', 'rows'),
    ('median', 'median'),
    ('mean', 'mean'),
    ('sd', 'standard deviation'),
    ('min', 'lowest'),
    ('max', 'highest'),
    ('n_ions', 'migrating ions'),
    ('n_structural_groups', 'structural groups'),
    ('n_space_groups', 'space groups'),
    ('n_compositions', 'compositions'),
    ('n_materials', 'materials'),
    ('n_materials_with_several_paths', 'materials with several paths'),
    ('n_charged_discharged_pairs', 'charged and discharged pairs'),
    ('n_different_elements', 'elements'),
    ('n_flagged', 'flagged rows'),
)
_WITH_UNIT = ('median', 'mean', 'sd', 'min', 'max')


def statistics_page(
    frame: pd.DataFrame,
    statistics: Statistics,
    title: str,
    source: str | None = None,
    figures: Mapping[str, Figure] | None = None,
) -> str:
    """Return the page as HTML.

    :param frame: the rows that were summarised.
    :param statistics: of these rows.
    :param title: its heading.
    :param source: where the dataset comes from: a citation, a file, a node.
    :param figures: pictures that were drawn already, by their names; they lose their ground.
    """
    return page_of(
        title=title,
        lead=_lead(statistics),
        source=source,
        numbers=list(_numbers(statistics)),
        pictures=pictures_of(frame, statistics),
        figures=figures or {},
        tables={name: (TABLES[name], table) for name, table in statistics.tables.items()},
        units_of=statistics.units_of,
        rows=_rows(frame, statistics),
        n_rows=len(frame),
        whole='the dataset itself',
        example='such as NASICON Ca',
        definitions=_conventions(statistics),
    )


def _lead(statistics: Statistics) -> str:
    unit = '' if statistics.unit is None else f' in {statistics.unit}'
    kind = 'migration barriers' if statistics.schema == 'barrier' else f'values of the property {statistics.name}'
    return f'{statistics.numbers["n_rows"]} {kind}{unit}.'


def _conventions(statistics: Statistics) -> list[dict[str, str]]:
    """Return what holds for all tables."""
    sample = 'Of the rows whose value is known. The standard deviation is that of a sample (n − 1).'
    flags = (
        'Rows with a known defect, such as a final state that is not known exactly. They stay in the dataset, and '
        'all tables count them.'
    )
    found = [{'term': 'Mean, median, deviation', 'meaning': sample}, {'term': 'Flagged rows', 'meaning': flags}]
    return found if 'flags' not in statistics.tables else found[:1]


def _numbers(statistics: Statistics) -> Iterator[dict[str, str | None]]:
    for name, label in _NUMBERS:
        value = statistics.numbers.get(name)
        if value is not None:
            unit = statistics.unit if name in _WITH_UNIT else None
            text = (
                f'{value}' if isinstance(value, int) else f'{value:.3f}' if 0.1 <= abs(value) < 1e4 else f'{value:.4g}'
            )
            yield {'label': label, 'value': text, 'unit': unit}


def _rows(frame: pd.DataFrame, statistics: Statistics) -> dict[str, Any]:
    names = [name for name in _ROWS if name in frame and frame[name].notna().any()]
    shown = frame[names].head(MOST_ROWS)
    if 'flags' in shown:
        flags = [', '.join(flags_of(row)) or None for row in shown[['flags']].to_dict('records')]
        shown = shown.assign(flags=pd.array(flags, dtype='string'))
    units = {statistics.quantity: statistics.unit, 'hop_length': 'Å'}
    headers = {'barrier': 'barrier', 'target': statistics.name}
    named = {headers.get(name, name): unit for name, unit in units.items() if unit}
    return {'title': 'Rows of the dataset', **cells_of(shown.rename(columns=headers), named)}
