"""What several jobs took together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('add_up', 'cost_of')

#: Entries of a job's results that add up over the jobs of a chain.
SUMS = ('n_evaluations', 'wall_s', 'core_s', 'load_s')


@calcfunction
def add_up(**jobs: Dict) -> Dict:
    """Return the results of the last job of a chain, with evaluations and times summed over all its jobs.

    :param jobs: results of the jobs, `job_1`, `job_2`, ... in the order in which they ran.
    """
    ordered = [jobs[name].get_dict() for name in sorted(jobs, key=lambda name: int(name.rpartition('_')[2]))]
    known = [name for name in SUMS if any(name in job for job in ordered)]
    sums = {name: sum(job.get(name, 0) for job in ordered) for name in known}
    return Dict({**ordered[-1], **sums, 'n_jobs': len(ordered)})


def cost_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the steps of a work chain took, as it stands in its summary.

    :param results: results of the steps by their names; tasks of a job have no wall time of their own.
    """
    evaluations = {name: node['n_evaluations'] for name, node in results.items()}
    return {
        'n_force_evaluations': sum(evaluations.values()),
        'force_evaluations': evaluations,
        'worker_wall_s': {name: node['wall_s'] for name, node in results.items() if 'wall_s' in node},
        'core_s': {name: node['core_s'] for name, node in results.items() if 'core_s' in node},
    }
