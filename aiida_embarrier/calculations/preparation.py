"""Calcfunctions for bands that a cheaper engine prepares for a dearer one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.band import BandData

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('UNPREPARED', 'preparation_of', 'transfer_band')

#: Added to the label of a prepared band: the same from the interpolated one, for comparison.
UNPREPARED = '_unprepared'


@calcfunction
@refuse_politely
def transfer_band(prepared: BandData, guess: BandData) -> dict[str, Any]:
    """Move the band of one engine onto the endpoints of another one.

    What the endpoints of the two engines differ by is added to the images between in proportion to their place on the
    path, so that there is no kink next to the endpoints; then the images are spread evenly along the path.

    :param prepared: the converged band of the cheaper engine.
    :param guess: the interpolated band between the endpoints of the dearer engine.
    :return: `band`, the starting band, and `report`: `endpoint_difference`, how far apart an atom lies at most in the
        endpoints of the two engines; `distance` and `ion_distance`, how far an atom, and the migrating ion, lie at most
        from the interpolated band; `rms_distance`, over all atoms of the images between. All in Å.
    """
    from aiida_embarrier.bands.interpolation import check_clearance
    from aiida_embarrier.bands.segments import SAME_PLACE, ion_displacement, unwrapped, with_ends

    cheap, start = prepared.band, guess.band
    apart = []
    for image in (0, -1):
        here, there = cheap.positions[image], unwrapped(cheap, image, start.positions[image])
        moved = ion_displacement(cheap, here, there)
        if moved > SAME_PLACE:
            raise ValueError(
                f'the {"first" if image == 0 else "last"} endpoints of the two engines are different minima: the ion '
                f'lies {moved:.2f} Å apart'
            )
        apart.append(float(np.linalg.norm(there - here, axis=1).max()))
    positions = with_ends(cheap, start.positions[0], start.positions[-1], start.n_images).positions.copy()
    lattice = start.lattice_of(0)
    positions += np.rint((start.positions[0] - positions[0]) @ np.linalg.inv(lattice)) @ lattice
    if not np.allclose(positions[[0, -1]], start.positions[[0, -1]], atol=1e-4):
        raise ValueError('the prepared path leads to another periodic image of an atom than the interpolated one')
    positions[0], positions[-1] = start.positions[0], start.positions[-1]  # to the last bit
    band = start.replace(positions=positions)
    near = check_clearance(band) if band.mobile else []
    if near:
        raise ValueError(near[0].partition(':')[0])
    distances = np.linalg.norm(positions[1:-1] - start.positions[1:-1], axis=2)
    ions = distances[:, list(band.mobile)] if band.mobile else distances
    report = {
        'endpoint_difference': max(apart),
        'distance': float(distances.max()),
        'ion_distance': float(ions.max()),
        'rms_distance': float(np.sqrt(np.mean(distances**2))),
    }
    return {'band': BandData(band), 'report': Dict(report)}


def preparation_of(
    preparation: Mapping[str, Any],
    band: BandData,
    tasks: Mapping[str, Any],
    label: str,
    unprepared: BandData | None,
) -> dict[str, Any]:
    """Return what a preparation was and what it was worth, as it stands in the summary of a band.

    :param preparation: what is known of it before the band is optimised.
    :param band: the band that was optimised from the prepared one.
    :param tasks: results of the dearer engine's NEB work chain.
    :param label: of the band among them.
    :param unprepared: the band that was optimised from the interpolated one.
    """
    found = dict(preparation)
    prepared_task, other = tasks.get(label, {}), tasks.get(label + UNPREPARED, {})
    if preparation['status'] == 'used':
        found['first_force'] = _first_force(prepared_task)
    if unprepared is None:
        return found
    both = {'prepared': (prepared_task, band), 'interpolated': (other, unprepared)}
    compared: dict[str, Any] = {
        **{key: {name: task.get(key) for name, (task, _) in both.items()} for key in ('n_steps', 'n_evaluations')},
        'first_force': {name: _first_force(task) for name, (task, _) in both.items()},
        **{
            key: {name: node.base.attributes.get(key) for name, (_, node) in both.items()}
            for key in ('barrier_forward', 'converged')
        },
    }
    steps = compared['n_steps'].values()
    compared['steps_saved'] = None if None in steps else other['n_steps'] - prepared_task['n_steps']
    return {**found, 'comparison': compared}


def _first_force(task: Mapping[str, Any]) -> float | None:
    """Return the residual force of the starting band in eV/Å, None where it is not known."""
    forces = task.get('residual_forces')
    return forces[0] if forces else None
