"""Commands of studies: what their options make of a builder, and how results are shown and drawn."""

import json

import pytest
from click.testing import CliRunner
from systems import EMT, adatom_path, computed_band, with_emt

from aiida_embarrier.bands.barriers import split_at_minima
from aiida_embarrier.cli import main

OPTIONS = ['--set', 'engine.potential.name=ase', '--set', f'engine.potential.calculator={EMT.calculator}']


@pytest.fixture
def run(run, worker_code):
    """Return a function that runs the command line in a folder with a crystal and two endpoints, with a worker."""
    return run


@pytest.fixture
def launch(run, monkeypatch, worker_code):
    """Return a function that gives a launch command and returns the builder that it would start."""

    def invoke(name, *arguments):
        started = []
        monkeypatch.setattr(
            f'aiida_embarrier.cli.launch.{name}.start', lambda builder, **how: started.append((builder, how))
        )
        run('launch', name, *arguments, '--code', worker_code.full_label)
        ((builder, how),) = started
        assert (how['submit'], how['output_format']) == (False, 'text')
        return builder

    return invoke


@pytest.fixture
def result(aiida_profile):
    """Return a function that stores a finished process with outputs."""
    from aiida.common.links import LinkType
    from aiida.orm import WorkChainNode

    def make(entry_point, inputs=None, **outputs):
        node = WorkChainNode(process_type=f'aiida.workflows:embarrier.{entry_point}')
        for label, data in (inputs or {}).items():
            node.base.links.add_incoming(data.store(), link_type=LinkType.INPUT_WORK, link_label=label)
        node.store()
        for label, data in outputs.items():
            data.store().base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
        return node

    return make


# ---------------------------------------------------------------- launch


def test_launch_convergence(launch):
    builder = launch(
        *('convergence', 'Al.cif', '--ion', 'Al', '--hop', '0', *OPTIONS),
        *('--images', '7,5', '--supercell', '1x1x2, 2x2x2', '--force', '0.1,0.05', '--vary', 'relax_host=none,cell'),
        *('--vary', 'engine.neb.climb=false,true', '--tolerance', '0.02', '--quantity', 'span'),
    )
    values = {variable['key']: variable['values'] for variable in builder.study['variables']}
    assert values == {
        'n_images': [5, 7],
        'supercell': [[1, 1, 2], [2, 2, 2]],
        'engine.neb.force_threshold': [0.1, 0.05],
        'relax_host': ['none', 'cell'],
        'engine.neb.climb': [False, True],
    }
    assert (builder.tolerance.value, builder.quantity.value) == (0.02, 'span')
    assert builder.barrier['engine_inputs']['neb']['potential']['calculator'] == EMT.calculator
    assert builder.barrier['hop']['ion'] == 'Al'


@pytest.mark.parametrize('arguments', [('barrier', '--hop', '0'), ('network',)])
def test_launch_with_rattled_endpoints(launch, arguments):
    name, *which = arguments
    builder = launch(name, 'Al.cif', '--ion', 'Al', *which, *OPTIONS, '--rattle', '0.1', '--set', 'rattle_seed=2')
    assert (builder.rattle.value, builder.rattle_seed.value) == (0.1, 2)
    assert 'rattle' not in launch(name, 'Al.cif', '--ion', 'Al', *which, *OPTIONS)


def test_one_value_beside_others_is_a_setting_of_all_runs(launch):
    builder = launch(
        *('convergence', 'Al.cif', '--ion', 'Al', '--hop', '0', *OPTIONS),
        *('--images', '5,7', '--min-distance', '7', '--force', '0.1', '--vary', 'relax_host=none'),
    )
    assert [variable['key'] for variable in builder.study['variables']] == ['n_images']
    assert builder.barrier['min_image_distance'].value == 7.0
    assert builder.barrier['engine_inputs']['neb']['parameters']['force_threshold'] == 0.1
    assert builder.barrier['relax_host'].value == 'none'


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        ((), 2, 'nothing is varied: give at least one of --images'),
        (('--images', '5,many'), 2, "'5,many' is no list such as 5,7,9"),
        (('--images', '5'), 1, 'at least two different values'),
        (('--supercell', '2x2,3x3'), 2, 'is no list such as 1x2x2,2x2x2'),
        (('--vary', 'n_images'), 2, "'n_images' is not KEY=VALUE,VALUE"),
        (('--vary', 'n_images=[,'), 2, 'is not KEY=VALUE,VALUE'),
        (('--vary', 'engine.neb.climbing=true,false'), 1, "key 'engine.neb.climbing': did you mean 'climb'"),
    ],
)
def test_bad_variables(run, worker_code, arguments, code, message):
    ends = ('--initial', 'A.vasp', '--final', 'B.vasp', '--code', worker_code.full_label)
    assert message in ' '.join(run('launch', 'convergence', *ends, *arguments, code=code).split())


def test_launch_potentials(launch, tmp_path):
    text = f'engine: {{potential: {{name: ase, model: emt, calculator: "{EMT.calculator}"}}}}'
    (tmp_path / 'emt.yaml').write_text(text)
    builder = launch(
        *('potentials', '--initial', 'A.vasp', '--final', 'B.vasp', '--images', '5', '--reference', '0.6'),
        *('--potential', 'chgnet', '--potential', 'sevennet:7net-0', '--potential', 'own=emt.yaml'),
        *('--reference-label', 'DFT'),
    )
    assert [entry['name'] for entry in builder.entries] == ['chgnet', 'sevennet:7net-0', 'own']
    assert builder.variations['own']['engine_inputs']['neb']['potential']['model'] == 'emt'
    assert builder.barrier['n_images'].value == 5
    assert (builder.reference_barrier.value, builder.reference_label.value) == (0.6, 'DFT')


def test_bad_potentials(run, worker_code):
    ends = ('launch', 'potentials', '--initial', 'A.vasp', '--final', 'B.vasp', '--code', worker_code.full_label)
    assert "Missing option '--potential'" in run(*ends, code=2)
    assert "there is no file 'no.yaml' for the potential 'own'" in run(*ends, '--potential', 'own=no.yaml', code=2)
    assert "unknown potential 'chgnt'" in run(*ends, '--potential', 'chgnt', code=1)


def test_launch_segments(launch):
    from aiida_embarrier.data.band import BandData

    band = BandData(with_emt(adatom_path())).store()
    options = ('--images', '5', '--depth', '0.1', '--rounds', '1', *OPTIONS)
    builder = launch('segments', band.pk, *options)
    assert builder.band.pk == band.pk
    assert (builder.n_images.value, builder.depth.value, builder.max_rounds.value) == (5, 0.1, 1)
    assert builder.engine_inputs['relax']['potential']['calculator'] == EMT.calculator


def test_segments_are_computed_as_the_band_was(launch, result, worker_code):
    from aiida.orm import Dict, Int, Str

    from aiida_embarrier.data.band import BandData

    band = BandData(with_emt(adatom_path()))
    parameters = Dict({'force_threshold': 0.123})
    inputs = {'engine': Str('potential'), 'n_images': Int(9), 'engine_inputs__relax__code': worker_code}
    inputs['engine_inputs__neb__parameters'] = parameters
    result('barrier', inputs, band=band)
    builder = launch_without_code(launch, band)
    assert builder.n_images.value == 9
    assert builder.engine_inputs['neb']['parameters'].uuid == parameters.uuid
    # with an option that says how, all options count
    builder = launch('segments', band.pk, *OPTIONS)
    assert builder.n_images.value == 7
    assert builder.engine_inputs['neb']['parameters']['force_threshold'] == 0.05


def launch_without_code(launch, band):
    """Return the builder of a launch that says nothing but the band."""
    import aiida_embarrier.cli.launch.segments as module

    started = []
    original, module.start = module.start, lambda builder, **_: started.append(builder)
    try:
        outcome = CliRunner().invoke(main, ['launch', 'segments', str(band.pk)])
    finally:
        module.start = original
    assert outcome.exit_code == 0, outcome.output
    return started[0]


# ---------------------------------------------------------------- show and plot

ROW = {
    'status': 'converged',
    'message': None,
    'forward': 0.4,
    'reverse': 0.3,
    'rate_limiting': 0.4,
    'span': 0.4,
    'reaction_energy': 0.1,
    'residual_force': 0.04,
    'n_images': 5,
    'n_atoms': 31,
    'evaluations': 20,
    'cost': 620,
    'wall_s': 3.0,
    'functional': None,
    'warnings': ['small cell'],
    'difference': 0.0,
}
FAILED = {'status': 'failed', 'message': 'the memory is full', 'difference': None}


def test_convergence_is_shown_and_drawn(run, result, tmp_path):
    from aiida.orm import Dict

    rows = [
        {**ROW, 'value': 3, 'text': '3', 'run': 'a', 'difference': 0.004},
        {**FAILED, 'value': 5, 'text': '5', 'run': 'b'},
        {**ROW, 'value': 7, 'text': '7', 'run': 'c'},
    ]
    variable = {'key': 'n_images', 'rows': rows, 'recommended': 3, 'message': '3 is the cheapest setting'}
    table = {'variables': [variable], 'quantity': 'forward', 'tolerance': 0.01, 'n_force_evaluations': 99}
    node = result('convergence', table=Dict(table))
    lines = [line.split() for line in run('show', node.pk).splitlines()]
    assert ['*', '3', '0.400', '+4.0', '0.400', '0.040', '5', '31', '20', '3', 'converged'] in lines
    assert ['5', '-', '-', '-', '-', '-', '-', '-', '-', 'failed'] in lines
    assert ['5:', 'the', 'memory', 'is', 'full'] in lines
    assert ['warning', '(3,', '7):', 'small', 'cell'] in lines
    assert json.loads(run('show', node.pk, '--format', 'json'))['variables'][0]['recommended'] == 3
    assert 'wrote convergence_study.png' in run('plot', node.pk)
    assert (tmp_path / 'convergence_study.png').stat().st_size > 1000
    assert '--path and --direction are for bands' in run('plot', node.pk, '--path', code=2)
    assert 'one such node is drawn at a time' in run('plot', node.pk, node.pk, code=2)


def test_potentials_are_shown_and_drawn(run, result, tmp_path):
    from aiida.orm import Dict

    from aiida_embarrier.data.band import BandData

    rows = [{**ROW, 'label': 'a', 'name': 'chgnet'}, {**FAILED, 'label': 'b', 'name': 'mace'}]
    reference = {'barrier': 0.4, 'label': 'DFT'}
    table = {'rows': rows, 'quantity': 'forward', 'single_point': False, 'reference': reference}
    node = result('potentials', table=Dict({**table, 'n_force_evaluations': 20}), bands__a=BandData(computed_band()))
    shown = run('show', node.pk)
    for words in ('0.400 eV, DFT', '+0.000', 'mace: the memory is full', 'warning (chgnet): small cell'):
        assert words in shown, words
    found = json.loads(run('show', node.pk, '--format', 'json'))
    assert [row['band'] for row in found['rows']] == [node.outputs.bands.a.pk, None]
    run('plot', node.pk, '-o', 'x.svg')
    assert 'DFT 0.400' in (tmp_path / 'x.svg').read_text()


def test_segments_are_shown_and_drawn(run, result, tmp_path):
    from aiida.orm import Dict

    from aiida_embarrier.calculations.segments import summarise_segments
    from aiida_embarrier.data.band import BandData

    path = with_emt(adatom_path(), converged=True)
    joined, original = BandData(path), BandData(path.replace(energies=1.2 * path.energies))
    segments = {f'segment_{number}': BandData(piece) for number, piece in enumerate(split_at_minima(path), start=1)}
    parameters = Dict({'depth': 0.02, 'notes': ['look there'], 'settled': []})
    summary = summarise_segments(joined, original, parameters, **segments)
    links = {f'segments__{label}': segment for label, segment in segments.items()}
    node = result('segments', {'band': original}, band=joined, summary=summary, **links)
    shown = run('show', node.pk)
    assert 'note: look there' in shown
    assert any(line.split()[:4] == ['forward', '0.506', '0.607', 'largest'] for line in shown.splitlines()), shown
    assert any(line.split()[-3:] == ['limits', 'the', 'rate'] for line in shown.splitlines()), shown
    assert json.loads(run('show', node.pk, '--format', 'json'))['rate_limiting_segment'] in (1, 2)
    run('plot', node.pk, '-o', 'x.svg')
    assert 'before it was split' in (tmp_path / 'x.svg').read_text()
    # the joined path is a band as any other, and a segment is not taken for the whole
    assert json.loads(run('show', joined.pk, '--format', 'json'))['process'] == node.pk
    assert json.loads(run('show', segments['segment_1'].pk, '--format', 'json'))['process'] is None


@pytest.mark.parametrize('kind', ['convergence', 'potentials', 'segments'])
def test_process_without_a_result(run, result, kind):
    node = result(kind)
    assert f'`verdi process report {node.pk}` tells how far it came' in ' '.join(run('show', node.pk, code=1).split())
