"""Files in pieces: whole lines, decompressed, and as far as they can be read."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pandas as pd
import pytest

from aiida_embarrier.datasets.tables import write_parquet
from aiida_embarrier.publishing.contents import UnreadableError, lines_of, pieces, texts_of

TEXT = b'one\ntwo\nthree\n'


def all_of(content):
    return b''.join(pieces(io.BytesIO(content)))


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*contents, form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=form) as archive:
        folder = tarfile.TarInfo('folder ' + 'with a long name ' * 20)  # in a header of its own
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number, content in enumerate(contents):
            entry = tarfile.TarInfo(f'{number}')
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    'content',
    [
        TEXT,
        gzip.compress(TEXT),
        bz2.compress(TEXT),
        lzma.compress(TEXT),
        zipped(inner=TEXT),
        gzip.compress(tarred(TEXT)),
        zipped(inner=gzip.compress(TEXT)),
        gzip.compress(b'') + gzip.compress(TEXT),
        tarred(b'first', gzip.compress(TEXT)),
        tarred(gzip.compress(TEXT), form=tarfile.GNU_FORMAT),
        tarred(tarred(lzma.compress(TEXT))),
        tarred(b'') + tarred(gzip.compress(TEXT)),
        zipped(inner=gzip.compress(tarred(gzip.compress(TEXT)))),
    ],
    ids=[
        'plain',
        'gz',
        'bz2',
        'xz',
        'zip',
        'tar.gz',
        'gz in zip',
        'gz behind gz',
        'gz in tar',
        'gz in GNU tar',
        'xz in tar in tar',
        'tar behind tar',
        'gz in tar.gz in zip',
    ],
)
def test_compressed_files_are_opened(content):
    assert TEXT in all_of(content)


@pytest.mark.parametrize('text', [b'BZh is no compressed file\n', b'PAR1 is no parquet file\n'])
def test_text_that_begins_like_a_compressed_file_is_text(text):
    assert all_of(text) == text


def test_texts_of_a_table():
    frame = pd.DataFrame(
        {'name': ['one', 'two', 'one'], 'value': [1.0, 2.0, 3.0], 'kind': pd.Categorical(['x', 'y', 'x'])}
    )
    content = write_parquet(frame)
    assert all_of(content) == b'name\none\ntwo\nvalue\nkind\nx\ny\n'
    assert all_of(gzip.compress(content)) == all_of(content)
    given = pieces(io.BytesIO(content[:-20]))
    assert next(given)
    with pytest.raises(UnreadableError, match='cannot be opened'):
        list(given)


def test_no_line_is_cut():
    lines = [b'%06d\n' % number for number in range(300_000)]  # more than two chunks
    found = list(pieces(io.BytesIO(b''.join(lines))))
    assert len(found) > 1
    assert all(piece.endswith(b'\n') and len(piece) % 7 == 0 for piece in found)
    assert b''.join(found) == b''.join(lines)


def test_long_lines_are_cut_and_their_ends_come_again():
    word = b'a word across the border'
    chunks = [b'x' * 99_990 + word[:10], word[10:] + b'y' * 100]
    found = list(lines_of(chunks))
    assert len(found) == 2
    assert any(word in piece for piece in found)


@pytest.mark.parametrize('compress', [gzip.compress, bz2.compress, lambda content: lzma.compress(content, preset=0)])
def test_what_was_read_before_a_file_ends_too_early_is_given(compress):
    content = compress(b''.join(b'%06d\n' % (number * 7919 % 1_000_003) for number in range(300_000)))
    read = []
    with pytest.raises(UnreadableError, match='cut off'):
        read.extend(pieces(io.BytesIO(content[: len(content) // 2])))
    assert read
    assert read[0].startswith(b'000000\n007919\n')


def test_damaged_zip_files_are_looked_at_as_they_are():
    read = []
    with pytest.raises(UnreadableError, match='cannot be opened'):
        read.extend(pieces(io.BytesIO(b'PK\x03\x04' + TEXT)))
    assert TEXT in b''.join(read)


def read_until_damage(content, match):
    read = []
    with pytest.raises(UnreadableError, match=match):
        read.extend(pieces(io.BytesIO(content)))
    return b''.join(read)


def test_damaged_tar_archives_are_looked_at_as_far_as_they_go_and_then_as_they_are():
    whole = tarred(gzip.compress(TEXT), TEXT)
    assert read_until_damage(whole[: whole.index(TEXT) + 5], 'cut off').endswith(TEXT + TEXT[:5])
    header = whole.index(TEXT) - 512
    assert TEXT in read_until_damage(whole[:header] + b'?' + whole[header + 1 :], 'damaged')
    assert TEXT in read_until_damage(tarred(b'') + TEXT, 'damaged')


@pytest.mark.parametrize('archive', [tarred, lambda first, second: zipped(first=first, second=second)])
def test_a_damaged_file_in_an_archive_hides_none_behind_it(archive):
    damaged = gzip.compress(b'x' * 1000)[:-10]
    assert TEXT in read_until_damage(archive(damaged, gzip.compress(TEXT)), 'cut off')


def test_texts():
    assert list(texts_of({'a': ['b', 1, None, {'c': 'd'}], 'e': 2.0})) == ['a', 'b', 'c', 'd', 'e']
