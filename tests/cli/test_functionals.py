"""``launch functionals``, how a comparison is shown and drawn, and tables in verdi."""

import json

import pandas as pd
import pytest
import yaml
from aiida.common.links import LinkType
from aiida.orm import Dict, WorkChainNode
from click.testing import CliRunner
from functional_engine import OFFSETS
from systems import aluminium, aluminium_vacancy_ends, computed_band

from aiida_embarrier.cli import main
from aiida_embarrier.cli.verdi import embarrier
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.table import TableData
from aiida_embarrier.datasets.functionals import UNITS, cells_table, effects_table, functionals_table, recommend

SPEC = {
    'engine': 'made-up',
    'functionals': ['pbe', 'scan'],
    'charges': [0, -1],
    'overrides': {'n_images': 5, 'supercell': [2, 2, 2]},
    'systems': [
        {
            'name': 'crystal',
            'file': 'Al.cif',
            'ion': 'Al',
            'hop': 0,
            'moments': {'Al': [1, -1, 1, -1]},
            'charges': [0],
            'experiment': {'barrier': [0.5, 0.6], 'source': 'impedance'},
        },
        {'name': 'two ends', 'initial': 'A.vasp', 'final': 'B.vasp', 'experiment': {'barrier': 0.61}},
    ],
    'min_systems': 2,
    'max_concurrent': 4,
}


@pytest.fixture
def run(tmp_path, monkeypatch, aiida_profile, entry_points):
    monkeypatch.chdir(tmp_path)
    entry_points.add('functional_engine:MadeUpRelaxWorkChain', 'aiida.workflows:made_up.relax')
    entry_points.add('functional_engine:MadeUpNebWorkChain', 'aiida.workflows:made_up.neb')
    entry_points.add('functional_engine:ENGINE', 'aiida_embarrier.engines:made-up')
    aluminium((1, 1, 1)).to_file('Al.cif')
    for name, end in zip('AB', aluminium_vacancy_ends(), strict=True):
        end.to_file(f'{name}.vasp', fmt='poscar')

    def invoke(*arguments, code=0, command=main):
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


@pytest.fixture
def write(tmp_path):
    def write_spec(**changes):
        (tmp_path / 'spec.yaml').write_text(yaml.safe_dump({**SPEC, **changes}))
        return 'spec.yaml'

    return write_spec


# ---------------------------------------------------------------- launch


def test_estimate_only(run, write):
    shown = run('launch', 'functionals', write(), '--estimate-only')
    lines = [line.split() for line in shown.splitlines()]
    assert ['barriers', '12'] in lines  # 2 functionals, without and with climbing image; three charges in all
    assert ['crystal', '31', '93', '5'] in lines
    assert ['pbe', '6', '1.00', '20%', 'the', 'reference'] in lines
    found = json.loads(run('launch', 'functionals', write(), '--estimate-only', '--format', 'json'))
    assert found['jobs'] == {'hosts': 2, 'endpoints': 12, 'bands': 12, 'images': 36}


def test_launch(run, write, monkeypatch):
    started = []
    monkeypatch.setattr(
        'aiida_embarrier.cli.launch.functionals.start', lambda builder, **how: started.append((builder, how))
    )
    arguments = ('--max-concurrent', '7', '--cores', '8', '--wall-time', '600', '--label', 'mine')
    run('launch', 'functionals', write(reference='scan', quantity='span', range_error='middle'), *arguments)
    ((builder, how),) = started
    assert how == {'label': 'mine', 'submit': False, 'output_format': 'text'}
    assert (builder.engine.value, builder.max_concurrent.value, builder.min_systems.value) == ('made-up', 7, 2)
    assert (builder.quantity.value, builder.range_error.value) == ('span', 'middle')
    assert builder.study['reference'] == 'scan'
    assert [entry['charges'] for entry in builder.study['systems']] == [[0.0], [0.0, -1.0]]
    assert builder.study['systems'][0]['experiment'] == {'range': [0.5, 0.6], 'source': 'impedance'}
    # moments make kinds of sites that differ in nothing else
    assert sorted(entry['magnetic_moment'] for entry in builder.systems['crystal']['kinds'].get_dict().values()) == [
        -1,
        1,
    ]
    assert builder.systems['two_ends']['mechanism'].value == 'vacancy'
    assert builder.estimate['n_cells'] == 12


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'functional': ['pbe']}, "unknown key 'functional': did you mean 'functionals'"),
        ({'functionals': ['pbe', 'scn']}, "unknown functional 'scn': did you mean 'scan'"),
        ({'functionals': ['pbe', 'pbe']}, "the functionals differ from each other, but 'pbe' is there more than once"),
        ({'functionals': []}, 'functionals: List should have at least 1 item'),
        ({'engine': 'mad-up'}, "unknown engine 'mad-up': did you mean 'made-up'"),
        ({'overrides': {'n_image': 5}}, "crystal: unknown protocol key 'n_image': did you mean 'n_images'"),
        ({'quantity': 'forwards'}, "quantity: unknown value 'forwards': did you mean 'forward'"),
        ({'reference': 'lda'}, "'lda' is not among the functionals"),
        ({'functional_overrides': {'scn': {}}}, "'scn' is not among the functionals: did you mean 'scan'"),
        ({'min_systems': 1}, 'min_systems: Input should be greater than or equal to 2'),
        ({'max_concurrent': 0}, 'max_concurrent: Input should be greater than or equal to 1'),
    ],
)
def test_what_is_wrong_with_a_file(run, write, changes, message):
    shown = run('launch', 'functionals', write(**changes), '--estimate-only', code=1)
    assert message in ' '.join(shown.split()), shown


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'hops': 0}, "systems.0: unknown key 'hops': did you mean 'hop'"),
        ({'ion': None}, 'crystal: give `file`, `ion` and `hop`, or `initial` and `final`'),
        ({'initial': 'A.vasp'}, 'crystal: give `file`, `ion` and `hop`, or `initial` and `final`'),
        ({'file': 'B.cif'}, "there is no file 'B.cif'"),
        ({'hop': 99}, 'crystal: '),
        ({'moments': {'Fe': 4}}, "system 'crystal': there is no 'Fe' to give a moment: choose one of Al"),
        ({'moments': {'Al': [1, 2]}}, "system 'crystal': 4 sites of Al need as many moments, got 2"),
        ({'moments': [1, 2]}, "system 'crystal': 4 sites need as many moments, got 2"),
        ({'charges': [0, 0]}, 'crystal: charges have to differ from each other'),
        ({'experiment': {'barier': 0.5}}, "systems.0.experiment: unknown key 'barier': did you mean 'barrier'"),
        ({'experiment': {'barrier': [0.6, 0.5]}}, 'a range begins with its lower end'),
        ({'experiment': {'barrier': -0.5}}, 'a measured barrier is positive'),
        ({'name': 'two ends'}, "the names of systems differ from each other, but 'two ends' is there more than once"),
    ],
)
def test_what_is_wrong_with_a_system(run, write, changes, message):
    system = {key: value for key, value in {**SPEC['systems'][0], **changes}.items() if value is not None}
    shown = run('launch', 'functionals', write(systems=[system, SPEC['systems'][1]]), '--estimate-only', code=1)
    assert message in ' '.join(shown.split()), shown


def test_what_is_no_file(run, tmp_path):
    for text, message in (('systems: [', 'is not YAML'), ('- pbe', 'holds no mapping')):
        (tmp_path / 'bad.yaml').write_text(text)
        assert message in run('launch', 'functionals', 'bad.yaml', '--estimate-only', code=1)


# ---------------------------------------------------------------- show and plot


@pytest.fixture
def comparison(aiida_profile):
    """Return a process that compared four functionals in two systems, and that is stored as if it had run."""
    rows, bands = [], {}
    for system, low, high in (('LiCoO2', 0.5, 0.6), ('MgMn2O4', 0.7, 0.7)):
        for functional, offset in OFFSETS.items():
            for climbing in (False, True):
                label = f'{system}_{functional.replace("+", "_")}_{"ci_neb" if climbing else "neb"}'
                row = {
                    'cell': label,
                    'system': system,
                    'functional': functional,
                    'charge': 0.0,
                    'charge_state': 'neutral',
                    'climbing': climbing,
                    'experiment_low': low,
                    'experiment_high': high,
                }
                if (system, functional) == ('MgMn2O4', 'scan+u'):
                    rows.append({**row, 'status': 'failed', 'message': 'the memory is full', 'total_problems': 1})
                    continue
                band = computed_band(functional=functional)
                band = band.replace(energies=band.energies * (low + offset) / 0.6)
                bands[label] = BandData(band.replace(moments=[[1.0] * band.n_atoms] * band.n_images))
                cost = {'pbe': 1.0, 'pbe+u': 1.2, 'scan': 4.0, 'scan+u': 5.0}[functional]
                barrier = float(band.energies.max())
                known = {'barrier': barrier, 'forward': barrier, 'total_core_h': cost, 'total_wall_s': 60 * cost}
                rows.append({**row, **known, 'status': 'converged', 'total_problems': 0})
    cells, names = cells_table(rows), list(OFFSETS)
    tables = {'cells': cells, 'functionals': functionals_table(cells, names, 'pbe'), 'effects': effects_table(cells)}
    node = WorkChainNode(process_type='aiida.workflows:embarrier.functionals').store()
    outputs = {
        name: TableData(frame, units={key: UNITS[key] for key in frame if key in UNITS}, title=name)
        for name, frame in tables.items()
    }
    outputs['recommendation'] = Dict(recommend(cells, names, 'pbe', quantity='forward', min_systems=2))
    outputs |= {f'bands__{label}': band for label, band in bands.items()}
    for label, data in outputs.items():
        data.store().base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    return node


def test_comparison_is_shown(run, comparison):
    shown = run('show', comparison.pk)
    lines = [line.split() for line in shown.splitlines()]
    assert ['LiCoO2', '0', 'yes', '0.400', '0.650', '0.510', '0.380', '0.5', 'to', '0.6'] in lines
    assert ['MgMn2O4', '0', 'no', '0.600', '0.850', '0.710', '-', '0.7'] in lines
    assert ['converged', '14', 'of', '16', 'cells'] in lines
    text = ' '.join(shown.split())
    assert 'errors are the distance to the nearer end of the range of experimental values, 0 inside it' in text
    assert 'the climbing image changes barriers by 0 meV on average' in text
    assert 'better choice: cannot tell' in text
    assert 'MgMn2O4_scan_u_neb (failed): the memory is full' in text
    found = json.loads(run('show', comparison.pk, '--format', 'json'))
    assert found['cells'][0]['band'] == comparison.outputs.bands.LiCoO2_pbe_neb.pk
    assert found['cells'][-1]['barrier'] is None
    assert len(found['functionals']) == 8
    assert found['recommendation']['definition']['barrier'] == 'forward'


def test_comparison_is_drawn(run, comparison, tmp_path):
    assert 'wrote functional_paths.png' in run('plot', comparison.pk)
    for name, words in (
        ('paths', 'scan+u: failed'),
        ('errors', 'mean error (meV)'),
        ('cost', 'core hours relative to pbe'),
        ('moments', 'On-site magnetic moments'),
    ):
        run('plot', comparison.pk, '--figure', name, '-o', f'{name}.svg')
        assert words in (tmp_path / f'{name}.svg').read_text()
    assert "there is no picture 'error' of it: choose one of paths, errors" in run(
        'plot', comparison.pk, '--figure', 'error', code=2
    )
    message = '--figure draws one node, and goes with neither --path nor --direction'
    assert message in ' '.join(run('plot', comparison.pk, '--figure', 'cost', '--path', code=2).split())
    band = comparison.outputs.bands.LiCoO2_scan_neb
    assert 'wrote moments.png' in run('plot', band.pk, '--figure', 'moments')
    without = BandData(computed_band()).store()
    assert 'no moments are known' in run('plot', without.pk, '--figure', 'moments', code=1)
    other = WorkChainNode(process_type='aiida.workflows:embarrier.potentials').store()
    assert 'there is one only, so leave out --figure' in run('plot', other.pk, '--figure', 'paths', code=2)


def test_comparison_without_a_result(run):
    node = WorkChainNode(process_type='aiida.workflows:embarrier.functionals').store()
    assert f'`verdi process report {node.pk}` tells how far it came' in ' '.join(run('show', node.pk, code=1).split())


# ---------------------------------------------------------------- tables in verdi


def test_tables(run, comparison, tmp_path):
    table = comparison.outputs.functionals
    shown = run('table', 'show', table.pk, command=embarrier)
    assert shown.startswith('functionals\n')
    assert 'mae (eV)' in shown
    found = json.loads(run('table', 'show', table.pk, '--format', 'json', command=embarrier))
    assert (found['title'], found['units']['mae'], len(found['rows'])) == ('functionals', 'eV', 8)
    assert 'wrote table.csv' in run('table', 'export', table.pk, '-o', 'table.csv', command=embarrier)
    assert list(pd.read_csv(tmp_path / 'table.csv')['functional']) == list(table.table['functional'])
    run('table', 'export', table.pk, '-o', 'table.parquet', command=embarrier)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / 'table.parquet'), table.table)
    assert 'ends in neither .csv nor .parquet' in run(
        'table', 'export', table.pk, '-o', 'x.txt', command=embarrier, code=2
    )
    wrong = comparison.outputs.recommendation.pk
    assert f'node {wrong} is not a table but a Dict' in run('table', 'show', wrong, command=embarrier, code=1)
