"""The INCAR of a task, as a dictionary: pure, so that it can be shown without AiiDA, code or POTCAR."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pymatgen.core import Element

from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.engines.vasp.layout import SHELLS, element_table
from aiida_embarrier.engines.vasp.tags import check_tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiida_embarrier.engines.functionals import Functional
    from aiida_embarrier.engines.vasp.layout import Layout

__all__ = ('OPTIMISERS', 'Task', 'check_neb', 'further_tags', 'kpoint_mesh', 'make_incar', 'render_incar')

#: IBRION of the optimisers of relaxations.
RELAX_OPTIMISERS = {'conjugate_gradient': 2, 'quasi_newton': 1, 'damped': 3}

#: Tags of the optimisers of bands. VTST takes the moves over where IBRION = 3 and POTIM = 0.
OPTIMISERS: dict[str, dict[str, dict[str, Any]]] = {
    'vtst': {
        'lbfgs': {'IBRION': 3, 'POTIM': 0.0, 'IOPT': 1},
        'quick_min': {'IBRION': 3, 'POTIM': 0.0, 'IOPT': 3},
        'fire': {'IBRION': 3, 'POTIM': 0.0, 'IOPT': 7},
    },
    # of stock VASP only these two follow the projected forces of a band; conjugate gradients minimise an energy.
    # Without SMASS only velocities along the forces are kept, which is quick-min; SMASS = 2 is steepest descent.
    'stock': {'quick_min': {'IBRION': 3}, 'rmm_diis': {'IBRION': 1}},
}

#: Start moment of atoms in a cell with an odd number of electrons where nothing is magnetic, in Bohr magnetons.
ODD_MOMENT = 0.6

#: PAW potentials whose valence does not tell whether their core has an even number of electrons: f shells in the core,
#: and hydrogen with a fraction of an electron.
OPEN_CORE = re.compile(r'_[23]$|[.]')

#: Tags that follow from other inputs, and where they are set.
RESERVED = {
    'IMAGES': 'the number of images',
    'LCLIMB': 'neb.climb',
    'ICHAIN': 'neb.build',
    'NELECT': 'the charge',
    'MAGMOM': 'the moments of kinds, or moments',
    'ISPIN': 'spin',
    'ICHARG': 'wavefunctions',
    'LDAU': 'functional',
    'LDAUTYPE': 'functional',
    'LDAUU': 'hubbard_u',
    'LDAUL': 'hubbard_u',
    'LDAUJ': 'hubbard_u',
    'GGA': 'functional',
    'METAGGA': 'functional',
    'IVDW': 'functional',
    'ENCUT': 'encut',
    'KSPACING': 'kspacing',
    'SPRING': 'neb.spring_constant',
    'IBRION': 'relax.optimiser and neb.optimiser',
    'ISYM': 'what is computed (bands and their endpoints have no symmetry)',
    'ISIF': 'relax_host',
    'NSW': 'relax.max_steps and neb.max_steps',
    'EDIFFG': 'relax.force_threshold and neb.force_threshold',
}


@dataclass(frozen=True)
class Task:
    """What one job does.

    :param kind: `static`, `relax`, or `neb`.
    :param cell: of relaxations: `fixed`, or `full` for positions and cell.
    :param n_images: of bands: number of images, the endpoints included.
    :param climb: of bands: whether the highest image climbs in this job.
    :param final: of bands: whether the job goes down to the force threshold although no image climbs in it.
    :param in_band: whether energies are compared with those of a band: symmetry is switched off in both.
    :param end_energies: of bands: energies of the endpoints in eV where they are known. VTST takes them for tangents
        of the images beside them.
    """

    kind: Literal['static', 'relax', 'neb']
    cell: Literal['fixed', 'full'] = 'fixed'
    n_images: int = 0
    climb: bool = False
    final: bool = False
    in_band: bool = False
    end_energies: tuple[float, float] | None = None


def kpoint_mesh(lattice: Any, settings: Mapping[str, Any]) -> list[int]:
    """Return the divisions of the mesh, as VASP makes them of KSPACING: `ceil(|b_i| / kspacing)`, at least 1.

    :param lattice: lattice vectors as rows in Å, shape (3, 3).
    :param settings: the protocol of the engine: `kmesh` or `kspacing` in 1/Å.
    """
    if settings['kmesh'] is not None:
        return [int(number) for number in settings['kmesh']]
    reciprocal = 2 * math.pi * np.linalg.inv(np.asarray(lattice, dtype=float)).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    return [max(1, math.ceil(length / settings['kspacing'] - 1e-8)) for length in lengths]


def check_neb(neb: Mapping[str, Any]) -> None:
    """Check the settings of bands.

    :raises ValueError: for unknown builds and optimisers, and for a climbing image in stock VASP.
    """
    build = neb['build']
    if build not in OPTIMISERS:
        raise ValueError(f'neb.build: unknown build of VASP {build!r}{closest(build, OPTIMISERS)}')
    if build == 'stock' and neb['climb']:
        raise ValueError(
            'neb.climb: stock VASP has no climbing image, it ignores LCLIMB: use a build with the VTST patch '
            '(neb.build: vtst), or neb.climb: false'
        )
    optimiser = neb['optimiser']
    if optimiser is not None and optimiser not in OPTIMISERS[build]:
        raise ValueError(f'neb.optimiser: {optimiser!r} is none of {build} VASP{closest(optimiser, OPTIMISERS[build])}')


def make_incar(
    layout: Layout,
    settings: Mapping[str, Any],
    functional: Functional,
    task: Task,
    *,
    charge: float = 0.0,
    n_valence: float | None = None,
) -> dict[str, Any]:
    """Return the INCAR as a dictionary of tags in capitals.

    :param layout: order and groups of the atoms.
    :param settings: the protocol of the engine.
    :param functional: the functional.
    :param task: what is done.
    :param charge: of the cell in units of e.
    :param n_valence: electrons of the neutral cell, the sum of ZVAL over the atoms; None where no POTCAR is at hand:
        NELECT is then a text, and whether the number of electrons is odd follows from the atomic numbers.
    :raises ValueError: for an odd number of electrons without spin, unknown values, and further tags that belong
        somewhere else.
    """
    tags: dict[str, Any] = {
        'PREC': settings['prec'],
        'ENCUT': settings['encut'],
        'EDIFF': settings['ediff'],
        'NELM': settings['nelm'],
        'ISMEAR': settings['ismear'],
        'SIGMA': settings['sigma'],
        'LREAL': settings['lreal'],
        'LORBIT': 11,
        'LWAVE': bool(settings['wavefunctions']),
        'LCHARG': False,
        'LMAXMIX': _lmaxmix(layout.elements),
        **functional.tags,
        **_hubbard_tags(layout),
        **_electron_tags(layout, settings, charge, n_valence),
        **_task_tags(settings, task),
    }
    tags |= {name.upper(): value for name, value in settings['parallel'].items() if value is not None}
    return tags | further_tags(settings['incar'])


def further_tags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return tags of the user, in capitals.

    :raises ValueError: for tags that VASP does not have or that are set elsewhere, and values that are none of VASP's.
    """
    tags = {}
    for name, value in given.items():
        tag = str(name).upper()
        if tag in RESERVED:
            raise ValueError(f'incar: the tag {tag} is set by {RESERVED[tag]}, not here')
        check_tag(tag)
        entries = value if isinstance(value, list | tuple) else [value]
        if not entries or not all(isinstance(entry, bool | int | float | str) for entry in entries):
            raise ValueError(f'incar: the tag {tag} takes a number, a word, true or false, or several, not {value!r}')
        tags[tag] = value
    return tags


def _lmaxmix(elements: Sequence[str]) -> int:
    """Return LMAXMIX: the occupancies of d and f shells are mixed too, or calculations with U do not converge."""
    blocks = {Element(element).block for element in elements}
    return 6 if 'f' in blocks else 4 if 'd' in blocks else 2


def _hubbard_tags(layout: Layout) -> dict[str, Any]:
    if not any(group.shell for group in layout.groups):
        return {}
    return {
        'LDAU': True,
        'LDAUTYPE': 2,
        'LDAUL': [-1 if group.shell is None else SHELLS[group.shell] for group in layout.groups],
        'LDAUU': [group.u for group in layout.groups],
        'LDAUJ': [0.0] * len(layout.groups),
    }


def _electron_tags(
    layout: Layout, settings: Mapping[str, Any], charge: float, n_valence: float | None
) -> dict[str, Any]:
    """Return the tags of spin and charge."""
    spin = settings['spin']
    if spin not in ('auto', 'polarised', 'none'):
        raise ValueError(f'unknown value {spin!r} of spin{closest(spin, ("auto", "polarised", "none"))}')
    tags: dict[str, Any] = {}
    without_potcar = n_valence is None
    if n_valence is None:
        n_electrons = _all_electrons(layout, settings['paw']['mapping'], charge)
        if charge:
            tags['NELECT'] = f'sum of ZVAL {-charge:+g}'
    else:
        n_electrons = n_valence - charge
        if charge:
            tags['NELECT'] = round(n_electrons, 8)
    odd = n_electrons is not None and abs(n_electrons - round(n_electrons)) < 1e-6 and round(n_electrons) % 2 == 1
    if spin == 'none':
        if odd:
            raise ValueError(
                f'the cell has an odd number of electrons, {n_electrons:g}'
                f'{" with those of the cores" * without_potcar}, which needs spin polarisation: use spin: auto or '
                'polarised, or another charge'
            )
        return {'ISPIN': 1, **tags}
    if layout.moments is None and spin == 'auto' and not odd:
        return {'ISPIN': 1, **tags}
    moments = layout.moments or (ODD_MOMENT,) * len(layout.order)
    return {'ISPIN': 2, 'MAGMOM': _compressed(moments), **tags}


def _all_electrons(layout: Layout, mapping: Mapping[str, str], charge: float) -> float | None:
    """Return the number of all electrons of a cell: even where that of valence electrons is, as cores hold pairs.

    :param mapping: PAW potentials by element that differ from the usual ones.
    :return: None where the core of a potential may have an odd number of electrons.
    """
    total = -charge
    for group in layout.groups:
        name = mapping.get(group.element) or element_table().get(group.element, {}).get('paw', group.element)
        if OPEN_CORE.search(name):
            return None
        total += group.count * Element(group.element).Z
    return total


def _compressed(values: Sequence[float]) -> str:
    """Return numbers as VASP reads them, repetitions as `count*value`: its lines must not be long."""
    runs = [(value, sum(1 for _ in run)) for value, run in itertools.groupby(values)]
    return ' '.join(f'{count}*{value:g}' if count > 1 else f'{value:g}' for value, count in runs)


def _task_tags(settings: Mapping[str, Any], task: Task) -> dict[str, Any]:
    symmetry = {'ISYM': 0} if task.in_band or task.kind == 'neb' else {}
    if task.kind == 'static':
        return {'IBRION': -1, 'NSW': 0, **symmetry}
    if task.kind == 'relax':
        relax = settings['relax']
        if relax['optimiser'] not in RELAX_OPTIMISERS:
            raise ValueError(
                f'relax.optimiser: unknown optimiser {relax["optimiser"]!r}'
                f'{closest(relax["optimiser"], RELAX_OPTIMISERS)}'
            )
        return {
            'IBRION': RELAX_OPTIMISERS[relax['optimiser']],
            'NSW': relax['max_steps'],
            'POTIM': relax['potim'],
            'EDIFFG': -relax['force_threshold'],
            'ISIF': 3 if task.cell == 'full' else 2,
            **symmetry,
        }
    neb = settings['neb']
    check_neb(neb)
    tags: dict[str, Any] = {'IMAGES': task.n_images - 2, 'SPRING': -neb['spring_constant'], **symmetry}
    if neb['max_steps'] == 0:
        return {**tags, 'IBRION': -1, 'NSW': 0}
    build = neb['build']
    optimiser = neb['optimiser'] or next(iter(OPTIMISERS[build]))
    tags |= {'NSW': neb['max_steps'], 'ISIF': 2, **OPTIMISERS[build][optimiser]}
    to_the_end = task.climb or task.final or not climbs_later(neb)
    tags['EDIFFG'] = -(neb['force_threshold'] if to_the_end else neb['climb_threshold'])
    if build == 'vtst':
        tags |= {'ICHAIN': 0, 'LCLIMB': task.climb, 'MAXMOVE': neb['maxmove']}
        if optimiser != 'lbfgs':
            tags['TIMESTEP'] = neb['potim']
        if task.end_energies is not None:
            tags['EFIRST'], tags['ELAST'] = task.end_energies
    else:
        tags['POTIM'] = neb['potim']
    return tags


def climbs_later(neb: Mapping[str, Any]) -> bool:
    """Return whether a band is first brought down to the threshold at which its highest image begins to climb."""
    return bool(neb['climb'] and neb['climb_threshold'] is not None and neb['max_steps'] > 0)


def climbs_at_once(neb: Mapping[str, Any]) -> bool:
    """Return whether the highest image of a band climbs from its first job on."""
    return bool(neb['climb'] and neb['climb_threshold'] is None and neb['max_steps'] > 0)


def render_incar(tags: Mapping[str, Any]) -> str:
    """Return the text of an INCAR."""
    lines = []
    for name, value in tags.items():
        if isinstance(value, bool):
            text = '.TRUE.' if value else '.FALSE.'
        elif isinstance(value, list | tuple):
            text = ' '.join(f'{entry:g}' if isinstance(entry, float) else str(entry) for entry in value)
        else:
            text = str(value)
        lines.append(f'{name} = {text}')
    return '\n'.join(lines) + '\n'
