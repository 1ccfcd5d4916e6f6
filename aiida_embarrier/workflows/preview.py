"""What a launch would compute, and its input files, before anything is launched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.workflows.barrier_inputs import check_charge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.data.band import BandData

__all__ = ('resolved_inputs', 'starting_band', 'write_input_files')


def resolved_inputs(
    crystal: Structure,
    engine: str,
    protocol: Mapping[str, Any],
    *,
    ion: str | None = None,
    hop: int = 0,
    charge: float = 0.0,
) -> dict[str, Any]:
    """Return what an engine would compute for a crystal, as it stands in its input files.

    Needs no profile, no code and no pseudopotentials.

    :param crystal: with kinds as site properties.
    :param protocol: from :func:`~aiida_embarrier.workflows.barrier_inputs.barrier_protocol`.
    :param ion: the migrating ion: then the band is that of a hop in a supercell; else of the crystal as it is.
    :param hop: number of the hop.
    :param charge: of the cell of the band in units of e.
    :return: `host`, for the relaxation of the crystal, and `band`, each with the formula and the number of atoms of its
        `cell` beside what the engine says.
    :raises ValueError: for engines that have no more to say than their protocol, ions that the crystal does not have,
        and whatever makes no sense to the engine.
    """
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hops import find_hops, select_hop

    found = get_engine(engine)
    if found.resolve is None:
        raise ValueError(f'what the engine {engine!r} computes stands in its protocol: leave out the crystal')
    message = check_charge(found, charge)
    if message is not None:
        raise ValueError(message)
    cell = crystal
    if ion is not None:
        ends = make_endpoints(
            crystal,
            select_hop(find_hops(crystal, ion), hop),
            supercell=protocol['supercell'],
            min_distance=protocol['min_image_distance'],
        )
        cell = ends.initial
    resolve = found.load(found.resolve)
    n_images = protocol['n_images']
    inputs = {
        'host': (crystal, resolve(crystal, protocol['engine'], charge=0.0, n_images=n_images)['relax']),
        'band': (cell, resolve(cell, protocol['engine'], charge=charge, n_images=n_images)['neb']),
    }
    return {
        name: {'cell': {'formula': structure.composition.formula, 'n_atoms': len(structure)}, **entries}
        for name, (structure, entries) in inputs.items()
        if name == 'band' or (ion is not None and protocol['relax_host'] != 'none')
    }


def starting_band(
    protocol: Mapping[str, Any],
    *,
    structure: Structure | None = None,
    hop: Mapping[str, Any] | None = None,
    initial: Structure | None = None,
    final: Structure | None = None,
    band: BandData | None = None,
    mechanism: str | None = None,
    waypoints: list[list[float]] | None = None,
    alignment: Mapping[str, Any] | None = None,
) -> Band:
    """Return the band that would be interpolated between the endpoints as they are before anything is relaxed.

    :param protocol: from :func:`~aiida_embarrier.workflows.barrier_inputs.barrier_protocol`.
    :param structure: and the others: which path, as the barrier work chain takes it, but with pymatgen structures, so
        that no profile is needed; `hop` by its `ion` and `number`.
    :raises ValueError: for what is no path.
    """
    from aiida_embarrier.bands.alignment import align_endpoints
    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.bands.interpolation import check_clearance, interpolate
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hops import find_hops, select_hop

    if band is not None:
        return band.band
    if structure is not None and hop is not None:
        limits = {key: value for key, value in hop.items() if key not in ('ion', 'number')}
        ends = make_endpoints(
            structure,
            select_hop(find_hops(structure, hop['ion'], **limits), hop['number']),
            supercell=protocol['supercell'],
            min_distance=protocol['min_image_distance'],
        )
        path = Band.from_structures([ends.initial, ends.final], [ends.mobile])
    elif initial is not None and final is not None:
        settings = {**({} if mechanism is None else {'mechanism': mechanism}), **(alignment or {})}
        path = align_endpoints(initial, final, **settings)
    else:
        raise ValueError('give a crystal and a hop, or two endpoints, or a band')
    found = interpolate(path, protocol['n_images'], method=protocol['interpolation'], waypoints=waypoints)
    if found.mobile:
        check_clearance(found)
    return found


def write_input_files(
    folder: Path,
    band: Band,
    engine: str,
    protocol: Mapping[str, Any],
    *,
    charge: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the input files of a band, and launch nothing.

    :param folder: made if it does not exist.
    :param protocol: from :func:`~aiida_embarrier.workflows.barrier_inputs.barrier_protocol`.
    :param options: of the jobs: they are in no file, but some do not go with a number of images.
    :return: the files.
    :raises ValueError: for engines that cannot, for a folder that is not empty, and for such options.
    """
    found = get_engine(engine)
    if found.write_inputs is None:
        raise ValueError(
            f'the engine {engine!r} writes no input files for people to read: `aiida-embarrier show-protocol --engine '
            f'{engine}` prints what it would use'
        )
    message = check_charge(found, charge)
    if message is None and found.check_options is not None:
        message = found.load(found.check_options)(options or {}, band.n_images, protocol['engine'])
    if message is not None:
        raise ValueError(message)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f'the folder {folder} is not empty: name another one, or empty it')
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = found.load(found.write_inputs)(folder, band, protocol['engine'], charge=charge)
    return paths
