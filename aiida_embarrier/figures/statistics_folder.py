"""The statistics of a dataset as a folder: the page, the tables as CSV files and the pictures as PNG and SVG."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_embarrier.datasets.statistics_tables import TABLES
from aiida_embarrier.figures.dataset_overview import pictures_of
from aiida_embarrier.figures.statistics_page import statistics_page
from aiida_embarrier.figures.style import save

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pandas as pd

    from aiida_embarrier.datasets.statistics import Statistics

__all__ = ('check_folder', 'write_statistics')

#: What is written: files, and folders with files that end so.
_FILES = ('index.html', 'statistics.json')
_FOLDERS = {'tables': ('.csv',), 'figures': ('.png', '.svg')}


def check_folder(folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Return a folder as a path if the statistics of a dataset can be written there.

    :param overwrite: whether a folder with statistics of a dataset may be there already.
    :raises FileExistsError: where something is there already; with `overwrite`, where it holds other files, too.
    :raises FileNotFoundError: where the folder around it is missing.
    """
    path = Path(folder)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f'cannot write {path}: there is no folder {path.absolute().parent}')
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FileExistsError(f'{path} is there already and is no folder: choose another name')
    if not path.exists() or not any(path.iterdir()):
        return path
    if not overwrite:
        raise FileExistsError(f'{path} is there already: choose another folder, or replace it with --overwrite')
    strangers = [entry for entry in sorted(path.rglob('*')) if not _is_ours(entry.relative_to(path), entry.is_dir())]
    if strangers:
        raise FileExistsError(
            f'{path} holds files that are no statistics, such as {strangers[0].relative_to(path)}, and is not '
            'replaced: choose another folder'
        )
    return path


def _is_ours(path: Path, is_folder: bool) -> bool:
    if len(path.parts) == 1:
        return path.name in _FOLDERS if is_folder else path.name in _FILES
    return not is_folder and len(path.parts) == 2 and path.suffix in _FOLDERS.get(path.parts[0], ())


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
    :raises OSError: see :func:`check_folder`.
    """
    path = check_folder(folder, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix=f'.{path.name}-', dir=path.absolute().parent) as temporary:
        new = Path(temporary) / 'new'
        for name in _FOLDERS:
            (new / name).mkdir(parents=True)
        for name, table in statistics.tables.items():
            table.to_csv(new / 'tables' / f'{name}.csv', index=False)
        figures = {}
        for picture in pictures_of(frame, statistics):
            tell(picture.name)
            figures[picture.name] = figure = picture.draw()
            for suffix in _FOLDERS['figures']:
                save(figure, new / 'figures' / f'{picture.name}{suffix}')
                figure.set_layout_engine('none')  # what the first one laid out stays, which saves most of the time
        tell('index.html')
        page = statistics_page(frame, statistics, title, source, figures=figures)
        (new / 'index.html').write_text(page, encoding='utf8')
        text = json.dumps(_summary(statistics, title, source), indent=2, ensure_ascii=False, allow_nan=False)
        (new / 'statistics.json').write_text(text + '\n', encoding='utf8')
        check_folder(path, overwrite=overwrite)  # somebody else may have been quicker
        _replace(path, new, Path(temporary) / 'old')
    return sorted(entry for entry in path.rglob('*') if entry.is_file())


def _replace(path: Path, new: Path, old: Path) -> None:
    """Put a folder in the place of another one, which is moved away, or back where that fails."""
    if not path.exists():
        new.replace(path)
        return
    path.replace(old)
    try:
        new.replace(path)
    except BaseException:
        old.replace(path)
        raise


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
