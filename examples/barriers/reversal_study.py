"""What the direction of a path says of its barrier: docs/explanation/barrier_labels.md.

    python examples/barriers/reversal_study.py ../shared/data/barriers_train/barriers_train.json.gz -o reversal

Models are cross-validated by families of crystals, with the numbers that are the same in both directions of a path, and
with those that are not: as paths are written, in directions drawn at random, and learned from in both. With --features,
a table that `embarrier.path_features` made with a potential, its numbers are taken, too, and the barriers of the
potential by each definition are compared with the published ones. Tables are printed as Markdown and, with -o, written
as CSV.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from tabulate import tabulate
from tqdm import tqdm

from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.prediction.base import Rows
from aiida_embarrier.prediction.energetics import is_own_mirror_image
from aiida_embarrier.prediction.features import describe
from aiida_embarrier.prediction.fitted import read_barrier_model
from aiida_embarrier.prediction.numbers import to_barriers, to_logarithms
from aiida_embarrier.prediction.registry import make_model
from aiida_embarrier.prediction.rows import rows_of
from aiida_embarrier.prediction.scores import mean_over_rows, paired_difference
from aiida_embarrier.prediction.validation import folds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida_embarrier.jobs.prediction import Estimate

#: How the names of numbers end that change when a path is reversed.
DIRECTED = ('_initial', '_difference', '_forward', '_reverse')
#: How the names of numbers begin that are energies and forces of a potential.
OF_POTENTIAL = 'potential_'
#: What a potential thinks of sites is the same in both directions, and so much that trees would ask for little else.
OF_SITES = ('site_', 'embedding_')
#: Ways to treat the direction of a path, and what they are.
WAYS = {
    'symmetric': 'numbers that are the same in both directions',
    'written': 'all numbers, of the path as it is written',
    'drawn': 'all numbers, each path in a direction drawn at random',
    'both': 'all numbers, learned from in both directions, predicted as it is written',
    'mean': 'the same, mean of what is predicted for both directions',
}
#: Ways to say the height of a barrier by the energies of a potential, and what they are.
HEIGHTS = {
    'forward': 'highest energy less that of the first end',
    'reverse': 'highest energy less that of the last end',
    'higher_end': 'highest energy less that of the higher end',
    'lower_end': 'highest energy less that of the lower end',
    'span': 'highest energy less the lowest one',
}
#: Ends whose energies differ by less, in eV, leave the definitions nearly equal.
ASYMMETRY = 0.05
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Study:
    """Paths with their barriers, described in both directions.

    :param rows: whose features are of the paths as they are written.
    :param mirrored: whether a symmetry operation reverses the path, shape (n_rows,).
    :param exact: whether the other atoms are known to stand in the final state where they stand in the initial one.
    """

    rows: Rows
    mirrored: np.ndarray
    exact: np.ndarray

    @property
    def forward(self) -> pd.DataFrame:
        """Features of the paths as they are written."""
        return self.rows.features

    @cached_property
    def backward(self) -> pd.DataFrame:
        """Features of the reversed paths."""
        return reversed_features(self.forward)

    def turned(self, which: np.ndarray) -> Study:
        """Return the study with some paths reversed; which ones is told by truth values, shape (n_rows,)."""
        features = self.forward.copy()
        features.loc[which] = self.backward.loc[which]
        return self.with_features(features)

    def with_features(self, features: pd.DataFrame) -> Study:
        """Return the study with other features, in the same order."""
        return replace(self, rows=replace(self.rows, features=features))


def reversed_features(features: pd.DataFrame) -> pd.DataFrame:
    """Return the features of the same paths walked backwards.

    Differences change their sign, the last end becomes the first one, and forward and reverse barriers change places.
    """
    found = features.copy()
    for name in map(str, features):
        if name.endswith('_difference'):
            found[name] = -features[name]
        elif name.endswith('_initial'):
            found[name] = features[name] + features[f'{name.removesuffix("_initial")}_difference']
        elif name.endswith('_forward'):
            backward = f'{name.removesuffix("_forward")}_reverse'
            found[name], found[backward] = features[backward], features[name]
    return found


def prepare(frame: pd.DataFrame, features: pd.DataFrame | None = None) -> Study:
    """Return the rows of a dataset with their numbers, those of geometry and composition unless others are given."""
    rows, left_out = rows_of(frame, features)
    for reason in left_out.values():
        print(f'left out: {reason}')
    if features is None:
        numbers = [describe([path]) for path in tqdm(rows.paths, desc='describing paths')]
        rows = replace(rows, features=pd.concat(numbers))
    names = [path.name for path in rows.paths]
    about = frame.set_index('name').reindex(columns=['endpoint_symmetry']).loc[names]
    exact = (about['endpoint_symmetry'] == 'symmetric').to_numpy()
    if 'potential_mirrored' in rows.features:  # then this was looked at
        return Study(rows, rows.features['potential_mirrored'].to_numpy() == 1, exact)
    mirrored = [is_own_mirror_image(path) for path in tqdm(rows.paths, desc='looking for mirror images')]
    return Study(rows, np.array(mirrored), exact)


def studies_of(study: Study) -> dict[str, Study]:
    """Return the study with numbers of geometry and composition, and with energies of the potential too, if any."""
    both = [name for name in map(str, study.forward) if not name.startswith(OF_SITES)]
    geometry = [name for name in both if not name.startswith(OF_POTENTIAL)]
    chosen = {'geometry': geometry} if len(geometry) == len(both) else {'geometry': geometry, 'and potential': both}
    return {numbers: study.with_features(study.forward[names]) for numbers, names in chosen.items()}


def cross_validated(study: Study, model: str, folds: int, seed: int, both: bool = False) -> np.ndarray:
    """Return predictions in eV of all rows in both directions by models of other families, shape (2, n_rows).

    :param both: whether the models learn from both directions of each path, with the same barrier.
    """
    fold_of = folds_of(study.rows, 'family_group', folds, seed)
    predicted = np.empty((2, len(study.rows)))
    for fold in range(folds):
        learned, judged = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        parts = [study.forward.iloc[learned], *([study.backward.iloc[learned]] if both else [])]
        training = study.rows.take(np.tile(learned, len(parts)))
        fitted = make_model(model)
        fitted.fit(replace(training, features=pd.concat(parts)), seed=seed)
        asked = study.rows.take(judged)
        for direction, numbers in enumerate((study.forward, study.backward)):
            predicted[direction, judged] = fitted.predict(Rows(asked.paths, numbers.iloc[judged]))
    return predicted


def predictions_of(study: Study, model: str, folds: int, seeds: list[int]) -> dict[str, np.ndarray]:
    """Return predictions of all rows in both directions for each of :data:`WAYS`, shape (n_seeds, 2, n_rows) each."""
    symmetric = study.with_features(study.forward[[name for name in study.forward if not name.endswith(DIRECTED)]])
    found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for seed in tqdm(seeds, desc=f'{model}, seeds'):
        drawn = study.turned(np.random.default_rng(seed).random(len(study.rows)) < 0.5)
        found['symmetric'].append(cross_validated(symmetric, model, folds, seed))
        found['written'].append(cross_validated(study, model, folds, seed))
        found['drawn'].append(cross_validated(drawn, model, folds, seed))
        found['both'].append(cross_validated(study, model, folds, seed, both=True))
        found['mean'].append(np.repeat(found['both'][-1].mean(axis=0, keepdims=True), 2, axis=0))
    return {way: np.stack(each) for way, each in found.items()}


def error_table(study: Study, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return mean absolute errors of each way in eV, and what they exceed that of symmetric numbers by.

    :return: a row for each way and part of the rows, with 95 % intervals by bootstrap over rows.
    """
    rows = []
    for part, chosen in _parts(study).items():
        barriers = study.rows.known()[chosen]
        errors = {way: predicted[way][:, 0, chosen] - barriers for way in WAYS}
        for way in WAYS:
            difference = paired_difference(errors[way], errors['symmetric'], n_resamples=N_RESAMPLES)
            rows.append(
                {
                    'paths': part,
                    'n': len(barriers),
                    'way': way,
                    **_numbers('mae_eV', mean_over_rows(np.abs(errors[way]).mean(axis=0), n_resamples=N_RESAMPLES)),
                    **_numbers('difference_eV', difference),
                }
            )
    return pd.DataFrame(rows)


def turning_table(study: Study, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return by how much predictions change when paths are reversed, in eV.

    :param predicted: shape (n_seeds, 2, n_rows) each.
    """
    rows = []
    for part, chosen in _parts(study).items():
        if part == 'all':
            continue
        for way, found in predicted.items():
            changes = np.abs(found[:, 1, chosen] - found[:, 0, chosen]).ravel()
            rows.append({'paths': part, 'n': int(chosen.sum()), 'way': way, **_changes(changes)})
    return pd.DataFrame(rows)


def asked(study: Study, folder: Path) -> np.ndarray:
    """Return what a fitted model says of all rows in both directions, in eV, shape (1, 2, n_rows).

    :raises SystemExit: where it reads numbers that are not there.
    """
    fitted = read_barrier_model(folder)
    lacking = [name for name in fitted.card.features if name not in study.forward]
    if lacking:
        raise SystemExit(f'{folder} reads {lacking[0]}, which is not among the numbers: give --features')
    directions = (study.forward[fitted.card.features], study.backward[fitted.card.features])
    return np.array([[fitted.predict(Rows(study.rows.paths, numbers))['prediction'] for numbers in directions]])


def height_table(study: Study, folds: int) -> pd.DataFrame:
    """Return how barriers of a potential, by each definition, go with the published ones where paths are asymmetric.

    The error is that after a monotone fit to the logarithms, of rows of other families.

    :return: a row for each stage of relaxation, part of the rows and definition, with 95 % intervals by bootstrap over
        rows; `difference_eV` is what the error exceeds that of `forward` by.
    """
    fold_of = folds_of(study.rows, 'family_group', folds)
    rows = []
    for stage, heights in _heights(study.forward):
        asymmetric = (np.abs(heights['forward'] - heights['reverse']) > ASYMMETRY).to_numpy()
        known = ~study.mirrored & np.isfinite(heights).all(axis=1).to_numpy()
        for part, chosen in (
            ('not symmetric', known),
            (f'ends differ by {ASYMMETRY:g} eV', known & asymmetric),
            ('of these, final state exact', known & asymmetric & study.exact),
        ):
            if chosen.sum() < folds:
                continue
            barriers, parts = study.rows.known()[chosen], fold_of[chosen]
            fitted = {name: _monotone(heights[name].to_numpy()[chosen], barriers, parts) for name in HEIGHTS}
            for name in HEIGHTS:
                errors, others = fitted[name] - barriers, fitted['forward'] - barriers
                rows.append(
                    {
                        'energies': stage,
                        'paths': part,
                        'n': int(chosen.sum()),
                        'definition': name,
                        **_spearman(heights[name].to_numpy()[chosen], barriers),
                        **_numbers('mae_eV', mean_over_rows(np.abs(errors), n_resamples=N_RESAMPLES)),
                        **_numbers('difference_eV', paired_difference(errors, others, n_resamples=N_RESAMPLES)),
                    }
                )
    return pd.DataFrame(rows)


def _parts(study: Study) -> dict[str, np.ndarray]:
    parts = {'all': np.full(len(study.rows), True), 'own mirror images': study.mirrored, 'others': ~study.mirrored}
    return {name: chosen for name, chosen in parts.items() if chosen.any()}


def _numbers(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f'{name}_low': estimate.low, f'{name}_high': estimate.high}


def _changes(changes: np.ndarray) -> dict[str, float]:
    return {
        'mean_eV': float(changes.mean()),
        'median_eV': float(np.median(changes)),
        '90%_eV': float(np.quantile(changes, 0.9)),
        'largest_eV': float(changes.max()),
        'above_0.1_eV': float((changes > 0.1).mean()),
    }


def _heights(energies: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield stages of relaxation and the barriers of a potential by each definition."""
    for name in energies:
        stage = str(name).removesuffix('_forward')
        if not str(name).endswith('_forward') or not {f'{stage}_reverse', f'{stage}_span'} <= set(energies):
            continue
        forward, reverse, span = (energies[f'{stage}_{key}'] for key in ('forward', 'reverse', 'span'))
        yield (
            stage.removeprefix('potential_'),
            pd.DataFrame(
                {
                    'forward': forward,
                    'reverse': reverse,
                    'higher_end': np.minimum(forward, reverse),
                    'lower_end': np.maximum(forward, reverse),
                    'span': span,
                }
            ),
        )


def _monotone(heights: np.ndarray, barriers: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Return barriers in eV by a rising function of heights, fitted to the other folds."""
    from sklearn.isotonic import IsotonicRegression

    found = np.empty(len(heights))
    for fold in np.unique(fold_of):
        learned = fold_of != fold
        rising = IsotonicRegression(out_of_bounds='clip').fit(heights[learned], to_logarithms(barriers[learned]))
        found[~learned] = to_barriers(rising.predict(heights[~learned]))
    return found


def _spearman(heights: np.ndarray, barriers: np.ndarray) -> dict[str, float]:
    """Return Spearman's rank correlation, with its bootstrap interval."""
    draws = np.random.default_rng(0).integers(len(barriers), size=(N_RESAMPLES, len(barriers)))
    rows = np.concatenate([np.arange(len(barriers))[None], draws])
    ranks = [rankdata(values[rows], axis=1) for values in (heights, barriers)]
    first, second = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    found = (first * second).sum(axis=1) / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    low, high = np.quantile(found[1:], (0.025, 0.975))
    return {'spearman': float(found[0]), 'spearman_low': float(low), 'spearman_high': float(high)}


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, each number with its interval in brackets."""
    shown = [name for name in table if not name.endswith(('_low', '_high'))]
    cells = [[_cell(row, name) for name in shown] for row in table.to_dict('records')]
    titles = [name.replace('_eV', ' (eV)').replace('_', ' ') for name in shown]
    return tabulate(cells, titles, tablefmt='github', disable_numparse=True)


def _cell(row: dict[str, object], name: str) -> str:
    value, low, high = (row.get(key) for key in (name, f'{name}_low', f'{name}_high'))
    if not isinstance(value, float):
        return str(value)
    if not isinstance(low, float) or not isinstance(high, float):
        return f'{value:.3f}'
    sign = '+' if name.startswith('difference') else ''
    return f'{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})'


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('dataset', type=Path, help='barriers, in any format that imports')
    parser.add_argument(
        '--features', type=Path, help='parquet with `name` and numbers, those of a potential among them'
    )
    parser.add_argument('--models', nargs='*', default=['extra_trees'], help='that are cross-validated')
    parser.add_argument('--folds', type=int, default=10)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--fitted', type=Path, help='folder of a fitted model, which is asked for both directions')
    parser.add_argument('-o', '--output', type=Path, help='folder for the tables as CSV')
    arguments = parser.parse_args()
    features = None if arguments.features is None else read_parquet(arguments.features.read_bytes())
    study = prepare(read_dataset(arguments.dataset).frame, features)
    print(f'{len(study.rows)} paths, {int(study.mirrored.sum())} of them are reversed by a symmetry operation\n')
    errors, turning = [], []
    for numbers, some in studies_of(study).items():
        for model in arguments.models:
            predicted = predictions_of(some, model, arguments.folds, arguments.seeds)
            errors.append(_labelled(error_table(some, predicted), model=model, numbers=numbers))
            turning.append(_labelled(turning_table(some, predicted), model=model, numbers=numbers))
    if arguments.fitted is not None:
        table = turning_table(study, {'as it is': asked(study, arguments.fitted)})
        turning.append(_labelled(table, model=arguments.fitted.name, numbers='its own'))
    for name, tables in (('errors', errors), ('turning', turning), ('heights', [height_table(study, arguments.folds)])):
        table = pd.concat([*tables, pd.DataFrame()], ignore_index=True)
        if table.empty:
            continue
        print(f'{markdown(table)}\n')
        if arguments.output is not None:
            arguments.output.mkdir(parents=True, exist_ok=True)
            table.to_csv(arguments.output / f'{name}.csv', index=False)


def _labelled(table: pd.DataFrame, **labels: str) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(labels, index=table.index), table], axis=1)


if __name__ == '__main__':
    main()
