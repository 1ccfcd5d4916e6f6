"""From what VASP wrote to structures and bands of this package, and whether they have converged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.tangents import band_forces, image_spacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.bands.vasp_outcar import IonicStep, OutcarRun
    from aiida_embarrier.engines.vasp.layout import Layout

__all__ = ('BandHistory', 'beside', 'with_endpoint')

#: The OUTCAR has five decimals; a CONTCAR that agrees with it this well holds the same positions with all digits.
SAME_POSITION = 2e-5


def beside(positions: np.ndarray, reference: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return positions moved by lattice vectors to where they lie beside those of a reference.

    VASP wraps atoms into the cell. An atom moves by less than half a cell in a step, so the nearest whole number of
    lattice vectors in each direction brings it back, in skewed cells too.

    :param positions: in Å, shape (..., n_atoms, 3). :param reference: likewise. :param lattice: vectors as rows in Å.
    """
    moved = (positions - reference) @ np.linalg.inv(lattice)
    nearest: np.ndarray = positions - np.round(moved) @ lattice
    return nearest


def exact(printed: np.ndarray, contcar: np.ndarray | None, lattice: np.ndarray) -> np.ndarray:
    """Return the positions of a CONTCAR where they are those printed in the OUTCAR, else the printed ones."""
    if contcar is None or contcar.shape != printed.shape:
        return printed
    found = beside(contcar, printed, lattice)
    return found if np.abs(found - printed).max() < SAME_POSITION else printed


def relaxed_geometry(
    plain: Structure, layout: Layout, step: IonicStep, contcar: np.ndarray | None, fixed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return lattice and positions of a crystal at an ionic step, in the order and beside the places that it had.

    :param plain: the crystal before.
    :param contcar: positions of the CONTCAR in VASP's order, None where there is none.
    :param fixed: whether the cell is.
    """
    assert step.positions is not None
    before: np.ndarray = plain.lattice.matrix
    lattice = before if step.lattice is None or fixed else step.lattice
    # fractional positions are compared, as the cell may have changed its shape
    reference = plain.frac_coords[list(layout.order)] @ lattice
    printed = beside(step.positions, reference, lattice)
    return lattice, exact(printed, contcar, lattice)[layout.inverse]


@dataclass(frozen=True)
class BandHistory:
    """The steps that all images of a band made together in one job.

    :param start: the band that the job was given, with energies and forces of its endpoints.
    :param layout: order of the atoms in VASP's files.
    :param runs: what the OUTCARs of the interior images say, in the order of the images.
    :param contcars: positions of their CONTCARs in VASP's order, None where there is none.
    """

    start: Band
    layout: Layout
    runs: Sequence[OutcarRun]
    contcars: Sequence[np.ndarray | None]

    @property
    def n_steps(self) -> int:
        """Steps for which energies and forces of all images are known."""
        return min(len(run.steps) for run in self.runs)

    def broken(self, index: int) -> list[int]:
        """Return the images whose energies or forces are no numbers at a step."""
        return [image for image, run in enumerate(self.runs, start=1) if not run.steps[index].is_finite]

    def unconverged(self, index: int) -> list[int]:
        """Return the images whose electrons did not converge at a step."""
        return [image for image, run in enumerate(self.runs, start=1) if not run.scf_converged(index)]

    def band(self, index: int, **changes: Any) -> Band:
        """Return the band at a step, with residual forces by the definition of convergence.

        :param index: of the step, from 0.
        :param changes: entries of the band, such as `functional` and `climbing`.
        """
        start, inverse = self.start, self.layout.inverse
        positions, forces = np.array(start.positions), np.full(start.positions.shape, np.nan)
        moments = np.full(start.positions.shape[:2], np.nan)
        energies = np.full(start.n_images, np.nan)
        for image in (0, -1):
            energies[image] = start.energies[image]
            if start.forces is not None:
                forces[image] = start.forces[image]
            if start.moments is not None:
                moments[image] = start.moments[image]
        for image, (run, contcar) in enumerate(zip(self.runs, self.contcars, strict=True), start=1):
            step = run.steps[index]
            positions[image] = self._positions(step, contcar, image)
            forces[image], energies[image] = step.forces[inverse], step.energy  # type: ignore[index]
            if step.moments is not None and len(step.moments) == len(inverse):
                moments[image] = step.moments[inverse]
        band = start.replace(
            positions=positions,
            energies=energies,
            forces=forces,
            moments=moments if np.any(np.isfinite(moments)) else None,
            **changes,
        )
        return with_residuals(band)

    def _positions(self, step: IonicStep, contcar: np.ndarray | None, image: int) -> np.ndarray:
        assert step.positions is not None
        reference = self.start.positions[image][list(self.layout.order)]
        printed = beside(step.positions, reference, self.start.lattice)
        found: np.ndarray = exact(printed, contcar, self.start.lattice)[self.layout.inverse]
        return found


def climbing_image(energies: np.ndarray) -> int | None:
    """Return the index of the highest image, None where that is an endpoint or energies are missing."""
    if not np.all(np.isfinite(energies)):
        return None
    highest = int(np.argmax(energies))
    return highest if 0 < highest < len(energies) - 1 else None


def with_residuals(band: Band) -> Band:
    """Return a computed band with its perpendicular forces, by the definition of this package for all engines."""
    energies, forces = band.energies, band.forces
    assert forces is not None
    if not np.all(np.isfinite(energies)) or not np.all(np.isfinite(forces[1:-1])):
        return band.replace(residual_force=None)
    climbing = climbing_image(energies) if band.info.climbing else None
    residuals = band_forces(band.positions, energies, forces, 0.0, climbing=climbing).residuals
    worst = float(residuals.max())
    residuals[[0, -1]] = np.nan
    return band.replace(max_perpendicular_forces=residuals, residual_force=worst)


def judge(band: Band, criteria: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a band has converged, and what is missing.

    :param band: with residual forces.
    :param criteria: `force_threshold` in eV/Å, `spacing_tolerance`, `climb`.
    """
    residual, threshold = band.info.residual_force, criteria['force_threshold']
    if residual is None:
        return False, 'the residual force is not known'
    highest = climbing_image(band.energies)
    climbing = {highest} if band.info.climbing and highest is not None else set()
    spacing = image_spacing(band.positions, climbing)
    text = f'residual force {residual:.3f} eV/Å (threshold {threshold:g})'
    if residual >= threshold:
        return False, text
    if spacing >= criteria['spacing_tolerance']:
        return False, f'images are unevenly spaced by {spacing:.2f} (tolerance {criteria["spacing_tolerance"]:g})'
    if criteria['climb'] and not band.info.climbing and highest is not None:
        return False, f'{text}, the highest image does not climb yet'
    if criteria['climb'] and highest is None:
        text += '; an endpoint is the highest image, so there is no saddle inside the band and no image climbed'
    return True, text


def with_endpoint(band: Band, image: int, energy: float, forces: np.ndarray, moments: np.ndarray | None) -> Band:
    """Return a band with energy, forces and moments of one of its endpoints."""
    energies, all_forces = band.energies.copy(), np.full(band.positions.shape, np.nan)
    if band.forces is not None:
        all_forces[:] = band.forces
    all_moments = np.full(band.positions.shape[:2], np.nan) if band.moments is None else band.moments.copy()
    energies[image], all_forces[image] = energy, forces
    if moments is not None:
        all_moments[image] = moments
    known = all_moments if np.any(np.isfinite(all_moments)) else None
    return band.replace(energies=energies, forces=all_forces, moments=known)
