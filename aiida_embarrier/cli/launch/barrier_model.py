"""``aiida-embarrier launch barrier-model``: make a model of migration barriers, and compare it with others."""

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

    import pandas as pd

    from aiida_embarrier.workflows.barrier_model_spec import BarrierModelSpec

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch barrier-model model.yaml --dry-run
  aiida-embarrier launch barrier-model model.yaml --code embarrier-worker@cluster --wall-time 86400 --submit"""

MODELS = (
    Column('label', 'label', width=40),
    Column('model', 'model'),
    Column('settings', lambda row: ', '.join(f'{key} {value}' for key, value in row['settings'].items()) or None),
    Column('parent', 'parent'),
)


@click.command('barrier-model', epilog=EXAMPLES)
@click.argument('config', metavar='CONFIG.yaml', type=EXISTING_FILE)
@click.option('--dry-run', is_flag=True, help='Print what would be fitted on how many rows, and start nothing.')
@JOBS
@START
@click.option('-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.')
def command(
    config: Path, dry_run: bool, jobs: dict[str, Any], profile_name: str | None, output_format: str, **how: Any
) -> None:
    """Fit the model of migration barriers that CONFIG.yaml describes, and compare it with others.

    Files of datasets become nodes first. With --dry-run files need no profile.
    """
    from aiida_embarrier.workflows.barrier_model_spec import read_barrier_model

    spec = read_barrier_model(config)
    if dry_run:
        plan = _plan(spec, profile_name)
        if output_format == 'json':
            echo_json(plan)
        else:
            _echo_plan(plan)
        return
    load_profile(profile_name)
    _launch(spec, jobs, output_format=output_format, **how)


def _launch(spec: BarrierModelSpec, jobs: dict[str, Any], **how: Any) -> None:
    from aiida_embarrier.calculations.barrier_rows import part_of_rows
    from aiida_embarrier.cli.launch.datasets import dataset_node, features_node, model_node, split_node
    from aiida_embarrier.workflows.barrier_model import BarrierModelWorkChain

    if not jobs['codes'] and spec.code is not None:
        jobs = {**jobs, 'codes': (spec.code,)}
    # the potential engine runs the same program
    given = job_inputs({'engine': 'potential', 'overrides': {}}, **jobs)
    dataset = dataset_node(spec.dataset)
    builder = BarrierModelWorkChain.get_builder_from(
        given['code'],
        dataset,
        spec.parameters,
        describe=spec.describe,
        features=None if spec.features is None else features_node(spec.features),
        split=None if spec.split is None else split_node(spec.split, dataset),
        parents={label: model_node(parent) for label, parent in spec.parents.items()},
        settings=spec.hardware or None,
        options={**spec.options, **given['options']} or None,
    )
    table = dataset.table
    for note in _notes(table, part_of_rows(table, builder.split.table if 'split' in builder else None), spec):
        click.echo(f'note: {note}', err=True)
    start(builder, **how)


def _notes(frame: pd.DataFrame, parts: pd.Series, spec: BarrierModelSpec) -> list[str]:
    """Return what is to be said of a dataset before models learn from it, though nothing forbids it."""
    from aiida_embarrier.calculations.barrier_rows import notes_on_coverage
    from aiida_embarrier.calculations.prediction_inputs import resolve_models
    from aiida_embarrier.cli.dataset.results import doubtful_rows
    from aiida_embarrier.datasets.parts import LEARNED_PARTS

    used = frame[parts.isin(LEARNED_PARTS)]
    return [
        *notes_on_coverage(frame, parts, resolve_models(spec.parameters)),
        *doubtful_rows(used, spec.dataset, 'are used like all others'),
    ]


def _plan(spec: BarrierModelSpec, profile: str | None) -> dict[str, Any]:
    """Return what would be fitted; nodes are read, and nothing is stored.

    :raises click.ClickException: for what the process would refuse.
    """
    from aiida_embarrier.calculations.barrier_rows import check_barrier_rows, part_of_rows
    from aiida_embarrier.calculations.prediction_inputs import resolve_features, resolve_models
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.cli.launch.datasets import features_node, split_table

    loaded = load_frame(spec.dataset, profile)
    if loaded.schema != 'barrier':
        raise click.ClickException(f'{spec.dataset} holds {loaded.schema}s: models of barriers learn barriers')
    asked = resolve_models(spec.parameters)
    split = None if spec.split is None else split_table(spec.split, loaded.frame, profile)
    features = None
    if spec.features is not None:
        load_profile(profile)
        features = features_node(spec.features).table
    wrong = check_barrier_rows(loaded.frame, asked, split, features)
    if wrong is not None:
        raise click.ClickException(wrong)
    parts = part_of_rows(loaded.frame, split)
    n_judged = int(parts[parts.isin(('validation', 'test'))].nunique())
    n_fits = sum(
        len(asked['models'])
        * len(validation['seeds'])
        * (n_judged if validation['how'] == 'split' else validation['folds'])
        for validation in asked['validations']
    )
    return {
        'title': spec.title,
        'rows': len(loaded.frame),
        'parts': None if split is None else {str(part): int(n) for part, n in parts.value_counts(sort=False).items()},
        'n_without_part': int(parts.isna().sum()),
        'ions': {str(ion): int(n) for ion, n in loaded.frame['ion'].value_counts().items()},
        'describe': None if spec.describe is None else resolve_features(spec.describe).model_dump(mode='json'),
        'models': asked['models'],
        'validations': asked['validations'],
        'fit': asked['fit'],
        'n_fits': n_fits + (asked['fit'] is not None),
        'notes': _notes(loaded.frame, parts, spec),
    }


def _split_in_words(parts: Mapping[str, int] | None, n_without: int) -> str | None:
    if parts is None:
        return None
    shown = ', '.join(f'{part} {n}' for part, n in parts.items())
    return shown if not n_without else f'{shown}; {n_without} rows are in no part, and left out'


def _echo_plan(plan: Mapping[str, Any]) -> None:
    numbers = plan['describe']
    potential = None if numbers is None else numbers['potential']
    pairs = {
        'title': plan['title'],
        'rows': f'{plan["rows"]}: ' + ', '.join(f'{ion} {n}' for ion, n in plan['ions'].items()),
        'split': _split_in_words(plan['parts'], plan['n_without_part']),
        'describe': None
        if numbers is None
        else 'geometry and composition'
        if potential is None
        else f'with {potential["name"]} {potential["model"]}, at most {numbers["budget"]} evaluations of each path',
        'validations': '; '.join(
            f'{one["how"]}'
            + ('' if one['how'] == 'split' else f', {one["folds"]} folds')
            + f' × {len(one["seeds"])} seed(s)'
            for one in plan['validations']
        )
        or None,
        'kept': plan['fit'],
        'fits': plan['n_fits'],
    }
    echo_pairs({key: value for key, value in pairs.items() if value is not None})
    click.echo()
    echo_table(plan['models'], MODELS)
    for note in plan['notes']:
        click.echo(f'note: {note}', err=True)
