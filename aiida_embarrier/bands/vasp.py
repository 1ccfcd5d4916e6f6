"""Bands from the folders of finished VASP calculations: 00, 01, ... NN, with or without the VTST tools."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.bands.imported import Image, ImportedBand, band_of_images, find_file, missing, read_text
from aiida_embarrier.bands.vasp_outputs import Outcar, Species, read_outputs, read_species

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymatgen.core import Structure
    from pymatgen.io.vasp.inputs import Poscar

__all__ = ('functional_of', 'image_folders', 'read_band', 'read_incar', 'read_poscar', 'read_potentials')

#: Positions of an OUTCAR have 5 decimals: those that differ from others by less, in Å, are the same.
POSITION_TOLERANCE = 5e-4
#: Atoms that are farther apart than this, in Å, are not one atom before and after a relaxation.
SAME_ATOM = 0.5

#: Tags without whose agreement energies of images cannot be compared.
COMPARED = ('ENCUT', 'ISPIN', 'GGA', 'METAGGA', 'LHFCALC')

#: Functionals by the tag GGA, where there is no METAGGA; VASP takes that of the pseudopotentials (LEXCH) without one.
GGA = {
    'PE': 'pbe',
    'PS': 'pbesol',
    'CA': 'lda',
    'PZ': 'lda',
    '91': 'pw91',
    'RP': 'rpbe',
    'RE': 'revpbe',
    'AM': 'am05',
}
#: Dispersion corrections by the tag IVDW.
IVDW = {1: 'd2', 10: 'd2', 11: 'd3', 12: 'd3bj', 13: 'd4', 2: 'ts', 20: 'ts', 21: 'ts-hi', 202: 'mbd', 4: 'ddsc'}


@dataclass
class _Read:
    """An image with what its files say of the calculation."""

    image: Image
    outcar: Outcar | None = None
    warnings: list[str] = field(default_factory=list)


def read_band(
    folder: Path, *, mechanism: str | None = None, potentials: Sequence[Species] | None = None
) -> ImportedBand:
    """Return the band in a folder of VASP with the images 00, 01, ... NN.

    Of each image the positions are those at which its energy was computed; the energy is that without smearing,
    `energy(sigma->0)`, as `nebresults.pl` of the VTST tools takes it. Where an OUTCAR is missing, energies are taken
    from vasprun.xml or OSZICAR; an OUTCAR of an endpoint whose atoms are in another order than those of the band is
    brought into its order. What no file tells is NaN or None.

    :param folder: its files may be compressed.
    :param mechanism: `vacancy` or `interstitial`, which the files do not tell; `any` is found by itself.
    :param potentials: the pseudopotentials in the order of the species, where neither OUTCAR nor POTCAR are there.
    :raises ValueError: for folders that are no such calculation, and files that contradict each other.
    """
    folders = image_folders(folder)
    incar = read_incar(folder)
    species = list(potentials or read_potentials(folder))
    reads = [_read_image(path, species) for path in folders]
    outcars = [read.outcar for read in reads]
    # of the endpoints, which may be from another calculation, only where no image between has an OUTCAR
    inner = next((outcar for outcar in outcars[1:-1] if outcar is not None), None)
    first = next((outcar for outcar in (inner, outcars[0], outcars[-1]) if outcar is not None), None)
    if first is not None and first.species:
        species = first.species
    incar = incar or _repeated_incar(folders, inner)
    n_images = incar.get('IMAGES')
    if n_images is not None and int(n_images) + 2 != len(folders):
        raise ValueError(
            f'INCAR says IMAGES = {n_images}, but {folder} has {len(folders) - 2} folders between the endpoints: '
            'put the folders of this calculation, and no others, into one folder'
        )
    names = [path.name for path in folders]
    warnings = [f'{name}: {text}' for name, read in zip(names, reads, strict=True) for text in read.warnings]
    blocks = _blocks(folders[0], species, first)
    structure = reads[0].image.structure
    warnings += _set_kinds(structure, incar, first, blocks)
    images = [read.image for read in reads]
    functional, remark = functional_of(incar, species, first)
    charge = _charge(incar, species, blocks, first)
    converged = _converged(outcars[1:-1])
    band, remarks = band_of_images(
        images,
        BandInfo(
            engine='vasp', functional=functional, charge=charge, climbing=_climbing(incar, inner), converged=converged
        ),
        mechanism=mechanism,
    )
    warnings += [*remark, *remarks, *missing(images), *_differences(names, outcars)]
    settings = {
        'program': 'VASP',
        'version': None if first is None else first.version,
        'vtst': None if inner is None else inner.vtst,
        'energy': 'energy(sigma->0)',
        'species': [asdict(entry) for entry in species],
        'ionic_steps': [None if outcar is None else outcar.n_steps for outcar in outcars],
        'wall_s': max((o.elapsed_s for o in outcars[1:-1] if o is not None and o.elapsed_s is not None), default=None),
    }
    return ImportedBand(band, settings, [image.sources for image in images], warnings)


def image_folders(folder: Path) -> list[Path]:
    """Return the folders of the images.

    :raises ValueError: where there are none, or where one is missing between others.
    """
    if not folder.is_dir():
        raise ValueError(f'there is no folder {folder}')
    found = sorted(path for path in folder.iterdir() if path.is_dir() and re.fullmatch(r'\d\d', path.name))
    if len(found) < 3:
        raise ValueError(
            f'{folder} is no NEB calculation of VASP: it needs the folders 00, 01, ... of at least three images, '
            f'it has {", ".join(path.name for path in found) or "none of them"}'
        )
    expected = [f'{number:02d}' for number in range(len(found))]
    lacking = [name for name in expected if name not in {path.name for path in found}]
    if lacking:
        raise ValueError(f'{folder} lacks the folder {lacking[0]} between {found[0].name} and {found[-1].name}')
    return found


def read_incar(folder: Path) -> dict[str, Any]:
    """Return the tags of the INCAR in a folder, as pymatgen reads them; none where there is no INCAR."""
    from pymatgen.io.vasp.inputs import Incar

    path = find_file(folder, 'INCAR')
    return {} if path is None else dict(Incar.from_str(read_text(path)))


def read_potentials(folder: Path) -> list[Species]:
    """Return what a POTCAR says in its headers: names, valence electrons, functionals. Nothing else of it is kept."""
    path = find_file(folder, 'POTCAR')
    return [] if path is None else read_species(read_text(path).splitlines())


def read_poscar(path: Path, species: Sequence[Species] = ()) -> Poscar:
    """Return a POSCAR or CONTCAR, also one without chemical symbols as VASP 4 wrote them.

    :param species: of the pseudopotentials, in the order of the atoms.
    :raises ValueError: for files that are none, and where the symbols are not known.
    """
    import warnings

    from pymatgen.io.vasp.inputs import Poscar

    text = read_text(path)
    lines = text.splitlines()
    nameless = len(lines) > 5 and all(word.isdigit() for word in lines[5].split())
    if nameless and not species:
        raise ValueError(f'{path} has no line with chemical symbols, and no OUTCAR or POTCAR tells them: add the line')
    names = [entry.element for entry in species] if nameless else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that the names are not those of the file, which has none
            return Poscar.from_str(text, default_names=names)
    except Exception as error:  # pymatgen raises whatever it meets
        raise ValueError(f'{path} cannot be read: {error}') from error


def functional_of(
    incar: dict[str, Any], species: Sequence[Species] = (), outcar: Outcar | None = None
) -> tuple[str | None, list[str]]:
    """Return the key of the density functional that INCAR and pseudopotentials choose, and warnings.

    Keys are those of the engine (`pbe+u`, `scan`, `pbe-d3bj`, ...); others are spelt in the same way.

    :return: None where it is not known.
    """
    tags = (outcar.tags if outcar else {}) | incar
    base = _base_functional(tags, species)
    if base is None:
        return None, ['the functional is not known: there is no INCAR with GGA, no OUTCAR and no POTCAR']
    has_u = bool(incar.get('LDAU')) or (not incar and outcar is not None and outcar.hubbard is not None)
    key = f'{base}+u' if has_u else base
    dispersion = int(incar.get('IVDW', 0))
    if incar.get('LUSE_VDW'):
        key += '-rvv10' if 'BPARAM' in incar else '-vdw-df'
    elif dispersion:
        key += f'-{IVDW.get(dispersion, f"ivdw{dispersion}")}'
    elif outcar is not None and outcar.dispersion:
        return None, [f'the functional is {key} with a dispersion correction that only INCAR would tell']
    return key, []


def _base_functional(tags: dict[str, Any], species: Sequence[Species]) -> str | None:
    meta = str(tags.get('METAGGA', 'F')).strip().upper()
    if meta not in {'F', '.FALSE.', 'FALSE', '--', 'NONE', ''}:
        return meta.lower()
    kinds = {entry.functional for entry in species} - {None}
    gga = str(tags.get('GGA') or (kinds.pop() if len(kinds) == 1 else '')).strip().upper()
    if not gga:
        return None
    base = GGA.get(gga, gga.lower())
    hybrid = str(tags.get('LHFCALC', 'F')).strip('.').upper().startswith('T')
    if hybrid and base == 'pbe':
        screening = float(tags.get('HFSCREEN', 0.0))
        return {0.2: 'hse06', 0.3: 'hse03', 0.0: 'pbe0'}.get(round(screening, 1), f'pbe-hf{screening:g}')
    return f'{base}-hybrid' if hybrid else base


# -------------------------------------------------------------------- images


def _read_image(folder: Path, species: Sequence[Species]) -> _Read:
    """Return an image: energies and forces, and the positions they belong to."""
    path = find_file(folder, 'OUTCAR')
    outcar = None
    if path is not None:
        outcar = read_outputs(read_text(path).splitlines())
    names = outcar.species if outcar is not None and outcar.species else species
    written = [
        (found.name, read_poscar(found, names))
        for found in (find_file(folder, name) for name in ('CONTCAR', 'POSCAR'))
        if found is not None
    ]
    frozen = next((_frozen(poscar) for _, poscar in reversed(written)), None)
    structures = [(name, poscar.structure) for name, poscar in written]
    if outcar is not None and outcar.energy is not None:
        assert path is not None
        return _with_outcar(path.name, outcar, structures, frozen)
    warnings = []
    if path is not None:
        warnings.append(f'{path.name} ends before the first energy')
    found = find_file(folder, 'vasprun.xml')
    if found is not None:
        try:
            structure, energy, forces = _read_vasprun(found)
        except ValueError as error:
            warnings.append(str(error))
        else:
            sources = dict.fromkeys(('structure', 'energy', 'forces'), found.name)
            return _Read(Image(structure, energy, forces, None, frozen, sources), outcar, warnings)
    if not structures:
        raise ValueError(f'{folder} has neither CONTCAR nor POSCAR nor a complete OUTCAR or vasprun.xml')
    name, structure = structures[0]
    energy, sources = np.nan, {'structure': name}
    found = find_file(folder, 'OSZICAR')
    if found is not None:
        energy = _read_oszicar(found)
    if found is not None and np.isfinite(energy):
        sources['energy'] = found.name
        warnings.append(
            f'the energy is that of {found.name}, which does not tell the positions it was computed at: they are '
            f'taken from {name}'
        )
    return _Read(Image(structure, energy, None, None, frozen, sources), outcar, warnings)


def _with_outcar(
    name: str, outcar: Outcar, structures: list[tuple[str, Structure]], frozen: np.ndarray | None
) -> _Read:
    """Return an image with an OUTCAR: the atoms in the order of the band, positions with as many digits as there are.

    :param structures: of CONTCAR and POSCAR, as far as they are there; they have more digits than an OUTCAR.
    """
    from pymatgen.core import Structure

    assert outcar.positions is not None
    assert outcar.forces is not None
    assert outcar.energy is not None
    lattice = structures[0][1].lattice.matrix if outcar.lattice is None and structures else outcar.lattice
    if lattice is None:
        raise ValueError(f'{name} tells no lattice, and there is no POSCAR')
    own = [entry.element for entry, count in zip(outcar.species, outcar.counts, strict=False) for _ in range(count)]
    if len(own) != len(outcar.positions):
        own = []  # the file does not tell them
    moments = None if outcar.tags.get('LNONCOLLINEAR') == 'T' else outcar.moments
    if moments is not None and len(moments) != len(outcar.positions):
        moments = None
    warnings: list[str] = []
    order = np.arange(len(outcar.positions))
    structure, source = None, name
    for file, candidate in structures:
        if len(candidate) != len(outcar.positions):
            raise ValueError(f'{name} is of {len(outcar.positions)} atoms, {file} of {len(candidate)}')
        order, distances = _match(candidate, outcar.positions, own, lattice)
        if distances.max() < POSITION_TOLERANCE:
            structure, source = candidate, file
            break
    if structures and structure is None:
        # neither CONTCAR nor POSCAR are where the energy was computed: a run that was killed, or was going on
        file, candidate = structures[0]
        order, distances = _match(candidate, outcar.positions, own, lattice)
        if distances.max() > SAME_ATOM:
            warnings.append(
                f'{name} is of another structure than {file}, from which an atom lies {distances.max():.2f} Å away'
            )
        elements = [site.specie.symbol for site in candidate]
        structure = Structure(lattice, elements, outcar.positions[order], coords_are_cartesian=True)
    elif structure is None:
        if not own:
            raise ValueError(f'{name} does not tell the elements of its atoms, and there is no POSCAR')
        structure = Structure(lattice, own, outcar.positions, coords_are_cartesian=True)
    if np.any(order != np.arange(len(order))):
        warnings.append(f'the atoms of {name} are in another order than those of {source}: forces are in that of it')
    sources = {'structure': source, 'energy': name, 'forces': name}
    if moments is not None:
        sources['moments'] = name
    image = Image(
        structure,
        outcar.energy,
        outcar.forces[order],
        None if moments is None else moments[order],
        frozen,
        sources,
    )
    return _Read(image, outcar, warnings)


def _match(
    structure: Structure, positions: np.ndarray, elements: list[str], lattice: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each site of a structure which of the positions is its own, and how far that is away in Å.

    :param elements: of the positions, empty where they are not known.
    """
    from scipy.optimize import linear_sum_assignment

    distances = np.linalg.norm(minimum_image(positions - structure.cart_coords, lattice), axis=1)
    rows = np.arange(len(positions))
    symbols = [site.specie.symbol for site in structure]
    if distances.max() < SAME_ATOM and (not elements or elements == symbols):
        return rows, distances
    every = np.linalg.norm(minimum_image(positions[None] - structure.cart_coords[:, None], lattice), axis=2)
    cost = every**2
    if elements:
        cost = cost + 1e6 * (np.array(symbols)[:, None] != np.array(elements)[None, :])
    _, order = linear_sum_assignment(cost)
    matched = every[rows, order]
    if matched.max() < SAME_ATOM and (not elements or [elements[index] for index in order] == symbols):
        return order, matched
    return rows, distances


def _frozen(poscar: Poscar) -> np.ndarray | None:
    """Return which atoms selective dynamics holds in place in all directions."""
    if poscar.selective_dynamics is None:
        return None
    free = np.array(poscar.selective_dynamics, dtype=bool)
    return np.asarray(~free.any(axis=1))


def _read_vasprun(path: Path) -> tuple[Structure, float, np.ndarray]:
    """Return the last ionic step that is complete: structure, energy, forces.

    :raises ValueError: where there is none.
    """
    import warnings

    from pymatgen.io.vasp.outputs import Vasprun

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False, exception_on_bad_xml=False)
            steps = [step for step in run.ionic_steps if step.get('forces') is not None and 'e_0_energy' in step]
            if not steps:
                raise ValueError('no ionic step is complete')
            last = steps[-1]
            # Vasprun.final_energy mends energies that VASP 5 wrote wrongly, but is that of the last step.
            energy = run.final_energy if last is run.ionic_steps[-1] else last['e_0_energy']
    except Exception as error:
        raise ValueError(f'{path.name} cannot be read: {error}') from error
    return last['structure'], float(energy), np.array(last['forces'], dtype=float)


def _read_oszicar(path: Path) -> float:
    """Return the last energy of an OSZICAR in eV, NaN where there is none."""
    values = re.findall(r'E0= *(\S+)', read_text(path))
    with suppress(IndexError, ValueError):
        return float(values[-1])
    return np.nan


def _repeated_incar(folders: Sequence[Path], outcar: Outcar | None) -> dict[str, Any]:
    """Return the INCAR that an output repeats: an OUTCAR of VASP 6, or a vasprun.xml; none where there is no such."""
    import warnings

    from pymatgen.io.vasp.inputs import Incar
    from pymatgen.io.vasp.outputs import Vasprun

    if outcar is not None and outcar.incar:
        return dict(Incar.from_str('\n'.join(outcar.incar)))
    for folder in folders[1:-1]:
        path = find_file(folder, 'vasprun.xml')
        if path is None:
            continue
        # the parser raises whatever it meets in a file that is cut off
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
            return dict(run.incar)
    return {}


# -------------------------------------------------------------------- settings


def _blocks(folder: Path, species: Sequence[Species], outcar: Outcar | None) -> list[tuple[str, int]]:
    """Return the species of the band in their order, with the number of atoms of each: that of MAGMOM and LDAUU."""
    path = find_file(folder, ('POSCAR', 'CONTCAR'))
    if path is not None:
        poscar = read_poscar(path, species)
        return list(zip(poscar.site_symbols, poscar.natoms, strict=True))
    assert outcar is not None
    return [(entry.element, count) for entry, count in zip(outcar.species, outcar.counts, strict=True)]


def _set_kinds(
    structure: Structure, incar: dict[str, Any], outcar: Outcar | None, blocks: list[tuple[str, int]]
) -> list[str]:
    """Give the atoms of an image their initial moments and U values, and return warnings."""
    warnings = []
    moments = incar.get('MAGMOM')
    if moments is not None and int(incar.get('ISPIN', 1)) == 2:
        values = np.atleast_1d(moments)
        if len(values) == len(structure) and values.ndim == 1:
            structure.add_site_property('magmom', [float(value) for value in values])
        else:
            warnings.append(f'MAGMOM of INCAR has {values.size} values for {len(structure)} atoms: left out')
    echoed = None if outcar is None else outcar.hubbard
    u_values = _hubbard_of_incar(incar) if incar else echoed
    if u_values is not None:
        if len(u_values) == len(blocks):
            per_site = [u for (_, count), u in zip(blocks, u_values, strict=True) for _ in range(count)]
            if any(u is not None for u in per_site):
                structure.add_site_property('hubbard_u', per_site)
        else:
            warnings.append(f'LDAUU has {len(u_values)} values for {len(blocks)} species: left out')
    return warnings


def _hubbard_of_incar(incar: dict[str, Any]) -> list[float | None] | None:
    if not incar.get('LDAU') or 'LDAUU' not in incar:
        return None
    u_values = np.atleast_1d(incar['LDAUU']).astype(float)
    exchange = np.atleast_1d(incar.get('LDAUJ', np.zeros(len(u_values)))).astype(float)
    shells = np.atleast_1d(incar.get('LDAUL', np.full(len(u_values), 2))).astype(int)
    # Dudarev's approach, type 2, the default, knows only the difference of U and J.
    effective = u_values - exchange if int(incar.get('LDAUTYPE', 2)) == 2 else u_values
    return [round(float(u), 6) if shell >= 0 and u != 0 else None for u, shell in zip(effective, shells, strict=True)]


def _charge(
    incar: dict[str, Any], species: Sequence[Species], blocks: list[tuple[str, int]], outcar: Outcar | None
) -> float | None:
    """Return the charge of the cell: the valence electrons of the neutral cell less those that were there."""
    electrons = [entry.electrons for entry in species]
    if len(electrons) != len(blocks) or any(number is None for number in electrons):
        return None
    neutral = sum(number * count for number, (_, count) in zip(electrons, blocks, strict=True) if number is not None)
    present = outcar.n_electrons if outcar is not None else None
    if present is None:
        present = float(incar['NELECT']) if 'NELECT' in incar else neutral if incar else None
    if present is None:
        return None
    # NELECT is echoed with four decimals
    charge = round(float(neutral - present), 3)
    return charge + 0.0


def _climbing(incar: dict[str, Any], outcar: Outcar | None) -> bool | None:
    """Return whether the highest image climbed: only with the VTST tools, where it is on unless LCLIMB says no."""
    if outcar is not None and outcar.vtst is None:
        return False
    if 'LCLIMB' in incar:
        return bool(incar['LCLIMB'])
    return True if outcar is not None and incar else None


def _differences(names: Sequence[str], outcars: Sequence[Outcar | None]) -> list[str]:
    """Return a warning for each image that was computed otherwise than the one before it: energies cannot be compared.

    Files of endpoints are often those of an earlier relaxation.
    """
    warnings = []
    known = [(name, outcar) for name, outcar in zip(names, outcars, strict=True) if outcar is not None]
    for (one, before), (other, after) in pairwise(known):
        settings = [
            {**{tag: outcar.tags.get(tag) for tag in COMPARED}, 'NELECT': outcar.n_electrons, 'LDAUU': outcar.hubbard}
            for outcar in (before, after)
        ]
        differing = [tag for tag in settings[0] if settings[0][tag] != settings[1][tag]]
        if differing:
            values = '; '.join(f'{tag} = {settings[0][tag]} and {settings[1][tag]}' for tag in differing)
            warnings.append(f'{one} and {other} were computed with different settings ({values}): compare no energies')
    return warnings


def _converged(outcars: Sequence[Outcar | None]) -> bool | None:
    """Return whether VASP says that all images are converged; None where an OUTCAR is missing."""
    if any(outcar is not None and not outcar.converged for outcar in outcars):
        return False
    return True if outcars and all(outcar is not None for outcar in outcars) else None
