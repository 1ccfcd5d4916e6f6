"""``aiida-embarrier launch functionals``: compare density functionals over several systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.settings import JOBS, job_inputs
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import EXISTING_FILE, load_profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiida_embarrier.workflows.functionals_inputs import ComparedSystem
    from aiida_embarrier.workflows.functionals_spec import ComparisonSpec

__all__ = ('command', 'echo_estimate')

EXAMPLES = """\b
Examples:
  aiida-embarrier launch functionals comparison.yaml --estimate-only
  aiida-embarrier launch functionals comparison.yaml --code vasp@cluster --max-concurrent 8 --submit"""

SYSTEMS = (
    Column('system', 'name'),
    Column('atoms', 'n_atoms', 'd'),
    Column('valence electrons', 'n_electrons', 'd'),
    Column('images', 'n_images', 'd'),
)
FUNCTIONALS = (
    Column('functional', 'name'),
    Column('bands', 'n_bands', 'd'),
    Column('cost of a step', 'factor', '.2f'),
    Column('share of the work', 'share', '.0%'),
    Column('from', 'source', width=70),
)


@click.command('functionals', epilog=EXAMPLES)
@click.argument('spec', metavar='SPEC.yaml', type=EXISTING_FILE)
@click.option('--estimate-only', is_flag=True, help='Print what it would take, and launch nothing; needs no profile.')
@click.option(
    '--max-concurrent',
    type=click.IntRange(min=1),
    metavar='N',
    help='How many relaxations and barriers run at a time, instead of what the file says.',
)
@JOBS
@START
@click.option('-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.')
def command(
    spec: Path,
    estimate_only: bool,
    max_concurrent: int | None,
    jobs: dict[str, Any],
    profile_name: str | None,
    output_format: str,
    **how: Any,
) -> None:
    """Compare density functionals by the barriers of the systems in SPEC.yaml, in accuracy and in cost.

    Each system is computed by each functional, neutral and charged, without and with climbing image. The documentation
    says what the file holds ("Compare density functionals").
    """
    from aiida_embarrier.workflows.functionals_inputs import estimate_of, make_study
    from aiida_embarrier.workflows.functionals_spec import read_spec

    try:
        found, systems = read_spec(spec)
        study = make_study(systems, found.functionals, found.charges, found.climbing, found.reference)
        estimate = estimate_of(
            systems,
            study,
            engine=found.engine,
            protocol=found.protocol,
            overrides=found.overrides,
            functional_overrides=found.functional_overrides,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if estimate_only and output_format == 'json':
        echo_json(estimate)
        return
    if output_format == 'text':
        echo_estimate(estimate)
    if estimate_only:
        return
    load_profile(profile_name)
    _launch(found, systems, estimate, max_concurrent or found.max_concurrent, jobs, output_format=output_format, **how)


def _launch(
    spec: ComparisonSpec,
    systems: list[ComparedSystem],
    estimate: Mapping[str, Any],
    max_concurrent: int | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    from aiida_embarrier.workflows.functionals import FunctionalComparisonWorkChain

    if not jobs['codes'] and spec.code is not None:
        codes = (spec.code,) if isinstance(spec.code, str) else tuple(f'{name}={spec.code[name]}' for name in spec.code)
        jobs = {**jobs, 'codes': codes}
    given = job_inputs({'engine': spec.engine, 'overrides': spec.overrides}, **jobs)
    try:
        builder = FunctionalComparisonWorkChain.get_builder_from_protocol(
            given['code'],
            systems=systems,
            functionals=spec.functionals,
            engine=spec.engine,
            charges=spec.charges,
            climbing=spec.climbing,
            protocol=spec.protocol,
            overrides=spec.overrides,
            functional_overrides=spec.functional_overrides,
            options={**spec.options, **given['options']},
            quantity=spec.quantity,
            range_error=spec.range_error,
            min_systems=spec.min_systems,
            reference=spec.reference,
            max_concurrent=max_concurrent,
            estimate=estimate,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    start(builder, **how)


def echo_estimate(estimate: Mapping[str, Any]) -> None:
    """Print what a comparison will take."""
    jobs = estimate['jobs']
    echo_pairs(
        {
            'barriers': estimate['n_cells'],
            'hosts to relax': jobs['hosts'],
            'endpoints to relax': f'{jobs["endpoints"]} at most: of two that symmetry relates one',
            'moving images': f'{jobs["images"]} in all bands',
        }
    )
    click.echo()
    echo_table([{'name': name, **size} for name, size in estimate['systems'].items()], SYSTEMS)
    click.echo()
    echo_table([{'name': name, **entry} for name, entry in estimate['functionals'].items()], FUNCTIONALS)
    click.echo()
    for text in estimate['assumptions']:
        click.echo(f'assumed: {text}')
    click.echo()
