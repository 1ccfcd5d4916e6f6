"""Made-up predictions of barriers, with something for every table and picture of their analysis."""

import json

import numpy as np
import pandas as pd
from split_systems import small_dataset

from aiida_embarrier.datasets.groups import with_groups

__all__ = ('predicted_rows', 'predictions_of')


def predicted_rows():
    """Return a dataset of 56 rows of 14 families, with labels."""
    frame = with_groups(small_dataset())
    random = np.random.default_rng(3)
    barriers = random.lognormal(-0.4, 0.8, len(frame)).round(3)
    functionals = pd.array(['GGA+U' if number % 5 == 0 else 'GGA' for number in range(len(frame))], 'string')
    return frame.assign(barrier=barriers, functional=functionals, structural_group=frame['structural_class'])


def predictions_of(frame, models=('trees', 'median'), validations=('random', 'host_group'), seeds=(0, 1)):
    """Return what models say of the rows of a dataset: the first one well, the last one the median."""
    parts = []
    for validation in validations:
        for seed in seeds:
            random = np.random.default_rng(seed)
            labels = frame['name'] if validation == 'random' else frame[validation]
            order = {label: number for number, label in enumerate(random.permutation(sorted(set(labels))))}
            folds = labels.map(order).to_numpy() % 4
            for place, model in enumerate(models):
                known = frame['barrier'].to_numpy()
                noise = random.lognormal(0, 0.15 + 0.1 * place, len(frame))
                found = known * noise if model != 'median' else np.full(len(frame), np.median(known))
                hard = 0.1 * found
                flags = [
                    json.dumps(['long_hop', 'unknown_ion'] if number % 13 == 0 else []) for number in range(len(frame))
                ]
                parts.append(
                    pd.DataFrame(
                        {
                            'model': model,
                            'validation': validation,
                            'seed': seed,
                            'fold': folds,
                            'name': frame['name'].to_numpy(),
                            'barrier': known,
                            'prediction': found,
                            'difficulty': [json.dumps([one]) for one in hard],
                            'lower': np.maximum(0, 0.7 * found),
                            'upper': 1.5 * found,
                            'flags': flags,
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)
