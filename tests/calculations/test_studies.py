"""Tables of studies: differences, costs, and what is recommended."""

import pytest
from aiida.orm import Dict

from aiida_embarrier.calculations.studies import recommend, setting_text, tabulate_potentials, tabulate_settings


def row(value, difference, cost=1.0, status='converged', message=None):
    return {
        'value': value,
        'text': str(value),
        'difference': difference,
        'cost': cost,
        'status': status,
        'message': message,
    }


def summary(forward, *, neb=20, converged=True, n_atoms=10, relax=None, host=None, rate_limiting=None):
    """Return a summary as the barrier work chain makes it, as far as tables use it."""
    steps = {'relax_host': host, 'relax_endpoints': relax, 'neb': neb}
    spent = {name: count for name, count in steps.items() if count is not None}
    return {
        'barriers': {
            'forward': forward,
            'reverse': forward - 0.1,
            'rate_limiting': rate_limiting or forward,
            'span': forward,
        },
        'converged': converged,
        'residual_force': 0.04,
        'n_images': 5,
        'n_atoms': n_atoms,
        'functional': 'PBE',
        'n_force_evaluations': sum(spent.values()),
        'force_evaluations': spent,
        'worker_wall_s': {name: 2.0 * count for name, count in spent.items()},
        'warnings': [],
    }


def test_cheapest_within_the_tolerance():
    rows = [row(3, -0.03, 1), row(5, -0.008, 3), row(7, 0.002, 2), row(9, 0.0, 8)]
    value, message = recommend(rows, 0.01)
    assert value == 7  # not the coarsest, but the cheapest
    assert message == '7 is the cheapest setting within 10 meV of the finest, 9: 2.0 meV at 0.25 of its cost'


def test_agreement_by_chance_is_no_convergence():
    rows = [row(3, 0.001, 1), row(5, -0.03, 2), row(7, 0.004, 4), row(9, 0.0, 8)]
    assert recommend(rows, 0.01)[0] == 7


def test_finest_alone_shows_nothing():
    value, message = recommend([row(3, -0.05), row(5, -0.02), row(7, 0.0)], 0.01)
    assert value is None
    assert message == 'not converged: the two finest settings, 5 and 7, differ by 20.0 meV; go on to finer ones'


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        (
            [row(3, None), row(5, None, status='not converged')],
            'the finest setting, 5, gave no barrier to compare with: its band did not converge',
        ),
        (
            [row(3, None), row(5, None, status='failed', message='the memory is full')],
            'the finest setting, 5, gave no barrier to compare with: the memory is full',
        ),
        (
            [row(3, None, status='failed'), row(4, 0.001, status='not converged'), row(5, 0.0)],
            'only the finest setting, 5, gave a barrier: there is nothing to compare it with',
        ),
    ],
)
def test_nothing_to_compare(rows, message):
    assert recommend(rows, 0.01) == (None, message)


def test_settings_that_failed_are_passed_over():
    rows = [row(3, 0.003, 1), row(5, None, status='failed'), row(7, 0.0, 4)]
    assert recommend(rows, 0.01)[0] == 3


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (5, '5'),
        (0.05, '0.05'),
        (1e-30, '1e-30'),
        ([2, 2, 1], '2×2×1'),
        ([[1, 1, 0], [-1, 1, 0], [0, 0, 1]], '1 1 0 / -1 1 0 / 0 0 1'),
        ('idpp', 'idpp'),
        (True, 'True'),
    ],
)
def test_settings_for_readers(value, text):
    assert setting_text(value) == text


@pytest.mark.usefixtures('aiida_profile')
def test_table_of_settings():
    parameters = {
        'variables': [
            {'key': 'n_images', 'values': [3, 5, 7], 'runs': ['a', 'base', 'b']},
            {'key': 'supercell', 'values': [[1, 1, 1], [2, 2, 2]], 'runs': ['base', 'c']},
        ],
        'quantity': 'reverse',
        'tolerance': 0.02,
        'failures': {'c': 'too large', 'b': 'slow'},
        'shares': {'a': 'base', 'b': 'base'},
    }
    table = tabulate_settings(
        Dict(parameters),
        a=Dict(summary(0.51)),
        base=Dict(summary(0.5, relax=30, host=7)),
        b=Dict(summary(0.505, neb=40, converged=False)),
    ).get_dict()
    images, cells = table['variables']
    assert [entry['status'] for entry in images['rows']] == ['converged', 'converged', 'not converged']
    assert [entry['evaluations'] for entry in images['rows']] == [50, 50, 70], 'with endpoints, without the host'
    assert images['rows'][0]['cost'] == 500
    assert images['rows'][0]['wall_s'] == 100.0
    assert images['rows'][2]['message'] == 'slow'
    assert images['recommended'] is None
    assert all(entry['difference'] is None for entry in images['rows']), 'a band that did not converge is no reference'
    assert cells['rows'][1] == {
        'value': [2, 2, 2],
        'text': '2×2×2',
        'run': 'c',
        'status': 'failed',
        'message': 'too large',
        'difference': None,
    }
    assert table['n_force_evaluations'] == 20 + 57 + 40


@pytest.mark.usefixtures('aiida_profile')
def test_recommendation_that_the_rate_limiting_barrier_contradicts_says_so():
    parameters = {
        'variables': [{'key': 'n_images', 'values': [3, 5, 7], 'runs': ['a', 'b', 'c']}],
        'quantity': 'forward',
        'tolerance': 0.01,
        'failures': {},
        'shares': {},
    }
    runs = {
        label: summary(0.37, rate_limiting=high, neb=cost)
        for label, high, cost in (('a', 0.372, 10), ('b', 0.38, 20), ('c', 0.446, 30))
    }
    for run in runs.values():
        run['barriers']['reverse'] = run['barriers']['forward']
    [variable] = tabulate_settings(Dict(parameters), **{label: Dict(run) for label, run in runs.items()})['variables']
    assert variable['recommended'] == 3
    assert variable['message'].endswith(
        'This holds for the forward barrier only: at 7 the rate-limiting one is 0.446 eV, not 0.370 eV, and changes by '
        'up to 74.0 meV over these settings; compare it by `--quantity rate_limiting`'
    )
    same = {label: summary(0.37, rate_limiting=0.372) for label in 'abc'}
    [variable] = tabulate_settings(Dict(parameters), **{label: Dict(run) for label, run in same.items()})['variables']
    assert 'only' not in variable['message']


@pytest.mark.usefixtures('aiida_profile')
def test_table_of_potentials():
    parameters = {
        'entries': [{'label': name, 'name': name.upper()} for name in ('a', 'b')],
        'quantity': 'forward',
        'single_point': False,
        'failures': {'b': 'no licence'},
        'reference': {'barrier': 0.45, 'label': 'DFT'},
    }
    relaxed = Dict({'n_evaluations': 11, 'wall_s': 4.0})
    table = tabulate_potentials(Dict(parameters), a=Dict(summary(0.5)), relax_a=relaxed).get_dict()
    first, second = table['rows']
    assert (first['name'], first['status'], first['evaluations']) == ('A', 'converged', 31)
    assert first['difference'] == pytest.approx(0.05)
    assert first['reaction_energy'] == pytest.approx(0.1)
    assert (second['status'], second['message'], second['difference']) == ('failed', 'no licence', None)
    assert table['n_force_evaluations'] == 31
    alone = tabulate_potentials(Dict({**parameters, 'reference': None}), a=Dict(summary(0.5))).get_dict()
    assert alone['rows'][0]['difference'] is None
