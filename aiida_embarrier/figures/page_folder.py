"""Tables and pictures as a folder: a page for a browser, tables as CSV files, pictures as PNG and SVG, a summary."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_embarrier.figures.style import save

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from aiida_embarrier.figures.page import Picture

__all__ = ('check_folder', 'write_files', 'write_folder')

#: What is written: files, and folders with files that end so.
_PAGE = 'index.html'
_FOLDERS = {'tables': ('.csv',), 'figures': ('.png', '.svg')}


def check_folder(
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    summary: str = 'statistics.json',
    what: str = 'statistics',
) -> Path:
    """Return a folder as a path if a page with its tables and pictures can be written there.

    :param overwrite: whether a folder with such a page may be there already.
    :param summary: name of the file with the summary.
    :param what: what the page shows, for messages.
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
    files = (_PAGE, summary)
    strangers = [e for e in sorted(path.rglob('*')) if not _is_ours(e.relative_to(path), e.is_dir(), files)]
    if strangers:
        raise FileExistsError(
            f'{path} holds files that are no {what}, such as {strangers[0].relative_to(path)}, and is not '
            'replaced: choose another folder'
        )
    return path


def _is_ours(path: Path, is_folder: bool, files: Sequence[str]) -> bool:
    if len(path.parts) == 1:
        return path.name in _FOLDERS if is_folder else path.name in files
    return not is_folder and len(path.parts) == 2 and path.suffix in _FOLDERS.get(path.parts[0], ())


def write_folder(
    folder: str | os.PathLike[str],
    tables: Mapping[str, pd.DataFrame],
    pictures: Sequence[Picture],
    page: Callable[[Mapping[str, Figure]], str],
    summary: tuple[str, Mapping[str, Any]],
    what: str,
    *,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write a page with its tables and pictures into a folder of their own; it is there with all files or not at all.

    :param folder: to make; the one around it is there.
    :param tables: by their names.
    :param pictures: that the page shows.
    :param page: returns the page, given the figures by the names of their pictures.
    :param summary: name of a JSON file, and what it says.
    :param what: what the page shows, for messages.
    :param overwrite: replace a folder with such a page.
    :param tell: called with the name of each file before it is made.
    :return: the files.
    :raises OSError: see :func:`check_folder`.
    """
    name_of_summary, content = summary
    with _made_whole(folder, overwrite=overwrite, summary=name_of_summary, what=what) as new:
        for name in _FOLDERS:
            (new / name).mkdir()
        for name, table in tables.items():
            table.to_csv(new / 'tables' / f'{name}.csv', index=False)
        figures = {}
        for picture in pictures:
            tell(picture.name)
            figures[picture.name] = figure = picture.draw()
            for suffix in _FOLDERS['figures']:
                save(figure, new / 'figures' / f'{picture.name}{suffix}')
                figure.set_layout_engine('none')  # what the first one laid out stays, which saves most of the time
        tell(_PAGE)
        (new / _PAGE).write_text(page(figures), encoding='utf8')
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        (new / name_of_summary).write_text(text + '\n', encoding='utf8')
    return _files_in(Path(folder))


def write_files(
    folder: str | os.PathLike[str],
    files: Mapping[str, bytes],
    *,
    summary: str,
    what: str,
    overwrite: bool = False,
) -> list[Path]:
    """Write a page that was made elsewhere into a folder of its own; it is there with all files or not at all.

    :param folder: to make; the one around it is there.
    :param files: contents by names, those of a folder that :func:`write_folder` wrote.
    :param summary: name of the file with the summary.
    :param what: what the page shows, for messages.
    :param overwrite: replace a folder with such a page.
    :return: the files.
    :raises OSError: see :func:`check_folder`.
    """
    with _made_whole(folder, overwrite=overwrite, summary=summary, what=what) as new:
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
    return _files_in(Path(folder))


def _files_in(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.rglob('*') if entry.is_file())


@contextmanager
def _made_whole(folder: str | os.PathLike[str], **how: Any) -> Iterator[Path]:
    """Yield an empty folder that takes the place of another one when the block is done.

    :param how: other parameters of :func:`check_folder`.
    """
    path = check_folder(folder, **how)
    with tempfile.TemporaryDirectory(prefix=f'.{path.name}-', dir=path.absolute().parent) as temporary:
        new = Path(temporary) / 'new'
        new.mkdir()
        yield new
        check_folder(path, **how)  # somebody else may have been quicker
        _replace(path, new, Path(temporary) / 'old')


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
