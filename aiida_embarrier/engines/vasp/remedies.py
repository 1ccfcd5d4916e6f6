"""What the next job does differently where one failed: pure, one rule per kind of failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiida_embarrier.engines.vasp.incar import OPTIMISERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('ElectronicRemedy', 'electronic_ladder', 'is_falling', 'next_optimiser')

#: Residual forces that fell by less than this fraction in a job did not fall.
FALL = 0.05


@dataclass(frozen=True)
class ElectronicRemedy:
    """Tags for electrons that did not converge.

    :param words: what the report says.
    :param tags: that replace those of the INCAR.
    :param steps: how many times as many electronic steps.
    """

    words: str
    tags: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 2


#: Mixing in small, almost linear steps, for magnetic cells whose charge sloshes (VASP's wiki, AMIX and BMIX).
SLOW_MIXING = {'AMIX': 0.2, 'BMIX': 0.0001, 'AMIX_MAG': 0.8, 'BMIX_MAG': 0.0001}
SLOWER_MIXING = {'AMIX': 0.1, 'BMIX': 0.0001, 'AMIX_MAG': 0.4, 'BMIX_MAG': 0.0001}

#: For functionals of the density and its gradient: density mixing first, then direct minimisation.
GGA_LADDER = (
    ElectronicRemedy('more electronic steps with slow mixing (ALGO = Normal)', {'ALGO': 'Normal', **SLOW_MIXING}),
    ElectronicRemedy('all bands at once by conjugate gradients (ALGO = All)', {'ALGO': 'All'}, 3),
    ElectronicRemedy('damped dynamics of the electrons (ALGO = Damped)', {'ALGO': 'Damped', 'TIME': 0.1}, 4),
)

#: For meta-GGAs, which start with direct minimisation, as mixing the density says nothing of the kinetic energy
#: density: shorter trial steps, damping, and mixing only at last.
META_LADDER = (
    ElectronicRemedy('more electronic steps of shorter length (ALGO = All, TIME = 0.1)', {'ALGO': 'All', 'TIME': 0.1}),
    ElectronicRemedy('damped dynamics of the electrons (ALGO = Damped)', {'ALGO': 'Damped', 'TIME': 0.1}, 3),
    ElectronicRemedy('slow mixing of the density (ALGO = Normal)', {'ALGO': 'Normal', **SLOWER_MIXING}, 4),
)

#: Complaints of VASP that another way of minimising the electrons may cure.
ELECTRONIC = frozenset(
    {'brmix', 'cnormn', 'denmp', 'dentet', 'edddav_zhegv', 'eddrmm_zhegv', 'edwav', 'not_hermitian', 'pzstein'}
)
#: Complaints about symmetry.
SYMMETRY = frozenset({'rhosyg', 'rspher', 'sgrcon'})


def electronic_ladder(incar: Mapping[str, Any]) -> tuple[ElectronicRemedy, ...]:
    """Return the remedies for electrons that do not converge, in the order in which they are tried."""
    return META_LADDER if 'METAGGA' in incar else GGA_LADDER


def next_optimiser(build: str, tried: Sequence[str]) -> str | None:
    """Return an optimiser of bands that was not tried, None where all were."""
    return next((name for name in OPTIMISERS[build] if name not in tried), None)


def is_falling(residuals: Sequence[float | None]) -> bool:
    """Return whether the residual force of a band fell in a job, comparing the mean of its first and last quarter.

    With fewer than four steps it counts as falling: too few to tell.
    """
    known = [force for force in residuals if force is not None]
    if len(known) < 4:
        return True
    quarter = len(known) // 4
    first, last = known[:quarter], known[-quarter:]
    return sum(last) / quarter < (1 - FALL) * sum(first) / quarter
