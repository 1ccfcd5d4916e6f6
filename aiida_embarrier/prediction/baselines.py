"""Baselines that a model of barriers must beat: medians of what was learned from, of all rows or of rows alike.

The median minimises the mean absolute error of a constant, so these are the best models that know no more than a label.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from aiida_embarrier.jobs.barrier_models import NO_STRUCTURAL_GROUP
from aiida_embarrier.prediction.base import BarrierModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from aiida_embarrier.prediction.base import Rows

__all__ = ('ChemicalSystemMedian', 'ClassMedian', 'MedianOfGroups', 'TrainingMedian')


class MedianOfGroups(BarrierModel):
    """The median barrier of the training rows of the same group, by ever wider groups where one is not known.

    The widest group holds all rows.
    """

    needs_features = False

    def __init__(self) -> None:
        self._medians: dict[str, float] = {}

    @abstractmethod
    def _groups(self, rows: Rows) -> list[list[str]]:
        """Return the groups of each row, the narrowest first, without that of all rows."""

    def fit(self, rows: Rows, seed: int = 0) -> None:  # noqa: ARG002  (nothing is drawn)
        """Learn the median of each group, and of all rows under the empty name."""
        barriers = rows.known()
        members: dict[str, list[float]] = {'': barriers.tolist()}
        for groups, barrier in zip(self._groups(rows), barriers.tolist(), strict=True):
            for group in groups:
                members.setdefault(group, []).append(barrier)
        self._medians = {group: float(np.median(values)) for group, values in members.items()}

    def predict(self, rows: Rows) -> np.ndarray:
        """Return for each row the median of the narrowest group that is known."""
        if not self._medians:
            raise ValueError(f'the model {self.name} was not fitted')
        return np.array(
            [
                next(self._medians[group] for group in (*groups, '') if group in self._medians)
                for groups in self._groups(rows)
            ],
            dtype=float,
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the medians, and the names of their groups."""
        return {'medians': np.array(list(self._medians.values()), dtype=float)}, {'groups': list(self._medians)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the model of such a state."""
        model = cls()
        model._medians = dict(zip(values['groups'], arrays['medians'].tolist(), strict=True))
        return model


class TrainingMedian(MedianOfGroups):
    """The median of all training rows."""

    name: ClassVar[str] = 'median'

    def _groups(self, rows: Rows) -> list[list[str]]:
        return [[] for _ in rows.paths]


class ClassMedian(MedianOfGroups):
    """The median of the training rows of the same structural group, as the dataset labels it; else that of all."""

    name: ClassVar[str] = 'class_median'

    def _groups(self, rows: Rows) -> list[list[str]]:
        if 'structural_group' not in rows.labels:
            raise ValueError(NO_STRUCTURAL_GROUP)
        return [[label] for label in rows.labels['structural_group'].astype(str)]


class ChemicalSystemMedian(MedianOfGroups):
    """The median of the training rows of the same set of elements and ion; else of the same ion; else of all."""

    name: ClassVar[str] = 'chemsys_median'

    def _groups(self, rows: Rows) -> list[list[str]]:
        return [
            [f'{path.ion} in {"-".join(sorted({path.ion, *path.species}))}', f'{path.ion} in anything']
            for path in rows.paths
        ]
