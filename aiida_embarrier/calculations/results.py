"""What several jobs took together."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Dict

__all__ = ('add_up',)

#: Entries of a job's results that add up over the jobs of a chain.
SUMS = ('n_evaluations', 'wall_s', 'load_s')


@calcfunction
def add_up(**jobs: Dict) -> Dict:
    """Return the results of the last job of a chain, with evaluations and times summed over all its jobs.

    :param jobs: results of the jobs, `job_1`, `job_2`, ... in the order in which they ran.
    """
    ordered = [jobs[name].get_dict() for name in sorted(jobs, key=lambda name: int(name.rpartition('_')[2]))]
    sums = {name: sum(job.get(name, 0) for job in ordered) for name in SUMS}
    return Dict({**ordered[-1], **sums, 'n_jobs': len(ordered)})
