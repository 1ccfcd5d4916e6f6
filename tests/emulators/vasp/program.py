"""One run of the stand-in, in the current folder, as vasp_std would run there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from .band import Projection, project
from .failures import ConfigurationError, Emulation, configure, load
from .inputs import InputError, Inputs, Poscar, read
from .optimisers import choose
from .output import ImageFiles, Step
from .potential import Potential, moments
from .vasprun import Vasprun

#: Environment variables in which parallel launchers tell ranks who they are, and how many they are.
RANK = ('OMPI_COMM_WORLD_RANK', 'PMI_RANK', 'PMIX_RANK', 'SLURM_PROCID')
SIZE = ('OMPI_COMM_WORLD_SIZE', 'PMI_SIZE', 'SLURM_STEP_NUM_TASKS')


def _environment(names: tuple[str, ...]) -> int | None:
    return next((int(os.environ[name]) for name in names if name in os.environ), None)


class Image:
    """One structure of the run: its files, its potential and what was computed of it.

    :param number: 0 without a band, else the number of its folder.
    """

    def __init__(self, number: int, folder: Path, poscar: Poscar, inputs: Inputs, stdout: IO[str], cores: int) -> None:
        self.number, self.folder, self.poscar, self.inputs = number, folder, poscar, inputs
        self.potential = Potential(inputs.symbols, inputs.settings())
        self.positions, self.lattice = poscar.positions.copy(), poscar.lattice.copy()
        self.files = ImageFiles(folder, inputs, poscar, stdout, cores)
        self.warm = self._read_wavecar()
        self.files.istart = int(self.warm)
        self.steps = 0
        self.xml = Vasprun(folder / 'vasprun.xml', inputs, poscar, self.files.nbands)
        self.last: Step | None = None
        self.trace: list[float] = []

    def _read_wavecar(self) -> bool:
        """Tell whether wave functions of the same atoms are there; a file is made as VASP opens it, empty."""
        path = self.folder / 'WAVECAR'
        usable = False
        if path.is_file() and path.stat().st_size and self.inputs.tags.get('ISTART', 1):
            usable = json.loads(path.read_text(encoding='utf-8'))['atoms'] == len(self.inputs.symbols)
        if self.inputs.tags['LWAVE'] and not path.exists():
            path.touch()
        self.files.stdout.write(' the WAVECAR file was read successfully\n' if usable else ' WAVECAR not read\n')
        return usable

    def compute(self, emulation: Emulation) -> Step:
        """Compute the present positions, electronic step by electronic step."""
        self.steps += 1
        tags = self.inputs.tags
        lost = not np.isfinite(self.positions).all()
        where = self.poscar.positions if lost else self.positions
        energy, forces, stress = self.potential.compute(where, self.lattice)
        starts = self.inputs.starts
        spins = None if starts is None else moments(self.inputs.symbols, starts, where, self.lattice)
        needed = electronic_steps(tags, first=self.steps == 1, warm=self.warm)
        scf = emulation.find('scf', self.number, self.steps)
        if scf is not None or needed > tags['NELM']:
            needed, converged = int(tags['NELM']), False
            # Forces and energy of a density that has not settled: wrong, and the same in each run.
            noise = np.random.default_rng([self.number, self.steps]).normal(size=forces.shape)
            wrong = 0.08 if scf is None else scf.error
            energy, forces = energy + wrong, forces + wrong * (noise - noise.mean(axis=0))
        else:
            converged = True
        if lost or emulation.find('nan', self.number, self.steps):
            energy, forces = float('nan'), np.full_like(forces, np.nan)
        total = 0.0 if spins is None else float(spins.sum())
        self.trace = trace(energy, needed, float(tags['EDIFF']), converged)
        before = 0.0
        for iteration, value in enumerate(self.trace, start=1):
            self.files.electronic_step(self.steps, iteration, value, value - before, total)
            before = value
        if not converged:
            self.files.stdout.write(unconverged_box())
        self.last = Step(
            number=self.steps,
            iterations=needed,
            converged=converged,
            energy=energy,
            entropy=2e-4 * len(forces) * float(tags['SIGMA']) / 0.05,
            forces=forces,
            stress=stress,
            moments=spins,
            positions=self.positions.copy(),
            lattice=self.lattice.copy(),
        )
        return self.last

    def partial_step(self) -> None:
        """Begin an ionic step and get no further than two electronic ones, as a killed run does."""
        for iteration in (1, 2):
            self.files.electronic_step(self.steps + 1, iteration, self.trace[0], 0.1, 0.0)
        self.files.flush()

    def write_wavecar(self) -> None:
        """Write what a later run starts from."""
        content = json.dumps(
            {'program': 'stand-in, no VASP', 'atoms': len(self.inputs.symbols), 'bands': self.files.nbands}
        )
        if self.inputs.tags['LWAVE']:
            (self.folder / 'WAVECAR').write_text(content, encoding='utf-8')
        if self.inputs.tags['LCHARG']:
            (self.folder / 'CHGCAR').write_text(content, encoding='utf-8')


def electronic_steps(tags: dict[str, Any], first: bool, warm: bool) -> int:
    """Return how many electronic steps an ionic step takes."""
    base = {'F': 11, 'V': 10, 'A': 15, 'D': 18, 'C': 15}.get(str(tags['ALGO'])[:1].upper(), 13)
    base += 6 if tags['METAGGA'] else 0
    base += 3 if tags['LDAU'] else 0
    base += max(0, round(1.5 * (-4 - np.log10(float(tags['EDIFF'])))))
    return base if first and not warm else max(3, base // 2)


def trace(energy: float, iterations: int, ediff: float, converged: bool) -> list[float]:
    """Return the energies of the electronic steps: they approach the last one, or swing around it."""
    if not np.isfinite(energy):
        return [energy] * iterations
    if not converged:
        return [energy + 0.05 * (-1) ** (iterations - k) for k in range(1, iterations)] + [energy]
    decay = float(np.log(40.0 / ediff)) / max(iterations - 1, 1)
    return [energy + 20.0 * float(np.exp(-decay * k)) for k in range(iterations - 1)] + [energy]


def unconverged_box() -> str:
    """Return a warning in the frame that VASP 6 prints around its warnings."""
    edge = ' ' + '-' * 77 + '\n'
    title = f'{"W    W  A    A  R    R  N    N  II  N    N   GGGG   !!!":^75}'
    text = ('The electronic steps ended at NELM before they', 'had settled: energies and forces are not to be trusted.')
    return f'{edge}|{title} |\n' + ''.join(f'|     {line:<70} |\n' for line in text) + edge


class Run:
    """A run: all its images, and how they move."""

    def __init__(self, folder: Path, inputs: Inputs, emulation: Emulation, ranks: int | None) -> None:
        self.folder, self.inputs, self.emulation = folder, inputs, emulation
        self.tags = inputs.tags
        count = int(self.tags['IMAGES'])
        self.ranks = ranks or max(count, 1)
        self.cores = self.ranks // max(count, 1)
        self.streams: list[IO[str]] = []
        self._banner(count)
        self.images = [self._image(number) for number in (range(1, count + 1) if count else [0])]
        self.band = bool(count)
        self.optimiser = None if self.still else choose(self.tags, emulation.vtst)
        # The cell moves as a deformation of the first one; its steps are scaled so that they are like those of atoms.
        self.deformation = np.eye(3)

    @property
    def still(self) -> bool:
        """Tell whether nothing moves."""
        return bool(self.tags['IBRION'] == -1 or self.tags['NSW'] < 1)

    def _banner(self, count: int) -> None:
        print(f' running on {self.ranks:4d} total cores')
        if count:
            print(f' each image running on {self.cores:4d} cores')
        print(f' distrk:  each k-point on {self.cores:4d} cores,    1 groups')
        print(f' vasp.{"6.4.2"} (a stand-in that is no VASP) complex\n  ')
        kinds = ''.join(data.element for data in self.inputs.potcar)
        atoms = len(self.inputs.symbols)
        print(
            f' POSCAR found type information on POSCAR {kinds}\n POSCAR found : {len(kinds)} types and {atoms:7d} ions'
        )
        print(' POSCAR, INCAR and KPOINTS ok, starting setup', flush=True)

    def _image(self, number: int) -> Image:
        folder = self.folder / f'{number:02d}' if number else self.folder
        stdout: IO[str] = sys.stdout
        if number > 1:
            stdout = (folder / 'stdout').open('w', encoding='utf-8')
            self.streams.append(stdout)
            stdout.write(f' vasp.6.4.2 (a stand-in that is no VASP) complex\n running on {self.cores:4d} cores\n')
        image = Image(number, folder, self.inputs.images[number], self.inputs, stdout, self.cores)
        image.files.header(self.ranks, self.emulation.vtst)
        stdout.write(' entering main loop\n')
        return image

    def go(self) -> None:
        """Compute and move until the forces are small, the steps are used up or something fails."""
        self._fail_at_start()
        limit = 1 if self.still else int(self.tags['NSW'])
        for number in range(1, limit + 1):
            steps = [image.compute(self.emulation) for image in self.images]
            projections = self._project(steps)
            moving = [p.force for p in projections] if projections else [step.forces for step in steps]
            moving = [force * image.poscar.free for force, image in zip(moving, self.images, strict=True)]
            reached = not self.still and self._reached(steps, moving)
            stop = reached or number == limit or self._stopcar('LSTOP')
            for index, (image, step) in enumerate(zip(self.images, steps, strict=True)):
                image.files.ionic_step(step)
                if projections:
                    image.files.outcar.write(self._band_text(projections[index], moving[index], reached))
                image.xml.step(step, image.trace, last=stop)
                if reached:
                    image.files.reached()
                image.files.end_of_step()
            if self.emulation.sleep:
                time.sleep(self.emulation.sleep)
            if stop:
                break
            self._move(moving, steps)
            self._fail_after(number)
        self._finish()

    def _project(self, steps: list[Step]) -> list[Projection]:
        if not self.band:
            return []
        ends = [self.inputs.images[0].positions, self.inputs.images[-1].positions]
        energies = [
            float(self.tags.get('EFIRST', np.nan)),
            *(s.energy for s in steps),
            float(self.tags.get('ELAST', np.nan)),
        ]
        return project(
            [ends[0], *(step.positions for step in steps), ends[1]],
            self.images[0].lattice,
            energies,
            [step.forces for step in steps],
            float(self.tags['SPRING']),
            bool(self.tags['LCLIMB']) and self.emulation.vtst,
        )

    def _reached(self, steps: list[Step], moving: list[np.ndarray]) -> bool:
        if self.emulation.find('ionic', 0, steps[0].number):
            return False
        limit = float(self.tags['EDIFFG'])
        if limit > 0:
            return steps[0].number > 1 and abs(steps[0].energy - self._before) < limit
        largest = max(float(np.sqrt((force**2).sum(axis=1)).max()) for force in moving)
        if self.tags['ISIF'] >= 3 and not self.band:
            volume = abs(np.linalg.det(steps[0].lattice))
            largest = max(largest, float(np.abs(steps[0].stress).max()) * volume / len(self.inputs.symbols))
        return largest < -limit and all(np.isfinite(force).all() for force in moving)

    _before = 0.0

    def _move(self, moving: list[np.ndarray], steps: list[Step]) -> None:
        assert self.optimiser is not None
        self._before = steps[0].energy
        if not self.band and self.tags['ISIF'] >= 3:
            self._move_cell(moving[0], steps[0])
        else:
            # What is no number stays so: the image that has it, and then its neighbours, through their springs.
            lost = [not np.isfinite(force).all() for force in moving]
            known = [np.nan_to_num(image.positions) for image in self.images]
            shift = self.optimiser(np.concatenate(known), np.nan_to_num(np.concatenate(moving)))
            if self.tags['POTIM'] == 0 and not (self.emulation.vtst and self.tags['IOPT']):
                shift = np.zeros_like(shift)
            for image, part, gone in zip(self.images, np.split(shift, len(self.images)), lost, strict=True):
                image.positions = image.positions + (np.nan if gone else part)
        for image in self.images:
            image.files.contcar(image.positions, image.lattice)

    def _move_cell(self, forces: np.ndarray, step: Step) -> None:
        """Move atoms and cell at once; atoms in the frame of the first cell, after Tadmor et al. (1999)."""
        assert self.optimiser is not None
        image, count = self.images[0], len(forces)
        volume = abs(np.linalg.det(image.lattice))
        inverse = np.linalg.inv(self.deformation)
        generalised = np.vstack([forces @ self.deformation, volume * step.stress @ inverse.T / count])
        frame = image.positions @ inverse.T
        shift = self.optimiser(np.vstack([frame, self.deformation * count]), generalised)
        self.deformation = self.deformation + shift[count:] / count
        image.lattice = image.poscar.lattice @ self.deformation.T
        image.positions = (frame + shift[:count]) @ self.deformation.T

    def _band_text(self, projection: Projection, force: np.ndarray, reached: bool) -> str:
        """Return what the band adds to an OUTCAR: the lines of VTST's tools, or those of stock VASP."""
        sizes = np.sqrt((force**2).sum(axis=1))
        tangent = projection.tangent
        if not self.emulation.vtst:
            rule = f' {"-" * 83}\n'
            springs = projection.spring * tangent - projection.parallel * tangent
            text = f'\n{"TANGENT":>10}{"":38}CHAIN-FORCE (eV/Angst)\n{rule}'
            for row, chain in zip(tangent, springs, strict=True):
                text += ' ' + ''.join(f'{x:13.5f}' for x in row) + '  ' + ''.join(f'{x:14.6f}' for x in chain) + '\n'
            text += f'{rule} CHAIN + TOTAL  (eV/Angst)\n{rule}'
            for row in force:
                text += ' ' + ''.join(f'{x:14.6f}' for x in row) + '\n'
            return text + rule
        text = '\n NEB: Tangent\n ' + '-' * 46 + '\n'
        text += ''.join(' ' + ''.join(f'{x:13.5f}' for x in row) + '\n' for row in tangent)
        previous, following = projection.distances
        text += f'\n NEB: forces: par spring, perp REAL, dneb {projection.spring:12.6f}'
        text += f'{projection.perpendicular:12.6f}{0:12.6f}\n'
        text += f' NEB: distance to prev, next image, angle between {previous:12.6f}{following:12.6f}{0:12.6f}\n'
        text += (
            f' NEB: projections on to tangent (spring, REAL) {projection.spring:12.6f}{projection.parallel:12.6f}\n\n'
        )
        text += ' stress matrix after NEB project (eV)\n' + f'{0:13.5f}{0:13.5f}{0:13.5f}\n' * 3
        total = float(np.sqrt((force**2).sum()))
        text += f'  FORCES: max atom, RMS {sizes.max():12.6f}{np.sqrt((sizes**2).mean()):12.6f}\n'
        text += f'  FORCE total and by dimension{total:12.6f}{total / np.sqrt(force.size):12.6f}\n'
        text += f'  Stress total and by dimension{0:12.6f}{0:12.6f}\n'
        return text + (' OPT: skip step - force has converged\n' if reached and self.tags['IOPT'] else '')

    def _stopcar(self, tag: str) -> bool:
        path = self.folder / 'STOPCAR'
        return path.is_file() and tag in path.read_text(encoding='utf-8').upper()

    def _fail_at_start(self) -> None:
        crash, error = self.emulation.find('crash'), self.emulation.find('error')
        for image in self.images:
            image.files.flush()
        if error is not None and error.step <= 1:
            print(error.message or ' VERY BAD NEWS! internal error in subroutine IBZKPT', flush=True)
            sys.exit(1)
        if crash is not None and crash.step <= 1:
            sys.stderr.write('forrtl: severe (174): SIGSEGV, segmentation fault occurred\n')
            sys.exit(174)

    def _fail_after(self, number: int) -> None:
        """Fail after an ionic step and the move that follows it."""
        if self.emulation.find('wall_time', 0, number):
            for image in self.images:
                image.partial_step()
            self._killed('DUE TO TIME LIMIT')
        if self.emulation.find('node_lost', 0, number):
            for entry in list(self.folder.iterdir()):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            self._killed('DUE TO NODE FAILURE')
        crash = self.emulation.find('crash', 0, number)
        if crash is not None:
            sys.stderr.write('forrtl: severe (174): SIGSEGV, segmentation fault occurred\n')
            sys.stdout.flush()
            os._exit(174)
        error = self.emulation.find('error', 0, number)
        if error is not None:
            print(error.message or ' ZBRENT: fatal error in bracketing', flush=True)
            os._exit(1)
        if self.emulation.find('hang', 0, number):
            while True:
                time.sleep(1)

    def _killed(self, why: str) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.write(f'slurmstepd: error: *** JOB 1 ON standin CANCELLED AT 2026-11-26T12:00:00 {why} ***\n')
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit(137)

    def _finish(self) -> None:
        for image in self.images:
            assert image.last is not None
            image.files.contcar(image.last.positions, image.last.lattice)
            image.xml.finish(image.last.positions, image.last.lattice)
            image.files.footer(image.last.moments)
            image.write_wavecar()
            image.files.close()
            if self.emulation.find('missing_contcar', image.number):
                (image.folder / 'CONTCAR').unlink()
            if self.emulation.find('truncated', image.number):
                os.truncate(image.folder / 'OUTCAR', int(0.6 * (image.folder / 'OUTCAR').stat().st_size))
        for stream in self.streams:
            stream.close()


def main() -> int:
    """Run in the current folder and return the exit status."""
    if (_environment(RANK) or 0) > 0:
        return 0
    folder = Path.cwd()
    try:
        inputs = read(folder)
        emulation = configure(load(), inputs.tags)
        ranks = _environment(SIZE)
        images = int(inputs.tags['IMAGES'])
        if images and ranks and ranks % images:
            raise InputError(f' M_divide: can not subdivide {ranks:8d} nodes by {images:8d}')
        if inputs.tags['ISIF'] > 3:
            raise InputError(f'ERROR: the stand-in knows ISIF 0 to 3 only, not {inputs.tags["ISIF"]}')
        if emulation.vtst and inputs.tags['ICHAIN']:
            raise InputError(f'ERROR: the stand-in knows ICHAIN = 0 only, not {inputs.tags["ICHAIN"]}')
        Run(folder, inputs, emulation, ranks).go()
    except (InputError, ValueError) as error:
        print(f' vasp.6.4.2 (a stand-in that is no VASP) complex\n{error_box(str(error))}', flush=True)
        return 1
    except ConfigurationError as error:
        sys.stderr.write(f'{error}\n')
        return 2
    return 0


def error_box(message: str) -> str:
    """Return an error in the frame that VASP 6 prints around its errors."""
    edge = ' ' + '-' * 77 + '\n'
    title = f'{"EEEEEEE  R     R  R     R  OOOOOOO  R     R     ###     ###     ###":^75}'
    bye = f'{"---->  I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!! <----":^75}'
    return f'{edge}|{title} |\n|     {message:<70} |\n|{bye} |\n{edge}'
