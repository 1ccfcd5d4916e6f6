"""From the files of neb.x to a band and exit codes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import Dict
from aiida.parsers import Parser

from aiida_embarrier.bands.tangents import band_forces, image_spacing
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.files import PREFIX
from aiida_embarrier.engines.quantumespresso.outputs import (
    Evaluation,
    NebOutput,
    complete_iterations,
    inner_maximum,
    read_neb_output,
    read_pw_output,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida.engine import ExitCode
    from aiida.orm import CalcJobNode

    from aiida_embarrier.bands.band import Band

__all__ = ('QuantumEspressoNebParser', 'cores_of')

#: What pw.x says where a diagonalisation fails; another algorithm may not.
DIAGONALISATION = re.compile(
    'cholesky|S matrix not positive definite|too many bands are not converged|zhegvd|diaghg|qr\\] = qr|broyden|'
    'eigenvectors failed to converge|negative dexx',
    re.IGNORECASE,
)
#: How much the residual force may exceed what follows from path_thr: the digits of PW.out.
ROUNDING = 1e-4


def cores_of(node: CalcJobNode) -> int:
    """Return how many cores a job had."""
    resources = node.get_option('resources') or {}
    ranks = resources.get('tot_num_mpiprocs') or resources.get('num_machines', 1) * resources.get(
        'num_mpiprocs_per_machine', 1
    )
    return int(ranks * (resources.get('num_cores_per_mpiproc') or 1))


class QuantumEspressoNebParser(Parser):
    """The band of the last complete iteration, also of a run that did not converge or was killed."""

    CACHE_VERSION = 1

    def parse(self, retrieved_temporary_folder: str | None = None, **kwargs: Any) -> ExitCode | None:  # noqa: ARG002
        """Attach the band and the results."""
        name = self.node.get_option('output_filename') or f'{PREFIX}.out'
        repository = self.retrieved.base.repository
        if name not in repository.list_object_names() or not repository.get_object_content(name).strip():
            return self.exit_codes.ERROR_NO_OUTPUT.format(message=self.node.exit_message or 'it is not there')
        output = read_neb_output(repository.get_object_content(name))
        guess = self.node.inputs.band.band
        images = _read_images(retrieved_temporary_folder, guess.n_images)
        history = complete_iterations(images)
        results = {'version': output.version, **_costs(output, self.node), **self._steps(output, history)}
        if history and 'HUBBARD' not in output.ignored_cards:
            self.out('band', BandData(self._band(guess, history[-1], results, output)))
        self.out('results', Dict(results))
        return self._verdict(output, images, results)

    @property
    def _climbs(self) -> bool:
        return str(self.node.inputs.path['ci_scheme']).lower() == 'auto'

    @property
    def _threshold(self) -> float:
        """The force on an atom in eV/Å that path_thr, on a component, stands for."""
        return float(self.node.inputs.path['path_thr']) * math.sqrt(3) * (1 + ROUNDING)

    @property
    def _spacing_tolerance(self) -> float:
        """How unevenly the images may be spaced; no matter how where climbing is still to come."""
        settings = self.node.inputs.settings
        return float(settings.get('spacing_tolerance', math.inf)) if settings.get('final', True) else math.inf

    def _steps(self, output: NebOutput, history: Sequence[Sequence[Evaluation]]) -> dict[str, Any]:
        """Return what there is to say of the iterations of this run; those of runs before it stand in their results."""
        here = len(output.threshold_errors)
        own = history[max(len(history) - here, 0) :]
        found = [_assess(iteration, self._climbs) for iteration in own]
        last = _assess(history[-1], self._climbs) if history else {}
        return {
            'n_steps': len(own),
            'residual_forces': [entry['residual_force'] for entry in found],
            'barriers': [entry['barrier'] for entry in found],
            'threshold_errors': output.threshold_errors,
            **{key: last.get(key) for key in ('residual_force', 'climbing_image', 'spacing')},
            'final': bool(self.node.inputs.settings.get('final', True)),
        }

    def _band(self, guess: Band, last: Sequence[Evaluation], results: Mapping[str, Any], output: NebOutput) -> Band:
        settings = self.node.inputs.settings
        positions, energies, forces = _arrays(last)
        moments = [evaluation.moments for evaluation in last]
        known = [entry is not None for entry in moments]
        forces_left = band_forces(positions, energies, forces, 1.0, climbing=results['climbing_image'])
        perpendicular = forces_left.residuals.copy()
        perpendicular[[0, -1]] = np.nan
        return guess.replace(
            positions=positions,
            energies=energies,
            forces=forces,
            max_perpendicular_forces=perpendicular,
            moments=np.array([np.full(guess.n_atoms, np.nan) if entry is None else entry for entry in moments])
            if any(known)
            else None,
            engine='quantumespresso',
            functional=settings['functional'],
            potential=None,
            potential_functional=None,
            charge=settings['charge'],
            climbing=results['climbing_image'] is not None,
            converged=bool(
                output.converged
                and results['final']
                and results['residual_force'] <= self._threshold
                and results['spacing'] <= self._spacing_tolerance
            ),
            residual_force=results['residual_force'],
        )

    def _verdict(
        self, output: NebOutput, images: Sequence[Mapping[int, Evaluation]], results: Mapping[str, Any]
    ) -> ExitCode | None:
        codes, iterations = self.exit_codes, results['n_steps']
        if 'HUBBARD' in output.ignored_cards:
            return codes.ERROR_CARD_IGNORED.format(version=output.version)
        if output.converged and results['residual_force'] is not None:
            if results['residual_force'] > self._threshold:
                return codes.ERROR_RESIDUAL_FORCE.format(residual=results['residual_force'], threshold=self._threshold)
            if results['spacing'] > self._spacing_tolerance:
                return codes.ERROR_SPACING.format(spacing=results['spacing'], tolerance=self._spacing_tolerance)
            return None
        if output.out_of_steps and results['residual_force'] is not None:
            return codes.ERROR_NOT_CONVERGED.format(residual=results['residual_force'], iterations=iterations)
        if output.failed_image is not None:
            image = images[output.failed_image]
            # neb.x of 6.7 calls an image that ran out of time not converged, too
            if image and image[max(image)].out_of_time:
                return codes.ERROR_WALL_TIME.format(iterations=iterations)
            return codes.ERROR_ELECTRONS.format(image=output.failed_image, iteration=max(image, default=0) + 1)
        if output.errors:
            message = '; '.join(output.errors)
            code = codes.ERROR_DIAGONALISATION if DIAGONALISATION.search(message) else codes.ERROR_PROGRAM
            return code.format(message=message)
        if not output.ended:
            reason = self.node.exit_message or 'its output ends in the middle'
            return codes.ERROR_INTERRUPTED.format(iterations=iterations, message=reason)
        return codes.ERROR_PROGRAM.format(message=f'it ended without a result after {iterations} iteration(s)')


def _read_images(folder: str | None, n_images: int) -> list[dict[int, Evaluation]]:
    images: list[dict[int, Evaluation]] = []
    for number in range(1, n_images + 1):
        path = None if folder is None else Path(folder) / f'{PREFIX}_{number}' / 'PW.out'
        there = path is not None and path.is_file()
        images.append(read_pw_output(path.read_text(errors='replace')) if path is not None and there else {})
    return images


def _arrays(iteration: Sequence[Evaluation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([evaluation.positions for evaluation in iteration]),
        np.array([evaluation.energy for evaluation in iteration], dtype=float),
        np.array([evaluation.forces for evaluation in iteration]),
    )


def _assess(iteration: Sequence[Evaluation], climbs: bool) -> dict[str, Any]:
    """Return how far an iteration is from convergence, by the definition of this package."""
    positions, energies, forces = _arrays(iteration)
    climbing = inner_maximum(energies) if climbs else None
    residuals = band_forces(positions, energies, forces, 1.0, climbing=climbing).residuals
    return {
        'residual_force': float(residuals.max()),
        'barrier': float(energies.max() - energies[0]),
        'climbing_image': climbing,
        'spacing': image_spacing(positions, () if climbing is None else (climbing,)),
    }


def _costs(output: NebOutput, node: CalcJobNode) -> dict[str, Any]:
    costs: dict[str, Any] = {'n_evaluations': output.n_evaluations}
    if output.wall_s is not None:
        costs |= {'wall_s': output.wall_s, 'core_s': output.wall_s * cores_of(node)}
    return costs
