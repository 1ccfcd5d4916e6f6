"""How the images of a band share the ranks of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.orm import AbstractCode, Computer

__all__ = ('check_options', 'check_ranks', 'count_ranks')


def count_ranks(options: Mapping[str, Any], computer: Computer | None) -> int | None:
    """Return the number of MPI ranks of a job, None where it is not known.

    :param options: of the job.
    :param computer: where it runs.
    """
    resources = options.get('resources', {})
    total = resources.get('tot_num_mpiprocs')
    if total is not None:
        return int(total)
    default = None if computer is None else computer.get_default_mpiprocs_per_machine()
    per_machine = resources.get('num_mpiprocs_per_machine') or default
    return None if per_machine is None else int(per_machine) * int(resources.get('num_machines', 1))


def check_ranks(
    options: Mapping[str, Any], code: AbstractCode, n_images: int, protocol: Mapping[str, Any]
) -> str | None:
    """Return what is wrong with the ranks for a band, None where nothing is.

    VASP gives each interior image the same number of ranks, and stops where that is no whole number.

    :param options: of the job.
    :param code: of VASP.
    :param n_images: number of images, the endpoints included.
    :param protocol: of the engine.
    """
    if not options.get('withmpi', code.with_mpi is not False):  # a program that takes care of itself
        return None
    return _check(count_ranks(options, code.computer), n_images - 2, protocol)


def check_options(options: Mapping[str, Any], n_images: int, protocol: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the ranks that options ask for, None where nothing is, or only the code would tell.

    :param options: of the job.
    :param n_images: number of images, the endpoints included.
    :param protocol: of the engine.
    """
    return _check(count_ranks(options, None), n_images - 2, protocol) if options.get('withmpi', True) else None


def _check(ranks: int | None, images: int, protocol: Mapping[str, Any]) -> str | None:
    if ranks is None or images < 1:
        return None
    if ranks % images:
        fewer, more = ranks // images * images, (ranks // images + 1) * images
        choice = f'{fewer} or {more}' if fewer else str(more)
        return (
            f'{ranks} MPI ranks cannot be shared by the {images} interior images of the band, each of which needs as '
            f'many: use {choice} ranks (num_machines x num_mpiprocs_per_machine), or another number of images'
        )
    for name in ('ncore', 'kpar'):
        value = protocol['parallel'][name]
        if value is not None and (ranks // images) % value:
            return f'parallel.{name}: {value} does not divide the {ranks // images} ranks of an image'
    return None
