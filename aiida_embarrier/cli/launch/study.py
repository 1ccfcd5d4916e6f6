"""``aiida-embarrier launch study``: pre-train, fine-tune on every target, and compare with training from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.gpus import GPUS, gpu_inputs
from aiida_embarrier.cli.launch.settings import JOBS, job_inputs
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import EXISTING_FILE, find_node, load_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.workflows.transfer_cost import DatasetSize
    from aiida_embarrier.workflows.transfer_plan import Plan
    from aiida_embarrier.workflows.transfer_spec import DatasetSpec, StudySpec

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch study study.yaml --dry-run
  aiida-embarrier launch study study.yaml --max-concurrent 8 --submit
  aiida-embarrier launch study study.yaml --only-failed-of 1234"""

PRETRAININGS = (
    Column('pre-training', 'label'),
    Column('learns', lambda row: ', '.join(row['sources']), width=40),
    Column('rows of each', 'rows'),
    Column('starts trainings', 'n_cells', 'd'),
)
CELLS = (
    Column('target', 'target'),
    Column('rows', lambda row: ', '.join(map(str, row['rows']))),
    Column('from', lambda row: ', '.join(row['sources']), width=40),
    Column('strategies', lambda row: ', '.join(row['strategies']), width=30),
    Column('sampling', lambda row: ', '.join(row['sampling'])),
    Column('trials', lambda row: ', '.join(map(str, row['trials']))),
    Column('trainings', 'n_cells', 'd'),
)


@click.command('study', epilog=EXAMPLES)
@click.argument('study', metavar='STUDY.yaml', type=EXISTING_FILE)
@click.option('--dry-run', is_flag=True, help='Print the plan and what it would take, and start nothing.')
@click.option(
    '--only-failed-of',
    'earlier',
    metavar='PROCESS',
    help='Train what has no result in an earlier study (PK or UUID), and nothing else.',
)
@click.option(
    '--max-concurrent',
    type=click.IntRange(min=1),
    metavar='N',
    help='How many trainings run at a time, instead of what the file says.',
)
@GPUS
@JOBS
@START
@click.option('-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.')
def command(
    study: Path,
    dry_run: bool,
    earlier: str | None,
    max_concurrent: int | None,
    gpus: dict[str, Any],
    jobs: dict[str, Any],
    profile_name: str | None,
    output_format: str,
    **how: Any,
) -> None:
    """Train every model of the study of transfer learning in STUDY.yaml, and compare them.

    Pre-trainings run once, trainings that were done before are taken from the database, and one that fails leaves the
    others alone. With --dry-run files need no profile.
    """
    from aiida_embarrier.workflows.transfer_cost import check_budget, check_sizes, estimate_of
    from aiida_embarrier.workflows.transfer_plan import expand
    from aiida_embarrier.workflows.transfer_spec import read_study

    try:
        spec = read_study(study)
        if max_concurrent is not None:
            budget = spec.budget.model_copy(update={'max_concurrent': max_concurrent})
            spec = spec.model_copy(update={'budget': budget})
        plan = expand(spec)
        if earlier is not None:
            load_profile(profile_name)
            plan = plan.only(_failed_of(earlier, plan))
        sizes = {label: _size_of(spec.datasets[label].dataset, profile_name) for label in plan.datasets}
        check_sizes(plan, sizes)
        estimate = estimate_of(plan, sizes, spec.budget)
        warning = check_budget(estimate, spec.budget)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if output_format == 'json' and dry_run:
        echo_json({'plan': plan.model_dump(), 'estimate': estimate, 'warning': warning})
        return
    if output_format == 'text':
        _echo_plan(plan, estimate)
    if warning is not None:
        click.echo(f'warning: {warning}', err=True)
    if dry_run:
        return
    load_profile(profile_name)
    _launch(spec, plan, estimate, gpus, jobs, output_format=output_format, **how)


def _launch(
    spec: StudySpec, plan: Plan, estimate: Mapping[str, Any], gpus: dict[str, Any], jobs: dict[str, Any], **how: Any
) -> None:
    from aiida.orm import SinglefileData

    from aiida_embarrier.workflows.transfer import TransferStudyWorkChain

    if not jobs['codes'] and spec.code is not None:
        jobs = {**jobs, 'codes': (spec.code,)}
    # the potential engine runs the same program
    given = job_inputs({'engine': 'potential', 'overrides': {}}, **jobs)
    settings, gpu_options = gpu_inputs(given['code'], spec.hardware, **gpus)
    published = None if spec.published is None else SinglefileData(Path(spec.published).resolve())
    try:
        builder = TransferStudyWorkChain.get_builder_from_study(
            given['code'],
            spec.model_copy(update={'hardware': settings}),
            plan,
            {label: _node_of(spec.datasets[label]) for label in plan.datasets},
            published=published,
            published_results=_published_results(spec.published_results),
            options={**gpu_options, **spec.options, **given['options']},
            estimate=estimate,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if spec.title is not None and how.get('label') is None:
        how['label'] = spec.title
    start(builder, **how)


def _node_of(dataset: DatasetSpec) -> DatasetData:
    from aiida_embarrier.cli.launch.datasets import dataset_node

    return dataset_node(dataset.dataset, dataset.property, dataset.unit)


def _published_results(identifier: str | None) -> Any | None:
    """Return the table of published results in a file or a node."""
    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.datasets.tables import read_parquet

    if identifier is None:
        return None
    path = Path(identifier)
    if not path.is_file():
        return find_node(identifier)
    return TableData(read_parquet(path.read_bytes()), title=path.name)


def _failed_of(identifier: str, plan: Plan) -> list[str]:
    """Return the trainings of a plan that have no result in an earlier study.

    :raises click.ClickException: for what is no study, and where nothing is missing.
    """
    from aiida_embarrier.workflows.transfer import TransferStudyWorkChain

    node = find_node(identifier)
    if getattr(node, 'process_type', None) != TransferStudyWorkChain.build_process_type():
        raise click.ClickException(f'node {node.pk} is no study of transfer learning but a {type(node).__name__}')
    if not node.is_terminated:
        raise click.ClickException(
            f'study {node.pk} has not ended: `aiida-embarrier watch {node.pk}` shows how it stands'
        )
    done: set[str] = set()
    if 'cells' in node.outputs:
        cells = node.outputs.cells.table
        done = set(cells.loc[cells['status'] == 'done', 'cell'])
    missing = [cell.label for cell in plan.cells if cell.label not in done]
    if not missing:
        raise click.ClickException(f'study {node.pk} has a result of every training: aiida-embarrier show {node.pk}')
    return missing


def _size_of(identifier: str, profile: str | None) -> DatasetSize:
    """Return what of a dataset decides the time of a training: of a table in parquet without reading its crystals."""
    from aiida_embarrier.workflows.transfer_cost import DatasetSize

    path = Path(identifier)
    if path.suffix == '.parquet' and path.is_file():
        import pandas as pd

        try:
            atoms = pd.read_parquet(path, columns=['n_atoms'])['n_atoms']
        except (KeyError, OSError, ValueError):
            pass  # what is wrong with it is told by what reads the whole
        else:
            return DatasetSize(len(atoms), float(atoms.mean()))
    from aiida_embarrier.cli.dataset.loading import load_frame

    loaded = load_frame(identifier, profile)
    if loaded.schema != 'property':
        raise click.ClickException(f'models learn properties, and {identifier} holds {loaded.schema}s')
    return DatasetSize(len(loaded.frame), float(loaded.frame['n_atoms'].mean()))


def _echo_plan(plan: Plan, estimate: Mapping[str, Any]) -> None:
    """Print the trainings of a plan, and what they take."""
    if plan.pretrainings:
        starts = [cell.pretraining for cell in plan.cells]
        rows = [{**entry.model_dump(), 'n_cells': starts.count(entry.label)} for entry in plan.pretrainings]
        echo_table(rows, PRETRAININGS)
        click.echo()
    echo_table(_by_target(plan), CELLS)
    click.echo()
    echo_pairs(
        {
            'pre-trainings': estimate['n_pretrainings'],
            'trainings that are tested': estimate['n_cells'],
            'expected at most': f'{_hours(estimate["core_hours"])} core-hours, '
            f'{_hours(estimate["core_hours_pretraining"])} of them pre-training; about '
            f'{_hours(estimate["wall_hours"])} h',
            'longest training': f'{_hours(estimate["longest_training_s"] / 3600)} h',
        }
    )
    for text in estimate['assumptions']:
        click.echo(f'assumed: {text}')
    click.echo()


def _hours(hours: float) -> str:
    """Return hours of which those of a small study do not read as 0.0."""
    return f'{hours:,.1f}' if hours >= 1 else f'{hours:.2g}'


def _by_target(plan: Plan) -> list[dict[str, Any]]:
    """Return the trainings of each target in one row."""
    rows = []
    for target in plan.targets:
        own = [cell for cell in plan.cells if cell.target == target]
        named = {'rows': 'rows', 'sources': 'source', 'sampling': 'sampling', 'trials': 'trial'}
        listed = {key: list(dict.fromkeys(getattr(cell, name) for cell in own)) for key, name in named.items()}
        strategies = [cell.strategy for cell in own if cell.strategy is not None]
        rows.append({'target': target, **listed, 'strategies': list(dict.fromkeys(strategies)), 'n_cells': len(own)})
    return rows
