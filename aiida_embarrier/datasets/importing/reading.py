"""Read a dataset, whatever its format."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from aiida_embarrier.datasets.importing.base import BARRIER_TARGET, DatasetError, ImportedDataset, Target, frame_of
from aiida_embarrier.datasets.importing.content import Content, load_content
from aiida_embarrier.datasets.schema import check_rows
from aiida_embarrier.datasets.tables import check_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

__all__ = ('FORMATS', 'Format', 'published_splits', 'read_dataset')


@dataclass(frozen=True)
class Format:
    """A format of a dataset.

    :param title: what it is, in a line.
    :param module: of this package, which reads it; it holds `read`.
    :param keys: tags by which its rows are told from those of others.
    :param barrier: tag or column of the barriers in eV, which may be missing.
    """

    title: str
    module: str
    keys: frozenset[str]
    barrier: str = 'target'


#: The formats by their names, in the order in which they are tried.
FORMATS = {
    'barriers-train': Format(
        'barriers_train.json.gz: framework and path of the ion apart',
        'barriers_train',
        frozenset({'sys_name', 'path_frac'}),
        'barrier_eV',
    ),
    'ten-tags': Format(
        'EM-COMPLETE-DATASET.json: ten tags, initial and final structure',
        'ten_tags',
        frozenset({'structure_ini', 'structure_fin'}),
    ),
    'two-ends': Format(
        'BOTH-RAW-Em-*.json: initial and final atoms (MODEL-1 and 2)', 'two_ends', frozenset({'atoms_ini', 'atoms_fin'})
    ),
    'five-images': Format(
        'RAW-Em-5-images-*.json: composites with five images of the ion (MODEL-3 and 4)',
        'five_images',
        frozenset({'atoms', 'sys_name'}),
    ),
    # before `property`: what was imported from such a file and written keeps its column row_id
    'table': Format(
        'parquet or CSV with the columns of a schema of this package',
        'tables',
        frozenset({'name', 'species'}),
        'barrier',
    ),
    'property': Format(
        'parquet files of the transfer-learning sets: a crystal and a property',
        'properties',
        frozenset({'row_id', 'species'}),
    ),
    'matminer': Format(
        'CSV of matminer: a column with structures of pymatgen as JSON, and properties',
        'originals',
        frozenset({'structure'}),
    ),
    'matbench': Format(
        'JSON of matbench: index, columns and data, with structures of pymatgen', 'originals', frozenset({'structure'})
    ),
    'jarvis': Format('JSON of JARVIS: atoms, jid and properties', 'originals', frozenset({'atoms', 'jid'})),
}

#: Formats that are tables before they are read.
_TABULAR = frozenset({'property', 'matminer', 'table'})

#: Tags of which a file with structures has some.
_STRUCTURES = frozenset({'lattice', 'species', 'frac_coords', 'path_frac', 'atoms'})


def read_dataset(
    source: str | PathLike[str] | bytes,
    format: str | None = None,  # noqa: A002  (as pandas and others call it)
    *,
    target: Target | None = None,
    repairs: Sequence[str] = (),
    name: str | None = None,
    source_text: str | None = None,
    labelled: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> ImportedDataset:
    """Return the dataset in a file, with its labels filled in and its known defects marked.

    Rows with defects stay in; see :mod:`aiida_embarrier.datasets.defects`. Nothing is changed that was not asked for.

    :param source: path of a file, or its bytes.
    :param format: one of :data:`FORMATS`; None for the one that its content is told by.
    :param target: of a dataset of properties, where it is not known from the name of the file.
    :param repairs: keys of defects to repair, see :data:`~aiida_embarrier.datasets.repairs.REPAIRS`; each repair stands
        in the column `repairs` of its row.
    :param name: how messages call the file where `source` is its bytes.
    :param source_text: citation, DOI or address of the dataset, for rows that have none of their own.
    :param labelled: whether every row has its barrier; else those without one stay, with a gap in `barrier`.
    :param progress: called with what is being done, how many rows of it are done, and out of how many.
    :raises FileNotFoundError: where there is no such file.
    :raises DatasetError: for files of another format, damaged ones, and rows that are not whole.
    """
    from aiida_embarrier.datasets.completing import complete

    content = load_content(source, name)
    key = _format_of(content) if format is None else format
    if key not in FORMATS:
        raise DatasetError(f'there is no format {key!r} of datasets: choose from {", ".join(FORMATS)}')
    frame, schema, found = _read(content, key, target)
    notes: list[str] = frame.attrs.pop('notes', [])
    if source_text is not None:
        frame['source'] = frame['source'].fillna(source_text) if 'source' in frame else source_text
        frame = frame_of(frame, schema)
    if not len(frame):
        raise DatasetError(f'{content.name} holds no rows')
    if schema == 'barrier' and labelled:
        _refuse_gaps(frame, f'{content.name}: ', FORMATS[key].barrier)
    try:
        check_rows(frame, schema, labelled=labelled)
        check_table(frame)
    except ValueError as error:
        raise DatasetError(f'{content.name}: {error}') from error
    try:
        completed = complete(frame, schema, repairs, progress)
    except ValueError as error:
        raise DatasetError(f'{content.name}: {error}') from error
    notes = [*notes, *completed.notes]
    report = {'format': key, 'file': content.name, 'sha256': content.sha256, **completed.summary(), 'notes': notes}
    return ImportedDataset(completed.frame, schema, found, report, completed.left.table, completed.repairs)


def _refuse_gaps(frame: pd.DataFrame, where: str, column: str) -> None:
    """Refuse rows without a barrier.

    :param column: what barriers are called in the file.
    :raises DatasetError: naming the first of them.
    """
    known = frame['barrier'].notna() if 'barrier' in frame else pd.Series(False, index=frame.index)
    if not known.any():
        raise DatasetError(
            f'{where}no row has a barrier: nothing stands in {column!r} (eV); `aiida-embarrier predict` takes paths '
            'without barriers'
        )
    if not known.all():
        raise DatasetError(
            f'{where}{int((~known).sum())} of {len(frame)} rows have no {column!r} (eV), '
            f'{frame["name"][~known].iloc[0]} the first of them: fill them in, or leave these rows out; `predict` and '
            '`evaluate` take them as they are'
        )


def _read(content: Content, key: str, target: Target | None) -> tuple[pd.DataFrame, str, Target]:
    """Return rows, schema and target as the module of a format reads them."""
    module = importlib.import_module(f'aiida_embarrier.datasets.importing.{FORMATS[key].module}')
    tabular = key in _TABULAR
    if tabular != isinstance(content.data, pd.DataFrame):
        raise DatasetError(f'{content.name} is {content.kind}, which the format {key!r} is not: leave out the format')
    try:
        if tabular:
            frame, schema, found = module.read(content.data, content.name, target)
            return frame, schema, found
        if key == 'matbench' and not _is_matbench(content.data):
            raise DatasetError('the JSON of matbench is a mapping with `columns` and `data`')
        listed = isinstance(content.data, list) and all(isinstance(row, dict) for row in content.data)
        if key != 'matbench' and not listed:
            raise DatasetError('a dataset in JSON is a list of mappings, one for each row')
        if key in {'matbench', 'jarvis'}:
            frame, schema, found = module.read(module.as_table(content.data), content.name, target)
            return frame, schema, found
        return module.read(content.data), 'barrier', BARRIER_TARGET
    except DatasetError as error:
        raise DatasetError(f'{content.name}: {error}') from error


def _format_of(content: Content) -> str:
    data = content.data
    if isinstance(data, pd.DataFrame):
        keys = set(map(str, data.columns))
    elif isinstance(data, list) and isinstance(data[0], dict):
        keys = set().union(*(row for row in data if isinstance(row, dict)))
    elif _is_matbench(data):
        return 'matbench'
    else:
        keys = set()
        if isinstance(data, dict) and _looks_like_splits(data):
            raise DatasetError(
                f'{content.name} holds the ids of published splits and no rows: import the parquet files beside it, '
                'whose column split_paper is taken over; `published_splits` reads the samples of the trials'
            )
    tabular = isinstance(data, pd.DataFrame)
    for key, one in FORMATS.items():
        if key != 'matbench' and one.keys <= keys and tabular == (key in _TABULAR):
            return key
    if {'sys_name', 'barrier_eV'} <= keys and not _STRUCTURES & keys:
        raise DatasetError(
            f'{content.name} has labels and no structures: import barriers_train.json.gz, which has both'
        )
    lacking = [
        f'for {key} it lacks {", ".join(sorted(one.keys - keys))}'
        for key, one in FORMATS.items()
        if one.keys & keys and tabular == (key in _TABULAR)
    ]
    shown = ', '.join(sorted(map(str, keys))[:12]) or 'no rows with tags'
    why = '; '.join(lacking) or f'it has {shown}'
    raise DatasetError(
        f'{content.name} is none of the formats of datasets ({", ".join(FORMATS)}): {why}. A table needs the columns '
        'of a schema, such as name, lattice, species, frac_coords and n_atoms'
    )


def _is_matbench(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get('columns'), list) and isinstance(data.get('data'), list)


def _looks_like_splits(data: dict[str, Any]) -> bool:
    return all(isinstance(value, dict) and 'test' in value for value in data.values())


def published_splits(source: str | PathLike[str] | bytes, dataset: str) -> pd.DataFrame:
    """Return the samples that the paper on transfer learning drew, from its `splits.json.gz`.

    :param source: path of the file, or its bytes.
    :param dataset: such as `pz`.
    :returns: `sample` (`test`, `trial1_10`, ...) and `row_id`, in the order of the file.
    :raises FileNotFoundError: where there is no such file.
    :raises DatasetError: where it is none, or has no such dataset.
    """
    content = load_content(source)
    if not isinstance(content.data, dict) or not _looks_like_splits(content.data):
        raise DatasetError(f'{content.name} holds no published splits')
    if dataset not in content.data:
        raise DatasetError(f'{content.name} has no dataset {dataset!r}: choose from {", ".join(sorted(content.data))}')
    samples = content.data[dataset]
    return pd.DataFrame(
        [{'sample': sample, 'row_id': int(row)} for sample, rows in samples.items() for row in rows],
        columns=['sample', 'row_id'],
    )
