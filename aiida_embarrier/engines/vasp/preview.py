"""What VASP would compute, without profile, code or POTCAR: its input as plain values, and as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.incar import Task, climbs_later, kpoint_mesh, make_incar, render_incar
from aiida_embarrier.engines.vasp.layout import Layout, paw_names, render_poscar
from aiida_embarrier.engines.vasp.settings import check_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.engines.functionals import Functional

__all__ = ('resolve', 'write_inputs')


def _prepare(kinds: Any, indices: Any, protocol: Mapping[str, Any]) -> tuple[Functional, Layout, list[str]]:
    """Return the functional, the layout and the names of PAW potentials in the order of the POTCAR."""
    check_protocol(protocol)
    functional = load_functionals(FUNCTIONALS).resolve(protocol['functional'], protocol['hubbard_u'])
    layout = Layout.of(
        kinds,
        list(indices),
        functional,
        magnetic_start=protocol['magnetic_start'],
        moments=protocol['moments'],
    )
    names = paw_names(layout.elements, protocol['paw']['mapping'])
    return functional, layout, [names[element] for element in layout.elements]


def _climbs_at_once(protocol: Mapping[str, Any]) -> bool:
    neb = protocol['neb']
    return bool(neb['climb'] and neb['max_steps'] > 0 and not climbs_later(neb))


def resolve(
    structure: Structure, protocol: Mapping[str, Any], *, charge: float = 0.0, n_images: int = 7
) -> dict[str, dict[str, Any]]:
    """Return what would be computed for a crystal.

    :param structure: with kinds as site properties.
    :param protocol: the resolved protocol of the engine.
    :param charge: of the cell in units of e.
    :param n_images: number of images, the endpoints included.
    :return: for `relax` and `neb` the INCAR, the mesh of k-points, the PAW potentials in the order of the POTCAR, and
        the groups of atoms in that of the POSCAR. NELECT is a text: it needs the POTCAR.
    :raises ValueError: for whatever makes no sense.
    """
    functional, layout, names = _prepare(*kinds_of(structure), protocol)
    family = protocol['paw']['family']
    shared: dict[str, Any] = {
        'KPOINTS': {'mesh': kpoint_mesh(structure.lattice.matrix, protocol), 'centre': 'Gamma'},
        'POTCAR': [f'{family}/{name}' for name in names],
        'POSCAR': [{'group': group.name, 'atoms': group.count} for group in layout.groups],
    }
    if functional.has_u:
        elements = {group.element for group in layout.groups if group.shell}
        shared['hubbard_u'] = {
            element: functional.hubbard_u[element].model_dump()
            for element in functional.hubbard_u
            if element in elements
        }
    tasks = {
        'relax': Task('relax', cell='full'),
        'neb': Task('neb', n_images=n_images, climb=_climbs_at_once(protocol)),
    }
    resolved: dict[str, dict[str, Any]] = {
        name: {'INCAR': make_incar(layout, protocol, functional, task, charge=charge), **shared}
        for name, task in tasks.items()
    }
    if climbs_later(protocol['neb']):
        first = resolved['neb']['INCAR']
        then = make_incar(layout, protocol, functional, Task('neb', n_images=n_images, climb=True), charge=charge)
        resolved['neb']['INCAR once it climbs'] = {tag: value for tag, value in then.items() if first[tag] != value}
    return resolved


def write_inputs(folder: Path, band: Band, protocol: Mapping[str, Any], *, charge: float = 0.0) -> list[Path]:
    """Write the input files of a band: INCAR, KPOINTS, 00/POSCAR, 01/POSCAR, ..., and POTCAR.spec with names only.

    :param folder: made if it does not exist.
    :param band: the interpolated path.
    :param protocol: the resolved protocol of the engine.
    :param charge: of the cell in units of e.
    :raises ValueError: for whatever makes no sense.
    """
    functional, layout, names = _prepare(band.kinds, band.kind_indices, protocol)
    task = Task('neb', n_images=band.n_images, climb=_climbs_at_once(protocol))
    tags = make_incar(layout, protocol, functional, task, charge=charge)
    comment = ''
    if isinstance(tags.get('NELECT'), str):
        comment = f'# NELECT = {tags.pop("NELECT")}: set at launch, from the POTCAR\n'
    mesh = kpoint_mesh(band.lattice_of(0), protocol)
    texts = {
        'INCAR': render_incar(tags) + comment,
        'KPOINTS': f'mesh centred on Gamma\n0\nGamma\n{" ".join(map(str, mesh))}\n0 0 0\n',
        'POTCAR.spec': '\n'.join(f'{protocol["paw"]["family"]}/{name}' for name in names) + '\n',
    }
    for image in range(band.n_images):
        positions = band.positions[image][list(layout.order)]
        texts[f'{image:02d}/POSCAR'] = render_poscar(
            f'image {image} of {band.n_images}', layout, band.lattice_of(image), positions
        )
    paths = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf8')
        paths.append(path)
    return paths
