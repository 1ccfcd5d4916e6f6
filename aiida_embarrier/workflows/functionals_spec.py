"""The YAML file that describes a comparison of functionals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.datasets.functionals import ERRORS
from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.workflows.functionals_inputs import (
    ComparedSystem,
    Experiment,
    Moments,
    Section,
    with_moments,
)
from aiida_embarrier.workflows.spec_files import read_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ('ComparisonSpec', 'SystemSpec', 'read_spec')


def _one_of(value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f'unknown value {value!r}{closest(value, known)}')
    return value


class SystemSpec(Section):
    """A system in the file of a comparison: a crystal and a hop, or two endpoints.

    :param name: for people; it names the rows of tables.
    :param file: crystal.
    :param initial: initial endpoint, instead of `file` and `hop`.
    :param final: final endpoint.
    :param ion: the migrating ion, with `file`.
    :param hop: number of the hop, as `aiida-embarrier hops` lists them.
    :param mechanism: `vacancy`, `interstitial`, or, between two endpoints, `any`.
    :param max_length: as given to `hops`; `extra_vacancies` and `symprec` too.
    :param alignment: how two endpoints are aligned, as the input `alignment` of the barrier work chain.
    :param moments: start moments in Bohr magnetons, by element or site by site.
    :param charges: charges of its cells in units of e, instead of those of the comparison.
    :param experiment: what was measured.
    :param overrides: values that replace those of the protocol for this system.
    """

    name: str = Field(min_length=1)
    file: str | None = None
    initial: str | None = None
    final: str | None = None
    ion: str | None = None
    hop: int | None = None
    mechanism: Literal['vacancy', 'interstitial', 'any'] = 'vacancy'
    max_length: float | None = None
    extra_vacancies: int | None = None
    symprec: float | None = None
    alignment: dict[str, Any] | None = None
    moments: Moments | None = None
    charges: list[float] | None = None
    experiment: Experiment | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode='after')
    def _one_path(self) -> SystemSpec:
        crystal = (self.file, self.ion, self.hop)
        ends = (self.initial, self.final)
        if all(value is not None for value in crystal) and not any(ends):
            return self
        if all(ends) and not any(value is not None for value in crystal):
            return self
        raise ValueError(f'{self.name}: give `file`, `ion` and `hop`, or `initial` and `final`')


class ComparisonSpec(Section):
    """The file of a comparison.

    :param engine: an engine with density functionals.
    :param functionals: their keys.
    :param charges: charges of the cells in units of e, unless a system has its own.
    :param climbing: `[false]` for NEB, `[true]` for NEB with climbing image, both to compare them.
    :param systems: what is computed.
    :param protocol: `fast`, `balanced` or `stringent`.
    :param overrides: values that replace those of the protocol for all cells.
    :param functional_overrides: the same for the cells of one functional, by its key.
    :param options: options of all jobs, as AiiDA names them.
    :param code: label of the code, or of each program of the engine.
    :param max_concurrent: how many relaxations and barriers run at a time.
    :param quantity: the barrier that is compared.
    :param range_error: how the error against a range is counted: from its nearer end, or from its middle.
    :param min_systems: from fewer systems nothing is concluded from errors.
    :param reference: the functional that costs are relative to; PBE where it is among them, else the first.
    """

    engine: str
    functionals: list[str] = Field(min_length=1)
    charges: list[float] = Field(default=[0.0], min_length=1)
    climbing: list[bool] = Field(default=[False, True], min_length=1)
    systems: list[SystemSpec] = Field(min_length=1)
    protocol: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)
    functional_overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    code: str | dict[str, str] | None = None
    max_concurrent: int | None = Field(default=None, ge=1)
    quantity: str = 'forward'
    range_error: str = 'nearest'
    min_systems: int = Field(default=3, ge=2)
    reference: str | None = None

    @field_validator('quantity')
    @classmethod
    def _is_barrier(cls, value: str) -> str:
        return _one_of(value, QUANTITIES)

    @field_validator('range_error')
    @classmethod
    def _is_error(cls, value: str) -> str:
        return _one_of(value, ERRORS)

    @model_validator(mode='after')
    def _fits_together(self) -> ComparisonSpec:
        for what, values in (
            ('functionals', self.functionals),
            ('names of systems', [system.name for system in self.systems]),
            ('charges', self.charges),
            ('values of climbing', self.climbing),
        ):
            repeated = [value for number, value in enumerate(values) if value in values[:number]]
            if repeated:
                raise ValueError(f'the {what} differ from each other, but {repeated[0]!r} is there more than once')
        known = [*self.functional_overrides, *([self.reference] if self.reference is not None else [])]
        for name in known:
            if name not in self.functionals:
                raise ValueError(f'{name!r} is not among the functionals{closest(name, self.functionals)}')
        return self


def read_spec(path: Path) -> tuple[ComparisonSpec, list[ComparedSystem]]:
    """Return what the file of a comparison says, and its systems; files in it stand relative to it.

    :raises ValueError: for a file that is none, with the place and the closest known key.
    """
    from aiida_embarrier.structures.reading import read_structure

    try:
        spec = ComparisonSpec(**read_entries(path))
    except ValidationError as error:
        raise ValueError(f'{path}: {_first_of(error)}') from error

    def read(name: str | None, moments: Moments | None) -> Any:
        if name is None:
            return None
        file = path.parent / name
        if not file.is_file():
            raise ValueError(f'{path}: there is no file {str(file)!r}')
        structure = read_structure(file)
        return structure if moments is None else with_moments(structure, moments)

    systems = []
    for entry in spec.systems:
        limits = {name: getattr(entry, name) for name in ('max_length', 'extra_vacancies', 'symprec')}
        hop = {'ion': entry.ion, 'number': entry.hop, 'mechanism': entry.mechanism}
        try:
            systems.append(
                ComparedSystem(
                    name=entry.name,
                    structure=read(entry.file, entry.moments),
                    hop=None
                    if entry.file is None
                    else {**hop, **{name: value for name, value in limits.items() if value is not None}},
                    initial=read(entry.initial, entry.moments),
                    final=read(entry.final, entry.moments),
                    mechanism=None if entry.initial is None else entry.mechanism,
                    alignment=entry.alignment,
                    charges=None if entry.charges is None else tuple(entry.charges),
                    experiment=entry.experiment,
                    overrides=entry.overrides,
                )
            )
        except ValueError as error:
            raise ValueError(f'system {entry.name!r}: {error}') from error
    return spec, systems


def _first_of(error: ValidationError) -> str:
    """Return the first thing that is wrong, with its place; of a union that was meant the deepest."""
    found = max(error.errors(), key=lambda entry: (entry['type'] == 'value_error', -len(entry['loc'])))
    place = '.'.join(map(str, found['loc']))
    message = found['msg'].removeprefix('Value error, ')
    return f'{place}: {message}' if place else message
