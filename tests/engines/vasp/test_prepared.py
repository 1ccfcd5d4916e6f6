"""From the command line to a band of VASP's stand-in that a cheaper engine prepared."""

import pytest
from aiida.engine import run_get_node
from click.testing import CliRunner
from systems import aluminium_vacancy_ends

from aiida_embarrier.cli import main
from aiida_embarrier.workflows.barrier_inputs import validate_inputs


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Return a function that gives `launch barrier` between two endpoints, and returns the builder or the message."""
    monkeypatch.chdir(tmp_path)
    for name, end in zip('AB', aluminium_vacancy_ends(), strict=True):
        end.to_file(f'{name}.vasp', fmt='poscar')

    def invoke(*arguments, code=0):
        started = []
        monkeypatch.setattr('aiida_embarrier.cli.launch.barrier.start', lambda builder, **_: started.append(builder))
        ends = ('--initial', 'A.vasp', '--final', 'B.vasp', '--engine', 'vasp')
        result = CliRunner().invoke(main, ['launch', 'barrier', *ends, *map(str, arguments)])
        assert result.exit_code == code, result.output
        return started[0] if started else ' '.join(result.output.split())

    return invoke


def settings_of(family):
    return ('--protocol', 'fast', '--images', 5, '--set', 'engine.kspacing=1.5', '--set', f'engine.paw.family={family}')


@pytest.mark.slow
def test_steps_that_a_preparation_saves_are_recorded(launched, working_vasp, vasp_potcars, toy_codes):
    builder = launched(
        *settings_of(vasp_potcars),
        *('--images', 3, '--set', 'relax_endpoints=false', '--set', 'engine.neb.force_threshold=0.3'),
        *('--functional', 'scan', '--code', working_vasp.store().full_label),
        *('--prepare-with', 'toy', '--set', 'preparation.compare=true'),
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.band.base.attributes.get('functional') == 'scan'
    found = node.outputs.summary['preparation']
    assert (found['status'], found['engine'], found['potential']) == ('used', 'toy', 'emt')
    comparison = found['comparison']
    assert comparison['converged'] == {'prepared': True, 'interpolated': True}
    heights = comparison['barrier_forward']
    assert heights['prepared'] == pytest.approx(heights['interpolated'], abs=0.05)
    steps = comparison['n_steps']
    assert comparison['steps_saved'] == steps['interpolated'] - steps['prepared']
    assert found['first_force'] == comparison['first_force']['prepared'] > 0
    # the endpoints are VASP's
    start = node.base.links.get_outgoing(link_label_filter='neb').one().node.inputs.bands.band
    assert start.creator.process_label == 'transfer_band'
    assert node.outputs.band.band.positions[0] == pytest.approx(start.band.positions[0], abs=1e-6)


def test_what_the_command_line_asks_of_vasp(launched, working_vasp, vasp_potcars, tmp_path):
    code = ('--code', working_vasp.store().full_label)
    builder = launched(*settings_of(vasp_potcars), *code, '--functional', 'pbe', '--cores', 6, '--charge', -2)
    options = builder.engine_inputs['neb']['options'].get_dict()
    assert options['resources']['num_mpiprocs_per_machine'] == 6
    assert builder.charge.value == -2.0
    assert validate_inputs(builder._inputs(prune=True), None) is None
    (tmp_path / 'options.yaml').write_text('withmpi: true')  # which the code of the stand-in is not
    builder = launched(*settings_of(vasp_potcars), *code, '--cores', 4, '--options', 'options.yaml')
    message = validate_inputs(builder._inputs(prune=True), None)
    assert message.startswith('4 MPI ranks cannot be shared by the 3 interior images')
    message = launched(*settings_of('NO.54'), *code, code=1)
    assert 'uploadfamily' in message
