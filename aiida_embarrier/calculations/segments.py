"""Calcfunctions that take a path apart at its interior minima, and put it together again."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.calculations.results import cost_of
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure

if TYPE_CHECKING:
    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.bands.barriers import Barriers

__all__ = ('join_segments', 'make_segments', 'minima_of', 'summarise_segments', 'take_images')

#: An interior minimum that moves by more than this on relaxation, in Å, is hardly the one that the path passed.
FAR = 1.0


def minima_of(band: Band, depth: float) -> list[int]:
    """Return the images at which a path is split: its interior minima of at least this depth in eV.

    :raises ValueError: where energies are not known.
    """
    from aiida_embarrier.bands.barriers import barriers

    return [minimum.image for minimum in barriers(band.energies, minimum_depth=depth).minima]


@calcfunction
@refuse_politely
def take_images(band: BandData, parameters: Dict) -> dict[str, Any]:
    """Take images out of a band as crystals.

    :param parameters: `images`, their indices by label.
    :return: the crystals by these labels, and `kinds`.
    """
    plain = band.band
    taken: dict[str, Any] = {}
    for label, image in parameters['images'].items():
        taken[label], taken['kinds'] = node_from_structure(plain.structure(image))
    return taken


@calcfunction
@refuse_politely
def make_segments(band: BandData, parameters: Dict, **ends: StructureData) -> dict[str, Any]:
    """Make starting bands along a path between other ends: of its parts between minima, or of the whole path.

    Of neighbours that relaxed into the same place the inner one is left out, for it was no minimum.

    :param band: the path.
    :param parameters: `n_images` of each segment with its ends, and `images`: the images that were relaxed, by label.
    :param ends: the relaxed images by the same labels; an end of the path that is not among them stays as it is.
    :return: `segment_1`, `segment_2`, ... in the order of the path, none of them where it is all one place; and
        `found`: the images at which the segments begin and end, and notes on what became of the minima.
    """
    from aiida_embarrier.bands.segments import SAME_PLACE, ion_displacement, part, unwrapped, with_ends

    plain = band.band
    images = parameters['images']
    last = plain.n_images - 1
    places = {0: plain.positions[0], last: plain.positions[last]}
    for label, node in ends.items():
        places[images[label]] = unwrapped(plain, images[label], [site.position for site in node.sites])
    notes = []
    for image in sorted(set(images.values()) - {0, last}):
        moved = ion_displacement(plain, plain.positions[image], places[image])
        if moved > FAR:
            notes.append(f'the minimum at image {image} moved by {moved:.2f} Å when it was relaxed: look where it went')
    kept = [0]
    for image in sorted(places)[1:]:
        near = [
            other
            for other in (kept[-1], last)
            if other != image and ion_displacement(plain, places[other], places[image]) < SAME_PLACE
        ]
        if image == last or not near:
            kept.append(image)
            continue
        where = {0: 'the first end', last: 'the last end'}.get(near[0], f'the minimum at image {near[0]}')
        notes.append(f'image {image} is no minimum: relaxed, it went into {where}')
    if ion_displacement(plain, places[kept[-2]], places[last]) < SAME_PLACE:
        raise ValueError(
            'both ends of the path relaxed into the same place, so there is no hop: take them as they are, or '
            'another method'
        )
    segments: dict[str, Any] = {}
    # A path whose minima all went away is left alone, unless its ends were to be replaced.
    if len(kept) > 2 or not set(images.values()).isdisjoint({0, last}):
        for number, (first, end) in enumerate(pairwise(kept), start=1):
            piece = with_ends(part(plain, first, end), places[first], places[end], parameters['n_images'])
            if (first, end) == (0, last):
                piece = piece.replace(equivalent_endpoints=plain.info.equivalent_endpoints)
            segments[f'segment_{number}'] = BandData(piece)
    return {**segments, 'found': Dict({'images': kept, 'notes': notes})}


@calcfunction
@refuse_politely
def join_segments(original: BandData, **segments: BandData) -> BandData:
    """Join computed segments to one band.

    :param original: the path that was split; only whether its ends are equivalent is taken from it.
    :param segments: `segment_1`, `segment_2`, ...
    """
    from aiida_embarrier.bands.segments import join

    ordered = [segments[f'segment_{number}'].band for number in range(1, len(segments) + 1)]
    return BandData(join(ordered, original.base.attributes.get('equivalent_endpoints', None)))


@calcfunction
@refuse_politely
def summarise_segments(band: BandData, original: BandData, parameters: Dict, **nodes: BandData | Dict) -> Dict:
    """Summarise a path that was split: its barriers as a whole, each segment, and what splitting changed.

    :param band: the joined path; the original one where nothing was split.
    :param original: the path that was split.
    :param parameters: `depth` in eV, `notes`, and `settled`: numbers of segments whose minima turned out to be none.
    :param nodes: the segments `segment_1`, `segment_2`, ..., and the results of the steps by their names.
    """
    from aiida_embarrier.bands.barriers import barriers

    whole, before = band.band, original.band
    found = barriers(whole.energies, whole.info.equivalent_endpoints)
    old = barriers(before.energies, before.info.equivalent_endpoints)
    parts = {name: node for name, node in nodes.items() if isinstance(node, BandData)}
    ordered = [parts[f'segment_{number}'].band for number in range(1, len(parts) + 1)]
    rows = _segments(ordered, float(whole.energies[0]), parameters['depth'])
    return Dict(
        {
            'barriers': found.to_dict(),
            'unsplit': {
                **old.to_dict(),
                'converged': before.info.converged,
                'n_images': before.n_images,
                'energies_by': before.info.potential or before.info.functional,
            },
            'segments': rows,
            'rate_limiting_segment': _rate_limiting(
                rows, float(whole.energies[found.rate_limiting_images[1]] - whole.energies[0])
            ),
            'converged': whole.info.converged,
            'residual_force': whole.info.residual_force,
            'n_images': whole.n_images,
            'energies_by': whole.info.potential or whole.info.functional,
            **cost_of({name: node for name, node in nodes.items() if not isinstance(node, BandData)}),
            'notes': parameters['notes'],
            'warnings': _warnings(whole, before, found, rows, parameters['settled']),
        }
    )


def _segments(parts: list[Band], zero: float, depth: float) -> list[dict[str, Any]]:
    """Return one row for each segment; energies in eV relative to the first image of the whole path."""
    from aiida_embarrier.bands.barriers import barriers

    rows: list[dict[str, Any]] = []
    first = 0
    for piece in parts:
        found = barriers(piece.energies, piece.info.equivalent_endpoints)
        rows.append(
            {
                'images': [first, first + piece.n_images - 1],
                'energies': [float(piece.energies[end] - zero) for end in (0, -1)],
                'highest': float(piece.energies.max() - zero),
                'forward': found.forward,
                'reverse': found.reverse,
                'endpoint_maximum': found.endpoint_maximum,
                'minima': [first + image for image in minima_of(piece, depth)],
                'converged': piece.info.converged,
                'residual_force': piece.info.residual_force,
            }
        )
        first += piece.n_images - 1
    return rows


def _rate_limiting(rows: list[dict[str, Any]], top: float) -> int | None:
    """Return the number of the segment whose saddle the rate-limiting rise ends at; of equal ones the highest to climb.

    :param top: energy in eV at which the rise ends, relative to the first image of the whole path.
    """
    from aiida_embarrier.bands.barriers import TIE_TOLERANCE

    as_high = [number for number, row in enumerate(rows) if abs(row['highest'] - top) <= TIE_TOLERANCE]
    return 1 + max(as_high, key=lambda number: rows[number]['forward']) if as_high else None


def _warnings(whole: Band, before: Band, found: Barriers, rows: list[dict[str, Any]], settled: list[int]) -> list[str]:
    """Return what a reader of the barriers of a split path must know about them."""
    methods = [band.info.potential or band.info.functional for band in (before, whole)]
    warnings = []
    if methods[0] != methods[1]:
        warnings.append(
            f'the unsplit path was computed by {methods[0]}, the segments by {methods[1]}: their difference is not '
            'that of splitting'
        )
    for number, row in enumerate(rows, start=1):
        if not row['converged']:
            warnings.append(f'segment {number} is not converged: its barrier is that of the last good band')
        if row['endpoint_maximum']:
            warnings.append(f'segment {number} has its highest energy at an end: there is no saddle within it')
        if row['minima'] and number not in settled:
            images = ', '.join(map(str, row['minima']))
            warnings.append(
                f'segment {number} has an interior minimum itself (image {images} of the joined path): '
                'allow another round of splitting (`max_rounds`)'
            )
    if found.endpoint_maximum:
        warnings.append('the highest image is an end of the whole path: there is no saddle between its ends')
    return warnings
