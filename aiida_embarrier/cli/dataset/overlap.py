"""``aiida-embarrier dataset overlap``: which crystals datasets of properties have several times, and in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida_embarrier.cli.dataset.loading import Loaded

__all__ = ('command',)

DATASETS = (
    Column('dataset', 'dataset'),
    Column('unit', 'unit'),
    Column('rows', 'n_rows', 'd'),
    Column('crystals', 'n_crystals', 'd'),
    Column('repeated rows', 'n_duplicates', 'd'),
    Column('largest difference', 'largest_difference', '.4g'),
    Column('test rows', 'n_test', 'd'),
    Column('also trained', 'n_test_leaking', 'd'),
)
PAIRS = (
    Column('dataset', 'dataset'),
    Column('other', 'other'),
    Column('shared crystals', 'n_shared', 'd'),
    Column('rows with them', 'n_rows', 'd'),
    Column('tests of the other', 'n_test', 'd'),
)
REPEATED = (
    Column('dataset', 'dataset'),
    Column('crystal', 'crystal'),
    Column('row', 'name'),
    Column('part', 'part'),
    Column('target', 'target', '.6g'),
)

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset overlap pz.parquet dc.parquet ph.parquet
  aiida-embarrier dataset overlap jarvis2d.parquet --rows
  aiida-embarrier dataset overlap gv.parquet ph.parquet --figure gv_ph.png"""


@click.command('overlap', epilog=EXAMPLES)
@click.argument('datasets', metavar='FILE-OR-NODE...', nargs=-1, required=True)
@click.option('--rows', 'list_rows', is_flag=True, help='Also each row whose crystal its dataset has again.')
@click.option('--tolerance', type=float, metavar='Å', help='Most by which distances in one crystal differ.')
@click.option(
    '--figure',
    type=click.Path(dir_okay=False, path_type=Path),
    metavar='FILE',
    help='Draw the properties of two datasets against each other, on shared crystals (.png, .pdf, .svg).',
)
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    datasets: tuple[str, ...],
    list_rows: bool,
    tolerance: float | None,
    figure: Path | None,
    profile: str | None,
    output_format: str,
) -> None:
    """Say which crystals datasets of properties have several times, and in common. Files need no profile.

    Crystals are compared by their structures, whatever their cells and ids. `repeated rows` have a crystal that another
    row of their dataset has, too, with targets that differ by the `largest difference`; test rows are `also trained`
    where another of these does not test. `tests of the other` are test rows whose crystal a model has seen that was
    trained on what does not test in the dataset.
    """
    from aiida_embarrier.cli.dataset.loading import load_frame
    from aiida_embarrier.datasets.overlap import overlap
    from aiida_embarrier.datasets.same_crystals import TOLERANCE

    if figure is not None and len(datasets) != 2:
        raise click.UsageError(f'--figure draws two datasets against each other, got {len(datasets)}')
    loaded = _labelled((name, load_frame(name, profile)) for name in datasets)
    try:
        found = overlap(
            {label: one.frame for label, one in loaded.items()},
            units={label: one.unit for label, one in loaded.items()},
            tolerance=TOLERANCE if tolerance is None else tolerance,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    tables: dict[str, Any] = found.to_dict()
    for entry in tables['datasets']:
        entry['target'] = loaded[entry['dataset']].target
    if list_rows:
        tables['duplicates'] = found.duplicates.to_dict('records')
    if figure is not None:
        _draw(loaded, figure)
        tables['figure'] = str(figure)
    if output_format == 'json':
        echo_json(tables)
        return
    echo_table(tables['datasets'], DATASETS)
    for name, columns in (('pairs', PAIRS), ('duplicates', REPEATED)):
        if tables.get(name):
            click.echo()
            echo_table(tables[name], columns)
    if figure is not None:
        click.echo(f'\nwrote {figure}')


def _draw(datasets: dict[str, Loaded], path: Path) -> None:
    """Draw the properties of two datasets, those of pre-training and of fine-tuning perhaps."""
    from aiida_embarrier.datasets.relations import shared_targets
    from aiida_embarrier.figures.relations import relation
    from aiida_embarrier.figures.style import save

    names = [f'{label} ({one.unit})' if one.unit else label for label, one in datasets.items()]
    source, target = (one.frame for one in datasets.values())
    try:
        shared = shared_targets(source, target)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    values = (frame['target'].to_numpy(dtype=float) for frame in (source, target))
    save(relation(shared, *values, source=names[0], target=names[1]), path)


def _labelled(datasets: Iterable[tuple[str, Loaded]]) -> dict[str, Loaded]:
    """Return datasets by what they are called: files by their names, nodes by what names them.

    :raises click.ClickException: for barriers, and for one that is there twice.
    """
    found: dict[str, Loaded] = {}
    for name, loaded in datasets:
        if loaded.schema != 'property':
            raise click.ClickException(
                f'{name} is a dataset of barriers: crystals are compared in those of properties; what a split of '
                'barriers shares is told by `dataset split`'
            )
        label = Path(name).name.partition('.')[0] if loaded.node is None else name
        if label in found:
            raise click.ClickException(f'two datasets are called {label!r}: rename one of the files')
        found[label] = loaded
    return found
