"""The Materials Project, by its REST interface."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pymatgen.core import Composition, Structure

from aiida_embarrier.structures.providers.base import Answer, Entry, ProviderError, Query, now
from aiida_embarrier.structures.providers.http import JsonClient

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('KEY_VARIABLE', 'MaterialsProjectProvider')

#: Environment variable with the key; also the one of the package mp-api.
KEY_VARIABLE = 'MP_API_KEY'
#: Environment variable with another address, as for mp-api.
ADDRESS_VARIABLE = 'MP_API_ENDPOINT'
ADDRESS = 'https://api.materialsproject.org'

FIELDS = ('material_id', 'formula_pretty', 'structure', 'symmetry', 'energy_above_hull', 'theoretical', 'database_IDs')
#: Entries per request.
PAGE = 100
#: Site properties of a structure that a kind of atom knows; others are of no use here.
PROPERTIES = ('magmom', 'oxidation_state')


class MaterialsProjectProvider:
    """The Materials Project.

    The key comes from the environment of the process that asks. It goes nowhere but to the service: not into messages,
    files or the database.

    :param key: the key; None for that of the environment variable ``MP_API_KEY``.
    :param base_url: address of the service; None for that of ``MP_API_ENDPOINT``, or the official one.
    :param client: settings of the HTTP client, see :class:`~aiida_embarrier.structures.providers.http.JsonClient`.
    :raises ProviderError: where there is no key.
    """

    name = 'materials_project'

    def __init__(self, key: str | None = None, base_url: str | None = None, **client: Any) -> None:
        key = os.environ.get(KEY_VARIABLE, '') if key is None else key
        if not key.strip():
            raise ProviderError(
                'the Materials Project needs a key: get one at https://materialsproject.org/api and set the '
                f'environment variable {KEY_VARIABLE} on the machine that asks'
            )
        if not (key.strip().isascii() and key.strip().isalnum()):  # which is no header, and would be shown in an error
            raise ProviderError(f'the key in {KEY_VARIABLE} has characters other than letters and digits: copy it anew')
        self.base_url = (base_url or os.environ.get(ADDRESS_VARIABLE) or ADDRESS).rstrip('/')
        self._client = JsonClient(
            'the Materials Project',
            headers={'X-API-KEY': key.strip()},
            refused=f'see that the key in {KEY_VARIABLE} is complete and valid (https://materialsproject.org/api)',
            **client,
        )

    def search(self, query: Query) -> Answer:
        """Return the crystals that fit a query, the most stable ones first."""
        parameters = {**_parameters(query), '_fields': ','.join(FIELDS), '_sort_fields': 'energy_above_hull'}
        entries: list[Entry] = []
        problems: list[str] = []
        total = None
        read = 0
        while total is None or (read < total and len(entries) <= query.max_results):
            content = self._client.get(
                f'{self.base_url}/materials/summary/', {**parameters, '_skip': read, '_limit': PAGE}
            )
            documents = content.get('data')
            if not isinstance(documents, list):
                raise ProviderError('the Materials Project answered without `data`: its interface may have changed')
            total = int((content.get('meta') or {}).get('total_doc', read + len(documents)))
            read += len(documents)
            for document in documents:
                entry = _entry(document, problems)
                if entry is not None:
                    entries.append(entry)
            if not documents:
                break
        entries.sort(key=lambda entry: (_energy(entry), entry.id))
        complete = len(entries) <= query.max_results and read >= (total or 0)
        return Answer(
            tuple(entries[: query.max_results]),
            self.name,
            self.version(),
            query,
            now(),
            self.base_url,
            complete,
            tuple(problems),
        )

    def version(self) -> str | None:
        """Return the release of the database, None where the service does not say it."""
        with suppress(ProviderError):
            release = self._client.get(f'{self.base_url}/heartbeat').get('db_version')
            return None if release is None else str(release)
        return None


def _parameters(query: Query) -> dict[str, Any]:
    """Return a query in the terms of the service."""
    parameters: dict[str, Any] = {}
    if query.formula:
        parameters['formula'] = Composition(query.formula).reduced_formula
    if query.system:
        parameters['chemsys'] = '-'.join(query.system)
    if query.elements:
        parameters['elements'] = ','.join(query.elements)
    if query.space_group is not None:
        parameters['spacegroup_number'] = query.space_group
    if query.ids:
        parameters['material_ids'] = ','.join(query.ids)
    return parameters


def _entry(document: Mapping[str, Any], problems: list[str]) -> Entry | None:
    identifier = str(document.get('material_id', '?'))
    try:
        structure = Structure.from_dict(document['structure'])
    # A document of an unknown form may break the reader anywhere.
    except Exception as error:
        problems.append(f'{identifier}: {type(error).__name__}: {error}')
        return None
    structure.remove_oxidation_states()
    for name in set(structure.site_properties) - set(PROPERTIES):
        structure.remove_site_property(name)
    symmetry = document.get('symmetry') or {}
    extra = {name: document.get(name) for name in ('energy_above_hull', 'theoretical')}
    sources = (document.get('database_IDs') or {}).get('icsd')
    if sources:
        extra['icsd_ids'] = list(sources)
    return Entry.of(identifier, structure, symmetry.get('symbol'), extra)


def _energy(entry: Entry) -> float:
    energy = entry.extra.get('energy_above_hull')
    return float('inf') if energy is None else float(energy)
