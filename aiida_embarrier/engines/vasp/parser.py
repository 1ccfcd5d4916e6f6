"""What the jobs left: structures and bands, and exit codes of aiida-vasp's calculation that say how they ended."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import Dict
from aiida.parsers.parser import Parser
from aiida_vasp.parsers.content_parsers.poscar import PoscarParser
from aiida_vasp.parsers.content_parsers.stream import StreamParser

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.bands.vasp_outcar import OutcarRun, read_outcar
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import structure_from_node
from aiida_embarrier.engines.vasp.assembly import BandHistory, climbing_image, judge, relaxed_geometry
from aiida_embarrier.engines.vasp.calculation import VaspStructureCalculation, layout_of, moved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from aiida.engine import ExitCode
    from aiida.orm import CalcJobNode

    from aiida_embarrier.bands.band import Band

__all__ = ('VaspBandParser', 'VaspStructureParser')

#: Notifications in VASP's output after which its numbers are not to be trusted, as aiida-vasp's parser has them.
CRITICAL = frozenset(
    {'brmix', 'cnormn', 'denmp', 'dentet', 'edddav_zhegv', 'eddrmm_zhegv', 'edwav', 'fexcp', 'fock_acc'}
    | {'non_collinear', 'not_hermitian', 'pzstein', 'real_optlay', 'rhosyg', 'rspher', 'set_indpw_full', 'sgrcon'}
    | {'no_potim', 'magmom', 'bandocc', 'zbrent'}
)
#: Those that do not matter where the electrons converged in the end.
HARMLESS_IF_CONVERGED = frozenset({'edddav_zhegv', 'eddrmm_zhegv', 'brmix', 'zbrent'})


class _Parser(Parser):
    """What the parsers of structures and bands share."""

    def __init__(self, node: CalcJobNode) -> None:
        super().__init__(node)
        self._temporary: Path | None = None

    def parse(self, retrieved_temporary_folder: str | None = None, **_: Any) -> ExitCode | None:
        """Read what the job left and say how it ended."""
        self._temporary = None if retrieved_temporary_folder is None else Path(retrieved_temporary_folder)
        exit_code: ExitCode | None = self._read()
        return exit_code

    @abstractmethod
    def _read(self) -> ExitCode | None:
        """Read the files and attach what they say."""

    def _with_file(self, name: str, function: Callable[[IO[str]], Any]) -> Any:
        """Return what a function makes of a file, None where it is missing or empty."""
        if self._temporary is not None and (self._temporary / name).is_file():
            with (self._temporary / name).open(encoding='utf8', errors='replace') as handle:
                return function(handle)
        try:
            content = self.retrieved.base.repository.get_object_content(name, mode='rb')
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        from io import StringIO

        return function(StringIO(content.decode('utf8', errors='replace')))

    def _outcar(self, name: str) -> OutcarRun:
        return self._with_file(name, read_outcar) or OutcarRun()

    def _contcar(self, name: str) -> np.ndarray | None:
        """Return the Cartesian positions in a CONTCAR in VASP's order, None where it is missing or cut off."""
        return self._with_file(name, _positions)

    def _notifications(self, *names: str) -> list[str]:
        """Return the names of what VASP complained of in its outputs."""
        found: set[str] = set()
        for name in names:
            parsed = self._with_file(name, lambda handle: StreamParser(handler=handle).get_quantity('notifications'))
            found |= {entry['name'] for entry in parsed or []}
        # the parser finds `nostart` in every output that does not begin with the version, as those of images
        return sorted(found - {'nostart'})

    def _with_last_words(self, message: str) -> str:
        """Return a message with the last line that the program or the scheduler wrote to its error output."""
        text = self._with_file('_scheduler-stderr.txt', lambda handle: handle.read()) or ''
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f'{message}; its error output ends with: {lines[-1][:200]}' if lines else message

    def _times(self, runs: Sequence[OutcarRun]) -> dict[str, float]:
        """Return wall time and that times the cores; images run side by side, each knows the cores of all."""
        wall = max((run.wall_s for run in runs), default=0.0)
        cores = max((run.n_cores for run in runs), default=1)
        return {'wall_s': wall, 'core_s': wall * cores}

    def _results(self, **entries: Any) -> None:
        self.out('results', Dict({name: _plain(value) for name, value in entries.items()}))

    def _critical(self, notifications: list[str], converged: bool) -> list[str]:
        """Return which notifications make the numbers worthless."""
        return [
            name for name in notifications if name in CRITICAL and not (converged and name in HARMLESS_IF_CONVERGED)
        ]

    @property
    def _protocol(self) -> dict[str, Any]:
        protocol: dict[str, Any] = self.node.inputs.protocol.get_dict()
        return protocol

    @property
    def _criteria(self) -> dict[str, Any]:
        criteria: dict[str, Any] = self.node.inputs.criteria.get_dict()
        return criteria


class VaspStructureParser(_Parser):
    """Read a job of one crystal."""

    def _read(self) -> ExitCode | None:
        codes = self.exit_codes
        run = self._outcar('OUTCAR')
        notifications = self._notifications(VaspStructureCalculation._VASP_OUTPUT)
        steps = [step for step in run.steps if step.is_finite]
        report: dict[str, Any] = {
            'n_steps': len(run.steps),
            'n_evaluations': len(run.steps),
            'version': run.version,
            'finished': run.finished,
            'notifications': notifications,
            **self._times([run]),
        }
        if not run.steps and run.unfinished is None and not notifications:
            self._results(**report, message=self._with_last_words('VASP did not begin'))
            return codes.ERROR_VASP_DID_NOT_EXECUTE
        if steps:
            report |= self._last_good(steps[-1], run)
        else:
            report['message'] = self._with_last_words('no step was completed')
        converged = bool(run.steps) and run.scf_converged(-1)
        critical = self._critical(notifications, converged and run.finished)
        self._results(**report)
        if self.node.exit_status == codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status:
            return None  # what the scheduler says stands
        if critical:
            return codes.ERROR_VASP_CRITICAL_ERROR.format(error_message=', '.join(critical))
        if run.steps and not run.steps[-1].is_finite:
            return codes.ERROR_VASP_CRITICAL_ERROR.format(error_message='energies or forces are no numbers')
        if run.finished and not converged:
            return codes.ERROR_ELECTRONIC_NOT_CONVERGED
        if not run.finished or not run.steps:
            return codes.ERROR_DID_NOT_FINISH
        if self._criteria['force_threshold'] is not None and not self._is_relaxed(run, report['max_force']):
            return codes.ERROR_IONIC_NOT_CONVERGED
        return None

    def _is_relaxed(self, run: OutcarRun, max_force: float) -> bool:
        """Return whether a relaxation is done: by VASP's criterion, and by ours where the cell is fixed.

        With a cell that relaxes VASP compares the stress with the same threshold.
        """
        stopped = run.reached_accuracy or (run.nsw is not None and len(run.steps) < run.nsw)
        return stopped and (self._criteria['cell'] == 'full' or max_force < 1.05 * self._criteria['force_threshold'])

    def _last_good(self, step: Any, run: OutcarRun) -> dict[str, Any]:
        """Attach the structure of a step, and return what else is known of it."""
        node = self.node.inputs.structure
        kinds = self.node.inputs.kinds if 'kinds' in self.node.inputs else None
        plain = structure_from_node(node, kinds)
        layout = layout_of(*kinds_of(plain), self._protocol)
        before = plain.lattice.matrix
        fixed = self._criteria['cell'] == 'fixed'
        lattice, positions = relaxed_geometry(plain, layout, step, self._contcar('CONTCAR'), fixed)
        self.out('structure', moved(node, lattice, positions))
        max_force = float(np.linalg.norm(step.forces, axis=1).max())
        moments = None if step.moments is None or len(step.moments) != len(positions) else step.moments[layout.inverse]
        return {
            'energy': step.energy,
            'energies': [entry.energy for entry in run.steps],
            'forces': step.forces[layout.inverse],
            'max_force': max_force,
            'message': f'largest force {max_force:.3f} eV/Å',
            'moments': moments,
            'strain': float(np.abs(lattice @ np.linalg.inv(before) - np.eye(3)).max()),
        }


class VaspBandParser(_Parser):
    """Read a job of a band, every image of it."""

    def _read(self) -> ExitCode | None:
        codes = self.exit_codes
        start = self.node.inputs.band.band
        folders = [f'{image:02d}' for image in range(1, start.n_images - 1)]
        layout = layout_of(start.kinds, start.kind_indices, self._protocol)
        runs = [self._outcar(f'{name}/OUTCAR') for name in folders]
        contcars = [self._contcar(f'{name}/CONTCAR') for name in folders]
        history = BandHistory(start, layout, runs, contcars)
        notifications = self._notifications('stdout', *(f'{name}/stdout' for name in folders[1:]))
        n_steps = history.n_steps
        finished = [run.finished for run in runs]
        report: dict[str, Any] = {
            'n_steps': n_steps,
            'n_evaluations': sum(len(run.steps) for run in runs),
            'steps_of_images': [len(run.steps) for run in runs],
            'unfinished_images': [image for image, done in enumerate(finished, start=1) if not done],
            'version': next((run.version for run in runs if run.version), None),
            'vtst': any(run.vtst for run in runs),
            'notifications': notifications,
            **self._times(runs),
        }
        started = any(run.steps or run.unfinished for run in runs)
        if not started and not notifications:
            self._results(**report, message=self._with_last_words('VASP did not begin'))
            return codes.ERROR_VASP_DID_NOT_EXECUTE
        last = n_steps - 1
        broken = history.broken(last) if n_steps else []
        unconverged = history.unconverged(last) if n_steps else []
        good = [index for index in range(n_steps) if not history.broken(index)]
        # what stopped in mid-step may have stopped as its electrons did not converge
        report |= {'broken_images': broken, 'unconverged_images': unconverged}
        converged, message = False, 'no step was completed'
        if good:
            converged, message, further = self._last_good(history, good, all(finished) and not broken + unconverged)
            report |= further
        if unconverged:
            message = f'electrons of image {_listed(unconverged)} did not converge in {runs[0].nelm} steps; {message}'
        if not good:
            message = self._with_last_words(message)
        critical = self._critical(notifications, bool(good) and not unconverged and all(finished))
        self._results(**report, message=message)
        if self.node.exit_status == codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status:
            return None  # what the scheduler says stands
        if broken:
            text = f'energies or forces of image {_listed(broken)} are no numbers at step {n_steps}'
            return codes.ERROR_VASP_CRITICAL_ERROR.format(error_message=text)
        if critical:
            return codes.ERROR_VASP_CRITICAL_ERROR.format(error_message=', '.join(critical))
        if unconverged and all(finished):
            return codes.ERROR_ELECTRONIC_NOT_CONVERGED
        if not all(finished) or not n_steps:
            return codes.ERROR_DID_NOT_FINISH
        return None if converged else codes.ERROR_IONIC_NOT_CONVERGED

    def _last_good(self, history: BandHistory, good: list[int], sound: bool) -> tuple[bool, str, dict[str, Any]]:
        """Attach the last good band, and return whether it has converged, why, and the course of the job.

        :param good: steps at which everything is a number.
        :param sound: whether the job came to its end with converged electrons.
        """
        criteria = self._criteria
        changes: dict[str, Any] = {
            'engine': 'vasp',
            'functional': criteria['functional'],
            'potential': None,
            'potential_functional': None,
            'charge': criteria['charge'],
            # a build without the VTST patch ignores the wish
            'climbing': criteria['climbs'] and any(run.vtst for run in history.runs),
            'converged': False,
        }

        def make(index: int) -> Band:
            return history.band(index, **changes)

        # the last step whose electrons converged; where there is none, the last
        trusted = [index for index in good if not history.unconverged(index)]
        band = make((trusted or good)[-1])
        if band.info.climbing and climbing_image(band.energies) is None:
            band = band.replace(climbing=False)
        converged, message = judge(band, criteria)
        converged = converged and sound
        course = [make(index) for index in good]
        self.out('band', BandData(band.replace(converged=converged)))
        return (
            converged,
            message,
            {
                'residual_force': band.info.residual_force,
                'residual_forces': [entry.info.residual_force for entry in course],
                'barriers': [float(np.max(entry.energies) - entry.energies[0]) for entry in course],
                'climbing_image': climbing_image(band.energies) if band.info.climbing else None,
                'trusted': bool(trusted),
            },
        )


def _listed(numbers: Sequence[int]) -> str:
    return ', '.join(map(str, numbers))


def _positions(handle: IO[str]) -> np.ndarray | None:
    try:
        sites = PoscarParser(handler=handle).structure['sites']
        return np.array([site['position'] for site in sites], dtype=float)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, SystemExit):
        return None


def _plain(value: Any) -> Any:
    """Return a value that a Dict can hold: None instead of numbers that are not finite."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
