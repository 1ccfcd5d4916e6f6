"""Statistics of datasets: of the published barriers, against numbers counted in plain Python, and of made-up rows."""

from __future__ import annotations

import csv
import gzip
import json
import re
import statistics
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from aiida_embarrier.datasets.importing import read_dataset
from aiida_embarrier.datasets.statistics import dataset_statistics
from aiida_embarrier.datasets.statistics_tables import TABLES
from aiida_embarrier.datasets.tables import check_table
from aiida_embarrier.datasets.tallies import histogram, nice_width

#: Part B.3 and B.4 of science.md, of all 619 rows; 559 of them are at hand, so no count can be larger.
IONS = {'Li': 175, 'Ca': 153, 'Na': 109, 'Mg': 106, 'K': 36, 'Zn': 23, 'Rb': 8, 'Al': 7, 'Sr': 2}
FUNCTIONALS = {'GGA': 545, 'GGA+U': 45, 'SCAN': 19, 'LDA': 10}
BELOW = {0.2: 47, 0.3: 126, 0.5: 250, 0.65: 323, 0.75: 368, 1.0: 451, 1.5: 532, 3.0: 601, 4.0: 616}
SYSTEMS = {
    'Orthorhombic': 205,
    'Cubic': 117,
    'Monoclinic': 112,
    'Triclinic': 72,
    'Trigonal': 57,
    'Tetragonal': 52,
    'Hexagonal': 4,
}
GROUPS = {
    'LAYERED': 98,
    'SPINEL CHALCOGENIDES': 62,
    'OXIDES': 54,
    'PHOSPHATES': 50,
    'ORTHOSILICATE': 40,
    'SPINEL': 40,
    'NASICON': 38,
    'TAVORITE': 34,
    'WEBERITE': 29,
    'OLIVINE': 22,
    'THIOSULPHATE': 17,
    'BORATES': 16,
    'SULPHIDES': 16,
    'ANTI-PEROVSKITE': 14,
    'POST-SPINELS': 13,
    'ELECTROLYTES': 13,
    'RUTILE': 11,
    'PYROPHOSPHATE': 7,
    'CARBONATES': 7,
    'MARICITE': 6,
    'OXYFLUORIDES': 6,
    'PEROVSKITE': 6,
    'NITRIDES': 6,
    'GARNETS': 5,
    'CHEVREL': 4,
    'PRUSSIAN BLUE ANALOGS': 3,
    'ALLUAUDITE': 2,
}
SPACE_GROUPS = {'Fd-3m': 95, 'Pnma': 64, 'P-1': 38, 'P1': 34, 'R-3m': 30, 'Imma': 30, 'C2/m': 28}
#: B.3's own bins: edges, and rows in them.
BINS = ((0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 99), (79, 171, 118, 83, 44, 37, 40, 21, 8, 15, 3))
LEFT_OUT = 60


@pytest.fixture(scope='module')
def frame(shared_data):
    return read_dataset(shared_data / 'barriers_train' / 'barriers_train.json.gz').frame


@pytest.fixture(scope='module')
def found(frame):
    return dataset_statistics(frame)


@pytest.fixture(scope='module')
def plain(shared_data):
    """The rows of the CSV file: nothing of this package has touched them."""
    with (shared_data / 'barriers_train' / 'barriers_train.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def counts(found, label):
    table = found.tables[f'by_{label}']
    return dict(zip(table[label], table['n'], strict=True))


def test_distribution_of_the_published_barriers(found, plain):
    """Part B.3 of science.md restricted to the rows at hand, computed both ways."""
    barriers = [float(row['barrier_eV']) for row in plain]
    assert found.numbers['n'] == found.numbers['n_rows'] == len(barriers) == 559
    first, median, third = statistics.quantiles(barriers, n=4, method='inclusive')
    expected = {
        'min': min(barriers),
        'max': max(barriers),
        'mean': statistics.fmean(barriers),
        'sd': statistics.stdev(barriers),
        'quartile_1': first,
        'median': median,
        'quartile_3': third,
    }
    for name, value in expected.items():
        assert found.numbers[name] == pytest.approx(value, abs=1e-12), name
    low, middle, high = found.tables['ranges']['n']
    assert (low, high) == (sum(value < 1 for value in barriers), sum(value > 2 for value in barriers))
    assert low + middle + high == 559
    assert (found.numbers['n_low'], found.numbers['n_middle'], found.numbers['n_high']) == (low, middle, high)
    table = found.tables['thresholds']
    assert dict(zip(table['threshold'], table['n'], strict=True)) == {
        limit: sum(value < limit for value in barriers) for limit in (*BELOW, 2.0)
    }
    # the extremes are among the rows at hand, so these numbers are those of B.3
    assert (found.numbers['min'], found.numbers['max']) == (0.0035, 8.77)


def test_histogram_of_the_published_barriers(found, plain):
    table = found.tables['histogram']
    assert np.allclose(table['high'] - table['low'], 0.25)
    assert table['n'].sum() == 559
    edges, published = BINS
    for low, high, limit in zip(edges[:-1], edges[1:], published, strict=True):
        counted = sum(low <= float(row['barrier_eV']) < high for row in plain)
        assert table[(table['low'] >= low) & (table['high'] <= high)]['n'].sum() == counted, (low, high)
        assert limit - LEFT_OUT <= counted <= limit, (low, high)


@pytest.mark.parametrize(
    ('label', 'column', 'published'),
    [
        ('ion', 'mobile_species', IONS),
        ('functional', 'xc', FUNCTIONALS),
        ('crystal_system', 'crystal_system', SYSTEMS),
    ],
)
def test_counts_by_label(found, plain, label, column, published):
    """Counts, means and medians in plain Python; none exceeds those of all 619 rows, which 60 more rows make up."""
    values = defaultdict(list)
    for row in plain:
        values[row[column]].append(float(row['barrier_eV']))
    table = found.tables[f'by_{label}'].set_index(label)
    assert table['n'].to_dict() == {name: len(each) for name, each in values.items()}
    for name, each in values.items():
        assert table.loc[name, 'mean'] == pytest.approx(statistics.fmean(each)), name
        assert table.loc[name, 'median'] == pytest.approx(statistics.median(each)), name
        assert (table.loc[name, 'min'], table.loc[name, 'max']) == (min(each), max(each)), name
    assert set(counts(found, label)) == set(published)
    assert sum(published.values()) - sum(counts(found, label).values()) == LEFT_OUT
    assert all(n <= published[name] for name, n in counts(found, label).items())
    assert list(table['n']) == sorted(table['n'], reverse=True)


def test_structural_groups(found, plain):
    classes = Counter(row['class'] for row in plain)
    assert counts(found, 'structural_class') == classes
    groups = counts(found, 'structural_group')
    assert set(groups) == set(GROUPS)
    assert sum(GROUPS.values()) - sum(groups.values()) == LEFT_OUT
    assert all(n <= GROUPS[name] for name, n in groups.items())
    # of these groups no row is in the part that was left out
    for name in ('MARICITE', 'OXYFLUORIDES', 'GARNETS', 'CHEVREL', 'PRUSSIAN BLUE ANALOGS', 'ALLUAUDITE'):
        assert groups[name] == GROUPS[name], name


def test_space_groups(found, plain):
    merged = {'CmCm': 'Cmcm', 'C12/c': 'C2/c', 'P21m': 'P21/m', 'Cmca': 'Cmce', 'Bmab': 'Cmce'}
    assert counts(found, 'space_group') == Counter(merged.get(row['space_group'], row['space_group']) for row in plain)
    assert len(counts(found, 'space_group')) <= 56
    assert all(counts(found, 'space_group')[name] <= n for name, n in SPACE_GROUPS.items())
    assert list(counts(found, 'space_group'))[:2] == ['Fd-3m', 'Pnma']


def test_paths_of_materials(found, plain):
    bases = Counter(re.sub(r'_[0-9]+$', '', row['sys_name']) for row in plain)
    several = {name: n for name, n in bases.items() if n > 1}
    assert found.numbers['n_materials'] == len(bases) <= 440
    assert found.numbers['n_materials_with_several_paths'] == len(several) <= 98
    assert found.numbers['n_rows_of_these'] == sum(several.values()) <= 277
    assert found.tables['materials'].set_index('material')['n'].to_dict() == several
    table = found.tables['paths']
    assert dict(zip(table['n_paths'], table['n_materials'], strict=True)) == Counter(bases.values())
    assert counts(found, 'formula') == Counter(row['composition'] for row in plain)
    assert found.numbers['n_compositions'] <= 414


def test_charged_discharged_pairs(found, shared_data):
    """Sets of structural group, host and ion with both a row of one ion and one of several; 68 in all 619 rows."""
    with gzip.open(shared_data / 'barriers_train' / 'barriers_train.json.gz') as file:
        records = json.load(file)
    merged = {
        'SPINELS': 'SPINEL',
        'POST-SPINEL(CF)': 'POST-SPINELS',
        'POST-SPINEL(MAROKITE- CM)': 'POST-SPINELS',
        'CUBIC': 'ANTI-PEROVSKITE',
        'THIOPHOSPHATE': 'THIOSULPHATE',
        'CARBONOPHOSPHATES': 'CARBONATES',
        'SILICATES': 'ORTHOSILICATE',
        'TETRASULPHIDE': 'SULPHIDES',
    }
    states = defaultdict(lambda: defaultdict(list))
    for record in records:
        atoms = Counter(record['species'])
        state = 'discharged' if atoms.pop(record['mobile_species'], 0) else 'charged'
        divisor = np.gcd.reduce(list(atoms.values()))
        host = tuple(sorted((name, n // divisor) for name, n in atoms.items()))
        group = merged.get(record['class'], record['class'])
        states[group, host, record['mobile_species']][state].append(record['barrier_eV'])
    pairs = [each for each in states.values() if len(each) == 2]
    table = found.tables['pairs']
    assert found.numbers['n_charged_discharged_pairs'] == len(table) == len(pairs)
    assert 68 - LEFT_OUT <= len(pairs) <= 68
    for state in ('charged', 'discharged'):
        assert sorted(table[f'mean_{state}']) == pytest.approx(sorted(statistics.fmean(each[state]) for each in pairs))
        assert sorted(table[f'min_{state}']) == pytest.approx(sorted(min(each[state]) for each in pairs))
        assert table[f'n_{state}'].sum() == sum(len(each[state]) for each in pairs)
    assert counts(found, 'charge_state')['charged'] <= 152


def test_hops_and_cells(found, plain):
    lengths = [float(row['path_length_A']) for row in plain]
    assert found.numbers['hop_length_median'] == pytest.approx(statistics.median(lengths), abs=1e-4)
    barriers = [float(row['barrier_eV']) for row in plain]
    assert found.numbers['hop_length_pearson'] == pytest.approx(statistics.correlation(lengths, barriers), abs=1e-4)
    # the lengths of the CSV file are rounded, which changes the order of nearly equal ones
    ranked = spearmanr(lengths, barriers).statistic
    assert found.numbers['hop_length_spearman'] == pytest.approx(ranked, abs=0.02)
    assert found.tables['hop_lengths']['n'].sum() == 559
    assert found.numbers['n_atoms_median'] == statistics.median(int(row['n_atoms']) for row in plain)
    assert found.tables['cell_sizes']['n'].sum() == 559
    elements = Counter(name for row in plain for name in set(re.findall('[A-Z][a-z]?', row['formula_composite'])))
    table = found.tables['elements']
    assert dict(zip(table['element'], table['n'], strict=True)) == elements
    assert found.numbers['n_different_elements'] == len(elements)


def test_tables_can_be_kept(found):
    """Every table becomes a node, a CSV file and JSON as it is, and says what it is."""
    assert list(found.tables) == [name for name in TABLES if name in found.tables]
    for name, table in found.tables.items():
        check_table(table, found.units_of(name))
        assert len(table), name
    assert json.loads(json.dumps(found.numbers, allow_nan=False)) == found.numbers
    assert found.units_of('histogram') == {'low': 'eV', 'high': 'eV'}
    assert found.units_of('materials') == dict.fromkeys(('min', 'max', 'spread'), 'eV')
    assert found.units_of('hop_lengths') == {
        name: 'Å' if name in {'low', 'high'} else 'eV' for name in ('low', 'high', 'min', 'median', 'mean', 'max')
    }


def rows(n=4, **columns):
    """Made-up rows with nothing but what the schema needs."""
    common = {
        'name': [f'LiX_{number}' for number in range(n)],
        'lattice': ['[[4,0,0],[0,4,0],[0,0,4]]'] * n,
        'species': ['["O"]'] * n,
        'frac_coords': ['[[0,0,0]]'] * n,
        'n_atoms': pd.array([2] * n, dtype='Int64'),
    }
    barriers = {'barrier': np.linspace(0.1, 0.4, n), 'ion': ['Li'] * n, 'path': ['[[0,0,0.5],[0.5,0.5,0]]'] * n}
    chosen = {**common, **({} if 'target' in columns else barriers), **columns}
    return pd.DataFrame({name: value for name, value in chosen.items() if value is not None})


def test_columns_may_be_missing():
    found = dataset_statistics(rows())
    assert set(found.tables) == {
        *('histogram', 'ranges', 'thresholds', 'by_ion', 'paths', 'materials'),
        *('cell_sizes', 'elements', 'n_elements'),
    }
    assert found.numbers['n_flagged'] == 0
    assert 'n_charged_discharged_pairs' not in found.numbers
    assert 'hop_length_pearson' not in found.numbers


def test_edges_of_bins_and_ranges():
    """Bins hold their lower edge, whatever the last digit of a product is; the ranges leave out nothing."""
    found = dataset_statistics(rows(5, barrier=[0.1, 0.3, 0.7, 1.0, 2.0]), bin_width=0.1, thresholds=(0.3, 0.1))
    table = found.tables['histogram'].set_index('low')['n']
    assert table[table > 0].to_dict() == {0.1: 1, 0.3: 1, 0.7: 1, 1.0: 1, 2.0: 1}
    assert found.tables['ranges']['n'].tolist() == [3, 2, 0]
    assert found.tables['ranges']['range'].tolist() == ['below 1 eV', '1 to 2 eV', 'above 2 eV']
    assert found.tables['thresholds'].values.tolist() == [[0.1, 0, 0], [0.3, 1, 0.2]]
    other = dataset_statistics(rows(5, barrier=[0.1, 0.3, 0.7, 1.0, 2.0]), ranges=(0.2, 0.5))
    assert other.tables['ranges']['n'].tolist() == [1, 1, 3]


def test_unknown_labels_come_last():
    found = dataset_statistics(rows(functional=pd.array([None, None, 'PBE', None], dtype='string')))
    table = found.tables['by_functional']
    assert table['functional'].isna().tolist() == [False, True]
    assert table['n'].tolist() == [1, 3]
    assert found.numbers['n_functionals'] == 1
    check_table(table)


def test_flags():
    flags = ['["low_symmetry","long_hop"]', '["long_hop"]', '[]', None]
    found = dataset_statistics(rows(flags=flags))
    assert found.numbers['n_flagged'] == 2
    assert found.tables['flags'].values.tolist() == [['long_hop', 2, 0.5], ['low_symmetry', 1, 0.25]]


def test_pairs_without_groups():
    found = dataset_statistics(
        rows(host=['FePO4', 'FePO4', 'FePO4', 'MnPO4'], charge_state=['charged', 'discharged', 'discharged', 'charged'])
    )
    assert found.tables['pairs'].to_dict('records') == [
        {
            'host': 'FePO4',
            'ion': 'Li',
            'n_charged': 1,
            'mean_charged': pytest.approx(0.1),
            'min_charged': pytest.approx(0.1),
            'n_discharged': 2,
            'mean_discharged': pytest.approx(0.25),
            'min_discharged': pytest.approx(0.2),
        }
    ]
    one_state = dataset_statistics(rows(host=['FePO4'] * 4, charge_state=['charged'] * 4))
    assert one_state.numbers['n_charged_discharged_pairs'] == 0
    assert 'pairs' not in one_state.tables


def test_property():
    targets = np.concatenate([np.linspace(0, 10, 99), [4000.0]])
    found = dataset_statistics(
        rows(100, target=targets, flags=None), 'property', target='dielectric constant', unit=None
    )
    assert (found.name, found.quantity, found.unit) == ('dielectric constant', 'target', None)
    assert 100 < len(found.tables['histogram']) <= 401, 'one value far out leaves bins for the others'
    assert found.tables['histogram']['n'].sum() == 100
    assert not {'ranges', 'thresholds', 'by_ion', 'paths', 'pairs'} & set(found.tables)
    assert found.tables['elements'].loc[0, 'element'] == 'O'
    assert found.units_of('histogram') == {}
    constant = dataset_statistics(rows(3, target=[1.0, 1.0, 1.0]), 'property', unit='GPa')
    assert constant.tables['histogram'].values.tolist() == [[1.0, 2.0, 3, 1.0]]
    assert (constant.name, constant.unit, constant.numbers['sd']) == ('target', 'GPa', 0.0)


@pytest.mark.parametrize(
    ('frame', 'options', 'message'),
    [
        (rows(0), {}, 'the dataset has no rows'),
        (rows(barrier=None), {}, "needs the column 'barrier'"),
        (rows(), {'bin_width': 0.0}, 'the width of a bin is a positive number, got 0.0'),
        (rows(), {'bin_width': 1e-7}, 'make more than 20000 bins of 1e-07: take wider ones'),
        (rows(2, barrier=[0.4, 4e5]), {}, r'values from 0.4 to 400000 make more than 20000 bins .* in another unit'),
        (rows(2, barrier=[0.4, np.inf]), {}, "the barrier of 'LiX_1' is infinite"),
        (rows(), {'ranges': (2, 1)}, r'two limits, the lower one first; got \[2, 1\]'),
        (rows(), {'ranges': (1, 2, 3)}, r'two limits, the lower one first; got \[1, 2, 3\]'),
    ],
)
def test_refused(frame, options, message):
    with pytest.raises(ValueError, match=message):
        dataset_statistics(frame, **options)


def test_width_of_bins():
    """Round, near that of Freedman and Diaconis, and not led astray by values far out."""
    random = np.random.default_rng(3)
    values = random.normal(size=1000)
    wide = nice_width(values)
    assert wide in {0.2, 0.25, 0.5}
    assert nice_width(1000 * values) == pytest.approx(1000 * wide)
    assert nice_width(np.append(values, 40.0)) == wide
    assert len(histogram(np.append(values, 1e6), nice_width(np.append(values, 1e6)))) <= 401
    assert nice_width([2.0, 2.0]) == nice_width([]) == 1.0
