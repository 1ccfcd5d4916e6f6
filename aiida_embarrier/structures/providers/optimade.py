"""Databases that speak OPTIMADE (https://www.optimade.org), version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymatgen.core import Structure

from aiida_embarrier.structures.providers.base import Answer, Entry, ProviderError, Query, canonical_formula, cut, now
from aiida_embarrier.structures.providers.http import JsonClient

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('OptimadeProvider',)

FIELDS = (
    'lattice_vectors',
    'cartesian_site_positions',
    'species_at_sites',
    'species',
    'nsites',
    'chemical_formula_reduced',
    'structure_features',
    'immutable_id',
    'last_modified',
)
#: Entries per page that are asked for; a service may give fewer.
PAGE = 50
#: Pages that are read at most.
MAX_PAGES = 200


class OptimadeProvider:
    """A database with an OPTIMADE interface.

    :param base_url: its address, with or without the version, such as ``https://optimade.materialsproject.org``.
    :param client: settings of the HTTP client, see :class:`~aiida_embarrier.structures.providers.http.JsonClient`.
    :raises ProviderError: where the address is none.
    """

    name = 'optimade'

    def __init__(self, base_url: str, **client: Any) -> None:
        if not base_url.startswith(('http://', 'https://')):
            raise ProviderError(f'{base_url!r} is no address: it begins with https://')
        self.base_url = base_url.rstrip('/').removesuffix('/v1')
        self._client = JsonClient(f'the database at {self.base_url}', **client)

    def search(self, query: Query) -> Answer:
        """Return the crystals that fit a query, in the order of the database.

        Not every database knows the space group of its entries, so it is found here, of the entries that fit otherwise.
        """
        version = self._version()
        url: str | None = f'{self.base_url}/v1/structures'
        parameters: dict[str, Any] | None = {
            'filter': optimade_filter(query),
            'page_limit': PAGE,
            'response_fields': ','.join(FIELDS),
        }
        entries: list[Entry] = []
        problems: list[str] = []
        seen: set[str] = set()
        while url is not None and len(entries) <= query.max_results:
            if url in seen or len(seen) >= MAX_PAGES:
                problems.append(f'reading stopped after {len(seen)} pages at {url}')
                break
            seen.add(url)
            content = self._client.get(url, parameters)
            resources = content.get('data')
            if not isinstance(resources, list):
                raise ProviderError(
                    f'the database at {self.base_url} answered without `data`: is it OPTIMADE version 1?'
                )
            for resource in resources:
                entry = _entry(resource, problems)
                # Also filters that a database understands in its own way.
                if entry is not None and query.fits(entry):
                    entries.append(entry)
            url, parameters = _next(content), None
        found, complete = cut(entries, query)
        return Answer(found, self.name, version, query, now(), self.base_url, complete and url is None, tuple(problems))

    def _version(self) -> str | None:
        """Return which version of the interface the database has, with its own name and release where it says them."""
        content = self._client.get(f'{self.base_url}/v1/info')
        meta = content.get('meta') or {}
        parts = []
        provider, implementation = meta.get('provider') or {}, meta.get('implementation') or {}
        if provider.get('name'):
            parts.append(str(provider['name']))
        if implementation.get('version'):
            parts.append(f'{implementation.get("name", "implementation")} {implementation["version"]}')
        if meta.get('api_version'):
            parts.append(f'OPTIMADE {meta["api_version"]}')
        return ', '.join(parts) or None


def optimade_filter(query: Query) -> str:
    """Return a query in the filter language of OPTIMADE, its space group apart."""
    terms = []
    if query.formula:
        terms.append(f'chemical_formula_reduced="{canonical_formula(query.formula)}"')
    if query.system:
        terms.append(f'elements HAS ALL {_listed(query.system)} AND nelements={len(query.system)}')
    if query.elements:
        terms.append(f'elements HAS ALL {_listed(query.elements)}')
    if query.ids:
        terms.append('(' + ' OR '.join(f'id={_quoted(name)}' for name in query.ids) + ')')
    return ' AND '.join(terms)


def _listed(symbols: tuple[str, ...]) -> str:
    return ', '.join(_quoted(symbol) for symbol in symbols)


def _quoted(text: str) -> str:
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return f'"{escaped}"'


def _next(content: Mapping[str, Any]) -> str | None:
    """Return the address of the next page: text, or an object with it, or nothing."""
    link = (content.get('links') or {}).get('next')
    if isinstance(link, dict):
        link = link.get('href')
    return str(link) if link else None


def _entry(resource: Mapping[str, Any], problems: list[str]) -> Entry | None:
    identifier = str(resource.get('id', '?'))
    attributes = resource.get('attributes') or {}
    try:
        structure = _structure(attributes)
    # An entry that breaks the rules of the interface may break the reader anywhere.
    except Exception as error:
        problems.append(f'{identifier}: {type(error).__name__}: {error}')
        return None
    kept = {name: attributes[name] for name in ('immutable_id', 'last_modified') if attributes.get(name)}
    return Entry.of(identifier, structure, extra=kept)


def _structure(attributes: Mapping[str, Any]) -> Structure:
    """Return the crystal of an entry, with partly occupied sites as they are."""
    occupations = {}
    for species in attributes['species']:
        pairs = zip(species['chemical_symbols'], species['concentration'], strict=True)
        amounts = {symbol: float(amount) for symbol, amount in pairs if symbol != 'vacancy'}
        if 'X' in amounts:
            raise ValueError(f'the species {species["name"]!r} holds an unknown element')
        occupations[species['name']] = amounts
    return Structure(
        attributes['lattice_vectors'],
        [occupations[name] for name in attributes['species_at_sites']],
        attributes['cartesian_site_positions'],
        coords_are_cartesian=True,
    )
