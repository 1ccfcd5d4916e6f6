"""How ions move: by the INCAR's IBRION, or by the IOPT of a build with VTST's tools.

An optimiser is called with positions and forces, both (n, 3), and returns the displacement. None of them uses energies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

Optimiser = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Å² per eV; the step along a force for POTIM = 1.
SCALE = 0.04


def limited(step: np.ndarray, longest: float) -> np.ndarray:
    """Return the step with the largest displacement of an atom cut to a length in Å."""
    reach = np.sqrt((step**2).sum(axis=1)).max(initial=0.0)
    return step if reach <= longest else step * (longest / reach)


class Damped:
    """Damped motion, as IBRION = 3 with an SMASS: that is the friction, and 2 is steepest descent."""

    def __init__(self, scale: float, friction: float, longest: float) -> None:
        self.scale, self.friction, self.longest = scale, friction, longest
        self.velocity: np.ndarray | float = 0.0

    def __call__(self, _positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
        half = self.friction / 2
        velocity = ((1 - half) * self.velocity + 2 * self.scale * forces) / (1 + half)
        self.velocity = limited(velocity, self.longest)
        return self.velocity


class QuickMin:
    """Velocities along the forces only, stopped where they point uphill (IOPT = 3, and IBRION = 3 without SMASS)."""

    def __init__(self, timestep: float, longest: float) -> None:
        self.timestep, self.longest = timestep, longest
        self.velocity: np.ndarray | None = None

    def __call__(self, _positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
        power = 0.0 if self.velocity is None else float((self.velocity * forces).sum())
        kept = forces * (power / max(float((forces**2).sum()), 1e-30)) if power > 0 else np.zeros_like(forces)
        self.velocity = kept + self.timestep * forces
        return limited(self.velocity * self.timestep, self.longest)


class Fire:
    """The fast inertial relaxation engine of Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006) (IOPT = 7)."""

    def __init__(self, timestep: float, longest: float) -> None:
        self.timestep, self.largest, self.longest = timestep, 10 * timestep, longest
        self.mixing, self.downhill = 0.1, 0
        self.velocity: np.ndarray | None = None

    def __call__(self, _positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
        velocity = np.zeros_like(forces) if self.velocity is None else self.velocity
        power = float((velocity * forces).sum())
        if power > 0:
            size = np.sqrt((velocity**2).sum() / max(float((forces**2).sum()), 1e-30))
            velocity = (1 - self.mixing) * velocity + self.mixing * forces * size
            self.downhill += 1
            if self.downhill > 5:
                self.timestep = min(self.timestep * 1.1, self.largest)
                self.mixing *= 0.99
        else:
            velocity = np.zeros_like(forces)
            self.mixing, self.downhill = 0.1, 0
            self.timestep *= 0.5 if self.velocity is not None else 1.0
        self.velocity = velocity + self.timestep * forces
        return limited(self.velocity * self.timestep, self.longest)


class Lbfgs:
    """A quasi-Newton method of few vectors (IOPT = 1; stands for the RMM-DIIS of IBRION = 1)."""

    def __init__(self, scale: float, longest: float, memory: int = 20) -> None:
        self.scale, self.longest = scale, longest
        self.history: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=memory)
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
        if self.last is not None:
            moved, change = positions - self.last[0], self.last[1] - forces
            if float((moved * change).sum()) > 1e-12:
                self.history.append((moved, change))
            else:
                self.history.clear()
        self.last = (positions.copy(), forces.copy())
        direction = forces.copy()
        factors = []
        for moved, change in reversed(self.history):
            factor = float((moved * direction).sum()) / float((moved * change).sum())
            direction = direction - factor * change
            factors.append(factor)
        direction = direction * self.scale
        for (moved, change), factor in zip(self.history, reversed(factors), strict=True):
            direction = direction + moved * (factor - float((change * direction).sum()) / float((moved * change).sum()))
        if float((direction * forces).sum()) < 0:
            self.history.clear()
            direction = forces * self.scale
        return limited(direction, self.longest)


class ConjugateGradient:
    """Conjugate gradients with a trial and a corrector step along each line (IBRION = 2, IOPT = 2)."""

    def __init__(self, scale: float, longest: float) -> None:
        self.scale, self.longest = scale, longest
        self.direction: np.ndarray | None = None
        self.before: np.ndarray | None = None
        self.trial: tuple[np.ndarray, float] | None = None

    def __call__(self, _positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
        if self.trial is not None:
            step, slope = self.trial
            self.trial = None
            now = float((forces * step).sum())
            curvature = slope - now
            # The corrector: to where the force along the line vanishes, measured from the trial.
            factor = now / curvature if curvature > 1e-12 else 1.0
            return limited(step * float(np.clip(factor, -1.0, 25.0)), self.longest)
        mixing = 0.0
        if self.before is not None and self.direction is not None:
            mixing = max(
                0.0, float((forces * (forces - self.before)).sum()) / max(float((self.before**2).sum()), 1e-30)
            )
        direction = forces if self.direction is None else forces + mixing * self.direction
        if float((direction * forces).sum()) <= 0:
            direction = forces
        self.direction, self.before = direction, forces.copy()
        step = limited(direction * self.scale, self.longest)
        self.trial = (step, float((forces * step).sum()))
        return step


def choose(tags: dict[str, Any], vtst: bool) -> Optimiser:
    """Return the optimiser that the tags name: IOPT in a build with VTST's tools, else IBRION.

    :raises ValueError: for an IBRION or IOPT that the stand-in does not know.
    """
    longest = float(tags['MAXMOVE']) if vtst and tags['IOPT'] else 0.3
    if vtst and tags['IOPT']:
        timestep = float(tags['TIMESTEP'])
        chosen: dict[int, Callable[[], Optimiser]] = {
            1: lambda: Lbfgs(float(tags.get('INVCURV', 0.01)), longest, int(tags.get('ILBFGSMEM', 20))),
            2: lambda: ConjugateGradient(0.02, longest),
            3: lambda: QuickMin(timestep, longest),
            4: lambda: Damped(float(tags.get('SDALPHA', 0.01)), 2.0, longest),
            7: lambda: Fire(timestep, longest),
        }
        if tags['IOPT'] not in chosen:
            raise ValueError(f'IOPT = {tags["IOPT"]} is not known to the stand-in, only {sorted(chosen)}')
        return chosen[tags['IOPT']]()
    scale = SCALE * float(tags['POTIM'])
    if tags['IBRION'] == 1:
        return Lbfgs(scale, longest)
    if tags['IBRION'] == 2:
        return ConjugateGradient(scale, longest)
    if tags['IBRION'] == 3:
        friction = float(tags.get('SMASS', -3.0))
        return QuickMin((2 * scale) ** 0.5, longest) if friction < 0 else Damped(scale, friction, longest)
    raise ValueError(f'IBRION = {tags["IBRION"]} is not known to the stand-in, only -1, 1, 2 and 3')
