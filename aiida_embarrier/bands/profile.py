"""The energy along a path between its images: a bounded spline through energies and tangential forces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from aiida_embarrier.bands.band import UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from scipy.interpolate import PPoly

    from aiida_embarrier.bands.band import Band

__all__ = ('EnergyProfile',)

#: How far a segment may rise above or fall below both its images, relative to the largest energy difference on it and
#: its neighbours. A sine-squared hump of four images needs 0.30, any finer one less.
OVERSHOOT = 0.5


#: A slope below this, in eV/Å, is what a converged band leaves of a stationary point: it asks for no turning point
#: beside the image.
STATIONARY = 0.05
#: A cubic is monotone where its slopes have the sign of its secant and are at most so many times as steep (F. N.
#: Fritsch and R. E. Carlson, SIAM J. Numer. Anal. 17, 238 (1980)).
STEEPEST = 3.0


@dataclass(frozen=True, eq=False)
class EnergyProfile:
    """Energy as a function of the reaction coordinate, defined between the endpoints only.

    Each segment is a cubic that meets the energies of its two images and, where known, their slopes. It turns only
    where the slopes ask for a turning point: where both point the way of the energy difference or vanish, as at a
    climbing image, the steeper one is reduced until the cubic is monotone. Where another cubic would leave the range of
    its two energies by more than half of the largest energy difference on this and the neighbouring segments, as it
    does where forces and energies do not belong together or images are too far apart, its slopes are moved towards
    those of a monotone interpolation (PCHIP; F. N. Fritsch and J. Butland, SIAM J. Sci. Stat. Comput. 5, 300 (1984))
    until it stays within. Without slopes it is that monotone interpolation, whose maximum is the largest energy of the
    images.

    :param coordinates: reaction coordinate of each image in Å, increasing, shape (n_images,).
    :param energies: energy of each image in eV, shape (n_images,).
    :param slopes: derivative of the energy by the coordinate at each image in eV/Å, NaN where unknown.
    :raises ValueError: for shapes that do not fit, energies that are not known, or images that coincide.
    """

    coordinates: np.ndarray
    energies: np.ndarray
    slopes: np.ndarray = UNKNOWN

    def __post_init__(self) -> None:
        if self.slopes is UNKNOWN:
            object.__setattr__(self, 'slopes', np.full(np.shape(self.coordinates), np.nan))
        for name in ('coordinates', 'energies', 'slopes'):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=float))
        shapes = {self.coordinates.shape, self.energies.shape, self.slopes.shape}
        if len(shapes) != 1 or self.coordinates.ndim != 1 or len(self.coordinates) < 2:
            raise ValueError(f'coordinates, energies and slopes need one entry for each image, got shapes {shapes}')
        unknown = np.flatnonzero(~np.isfinite(self.energies))
        if len(unknown):
            raise ValueError(f'the energies of image(s) {", ".join(map(str, unknown))} are not known: compute them')
        together = np.flatnonzero(~(np.diff(self.coordinates) > 1e-9))
        if len(together):
            raise ValueError(f'the images {together[0]} and {together[0] + 1} coincide: there is no path between them')

    @classmethod
    def from_band(cls, band: Band) -> EnergyProfile:
        """Make the profile of a band; slopes come from its forces where it has them.

        The slope at an image is minus the force times the derivative of the path, that of the parabola through the
        image and its neighbours.
        """
        coordinates = band.reaction_coordinate
        slopes = UNKNOWN
        if band.forces is not None and np.all(np.diff(coordinates) > 1e-9):
            path = np.concatenate([np.zeros((1, band.n_atoms, 3)), np.cumsum(band.displacements, axis=0)])
            derivative = np.gradient(path, coordinates, axis=0, edge_order=2 if band.n_images > 2 else 1)
            slopes = -np.einsum('iaj,iaj->i', band.forces, derivative)
        return cls(coordinates, band.energies, slopes)

    def energy(self, coordinate: ArrayLike) -> np.ndarray:
        """Return the energy in eV at coordinates in Å.

        :raises ValueError: for coordinates beyond the endpoints: nothing is known there.
        """
        wanted = np.asarray(coordinate, dtype=float)
        start, end = self.coordinates[[0, -1]]
        if np.any(~((wanted >= start - 1e-9) & (wanted <= end + 1e-9))):
            raise ValueError(f'the path is known from {start:g} to {end:g} Å only')
        energies: np.ndarray = self._spline(np.clip(wanted, start, end))
        return energies

    def maximum(self) -> tuple[float, float]:
        """Return the coordinate in Å and the energy in eV of the highest point between the endpoints, them included."""
        turning = self._spline.derivative().roots(extrapolate=False)
        # a level segment has no single turning point; its ends are images
        candidates = np.concatenate([self.coordinates, turning[np.isfinite(turning)]])
        heights = self.energy(candidates)
        highest = int(np.argmax(heights))
        return float(candidates[highest]), float(heights[highest])

    @cached_property
    def _spline(self) -> PPoly:
        from scipy.interpolate import PPoly

        monotone = self._monotone_slopes
        known = np.where(np.isfinite(self.slopes), self.slopes, monotone)
        segments = [self._segment(index, known, monotone) for index in range(len(self.coordinates) - 1)]
        return PPoly(np.transpose(segments), self.coordinates, extrapolate=False)

    @property
    def _monotone_slopes(self) -> np.ndarray:
        from scipy.interpolate import PchipInterpolator

        slopes: np.ndarray = PchipInterpolator(self.coordinates, self.energies).derivative()(self.coordinates)
        return slopes

    def _segment(self, index: int, known: np.ndarray, monotone: np.ndarray) -> np.ndarray:
        """Return the coefficients of one cubic, highest power first, with as much of the known slopes as is bounded."""
        ends = slice(index, index + 2)
        length = float(np.diff(self.coordinates[ends])[0])
        values = self.energies[ends]
        allowed = OVERSHOOT * np.abs(np.diff(self.energies[max(index - 1, 0) : index + 3])).max()
        # rounding errors of the energies themselves must not count
        allowed += 1e-12 * np.abs(values).max()

        slopes = _without_turning(known[ends], float(np.diff(values)[0]) / length)

        def cubic(share: float) -> np.ndarray:
            return _hermite(length, values, share * slopes + (1 - share) * monotone[ends])

        if _excess(cubic(1.0), length, values) <= allowed:
            return cubic(1.0)
        good, bad = 0.0, 1.0
        for _ in range(40):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if _excess(cubic(middle), length, values) <= allowed else (good, middle)
        return cubic(good)


def _without_turning(slopes: np.ndarray, secant: float) -> np.ndarray:
    """Return the slopes at the ends of a segment so that its cubic is monotone, unless they ask for a turning point."""
    along = np.sign(secant) * slopes
    if secant == 0 or np.any(along < -STATIONARY):
        return slopes
    clipped: np.ndarray = np.sign(secant) * np.clip(along, 0, STEEPEST * abs(secant))
    return clipped


def _hermite(length: float, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    secant = (values[1] - values[0]) / length
    return np.array(
        [
            (slopes[0] + slopes[1] - 2 * secant) / length**2,
            (3 * secant - 2 * slopes[0] - slopes[1]) / length,
            slopes[0],
            values[0],
        ]
    )


def _excess(coefficients: np.ndarray, length: float, values: np.ndarray) -> float:
    """Return how far a cubic on [0, length] leaves the range of the values at its ends."""
    turning = np.roots(np.polyder(coefficients)) if np.any(coefficients[:2]) else np.zeros(0)
    turning = turning[np.isreal(turning)].real
    inside = np.polyval(coefficients, turning[(turning > 0) & (turning < length)])
    if not len(inside):
        return 0.0
    return float(max(inside.max() - values.max(), values.min() - inside.min(), 0.0))
