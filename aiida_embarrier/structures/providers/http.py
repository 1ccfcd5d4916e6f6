"""JSON over HTTP, with messages that say what to do where it fails."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import requests

from aiida_embarrier import __version__
from aiida_embarrier.structures.providers.base import ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('JsonClient',)

#: Answers that another try may mend: too many requests, and faults of the server.
PASSING = (429, 500, 502, 503, 504)
#: Longest wait before another try, in seconds; who asks to wait longer is believed, and the lookup ends.
LONGEST_WAIT = 60.0


class JsonClient:
    """Gets JSON from one service.

    :param service: how messages name it.
    :param headers: sent with every request; never shown.
    :param refused: what to do where the service refuses access, the end of a message.
    :param timeout: seconds until it has to connect, and between two bytes.
    :param tries: how often a request is made at most.
    :param pause: seconds before the second try where the service does not say; doubled each time.
    """

    def __init__(
        self,
        service: str,
        headers: Mapping[str, str] | None = None,
        refused: str = 'it needs an account that this package does not know',
        timeout: float = 30.0,
        tries: int = 3,
        pause: float = 1.0,
    ) -> None:
        self.service = service
        self.refused = refused
        self.timeout = timeout
        self.tries = tries
        self.pause = pause
        self._secret = bool(headers)
        self._session = requests.Session()
        self._session.headers.update({'User-Agent': f'aiida-embarrier/{__version__}', 'Accept': 'application/json'})
        self._session.headers.update(headers or {})

    def get(self, url: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON object at an address.

        :raises ProviderError: where there is none after as many tries as are allowed.
        """
        for attempt in range(self.tries):
            last = attempt == self.tries - 1
            wait = self.pause * 2**attempt
            try:
                # A header with a key would go along to wherever a redirection leads.
                response = self._session.get(
                    url, params=dict(parameters or {}), timeout=self.timeout, allow_redirects=not self._secret
                )
            except requests.Timeout as error:
                if last:
                    raise ProviderError(
                        f'{self.service} did not answer within {self.timeout:g} s, {self.tries} times: try again later'
                    ) from error
            except requests.RequestException as error:
                if last or not isinstance(error, requests.ConnectionError):
                    raise ProviderError(
                        f'{self.service} cannot be reached at {_without_query(url)} ({type(error).__name__}): see that '
                        'the address is right and that this machine has a way to the internet'
                    ) from error
            else:
                if response.status_code not in PASSING or last:
                    return self._content(response)
                wait = _retry_after(response, wait)
                if wait > LONGEST_WAIT:
                    return self._content(response)
            time.sleep(wait)
        raise AssertionError('the last try returns or raises')

    def _content(self, response: requests.Response) -> dict[str, Any]:
        status = response.status_code
        said = _message(response)
        if status in {401, 403}:
            raise ProviderError(f'{self.service} refuses access ({status}{said}): {self.refused}')
        if status == 404:
            raise ProviderError(f'{self.service} has nothing at {_without_query(response.url)} ({status}{said})')
        if status == 429:
            wait = response.headers.get('Retry-After')
            when = f'in {wait} s' if wait and wait.isdigit() else 'later'
            raise ProviderError(f'{self.service} gets too many requests ({status}{said}): try again {when}')
        if 300 <= status < 400:
            raise ProviderError(
                f'{self.service} redirects to {_without_query(response.headers.get("Location", "?"))}, where the key '
                'is not sent: check the address'
            )
        if status >= 500:
            raise ProviderError(f'{self.service} is out of order ({status}{said}): try again later')
        if status >= 400:
            raise ProviderError(f'{self.service} does not understand the query ({status}{said})')
        try:
            content = response.json()
        except ValueError as error:
            start = ' '.join(response.text[:80].split())
            raise ProviderError(f'{self.service} answered with what is no JSON: {start!r}') from error
        if not isinstance(content, dict):
            raise ProviderError(f'{self.service} answered with a JSON {type(content).__name__}, an object was expected')
        return content


def _without_query(url: str) -> str:
    return url.partition('?')[0]


def _retry_after(response: requests.Response, default: float) -> float:
    """Return the seconds that a service asks to wait: a number, or the time of the day until then."""
    text = response.headers.get('Retry-After', '').strip()
    if not text:
        return default
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return default


def _message(response: requests.Response) -> str:
    """Return what a service says of an error, as the Materials Project and OPTIMADE put it; empty where nothing."""
    try:
        content = response.json()
    except ValueError:
        return ''
    if not isinstance(content, dict):
        return ''
    said = content.get('message') or content.get('detail') or content.get('error')
    errors = content.get('errors')
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        said = errors[0].get('detail') or errors[0].get('title')
    return f': {" ".join(str(said).split())[:200]}' if said else ''
