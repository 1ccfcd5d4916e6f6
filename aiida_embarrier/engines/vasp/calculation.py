"""The jobs: aiida-vasp's calculation, given the crystals and bands of this package."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, StructureData
from aiida_vasp.calcs.vasp import VaspCalculation

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import structure_from_node
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.incar import render_incar
from aiida_embarrier.engines.vasp.layout import Layout, render_poscar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from aiida.common import CalcInfo
    from aiida.common.folders import Folder
    from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

    from aiida_embarrier.bands.band import Kind

__all__ = ('VaspBandCalculation', 'VaspStructureCalculation', 'layout_of')

#: What is read of each structure or image.
READ = ('OUTCAR', 'CONTCAR')


def layout_of(kinds: tuple[Kind, ...], kind_indices: Any, settings: Mapping[str, Any]) -> Layout:
    """Return the order and groups of atoms in VASP's files.

    :param settings: the protocol of the engine.
    """
    functional = load_functionals(FUNCTIONALS).resolve(settings['functional'], settings['hubbard_u'])
    return Layout.of(
        kinds,
        list(kind_indices),
        functional,
        magnetic_start=settings['magnetic_start'],
        moments=settings['moments'],
    )


def in_vasp_order(layout: Layout, lattice: np.ndarray, positions: np.ndarray) -> StructureData:
    """Return a structure by which aiida-vasp orders the potentials: atoms in VASP's order, kinds named by their groups.

    :param positions: in Å, in this package's order.
    """
    node = StructureData(cell=lattice.tolist())
    elements = {group.name: group.element for group in layout.groups}
    for name, atom in zip(layout.names, layout.order, strict=True):
        node.append_atom(position=positions[atom].tolist(), symbols=elements[name], name=name)
    return node


def moved(node: StructureData, lattice: np.ndarray, positions: np.ndarray) -> StructureData:
    """Return a crystal with other positions, and another cell, with the kinds that it has.

    :param positions: in Å, in the order of its sites.
    """
    found = StructureData(cell=lattice.tolist())
    for kind in node.kinds:
        found.append_kind(kind)
    for site, position in zip(node.sites, positions, strict=True):
        found.append_site(type(site)(kind_name=site.kind_name, position=position.tolist()))
    return found


def write_poscar(path: Path, title: str, layout: Layout, lattice: np.ndarray, positions: np.ndarray) -> None:
    """Write a POSCAR.

    :param positions: in Å, in this package's order, not wrapped.
    """
    path.write_text(render_poscar(title, layout, lattice, positions[list(layout.order)]), encoding='utf8')


class _Calculation(VaspCalculation):
    """What the jobs of structures and bands share."""

    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        for name in ('structure', 'dynamics', 'charge_density', 'wavefunctions'):
            del spec.inputs[name]
        for name in list(spec.outputs):
            if name not in ('remote_folder', 'remote_stash', 'retrieved', 'unstashed'):
                del spec.outputs[name]
        spec.input('protocol', valid_type=Dict, help='The resolved protocol of the engine, which orders the atoms.')
        spec.input(
            'criteria',
            valid_type=Dict,
            help='Functional, charge, and when the job counts as converged; for the parser.',
        )
        spec.output('results', valid_type=Dict, help='Steps, forces and times, and what went wrong.')
        spec.default_output_node = 'results'

    @property
    def settings(self) -> dict[str, Any]:
        """The protocol of the engine."""
        settings: dict[str, Any] = self.inputs.protocol.get_dict()
        return settings

    @abstractmethod
    def _geometry(self) -> tuple[Layout, np.ndarray, np.ndarray]:
        """Return the layout, the lattice vectors as rows and the positions of the first structure in Å."""

    def _structure(self) -> StructureData:
        return in_vasp_order(*self._geometry())

    def write_poscar(self, dst: str) -> None:
        """Write the POSCAR as it is previewed, positions not wrapped."""
        write_poscar(Path(dst), 'aiida-embarrier', *self._geometry())

    def write_incar(self, dst: str, validate_tags: bool = True) -> None:  # noqa: ARG002
        """Write the INCAR as it is previewed; aiida-vasp knows no tags of VTST."""
        Path(dst).write_text(render_incar({k.upper(): v for k, v in self.inputs.parameters.get_dict().items()}))

    def write_additional(self, folder: Folder, calcinfo: CalcInfo) -> None:  # noqa: ARG002
        """Add the kernel of van der Waals functionals."""
        if 'vdw_kernel' in self.inputs:
            kernel = self.inputs.vdw_kernel
            calcinfo.local_copy_list.append((kernel.uuid, kernel.filename, 'vdw_kernel.bindat'))

    def _wavefunctions(self, *folders: str) -> list[tuple[str, str, str]]:
        """Return what is copied of the job before: its wavefunctions, where they are still there."""
        remote = self.inputs.restart_folder
        copies = []
        for folder in folders:
            try:
                entries = remote.listdir_withattributes(folder)
            except OSError:  # cleaned, or lost with its machine: the job starts from nothing
                self.report(f'no wavefunctions in {remote.get_remote_path()}/{folder}: starting without')
                continue
            # VASP writes it at its end: that of a job that was killed is empty
            if any(entry['name'] == 'WAVECAR' and entry['attributes'].st_size > 0 for entry in entries):
                name = str(Path(folder) / 'WAVECAR')
                copies.append((remote.computer.uuid, str(Path(remote.get_remote_path()) / name), name))
        return copies

    def _retrieve(self, calcinfo: CalcInfo, files: list[Any]) -> CalcInfo:
        """Say what is retrieved, and what of it is kept."""
        keep = self.settings['keep_files']
        small = [self._VASP_OUTPUT]
        calcinfo.retrieve_list = small + (files if keep else [])
        calcinfo.retrieve_temporary_list = [] if keep else files
        return calcinfo


class VaspStructureCalculation(_Calculation):
    """Energy, or relaxation, of one crystal."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, help='The crystal.')
        spec.input('kinds', valid_type=Dict, required=False, help='Moments and U by the names of the kinds.')
        spec.inputs['metadata']['options']['parser_name'].default = 'embarrier.vasp.structure'
        spec.output('structure', valid_type=StructureData, required=False, help='The last good structure.')

    def _geometry(self) -> tuple[Layout, np.ndarray, np.ndarray]:
        """Return the order of the atoms, the lattice and the positions."""
        plain = structure_from_node(self.inputs.structure, self.inputs.get('kinds'))
        return layout_of(*kinds_of(plain), self.settings), plain.lattice.matrix, plain.cart_coords

    def remote_copy_restart_folder(self) -> list[tuple[str, str, str]]:
        """Return the wavefunctions of the job before."""
        return self._wavefunctions('.')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files."""
        return self._retrieve(super().prepare_for_submission(folder), [*READ, 'vasprun.xml'])


class VaspBandCalculation(_Calculation):
    """A nudged elastic band: VASP in its folders 00, 01, ..."""

    _VASP_OUTPUT = 'stdout'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the inputs and outputs."""
        super().define(spec)
        spec.input('band', valid_type=BandData, help='The band, with the energies of its endpoints.')
        spec.inputs['metadata']['options']['parser_name'].default = 'embarrier.vasp.band'
        spec.output('band', valid_type=BandData, required=False, help='The last good band.')

    def _geometry(self) -> tuple[Layout, np.ndarray, np.ndarray]:
        """Return the order of the atoms, the lattice and the positions of the first image."""
        band = self.inputs.band.band
        return layout_of(band.kinds, band.kind_indices, self.settings), band.lattice_of(0), band.positions[0]

    def remote_copy_restart_folder(self) -> list[tuple[str, str, str]]:
        """Return the wavefunctions of the images in the job before."""
        return self._wavefunctions(*self._folders[1:-1])

    @property
    def _folders(self) -> list[str]:
        n_images = self.inputs.band.base.attributes.get('n_images')
        return [f'{image:02d}' for image in range(n_images)]

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files, the images as they are meant: VASP gets Cartesian positions that nobody wrapped."""
        calcinfo = super().prepare_for_submission(folder)
        band = self.inputs.band.band
        layout, lattice, _ = self._geometry()
        for image, name in enumerate(self._folders):
            place = Path(folder.get_abs_path(name))
            place.mkdir()
            write_poscar(place / 'POSCAR', f'image {image}', layout, lattice, band.positions[image])
        files = [(f'{name}/{file}', '.', 2) for name in self._folders[1:-1] for file in READ]
        # the first image writes to the output of the job, the others to files of their own
        files += [(f'{name}/stdout', '.', 2) for name in self._folders[2:-1]]
        return self._retrieve(calcinfo, files)
