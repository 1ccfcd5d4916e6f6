"""Which bands are listed, and where they come from."""

import json

import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, WorkChainNode
from click.testing import CliRunner
from systems import computed_band

from aiida_embarrier.cli import main
from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.resumption import RESUMES
from aiida_embarrier.queries.bands import find_bands
from aiida_embarrier.queries.origins import origins, replaced_bands


@pytest.fixture
def process(aiida_profile_clean, make_calcjob_node):
    """Return a function that stores a process whose chain ran jobs; each left bands under the same names."""

    def make(jobs, labels=('band',), returned=None, hop=3, **attributes):
        root, chain = WorkChainNode(**attributes), WorkChainNode()
        root.base.links.add_incoming(Dict({'ion': 'Al', 'number': hop}).store(), LinkType.INPUT_WORK, 'hop')
        root.store()
        chain.base.links.add_incoming(root, LinkType.CALL_WORK, 'neb')
        chain.store()
        bands = []
        for _ in range(jobs):
            outputs = {
                f'bands__{label}': BandData(computed_band().replace(potential='chgnet-0.3.0')) for label in labels
            }
            make_calcjob_node('embarrier.potential.neb', {}, outputs=outputs, exit_status=0, caller=chain)
            bands.append(list(outputs.values()))
        for label, band in zip(labels, bands[-1], strict=True):
            if returned:
                band.base.links.add_incoming(root, LinkType.RETURN, returned.format(label))
        return root, bands

    return make


def listed(*options):
    outcome = CliRunner().invoke(main, ['list', *options, '--format', 'json'])
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.output)


def test_bands_that_a_later_job_replaced_are_left_out(process):
    _, [first, second] = process(2, ('hop_4', 'hop_7'), 'bands__{}')
    assert replaced_bands() == {band.pk for band in first}
    assert replaced_bands([first[0].pk]) >= {first[0].pk}
    assert second[0].pk not in replaced_bands([second[0].pk])
    assert replaced_bands([]) == set()
    assert {row['pk'] for row in listed()} == {band.pk for band in second}
    assert len(listed('--all')) == 4
    assert [row['pk'] for row in listed('--limit', '1')] == [max(band.pk for band in second)], 'what is left is counted'
    assert len(find_bands()) == 4


def test_bands_of_a_process_that_was_resumed_are_left_out(process):
    before, [[left]] = process(1)
    after, [[again]] = process(1, returned='{}')
    after.base.extras.set(RESUMES, before.uuid)
    assert [row['pk'] for row in listed()] == [again.pk]
    assert replaced_bands() == {left.pk}


def test_each_band_tells_the_process_label_and_hop(process):
    network, [bands] = process(1, ('hop_4', 'hop_7'), 'bands__{}', label='all of them')
    alone, [[band]] = process(1, returned='{}')
    assert origins(node.pk for node in (*bands, band)) == [
        {'process': network.pk, 'label': 'all of them', 'hop': 4, 'run': None},
        {'process': network.pk, 'label': 'all of them', 'hop': 7, 'run': None},
        {'process': alone.pk, 'label': None, 'hop': 3, 'run': None},
    ]
    imported = BandData(computed_band()).store()
    assert origins([imported.pk]) == [{'process': None, 'label': None, 'hop': None, 'run': None}]
    table = CliRunner().invoke(main, ['list']).output
    assert 'all of them' in table


def test_a_potential_stands_for_all_its_models(process):
    _, [[band]] = process(1)
    for name, count in (('chgnet', 1), ('chgnet-0.3.0', 1), ('chg', 0), ('sevennet', 0)):
        assert len(find_bands(potential=name)) == count, name
    assert find_bands(potential='chgnet')['pk'].tolist() == [band.pk]


@pytest.mark.usefixtures('aiida_profile_clean')
def test_empty_profile_and_unknown_element_are_said():
    assert 'This profile has no band with energies yet' in CliRunner().invoke(main, ['list']).output
    BandData(computed_band()).store()
    assert 'No band meets these conditions' in CliRunner().invoke(main, ['list', '--ion', 'Li']).output
    outcome = CliRunner().invoke(main, ['list', '--ion', 'lithium'])
    assert outcome.exit_code == 1
    assert "'lithium' is no element" in outcome.output
    assert 'did you mean Li?' in outcome.output
