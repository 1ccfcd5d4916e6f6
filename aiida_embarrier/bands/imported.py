"""Bands that other programs left behind: from images as they were read to a band."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.band import Band, BandInfo, kinds_of
from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.bands.tangents import band_forces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pymatgen.core import Structure

__all__ = ('Image', 'ImportedBand', 'band_of_images', 'find_file')

#: Endings of compressed files that are read like plain ones.
COMPRESSED = ('', '.gz', '.xz', '.bz2')
#: Lattices of images that differ by less, in Å, are one lattice written with other roundings.
LATTICE_TOLERANCE = 1e-4
#: An atom that is farther than this, in Å, from where it began has hopped; see `align_endpoints`.
HOP_THRESHOLD = 1.2


@dataclass(frozen=True)
class Image:
    """One image as its files tell it.

    :param structure: the crystal, positions as written, kinds as site properties.
    :param energy: in eV, NaN where unknown.
    :param forces: in eV/Å, shape (n_atoms, 3), or None.
    :param moments: on the sites in Bohr magnetons, shape (n_atoms,), or None.
    :param frozen: whether an atom was held in place, shape (n_atoms,), or None.
    :param sources: the file that each of `structure`, `energy`, `forces` and `moments` is from.
    """

    structure: Structure
    energy: float = np.nan
    forces: np.ndarray | None = None
    moments: np.ndarray | None = None
    frozen: np.ndarray | None = None
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportedBand:
    """A band that another program computed, and what is known of how it did.

    :param band: the band; what the files do not tell is NaN or None.
    :param settings: what the program was told, as plain values.
    :param sources: for each image the files that its parts are from.
    :param warnings: what a reader of the band must know, the missing parts among it.
    """

    band: Band
    settings: dict[str, Any]
    sources: list[dict[str, str]]
    warnings: list[str]


def find_file(folder: Path, names: str | Iterable[str]) -> Path | None:
    """Return the first file of these names in a folder, plain or compressed; None where there is none.

    Files of no length count as absent: programs that are killed leave some.
    """
    for name in (names,) if isinstance(names, str) else names:
        for ending in COMPRESSED:
            path = folder / f'{name}{ending}'
            if path.is_file() and path.stat().st_size > 0:
                return path
    return None


def read_text(path: Path) -> str:
    """Return the text of a file, plain or compressed; bytes that are no text are replaced.

    :raises ValueError: for a compressed file that is damaged.
    """
    import lzma
    import zlib

    from monty.io import zopen

    try:
        with zopen(path, 'rt', encoding='utf8', errors='replace') as handle:
            return str(handle.read())
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f'{path} is damaged: {error}') from error


def band_of_images(
    images: Sequence[Image], info: BandInfo, *, mechanism: str | None = None, climbing: Sequence[int] = ()
) -> tuple[Band, list[str]]:
    """Return the band of images whose atoms correspond one to one, and warnings.

    The displacement of an atom from an image to the next is the shortest one over periodic boundaries, as neighbouring
    images of a band are close. The migrating atoms are those that end more than 1.2 Å from where they began, or the one
    that moved farthest. Perpendicular forces are those of the improved tangent; they are known where the forces of an
    image and the energies of its neighbours are.

    :param info: how the band came about; `mechanism` and `residual_force` are filled in here.
    :param mechanism: how the ion moves; unless given it is `any` where several atoms hop, and otherwise unknown, for
        the files of a band do not tell a vacancy from an interstitial.
    :param climbing: indices of the images known to climb; where `info` says that an image climbed it is the highest.
    :raises ValueError: where images differ in the number or order of their elements.
    """
    structures = [image.structure for image in images]
    elements = [site.specie.symbol for site in structures[0]]
    for number, structure in enumerate(structures):
        if [site.specie.symbol for site in structure] != elements:
            raise ValueError(
                f'image {number} and image 0 differ in the number or order of their elements '
                f'({structure.formula} and {structures[0].formula}): these are no images of one band'
            )
    lattices = np.stack([structure.lattice.matrix for structure in structures])
    one_lattice = np.allclose(lattices, lattices[0], rtol=0, atol=LATTICE_TOLERANCE)
    if one_lattice:
        lattices = np.repeat(lattices[:1], len(images), axis=0)
    positions = _unwrapped(np.stack([structure.cart_coords for structure in structures]), lattices)
    mobile = _mobile(positions, lattices)
    kinds, kind_indices = kinds_of(structures[0])
    energies = np.array([image.energy for image in images])
    shape = (len(images), len(elements))
    forces = _stacked([image.forces for image in images], (*shape, 3))
    band = Band(
        kinds=kinds,
        kind_indices=kind_indices,
        lattice=lattices[0] if one_lattice else lattices,
        positions=positions,
        mobile=mobile,
        energies=energies,
        forces=forces,
        moments=_stacked([image.moments for image in images], shape),
        info=info,
    )
    warnings = []
    if not one_lattice:
        warnings.append('the images have different lattices')
    if mechanism is None and len(mobile) > 1:
        mechanism = 'any'
    band = band.replace(mechanism=mechanism)
    if forces is not None:
        climbers = climbing or _highest(band)
        residuals = _residuals(band, [image.frozen for image in images], climbers)
        known = bool(np.all(np.isfinite(residuals)))
        band = band.replace(
            max_perpendicular_forces=residuals, residual_force=float(residuals.max()) if known else None
        )
    return band, warnings


def missing(images: Sequence[Image]) -> list[str]:
    """Return a warning for each part that not all images have: energies, forces and, where any has them, moments."""
    parts = {
        'energies': [bool(np.isfinite(image.energy)) for image in images],
        'forces': [image.forces is not None and bool(np.all(np.isfinite(image.forces))) for image in images],
        'magnetic moments': [image.moments is not None for image in images],
    }
    warnings = []
    for name, known in parts.items():
        lacking = [str(number) for number, there in enumerate(known) if not there]
        if lacking and (name != 'magnetic moments' or any(known)):
            of = 'any image' if not any(known) else f'image{"s" * (len(lacking) > 1)} {", ".join(lacking)}'
            warnings.append(f'the {name} of {of} are not known')
    return warnings


def _unwrapped(positions: np.ndarray, lattices: np.ndarray) -> np.ndarray:
    """Return positions with whole cells added, so that each atom goes the shortest way from an image to the next."""
    positions = positions.copy()
    for image in range(1, len(positions)):
        before, here = (positions[index] @ np.linalg.inv(lattices[index]) for index in (image - 1, image))
        mean = lattices[[image - 1, image]].mean(axis=0)
        written = (here - before) @ mean
        shortest = minimum_image(written, mean)
        # of two ways of one length the one as written: a hop of exactly half the cell
        equal = np.linalg.norm(written, axis=1) < np.linalg.norm(shortest, axis=1) + 1e-6
        cells = np.round((shortest - written) @ np.linalg.inv(mean))
        positions[image] += np.where(equal[:, None], 0.0, cells) @ lattices[image]
    return positions


def _mobile(positions: np.ndarray, lattices: np.ndarray) -> tuple[int, ...]:
    ends = [positions[index] @ np.linalg.inv(lattices[index]) for index in (0, -1)]
    distances = np.linalg.norm((ends[1] - ends[0]) @ lattices[[0, -1]].mean(axis=0), axis=1)
    hopped = np.flatnonzero(distances > HOP_THRESHOLD)
    return tuple(int(index) for index in hopped) if len(hopped) else (int(np.argmax(distances)),)


def _stacked(arrays: Sequence[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray | None:
    if all(array is None for array in arrays):
        return None
    return np.stack([np.full(shape[1:], np.nan) if array is None else array for array in arrays])


def _highest(band: Band) -> list[int]:
    """Return the image that climbed as the highest one; none where none climbed, or where energies are not known."""
    if not band.info.climbing or band.n_images < 3 or not np.all(np.isfinite(band.energies)):
        return []
    return [1 + int(np.argmax(band.energies[1:-1]))]


def _residuals(band: Band, frozen: Sequence[np.ndarray | None], climbing: Sequence[int]) -> np.ndarray:
    assert band.forces is not None
    forces = np.array(band.forces)
    for image, held in enumerate(frozen):
        if held is not None:
            forces[image][held] = 0.0
    # Displacements, so that a change of the lattice along the path moves no atom.
    positions = np.concatenate([band.positions[:1], band.positions[0] + np.cumsum(band.displacements, axis=0)])
    residuals = band_forces(positions, band.energies, forces, 0.0).residuals
    for image in climbing:
        residuals[image] = band_forces(positions, band.energies, forces, 0.0, climbing=image).residuals[image]
    return residuals
