"""``aiida-embarrier launch train``: train a model on datasets of properties."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.gpus import GPUS, gpu_inputs, hardware_asked
from aiida_embarrier.cli.launch.settings import JOBS, job_inputs
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.output import Column, echo_json, echo_pairs, echo_table
from aiida_embarrier.cli.params import EXISTING_FILE, load_profile
from aiida_embarrier.datasets.parts import LEARNED_PARTS

if TYPE_CHECKING:
    import pandas as pd

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.table import TableData
    from aiida_embarrier.workflows.train_spec import TargetSpec, TrainSpec

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch train training.yaml --dry-run
  aiida-embarrier launch train training.yaml --code embarrier-worker@cluster --gpus 4 --queue gpu --submit"""

TARGETS = (
    Column('target', 'label'),
    Column('property', 'property', width=60),
    Column('unit', 'unit'),
    Column('train', 'train', 'd'),
    Column('validation', 'validation', 'd'),
    Column('test', 'test', 'd'),
)


@click.command('train', epilog=EXAMPLES)
@click.argument('config', metavar='CONFIG.yaml', type=EXISTING_FILE)
@click.option('--dry-run', is_flag=True, help='Print what would be trained on which rows, and start nothing.')
@GPUS
@JOBS
@START
@click.option('-p', '--profile', 'profile_name', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to use.')
def command(
    config: Path,
    dry_run: bool,
    gpus: dict[str, Any],
    jobs: dict[str, Any],
    profile_name: str | None,
    output_format: str,
    **how: Any,
) -> None:
    """Train the model that CONFIG.yaml describes: from the start, or from a parent model.

    Files of datasets, and a parent in a folder, become nodes first. With --dry-run files need no profile.
    """
    from aiida_embarrier.workflows.train_spec import read_training

    spec = read_training(config)
    if dry_run:
        plan = _plan(spec, gpus, profile_name)
        if output_format == 'json':
            echo_json(plan)
        else:
            _echo_plan(plan)
        return
    load_profile(profile_name)
    _launch(spec, gpus, jobs, output_format=output_format, **how)


def _launch(spec: TrainSpec, gpus: dict[str, Any], jobs: dict[str, Any], **how: Any) -> None:
    from aiida_embarrier.calculations.learning_inputs import resolve_parameters
    from aiida_embarrier.cli.launch.datasets import dataset_node, model_node
    from aiida_embarrier.workflows.train import TrainModelWorkChain

    if not jobs['codes'] and spec.code is not None:
        jobs = {**jobs, 'codes': (spec.code,)}
    # the potential engine runs the same program
    given = job_inputs({'engine': 'potential', 'overrides': {}}, **jobs)
    settings, gpu_options = gpu_inputs(given['code'], spec.hardware, **gpus)
    if gpu_options and 'resources' in given['options']:
        raise click.UsageError('--cores is for jobs without GPUs: say --cpus-per-gpu')
    parent = None if spec.parent is None else model_node(spec.parent)
    resolve_parameters(spec.parameters, parent)  # what does not fit is said before datasets are imported
    datasets = {
        label: dataset_node(target.dataset, target.property, target.unit) for label, target in spec.targets.items()
    }
    splits = {label: _split_of(target, datasets[label]) for label, target in spec.targets.items()}
    builder = TrainModelWorkChain.get_builder_from(
        given['code'],
        datasets,
        splits,
        parameters=spec.parameters,
        parent=parent,
        settings=settings or None,
        options={**gpu_options, **spec.options, **given['options']} or None,
    )
    start(builder, **how)


def _split_of(target: TargetSpec, dataset: DatasetData) -> TableData:
    from aiida_embarrier.cli.launch.datasets import sample_node, split_node

    if target.sample is not None:
        return sample_node(target.sample, dataset)
    assert target.split is not None
    return split_node(target.split, dataset)


def _plan(spec: TrainSpec, gpus: dict[str, Any], profile: str | None) -> dict[str, Any]:
    """Return what would be trained; nodes are read, and nothing is stored."""
    from aiida_embarrier.calculations.learning_inputs import resolve_parameters, resolve_settings
    from aiida_embarrier.cli.model.loading import load_model

    parent = None if spec.parent is None else load_model(spec.parent, profile).card
    known = None if parent is None else parent.model_dump(mode='json', include={'architecture', 'graphs'})
    hardware, _, _ = hardware_asked(spec.hardware, **gpus)
    resolved = {
        name: entries.model_dump(mode='json') for name, entries in resolve_parameters(spec.parameters, known).items()
    }
    return {
        'title': spec.title,
        'targets': [_target(label, target, profile) for label, target in spec.targets.items()],
        'transfer': None,
        **resolved,
        'parent': None if parent is None else parent.weights_sha256,
        'hardware': resolve_settings(hardware)['hardware'].model_dump(mode='json'),
    }


def _target(label: str, target: TargetSpec, profile: str | None) -> dict[str, Any]:
    from aiida_embarrier.cli.dataset.loading import load_frame

    loaded = load_frame(target.dataset, profile)
    if loaded.schema != 'property':
        raise click.ClickException(f'{label}: models learn properties, and {target.dataset} holds {loaded.schema}s')
    if target.property is None and loaded.target is None:
        raise click.ClickException(
            f'{label}: which property the numbers of {target.dataset} are is not known: say `property`, and `unit`'
        )
    parts = _parts(label, target, loaded.frame, profile)
    counts = parts['part'].value_counts()
    unknown = parts['name'][~parts['name'].isin(loaded.frame['name'])]
    if len(unknown):
        raise click.ClickException(f'{label}: the split names {unknown.iloc[0]!r}, which is no row of {target.dataset}')
    if not counts.get('train', 0):
        raise click.ClickException(f'{label}: the split has no row of the part `train`')
    return {
        'label': label,
        'property': target.property or loaded.target,
        'unit': target.unit if target.property is not None else loaded.unit,
        **{part: int(counts.get(part, 0)) for part in LEARNED_PARTS},
        'left_out': int(len(loaded.frame) - sum(counts.get(part, 0) for part in LEARNED_PARTS)),
    }


def _parts(label: str, target: TargetSpec, frame: pd.DataFrame, profile: str | None) -> pd.DataFrame:
    """Return `name` and `part` of rows, without storing anything."""
    from aiida_embarrier.cli.launch.datasets import split_frame, split_node
    from aiida_embarrier.datasets.splits import split_dataset
    from aiida_embarrier.datasets.training_rows import published_rows, sampled_rows

    try:
        if target.sample is not None:
            chosen = dict(target.sample)
            if 'file' not in chosen:
                return sampled_rows(frame, **chosen).table
            content = Path(chosen['file']).read_bytes()
            return published_rows(frame, content, chosen['trial'], chosen['size'], chosen.get('dataset')).table
        if isinstance(target.split, dict):
            return split_dataset(frame, **{'compare_hops': False, **target.split}).table
    except ValueError as error:
        raise click.ClickException(f'{label}: {error}') from error
    assert target.split is not None
    if Path(target.split).is_file():
        return split_frame(Path(target.split))
    load_profile(profile)
    return split_node(target.split).table


def _echo_plan(plan: dict[str, Any]) -> None:
    architecture, training, hardware = plan['architecture'], plan['training'], plan['hardware']
    stopping = (
        '' if training['early_stopping'] is None else f', ended after {training["early_stopping"]} without a gain'
    )
    pairs = {
        'title': plan['title'],
        'architecture': f'{architecture["alignn_layers"]} + {architecture["gcn_layers"]} layers, '
        f'{architecture["hidden"]} features, {architecture["norm"]} normalisation',
        'parent': None if plan['parent'] is None else f'{plan["parent"][:12]}, {plan["transfer"]["strategy"]}',
        'training': f'{training["epochs"]} epochs at most{stopping}; batches of {training["batch_size"]}, '
        f'{training["loss"]}, learning rate {training["lr"]:g} ({training["schedule"]})',
        'scaling': training['scaling'],
        'seed': training['seed'],
        'hardware': f'{hardware["device"]}, {hardware["devices"]} per node, {hardware["nodes"]} node(s)',
    }
    echo_pairs({key: value for key, value in pairs.items() if value is not None})
    click.echo()
    echo_table(plan['targets'], TARGETS)
    for target in plan['targets']:
        if target['left_out']:
            click.echo(f'\n{target["label"]}: {target["left_out"]} row(s) are in no part, and are left out')
    if training['scaling'] == 'whole_set':
        click.echo('\nwarning: `whole_set` scales targets by the test rows, too, as published: it leaks')
