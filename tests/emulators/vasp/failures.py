"""Failures on demand, chosen by the environment variable VASP_EMULATOR; README.md lists them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

#: The variable; a JSON object, or words such as build=stock.
VARIABLE = 'VASP_EMULATOR'

#: What can be asked for.
KINDS = (
    'scf', 'nan', 'wall_time', 'truncated', 'crash', 'error', 'node_lost', 'ionic', 'hang', 'missing_contcar',
)  # fmt: skip
FIELDS = frozenset({'kind', 'image', 'step', 'after', 'times', 'task', 'unless', 'when', 'message', 'error'})


class ConfigurationError(Exception):
    """The variable asks for something that does not exist."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """One failure.

    :param number: its place in the list, which names its counter.
    :param image: the image that fails, from 1; None for each.
    :param step: the ionic step at or after which it happens, from 1.
    :param after: how many runs it spares first.
    :param times: in how many runs it happens before it stops; None for always.
    :param task: neb, relax or static: which runs fail; None for all.
    :param unless: tags that cure it, each alone: a number of NELM that is large enough, a mixing that is small enough,
        or text that the tag starts with (one of a list).
    :param when: tags that must be so for it to happen, all of them.
    :param message: printed by a failure of the kind error.
    """

    number: int
    kind: str
    image: int | None = None
    step: int = 1
    after: int = 0
    times: int | None = None
    task: str | None = None
    unless: dict[str, Any] = dataclasses.field(default_factory=dict)
    when: dict[str, Any] = dataclasses.field(default_factory=dict)
    message: str = ''
    error: float = 0.08

    def hits(self, image: int, step: int) -> bool:
        """Tell whether it happens in an image (0 without a band) at an ionic step."""
        return step >= self.step and (self.image is None or image in (0, self.image))


def cured(tag: str, wanted: Any, given: Any) -> bool:
    """Tell whether the value of a tag is what a failure asks for."""
    if given is None:
        return False
    if isinstance(wanted, list):
        return any(cured(tag, one, given) for one in wanted)
    if isinstance(wanted, bool) or isinstance(given, bool):
        return wanted == given
    if isinstance(wanted, int | float) and isinstance(given, int | float):
        return given <= wanted if tag.startswith(('AMIX', 'BMIX', 'TIME', 'POTIM', 'SIGMA')) else given >= wanted
    return str(given).upper().startswith(str(wanted).upper())


@dataclasses.dataclass
class Emulation:
    """How the stand-in behaves in a run.

    :param build: vtst or stock.
    :param sleep: real seconds for each ionic step.
    :param state: the folder with the counters of failures that happen some times only.
    :param failures: those that happen in this run.
    """

    build: str = 'vtst'
    sleep: float = 0.0
    state: Path | None = None
    failures: list[Failure] = dataclasses.field(default_factory=list)

    @property
    def vtst(self) -> bool:
        """Tell whether the build has VTST's tools."""
        return self.build == 'vtst'

    def find(self, kind: str, image: int = 0, step: int = 1_000_000) -> Failure | None:
        """Return the failure of a kind that hits an image at a step, if there is one."""
        return next((f for f in self.failures if f.kind == kind and f.hits(image, step)), None)


def load(text: str | None = None) -> dict[str, Any]:
    """Return what the environment variable, or a text like its, asks for."""
    text = os.environ.get(VARIABLE, '') if text is None else text
    if not text.strip():
        return {}
    if text.lstrip().startswith('{'):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f'{VARIABLE} is no JSON: {error}') from error
    return dict(word.split('=', 1) for word in text.split())


def configure(asked: dict[str, Any], tags: dict[str, Any]) -> Emulation:
    """Return the behaviour of this run; failures that happen some times only are counted here.

    :param tags: of the INCAR, with VASP's defaults.
    :raises ConfigurationError: for a key, kind or field that does not exist, or a count without a folder for it.
    """
    unknown = set(asked) - {'build', 'sleep', 'state', 'failures'}
    if unknown:
        raise ConfigurationError(f'{VARIABLE} has no key {", ".join(sorted(unknown))}')
    build = str(asked.get('build', 'vtst'))
    if build not in ('vtst', 'stock'):
        raise ConfigurationError(f'build is vtst or stock, not {build}')
    state = Path(asked['state']) if asked.get('state') else None
    task = 'neb' if tags['IMAGES'] else 'static' if tags['IBRION'] == -1 or tags['NSW'] < 1 else 'relax'
    happening = []
    for number, fields in enumerate(asked.get('failures', [])):
        if set(fields) - FIELDS or fields.get('kind') not in KINDS:
            raise ConfigurationError(f'no such failure: {fields}; kinds are {", ".join(KINDS)}')
        failure = Failure(number=number, **fields)
        if failure.task not in (None, task):
            continue
        if any(cured(tag, wanted, tags.get(tag)) for tag, wanted in failure.unless.items()):
            continue
        if not all(cured(tag, wanted, tags.get(tag)) for tag, wanted in failure.when.items()):
            continue
        if (failure.times is None and not failure.after) or _turn(state, failure):
            happening.append(failure)
    return Emulation(build, float(asked.get('sleep', 0)), state, happening)


def _turn(state: Path | None, failure: Failure) -> bool:
    """Number this run among those in which a failure can happen, and tell whether it does; runs may be simultaneous."""
    if state is None:
        raise ConfigurationError('a failure with times or after needs a folder named by state')
    state.mkdir(parents=True, exist_ok=True)
    turn = 0
    while True:
        try:
            (state / f'{failure.number}-{failure.kind}-{turn}').touch(exist_ok=False)
        except FileExistsError:
            turn += 1
            continue
        return turn >= failure.after and (failure.times is None or turn < failure.after + failure.times)
