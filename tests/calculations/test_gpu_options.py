"""GPUs in the job scripts that AiiDA writes for each scheduler."""

import pytest
from aiida.common.datastructures import CodeRunMode
from aiida.plugins import SchedulerFactory
from aiida.schedulers.datastructures import JobTemplate, JobTemplateCodeInfo

from aiida_embarrier.calculations.gpu_options import gpu_options, gpu_settings
from aiida_embarrier.calculations.gpu_schedulers import PbsproGpuScheduler, TorqueGpuScheduler

SCHEDULERS = {'embarrier.pbspro': PbsproGpuScheduler, 'embarrier.torque': TorqueGpuScheduler}


def script(scheduler, **wishes):
    """Return the lines of the job script that AiiDA writes with the options."""
    options = gpu_options(scheduler, **wishes)
    plugin = SCHEDULERS.get(scheduler) or SchedulerFactory(f'core.{scheduler}')
    template = JobTemplate()
    template.job_resource = plugin.create_job_resource(**options.pop('resources'))
    options.pop('withmpi')
    template.codes_info = [JobTemplateCodeInfo(cmdline_params=['embarrier-worker', 'run', 'job.json'])]
    template.codes_run_mode = CodeRunMode.SERIAL
    for name, value in options.items():
        setattr(template, name, value)
    return plugin().get_submit_script(template).splitlines()


def test_one_node_of_slurm():
    """The worker starts its processes itself: Slurm gives one task with all cores."""
    lines = script('slurm', gpus=4, gpu_type='a100', queue='gpu', account='chem', wall_seconds=7200, memory_gb=120)
    for line in (
        '#SBATCH --nodes=1',
        '#SBATCH --ntasks-per-node=1',
        '#SBATCH --cpus-per-task=32',
        '#SBATCH --gpus-per-node=a100:4',
        '#SBATCH --partition=gpu',
        '#SBATCH --account=chem',
        '#SBATCH --time=02:00:00',
        '#SBATCH --mem=117187',
    ):
        assert line in lines
    assert gpu_options('core.slurm', 4)['withmpi'] is False
    assert gpu_settings(4) == {'device': 'cuda', 'devices': 4, 'nodes': 1}


def test_two_nodes_of_slurm():
    lines = script('slurm', gpus=4, nodes=2, cpus_per_gpu=6)
    for line in (
        '#SBATCH --nodes=2',
        '#SBATCH --ntasks-per-node=4',
        '#SBATCH --cpus-per-task=6',
        '#SBATCH --gpus-per-node=4',
        'export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK',
    ):
        assert line in lines
    assert gpu_options('slurm', 4, nodes=2)['withmpi'] is True


def test_a_slurm_that_knows_gres_only():
    assert '#SBATCH --gres=gpu:v100:2' in script('slurm', gpus=2, gpu_type='v100', gres=True)
    assert '#SBATCH --gres=gpu:1' in script('slurm', gpus=1, gres=True)


def test_pbs():
    """In the one line that says what a node is like."""
    lines = script('embarrier.pbspro', gpus=2, nodes=3, cpus_per_gpu=8, memory_gb=64, queue='gpu', wall_seconds=3600)
    assert '#PBS -l select=3:mpiprocs=2:ncpus=16:mem=64000000kb:ngpus=2' in lines
    assert [line for line in lines if 'ngpus' in line] == [line for line in lines if 'select' in line]
    assert {'#PBS -q gpu', '#PBS -l walltime=01:00:00'} <= set(lines)
    torque = script('embarrier.torque', gpus=2, wall_seconds=3600, memory_gb=1)
    assert '#PBS -l nodes=1:ppn=16:gpus=2,walltime=01:00:00,mem=1000000kb' in torque


@pytest.mark.parametrize(('own', 'plugin'), SCHEDULERS.items())
def test_pbs_without_gpus_is_as_ever(own, plugin):
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 4}
    headers = []
    for scheduler in (plugin, SchedulerFactory(own.replace('embarrier', 'core'))):
        template = JobTemplate()
        template.job_resource = scheduler.create_job_resource(**resources)
        headers.append(scheduler()._get_submit_script_header(template))
    assert headers[0] == headers[1]
    with pytest.raises(ValueError, match='is 0 or more'):
        plugin.create_job_resource(**resources, num_gpus_per_machine=-1)
    with pytest.raises(ValueError, match='num_gpu_per_machine'):
        plugin.create_job_resource(**resources, num_gpu_per_machine=1)


def test_lsf():
    one = script('lsf', gpus=2, gpu_type='NVIDIAA100', cpus_per_gpu=4, queue='gpu')
    assert '#BSUB -gpu "num=2/host:gmodel=NVIDIAA100:mode=shared:j_exclusive=yes"' in one
    assert {'#BSUB -n 8', '#BSUB -R "span[hosts=1]"', '#BSUB -q gpu'} <= set(one)
    two = script('lsf', gpus=4, nodes=2, cpus_per_gpu=7)
    assert {'#BSUB -n 8', '#BSUB -R "span[ptile=4] affinity[core(7)]"'} <= set(two)


def test_no_scheduler():
    assert gpu_options('core.direct', 1, wall_seconds=600) == {
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
        'withmpi': False,
        'max_wallclock_seconds': 600,
    }


@pytest.mark.parametrize(
    ('scheduler', 'wishes', 'message'),
    [
        ('slurm', {'gpus': 0}, '`gpus` is a whole number above 0, got 0'),
        ('slurm', {'gpus': 1, 'nodes': 0}, '`nodes` is a whole number above 0'),
        ('slurm', {'gpus': 1, 'queue': 'gpu\n#SBATCH --exclusive'}, '`queue` is a word as the scheduler knows it'),
        ('slurm', {'gpus': True}, '`gpus` is a whole number above 0, got True'),
        ('slurm', {'gpus': 1, 'wall_seconds': -5}, '`wall_seconds` is a whole number above 0, got -5'),
        ('lsf', {'gpus': 1, 'memory_gb': 0.0}, '`memory_gb` is a number above 0'),
        ('direct', {'gpus': 1, 'nodes': 2}, 'without a scheduler there is one node'),
        ('core.pbspro', {'gpus': 1}, r'set the computer up with the scheduler `embarrier\.pbspro`'),
        ('torque', {'gpus': 1}, r'`embarrier\.torque`'),
        ('core.sge', {'gpus': 1}, "the scheduler 'sge' for GPUs is not known here"),
        ('embarrier.pbspro', {'gpus': 1, 'gpu_type': 'a100'}, 'choose a `queue` with it'),
    ],
)
def test_what_is_refused(scheduler, wishes, message):
    with pytest.raises(ValueError, match=message):
        gpu_options(scheduler, **wishes)
