"""The README that lies beside the archive of a publication."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiida_embarrier.publishing.numbers import NUMBERS

if TYPE_CHECKING:
    import pandas as pd

    from aiida_embarrier.publishing.summary import Summary

__all__ = ('Description', 'readme')

#: How to come by the numbers of a table.
_READ_TABLE = (
    'What stands in a table or dataset comes out with `verdi -p reading data embarrier table export UUID -o FILE.csv`, '
    'see "How to open it".'
)

_READ_MODEL = 'A model comes out with `aiida-embarrier model export UUID -o FOLDER -p reading`.'
_READ_FILES = 'Files come out with `verdi -p reading node repo dump UUID FOLDER`.'

#: So many rows of the table are shown; the file beside it has all.
SHOWN = 60

_COLUMNS = (
    ('name', 'name'),
    ('host', 'host'),
    ('ion', 'mobile_ion'),
    ('energies by', 'method'),
    ('forward (eV)', 'barrier_forward'),
    ('reverse (eV)', 'barrier_reverse'),
    ('rate limiting (eV)', 'barrier_rate_limiting'),
    ('span (eV)', 'barrier_span'),
    ('converged', 'converged'),
    ('UUID', 'uuid'),
)


@dataclass(frozen=True)
class Description:
    """What a README says beside what the archive itself tells.

    :param title: of the publication.
    :param authors: as they are to be named.
    :param licence: under which the data may be used, such as CC-BY-4.0.
    """

    title: str
    authors: tuple[str, ...] = ()
    licence: str | None = None


def readme(
    description: Description,
    archive: str,
    table: str,
    sha256: str,
    summary: Summary,
    numbers: pd.DataFrame,
    group: str | None,
) -> str:
    """Return the text of the README, in Markdown.

    :param archive: name of the archive.
    :param table: name of the file with the table.
    :param sha256: of the archive.
    :param group: label of the group in the archive, None where it holds nodes without one.
    """
    parts = [
        f'# {description.title}',
        _heads(description),
        f'## Files\n\n- `{archive}`: an [AiiDA](https://www.aiida.net) archive, sha256 `{sha256}`\n'
        f'- `{table}`: the numbers with the UUIDs of their nodes, one row each\n- this file',
        _contents(summary, numbers, group),
        _opening(archive, table, group),
        _table(numbers, table),
        _definitions(),
        _versions(),
        _citation(description),
    ]
    return '\n\n'.join(parts) + '\n'


def _heads(description: Description) -> str:
    authors = '; '.join(description.authors) or 'not stated'
    licence = description.licence or 'not stated: whoever wants to use the data has to ask the authors'
    return f'Authors: {authors}  \nLicence: {licence}'


def _contents(summary: Summary, numbers: pd.DataFrame, group: str | None) -> str:
    kinds = numbers['kind'].value_counts(sort=False)
    shown = ', '.join(f'{number} {kind}{_plural(kind, number)}' for kind, number in kinds.items()) or 'nothing'
    lines = [
        '## What is in it',
        '',
        f'{summary.n_nodes} nodes with {summary.n_links} links: every result with all that it came from. '
        f'The table shows {shown}.' + (f' They are in the group `{group}`.' if group else ''),
        '',
        '| process | runs | failed |',
        '|---|---|---|',
        *(f'| {_cell(label)} | {runs} | {failed} |' for label, (runs, failed) in summary.by_process.items()),
        '',
        '| type of node | nodes |',
        '|---|---|',
        *(f'| {_cell(name)} | {number} |' for name, number in summary.by_type.items()),
    ]
    return '\n'.join(lines)


def _plural(kind: str, number: int) -> str:
    return '' if number == 1 or kind in {'values', 'files'} else 's'


def _opening(archive: str, table: str, group: str | None) -> str:
    members = f'\nverdi group show "{group}"' if group else ''
    return f"""## How to open it

Without an import, read-only, in a profile of its own (`pip install aiida-embarrier`):

```console
verdi profile setup core.sqlite_zip -n -p reading --filepath {archive} --no-set-as-default --broker none \\
    --first-name A --last-name B --institution C --email reader@localhost
verdi -p reading node show UUID
aiida-embarrier list -p reading
```

Or as part of your own database, to go on from it:

```console
verdi archive import {archive}{members}
aiida-embarrier show UUID
```

Whether archive and table agree, computed again from the energies in the archive:

```console
aiida-embarrier publish --verify {archive} --table {table}
```"""


def _table(numbers: pd.DataFrame, table: str) -> str:
    bands = numbers[numbers['kind'] == 'band'].assign(
        method=lambda frame: frame['potential'].fillna(frame['functional']).fillna(frame['engine'])
    )
    lines = ['## Numbers', '', 'By the definitions below; PKs differ from database to database, UUIDs do not.']
    if len(bands):
        lines += ['', f'| {" | ".join(head for head, _ in _COLUMNS)} |', '|' + '---|' * len(_COLUMNS)]
        for _, row in bands.head(SHOWN).iterrows():
            cells = [_cell(row[name]) for _, name in _COLUMNS]
            lines.append(f'| {" | ".join(cells)} |')
    others = numbers[numbers['kind'] != 'band']
    if len(others):
        lines += ['', '| kind | name | rows | numbers | sha256 of the content | UUID |', '|---|---|---|---|---|---|']
        for _, row in others.head(SHOWN).iterrows():
            cells = [_cell(row[name]) for name in ('kind', 'name', 'n_rows', 'n_numbers', 'content_hash', 'uuid')]
            lines.append(f'| {" | ".join(cells)} |')
    for kinds, how in (({'table', 'dataset'}, _READ_TABLE), ({'model'}, _READ_MODEL), ({'files'}, _READ_FILES)):
        if others['kind'].isin(kinds).any():
            lines += ['', how]
    left = max(len(bands) - SHOWN, 0) + max(len(others) - SHOWN, 0)
    if left:
        lines += ['', f'{left} more rows are in `{table}`.']
    return '\n'.join(lines)


def _definitions() -> str:
    rows = (f'| `{column.name}` | {column.unit or ""} | {column.meaning} |' for column in NUMBERS)
    return '\n'.join(
        [
            '## Definitions',
            '',
            'Barriers are differences of the energies of images as they were computed, without a fit between them.',
            '',
            '| column | unit | meaning |',
            '|---|---|---|',
            *rows,
        ]
    )


def _versions() -> str:
    from aiida import __version__ as of_aiida

    from aiida_embarrier import __version__

    day = datetime.now(tz=UTC).date().isoformat()
    return f'## Versions\n\nWritten on {day} by aiida-embarrier {__version__} with aiida-core {of_aiida}.'


def _citation(description: Description) -> str:
    authors = '; '.join(description.authors) or 'the authors'
    return (
        f'## How to cite\n\n{authors}: *{description.title}*; add the DOI under which it is published. The provenance '
        'was recorded by AiiDA: S. P. Huber et al., Scientific Data 7, 300 (2020), doi:10.1038/s41597-020-00638-4.'
    )


def _cell(value: Any) -> str:
    """Return a value as it stands in a table; nothing where it is missing."""
    import pandas as pd

    if pd.isna(value):
        return ''
    if isinstance(value, float):
        return f'{value:.4f}'
    text = {True: 'yes', False: 'no'}[bool(value)] if str(value) in {'True', 'False'} else str(value)
    return text.replace('|', r'\|').replace('\n', ' ')
