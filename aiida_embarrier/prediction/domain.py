"""Which paths are so unlike those that a model learned from that its errors and intervals say little of them.

A path is flagged, never refused: the flag stands beside its prediction and says in what it is unlike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aiida_embarrier.prediction.descriptors import RANGE_OF_ANIONS
from aiida_embarrier.prediction.paths import SECOND_MOVER
from aiida_embarrier.structures.anions import NONMETALS
from aiida_embarrier.structures.hops import THROUGH_ATOM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from aiida_embarrier.prediction.paths import MigrationPath

__all__ = ('GEOMETRY', 'Domain', 'path_geometry')

#: Numbers of a path whose range the training sets, with the flags of a path below and above it.
GEOMETRY = {
    'hop_length': ('short_hop', 'long_hop'),
    'detour': (None, 'bent_path'),
    'closest_approach': ('close_to_atom', 'far_from_atoms'),
}

#: Share of the training rows that lie nearer to a row of another group than the threshold.
_SHARE = 0.95
#: Standardised numbers are cut off here: one wild number is a reason to wonder, but does not outweigh all others.
_MOST = 8.0
#: The threshold is this at least where distances are told in units of it: all rows of a toy may be the same.
_LEAST = 1e-6
#: Paths whose standardised numbers differ by less than this, root mean square, are one. Those of the 559 published rows
#: come out as they were learned; paths of them that differ are 0.007 apart at least, half of them 0.29 and more.
_SAME = 1e-3
#: Where fewer numbers are known than this, strangers come out as rows of the training: by one number a quarter of them
#: among 559 rows, by two 0.03 %.
_ENOUGH = 2
#: Ranges are widened by this share of themselves, for rounded coordinates.
_MARGIN = 0.01
#: But by this at least, in Å and of the detour, lest rounded coordinates of a straight path make it a bent one.
_LEAST_MARGIN = 0.01
#: Atoms of the host that move no farther than this from end to end, in Å, are no reason to wonder: an anion that comes
#: nearer by so much repels the ion e times as much in what models look at. The hosts of published rows stay; where
#: those of 80 rows were moved by 0.3 Å, 9 in 10 predictions changed by 0.16 eV at most, and by 0.40 eV at 0.5 Å.
_MOVED = RANGE_OF_ANIONS
#: Beyond this, in Å, it does not matter how far the nearest atom is.
_FARTHEST = 20.0


def path_geometry(path: MigrationPath) -> dict[str, float]:
    """Return the numbers of :data:`GEOMETRY`.

    :return: `hop_length` in Å, `detour`, the length of the path over that of the hop, and `closest_approach` of the ion
        to another atom in Å, 20 at most.
    """
    return {
        'hop_length': path.hop_length,
        'detour': path.path_length / path.hop_length,
        'closest_approach': min(path.closest_approach, _FARTHEST),
    }


@dataclass(frozen=True)
class Domain:
    """What a model learned from, as far as it tells which paths are unlike it.

    :param ions: symbols of the ions.
    :param elements: symbols of all atoms, ions included.
    :param ranges: lowest and highest value of each number of :data:`GEOMETRY`, in its order, shape (3, 2).
    :param host_move: farthest that an atom of a host moves from end to end, in Å.
    :param columns: names of the features; without any, distances in features are not looked at.
    :param centres: their medians, shape (d,).
    :param widths: their standard deviations, shape (d,).
    :param complete: whether each of them is known of every row of the training, shape (d,).
    :param known: standardised features of the training, shape (n, d).
    :param threshold: distance to the nearest of them beyond which a path is unlike them.
    """

    ions: tuple[str, ...]
    elements: tuple[str, ...]
    ranges: np.ndarray
    host_move: float = 0.0
    columns: tuple[str, ...] = ()
    centres: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    widths: np.ndarray = field(default_factory=lambda: np.ones(0), repr=False)
    complete: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool), repr=False)
    known: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False)
    threshold: float = np.inf

    @classmethod
    def fit(
        cls,
        paths: Sequence[MigrationPath],
        features: pd.DataFrame | None = None,
        groups: Sequence[str] | np.ndarray | None = None,
    ) -> Self:
        """Return the domain of a training.

        :param paths: of the training.
        :param features: numbers that describe them, a row each in the same order; None to look at the paths alone.
        :param groups: a label for each path; the nearest neighbour that sets the threshold is one of another group,
            as the nearest neighbour of a new crystal will be. None where all are independent.
        :raises ValueError: for no paths, and features and groups that are not theirs.
        """
        if not len(paths):
            raise ValueError('there is no path, so there is nothing to be unlike')
        elements = sorted({symbol for path in paths for symbol in (path.ion, *path.species)})
        found = _geometries(paths)
        # published paths lead through atoms now and then, which is no reason to take that for known
        low, high = found.min(axis=0), found.max(axis=0)
        approach = list(GEOMETRY).index('closest_approach')
        low[approach] = found[:, approach].min(where=found[:, approach] >= THROUGH_ATOM, initial=high[approach])
        margin = np.maximum(_MARGIN * (high - low), _LEAST_MARGIN)
        geometry = np.stack([low - margin, high + margin], axis=1)
        ions = tuple(sorted({path.ion for path in paths}))
        host_move = max(path.largest_host_move for path in paths)
        if features is None or not len(features.columns):
            return cls(ions, tuple(elements), geometry, host_move)
        if len(features) != len(paths) or (groups is not None and len(groups) != len(paths)):
            raise ValueError(f'{len(paths)} paths need as many features and labels of groups')
        numbers = _numbers(features)
        with np.errstate(invalid='ignore'):
            varies = np.nanmax(numbers, axis=0, initial=-np.inf) > np.nanmin(numbers, axis=0, initial=np.inf)
        numbers = numbers[:, varies]
        centres, widths = np.nanmedian(numbers, axis=0), np.nanstd(numbers, axis=0)
        known = _standardised(numbers, centres, widths)
        codes = np.arange(len(paths)) if groups is None else pd.factorize(np.asarray(groups))[0]
        between = _distances(known, known)
        between[codes[:, None] == codes] = np.inf
        nearest = between.min(axis=1)
        nearest = nearest[np.isfinite(nearest)]
        threshold = float(np.quantile(nearest, _SHARE)) if len(nearest) else np.inf
        columns = tuple(str(name) for name, kept in zip(features.columns, varies, strict=True) if kept)
        complete = np.isfinite(numbers).all(axis=0)
        return cls(ions, tuple(elements), geometry, host_move, columns, centres, widths, complete, known, threshold)

    def flags(self, paths: Sequence[MigrationPath], features: pd.DataFrame | None = None) -> list[list[str]]:
        """Return in what each path is unlike the training; nothing where it is not.

        The names are those of :data:`~aiida_embarrier.jobs.flags.FLAGS`.

        :param paths: to look at.
        :param features: their numbers, in the same order; more columns than the training had are ignored.
        :raises ValueError: where features are missing that the training had.
        """
        found: list[list[str]] = []
        for path, geometry in zip(paths, _geometries(paths), strict=True):
            own = [] if path.ion in self.ions else ['unknown_ion']
            if not set(path.species) <= set(self.elements):
                own.append('unknown_element')
            if not NONMETALS & set(path.species):
                own.append('no_anion')
            for number, (low, high), names in zip(geometry, self.ranges, GEOMETRY.values(), strict=True):
                own += [name for name, out in zip(names, (number < low, number > high), strict=True) if out and name]
            # published paths do lead through atoms, but a path that does is wrong, whatever the training holds
            if path.closest_approach < THROUGH_ATOM:
                own = [name for name in own if name != 'close_to_atom'] + ['through_atom']
            if path.largest_host_move > SECOND_MOVER:
                own.append('second_mover')
            elif path.largest_host_move > max(self.host_move, _MOVED):
                own.append('moved_host')
            found.append(own)
        if not self.columns:
            return found
        numbers = self._chosen(features, len(paths))
        missing = np.isnan(numbers[:, self.complete]).any(axis=1)
        for own, distance, lost in zip(found, self._nearest(numbers), missing, strict=True):
            own += ['unlike_training'] * bool(distance > self.threshold)
            own += ['not_described'] * bool(lost)
        return found

    def distances(self, features: pd.DataFrame) -> np.ndarray:
        """Return how far each path is from the nearest row of the training, in units of the threshold, shape (n,)."""
        return self._nearest(self._chosen(features, len(features))) / max(self.threshold, _LEAST)

    def knows(self, features: pd.DataFrame) -> np.ndarray | None:
        """Return which paths are among those of the training up to rounding, shape (n,); None where nothing tells.

        That takes two numbers at least: by one of them many strangers are the same.
        """
        if len(self.columns) < _ENOUGH:
            return None
        numbers = self._chosen(features, len(features))
        return (self._nearest(numbers) < _SAME) & (np.isfinite(numbers).sum(axis=1) >= _ENOUGH)

    def _nearest(self, numbers: np.ndarray) -> np.ndarray:
        nearest: np.ndarray = _distances(_standardised(numbers, self.centres, self.widths), self.known).min(axis=1)
        return nearest

    def _chosen(self, features: pd.DataFrame | None, n: int) -> np.ndarray:
        if features is None or len(features) != n:
            raise ValueError(f'{n} paths need the numbers that describe them to be compared with the training')
        lost = [name for name in self.columns if name not in features]
        if lost:
            raise ValueError(
                f'{len(lost)} features of the training are missing, such as {lost[0]!r}: describe the paths with the '
                'settings of the model'
            )
        return _numbers(features[list(self.columns)])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learned: arrays, and plain values beside them."""
        arrays = {name: getattr(self, name) for name in ('ranges', 'centres', 'widths', 'complete', 'known')}
        values = {name: list(getattr(self, name)) for name in ('ions', 'elements', 'columns')}
        return {**arrays, 'threshold': np.array(self.threshold)}, {**values, 'host_move': self.host_move}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Self:
        """Return the domain of such a state."""
        texts: dict[str, Any] = {name: tuple(values[name]) for name in ('ions', 'elements', 'columns')}
        # the released models were written before this was kept; the hosts that they learned from stay
        host_move = float(values.get('host_move', 0.0))
        return cls(**{**arrays, **texts, 'threshold': float(arrays['threshold']), 'host_move': host_move})


def _geometries(paths: Sequence[MigrationPath]) -> np.ndarray:
    return np.array([list(path_geometry(path).values()) for path in paths]).reshape(len(paths), len(GEOMETRY))


def _numbers(features: pd.DataFrame) -> np.ndarray:
    """Return features as numbers; what is not finite is not known."""
    numbers = features.to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _standardised(numbers: np.ndarray, centres: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Return numbers in standard deviations from the median; those that are not known lie at the median."""
    scaled = np.clip((numbers - centres) / widths, -_MOST, _MOST)
    return np.where(np.isnan(scaled), 0.0, scaled).astype(np.float32)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return root mean squared differences of all pairs of rows."""
    from scipy.spatial.distance import cdist

    distances: np.ndarray = cdist(one, other) / np.sqrt(max(1, one.shape[1]))
    return distances
