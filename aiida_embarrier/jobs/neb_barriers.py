"""Jobs that compute barriers of paths by whole elastic bands of a potential."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.potentials import PotentialSpec
from aiida_embarrier.jobs.prediction import BarrierHardware, NebSettings

__all__ = ('NEB_BARRIERS_FILE', 'NebBarriersJob', 'NebBarriersResult')

#: A row per path: `name`, `forward`, `reverse`, `span` (eV) and `residual_force` (eV/Å) of the last good band, missing
#: where there is none; `status` and `message` of how it ended, `n_evaluations`, `mirrored`, `energies` (JSON list, eV,
#: relative to the first image), `warnings` (JSON list).
NEB_BARRIERS_FILE = 'neb_barriers.parquet'


class NebBarriersJob(PlainJob):
    """Paths whose ends and bands are relaxed by a potential, one after the other.

    :param dataset: file with the rows, of the schema `barrier`; only columns that tell a path are looked at.
    :param potential: that is used.
    :param neb: the bands.
    """

    job: Literal['neb_barriers'] = 'neb_barriers'
    dataset: str
    potential: PotentialSpec
    neb: NebSettings = NebSettings()
    hardware: BarrierHardware = BarrierHardware()


class NebBarriersResult(PlainResult):
    """How bands came out; the barriers lie beside it.

    :param n_converged: bands that converged.
    :param n_evaluations: of the potential, of all paths.
    :param left_out: rows that are no paths, and why, by their names.
    :param potential: with the version that was found here.
    """

    n_converged: int = 0
    n_evaluations: int = 0
    left_out: dict[str, str] = Field(default_factory=dict)
    potential: PotentialSpec | None = None
    device: str | None = None
