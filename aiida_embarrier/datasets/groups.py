"""Which rows of a dataset belong together: labels that a split may not tear apart, from narrow to wide.

The four labels are those of :data:`~aiida_embarrier.datasets.schema.GROUPS`:

- *host*: the same cell, that is the same atoms in it and lattice vectors of the same lengths, to 0.01 Å and in any
  order.
- *framework*: the same migrating ion, and the same reduced composition without atoms of that ion.
- *family*: joined, directly or through other rows, by the same host, by the same name without the number of the path,
  or by the same framework whatever the ion.
- *chemsys*: the same set of elements.

A host and a framework group lie within one family. A label is the first name, in the order of the alphabet, of the rows
of its group; that of a chemical system names its elements.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pymatgen.core import Composition

from aiida_embarrier.datasets.schema import GROUPS, columns_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

__all__ = (
    'base_name',
    'elements_of_row',
    'framework_of_row',
    'group_labels',
    'reduced_formula',
    'regrouped',
    'with_groups',
)

#: Decimals, in Å, to which lengths of lattice vectors are compared.
_DECIMALS = 2


def base_name(name: str) -> str:
    """Return the name of a row without the number of its path: `Li2MnO3` of `Li2MnO3_4`."""
    return re.sub(r'_\d+$', '', name)


def elements_of_row(row: Mapping[str, Any]) -> Counter[str]:
    """Return the atoms of a row by their symbols, the migrating ion of a barrier included."""
    counts = Counter(_atoms(row['species']))
    if isinstance(row.get('ion'), str):
        counts[row['ion']] += 1
    return counts


def framework_of_row(row: Mapping[str, Any]) -> str:
    """Return the reduced formula of a row without the atoms of its migrating ion; empty where nothing else is there."""
    counts = elements_of_row(row)
    counts.pop(row.get('ion') or '', None)
    return reduced_formula(counts) if counts else ''


def reduced_formula(counts: Mapping[str, int]) -> str:
    """Return the reduced formula of numbers of atoms, as pymatgen writes it."""
    return _formula(tuple(sorted(counts.items())))


@lru_cache(maxsize=1 << 15)
def _formula(counts: tuple[tuple[str, int], ...]) -> str:
    return Composition(dict(counts)).reduced_formula


@lru_cache(maxsize=1 << 15)
def _atoms(species: str) -> dict[str, int]:
    """Return the atoms in the column `species`; each row is asked for them several times."""
    return dict(Counter(json.loads(species)))


def group_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of the four groups for the rows of a dataset, in its order.

    In a dataset of properties, which has no migrating ions, a framework is the whole composition, and numbers in names
    join no rows.

    :param frame: rows of either schema, with unique names.
    """
    rows = frame.to_dict('records')
    names = [row['name'] for row in rows]
    hosts = [_host_key(row) for row in rows]
    frameworks = [(framework_of_row(row), row.get('ion') or '') for row in rows]
    # Names of properties tell no paths: `mp_12` and `mp_13` are other crystals.
    bases = [base_name(name) if 'ion' in row else name for name, row in zip(names, rows, strict=True)]
    # Crystals of the ion alone have no framework, and have nothing in common with those of another element.
    composed = [framework[0] or framework for framework in frameworks]
    return pd.DataFrame(
        {
            'host_group': _first_names(names, hosts),
            'framework_group': _first_names(names, frameworks),
            'family_group': _first_names(names, _joined(hosts, bases, composed)),
            'chemsys_group': ['-'.join(sorted(elements_of_row(row))) for row in rows],
        },
        columns=list(GROUPS),
    )


def with_groups(frame: pd.DataFrame, keep: bool = False) -> pd.DataFrame:
    """Return a dataset with the labels of its groups, found anew, and the columns of its schema first.

    Where rows are left out or added, labels may change.

    :param keep: whether labels that are there are kept. A row without one then gets that of the first row, in the order
        of the alphabet, that it belongs together with, so that no gap tears a group apart.
    """
    labels = group_labels(frame)
    if keep:
        for name in (name for name in GROUPS if name in frame):
            labels[name] = _filled(frame['name'], frame[name], labels[name])
    labelled = frame.drop(columns=[name for name in GROUPS if name in frame]).join(labels)
    known = columns_of('barrier' if 'barrier' in frame else 'property')
    return labelled[[*(name for name in known if name in labelled), *(name for name in labelled if name not in known)]]


def _filled(names: pd.Series, given: pd.Series, found: pd.Series) -> list[str]:
    known = sorted(zip(names[given.notna()], found[given.notna()], given[given.notna()], strict=True), reverse=True)
    labels = {group: label for _, group, label in known}
    return [
        str(own) if there else labels.get(group, group)
        for own, there, group in zip(given, given.notna(), found, strict=True)
    ]


def regrouped(given: pd.DataFrame, found: pd.DataFrame) -> dict[str, int]:
    """Return how many labelled rows of a dataset belong together otherwise than its structures and names say.

    Groups that are only called otherwise are the same.

    :param given: the dataset as it was given, with the labels of some groups.
    :param found: the labels by :func:`group_labels`, in the same order.
    :returns: numbers of labelled rows by the columns in which there are other groups.
    """
    other = {}
    for name in (name for name in GROUPS if name in given):
        there = given[name].notna()
        pairs = list(zip(given[name][there], found[name][there], strict=True))
        if pairs and not len(set(pairs)) == len({one for one, _ in pairs}) == len({one for _, one in pairs}):
            other[name] = len(pairs)
    return other


def _host_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    lengths = np.linalg.norm(np.array(json.loads(row['lattice'])), axis=1)
    return (tuple(sorted(elements_of_row(row).items())), tuple(sorted(np.round(lengths, _DECIMALS).tolist())))


def _first_names(names: Sequence[str], keys: Sequence[Hashable]) -> list[str]:
    first: dict[Hashable, str] = {}
    for name, key in zip(names, keys, strict=True):
        first[key] = min(name, first.get(key, name))
    return [first[key] for key in keys]


def _joined(*labels: Iterable[Hashable]) -> list[Hashable]:
    """Return one label for each row, the same for rows that a given label joins, directly or through other rows."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    codes = [_codes(one) for one in labels]
    n_rows = len(codes[0])
    offsets = np.cumsum([n_rows, *(int(code.max(initial=-1)) + 1 for code in codes)])
    first = np.tile(np.arange(n_rows), len(codes))
    second = np.concatenate([code + offset for code, offset in zip(codes, offsets, strict=False)])
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(offsets[-1], offsets[-1]))
    return list(connected_components(links, directed=False)[1][:n_rows].tolist())


def _codes(values: Iterable[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=int)
