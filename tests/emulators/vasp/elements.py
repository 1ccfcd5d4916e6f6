"""What the stand-in knows of the elements: rounded radii and usual charges, good enough for invented energies."""

from __future__ import annotations

from typing import NamedTuple


class Element(NamedTuple):
    """One element.

    :param number: the atomic number.
    :param mass: in u.
    :param charge: a usual charge as a cation, in e.
    :param radius: of that cation, in Å.
    :param metallic: radius in the metal, in Å, or of the atom where there is no metal.
    """

    number: int
    mass: float
    charge: int
    radius: float
    metallic: float


#: Hydrogen to bismuth.
ELEMENTS: dict[str, Element] = {
    'H': Element(1, 1.008, 1, 0.20, 1.00),
    'He': Element(2, 4.003, 2, 0.76, 1.00),
    'Li': Element(3, 6.941, 1, 0.86, 1.52),
    'Be': Element(4, 9.012, 2, 0.30, 1.12),
    'B': Element(5, 10.811, 3, 0.27, 1.00),
    'C': Element(6, 12.011, 4, 0.16, 1.00),
    'N': Element(7, 14.007, 5, 0.13, 1.00),
    'O': Element(8, 15.999, 2, 1.12, 1.00),
    'F': Element(9, 18.998, 7, 0.10, 1.00),
    'Ne': Element(10, 20.180, 2, 0.76, 1.00),
    'Na': Element(11, 22.990, 1, 1.02, 1.86),
    'Mg': Element(12, 24.305, 2, 0.46, 1.60),
    'Al': Element(13, 26.982, 3, 0.54, 1.43),
    'Si': Element(14, 28.085, 4, 0.28, 1.10),
    'P': Element(15, 30.974, 5, 0.17, 1.00),
    'S': Element(16, 32.065, 6, 0.12, 1.00),
    'Cl': Element(17, 35.453, 5, 0.12, 1.00),
    'Ar': Element(18, 39.948, 2, 0.76, 1.00),
    'K': Element(19, 39.098, 1, 1.38, 2.27),
    'Ca': Element(20, 40.078, 2, 1.00, 1.97),
    'Sc': Element(21, 44.956, 3, 0.74, 1.62),
    'Ti': Element(22, 47.867, 4, 0.60, 1.47),
    'V': Element(23, 50.941, 3, 0.64, 1.34),
    'Cr': Element(24, 51.996, 3, 0.61, 1.28),
    'Mn': Element(25, 54.938, 3, 0.65, 1.27),
    'Fe': Element(26, 55.845, 2, 0.78, 1.26),
    'Co': Element(27, 58.933, 3, 0.61, 1.25),
    'Ni': Element(28, 58.693, 3, 0.60, 1.24),
    'Cu': Element(29, 63.546, 2, 0.73, 1.28),
    'Zn': Element(30, 65.409, 2, 0.74, 1.34),
    'Ga': Element(31, 69.723, 3, 0.62, 1.35),
    'Ge': Element(32, 72.640, 4, 0.53, 1.25),
    'As': Element(33, 74.922, 5, 0.46, 1.15),
    'Se': Element(34, 78.960, 6, 0.42, 1.15),
    'Br': Element(35, 79.904, 5, 0.31, 1.15),
    'Kr': Element(36, 83.798, 2, 0.76, 1.00),
    'Rb': Element(37, 85.468, 1, 1.52, 2.48),
    'Sr': Element(38, 87.620, 2, 1.18, 2.15),
    'Y': Element(39, 88.906, 3, 0.90, 1.80),
    'Zr': Element(40, 91.224, 4, 0.72, 1.60),
    'Nb': Element(41, 92.906, 5, 0.64, 1.46),
    'Mo': Element(42, 95.940, 6, 0.59, 1.39),
    'Tc': Element(43, 98.000, 7, 0.56, 1.36),
    'Ru': Element(44, 101.070, 4, 0.62, 1.34),
    'Rh': Element(45, 102.906, 3, 0.67, 1.34),
    'Pd': Element(46, 106.420, 4, 0.61, 1.37),
    'Ag': Element(47, 107.868, 1, 1.15, 1.44),
    'Cd': Element(48, 112.411, 2, 0.95, 1.51),
    'In': Element(49, 114.818, 3, 0.80, 1.67),
    'Sn': Element(50, 118.710, 4, 0.69, 1.45),
    'Sb': Element(51, 121.760, 5, 0.62, 1.45),
    'Te': Element(52, 127.600, 6, 0.56, 1.40),
    'I': Element(53, 126.904, 5, 0.90, 1.40),
    'Xe': Element(54, 131.293, 6, 0.48, 1.00),
    'Cs': Element(55, 132.905, 1, 1.67, 2.65),
    'Ba': Element(56, 137.327, 2, 1.35, 2.22),
    'La': Element(57, 138.905, 3, 1.03, 1.87),
    'Ce': Element(58, 140.116, 3, 1.01, 1.82),
    'Pr': Element(59, 140.908, 3, 0.99, 1.82),
    'Nd': Element(60, 144.242, 3, 0.98, 1.81),
    'Pm': Element(61, 145.000, 3, 0.97, 1.83),
    'Sm': Element(62, 150.360, 3, 0.96, 1.80),
    'Eu': Element(63, 151.964, 3, 0.95, 1.80),
    'Gd': Element(64, 157.250, 3, 0.93, 1.80),
    'Tb': Element(65, 158.925, 3, 0.92, 1.77),
    'Dy': Element(66, 162.500, 3, 0.91, 1.78),
    'Ho': Element(67, 164.930, 3, 0.90, 1.76),
    'Er': Element(68, 167.259, 3, 0.89, 1.76),
    'Tm': Element(69, 168.934, 3, 0.88, 1.76),
    'Yb': Element(70, 173.040, 3, 0.87, 1.76),
    'Lu': Element(71, 174.967, 3, 0.86, 1.74),
    'Hf': Element(72, 178.490, 4, 0.71, 1.59),
    'Ta': Element(73, 180.948, 5, 0.64, 1.46),
    'W': Element(74, 183.840, 6, 0.60, 1.39),
    'Re': Element(75, 186.207, 7, 0.53, 1.37),
    'Os': Element(76, 190.230, 4, 0.63, 1.35),
    'Ir': Element(77, 192.217, 4, 0.62, 1.35),
    'Pt': Element(78, 195.084, 4, 0.62, 1.39),
    'Au': Element(79, 196.967, 3, 0.85, 1.44),
    'Hg': Element(80, 200.590, 2, 1.02, 1.51),
    'Tl': Element(81, 204.383, 3, 0.88, 1.70),
    'Pb': Element(82, 207.200, 2, 1.19, 1.80),
    'Bi': Element(83, 208.980, 3, 1.03, 1.60),
}

#: Charge (e) and radius (Å) as an anion; the first of a compound's elements in this order is one.
ANIONS: dict[str, tuple[int, float]] = {
    'F': (-1, 1.31),
    'O': (-2, 1.38),
    'Cl': (-1, 1.81),
    'N': (-3, 1.46),
    'Br': (-1, 1.96),
    'I': (-1, 2.20),
    'S': (-2, 1.84),
    'Se': (-2, 1.98),
    'Te': (-2, 2.21),
    'P': (-3, 2.12),
    'As': (-3, 2.22),
}

#: Elements that are anions beside any other anion.
ALWAYS_ANIONS = frozenset({'F', 'O', 'Cl', 'Br', 'I'})


def is_metal(symbol: str) -> bool:
    """Tell the d and f metals, whose moments survive and whose U acts."""
    number = ELEMENTS[symbol].number
    return 21 <= number <= 30 or 39 <= number <= 48 or 57 <= number <= 80


def anions_of(symbols: set[str]) -> set[str]:
    """Return which of the elements of a compound are anions; none in a metal."""
    if len(symbols) < 2 and not symbols & ALWAYS_ANIONS:
        return set()
    first = next((symbol for symbol in ANIONS if symbol in symbols), None)
    if first is None:
        return set()
    chalcogens = set() if symbols & {'O', 'F'} else {'S', 'Se', 'Te'}
    return {first} | (symbols & (ALWAYS_ANIONS | chalcogens))


def valence(name: str) -> int:
    """Return the valence electrons that a potential of this name might have: Mn 7, Mn_pv 13, Li_sv 3.

    Real potentials follow these rules more often than not; the invented ones follow them always.
    """
    symbol, _, suffix = name.partition('_')
    number = ELEMENTS[symbol].number
    core = max(n for n in (0, 2, 10, 18, 36, 54) if n < number or n == 0)
    outer = number - core
    for shell in (28, 46, 78):
        # The filled d (and f) shell of the p block belongs to the core.
        if core < shell < number and number - shell > 2 and number - shell <= 8:
            outer = number - shell
    if core == 54 and 57 <= number <= 71:
        outer = 3 if suffix == '3' else number - 54
    elif core == 54 and 72 <= number <= 80:
        outer = number - 68
    semicore = {'sv': 2 if number <= 4 else 8, 'pv': 6, 'd': 10}
    return outer + semicore.get(suffix.split('_')[0], 0)
