"""Calcfunctions of the engine: structures with a Hubbard U, relaxed structures, bands of single images, and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, Str, StructureData, TrajectoryData

from aiida_embarrier.data.band import BandData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = (
    'add_hubbard',
    'assemble_band',
    'collect_bands',
    'collect_jobs',
    'collect_relaxations',
    'image_structures',
    'place_atoms',
)

#: Entries of results that add up.
SUMS = ('n_steps', 'n_evaluations', 'wall_s', 'core_s')
#: Entries of results that go on from one job to the next.
HISTORIES = ('residual_forces', 'barriers', 'threshold_errors')


@calcfunction
def add_hubbard(structure: StructureData, hubbard: Dict) -> StructureData:
    """Return a crystal with a Hubbard U on some of its kinds, as aiida-quantumespresso writes the card HUBBARD of it.

    :param hubbard: `projectors`, and `kinds` with `u` in eV and `manifold` by the names of the kinds.
    """
    from aiida_quantumespresso.common.hubbard import Hubbard
    from aiida_quantumespresso.data.hubbard_structure import HubbardStructureData

    first = {site.kind_name: index for index, site in reversed(list(enumerate(structure.sites)))}
    parameters = [
        (first[name], entry['manifold'], first[name], entry['manifold'], float(entry['u']), (0, 0, 0), 'Ueff')
        for name, entry in sorted(hubbard['kinds'].items())
    ]
    return HubbardStructureData.from_structure(structure, Hubbard.from_list(parameters, hubbard['projectors']))


@calcfunction
def place_atoms(before: StructureData, after: StructureData, cell: Str) -> StructureData:
    """Return a relaxed crystal with the kinds of the one before, and every atom beside where it was.

    A cell that was fixed is taken from the one before: the programs and their parser do not agree on the length of the
    Bohr radius in the ninth digit, and images of a band have one and the same lattice.

    :param cell: `fixed` or `full`.
    """
    old, new = np.array(before.cell), np.array(after.cell)
    start = np.array([site.position for site in before.sites]) @ np.linalg.inv(old)
    end = np.array([site.position for site in after.sites]) @ np.linalg.inv(new)
    lattice = old if cell.value == 'fixed' else new
    positions = (end - np.round(end - start)) @ lattice
    node = StructureData(cell=lattice.tolist(), pbc=before.pbc)
    for kind in before.kinds:
        node.append_kind(kind)
    for site, position in zip(before.sites, positions, strict=True):
        node.append_site(type(site)(kind_name=site.kind_name, position=position.tolist()))
    return node


@calcfunction
def collect_relaxations(described: Dict, **jobs: Any) -> Dict:
    """Return the results of relaxations in the form of the engine contract.

    :param described: for each label `status`, `message`, and `jobs`: for each job its name and its number of cores.
    :param jobs: `NAME_parameters` (Dict) and `NAME_trajectory` (TrajectoryData), what aiida-quantumespresso's parser
        made of pw.x, where it made anything.
    """
    tasks = {}
    for label, entry in described.get_dict().items():
        task: dict[str, Any] = {'status': entry['status'], 'message': entry['message']}
        energies: list[float] = []
        evaluations, wall, cores = 0, 0.0, 0.0
        for job in entry['jobs']:
            parameters, trajectory = jobs.get(f'{job["name"]}_parameters'), jobs.get(f'{job["name"]}_trajectory')
            if parameters is not None:
                seconds = float(parameters.get('wall_time_seconds', 0.0))
                wall, cores = wall + seconds, cores + seconds * job['cores']
            found = _energies(parameters, trajectory)
            evaluations += len(found)
            energies += found
            if trajectory is not None and 'forces' in trajectory.get_arraynames():
                task['max_force'] = float(np.linalg.norm(trajectory.get_array('forces')[-1], axis=1).max())
        task |= {
            'energy': energies[-1] if energies else None,
            'energies': energies,
            # the final self-consistency of a cell, in its new basis, is no step
            'n_steps': max(evaluations - len(entry['jobs']) - entry.get('extra', 0), 0),
            'n_evaluations': evaluations,
            'wall_s': wall,
            'core_s': cores,
        }
        tasks[label] = task
    return Dict(_with_sums(tasks))


def _energies(parameters: Dict | None, trajectory: TrajectoryData | None) -> list[float]:
    if trajectory is not None and 'energy' in trajectory.get_arraynames():
        return [float(energy) for energy in np.atleast_1d(trajectory.get_array('energy'))]
    energy = None if parameters is None else parameters.get('energy', None)
    return [] if energy is None else [float(energy)]


@calcfunction
def image_structures(band: BandData) -> dict[str, StructureData]:
    """Return the images of a band as crystals, `image_00`, `image_01`, ..."""
    plain = band.band
    made = {}
    for image in range(plain.n_images):
        node = StructureData(cell=plain.lattice_of(image).tolist())
        for index, position in zip(plain.kind_indices, plain.positions[image], strict=True):
            kind = plain.kinds[index]
            node.append_atom(position=position.tolist(), symbols=kind.element, name=kind.name)
        made[f'image_{image:02d}'] = node
    return made


@calcfunction
def assemble_band(band: BandData, described: Dict, **images: Any) -> dict[str, Any]:
    """Return a band with the energies and forces of its images as they are, and the results of the jobs.

    :param described: `functional`, `charge`, `message`, and `cores` of the jobs.
    :param images: `image_NN_parameters` (Dict) and `image_NN_trajectory` (TrajectoryData) of pw.x for each image that
        was computed.
    :returns: `band`, where every image was computed, and `results`.
    """
    from aiida_embarrier.bands.tangents import band_forces

    plain = band.band
    energies, forces = np.full(plain.n_images, np.nan), np.full(plain.positions.shape, np.nan)
    moments = np.full((plain.n_images, plain.n_atoms), np.nan)
    wall = 0.0
    for image in range(plain.n_images):
        parameters = images.get(f'image_{image:02d}_parameters')
        trajectory = images.get(f'image_{image:02d}_trajectory')
        if parameters is None or trajectory is None:
            continue
        wall += float(parameters.get('wall_time_seconds', 0.0))
        energies[image] = _energies(parameters, trajectory)[-1]
        forces[image] = trajectory.get_array('forces')[-1]
        if 'atomic_magnetic_moments' in trajectory.get_arraynames():
            moments[image] = np.atleast_2d(trajectory.get_array('atomic_magnetic_moments'))[-1]
    done = int(np.isfinite(energies).sum())
    complete = done == plain.n_images
    residuals = band_forces(plain.positions, energies, forces, 1.0).residuals if complete else None
    residual = None if residuals is None else float(residuals.max())
    task = {
        'status': 'not_converged' if complete else 'failed',
        'message': described['message'] if not complete else 'the images were evaluated and not moved',
        'n_steps': 0,
        'n_evaluations': done,
        'residual_force': residual,
        'residual_forces': [] if residual is None else [residual],
        'wall_s': wall,
        'core_s': wall * described['cores'],
    }
    made: dict[str, Any] = {'results': Dict(task)}
    if residuals is not None:
        residuals[[0, -1]] = np.nan
        made['band'] = BandData(
            plain.replace(
                energies=energies,
                forces=forces,
                moments=moments if np.any(np.isfinite(moments)) else None,
                max_perpendicular_forces=residuals,
                engine='quantumespresso',
                functional=described['functional'],
                potential=None,
                potential_functional=None,
                charge=described['charge'],
                climbing=False,
                converged=False,
                residual_force=residual,
            )
        )
    return made


@calcfunction
def collect_jobs(**jobs: Dict) -> Dict:
    """Return the results of the jobs of one band as one: costs add up, histories follow each other.

    :param jobs: results of the jobs, `job_1`, `job_2`, ... in their order.
    """
    ordered = [jobs[name].get_dict() for name in sorted(jobs, key=lambda name: int(name.rpartition('_')[2]))]
    joined = {key: [value for job in ordered for value in job.get(key, [])] for key in HISTORIES}
    known = [job for job in ordered if job.get('residual_force') is not None]
    return Dict({**ordered[-1], **(known[-1] if known else {}), **_sums(ordered), **joined, 'n_jobs': len(ordered)})


@calcfunction
def collect_bands(described: Dict, **results: Dict) -> Dict:
    """Return the results of bands in the form of the engine contract.

    :param described: for each label its `status` and `message`.
    :param results: of each band by its label, where there are any.
    """
    tasks = {
        label: {**(results[label].get_dict() if label in results else {}), **entry}
        for label, entry in described.get_dict().items()
    }
    return Dict(_with_sums(tasks))


def _with_sums(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {'tasks': dict(tasks), **{key: value for key, value in _sums(tasks.values()).items() if key != 'n_steps'}}


def _sums(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(entries)
    return {key: sum(row.get(key) or 0 for row in rows) for key in SUMS}
