"""The reference of datasets says what the schemas, the formats and the defects are."""

import re
from pathlib import Path

from aiida_embarrier.datasets.defects import DEFECTS
from aiida_embarrier.datasets.importing import FORMATS
from aiida_embarrier.datasets.importing.properties import TARGETS
from aiida_embarrier.datasets.schema import BARRIER, GROUPS, PROPERTY

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'reference' / 'datasets.md').read_text()


def rows(heading):
    """Return the cells of the first table below a heading."""
    section = re.split(rf'^#+ {heading}$', PAGE, flags=re.MULTILINE)[1]
    lines = [line for line in re.split(r'^#+ ', section, flags=re.MULTILINE)[0].splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


def expected(columns):
    return [
        [
            f'**`{column.name}`**' if column.required else f'`{column.name}`',
            column.dtype,
            column.unit or '',
            column.meaning,
        ]
        for column in columns
    ]


def test_columns():
    common = [column for column in BARRIER if column in PROPERTY]
    assert rows('Of both schemas') == expected(common)
    assert rows('Barriers') == expected(column for column in BARRIER if column not in common)
    assert rows('Properties') == expected(column for column in PROPERTY if column not in common)


def test_defects():
    assert rows('Known defects') == [
        [f'`{key}`', defect.title, defect.repair or 'cannot be repaired'] for key, defect in DEFECTS.items()
    ]


def test_formats_and_groups():
    assert [row[0] for row in rows('Formats')] == [f'`{key}`' for key in FORMATS]
    assert all(f'`{name}`' in PAGE for name in TARGETS)
    assert [row[0] for row in rows('Groups')] == [f'`{name}`' for name in GROUPS]
