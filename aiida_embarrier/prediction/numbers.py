"""From tables of features to numbers that models learn from, and from barriers to what they learn."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    import pandas as pd

__all__ = ('Numbers', 'chosen_columns', 'to_barriers', 'to_logarithms')

#: Added to barriers before their logarithm is taken, in eV: below it differences count, above it ratios.
OFFSET = 0.2
#: Standardised numbers are cut here: wild ones of overlapping atoms would drown all others.
LARGEST = 4.0


def to_logarithms(barriers: np.ndarray) -> np.ndarray:
    """Return what models learn instead of barriers in eV, whose distribution has a long tail."""
    return np.asarray(np.log(barriers + OFFSET), dtype=float)


def to_barriers(logarithms: np.ndarray) -> np.ndarray:
    """Return barriers in eV of :func:`to_logarithms`, 0 at least."""
    return np.asarray(np.maximum(np.exp(logarithms) - OFFSET, 0.0), dtype=float)


def chosen_columns(columns: Iterable[str], prefixes: Sequence[str], without: Sequence[str]) -> list[str]:
    """Return names of columns.

    :param prefixes: those that begin so; all where there are none.
    :param without: but not those that begin so, or match such as patterns (`*_initial`).
    """
    return [
        name
        for name in map(str, columns)
        if (not prefixes or name.startswith(tuple(prefixes)))
        and not any(name.startswith(what) or fnmatchcase(name, what) for what in without)
    ]


@dataclass(frozen=True)
class Numbers:
    """Which columns of a table are looked at, and what stands in their gaps.

    :param columns: their names; those that are constant or mostly missing in the training are left out.
    :param medians: of the training, shape (n_columns,): they fill gaps.
    :param centres: means after that, shape (n_columns,).
    :param widths: standard deviations, shape (n_columns,).
    """

    columns: tuple[str, ...]
    medians: np.ndarray
    centres: np.ndarray
    widths: np.ndarray

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        prefixes: Sequence[str] = (),
        without: Sequence[str] = (),
        least_known: float = 0.3,
    ) -> Self:
        """Return what a table tells.

        :param prefixes: see :func:`chosen_columns`.
        :param without: see there.
        :param least_known: share of rows that must have a value.
        :raises ValueError: where no column is left.
        """
        chosen = chosen_columns(table.columns, prefixes, without)
        values = table[chosen].to_numpy(dtype=float)
        known = np.isfinite(values)
        kept = known.mean(axis=0) >= least_known
        values, known = values[:, kept], known[:, kept]
        medians = np.nanmedian(np.where(known, values, np.nan), axis=0) if kept.any() else np.zeros(0)
        filled = np.where(known, values, medians)
        spread = filled.std(axis=0)
        varying = spread > 1e-9 * np.maximum(1.0, np.abs(medians))
        if not varying.any():
            wanted = f' whose names begin with {", ".join(prefixes)}' if prefixes else ''
            raise ValueError(
                f'the rows have no features{wanted} that differ: describe them with `embarrier.path_features`'
            )
        names = [name for name, keep in zip(chosen, kept, strict=True) if keep]
        return cls(
            columns=tuple(name for name, keep in zip(names, varying, strict=True) if keep),
            medians=medians[varying],
            centres=filled.mean(axis=0)[varying],
            widths=spread[varying],
        )

    def filled(self, table: pd.DataFrame) -> np.ndarray:
        """Return the numbers of rows without gaps, shape (n_rows, n_columns)."""
        values = table[list(self.columns)].to_numpy(dtype=float)
        return np.where(np.isfinite(values), values, self.medians)

    def standardised(self, table: pd.DataFrame) -> np.ndarray:
        """Return them with mean 0 and standard deviation 1 in the training, cut at four of these."""
        return np.clip((self.filled(table) - self.centres) / self.widths, -LARGEST, LARGEST)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and plain values that :meth:`from_state` takes."""
        return (
            {'medians': self.medians, 'centres': self.centres, 'widths': self.widths},
            {'columns': list(self.columns)},
        )

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the numbers of such a state."""
        return cls(tuple(values['columns']), arrays['medians'], arrays['centres'], arrays['widths'])
