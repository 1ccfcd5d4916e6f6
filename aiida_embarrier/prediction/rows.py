"""From a dataset of barriers to the rows that models see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.groups import with_groups
from aiida_embarrier.datasets.leakage import group_column
from aiida_embarrier.datasets.schema import GROUPS
from aiida_embarrier.jobs.prediction import ABOUT_FEATURES, COLUMNS_OF_PATHS
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.paths import MigrationPath, PathError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ('paths_of', 'rows_of')

#: Numbers of a path by which a table of features is known to be of this dataset, and by how much they may differ.
_TELLING, _SAME = ('n_atoms', 'hop_length', 'volume_per_atom'), 1e-3

#: Columns that a dataset of paths cannot do without.
_NEEDED = ('name', 'lattice', 'species', 'frac_coords', 'ion', 'path')


def paths_of(frame: pd.DataFrame) -> tuple[list[MigrationPath], dict[str, str]]:
    """Return the paths of a dataset, and why other rows have none, by their names.

    :raises ValueError: where the table lacks a column, or a name is there twice.
    """
    missing = [name for name in _NEEDED if name not in frame]
    if missing:
        raise ValueError(
            f'the rows have no column {missing[0]!r}: paths need {", ".join(_NEEDED)}, as in datasets of barriers'
        )
    repeated = frame['name'][frame['name'].duplicated()]
    if len(repeated):
        raise ValueError(f'the name {repeated.iloc[0]!r} is there more than once: names of rows are unique')
    paths, left_out = [], {}
    for row in frame[[name for name in COLUMNS_OF_PATHS if name in frame]].to_dict('records'):
        try:
            paths.append(MigrationPath.from_row(row))
        except PathError as error:
            left_out[str(row['name'])] = str(error)
        except (ValueError, TypeError) as error:  # what should be JSON is not
            left_out[str(row['name'])] = f'{row["name"]}: its path cannot be read: {error}'
    return paths, left_out


def rows_of(
    frame: pd.DataFrame, features: pd.DataFrame | None = None, *, columns: Sequence[str] | None = None
) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a dataset that models can see, and why others are left out, by their names.

    Barriers are known where the column `barrier` is there; rows without one are then left out. Labels are those of
    groups, found where the dataset has none, and the structural group where it tells one.

    :param frame: of the schema `barrier`; without barriers, rows to predict.
    :param features: `name` and numbers of each path, and `reason` where one could not be described.
    :param columns: names of the numbers that are wanted, in their order; None for all.
    :raises ValueError: where columns or rows are missing, and for features of other paths.
    """
    paths, left_out = paths_of(frame)
    known = frame['barrier'].to_numpy(dtype=float, na_value=np.nan) if 'barrier' in frame else None
    if known is not None:
        unknown = frame['name'][~np.isfinite(known)].astype(str)
        left_out |= {name: f'{name}: its barrier is not known' for name in unknown if name not in left_out}
    numbers = None
    if features is not None:
        numbers, undescribed = _numbers(frame['name'].astype(str), features, columns)
        _check_belong(paths, features)
        left_out |= {name: reason for name, reason in undescribed.items() if name not in left_out}
    kept = [path for path in paths if path.name not in left_out]
    place = {str(name): number for number, name in enumerate(frame['name'])}
    chosen = [place[path.name] for path in kept]
    rows = frame.iloc[chosen].reset_index(drop=True)
    return (
        Rows(
            paths=kept,
            features=pd.DataFrame() if numbers is None else numbers.loc[[path.name for path in kept]],
            labels=_labels(rows),
            barriers=None if known is None else known[chosen],
        ),
        left_out,
    )


def _numbers(
    names: pd.Series, features: pd.DataFrame, columns: Sequence[str] | None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the numbers of rows by their names, and why some have none."""
    if 'name' not in features:
        raise ValueError('the table of features has no column `name`: take one that `embarrier.path_features` made')
    table = features.assign(name=features['name'].astype(str)).set_index('name')
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise ValueError(
            f'the table of features has several rows {twice!r}: take one that `embarrier.path_features` made'
        )
    missing = [name for name in names if name not in table.index]
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(names)} rows have no features, {missing[0]!r} the first of them: describe this '
            'dataset with `embarrier.path_features`'
        )
    table = table.loc[names]
    reasons = table['reason'] if 'reason' in table else pd.Series(None, index=table.index, dtype='object')
    undescribed = {str(name): str(reason) for name, reason in reasons.items() if isinstance(reason, str)}
    numbers = table.drop(columns=[name for name in ABOUT_FEATURES if name in table])
    if columns is not None:
        if len(undescribed) == len(names):  # then the table has no columns, and the reasons say why
            numbers = numbers.reindex(columns=list(columns))
        lacking = [name for name in columns if name not in numbers]
        if lacking:
            raise ValueError(
                f'the features have no {lacking[0]!r}, which the model reads: describe the paths with the settings '
                'that its card says'
            )
        numbers = numbers[list(columns)]
    return numbers.astype(float), undescribed


def _check_belong(paths: Sequence[MigrationPath], features: pd.DataFrame) -> None:
    """Check that a table of features is of these paths, and not of others of the same names.

    :raises ValueError: naming the first number that is not that of its path.
    """
    known = [name for name in _TELLING if name in features]
    table = features.assign(name=features['name'].astype(str)).set_index('name')[known].astype(float)
    for path in paths:
        own = {
            'n_atoms': path.n_atoms,
            'hop_length': path.hop_length,
            'volume_per_atom': abs(float(np.linalg.det(path.lattice))) / path.n_atoms,
        }
        for name, said in table.loc[path.name].items():
            if np.isfinite(said) and abs(said - own[str(name)]) > _SAME:
                raise ValueError(
                    f'the features of {path.name} are of another path: its {name} is {said:g} there and '
                    f'{own[str(name)]:g} in the dataset; describe this dataset with `embarrier.path_features`'
                )


def _labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of rows that baselines and grouped validations use."""
    if rows.empty:
        return pd.DataFrame(columns=[*GROUPS], dtype='str')
    labels = with_groups(rows, keep=True)[list(GROUPS)].astype(str)
    if {'structural_group', 'structural_class'} & set(rows.columns):
        try:
            labels['structural_group'] = group_column(rows, 'structural_group').to_numpy()
        except ValueError:  # not of all rows: then a baseline of classes says so
            return labels
    return labels
