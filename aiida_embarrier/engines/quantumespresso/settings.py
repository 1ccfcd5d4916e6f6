"""From a crystal, a functional and settings to the namelists of pw.x and neb.x. No AiiDA and no plugin here."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aiida_embarrier.engines.functionals import Functional, default_shell, load_functionals
from aiida_embarrier.engines.magnetism import start_moments
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.engines.quantumespresso import FUNCTIONALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from aiida_embarrier.bands.band import Kind

__all__ = (
    'BOHR',
    'RYDBERG',
    'Atoms',
    'Hubbard',
    'Settings',
    'check_settings',
    'hubbard_of',
    'kpoints_mesh',
    'path_namelist',
    'pw_namelists',
)

#: In Å and eV, the values of Quantum ESPRESSO 6.7 and newer (CODATA 2018).
BOHR, RYDBERG = 0.529177210903, 13.605693122994

#: What pw.x accepts as the label of a species: the symbol, and one more character that tells species of it apart.
LABEL = re.compile(r'([A-Z][a-z]?)(|[0-9]{1,2}|[A-Za-z_-]?[0-9A-Za-z]?)')
LABEL_LENGTH = 3

#: A spin-polarised calculation has to start from some moment: where nobody says from which, this part of the valence.
SMALL_START = 0.2


class _Model(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class RelaxSettings(_Model):
    """How structures are relaxed; thresholds in eV/Å and eV/Å³."""

    force_threshold: float = Field(gt=0)
    stress_threshold: float = Field(gt=0)
    max_steps: int = Field(ge=1)


class NebSettings(_Model):
    """How bands are optimised; thresholds in eV/Å, the others as neb.x takes them."""

    climb: bool
    climb_threshold: float | None = Field(gt=0)
    force_threshold: float = Field(gt=0)
    max_steps: int = Field(ge=0)
    opt_scheme: Literal['broyden', 'broyden2', 'quick-min', 'sd']
    ds: float = Field(gt=0)
    k_min: float = Field(gt=0)
    k_max: float = Field(gt=0)
    spacing_tolerance: float = Field(gt=0)
    path: dict[str, Any]

    @model_validator(mode='after')
    def _check(self) -> NebSettings:
        if self.k_min > self.k_max:
            raise ValueError(f'k_min is {self.k_min} and larger than k_max, {self.k_max}')
        taken = {'num_of_images', 'restart_mode', 'string_method', 'ci_scheme', 'nstep_path'} & set(self.path)
        if taken:
            raise ValueError(f'path: {sorted(taken)[0]} follows from the other settings and the band, leave it out')
        return self


class Settings(_Model):
    """The protocol of the engine, see protocol.yaml."""

    functional: str
    hubbard_u: dict[str, Any]
    hubbard_card: bool
    hubbard_projectors: Literal['ortho-atomic', 'atomic']
    pseudo_family: str | None
    pseudo_families: dict[str, str]
    pseudo_stringency: str | None
    ecutwfc: float | None = Field(gt=0)
    ecutrho: float | None = Field(gt=0)
    kpoints_distance: float = Field(gt=0)
    kpoints_mesh: tuple[int, int, int] | None
    smearing: Literal['cold', 'gaussian', 'methfessel-paxton', 'fermi-dirac', 'fixed']
    degauss: float = Field(gt=0)
    spin: Literal['auto', 'none', 'collinear']
    magnetic_start: Literal['default', 'none']
    moments: dict[str, float]
    conv_thr_per_atom: float = Field(gt=0)
    mixing_beta: float = Field(gt=0, le=1)
    electron_maxstep: int = Field(ge=1)
    relax: RelaxSettings
    neb: NebSettings
    npool: int | None = Field(ge=1)
    nimage: int | None = Field(ge=1)
    command_line: list[str]
    namelists: dict[str, dict[str, Any]]
    max_iterations: int = Field(ge=1)

    @field_validator('moments')
    @classmethod
    def _elements(cls, moments: dict[str, float]) -> dict[str, float]:
        from pymatgen.core import Element

        for element in moments:
            if not Element.is_valid_symbol(element):
                raise ValueError(f'{element!r} is no element')
        return moments

    @model_validator(mode='after')
    def _check(self) -> Settings:
        if (self.ecutwfc is None) != (self.ecutrho is None):
            raise ValueError('give both cutoffs, ecutwfc and ecutrho, or neither')
        if self.ecutwfc is not None and self.ecutrho is not None and self.ecutrho < 4 * self.ecutwfc:
            raise ValueError(f'ecutrho is {self.ecutrho:g} Ry, less than 4 times ecutwfc, {self.ecutwfc:g} Ry')
        if self.kpoints_mesh is not None and min(self.kpoints_mesh) < 1:
            raise ValueError(f'kpoints_mesh takes three whole numbers of at least 1, got {list(self.kpoints_mesh)}')
        for name, entries in self.namelists.items():
            if name not in ('CONTROL', 'SYSTEM', 'ELECTRONS', 'IONS', 'CELL'):
                raise ValueError(f'namelists: there is no namelist {name!r} of pw.x')
            wrong = [key for key in entries if key != key.lower()]
            if wrong:
                raise ValueError(f'namelists: write {wrong[0].lower()!r} in small letters, not {wrong[0]!r}')
        self.resolved_functional  # noqa: B018  (raises for unknown ones)
        return self

    @property
    def resolved_functional(self) -> Functional:
        """The functional with its U values."""
        return load_functionals(FUNCTIONALS).resolve(self.functional, self.hubbard_u)

    @property
    def pseudo_functional(self) -> str:
        """The functional that the pseudopotentials have to be made for."""
        return self.resolved_functional.base.removesuffix('+u')

    @property
    def family(self) -> str:
        """Label of the family of pseudopotentials."""
        return self.pseudo_family or self.pseudo_families[self.pseudo_functional]

    @property
    def command_line_words(self) -> list[str]:
        """Words on the command line of both programs."""
        return [*([] if self.npool is None else ['-nk', str(self.npool)]), *self.command_line]


def check_settings(values: Mapping[str, Any]) -> Settings:
    """Return the settings that a resolved protocol stands for.

    :raises ValueError: for unknown keys, with the closest known one, for values that cannot be, and for functionals
        that are unknown or cannot be computed.
    """
    for key in values:
        if key not in Settings.model_fields:
            raise ValueError(f'unknown key {key!r}{closest(key, Settings.model_fields)}')
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = '.'.join(map(str, first['loc']))
        message = first['msg'].removeprefix('Value error, ')
        raise ValueError(f'{place}: {message}' if place else message) from None


class Hubbard(_Model):
    """The Hubbard U of a species.

    :param u: in eV.
    :param manifold: the shell, such as `3d`.
    """

    u: float
    manifold: str


class Atoms:
    """What of a crystal or of the images of a band settings depend on.

    :param kinds: the kinds of atoms.
    :param indices: index of the kind of each atom.
    :raises ValueError: for kinds whose name pw.x does not take as the label of a species.
    """

    def __init__(self, kinds: Sequence[Kind], indices: Iterable[int]) -> None:
        numbers = [int(index) for index in indices]
        present = sorted(set(numbers))
        self.kinds = {kinds[index].name: kinds[index] for index in present}
        self.counts = {kinds[index].name: numbers.count(index) for index in present}
        for name, kind in self.kinds.items():
            found = LABEL.fullmatch(name)
            if found is None or found[1] != kind.element or len(name) > LABEL_LENGTH:
                raise ValueError(
                    f'pw.x cannot tell atoms of the kind {name!r} by this name: name the kinds of {kind.element} '
                    f'{kind.element}1, {kind.element}2, ... (at most {LABEL_LENGTH} characters)'
                )

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts.values())

    @property
    def species(self) -> list[str]:
        """Names of the kinds in the order of the species, which is that of the alphabet as aiida-quantumespresso's."""
        return sorted(self.kinds)

    def n_electrons(self, z_valence: Mapping[str, float], charge: float) -> float:
        """Return the number of electrons.

        :param z_valence: valence of the pseudopotential of each element.
        """
        total = sum(z_valence[self.kinds[name].element] * count for name, count in self.counts.items())
        return total - charge


def moments_of_kinds(atoms: Atoms, settings: Settings) -> dict[str, float] | None:
    """Return the moment of each kind to start from in Bohr magnetons, None for a calculation without spin.

    :raises ValueError: where kinds have moments and the settings forbid spin.
    """
    if settings.spin == 'none':
        polarised = [name for name, kind in atoms.kinds.items() if kind.magnetic_moment]
        if polarised:
            raise ValueError(
                f'the kind {polarised[0]!r} has a magnetic moment, but spin is `none`: set it to `auto` or `collinear`'
            )
        return None
    of_kinds = start_moments(list(atoms.kinds.values()), settings.magnetic_start, settings.moments)
    moments = dict(zip(atoms.kinds, of_kinds, strict=True))
    if settings.spin == 'auto' and not any(moments.values()):
        return None
    return moments


def hubbard_of(atoms: Atoms, settings: Settings) -> dict[str, Hubbard]:
    """Return the Hubbard U of each kind that gets one; U values of kinds prevail over those of the functional.

    A functional without U ignores those of kinds, so that one crystal can be computed with functionals of both sorts.

    :raises ValueError: for a U on an element whose shell is not known.
    """
    functional = settings.resolved_functional
    found: dict[str, Hubbard] = {}
    if not functional.has_u:
        return found
    for name, kind in atoms.kinds.items():
        entry = functional.hubbard_u.get(kind.element)
        u = entry.u if kind.hubbard_u is None and entry is not None else kind.hubbard_u
        if u:
            shell = default_shell(kind.element) if entry is None else entry.orbital
            found[name] = Hubbard(u=u, manifold=_manifold(kind.element, shell))
    return found


def _manifold(element: str, orbital: str) -> str:
    """Return the shell of an element which a U acts on, with its principal quantum number."""
    from pymatgen.core import Element

    row = Element(element).row
    period = {8: 6, 9: 7}.get(row, row)  # lanthanides and actinides have rows of their own
    return f'{period - {"p": 0, "d": 1, "f": 2}[orbital]}{orbital}'


def _moments(
    atoms: Atoms, settings: Settings, charge: float, z_valence: Mapping[str, float] | None
) -> dict[str, float] | None:
    """Return the moments to start from, None without spin; an odd number of electrons needs spin.

    :raises ValueError: for an odd number of electrons where the settings forbid spin.
    """
    moments = moments_of_kinds(atoms, settings)
    if moments is not None:
        return moments
    if z_valence is None:
        from pymatgen.core import Element

        elements = {kind.element: Element(kind.element) for kind in atoms.kinds.values()}
        if any(element.is_lanthanoid or element.is_actinoid for element in elements.values()):
            return None  # some pseudopotentials have an odd number of f electrons in their core; others have pairs
        z_valence = {name: element.Z for name, element in elements.items()}
    n_electrons = atoms.n_electrons(z_valence, charge)
    if abs(n_electrons - round(n_electrons)) > 1e-6 or round(n_electrons) % 2 == 0:
        return None
    if settings.spin == 'auto':
        return dict.fromkeys(atoms.kinds, 0.0)
    raise ValueError(
        f'the cell of charge {charge:+g} has {round(n_electrons)} electrons, an odd number, which needs spin: set '
        '`spin` to `auto` or `collinear`, or give the charge that the ion leaves or brings (an Li+ that is taken out '
        'without its electron is -1)'
    )


def pw_namelists(
    atoms: Atoms,
    settings: Settings,
    charge: float = 0.0,
    task: Literal['scf', 'relax', 'vc-relax'] = 'scf',
    z_valence: Mapping[str, float] | None = None,
    cutoffs: tuple[float, float] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the namelists of pw.x; values of species are mappings by the names of the kinds.

    :param charge: of the cell in units of e.
    :param z_valence: valence of the pseudopotential of each element; None where they are not known, which are then
        described in words.
    :param cutoffs: recommended by the family in Ry, in place of those of the settings where these give none.
    :raises ValueError: for an odd number of electrons without spin, moments that contradict the settings, and a U on an
        element whose shell is not known.
    """
    n_atoms = atoms.n_atoms
    moments = _moments(atoms, settings, charge, z_valence)
    wfc, rho = (settings.ecutwfc, settings.ecutrho) if settings.ecutwfc is not None else (cutoffs or (None, None))
    unknown = f'recommended by {settings.family}'
    system: dict[str, Any] = {
        'ecutwfc': unknown if wfc is None else float(wfc),
        'ecutrho': unknown if rho is None else float(rho),
        'tot_charge': float(charge),
        **settings.resolved_functional.tags,
    }
    if settings.smearing == 'fixed':
        system['occupations'] = 'fixed'
    else:
        system |= {'occupations': 'smearing', 'smearing': settings.smearing, 'degauss': settings.degauss}
    if moments is not None:
        system |= {'nspin': 2, 'starting_magnetization': _starting_magnetization(atoms, moments, z_valence)}
    hubbard = hubbard_of(atoms, settings)
    if hubbard and not settings.hubbard_card:
        system |= {
            'lda_plus_u': True,
            'lda_plus_u_kind': 0,
            'u_projection_type': settings.hubbard_projectors,
            'hubbard_u': {name: entry.u for name, entry in sorted(hubbard.items())},
        }
    electrons = {
        'conv_thr': settings.conv_thr_per_atom * n_atoms,
        'mixing_beta': settings.mixing_beta,
        'electron_maxstep': settings.electron_maxstep,
    }
    control: dict[str, Any] = {'calculation': task, 'verbosity': 'high', 'tprnfor': True}
    namelists: dict[str, dict[str, Any]] = {'CONTROL': control, 'SYSTEM': system, 'ELECTRONS': electrons}
    if task != 'scf':
        control['nstep'] = settings.relax.max_steps
        control['forc_conv_thr'] = settings.relax.force_threshold * BOHR / RYDBERG
        # Forces decide: a change of the energy that is small for its own reasons must not end a relaxation.
        control['etot_conv_thr'] = 1.0e-5 * n_atoms
        namelists['IONS'] = {'ion_dynamics': 'bfgs'}
    if task == 'vc-relax':
        namelists['CELL'] = {'press_conv_thr': settings.relax.stress_threshold * 1602.176634}
    for name, entries in settings.namelists.items():
        if name in namelists:
            namelists[name] |= entries
    return namelists


def _starting_magnetization(
    atoms: Atoms, moments: Mapping[str, float], z_valence: Mapping[str, float] | None
) -> dict[str, Any]:
    """Return what pw.x calls starting_magnetization: of each kind the moment over the valence, between -1 and 1."""
    if not any(moments.values()):
        return dict.fromkeys(atoms.species, SMALL_START)
    if z_valence is None:
        return {name: f'{moment:g} Bohr magnetons over Z valence' for name, moment in sorted(moments.items())}
    return {
        name: float(np.clip(moment / z_valence[atoms.kinds[name].element], -1, 1))
        for name, moment in sorted(moments.items())
    }


def path_namelist(
    settings: Settings,
    n_images: int,
    climbing: bool,
    steps: int,
    restart: bool = False,
    *,
    final: bool | None = None,
) -> dict[str, Any]:
    """Return the namelist PATH of neb.x.

    neb.x compares the largest component of the force with path_thr, while bands are judged by the largest force on an
    atom: a component below the threshold over the square root of 3 implies that.

    :param climbing: whether the highest image climbs.
    :param steps: limit on the steps, those before a restart included.
    :param final: whether it goes down to the threshold of the forces, and not to that at which the highest image begins
        to climb; by default where an image climbs or none is to. A band whose highest image is an endpoint goes there
        without a climbing image.
    """
    neb = settings.neb
    if final is None:
        final = climbing or not neb.climb
    threshold = neb.force_threshold
    if not final and neb.climb_threshold is not None:
        threshold = max(neb.climb_threshold, neb.force_threshold)
    path = {
        'string_method': 'neb',
        'restart_mode': 'restart' if restart else 'from_scratch',
        'num_of_images': n_images,
        'nstep_path': steps,
        'opt_scheme': neb.opt_scheme,
        'ci_scheme': 'auto' if climbing else 'no-CI',
        'path_thr': threshold / math.sqrt(3),
        'ds': neb.ds,
        'k_min': neb.k_min,
        'k_max': neb.k_max,
        'first_last_opt': False,
        'minimum_image': False,
    }
    return path | (neb.path if final else {key: value for key, value in neb.path.items() if key != 'path_thr'})


def kpoints_mesh(lattice: ArrayLike, settings: Settings) -> tuple[int, int, int]:
    """Return the mesh of k-points, which contains Gamma.

    :param lattice: lattice vectors as rows in Å.
    """
    if settings.kpoints_mesh is not None:
        return settings.kpoints_mesh
    reciprocal = 2 * np.pi * np.linalg.inv(np.asarray(lattice, dtype=float)).T
    counts = np.ceil(np.round(np.linalg.norm(reciprocal, axis=1) / settings.kpoints_distance, 5))
    first, second, third = (max(1, int(count)) for count in counts)
    return first, second, third
