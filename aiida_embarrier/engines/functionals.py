"""Density functionals as data: one YAML file per engine says how each key is spelt in that engine's input.

A functional is named by a key such as `pbe`, `scan+u`, or, with a dispersion correction, `pbe-d3bj` and `scan+u-rvv10`.
The file has three tables::

    functionals:
      pbe+u:
        description: PBE with a Hubbard U
        tags: {GGA: PE, LASPH: true}    # what the engine's input gets
        hubbard: pbe                    # the table of U values; left out without U
      scan:
        refused: the reason why this engine cannot do it
    dispersions:
      d3bj:
        description: D3 with Becke-Johnson damping
        tags: {IVDW: 12}
        functionals: [pbe, pbe+u]       # those it may be combined with
    hubbard_u:
      pbe:
        Mn: {u: 3.9, orbital: d, source: where it is from, verified: true}
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from aiida_embarrier.engines.protocols import closest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('Dispersion', 'Functional', 'FunctionalTable', 'HubbardU', 'default_shell', 'load_functionals')


class _Entry(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class HubbardU(_Entry):
    """The effective Hubbard U of an element.

    :param u: in eV.
    :param orbital: the shell it acts on: `p`, `d` or `f`.
    :param source: where the value is from.
    :param verified: whether the value was looked up in that source, and is not from memory.
    """

    u: float = Field(ge=0)
    orbital: str = Field(pattern='^[pdf]$')
    source: str
    verified: bool


class Dispersion(_Entry):
    """A dispersion correction.

    :param description: one line.
    :param tags: what the engine's input gets in addition.
    :param functionals: keys of those that it may be combined with.
    :param overrides: tags that differ for one of them, by its key.
    """

    description: str
    tags: dict[str, Any]
    functionals: list[str]
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)


class _Definition(_Entry):
    description: str = ''
    tags: dict[str, Any] = Field(default_factory=dict)
    hubbard: str | None = None
    refused: str | None = None

    @model_validator(mode='after')
    def _either(self) -> _Definition:
        if (self.refused is None) == (not self.description):
            raise ValueError('a functional has either a description and tags, or `refused` with the reason')
        return self


class Functional(_Entry):
    """A functional as one engine computes it.

    :param key: its full name, with the dispersion correction.
    :param base: its key without the dispersion correction.
    :param dispersion: key of the dispersion correction, None without.
    :param description: one line.
    :param tags: what the engine's input gets.
    :param hubbard_u: U values by element; empty for functionals without U.
    """

    key: str
    base: str
    dispersion: str | None = None
    description: str
    tags: dict[str, Any]
    hubbard_u: dict[str, HubbardU] = Field(default_factory=dict)

    @property
    def has_u(self) -> bool:
        """Whether it is one with a Hubbard U (for crystals without elements that get one it may still be zero)."""
        return self.base.endswith('+u')


class FunctionalTable(_Entry):
    """The functionals of an engine."""

    functionals: dict[str, _Definition]
    dispersions: dict[str, Dispersion] = Field(default_factory=dict)
    hubbard_u: dict[str, dict[str, HubbardU]] = Field(default_factory=dict)

    @model_validator(mode='after')
    def _names_exist(self) -> FunctionalTable:
        for key, entry in self.functionals.items():
            if entry.hubbard is not None and entry.hubbard not in self.hubbard_u:
                raise ValueError(f'{key}: there is no table of U values {entry.hubbard!r}')
            if key.endswith('+u') != (entry.hubbard is not None) and entry.refused is None:
                raise ValueError(f'{key}: functionals with U, and only these, end in +u and name a table of U values')
        for key, dispersion in self.dispersions.items():
            for name in (*dispersion.functionals, *dispersion.overrides):
                if name not in self.functionals:
                    raise ValueError(f'{key}: there is no functional {name!r}')
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of what can be computed, without dispersion."""
        return tuple(key for key, entry in self.functionals.items() if entry.refused is None)

    def resolve(self, name: str, hubbard_u: dict[str, Any] | None = None) -> Functional:
        """Return a functional by its name.

        :param name: a key, or a key, a hyphen and the key of a dispersion correction; in any case.
        :param hubbard_u: U values in eV that replace those of the table, by element; a number, or a mapping with `u`
            and `orbital`.
        :raises ValueError: for unknown names, with the closest known one; for what the engine cannot do, with the
            reason; and for U values given to a functional that has none.
        """
        key = str(name).lower()
        base, _, dispersion = key.partition('-')
        if base not in self.functionals:
            raise ValueError(f'unknown functional {name!r}{closest(base, self.keys)}')
        entry = self.functionals[base]
        if entry.refused is not None:
            raise ValueError(f'the functional {base!r} cannot be computed here: {entry.refused}')
        tags, description = dict(entry.tags), entry.description
        if dispersion:
            if dispersion not in self.dispersions:
                raise ValueError(
                    f'unknown dispersion correction {dispersion!r} in {name!r}{closest(dispersion, self.dispersions)}'
                )
            correction = self.dispersions[dispersion]
            if base not in correction.functionals:
                raise ValueError(
                    f'the dispersion correction {dispersion!r} has no parameters for {base!r}: it goes with '
                    f'{", ".join(correction.functionals)}'
                )
            tags |= correction.tags | correction.overrides.get(base, {})
            description = f'{description}; {correction.description}'
        return Functional(
            key=key,
            base=base,
            dispersion=dispersion or None,
            description=description,
            tags=tags,
            hubbard_u=self._u_values(entry, base, hubbard_u or {}),
        )

    def _u_values(self, entry: _Definition, base: str, given: dict[str, Any]) -> dict[str, HubbardU]:
        if entry.hubbard is None:
            if given:
                raise ValueError(
                    f'{base!r} has no Hubbard U, but values are given for {", ".join(given)}: use {base}+u'
                )
            return {}
        table = dict(self.hubbard_u[entry.hubbard])
        for element, value in given.items():
            known = table.get(element)
            if not isinstance(value, dict):
                value = {'u': value, 'orbital': default_shell(element) if known is None else known.orbital}
            try:
                table[element] = HubbardU(**{'source': 'given by the user', 'verified': True, **value})
            except ValueError as error:
                raise ValueError(f'the Hubbard U of {element} is {value!r}: {error}') from error
        return table


def default_shell(element: str) -> str:
    """Return the shell that a U of an element acts on where nothing says so: that of its block, `d` or `f`.

    :raises ValueError: for what is no element, and for elements whose outer shell is s or p.
    """
    from pymatgen.core import Element

    if not Element.is_valid_symbol(element):
        raise ValueError(f'a Hubbard U is given for {element!r}, which is no element')
    block = Element(element).block
    if block not in ('d', 'f'):
        raise ValueError(
            f'which shell of {element} the Hubbard U acts on is not known: give it in the protocol, '
            f'hubbard_u: {{{element}: {{u: ..., orbital: p}}}}'
        )
    return str(block)


@cache
def load_functionals(path: Path) -> FunctionalTable:
    """Return the functionals in a file of an engine.

    :raises ValueError: for a file that does not fit the schema.
    """
    return FunctionalTable(**yaml.safe_load(path.read_text(encoding='utf8')))
