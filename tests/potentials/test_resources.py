"""Cores and memory of this process, from files such as clusters have them."""

import os

import pytest

from aiida_embarrier.potentials.resources import available_cores, available_memory

GB = 10**9
JOB = 'system.slice/slurmstepd.scope/job_7/step_0/user/task_0'


@pytest.fixture(autouse=True)
def outside_slurm(monkeypatch):
    for name in [name for name in os.environ if name.startswith('SLURM_')]:
        monkeypatch.delenv(name)


@pytest.fixture
def machine(tmp_path):
    """Return a function that writes files, by their paths, and gives back the places to look at."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{content}\n')
        return tmp_path / 'proc', tmp_path / 'cgroup'

    write({'proc/meminfo': f'MemTotal: 999999999 kB\nMemAvailable: {100 * GB // 1024} kB'})
    return write


def test_memory_of_the_machine(machine, tmp_path):
    assert available_memory(*machine({})) == 100 * GB // 1024 * 1024
    assert available_memory(tmp_path / 'nowhere', tmp_path / 'nowhere') is None


def test_limit_of_a_group_around_that_of_the_process(machine):
    places = machine(
        {
            'proc/self/cgroup': f'0::/{JOB}',
            f'cgroup/{JOB}/memory.max': 'max',
            f'cgroup/{JOB}/memory.current': 1 * GB,
            'cgroup/system.slice/slurmstepd.scope/job_7/memory.max': 8 * GB,
            'cgroup/system.slice/slurmstepd.scope/job_7/memory.current': 3 * GB,
            'cgroup/system.slice/memory.max': 50 * GB,
            'cgroup/system.slice/memory.current': 10 * GB,
            'cgroup/elsewhere/memory.max': 1,
            'cgroup/elsewhere/memory.current': 0,
        }
    )
    assert available_memory(*places) == 5 * GB
    # page cache of files that were read before, as of weights and wheels, is given back when it is wanted
    stat = f'anon 1\nfile {2 * GB}\ninactive_file {2 * GB}\nactive_file 0'
    assert available_memory(*machine({'cgroup/system.slice/slurmstepd.scope/job_7/memory.stat': stat})) == 7 * GB


def test_limits_of_version_1(machine):
    job = 'cgroup/memory/slurm/uid_1/job_7'
    places = machine(
        {
            'proc/self/cgroup': '11:cpu,cpuacct:/\n4:memory:/slurm/uid_1/job_7/step_0\n1:name=systemd:/x\n0::/',
            f'{job}/step_0/memory.limit_in_bytes': 2**63 - 4096,
            f'{job}/step_0/memory.usage_in_bytes': GB,
            f'{job}/memory.limit_in_bytes': 4 * GB,
            f'{job}/memory.usage_in_bytes': 3 * GB,
            f'{job}/memory.stat': f'inactive_file 0\ntotal_inactive_file {GB}',
        }
    )
    assert available_memory(*places) == 2 * GB


@pytest.mark.parametrize('path', ['/docker/0123', '/../../kubepods/pod1', None])
def test_root_of_a_container_whose_own_path_is_that_outside(machine, path):
    files = {'cgroup/memory.max': 6 * GB, 'cgroup/memory.current': GB}
    places = machine(files if path is None else files | {'proc/self/cgroup': f'0::{path}'})
    assert available_memory(*places) == 5 * GB


def test_full_group(machine):
    places = machine({'proc/self/cgroup': '0::/', 'cgroup/memory.max': GB, 'cgroup/memory.current': 2 * GB})
    assert available_memory(*places) == 0


def test_memory_that_slurm_gave(machine, monkeypatch):
    places = machine({})
    monkeypatch.setenv('SLURM_MEM_PER_CPU', '2000')
    monkeypatch.setenv('SLURM_CPUS_ON_NODE', '6')
    assert available_memory(*places) == 12000 * 2**20
    monkeypatch.delenv('SLURM_MEM_PER_CPU')
    monkeypatch.setenv('SLURM_MEM_PER_NODE', '5000')
    assert available_memory(*places) == 5000 * 2**20
    monkeypatch.setenv('SLURM_MEM_PER_NODE', '0')  # all of the node
    assert available_memory(*places) == 100 * GB // 1024 * 1024


def test_cores(machine, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(16)))
    assert available_cores(*machine({})) == 16
    version_1 = {
        'proc/self/cgroup': '2:cpu,cpuacct:/kubepods/pod1',
        'cgroup/cpu/kubepods/pod1/cpu.cfs_quota_us': -1,
        'cgroup/cpu/kubepods/pod1/cpu.cfs_period_us': 100000,
        'cgroup/cpu/kubepods/cpu.cfs_quota_us': 1250000,
        'cgroup/cpu/kubepods/cpu.cfs_period_us': 100000,
    }
    assert available_cores(*machine(version_1)) == 12
    version_2 = {
        'proc/self/cgroup': '0::/kubepods/pod1',
        'cgroup/kubepods/pod1/cpu.max': 'max 100000',
        'cgroup/kubepods/cpu.max': '50000 100000',
    }
    assert available_cores(*machine(version_2)) == 1
    monkeypatch.setenv('SLURM_CPUS_PER_TASK', '8')
    assert available_cores(*machine({'cgroup/kubepods/cpu.max': 'max 100000'})) == 8
