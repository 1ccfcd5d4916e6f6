"""From a resolved protocol to the inputs of the engine's work chains, and to what its programs would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.engines.quantumespresso.files import neb_input, pw_inputs
from aiida_embarrier.engines.quantumespresso.settings import (
    Atoms,
    Settings,
    check_settings,
    hubbard_of,
    kpoints_mesh,
    path_namelist,
    pw_namelists,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiida.orm import AbstractCode
    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.engines.quantumespresso.pseudos import Pseudopotentials

__all__ = ('inputs_from_protocol', 'resolve', 'write_inputs')


def inputs_from_protocol(
    protocol: Mapping[str, Any], *, code: Mapping[str, AbstractCode], options: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the inputs of the relax and NEB work chains.

    :param protocol: the resolved protocol of the engine.
    :param code: the codes of `pw` and `neb`.
    :param options: options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...
    :raises ValueError: for values that cannot be, for functionals and families of pseudopotentials that are not there,
        and where the plugins are not installed.
    """
    from importlib.util import find_spec

    from aiida.orm import Dict

    from aiida_embarrier.engines.quantumespresso.pseudos import find_family

    if find_spec('aiida_quantumespresso') is None:
        raise ValueError(
            "the engine quantumespresso needs aiida-quantumespresso: pip install 'aiida-embarrier[quantumespresso]'"
        )
    settings = check_settings(protocol)
    find_family(settings.family)
    shared: dict[str, Any] = {'settings': Dict(dict(protocol))}
    if options:
        shared['options'] = Dict(dict(options))
    return {
        'relax': {'code': code['pw'], **shared},
        'neb': {'code': code['neb'], 'pw_code': code['pw'], **shared},
    }


def resolve(
    structure: Structure, protocol: Mapping[str, Any], *, charge: float = 0.0, n_images: int = 7
) -> dict[str, dict[str, Any]]:
    """Return what pw.x and neb.x would get for a crystal; needs no profile and no pseudopotentials.

    What follows from the pseudopotentials only is said in words, and `hubbard_u_ignored` says which kinds have a U that
    the functional does not have.

    :param structure: with kinds as site properties.
    :param protocol: the resolved protocol of the engine.
    :param charge: of the cell of endpoints and bands in units of e; the host, which the first entry is for, is neutral.
    :raises ValueError: for what cannot be computed.
    """
    from aiida_embarrier.bands.band import kinds_of

    settings = check_settings(protocol)
    atoms = Atoms(*kinds_of(structure))
    hubbard = hubbard_of(atoms, settings)
    shared: dict[str, Any] = {
        'functional': settings.resolved_functional.description,
        'pseudo_family': settings.family,
        'kpoints_mesh': list(kpoints_mesh(structure.lattice.matrix, settings)),
    }
    if hubbard and settings.hubbard_card:
        lines = [f'U {name}-{entry.manifold} {entry.u:g}' for name, entry in sorted(hubbard.items())]
        shared['HUBBARD'] = {'projectors': settings.hubbard_projectors, 'lines': lines}
    if hubbard:
        table = settings.resolved_functional.hubbard_u
        elements = sorted({atoms.kinds[name].element for name in hubbard})
        shared['hubbard_u_from'] = {
            element: table[element].source if element in table else 'the kinds' for element in elements
        }
    ignored = {name: kind.hubbard_u for name, kind in atoms.kinds.items() if kind.hubbard_u}
    if ignored and not settings.resolved_functional.has_u:
        shared['hubbard_u_ignored'] = ignored
    return {
        'relax': {**shared, **pw_namelists(atoms, settings, 0.0, 'vc-relax')},
        'neb': {
            **shared,
            'PATH': path_namelist(settings, n_images, _climbs_at_once(settings), settings.neb.max_steps),
            **pw_namelists(atoms, settings, charge),
        },
    }


def write_inputs(folder: Path, band: Band, protocol: Mapping[str, Any], *, charge: float = 0.0) -> list[Path]:
    """Write the input files of neb.x for a band: neb.dat and pw_1.in, pw_2.in, ...

    Where the highest image climbs later, neb_climb.dat is what takes the place of neb.dat then: neb.x goes on in the
    same folder, and counts the steps before.

    Where no profile is loaded or the family of pseudopotentials is not installed, files are named after the elements
    and what follows from the pseudopotentials stands in comments.

    :returns: the files.
    :raises ValueError: for what cannot be computed.
    """
    settings = check_settings(protocol)
    atoms = Atoms(band.kinds, band.kind_indices)
    pseudos = _installed_pseudos(settings, atoms)
    files = {name: f'{kind.element}.upf' for name, kind in atoms.kinds.items()} if pseudos is None else pseudos.files
    namelists = pw_namelists(
        atoms,
        settings,
        charge,
        'scf',
        None if pseudos is None else pseudos.z_valence,
        None if pseudos is None else pseudos.cutoffs,
    )
    texts = pw_inputs(
        band,
        namelists,
        files,
        kpoints_mesh(band.lattice_of(0), settings),
        hubbard_of(atoms, settings) if settings.hubbard_card else {},
        settings.hubbard_projectors,
    )
    path = path_namelist(settings, band.n_images, _climbs_at_once(settings), settings.neb.max_steps)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {'neb.dat': neb_input(path)}
    if settings.neb.climb and not _climbs_at_once(settings):
        steps = 2 * settings.neb.max_steps
        contents['neb_climb.dat'] = neb_input(path_namelist(settings, band.n_images, True, steps, restart=True))
    contents |= {f'pw_{n}.in': text for n, text in enumerate(texts, start=1)}
    for name, text in contents.items():
        (folder / name).write_text(text, encoding='utf8')
    return [folder / name for name in contents]


def _climbs_at_once(settings: Settings) -> bool:
    """Return whether the highest image climbs in the first run."""
    return settings.neb.climb and settings.neb.climb_threshold is None


def _installed_pseudos(settings: Settings, atoms: Atoms) -> Pseudopotentials | None:
    """Return the pseudopotentials where a profile is loaded and has the family."""
    from aiida.manage import get_manager

    from aiida_embarrier.engines.quantumespresso.pseudos import choose_pseudos, find_family

    if get_manager().get_profile() is None:
        return None
    try:
        find_family(settings.family)
    except ValueError:
        return None
    return choose_pseudos(settings, atoms)
