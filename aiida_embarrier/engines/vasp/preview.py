"""What VASP would compute, without profile, code or POTCAR: its input as plain values, and as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.vasp import FUNCTIONALS
from aiida_embarrier.engines.vasp.incar import (
    Task,
    climbs_at_once,
    climbs_later,
    kpoint_mesh,
    make_incar,
    render_incar,
)
from aiida_embarrier.engines.vasp.layout import Layout, paw_names, render_poscar
from aiida_embarrier.engines.vasp.potcars import check_exchange, check_family, find_potcars, n_valence
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
        'neb': Task('neb', n_images=n_images, climb=climbs_at_once(protocol['neb'])),
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


def _n_valence(layout: Layout, functional: Functional, protocol: Mapping[str, Any]) -> float | None:
    """Return the number of electrons of the neutral cell, None where no family of potentials is at hand to say it.

    :raises ValueError: where the family lacks a potential, or was made for another functional.
    """
    from aiida.manage import get_manager

    family, mapping = protocol['paw']['family'], protocol['paw']['mapping']
    if get_manager().get_profile() is None:
        return None
    try:
        check_family(family)
    except ValueError:
        return None
    potcars = find_potcars(family, mapping, layout.elements)
    check_exchange(functional, potcars)
    return n_valence(layout, potcars)


def write_inputs(folder: Path, band: Band, protocol: Mapping[str, Any], *, charge: float = 0.0) -> list[Path]:
    """Write the input files of a band: INCAR, KPOINTS, 00/POSCAR, 01/POSCAR, ..., and POTCAR.spec with names only.

    INCAR is that of the first job of the band, and INCAR.climb of the one that follows where an image climbs later.
    INCAR.endpoint is for the energies of the endpoints, and INCAR.relax for their relaxation.

    Where no profile is loaded, or the family of potentials is not in it, the NELECT of charged cells is a text that
    VASP does not take for a number: it stops, and computes no neutral cell instead.

    :param folder: made if it does not exist.
    :param band: the interpolated path.
    :param protocol: the resolved protocol of the engine.
    :param charge: of the cell in units of e.
    :raises ValueError: for whatever makes no sense.
    """
    functional, layout, names = _prepare(band.kinds, band.kind_indices, protocol)
    tasks = {
        'INCAR': Task('neb', n_images=band.n_images, climb=climbs_at_once(protocol['neb'])),
        'INCAR.endpoint': Task('static', in_band=True),
        'INCAR.relax': Task('relax'),
    }
    if climbs_later(protocol['neb']):
        tasks['INCAR.climb'] = Task('neb', n_images=band.n_images, climb=True)
    electrons: dict[str, Any] = {'charge': charge, 'n_valence': _n_valence(layout, functional, protocol)}
    mesh = kpoint_mesh(band.lattice_of(0), protocol)
    texts = {
        **{
            name: render_incar(make_incar(layout, protocol, functional, task, **electrons))
            for name, task in tasks.items()
        },
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
