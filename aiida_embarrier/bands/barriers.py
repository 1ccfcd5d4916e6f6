"""Barriers of a path by every definition in use, each with its words.

Published "barriers" are not one quantity: on paths with several humps or inequivalent ends the definitions differ by
more than the accuracy of the calculation, so none is given without its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aiida_embarrier.bands.band import Band

__all__ = ('QUANTITIES', 'Barriers', 'EndFall', 'InteriorMinimum', 'barriers', 'end_falls', 'split_at_minima')

#: Barriers by which paths are compared: entries of :class:`Barriers`.
QUANTITIES = ('forward', 'reverse', 'rate_limiting', 'span')

#: Energies of endpoints that differ by less, in eV, are taken to be those of equivalent sites: ends that are equal by
#: symmetry but were relaxed apart differ by up to this much in published bands.
EQUIVALENCE_TOLERANCE = 0.02
#: An interior minimum that is less deep, in eV, is noise of the energies.
MINIMUM_DEPTH = 0.001
#: Depth in eV from which an interior minimum is a place where an ion rests, and a path worth splitting.
SPLIT_DEPTH = 0.02
#: Images whose energies differ by less, in eV, count as equally low where the image at which a rise begins is named.
TIE_TOLERANCE = 0.001
#: Energy in eV by which the path may fall from an end before that is called no minimum: relaxations to 0.05 eV/Å leave
#: less than a few meV.
END_FALL = 0.005


class InteriorMinimum(NamedTuple):
    """A minimum of the energy between the endpoints.

    :param image: index of the image.
    :param energy: energy relative to the first image in eV.
    :param depth: rise in eV to the lower of the two maxima that enclose it.
    """

    image: int
    energy: float
    depth: float


class EndFall(NamedTuple):
    """A fall of the energy from an end of a path, which is then no minimum.

    :param end: `first` or `last`.
    :param image: index of the image to which the energy falls.
    :param depth: how far it falls, in eV.
    """

    end: str
    image: int
    depth: float


@dataclass(frozen=True)
class Barriers:
    """The barriers of one path in eV, all from raw image energies.

    :param forward: largest energy minus that of the first image.
    :param reverse: largest energy minus that of the last image.
    :param span: largest minus smallest energy.
    :param rate_limiting: largest rise from any image to a later one; on a periodic path the same as the span.
    :param rate_limiting_reverse: the same for the path walked backwards.
    :param rate_limiting_images: the images between which `rate_limiting` rises: its low and its high end. Of several
        images within 1 meV of the lowest the first is named, for which of them is the lowest is noise.
    :param highest_image: index of the image with the largest energy; an endpoint with `endpoint_maximum`.
    :param endpoint_maximum: whether no interior image lies above both endpoints, so that there is no saddle between.
    :param equivalent_endpoints: whether the endpoints are taken as equivalent, and the path as periodic.
    :param minima: interior minima in the order of the path.
    """

    forward: float
    reverse: float
    span: float
    rate_limiting: float
    rate_limiting_reverse: float
    rate_limiting_images: tuple[int, int]
    highest_image: int
    endpoint_maximum: bool
    equivalent_endpoints: bool
    minima: tuple[InteriorMinimum, ...]

    @property
    def saddle(self) -> int | None:
        """Index of the saddle image; None where the largest energy is that of an endpoint."""
        return None if self.endpoint_maximum else self.highest_image

    @property
    def definitions(self) -> dict[str, str]:
        """The definition of each barrier of this path, in words."""
        rise = 'largest rise of the energy from any image to a later one'
        if self.equivalent_endpoints:
            rise += ', the path taken as periodic because its endpoints are equivalent'
        return {
            'forward': 'largest energy of all images minus that of the first image',
            'reverse': 'largest energy of all images minus that of the last image',
            'span': 'largest energy of all images minus the smallest',
            'rate_limiting': f'{rise}, walking from the first to the last image',
            'rate_limiting_reverse': f'{rise}, walking from the last to the first image',
        }

    def to_dict(self) -> dict[str, Any]:
        """Return barriers, their definitions and what was found on the path as plain Python values."""
        return {
            **{name: getattr(self, name) for name in self.definitions},
            'rate_limiting_images': list(self.rate_limiting_images),
            'saddle': self.saddle,
            'highest_image': self.highest_image,
            'endpoint_maximum': self.endpoint_maximum,
            'equivalent_endpoints': self.equivalent_endpoints,
            'minima': [minimum._asdict() for minimum in self.minima],
            'definitions': self.definitions,
        }


def barriers(
    energies: ArrayLike,
    equivalent_endpoints: bool | None = None,
    *,
    tolerance: float = EQUIVALENCE_TOLERANCE,
    minimum_depth: float = MINIMUM_DEPTH,
) -> Barriers:
    """Return the barriers of a path by every definition.

    :param energies: of all images, the endpoints included, in eV, shape (n_images,).
    :param equivalent_endpoints: whether the endpoints are equivalent by symmetry, so that the path goes on
        periodically; None to conclude it from their energies, which is no proof of symmetry.
    :param tolerance: largest difference in eV between the energies of endpoints that are concluded to be equivalent.
    :param minimum_depth: depth in eV from which an interior minimum is reported.
    :raises ValueError: for fewer than two images, and for energies that are unknown or infinite.
    """
    values = np.asarray(energies, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f'barriers need the energies of at least two images in a row, got the shape {values.shape}')
    unknown = np.flatnonzero(~np.isfinite(values))
    if len(unknown):
        raise ValueError(f'the energies of image(s) {", ".join(map(str, unknown))} are not known: compute them first')
    if equivalent_endpoints is None:
        equivalent_endpoints = bool(abs(values[-1] - values[0]) <= tolerance)
    last = len(values) - 1
    largest = values.max()
    interior = values[1:-1]
    endpoint_maximum = not (len(interior) and interior.max() > max(values[0], values[-1]))
    highest = last * int(values[last] > values[0]) if endpoint_maximum else 1 + int(np.argmax(interior))
    span = float(largest - values.min())
    rise, images = _largest_rise(values)
    rise_back, _ = _largest_rise(values[::-1])
    if equivalent_endpoints:
        rise = rise_back = span
        images = _first_lowest(values), highest
    return Barriers(
        forward=float(largest - values[0]),
        reverse=float(largest - values[last]),
        span=span,
        rate_limiting=rise,
        rate_limiting_reverse=rise_back,
        rate_limiting_images=images,
        highest_image=highest,
        endpoint_maximum=endpoint_maximum,
        equivalent_endpoints=bool(equivalent_endpoints),
        minima=_interior_minima(values, minimum_depth),
    )


def end_falls(energies: ArrayLike, depth: float = END_FALL) -> list[EndFall]:
    """Return from which ends of a path the energy falls, so that they are no minima, and how far.

    Where it falls as far as the other end there is no barrier between them, and nothing is returned.

    :param energies: of all images, the endpoints included, in eV, shape (n_images,).
    :param depth: smallest fall in eV that is returned.
    """
    values = np.asarray(energies, dtype=float)
    found = []
    for end, walk in (('first', values), ('last', values[::-1])):
        rising = np.flatnonzero(np.diff(walk) >= 0)
        lowest = int(rising[0]) if len(rising) else len(walk) - 1
        fall = float(walk[0] - walk[lowest])
        if fall > depth and lowest < len(walk) - 1:
            found.append(EndFall(end, lowest if end == 'first' else len(walk) - 1 - lowest, fall))
    return found


def split_at_minima(band: Band, minimum_depth: float = SPLIT_DEPTH) -> list[Band]:
    """Split a band at its interior minima into bands with one hump each, which share the images at the minima.

    :param minimum_depth: depth in eV from which a minimum splits the path.
    :raises ValueError: where energies are not known.
    """
    from aiida_embarrier.bands.segments import part

    cuts = [minimum.image for minimum in barriers(band.energies, minimum_depth=minimum_depth).minima]
    return [part(band, first, last) for first, last in pairwise([0, *cuts, band.n_images - 1])]


def _largest_rise(values: np.ndarray) -> tuple[float, tuple[int, int]]:
    """Return the largest rise from an image to a later one (0 on a path that only falls) and its two images."""
    rises = values - np.minimum.accumulate(values)
    high = int(np.argmax(rises))
    return float(rises[high]), (_first_lowest(values[: high + 1]), high)


def _first_lowest(values: np.ndarray) -> int:
    return int(np.argmax(values <= values.min() + TIE_TOLERANCE))


def _interior_minima(values: np.ndarray, depth: float) -> tuple[InteriorMinimum, ...]:
    from scipy.signal import find_peaks

    # the prominence of a peak of -E is the rise to the lower of the maxima that enclose the minimum
    images, found = find_peaks(-values, prominence=max(depth, np.finfo(float).tiny))
    return tuple(
        InteriorMinimum(int(image), float(values[image] - values[0]), float(prominence))
        for image, prominence in zip(images, found['prominences'], strict=True)
    )
