"""What an archive tells of people and machines: e-mails, names, hosts, absolute paths, accounts.

Nodes do not change, so nothing of it can be taken out: it is listed, so that its owner decides.
"""

from __future__ import annotations

import getpass
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida.orm import CalcJobNode, Comment, Computer, Group, Log, Node, QueryBuilder, User

from aiida_embarrier.publishing.contents import texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ('Finding', 'PrivateFindings', 'entities', 'private_search')

#: Kinds of findings in the order of the list.
KINDS = ('e-mail', 'person', 'user', 'host', 'path', 'account', 'queue')

#: Names that tell nothing.
_ANYBODY = {'root', 'user', 'admin', 'aiida', 'nobody', 'ubuntu', 'runner', 'username'}
_NO_HOST = {'localhost', 'localhost.localdomain', '127.0.0.1', ''}

_EMAIL = re.compile(r'(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+')
#: An absolute path of two parts or more, and not one of those that every machine has; no part of a URL or a fraction,
#: but behind file:// and the options -I and -L of compilers.
_PATH = re.compile(
    r'(?:(?<=file://)|(?<=-[IL])|(?<![\w/.~$})\]-]))/(?!(?:usr|bin|sbin|dev|proc|sys|etc|lib|lib64)/)[A-Za-z_][\w.+@=-]*(?:/[\w.+@=-]+)+'
)
_HOME = re.compile(r'^/(?:home|Users|users)/([^/]+)')
#: Of a path so many parts are listed, for the rest differs from job to job.
_PARTS = 3


@dataclass(frozen=True)
class Finding:
    """Something that tells of people or machines.

    :param kind: what it is, one of ``KINDS``.
    :param value: what would go out; of paths the beginning.
    :param place: where it stands first.
    :param n_places: in how many places it stands.
    """

    kind: str
    value: str
    place: str
    n_places: int


class PrivateFindings:
    """Collects findings, each once."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, found: Iterable[tuple[str, str]], place: str) -> None:
        """Add what was found in a place, as (kind, value)."""
        for kind, value in found:
            self._places.setdefault((kind, value), {}).setdefault(place)

    def listed(self) -> list[Finding]:
        """Return what was found, by kind and value."""
        ordered = sorted(self._places.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1]))
        return [Finding(kind, value, next(iter(places)), len(places)) for (kind, value), places in ordered]


def private_search() -> Callable[[str], set[tuple[str, str]]]:
    """Return a function that finds in a text e-mails, paths, and the hosts and the user that this profile knows."""
    known = dict.fromkeys(QueryBuilder().append(Computer, project='hostname').all(flat=True), 'host')
    known[platform.node()] = 'host'
    known[getpass.getuser()] = 'user'
    known = {name: kind for name, kind in known.items() if name not in _NO_HOST | _ANYBODY and len(name) > 2}
    words = re.compile(rf'(?<![\w.-])(?:{"|".join(map(re.escape, known))})(?![\w-])') if known else None

    def search(text: str) -> set[tuple[str, str]]:
        found = {('e-mail', email) for email in _EMAIL.findall(text)} if '@' in text else set()
        if '/' in text:
            for path in _PATH.findall(text):
                found |= _path(path)
        if words is not None:
            found |= {(known[word], word) for word in words.findall(text)}
        return found

    return search


def _path(path: str) -> set[tuple[str, str]]:
    """Return the finding of an absolute path, and the user whose home it is in."""
    parts = path.split('/')
    short = path if len(parts) <= _PARTS + 1 else '/'.join(parts[: _PARTS + 1]) + '/…'
    home = _HOME.match(path)
    user = {('user', home[1])} if home and home[1] not in _ANYBODY else set()
    return {('path', short), *user}


def entities(pks: list[int], groups: list[int], findings: PrivateFindings) -> None:
    """Add what goes out beside the nodes themselves: users, computers, logs, comments and groups.

    :param pks: of nodes.
    :param groups: PKs of groups.
    """
    search = private_search()
    mine = {'id': {'in': pks}}
    for email, first, last, institution in _users(mine, groups):
        place = f'user {email}'
        findings.add([('e-mail', email)] if not email.endswith('@localhost') else [], place)
        name = ' '.join(filter(None, (first, last)))
        findings.add([('person', name)] if name else [], place)
        findings.add([('person', institution)] if institution else [], place)
    query = QueryBuilder().append(Node, filters=mine, tag='node')
    query.append(Computer, with_node='node', project=['label', 'hostname', 'description', 'metadata']).distinct()
    for label, host, description, metadata in query.all():
        place = f'computer {label}'
        findings.add([('host', host)] if host not in _NO_HOST else [], place)
        for text in texts_of([description, metadata]):
            findings.add(search(text), place)
    for kind, content in ((Log, 'message'), (Comment, 'content')):
        query = QueryBuilder().append(Node, filters=mine, project='id', tag='node')
        query.append(kind, with_node='node', project=content)
        for pk, text in query.iterall(batch_size=1000):
            findings.add(search(text), f'node {pk}, {kind.__name__.lower()}')
    query = QueryBuilder().append(Group, filters={'id': {'in': groups}}, project=['label', 'description', 'extras'])
    for label, *values in query.all() if groups else []:
        for text in texts_of([label, *values]):
            findings.add(search(text), f'group {label}')
    _accounts(mine, findings)


def _users(mine: dict[str, Any], groups: list[int]) -> set[tuple[str, str, str, str]]:
    project = ['email', 'first_name', 'last_name', 'institution']
    query = QueryBuilder().append(Node, filters=mine, tag='node')
    users = {tuple(row) for row in query.append(User, with_node='node', project=project).distinct().all()}
    if groups:
        query = QueryBuilder().append(Group, filters={'id': {'in': groups}}, tag='group')
        users |= {tuple(row) for row in query.append(User, with_group='group', project=project).distinct().all()}
    query = QueryBuilder().append(Node, filters=mine, tag='node').append(Comment, with_node='node', tag='comment')
    users |= {tuple(row) for row in query.append(User, with_comment='comment', project=project).distinct().all()}
    return users


def _accounts(mine: dict[str, Any], findings: PrivateFindings) -> None:
    names = {'account': 'account', 'queue_name': 'queue', 'last_job_info': 'user'}
    query = QueryBuilder().append(CalcJobNode, filters=mine, project=['id', *(f'attributes.{name}' for name in names)])
    for pk, account, queue, info in query.iterall(batch_size=1000):
        place = f'node {pk} (CalcJobNode), options'
        findings.add([('account', account)] if account else [], place)
        findings.add([('queue', queue)] if queue else [], place)
        owner = info.get('job_owner') if isinstance(info, dict) else None
        findings.add([('user', owner)] if owner and owner not in _ANYBODY else [], place)
