"""From the files of a job to a model before its first step."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import numpy as np

from aiida_embarrier.datasets.tables import content_hash, read_parquet
from aiida_embarrier.jobs.learning import ModelCard, Source
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.model_files import n_trained
from aiida_embarrier.learning.rows import gather_rows
from aiida_embarrier.learning.scaling import fit_scaler
from aiida_embarrier.learning.strategies import transferred

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiida_embarrier.jobs.learning import Scaler, TrainJob
    from aiida_embarrier.learning.rows import CrystalRows

__all__ = ('fingerprints_of', 'first_model', 'fit_scalers', 'read_rows')


def read_rows(job: TrainJob, folder: Path, progress: Callable[[int, int], None] | None = None) -> CrystalRows:
    """Return the crystals that a job learns from.

    :param folder: where its files lie.
    :param progress: called with how many rows were compared, and out of how many.
    :raises ValueError: for a file that is missing or no table, and for rows that cannot be learned from.
    """
    tables = {}
    for target in job.targets:
        frames = []
        for name in (target.dataset, target.split):
            if not (folder / name).is_file():
                raise ValueError(f'there is no file {name} in the folder of the job')
            try:
                frames.append(read_parquet((folder / name).read_bytes()))
            except (OSError, ValueError) as error:
                raise ValueError(f'{name} is no table: {error}') from error
        tables[target.label] = frames[0], frames[1]
    return gather_rows(tables, progress)


def fit_scalers(job: TrainJob, rows: CrystalRows, folder: Path) -> list[Scaler]:
    """Return how each target is scaled; `whole_set` looks at all rows of a dataset, also at those that are left out.

    :param folder: where the files of the job lie.
    :raises ValueError: where one cannot be, see :func:`~aiida_embarrier.learning.scaling.fit_scaler`.
    """
    method = job.training.scaling
    scalers = []
    for number, target in enumerate(job.targets):
        values, parts = rows.values[:, number], rows.parts
        if method == 'whole_set':
            table = read_parquet((folder / target.dataset).read_bytes())
            values, parts = table['target'].to_numpy(dtype=float, na_value=np.nan), np.full(len(table), '')
        scalers.append(fit_scaler(target.label, target.property, target.unit, values, method, parts))
    return scalers


def first_model(
    job: TrainJob, parent: tuple[ALIGNN, ModelCard] | None, rows: CrystalRows, scalers: list[Scaler]
) -> tuple[ALIGNN, ModelCard]:
    """Return the model of a job as it is before its first step, and its card.

    What is new is drawn from the global random state of torch.

    :raises ValueError: where the parent cannot be what the job starts from.
    """
    style: Literal['published', 'free'] = 'published'
    if parent is None or job.transfer is None:
        model = ALIGNN(job.architecture, rows.labels)
    else:
        model, style = transferred(*parent, job.transfer, rows.labels, job.architecture)
    datasets = [
        Source(
            label=target.label,
            uuid=target.dataset_uuid,
            hash=target.dataset_hash,
            rows=rows.counts_of(target.label),
        )
        for target in job.targets
    ]
    card = ModelCard(
        architecture=job.architecture,
        graphs=job.graphs,
        scalers=scalers,
        head_style=style,
        training=job.training,
        transfer=job.transfer,
        parent=None if parent is None else parent[1].weights_sha256,
        datasets=datasets,
        n_trained=n_trained(model),
    )
    return model, card


def fingerprints_of(job: TrainJob, card: ModelCard, rows: CrystalRows) -> dict[str, str]:
    """Return what a training is, part by part: it goes on from a checkpoint where all parts are the same."""
    values = {f'value_{label}': rows.values[:, number] for number, label in enumerate(rows.labels)}
    crystals = rows.frame[['lattice', 'species', 'frac_coords']].assign(part=rows.parts.astype(str), **values)
    scalers = [scaler.model_dump_json() for scaler in card.scalers]  # of `whole_set` fitted on rows beside these, too
    texts = {
        'architecture': [job.architecture.model_dump_json(), card.head_style, *rows.labels],
        'data': [content_hash(crystals.reset_index(drop=True)), job.graphs.model_dump_json(), *scalers],
        'settings': [job.training.model_dump_json(), str(job.numerics_version)],
        'transfer': ['' if job.transfer is None else job.transfer.model_dump_json(), str(card.parent)],
    }
    return {name: hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16] for name, text in texts.items()}
