"""Statistics of barriers by several functionals, on made-up cells whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from aiida_embarrier.datasets.functionals import (
    CELL_COLUMNS,
    cells_table,
    effects_table,
    errors_of,
    functionals_table,
    recommend,
    standard_variant,
)
from aiida_embarrier.datasets.tables import read_parquet, write_parquet

FUNCTIONALS = ['pbe', 'pbe+u', 'scan', 'scan+u']

#: What each functional adds to the experimental barrier of each system in eV, and its cost relative to PBE.
OFFSETS = {
    'pbe': ([-0.1, -0.2, -0.1, -0.2], 1.0),
    'pbe+u': ([0.1, 0.1, 0.2, 0.1], 1.1),
    'scan': ([0.01, -0.02, 0.01, 0.02], 4.0),
    'scan+u': ([0.1, -0.1, 0.12, -0.12], 5.0),
}
SYSTEMS = ('Li', 'Na', 'Mg', 'Ca')
EXPERIMENT = (0.3, 0.4, 0.5, 0.6)


def cell(system, functional, charge=0.0, climbing=True, **changes):
    number = SYSTEMS.index(system)
    offsets, cost = OFFSETS[functional]
    experiment = EXPERIMENT[number]
    return {
        'cell': f'{system}_{functional}_{charge}_{climbing}',
        'system': system,
        'functional': functional,
        'charge': charge,
        'charge_state': 'charged' if charge else 'neutral',
        'climbing': climbing,
        'status': 'converged',
        'barrier': experiment + offsets[number] + 0.004 * climbing + 0.01 * charge,
        'experiment_low': experiment,
        'experiment_high': experiment,
        'total_wall_s': 60 * cost * (number + 1),
        'total_core_h': cost * (number + 1),
        'total_problems': 2 if functional.startswith('scan') else 0,
        **changes,
    }


def matrix(charges=(0.0, -1.0), climbing=(False, True), failed=(), systems=SYSTEMS):
    rows = [
        cell(system, functional, charge, climb)
        for system in systems
        for functional in FUNCTIONALS
        for charge in charges
        for climb in climbing
    ]
    for row in rows:
        if (row['system'], row['functional']) in failed:
            row.update(
                status='failed', message='the memory is full', barrier=None, total_wall_s=None, total_core_h=None
            )
    return cells_table(rows)


def test_errors_against_numbers_and_ranges():
    nearest, middle = errors_of(
        [0.3, 0.45, 0.7, np.nan, 0.5], [0.4, 0.4, 0.4, 0.4, np.nan], [0.5, 0.5, 0.5, 0.5, np.nan]
    )
    np.testing.assert_allclose(nearest, [-0.1, 0.0, 0.2, np.nan, np.nan], atol=1e-12)
    np.testing.assert_allclose(middle, [-0.15, 0.0, 0.25, np.nan, np.nan], atol=1e-12)
    nearest, middle = errors_of([0.5], [0.4], [0.4])
    np.testing.assert_allclose([nearest[0], middle[0]], [0.1, 0.1])


def test_table_of_cells():
    table = matrix(failed=[('Na', 'scan')])
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == CELL_COLUMNS
    pd.testing.assert_frame_equal(read_parquet(write_parquet(table)), table)
    row = table[table['cell'] == 'Li_pbe_0.0_True'].iloc[0]
    assert row['error_nearest'] == pytest.approx(-0.096)
    failed = table[table['status'] == 'failed']
    assert len(failed) == 4
    assert failed['barrier'].isna().all()
    assert list(failed['message']) == ['the memory is full'] * 4
    with pytest.raises(ValueError, match="'barier' is no column"):
        cells_table([{'barier': 1.0}])


def test_errors_and_costs_of_functionals():
    table = functionals_table(matrix(), FUNCTIONALS, 'pbe')
    assert len(table) == 16
    assert (table['n_systems'] == 4).all()
    chosen = table[(table['charge_state'] == 'neutral') & ~table['climbing']].set_index('functional')
    assert chosen['mae'].to_dict() == pytest.approx({'pbe': 0.15, 'pbe+u': 0.125, 'scan': 0.015, 'scan+u': 0.11})
    assert chosen['mse'].to_dict() == pytest.approx({'pbe': -0.15, 'pbe+u': 0.125, 'scan': 0.005, 'scan+u': 0.0})
    assert chosen['relative_core_h'].to_dict() == pytest.approx({'pbe': 1, 'pbe+u': 1.1, 'scan': 4, 'scan+u': 5})
    assert chosen['n_problems'].to_dict() == {'pbe': 0, 'pbe+u': 0, 'scan': 8, 'scan+u': 8}


def test_errors_are_those_of_systems_that_all_have():
    # without its two worst systems PBE alone would look better than it is
    table = matrix((0.0,), (True,), failed=[('Na', 'pbe'), ('Ca', 'pbe')])
    rows = functionals_table(table, FUNCTIONALS, 'pbe').set_index('functional')
    assert set(rows['n_systems']) == {2}
    assert rows.loc['scan', 'mae'] == pytest.approx(0.014)
    assert rows.loc['scan', ['n_own', 'n_converged']].to_list() == [4, 4]
    assert rows.loc['scan', 'mae_own'] == pytest.approx((0.014 + 0.016 + 0.014 + 0.024) / 4)
    assert rows.loc['pbe', ['n_own', 'n_converged', 'n_cells']].to_list() == [2, 2, 4]
    # costs count over these systems, too
    assert set(rows['n_cost']) == {2}


def test_a_functional_without_any_barrier_takes_no_system_from_the_others():
    table = matrix((0.0,), (True,), failed=[(system, 'scan+u') for system in SYSTEMS])
    rows = functionals_table(table, FUNCTIONALS, 'pbe').set_index('functional')
    assert rows['n_systems'].to_dict() == {'pbe': 4, 'pbe+u': 4, 'scan': 4, 'scan+u': 0}
    assert np.isnan(rows.loc['scan+u', ['mae', 'relative_wall']].to_numpy(dtype=float)).all()
    found = recommend(table, FUNCTIONALS, 'pbe', quantity='forward')
    assert found['better']['functional'] == 'scan'
    assert found['better']['reason'].endswith('; scan+u gave no barrier to compare')


def test_effects_of_charge_and_climbing_image():
    table = effects_table(matrix(failed=[('Ca', 'pbe')]))
    charge, climbing = (table[table['effect'] == effect] for effect in ('charge', 'climbing'))
    assert len(charge) == len(climbing) == 30
    np.testing.assert_allclose(charge['difference'], -0.01)
    np.testing.assert_allclose(climbing['difference'], 0.004)
    assert (charge['charge'] == -1).all()
    assert climbing['climbing'].all()
    assert set(climbing['charge']) == {0.0, -1.0}
    none = effects_table(matrix((-1.0,), (False,)))
    assert list(none.columns) == list(table.columns)
    assert len(none) == 0


def test_recommendation():
    found = recommend(matrix(), FUNCTIONALS, 'pbe', quantity='rate_limiting')
    assert found['better'] == {
        'functional': 'scan',
        'certain': True,
        'reason': 'scan has the smallest mean absolute error, 0.017 eV, before scan+u with 0.110 eV, n = 4 systems',
        'n_systems': 4,
    }
    # PBE and PBE+U cost about the same, and PBE+U is the nearer one
    assert found['quick']['functional'] == 'pbe+u'
    assert found['quick']['reason'].startswith('pbe+u takes 1.10 times the core hours of pbe over 4 system(s)')
    assert 'chosen for its mean absolute error, 0.129 eV (n = 4 systems)' in found['quick']['reason']
    assert 'dearer: scan 4.00, scan+u 5.00' in found['quick']['reason']
    definition = found['definition']
    assert (definition['barrier'], definition['charge_state'], definition['climbing']) == (
        'rate_limiting',
        'neutral',
        True,
    )
    assert (definition['n_systems'], definition['systems']) == (4, sorted(SYSTEMS))
    assert found['effects']['charge']['n'] == 32
    assert found['effects']['charge']['largest'] == pytest.approx(0.01)
    assert found['effects']['climbing']['mean'] == pytest.approx(0.004)


def test_nothing_is_concluded_from_too_few_systems():
    few = matrix((0.0,), (True,), systems=SYSTEMS[:2])
    found = recommend(few, FUNCTIONALS, 'pbe', quantity='forward', min_systems=3)
    assert found['better']['functional'] is None
    assert 'for 2 system(s) with an experimental value, and at least 3 are asked for' in found['better']['reason']
    # costs are known all the same; errors of two systems do not set PBE and PBE+U apart
    assert found['quick']['functional'] == 'pbe'
    assert 'about as much as pbe+u; of these it is chosen as the cheapest' in found['quick']['reason']
    few.loc[few['functional'] == 'pbe', 'total_problems'] = 3
    found = recommend(few, FUNCTIONALS, 'pbe', quantity='forward', min_systems=3)
    assert found['quick']['functional'] == 'pbe+u'
    assert 'about as much as pbe; of these it is chosen for its convergence problems, 0' in found['quick']['reason']
    assert recommend(few, FUNCTIONALS, 'pbe', quantity='forward', min_systems=2)['better']['functional'] == 'scan'
    assert not recommend(few, FUNCTIONALS, 'pbe', quantity='forward', min_systems=2)['better']['certain']


def test_a_difference_within_the_scatter_is_not_certain():
    table = matrix((0.0,), (True,))
    chosen = table['functional'] == 'scan+u'
    scan = table.loc[table['functional'] == 'scan', 'error_nearest'].to_numpy()
    table.loc[chosen, 'error_nearest'] = scan + np.array([0.02, 0.012, -0.01, 0.01])
    found = recommend(table, FUNCTIONALS, 'pbe', quantity='forward')['better']
    assert not found['certain']
    assert 'so their order may be chance' in found['reason']


def test_no_experiment_no_times():
    table = matrix((0.0,), (True,))
    for name in ('experiment_low', 'experiment_high', 'error_nearest', 'error_middle', 'total_wall_s', 'total_core_h'):
        table[name] = np.nan
    found = recommend(table, FUNCTIONALS, 'pbe', quantity='forward')
    for choice in ('quick', 'better'):
        assert found[choice]['functional'] is None
        assert found[choice]['reason'].startswith('cannot tell')
    rows = functionals_table(table, FUNCTIONALS, 'pbe')
    assert rows[['mae', 'mse', 'relative_wall']].isna().all(axis=None)


def test_wall_times_where_core_hours_are_not_known():
    table = matrix((0.0,), (True,))
    table['total_core_h'] = np.nan
    assert 'times the wall time of pbe' in recommend(table, FUNCTIONALS, 'pbe', quantity='forward')['quick']['reason']


def test_nothing_converged():
    failed = [(system, functional) for system in SYSTEMS for functional in FUNCTIONALS]
    table = matrix(failed=failed)
    found = recommend(table, FUNCTIONALS, 'pbe', quantity='forward')
    assert (found['quick']['functional'], found['better']['functional']) == (None, None)
    assert (functionals_table(table, FUNCTIONALS, 'pbe')['n_converged'] == 0).all()


def test_variant_that_is_compared():
    assert standard_variant(matrix()) == ('neutral', True)
    assert standard_variant(matrix((-1.0,), (False,))) == ('charged', False)
