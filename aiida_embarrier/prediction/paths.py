"""A migration path as models of barriers see it: a host, an ion, and where the ion goes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Element, Lattice, Structure

from aiida_embarrier.bands.geometry import minimum_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from aiida_embarrier.bands.band import Band

__all__ = ('N_COMPOSITE', 'SECOND_MOVER', 'MigrationPath', 'PathError')

#: Points of the path in a published composite.
N_COMPOSITE = 5
#: Distance in Å, at most, between points of the path at which those of the ion from other atoms are looked at.
APPROACH_STEP = 0.1
#: An ion that moves less than this between the ends of its path, in Å, does not migrate.
MIN_HOP = 0.3
#: Other atoms that move farther than this from end to end, in Å, migrate too.
SECOND_MOVER = 1.5


class PathError(ValueError):
    """A path of which no barrier can be predicted; the message says why and what to do."""


@dataclass(frozen=True)
class MigrationPath:
    """A host, an ion that is not among its atoms, and the points through which the ion goes.

    :param name: of the path, for messages.
    :param lattice: lattice vectors as rows, 3 x 3, in Å.
    :param species: symbols of the host's n atoms.
    :param coords: their fractional coordinates in the initial state, n x 3.
    :param ion: symbol of the migrating ion.
    :param points: its fractional coordinates from the initial to the final site, m x 3 with m at least 2, not wrapped:
        they are meant as written.
    :param final_coords: the host's atoms in the final state, n x 3; None where they stay.
    :param functional: density functional whose barrier is wanted, such as `GGA+U`; None where it is not said.
    :raises PathError: for arrays that do not fit each other, an unknown element and ends at the same place.
    """

    name: str
    lattice: np.ndarray = field(repr=False)
    species: tuple[str, ...] = field(repr=False)
    coords: np.ndarray = field(repr=False)
    ion: str
    points: np.ndarray = field(repr=False)
    final_coords: np.ndarray | None = field(default=None, repr=False)
    functional: str | None = None

    def __post_init__(self) -> None:
        for name, shape in (('lattice', (3, 3)), ('coords', (len(self.species), 3)), ('points', (-1, 3))):
            array = np.array(getattr(self, name), dtype=float)
            if array.ndim != 2 or array.shape[1] != 3 or (shape[0] >= 0 and array.shape[0] != shape[0]):
                raise PathError(f'{self.name}: {name} has the shape {array.shape}, {shape} is needed')
            if not np.isfinite(array).all():
                raise PathError(f'{self.name}: {name} holds values that are not finite')
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.final_coords is not None:
            final = np.array(self.final_coords, dtype=float)
            if final.shape != self.coords.shape or not np.isfinite(final).all():
                raise PathError(f'{self.name}: the final state does not have the atoms of the initial one')
            object.__setattr__(self, 'final_coords', final)
        for symbol in {*self.species, self.ion}:
            if not Element.is_valid_symbol(symbol):
                raise PathError(f'{self.name}: {symbol!r} is no element')
        if len(self.points) < 2:
            raise PathError(f'{self.name}: a path has two points at least, this one has {len(self.points)}')
        if abs(np.linalg.det(self.lattice)) < 1e-3:
            raise PathError(f'{self.name}: the lattice has no volume')
        if self.hop_length < MIN_HOP:
            raise PathError(
                f'{self.name}: the ends of the path are {self.hop_length:.3f} Å apart, so they are the same site; '
                'a hop to a periodic image needs the final position in that cell, not wrapped back'
            )

    @property
    def n_atoms(self) -> int:
        """Number of atoms with the migrating ion."""
        return len(self.species) + 1

    @cached_property
    def hop_length(self) -> float:
        """Distance between the ends of the path in Å."""
        return float(np.linalg.norm((self.points[-1] - self.points[0]) @ self.lattice))

    @cached_property
    def path_length(self) -> float:
        """Length of the path through all its points in Å."""
        return float(np.linalg.norm(np.diff(self.points, axis=0) @ self.lattice, axis=1).sum())

    @cached_property
    def closest_approach(self) -> float:
        """Shortest distance in Å of the ion from another atom, at points 0.1 Å apart; infinite without one."""
        fractions = np.linspace(0, 1, int(np.ceil(self.path_length / APPROACH_STEP)) + 1)
        hosts = np.stack([self.host_at(float(fraction)) for fraction in fractions])
        vectors = minimum_image((hosts - self.at(fractions)[:, None]) @ self.lattice, self.lattice)
        return float(np.linalg.norm(vectors, axis=-1).min(initial=np.inf))

    @property
    def is_straight(self) -> bool:
        """Whether all points lie on the line between the ends, within 0.01 Å."""
        return self.path_length - self.hop_length < 1e-4

    def at(self, fractions: ArrayLike) -> np.ndarray:
        """Return fractional coordinates of the ion at fractions of the length of its path, shape (k, 3)."""
        lengths = np.linalg.norm(np.diff(self.points, axis=0) @ self.lattice, axis=1)
        places = np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
        wanted = np.asarray(fractions, dtype=float)
        return np.stack([np.interp(wanted, places, self.points[:, axis]) for axis in range(3)], axis=-1)

    def host_at(self, fraction: float) -> np.ndarray:
        """Return fractional coordinates of the host's atoms at a fraction of the path, shape (n, 3)."""
        if self.final_coords is None:
            return self.coords
        return self.coords + fraction * self._host_moves

    @cached_property
    def largest_host_move(self) -> float:
        """Longest distance in Å that an atom of the host moves from end to end; 0 without atoms."""
        return float(np.linalg.norm(self._host_moves @ self.lattice, axis=1).max(initial=0.0))

    @cached_property
    def _host_moves(self) -> np.ndarray:
        """How far the host's atoms move from end to end, in fractional coordinates, by the shortest way."""
        if self.final_coords is None:
            return np.zeros_like(self.coords)
        moves = minimum_image((self.final_coords - self.coords) @ self.lattice, self.lattice)
        return moves @ np.linalg.inv(self.lattice)

    def structure(self, fraction: float) -> Structure:
        """Return the crystal with the ion at a fraction of its path, as the first atom."""
        coords = np.concatenate([self.at([fraction]), self.host_at(fraction)])
        return Structure(Lattice(self.lattice), [self.ion, *self.species], coords)

    @property
    def initial(self) -> Structure:
        """The initial state, the migrating ion first."""
        return self.structure(0.0)

    @property
    def final(self) -> Structure:
        """The final state, the migrating ion first."""
        return self.structure(1.0)

    def composite(self) -> Structure:
        """Return the published composite: the ion at five evenly spaced points in path order, then the initial host."""
        coords = np.concatenate([self.at(np.linspace(0, 1, N_COMPOSITE)), self.coords])
        return Structure(Lattice(self.lattice), [self.ion] * N_COMPOSITE + list(self.species), coords)

    def reversed(self) -> MigrationPath:
        """Return the path from its final to its initial state."""
        if self.final_coords is None:
            return replace(self, points=self.points[::-1])
        return replace(self, points=self.points[::-1], coords=self.final_coords, final_coords=self.coords)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> MigrationPath:
        """Return the path of a row of a dataset of barriers.

        :raises PathError: where it cannot be one.
        """
        own_lattice = row.get('final_lattice')
        if isinstance(own_lattice, str) and not np.allclose(json.loads(own_lattice), json.loads(row['lattice'])):
            final = None  # of a cell of its own: only the initial state is known in this one
        else:
            final = row.get('final_frac_coords')
        functional = row.get('functional')
        return cls(
            name=str(row['name']),
            lattice=json.loads(row['lattice']),
            species=tuple(json.loads(row['species'])),
            coords=np.reshape(json.loads(row['frac_coords']), (-1, 3)),
            ion=str(row['ion']),
            points=json.loads(row['path']),
            final_coords=json.loads(final) if isinstance(final, str) else None,
            functional=functional if isinstance(functional, str) else None,
        )

    @classmethod
    def from_band(cls, band: Band, name: str | None = None) -> MigrationPath:
        """Return the path of a band: its ion goes through all images, the host from the first to the last.

        :raises PathError: where no atom or several are mobile, or other atoms move as far as an ion does.
        """
        name = name or band.formula
        if len(band.mobile) != 1:
            raise PathError(
                f'{name}: {len(band.mobile)} atoms of the band are mobile; a barrier is predicted for one ion: '
                'name it, or split the band'
            )
        (mobile,) = band.mobile
        rest = [index for index in range(band.n_atoms) if index != mobile]
        moves = np.linalg.norm(band.positions[-1][rest] - band.positions[0][rest], axis=1)
        if len(moves) and moves.max() > SECOND_MOVER:
            second = rest[int(moves.argmax())]
            raise PathError(
                f'{name}: besides {band.elements[mobile]} {mobile}, {band.elements[second]} {second} moves by '
                f'{moves.max():.2f} Å; barriers are predicted for one moving ion'
            )
        fractional = band.fractional
        return cls(
            name=name,
            lattice=band.lattice_of(0),
            species=tuple(band.elements[index] for index in rest),
            coords=fractional[0][rest],
            ion=band.elements[mobile],
            points=fractional[:, mobile],
            final_coords=fractional[-1][rest] if len(moves) and moves.max() > 1e-3 else None,
            functional=band.info.functional,
        )
