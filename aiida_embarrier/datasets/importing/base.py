"""What an import yields, and what all formats share: rows as a table, and crystals as their files write them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.definitions import UNSTATED
from aiida_embarrier.datasets.schema import columns_of, to_json
from aiida_embarrier.datasets.tables import ABOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = (
    'MIN_VOLUME',
    'Crystal',
    'DatasetError',
    'ImportedDataset',
    'Target',
    'barrier_of',
    'check_cell',
    'check_ion',
    'clean',
    'frame_of',
    'number',
    'read_crystal',
    'read_rows',
)

#: Volume of an atom in Å³ below which lengths are no Å: diamond, the densest crystal, has 5.7.
MIN_VOLUME = 2.0
#: and above which they are none either, molecules in a box included.
_MAX_VOLUME = 1e5

#: What the target of a table is called that does not say what its numbers are.
UNNAMED = 'target'

#: Texts that stand for truth values.
_TRUTHS = ('true', 'false', '1', '0', 'yes', 'no')


class DatasetError(ValueError):
    """A file that holds no dataset, or one that cannot be used as it is; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """The number that a dataset is about.

    :param name: such as `migration barrier`.
    :param unit: such as `eV`; None for pure numbers.
    """

    name: str
    unit: str | None = None

    @classmethod
    def of_table(cls, frame: pd.DataFrame) -> Target:
        """Return what a table was written with, see :meth:`about`; one without a name where nothing is known."""
        about = frame.attrs.get(ABOUT, {})
        return cls(about.get('target', UNNAMED), about.get('target_unit'))

    def about(self) -> dict[str, str] | None:
        """Return what a table is written with of it; None where nothing is known."""
        known = {'target': None if self.name == UNNAMED else self.name, 'target_unit': self.unit}
        return {key: value for key, value in known.items() if value is not None} or None


#: The target of every dataset of barriers.
BARRIER_TARGET = Target('migration barrier', 'eV')


@dataclass(frozen=True, eq=False)
class ImportedDataset:
    """A dataset that was read from a file.

    :param frame: its rows, which keep to the schema.
    :param schema: `barrier` or `property`.
    :param target: what the numbers are.
    :param report: `format`, `file`, its `sha256`, `n_rows`, `n_flagged`, `found` (number of rows with each defect),
        `flags` (the same after repairs), `repairs` (number of rows with each repair), `notes` for readers.
    :param defects: `name`, `defect`, `detail`, `repairable`: the defects that are left.
    :param repairs: `name`, `defect`, `repair`: what was repaired.
    """

    frame: pd.DataFrame
    schema: str
    target: Target
    report: dict[str, Any]
    defects: pd.DataFrame
    repairs: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal as a file wrote it.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param species: symbols of the sites.
    :param coords: fractional coordinates, not wrapped, shape (n_atoms, 3).
    """

    lattice: np.ndarray
    species: tuple[str, ...]
    coords: np.ndarray


def read_crystal(entries: Any, where: str) -> Crystal:
    """Return the crystal in a mapping of pymatgen (`Structure.as_dict`) or of JARVIS (`Atoms.to_dict`).

    :param where: the row and the tag, for messages.
    :raises DatasetError: for what is neither, for partly occupied sites, and for numbers that are no crystal.
    """
    if not isinstance(entries, dict) or not entries:
        raise DatasetError(f'{where}: there is no structure; every row of a dataset needs one')
    try:
        if 'lattice_mat' in entries:
            found = _of_jarvis(entries)
        elif 'lattice' in entries and 'sites' in entries:
            found = _of_pymatgen(entries)
        else:
            raise DatasetError(
                f'{where}: the structure is a mapping of neither pymatgen (`lattice`, `sites`) nor JARVIS '
                f'(`lattice_mat`, `coords`, `elements`), it has {", ".join(sorted(map(str, entries))[:8])}'
            )
    except DatasetError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f'{where}: the structure cannot be read: {type(error).__name__}: {error}') from error
    check_cell(found, where)
    return found


def _of_jarvis(entries: Mapping[str, Any]) -> Crystal:
    lattice = np.array(entries['lattice_mat'], dtype=float)
    coords = np.array(entries['coords'], dtype=float).reshape(-1, 3)
    if entries.get('cartesian'):
        coords = coords @ np.linalg.inv(lattice)
    return Crystal(lattice, tuple(map(str.strip, entries['elements'])), coords)


def _of_pymatgen(entries: Mapping[str, Any]) -> Crystal:
    from pymatgen.core import Structure

    structure = Structure.from_dict(dict(entries))
    if not structure.is_ordered:
        raise ValueError('it has partly occupied sites: order it first')
    species = tuple(site.specie.symbol for site in structure)
    return Crystal(structure.lattice.matrix, species, np.array(structure.frac_coords))


def check_cell(crystal: Crystal, where: str) -> None:
    """Refuse a crystal whose numbers are no crystal in Å.

    :raises DatasetError: naming the number.
    """
    from pymatgen.core import Element

    lattice, species, coords = crystal.lattice, crystal.species, crystal.coords
    if lattice.shape != (3, 3) or not np.all(np.isfinite(lattice)):
        raise DatasetError(f'{where}: the lattice is not three vectors of three finite numbers')
    if len(species) == 0:
        raise DatasetError(f'{where}: the structure has no atoms')
    if coords.shape != (len(species), 3):
        raise DatasetError(
            f'{where}: {len(species)} species and coordinates of shape {coords.shape} do not go together'
        )
    if not np.all(np.isfinite(coords)):
        raise DatasetError(f'{where}: coordinates that are not finite numbers')
    unknown = [symbol for symbol in dict.fromkeys(species) if not Element.is_valid_symbol(symbol)]
    if unknown:
        raise DatasetError(f'{where}: {unknown[0]!r} is no element')
    volume = abs(float(np.linalg.det(lattice))) / len(species)
    if not MIN_VOLUME <= volume <= _MAX_VOLUME:
        raise DatasetError(
            f'{where}: the cell has {volume:.3g} Å³ for each atom, between {MIN_VOLUME:g} and {_MAX_VOLUME:g} are '
            'expected: give lengths in Å'
        )


def number(value: Any, where: str) -> float:
    """Return a number of a file.

    :raises DatasetError: for what is none, NaN included.
    """
    if isinstance(value, bool) or value is None:
        raise DatasetError(f'{where}: {value!r} is no number')
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{where}: {value!r} is no number') from error
    if np.isnan(found):
        raise DatasetError(f'{where}: the number is missing (NaN): leave the row out, or find its value')
    return found


def barrier_of(value: Any, where: str) -> float:
    """Return the barrier of a row in eV; NaN where the file has none, which may be what is asked for.

    :raises DatasetError: for what is no number.
    """
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return np.nan if missing else number(value, where)


def read_rows(rows: Sequence[dict[str, Any]], read: Callable[[dict[str, Any], int], dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of a published file as a table of barriers.

    :param read: makes a row of the schema of one of the file and its number there.
    :raises DatasetError: naming the row that does not fit.
    """
    found = []
    for index, row in enumerate(rows):
        try:
            found.append(read(row, index))
        except DatasetError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f'row {clean(row.get("sys_name")) or index}: a tag holds what its format does not have there '
                f'({type(error).__name__}: {error}); take the file from its source again'
            ) from error
    return frame_of(found, 'barrier')


def check_ion(ion: Any, where: str) -> None:
    """Refuse what is no element as a migrating ion.

    :raises DatasetError: naming it.
    """
    from pymatgen.core import Element

    if not isinstance(ion, str) or not Element.is_valid_symbol(ion):
        raise DatasetError(f'{where}: the migrating ion {ion!r} is no element')


def clean(value: Any) -> str | None:
    """Return a label without blanks around it; None for an empty one."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return ' '.join(str(value).split()) or None


def barrier_row(
    name: str, initial: Crystal, path: np.ndarray, ion: str, barrier: float, labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a row of barriers.

    :param initial: the initial state *without* the migrating ion.
    :param path: fractional positions of the ion, shape (n_images, 3).
    :param labels: further columns.
    """
    return {
        'name': name,
        'lattice': to_json(initial.lattice),
        'species': json.dumps(list(initial.species), separators=(',', ':')),
        'frac_coords': to_json(initial.coords),
        'n_atoms': len(initial.species) + 1,
        'barrier': barrier,
        'barrier_definition': UNSTATED,
        'ion': ion,
        'path': to_json(path),
        'hop_length': round(float(np.linalg.norm((path[-1] - path[0]) @ initial.lattice)), 5),
        **labels,
    }


def frame_of(rows: Sequence[Mapping[str, Any]] | pd.DataFrame, schema: str) -> pd.DataFrame:
    """Return rows as a table: columns of the schema in its order, then others; columns without any value are left out.

    Truth values with gaps, of which pandas makes objects, become `boolean`.

    :raises DatasetError: where two rows have one name.
    """
    frame = pd.DataFrame(rows) if not isinstance(rows, pd.DataFrame) else rows.reset_index(drop=True)
    known = columns_of(schema)
    if 'name' in frame:
        _refuse_duplicates(frame['name'].dropna())
    names = [name for name in known if name in frame] + [str(name) for name in frame if name not in known]
    frame = frame[names].dropna(axis=1, how='all') if len(frame) else frame[names]
    for name in frame.columns:
        if name in known:
            frame[name] = _as(frame[name], known[name].dtype, name, frame.get('name'))
        elif frame[name].dtype == object and pd.api.types.infer_dtype(frame[name], skipna=True) == 'boolean':
            frame[name] = frame[name].astype('boolean')
    return frame


def _as(column: pd.Series, dtype: str, name: str, rows: pd.Series | None) -> pd.Series:
    try:
        if dtype == 'string':
            if column.dtype == 'str':
                return column
            text = [str(value) if known else None for value, known in zip(column, column.notna(), strict=True)]
            return pd.Series(text, index=column.index)
        if dtype == 'boolean':
            return column.map(_truth).astype('boolean')
        return column.astype(dtype)
    except (TypeError, ValueError) as error:
        raise DatasetError(_wrong_value(column, dtype, name, rows) or f'{name!r} is no {dtype}: {error}') from error


def _wrong_value(column: pd.Series, dtype: str, name: str, rows: pd.Series | None) -> str | None:
    """Return which row of a column has the first value of another type; None where each by itself would do."""
    if dtype == 'boolean':
        wrong, what = ~column.dropna().astype('str').str.lower().isin(_TRUTHS), 'neither true nor false'
    else:
        numbers = pd.to_numeric(column.dropna().astype('str'), errors='coerce')
        whole = dtype.lower().startswith('int')
        wrong, what = numbers.isna() | (whole & (numbers % 1 != 0)), 'no whole number' if whole else 'no number'
    if not wrong.any():
        return None
    number = wrong.idxmax()
    label = '' if rows is None or name == 'name' else f' ({rows[number]})'
    return f'row {number}{label} has {column[number]!r} in the column {name!r}, which is {what}'


def _truth(value: Any) -> bool | None:
    if pd.isna(value):
        return None
    text = str(value).lower()
    if text not in _TRUTHS:
        raise ValueError(f'{value!r} is neither true nor false')
    return text in {'true', '1', 'yes'}


def _refuse_duplicates(names: Iterable[str]) -> None:
    seen = pd.Series(list(names))
    repeated = list(dict.fromkeys(seen[seen.duplicated()]))
    if repeated:
        shown = ', '.join(repr(str(name)) for name in repeated[:5]) + (', ...' if len(repeated) > 5 else '')
        raise DatasetError(
            f'{len(repeated)} name(s) are there more than once ({shown}): names of rows are unique; rename the rows, '
            'for instance with the number of the path behind (X_1, X_2), or leave out those that are the same'
        )
