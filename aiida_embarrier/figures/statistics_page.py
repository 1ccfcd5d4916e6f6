"""The statistics of a dataset as one page for a browser.

The page is a single file that asks no other computer for anything: style, script, pictures and rows are in it. It
follows the reader's choice of a light or a dark page, and so do its pictures.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from matplotlib import rc_context

from aiida_embarrier import __version__
from aiida_embarrier.datasets.schema import flags_of
from aiida_embarrier.datasets.statistics_tables import TABLES
from aiida_embarrier.figures.dataset_overview import pictures_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics import Statistics
    from aiida_embarrier.figures.dataset_overview import Picture

__all__ = ('statistics_page',)

#: Most rows that the page lists: browsers get slow with more.
MOST_ROWS = 5000

#: Most rows of a table beside the pictures.
_MOST_LINES = 500

#: What stands where a value is unknown.
_UNKNOWN = '–'

_HEADERS = {
    'n': 'rows',
    'fraction': 'share (%)',
    'min': 'lowest',
    'max': 'highest',
    'low': 'from',
    'high': 'to below',
    'threshold': 'below',
    'n_paths': 'paths',
    'n_materials': 'materials',
    'n_rows': 'rows',
    'n_elements': 'elements',
    'n_atoms': 'atoms',
    'formula': 'composition',
}

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


@dataclass(frozen=True)
class _Column:
    header: str
    number: bool


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
    drawn = figures or {}
    pictures = pictures_of(frame, statistics)
    in_pictures = {picture.table for picture in pictures}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=True)
    template = environment.from_string(Path(__file__).with_suffix('.html').read_text(encoding='utf8'))
    return template.render(
        title=title,
        lead=_lead(statistics),
        source=source,
        numbers=list(_numbers(statistics)),
        pictures=[_picture(picture, drawn.get(picture.name) or picture.draw(), statistics) for picture in pictures],
        tables=[_table(statistics, name) for name in statistics.tables if name not in in_pictures],
        rows=_rows(frame, statistics),
        n_rows=len(frame),
        definitions=[{'term': TABLES[name].title, 'meaning': TABLES[name].meaning} for name in statistics.tables]
        + _conventions(statistics),
        version=__version__,
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


def _picture(picture: Picture, figure: Figure, statistics: Statistics) -> dict[str, Any]:
    width, height = (round(96 * float(inches)) for inches in figure.get_size_inches())
    return {
        'name': picture.name,
        'title': picture.title,
        'description': picture.description,
        'image': base64.b64encode(_adaptive_svg(figure).encode()).decode(),
        'width': width,
        'height': height,
        'table': _table(statistics, picture.table),
    }


def _adaptive_svg(figure: Figure) -> str:
    """Return a figure as SVG without a ground, whose black is light on dark pages."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    buffer = io.StringIO()
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'aiida-embarrier'}):
        figure.savefig(buffer, format='svg', metadata={'Date': None})
    text = buffer.getvalue()
    # Black follows the page, and the grey of boxes is one that is seen on both.
    text = text[text.index('<svg') :].replace('#000000', 'currentColor').replace('#595959', '#7f7f7f')
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    style = (
        '<style>svg{color:#1b1f24}text{fill:currentColor}@media (prefers-color-scheme:dark){svg{color:#e6e9ec}}</style>'
    )
    opening = text.index('>') + 1
    return text[:opening] + style + text[opening:]


def _table(statistics: Statistics, name: str) -> dict[str, Any]:
    frame = statistics.tables[name]
    return {
        'name': name,
        'title': TABLES[name].title,
        'meaning': TABLES[name].meaning + _left_out(frame),
        **_cells(frame.head(_MOST_LINES), statistics.units_of(name)),
    }


def _left_out(frame: pd.DataFrame) -> str:
    return f' The first {_MOST_LINES} of {len(frame)} lines.' if len(frame) > _MOST_LINES else ''


def _rows(frame: pd.DataFrame, statistics: Statistics) -> dict[str, Any]:
    names = [name for name in _ROWS if name in frame and frame[name].notna().any()]
    shown = frame[names].head(MOST_ROWS)
    if 'flags' in shown:
        flags = [', '.join(flags_of(row)) or None for row in shown[['flags']].to_dict('records')]
        shown = shown.assign(flags=pd.array(flags, dtype='string'))
    units = {statistics.quantity: statistics.unit, 'hop_length': 'Å'}
    headers = {'barrier': 'barrier', 'target': statistics.name}
    return _cells(
        shown.rename(columns=headers), {headers.get(name, name): unit for name, unit in units.items() if unit}
    )


def _cells(frame: pd.DataFrame, units: dict[str, str]) -> dict[str, Any]:
    """Return headers and texts of a table."""
    columns, texts = [], []
    for name in frame:
        header = _HEADERS.get(name, name.replace('_', ' '))
        is_number = pd.api.types.is_numeric_dtype(frame[name])
        columns.append(_Column(f'{header} ({units[name]})' if name in units else header, is_number))
        scale = 100 if name == 'fraction' else 1
        specification = '.1f' if name == 'fraction' else _specification(frame[name])
        texts.append(
            [
                _UNKNOWN if pd.isna(value) else format(value * scale, specification) if is_number else str(value)
                for value in frame[name]
            ]
        )
    return {'columns': columns, 'rows': list(zip(*texts, strict=True))}


def _specification(column: pd.Series) -> str:
    """Return how the numbers of a column are written: one number of decimals where they are of similar size."""
    if not pd.api.types.is_float_dtype(column):
        return ''
    largest = column.abs().max()
    return '.3f' if 0.1 <= largest < 1e4 else '.4g'
