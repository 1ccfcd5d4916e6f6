"""Calcfunctions that make a path: endpoints from a crystal, alignment of given endpoints, interpolation, summary."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiida.engine import ExitCode, calcfunction
from aiida.orm import Dict, Str, StructureData

from aiida_embarrier.bands.barriers import EQUIVALENCE_TOLERANCE, SPLIT_DEPTH, TIE_TOLERANCE, end_falls
from aiida_embarrier.calculations.mapping import economy, plan_of_states
from aiida_embarrier.calculations.preparation import preparation_of
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.calculations.results import cost_of
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure, structure_from_node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymatgen.core import Structure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.bands.barriers import Barriers, EndFall, InteriorMinimum
    from aiida_embarrier.structures.endpoints import Endpoints
    from aiida_embarrier.structures.hops import Hop

__all__ = (
    'align',
    'create_endpoints',
    'interpolate',
    'rattle',
    'reinterpolate',
    'resolve_hop',
    'resolve_hops',
    'summarise',
)

#: Labels of the states of a hop that stands alone.
ENDS = {'initial': 'initial', 'final': 'final'}

#: Changes on relaxation beyond these parts are too large to pass in silence: of the volume of the host, of the hop.
LARGE_VOLUME_CHANGE = 0.1
LARGE_HOP_CHANGE = 0.3

#: A path over all atoms that is so much longer than the way of the ion moves the host rather than the ion.
LONG_PATH = 2.5

#: The command that warnings name, for the band with this PK; what shows a summary puts the number in.
SPLIT = 'aiida-embarrier launch segments PK'

#: Keys of a hop that is chosen among those which `aiida-embarrier hops` lists.
HOP_SELECTION = ('ion', 'number', 'mechanism', 'max_length', 'extra_vacancies', 'sites', 'symprec')


def resolve_hop(structure: StructureData, hop: dict[str, Any], kinds: Dict | None = None) -> Hop:
    """Return the hop that a dictionary describes: one spelt out, or one chosen by ion and number.

    :param structure: the crystal as the user gave it; numbers are those that `aiida-embarrier hops` shows for it.
    :raises ValueError: for unknown keys, ions that the crystal does not have, and numbers of no hop.
    """
    from aiida_embarrier.structures.hops import Hop, select_hop

    with _named(hop):
        if 'initial' in hop:  # spelt out: it has a number too
            return Hop.from_dict(hop)
        if set(hop) - set(HOP_SELECTION) or not {'ion', 'number'} <= set(hop):
            raise ValueError(f'a hop is chosen by {", ".join(HOP_SELECTION)}, got {sorted(hop)}')
        number = _whole(hop['number'])
        return select_hop(_find(structure, hop, kinds), number)


def resolve_hops(structure: StructureData, hops: dict[str, Any], kinds: Dict | None = None) -> list[Hop]:
    """Return the hops that a dictionary describes: all of an ion, or some of them by their numbers.

    :param structure: the crystal as the user gave it; numbers are those that `aiida-embarrier hops` shows for it.
    :param hops: keys of :data:`HOP_SELECTION` with `numbers`, a list, instead of `number`; without it all hops whose
        straight line goes through no other atom.
    :raises ValueError: for unknown keys, ions that the crystal does not have, no hops, and numbers of no hop.
    """
    return divide_hops(structure, hops, kinds)[0]


def divide_hops(
    structure: StructureData, hops: dict[str, Any], kinds: Dict | None = None
) -> tuple[list[Hop], list[Hop]]:
    """Return the hops of :func:`resolve_hops`, and those that are left out because they go through an atom.

    :raises ValueError: as :func:`resolve_hops`, and where nothing is left.
    """
    from aiida_embarrier.structures.hops import select_hop

    allowed = [key for key in HOP_SELECTION if key != 'number']
    with _named(hops):
        if set(hops) - {*allowed, 'numbers'} or 'ion' not in hops:
            raise ValueError(f'hops are chosen by {", ".join(allowed)} and numbers, got {sorted(hops)}')
        found = _find(structure, hops, kinds)
        numbers = hops.get('numbers')
        wanted = range(max(len(found), 1)) if numbers is None else sorted({_whole(number) for number in numbers})
        if not wanted:
            raise ValueError('the list of numbers of hops is empty: leave `numbers` out for all hops')
        chosen = [select_hop(found, number) for number in wanted]
        left_out = [hop for hop in chosen if numbers is None and hop.through_atom]
        kept = [hop for hop in chosen if hop not in left_out]
        if not kept:
            raise ValueError(f'{through_atoms([hop.number for hop in left_out])}, and there are no others')
        return kept, left_out


def through_atoms(numbers: Sequence[int]) -> str:
    """Say which hops are left out, why, and how to have them."""
    listed = ','.join(map(str, numbers))
    return (
        f'hop(s) {listed} left out: a straight line through another atom is no hop of its own; `--hops` (`numbers`) '
        'computes those that it names'
    )


def _find(structure: StructureData, selection: dict[str, Any], kinds: Dict | None) -> list[Hop]:
    from aiida_embarrier.structures.hops import find_hops

    options = {key: value for key, value in selection.items() if key not in ('ion', 'number', 'numbers')}
    return find_hops(structure_from_node(structure, kinds), selection['ion'], **options)


def _whole(number: Any) -> int:
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f'the number of a hop is a whole number, got {number!r}')
    return number


@contextmanager
def _named(selection: dict[str, Any]) -> Iterator[None]:
    """Say which selection it is where a value in it is of the wrong kind."""
    try:
        yield
    except (TypeError, KeyError) as error:
        raise ValueError(f'a value of the hop {selection} is of the wrong kind: {error}') from error


@calcfunction
@refuse_politely
def create_endpoints(
    host: StructureData,
    hop: Dict,
    parameters: Dict,
    crystal: StructureData | None = None,
    kinds: Dict | None = None,
) -> dict[str, Any]:
    """Make the endpoints of a hop in a supercell of the host.

    :param host: the host, relaxed or not.
    :param hop: the hop, see :func:`resolve_hop`.
    :param parameters: `min_image_distance` in Å, or `supercell` (three numbers or a 3x3 matrix); with `map_endpoints`
        the operations that make the final endpoint of the initial one are sought.
    :param crystal: the crystal that the number of the hop refers to, where the host was relaxed; sites correspond.
    :return: `initial`, `final`, and `path`: mobile atom, hop, supercell, warnings, and `states` where asked for
        (:func:`~aiida_embarrier.calculations.mapping.plan_of_states`).
    """
    from aiida_embarrier.structures.endpoints import make_endpoints
    from aiida_embarrier.structures.hops import DEFAULT_SYMPREC
    from aiida_embarrier.structures.supercells import Supercell

    found = resolve_hop(crystal or host, hop.get_dict(), kinds)
    settings = parameters.get_dict()
    endpoints = make_endpoints(
        structure_from_node(host, kinds),
        found,
        supercell=settings.get('supercell'),
        min_distance=settings['min_image_distance'],
    )
    initial, _ = node_from_structure(endpoints.initial)
    final, _ = node_from_structure(endpoints.final)
    path = path_of(endpoints, [] if crystal is None else change_warnings(crystal, host))
    if settings.get('map_endpoints'):
        supercell = Supercell(structure_from_node(host, kinds), endpoints.supercell).structure
        symprec = hop.get_dict().get('symprec', DEFAULT_SYMPREC)
        path['states'] = _states(supercell, endpoints.initial, endpoints.final, symprec)
    return {'initial': initial, 'final': final, 'path': Dict(path)}


def path_of(endpoints: Endpoints, warnings: list[str]) -> dict[str, Any]:
    """Return what later steps and the summary need to know of a hop of a host.

    :param warnings: further ones that concern the host.
    """
    return {
        'mobile': [endpoints.mobile],
        'mechanism': endpoints.hop.mechanism,
        'equivalent_endpoints': endpoints.hop.equivalent_ends,
        'hop': endpoints.hop.to_dict(),
        'supercell': [[int(entry) for entry in row] for row in endpoints.supercell],
        'warnings': [*endpoints.warnings, *warnings],
        'host': endpoints.host_formula,
    }


def _states(host: Structure | None, initial: Structure, final: Structure, symprec: float) -> dict[str, Any]:
    """Return how the endpoints of one hop follow from each other."""
    return plan_of_states(host, {'initial': initial, 'final': final}, [('initial', 'final')], symprec)


def align_nodes(
    initial: StructureData, final: StructureData, settings: dict[str, Any], kinds: Dict | None = None
) -> Band:
    """Return the band of two images of two given endpoints.

    :param settings: keyword arguments of :func:`aiida_embarrier.bands.alignment.align_endpoints`.
    :raises ValueError: for endpoints that do not fit each other.
    """
    from aiida_embarrier.bands.alignment import align_endpoints

    return align_endpoints(structure_from_node(initial, kinds), structure_from_node(final, kinds), **settings)


@calcfunction
@refuse_politely
def align(initial: StructureData, final: StructureData, parameters: Dict, kinds: Dict | None = None) -> dict[str, Any]:
    """Bring the sites of two given endpoints into the same order, and find the ion that moves.

    :param parameters: keyword arguments of :func:`aiida_embarrier.bands.alignment.align_endpoints`,
        `min_image_distance` in Å, below which a warning travels with the result, and `map_endpoints`, as
        :func:`create_endpoints` takes it, for the host that can be rebuilt from both endpoints.
    :return: `initial`, `final`, and `path`: mobile atoms, warnings, and `states` where asked for.
    """
    from aiida_embarrier.structures.mapping import TOLERANCE, rebuild_host
    from aiida_embarrier.structures.supercells import finite_size_warning

    settings = parameters.get_dict()
    min_distance = settings.pop('min_image_distance')
    seek_operations = settings.pop('map_endpoints', False)
    band = align_nodes(initial, final, settings, kinds)
    first, _ = node_from_structure(band.structure(0))
    last, _ = node_from_structure(band.structure(-1))
    warning = finite_size_warning(
        band.periodic_image_distance, min_distance, band.mobile_ion or 'ions', 'give endpoints in a larger supercell'
    )
    path: dict[str, Any] = {
        'mobile': list(band.mobile),
        'mechanism': band.info.mechanism,
        'warnings': [] if warning is None else [warning],
    }
    if seek_operations:
        ends = band.structure(0), band.structure(-1)
        same_lattice = band.lattice.ndim == 2
        host = rebuild_host(*ends, band.mobile, band.info.mechanism) if same_lattice else None
        # What a host was rebuilt from is less exact than a host: a check by forces and energies follows in any case.
        path['states'] = _states(host, *ends, TOLERANCE)
    return {'initial': first, 'final': last, 'path': Dict(path)}


@calcfunction
def rattle(parameters: Dict, **structures: StructureData) -> dict[str, StructureData]:
    """Move the atoms of crystals at random, so that their relaxation keeps no symmetry.

    :param parameters: `amplitude`, the standard deviation of each coordinate in Å, and `seed`. What a crystal gets
        depends on its label too, not on the others; on the average its atoms stay where they are.
    :param structures: the crystals by their labels.
    :return: the moved crystals by the same labels, with the same kinds.
    """
    import zlib

    import numpy as np

    moved = {}
    for label, node in structures.items():
        random = np.random.default_rng([parameters['seed'], zlib.crc32(label.encode())])
        shifts = random.normal(scale=parameters['amplitude'], size=(len(node.sites), 3))
        moved[label] = node.clone()
        moved[label].reset_sites_positions(
            [list(place) for place in np.array([site.position for site in node.sites]) + shifts - shifts.mean(axis=0)]
        )
    return moved


@calcfunction
@refuse_politely
def interpolate(
    initial: StructureData, final: StructureData, path: Dict, parameters: Dict, kinds: Dict | None = None
) -> BandData | ExitCode:
    """Make the starting band between two endpoints whose sites correspond.

    :param path: mobile atoms, mechanism and host, from :func:`create_endpoints` or :func:`align`.
    :param parameters: `n_images` with the endpoints, `interpolation` (`idpp` or `linear`), `host_treatment`, and
        optionally `waypoints`, positions of the ion in Å.
    """
    from aiida_embarrier.bands.alignment import AlignmentError
    from aiida_embarrier.bands.band import Band, BandInfo
    from aiida_embarrier.bands.interpolation import check_clearance
    from aiida_embarrier.bands.interpolation import interpolate as interpolate_band

    settings = parameters.get_dict()
    info = BandInfo(
        mechanism=path['mechanism'],
        host=path.get('host'),
        host_treatment=settings.get('host_treatment'),
        equivalent_endpoints=path.get('equivalent_endpoints'),
    )
    ends = Band.from_structures(
        [structure_from_node(initial, kinds), structure_from_node(final, kinds)], path['mobile'], info
    )
    if ends.hop_length is not None and ends.hop_length < 0.5:
        ion = ends.mobile_ion
        raise AlignmentError(
            f'both endpoints are the same minimum: after their relaxation the {ion} ion lies {ends.hop_length:.2f} Å '
            'from where it started. Leave the endpoints as they are (`relax_endpoints: false`), or choose another hop'
        )
    band = interpolate_band(
        ends, settings['n_images'], method=settings['interpolation'], waypoints=settings.get('waypoints')
    )
    check_clearance(band)
    return BandData(band)


@calcfunction
def reinterpolate(band: BandData, parameters: Dict) -> BandData:
    """Make another starting band between the endpoints of a band.

    :param parameters: those of :func:`interpolate`, with another `interpolation` or number of images.
    """
    from aiida_embarrier.bands.interpolation import interpolate as interpolate_band

    settings = parameters.get_dict()
    old = band.band
    ends = old.replace(
        positions=old.positions[[0, -1]],
        lattice=old.lattice if old.lattice.ndim == 2 else old.lattice[[0, -1]],
        energies=None,
        forces=None,
        max_perpendicular_forces=None,
        moments=None,
    )
    return BandData(
        interpolate_band(
            ends,
            settings.get('n_images', old.n_images),
            method=settings['interpolation'],
            waypoints=settings.get('waypoints'),
        )
    )


@calcfunction
@refuse_politely
def summarise(
    band: BandData,
    guess: BandData | None = None,
    path: Dict | None = None,
    label: Str | None = None,
    preparation: Dict | None = None,
    unprepared: BandData | None = None,
    **results: Dict,
) -> Dict:
    """Summarise a barrier: every definition, convergence, cost, what symmetry saved, and warnings.

    :param band: the band.
    :param guess: the starting band.
    :param path: how it was made, from :func:`create_endpoints`, :func:`align` or
        :func:`~aiida_embarrier.calculations.network.create_network`.
    :param label: of the band among several in the same jobs: then only what it took itself is counted.
    :param preparation: how a cheaper engine prepared the starting band, see
        :func:`~aiida_embarrier.calculations.preparation.preparation_of`.
    :param unprepared: the band that was optimised from the interpolated one, to compare.
    :param results: results of the steps by their names.
    """
    from aiida_embarrier.bands.barriers import barriers
    from aiida_embarrier.bands.interpolation import check_clearance, closest_approach
    from aiida_embarrier.bands.profile import EnergyProfile

    plain = band.band
    found = barriers(plain.energies, plain.info.equivalent_endpoints)
    coordinate, energy = EnergyProfile.from_band(plain).maximum()
    steps = {name: node.get_dict() for name, node in results.items()}
    made = {} if path is None else path.get_dict()
    own = {name: step['tasks'][label.value] for name, step in steps.items() if label and label.value in step['tasks']}
    prepared = {}
    if preparation is not None:
        tasks, name = steps.get('neb', {}).get('tasks', {}), label.value if label else 'band'
        prepared['preparation'] = preparation_of(preparation.get_dict(), band, tasks, name, unprepared)
    return Dict(
        {
            'barriers': found.to_dict(),
            'spline_maximum': {'coordinate': float(coordinate), 'energy': float(energy - plain.energies[0])},
            'converged': band.base.attributes.get('converged'),
            'residual_force': band.base.attributes.get('residual_force'),
            'n_images': plain.n_images,
            'n_atoms': plain.n_atoms,
            'hop_length': plain.hop_length,
            'periodic_image_distance': plain.periodic_image_distance,
            'closest_approach': float(min(pair.distance for pair in closest_approach(plain))),
            'potential': plain.info.potential,
            'functional': plain.info.functional or plain.info.potential_functional,
            'charge': plain.info.charge,
            'host_treatment': plain.info.host_treatment,
            **prepared,
            **cost_of(own if label else steps),
            **economy(made.get('ends', ENDS), made.get('states'), steps),
            'warnings': [
                *made.get('warnings', []),
                *([] if guess is None else (f'starting band: {text}' for text in check_clearance(guess.band))),
                *hop_warnings(plain, made.get('hop')),
                *warnings_of(plain, found),
            ],
        }
    )


def change_warnings(before: StructureData, after: StructureData) -> list[str]:
    """Return a warning where the relaxation of the host made another crystal of it."""
    change = after.get_cell_volume() / before.get_cell_volume() - 1
    if abs(change) < LARGE_VOLUME_CHANGE:
        return []
    return [
        f'the volume of the host changed by {100 * change:+.0f} % when it was relaxed: look whether it is still the '
        'crystal you mean, or take it as given (`relax_host: none`)'
    ]


def hop_warnings(band: Band, hop: dict[str, Any] | None) -> list[str]:
    """Return warnings where what was computed is hardly the hop that was asked for."""
    if band.hop_length is None:
        return []
    warnings = []
    if hop is not None and abs(band.hop_length / hop['length'] - 1) > LARGE_HOP_CHANGE:
        warnings.append(
            f'the ion moves {band.hop_length:.2f} Å between the relaxed endpoints, the hop was {hop["length"]:.2f} Å '
            'long: look where it went'
        )
    length = float(band.reaction_coordinate[-1])
    if length > LONG_PATH * band.hop_length:
        warnings.append(
            f'the path over all atoms is {length:.1f} Å long for a way of the ion of {band.hop_length:.2f} Å: the host '
            'rearranges along it'
        )
    return warnings


def warnings_of(band: Band, found: Barriers) -> list[str]:
    """Return what a reader of a barrier must know about it."""
    warnings = []
    if not band.info.converged:
        warnings.append('the band is not converged: its barrier is that of the last good band')
    difference = abs(float(band.energies[-1] - band.energies[0]))
    if band.info.equivalent_endpoints and difference > EQUIVALENCE_TOLERANCE:
        warnings.append(
            f'the endpoints are equivalent by symmetry of the host, but their energies differ by {difference:.3f} eV: '
            'they relaxed into different minima'
        )
    if found.endpoint_maximum:
        warnings.append('the highest image is an endpoint: there is no saddle between the endpoints')
    falls = end_falls(band.energies)
    if falls:
        warnings.append(_no_minimum(falls, found))
    within = [minimum for minimum in found.minima if minimum.image not in {fall.image for fall in falls}]
    for deep, minima in (
        (True, [minimum for minimum in within if minimum.depth >= SPLIT_DEPTH]),
        (False, [minimum for minimum in within if minimum.depth < SPLIT_DEPTH]),
    ):
        if minima:
            warnings.append(_interior_minima(minima, deep))
    return warnings


def _no_minimum(falls: list[EndFall], found: Barriers) -> str:
    """Say that ends of a path are no minima, so that its barriers count from states that are none, and what to do."""
    places = ' and '.join(
        f'the {fall.end} endpoint is no minimum, image {fall.image} lies {fall.depth:.3f} eV below it' for fall in falls
    )
    text = (
        f'{places}: a relaxation keeps the symmetry that it starts with. Start again with `rattle: 0.1` '
        '(`--rattle 0.1`; if the warning stays, another `rattle_seed`)'
    )
    depths = [minimum.depth for minimum in found.minima if minimum.image in {fall.image for fall in falls}]
    if depths:
        text += f', or split the path there: `{SPLIT} --depth {_rounded_down(min(depths)):g}`'
    if found.rate_limiting - found.forward > TIE_TOLERANCE:
        text += (
            f'; the rate-limiting barrier, {found.rate_limiting:.3f} eV, counts from the lowest image, the forward '
            'one does not'
        )
    return text


def _interior_minima(minima: list[InteriorMinimum], deep: bool) -> str:
    """Say that a path has interior minima, and what to do; of shallow ones that nothing has to be done."""
    images = ', '.join(f'{minimum.image} ({minimum.depth:.3f} eV deep)' for minimum in minima)
    where = f'image{"s" if len(minima) > 1 else ""} {images}'
    depth = _rounded_down(min(minimum.depth for minimum in minima))
    if deep:
        return (
            f'the path has an interior minimum at {where}: the hop is made of several; compute them on their own: '
            f'`{SPLIT} --depth {depth:g}`'
        )
    return (
        f'the path has a shallow dip at {where}, less than the {SPLIT_DEPTH:g} eV at which paths are split: '
        f'`{SPLIT} --depth {depth:g}` splits it there nevertheless'
    )


def _rounded_down(depth: float) -> float:
    """Return a depth in eV, rounded so that minima of this depth are among those that it names."""
    return min(SPLIT_DEPTH, math.floor(1000 * depth) / 1000)
