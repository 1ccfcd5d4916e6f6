"""A publication: a group as an archive with a README and a table, checked before and after it is written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida.orm import Node, QueryBuilder

from aiida_embarrier.publishing.archive import check_target, scratch_for, select, write_archive
from aiida_embarrier.publishing.checks import check_contents, refuse_licensed
from aiida_embarrier.publishing.licences import warn_of_datasets
from aiida_embarrier.publishing.numbers import numbers
from aiida_embarrier.publishing.readme import Description, readme
from aiida_embarrier.publishing.shown import Starting
from aiida_embarrier.publishing.summary import estimate_bytes, summarise
from aiida_embarrier.publishing.tables import check_suffix, write_numbers
from aiida_embarrier.publishing.verification import verify

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import pandas as pd
    from aiida.orm import Group

    from aiida_embarrier.publishing.archive import Selection
    from aiida_embarrier.publishing.checks import Checks
    from aiida_embarrier.publishing.summary import Summary
    from aiida_embarrier.publishing.verification import Verification

__all__ = ('Files', 'Plan', 'plan_publication', 'publish', 'to_dict')


@dataclass(frozen=True)
class Files:
    """Where a publication goes.

    :param archive: the archive.
    :param table: the table, CSV or parquet.
    :param readme: the README.
    """

    archive: Path
    table: Path
    readme: Path

    @classmethod
    def beside(cls, archive: Path, table: Path | None = None) -> Files:
        """Return the files of a publication, named after its archive: paper.aiida, paper.csv, paper.README.md."""
        stem = archive.with_suffix('') if archive.suffix == '.aiida' else archive
        return cls(archive, table or stem.with_name(f'{stem.name}.csv'), stem.with_name(f'{stem.name}.README.md'))

    def check(self, overwrite: bool) -> None:
        """Check before anything is computed that all can be written.

        :raises ValueError: where one exists and may not be replaced, or cannot be written, or two are the same.
        """
        check_suffix(self.table)
        if len({path.resolve() for path in (self.archive, self.table, self.readme)}) < 3:
            raise ValueError(f'archive, table and README need names of their own, got {self.archive} and {self.table}')
        for path in (self.archive, self.table, self.readme):
            check_target(path, overwrite)


@dataclass(frozen=True)
class Plan:
    """What would be published.

    :param group: label of the group; None where members were left out, for then the archive holds nodes and no group.
    :param selection: the nodes.
    :param starting: what was asked for.
    :param checks: what was found in their content.
    :param summary: counts.
    :param numbers: the table.
    :param n_bytes: about how large the archive will be.
    :param warnings: what its owner should know before it is published.
    """

    group: str | None
    selection: Selection
    starting: Starting
    checks: Checks
    summary: Summary
    numbers: pd.DataFrame
    n_bytes: int
    warnings: list[str]

    def refuse(self, strict: bool = False) -> None:
        """Refuse what must not be published.

        :param strict: whether to refuse what tells of people and machines, too.
        :raises ValueError: naming it, and what to do.
        """
        refuse_licensed(self.checks, self.selection.links, self.selection.starting)
        if strict and self.checks.private:
            first = self.checks.private[0]
            raise ValueError(
                f'{len(self.checks.private)} findings tell of people and machines, the first is the {first.kind} '
                f'{first.value} ({first.place}): publish without --strict if they may go out; --dry-run lists them'
            )


def plan_publication(group: Group, exclude: Collection[str] = ()) -> Plan:
    """Return what the publication of a group would hold, without writing anything.

    :param exclude: PKs or UUIDs of members to leave out.
    :raises ValueError: for an empty group, processes that run, and nodes to leave out that are not in the group.
    """
    nodes = _members(group, exclude)
    selection = select(nodes=nodes) if exclude else select(groups=[group])
    starting = Starting(nodes=tuple(node.uuid for node in nodes)) if exclude else Starting(groups=(group.uuid,))
    checks = check_contents(selection.closure, groups=[] if exclude else [group.pk])
    table = numbers(starting, selection.links)
    n_links = len(selection.links)
    return Plan(
        group=None if exclude else group.label,
        selection=selection,
        starting=starting,
        checks=checks,
        summary=summarise(selection.closure, n_links),
        numbers=table,
        n_bytes=estimate_bytes(selection.closure, n_links, checks.n_bytes),
        warnings=[*_warnings(table, checks), *warn_of_datasets(selection.closure)],
    )


def _members(group: Group, exclude: Collection[str]) -> list[Node]:
    query = QueryBuilder().append(type(group), filters={'id': group.pk}, tag='group')
    members = query.append(Node, with_group='group').all(flat=True)
    if not members:
        raise ValueError(f'the group {group.label!r} is empty: put nodes into it, `verdi group add-nodes -G LABEL PK`')
    left_out = set()
    for name in exclude:
        found = [node.pk for node in members if name in (str(node.pk), node.uuid)]
        if not found:
            raise ValueError(f'{name} is no member of the group {group.label!r}, so it cannot be left out by itself')
        left_out.add(found[0])
    kept = [node for node in members if node.pk not in left_out]
    if not kept:
        raise ValueError(f'nothing is left of the group {group.label!r}')
    return kept


def _warnings(table: pd.DataFrame, checks: Checks) -> list[str]:
    warnings = []
    if not len(table):
        warnings.append('the table is empty: no bands, tables, datasets, models, folders or Dicts are in the group')
    bands = table[table['kind'] == 'band']
    without = bands[bands['barrier_forward'].isna()]
    if len(without):
        warnings.append(f'{len(without)} bands have no energies, such as {without["uuid"].iloc[0]}')
    unconverged = bands[bands['converged'].eq(False).fillna(False)]
    if len(unconverged):
        warnings.append(f'{len(unconverged)} bands did not converge, such as {unconverged["uuid"].iloc[0]}')
    warnings += [f'{text}; what it holds was looked at up to there' for text in checks.unreadable]
    return warnings


def publish(plan: Plan, files: Files, description: Description, overwrite: bool = False) -> Verification:
    """Write archive, table and README, make the round trip, and put them in their places.

    Where something fails all that was there before stays, and nothing new appears. They take their places one after
    another, the archive last, and an archive that is replaced goes first. So where there is an archive, even after the
    process was killed, the table and the README beside it are whole and belong to it. What was to be replaced is then
    in a folder `.aiida-embarrier-*` beside it.

    :raises ValueError: where the checks refuse something, a file cannot be written, and where the round trip finds that
        archive and table do not agree; then nothing is written.
    """
    files.check(overwrite)
    plan.refuse()
    with scratch_for(files.archive) as scratch, scratch_for(files.table) as beside_table:
        archive, text = scratch / files.archive.name, scratch / files.readme.name
        table = beside_table / files.table.name
        write_archive(archive, plan.selection)
        write_numbers(plan.numbers, table)
        found = verify(archive, table)
        relative = _seen_from(files)
        written = (description, files.archive.name, relative, _sha256(archive), plan.summary, plan.numbers, plan.group)
        text.write_text(readme(*written), encoding='utf8')
        _put_in_place([(table, files.table), (text, files.readme), (archive, files.archive)])
    return found


def _put_in_place(moves: list[tuple[Path, Path]]) -> None:
    """Move finished files to their places in the order given; files that are there leave in the opposite order."""
    aside: list[tuple[Path, Path]] = []
    placed: list[Path] = []
    try:
        for finished, place in reversed(moves):
            if place.exists():
                old = finished.with_name(f'replaced-{place.name}')
                place.replace(old)
                aside.append((old, place))
        for finished, place in moves:
            finished.replace(place)
            placed.append(place)
    except BaseException:
        for place in reversed(placed):
            place.unlink(missing_ok=True)
        for old, place in reversed(aside):
            old.replace(place)
        raise


def _seen_from(files: Files) -> str:
    """Return the name of the table as it is found from the archive."""
    table, folder = files.table.resolve(), files.archive.resolve().parent
    return str(table.relative_to(folder)) if table.is_relative_to(folder) else files.table.name


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def to_dict(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    from dataclasses import asdict

    checks = plan.checks
    return {
        'group': plan.group,
        'nodes': {
            'total': plan.summary.n_nodes,
            'by_type': plan.summary.by_type,
            'by_process': {
                label: {'runs': runs, 'failed': failed} for label, (runs, failed) in plan.summary.by_process.items()
            },
            'links': plan.summary.n_links,
        },
        'files': {'number': checks.n_files, 'different': checks.n_objects, 'bytes': checks.n_bytes},
        'archive_bytes_estimate': plan.n_bytes,
        'table': {'rows': len(plan.numbers), 'by_kind': plan.numbers['kind'].value_counts(sort=False).to_dict()},
        'licensed': [{**asdict(entry), 'place': entry.place} for entry in checks.licensed],
        'private': [asdict(finding) for finding in checks.private],
        'warnings': list(plan.warnings),
    }
