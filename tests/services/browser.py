"""A headless Chromium that tests talk to: over a pipe, in the messages of its DevTools, so that no port is open."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('Browser',)

PATIENCE = 60  # seconds for an answer


class Browser:
    """A browser with one page.

    :param folder: for its profile.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which('chromium')
        assert program, 'there is no chromium: `make services` installs it'
        inward, self._out = os.pipe()
        self._in, outward = os.pipe()
        # It reads messages from descriptor 3 and writes them to 4.
        options = ['--headless', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-pipe']
        if os.geteuid() == 0:  # its sandbox refuses root
            options.append('--no-sandbox')
        line = f'exec "$@" 3<&{inward} 4>&{outward}'
        self._process = subprocess.Popen(
            ['bash', '-c', line, 'chromium', program, *options, f'--user-data-dir={folder}', 'about:blank'],
            pass_fds=(inward, outward),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(inward)
        os.close(outward)
        self._numbers = itertools.count(1)
        self._rest = b''
        self.events: list[dict[str, Any]] = []
        targets = self.ask('Target.getTargets')['targetInfos']
        page = next(target['targetId'] for target in targets if target['type'] == 'page')
        self._session = None
        self._session = self.ask('Target.attachToTarget', targetId=page, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.ask(f'{domain}.enable')

    _session: str | None = None

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; what the browser reports meanwhile is in `events`."""
        number = next(self._numbers)
        message = {'id': number, 'method': method, 'params': parameters}
        if self._session is not None:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._read()
            if answer.get('id') == number:
                assert 'error' not in answer, (method, answer['error'])
                return answer['result']

    def _read(self) -> dict[str, Any]:
        """Return the next message; events are kept, too."""
        deadline = time.monotonic() + PATIENCE
        while b'\0' not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f'the browser said nothing for {PATIENCE} s'
            piece = os.read(self._in, 1 << 20)
            assert piece, 'the browser ended'
            self._rest += piece
        text, _, self._rest = self._rest.partition(b'\0')
        message = json.loads(text)
        if 'method' in message:
            self.events.append(message)
        return message

    def show(self, page: Path, width: int, height: int = 900, scheme: str = 'light') -> None:
        """Load a page in a window of this size, for readers who prefer light or dark pages."""
        self.ask(
            'Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.ask('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
        self.events.clear()
        self.ask('Page.navigate', url=page.as_uri())
        while not any(event['method'] == 'Page.loadEventFired' for event in self.events):
            self._read()

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.ask('Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in answer, answer['exceptionDetails']
        return answer['result'].get('value')

    def screenshot(self) -> bytes:
        """Return the whole page as PNG."""
        answer = self.ask('Page.captureScreenshot', format='png', captureBeyondViewport=True)
        return base64.b64decode(answer['data'])

    def complaints(self) -> list[str]:
        """Return errors and warnings of the page since it was loaded."""
        found = []
        for event in self.events:
            details = event['params']
            if event['method'] == 'Runtime.exceptionThrown':
                found.append(str(details['exceptionDetails']))
            elif event['method'] == 'Runtime.consoleAPICalled' and details['type'] in {'error', 'warning', 'assert'}:
                found.append(str(details['args']))
            elif event['method'] == 'Log.entryAdded' and details['entry']['level'] in {'error', 'warning'}:
                found.append(details['entry']['text'])
        return found

    def requests(self) -> list[str]:
        """Return what the page asked for since it was loaded, itself included."""
        sent = [event['params'] for event in self.events if event['method'] == 'Network.requestWillBeSent']
        return [details['request']['url'] for details in sent if not details['request']['url'].startswith('data:')]
