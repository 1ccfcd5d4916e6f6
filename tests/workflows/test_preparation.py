"""A band that one engine prepares for another one: what it is worth, and what becomes of one that fails."""

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, Str
from systems import aluminium, aluminium_vacancy_ends, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol, validate_inputs
from aiida_embarrier.workflows.network import MigrationNetworkWorkChain

MORSE = {
    'name': 'ase',
    'model': 'morse',
    'calculator': 'ase.calculators.morse:MorsePotential',
    'arguments': {'epsilon': 0.27, 'r0': 2.86, 'rho0': 4.0},
}
#: The toy engine is the dearer one.
OVERRIDES = {'n_images': 5, 'engine': {'neb': {'force_threshold': 0.1}}}
#: Two that prepare for it: one with another potential, and the same once more, which has the same minima.
PREPARERS = {
    'potential': {'with': 'potential', 'engine': {'potential': MORSE, 'settings': {'processes': 1}}},
    'toy': {'with': 'toy', 'engine': {'strength': 1.1, 'neb': {'force_threshold': 0.1}}},
}


@pytest.fixture
def build(toy_codes, worker_code):
    """Return a function that fills a builder whose band is prepared."""

    def make(preparer='toy', preparation=None, **overrides):
        initial, final = (node_from_structure(end)[0] for end in aluminium_vacancy_ends())
        return MigrationBarrierWorkChain.get_builder_from_protocol(
            {'embarrier-worker': worker_code} if preparer == 'potential' else None,
            initial=initial,
            final=final,
            engine='toy',
            overrides={**OVERRIDES, **overrides, 'preparation': {**PREPARERS[preparer], **(preparation or {})}},
        )

    return make


def step(node, label):
    return node.base.links.get_outgoing(link_label_filter=label).one().node


@pytest.mark.slow
def test_prepared_band_is_compared_with_the_interpolated_one(build):
    _, node = run_get_node(build('potential', {'compare': True}))
    assert node.is_finished_ok, node.exit_message
    summary = node.outputs.summary.get_dict()
    found = summary['preparation']
    assert (found['status'], found['engine'], found['potential']) == ('used', 'potential', 'morse')
    assert found['charge_ignored'] is False
    # the cheaper engine began with the endpoints of the dearer one, and has others
    assert step(node, 'prepare_endpoints').inputs.structures.initial.pk == node.outputs.initial.pk
    assert 0.01 < found['endpoint_difference'] < 0.5
    assert found['distance'] >= found['ion_distance'] > 0
    # the dearer engine began between its own endpoints
    start = step(node, 'neb').inputs.bands.band
    assert start.creator.process_label == 'transfer_band'
    for image, label in ((0, 'initial'), (-1, 'final')):
        positions = np.array([site.position for site in node.outputs[label].sites])
        assert start.band.positions[image] == pytest.approx(positions, abs=1e-9)
    prepared = step(node, 'prepare_bands').outputs.bands.band
    assert found['band'] == prepared.uuid
    assert found['barrier_forward'] == prepared.base.attributes.get('barrier_forward')
    # both ways lead to the same barrier
    comparison = found['comparison']
    assert comparison['barrier_forward']['prepared'] == pytest.approx(
        comparison['barrier_forward']['interpolated'], abs=0.01
    )
    assert comparison['converged'] == {'prepared': True, 'interpolated': True}
    tasks = step(node, 'neb').outputs.results['tasks']
    assert comparison['n_steps'] == {
        'prepared': tasks['band']['n_steps'],
        'interpolated': tasks['band_unprepared']['n_steps'],
    }
    assert comparison['steps_saved'] == tasks['band_unprepared']['n_steps'] - tasks['band']['n_steps']
    assert found['first_force'] == tasks['band']['residual_forces'][0] == comparison['first_force']['prepared']
    # a prepared band is the better start
    assert found['first_force'] < comparison['first_force']['interpolated']
    # evaluations of the cheaper engine are counted apart
    assert found['n_force_evaluations'] > 0
    assert set(summary['force_evaluations']) == {'relax_endpoints', 'verify_endpoints', 'neb'}


@pytest.mark.slow
@pytest.mark.parametrize('what', ['endpoints', 'band', 'minimum'])
def test_nothing_is_lost_by_a_preparation_that_fails(build, monkeypatch, what):
    # a hop short enough for three images; its ends are near enough to their minima
    builder = build(n_images=3, relax_endpoints=False, engine={'neb': {'force_threshold': 0.3, 'climb': False}})
    inputs = builder.preparation.engine_inputs
    if what == 'endpoints':
        changed = {'force_threshold': 0.0, 'max_steps': 1}
        inputs.relax['parameters'] = Dict({**inputs.relax['parameters'].get_dict(), **changed})
    elif what == 'band':
        inputs.neb['parameters'] = Dict({**inputs.neb['parameters'].get_dict(), 'max_steps': 0})
    else:
        monkeypatch.setattr('aiida_embarrier.bands.segments.SAME_PLACE', -1.0)
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = node.outputs.summary['preparation']
    assert found['status'] == 'failed'
    words = {
        'endpoints': 'could not relax the initial endpoint',
        'band': 'after 0 steps',
        'minimum': 'different minima',
    }
    assert words[what] in found['message']
    assert step(node, 'neb').inputs.bands.band.creator.process_label == 'interpolate'
    assert 'first_force' not in found


@pytest.mark.slow
def test_bands_of_a_network_are_prepared_side_by_side(toy_codes):
    crystal, _ = node_from_structure(aluminium((1, 1, 1)))
    changes = {'min_image_distance': 7.5, 'relax_host': 'none', 'n_images': 3, 'preparation': PREPARERS['toy']}
    builder = MigrationNetworkWorkChain.get_builder_from_protocol(
        None,
        structure=crystal,
        hops={'ion': 'Al', 'max_length': 3.0},
        engine='toy',
        overrides={**OVERRIDES, **changes},
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    [(label, summary)] = node.outputs.summaries.items()
    assert summary['preparation']['status'] == 'used'
    assert step(node, 'neb').inputs.bands[label].creator.process_label == 'transfer_band'
    assert set(step(node, 'neb').inputs.bands) == {label}


@pytest.mark.usefixtures('aiida_profile')
def test_bad_preparation_is_refused_at_launch(build):
    inputs = dict(build())
    assert validate_inputs(inputs, None) is None
    good = {'engine': Str('toy'), 'engine_inputs': dict(inputs['preparation'].engine_inputs)}
    relax, neb = (dict(good['engine_inputs'][kind]) for kind in ('relax', 'neb'))
    for preparation, message in (
        ({'engine_inputs': good['engine_inputs']}, 'the input `preparation.engine` is missing'),
        ({**good, 'engine_inputs': {'neb': neb}}, 'the namespace `preparation.engine_inputs.relax` is missing'),
        (
            {**good, 'engine_inputs': {'relax': relax, 'neb': {}}},
            'preparation.engine_inputs.neb: the input `parameters` is missing',
        ),
    ):
        assert message in validate_inputs({**inputs, 'preparation': preparation}, None)
    others = {name: value for name, value in inputs.items() if name not in ('initial', 'final')}
    message = validate_inputs({**others, 'band': BandData(straight_band())}, None)
    assert 'there is nothing to prepare' in message


def test_options_of_the_jobs_that_prepare(worker_code, toy_codes):
    initial, final = (node_from_structure(end)[0] for end in aluminium_vacancy_ends())

    def options_of(engine, **preparation):
        builder = MigrationBarrierWorkChain.get_builder_from_protocol(
            worker_code if engine == 'potential' else {'embarrier-worker': worker_code},
            initial=initial,
            final=final,
            engine=engine,
            overrides={'preparation': {**PREPARERS['potential'], **preparation}},
            options={'queue_name': 'long'},
        )
        inputs = builder.preparation.engine_inputs['neb']
        return inputs['options'].get_dict() if 'options' in inputs else None

    assert options_of('potential') == {'queue_name': 'long'}
    assert options_of('toy') is None, 'another engine may run elsewhere'
    assert options_of('toy', options={'queue_name': 'short'}) == {'queue_name': 'short'}


def test_preparation_in_a_protocol():
    resolved = barrier_protocol(protocol='fast', overrides={'preparation': {'with': 'potential'}})['preparation']
    assert resolved['engine']['neb']['force_threshold'] == 0.1
    changed = {'with': 'potential', 'protocol': 'stringent', 'engine': {'neb': {'climb': False}}}
    resolved = barrier_protocol(protocol='fast', overrides={'preparation': changed})['preparation']
    assert (resolved['engine']['neb']['force_threshold'], resolved['engine']['neb']['climb']) == (0.02, False)
    # what is printed can be given back
    assert barrier_protocol(protocol='fast', overrides={'preparation': resolved})['preparation'] == resolved


@pytest.mark.parametrize(
    ('preparation', 'message'),
    [
        ({'wth': 'potential'}, "unknown protocol key 'preparation.wth': did you mean 'with'"),
        ({'with': 'potental'}, "unknown engine 'potental': did you mean 'potential'"),
        (
            {'with': 'potential', 'engine': {'nb': {}}},
            "unknown protocol key 'preparation.engine.nb': did you mean 'neb'",
        ),
        ({'with': 'potential', 'compare': 'yes'}, "compare: 'yes' is neither true nor false"),
        ({'with': 'potential', 'options': 3}, 'options: takes a mapping, got 3'),
        ({'compare': True}, 'compare: nothing is prepared: say by which engine, `preparation.with`'),
    ],
)
def test_bad_preparation_in_a_protocol(preparation, message):
    with pytest.raises(ValueError, match=message):
        barrier_protocol(overrides={'preparation': preparation})
