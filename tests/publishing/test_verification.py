"""Whoever receives an archive sees whether it is whole and agrees with its table."""

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from aiida.storage.sqlite_zip.migrator import list_versions

from aiida_embarrier.publishing.publication import Files, plan_publication, publish
from aiida_embarrier.publishing.readme import Description
from aiida_embarrier.publishing.verification import verify


@pytest.fixture(scope='module')
def published_once(tmp_path_factory):
    """Return the folder of a publication that the first test makes: what follows needs no profile."""
    return tmp_path_factory.mktemp('published')


@pytest.fixture
def published(published_once, tmp_path, request):
    """Return the files of a publication, which a test may change."""
    made = Files.beside(published_once / 'paper.aiida')
    if not made.archive.exists():
        publish(plan_publication(request.getfixturevalue('group')), made, Description('paper'))
    files = Files.beside(tmp_path / 'paper.aiida')
    for source, target in ((made.archive, files.archive), (made.table, files.table)):
        shutil.copy(source, target)
    return files


def rewrite(path, change):
    """Write an archive anew, each of its files as `change(name, content)` gives it, None for not at all."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            changed = change(name, content)
            if changed is not None:
                archive.writestr(name, changed)


def change_metadata(path, **entries):
    def change(name, content):
        return json.dumps({**json.loads(content), **entries}) if name == 'metadata.json' else content

    rewrite(path, change)


def change_database(path, tmp_path, *statements):
    def change(name, content):
        if name != 'db.sqlite3':
            return content
        file = tmp_path / 'changed.sqlite3'
        file.write_bytes(content)
        connection = sqlite3.connect(file)
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        connection.commit()
        connection.close()
        return file.read_bytes()

    rewrite(path, change)


def refused(files):
    with pytest.raises(ValueError, match=r'.') as caught:
        verify(files.archive, files.table)
    return str(caught.value)


def test_changed_numbers(published):
    text = published.table.read_text()
    assert '0.24999999999999997' in text
    published.table.write_text(text.replace('0.24999999999999997', '0.25'))
    message = refused(published)
    assert 'paper.aiida and paper.csv do not agree' in message
    assert 'is 0.25 in the table, and 0.24999999999999997 from the content of the archive' in message


def test_missing_and_invented_rows(published):
    *lines, last = published.table.read_text().splitlines(keepends=True)
    published.table.write_text(''.join(lines))
    assert 'was published, but is not in the table' in refused(published)
    published.table.write_text(''.join([*lines, last, last.replace('values,,', 'values,,0')]))
    assert 'is in the table, but not among what was published' in refused(published)


def test_changed_attributes(published, tmp_path):
    change_database(
        published.archive,
        tmp_path,
        "UPDATE db_dbnode SET attributes = json_set(attributes, '$.barrier_forward', 0.5) WHERE label = 'first'",
    )
    assert 'barrier_forward of' in refused(published)
    assert 'from the attributes in the archive' in refused(published)


def test_missing_provenance(published, tmp_path):
    change_database(published.archive, tmp_path, "DELETE FROM db_dblink WHERE type = 'input_calc'")
    assert 'n_ancestors of' in refused(published)


def test_changed_and_missing_files(published, tmp_path):
    original = tmp_path / 'original.aiida'
    shutil.copy(published.archive, original)
    done = []

    def change(name, content):
        if name.startswith('repo/') and not done:
            done.append(name)
            return content + b'x'
        return content

    rewrite(published.archive, change)
    assert 'is missing or was changed' in refused(published)
    shutil.copy(original, published.archive)
    rewrite(published.archive, lambda name, content: None if name == done[0] else content)
    assert 'is missing or was changed' in refused(published)


def test_archives_that_were_cut_off(published):
    content = published.archive.read_bytes()
    for part in (0, 10, len(content) // 2, len(content) - 30):
        published.archive.write_bytes(content[:part])
        assert 'no archive of AiiDA, or only a part of one' in refused(published)
    published.archive.write_bytes(content)
    assert verify(published.archive, published.table).n_rows == 3


def test_archives_with_wrong_bytes(published):
    content = bytearray(published.archive.read_bytes())
    with zipfile.ZipFile(published.archive) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.compress_size * (entry.filename == 'db.sqlite3'))
    middle = entry.header_offset + entry.compress_size // 2
    whole = bytes(content)
    for position in (middle, entry.header_offset + 80):  # a checksum that is wrong, and what cannot be decompressed
        content[:] = whole
        content[position : position + 40] = b'\xff' * 40
        published.archive.write_bytes(content)
        assert f'{published.archive} is damaged' in refused(published)


def test_archives_that_seem_encrypted(published):
    content = bytearray(published.archive.read_bytes())
    entry = content.rindex(b'PK\x01\x02')
    content[entry + 8] |= 0x41
    published.archive.write_bytes(content)
    assert f'{published.archive} is damaged' in refused(published)


def test_other_versions(published):
    change_metadata(published.archive, export_version='main_9999', aiida_version='9.0.0')
    message = refused(published)
    assert 'has version main_9999 of the format (aiida-core 9.0.0 wrote it)' in message
    assert 'install a newer aiida-core' in message
    change_metadata(published.archive, export_version=list_versions()[-2], aiida_version='2.0.0')
    assert 'verdi archive migrate' in refused(published)


def test_archives_of_a_whole_database(published):
    change_metadata(published.archive, creation_parameters={'entities_starting_set': None})
    assert 'holds a whole database' in refused(published)


def test_no_archive(published):
    published.archive.unlink()
    assert 'there is no archive' in refused(published)


def test_archive_stays_as_it_is(published):
    before = published.archive.read_bytes()
    verify(published.archive, published.table)
    assert published.archive.read_bytes() == before


@pytest.mark.slow
def test_readers_need_no_profile(published, tmp_path):
    """A reader has neither a profile nor a configuration."""
    command = [str(Path(sys.executable).parent / 'aiida-embarrier'), 'publish', '--verify', str(published.archive)]
    environment = {'AIIDA_PATH': str(tmp_path / 'empty'), 'PATH': '/usr/bin:/bin'}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'paper.aiida and paper.csv agree: 3 rows' in done.stdout
    assert 'Deprecat' not in done.stderr


def test_datasets_whose_origins_are_elsewhere(aiida_profile_clean, tmp_path):
    """Rows name the nodes that they were made of; one that is not in the archive is told."""
    import pandas as pd
    from aiida.orm import Group, Int

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.publishing.tables import read_numbers

    known = Int(1).store()
    rows = pd.DataFrame(
        {
            'name': ['a', 'b', 'c'],
            'lattice': '[[3,0,0],[0,3,0],[0,0,3]]',
            'species': '["Li"]',
            'frac_coords': '[[0,0,0]]',
            'n_atoms': pd.array([1, 1, 1], dtype='Int64'),
            'target': [0.1, 0.2, 0.3],
            'origin': [known.uuid, 'elsewhere', None],
        }
    )
    node = DatasetData(rows, schema='property', target='band_gap', target_unit='eV').store()
    group = Group('data').store()
    group.add_nodes([known, node])
    files = Files.beside(tmp_path / 'data.aiida')
    found = publish(plan_publication(group), files, Description('data'))
    [row] = read_numbers(files.table).to_dict(orient='records')
    assert (row['kind'], row['uuid'], row['n_rows'], row['n_numbers']) == ('dataset', node.uuid, 3, 6)
    assert found.n_inside == 6
    assert 'data embarrier table export UUID' in files.readme.read_text()
    assert row['content_hash'] == node.base.attributes.get('content_hash')
    assert found.warnings[0].startswith(f'1 of 2 nodes that the rows of the dataset {node.uuid} name')
    assert found.warnings[0].endswith('such as elsewhere')
