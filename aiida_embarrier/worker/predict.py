"""Predict properties of crystals with a model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from aiida_embarrier.datasets.tables import content_hash, read_parquet, write_parquet
from aiida_embarrier.jobs.learning import PREDICTIONS_FILE, PredictJob, PredictResult
from aiida_embarrier.jobs.model_files import ModelFilesError
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.learning.devices import choose_device
from aiida_embarrier.learning.graph_store import RefusedRowsError, graphs_of
from aiida_embarrier.learning.model_files import read_model
from aiida_embarrier.learning.predicting import predictions
from aiida_embarrier.learning.scores import scores_of
from aiida_embarrier.potentials.resources import available_cores
from aiida_embarrier.worker.plain import NoDeviceError, RefusedError, Stopped
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from aiida_embarrier.jobs.learning import ModelCard
    from aiida_embarrier.learning.graph_store import Graphs
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = PredictJob

#: What a prediction needs to know of a row.
COLUMNS = ('name', 'lattice', 'species', 'frac_coords')
#: The part of all rows: none of them was chosen for anything.
PART = 'all'
#: From so many rows on several processes build the graphs: each takes some seconds to start.
MANY_ROWS = 2000
#: How many rows a message names.
N_NAMED = 5
#: Why a row is left out that has a graph.
NOT_FINITE = 'the model gives no finite number for it'


def run(job: PredictJob, context: JobContext) -> PredictResult:
    """Predict the rows of a job, those left out that cannot become graphs, and compare with what is known of them.

    :raises RefusedError: where the job cannot be done as it is.
    """
    try:
        device = choose_device(job.hardware, '32-true')
    except ValueError as error:
        raise NoDeviceError(str(error)) from error
    try:
        model, card = read_model(context.folder)
    except ModelFilesError as error:
        raise RefusedError(str(error)) from error
    labels = card.labels if job.labels is None else job.labels
    rows = _read_rows(context.folder / job.dataset)
    if job.known is not None:
        _check_known(job, card, labels, rows)
    warnings = [] if job.known is None else _warnings(card, rows)

    threads = torch.get_num_threads()
    torch.set_num_threads(job.hardware.threads or available_cores())
    started = time.monotonic()
    reason = None
    try:
        rows, graphs, left_out = _graphs(job, context, card, rows)
        found, done = np.full((len(rows), len(labels)), np.nan), np.zeros(len(rows), dtype=bool)
        try:
            for numbers, values in predictions(model, card, graphs, labels, job.batch_size, device):
                found[numbers], done[numbers] = values, True
                context.progress('predicting', int(done.sum()), len(rows), 'crystals')
        except Stopped as stop:
            reason = None if done.all() else str(stop)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    finally:
        torch.set_num_threads(threads)
    seconds = time.monotonic() - started
    if reason is not None:
        warnings.append(f'{int(done.sum())} of {len(rows)} rows were predicted before the job was stopped')
    finite = np.isfinite(found).all(axis=1)
    left_out |= dict.fromkeys(rows['name'][done & ~finite].astype(str), NOT_FINITE)
    if done.any() and not finite.any():
        raise RefusedError(f'none of the rows can be predicted: {NOT_FINITE}; take another model')

    kept = np.flatnonzero(finite)
    table = _table(rows.iloc[kept], labels, found[kept], job.known)
    context.folder.mkdir(parents=True, exist_ok=True)  # somebody may have deleted it
    (context.folder / PREDICTIONS_FILE).write_bytes(write_parquet(table))
    return PredictResult(
        outcome=Outcome.DONE if reason is None else Outcome.INTERRUPTED,
        error=reason,
        n_rows=len(kept),
        scores=scores_of(table, card.scalers),
        left_out=left_out,
        warnings=warnings,
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu',
        rows_per_s=len(kept) / seconds,
        versions=versions_of('torch', 'safetensors'),
    )


def _read_rows(path: Path) -> pd.DataFrame:
    try:
        rows = read_parquet(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RefusedError(f'the rows to predict cannot be read from {path.name}: {error}') from error
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        raise RefusedError(
            f'the rows to predict have no column {missing[0]!r}: they need {", ".join(COLUMNS)}, as datasets of '
            'properties have them'
        )
    if rows.empty:
        raise RefusedError('there are no rows to predict')
    repeated = rows['name'][rows['name'].duplicated()]
    if len(repeated):
        raise RefusedError(f'the name {repeated.iloc[0]!r} is there more than once: names of rows are unique')
    return rows


def _check_known(job: PredictJob, card: ModelCard, labels: list[str], rows: pd.DataFrame) -> None:
    """Check that what is known of rows is what the model predicts, in the same unit."""
    scaler = next((scaler for scaler in card.scalers if scaler.label == job.known and job.known in labels), None)
    if scaler is None:
        raise RefusedError(
            f'{job.known!r} is said to be known, and is not among what is predicted: {", ".join(labels)}'
        )
    if job.property is not None and job.property != scaler.property:
        raise RefusedError(
            f'the rows hold {job.property!r}, the model predicts {scaler.property!r} as {scaler.label}: ask for no '
            'scores, or take a model of that property'
        )
    if job.unit != scaler.unit:
        raise RefusedError(
            f'the rows are in {_unit(job.unit)}, the model predicts {scaler.label} in {_unit(scaler.unit)}: convert '
            'the dataset, or ask for no scores'
        )
    if 'target' not in rows or not pd.api.types.is_numeric_dtype(rows['target']):
        raise RefusedError(f'the rows have no column `target` of numbers, which {job.known!r} could be compared with')
    infinite = rows['name'][np.isinf(rows['target'].to_numpy(dtype=float, na_value=np.nan))]
    if len(infinite):
        raise RefusedError(
            f'{len(infinite)} of {len(rows)} rows have a value of {job.known} that is not finite: '
            f'{", ".join(infinite.head(N_NAMED))}; correct it, leave it empty, or ask for no scores'
        )


def _unit(unit: str | None) -> str:
    return 'no unit' if unit is None else unit


def _warnings(card: ModelCard, rows: pd.DataFrame) -> list[str]:
    """Return what readers of scores must know."""
    digest = content_hash(rows)
    for source in card.datasets:
        if source.hash == digest:
            seen = source.rows.get('train', 0) + source.rows.get('validation', 0)
            return [
                f'the model was trained on {seen} rows of this very dataset ({source.label}): its errors for them say '
                'nothing of those for other crystals'
            ]
    return []


def _graphs(
    job: PredictJob, context: JobContext, card: ModelCard, rows: pd.DataFrame
) -> tuple[pd.DataFrame, Graphs, dict[str, str]]:
    """Return the rows that can become graphs, their graphs, and why the others cannot."""
    folder = None if job.hardware.cache is None else context.folder / Path(job.hardware.cache).expanduser()
    processes = (job.hardware.threads or available_cores()) if len(rows) >= MANY_ROWS else 1
    try:
        graphs = graphs_of(
            rows,
            card.graphs,
            folder,
            lambda done, total: context.progress('graphs', done, total, 'crystals'),
            processes,
        )
    except RefusedRowsError as error:
        if len(error.reasons) == len(rows):
            raise RefusedError(f'none of the rows can be predicted: {error}') from error
        kept = ~rows['name'].astype(str).isin(error.reasons)
        return rows[kept].reset_index(drop=True), error.graphs, error.reasons
    return rows, graphs, {}


def _table(rows: pd.DataFrame, labels: list[str], found: np.ndarray, known: str | None) -> pd.DataFrame:
    """Return the predictions, target by target."""
    unknown = np.full(len(rows), np.nan)
    columns = [
        pd.DataFrame(
            {
                'name': rows['name'].astype(str),
                'target': label,
                'part': PART,
                'value': rows['target'].to_numpy(dtype=float, na_value=np.nan) if label == known else unknown,
                'prediction': found[:, number],
            }
        )
        for number, label in enumerate(labels)
    ]
    return pd.concat(columns, ignore_index=True)
