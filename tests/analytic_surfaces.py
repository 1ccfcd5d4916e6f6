"""ASE calculators whose stationary points are known, and calculators that misbehave, for the tests."""

import builtins
import hashlib
import os
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT


class Surface(Calculator):
    """Base: an energy of the position of the first atom; subclasses give value and gradient in eV and eV/Å."""

    implemented_properties = ('energy', 'forces', 'stress')

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, gradient = self.value(atoms.positions[0])
        forces = np.zeros((len(atoms), 3))
        forces[0] = -np.asarray(gradient)
        self.results = {'energy': energy, 'forces': forces, 'stress': np.zeros(6)}

    def value(self, r):
        raise NotImplementedError


class MuellerBrown(Surface):
    """The surface of Müller and Brown, Theor. Chim. Acta 53, 75 (1979), in units of 0.01 eV; z is harmonic."""

    A = np.array([-200.0, -100.0, -170.0, 15.0]) * 0.01
    a = np.array([-1.0, -1.0, -6.5, 0.7])
    b = np.array([0.0, 0.0, 11.0, 0.6])
    c = np.array([-10.0, -10.0, -6.5, 0.7])
    x0 = np.array([1.0, 0.0, -0.5, -1.0])
    y0 = np.array([0.0, 0.5, 1.5, 1.0])

    def value(self, r):
        dx, dy = r[0] - self.x0, r[1] - self.y0
        terms = self.A * np.exp(self.a * dx**2 + self.b * dx * dy + self.c * dy**2)
        gradient = [
            np.sum(terms * (2 * self.a * dx + self.b * dy)),
            np.sum(terms * (self.b * dx + 2 * self.c * dy)),
            5.0 * r[2],
        ]
        return float(terms.sum() + 2.5 * r[2] ** 2), gradient


class CurvedCosine(Surface):
    """A periodic valley of known barrier along a sine: E = h/2 (1 - cos 2πx/L) + k/2 (y - w sin 2πx/L)² + k/2 z²."""

    height, period, stiffness, width = 0.4, 3.0, 8.0, 0.5

    def value(self, r):
        x, y, z = r
        phase = 2 * np.pi * x / self.period
        off = y - self.width * np.sin(phase)
        energy = self.height / 2 * (1 - np.cos(phase)) + self.stiffness / 2 * (off**2 + z**2)
        slope = 2 * np.pi / self.period
        gradient = [
            self.height / 2 * np.sin(phase) * slope - self.stiffness * off * self.width * np.cos(phase) * slope,
            self.stiffness * off,
            self.stiffness * z,
        ]
        return float(energy), gradient


class TwinValleys(Surface):
    """Two valleys at y = ±w beside each other: E = h/2 (1 - cos 2πx/L) + d ((y/w)² - 1)² + k/2 z².

    On the ridge between them, y = 0, no force leads into a valley.
    """

    height, period, depth, width, stiffness = 0.4, 3.0, 0.05, 0.4, 8.0

    def value(self, r):
        x, y, z = r
        phase, well = 2 * np.pi * x / self.period, (y / self.width) ** 2 - 1
        energy = self.height / 2 * (1 - np.cos(phase)) + self.depth * well**2 + self.stiffness / 2 * z**2
        gradient = [
            self.height * np.pi / self.period * np.sin(phase),
            4 * self.depth * well * y / self.width**2,
            self.stiffness * z,
        ]
        return float(energy), gradient


class Slope(Surface):
    """A valley that only goes down: the highest image is the first."""

    def value(self, r):
        return float(-0.3 * r[0] + 2.0 * (r[1] ** 2 + r[2] ** 2)), [-0.3, 4.0 * r[1], 4.0 * r[2]]


class Sawtooth(Surface):
    """Rises slowly to a peak just before x = 3 Å and falls to nothing there."""

    peak, foot = 2.97, 3.0

    def value(self, r):
        x, y, z = r
        if x < self.peak:
            energy, slope = x / self.peak, 1 / self.peak
        elif x < self.foot:
            energy, slope = (self.foot - x) / (self.foot - self.peak), -1 / (self.foot - self.peak)
        else:
            energy, slope = 0.0, 0.0
        return float(energy + y**2 + z**2), [slope, 2 * y, 2 * z]


class Ridge(Surface):
    """Forces that push uphill, as a broken potential might."""

    def value(self, r):
        return float(5.0 * r[1] ** 2), [0.0, -10.0 * r[1], 0.0]


class Cliff(Surface):
    """Forces that grow without bound away from the path."""

    def value(self, r):
        return float(-5000.0 * r[1] ** 2), [0.0, -10000.0 * r[1], 0.0]


class Broken(MuellerBrown):
    """Not a number from the `after`-th evaluation on."""

    def __init__(self, after=0):
        super().__init__()
        self.left = after

    def value(self, r):
        self.left -= 1
        energy, gradient = super().value(r)
        return (energy, gradient) if self.left >= 0 else (float('nan'), gradient)


class SlowCosine(CurvedCosine):
    """Takes its time, and notes every geometry it is asked for in a file."""

    def __init__(self, seconds=0.05, log=None):
        super().__init__()
        self.seconds, self.log = seconds, log

    def value(self, r):
        time.sleep(self.seconds)
        if self.log is not None:
            with Path(self.log).open('a') as handle:
                handle.write(' '.join(value.hex() for value in r.tolist()) + '\n')
        return super().value(r)


class FreshEMT(EMT):
    """EMT made anew for each geometry: ASE's keeps neighbour lists, so that its rounding depends on its past."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):  # noqa: ARG002
        super().calculate(atoms, properties, all_changes)


class LoggedEMT(FreshEMT):
    """Takes its time, and notes every geometry it is asked for in a file, each by a word of its own."""

    def __init__(self, log, seconds=0.0):
        super().__init__()
        self.log, self.seconds = log, seconds

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        time.sleep(self.seconds)
        super().calculate(atoms, properties, system_changes)
        word = hashlib.sha256(atoms.positions.tobytes() + atoms.cell.array.tobytes()).hexdigest()[:16]
        with Path(self.log).open('a') as handle:
            handle.write(f'{word}\n')


class Faulty(EMT):
    """Raises an error, given as `type:message`, at anything that holds copper."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):  # noqa: ARG002
        if 'Cu' in atoms.symbols:
            kind, message = self.fault.split(':', 1)
            raise getattr(builtins, kind)(message)
        self.results = {'energy': 0.0, 'forces': np.zeros((len(atoms), 3))}


class Deadly(EMT):
    """Ends its process without a word, as the kernel does to one that takes too much memory."""

    def calculate(self, *args, **kwargs):  # noqa: ARG002
        os._exit(9)


class Environment(Surface):
    """Reports the process it runs in: its id as the energy, the number of threads it may use as a force."""

    def value(self, r):  # noqa: ARG002
        return float(os.getpid()), [-float(os.environ['OMP_NUM_THREADS']), 0.0, 0.0]


class OnDevice(Surface):
    """Takes a device, and reports the process it runs in as the energy."""

    def __init__(self, device='cpu'):
        super().__init__()
        self.device = device

    def value(self, r):  # noqa: ARG002
        return float(os.getpid()), np.zeros(3)


class WithWeights(FreshEMT):
    """Needs a file of weights."""

    def __init__(self, path):
        super().__init__()
        Path(path).read_bytes()


def fails():
    raise RuntimeError('no licence')
