"""Whole elastic bands of a potential as a baseline of migration barriers, on the smaller cells of a dataset.

Every path is relaxed by the potential: its ends at fixed cell, then a band with a climbing image. Beside the barriers
of these bands stand those along the path as it is placed and after three steps, and the median of what is learned from.
The same command goes on where it was stopped:

    python examples/barriers/neb_baseline.py barriers_train.json.gz neb_baseline --max-atoms 56 --sample 40
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.datasets.tables import read_parquet, write_parquet
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.prediction import (
    FEATURES_FILE,
    BarrierHardware,
    BarrierModelJob,
    FeatureSettings,
    NebSettings,
    PathFeaturesJob,
    Validation,
)
from aiida_embarrier.prediction.scores import scores
from aiida_embarrier.worker.plain import run_plain_job

if TYPE_CHECKING:
    import pandas as pd

MODELS = ['median', 'potential_path', 'potential_relaxed', 'potential_neb']


def run(job: PathFeaturesJob | BarrierModelJob, folder: Path) -> Any:
    """Run a job of the worker in a folder, and stop where it could not be done."""
    (folder / 'job.json').write_text(job.model_dump_json())
    result = run_plain_job(folder / 'job.json')
    if result.error is not None:
        raise click.ClickException(result.error)
    return result


def compare(rows: pd.DataFrame, features: pd.DataFrame, folds: int, folder: Path) -> None:
    """Print how baselines predict rows that they did not learn from."""
    (folder / 'compared.parquet').write_bytes(write_parquet(rows))
    (folder / 'compared_features.parquet').write_bytes(write_parquet(features))
    job = BarrierModelJob(
        dataset='compared.parquet',
        features='compared_features.parquet',
        models=MODELS,
        validations=[Validation(how='random', folds=folds)],
    )
    for score in run(job, folder).scores:
        mae, r2 = score.values['mae_eV'], score.values['r2']
        print(f'{score.model:18} MAE {mae.value:.3f} eV ({mae.low:.3f} to {mae.high:.3f})  R² {r2.value:.2f}')
    if 'mace_relax' in rows:
        known = rows[rows['mace_relax'].notna()]
        found = scores(known['barrier'].to_numpy(dtype=float), known['mace_relax'].to_numpy(dtype=float)).to_dict()
        print(f'published bands of MACE-MP-0, {len(known)} rows: MAE {found["mae_eV"]:.3f} eV')


@click.command()
@click.argument('data', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument('folder', type=click.Path(file_okay=False, path_type=Path))
@click.option('--potential', default='chgnet', show_default=True)
@click.option('--max-atoms', default=40, show_default=True, help='Of a cell, the ion included.')
@click.option(
    '--sample', type=int, help='Rows that are drawn at random from these; a larger sample holds a smaller one.'
)
@click.option('--max-evaluations', default=2000, show_default=True, help='Of one path.')
@click.option('--processes', type=int, help='That evaluate the potential.')
@click.option('--folds', default=10, show_default=True)
def main(
    data: Path,
    folder: Path,
    potential: str,
    max_atoms: int,
    sample: int | None,
    max_evaluations: int,
    processes: int | None,
    folds: int,
) -> None:
    """Run bands of the paths in DATA, with results in FOLDER."""
    frame = read_dataset(data).frame
    rows = frame[frame['n_atoms'] <= max_atoms].reset_index(drop=True)
    n_small = len(rows)
    if sample is not None:
        rows = rows.sample(frac=1, random_state=0)[:sample].reset_index(drop=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'rows.parquet').write_bytes(write_parquet(rows))
    job = PathFeaturesJob(
        dataset='rows.parquet',
        features=FeatureSettings(
            potential=resolve_potential(potential), neb=NebSettings(max_evaluations=max_evaluations)
        ),
        hardware=BarrierHardware(processes=processes),
    )
    run(job, folder)
    features = read_parquet((folder / FEATURES_FILE).read_bytes())
    converged = features['potential_neb_converged'] == 1
    n_evaluations = features['potential_neb_evaluations']
    print(
        f'{potential}, {len(rows)} of the {n_small} rows of at most {max_atoms} atoms ({len(frame)} in all): '
        f'{converged.sum()} bands converged, {n_evaluations.mean():.0f} evaluations a path\n'
    )
    print('all these rows; where a band has not converged, the median stands for it')
    compare(rows, features, folds, folder)
    if folds <= converged.sum() < len(rows):
        print('\nrows whose band has converged')
        compare(rows[converged].reset_index(drop=True), features[converged].reset_index(drop=True), folds, folder)


if __name__ == '__main__':
    main()
