"""Volumes that lattice scaling predicts beside those of a published dataset: docs/explanation/volume_scaling.md.

    python examples/volume_scaling_table.py ../shared/data/barriers_train/barriers_train.json.gz

Pairs are rows of the dataset with the same host atoms, the same number of ions, the same class and space group, whose
ions differ. The one whose ion comes first in `PARENTS` is the parent: its ions are exchanged, and the volume of the
derived crystal is predicted. With --into the table between two comments of a page is replaced.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, Structure
from tabulate import tabulate

from aiida_embarrier.structures.substitution import substitute
from aiida_embarrier.structures.volumes import scale_volume

#: Ions whose crystals are parents of those that follow.
PARENTS = ('Li', 'Na', 'Mg', 'Zn', 'Ca', 'K')
#: Atoms of the largest primitive cells: what does not reduce to so few was stored with atoms off their sites.
LARGEST = 60
BEGIN, END = '<!-- volumes: begin -->', '<!-- volumes: end -->'


def structure_of(row: dict[str, Any]) -> Structure:
    """Return the crystal of a row with its vacancy filled, in its primitive cell: the ion at both ends of its path."""
    ion = row['mobile_species']
    coords = [row['path_frac'][0], row['path_frac'][-1], *row['frac_coords']]
    return Structure(row['lattice'], [ion, ion, *row['species']], coords).get_primitive_structure(tolerance=0.2)


def pairs_of(rows: list[dict[str, Any]], least: int = 2) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return parents with derived crystals; several paths in one crystal count once.

    :param least: ions that both have at least: of one ion among a hundred atoms the volume says nothing.
    """
    groups: dict[tuple[Any, ...], dict[tuple[str, float], dict[str, Any]]] = {}
    for row in rows:
        ion = row['mobile_species']
        counts = Counter(row['species'])
        n_ions = counts.pop(ion, 0) + 1
        if n_ions < least:
            continue
        host = Composition(counts).formula
        key = (host, n_ions, row['class'], row['space_group'])
        volume = round(abs(float(np.linalg.det(row['lattice']))), 2)
        groups.setdefault(key, {}).setdefault((ion, volume), row)
    pairs = []
    for key in sorted(groups):
        found = sorted(groups[key].values(), key=lambda row: (_rank(row), row['sys_name']))
        parent = found[0]
        pairs += [(parent, row) for row in found[1:] if row['mobile_species'] != parent['mobile_species']]
    return pairs


def _rank(row: dict[str, Any]) -> int:
    ion = row['mobile_species']
    return PARENTS.index(ion) if ion in PARENTS else len(PARENTS)


def predict(parent: dict[str, Any], derived: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is predicted for a pair, by bond valences as pymatgen does, and with the states of the parent.

    None where the crystals do not reduce to the same number of atoms, at most `LARGEST`.
    """
    crystal, other = structure_of(parent), structure_of(derived)
    if len(crystal) != len(other) or len(crystal) > LARGEST:
        return None
    exchange = {parent['mobile_species']: derived['mobile_species']}
    plain = scale_volume(substitute(crystal, exchange).structure, crystal)
    made = substitute(crystal, exchange, guess=True)
    carried = scale_volume(made.structure, made.parent or crystal)
    return {
        'parent': parent['sys_name'],
        'derived': derived['sys_name'],
        'exchange': f'{parent["mobile_species"]} → {derived["mobile_species"]}',
        'parent_volume': crystal.volume / len(crystal),
        'stored': other.volume / len(other),
        'plain': plain.volume / len(crystal),
        'plain_radii': plain.radii_used,
        'carried': carried.volume / len(crystal),
        'carried_radii': carried.radii_used,
    }


def table_of(rows: list[dict[str, Any]]) -> str:
    """Return the predictions as a table in Markdown."""
    cells = [
        [
            f'`{row["parent"]}`',
            f'`{row["derived"]}`',
            row['exchange'],
            f'{row["parent_volume"]:.2f}',
            f'{row["stored"]:.2f}',
            *(
                f'{row[way]:.2f} ({100 * (row[way] / row["stored"] - 1):+.0f} %) {row[f"{way}_radii"]}'
                for way in ('plain', 'carried')
            ),
        ]
        for row in rows
    ]
    header = ['parent', 'derived', 'exchange', 'parent', 'stored', 'predicted', 'predicted, states of the parent']
    return tabulate(cells, header, tablefmt='github', disable_numparse=True)


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean deviations of the predictions from what is stored, in per cent."""
    found: dict[str, Any] = {'pairs': len(rows)}
    for way in ('parent_volume', 'plain', 'carried'):
        deviations = np.array([100 * (row[way] / row['stored'] - 1) for row in rows])
        found[way] = {
            'mean': round(float(deviations.mean()), 1),
            'mean_absolute': round(float(np.abs(deviations).mean()), 1),
            'median_absolute': round(float(np.median(np.abs(deviations))), 1),
            'within_10_percent': int((np.abs(deviations) <= 10).sum()),
        }
    for way in ('plain', 'carried'):
        found[way]['ionic'] = sum(row[f'{way}_radii'] == 'ionic' for row in rows)
        ionic = [abs(100 * (row[way] / row['stored'] - 1)) for row in rows if row[f'{way}_radii'] == 'ionic']
        found[way]['mean_absolute_ionic'] = round(float(np.mean(ionic)), 1)
    return found


def main() -> None:
    """Print the table and its summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('dataset', type=Path, help='barriers_train.json.gz')
    parser.add_argument('--into', type=Path, help='page whose table is replaced')
    arguments = parser.parse_args()
    with gzip.open(arguments.dataset) as handle:
        rows = json.load(handle)
    predictions = [found for pair in pairs_of(rows) if (found := predict(*pair)) is not None]
    table = table_of(predictions)
    if arguments.into is not None:
        text = arguments.into.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        arguments.into.write_text(f'{before}{BEGIN}\n{table}\n{END}{after}')
    print(table)
    print(json.dumps(summary_of(predictions)))


if __name__ == '__main__':
    main()
