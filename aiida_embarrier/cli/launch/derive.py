"""``aiida-embarrier launch derive``: the structure that a barrier of the literature belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.crystals import crystal_nodes, named_worker
from aiida_embarrier.cli.launch.network import read_numbers
from aiida_embarrier.cli.launch.paths import HOP_LIMITS, hop_limits
from aiida_embarrier.cli.launch.settings import (
    JOBS,
    METHOD,
    MIN_DISTANCE,
    POTENTIAL,
    RATTLE,
    job_inputs,
    method_inputs,
)
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import EXISTING_FILE, MOMENTS, bundle, read_mapping, with_profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch derive LiFePO4.cif --ion Li --state charged --hops 0
  aiida-embarrier launch derive --parent LiFePO4.cif --substitute Li=Na --ion Na --all-hops
  aiida-embarrier launch derive disordered.cif --relax-orderings 10 --steps steps.yaml"""

#: What a file of --steps may hold.
STEPS = ('lookup', 'substitution', 'orderings', 'charge_state', 'hops')


def read_substitutions(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return the new species by the old ones in texts such as ``Li=Na``."""
    pairs = {}
    for text in texts:
        old, equals, new = text.partition('=')
        if not (old and equals and new):
            raise click.BadParameter(f'{text!r} is not OLD=NEW, such as Li=Na')
        pairs[old] = new
    return pairs


def read_site(text: str) -> int | list[float]:
    """Return a site: its index, or fractional coordinates in a text such as ``0.5,0,0.25``."""
    try:
        values = [float(value) for value in text.split(',')]
        if len(values) == 1:
            return int(text)
        if len(values) == 3:
            return values
    except ValueError:
        pass
    raise click.BadParameter(f'{text!r} is no site: give its index, or three coordinates such as 0.5,0,0.25')


def read_state(_: click.Context, __: click.Parameter, text: str | None) -> str | float | None:
    """Return a charge state: its name, or the share of the sites that are occupied."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


@click.command('derive', epilog=EXAMPLES)
@click.argument('structure', metavar='[FILE]', type=EXISTING_FILE, required=False)
@click.option('--parent', type=EXISTING_FILE, metavar='FILE', help='Crystal to derive the structure from.')
@click.option(
    '--substitute',
    multiple=True,
    metavar='OLD=NEW',
    callback=read_substitutions,
    help='Species of the parent to exchange, such as Li=Na; may be repeated. The volume is scaled.',
)
@click.option('--ion', metavar='SYMBOL', help='The intercalant, for --state and for hops.')
@click.option(
    '--state',
    metavar='STATE',
    callback=read_state,
    help='discharged, charged, or the share of the sites of the ion that are occupied.',
)
@click.option(
    '--hops', 'numbers', metavar='N,M-K,...', callback=read_numbers, help='Numbers of the hops whose ends are made.'
)
@click.option('--all-hops', is_flag=True, help='Make the ends of all hops that go through no other atom.')
@click.option(
    '--between',
    nargs=2,
    metavar='SITE SITE',
    callback=lambda _context, _option, texts: None if texts is None else [read_site(text) for text in texts],
    help='Make the ends of the hop between two sites: indices, or fractional coordinates such as 0.5,0,0.25.',
)
@bundle('limits', *HOP_LIMITS)
@click.option(
    '--relax-orderings',
    type=click.IntRange(min=1),
    metavar='N',
    help='Orderings of a disordered crystal that are relaxed, those of lowest Ewald energy; 5 unless given.',
)
@click.option(
    '--steps',
    'steps_file',
    type=EXISTING_FILE,
    metavar='YAML',
    help=f'File with further parameters of the steps: {", ".join(STEPS)}.',
)
@click.option('--worker-code', metavar='LABEL', help='Code of embarrier-worker, where the engine runs another program.')
@MOMENTS
@METHOD
@POTENTIAL
@MIN_DISTANCE
@RATTLE
@JOBS
@START
@with_profile
def command(
    structure: Path | None,
    parent: Path | None,
    substitute: dict[str, str],
    ion: str | None,
    state: str | float | None,
    numbers: list[int] | None,
    all_hops: bool,
    between: list[Any] | None,
    limits: dict[str, Any],
    relax_orderings: int | None,
    steps_file: Path | None,
    worker_code: str | None,
    moments: dict[str, float | list[float]],
    method: dict[str, Any],
    potential: str | None,
    min_image_distance: float | None,
    rattle: float | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Derive a structure: order and relax the crystal in FILE, ordered or not, or derive it from a parent.

    With --state intercalants are taken out; with --hops, --all-hops or --between endpoints are made and relaxed. The
    summary says which branch was taken at each step, and why.
    """
    from aiida_embarrier.workflows.derive import DeriveStructureWorkChain
    from aiida_embarrier.workflows.derive_inputs import derive_protocol

    if ion is not None and state is None and numbers is None and between is None and not all_hops and not steps_file:
        raise click.UsageError(f'--ion {ion} goes with --state, --hops, --all-hops or --between, and none is given')
    steps: dict[str, Any] = {} if steps_file is None else _read_steps(steps_file)
    if structure is None:
        _check_start(parent, bool(substitute) or 'substitution' in steps, 'lookup' in steps)
    chosen: dict[str, dict[str, Any]] = {'substitution': {'substitute': substitute} if substitute else {}}
    chosen['charge_state'] = {} if state is None else {'ion': ion, 'state': state}
    chosen['hops'] = _hops(ion, numbers, all_hops, between, hop_limits(**limits), 'hops' in steps)
    for name, values in chosen.items():
        if values:
            steps[name] = {**steps.get(name, {}), **{key: value for key, value in values.items() if value is not None}}
    crystals: dict[str, Any] = {}
    for name, path in (('structure', structure), ('parent', parent)):
        if path is not None:
            crystals[name], crystals['kinds'] = crystal_nodes(path, moments)
    settings = method_inputs(
        **method,
        potential=potential,
        resolve=derive_protocol,
        relax_orderings=relax_orderings,
        min_image_distance=min_image_distance,
        rattle=rattle,
    )
    builder = DeriveStructureWorkChain.get_builder_from_protocol(
        **crystals,
        **steps,
        **named_worker(worker_code),
        **settings,
        **job_inputs(settings, **jobs),
    )
    start(builder, **how)


def _read_steps(path: Path) -> dict[str, Any]:
    from aiida_embarrier.calculations.parameters import check_keys

    steps = read_mapping(path, '--steps')
    check_keys(steps, STEPS)
    return steps


def _check_start(parent: Path | None, exchanged: bool, sought: bool) -> None:
    """Refuse what gives no crystal to start from, in the words of the command line."""
    if parent is None and exchanged:
        raise click.UsageError('--substitute exchanges species of a parent: name its file with --parent')
    if parent is None and not sought:
        raise click.UsageError(
            'there is nothing to start from: give a FILE, or --parent FILE with --substitute OLD=NEW, or `lookup` in '
            'the file of --steps'
        )
    if parent is not None and not exchanged:
        raise click.UsageError('--parent goes with --substitute OLD=NEW, which names the species to exchange')


def _hops(
    ion: str | None,
    numbers: list[int] | None,
    all_hops: bool,
    between: list[Any] | None,
    limits: Mapping[str, Any],
    in_file: bool,
) -> dict[str, Any]:
    """Return the hops that options name, nothing where they name none."""
    ways = [numbers is not None, all_hops, between is not None]
    if sum(ways) > 1:
        raise click.UsageError('--hops, --all-hops and --between exclude each other')
    if not any(ways) and not in_file:
        if limits:
            raise click.UsageError(
                '--max-length, --extra-vacancies and --symprec go with --hops, --all-hops, --between'
            )
        return {}
    return {'ion': ion, 'numbers': numbers, 'between': between, **limits}
