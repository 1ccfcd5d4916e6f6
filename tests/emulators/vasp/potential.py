"""The cheap potential behind the stand-in: smooth, short-ranged and conservative, and different for each functional.

Cations and anions attract each other by Morse functions with minima near the sums of their radii, ions of like charge
repel by a screened Coulomb term, metals are Morse crystals, and moments couple antiferromagnetically. None of it is
physics: it gives crystals that stay what they are, migration paths with barriers of tenths of an eV, and barriers that
change by some 10 to 200 meV with functional, U, charge and the order of the moments.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .elements import ANIONS, ELEMENTS, anions_of, is_metal

#: Å; interactions fade to zero between these distances.
FADE, CUTOFF = 4.8, 6.2
#: Å; a list of neighbours reaches further by this and lasts until atoms have moved by half of it.
SKIN = 0.8
#: eV Å; Coulomb's constant in these units.
COULOMB = 14.4
#: Å; the screening length of ions of like charge.
SCREENING = 1.55
#: eV and Å; coupling of unit spins.
EXCHANGE, EXCHANGE_LENGTH = 0.8, 1.0

#: Of each functional: depth of the wells, length of the bonds, width of the wells, energy of an atom (eV).
FUNCTIONALS: dict[str, tuple[float, float, float, float]] = {
    'PE': (1.00, 1.000, 1.00, -2.0),
    'PS': (1.05, 0.993, 1.00, -2.2),
    'CA': (1.12, 0.986, 1.01, -2.5),
    'AM': (1.04, 0.994, 1.00, -2.1),
    'RP': (0.96, 1.006, 0.99, -1.9),
    'SCAN': (1.09, 0.994, 1.03, -6.0),
    'R2SCAN': (1.07, 0.995, 1.02, -5.5),
    'RTPSS': (1.03, 0.996, 1.01, -5.0),
    'TPSS': (1.02, 0.998, 1.01, -4.8),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What of an INCAR changes the energy.

    :param functional: a key of :data:`FUNCTIONALS`.
    :param hubbard: U - J in eV by element.
    :param charge: of the cell, in e.
    :param spins: start moments of the atoms in μB, or None without spin.
    :param dispersion: whether a dispersion correction is on.
    :param offset: eV per atom, of cutoff, k-points and precision: it tells calculations at different settings apart.
    """

    functional: str = 'PE'
    hubbard: tuple[tuple[str, float], ...] = ()
    charge: float = 0.0
    spins: tuple[float, ...] | None = None
    dispersion: bool = False
    offset: float = 0.0


class Potential:
    """Energies, forces and stress of one cell with its elements.

    :param symbols: the element of each atom.
    """

    def __init__(self, symbols: list[str], settings: Settings) -> None:
        self.symbols = symbols
        self.settings = settings
        self._pairs: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._built_at: tuple[np.ndarray, np.ndarray] | None = None
        self._set_parameters()

    def _set_parameters(self) -> None:
        depth, length, width, atom = FUNCTIONALS[self.settings.functional]
        if self.settings.dispersion:
            depth, length = depth * 1.02, length * 0.998
        hubbard = dict(self.settings.hubbard)
        anions = anions_of(set(self.symbols))
        charges = np.array([ANIONS[s][0] if s in anions else ELEMENTS[s].charge for s in self.symbols], dtype=float)
        radii = np.array([ANIONS[s][1] if s in anions else ELEMENTS[s].radius for s in self.symbols])
        metallic = np.array([ELEMENTS[s].metallic for s in self.symbols])
        metals = np.array([is_metal(s) for s in self.symbols])
        correlated = np.array([hubbard.get(s, 0.0) if s not in anions else 0.0 for s in self.symbols])
        negative = charges < 0
        opposite = negative[:, None] ^ negative[None, :]
        in_metal = not anions
        product = np.abs(charges[:, None] * charges[None, :])
        self.depth = np.where(opposite, 0.55 * product**0.7, 0.0)
        self.length = 0.90 * (radii[:, None] + radii[None, :])
        self.width = np.full(self.depth.shape, 1.8)
        if in_metal:
            self.depth = np.full(self.depth.shape, 0.32)
            self.length = 1.08 * (metallic[:, None] + metallic[None, :])
            self.width = 4.2 / self.length
        # A surplus of electrons deepens the wells a little and screens the repulsion of the cations.
        charge = np.tanh(self.settings.charge / 4)
        u_pair = correlated[:, None] + correlated[None, :]
        self.depth *= depth * (1 - 0.06 * charge) * (1 - 0.012 * u_pair)
        self.length *= length * (1 + 0.0012 * u_pair)
        self.width *= width
        quanta = np.array(
            [2.0 if ELEMENTS[s].number < 11 else 3.0 if ELEMENTS[s].number < 19 else 4.0 for s in self.symbols]
        )
        repulsion = COULOMB * product / np.sqrt(quanta[:, None] * quanta[None, :])
        self.repulsion = np.where(opposite | in_metal, 0.0, repulsion)
        self.repulsion *= np.where(negative[:, None], 1.0, 1 + 0.30 * charge + 0.03 * u_pair)
        spins = np.zeros(len(self.symbols)) if self.settings.spins is None else np.array(self.settings.spins)
        spins = np.where(metals, np.tanh(spins), 0.0)
        self.exchange = EXCHANGE * spins[:, None] * spins[None, :]
        unpolarised = (
            0.6 * metals.sum() if self.settings.spins is None else float((0.6 * (1 - spins[metals] ** 2)).sum())
        )
        self.constant = len(self.symbols) * (atom + self.settings.offset) + 0.1 * correlated.sum() + unpolarised
        self.constant -= 3.0 * self.settings.charge

    def compute(self, positions: np.ndarray, lattice: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return energy, forces and stress.

        :param positions: (n_atoms, 3) in Å.
        :param lattice: rows are the vectors, in Å.
        :return: eV, (n_atoms, 3) in eV/Å, (3, 3) in eV/Å³ with the sign of an outward pressure.
        """
        first, second, shifts = self._neighbours(positions, lattice)
        vectors = positions[second] - positions[first] + shifts @ lattice
        distances = np.sqrt((vectors**2).sum(axis=1))
        energies, slopes = self._pair(first, second, distances)
        pulls = (slopes / distances)[:, None] * vectors
        forces = np.zeros_like(positions)
        np.add.at(forces, first, pulls)
        np.add.at(forces, second, -pulls)
        volume = abs(np.linalg.det(lattice))
        stress = -np.einsum('pi,pj->ij', vectors, pulls) / volume
        return float(energies.sum()) + self.constant, forces, stress

    def _pair(self, first: np.ndarray, second: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the energies of pairs and their slopes over distance."""
        depth, length, width = (matrix[first, second] for matrix in (self.depth, self.length, self.width))
        decay = np.exp(-width * (distances - length))
        energies = depth * ((1 - decay) ** 2 - 1)
        slopes = 2 * depth * width * (1 - decay) * decay
        screened = self.repulsion[first, second] * np.exp(-((distances / SCREENING) ** 2)) / distances
        energies = energies + screened
        slopes = slopes - screened * (1 / distances + 2 * distances / SCREENING**2)
        coupling = self.exchange[first, second] * np.exp(-distances / EXCHANGE_LENGTH)
        energies = energies + coupling
        slopes = slopes - coupling / EXCHANGE_LENGTH
        t = np.clip((distances - FADE) / (CUTOFF - FADE), 0, 1)
        fade = 1 - t**3 * (10 - 15 * t + 6 * t**2)
        fade_slope = -30 * t**2 * (1 - t) ** 2 / (CUTOFF - FADE)
        return energies * fade, slopes * fade + energies * fade_slope

    def _neighbours(self, positions: np.ndarray, lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each pair within the cutoff once, with the cells that its second atom is shifted by."""
        if self._built_at is not None and self._pairs is not None:
            before, cell = self._built_at
            if np.array_equal(cell, lattice) and np.abs(positions - before).max() < SKIN / 4:
                return self._pairs
        if not np.isfinite(positions).all():
            raise FloatingPointError('positions are not numbers')
        reach = CUTOFF + SKIN
        fractional = positions @ np.linalg.inv(lattice)
        whole = np.floor(fractional)
        inside = (fractional - whole) @ lattice
        heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
        counts = np.ceil(reach / heights).astype(int)
        cells = np.array(
            [(i, j, k) for i in range(-counts[0], counts[0] + 1) for j in range(-counts[1], counts[1] + 1)
             for k in range(-counts[2], counts[2] + 1)]
        )  # fmt: skip
        # Of a pair and its mirror image only one: later cells count whole, the own cell above the diagonal.
        later = [tuple(cell) > (0, 0, 0) for cell in cells.tolist()]
        firsts, seconds, shifts = [], [], []
        for cell in [*cells[later], np.zeros(3)]:
            vectors = inside[None, :, :] - inside[:, None, :] + cell @ lattice
            near = (vectors**2).sum(axis=2) < reach**2
            if not cell.any():
                near = np.triu(near, 1)
            first, second = np.nonzero(near)
            firsts.append(first)
            seconds.append(second)
            shifts.append(np.broadcast_to(cell, (len(first), 3)))
        first, second = np.concatenate(firsts), np.concatenate(seconds)
        shift = np.concatenate(shifts) - whole[second] + whole[first]
        self._pairs = (first, second, shift)
        self._built_at = (positions.copy(), lattice.copy())
        return self._pairs


def moments(symbols: list[str], starts: np.ndarray, positions: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return the moments at the atoms, which follow the start and vary a little with what stands near them.

    :param starts: (n_atoms,) start moments in μB.
    :return: (n_atoms,) in μB: d and f metals keep 0.9 to 1.0 of their start, other elements lose nearly all of it.
    """
    fractional = positions @ np.linalg.inv(lattice)
    difference = fractional[None, :, :] - fractional[:, None, :]
    difference -= np.round(difference)
    distances = np.linalg.norm(difference @ lattice, axis=2)
    np.fill_diagonal(distances, np.inf)
    anions = anions_of(set(symbols))
    cations = np.array([symbol not in anions for symbol in symbols])
    crowding = np.where(cations[None, :], np.exp(-distances / 1.2), 0.0).sum(axis=1)
    kept = np.where([is_metal(symbol) for symbol in symbols], 0.9 + 0.1 * np.tanh(crowding), 0.02)
    return starts * kept
