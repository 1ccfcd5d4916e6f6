"""``aiida-embarrier launch entry``: a barrier of the literature, and a computed one beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.launch.crystals import crystal_nodes, named_worker
from aiida_embarrier.cli.launch.settings import (
    JOBS,
    METHOD,
    MIN_DISTANCE,
    N_IMAGES,
    POTENTIAL,
    PREPARE_WITH,
    RATTLE,
    job_inputs,
    method_inputs,
)
from aiida_embarrier.cli.launch.start import START, start
from aiida_embarrier.cli.params import EXISTING_FILE, with_profile

if TYPE_CHECKING:
    from aiida_embarrier.workflows.entry_inputs import LiteratureRow

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier launch entry Li3OCl.yaml
  aiida-embarrier launch entry --dataset barriers_train.json.gz --row Li3OCl_1 --protocol fast"""


@click.command('entry', epilog=EXAMPLES)
@click.argument('file', metavar='[ROW.yaml]', type=EXISTING_FILE, required=False)
@click.option(
    '--dataset', metavar='NODE|FILE', help='A dataset of barriers, instead of ROW.yaml: a node, or a published file.'
)
@click.option('--row', 'row_name', metavar='NAME', help='Name of the row of the dataset.')
@click.option('--worker-code', metavar='LABEL', help='Code of embarrier-worker, where the engine runs another program.')
@METHOD
@POTENTIAL
@PREPARE_WITH
@N_IMAGES
@MIN_DISTANCE
@RATTLE
@JOBS
@START
@with_profile
def command(
    file: Path | None,
    dataset: str | None,
    row_name: str | None,
    worker_code: str | None,
    method: dict[str, Any],
    potential: str | None,
    prepare_with: str | None,
    n_images: int | None,
    min_image_distance: float | None,
    rattle: float | None,
    jobs: dict[str, Any],
    **how: Any,
) -> None:
    """Compute the barrier of a literature row, and set it beside the published one.

    ROW.yaml says what was published, where, which structure it belongs to, how that is derived, and which hop. A row of
    a dataset holds its path, and its endpoints are taken as they are.
    """
    from aiida_embarrier.workflows.entry import DatasetEntryWorkChain
    from aiida_embarrier.workflows.entry_inputs import read_row

    if (file is None) == (dataset is None) or (dataset is None) != (row_name is None):
        raise click.UsageError('give ROW.yaml, or a row of a dataset by --dataset and --row')
    row = None if file is None else read_row(file)
    settings = method_inputs(
        **method,
        prepare_with=prepare_with,
        potential=potential,
        further={} if row is None else row.overrides,
        n_images=n_images,
        min_image_distance=min_image_distance,
        rattle=rattle,
    )
    what = _of_dataset(dataset, row_name) if row is None or file is None else _of_row(row, file)
    builder = DatasetEntryWorkChain.get_builder_from_protocol(
        **what,
        **named_worker(worker_code),
        **settings,
        **job_inputs(settings, **jobs),
    )
    start(builder, **how)


def _of_row(row: LiteratureRow, file: Path) -> dict[str, Any]:
    """Return what a literature row says, as the builder takes it."""
    steps: dict[str, Any] = {
        'lookup': row.derive.lookup,
        'substitution': row.derive.substitution,
        'orderings': row.derive.orderings,
        'charge_state': row.charge_state,
        'hops': row.hops,
    }
    for name in ('structure', 'parent'):
        given = getattr(row, name)
        if given is not None:
            steps[name], steps['kinds'] = crystal_nodes(file.parent / given, row.moments)
    return {
        'row': row.facts,
        'derive': {name: value for name, value in steps.items() if value is not None},
        'relax_orderings': row.derive.relax_orderings,
    }


def _of_dataset(dataset: str | None, row_name: str | None) -> dict[str, Any]:
    """Return a row of a dataset, as the builder takes it; a file becomes a node."""
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.data.table import TableData

    found = load_frame(str(dataset))
    if found.schema != 'barrier':
        raise click.ClickException(f'{dataset} holds a dataset of a property: a row of barriers is needed')
    node = found.node
    if node is None:
        node = TableData(found.frame, units={'barrier': 'eV'}, title=Path(str(dataset)).name)
    return {'dataset': node, 'row_name': row_name}
