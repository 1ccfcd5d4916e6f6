"""Questions about bands: one table, filtered in the database on the attributes of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import QueryBuilder

from aiida_embarrier.data.band import BandData
from aiida_embarrier.queries.origins import replaced_bands
from aiida_embarrier.structures.crystals import check_element

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ('COLUMNS', 'find_bands')

COLUMNS = (
    'formula',
    'mobile_ion',
    'mechanism',
    'host',
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
    replaced: bool = True,
    where: Mapping[str, Any] | None = None,
    pks: Iterable[int] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the bands of the profile that meet every condition given, the newest first.

    :param ion: element of the migrating ion.
    :param potential: a potential, `chgnet` for all its models, or potential and model, `chgnet-0.3.0`.
    :param formula: formula of an image, in any spelling.
    :param host: formula of the host crystal, in any spelling.
    :param functional: key of the density functional, such as `scan+u`.
    :param charge: charge of the cell in units of e; potentials know none, so their bands have none.
    :param barrier_min: smallest forward barrier in eV.
    :param barrier_max: largest forward barrier in eV.
    :param computed: only bands with energies, that is no starting bands.
    :param replaced: also bands in place of which a later job of the same process left another.
    :param where: conditions on further attributes of :class:`~aiida_embarrier.data.band.BandData`, in the language of
        AiiDA's QueryBuilder: `{'n_images': {'>=': 7}}`.
    :param pks: only these bands.
    :param limit: at most so many.
    :return: one row per band with `pk`, `uuid`, `ctime` and the attributes in :data:`COLUMNS`; energies in eV.
    :raises ValueError: for an ion that is no element.
    """
    from pymatgen.core import Composition

    if ion is not None:
        check_element(ion)
    formula, host = (name and Composition(name).reduced_formula for name in (formula, host))
    filters: dict[str, Any] = {}
    wanted = {
        'mobile_ion': ion,
        'formula': formula,
        'host': host,
        'engine': engine,
        'functional': functional,
        'charge': charge,
        'converged': converged,
    }
    filters.update({f'attributes.{name}': value for name, value in wanted.items() if value is not None})
    if potential is not None:
        filters['attributes.potential'] = {'or': [{'==': potential}, {'like': f'{potential}-%'}]}
    barrier: list[dict[str, float]] = []
    if barrier_min is not None:
        barrier.append({'>=': barrier_min})
    if barrier_max is not None:
        barrier.append({'<=': barrier_max})
    if computed and not barrier:
        barrier.append({'>=': -1e9})  # a typed comparison: it leaves out the bands without energies
    if barrier:
        filters['attributes.barrier_forward'] = {'and': barrier}
    if pks is not None:
        filters['id'] = {'in': sorted(pks)}
        if not filters['id']['in']:
            return _table([])
    for name, condition in (where or {}).items():
        filters.setdefault('and', []).append({f'attributes.{name}': condition})
    # how many of the newest are left out is not known before: with a limit, all that are
    left_out = set() if replaced or limit is None else replaced_bands()
    query = QueryBuilder()
    query.append(
        BandData, filters=filters, project=['id', 'uuid', 'ctime', *(f'attributes.{name}' for name in COLUMNS)]
    )
    query.order_by({BandData: {'ctime': 'desc'}})
    if limit is not None:
        query.limit(limit + len(left_out))
    rows = query.all()
    if not replaced and limit is None:
        left_out = replaced_bands([row[0] for row in rows])
    # leaving them out here is faster than a query with thousands of PKs
    return _table([row for row in rows if row[0] not in left_out][:limit])


def _table(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows, columns=['pk', 'uuid', 'ctime', *COLUMNS])
    return table.astype({'converged': 'boolean'})  # SQLite knows no booleans and returns 0 and 1
