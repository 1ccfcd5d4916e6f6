"""What an entry of a dataset is computed from: the file of a literature row, and checks before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from aiida_embarrier.calculations.entries import FACTS, check_facts, endpoints_of, row_facts, row_named
from aiida_embarrier.datasets.definitions import UNSTATED
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.workflows.barrier_inputs import validate_engine_inputs
from aiida_embarrier.workflows.derive_inputs import is_disordered
from aiida_embarrier.workflows.functionals_inputs import Moments, Section

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.orm import Dict

__all__ = ('STEPS', 'Derivation', 'LiteratureRow', 'check_row', 'read_row', 'validate_entry')


#: Steps of a derivation, as its builder takes them.
STEPS = ('structure', 'kinds', 'lookup', 'parent', 'substitution', 'orderings', 'charge_state', 'hops')


class Derivation(Section):
    """How the structure of a row is derived; every key may be left out.

    :param lookup: search of a database, see the input `lookup` of the derivation.
    :param substitution: how it is derived from the parent: `substitute`, `radii`, ...
    :param orderings: how a disordered crystal is ordered: `mode`, `supercell`, `tolerance`, ...
    :param charge_state: `discharged`, `charged`, the share of the sites of the ion that are occupied, or a mapping of
        all parameters.
    :param relax_orderings: how many orderings are relaxed.
    """

    lookup: dict[str, Any] | None = None
    substitution: dict[str, Any] | None = None
    orderings: dict[str, Any] | None = None
    charge_state: str | float | dict[str, Any] | None = None
    relax_orderings: int | None = Field(None, ge=1)


class LiteratureRow(Section):
    """The file of a literature row: a published barrier, the crystal that it belongs to, and the hop.

    :param name: of the row.
    :param barrier: as published, in eV.
    :param barrier_definition: forward, reverse, rate_limiting, span; `literature` where the source does not say.
    :param source: citation, DOI, or dataset and row.
    :param ion: the migrating ion.
    :param functional: density functional as the source names it, such as GGA+U.
    :param notes: what else a reader should know.
    :param structure: file of the crystal, ordered or not; relative to this file.
    :param parent: file of the crystal that the structure is derived from, instead of `structure`.
    :param moments: start moments in Bohr magnetons in that file, by element or site by site.
    :param derive: how the structure is derived.
    :param hop: number of the hop in the derived structure, or a mapping with `number` or `between` (two sites) and
        `mechanism`, `max_length`, `extra_vacancies`, `sites`, `symprec`.
    :param overrides: values that replace those of the protocol.
    """

    name: str = Field(min_length=1)
    barrier: float
    barrier_definition: str = UNSTATED
    source: str = Field(min_length=1)
    ion: str = Field(min_length=1)
    functional: str | None = None
    notes: str | None = None
    structure: str | None = None
    parent: str | None = None
    moments: Moments | None = None
    derive: Derivation = Field(default_factory=Derivation)
    hop: int | dict[str, Any] = 0
    overrides: dict[str, Any] = Field(default_factory=dict)

    @field_validator('hop', mode='before')
    @classmethod
    def _is_hop(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | dict):
            raise ValueError(f'a hop is a number or a mapping, got {value!r}')
        return value

    @model_validator(mode='after')
    def _is_sound(self) -> LiteratureRow:
        check_facts(self.facts)
        if self.structure is None and self.parent is None and self.derive.lookup is None:
            raise ValueError(
                f'the literature row {self.name!r} has no structure: name a file as `structure`, or as `parent` with '
                '`derive.substitution`, or search a database by `derive.lookup`'
            )
        if self.structure is not None and (self.parent is not None or self.derive.lookup is not None):
            other = '`parent`' if self.parent is not None else '`derive.lookup`'
            raise ValueError(f'the literature row {self.name!r} has a `structure` and {other}: leave one of them out')
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """What the literature says, as it goes into the provenance."""
        given = {key: getattr(self, key) for key in FACTS}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def charge_state(self) -> dict[str, Any] | None:
        """Parameters of the charge state."""
        state = self.derive.charge_state
        if state is None:
            return None
        return {'ion': self.ion, **(state if isinstance(state, dict) else {'state': state})}

    @property
    def hops(self) -> dict[str, Any]:
        """The hop, as the derivation takes it."""
        return {'ion': self.ion, **(self.hop if isinstance(self.hop, dict) else {'number': self.hop})}


class _UniqueKeys(yaml.SafeLoader):
    """YAML where no key stands twice in a mapping: PyYAML takes the last one in silence, which may be the wrong one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; refuse one that has a key twice, with the place."""
        seen: list[Any] = []
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen and key.tag != 'tag:yaml.org,2002:merge':
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {name!r} stands there twice', key.start_mark
                )
            seen.append(name)
        return super().construct_mapping(node, deep)


def read_row(path: Path) -> LiteratureRow:
    """Return what the file of a literature row says; files that it names are looked for, not read.

    :raises ValueError: for a file that is none, with the place and the closest known key.
    """
    try:
        content = yaml.load(path.read_text(encoding='utf8'), Loader=_UniqueKeys)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is not YAML: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds no mapping of keys to values')
    try:
        row = LiteratureRow(**content)
    except ValidationError as error:
        raise ValueError(f'{path}: {describe(error)}') from error
    for key in ('structure', 'parent'):
        name = getattr(row, key)
        if name is not None and not (path.parent / name).is_file():
            raise ValueError(f'{path}: there is no file {str(path.parent / name)!r} (`{key}`)')
    return row


def check_row(value: dict[str, Any]) -> str | None:
    """Return what is wrong with a literature row, None where nothing is."""
    try:
        check_facts(value)
    except ValueError as error:
        return str(error)
    return None


def validate_entry(inputs: Any, _: Any) -> str | None:
    """Check that there is one row with one hop, and the inputs of the engine against its own work chains."""
    derive = inputs.get('derive') or {}
    if not any(name in derive for name in (*STEPS, 'engine')):  # builders have empty namespaces inside
        derive = {}
    from_dataset = 'dataset' in inputs or 'row_name' in inputs
    if from_dataset and ('row' in inputs or derive):
        return 'the row of a `dataset` says its path itself: leave out `row` and `derive`, or `dataset` and `row_name`'
    if from_dataset:
        message = _check_dataset(inputs)
    elif 'row' not in inputs:
        return 'there is no row: give `row` and `derive`, or a `dataset` and `row_name`'
    elif not derive:
        return 'the row has no structure: say in `derive` what it is derived from'
    else:
        message = _check_hop(inputs['row'], derive)
    return message or _check_barrier(inputs['barrier'], derive)


def _check_dataset(inputs: Any) -> str | None:
    for name in ('dataset', 'row_name'):
        if name not in inputs:
            return f'the input `{name}` is missing: a row is taken from a `dataset` by its `row_name`'
    try:
        row = row_named(inputs['dataset'].table, inputs['row_name'].value)
        check_facts({'source': 'a dataset', **row_facts(row)})
        endpoints_of(row)
    except ValueError as error:
        return f'row {inputs["row_name"].value!r}: {error}'
    return None


def _check_hop(row: Dict, derive: Any) -> str | None:
    """Check that there is one hop, of the ion of the row."""
    if 'hops' not in derive:
        return 'the row has no hop: say in `derive.hops` which it is'
    hops = derive['hops'].get_dict()
    n_numbers = len(hops['numbers']) if isinstance(hops.get('numbers'), list) else 0
    if n_numbers != 1 and hops.get('number') is None and hops.get('between') is None:
        return 'an entry is one hop: say in `derive.hops` which, by `number`, or by `between`, two sites'
    ion = hops.get('ion', row.get('ion', None))
    if ion != row.get('ion', None):
        return f'the barrier of the row is that of {row["ion"]}, the hop that of {ion}'
    return None


def _check_barrier(barrier: Any, derive: Any) -> str | None:
    """Check the inputs of the barrier work chain as far as its path is known."""
    known = 'structure' in derive and not is_disordered(derive['structure']) and 'charge_state' not in derive
    path = {name: derive[name] for name in ('structure', 'kinds') if name in derive} if known else {}
    message = validate_engine_inputs({**barrier, **path})
    if message is not None:
        return f'barrier: {message}'
    return None
