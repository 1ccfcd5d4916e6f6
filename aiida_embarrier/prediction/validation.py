"""Predict each row by a model that did not learn from it, nor from those that belong together with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.datasets.drawing import Rows as Units
from aiida_embarrier.datasets.drawing import make_folds
from aiida_embarrier.datasets.schema import GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida_embarrier.prediction.base import BarrierModel, Rows

__all__ = ('HOWS', 'LEARNED_FOR', 'Fold', 'folds_of', 'parted', 'predict_fold')

#: Ways to part rows: at random, and by groups that stay together.
HOWS = ('random', *GROUPS)

#: For each part that is predicted those that its model learns from.
LEARNED_FOR = {'validation': ('train',), 'test': ('train', 'validation')}

#: What folds are drawn with beside the seed.
_FOLDS = 2


@dataclass(frozen=True)
class Fold:
    """Rows that a model predicts, and those that it learns from.

    :param validation: how rows were parted; of a split the part that is predicted.
    :param number: of the fold; 0 for a split.
    :param training: numbers of rows.
    :param judged: numbers of rows.
    """

    validation: str
    number: int
    training: np.ndarray
    judged: np.ndarray


def parted(rows: Rows, parts: np.ndarray, how: str, folds: int, seed: int) -> list[Fold]:
    """Return the folds of a validation.

    :param parts: the part of each row; rows of the part `test` are in no fold but that of a split.
    :param how: one of :data:`HOWS`, or `split`.
    :raises ValueError: as :func:`folds_of` says.
    """
    if how == 'split':
        judged = {part: np.flatnonzero(parts == part) for part in LEARNED_FOR}
        return [
            Fold(part, 0, np.flatnonzero(np.isin(parts, LEARNED_FOR[part])), numbers)
            for part, numbers in judged.items()
            if len(numbers)
        ]
    numbers = np.flatnonzero(parts != 'test')
    fold_of = folds_of(rows.take(numbers), how, folds, seed)
    return [Fold(how, fold, numbers[fold_of != fold], numbers[fold_of == fold]) for fold in range(folds)]


def folds_of(rows: Rows, how: str = 'random', folds: int = 10, seed: int = 0) -> np.ndarray:
    """Return the fold of each row, shape (n_rows,).

    Folds are drawn from the rows in the order of their names, so that they do not depend on that of the dataset.

    :param how: one of :data:`HOWS`.
    :raises ValueError: for another one, for more folds than there are rows or groups, and for labels that are missing.
    """
    if how not in HOWS:
        raise ValueError(f'rows cannot be parted by {how!r}: choose from {", ".join(HOWS)}')
    if how != 'random' and how not in rows.labels:
        raise ValueError(f'the rows have no labels {how!r} to keep together')
    names = [path.name for path in rows.paths]
    order = np.argsort(names, kind='stable')
    labels = names if how == 'random' else rows.labels[how].astype(str).tolist()
    units = Units([labels[number] for number in order], np.zeros(len(names), dtype=int))
    found = make_folds(units, range(len(names)), folds, (seed, _FOLDS))
    numbers = np.empty(len(names), dtype=int)
    numbers[order] = [found[place] for place in range(len(names))]
    return numbers


def predict_fold(
    rows: Rows, make_model: Callable[[], BarrierModel], training: np.ndarray, judged: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, BarrierModel]:
    """Return what a new model of some rows says of others, and the model.

    The model is given neither barriers nor anything else that was learned from the rows that it predicts.

    :param training: numbers of the rows that it learns from.
    :param judged: numbers of the rows that it predicts.
    :returns: predictions in eV, shape (n_judged,), and the model.
    :raises ValueError: where a prediction is not finite.
    """
    model = make_model()
    model.fit(rows.take(training), seed=seed)
    asked = rows.take(judged)
    found = np.asarray(model.predict(type(rows)(asked.paths, asked.features, asked.labels)), dtype=float)
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        raise ValueError(
            f'the model {model.name} gives no finite number for {len(wrong)} of {len(judged)} rows, '
            f'{asked.paths[wrong[0]].name} the first of them'
        )
    return found, model
