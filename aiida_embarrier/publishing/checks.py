"""One look at everything that would go out: what must not, and what tells more than it should."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiida.manage import get_manager
from aiida.orm import Node, QueryBuilder

from aiida_embarrier.publishing.contents import UnreadableError, files_of, is_text, pieces, texts_of
from aiida_embarrier.publishing.licences import LicenceSearch, licensed_by_type
from aiida_embarrier.publishing.privacy import PrivateFindings, entities, private_search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

    from aiida_embarrier.publishing.privacy import Finding

__all__ = ('Checks', 'Licensed', 'ancestors', 'check_contents', 'parents_of', 'refuse_licensed')

#: Texts about a node that go out beside its attributes.
_TEXTS = ('label', 'description', 'attributes', 'extras')


@dataclass(frozen=True)
class Licensed:
    """A node that must not be published.

    :param pk: of the node.
    :param node_type: its class.
    :param file: name of the file in its repository, None where it is the node itself.
    :param why: what it holds.
    """

    pk: int
    node_type: str
    file: str | None
    why: str

    @property
    def place(self) -> str:
        """The node and the file, in words."""
        file = f', file {self.file}' if self.file is not None else ''
        return f'node {self.pk} ({self.node_type}){file}'


@dataclass(frozen=True)
class Checks:
    """What was found in the content of nodes.

    :param n_files: number of files.
    :param n_objects: number of different files, which is what is stored.
    :param n_bytes: size of these.
    :param licensed: nodes that must not be published.
    :param private: what tells of people and machines.
    :param unreadable: files that could not be read to their end, each with the reason.
    """

    n_files: int
    n_objects: int
    n_bytes: int
    licensed: list[Licensed]
    private: list[Finding] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def check_contents(pks: Iterable[int], private: bool = True, groups: Iterable[int] = ()) -> Checks:
    """Look through nodes: every file to its end, and every text.

    :param private: whether to look for what tells of people and machines, too.
    :param groups: PKs of groups that go out with the nodes.
    """
    pks = list(pks)
    types = {
        pk: name.rpartition('.')[0].rpartition('.')[2]
        for pk, name in QueryBuilder().append(Node, filters={'id': {'in': pks}}, project=['id', 'node_type']).all()
    }
    licensed = [Licensed(pk, types[pk], None, why) for pk, why in licensed_by_type(pks)]
    findings = PrivateFindings() if private else None
    if findings is not None:
        entities(pks, list(groups), findings)
    search = private_search() if private else None
    files = files_of(pks)
    size, unreadable = 0, []
    storage = get_manager().get_profile_storage()
    for key, stream in storage.get_repository().iter_object_streams(files):
        pk, name = files[key][0]
        counted, licence = _Counted(stream), LicenceSearch()
        try:
            for piece in pieces(counted):
                licence.look(piece)
                if search is not None and findings is not None and is_text(piece):
                    place = f'node {pk} ({types[pk]}), file {name}'
                    findings.add(search(piece.decode('utf8', errors='replace')), place)
        except UnreadableError as error:
            unreadable.append(f'node {pk} ({types[pk]}), file {name}: {error}')
        size += counted.n_bytes
        if licence.found is not None:
            licensed += [Licensed(pk, types[pk], name, licence.found) for pk, name in files[key]]
    query = QueryBuilder().append(Node, filters={'id': {'in': pks}}, project=['id', *_TEXTS])
    for pk, *values in query.iterall(batch_size=1000):
        licence = LicenceSearch()
        for part, value in zip(_TEXTS, values, strict=True):
            for text in texts_of(value):
                licence.look(text.encode())
                if search is not None and findings is not None:
                    findings.add(search(text), f'node {pk} ({types[pk]}), {part}')
        if licence.found is not None:
            licensed.append(Licensed(pk, types[pk], None, licence.found))
    n_files = sum(map(len, files.values()))
    listed = [] if findings is None else findings.listed()
    return Checks(n_files, len(files), size, _once(licensed), listed, unreadable)


def _once(licensed: list[Licensed]) -> list[Licensed]:
    """Return findings without those that say again what the type of the node says."""
    by_node = {entry.pk for entry in licensed if entry.file is None}
    kept = [entry for entry in dict.fromkeys(licensed) if entry.file is None or entry.pk not in by_node]
    return sorted(kept, key=lambda entry: (entry.pk, entry.file or ''))


def refuse_licensed(checks: Checks, links: Iterable[tuple[int, int, str, str]], starting: Set[int]) -> None:
    """Refuse content that must not be published.

    :param links: between the nodes, as (source, target, type, label).
    :param starting: PKs of the nodes that were asked for.
    :raises ValueError: naming each such node, what it holds and what to do.
    """
    if not checks.licensed:
        return
    parents = parents_of(links)
    lines = []
    for entry in checks.licensed:
        needed = sorted(pk for pk in starting if pk != entry.pk and entry.pk in ancestors(pk, parents))
        lines.append(f'{entry.place} holds {entry.why}: {_remedy(entry.pk, entry.pk in starting, needed)}')
    raise ValueError('\n'.join(lines))


def _remedy(pk: int, asked_for: bool, needed: list[int]) -> str:
    if needed:
        some = ', '.join(map(str, needed[:5])) + (f' and {len(needed) - 5} more' if len(needed) > 5 else '')
        return f'{some} came from it, and an archive holds all ancestors: leave them out with --exclude'
    if asked_for:
        return f'keep it out of the group, or leave it out with --exclude {pk}'
    return 'a process in the archive made it: leave out what this process gave'


def parents_of(links: Iterable[tuple[int, int, str, str]]) -> dict[int, set[int]]:
    """Return for each node those that it directly came from: inputs, makers and callers."""
    parents: dict[int, set[int]] = {}
    for source, target, kind, _ in links:
        if kind != 'return':
            parents.setdefault(target, set()).add(source)
    return parents


def ancestors(pk: int, parents: Mapping[int, Any]) -> set[int]:
    """Return everything that a node came from."""
    found: set[int] = set()
    stack = [pk]
    while stack:
        new = set(parents.get(stack.pop(), ())) - found
        found |= new
        stack += new
    return found - {pk}


class _Counted:
    """A stream that counts the bytes that were read from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.n_bytes = 0

    def read(self, size: int, /) -> bytes:
        """Read on."""
        data: bytes = self._stream.read(size)
        self.n_bytes += len(data)
        return data
