"""Optimisers of a whole band, and what they share with each other: positions and forces in, the next positions out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aiida_embarrier.potentials.optimisers import FireOptimiser

if TYPE_CHECKING:
    from aiida_embarrier.bands.tangents import BandForces

__all__ = ('BandOptimiser', 'FireBand', 'QuasiNewtonBand')


class BandOptimiser(Protocol):
    """Moves the images of a band."""

    def step(
        self, positions: np.ndarray, forces: np.ndarray, band_forces: BandForces, climbing: int | None
    ) -> np.ndarray:
        """Return the next positions of the moving images, shape (n_images - 2, n_atoms, 3), in Å.

        :param positions: of all images in Å, shape (n_images, n_atoms, 3).
        :param forces: true forces on all images in eV/Å, of the same shape.
        :param band_forces: what drives the band.
        :param climbing: index of the climbing image, None where no image climbs.
        """
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next step depends on."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Put back what :meth:`state` returned."""
        ...


class FireBand:
    """FIRE on all images as one point, as ASE does it; it starts anew when an image begins to climb.

    The forces change at a stroke then, and the old velocity carries images off: a third fewer evaluations without it.

    :param n_coordinates: number of coordinates of the moving images.
    :param time_step: initial time step.
    :param max_step_length: longest step of an atom in Å.
    """

    def __init__(self, n_coordinates: int, time_step: float, max_step_length: float) -> None:
        self._settings = n_coordinates, time_step, max_step_length
        self._climbing = False
        self._start()

    def _start(self) -> None:
        self._optimiser = FireOptimiser(*self._settings)

    def step(
        self,
        positions: np.ndarray,
        forces: np.ndarray,  # noqa: ARG002  (what drives the band is enough)
        band_forces: BandForces,
        climbing: int | None,
    ) -> np.ndarray:
        """Return the next positions; see :meth:`BandOptimiser.step`."""
        if climbing is not None and not self._climbing:
            self._start()
            self._climbing = True
        moving = positions[1:-1]
        return self._optimiser.step(moving.ravel().copy(), -band_forces.driving.ravel()).reshape(moving.shape)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next step depends on."""
        return self._optimiser.state() | {'climbing': np.array(self._climbing)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Put back what :meth:`state` returned."""
        self._climbing = bool(state['climbing'])
        self._optimiser.restore({name: value for name, value in state.items() if name != 'climbing'})


class QuasiNewtonBand:
    """Quasi-Newton steps with one Hessian for all images, learnt from all of them.

    The stiff modes of a crystal are the same all along a path, so each evaluation of any image tells all images of
    their curvature: the pairs of steps and changes of the true forces of all images feed one limited-memory BFGS in
    the space of one image (J. Nocedal and S. Wright, Numerical Optimization, 2nd ed., algorithm 7.4). Perpendicular to
    the path an image makes the Newton step against the forces that drive it there. Along the path images are moved to
    even spacing, which needs no forces, and the climbing image makes a Newton step with the curvature that the forces
    on its neighbours show along the path. :data:`SHIFT` is added to all curvatures: soft modes, on which images
    disagree, would send them to and fro otherwise.

    On hops of the literature, CHGNet, it takes a third of the evaluations of FIRE and half of those of L-BFGS on the
    whole band as one point (`tests/benchmarks/band_optimisers.py`).

    :param max_step_length: longest step of an atom in Å.
    :param spring_constant: of the springs in what drives the band, in eV/Å².
    :param force_threshold: of a converged band in eV/Å.
    """

    #: Curvature before anything is known, in eV/Å².
    CURVATURE = 30.0
    #: What is added at first to all curvatures that were seen, in eV/Å².
    SHIFT = 2.0
    #: After so many steps without a residual force 10 % below the best, what is added is doubled.
    PATIENCE = 40
    #: Pairs of steps and force changes that are kept.
    MEMORY = 60
    #: A step shorter than this in Å tells more of the noise of the forces than of the curvature.
    SHORTEST = 1e-3
    #: Smallest curvature in eV/Å² that the climbing image is taken to have along the path.
    SMALLEST_CURVATURE = 2.0
    #: An image has gone too far where the force after a step points back with this part of what drove the step.
    OVERSHOOT = 0.5
    #: Smallest part of a Newton step that an image makes which went too far.
    LEAST_TRUST = 0.1
    #: An image stays where it is, and is not evaluated again, while the force that counts is below this part of its
    #: threshold, and it lies in the middle of its neighbours within this part of their distance.
    REST = 0.8
    REST_SPACING = 0.1
    #: Part of the way to even spacing that an image goes in one step.
    SPACING_STEP = 0.5

    def __init__(self, max_step_length: float, spring_constant: float, force_threshold: float) -> None:
        self._max_step_length = max_step_length
        self._force_threshold = force_threshold
        self._spring_constant = spring_constant
        self._pairs: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=self.MEMORY)
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        self._trust = np.ones(0)  # for each moving image the part of a Newton step that it makes
        self._moves: np.ndarray | None = None  # across the path, of the step before
        self._gains = np.zeros(0)  # their scalar products with what drove them
        self._shift = self.SHIFT
        self._best, self._since_best = np.inf, 0

    def step(
        self, positions: np.ndarray, forces: np.ndarray, band_forces: BandForces, climbing: int | None
    ) -> np.ndarray:
        """Return the next positions; see :meth:`BandOptimiser.step`."""
        self._learn(positions, forces)
        self._watch(float(band_forces.residuals.max()))
        driving, tangents = band_forces.driving, band_forces.tangents
        along = np.einsum('iax,iax->i', driving, tangents)
        across = driving - along[:, None, None] * tangents
        self._judge(across)
        at_rest = [
            i + 1 != climbing and self._is_at_rest(i, positions, band_forces, along[i]) for i in range(len(tangents))
        ]
        if all(at_rest):  # and yet the band has not converged: its images are spaced too unevenly
            at_rest = [False] * len(at_rest)
        moves = np.zeros_like(across)
        moved = positions[1:-1].copy()
        for i, tangent in enumerate(tangents):
            move = self._trust[i] * self._newton(i + 1, across[i].ravel()).reshape(tangent.shape)
            moves[i] = move - np.vdot(move, tangent) * tangent
            if at_rest[i]:
                continue
            if i + 1 == climbing:
                ahead = along[i] / self._curvature_along(positions, forces, tangent, climbing)
            else:
                ahead = self.SPACING_STEP * along[i] / (2 * self._spring_constant)
            move = moves[i] + ahead * tangent
            longest = np.linalg.norm(move, axis=1).max()
            moved[i] += move * min(1.0, self._max_step_length / longest) if longest > 0 else 0.0
        self._moves, self._gains = moves, np.einsum('iax,iax->i', moves, across)
        return moved

    def _is_at_rest(self, i: int, positions: np.ndarray, band_forces: BandForces, along: float) -> bool:
        """Return whether a moving image may stay where it is, so that it need not be evaluated again."""
        if band_forces.residuals[i + 1] >= self.REST * self._force_threshold:
            return False
        step = np.linalg.norm(positions[i + 2] - positions[i]) / 2
        return abs(along) / (2 * self._spring_constant) < self.REST_SPACING * float(step)

    def _judge(self, across: np.ndarray) -> None:
        """Trust the Newton steps of an image less where the last one went too far: the force now points back."""
        if self._moves is None:
            self._trust = np.ones(len(across))
            return
        gains = np.einsum('iax,iax->i', self._moves, across)
        too_far = gains < -self.OVERSHOOT * self._gains
        self._trust = np.where(
            too_far, np.maximum(0.5 * self._trust, self.LEAST_TRUST), np.minimum(1.5 * self._trust, 1.0)
        )

    def _watch(self, residual: float) -> None:
        """Make shorter steps in all directions where the band gets no better."""
        self._since_best += 1
        if residual < 0.9 * self._best:
            self._best, self._since_best = residual, 0
        elif self._since_best > self.PATIENCE:
            self._shift *= 2
            self._best, self._since_best = residual, 0

    def _learn(self, positions: np.ndarray, forces: np.ndarray) -> None:
        if self._before is not None:
            steps, changes = positions - self._before[0], self._before[1] - forces
            for image, (step, change) in enumerate(zip(steps, changes, strict=True)):
                if np.linalg.norm(step) > self.SHORTEST:
                    self._pairs.append((image, step.ravel(), change.ravel()))
        self._before = positions.copy(), forces.copy()

    def _newton(self, image: int, force: np.ndarray) -> np.ndarray:
        """Return the product of the inverse Hessian with a force on an image.

        The last pairs weigh most: those of the image itself, before them those of its neighbours, and so on.
        """
        pairs = []
        for _, step, change in sorted(self._pairs, key=lambda pair: -abs(pair[0] - image)):
            shifted = change + self._shift * step
            if step @ shifted > 0.5 * self._shift * (step @ step):
                pairs.append((step, shifted, 1 / (step @ shifted)))
        product, weights = force.copy(), []
        for step, change, inverse in reversed(pairs):
            weights.append(inverse * (step @ product))
            product -= weights[-1] * change
        product /= self.CURVATURE
        for (step, change, inverse), weight in zip(pairs, reversed(weights), strict=True):
            product += (weight - inverse * (change @ product)) * step
        return product

    def _curvature_along(self, positions: np.ndarray, forces: np.ndarray, tangent: np.ndarray, image: int) -> float:
        length = sum(float(np.linalg.norm(positions[i + 1] - positions[i])) for i in (image - 1, image))
        curvature = abs(float(np.vdot(forces[image + 1] - forces[image - 1], tangent))) / length
        return max(curvature, self.SMALLEST_CURVATURE)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next step depends on."""
        watch = np.array([self._shift, self._best if np.isfinite(self._best) else np.nan, self._since_best])
        state = {'trust': self._trust, 'gains': self._gains, 'watch': watch}
        if self._moves is not None:
            state['moves'] = self._moves
        if self._pairs:
            images, steps, changes = (np.array(column) for column in zip(*self._pairs, strict=True))
            state |= {'images': images, 'steps': steps, 'changes': changes}
        if self._before is not None:
            state |= {'positions': self._before[0], 'forces': self._before[1]}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Put back what :meth:`state` returned."""
        shift, best, since_best = state['watch']
        self._shift, self._since_best = float(shift), int(since_best)
        self._best = float(best) if np.isfinite(best) else np.inf
        self._trust, self._gains, self._moves = state['trust'], state['gains'], state.get('moves')
        columns = [state.get(name, ()) for name in ('images', 'steps', 'changes')]
        pairs = [(int(image), step, change) for image, step, change in zip(*columns, strict=True)]
        self._pairs = deque(pairs, maxlen=self.MEMORY)
        self._before = (state['positions'], state['forces']) if 'positions' in state else None
