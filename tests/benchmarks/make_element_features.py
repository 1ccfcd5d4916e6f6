"""Write `aiida_embarrier/learning/cgcnn.csv` from the features of elements that jarvis-tools carries.

    .venv-peers/bin/python tests/benchmarks/make_element_features.py > aiida_embarrier/learning/cgcnn.csv

A row is an element, a cell the number of the only one among the columns of a property, from 0; empty where all of them
are 0, as the property is not known. The widths of the properties are those of `aiida_embarrier.learning.elements`.
"""

import json
from pathlib import Path

import numpy as np
from jarvis.core.specie import atomic_numbers_to_symbols, cgcnn_feature_json, get_node_attributes

WIDTHS = {
    'group': 19,
    'period': 7,
    'electronegativity': 10,
    'covalent_radius': 10,
    'valence_electrons': 12,
    'ionisation_energy': 10,
    'electron_affinity': 10,
    'block': 4,
    'atomic_volume': 10,
}


def main():
    """Print the table."""
    print('symbol', *WIDTHS, sep=',')
    numbers = sorted(int(number) for number in json.loads(Path(cgcnn_feature_json).read_text()))
    if numbers != list(range(1, len(numbers) + 1)):
        raise SystemExit('the elements have gaps')
    for symbol in atomic_numbers_to_symbols(numbers):
        row = np.array(get_node_attributes(symbol, atom_features='cgcnn'))
        ones = [np.flatnonzero(part) for part in np.split(row, np.cumsum(list(WIDTHS.values()))[:-1])]
        if len(row) != sum(WIDTHS.values()) or set(row) - {0, 1} or any(len(part) > 1 for part in ones):
            raise SystemExit(f'{symbol}: not one column of each property')
        print(symbol, *(part[0] if len(part) else '' for part in ones), sep=',')


if __name__ == '__main__':
    main()
