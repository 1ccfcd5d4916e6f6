"""Which of several processes one is, as schedulers and launchers tell it."""

import socket
from datetime import timedelta

import pytest
import torch

from aiida_embarrier.jobs.learning import Hardware
from aiida_embarrier.learning import processes
from aiida_embarrier.learning.devices import choose_device
from aiida_embarrier.learning.places import Place, place_of
from aiida_embarrier.learning.processes import open_fabric, wanted_processes

SLURM = {
    'SLURM_JOB_ID': '17',
    'SLURM_STEP_ID': '0',
    'SLURM_STEP_NUM_TASKS': '4',
    'SLURM_PROCID': '3',
    'SLURM_LOCALID': '1',
    'SLURM_STEP_NODELIST': 'gpu[07-08]',
}


def test_alone():
    assert place_of({}) == Place()
    # the batch script of a job with several tasks, or a step with one task
    assert place_of({'SLURM_JOB_ID': '17', 'SLURM_NTASKS': '4', 'SLURM_PROCID': '0'}) == Place()
    assert place_of({**SLURM, 'SLURM_STEP_NUM_TASKS': '1', 'SLURM_PROCID': '0'}) == Place()


def test_started_by_srun():
    place = place_of(SLURM)
    assert (place.rank, place.world, place.local_rank, place.address) == (3, 4, 1, 'gpu07')
    others = place_of({**SLURM, 'SLURM_PROCID': '0', 'SLURM_LOCALID': '0'})
    assert others.first
    assert others.port == place.port
    assert 15000 <= place.port < 35000
    assert place_of({**SLURM, 'SLURM_STEP_ID': '1'}).port != place.port


@pytest.mark.parametrize(
    ('nodes', 'first'),
    [
        ('node1', 'node1'),
        ('node[02-04,7],other', 'node02'),
        ('a1,b[2-3]', 'a1'),
        ('rack-2-[011-020]', 'rack-2-011'),
    ],
)
def test_the_first_node_of_slurm(nodes, first):
    assert place_of({**SLURM, 'SLURM_STEP_NODELIST': nodes}).address == first


def test_started_by_mpirun_on_the_nodes_of_pbs(tmp_path):
    (tmp_path / 'nodes').write_text('first\nfirst\nsecond\nsecond\n')
    variables = {
        'OMPI_COMM_WORLD_SIZE': '4',
        'OMPI_COMM_WORLD_RANK': '2',
        'OMPI_COMM_WORLD_LOCAL_RANK': '0',
        'PBS_NODEFILE': str(tmp_path / 'nodes'),
        'PBS_JOBID': '3.server',
    }
    place = place_of(variables)
    assert (place.rank, place.world, place.local_rank, place.address) == (2, 4, 0, 'first')
    assert place_of({**variables, 'PBS_JOBID': '4.server'}).port != place.port


def test_what_one_tells_another_is_understood():
    place = Place(1, 2, 1, '127.0.0.1', 12345)
    assert place_of({**SLURM, **place.environment()}) == place


def test_processes_that_were_not_asked_for_are_refused():
    assert wanted_processes(Hardware(devices=2), Place()) == 2
    assert wanted_processes(Hardware(devices=2, nodes=2), Place(0, 4)) == 4
    with pytest.raises(ValueError, match='1 nodes with 1 processes each, but 4 were started'):
        wanted_processes(Hardware(), Place(0, 4))
    with pytest.raises(ValueError, match='2 nodes with 2 processes each, but 1 were started: start 4'):
        wanted_processes(Hardware(devices=2, nodes=2), Place())


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert choose_device(Hardware(), '32-true').type == 'cpu'
    with pytest.raises(ValueError, match=r'asks for a GPU .* torch finds none'):
        choose_device(Hardware(device='cuda'), '32-true')
    with pytest.raises(ValueError, match='16-mixed needs a GPU'):
        choose_device(Hardware(), '16-mixed')


def test_gpus_that_are_there(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.delenv('SLURM_STEP_GPUS', raising=False)
    assert str(choose_device(Hardware(devices=2), '32-true', 1)) == 'cuda:1'
    assert choose_device(Hardware(device='cpu'), '32-true').type == 'cpu'
    with pytest.raises(ValueError, match='asks for 4 GPUs, here are 2'):
        choose_device(Hardware(devices=4), '32-true')
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    with pytest.raises(ValueError, match='asks for 2 GPUs, here is 1'):
        choose_device(Hardware(devices=2), '32-true')
    # where each process is given a GPU of its own, it sees that one
    assert str(choose_device(Hardware(devices=2), '32-true', 1)) == 'cuda:0'


def test_processes_that_do_not_come_are_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(processes, '_ARRIVAL', timedelta(seconds=0.2))
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with pytest.raises(RuntimeError, match=f'not all of 2 processes met at 127.0.0.1:{port} within 0:00:00.2'):
        open_fabric(torch.device('cpu'), '32-true', Place(0, 2, 0, '127.0.0.1', port))
