"""Protocols: named sets of inputs in YAML, and overrides that are refused when they are misspelt.

Resolving a protocol needs no profile and no code: ``aiida-embarrier show-protocol`` prints what a launch would use.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ('DEFAULT_PROTOCOL', 'closest', 'resolve_protocol')

DEFAULT_PROTOCOL = 'balanced'


def resolve_protocol(
    source: Path | Mapping[str, Any],
    protocol: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    place: tuple[str, ...] = (),
) -> dict:
    """Return the inputs of a protocol with overrides applied.

    The source holds `default` (all keys with their values) and `protocols` (for each protocol the values that differ).
    A key of an override has to stand in `default`; only below a key whose default is an empty mapping any key goes.

    :param source: a YAML file, or what stands in one.
    :param protocol: `fast`, `balanced` or `stringent`; None for `balanced`.
    :param overrides: nested mapping of values that replace those of the protocol.
    :param place: the keys below which the overrides stand for the user, for messages.
    :raises ValueError: for unknown protocols and keys, naming the closest known one.
    """
    content = source if isinstance(source, Mapping) else yaml.safe_load(source.read_text(encoding='utf8'))
    name = DEFAULT_PROTOCOL if protocol is None else protocol
    if name not in content['protocols']:
        raise ValueError(f'unknown protocol {name!r}{closest(name, content["protocols"])}')
    resolved = copy.deepcopy(content['default'])
    _merge(resolved, content['protocols'][name] or {}, place)
    _merge(resolved, overrides or {}, place)
    return resolved


def closest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: the closest known one, or all of them."""
    names = [str(entry) for entry in known]
    matches = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if matches:
        return f': did you mean {matches[0]!r}? (known: {", ".join(names)})'
    return f': choose one of {", ".join(names)}'


def _merge(base: dict[str, Any], changes: Mapping[str, Any], where: tuple[str, ...]) -> None:
    for key, value in changes.items():
        place = (*where, str(key))
        if key not in base:
            raise ValueError(f'unknown protocol key {".".join(place)!r}{closest(key, base)}')
        if isinstance(base[key], dict) and base[key]:
            if not isinstance(value, dict):
                raise ValueError(f'protocol key {".".join(place)!r} takes a mapping, got {value!r}')
            _merge(base[key], value, place)
        else:
            base[key] = copy.deepcopy(value)
