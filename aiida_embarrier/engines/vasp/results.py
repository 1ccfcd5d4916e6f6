"""Calcfunctions of the engine: the endpoints of a band, and what the jobs of a chain took together."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, RemoteData, StructureData

from aiida_embarrier.bands.band import BandInfo, kinds_of
from aiida_embarrier.bands.vasp_outcar import OutcarRun, read_outcar
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.engines.vasp.assembly import BandHistory, relaxed_geometry, with_endpoint

__all__ = ('collect', 'conclude', 'endpoints_of', 'fetch_band', 'fetch_structure', 'start_band')


@calcfunction
def endpoints_of(band: BandData) -> dict[str, Any]:
    """Return the endpoints of a band, `initial` and `final`, and what their kinds are."""
    plain = band.band
    initial, kinds = node_from_structure(plain.structure(0))
    final, _ = node_from_structure(plain.structure(-1))
    return {'initial': initial, 'final': final, 'kinds': kinds}


@calcfunction
def start_band(band: BandData, info: Dict, **endpoints: Dict) -> BandData:
    """Return the band that the first job starts from: nothing is known of it but its endpoints.

    Energies of another engine, which may have prepared the band, do not travel on.

    :param info: `functional` and `charge`.
    :param endpoints: results of the calculations of `initial` and `final`.
    """
    plain = band.band
    cleared = {
        'energies': None,
        'forces': None,
        'moments': None,
        'max_perpendicular_forces': None,
        'potential': None,
        'potential_functional': None,
        'climbing': None,
        'converged': False,
        'residual_force': None,
        'engine': 'vasp',
        **info.get_dict(),
    }
    plain = plain.replace(**cleared)
    for name, image in (('initial', 0), ('final', -1)):
        if name in endpoints:
            found = endpoints[name].get_dict()
            moments = None if found.get('moments') is None else np.array(found['moments'])
            plain = with_endpoint(plain, image, found['energy'], np.array(found['forces']), moments)
    return BandData(plain)


@calcfunction
def conclude(verdict: Dict, **jobs: Dict) -> Dict:
    """Return what the jobs of a chain did together.

    :param verdict: how the chain ended: `status` and `message`.
    :param jobs: results of its jobs, `job_1`, `job_2`, ... in the order in which they ran, and of `initial` and
        `final`, the endpoints of a band, which only cost.
    """
    ordered = [jobs[f'job_{number}'].get_dict() for number in range(1, len(jobs) + 1) if f'job_{number}' in jobs]
    all_jobs = ordered + [jobs[name].get_dict() for name in ('initial', 'final') if name in jobs]
    last_good: dict[str, Any] = next((job for job in reversed(ordered) if job.get('n_steps')), {})
    entries = ('energy', 'max_force', 'forces', 'moments', 'residual_force', 'climbing_image', 'version')
    return Dict(
        {
            **verdict.get_dict(),
            **{name: last_good[name] for name in entries if name in last_good},
            # a job begins with the geometry at which the one before ended
            'n_steps': sum(max(0, job.get('n_steps', 0) - 1) for job in ordered),
            'residual_forces': [force for job in ordered for force in job.get('residual_forces', [])],
            'barriers': [height for job in ordered for height in job.get('barriers', [])],
            'n_jobs': len(ordered),
            'notifications': sorted({name for job in ordered for name in job.get('notifications', [])}),
            **{name: sum(job.get(name, 0) for job in all_jobs) for name in ('n_evaluations', 'wall_s', 'core_s')},
        }
    )


@calcfunction
def collect(**chains: Dict) -> Dict:
    """Return the results of several chains as those of one: `tasks` by their labels, and what they took together."""
    tasks = {label: node.get_dict() for label, node in chains.items()}
    totals = {name: sum(task.get(name, 0) for task in tasks.values()) for name in ('n_evaluations', 'wall_s', 'core_s')}
    for task in tasks.values():  # arrays of every atom stay in the results of its own chain
        for name in ('forces', 'moments'):
            task.pop(name, None)
    return Dict({'tasks': tasks, **totals})


@calcfunction
def fetch_band(band: BandData, folder: RemoteData, protocol: Dict, info: Dict) -> BandData:
    """Return the last band in the folder of a job that was killed before its files were retrieved.

    :param band: the band that the job started from.
    :param info: of the resulting band.
    :raises OSError: where the folder cannot be read.
    :raises ValueError: where no step was completed.
    """
    from aiida_embarrier.engines.vasp.calculation import layout_of

    start = band.band
    runs = [_remote_outcar(folder, f'{image:02d}/OUTCAR') for image in range(1, start.n_images - 1)]
    layout = layout_of(start.kinds, start.kind_indices, protocol.get_dict())
    history = BandHistory(start, layout, runs, [None] * len(runs))
    good = [index for index in range(history.n_steps) if not history.broken(index)]
    if not good:
        raise ValueError('no step of the band was completed')
    names = set(BandInfo().to_dict())
    return BandData(history.band(good[-1], **{key: value for key, value in info.get_dict().items() if key in names}))


@calcfunction
def fetch_structure(
    structure: StructureData, folder: RemoteData, protocol: Dict, criteria: Dict, kinds: Dict | None = None
) -> StructureData:
    """Return the last structure in the folder of a relaxation that was killed before its files were retrieved.

    :param structure: the structure that the job started from.
    :param criteria: of the job: `cell`.
    :raises OSError: where the folder cannot be read.
    :raises ValueError: where no step was completed.
    """
    from aiida_embarrier.engines.vasp.calculation import layout_of, moved

    plain = structure_from_node(structure, kinds)
    good = [step for step in _remote_outcar(folder, 'OUTCAR').steps if step.is_finite]
    if not good:
        raise ValueError('no step of the relaxation was completed')
    layout = layout_of(*kinds_of(plain), protocol.get_dict())
    lattice, positions = relaxed_geometry(plain, layout, good[-1], None, criteria['cell'] == 'fixed')
    return moved(structure, lattice, positions)


def _remote_outcar(folder: RemoteData, name: str) -> OutcarRun:
    """Return what an OUTCAR in the folder of a job says."""
    with tempfile.TemporaryDirectory() as here:
        path = Path(here) / 'OUTCAR'
        folder.getfile(name, str(path))
        with path.open(encoding='utf8', errors='replace') as handle:
            return read_outcar(handle)
