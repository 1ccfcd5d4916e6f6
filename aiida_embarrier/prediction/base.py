"""What every model of barriers is: something that learns from rows and predicts rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from aiida_embarrier.prediction.paths import MigrationPath

__all__ = ('BarrierModel', 'Rows')


@dataclass(frozen=True)
class Rows:
    """Paths, and what is known of them beside their geometry.

    :param paths: one a row.
    :param features: numbers that describe the paths, one row each in the same order, as
        :func:`~aiida_embarrier.prediction.features.describe` makes them; without columns where no model asks for any.
    :param labels: columns of the dataset for baselines that predict by class or chemical system, in the same order.
        Models that see geometry alone do not look at them.
    :param barriers: barriers in eV, shape (n_rows,); None where they are to be predicted.
    """

    paths: Sequence[MigrationPath]
    features: pd.DataFrame = field(default_factory=pd.DataFrame)
    labels: pd.DataFrame = field(default_factory=pd.DataFrame)
    barriers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Sequence[int] | np.ndarray) -> Rows:
        """Return some of the rows, in this order."""
        return Rows(
            paths=[self.paths[int(index)] for index in indices],
            features=self.features.iloc[indices] if len(self.features.columns) else self.features,
            labels=self.labels.iloc[indices] if len(self.labels.columns) else self.labels,
            barriers=None if self.barriers is None else self.barriers[np.asarray(indices)],
        )

    def known(self) -> np.ndarray:
        """Return the barriers, which are known.

        :raises ValueError: where they are not.
        """
        if self.barriers is None:
            raise ValueError('these rows have no barriers to learn from')
        return self.barriers


class BarrierModel(ABC):
    """A model that predicts barriers in eV.

    :cvar name: as users name it.
    :cvar needs_features: whether it reads `Rows.features`.
    """

    name: ClassVar[str]
    needs_features: ClassVar[bool] = True

    @property
    def summary(self) -> dict[str, Any]:
        """What is to be said of a fit beside what was learned, as plain values; empty for a model that says nothing."""
        return {}

    def reads(self, columns: Sequence[str]) -> list[str]:
        """Return those of the features of a table that the model may look at."""
        return list(columns) if self.needs_features else []

    @abstractmethod
    def fit(self, rows: Rows, seed: int = 0) -> None:
        """Learn from rows whose barriers are known.

        :param seed: of everything that is drawn.
        """

    @abstractmethod
    def predict(self, rows: Rows) -> np.ndarray:
        """Return barriers in eV, shape (n_rows,)."""

    def difficulty(self, rows: Rows) -> np.ndarray | None:  # noqa: ARG002  (most models know none)
        """Return numbers from 0 that grow with the error to be expected, such as the spread of an ensemble in eV.

        :returns: shape (n_rows,), or (n_rows, k) for k of them; None for a model that tells none.
        """
        return None

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned: arrays, and plain values beside them."""

    @classmethod
    @abstractmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the model of such a state; it predicts the same, bit for bit."""
