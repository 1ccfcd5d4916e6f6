"""Which rows of a dataset of barriers models learn from, judge and leave out, looked at before anything is computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.datasets.groups import with_groups
from aiida_embarrier.datasets.leakage import group_column
from aiida_embarrier.datasets.parts import LEARNED_PARTS, check_parts
from aiida_embarrier.datasets.schema import GROUPS
from aiida_embarrier.jobs.barrier_models import BELOW, NO_STRUCTURAL_GROUP, highest_coverage
from aiida_embarrier.jobs.prediction import ABOUT_FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ('check_barrier_rows', 'notes_on_coverage', 'part_of_rows')


def part_of_rows(frame: pd.DataFrame, split: pd.DataFrame | None) -> pd.Series:
    """Return the part of each row of a dataset; missing where a split has none for it. Without a split all train."""
    names = frame['name'].astype(str)
    if split is None:
        return names.map(lambda _: 'train')
    known = split.dropna(subset=['part'])
    parts = dict(zip(known['name'].astype(str), known['part'].astype(str), strict=True))
    return names.map(parts)


def check_barrier_rows(
    frame: pd.DataFrame,
    asked: Mapping[str, Any],
    split: pd.DataFrame | None = None,
    features: pd.DataFrame | None = None,
) -> str | None:
    """Return why a dataset, its split and numbers that describe its rows do not do for models, None where they do.

    :param frame: rows of the schema `barrier`.
    :param asked: of :func:`~aiida_embarrier.calculations.prediction_inputs.resolve_models`.
    :param split: `name` and `part` of rows; those without a part are left out.
    :param features: `name` and numbers of rows.
    """
    wrong = None if split is None else _check_split(frame, split, asked)
    if wrong is None and features is not None:
        wrong = _check_features(frame, features)
    return wrong or _check_learned(frame, part_of_rows(frame, split), asked)


def _check_split(frame: pd.DataFrame, split: pd.DataFrame, asked: Mapping[str, Any]) -> str | None:
    try:
        check_parts(split, 'the split')
    except ValueError as error:
        return str(error)
    names = split['name'].astype(str)
    unknown = names[~names.isin(frame['name'].astype(str))]
    if len(unknown):
        return (
            f'the split names {unknown.iloc[0]!r}, which is no row of the dataset ({len(unknown)} of {len(split)} '
            'names are none): give the split that was made of this dataset'
        )
    parts = set(split['part'].dropna())
    if 'train' not in parts:
        return 'the split has no row of the part `train`: models need rows to learn from'
    judged = any(validation['how'] == 'split' for validation in asked['validations'])
    if judged and not parts & {'validation', 'test'}:
        return (
            'the validation `split` predicts the rows of the parts `validation` and `test`, and the split has none: '
            'give it some, or take another validation'
        )
    return None


def _check_features(frame: pd.DataFrame, features: pd.DataFrame) -> str | None:
    made = 'give a table that `embarrier.path_features` made of this dataset'
    if 'name' not in features:
        return f'the table of features has no column `name`: {made}'
    words = [
        str(column)
        for column in features
        if column not in ABOUT_FEATURES and features[column].dtype.kind not in 'biuf' and features[column].notna().any()
    ]
    if words:
        return f'the column {words[0]!r} of the table of features holds no numbers: {made}'
    names = frame['name'].astype(str)
    missing = names[~names.isin(features['name'].astype(str))]
    if len(missing):
        return f'{len(missing)} of {len(names)} rows have no features, {missing.iloc[0]!r} the first of them: {made}'
    return None


def _check_learned(frame: pd.DataFrame, parts: pd.Series, asked: Mapping[str, Any]) -> str | None:
    rows = _used(frame, parts)
    if any(model['model'] == 'class_median' for model in asked['models']):
        try:
            group_column(rows, 'structural_group')
        except ValueError:
            return NO_STRUCTURAL_GROUP
    counts = _numbers_of_groups(rows, parts)
    for validation in asked['validations']:
        how, folds = validation['how'], validation['folds']
        there = counts.get(how, folds)
        if folds > there:
            what = 'row(s)' if how == 'random' else 'group(s)'
            remedy = f'ask for {there} at most' if there > 1 else 'take another validation'
            return f'the validation {how} asks for {folds} folds of {there} {what}: {remedy}'
    return None


def notes_on_coverage(frame: pd.DataFrame, parts: pd.Series, asked: Mapping[str, Any]) -> list[str]:
    """Return in which validations no intervals can be had of the coverage that is asked for, and why.

    :param parts: of :func:`part_of_rows`.
    :param asked: as for :func:`check_barrier_rows`.
    """
    counts = _numbers_of_groups(_used(frame, parts), parts)
    notes = []
    for validation in asked['validations']:
        how, there = validation['how'], counts.get(validation['how'])
        if there is None:
            continue
        others = there - math.ceil(there / validation['folds'])  # each fold is calibrated on these, more or less
        highest = highest_coverage(others, BELOW)
        if asked['coverage'] > highest:
            of = 'rows' if how == 'random' else 'groups'
            notes.append(
                f'the validation {how} gives no intervals: with the {others} {of} beside each fold a coverage of about '
                f'{max(0.0, highest):.3f} is the highest, and {asked["coverage"]:g} is asked for'
            )
    return notes


def _used(frame: pd.DataFrame, parts: pd.Series) -> pd.DataFrame:
    """Return the rows that are learned from or judged."""
    known = np.isfinite(frame['barrier'].to_numpy(dtype=float, na_value=np.nan))
    return frame[parts.isin(LEARNED_PARTS).to_numpy() & known]


def _numbers_of_groups(rows: pd.DataFrame, parts: pd.Series) -> dict[str, int]:
    """Return for each way to part rows in folds how many rows, or groups of them, there are that do not test."""
    labelled = with_groups(rows.reset_index(drop=True), keep=True)
    free = labelled[(parts.loc[rows.index] != 'test').to_numpy()]
    return {'random': len(free), **{name: int(free[name].nunique()) for name in GROUPS}}
