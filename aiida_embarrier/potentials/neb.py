"""The nudged elastic band, with a climbing image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.tangents import BandForces, band_forces, image_spacing
from aiida_embarrier.jobs.schemas import NebResult, Status
from aiida_embarrier.potentials.band_optimisers import BandOptimiser, FireBand, QuasiNewtonBand
from aiida_embarrier.potentials.task import OptimisationTask, check_distances, with_prefix, without_prefix
from aiida_embarrier.structures.mirror import find_mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.schemas import NebTask
    from aiida_embarrier.potentials.evaluator import Evaluation, EvaluationError
    from aiida_embarrier.potentials.task import State
    from aiida_embarrier.structures.mirror import PathMirror

__all__ = ('NudgedElasticBand',)

#: A path counts as its own mirror image where the energies (eV) and forces (eV/Å) of images and of their mirror images
#: differ by less: CHGNet, in single precision, differs by up to 0.0001 eV and 0.001 eV/Å.
MIRROR_ENERGY, MIRROR_FORCE = 1e-3, 1e-2

#: A band has collapsed when two neighbouring images are closer than this fraction of the mean distance.
COLLAPSE = 0.05


class NudgedElasticBand(OptimisationTask):
    """A band whose moving images are one optimisation, first without and then with a climbing image.

    The endpoints are evaluated once, with the first step. The highest image begins to climb when the residual force is
    below `climb_threshold`; while the highest image is an endpoint, none climbs. The band has converged when the
    residual force of every moving image is below `force_threshold` and the images are evenly spaced within
    `spacing_tolerance`.

    Where symmetry reverses a path with an odd number of images, only its first half is evaluated, up to the middle, and
    the second is mapped from it. That the potential agrees is seen at the first step, where the endpoint and the image
    at the far end are evaluated, too; if it does not, all images are evaluated as on any path.

    :param task: settings.
    :param band: starting band.
    :param potential: what evaluates it; named in the resulting band.
    :raises ValueError: for a band without moving images, with a lattice that changes along it, with a charge, or with
        atoms on top of each other.
    """

    def __init__(self, task: NebTask, band: Band, potential: PotentialSpec) -> None:
        super().__init__(task.label, task.max_steps)
        if band.n_images < 3:
            raise ValueError(f'band {task.label!r} has no image between its endpoints: interpolate it first')
        if band.lattice.ndim == 3:
            raise ValueError(
                f'band {task.label!r} has endpoints with different lattices: bring it to one lattice, '
                'as the nudged elastic band here moves atoms only'
            )
        if band.info.charge not in {None, 0}:
            raise ValueError(
                f'band {task.label!r} has the charge {band.info.charge:g}, which an interatomic potential does not '
                'know: use a DFT engine, or make a neutral band'
            )
        for image in range(band.n_images):
            check_distances(band.positions[image], band.lattice, band.elements, f'image {image} of band {task.label!r}')
        self._task = task
        self._band = band
        self._potential = potential
        self._positions = np.array(band.positions)
        self._mirror = find_mirror(band) if task.use_symmetry and band.n_images > 3 and band.n_images % 2 else None
        if self._mirror is not None:
            self._positions = self._mirror.symmetrised(self._positions)
        self._optimiser = self._new_optimiser()
        self._climbing = False
        self._energies = np.full(band.n_images, np.nan)
        self._forces = np.zeros_like(self._positions)
        self._driving: BandForces | None = None
        self._known = np.zeros(band.n_images, dtype=bool)
        self._mirror_checked = False
        self._good: Band | None = None
        self._spacing: float | None = None
        self._residual_forces: list[float] = []
        self._barriers: list[float] = []
        collapsed = self._collapsed()
        if collapsed is not None:
            self._end(Status.COLLAPSED, collapsed)

    def _new_optimiser(self) -> BandOptimiser:
        task = self._task
        if task.optimiser == 'quasi_newton':
            return QuasiNewtonBand(task.max_step_length, task.spring_constant, task.force_threshold)
        return FireBand(self._positions[1:-1].size, task.time_step, task.max_step_length)

    # ---------------------------------------------------------------- evaluation

    def _asked(self) -> list[int]:
        """Return the images to evaluate: those that moved, and of a mirrored path one half."""
        n = self._band.n_images
        wanted: Sequence[int] = range(n)
        if self._mirror is not None:
            half = range((n + 1) // 2)
            wanted = half if self._mirror_checked else [*half, n - 2, n - 1]
        return [image for image in wanted if not self._known[image]]

    def _structures(self) -> list[Atoms]:
        structures = []
        for image in self._asked():
            atoms = self._band.atoms(image)
            atoms.positions = self._positions[image]
            structures.append(atoms)
        return structures

    def _describe(self, error: EvaluationError) -> str:
        return f'{super()._describe(error)}; the structures are images {self._asked()} of the band'

    def _record(self, evaluations: list[Evaluation]) -> tuple[Status, str] | None:
        asked = self._asked()
        self._energies[asked] = [evaluation.energy for evaluation in evaluations]
        self._forces[asked] = [evaluation.forces for evaluation in evaluations]
        self._known[asked] = True
        if self._mirror is not None:
            self._map_images(self._mirror)
        if not self._known.all():
            return None
        self._project()
        highest = float(self._energies.max() - self._energies[0])
        self._residual_forces.append(self._residual)
        self._barriers.append(highest)
        problem = self._watch.update(highest, float(np.linalg.norm(self._forces[1:-1], axis=2).max()))
        if problem is not None:
            return Status.DIVERGED, (
                f'the band diverged at step {self.n_steps}: {problem}; take a smaller max_step_length, '
                'or another interpolation; the last good band is returned'
            )
        if not self._watch.rising:
            self._keep()
        return None

    def _map_images(self, mirror: PathMirror) -> None:
        """Take energies and forces of one half of the path from the other, once the potential was seen to agree."""
        last = self._band.n_images - 1
        if not self._mirror_checked:
            pairs = [(image, last - image) for image in (0, 1)]
            energies = max(abs(self._energies[one] - self._energies[other]) for one, other in pairs)
            forces = max(
                float(np.abs(mirror.forces(self._forces[one]) - self._forces[other]).max()) for one, other in pairs
            )
            if energies > MIRROR_ENERGY or forces > MIRROR_FORCE:
                self._mirror = None  # what is missing is asked for next
                return
            self._mirror_checked = True
        for image in range(1, (last + 1) // 2):
            self._energies[last - image] = self._energies[image]
            self._forces[last - image] = mirror.forces(self._forces[image])
        self._known[:] = True

    def _go_on(self) -> None:
        if self._known.all():
            super()._go_on()

    def _keep(self) -> None:
        self._good = self._current_band()

    def _project(self) -> None:
        """Set driving and residual forces; begin to climb when it is time."""
        if self._task.climb and not self._climbing and self._highest is not None:
            self._driving = self._band_forces(None)
            self._climbing = self._residual < self._task.climb_threshold
        self._driving = self._band_forces(self._climbing_image)
        self._spacing = image_spacing(self._positions, self._all_climbing(self._climbing_image))

    def _band_forces(self, climbing: int | None) -> BandForces:
        task = self._task
        found = band_forces(self._positions, self._energies, self._forces, task.spring_constant, task.method, climbing)
        if self._mirror is not None:  # the mirror image of a climbing image climbs, too
            half = self._band.n_images // 2
            found.residuals[-half:] = found.residuals[:half][::-1]
        return found

    def _all_climbing(self, climbing: int | None) -> set[int]:
        """Return the climbing image, and its mirror image on a path that has one."""
        if climbing is None:
            return set()
        return {climbing} if self._mirror is None else {climbing, self._band.n_images - 1 - climbing}

    @property
    def _highest(self) -> int | None:
        """Index of the highest image, None where that is an endpoint."""
        highest = int(np.argmax(self._energies))
        return highest if 0 < highest < len(self._energies) - 1 else None

    @property
    def _climbing_image(self) -> int | None:
        return self._highest if self._climbing else None

    @property
    def _residual(self) -> float:
        assert self._driving is not None
        return float(self._driving.residuals.max())

    # ---------------------------------------------------------------- judgement

    def _converged(self) -> str | None:
        assert self._spacing is not None
        if self._task.climb and not self._climbing and self._highest is not None:
            return None
        if self._residual >= self._task.force_threshold or self._spacing >= self._task.spacing_tolerance:
            return None
        text = f'converged in {self.n_steps} steps'
        if self._highest is None:
            end = 'first' if np.argmax(self._energies) == 0 else 'last'
            text += f'; the {end} image is the highest, so there is no saddle inside the band and no image climbed'
        return text

    def _shortfall(self) -> str:
        return (
            f'not converged after {self.n_steps} steps: residual force {self._residual:.3f} eV/Å (threshold '
            f'{self._task.force_threshold:g}), spacing {self._spacing:.2f} (tolerance '
            f'{self._task.spacing_tolerance:g}); continue from the checkpoint with more steps'
        )

    def _collapsed(self) -> str | None:
        lengths = np.linalg.norm(np.diff(self._positions, axis=0).reshape(self._band.n_images - 1, -1), axis=1)
        short = int(np.argmin(lengths))
        if lengths[short] > COLLAPSE * lengths.mean():
            return None
        return (
            f'images {short} and {short + 1} fell onto each other at step {self.n_steps}: they are '
            f'{lengths[short]:.2g} Å apart, the mean is {lengths.mean():.2g} Å; use fewer images, a larger '
            'spring_constant, or another interpolation; the last good band is returned'
        )

    def _advance(self) -> None:
        assert self._driving is not None
        moved = self._positions.copy()
        moved[1:-1] = self._optimiser.step(self._positions, self._forces, self._driving, self._climbing_image)
        if self._mirror is not None:
            moved = self._mirror.symmetrised(moved)
        self._known = np.all(moved == self._positions, axis=(1, 2))  # what stayed is not evaluated again
        self._positions = moved
        collapsed = self._collapsed()
        if collapsed is not None:
            self._end(Status.COLLAPSED, collapsed)

    # ---------------------------------------------------------------- results

    def _current_band(self) -> Band:
        assert self._driving is not None
        residuals = self._driving.residuals.copy()
        residuals[[0, -1]] = np.nan
        return self._band.replace(
            positions=self._positions,
            energies=self._energies,
            forces=self._forces,
            max_perpendicular_forces=residuals,
            engine='potential',
            functional=None,
            potential=self._potential.label,
            potential_functional=self._potential.functional,
            charge=0.0,
            climbing=self._climbing_image is not None,
            residual_force=self._residual,
            converged=False,
        )

    @property
    def band(self) -> Band:
        """The last good band; the starting band where nothing could be evaluated."""
        good = self._good if self._good is not None else self._band
        return good.replace(converged=self.status == Status.CONVERGED)

    def progress(self) -> dict[str, Any]:
        """Return how the band stands after the last evaluation.

        :returns: `residual_force` and `force_threshold` (eV/Å), `barrier`, the forward one so far (eV), `spacing`,
            `climbing_image`, `n_images`, and `energies` of all images relative to the first (eV).
        """
        if not self._residual_forces:
            return {}
        return {
            'n_images': self._band.n_images,
            'energies': np.round(self._energies - self._energies[0], 4).tolist(),
            'residual_force': self._residual_forces[-1],
            'force_threshold': self._task.force_threshold,
            'barrier': self._barriers[-1],
            'spacing': self._spacing,
            'climbing_image': self._climbing_image,
        }

    def state(self) -> State:
        """Return all that the band needs to go on."""
        state = (
            super().state()
            | {
                'positions': self._positions.copy(),
                'energies': self._energies.copy(),
                'forces': self._forces.copy(),
                'known': self._known.copy(),
                'mirrored': self._mirror is not None,
                'mirror_checked': self._mirror_checked,
                'climbing': self._climbing,
                'residual_forces': np.array(self._residual_forces),
                'barriers': np.array(self._barriers),
            }
            | with_prefix('optimiser', self._optimiser.state())
        )
        if self._good is not None:
            good = self._good
            state |= {
                'good.positions': good.positions,
                'good.energies': good.energies,
                'good.forces': good.forces,
                'good.residuals': good.max_perpendicular_forces,
                'good_climbing': good.info.climbing,
            }
        return state

    def _restore(self, state: State) -> None:
        self._positions = state['positions'].copy()
        self._energies, self._forces = state['energies'].copy(), state['forces'].copy()
        self._known, self._climbing = state['known'].astype(bool), bool(state['climbing'])
        self._mirror_checked = bool(state['mirror_checked'])
        if not state['mirrored']:
            self._mirror = None
        self._residual_forces = [float(value) for value in state['residual_forces']]
        self._barriers = [float(value) for value in state['barriers']]
        self._optimiser.restore(without_prefix('optimiser', state))
        good = without_prefix('good', state)
        if good:
            self._restore_good(good, bool(state['good_climbing']))
        if self._known.all() and not self._advanced:
            self._project()

    def _restore_good(self, good: State, climbing: bool) -> None:
        now = self._positions, self._energies, self._forces, self._climbing
        self._positions, self._energies, self._forces = good['positions'], good['energies'], good['forces']
        self._climbing = climbing
        self._driving = self._band_forces(self._climbing_image)
        self._spacing = image_spacing(self._positions, self._all_climbing(self._climbing_image))
        self._good = self._current_band()
        self._positions, self._energies, self._forces, self._climbing = now

    def result(self) -> NebResult:
        """Return the outcome; the band itself is :attr:`band`."""
        good = self._good
        climbing = int(np.argmax(good.energies)) if good is not None and good.info.climbing else None
        return NebResult(
            label=self.label,
            status=self.status or Status.INTERRUPTED,
            message=self.message,
            n_steps=self.n_steps,
            n_evaluations=self.n_evaluations,
            residual_force=None if good is None else good.info.residual_force,
            climbing_image=climbing,
            spacing=image_spacing(
                self._band.positions if good is None else good.positions, self._all_climbing(climbing)
            ),
            mirrored=self._mirror is not None and self._mirror_checked,
            residual_forces=self._residual_forces,
            barriers=self._barriers,
        )
