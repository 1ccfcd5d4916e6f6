"""What ``predict`` works with: rows of crystals, and a job of the worker, with a profile or without one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd

from aiida_embarrier.datasets.schema import to_json
from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.here import run_here
from aiida_embarrier.jobs.learning import (
    CARD_FILE,
    PREDICTIONS_FILE,
    WEIGHTS_FILE,
    Hardware,
    PredictJob,
    PredictResult,
)
from aiida_embarrier.structures.reading import read_structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida_embarrier.cli.model.loading import LoadedModel
    from aiida_embarrier.jobs.learning import ModelCard

__all__ = ('Question', 'Rows', 'ask', 'is_table', 'predict_here', 'predict_with_profile', 'rows_of')

#: Suffixes of tables; JSON that begins with a list is one, too.
_TABLES = {'.parquet', '.csv', '.gz'}


@dataclass(frozen=True, eq=False)
class Rows:
    """Crystals to predict.

    :param frame: with the columns `name`, `lattice`, `species`, `frac_coords`, `n_atoms` and, of a dataset, `target`.
    :param property: what the targets are, None for crystals.
    :param unit: of the targets.
    :param node: of the dataset, None for files.
    """

    frame: pd.DataFrame
    property: str | None = None
    unit: str | None = None
    node: Any | None = None


@dataclass(frozen=True)
class Question:
    """What is asked of a model.

    :param labels: of the targets that are predicted.
    :param known: label of the target that the rows know.
    :param notes: what readers must know.
    """

    labels: list[str]
    known: str | None = None
    notes: tuple[str, ...] = ()


def rows_of(sources: Sequence[str], profile: str | None) -> Rows:
    """Return the crystals in files, or the rows of one dataset: a file or a node.

    :raises click.ClickException: naming every file that holds no crystal, and for datasets that are not alone.
    """
    tables = [source for source in sources if not Path(source).is_file() or is_table(Path(source))]
    if not tables:
        return Rows(_crystals([Path(source) for source in sources]))
    if len(sources) > 1:
        missing = [source for source in tables if not Path(source).is_file() and (Path(source).suffix or '/' in source)]
        if missing:
            raise click.ClickException(f'there is no file {missing[0]!r}')
        raise click.UsageError(f'{tables[0]} is a dataset: predict it alone, or name files with one crystal each')
    from aiida_embarrier.cli.dataset.loading import load_frame

    loaded = load_frame(tables[0], profile)
    if loaded.schema != 'property':
        raise click.ClickException(
            f'{tables[0]} is a dataset of {loaded.schema}s: this model predicts properties of crystals; `predict '
            f'{tables[0]}` predicts barriers, with --model by another one than `released`'
        )
    return Rows(loaded.frame, loaded.target, loaded.unit, loaded.node)


def is_table(path: Path) -> bool:
    """Return whether a file is a table of many rows, and no crystal."""
    if path.suffix.lower() in _TABLES:
        return True
    if path.suffix.lower() != '.json':
        return False
    with path.open('rb') as handle:
        return handle.read(64).lstrip()[:1] == b'['


def _crystals(paths: list[Path]) -> pd.DataFrame:
    rows, wrong = [], []
    paths = list(dict.fromkeys(paths))
    short = len({path.name for path in paths}) == len(paths)
    for path in paths:
        try:
            structure = read_structure(path)
            if not structure.is_ordered:
                raise ValueError(f'{path}: it has partly occupied sites: order it first (`derive orderings`)')
        except (ValueError, OSError) as error:
            wrong.append(str(error))
            continue
        rows.append(
            {
                'name': path.name if short else str(path),
                'formula': structure.composition.reduced_formula,
                'lattice': to_json(structure.lattice.matrix),
                'species': json.dumps([site.specie.symbol for site in structure]),
                'frac_coords': to_json(structure.frac_coords),
                'n_atoms': len(structure),
            }
        )
    if wrong:
        raise click.ClickException('\n'.join(wrong))
    return pd.DataFrame(rows).astype({'n_atoms': 'Int64'})


def ask(card: ModelCard, rows: Rows, labels: Sequence[str], known: str | None) -> Question:
    """Return what a model can be asked about rows.

    Targets that the rows know are compared with where they are the same property in the same unit.

    :param labels: of the targets that are wanted; none for all.
    :param known: label of the target that the rows know, None to find out.
    :raises click.BadParameter: for targets that the model does not have.
    """
    for label in [*labels, *([known] if known is not None else [])]:
        if label not in card.labels:
            raise click.BadParameter(f'the model predicts {", ".join(card.labels)}, not {label!r}')
    wanted = list(labels) or card.labels
    if known is not None:
        if 'target' not in rows.frame:
            raise click.UsageError('--known is for datasets: the files hold crystals without a property')
        return Question(list(dict.fromkeys([*wanted, known])), known)
    if 'target' not in rows.frame or rows.frame['target'].isna().all():
        return Question(wanted)
    same = [
        scaler.label
        for scaler in card.scalers
        if scaler.label in wanted and (scaler.property, scaler.unit) == (rows.property, rows.unit)
    ]
    if same:
        return Question(wanted, same[0])
    what = f'{rows.property} ({rows.unit or "no unit"})' if _is_named(rows) else 'a property without a name'
    note = (
        f'the dataset holds {what}, which the model does not say it predicts: nothing is compared, unless --known tells'
    )
    return Question(wanted, None, (note,))


def _is_named(rows: Rows) -> bool:
    """Return whether it is known what the numbers are: what a table without a name calls them says nothing."""
    return rows.property is not None and rows.property != 'target'


def predict_here(
    model: LoadedModel, rows: Rows, question: Question, hardware: Hardware
) -> tuple[pd.DataFrame, PredictResult]:
    """Run the worker of this environment in a temporary folder, and return the predictions and how it went.

    :raises WorkerError: where it failed, with its message.
    """
    named = _is_named(rows)
    units = {scaler.label: scaler.unit for scaler in model.card.scalers}
    job = PredictJob(
        dataset='rows.parquet',
        labels=question.labels,
        known=question.known,
        property=rows.property if named else None,
        # numbers without name and unit are what --known says they are
        unit=rows.unit if named or rows.unit is not None else units.get(question.known or ''),
        hardware=hardware,
    )
    files = {
        WEIGHTS_FILE: model.weights,
        CARD_FILE: model.card.model_dump_json().encode(),
        'rows.parquet': write_parquet(rows.frame),
    }
    result, written = run_here(job, files, PredictResult, [PREDICTIONS_FILE])
    return read_parquet(written[PREDICTIONS_FILE]), result


def predict_with_profile(
    model: LoadedModel,
    sources: Sequence[str],
    rows: Rows,
    question: Question,
    settings: dict[str, Any],
    code: str | None,
) -> tuple[pd.DataFrame, dict[str, Any], Any]:
    """Predict by a process, and return the predictions, what the job answered, and the process.

    :raises click.ClickException: where it failed.
    """
    from aiida.orm import Dict

    from aiida_embarrier.cli.dataset.running import run_worker
    from aiida_embarrier.cli.launch.datasets import dataset_node, stored_once
    from aiida_embarrier.data.model import ModelData
    from aiida_embarrier.data.table import TableData

    dataset: Any = rows.node
    if dataset is None and rows.property is not None:
        dataset = dataset_node(sources[0])
    elif dataset is None:
        dataset = TableData(rows.frame, title='crystals to predict')
    known = {} if question.known is None else {'known': question.known}
    process = run_worker(
        'embarrier.predict',
        code,
        label='predict',
        dataset=dataset,
        model=model.node or stored_once(ModelData(model.weights, model.card)),
        parameters=Dict({'labels': question.labels, **known}),
        **({'settings': Dict(settings)} if settings else {}),
    )
    return process.outputs.predictions.table, process.outputs.results.get_dict(), process
