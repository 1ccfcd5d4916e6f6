"""A chain that `resume` started goes on from what the last job of the earlier attempt left, also in its folder."""

import numpy as np
import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, RemoteData, Str
from systems import straight_band

from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.resumption import RESUMES
from aiida_embarrier.engines.vasp.band import VaspBandWorkChain
from aiida_embarrier.engines.vasp.calculation import VaspBandCalculation
from aiida_embarrier.engines.vasp.results import start_band
from aiida_embarrier.engines.vasp.structure import VaspStructureWorkChain

CODES = VaspBandCalculation.exit_codes
ENDS = {'energy': -142.0, 'forces': np.zeros((31, 3)).tolist(), 'moments': None}


@pytest.fixture
def attempt(working_vasp, vasp_potcars):
    """Return a factory of chains for the same band, or crystal, that differ only in what they go on from."""

    def make(resumes=None, cls=VaspBandWorkChain, **subject):
        settings = get_engine('vasp').resolve_protocol(None, {'paw': {'family': vasp_potcars}})
        settings.pop('max_iterations')
        subject = subject or {'band': BandData(straight_band())}
        process = instantiate_process(
            get_manager().get_runner(), cls, code=working_vasp, protocol=Dict(settings), **subject
        )
        if resumes is not None:
            process.node.base.extras.set(RESUMES, resumes.node.uuid)
        assert process.setup() is None
        if cls is VaspBandWorkChain:
            process.ctx.inputs.band = start_band(
                band=process.inputs.band, info=process._info(), initial=Dict(ENDS), final=Dict(ENDS)
            )
        return process

    return make


@pytest.fixture
def job(make_calcjob_node):
    """Return a factory of jobs of a chain; None for an exit code makes one that was killed."""

    def make(chain, exit_code=None, outputs=None, climbs=False, **inputs):
        subject = chain._subject
        node = make_calcjob_node(
            f'embarrier.vasp.{subject}',
            {
                subject: chain.ctx.inputs[subject],
                'parameters': chain.ctx.inputs.parameters,
                'criteria': Dict({**chain.ctx.inputs.criteria.get_dict(), 'climbs': climbs}),
                **inputs,
            },
            outputs=outputs,
            exit_status=None if exit_code is None else CODES[exit_code].status,
            caller=chain.node,
        )
        if exit_code is None:
            node.set_process_state('killed')
        node.seal()
        return node

    return make


def test_nothing_is_taken_over_unless_resumed(attempt, job):
    first = attempt()
    job(first, 'ERROR_DID_NOT_FINISH', {'band': BandData(straight_band(5, functional='pbe'))})
    again = attempt()
    before = again.ctx.inputs.band.uuid
    again.take_over()
    assert again.ctx.inputs.band.uuid == before


def test_a_job_that_was_stopped(attempt, job, aiida_localhost):
    first = attempt()
    folder = RemoteData(computer=aiida_localhost, remote_path='/nowhere')
    left = BandData(straight_band(5, functional='pbe'))
    job(first, 'ERROR_DID_NOT_FINISH', {'band': left, 'remote_folder': folder}, climbs=True)
    again = attempt(first)
    again.take_over()
    assert again.ctx.inputs.band.uuid == left.uuid
    assert again.ctx.inputs.restart_folder.uuid == folder.uuid
    # it climbed already
    assert again.ctx.climbs is True
    assert again.ctx.inputs.parameters['lclimb'] is True


def test_a_job_that_was_done_is_asked_for_as_it_was(attempt, job):
    first = attempt()
    parameters = Dict({'algo': 'All'})
    done = job(first, 'ERROR_IONIC_NOT_CONVERGED', parameters=parameters)
    assert done.base.caching.is_valid_cache
    again = attempt(first)
    again.take_over()
    assert again.ctx.inputs.parameters.uuid == parameters.uuid
    assert again.ctx.inputs.band.uuid == done.inputs.band.uuid


def test_a_job_that_was_killed_is_read_in_its_folder(attempt, job, aiida_localhost, tmp_path, write_outcar):
    first = attempt()
    start = first.ctx.inputs.band.band
    for image in (1, 2, 3):
        (tmp_path / f'{image:02d}').mkdir()
        steps = [
            {
                'positions': start.positions[image] + 0.01 * step,
                'forces': np.full((31, 3), 0.2),
                'energy': -141.5 + 0.1 * image,
            }
            for step in range(1, 4 if image == 2 else 3)
        ]
        (tmp_path / f'{image:02d}' / 'OUTCAR').write_text(write_outcar(steps, finished=False))
    folder = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    job(first, None, {'remote_folder': folder})
    again = attempt(first)
    again.take_over()
    band = again.ctx.inputs.band.band
    assert np.allclose(band.positions[1:-1], start.positions[1:-1] + 0.02, atol=1e-5)  # two steps of all images
    assert band.energies.tolist() == pytest.approx([-142.0, -141.4, -141.3, -141.2, -142.0])
    assert again.ctx.inputs.restart_folder.uuid == folder.uuid


def test_a_folder_that_holds_nothing(attempt, job, aiida_localhost, tmp_path):
    first = attempt()
    job(first, None, {'remote_folder': RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))})
    again = attempt(first)
    before = again.ctx.inputs.band.uuid
    again.take_over()
    assert again.ctx.inputs.band.uuid == before
    assert 'restart_folder' not in again.ctx.inputs


def test_a_relaxation_that_was_killed(attempt, job, aiida_localhost, tmp_path, write_outcar, shuffled):
    structure, kinds = node_from_structure(shuffled)
    subject = {'structure': structure, 'kinds': kinds, 'task': Str('full')}
    first = attempt(cls=VaspStructureWorkChain, **subject)
    layout = first._layout()
    lattice = shuffled.lattice.matrix * 1.01
    step = {
        'positions': (shuffled.frac_coords @ lattice)[list(layout.order)] % 8.585,
        'forces': np.zeros((56, 3)),
        'energy': -400.0,
        'lattice': lattice,
    }
    (tmp_path / 'OUTCAR').write_text(write_outcar([step], finished=False))
    folder = RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    job(first, None, {'remote_folder': folder})
    again = attempt(first, VaspStructureWorkChain, **subject)
    again.take_over()
    found = again.ctx.inputs.structure
    assert np.allclose(found.cell, lattice)
    assert [site.kind_name for site in found.sites] == [site.kind_name for site in structure.sites]
    assert np.allclose([site.position for site in found.sites], shuffled.frac_coords @ lattice, atol=1e-5)
