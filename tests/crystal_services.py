"""Services on this machine that speak the interfaces of the Materials Project and of OPTIMADE, and all their faults."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pymatgen.core import Composition

KEY = 'k' * 32


class Service:
    """A service with some crystals.

    :param crystals: pymatgen structures by their identifiers.
    :param faults: answers that come before the proper ones: (status, headers, body), or seconds of silence.
    """

    def __init__(self, crystals: dict[str, Any]) -> None:
        self.crystals = crystals
        self.faults: list[Any] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.url = ''
        self.page = 1  # entries per page of OPTIMADE
        self.spoilt: dict[str, Any] = {}  # documents by identifier that replace the proper ones
        self.released = threading.Event()

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Return what the service says: status, headers, body."""
        if path == '/heartbeat':
            return 200, {}, json.dumps({'status': 'OK', 'db_version': '2026.04.01'})
        if path == '/materials/summary/':
            return self._materials_project(query, headers)
        if path == '/v1/info':
            meta = {'api_version': '1.2.0', 'provider': {'name': 'Crystals'}, 'implementation': {'version': '0.9'}}
            return 200, {}, json.dumps({'data': {}, 'meta': meta})
        if path == '/v1/structures':
            return self._optimade(query)
        return 404, {}, json.dumps({'message': 'no such page'})

    def _materials_project(self, query: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if headers.get('x-api-key') != KEY:
            return 403, {}, json.dumps({'message': 'Invalid API key'})
        found = [name for name, crystal in self.crystals.items() if self._wanted(name, crystal, query)]
        start, number = int(query['_skip']), int(query['_limit'])
        documents = [
            self.spoilt.get(
                name,
                {
                    'material_id': name,
                    'formula_pretty': self.crystals[name].composition.reduced_formula,
                    'structure': json.loads(self.crystals[name].to_json()),
                    'symmetry': {'symbol': self.crystals[name].get_space_group_info()[0]},
                    'energy_above_hull': 0.01 * (len(self.crystals) - place),
                    'theoretical': False,
                    'database_IDs': {'icsd': ['icsd-1']},
                },
            )
            for place, name in enumerate(found[start : start + number])
        ]
        return 200, {}, json.dumps({'data': documents, 'meta': {'total_doc': len(found)}})

    @staticmethod
    def _wanted(name: str, crystal: Any, query: dict[str, str]) -> bool:
        elements = {element.symbol for element in crystal.composition}
        checks = {
            'formula': lambda value: Composition(value).reduced_formula == crystal.composition.reduced_formula,
            'chemsys': lambda value: set(value.split('-')) == elements,
            'elements': lambda value: set(value.split(',')) <= elements,
            'spacegroup_number': lambda value: crystal.get_space_group_info()[1] == int(value),
            'material_ids': lambda value: name in value.split(','),
        }
        return all(check(query[key]) for key, check in checks.items() if key in query)

    def _optimade(self, query: dict[str, str]) -> tuple[int, dict[str, str], str]:
        text = query['filter']
        found = [name for name, crystal in self.crystals.items() if self._passes(name, crystal, text)]
        start = int(query.get('page_offset', 0))
        here = found[start : start + self.page]
        following = start + self.page
        link = None
        if following < len(found):
            rest = '&'.join(f'{key}={value}' for key, value in query.items() if key != 'page_offset')
            link = f'{self.url}/v1/structures?{rest.replace(" ", "%20")}&page_offset={following}'
        # Both forms that the specification allows, by turns.
        links = {'next': {'href': link} if link and start % 2 else link}
        data = [self.spoilt.get(name, _resource(name, self.crystals[name])) for name in here]
        return 200, {}, json.dumps({'data': data, 'links': links, 'meta': {'api_version': '1.2.0'}})

    @staticmethod
    def _passes(name: str, crystal: Any, text: str) -> bool:
        elements = {element.symbol for element in crystal.composition.element_composition}
        for term in text.split(' AND '):
            if found := re.fullmatch(r'chemical_formula_reduced="(\w+)"', term):
                if Composition(found[1]).reduced_formula != crystal.composition.element_composition.reduced_formula:
                    return False
            elif found := re.fullmatch(r'elements HAS ALL (.+)', term):
                if not set(re.findall(r'"(\w+)"', found[1])) <= elements:
                    return False
            elif found := re.fullmatch(r'nelements=(\d+)', term):
                if len(elements) != int(found[1]):
                    return False
            elif found := re.fullmatch(r'\((.+)\)', term):
                if f'id="{name}"' not in found[1].split(' OR '):
                    return False
            else:
                raise AssertionError(f'no term of a filter: {term}')
        return True


def _resource(name: str, crystal: Any) -> dict[str, Any]:
    """Return a crystal as OPTIMADE has it, with vacancies where sites are partly occupied."""
    species = {}
    for site in crystal:
        amounts = {element.symbol: float(amount) for element, amount in site.species.items()}
        missing = 1 - sum(amounts.values())
        if missing > 1e-6:
            amounts['vacancy'] = missing
        species[site.species_string] = {
            'name': site.species_string,
            'chemical_symbols': list(amounts),
            'concentration': list(amounts.values()),
        }
    return {
        'id': name,
        'type': 'structures',
        'attributes': {
            'lattice_vectors': crystal.lattice.matrix.tolist(),
            'cartesian_site_positions': crystal.cart_coords.tolist(),
            'species_at_sites': [site.species_string for site in crystal],
            'species': list(species.values()),
            'immutable_id': f'{name}-1',
        },
    }


@contextmanager
def running(service: Service) -> Any:
    """Let a service answer on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            service.requests.append((parts.path, query, headers))
            fault = service.faults.pop(0) if service.faults else None
            if isinstance(fault, float):
                service.released.wait(fault)
                fault = None
            status, more, body = service.answer(parts.path, query, headers) if fault is None else fault
            content = body.encode()
            try:
                self.send_response(status)
                for name, value in {'Content-Length': str(len(content)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):  # whoever asked did not wait
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True)
    thread.start()
    service.url = f'http://127.0.0.1:{server.server_port}'
    try:
        yield service
    finally:
        service.released.set()
        server.shutdown()
        server.server_close()
