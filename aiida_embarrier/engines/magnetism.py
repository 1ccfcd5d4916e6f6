"""The moments that calculations start from, the same in all engines."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.bands.band import Kind

__all__ = ('MAGNETIC_STARTS', 'default_moments', 'start_moments')

#: What the protocol key `magnetic_start` may be.
MAGNETIC_STARTS = ('default', 'none')


@cache
def default_moments() -> dict[str, float]:
    """Return the usual start moments by element in Bohr magnetons."""
    table = yaml.safe_load(Path(__file__).with_name('magnetism.yaml').read_text(encoding='utf8'))
    return {element: float(moment) for element, moment in table.items()}


def start_moments(
    kinds: Sequence[Kind], magnetic_start: str = 'default', moments: Mapping[str, float] | None = None
) -> list[float]:
    """Return the moment that each kind starts from in Bohr magnetons.

    A kind's own goes first. Where another kind of its element has one, it has none: an ion put in, for instance.
    What is said of one element says nothing of others.

    :param kinds: those that atoms are of.
    :param magnetic_start: `default` for the usual moments of elements of which nothing is said, or `none`.
    :param moments: start moments by element, instead of the usual ones.
    :raises ValueError: for an unknown `magnetic_start`.
    """
    if magnetic_start not in MAGNETIC_STARTS:
        raise ValueError(f'unknown magnetic_start {magnetic_start!r}: choose {" or ".join(MAGNETIC_STARTS)}')
    table = {**(default_moments() if magnetic_start == 'default' else {}), **(moments or {})}
    described = {kind.element for kind in kinds if kind.magnetic_moment is not None}

    def start(kind: Kind) -> float:
        if kind.magnetic_moment is not None:
            return float(kind.magnetic_moment)
        return 0.0 if kind.element in described else float(table.get(kind.element, 0.0))

    return [start(kind) for kind in kinds]
