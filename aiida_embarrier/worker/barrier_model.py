"""Compare models of barriers, and fit one of them to all rows."""

from __future__ import annotations

import hashlib
import inspect
import json
import resource
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import joblib
import numpy as np
import pandas as pd

from aiida_embarrier.datasets.definitions import definition_of_rows, definitions_in_words, definitions_of
from aiida_embarrier.datasets.parts import LEARNED_PARTS
from aiida_embarrier.datasets.tables import content_hash, read_parquet, write_parquet
from aiida_embarrier.jobs.barrier_models import NO_NUMBERS
from aiida_embarrier.jobs.learning import CARD_FILE
from aiida_embarrier.jobs.model_files import ModelFilesError, parse_any_card, replace_file
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.jobs.prediction import (
    BARRIERS_FILE,
    COMPARISON_FILE,
    MODEL_CHECKPOINT_FILE,
    PARENTS,
    BarrierModelCard,
    BarrierModelJob,
    BarrierModelResult,
    BarrierScore,
    BarrierSource,
)
from aiida_embarrier.jobs.schemas import NUMERICS_VERSION
from aiida_embarrier.potentials.resources import available_cores
from aiida_embarrier.prediction.comparison import (
    COLUMNS,
    calibrated,
    comparison_table,
    fold_table,
    scores_of,
    shared_rows,
    with_intervals,
)
from aiida_embarrier.prediction.features import settings_for
from aiida_embarrier.prediction.fitted import FittedModel, difficulty_of_rows, domain_of, write_barrier_model
from aiida_embarrier.prediction.registry import make_model, model_class
from aiida_embarrier.prediction.rows import rows_of
from aiida_embarrier.prediction.validation import Fold, parted, predict_fold
from aiida_embarrier.worker.path_features import read_rows
from aiida_embarrier.worker.plain import ParentError, RefusedError, Stopped
from aiida_embarrier.worker.versions import versions_of

if TYPE_CHECKING:
    from pathlib import Path

    from aiida_embarrier.jobs.prediction import ModelSpec
    from aiida_embarrier.prediction.base import BarrierModel, Rows
    from aiida_embarrier.prediction.domain import Domain
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'run')

JOB = BarrierModelJob


def run(job: BarrierModelJob, context: JobContext) -> BarrierModelResult:
    """Validate the models of a job, compare them, and fit the one that is kept.

    :raises RefusedError: where the job cannot be done as it is.
    """
    comparing = _Comparing(job, context)
    try:
        with joblib.parallel_config(n_jobs=job.hardware.threads or available_cores()):
            return comparing.run()
    except Stopped as stop:
        comparing.write_checkpoint()
        return comparing.result(
            outcome=Outcome.INTERRUPTED, error=str(stop), checkpoint=(context.folder / MODEL_CHECKPOINT_FILE).is_file()
        )
    except BaseException:
        comparing.write_checkpoint()
        raise


class _Comparing:
    """One job from its files to its results.

    :param job: what is asked for.
    :param context: its folder, and how it tells of itself.
    """

    def __init__(self, job: BarrierModelJob, context: JobContext) -> None:
        self._job = job
        self._context = context
        self._folder = context.folder
        self._warnings: list[str] = []
        self._entries: dict[str, Any] = {}
        #: Predictions of fits, with what these say of themselves in the column `learned` (JSON).
        self._done: dict[str, pd.DataFrame] = {}
        self._learned: dict[str, list[dict[str, Any]]] = {}
        self._written = time.monotonic()
        self._n_fits = 0
        self._fit_s = 0.0
        self._parents: dict[str, str] = {}
        #: Domain and flags of the last fold, by whether they are told by features, too.
        self._flagged: tuple[Any, dict[tuple[str, ...], tuple[Domain, list[list[str]]]]] = (None, {})

    def run(self) -> BarrierModelResult:
        job = self._job
        frame, rows, parts, content = self._read()
        self._check_models(rows)
        self._take_over()
        fits = [(spec, seed, fold) for seed, fold in self._folds(rows, parts) for spec in job.models]
        self._entries['n_taken_over'] = sum(_key(*fit, self._behind(fit[0], content)) in self._done for fit in fits)
        total = len(fits) + (job.fit is not None)
        tables = []
        self._context.progress('fits', 0, total, 'fits')
        for number, fit in enumerate(fits, start=1):
            tables.append(self._predicted(*fit, rows, content))
            self._context.progress('fits', number, total, 'fits')
        predictions, scores = self._judge(tables, rows, frame)
        if job.fit is not None:
            self._fit(frame, rows, parts, predictions, scores)
            with suppress(Stopped):  # everything is done
                self._context.progress('fits', total, total, 'fits')
        (self._folder / MODEL_CHECKPOINT_FILE).unlink(missing_ok=True)
        return self.result(scores=scores, fitted=job.fit)

    def result(self, **entries: Any) -> BarrierModelResult:
        """Return what the job came to."""
        return BarrierModelResult(
            **self._entries,
            **entries,
            learned=self._learned,
            n_fits=self._n_fits,
            fit_s=self._fit_s,
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
            warnings=self._warnings,
            versions=self._versions(),
        )

    def write_checkpoint(self) -> None:
        """Write the folds that were predicted so far; where that fails the job goes on, which is worth more."""
        self._written = time.monotonic()
        if not self._done:
            return
        table = pd.concat([part.assign(key=key) for key, part in self._done.items()], ignore_index=True)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / MODEL_CHECKPOINT_FILE, write_parquet(table.astype({'key': 'str'})))
        except OSError as error:
            warning = f'a checkpoint could not be written ({error}): see that the disk and your quota have space'
            click.echo(f'warning: {warning}')
            if warning not in self._warnings:
                self._warnings.append(warning)

    def _read(self) -> tuple[pd.DataFrame, Rows, np.ndarray, str]:
        """Return the dataset, the rows of it that are used, the part of each, and a hash of all that they hold."""
        job = self._job
        frame = read_rows(self._folder / job.dataset)
        if 'barrier' not in frame:
            raise RefusedError('the dataset has no column `barrier` to learn: take a dataset of barriers')
        features = None if job.features is None else read_rows(self._folder / job.features)
        part_of = dict.fromkeys(frame['name'].astype(str), 'train')
        if job.split is not None:
            split = read_rows(self._folder / job.split)
            unknown = sorted(set(split['name'].astype(str)) - set(part_of))
            if unknown:
                raise RefusedError(f'the split names {unknown[0]!r}, which is no row of the dataset: split it anew')
            part_of = dict(zip(split['name'].astype(str), split['part'].astype(str), strict=True))
        used = frame[[part_of.get(str(name)) in LEARNED_PARTS for name in frame['name']]].reset_index(drop=True)
        if used.empty:
            raise RefusedError('the split has no row of the parts `train`, `validation` or `test`')
        try:
            rows, left_out = rows_of(used, features)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        parts = np.array([part_of[path.name] for path in rows.paths], dtype='U10')
        if not (parts == 'train').any():
            raise RefusedError('no row is left to train on: ' + next(iter(left_out.values()), 'the split has none'))
        definitions = definitions_of(used[~used['name'].isin(left_out)])
        if len(definitions) > 1:
            self._warnings.append(
                f'models learn barriers of several definitions at once: {definitions_in_words(definitions)}'
            )
        counts = {part: int((parts == part).sum()) for part in LEARNED_PARTS if (parts == part).any()}
        self._entries |= {'rows': counts, 'n_unused': len(frame) - len(used), 'left_out': left_out}
        seen = used.set_index('name').loc[[path.name for path in rows.paths]].reset_index()
        content = content_hash(seen) + ('' if features is None else content_hash(rows.features.reset_index(drop=True)))
        return used, rows, parts, content

    def _check_models(self, rows: Rows) -> None:
        """Check that all models can be made, before the first of them is fitted."""
        for spec in self._job.models:
            try:
                if model_class(spec.model).needs_features and not len(rows.features.columns):
                    raise ValueError(NO_NUMBERS.format(model=spec.model))
                if spec.parent is not None:
                    self._parents[spec.label] = self._parent_sha256(self._folder / PARENTS / spec.parent)
                self._make(spec).reads([str(name) for name in rows.features.columns])
            except ModelFilesError as error:
                raise ParentError(str(error)) from error
            except ValueError as error:
                raise RefusedError(f'{spec.label}: {error}') from error

    def _parent_sha256(self, folder: Path) -> str:
        try:
            text = (folder / CARD_FILE).read_text(encoding='utf8')
        except OSError as error:
            raise ModelFilesError(f'the parent model {folder.name!r} is not there: {error.strerror}') from error
        return str(parse_any_card(text).weights_sha256)

    def _make(self, spec: ModelSpec) -> BarrierModel:
        settings: dict[str, Any] = dict(spec.settings)
        if spec.parent is not None:
            settings['parent'] = self._folder / PARENTS / spec.parent
        known = inspect.signature(model_class(spec.model)).parameters
        if 'hardware' in known:
            settings['hardware'] = {
                'device': self._job.hardware.device,
                'threads': self._job.hardware.threads,
                'cache': str(self._folder / 'graphs'),
            }
        if 'hooks' in known:
            from aiida_embarrier.learning.training import Hooks

            settings['hooks'] = Hooks(reason_to_stop=self._context.reason_to_stop)
        return make_model(spec.model, **settings)

    def _take_over(self) -> None:
        """Take over the folds of an earlier job, or of a worker that was killed in this folder."""
        restart = self._job.restart
        for name in dict.fromkeys((restart, MODEL_CHECKPOINT_FILE)):
            if name is None or not ((self._folder / name).is_file() or name == restart):
                continue
            try:
                table = read_parquet((self._folder / name).read_bytes()).astype({'learned': 'str'})
                self._done |= {
                    str(key): part.drop(columns='key').reset_index(drop=True)
                    for key, part in table.groupby('key', sort=False)
                }
            except (OSError, ValueError, KeyError) as error:
                if name == restart:
                    raise RefusedError(f'the checkpoint {name} cannot be read: {error}') from error
                self._warnings.append(f'not gone on from the {name} that lay in the folder: {error}')

    def _folds(self, rows: Rows, parts: np.ndarray) -> list[tuple[int, Fold]]:
        """Return the seed and the rows of each fold of each validation."""
        try:
            return [
                (seed, fold)
                for validation in self._job.validations
                for seed in validation.seeds
                for fold in parted(rows, parts, validation.how, validation.folds, seed)
            ]
        except ValueError as error:
            raise RefusedError(str(error)) from error

    def _predicted(self, spec: ModelSpec, seed: int, fold: Fold, rows: Rows, content: str) -> pd.DataFrame:
        """Return what one fit says of the rows that it did not learn from."""
        key = _key(spec, seed, fold, self._behind(spec, content))
        if key not in self._done:
            started = time.monotonic()
            try:
                found, model = predict_fold(rows, partial(self._make, spec), fold.training, fold.judged, seed)
            except (ValueError, RuntimeError) as error:
                self._stop_here()
                raise RefusedError(f'{spec.label}, {fold.validation}, fold {fold.number}: {error}') from error
            self._n_fits += 1
            self._fit_s += time.monotonic() - started
            asked = rows.take(fold.judged)
            domain, flags = self._unlike(rows, fold, seed, tuple(model.reads(rows.features.columns)))
            table = fold_table(rows, fold.judged, found, difficulty_of_rows(model, domain, asked), flags)
            self._done[key] = table.assign(learned=json.dumps(model.summary))
            if time.monotonic() - self._written > self._job.checkpoint_seconds:
                self.write_checkpoint()
        about = {'validation': fold.validation, 'seed': seed, 'fold': fold.number}
        learned = json.loads(self._done[key]['learned'].iloc[0])
        if learned:
            self._learned.setdefault(spec.label, []).append(about | learned)
        return self._done[key].drop(columns='learned').assign(model=spec.label, **about)

    def _behind(self, spec: ModelSpec, content: str) -> str:
        """Return what a fit learned from: the rows, and its parent by its weights, as labels may change hands."""
        return f'{content} {self._parents[spec.label]}' if spec.label in self._parents else content

    def _unlike(self, rows: Rows, fold: Fold, seed: int, read: tuple[str, ...]) -> tuple[Domain, list[list[str]]]:
        """Return the domain of a fold's training, and flags of its rows, once for all models that look at the same."""
        about = (fold.validation, seed, fold.number)
        if self._flagged[0] != about:
            self._flagged = about, {}
        found = self._flagged[1]
        if read not in found:
            asked = rows.take(fold.judged)
            domain = domain_of(rows.take(fold.training), read)
            found[read] = domain, domain.flags(asked.paths, asked.features if read else None)
        return found[read]

    def _stop_here(self) -> None:
        """Say that the job was stopped, where a fit failed because it was."""
        reason = self._context.reason_to_stop()
        if reason is not None:
            raise Stopped(reason)

    def _judge(
        self, tables: list[pd.DataFrame], rows: Rows, frame: pd.DataFrame
    ) -> tuple[pd.DataFrame, list[BarrierScore]]:
        """Write predictions and their comparison."""
        job = self._job
        if not tables:
            return pd.DataFrame(columns=list(COLUMNS)), []
        table = pd.concat(tables, ignore_index=True)
        predictions, notes = with_intervals(table, rows, job.coverage)
        self._warnings += notes
        scores = scores_of(predictions, job.n_resamples)
        definitions = definition_of_rows(frame.set_index('name'))
        predictions = predictions.assign(barrier_definition=predictions['name'].map(definitions).astype('str'))
        shown = predictions[list(COLUMNS)].astype({'model': 'str', 'validation': 'str'})
        (self._folder / BARRIERS_FILE).write_bytes(write_parquet(shown))
        (self._folder / COMPARISON_FILE).write_bytes(write_parquet(comparison_table(scores, self._learned)))
        return predictions, scores

    def _fit(
        self, frame: pd.DataFrame, rows: Rows, parts: np.ndarray, predictions: pd.DataFrame, scores: list[BarrierScore]
    ) -> None:
        """Fit the model that is kept to all rows but those that test, and write it."""
        job = self._job
        spec = next(spec for spec in job.models if spec.label == job.fit)
        learned = rows.take(np.flatnonzero(parts != 'test'))
        started = time.monotonic()
        model = self._make(spec)
        try:
            model.fit(learned, seed=job.seed)
        except (ValueError, RuntimeError) as error:
            self._stop_here()
            raise RefusedError(f'{spec.label}: {error}') from error
        self._n_fits += 1
        self._fit_s += time.monotonic() - started
        intervals = None
        try:
            intervals, _ = calibrated(predictions, rows, spec.label, job.coverage)
        except ValueError as error:
            self._warnings.append(f'the model has no intervals: {error}')
        if intervals is None and not job.validations:
            self._warnings.append(
                'the model has no intervals: they are calibrated by a validation, and none was asked for'
            )
        read = model.reads([str(name) for name in learned.features.columns])
        ions = pd.Series([path.ion for path in learned.paths]).value_counts()
        own = [score for score in scores if score.model == spec.label]
        card = BarrierModelCard(
            model=spec.model,
            settings=spec.settings,
            features=read,
            feature_settings=settings_for(read, job.feature_settings) if read else None,
            ions={str(ion): int(n) for ion, n in ions.items()},
            barrier_definitions=definitions_of(frame[frame['name'].isin([path.name for path in learned.paths])]),
            coverage=job.coverage if intervals is not None else None,
            datasets=[BarrierSource(uuid=job.dataset_uuid, hash=job.dataset_hash, rows=self._entries['rows'])],
            split='; '.join(_in_words(score) for score in own) or None,
            scores=own,
            leakage=self._leakage(frame, rows, parts),
            parent=self._parents.get(spec.label),
            seed=job.seed,
            title=job.title,
            licence=job.licence,
            limits=job.limits,
            source=job.source,
            versions=self._versions(),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        write_barrier_model(self._folder, FittedModel(model, card, intervals, domain_of(learned, read)))

    def _leakage(self, frame: pd.DataFrame, rows: Rows, parts: np.ndarray) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for validation in self._job.validations:
            folds = parted(rows, parts, validation.how, validation.folds, validation.seeds[0])
            found |= shared_rows(frame, rows, folds)
        return found

    def _versions(self) -> dict[str, str]:
        return versions_of('numpy', 'pandas', 'scikit-learn', 'torch', 'safetensors')


def _key(spec: ModelSpec, seed: int, fold: Fold, content: str) -> str:
    """Return the sha256 of what predictions depend on.

    :param content: hash of the rows, and of the parent's weights.
    """
    digest = hashlib.sha256(f'{NUMERICS_VERSION} {content} {seed}'.encode())
    digest.update(json.dumps(spec.model_dump(mode='json', exclude={'label'}), sort_keys=True).encode())
    for numbers in (fold.training, fold.judged):
        digest.update(len(numbers).to_bytes(8, 'little'))
        digest.update(numbers.astype('<i8').tobytes())
    return digest.hexdigest()


def _in_words(score: BarrierScore) -> str:
    if score.folds is None:
        return f'{score.validation}: {score.n} rows'
    return f'{score.validation}: {score.n} rows in {score.folds} folds, {len(score.seeds)} seed(s)'
