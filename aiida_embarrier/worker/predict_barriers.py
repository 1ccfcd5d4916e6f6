"""Predict migration barriers of paths with a model."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.model_files import ModelFilesError
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.prediction import (
    BARRIERS_FILE,
    COLUMNS_OF_PATHS,
    FeatureSettings,
    PredictBarriersJob,
    PredictBarriersResult,
)
from aiida_embarrier.prediction.fitted import read_barrier_model
from aiida_embarrier.prediction.rows import paths_of, rows_of
from aiida_embarrier.worker.path_features import Describer, read_rows
from aiida_embarrier.worker.plain import RefusedError, Stopped
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.jobs.prediction import BarrierModelCard
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = PredictBarriersJob

#: Why a row is left out that the model was asked about.
NOT_FINITE = 'the model gives no finite number for it'


def run(job: PredictBarriersJob, context: JobContext) -> PredictBarriersResult:
    """Predict the rows of a job; those that cannot be predicted keep gaps and a reason.

    :raises RefusedError: where the job cannot be done as it is.
    """
    try:
        fitted = read_barrier_model(context.folder)
    except ModelFilesError as error:
        raise RefusedError(str(error)) from error
    frame = read_rows(context.folder / job.dataset)
    # what the model is to find out, and labels that it could lean on, are not even read
    asked = frame[[name for name in COLUMNS_OF_PATHS if name in frame]]
    names = asked['name'].astype(str)
    started = time.monotonic()
    describer = Describer(_settings(fitted.card), job.hardware)
    reason = None
    try:
        if job.features is not None:
            features = read_rows(context.folder / job.features)
        elif fitted.card.features:
            features, reason = _described(asked, describer, context, fitted.card)
        else:
            features = None
        if features is not None and reason is not None:
            asked = asked[names.isin(features['name'])].reset_index(drop=True)
        rows, left_out = rows_of(asked, features, columns=fitted.card.features or None)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if not len(rows) and reason is None:
        raise RefusedError(f'none of the rows can be predicted: {next(iter(left_out.values()))}')
    table = fitted.predict(rows)
    wrong = ~np.isfinite(table['prediction'])
    left_out |= dict.fromkeys(table['name'][wrong].astype(str), NOT_FINITE)
    whole = _with_gaps(table, names if reason is None else asked['name'].astype(str), left_out)
    context.folder.mkdir(parents=True, exist_ok=True)  # somebody may have deleted it
    (context.folder / BARRIERS_FILE).write_bytes(write_parquet(whole))
    n_predicted = len(whole) - len(left_out)
    return PredictBarriersResult(
        outcome=Outcome.DONE if reason is None else Outcome.INTERRUPTED,
        error=reason,
        n_rows=n_predicted,
        n_flagged=int(((table['flags'] != '[]') & ~wrong).sum()),
        left_out=left_out,
        coverage=fitted.card.coverage,
        potential=describer.potential,
        device=describer.device,
        rows_per_s=n_predicted / max(time.monotonic() - started, 1e-9),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        warnings=[*_warnings(fitted.card, describer.potential), *_known_rows(whole)],
        versions=versions_of('scikit-learn', 'torch', 'safetensors'),
    )


def _described(
    frame: pd.DataFrame, describer: Describer, context: JobContext, card: BarrierModelCard
) -> tuple[pd.DataFrame, str | None]:
    """Return the numbers that the model reads, and why not all rows were described.

    :raises ValueError: where the card does not say what they depend on.
    """
    if card.feature_settings is None:
        raise ValueError(
            'the card does not say how the numbers that the model reads are made, as the table of features that it '
            'learned from told nothing: fit it anew with `describe`, or give `embarrier.predict_barriers` the table of '
            '`features` of these rows'
        )
    paths, left_out = paths_of(frame)
    reason = None
    try:
        describer.describe(paths, context)
    except Stopped as stop:
        reason = str(stop)
    table = describer.table(paths)
    gaps = pd.DataFrame({'name': list(left_out), 'reason': list(left_out.values())}, dtype='str')
    return pd.concat([table, gaps], ignore_index=True), reason


def _with_gaps(table: pd.DataFrame, names: pd.Series, left_out: dict[str, str]) -> pd.DataFrame:
    """Return the predictions in the order of the rows, with a reason where there is none."""
    whole = table.set_index('name').reindex(names).reset_index()
    whole['flags'] = whole['flags'].fillna('[]').astype('str')
    whole['reason'] = pd.Series([left_out.get(name) for name in whole['name']], dtype='str')
    return whole.astype({'name': 'str'})


def _settings(card: BarrierModelCard) -> FeatureSettings:
    """Return what the numbers depend on; the same weights of a potential in another version of its package will do."""
    settings = card.feature_settings or FeatureSettings()
    if settings.potential is None:
        return settings
    return settings.model_copy(update={'potential': settings.potential.model_copy(update={'version': None})})


def _known_rows(table: pd.DataFrame) -> list[str]:
    """Return a warning where rows are predicted that the model learned from."""
    known = table['name'][table['in_training'].fillna(False).astype(bool)]
    if known.empty:
        return []
    return [
        f'{len(known)} of {len(table)} paths are in the training data of the model, {known.iloc[0]} the first of them '
        '(`in_training`): what it says of these is partly memory, and their errors say nothing of other paths'
    ]


def _warnings(card: BarrierModelCard, potential: PotentialSpec | None) -> list[str]:
    found = []
    if card.intervals is None:
        found.append('the model has no intervals: it was fitted without a validation that could calibrate them')
    learned = None if card.feature_settings is None else card.feature_settings.potential
    if learned is not None and potential is not None and learned.version not in {None, potential.version}:
        found.append(
            f'the model learned from {learned.label} of {learned.distribution} {learned.version}, here is '
            f'{potential.version}: its energies may differ'
        )
    return found
