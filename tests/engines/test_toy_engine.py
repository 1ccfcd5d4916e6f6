"""The engine that the documentation shows: one file, through the barrier work chain."""

from pathlib import Path

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcFunctionNode
from pymatgen.core import Lattice, Structure
from systems import aluminium

from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import available_engines, get_engine
from aiida_embarrier.workflows.barrier import MigrationBarrierWorkChain
from aiida_embarrier.workflows.barrier_inputs import barrier_protocol

PAGE = Path(__file__).parents[2] / 'docs' / 'howto' / 'write_an_engine.md'


def build(structure, **overrides):
    ion = structure[0].specie.symbol
    return MigrationBarrierWorkChain.get_builder_from_protocol(
        None,
        structure=node_from_structure(structure)[0],
        hop={'ion': ion, 'number': 0},
        engine='toy',
        protocol='fast',
        overrides={'n_images': 3, 'supercell': [2, 2, 2], **overrides},
    )


def test_the_page_shows_the_whole_file():
    assert '```{literalinclude} ../../examples/toy_engine.py\n' in PAGE.read_text()


@pytest.mark.usefixtures('toy_codes')
def test_it_is_an_engine_like_the_others():
    assert 'toy' in available_engines()
    assert get_engine('toy').description
    thresholds = [barrier_protocol('toy', name)['engine']['neb']['force_threshold'] for name in ('fast', 'stringent')]
    assert thresholds == [0.1, 0.02]
    with pytest.raises(ValueError, match=r"unknown protocol key 'engine\.strenth': did you mean 'strength'"):
        barrier_protocol('toy', overrides={'engine': {'strenth': 2}})


@pytest.mark.slow
@pytest.mark.usefixtures('toy_codes')
def test_from_crystal_to_barrier():
    _, node = run_get_node(build(aluminium((1, 1, 1))))
    assert node.is_finished_ok, node.exit_message
    attributes = node.outputs.band.base.attributes.all
    assert attributes['engine'] == 'toy'
    assert attributes['converged'] is True
    assert attributes['barrier_forward'] == pytest.approx(attributes['barrier_reverse'], abs=0.01)
    assert 0.2 < attributes['barrier_forward'] < 0.6
    summary = node.outputs.summary
    assert summary['endpoint_mapping'] == 'verified'
    assert summary['n_force_evaluations'] == sum(summary['force_evaluations'].values())
    steps = [child for child in node.called_descendants if isinstance(child, CalcFunctionNode)]
    assert {'toy_relax', 'toy_neb', 'gather'} <= {step.process_label for step in steps}


@pytest.mark.slow
@pytest.mark.usefixtures('toy_codes')
def test_what_it_cannot_compute_ends_with_its_message():
    lithium = Structure.from_spacegroup('Im-3m', Lattice.cubic(3.5), ['Li'], [[0, 0, 0]])
    _, node = run_get_node(build(lithium))
    assert node.exit_status == 310
    assert 'EMT knows no Li' in node.exit_message
