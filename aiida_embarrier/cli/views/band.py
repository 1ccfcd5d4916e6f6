"""A band: its barriers, and what a reader must know about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_pairs, echo_table
from aiida_embarrier.cli.params import band_of
from aiida_embarrier.cli.views import warning_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida.orm import ProcessNode
    from matplotlib.figure import Figure

    from aiida_embarrier.bands.band import Band
    from aiida_embarrier.data.band import BandData

__all__ = ('FIGURES', 'OUTPUT', 'PICTURE', 'describe', 'draw', 'echo')

OUTPUT = 'band'
#: Pictures besides that of the energies.
FIGURES = ('moments',)
PICTURE = 'energy_path'

BARRIERS = ('forward', 'reverse', 'rate_limiting', 'span')

IMAGES = (
    Column('image', 'image', 'd'),
    Column('coordinate (Å)', 'coordinate', '.2f'),
    Column('energy (eV)', 'energy', '.3f'),
    Column('', 'note'),
)

#: What symmetry did for the endpoints, by `endpoint_mapping` of the summary.
ENDPOINTS = {
    'verified': 'related by symmetry: one relaxation serves both, checked',
    'relaxed_further': 'related by symmetry, but the mapped one had to be relaxed further',
    'energy_differs': 'both relaxed, because a mapped one had another energy',
    'failed': 'both relaxed, because a mapped one could not be computed',
    'no_operation': 'both relaxed, no symmetry relates them',
    'not_asked': 'both relaxed',
}

TABLE = (Column('barrier', 'name'), Column('eV', 'value', '.3f'), Column('definition', 'definition', width=70))


def describe(node: BandData | ProcessNode) -> dict[str, Any]:
    """Return the attributes of a band, the energies along the path, and the summary of its work chain.

    :raises click.ClickException: for a process without a band.
    """
    import numpy as np

    from aiida_embarrier.bands.barriers import barriers
    from aiida_embarrier.bands.vacancies import mechanism_name

    node = band_of(node)
    attributes = node.base.attributes.all
    band = node.band
    description = {
        'pk': node.pk,
        'uuid': node.uuid,
        **{name: value for name, value in attributes.items() if not name.startswith('array|')},
        'reaction_coordinate': band.reaction_coordinate,
        'energies': band.energies,
    }
    if np.all(np.isfinite(band.energies)):
        description['barriers'] = barriers(band.energies, band.info.equivalent_endpoints).to_dict()
    process, summary = origin_of(node)
    description['process'] = process
    description['mechanism_name'] = mechanism_name(band)
    description['protocol'] = protocol_of(process)
    description['summary'] = summary
    return description


def origin_of(node: BandData) -> tuple[int | None, dict[str, Any] | None]:
    """Return the PK of the work chain that returned a band, and its summary; None where there is none.

    A network of hops returns many bands, each with the summary of its name. A band that was imported has the summary of
    the import, which made it.
    """
    from aiida.common.links import LinkType

    links = node.base.links
    for link in [link for kind in (LinkType.RETURN, LinkType.CREATE) for link in links.get_incoming(link_type=kind)]:
        outputs = link.node.outputs
        _, _, label = link.link_label.partition('__')
        if link.link_label == 'band' and 'summary' in outputs:  # a segment is not summarised by that of the whole
            return link.node.pk, outputs.summary.get_dict()
        if 'summaries' in outputs and label in outputs.summaries:
            return link.node.pk, outputs.summaries[label].get_dict()
    return None, None


def protocol_of(process: int | None) -> str | None:
    """Return the protocol that the inputs of a process were made with, None where it does not say."""
    from aiida.orm import load_node

    from aiida_embarrier.workflows.migration import PROTOCOL

    description = '' if process is None else load_node(process).description
    return description.removeprefix(PROTOCOL) if description.startswith(PROTOCOL) else None


def echo(description: dict[str, Any]) -> None:
    """Print a description for people."""
    heading = {
        'band': description['pk'],
        'formula': description['formula'],
        'ion': description['mobile_ion']
        if description['mechanism'] is None
        else f'{description["mobile_ion"]}, {description["mechanism_name"]} mechanism',
        'energies by': description['potential'] or description['functional'] or description['engine'],
        'charge': None if not description.get('charge') else f'{description["charge"]:+g} e',
        'host': description['host'],
        'host relaxed': description['host_treatment'],
        'hop': None if description['hop_length'] is None else f'{description["hop_length"]:.2f} Å',
        'images': f'{description["n_images"]} of {description["n_atoms"]} atoms',
        'converged': description['converged'],
        'residual force': None
        if description['residual_force'] is None
        else f'{description["residual_force"]:.3f} eV/Å',
    }
    mapping = (description['summary'] or {}).get('endpoint_mapping')
    if mapping is not None:
        heading['endpoints'] = ENDPOINTS[mapping]
    preparation = (description['summary'] or {}).get('preparation')
    if preparation is not None:
        heading['prepared'] = _preparation(preparation)
    if description['process'] is not None:
        heading['process'] = description['process']
    if description['protocol'] is not None:
        heading['protocol'] = description['protocol']
    echo_pairs(heading)
    if 'barriers' in description:
        _echo_barriers(description)
    elif description['summary'] is None:
        click.echo('\nThis is a starting band: it has no energies yet.')
    else:  # of an import whose files do not tell all energies
        click.echo()
        echo_table(_images(description), IMAGES)
    for warning in (description['summary'] or {}).get('warnings', []):
        click.echo(f'\nwarning: {warning_of(warning, description["pk"])}')


def _echo_barriers(description: dict[str, Any]) -> None:
    click.echo()
    rows = [
        {
            'name': name.replace('_', ' '),
            'value': description['barriers'][name],
            'definition': description['barriers']['definitions'][name],
        }
        for name in BARRIERS
    ]
    echo_table(rows, TABLE)
    click.echo()
    echo_table(_images(description), IMAGES)


def _preparation(found: dict[str, Any]) -> str:
    """Return what a preparation of the band by a cheaper engine was worth, in words."""
    if found['status'] != 'used':
        return f'no, {found["engine"]} could not: {found["message"]}'
    words = [f'by {found["potential"] or found["functional"] or found["engine"]}']
    words.append(f'barrier {found["barrier_forward"]:.3f} eV, {found["distance"]:.2f} Å from the interpolated band')
    if found['charge_ignored']:
        words.append('without the charge')
    saved = found.get('comparison', {}).get('steps_saved')
    if saved is not None:
        steps = found['comparison']['n_steps']
        words.append(f'{saved} of {steps["interpolated"]} steps saved')
    return ', '.join(words)


def draw(
    nodes: Sequence[BandData | ProcessNode],
    through_crystal: bool = False,
    direction: tuple[int, int, int] | None = None,
    figure: str | None = None,
) -> Figure:
    """Draw the energies along the paths of bands, or the way of one through the crystal, or one of :data:`FIGURES`.

    :param direction: lattice direction along which to look at the crystal.
    :param figure: `moments` for the magnetic moments of the sites of one band.
    :raises click.UsageError: for options that do not go together.
    """
    from aiida_embarrier.figures.energy_path import energy_path
    from aiida_embarrier.figures.migration_path import migration_path

    bands = [band_of(node).band for node in nodes]
    if figure == 'moments':
        from aiida_embarrier.figures.moments import moments

        return moments(bands[0])
    if through_crystal and len(bands) > 1:
        raise click.UsageError('--path draws one band at a time')
    if direction is not None and not through_crystal:
        raise click.UsageError('--direction is that of the way through the crystal: add --path')
    if through_crystal:
        return migration_path(bands[0], direction=direction)
    return energy_path(bands, labels=_labels(nodes, bands))


def _labels(nodes: Sequence[BandData | ProcessNode], bands: Sequence[Band]) -> list[str] | None:
    """Return what tells bands apart in a legend, with the PKs by which they were asked for; None for one band."""
    from aiida_embarrier.figures.energy_path import band_labels

    if len(bands) == 1:
        return None
    return [f'{node.pk}: {name}' for node, name in zip(nodes, band_labels(bands, numbered=False), strict=True)]


def _images(description: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per image: where it is, its energy relative to the first, and what it is."""
    notes: dict[int | None, str] = {}
    if 'barriers' in description:
        found = description['barriers']
        notes = {found['saddle']: 'saddle', **{minimum['image']: 'minimum' for minimum in found['minima']}}
    first = description['energies'][0]
    return [
        {'image': image, 'coordinate': coordinate, 'energy': energy - first, 'note': notes.get(image, '')}
        for image, (coordinate, energy) in enumerate(
            zip(description['reaction_coordinate'], description['energies'], strict=True)
        )
    ]
