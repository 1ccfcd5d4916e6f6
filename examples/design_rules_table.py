"""How the design rules of the literature go with published barriers: docs/explanation/design_rules.md.

    python examples/design_rules_table.py ../shared/data/barriers_train/barriers_train.json.gz

The first table has, for the ions and hosts of Rong et al., what their rule says and the barrier; the second one
Spearman's rank correlation of each descriptor with the barrier. With --into both are replaced in a page, each between
two comments.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from aiida_embarrier.datasets.importing.reading import read_dataset
from aiida_embarrier.prediction.paths import MigrationPath
from aiida_embarrier.structures.bending import bent_path
from aiida_embarrier.structures.design_rules import DESIGN_RULES, design_rules

#: Points at which the surroundings of an ion are looked at.
FRACTIONS = np.linspace(0, 1, 21)
#: Hosts and ions of Rong et al.; of FePO4 with Li the stored path goes through an oxygen.
HOSTS = ('Mn2O4', 'NiO2', 'd-V2O5', 'O-FePO4')
IONS = ('Li', 'Mg', 'Zn', 'Ca', 'Al')
BEGIN, END = '<!-- {}: begin -->', '<!-- {}: end -->'


def describe(frame: pd.DataFrame, bent: bool) -> pd.DataFrame:
    """Return the descriptors of all rows of a dataset, on straight or bent paths, with the name as index."""
    found = {}
    for _, row in frame.iterrows():
        path = MigrationPath.from_row(row)
        points, atoms = path.at(FRACTIONS), path.coords
        if path.final_coords is not None:
            atoms = np.stack([path.host_at(fraction) for fraction in FRACTIONS])
        if bent:
            points = bent_path(path.lattice, path.species, atoms, path.ion, points)
        found[path.name] = design_rules(path.lattice, path.species, atoms, path.ion, points)
    return pd.DataFrame.from_dict(found, orient='index', dtype=float)


def correlations(frame: pd.DataFrame, straight: pd.DataFrame, bent: pd.DataFrame) -> pd.DataFrame:
    """Return rank correlations of descriptors with the barrier, one descriptor a row.

    :return: columns `rows` (how many have the descriptor), `straight`, `bent`, and `one_ion`: on bent paths with ranks
        among the rows of the same ion, so that differences between ions do not count.
    """
    barriers = pd.Series(frame['barrier'].to_numpy(dtype=float), index=bent.index)
    ions = pd.Series(frame['ion'].to_numpy(), index=bent.index)
    rows = {}
    for name in DESIGN_RULES:
        known = bent[name].notna()
        among = [_ranks_among(values[known], ions[known]) for values in (bent[name], barriers)]
        rows[name] = {
            'rows': int(known.sum()),
            'straight': straight[name].corr(barriers, method='spearman'),
            'bent': bent[name].corr(barriers, method='spearman'),
            'one_ion': among[0].corr(among[1]) if among[0].std() > 0 else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient='index')


def _ranks_among(values: pd.Series, groups: pd.Series) -> pd.Series:
    """Return ranks within groups, from -1/2 to 1/2."""
    ranks = values.groupby(groups).rank(pct=True)
    return ranks - ranks.groupby(groups).transform('mean')


def correlation_table(found: pd.DataFrame) -> str:
    """Return the correlations as a table in Markdown."""
    cells = [
        [
            f'`{name}`',
            DESIGN_RULES[str(name)][1],
            DESIGN_RULES[str(name)][0],
            f'{row["rows"]:.0f}',
            *('' if np.isnan(row[column]) else f'{row[column]:+.2f}' for column in ('straight', 'bent', 'one_ion')),
        ]
        for name, row in found.iterrows()
    ]
    header = ['descriptor', 'meaning', 'unit', 'rows', 'straight', 'bent', 'bent, among one ion']
    return tabulate(cells, header, tablefmt='github', disable_numparse=True)


def rule_table(frame: pd.DataFrame, bent: pd.DataFrame) -> str:
    """Return what the rule of Rong et al. says of the paths that they looked at, as a table in Markdown."""
    barriers = dict(zip(frame['name'], frame['barrier'], strict=True))
    cells = []
    for name in (f'{host}_{ion}' for host in HOSTS for ion in IONS):
        if name not in bent.index:
            continue
        row = bent.loc[name]
        cells.append(
            [
                f'`{name}`',
                f'{row["econ_stable"]:.1f}',
                f'{row["econ_activated"]:.1f}',
                f'{round(row["mismatch_stable"], 1) + 0:+.1f}',
                f'{row["rong_score"]:+.1f}',
                f'{row["econ_range"]:.1f}',
                f'{barriers[name]:.3f}',
            ]
        )
    header = [
        'path',
        'ECoN stable',
        'ECoN activated',
        'stable less preferred',
        'score',
        'range of ECoN',
        'barrier (eV)',
    ]
    return tabulate(cells, header, tablefmt='github', disable_numparse=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('dataset', type=Path, help='barriers_train.json.gz')
    parser.add_argument('--into', type=Path, help='page whose tables are replaced')
    arguments = parser.parse_args()
    frame = read_dataset(arguments.dataset).frame
    straight, bent = describe(frame, bent=False), describe(frame, bent=True)
    tables = {'rules': rule_table(frame, bent), 'correlations': correlation_table(correlations(frame, straight, bent))}
    for name, table in tables.items():
        print(f'{table}\n')
        if arguments.into is not None:
            before, _, rest = arguments.into.read_text().partition(BEGIN.format(name))
            after = rest.partition(END.format(name))[2]
            arguments.into.write_text(f'{before}{BEGIN.format(name)}\n{table}\n{END.format(name)}{after}')


if __name__ == '__main__':
    main()
