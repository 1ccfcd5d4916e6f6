"""Small graphs of processes as the work chains leave them, stored node by node."""

from types import SimpleNamespace

import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcFunctionNode, Dict, WorkChainNode
from systems import aluminium, computed_band, straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure


def finish(node, exit_status=0, message=None, state='finished', label=None):
    """Let a process have ended."""
    node.set_process_state(state)
    if state == 'finished':
        node.set_exit_status(exit_status)
    if message is not None:
        node.set_exit_message(message)
    if label is not None:
        node.set_process_label(label)
    return node


def calculate(label, inputs, outputs, caller=None):
    """Store a calcfunction that made data of data."""
    node = CalcFunctionNode()
    node.set_process_label(label)
    for name, value in inputs.items():
        node.base.links.add_incoming(value if value.is_stored else value.store(), LinkType.INPUT_CALC, name)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_CALC, label)
    node.store()
    for name, value in outputs.items():
        value.base.links.add_incoming(node, LinkType.CREATE, name)
        value.store()
    return finish(node)


def call(label, caller=None, name=None, **inputs):
    """Store a work chain."""
    node = WorkChainNode(process_type=f'aiida.workflows:embarrier.{label}')
    node.set_process_label(label)
    for key, value in inputs.items():
        node.base.links.add_incoming(value if value.is_stored else value.store(), LinkType.INPUT_WORK, key)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_WORK, name)
    return node.store()


@pytest.fixture
def crystal(aiida_profile_clean):
    """Return a stored crystal."""
    return node_from_structure(aluminium((1, 1, 1)))[0].store()


@pytest.fixture
def barrier(crystal, make_calcjob_node):
    """Return a function that stores the graph of a barrier: crystal, endpoints, a restart chain of jobs, band."""

    def make(results=({'wall_s': 1800.0, 'n_evaluations': 10},), caller=None, band=None, of=None, **inputs):
        hop = Dict({'ion': 'Al', 'number': 3})
        start = crystal if of is None else of
        root = call('barrier', caller, 'run_1', structure=start, hop=hop, **inputs)
        guess = BandData(straight_band())
        calculate('make_endpoints', {'structure': start, 'hop': hop}, {'band': guess}, root)
        chain = call('neb', root, 'neb', bands__band=guess)
        parameters = Dict({'force_threshold': 0.05})
        jobs, bands = [], []
        for number, result in enumerate(results):
            before = guess if number == 0 else bands[-1]
            made = BandData(computed_band() if band is None else band)
            failed = number < len(results) - 1
            job = make_calcjob_node(
                'embarrier.potential.neb',
                {'bands__band': before, 'parameters': parameters},
                outputs={'bands__band': made, **({} if result is None else {'results': Dict(result)})},
                exit_status=501 if failed else 0,
                exit_message='Not converged within the step limit: 5 steps' if failed else '',
                caller=chain,
            )
            job.set_process_label('PotentialNebCalculation')
            jobs.append(job)
            bands.append(made)
        bands[-1].base.links.add_incoming(chain, LinkType.RETURN, 'bands__band')
        bands[-1].base.links.add_incoming(root, LinkType.RETURN, 'band')
        for process in (chain, root):
            finish(process)
        return SimpleNamespace(root=root, chain=chain, jobs=jobs, bands=bands, band=bands[-1], guess=guess, hop=hop)

    return make
