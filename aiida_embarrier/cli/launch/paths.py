"""Options that say which path: a hop of a crystal, two endpoints, or a band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.params import EXISTING_FILE, MOMENTS, bundle, load_band, read_crystal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('HOP_LIMITS', 'PATH', 'hop_limits', 'path_inputs', 'plain_path')

#: What decides, as for `hops`, which hops there are; :func:`hop_limits` takes their values.
HOP_LIMITS = (
    click.option('--max-length', type=float, metavar='Å', help='Longest hop, as given to `hops`; 5 Å.'),
    click.option('--extra-vacancies', type=int, default=0, metavar='N', help='Further vacancies, as given to `hops`.'),
    click.option('--symprec', type=float, metavar='Å', help='Tolerance of symmetry, as given to `hops`.'),
)

#: A hop of a crystal, two endpoints, or a band; :func:`path_inputs` and :func:`plain_path` take the mapping `path`.
PATH = bundle(
    'path',
    click.argument('structure', metavar='[FILE]', type=EXISTING_FILE, required=False),
    click.option('--ion', metavar='SYMBOL', help='The migrating ion, with FILE.'),
    click.option('--hop', type=int, metavar='N', help='Number of the hop, as `hops` lists them.'),
    click.option(
        '--mechanism',
        type=click.Choice(['vacancy', 'interstitial', 'any']),
        default='vacancy',
        show_default=True,
        help='Mechanism; `any` lets several ions move between two given endpoints.',
    ),
    *HOP_LIMITS,
    MOMENTS,
    click.option('--initial', type=EXISTING_FILE, metavar='FILE', help='Initial endpoint, instead of FILE and --hop.'),
    click.option('--final', type=EXISTING_FILE, metavar='FILE', help='Final endpoint.'),
    click.option(
        '--lattice-policy',
        type=click.Choice(['refuse', 'initial', 'mean']),
        help='What to do with two endpoints whose lattices differ: take that of the initial one, or the mean.',
    ),
    click.option(
        '--as-written',
        is_flag=True,
        help='Let the ion move between the two endpoints as their coordinates say, not by the shortest way.',
    ),
    click.option(
        '--band', metavar='NODE', help='Band to go on from, instead of FILE: PK or UUID of a band or of a process.'
    ),
)


def hop_limits(max_length: float | None, extra_vacancies: int, symprec: float | None) -> dict[str, Any]:
    """Return the entries of a description of hops for the options of :data:`HOP_LIMITS` that were given."""
    given = {'max_length': max_length, 'extra_vacancies': extra_vacancies or None, 'symprec': symprec}
    return {name: value for name, value in given.items() if value is not None}


def path_inputs(**path: Any) -> dict[str, Any]:
    """Return keyword arguments of `get_builder_from_protocol` that say which path.

    :param path: as :func:`plain_path` takes it.
    :raises click.UsageError: where the options do not say one path.
    """
    from aiida_embarrier.data.convert import node_from_structure

    inputs = plain_path(**path)
    for name in ('final', 'initial', 'structure'):
        if name in inputs:
            inputs[name], inputs['kinds'] = node_from_structure(inputs[name])
    return inputs


def plain_path(
    structure: Path | None,
    ion: str | None,
    hop: int | None,
    mechanism: str,
    max_length: float | None,
    extra_vacancies: int,
    symprec: float | None,
    moments: dict[str, float | list[float]],
    initial: Path | None,
    final: Path | None,
    lattice_policy: str | None,
    as_written: bool,
    band: str | None,
) -> dict[str, Any]:
    """Return which path it is, with crystals as pymatgen structures; a band alone needs a profile.

    :return: `structure` and `hop`; or `initial`, `final`, `mechanism` and `alignment`; or `band`, a node.
    :raises click.UsageError: where the options do not say one path.
    """
    if band is not None:
        if any(value is not None for value in (structure, ion, hop, initial, final)) or moments:
            raise click.UsageError(
                '--band stands alone: leave out FILE, --ion, --hop, --moments, --initial and --final'
            )
        return {'band': load_band(band)}
    if structure is not None:
        if initial is not None or final is not None or lattice_policy is not None or as_written:
            raise click.UsageError(
                'give FILE with --ion and --hop, or --initial and --final, not both; '
                '--lattice-policy and --as-written go with the latter'
            )
        if ion is None or hop is None:
            raise click.UsageError(
                f'--ion and --hop are needed with FILE; `aiida-embarrier hops {structure} --ion ...` lists the hops'
            )
        limits = hop_limits(max_length, extra_vacancies, symprec)
        description = {'ion': ion, 'number': hop, 'mechanism': mechanism, **limits}
        return {'structure': read_crystal(structure, moments), 'hop': description}
    if initial is not None and final is not None:
        if ion is not None or hop is not None or max_length is not None or extra_vacancies:
            raise click.UsageError(
                'leave out --ion, --hop, --max-length and --extra-vacancies: two endpoints say themselves what moves'
            )
        alignment = {
            **({} if lattice_policy is None else {'lattice_policy': lattice_policy}),
            **({'keep_images': True} if as_written else {}),
        }
        return {
            'initial': read_crystal(initial, moments),
            'final': read_crystal(final, moments),
            'mechanism': mechanism,
            'alignment': alignment or None,
        }
    raise click.UsageError('give a crystal FILE with --ion and --hop, or both --initial and --final, or a --band')
