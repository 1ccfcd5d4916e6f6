"""Order a disordered crystal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.jobs.orderings import STRUCTURES_FILE, TABLE_FILE, OrderingsJob, OrderingsResult
from aiida_embarrier.structures.orderings import find_orderings
from aiida_embarrier.structures.reading_disordered import check_disordered
from aiida_embarrier.worker.plain import RefusedError

if TYPE_CHECKING:
    from aiida_embarrier.structures.orderings import Orderings
    from aiida_embarrier.worker.plain import JobContext

__all__ = ('JOB', 'ordering_table', 'run')

JOB = OrderingsJob


def run(job: OrderingsJob, context: JobContext) -> OrderingsResult:
    """Find the orderings, and write the table of all of them and the structures that are kept.

    :raises RefusedError: where the cell holds no whole atoms, or there are more arrangements than the limit.
    """
    try:
        crystal = check_disordered(job.crystal.structure())
        found = find_orderings(crystal, **job.settings.arguments(), progress=context.progress)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    structures = [json.loads(ordering.structure.to_json()) for ordering in found.orderings]
    (context.folder / TABLE_FILE).write_bytes(write_parquet(ordering_table(found)))
    (context.folder / STRUCTURES_FILE).write_text(json.dumps(structures))
    count = found.count
    return OrderingsResult(
        formula=count.formula,
        supercell=np.asarray(count.supercell).tolist(),
        n_arrangements=count.n_arrangements,
        n_distinct=count.n_distinct,
        n_found=len(found.multiplicities),
        n_structures=len(structures),
        n_operations=count.n_operations,
        contents=list(count.contents),
        ranked=found.ranked,
        oxidation_states=found.oxidation_states,
        oxidation_source=found.oxidation_source,
        warnings=list(found.warnings),
    )


def ordering_table(found: Orderings) -> pd.DataFrame:
    """Return the table of orderings: number, multiplicity, Ewald energy in eV, and whether there is a structure."""
    numbers = np.arange(len(found.multiplicities))
    energies = np.full(len(numbers), np.nan) if found.energies is None else found.energies
    return pd.DataFrame(
        {
            'number': numbers,
            'multiplicity': found.multiplicities,
            'ewald_energy': energies,
            'has_structure': numbers < len(found.orderings),
            'formula': pd.Series([found.count.formula] * len(numbers), dtype='str'),
        }
    )
