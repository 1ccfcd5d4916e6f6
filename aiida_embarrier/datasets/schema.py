"""What the tables of datasets hold: the columns of the schemas *barrier* and *property*, and rows as crystals.

A row is plain numbers and text, so that any program reads the table: crystals stand in it as JSON text. Columns beside
those of a schema are labels of their own (predictions, other potentials, notes) and are kept as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aiida_embarrier.datasets.definitions import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike
    from pymatgen.core import Structure

__all__ = (
    'BARRIER',
    'GROUPS',
    'PROPERTY',
    'SCHEMAS',
    'Column',
    'check_rows',
    'columns_of',
    'endpoints_of_row',
    'flags_of',
    'path_of_row',
    'structure_of_row',
    'to_json',
)


@dataclass(frozen=True)
class Column:
    """One column of a schema.

    :param name: of the column.
    :param dtype: as :func:`~aiida_embarrier.datasets.tables.column_type` names it.
    :param meaning: what it says, one line.
    :param unit: None for words and pure numbers.
    :param required: whether every row has a value; other columns may be left out, or have gaps.
    :param values: the only ones there may be; None where any will do.
    """

    name: str
    dtype: str
    meaning: str
    unit: str | None = None
    required: bool = False
    values: tuple[str, ...] | None = None


#: Labels of groups that a split keeps together, from narrow to wide.
GROUPS = ('host_group', 'framework_group', 'family_group', 'chemsys_group')

_COMMON = (
    Column('name', 'string', 'Unique name of the row', required=True),
    Column('formula', 'string', 'Composition as its source gives it'),
    Column('lattice', 'string', 'Lattice vectors as rows, JSON 3 x 3', 'Å', required=True),
    Column('species', 'string', 'Symbols of the sites, JSON list', required=True),
    Column('frac_coords', 'string', 'Fractional coordinates of the sites, JSON n x 3', required=True),
    Column('n_atoms', 'Int64', 'Number of atoms, the migrating ion included', required=True),
    Column('crystal_system', 'string', 'Crystal system'),
    Column('space_group', 'string', 'Hermann-Mauguin symbol'),
    Column('source', 'string', 'Citation, DOI or file that the row was taken from'),
    Column('origin', 'string', 'UUID of the node that the row was made of'),
    Column('flags', 'string', 'Known defects of the row, JSON list of keys'),
    Column('repairs', 'string', 'What was repaired and how, JSON list of texts'),
    *(Column(name, 'string', f'Label of the {name.removesuffix("_group")} that the row belongs to') for name in GROUPS),
    Column('published_split', 'string', 'Part of the split that its source publishes: train, test, ...'),
)

#: One migration path and its barrier. `species` and `frac_coords` are the initial structure without the migrating ion.
BARRIER = (
    *_COMMON,
    Column('barrier', 'float64', 'Migration barrier', 'eV', required=True),
    Column(
        'barrier_definition',
        'string',
        'forward, reverse, rate_limiting, span, or literature: as published',
        values=tuple(DEFINITIONS),
    ),
    Column('ion', 'string', 'Element of the migrating ion', required=True),
    Column('path', 'string', 'Fractional positions of the ion in path order, JSON n x 3, not wrapped', required=True),
    Column('hop_length', 'float64', 'Distance between the ends of the path of the ion', 'Å'),
    Column('final_lattice', 'string', 'Lattice vectors of the final state where they differ, JSON 3 x 3', 'Å'),
    Column('final_frac_coords', 'string', 'The other atoms in the final state where they differ, JSON n x 3'),
    Column('host', 'string', 'Reduced formula of the initial structure without atoms of the ion'),
    Column('mechanism', 'string', 'vacancy, interstitial or any'),
    Column(
        'charge_state',
        'string',
        'charged (one ion in the empty host) or discharged',
        values=('charged', 'discharged'),
    ),
    Column('functional', 'string', 'Density functional as its source names it, such as GGA+U'),
    Column('engine', 'string', 'Engine that computed the barrier'),
    Column('structural_class', 'string', 'Structural class as its source labels it'),
    Column('structural_group', 'string', 'Structural group after merging labels that mean the same'),
    Column('path_label', 'string', 'What its source calls the path'),
    Column('endpoint_symmetry', 'string', 'symmetric, ambiguous or low_symmetry: whether the stored final state holds'),
    Column('converged', 'boolean', 'Whether the band met its convergence criteria'),
)

#: One crystal and one number.
PROPERTY = (
    *_COMMON,
    Column('target', 'float64', 'The property; its name and unit are those of the dataset', required=True),
)

SCHEMAS: dict[str, tuple[Column, ...]] = {'barrier': BARRIER, 'property': PROPERTY}

SchemaName = Literal['barrier', 'property']


def columns_of(schema: str) -> dict[str, Column]:
    """Return the columns of a schema by their names.

    :raises ValueError: for an unknown schema.
    """
    if schema not in SCHEMAS:
        raise ValueError(f'there is no schema {schema!r}: choose from {", ".join(SCHEMAS)}')
    return {column.name: column for column in SCHEMAS[schema]}


def check_rows(frame: pd.DataFrame, schema: str, *, labelled: bool = True) -> None:
    """Check the columns of a table against a schema, and that names are unique.

    :param labelled: whether every row has its barrier; paths whose barriers are to be predicted need none.
    :raises ValueError: naming the first column or row that does not fit.
    """
    from aiida_embarrier.datasets.tables import column_type

    for name, column in columns_of(schema).items():
        if name not in frame:
            if column.required and (labelled or name != 'barrier'):
                raise ValueError(f'a {schema} dataset needs the column {name!r}: {column.meaning}')
            continue
        found = column_type(frame[name])
        if found != column.dtype and not (len(frame) == 0 or frame[name].isna().all()):
            raise ValueError(f'the column {name!r} is of type {found}, {column.dtype} is needed: {column.meaning}')
        if column.required and (labelled or name != 'barrier') and frame[name].isna().any():
            row = int(frame[name].isna().to_numpy().argmax())
            raise ValueError(f'row {row} ({frame["name"].iloc[row]}) has no {name}: {column.meaning}')
        if column.values is not None:
            wrong = (frame[name].notna() & ~frame[name].isin(column.values)).to_numpy()
            if wrong.any():
                row = int(wrong.argmax())
                raise ValueError(
                    f'row {row} ({frame["name"].iloc[row]}) has the {name} {frame[name].iloc[row]!r}: '
                    f'choose from {", ".join(column.values)}, or leave it empty'
                )
    repeated = frame['name'][frame['name'].duplicated()]
    if len(repeated):
        raise ValueError(f'the name {repeated.iloc[0]!r} is there more than once: names of rows are unique')


def to_json(values: ArrayLike | Sequence[Any], decimals: int = 8) -> str:
    """Return an array or a list as it stands in a table: compact JSON, numbers rounded."""
    array = np.asarray(values)
    if array.dtype.kind == 'f':
        array = np.round(array, decimals) + 0.0  # no minus zero
    return json.dumps(array.tolist(), separators=(',', ':'))


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """Return the known defects of a row."""
    text = row.get('flags')
    return list(json.loads(text)) if isinstance(text, str) else []


def structure_of_row(row: Mapping[str, Any]) -> Structure:
    """Return the crystal of a row: of a barrier the host with the migrating ion at its initial site, as the first atom.

    :param row: a row of a dataset, for instance `frame.iloc[0]`.
    """
    from pymatgen.core import Structure

    lattice, species = json.loads(row['lattice']), json.loads(row['species'])
    coords = json.loads(row['frac_coords'])
    if isinstance(row.get('path'), str):
        species, coords = [row['ion'], *species], [json.loads(row['path'])[0], *coords]
    return Structure(lattice, species, coords)


def path_of_row(row: Mapping[str, Any]) -> np.ndarray:
    """Return the fractional positions of the migrating ion of a row, shape (n_images, 3), not wrapped."""
    return np.asarray(json.loads(row['path']), dtype=float)


def endpoints_of_row(row: Mapping[str, Any]) -> tuple[Structure, Structure]:
    """Return the initial and the final structure of a row of barriers; the migrating ion is the first atom of both.

    Where the row tells nothing else of the final state, its framework is that of the initial one.
    """
    from pymatgen.core import Structure

    initial = structure_of_row(row)
    lattice = json.loads(row['final_lattice']) if isinstance(row.get('final_lattice'), str) else initial.lattice
    own = row.get('final_frac_coords')
    rest = json.loads(own) if isinstance(own, str) else initial.frac_coords[1:].tolist()
    final = Structure(lattice, initial.species, [path_of_row(row)[-1].tolist(), *rest])
    return initial, final
