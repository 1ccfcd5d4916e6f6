"""Tables and pictures as one page for a browser.

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from aiida_embarrier.datasets.statistics_tables import Table

__all__ = ('Picture', 'cells_of', 'page_of')

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
    'n_predictions': 'predictions',
    'n_elements': 'elements',
    'n_atoms': 'atoms',
    'formula': 'composition',
}


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    :param name: of its file, without suffix.
    :param title: what readers see above it.
    :param description: what it shows, with its main numbers, for readers who do not see it.
    :param table: the table that holds its numbers.
    :param draw: returns the figure.
    :param caption: what stands above it; None for the meaning of its table.
    """

    name: str
    title: str
    description: str
    table: str
    draw: Callable[[], Figure]
    caption: str | None = None


@dataclass(frozen=True)
class _Column:
    header: str
    number: bool


def page_of(
    *,
    title: str,
    lead: str,
    source: str | None,
    numbers: Sequence[Mapping[str, str | None]],
    pictures: Sequence[Picture],
    figures: Mapping[str, Figure],
    tables: Mapping[str, tuple[Table, pd.DataFrame]],
    units_of: Callable[[str], Mapping[str, str]],
    rows: Mapping[str, Any],
    n_rows: int,
    whole: str,
    example: str,
    definitions: Sequence[Mapping[str, str]],
) -> str:
    """Return a page as HTML.

    :param title: its heading.
    :param lead: one sentence below it.
    :param source: where the data come from.
    :param numbers: `label`, `value` and `unit` of what stands at the top.
    :param pictures: in their order.
    :param figures: those that were drawn already, by the names of their pictures; they lose their ground.
    :param tables: by their names, each with its title and meaning. Those of pictures stand below them.
    :param units_of: returns the units of the columns of a table.
    :param rows: what :func:`cells_of` makes of the rows that are listed, and their `title`.
    :param n_rows: how many there are.
    :param whole: where all of them are.
    :param example: of what readers may search for in them.
    :param definitions: `term` and `meaning` of what holds for all tables.
    """

    def shown(name: str) -> dict[str, Any]:
        about, frame = tables[name]
        return {
            'name': name,
            'title': about.title,
            'meaning': about.meaning + _left_out(frame),
            **cells_of(frame.head(_MOST_LINES), units_of(name)),
        }

    in_pictures = {picture.table for picture in pictures}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=True)
    template = environment.from_string(Path(__file__).with_suffix('.html').read_text(encoding='utf8'))
    return template.render(
        title=title,
        lead=lead,
        source=source,
        numbers=numbers,
        pictures=[
            _picture(picture, figures.get(picture.name) or picture.draw(), shown(picture.table)) for picture in pictures
        ],
        tables=[shown(name) for name in tables if name not in in_pictures],
        rows=rows,
        n_rows=n_rows,
        whole=whole,
        example=example,
        definitions=[{'term': about.title, 'meaning': about.meaning} for about, _ in tables.values()]
        + list(definitions),
        version=__version__,
    )


def _picture(picture: Picture, figure: Figure, table: Mapping[str, Any]) -> dict[str, Any]:
    width, height = (round(96 * float(inches)) for inches in figure.get_size_inches())
    return {
        'name': picture.name,
        'title': picture.title,
        'description': picture.description,
        'caption': picture.caption or table['meaning'],
        'image': base64.b64encode(_adaptive_svg(figure).encode()).decode(),
        'width': width,
        'height': height,
        'table': table,
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


def _left_out(frame: pd.DataFrame) -> str:
    return f' The first {_MOST_LINES} of {len(frame)} lines.' if len(frame) > _MOST_LINES else ''


def cells_of(frame: pd.DataFrame, units: Mapping[str, str]) -> dict[str, Any]:
    """Return headers and texts of a table, as the template shows them.

    :param units: of its columns, by their names.
    """
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
