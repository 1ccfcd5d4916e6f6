"""Bands from the folders of finished neb.x runs of Quantum ESPRESSO."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_embarrier.bands.band import BandInfo
from aiida_embarrier.bands.imported import Image, ImportedBand, band_of_images, find_file, missing, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ('NebInput', 'PathFile', 'functional_of', 'read_band', 'read_input', 'read_path_file')

#: Constants of Quantum ESPRESSO (Modules/constants.f90, CODATA 2018; those of 2014 differ in the ninth digit).
BOHR = 0.529177210903
HARTREE = 27.211386245988

#: Functionals by what pw.x prints between parentheses: exchange, correlation and their gradient corrections.
XC_INDICES = {
    (1, 1, 0, 0): 'lda',
    (1, 4, 0, 0): 'lda',
    (1, 4, 3, 4): 'pbe',
    (1, 4, 10, 8): 'pbesol',
    (1, 4, 4, 4): 'revpbe',
    (1, 4, 2, 2): 'pw91',
    (1, 3, 1, 3): 'blyp',
    (6, 4, 8, 4): 'pbe0',
    (1, 4, 12, 4): 'hse06',
}
#: The same by name, for `input_dft` where no output tells the numbers.
XC_NAMES = {'pbe': 'pbe', 'pbesol': 'pbesol', 'pz': 'lda', 'lda': 'lda', 'scan': 'scan', 'r2scan': 'r2scan'}
META_INDICES = {5: 'scan', 6: 'scan0', 8: 'rscan', 9: 'r2scan'}
#: Dispersion corrections by `vdw_corr`; D3 by its version.
DISPERSIONS = {
    **dict.fromkeys(('grimme-d2', 'dft-d'), 'd2'),
    **dict.fromkeys(('ts', 'ts-vdw', 'tkatchenko-scheffler'), 'ts'),
    'mbd': 'mbd',
    'xdm': 'xdm',
}
D3_VERSIONS = {2: 'd2', 3: 'd3', 4: 'd3bj', 5: 'd3m', 6: 'd3mbj'}

_POTENTIAL = re.compile(r'PseudoPot\. # *\d+ for +(\S+) +read from file.*?\n\s*(\S+)', re.DOTALL)


@dataclass(frozen=True)
class PathFile:
    """What the file `<prefix>.path` holds: the band at which neb.x last looked.

    :param iteration: number of iterations done.
    :param energies: in eV, shape (n_images,).
    :param positions: in Å, shape (n_images, n_atoms, 3).
    :param forces: in eV/Å, zero where atoms are held in place, shape (n_images, n_atoms, 3).
    """

    iteration: int
    energies: np.ndarray
    positions: np.ndarray
    forces: np.ndarray


@dataclass(frozen=True)
class NebInput:
    """What neb.x was told.

    :param path: the namelist PATH.
    :param namelists: namelists of the engine (`control`, `system`, `electrons`, ...), keys in lower case.
    :param cards: cards of the engine by their names in upper case: the options on the first line, and the lines.
    :param images: the images that were given, each by the unit and the lines of ATOMIC_POSITIONS.
    :param climbing_images: numbers of images that climb by hand, from 1.
    """

    path: dict[str, Any]
    namelists: dict[str, dict[str, Any]]
    cards: dict[str, tuple[str, list[str]]]
    images: list[tuple[str, list[str]]]
    climbing_images: tuple[int, ...] = ()

    @property
    def prefix(self) -> str:
        """The name that the files begin with."""
        return str(self.namelists.get('control', {}).get('prefix', 'pwscf'))

    @property
    def labels(self) -> list[str]:
        """The label of each atom: a chemical symbol, or one with a number that tells kinds apart."""
        lines = self.cards.get('ATOMIC_POSITIONS', ('', []))[1]
        return [line.split()[0] for line in lines[: int(self.namelists['system']['nat'])]]

    @property
    def species(self) -> list[str]:
        """The labels in the order of ATOMIC_SPECIES, which numbers them."""
        lines = self.cards.get('ATOMIC_SPECIES', ('', []))[1]
        return [line.split()[0] for line in lines[: int(self.namelists['system']['ntyp'])]]

    @property
    def pseudopotentials(self) -> dict[str, str]:
        """The file name of the pseudopotential of each label."""
        return {line.split()[0]: line.split()[2] for line in self.cards.get('ATOMIC_SPECIES', ('', []))[1]}


@dataclass
class _Output:
    """What the outputs of one image (`PW.out`) say."""

    valence: dict[str, float] = field(default_factory=dict)
    functional: str | None = None
    moments: np.ndarray | None = None


@dataclass
class _Report:
    """What the standard output of neb.x says."""

    version: str | None = None
    converged: bool | None = None
    energies: list[float] = field(default_factory=list)
    climbing: int | None = None
    wall_s: float | None = None


def read_band(folder: Path, *, mechanism: str | None = None) -> ImportedBand:
    """Return the band in a folder of neb.x.

    Energies, positions and forces are those of `<prefix>.path`, which neb.x writes after each iteration with all
    digits; without it positions and forces are those of `<prefix>.axsf`, and energies those that neb.x printed. Kinds,
    functional and charge come from the input (`neb.dat` with `pw_1.in`, or one file for all) and from `PW.out`.

    :param mechanism: `vacancy` or `interstitial`, which the files do not tell; `any` is found by itself.
    :raises ValueError: for folders that are no such run, and files that contradict each other.
    """
    from pymatgen.core import Structure

    found = read_input(folder)
    report = _read_report(folder)
    path, animation = _result(folder, found.prefix, 'path'), _result(folder, found.prefix, 'axsf')
    lattice, labels = _lattice(found, animation), found.labels
    warnings: list[str] = []
    if path is not None:
        content = read_path_file(path)
        energies, positions, forces = content.energies, content.positions, content.forces
        iterations: int | None = content.iteration
        names = path.name, path.name
    elif animation is not None:
        positions, forces = _read_axsf(animation)
        iterations = None
        known = len(report.energies) == len(positions)
        energies = np.array(report.energies) if known else np.full(len(positions), np.nan)
        names = 'the output of neb.x' if known else '', animation.name
    else:
        raise ValueError(
            f'{folder} has neither {found.prefix}.path nor {found.prefix}.axsf: neb.x did not finish an iteration there'
        )
    if positions.shape[1] != len(labels):
        raise ValueError(f'{names[1]} is of {positions.shape[1]} atoms, the input of {len(labels)}')
    outputs = [_read_output(file) for file in _output_files(folder, found.prefix, len(positions))]
    first = next((output for output in outputs if output is not None), _Output())
    properties, remarks = _kinds(found, first.valence)
    warnings += remarks
    images = []
    for number, output in enumerate(outputs):
        moments = None if output is None else output.moments
        if moments is not None and len(moments) != len(labels):
            moments = None
        sources = {'structure': names[1], 'forces': names[1]}
        if np.isfinite(energies[number]):
            sources['energy'] = names[0]
        if moments is not None:
            sources['moments'] = 'PW.out'
        structure = Structure(
            lattice,
            [_symbol(label) for label in labels],
            positions[number],
            coords_are_cartesian=True,
            site_properties=properties,
        )
        images.append(Image(structure, float(energies[number]), forces[number], moments, None, sources))
    functional, remarks = functional_of(found, first.functional)
    scheme = str(found.path.get('ci_scheme', 'no-ci'))
    climbing = [number - 1 for number in found.climbing_images] if scheme == 'manual' else []
    if scheme == 'auto' and report.climbing is not None:
        climbing = [report.climbing - 1]
    band, more = band_of_images(
        images,
        BandInfo(
            engine='quantumespresso',
            functional=functional,
            charge=float(found.namelists['system'].get('tot_charge', 0.0)),
            climbing=scheme != 'no-ci',
            converged=report.converged,
        ),
        mechanism=mechanism,
        climbing=climbing,
    )
    warnings += [*remarks, *more, *missing(images)]
    if found.path.get('string_method', 'neb') != 'neb':
        warnings.append(
            f'the path was found by the string method ({found.path["string_method"]}), not by a nudged elastic band'
        )
    settings = {
        'program': 'Quantum ESPRESSO',
        'version': report.version,
        'energy': 'total energy of pw.x, with -TS where there is smearing',
        'potentials': found.pseudopotentials,
        'iterations': iterations,
        'wall_s': report.wall_s,
    }
    return ImportedBand(band, settings, [image.sources for image in images], warnings)


# -------------------------------------------------------------------- input


def read_input(folder: Path) -> NebInput:
    """Return what neb.x was told in a folder: by `neb.dat` and `pw_1.in`, or by one file for all.

    :raises ValueError: where there is no input of neb.x, or one that lacks what it must have.
    """
    if not folder.is_dir():
        raise ValueError(f'there is no folder {folder}')
    path_file, engine_file = find_file(folder, 'neb.dat'), find_file(folder, 'pw_1.in')
    if path_file is not None and engine_file is not None:
        path_text, engine_texts = read_text(path_file), [read_text(engine_file)]
        while (another := find_file(folder, f'pw_{len(engine_texts) + 1}.in')) is not None:
            engine_texts.append(read_text(another))
    else:
        text = _combined(folder)
        path_text = _between(text, 'BEGIN_PATH_INPUT', 'END_PATH_INPUT')
        engine_texts = _one_by_one(_between(text, 'BEGIN_ENGINE_INPUT', 'END_ENGINE_INPUT'))
    path_lists, rest = _namelists(path_text)
    inputs = [_namelists(text) for text in engine_texts]
    namelists, lines = inputs[0]
    cards = _cards(lines)
    if 'path' not in path_lists or not {'nat', 'ntyp'} <= set(namelists.get('system', {})):
        raise ValueError(f'the input in {folder} is none of neb.x: it lacks the namelist PATH, or nat and ntyp')
    card = re.search(r'CLIMBING_IMAGES\s*(.*)', '\n'.join(rest), re.DOTALL)
    return NebInput(
        path_lists['path'],
        namelists,
        cards,
        [_cards(others).get('ATOMIC_POSITIONS', ('', [])) for _, others in inputs],
        tuple(int(number) for number in re.findall(r'\d+', card[1])) if card else (),
    )


def given_images(found: NebInput, lattice: np.ndarray) -> list[np.ndarray]:
    """Return the positions in Å of the images that the input gives, each of shape (n_atoms, 3).

    :param lattice: vectors as rows in Å.
    """
    system = found.namelists['system']
    alat = float(system['celldm(1)']) * BOHR if 'celldm(1)' in system else float(system.get('a', 0.0))
    images = []
    for unit, lines in found.images:
        table = np.array(
            [
                [float(word.lower().replace('d', 'e')) for word in line.split()[1:4]]
                for line in lines[: int(system['nat'])]
            ]
        )
        if 'crystal' in unit:
            images.append(table @ lattice)
        elif 'angstrom' in unit:
            images.append(table)
        elif 'bohr' in unit:
            images.append(table * BOHR)
        else:
            images.append(table * (alat or float(np.linalg.norm(lattice[0]))))
    return images


def _one_by_one(text: str) -> list[str]:
    """Return the input of each image of an engine input for several, as neb.x itself writes them to `pw_1.in`, ..."""
    before, _, rest = text.partition('BEGIN_POSITIONS')
    positions, _, after = rest.partition('END_POSITIONS')
    images = re.split(r'(?m)^\s*(?:FIRST_IMAGE|INTERMEDIATE_IMAGE|LAST_IMAGE)\s*$', positions)[1:]
    option = next((line for line in images[0].splitlines() if line.strip()), '') if images else ''
    # the unit stands at the first image at least
    return [
        f'{before}\n{image if "ATOMIC_POSITIONS" in image.upper() else option + image}\n{after}' for image in images
    ]


def _combined(folder: Path) -> str:
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < 10_000_000 and path.suffix in {'.in', '.inp', '.gz', '.xz', '.bz2'}:
            text = read_text(path)
            if 'BEGIN_PATH_INPUT' in text:
                return text
    raise ValueError(
        f'{folder} has no input of neb.x: neither neb.dat and pw_1.in, nor a file *.in with BEGIN_PATH_INPUT'
    )


def _between(text: str, begin: str, end: str) -> str:
    return text.partition(begin)[2].partition(end)[0]


def _namelists(text: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the namelists of an input, strings without quotes, and the lines after them."""
    from ase.io.espresso import read_fortran_namelist

    namelists, lines = read_fortran_namelist(StringIO(text))
    plain = {
        str(name).lower(): {
            str(key).lower(): value.strip('\'" ') if isinstance(value, str) else value for key, value in entries.items()
        }
        for name, entries in namelists.items()
    }
    for name in ('ci_scheme', 'string_method', 'opt_scheme', 'restart_mode'):
        if name in plain.get('path', {}):
            plain['path'][name] = str(plain['path'][name]).lower()
    return plain, lines


_CARDS = (
    *('ATOMIC_SPECIES', 'ATOMIC_POSITIONS', 'K_POINTS', 'CELL_PARAMETERS', 'HUBBARD', 'OCCUPATIONS', 'CONSTRAINTS'),
    *('ATOMIC_FORCES', 'ADDITIONAL_K_POINTS', 'SOLVENTS', 'ATOMIC_VELOCITIES'),
)


def _cards(lines: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
    cards: dict[str, tuple[str, list[str]]] = {}
    current: list[str] = []
    for line in lines:
        words = line.split('!')[0].split()
        if not words:
            continue
        if words[0].upper() in _CARDS:
            current = []
            cards[words[0].upper()] = ' '.join(words[1:]).strip('{}() ').lower(), current
        else:
            current.append(' '.join(words))
    return cards


def _lattice(found: NebInput, animation: Path | None) -> np.ndarray:
    """Return the lattice: what neb.x wrote for viewers, which it always does, or that of the input.

    :raises ValueError: where the input names a Bravais lattice by its number and neb.x wrote nothing.
    """
    if animation is not None:
        rows = read_text(animation).partition('PRIMVEC')[2].splitlines()[1:4]
        vectors = [[float(word) for word in row.split()] for row in rows]
        if [len(vector) for vector in vectors] == [3, 3, 3]:
            return np.array(vectors)
    system = found.namelists['system']
    option, lines = found.cards.get('CELL_PARAMETERS', ('', []))
    if int(system.get('ibrav', 0)) != 0 or len(lines) < 3:
        raise ValueError(
            f'the lattice is not known: {found.prefix}.axsf is missing, and the input has no CELL_PARAMETERS'
        )
    vectors = [[float(word.lower().replace('d', 'e')) for word in line.split()[:3]] for line in lines[:3]]
    if 'angstrom' in option:
        unit = 1.0
    elif 'celldm(1)' in system:
        unit = float(system['celldm(1)']) * BOHR
    else:
        unit = float(system.get('a', BOHR))
    return np.array(vectors) * unit


def _symbol(label: str) -> str:
    from ase.io.espresso import label_to_symbol

    return str(label_to_symbol(label))


def _kinds(found: NebInput, valence: dict[str, float]) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the site properties that tell kinds apart, and warnings."""
    system, species, labels = found.namelists['system'], found.species, found.labels
    properties: dict[str, list[Any]] = {'kind': labels}
    warnings = []
    if int(system.get('nspin', 1)) == 2:
        moments: dict[str, float | None] = {}
        for number, label in enumerate(species, 1):
            start = _indexed(system, 'starting_magnetization', number)
            if start is None:
                moments[label] = None
            elif abs(start) > 1:  # a moment in Bohr magnetons, since version 7.2
                moments[label] = start
            else:  # a part of the valence electrons
                moments[label] = start * valence[label] if label in valence else None
        if any(value is not None for value in moments.values()):
            properties['magmom'] = [moments.get(label) for label in labels]
        elif any(str(key).startswith('starting_magnetization') for key in system):
            warnings.append(
                'the initial moments are not known: starting_magnetization is a part of the valence electrons, '
                'which PW.out of an image would tell'
            )
    u_values = _hubbard(found)
    if u_values:
        properties['hubbard_u'] = [u_values.get(label) for label in labels]
    return properties, warnings


def _indexed(system: dict[str, Any], name: str, number: int) -> float | None:
    """Return an entry of an array of a namelist; without an index it is the first."""
    value = system.get(f'{name}({number})', system.get(name) if number == 1 else None)
    return None if value is None else float(value)


def _hubbard(found: NebInput) -> dict[str, float]:
    """Return U in eV by the labels that have one: from the card of version 7.1 and later, or from the namelist."""
    u_values = {}
    for line in found.cards.get('HUBBARD', ('', []))[1]:
        words = line.split()
        if len(words) >= 3 and words[0].upper() == 'U':
            u_values[words[1].rsplit('-', 1)[0]] = float(words[2])
    system = found.namelists['system']
    if system.get('lda_plus_u'):
        for number, label in enumerate(found.species, 1):
            value = _indexed(system, 'hubbard_u', number)
            if value:
                u_values[label] = value
    return u_values


def functional_of(found: NebInput, printed: str | None) -> tuple[str | None, list[str]]:
    """Return the key of the density functional, and warnings.

    :param printed: that of the output, which knows the one of the pseudopotentials too.
    :return: None where it is not known.
    """
    system = found.namelists['system']
    base = printed or XC_NAMES.get(str(system.get('input_dft', '')).lower())
    if base is None:
        return None, ['the functional is not known: no PW.out tells it, and pseudopotentials decide on it']
    key = f'{base}+u' if _hubbard(found) else base
    correction = str(system.get('vdw_corr', 'none')).lower()
    if correction in {'grimme-d3', 'dft-d3'}:
        return f'{key}-{D3_VERSIONS[int(system.get("dftd3_version", 3))]}', []
    if correction in {'none', ''}:
        return key, []
    return f'{key}-{DISPERSIONS.get(correction, correction)}', []


# -------------------------------------------------------------------- output


def read_path_file(path: Path) -> PathFile:
    """Return what a file `<prefix>.path` holds.

    :raises ValueError: for files that are none, or are cut off.
    """
    lines = iter(read_text(path).splitlines())
    try:
        _seek(lines, 'RESTART INFORMATION')
        iteration = int(next(lines))
        _seek(lines, 'NUMBER OF IMAGES')
        n_images = int(next(lines))
        _seek(lines, 'ENERGIES, POSITIONS AND GRADIENTS')
        tables: list[list[list[float]]] = []
        energies: list[float] = []
        for line in lines:
            if line.strip().startswith('Image:'):
                energies.append(float(next(lines)))
                tables.append([])
            elif len(line.split()) >= 6 and len(tables):
                tables[-1].append([float(word) for word in line.split()[:6]])
            else:  # velocities and the like of some optimisers
                break
        table = np.array(tables)
        if table.shape[0] != n_images or table.ndim != 3:
            raise ValueError(f'it has {len(tables)} of {n_images} images, or images of different length')
    except (StopIteration, ValueError) as error:
        raise ValueError(f'{path} is no restart file of neb.x, or is cut off: {error}') from error
    return PathFile(
        iteration,
        np.array(energies) * HARTREE,
        table[:, :, :3] * BOHR,
        # from minus the gradient; minus zero would look odd
        -table[:, :, 3:6] * (HARTREE / BOHR) + 0.0,
    )


def _seek(lines: Iterator[str], heading: str) -> None:
    for line in lines:
        if line.strip() == heading:
            return
    raise ValueError(f'it has no {heading!r}')


def _read_axsf(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in Å and forces in eV/Å of all images; neb.x writes forces in Hartree/Å."""
    blocks: list[list[list[float]]] = []
    for line in read_text(path).splitlines():
        words = line.split()
        if line.strip().startswith('PRIMCOORD'):
            blocks.append([])
        elif blocks and len(words) == 7:
            blocks[-1].append([float(word) for word in words[1:]])
    table = np.array(blocks)
    if table.ndim != 3:
        raise ValueError(f'{path} is no animation of neb.x, or is cut off')
    return table[:, :, :3], table[:, :, 3:] * HARTREE


def _result(folder: Path, prefix: str, ending: str) -> Path | None:
    """Return a result file: that of the prefix, or the only one there is."""
    named = find_file(folder, f'{prefix}.{ending}')
    if named is not None:
        return named
    others = [
        path for path in sorted(folder.iterdir()) if path.is_file() and re.search(rf'\.{ending}(\.\w+)?$', path.name)
    ]
    return others[0] if len(others) == 1 else None


def _output_files(folder: Path, prefix: str, n_images: int) -> list[Path | None]:
    """Return PW.out of each image; they lie in `<outdir>/<prefix>_1` and so on."""
    places = [path.parent for path in sorted(folder.glob(f'**/{_escaped(prefix)}_1')) if path.is_dir()]
    places = places or [folder]
    return [find_file(places[0] / f'{prefix}_{number}', 'PW.out') for number in range(1, n_images + 1)]


def _escaped(name: str) -> str:
    return re.sub(r'([*?[])', r'[\1]', name)


def _read_output(path: Path | None) -> _Output | None:
    """Return what PW.out says of the last time that its image was computed."""
    if path is None:
        return None
    text = read_text(path)
    last = text.rpartition('coordinates at iteration')[2]
    output = _Output()
    table = re.search(r'atomic species +valence +mass +pseudopotential\n((?: +\S+ +[\d.]+ +[\d.]+ .*\n)+)', text)
    if table:
        output.valence = {line.split()[0]: float(line.split()[1]) for line in table[1].splitlines()}
    indices = re.search(r'Exchange-correlation *=.*?\(([\d\s]+)\)', text, re.DOTALL)
    if indices:
        output.functional = _functional(indices[1])
    *_, moments = ['', *re.findall(r'Magnetic moment per site.*\n((?: +atom.*\n)+)', last)]
    values = re.findall(r'magn(?:\.|:|etization)?\s*=?\s*([-\d.]+)', moments)
    if values:
        output.moments = np.array([float(value) for value in values])
    return output


def _functional(text: str) -> str | None:
    # old versions print numbers of one digit without blanks between
    words = text.split()
    numbers = [int(word) for word in (words if len(words) > 1 else words[0])]
    meta = numbers[5] if len(numbers) > 5 else 0
    if meta:
        return META_INDICES.get(meta)
    exchange, correlation, gradient_x, gradient_c = (*numbers, 0, 0, 0, 0)[:4]
    return XC_INDICES.get((exchange, correlation, gradient_x, gradient_c))


def _read_report(folder: Path) -> _Report:
    """Return what the standard output of neb.x says, whatever the name of its file is."""
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.stat().st_size > 200_000_000 or 'PW.out' in path.name:
            continue
        if not re.search(r'(out|log|stdout|aiida\.out)(\.\w+)?$', path.name):
            continue
        text = read_text(path)
        version = re.search(r'Program NEB v\.?\s*(\S+)', text)
        if version is None:
            continue
        energies = re.findall(
            r'^\s+\d+\s+(-?\d+\.\d+)\s+[\d.]+\s+[TF]\s*$', text.rpartition('energy (eV)')[2], re.MULTILINE
        )
        climbing = re.findall(r'climbing image *= *(\d+)', text)
        wall = re.findall(r'NEB +:.*CPU +(.*?) *WALL', text)
        return _Report(
            version[1].removesuffix('MaX'),
            'neb: convergence achieved' in text,
            [float(energy) for energy in energies],
            int(climbing[-1]) if climbing else None,
            _seconds(wall[-1]) if wall else None,
        )
    return _Report()


def _seconds(text: str) -> float:
    """Return the seconds in a time like `1h 2m`, `3m12.50s` or `16.60s`."""
    units = {'d': 86400.0, 'h': 3600.0, 'm': 60.0, 's': 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r'([\d.]+)\s*([dhms])', text))
