"""Questions about bands: one table, filtered in the database on the attributes of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import QueryBuilder

from aiida_embarrier.data.band import BandData

if TYPE_CHECKING:
    import pandas as pd

__all__ = ('COLUMNS', 'find_bands')

COLUMNS = (
    'formula',
    'mobile_ion',
    'mechanism',
    'hop_length',
    'engine',
    'potential',
    'functional',
    'charge',
    'n_images',
    'n_atoms',
    'converged',
    'residual_force',
    'barrier_forward',
    'barrier_reverse',
    'barrier_rate_limiting',
    'barrier_span',
)


def find_bands(
    *,
    ion: str | None = None,
    formula: str | None = None,
    host: str | None = None,
    engine: str | None = None,
    potential: str | None = None,
    functional: str | None = None,
    charge: float | None = None,
    barrier_min: float | None = None,
    barrier_max: float | None = None,
    converged: bool | None = None,
    computed: bool = True,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the bands of the profile that meet every condition given, the newest first.

    :param ion: element of the migrating ion.
    :param formula: formula of an image, in any spelling.
    :param host: formula of the host crystal, in any spelling.
    :param functional: key of the density functional, such as `scan+u`.
    :param charge: charge of the cell in units of e; potentials know none, so their bands have none.
    :param barrier_min: smallest forward barrier in eV.
    :param barrier_max: largest forward barrier in eV.
    :param computed: only bands with energies, that is no starting bands.
    :param limit: at most so many.
    :return: one row per band with `pk`, `uuid`, `ctime` and the attributes in :data:`COLUMNS`; energies in eV.
    """
    import pandas as pd
    from pymatgen.core import Composition

    formula, host = (name and Composition(name).reduced_formula for name in (formula, host))
    filters: dict[str, Any] = {}
    wanted = {
        'mobile_ion': ion,
        'formula': formula,
        'host': host,
        'engine': engine,
        'potential': potential,
        'functional': functional,
        'charge': charge,
        'converged': converged,
    }
    filters.update({f'attributes.{name}': value for name, value in wanted.items() if value is not None})
    barrier: list[dict[str, float]] = []
    if barrier_min is not None:
        barrier.append({'>=': barrier_min})
    if barrier_max is not None:
        barrier.append({'<=': barrier_max})
    if computed and not barrier:
        barrier.append({'>=': -1e9})  # a typed comparison: it leaves out the bands without energies
    if barrier:
        filters['attributes.barrier_forward'] = {'and': barrier}
    query = QueryBuilder()
    query.append(
        BandData, filters=filters, project=['id', 'uuid', 'ctime', *(f'attributes.{name}' for name in COLUMNS)]
    )
    query.order_by({BandData: {'ctime': 'desc'}})
    if limit is not None:
        query.limit(limit)
    table = pd.DataFrame(query.all(), columns=['pk', 'uuid', 'ctime', *COLUMNS])
    table['converged'] = table['converged'].astype('boolean')  # SQLite knows no booleans and returns 0 and 1
    return table
