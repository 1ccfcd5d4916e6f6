"""``aiida-embarrier predict``: migration barriers, and properties of crystals, as a model predicts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import OUTPUT, check_output, write_frame
from aiida_embarrier.cli.derive.orderings import read_supercell
from aiida_embarrier.cli.model.show import LEAKS, echo_scores
from aiida_embarrier.cli.output import Column, echo_json, echo_table
from aiida_embarrier.cli.params import EXISTING_FILE, MOMENTS
from aiida_embarrier.cli.tables import TABLE_FORMAT

if TYPE_CHECKING:
    import pandas as pd

    from aiida_embarrier.jobs.learning import ModelCard

__all__ = ('command',)

EXAMPLES = """\b
Examples:
  aiida-embarrier predict LiFePO4.cif --ion Li
  aiida-embarrier predict LiFePO4.cif --ion Li --refine --refine-count 1
  aiida-embarrier predict --initial A.vasp --final B.vasp --format json
  aiida-embarrier predict paths.parquet --format csv > barriers.csv
  aiida-embarrier predict my-model LiFePO4.cif
  aiida-embarrier predict my-model LiCoO2.cif LiMn2O4.cif --format csv > predictions.csv
  aiida-embarrier predict 1234 dc.parquet --store"""

#: Rows of the table for readers.
SHOWN = 50

#: Options that find paths, by their parameters, those that belong to all barriers, and those of properties.
OF_PATHS = {
    'ion': '--ion',
    'initial': '--initial',
    'final': '--final',
    'numbers': '--hop',
    'mechanism': '--mechanism',
    'max_length': '--max-length',
    'max_hops': '--max-hops',
    'supercell': '--supercell',
    'min_distance': '--min-distance',
    'symprec': '--symprec',
    'as_written': '--as-written',
    'lattice_policy': '--lattice-policy',
    'functional': '--functional',
    'moments': '--moments',
}
OF_BARRIERS = OF_PATHS | {'refined': '--refine', 'refine_count': '--refine-count', 'potential': '--potential'}
OF_PROPERTIES = {'labels': '--target', 'known': '--known', 'store': '--store', 'code': '--code'}


@click.command('predict', epilog=EXAMPLES)
@click.argument('sources', metavar='[MODEL] [FILE]...', nargs=-1)
@click.option(
    '--model', metavar='MODEL', help='Of barriers: `released` (the default), `released-potential`, a folder, or a node.'
)
@click.option('--ion', metavar='SYMBOL', help='Predict the barriers of this ion, such as Li.')
@click.option('--initial', type=EXISTING_FILE, metavar='FILE', help='With --final: ends of the one path that is meant.')
@click.option('--final', type=EXISTING_FILE, metavar='FILE', help='See --initial.')
@click.option('--as-written', is_flag=True, help='Go to the periodic image of --final that its coordinates say.')
@click.option(
    '--lattice-policy',
    type=click.Choice(['refuse', 'initial', 'mean']),
    help='Where the lattices of the ends differ: take that of the initial one, or the mean.',
)
@click.option('--hop', 'numbers', type=int, multiple=True, metavar='N', help='Number of a hop; all unless given.')
@click.option('--mechanism', type=click.Choice(['vacancy', 'interstitial']), help='vacancy unless given.')
@click.option('--max-length', type=float, metavar='Å', help='Longest hop; 5 Å unless given.')
@click.option(
    '--max-hops', type=click.IntRange(min=1), metavar='N', help='Refuse crystals with more; 500 unless given.'
)
@click.option(
    '--supercell',
    metavar='CELL',
    callback=lambda _context, _option, text: read_supercell(text),
    help='Such as 2x1x1, or nine integers; the smallest that keeps --min-distance unless given.',
)
@click.option(
    '--min-distance',
    type=float,
    metavar='Å',
    help='Smallest distance between periodic images of the ion; 8 Å unless given.',
)
@click.option('--symprec', type=float, metavar='Å', help='How far sites may lie from where symmetry wants them.')
@click.option('--functional', metavar='NAME', help='Density functional whose barriers are wanted, such as GGA+U.')
@MOMENTS
@click.option(
    '--refine',
    'refined',
    is_flag=True,
    help='Then relax elastic bands with a potential, of the hops with the lowest predictions.',
)
@click.option(
    '--refine-count', type=click.IntRange(min=1), metavar='N', help='How many hops --refine takes; 3 unless given.'
)
@click.option('--potential', metavar='NAME', help='Of --refine: chgnet unless given, or such as sevennet:7net-0.')
@click.option('--target', 'labels', multiple=True, metavar='LABEL', help='What to predict; all that the model knows.')
@click.option(
    '--known',
    metavar='LABEL',
    help='Which of these the dataset holds, for errors; found by property and unit unless given.',
)
@click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), default='auto', show_default=True)
@click.option('--threads', type=click.IntRange(min=1), metavar='N', help='Threads on a CPU; all cores unless given.')
@OUTPUT
@click.option('--store', is_flag=True, help='Predict by a process of AiiDA, whose inputs and outputs are nodes.')
@click.option('--code', metavar='LABEL', help='With --store: code of the worker; the one of this machine otherwise.')
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile for nodes and --store.')
@TABLE_FORMAT
def command(sources: tuple[str, ...], model: str | None, **options: Any) -> None:
    """Predict migration barriers, or properties of crystals. Files need no profile.

    With --ion, FILE is one crystal: all symmetry-distinct hops of the ion get a barrier, an interval, and flags where
    they are unlike what the model learned from. With --initial and --final there is one path and no FILE. --refine
    computes whole elastic bands of some of them, which takes minutes each. Without these options, FILE may be a dataset
    of paths in any format that imports (parquet, CSV, .json.gz): each of them is predicted, known barriers or not.

    Otherwise MODEL predicts properties: a folder with its files, or a node (PK, UUID or label). FILE is then a crystal
    (CIF, POSCAR, ...), several of them, or one dataset (file or node).
    """
    check_output(options['output'], options['overwrite'])
    ends = options['initial'], options['final']
    if options['ion'] is not None or any(ends):
        from aiida_embarrier.cli.predicting_barriers import predict_barriers

        _refuse_properties(options)
        if all(ends) and sources:
            raise click.UsageError(f'--initial and --final name the crystals: leave out {sources[0]}')
        if any(ends) and not all(ends):
            raise click.UsageError('a path has two ends: give --initial and --final')
        if not any(ends) and len(sources) != 1:
            raise click.UsageError(f'with --ion comes one FILE with a crystal, not {len(sources)}; models have --model')
        predict_barriers(sources[0] if sources else None, model, **options)
        return
    if len(sources) == 1 and _tells_paths(sources[0], model, options['profile']):
        from aiida_embarrier.cli.predicting_barriers import predict_barriers

        _refuse(options, OF_PATHS, f'a crystal, whose paths are sought: {sources[0]} is a dataset, which has its own')
        _refuse_properties(options)
        predict_barriers(sources[0], model, **options)
        return
    _refuse(options, OF_BARRIERS, 'barriers: name the --ion, --initial and --final, or a dataset of paths')
    if model is None:
        model, *files = sources or (None,)
    else:
        files = list(sources)
    if model is None or not files:
        raise click.UsageError(
            'for barriers name a FILE and the --ion, --initial and --final, or a dataset of paths; for properties a '
            'MODEL and a FILE'
        )
    own = {name: value for name, value in options.items() if name not in OF_BARRIERS}
    _predict_properties(model, tuple(files), **own)


def _tells_paths(source: str, model: str | None, profile: str | None) -> bool:
    """Return whether what is to be predicted is a dataset of paths; without a model of their own tables are."""
    from aiida_embarrier.cli.predicting import is_table

    path = Path(source)
    if path.is_file() and not is_table(path):
        return False
    if model is None:
        return path.is_file() or bool(path.suffix)  # what is no file is told where it is read
    from aiida_embarrier.cli.model.loading import load_any_model
    from aiida_embarrier.jobs.prediction import BarrierModelCard

    return isinstance(load_any_model(model, profile).card, BarrierModelCard)


def _refuse(options: dict[str, Any], others: dict[str, str], why: str) -> None:
    given = [option for name, option in others.items() if options[name]]
    if given:
        raise click.UsageError(f'{given[0]} goes with {why}')


def _refuse_properties(options: dict[str, Any]) -> None:
    if options['store']:
        raise click.UsageError(
            '--store goes with properties; barriers with their provenance come from the job '
            '`embarrier.predict_barriers`: see "Make a model of migration barriers" in the documentation'
        )
    _refuse(options, OF_PROPERTIES, 'properties: leave it out for barriers')


def _predict_properties(
    model: str,
    sources: tuple[str, ...],
    labels: tuple[str, ...],
    known: str | None,
    device: str,
    threads: int | None,
    output: Path | None,
    overwrite: bool,  # noqa: ARG001  (looked at before)
    store: bool,
    code: str | None,
    profile: str | None,
    output_format: str,
) -> None:
    from aiida_embarrier.cli.model.loading import LoadedModel, load_any_model
    from aiida_embarrier.cli.params import load_profile
    from aiida_embarrier.cli.predicting import ask, predict_here, predict_with_profile, rows_of
    from aiida_embarrier.jobs.learning import Hardware
    from aiida_embarrier.jobs.prediction import BarrierModelCard

    if code is not None and not store:
        raise click.UsageError('--code goes with --store')
    if store:
        load_profile(profile)
    named = load_any_model(model, profile)
    if isinstance(named.card, BarrierModelCard):
        raise click.UsageError(
            f'{model} is a model of migration barriers: name it with --model, and the ion that moves with --ion, such '
            f'as `aiida-embarrier predict --model {model} {sources[0]} --ion Li`'
        )
    found = LoadedModel(named.weights, named.card, named.node)
    rows = rows_of(sources, profile)
    question = ask(found.card, rows, labels, known)
    report: dict[str, Any] = {}
    if store:
        chosen = {'device': device, **({} if threads is None else {'threads': threads})}
        settings = {} if chosen == {'device': 'auto'} else chosen
        predictions, results, process = predict_with_profile(found, sources, rows, question, settings, code)
        report = {'process': process.pk, 'uuid': process.uuid, 'node': process.outputs.predictions.pk}
    else:
        predictions, result = predict_here(found, rows, question, Hardware(device=device, threads=threads))
        results = result.model_dump(mode='json')
    table = _wide(predictions, question.known)
    if output is not None:
        write_frame(output, table)
        report['written'] = str(output)
    notes = [*question.notes, *results.get('warnings', [])]
    leaking = [scaler.label for scaler in found.card.scalers if scaler.leaks]
    if leaking and results['scores']:
        notes.append(f'{", ".join(leaking)}: {LEAKS}')
    left_out = results.get('left_out', {})
    if output_format == 'json':
        units = {scaler.label: scaler.unit for scaler in found.card.scalers if scaler.label in question.labels}
        echo_json(
            {
                **report,
                'units': units,
                'predictions': _records(table),
                'scores': results['scores'],
                'left_out': left_out,
                'notes': notes,
            }
        )
    elif output_format == 'csv':
        click.echo(table.to_csv(index=False), nl=False)
    else:
        _echo(table, found.card, question.known, results['scores'], report)
    if output_format != 'json':
        for note in notes:
            click.echo(f'\nnote: {note}', err=True)
        for name, reason in left_out.items():
            click.echo(f'not predicted: {name}: {reason}', err=True)


def _wide(predictions: pd.DataFrame, known: str | None) -> pd.DataFrame:
    """Return one row for each crystal, in the order of the predictions, with a column for each target."""
    names = list(dict.fromkeys(predictions['name']))
    table = predictions.pivot(index='name', columns='target', values='prediction').reindex(names)
    table = table[list(dict.fromkeys(predictions['target']))]
    if known is not None:
        own = predictions[predictions['target'] == known].set_index('name')['value']
        table.insert(0, f'{known}_known', own.reindex(names))
    table.columns.name = None
    return table.reset_index()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict('records')
    return rows


def _echo(
    table: pd.DataFrame, card: ModelCard, known: str | None, scores: list[dict[str, Any]], report: dict[str, Any]
) -> None:
    units = {scaler.label: f' ({scaler.unit})' if scaler.unit else '' for scaler in card.scalers}
    headers = {f'{known}_known': f'{known}, known{units.get(known or "", "")}'}
    columns = [
        Column('crystal', 'name'),
        *(
            Column(headers.get(name, f'{name}{units.get(name, "")}'), name, '.5g')
            for name in map(str, table.columns[1:])
        ),
    ]
    echo_table(_records(table.head(SHOWN)), columns)
    if len(table) > SHOWN:
        click.echo(f'... and {len(table) - SHOWN} more; --format csv prints all, -o FILE writes them')
    echo_scores(scores)
    if 'written' in report:
        click.echo(f'\nwritten: {report["written"]}')
    if 'process' in report:
        click.echo(f'\nprocess {report["process"]}, predictions {report["node"]}')
