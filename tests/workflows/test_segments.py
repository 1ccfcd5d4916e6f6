"""The work chain that splits a path at its interior minima: on an adatom that hops twice over Al(100), with EMT."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, Float, Int
from systems import EMT, adatom_path, computed_band, straight_band, with_emt

from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.data.band import BandData
from aiida_embarrier.workflows.segments import SegmentedBarrierWorkChain, validate_inputs

OVERRIDES = {
    'n_images': 5,
    'engine': {
        'potential': {'name': 'ase', 'model': 'emt', 'calculator': EMT.calculator},
        'settings': {'processes': 1},
    },
}


@pytest.fixture(scope='module')
def path():
    """Return the path of the adatom with its energies."""
    return with_emt(adatom_path(), converged=True, residual_force=0.04)


@pytest.fixture
def build(worker_code):
    def make(band, **options):
        return SegmentedBarrierWorkChain.get_builder_from_protocol(
            worker_code, BandData(band), **{'overrides': OVERRIDES, **options}
        )

    return make


def jobs_of(node):
    return [child for child in node.called_descendants if isinstance(child, CalcJobNode)]


@pytest.mark.slow
def test_two_hops(build, path):
    _, node = run_get_node(build(path))
    assert node.is_finished_ok, node.exit_message
    assert len(jobs_of(node)) == 2, 'all minima are relaxed in one job, all segments optimised in another'
    band, summary = node.outputs.band.band, node.outputs.summary.get_dict()
    assert band.n_images == 9
    assert band.info.converged
    assert band.info.host == 'Al'
    assert node.outputs.band.creator.process_label == 'join_segments'
    assert sorted(node.outputs.segments) == ['segment_1', 'segment_2']
    # the ends are those of the path, to the last bit
    np.testing.assert_array_equal(band.positions[[0, -1]], path.positions[[0, -1]])
    found = barriers(band.energies)
    # both hops are the same by symmetry
    assert [minimum.image for minimum in found.minima] == [4]
    assert summary['segments'][0]['forward'] == pytest.approx(summary['segments'][1]['forward'], abs=0.003)
    assert summary['barriers']['forward'] == pytest.approx(found.forward)
    assert summary['unsplit']['forward'] == pytest.approx(0.506, abs=0.001)
    # a straight line is no minimum energy path
    assert summary['barriers']['forward'] < summary['unsplit']['forward'] - 0.05
    assert summary['rate_limiting_segment'] in (1, 2)
    assert summary['segments'][1]['images'] == [4, 8]
    assert set(summary['force_evaluations']) == {'relax_minima_1', 'neb_1'}
    assert summary['warnings'] == []
    assert summary['notes'] == []


@pytest.mark.slow
@pytest.mark.parametrize('rounds', [1, 2])
def test_segment_with_a_minimum_itself(build, rounds):
    """Three hops of which the path shows one minimum only: the other one appears in a segment."""
    three = adatom_path(13, ((1, 0), (0, 1), (1, 0)))
    energies = [0.0, 0.3, 0.5, 0.3, 0.0, 0.3, 0.5, 0.6, 0.7, 0.6, 0.5, 0.3, 0.0]
    given = three.replace(energies=energies, converged=True, engine='potential', potential='emt')
    builder = build(given, max_rounds=rounds, overrides={**OVERRIDES, 'n_images': 7})
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    segments = node.outputs.summary['segments']
    if rounds == 1:
        assert [row['images'] for row in segments] == [[0, 6], [6, 12]]
        (warning,) = node.outputs.summary['warnings']
        assert 'segment 2 has an interior minimum itself (image 9 of the joined path)' in warning
        return
    assert [row['images'] for row in segments] == [[0, 6], [6, 12], [12, 18]]
    assert node.outputs.summary['warnings'] == []
    # all hops are the same by symmetry
    assert [row['forward'] for row in segments] == pytest.approx([segments[0]['forward']] * 3, abs=0.003)
    assert set(node.outputs.summary['force_evaluations']) == {
        f'{step}_{n}' for n in (1, 2) for step in ('relax_minima', 'neb')
    }


@pytest.mark.slow
def test_a_minimum_that_is_none_leaves_the_path_as_it_is(build, path):
    """The adatom goes over one bridge, and somebody has found a dip near the end of its way."""
    positions = path.positions[:5]
    energies = np.array([0.0, 0.3, 0.5, 0.0, 0.04])
    given = path.replace(
        positions=positions, energies=energies, forces=None, max_perpendicular_forces=None, converged=True
    )
    moved = positions.copy()
    moved[3] = positions[4] + 0.1 * (positions[3] - positions[4])
    _, node = run_get_node(build(given.replace(positions=moved)))
    assert node.is_finished_ok, node.exit_message
    assert len(jobs_of(node)) == 1
    assert node.outputs.band.uuid == node.inputs.band.uuid
    assert 'segments' not in node.outputs
    assert node.outputs.summary['notes'] == ['image 3 is no minimum: relaxed, it went into the last end']
    assert node.outputs.summary['segments'] == []


@pytest.mark.slow
def test_segments_that_do_not_converge_are_joined_too(build, path):
    builder = build(path)
    parameters = builder.engine_inputs.neb['parameters'].get_dict()
    builder.engine_inputs.neb['parameters'] = Dict({**parameters, 'max_steps': 1})
    builder.engine_inputs.neb['max_iterations'] = Int(1)
    _, node = run_get_node(builder)
    assert node.exit_status == 510
    assert node.outputs.band.band.n_images == 9
    assert node.outputs.band.base.attributes.get('converged') is False
    assert any('segment 2 is not converged' in warning for warning in node.outputs.summary['warnings'])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('kind', 'exit_status', 'word'), [('relax', 311, 'no_such_module'), ('neb', 312, 'no_such_module')]
)
def test_engine_that_fails(build, path, kind, exit_status, word):
    builder = build(path)
    wrong = {**builder.engine_inputs[kind]['potential'].get_dict(), 'calculator': 'no_such_module:Calculator'}
    builder.engine_inputs[kind]['potential'] = Dict(wrong)
    _, node = run_get_node(builder)
    assert node.exit_status == exit_status
    assert word in node.exit_message
    # the path as it was, which is the best there is
    assert node.outputs.band.uuid == node.inputs.band.uuid


@pytest.mark.usefixtures('aiida_profile')
def test_bad_input_is_refused_at_launch(build, path):
    builder = build(path, depth=0.02)
    assert validate_inputs(dict(builder), None) is None
    for changes, message in (
        ({'band': BandData(computed_band())}, 'no interior minimum of at least 0.02 eV, so there is nothing to split'),
        ({'band': BandData(straight_band())}, 'cannot be split: the energies of image(s) 0, 1'),
        ({'depth': Float(0.6)}, 'no interior minimum of at least 0.6 eV'),
        ({'engine_inputs': {'neb': builder.engine_inputs.neb}}, 'the namespace `engine_inputs.relax` is missing'),
        ({'engine_inputs': {'relax': builder.engine_inputs.relax}}, 'the namespace `engine_inputs.neb` is missing'),
    ):
        assert message in validate_inputs({**dict(builder), **changes}, None)
    ports = SegmentedBarrierWorkChain.spec().inputs
    assert 'is no depth of a minimum' in ports['depth'].validate(Float(-1)).message
    assert 'split at least once' in ports['max_rounds'].validate(Int(0)).message
    assert 'at least 3 images' in ports['n_images'].validate(Int(2)).message


@pytest.mark.usefixtures('aiida_profile')
def test_misspelt_override_is_refused(build, path):
    with pytest.raises(ValueError, match="did you mean 'n_images'"):
        build(path, overrides={'n_image': 5})
