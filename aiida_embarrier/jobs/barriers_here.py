"""Barriers predicted on this machine, without a profile: by the released model, or by that of a folder or a node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.here import run_here
from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE
from aiida_embarrier.jobs.model_files import ModelFilesError, barrier_card, read_any_model_files
from aiida_embarrier.jobs.neb_barriers import NEB_BARRIERS_FILE, NebBarriersJob, NebBarriersResult
from aiida_embarrier.jobs.prediction import (
    BARRIERS_FILE,
    COLUMNS_OF_PATHS,
    NebSettings,
    PredictBarriersJob,
    PredictBarriersResult,
)
from aiida_embarrier.jobs.scoring import ScoreBarriersJob, ScoreBarriersResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aiida_embarrier.datasets.asked_paths import AskedPaths
    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.prediction import BarrierHardware, BarrierModelCard

    OnProgress = Callable[[dict[str, Any]], Any]

__all__ = (
    'RELEASED',
    'answer',
    'barrier_files',
    'neb_here',
    'predict_here',
    'released_folder',
    'score_here',
)

#: How the models that come with this package are named: of geometry and composition alone, and with what a potential
#: says of a path.
RELEASED = ('released', 'released-potential')


def released_folder(name: str) -> Path:
    """Return the folder of a model that comes with this package.

    :param name: one of :data:`RELEASED`.
    :raises ModelFilesError: where this installation has none.
    """
    folder = Path(__file__).parents[1] / 'prediction' / name.replace('-', '_')
    missing = [name for name in (WEIGHTS_FILE, CARD_FILE) if not (folder / name).is_file()]
    if missing:
        raise ModelFilesError(
            f'this installation has no released model, as {folder} lacks {" and ".join(missing)}: install '
            'aiida-embarrier again, or name another model (a folder or a node)'
        )
    return folder


def barrier_files(model: str | Path) -> tuple[bytes, BarrierModelCard]:
    """Return the weights and the card of a model of barriers, both checked.

    :param model: one of :data:`RELEASED`, or a folder.
    :raises ModelFilesError: for files that are missing or altered, and for a model of something else.
    """
    weights, card = read_any_model_files(released_folder(str(model)) if str(model) in RELEASED else Path(model))
    return weights, barrier_card(card)


def predict_here(
    weights: bytes,
    card: BarrierModelCard,
    rows: pd.DataFrame,
    hardware: BarrierHardware,
    on_progress: OnProgress | None = None,
) -> tuple[pd.DataFrame, PredictBarriersResult]:
    """Predict rows by the worker of this environment; it gets the columns of their paths and no others.

    :param rows: of the schema `barrier`.
    :param on_progress: see :func:`~aiida_embarrier.jobs.here.run_here`.
    :returns: in the order of the rows `name`, `prediction`, `lower`, `upper` (eV), `flags` (JSON list), `in_training`,
        `reason` and so on, see :data:`~aiida_embarrier.jobs.prediction.BARRIERS_FILE`; and how it went.
    :raises WorkerError: where none can be predicted, or the worker fails.
    """
    asked = rows[[name for name in COLUMNS_OF_PATHS if name in rows]]
    files = {
        WEIGHTS_FILE: weights,
        CARD_FILE: card.model_dump_json().encode(),
        'rows.parquet': write_parquet(asked),
    }
    job = PredictBarriersJob(dataset='rows.parquet', hardware=hardware)
    result, written = run_here(job, files, PredictBarriersResult, [BARRIERS_FILE], on_progress)
    return read_parquet(written[BARRIERS_FILE]), result


def answer(
    asked: AskedPaths,
    weights: bytes,
    card: BarrierModelCard,
    hardware: BarrierHardware,
    on_progress: OnProgress | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Return paths that were asked for with their predictions, and what a reader must know.

    :returns: what is known of each path, with `prediction`, `lower`, `upper` (eV), `flags` (list), `in_training` and
        `reason` (why there is no prediction, else missing).
    :raises WorkerError: where none can be predicted, or the worker fails.
    """
    predictions, result = predict_here(weights, card, asked.rows, hardware, on_progress)
    table = asked.with_predictions(predictions)
    reasons = asked.left_out | result.left_out
    table['flags'] = [json.loads(text) if isinstance(text, str) else [] for text in table['flags']]
    table['reason'] = pd.Series([reasons.get(name) for name in table['name']], dtype='str')
    return table, [*asked.warnings, *result.warnings]


def neb_here(
    rows: pd.DataFrame,
    potential: PotentialSpec,
    hardware: BarrierHardware,
    settings: NebSettings | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[pd.DataFrame, NebBarriersResult]:
    """Compute barriers of paths by whole elastic bands of a potential, by the worker of this environment.

    :param rows: of the schema `barrier`.
    :returns: the table :data:`~aiida_embarrier.jobs.neb_barriers.NEB_BARRIERS_FILE`, and how it went.
    :raises WorkerError: where the potential is not there, or the worker fails.
    """
    job = NebBarriersJob(dataset='rows.parquet', potential=potential, neb=settings or NebSettings(), hardware=hardware)
    asked = {'rows.parquet': write_parquet(rows[[name for name in COLUMNS_OF_PATHS if name in rows]])}
    result, written = run_here(job, asked, NebBarriersResult, [NEB_BARRIERS_FILE], on_progress)
    return read_parquet(written[NEB_BARRIERS_FILE]), result


def score_here(table: pd.DataFrame, nominal_coverage: float | None, n_resamples: int) -> ScoreBarriersResult:
    """Compare predictions with known barriers by the worker of this environment.

    :param table: see :class:`~aiida_embarrier.jobs.scoring.ScoreBarriersJob`.
    :raises WorkerError: where there is nothing to score.
    """
    job = ScoreBarriersJob(table='judged.parquet', nominal_coverage=nominal_coverage, n_resamples=n_resamples)
    result, _ = run_here(job, {'judged.parquet': write_parquet(table)}, ScoreBarriersResult, [])
    return result
