"""The values of a protocol: of which type they are, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pymatgen.core import Element

from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.incar import RELAX_OPTIMISERS, check_neb, further_tags
from aiida_embarrier.engines.vasp.layout import paw_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ('check_protocol',)

#: ISMEAR below zero for which energies are extrapolated to zero smearing: Fermi, Gaussian, tetrahedra. Occupations that
#: are given (-2) or varied (-3) are not.
SMEARINGS = (-15, -14, -5, -4, -1)


class _Model(BaseModel):
    """Values are taken as they are: `'520'` is no number, and `1` no truth value."""

    model_config = ConfigDict(strict=True, frozen=True)


class PawSettings(_Model):
    """Which PAW potentials are used."""

    family: str
    mapping: dict[str, str]


class RelaxSettings(_Model):
    """How crystals are relaxed; thresholds in eV/Å."""

    optimiser: str
    force_threshold: float = Field(gt=0)
    max_steps: int = Field(ge=0)
    potim: float = Field(gt=0)

    @field_validator('optimiser')
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in RELAX_OPTIMISERS:
            raise ValueError(f'unknown optimiser {value!r}{closest(value, RELAX_OPTIMISERS)}')
        return value


class NebSettings(_Model):
    """How bands are optimised; thresholds in eV/Å. Build and optimiser go together, see :func:`check_neb`."""

    climb: bool
    climb_threshold: float | None = Field(gt=0)
    force_threshold: float = Field(gt=0)
    spring_constant: float = Field(gt=0)
    spacing_tolerance: float = Field(gt=0)
    max_steps: int = Field(ge=0)
    potim: float = Field(gt=0)
    maxmove: float = Field(gt=0)


class ParallelSettings(_Model):
    """How VASP shares its work."""

    ncore: int | None = Field(ge=1)
    kpar: int | None = Field(ge=1)


class VaspSettings(_Model):
    """The protocol of the engine, see protocol.yaml; the functional is checked by its table."""

    paw: PawSettings
    encut: float = Field(gt=0)
    kspacing: float = Field(gt=0)
    kmesh: Any
    ismear: int
    sigma: float = Field(gt=0)
    ediff: float = Field(gt=0)
    nelm: int = Field(ge=1)
    prec: Literal['Low', 'Medium', 'Normal', 'Single', 'SingleN', 'High', 'Accurate']
    lreal: Literal['Auto', 'A', 'On', 'O'] | bool
    spin: Literal['auto', 'polarised', 'none']
    magnetic_start: Literal['default', 'none']
    moments: dict[str, float]
    relax: RelaxSettings
    neb: NebSettings
    parallel: ParallelSettings
    wavefunctions: bool
    keep_files: bool
    max_energy_change: float = Field(gt=0)
    incar: dict[str, Any]
    max_iterations: int = Field(ge=1)

    @field_validator('kmesh')
    @classmethod
    def _three(cls, mesh: Any) -> Any:
        if mesh is not None and not _is_mesh(mesh):
            raise ValueError('give three whole numbers of at least 1')
        return mesh

    @field_validator('ismear')
    @classmethod
    def _smearing(cls, value: int) -> int:
        if value < 0 and value not in SMEARINGS:
            raise ValueError(f'take one of {", ".join(map(str, SMEARINGS))}, 0, 1, 2, ...')
        return value

    @field_validator('moments')
    @classmethod
    def _elements(cls, moments: dict[str, float]) -> dict[str, float]:
        for element in moments:
            if not Element.is_valid_symbol(element):
                raise ValueError(f'{element!r} is no element')
        return moments


def _is_mesh(mesh: Any) -> bool:
    return (
        isinstance(mesh, list | tuple)
        and len(mesh) == 3
        and all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in mesh)
    )


def check_protocol(protocol: Mapping[str, Any]) -> None:
    """Check the values of a protocol that can be checked without a crystal.

    :raises ValueError: for whatever is wrong, with the remedy.
    """
    load_functionals(FUNCTIONALS).resolve(protocol['functional'], protocol['hubbard_u'])
    # the number of jobs is an input of its own of the work chains
    values = {'max_iterations': 1, **protocol}
    try:
        VaspSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place, value = _place(values, first['loc'])
        message = first['msg'].removeprefix('Value error, ')
        raise ValueError(f'protocol key `{place}`: {message[0].lower()}{message[1:]}, got {value!r}') from None
    check_neb(protocol['neb'])
    paw_names([], protocol['paw']['mapping'])
    further_tags(protocol['incar'])


def _place(values: Any, location: Sequence[Any]) -> tuple[str, Any]:
    """Return the key that an error of pydantic is about, and its value: alternatives of a type are no keys."""
    keys = []
    for entry in location:
        if not isinstance(values, Mapping) or entry not in values:
            break
        keys.append(str(entry))
        values = values[entry]
    return '.'.join(keys), values
