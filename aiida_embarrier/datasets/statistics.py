"""What a dataset holds, in numbers and tables: of barriers by ion, structure, functional and path, of a property.

Each table is plain and flat, so that it becomes a CSV file, a node or a picture as it is;
:data:`~aiida_embarrier.datasets.statistics_tables.TABLES` says what each of them counts. Rows that are flagged for a
known defect count like all others; the table `flags` says how many there are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.classes import canonical_crystal_system, canonical_space_group
from aiida_embarrier.datasets.groups import base_name, elements_of_row
from aiida_embarrier.datasets.materials import charge_state_pairs, paths_of_materials
from aiida_embarrier.datasets.schema import check_rows, columns_of, flags_of
from aiida_embarrier.datasets.statistics_tables import LABELS, TABLES
from aiida_embarrier.datasets.tallies import below, binned, histogram, nice_width, summary, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ('BIN_WIDTH', 'RANGES', 'THRESHOLDS', 'Statistics', 'dataset_statistics')

#: Width of the bins of a histogram of barriers, in eV.
BIN_WIDTH = 0.25

#: Thresholds in eV below which barriers are counted.
THRESHOLDS = (0.2, 0.3, 0.5, 0.65, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)

#: Between low, intermediate and high barriers, in eV.
RANGES = (1.0, 2.0)

#: Widths of the bins of hop lengths, in Å, and of the sizes of cells, in atoms.
HOP_WIDTH, CELL_WIDTH = 1.0, 50


@dataclass(frozen=True)
class Statistics:
    """What a dataset holds.

    :param schema: of the dataset.
    :param quantity: the column that is summarised: `barrier` or `target`.
    :param name: what readers call it.
    :param unit: of the quantity.
    :param ranges: limits between low, intermediate and high barriers in eV; None for a property.
    :param numbers: single numbers by their names; plain values.
    :param tables: by the names of :data:`~aiida_embarrier.datasets.statistics_tables.TABLES`, in this order; those
        that have rows only.
    """

    schema: str
    quantity: str
    name: str
    unit: str | None
    ranges: tuple[float, float] | None
    numbers: dict[str, Any]
    tables: dict[str, pd.DataFrame] = field(repr=False)

    def units_of(self, table: str) -> dict[str, str]:
        """Return the units of the columns of a table by their names."""
        places = {'histogram': self.unit, 'hop_lengths': 'Å'}
        units = dict.fromkeys(('low', 'high'), places.get(table))
        units |= dict.fromkeys(('min', 'median', 'mean', 'max', 'spread', 'threshold', *_PAIR_BARRIERS), self.unit)
        return {name: unit for name in self.tables[table] if (unit := units.get(name)) is not None}


_PAIR_BARRIERS = tuple(f'{kind}_{state}' for state in ('charged', 'discharged') for kind in ('mean', 'min'))


def dataset_statistics(
    frame: pd.DataFrame,
    schema: str = 'barrier',
    *,
    bin_width: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    ranges: tuple[float, float] = RANGES,
    target: str | None = None,
    unit: str | None = None,
) -> Statistics:
    """Summarise a dataset.

    :param frame: rows of a schema of :mod:`aiida_embarrier.datasets.schema`; of the columns that it may leave out those
        that are there are counted.
    :param schema: `barrier` or `property`.
    :param bin_width: of the histogram, in the unit of the quantity; 0.25 eV for barriers, and a round number that suits
        the values for a property unless given.
    :param thresholds: in eV, below which barriers are counted; not for properties.
    :param ranges: limits in eV of low, intermediate and high barriers; not for properties.
    :param target: what the property is called; not for barriers.
    :param unit: of the property; that of barriers is eV.
    :raises ValueError: for rows that do not fit the schema, no rows, and widths and limits without a meaning.
    """
    check_rows(frame, schema)
    if not len(frame):
        raise ValueError('the dataset has no rows, so there is nothing to count')
    if len(ranges) != 2 or not ranges[0] < ranges[1]:
        raise ValueError(
            f'between low, intermediate and high barriers are two limits, the lower one first; got {list(ranges)}'
        )
    is_barrier = schema == 'barrier'
    quantity = 'barrier' if is_barrier else 'target'
    rows = _prepared(frame, quantity)
    values = rows[quantity]
    infinite = rows['name'][np.isinf(values)]
    if len(infinite):
        raise ValueError(f'the {quantity} of {infinite.iloc[0]!r} is infinite, so there is no mean: leave the row out')
    width = bin_width if bin_width is not None else BIN_WIDTH if is_barrier else nice_width(values)
    numbers: dict[str, Any] = {'n_rows': len(rows), **summary(values)}
    tables: dict[str, pd.DataFrame] = {'histogram': histogram(values, width)}
    if is_barrier:
        tables['ranges'] = _ranges(values, ranges)
        tables['thresholds'] = below(values, sorted(thresholds))
        numbers |= {
            f'n_{name}': int(n) for name, n in zip(('low', 'middle', 'high'), tables['ranges']['n'], strict=True)
        }
    for label in LABELS:
        if label in rows and rows[label].notna().any():
            tables[f'by_{label}'] = table = tally(rows, label, quantity)
            numbers[f'n_{LABELS[label].counted}'] = int(table[label].notna().sum())
    for add in (_add_paths, _add_pairs, _add_hops) if is_barrier else ():
        add(rows, numbers, tables)
    _add_crystals(rows, quantity, numbers, tables)
    _add_flags(frame, numbers, tables)
    return Statistics(
        schema=schema,
        quantity=quantity,
        name='migration barrier' if is_barrier else target or 'target',
        unit=columns_of('barrier')['barrier'].unit if is_barrier else unit,
        ranges=ranges if is_barrier else None,
        numbers=numbers,
        tables={name: tables[name] for name in TABLES if name in tables},
    )


def _prepared(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the rows with labels in one spelling, and with the columns `material` and `elements`."""
    rows = frame.reset_index(drop=True).assign(**{quantity: frame[quantity].to_numpy(dtype=float)})
    spellings: tuple[tuple[str, Callable[[Any], str | None]], ...] = (
        ('space_group', canonical_space_group),
        ('crystal_system', canonical_crystal_system),
    )
    for name, spelling in spellings:
        if name in rows:
            rows[name] = rows[name].map(spelling, na_action='ignore')
    rows['material'] = rows['name'].map(base_name)
    crystals = rows[[name for name in ('species', 'ion') if name in rows]]
    rows['elements'] = [sorted(elements_of_row(row)) for row in crystals.to_dict('records')]
    return rows


def _ranges(values: pd.Series, ranges: tuple[float, float]) -> pd.DataFrame:
    low, high = ranges
    counts = [int((values < low).sum()), int(((values >= low) & (values <= high)).sum()), int((values > high).sum())]
    labels = [f'below {low:g} eV', f'{low:g} to {high:g} eV', f'above {high:g} eV']
    return pd.DataFrame(
        {'range': pd.array(labels, dtype='string'), 'n': counts, 'fraction': [count / len(values) for count in counts]}
    )


def _add_paths(rows: pd.DataFrame, numbers: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    tables['paths'], materials = paths_of_materials(rows)
    numbers |= {
        'n_materials': int(tables['paths']['n_materials'].sum()),
        'n_materials_with_several_paths': len(materials),
        'n_rows_of_these': int(materials['n'].sum()),
    }
    if len(materials):
        tables['materials'] = materials


def _add_pairs(rows: pd.DataFrame, numbers: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    pairs = charge_state_pairs(rows)
    if pairs is None:
        return
    numbers['n_charged_discharged_pairs'] = len(pairs)
    if len(pairs):
        tables['pairs'] = pairs


def _add_hops(rows: pd.DataFrame, numbers: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    if 'hop_length' not in rows or not rows['hop_length'].notna().any():
        return
    tables['hop_lengths'] = binned(rows, 'hop_length', 'barrier', HOP_WIDTH)
    known = rows[['hop_length', 'barrier']].dropna().astype(float)
    found = summary(known['hop_length'])
    numbers |= {f'hop_length_{name}': found[name] for name in ('min', 'median', 'max')}
    # Without a spread there is no correlation.
    if len(known) > 2 and known.nunique().min() > 1:
        for method in ('pearson', 'spearman'):
            numbers[f'hop_length_{method}'] = float(known['hop_length'].corr(known['barrier'], method=method))


def _add_crystals(rows: pd.DataFrame, quantity: str, numbers: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    sizes = binned(rows, 'n_atoms', quantity, CELL_WIDTH)
    tables['cell_sizes'] = sizes.astype({'low': 'int64', 'high': 'int64'})
    atoms = rows['n_atoms']
    numbers |= {
        'n_atoms_min': int(atoms.min()),
        'n_atoms_median': float(atoms.median()),
        'n_atoms_max': int(atoms.max()),
    }
    each = rows[['elements', quantity]].explode('elements').rename(columns={'elements': 'element'})
    table = tally(each, 'element', quantity)
    tables['elements'] = table.assign(fraction=table['n'] / len(rows))
    numbers['n_different_elements'] = len(table)
    tables['n_elements'] = (
        tally(rows.assign(n_elements=rows['elements'].map(len)), 'n_elements', quantity)
        .astype({'n_elements': 'int64'})
        .sort_values('n_elements', ignore_index=True)
    )


def _add_flags(frame: pd.DataFrame, numbers: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    flags = [flags_of(row) for row in frame[['flags']].to_dict('records')] if 'flags' in frame else []
    numbers['n_flagged'] = sum(map(bool, flags))
    counts = Counter(flag for row in flags for flag in set(row))
    if counts:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        tables['flags'] = pd.DataFrame(
            {
                'flag': pd.array([flag for flag, _ in ordered], dtype='string'),
                'n': [count for _, count in ordered],
                'fraction': [count / len(frame) for _, count in ordered],
            }
        )
