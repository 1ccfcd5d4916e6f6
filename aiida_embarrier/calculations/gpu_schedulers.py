"""PBS with GPUs: AiiDA's plugins, with GPUs in the line in which PBS wants them.

PBS Pro and OpenPBS want GPUs in the chunk of ``-l select``, Torque wants them in ``-l nodes``. AiiDA writes these lines
from its resources, and a second such line of one's own beside them would contradict the first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.schedulers.plugins.pbsbaseclasses import PbsBaseClass, PbsJobResource
from aiida.schedulers.plugins.pbspro import PbsproScheduler
from aiida.schedulers.plugins.torque import TorqueScheduler

if TYPE_CHECKING:
    from aiida.common.extendeddicts import AttributeDict
    from aiida.schedulers.datastructures import JobTemplate

__all__ = ('PbsproGpuScheduler', 'TorqueGpuScheduler')


class GpuResource(PbsJobResource):
    """Resources of a job of PBS, `num_gpus_per_machine` among them."""

    _default_fields = (*PbsJobResource._default_fields, 'num_gpus_per_machine')

    @classmethod
    def validate_resources(cls, **kwargs: Any) -> AttributeDict:
        """Return the resources.

        :raises ValueError: for what is no resource, or no whole number.
        """
        resources = super().validate_resources(**kwargs)
        gpus = resources.num_gpus_per_machine
        if gpus is not None and gpus < 0:
            raise ValueError(f'`num_gpus_per_machine` is 0 or more, got {gpus}')
        return resources


class GpuHeader(PbsBaseClass):
    """The header of a job script, with GPUs in the line of the nodes."""

    _job_resource_class = GpuResource
    #: How GPUs are called in that line, which begins with `select=` or `nodes=`.
    _resource: ClassVar[str]

    def _get_submit_script_header(self, job_tmpl: JobTemplate) -> str:
        header: str = super()._get_submit_script_header(job_tmpl)
        gpus = job_tmpl.job_resource.num_gpus_per_machine
        if not gpus:
            return header
        return re.sub(
            r'^(#PBS -l (?:select|nodes)=[^,\n]*)', rf'\1:{self._resource}={gpus}', header, flags=re.MULTILINE
        )


class PbsproGpuScheduler(GpuHeader, PbsproScheduler):
    """PBS Pro and OpenPBS, with GPUs: a computer's scheduler `embarrier.pbspro`."""

    _resource = 'ngpus'


class TorqueGpuScheduler(GpuHeader, TorqueScheduler):
    """Torque, with GPUs: a computer's scheduler `embarrier.torque`."""

    _resource = 'gpus'
