"""Models of barriers that learn from the numbers of a path: forests, boosted trees, support vectors, and their mean."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from aiida_embarrier.jobs.barrier_models import check_member
from aiida_embarrier.prediction.base import BarrierModel
from aiida_embarrier.prediction.numbers import Numbers, chosen_columns, to_barriers, to_logarithms
from aiida_embarrier.prediction.registry import MODELS, model_class, restore_model
from aiida_embarrier.prediction.trees import Forest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    import pandas as pd

    from aiida_embarrier.prediction.base import Rows

__all__ = ('Ensemble', 'GradientBoosting', 'OneNumber', 'SupportVectors', 'TreesOfForest')


class Regressor(BarrierModel):
    """A model that learns the logarithm of barriers from numbers.

    :param prefixes: of the names of the features that it looks at; all where there are none.
    :param without: of the names of those that it does not look at, or patterns such as `*_initial`.
    """

    needs_features = True

    def __init__(self, prefixes: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        self.prefixes, self.without = tuple(prefixes), tuple(without)
        self.numbers: Numbers | None = None

    def reads(self, columns: Sequence[str]) -> list[str]:
        """Return those that its settings choose."""
        return chosen_columns(columns, self.prefixes, self.without)

    def fit(self, rows: Rows, seed: int = 0) -> None:
        """Learn from rows with features."""
        self.numbers = Numbers.fit(rows.features, self.prefixes, self.without)
        self._fit(rows.features, to_logarithms(rows.known()), seed)

    def predict(self, rows: Rows) -> np.ndarray:
        """Return barriers in eV."""
        return to_barriers(self._predict(rows.features))

    def _known_numbers(self) -> Numbers:
        if self.numbers is None:
            raise ValueError(f'the model {self.name} was not fitted')
        return self.numbers

    @abstractmethod
    def _fit(self, features: pd.DataFrame, logarithms: np.ndarray, seed: int) -> None:
        """Learn, once the numbers are known."""

    @abstractmethod
    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        """Return logarithms, shape (n_rows,)."""

    @abstractmethod
    def _arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned beside the numbers."""

    @abstractmethod
    def _take(self, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
        """Put back what :meth:`_arrays` returned."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned."""
        arrays, values = self._known_numbers().state()
        own, plain = self._arrays()
        return {**arrays, **own}, {**values, **plain}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the model of such a state."""
        model = cls()
        model.numbers = Numbers.from_state(arrays, values)
        model._take(arrays, values)
        return model


class TreesOfForest(Regressor):
    """A random forest or extremely randomised trees; the median over trees is less moved by long tails than the mean.

    L. Breiman, Machine Learning 45, 5 (2001); P. Geurts, D. Ernst, L. Wehenkel, Machine Learning 63, 3 (2006).

    :param random_thresholds: whether thresholds are drawn (extremely randomised), else the best ones of bootstrapped
        rows are taken (random forest).
    :param n_trees: number of trees.
    :param share: of the features that each node chooses from.
    """

    name: ClassVar[str] = 'extra_trees'

    def __init__(
        self,
        random_thresholds: bool = True,
        n_trees: int = 200,
        share: float = 0.4,
        prefixes: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> None:
        super().__init__(prefixes, without)
        self.random_thresholds, self.n_trees, self.share = random_thresholds, n_trees, share
        self.forest: Forest | None = None

    def _fit(self, features: pd.DataFrame, logarithms: np.ndarray, seed: int) -> None:
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

        kind = ExtraTreesRegressor if self.random_thresholds else RandomForestRegressor
        trees = kind(n_estimators=self.n_trees, max_features=self.share, random_state=seed)
        trees.fit(self._known_numbers().filled(features), logarithms)
        self.forest = Forest.from_estimators(trees.estimators_)

    def _of_trees(self, features: pd.DataFrame) -> np.ndarray:
        if self.forest is None:
            raise ValueError(f'the model {self.name} was not fitted')
        return self.forest.predict(self._known_numbers().filled(features))

    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        return np.asarray(np.median(self._of_trees(features), axis=0))

    def difficulty(self, rows: Rows) -> np.ndarray:
        """Return half the range in eV that the middle two thirds of the trees say."""
        low, high = np.quantile(to_barriers(self._of_trees(rows.features)), [1 / 6, 5 / 6], axis=0)
        return np.asarray((high - low) / 2)

    def _arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        assert self.forest is not None
        return self.forest.arrays(), {}

    def _take(self, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.forest = Forest.from_arrays(arrays)


class GradientBoosting(Regressor):
    """Gradient-boosted trees of the absolute error.

    J. H. Friedman, Annals of Statistics 29, 1189 (2001).

    :param n_trees: number of trees.
    :param rate: share of each tree that is added.
    :param depth: of the trees.
    """

    name: ClassVar[str] = 'gradient_boosting'

    def __init__(
        self,
        n_trees: int = 400,
        rate: float = 0.05,
        depth: int = 4,
        prefixes: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> None:
        super().__init__(prefixes, without)
        self.n_trees, self.rate, self.depth = n_trees, rate, depth
        self.forest: Forest | None = None
        self.start = 0.0

    def _fit(self, features: pd.DataFrame, logarithms: np.ndarray, seed: int) -> None:
        from sklearn.ensemble import GradientBoostingRegressor

        trees = GradientBoostingRegressor(
            loss='absolute_error',
            n_estimators=self.n_trees,
            learning_rate=self.rate,
            max_depth=self.depth,
            subsample=0.6,
            max_features=0.25,
            min_samples_leaf=4,
            random_state=seed,
        ).fit(self._known_numbers().filled(features), logarithms)
        self.forest = Forest.from_estimators(trees.estimators_[:, 0])
        self.start = float(np.median(logarithms))

    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        if self.forest is None:
            raise ValueError(f'the model {self.name} was not fitted')
        steps = self.forest.predict(self._known_numbers().filled(features))
        return np.asarray(self.start + self.rate * steps.sum(axis=0))

    def _arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        assert self.forest is not None
        return self.forest.arrays(), {'start': self.start, 'rate': self.rate}

    def _take(self, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
        self.forest = Forest.from_arrays(arrays)
        self.start, self.rate = float(values['start']), float(values['rate'])


class SupportVectors(Regressor):
    """Support-vector regression with a Gaussian kernel on standardised numbers: errors count by their size.

    A. J. Smola and B. Schölkopf, Statistics and Computing 14, 199 (2004).

    :param penalty: of errors (C).
    :param inverse_width: of the kernel, times the number of features.
    :param tube: errors of the logarithm below this do not count (epsilon).
    """

    name: ClassVar[str] = 'support_vectors'

    def __init__(
        self,
        penalty: float = 5.0,
        inverse_width: float = 0.8,
        tube: float = 0.05,
        prefixes: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> None:
        super().__init__(prefixes, without)
        self.penalty, self.inverse_width, self.tube = penalty, inverse_width, tube
        self.vectors = self.weights = np.zeros(0)
        self.constant = self.gamma = 0.0

    def _fit(self, features: pd.DataFrame, logarithms: np.ndarray, seed: int) -> None:  # noqa: ARG002  (nothing drawn)
        from sklearn.svm import SVR

        numbers = self._known_numbers().standardised(features)
        self.gamma = self.inverse_width / numbers.shape[1]
        machine = SVR(C=self.penalty, gamma=self.gamma, epsilon=self.tube).fit(numbers, logarithms)
        self.vectors, self.weights = machine.support_vectors_, machine.dual_coef_[0]
        self.constant = float(machine.intercept_[0])

    def _predict(self, features: pd.DataFrame) -> np.ndarray:
        from scipy.spatial.distance import cdist

        kernel = np.exp(-self.gamma * cdist(self._known_numbers().standardised(features), self.vectors, 'sqeuclidean'))
        return np.asarray(kernel @ self.weights + self.constant)

    def _arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return (
            {'vectors': self.vectors, 'weights': self.weights},
            {'constant': self.constant, 'gamma': self.gamma},
        )

    def _take(self, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
        self.vectors, self.weights = arrays['vectors'], arrays['weights']
        self.constant, self.gamma = float(values['constant']), float(values['gamma'])


#: Members of an ensemble unless told.
MEMBERS: Mapping[str, Mapping[str, Any]] = MappingProxyType({'extra_trees': {}, 'support_vectors': {}})


class OneNumber(BarrierModel):
    """One of the features as it is: what the potential says of the barrier, without any learning.

    :param column: name of the feature, in eV.
    """

    name: ClassVar[str] = 'one_number'

    def __init__(self, column: str) -> None:
        self.column = column
        self.median = 0.0

    def reads(self, columns: Sequence[str]) -> list[str]:
        """Return its one column.

        :raises ValueError: where the rows have no such feature.
        """
        if self.column not in columns:
            also = ' and `neb`, whole elastic bands' if self.column.startswith('potential_neb') else ''
            raise ValueError(
                f'the rows have no number {self.column!r}, which this model is: have the paths described with a '
                f'`potential`{also} (`describe` of `launch barrier-model`), or leave the model out'
            )
        return [self.column]

    def fit(self, rows: Rows, seed: int = 0) -> None:  # noqa: ARG002  (nothing is drawn)
        """Learn the median barrier, which stands where the feature is not known.

        :raises ValueError: where the rows have no such feature.
        """
        self.reads([str(name) for name in rows.features])
        self.median = float(np.median(rows.known()))

    def predict(self, rows: Rows) -> np.ndarray:
        """Return the feature in eV."""
        found = rows.features[self.column].to_numpy(dtype=float)
        return np.where(np.isfinite(found), found, self.median)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the name of the feature, and the median."""
        return {}, {'column': self.column, 'median': self.median}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return the model of such a state."""
        model = cls(str(values['column']))
        model.median = float(values['median'])
        return model


class Ensemble(BarrierModel):
    """The mean of several models of numbers, whose errors differ: extremely randomised trees and support vectors.

    On 559 published barriers, ten folds, five seeds: mean absolute errors of 0.248 eV at random and 0.284 eV by
    families, where 100 trees alone have 0.255 and 0.286, support vectors 0.266 and 0.303.

    :param members: by labels of their own: `model`, which is `extra_trees`, `random_forest`, `gradient_boosting` or
        `support_vectors`, and `settings` of that.
    :raises ValueError: for an unknown model, unknown settings, and without members.
    """

    name: ClassVar[str] = 'ensemble'

    def __init__(self, members: Mapping[str, Mapping[str, Any]] = MEMBERS) -> None:
        if not members:
            raise ValueError('an ensemble needs members')
        self.members: dict[str, BarrierModel] = {}
        for label, member in members.items():
            model, settings = str(member.get('model', label)), dict(member.get('settings', {}))
            check_member(label, model)
            kind, fixed = model_class(model), MODELS[model].settings
            choices = [name for name in inspect.signature(kind).parameters if name not in fixed]
            unknown = [name for name in settings if name not in choices]
            if unknown:
                raise ValueError(f'{label}: {model} has no setting {unknown[0]!r}: it has {", ".join(choices)}')
            self.members[label] = kind(**fixed, **settings)

    def reads(self, columns: Sequence[str]) -> list[str]:
        """Return those that any member reads."""
        read = {name for member in self.members.values() for name in member.reads(columns)}
        return [name for name in columns if name in read]

    def fit(self, rows: Rows, seed: int = 0) -> None:
        """Let all members learn."""
        for member in self.members.values():
            member.fit(rows, seed)

    def _of_members(self, rows: Rows) -> np.ndarray:
        return np.stack([member.predict(rows) for member in self.members.values()])

    def predict(self, rows: Rows) -> np.ndarray:
        """Return the mean of what the members say, in eV."""
        return np.asarray(self._of_members(rows).mean(axis=0))

    def difficulty(self, rows: Rows) -> np.ndarray:
        """Return the mean of what trees tell of it, if any, and how far the members differ, eV, shape (n_rows, k)."""
        told = [member.difficulty(rows) for member in self.members.values()]
        known = [values for values in told if values is not None]
        spread = np.ptp(self._of_members(rows), axis=0)
        return np.stack([*([np.mean(known, axis=0)] if known else []), spread], axis=1)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what the members learned."""
        arrays: dict[str, np.ndarray] = {}
        values: dict[str, Any] = {}
        for label, member in self.members.items():
            own, plain = member.state()
            values[label] = {'model': member.name, 'state': plain}
            arrays |= {f'{label}.{name}': array for name, array in own.items()}
        return arrays, values

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the ensemble of such a state."""
        model = cls()
        model.members = {}
        for label, member in values.items():
            start = f'{label}.'
            own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
            model.members[label] = restore_model(member['model'], own, member['state'])
        return model
