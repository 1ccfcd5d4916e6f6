"""The input files of a run, read as VASP reads them, and refused where VASP would stop or compute something else."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .elements import ELEMENTS, is_metal
from .potential import FUNCTIONALS, Settings

if TYPE_CHECKING:
    from pathlib import Path


class InputError(Exception):
    """What stops the run before it starts; the message is printed as VASP prints it."""


@dataclasses.dataclass
class Poscar:
    """A structure with the names it was written with.

    :param names: of each block of atoms, as written.
    :param lattice: rows are the vectors, in Å.
    :param positions: Cartesian, (n_atoms, 3) in Å, as written: nothing is wrapped.
    :param free: (n_atoms, 3), which coordinates may move.
    """

    comment: str
    names: list[str]
    counts: list[int]
    lattice: np.ndarray
    positions: np.ndarray
    free: np.ndarray
    selective: bool


@dataclasses.dataclass(frozen=True)
class Potcar:
    """What the stand-in needs of one data set."""

    title: str
    element: str
    zval: float
    enmax: float
    text: str


def read_poscar(path: Path) -> Poscar:
    """Read a POSCAR or CONTCAR of VASP 5 and later, whose sixth line names the species."""
    lines = path.read_text(encoding='utf-8').splitlines()
    try:
        scale = float(lines[1].split()[0])
        lattice = np.array([[float(x) for x in line.split()[:3]] for line in lines[2:5]])
        lattice *= scale if scale > 0 else (-scale / abs(np.linalg.det(lattice))) ** (1 / 3)
        names = lines[5].split()
        counts = [int(x) for x in lines[6].split()]
        cursor = 7
        selective = lines[cursor].strip()[:1] in 'sS'
        cursor += selective
        cartesian = lines[cursor].strip()[:1] in 'cCkK'
        rows = [line.split() for line in lines[cursor + 1 : cursor + 1 + sum(counts)]]
        coordinates = np.array([[float(x) for x in row[:3]] for row in rows])
        if coordinates.shape != (sum(counts), 3) or len(names) != len(counts):
            raise ValueError('rows and counts differ')
    except (IndexError, ValueError) as error:
        raise InputError(f'ERROR: there is an error in {path.name}: {error}') from error
    free = np.ones_like(coordinates, dtype=bool)
    if selective:
        free = np.array([[flag.strip('.')[:1].upper() == 'T' for flag in row[3:6]] for row in rows])
    positions = coordinates * scale if cartesian else coordinates @ lattice
    return Poscar(lines[0].strip(), names, counts, lattice, positions, free, selective)


def read_potcar(path: Path) -> list[Potcar]:
    """Read the data sets of a POTCAR."""
    sets = []
    for text in path.read_text(encoding='utf-8').split('End of Dataset')[:-1]:
        title = re.search(r'TITEL\s*=\s*(.+)', text)
        element = re.search(r'VRHFIN\s*=\s*([A-Z][a-z]?)', text)
        zval = re.search(r'ZVAL\s*=\s*([\d.]+)', text)
        enmax = re.search(r'ENMAX\s*=\s*([\d.]+)', text)
        if not (title and element and zval and enmax):
            raise InputError('ERROR: a data set of POTCAR has no TITEL, VRHFIN, ZVAL or ENMAX')
        sets.append(Potcar(title[1].strip(), element[1], float(zval[1]), float(enmax[1]), text))
    if not sets:
        raise InputError('ERROR: POTCAR holds no data set')
    return sets


def read_kpoints(path: Path, lattice: np.ndarray, kspacing: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the k-points in units of the reciprocal vectors, one of each pair k, -k, and their weights (sum 1)."""
    mesh, gamma, shift = None, True, np.zeros(3)
    if path.is_file():
        lines = path.read_text(encoding='utf-8').splitlines()
        if int(lines[1].split()[0]) > 0:
            rows = np.array([[float(x) for x in line.split()[:4]] for line in lines[3 : 3 + int(lines[1].split()[0])]])
            return rows[:, :3], rows[:, 3] / rows[:, 3].sum()
        gamma = lines[2].strip()[:1].upper() == 'G'
        mesh = [int(x) for x in lines[3].split()[:3]]
        if len(lines) > 4 and lines[4].split():
            shift = np.array([float(x) for x in lines[4].split()[:3]])
    elif kspacing:
        reciprocal = 2 * math.pi * np.linalg.norm(np.linalg.inv(lattice), axis=0)
        mesh = [max(1, math.ceil(length / kspacing)) for length in reciprocal]
    if mesh is None:
        raise InputError('ERROR: no KPOINTS and no KSPACING')
    axes = [(np.arange(n) + s + (0 if gamma else (1 - n % 2) / 2)) / n for n, s in zip(mesh, shift, strict=True)]
    points: dict[tuple[float, ...], float] = {}
    for point in itertools.product(*axes):
        # Into (-1/2, 1/2], so that points on the faces of the zone have one name each.
        key, minus = (
            tuple(np.round(p - np.ceil(p - 0.5 - 1e-8), 8) + 0.0) for p in (np.array(point), -np.array(point))
        )
        points[minus if minus in points else key] = points.get(minus if minus in points else key, 0) + 1
    weights = np.array(list(points.values()))
    return np.array(list(points)), weights / weights.sum()


def read_incar(path: Path) -> dict[str, Any]:
    """Return the tags of an INCAR, in capitals, as booleans, whole numbers, numbers, lists or text."""
    tags: dict[str, Any] = {}
    text = path.read_text(encoding='utf-8').replace('\\\n', ' ')
    for line in text.splitlines():
        for statement in re.split(r'[#!]', line)[0].split(';'):
            name, equals, value = statement.partition('=')
            if equals:
                # The first of two lines counts, as in VASP.
                tags.setdefault(name.strip().upper(), _value(value.strip()))
    return tags


def _value(text: str) -> Any:
    words = text.split()
    if len(words) == 1:
        return _word(words[0])
    values: list[Any] = []
    for word in words:
        repeated = re.fullmatch(r'(\d+)\*(\S+)', word)
        values.extend([_word(repeated[2])] * int(repeated[1]) if repeated else [_word(word)])
    return values


def _word(word: str) -> Any:
    if re.fullmatch(r'\.?t(rue)?\.?', word, re.IGNORECASE):
        return True
    if re.fullmatch(r'\.?f(alse)?\.?', word, re.IGNORECASE):
        return False
    repeated = re.fullmatch(r'(\d+)\*(\S+)', word)
    if repeated:
        return [_word(repeated[2])] * int(repeated[1])
    for kind in (int, float):
        try:
            return kind(re.sub('[dD]', 'e', word) if kind is float else word)
        except ValueError:
            continue
    return word


#: What VASP takes where a tag is absent, of those that the stand-in obeys.
DEFAULTS: dict[str, Any] = {
    'ALGO': 'Normal', 'EDIFF': 1e-4, 'IBRION': None, 'ICHAIN': 0, 'IMAGES': 0, 'IOPT': 0, 'ISIF': None, 'ISMEAR': 1,
    'ISPIN': 1, 'LCHARG': True, 'LCLIMB': False, 'LDAU': False, 'LORBIT': 0, 'LWAVE': True, 'MAXMOVE': 0.2,
    'METAGGA': None, 'NELM': 60, 'NSW': 0, 'POTIM': 0.5, 'PREC': 'Normal', 'SIGMA': 0.2, 'SPRING': -5.0,
    'TIMESTEP': 0.1, 'IVDW': 0, 'LUSE_VDW': False, 'AMIX': 0.4, 'KPAR': 1, 'NCORE': 1,
}  # fmt: skip


@dataclasses.dataclass
class Inputs:
    """All that a run reads.

    :param images: the structures of the images that move, and for a band of both ends around them.
    """

    tags: dict[str, Any]
    given: dict[str, Any]
    potcar: list[Potcar]
    images: list[Poscar]
    kpoints: np.ndarray
    weights: np.ndarray

    @property
    def symbols(self) -> list[str]:
        """Return the element of each atom; the POTCAR decides."""
        blocks = zip(self.potcar, self.images[0].counts, strict=True)
        return [data.element for data, count in blocks for _ in range(count)]

    @property
    def zvals(self) -> list[float]:
        """Return the valence electrons of each atom."""
        return [data.zval for data, count in zip(self.potcar, self.images[0].counts, strict=True) for _ in range(count)]

    @property
    def starts(self) -> np.ndarray | None:
        """Return the start moments of the atoms (μB), or None without spin."""
        if self.tags['ISPIN'] != 2:
            return None
        given = self.given.get('MAGMOM')
        return np.ones(len(self.symbols)) if given is None else np.atleast_1d(np.array(given, dtype=float))

    @property
    def cutoff(self) -> float:
        """Return the cutoff in eV."""
        return float(self.tags.get('ENCUT') or max(data.enmax for data in self.potcar))

    @property
    def electrons(self) -> float:
        """Return the electrons of the cell."""
        return float(self.tags.get('NELECT', sum(self.zvals)))

    def settings(self) -> Settings:
        """Return what of these inputs changes the energy."""
        tags = self.tags
        functional = str(tags['METAGGA']).upper() if tags['METAGGA'] else self.gga
        if functional not in FUNCTIONALS:
            raise InputError(f'ERROR: the stand-in knows no functional {functional}, only {", ".join(FUNCTIONALS)}')
        hubbard: dict[str, float] = {}
        if tags['LDAU']:
            for data, u, j, shell in zip(self.potcar, *(self._by_species(t) for t in _LDAU), strict=True):
                if shell >= 0:
                    hubbard[data.element] = float(u) - float(j)
        high = {'A': 0.004, 'H': 0.005, 'N': 0.0, 'S': -0.002, 'L': -0.02}.get(str(tags['PREC'])[:1].upper(), 0.0)
        offset = -0.4 * math.exp(-self.cutoff / 150) + 0.05 / len(self.kpoints) + high + 1e-3 * float(tags['ISMEAR'])
        return Settings(
            functional=functional,
            hubbard=tuple(sorted(hubbard.items())),
            charge=sum(self.zvals) - self.electrons,
            spins=None if self.starts is None else tuple(float(x) for x in self.starts),
            dispersion=bool(tags['IVDW']) or bool(tags['LUSE_VDW']),
            offset=offset,
        )

    @property
    def gga(self) -> str:
        """Return the functional without METAGGA: GGA of the INCAR, or that of the data sets."""
        given = str(self.tags.get('GGA', '--')).strip('\'"').upper()
        if given not in ('--', ''):
            return given
        return 'CA' if 'PAW_PBE' not in self.potcar[0].title and 'CA' in self.potcar[0].text else 'PE'

    def _by_species(self, tag: str) -> list[Any]:
        value = self.given.get(tag, {'LDAUJ': 0.0}.get(tag))
        if value is None:
            raise InputError(f"Error reading item '{tag}' from file INCAR.")
        values = value if isinstance(value, list) else [value] * (len(self.potcar) if tag not in self.given else 1)
        if len(values) != len(self.potcar):
            raise InputError(f"Error reading item '{tag}' from file INCAR.")
        return values


_LDAU = ('LDAUU', 'LDAUJ', 'LDAUL')


def read(folder: Path) -> Inputs:
    """Read the input files of a folder and of its images.

    :raises InputError: where VASP would stop, or would compute something else than was meant.
    """
    for name in ('INCAR', 'POTCAR'):
        if not (folder / name).is_file():
            raise InputError(f'ERROR: no {name} found, STOPPING')
    given = read_incar(folder / 'INCAR')
    tags = {**DEFAULTS, **given}
    if tags['IBRION'] is None:
        tags['IBRION'] = -1 if tags['NSW'] <= 1 else 0
    if tags['ISIF'] is None:
        tags['ISIF'] = 2
    tags.setdefault('EDIFFG', tags['EDIFF'] * 10)
    folders = [folder]
    if tags['IMAGES']:
        folders = [folder / f'{image:02d}' for image in range(tags['IMAGES'] + 2)]
    for place in folders:
        if not (place / 'POSCAR').is_file():
            raise InputError(f'ERROR: {place.name}/POSCAR: file not found')
    images = [read_poscar(place / 'POSCAR') for place in folders]
    potcar = read_potcar(folder / 'POTCAR')
    _check_species(images, potcar)
    kpoints, weights = read_kpoints(folder / 'KPOINTS', images[0].lattice, tags.get('KSPACING'))
    inputs = Inputs(tags, given, potcar, images, kpoints, weights)
    starts = inputs.starts
    if starts is not None and len(starts) != len(inputs.symbols):
        raise InputError("Error reading item 'MAGMOM' from file INCAR.")
    if tags['ISPIN'] == 1 and round(inputs.electrons) % 2 and any(is_metal(s) for s in inputs.symbols):
        # VASP computes it, half a band filled; nobody means it.
        raise InputError('ERROR: an odd number of electrons without spin: the stand-in takes it for a mistake')
    inputs.settings()
    return inputs


def _check_species(images: list[Poscar], potcar: list[Potcar]) -> None:
    for number, image in enumerate(images):
        if len(image.names) != len(potcar):
            raise InputError(
                f'ERROR: number of potentials on File POTCAR incompatible with number of species: {number:02d}'
            )
        for name, data in zip(image.names, potcar, strict=True):
            # VASP only warns that the POTCAR overwrites the names: then it computes another crystal.
            if re.match('[A-Z][a-z]?', name) is None or re.match('[A-Z][a-z]?', name)[0] != data.element:  # type: ignore[index]
                raise InputError(f'ERROR: POSCAR and POTCAR are incompatible: {name} against {data.title}')
            if data.element not in ELEMENTS:
                raise InputError(f'ERROR: the stand-in does not know {data.element}')
        first = images[0]
        if image.counts != first.counts or image.names != first.names:
            raise InputError(f'ERROR: image {number:02d} holds other atoms than image 00')
