"""Comparison of potentials on one path: EMT and a Morse potential of aluminium."""

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Float, List, Str
from systems import EMT, adatom_path, aluminium_vacancy_ends, straight_band

from aiida_embarrier.bands.segments import part
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.workflows.potentials import PotentialComparisonWorkChain, validate_inputs
from aiida_embarrier.workflows.studies import flat

OVERRIDES = {'n_images': 5, 'engine': {'settings': {'processes': 1}}}


def ase_entry(label, calculator, **arguments):
    potential = {'name': 'ase', 'model': label, 'calculator': calculator, 'arguments': arguments}
    return {'label': label, 'overrides': {'engine': {'potential': potential}}}


ENTRIES = {
    'emt': ase_entry('emt', EMT.calculator),
    'morse': ase_entry('morse', 'ase.calculators.morse:MorsePotential', epsilon=0.27, r0=2.86, rho0=4.0),
    'none': ase_entry('none', 'no_such_module:Calculator'),
}


@pytest.fixture
def build(worker_code):
    def make(*names, start='ends', **options):
        if start == 'ends':
            initial, final = (node_from_structure(end)[0] for end in aluminium_vacancy_ends())
            path = {'initial': initial, 'final': final}
        else:
            path = {'band': BandData(part(adatom_path(), 0, 4).replace(host='Al'))}
        return PotentialComparisonWorkChain.get_builder_from_protocol(
            worker_code,
            potentials=[ENTRIES.get(name, name) if isinstance(name, str) else name for name in names],
            **{'overrides': OVERRIDES, **options},
            **path,
        )

    return make


@pytest.mark.slow
def test_each_with_itself(build):
    builder = build('emt', 'none', 'morse', reference_barrier=0.6, reference_label='experiment', quantity='reverse')
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    table = node.outputs.table.get_dict()
    emt, missing, morse = table['rows']
    assert [row['name'] for row in table['rows']] == ['emt', 'none', 'morse']
    assert (emt['status'], missing['status'], morse['status']) == ('converged', 'failed', 'converged')
    assert 'no_such_module' in missing['message']
    assert missing['difference'] is None
    for row in (emt, morse):
        band = node.outputs.bands[row['label']]
        assert band.base.attributes.get('potential') == row['label']
        assert row['reverse'] == band.base.attributes.get('barrier_reverse')
        assert row['difference'] == pytest.approx(row['reverse'] - 0.6)
        assert row['reaction_energy'] == pytest.approx(0, abs=0.01)
    assert abs(emt['forward'] - morse['forward']) > 0.05
    assert table['reference'] == {'barrier': 0.6, 'label': 'experiment'}
    assert set(node.outputs.bands) == {'emt', 'morse'}


@pytest.mark.slow
def test_from_a_band_each_relaxes_its_ends(build):
    _, node = run_get_node(build('morse', 'none', 'emt', start='band'))
    assert node.is_finished_ok, node.exit_message
    morse, missing, _ = node.outputs.table['rows']
    assert missing['message'].startswith('the relaxation of the endpoints failed: ')
    bands = {label: node.outputs.bands[label].band for label in ('morse', 'emt')}
    # the path was made with EMT, whose ends stay where they are
    assert abs(bands['emt'].positions[0] - node.inputs.barrier.band.band.positions[0]).max() < 0.02
    assert abs(bands['morse'].positions[0] - bands['emt'].positions[0]).max() > 0.02
    assert bands['morse'].info.host == 'Al'
    relaxed = node.base.links.get_outgoing(link_label_filter='relax_morse').first().node.outputs.results
    neb = node.base.links.get_outgoing(link_label_filter='run_morse').first().node.outputs.summary
    assert morse['evaluations'] == relaxed['n_evaluations'] + neb['n_force_evaluations']


@pytest.mark.slow
def test_single_points(build):
    _, node = run_get_node(build('emt', 'morse', start='band', single_point=True))
    assert all(process.is_finished_ok for process in node.called_descendants), 'nothing was to converge'
    assert node.is_finished_ok, node.exit_message
    given = node.inputs.barrier.band.band
    for row in node.outputs.table['rows']:
        assert (row['status'], row['message']) == ('single point', None)
        assert row['evaluations'] == given.n_images
        moved = node.outputs.bands[row['label']].band.positions - given.positions
        assert abs(moved).max() < 1e-8
    # as ASE gives them
    images = [given.atoms(image) for image in (0, 2)]
    for atoms in images:
        from ase.calculators.emt import EMT as ASE_EMT

        atoms.calc = ASE_EMT()
    expected = images[1].get_potential_energy() - images[0].get_potential_energy()
    assert node.outputs.table['rows'][0]['forward'] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_nothing_succeeds(build):
    _, node = run_get_node(build('none'))
    assert node.exit_status == 310
    assert 'no_such_module' in node.exit_message
    assert not [job for job in node.called_descendants if isinstance(job, CalcJobNode) and job.is_finished_ok]


@pytest.mark.usefixtures('aiida_profile')
def test_runs_differ_in_their_potential_only(build):
    builder = build('chgnet', 'chgnet:r2scan', 'sevennet:7net-0')
    assert builder.entries.get_list() == [
        {'label': 'chgnet', 'name': 'chgnet'},
        {'label': 'chgnet_r2scan', 'name': 'chgnet:r2scan'},
        {'label': 'sevennet_7net_0', 'name': 'sevennet:7net-0'},
    ]
    assert builder.barrier['engine_inputs']['relax']['potential']['model'] == '0.3.0'
    for label, model in (('chgnet_r2scan', 'r2scan'), ('sevennet_7net_0', '7net-0')):
        change = flat(builder.variations[label])
        assert set(change) == {'engine_inputs.relax.potential', 'engine_inputs.neb.potential'}
        assert change['engine_inputs.neb.potential']['model'] == model


@pytest.mark.usefixtures('aiida_profile')
def test_bad_input_is_refused(build, worker_code):
    for names, message in (
        ((), 'name at least one potential'),
        (('chgnt',), "unknown potential 'chgnt'"),
        (('chgnet:1',), "chgnet has no model '1'"),
        (({'overrides': {}},), 'at least a label'),
        (({'label': 'x', 'model': '1'},), 'an entry has the keys label, engine'),
        (({'label': 'x', 'engine': 'vas'},), "unknown engine 'vas'"),
    ):
        with pytest.raises(ValueError, match=message):
            build(*names)
    inputs = dict(build('emt', 'morse', single_point=True))
    assert 'single points are computed on the images of a band' in validate_inputs(inputs, None)
    inputs = dict(build('emt', 'morse', reference_label='experiment', single_point=False))
    assert "the reference 'experiment' lacks its value" in validate_inputs(inputs, None)
    inputs = dict(build('emt', 'morse', reference_barrier=0.5))
    assert validate_inputs(inputs, None) is None
    assert "the variation 'morse' is that of no entry" in validate_inputs(
        {**inputs, 'entries': List(inputs['entries'][:1])}, None
    )
    ports = PotentialComparisonWorkChain.spec().inputs
    assert 'nothing to compare' in ports['entries'].validate(List([])).message
    assert 'an entry has a `label`' in ports['entries'].validate(List(['emt'])).message
    assert ports['quantity'].validate(Str('sideways')).message
    assert ports['reference_barrier'].validate(Float(0.5)) is None
    without = PotentialComparisonWorkChain.get_builder_from_protocol(
        worker_code, potentials=[ENTRIES['emt']], band=BandData(straight_band())
    )
    given = dict(without)
    given['barrier'] = {**given['barrier'], 'engine_inputs': {'neb': without.barrier['engine_inputs']['neb']}}
    assert 'emt: the namespace `engine_inputs.relax` is missing' in validate_inputs(given, None)
