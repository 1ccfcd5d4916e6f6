"""Downloads from a server of our own that misbehaves as asked."""

import errno
import hashlib
import json
import os
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from aiida_embarrier.datasets import fetching
from aiida_embarrier.datasets.download import (
    RECORDS,
    UnpinnedError,
    WrongContentError,
    blob_id,
    download,
    sha256_of,
)
from aiida_embarrier.datasets.fetching import CHUNK
from aiida_embarrier.datasets.importing.originals import ORIGINALS
from aiida_embarrier.datasets.sources import Source, find_sources, known_sources, other_source

CONTENT = bytes(range(256)) * 1200  # 300 KiB: several chunks


@dataclass
class Behaviour:
    """What the server does.

    :param content: of the file.
    :param ranges: whether it sends parts of it.
    :param tag: its ETag, None for none.
    :param cut_after: bytes after which the connection breaks, of each answer in turn.
    :param statuses: to answer with before it does as asked.
    :param claim_length: whether it tells the length of the file.
    :param encoding: Content-Encoding that it claims.
    :param asked: paths and ranges that it was asked for.
    """

    content: bytes = CONTENT
    ranges: bool = True
    tag: str | None = '"v1"'
    cut_after: list = field(default_factory=list)
    statuses: list = field(default_factory=list)
    claim_length: bool = True
    encoding: str | None = None
    asked: list = field(default_factory=list)


class Server:
    """A server on this machine; `url` is its address."""

    def __init__(self):
        self.behaviour = Behaviour()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request):
        told = self.behaviour
        told.asked.append((request.path, request.headers.get('Range')))
        if request.path.startswith('/moved/'):
            request.send_response(302)
            request.send_header('Location', request.path.replace('/moved/', '/data/'))
            request.send_header('Content-Length', '0')
            request.end_headers()
            return
        if told.statuses or not request.path.startswith('/data/'):
            request.send_response(told.statuses.pop(0) if told.statuses else 404)
            request.send_header('Retry-After', '0')
            request.send_header('Content-Length', '0')
            request.end_headers()
            return
        start = 0
        asked = request.headers.get('Range')
        if told.ranges and asked and request.headers.get('If-Range') == told.tag:
            start = int(asked.removeprefix('bytes=').rstrip('-'))
        if start >= len(told.content):
            request.send_response(416)
            request.send_header('Content-Length', '0')
            request.end_headers()
            return
        body = told.content[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header('Content-Range', f'bytes {start}-{len(told.content) - 1}/{len(told.content)}')
        if told.tag:
            request.send_header('ETag', told.tag)
        if told.encoding:
            request.send_header('Content-Encoding', told.encoding)
        if told.claim_length:
            request.send_header('Content-Length', str(len(body)))
        request.end_headers()
        request.wfile.write(body[: told.cut_after.pop(0)] if told.cut_after else body)
        request.close_connection = True


@pytest.fixture(scope='module')
def one_server():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def server(one_server):
    one_server.behaviour = Behaviour()
    return one_server


def source(content=CONTENT, **changes):
    pinned = Source('things', 'x.bin', 'x.bin', n_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return replace(pinned, **changes)


def fetch_it(server, folder, what=None, **options):
    return download(what or source(), folder, base=f'{server.url}/data', wait=0.0, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_arrives_and_says_where_from(server, tmp_path):
    seen = []
    folder = tmp_path / 'new' / 'folder'
    found = fetch_it(server, folder, progress=lambda done, total: seen.append((done, total)))
    assert found.path.read_bytes() == CONTENT
    assert names(folder) == [RECORDS, 'x.bin']
    assert (found.sha256, found.pinned, found.present) == (source().sha256, True, False)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    record = json.loads((folder / RECORDS).read_text())['x.bin']
    assert record['address'] == f'{server.url}/data/x.bin'
    assert record['sha256'] == found.sha256
    assert record['pinned'] is True


def test_file_that_is_there_is_left_alone(server, tmp_path):
    fetch_it(server, tmp_path)
    server.behaviour.asked.clear()
    assert fetch_it(server, tmp_path).present
    assert server.behaviour.asked == []


def test_another_file_that_is_there_stays(server, tmp_path):
    (tmp_path / 'x.bin').write_text('precious')
    with pytest.raises(WrongContentError, match=r'is there already, with the sha256 .* Nothing was changed'):
        fetch_it(server, tmp_path)
    assert (tmp_path / 'x.bin').read_text() == 'precious'
    assert names(tmp_path) == ['x.bin']
    with pytest.raises(WrongContentError, match='nobody recorded the origin of'):
        fetch_it(server, tmp_path, source(sha256=None, n_bytes=None), unpinned=True)


def test_broken_connection_is_continued(server, tmp_path):
    server.behaviour.cut_after = [CHUNK, 2 * CHUNK]
    assert fetch_it(server, tmp_path).path.read_bytes() == CONTENT
    ranges = [asked for _, asked in server.behaviour.asked]
    assert ranges == [None, f'bytes={CHUNK}-', f'bytes={3 * CHUNK}-']


def test_what_arrived_stays_and_is_continued_by_the_next_run(server, tmp_path):
    server.behaviour.cut_after = [CHUNK, CHUNK]
    with pytest.raises(OSError, match=r'in 2 attempt.*131072 bytes arrived and stay in x.bin.part: run the same again'):
        fetch_it(server, tmp_path, attempts=2)
    assert names(tmp_path) == ['x.bin.part', 'x.bin.part.json']
    assert (tmp_path / 'x.bin.part').read_bytes() == CONTENT[: 2 * CHUNK]
    server.behaviour.asked.clear()
    assert fetch_it(server, tmp_path).path.read_bytes() == CONTENT
    assert [asked for _, asked in server.behaviour.asked] == [f'bytes={2 * CHUNK}-']
    assert names(tmp_path) == [RECORDS, 'x.bin']


def test_all_of_it_was_there(server, tmp_path):
    (tmp_path / 'x.bin.part').write_bytes(CONTENT)
    assert fetch_it(server, tmp_path).path.read_bytes() == CONTENT
    assert server.behaviour.asked == []
    assert names(tmp_path) == [RECORDS, 'x.bin']


def test_compressed_files_are_not_unpacked_on_their_way(server, tmp_path):
    import gzip

    content = gzip.compress(CONTENT, mtime=0)
    server.behaviour.content, server.behaviour.encoding = content, 'gzip'
    assert fetch_it(server, tmp_path, source(content)).path.read_bytes() == content


@pytest.mark.parametrize('change', ['no ranges', 'no tag', 'another version', 'weak tag', 'longer than the file'])
def test_begins_anew_where_it_cannot_go_on(server, tmp_path, change):
    told = server.behaviour
    told.cut_after = [CHUNK]
    told.tag = {'no tag': None, 'weak tag': 'W/"v1"'}.get(change, '"v0"' if change == 'another version' else '"v1"')
    with pytest.raises(OSError, match='65536 bytes arrived'):
        fetch_it(server, tmp_path, attempts=1)
    if change == 'another version':
        told.tag = '"v1"'
        (tmp_path / 'x.bin.part').write_bytes(b'of the old version')
    if change == 'longer than the file':
        (tmp_path / 'x.bin.part').write_bytes(CONTENT + b'more')
    told.ranges = change != 'no ranges'
    assert fetch_it(server, tmp_path).path.read_bytes() == CONTENT


def test_tampered_file_is_refused_and_removed(server, tmp_path):
    server.behaviour.content = CONTENT[:-1] + b'!'
    with pytest.raises(WrongContentError, match=r'is not things/x.bin: its sha256 is .* It was removed') as caught:
        fetch_it(server, tmp_path)
    assert source().sha256 in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ('content', 'claims', 'message'),
    [
        (CONTENT[:-9], True, 'has 307191 bytes, not the 307200 of that file: it was cut off'),
        (CONTENT + b'9', True, 'has 307201 bytes, not the 307200 of that file: it is another one'),
        (CONTENT + b'9' * 99, False, 'sends more than the 307200 bytes'),
    ],
)
def test_wrong_length_is_refused(server, tmp_path, content, claims, message):
    server.behaviour.content = content
    server.behaviour.claim_length = claims
    with pytest.raises(WrongContentError, match=message):
        fetch_it(server, tmp_path)
    assert names(tmp_path) == []


def test_truncation_without_a_length_is_noticed(server, tmp_path):
    told = server.behaviour
    told.claim_length = False
    told.content = CONTENT[:1000]
    told.ranges = False
    with pytest.raises(OSError, match='broke off after 1000 of 307200 bytes'):
        fetch_it(server, tmp_path, attempts=2)
    assert 'x.bin' not in names(tmp_path)


def test_busy_server_is_asked_again(server, tmp_path):
    server.behaviour.statuses = [503, 429]
    assert fetch_it(server, tmp_path).n_bytes == len(CONTENT)
    assert len(server.behaviour.asked) == 3


def test_missing_file_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(OSError, match='answers 404 Not Found: check the address'):
        download(source(), tmp_path, base=f'{server.url}/elsewhere', wait=0.0)
    assert len(server.behaviour.asked) == 1
    assert names(tmp_path) == []


def test_redirects_are_followed(server, tmp_path):
    found = download(source(), tmp_path, base=f'{server.url}/moved/')
    assert found.path.read_bytes() == CONTENT


def test_no_server(tmp_path):
    with pytest.raises(OSError, match=r'in 2 attempt\(s\): the connection failed \(.*refused\)\. Nothing arrived'):
        download(source(), tmp_path, base='http://127.0.0.1:9/data', wait=0.0, attempts=2)


def test_keys_in_addresses_are_kept_to_ourselves(server, tmp_path):
    base = server.url.replace('http://', 'http://user:secret@')
    found = download(source(), tmp_path, base=f'{base}/data')
    assert 'secret' not in found.address
    assert 'secret' not in (tmp_path / RECORDS).read_text()
    with pytest.raises(OSError, match='answers 404') as caught:
        download(source(file='y', path='y'), tmp_path, base=f'{base}/elsewhere')
    assert 'secret' not in str(caught.value)


def test_unknown_checksum_needs_a_decision(server, tmp_path):
    unknown = source(sha256=None, n_bytes=None)
    with pytest.raises(UnpinnedError, match='give it with --sha256, or take what comes with --unpinned'):
        fetch_it(server, tmp_path, unknown)
    assert server.behaviour.asked == []
    with pytest.raises(WrongContentError, match='its sha256 is'):
        fetch_it(server, tmp_path, unknown, sha256='0' * 64)
    with pytest.raises(ValueError, match='is no sha256: 64 hexadecimal digits'):
        fetch_it(server, tmp_path, unknown, sha256='abc')
    with pytest.raises(ValueError, match='leave out --sha256'):
        fetch_it(server, tmp_path, sha256='0' * 64)
    found = fetch_it(server, tmp_path, unknown, unpinned=True)
    assert found.pinned is False
    assert json.loads((tmp_path / RECORDS).read_text())['x.bin']['pinned'] is False
    assert fetch_it(server, tmp_path, unknown, unpinned=True).present
    assert fetch_it(server, tmp_path, unknown, sha256=found.sha256.upper()).present


def test_id_of_git_notices_another_version(server, tmp_path):
    (tmp_path / 'hello').write_text('hello\n')
    assert blob_id(tmp_path / 'hello') == 'ce013625030ba8dba906f756967f9e9ca394464a'  # git hash-object
    unknown = source(sha256=None, n_bytes=None, blob='ce013625')
    with pytest.raises(WrongContentError, match='git would call its content'):
        fetch_it(server, tmp_path, unknown, unpinned=True)
    server.behaviour.content = b'hello\n'
    assert fetch_it(server, tmp_path, unknown, unpinned=True).n_bytes == 6


@pytest.mark.parametrize('as_url', [False, True])
def test_from_a_folder(tmp_path, as_url):
    origin = tmp_path / 'a folder'
    origin.mkdir()
    (origin / 'x.bin').write_bytes(CONTENT)
    base = origin.as_uri() if as_url else str(origin)
    assert download(source(), tmp_path / 'to', base=base).path.read_bytes() == CONTENT
    (origin / 'x.bin').write_bytes(CONTENT[:-1])
    with pytest.raises(WrongContentError, match='it was cut off'):
        download(source(), tmp_path / 'other', base=base)
    (origin / 'x.bin').unlink()
    with pytest.raises(OSError, match=r'there is no file .* check the folder'):
        download(source(), tmp_path / 'other', base=base)


def test_full_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching.shutil, 'disk_usage', lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r'the disk of .* is full \(1000 bytes are free\): make room and run the same'):
        fetch_it(server, tmp_path)
    monkeypatch.undo()

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(fetching, '_remember', full)
    with pytest.raises(OSError, match='make room and run the same again'):
        fetch_it(server, tmp_path)
    assert 'x.bin' not in names(tmp_path)


def test_two_downloads_into_one_folder(server, tmp_path):
    import fcntl

    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(OSError, match=r'another download into .* is under way'):
            fetch_it(server, tmp_path)
    finally:
        os.close(descriptor)
    assert fetch_it(server, tmp_path).n_bytes == len(CONTENT)


def test_known_sources_are_the_files_here(shared_data):
    """What `sources.yaml` pins are the prepared files, byte by byte."""
    here = {'barriers_train', 'disordered_cifs', 'obelix', 'tl'}
    checked = 0
    for known in known_sources():
        if known.collection in here:
            path = shared_data / known.collection / known.file
            assert (path.stat().st_size, sha256_of(path)) == (known.n_bytes, known.sha256), known.name
            checked += 1
    missing = [
        path.name
        for folder in here
        for path in (shared_data / folder).iterdir()
        if path.name not in {'README.md', 'index.csv', *(known.file for known in known_sources())}
    ]
    assert missing == []
    assert checked == 41


def test_published_sources_are_pinned_to_a_commit():
    for known in known_sources():
        if known.base is not None:
            commit = known.address().split('/')[5]
            assert len(commit) == 40
            assert known.address().startswith('https://raw.githubusercontent.com/')
    with pytest.raises(ValueError, match='has no public address, because this project prepared it'):
        find_sources('barriers_train')[0].address()


def test_originals_of_properties_are_pinned_and_can_be_imported():
    found = [*find_sources('matbench'), *find_sources('matminer')]
    assert len(found) == 6
    for known in found:
        assert known.sha256 is not None
        assert known.address().startswith('https://')
        # property and unit of a file are known by its name
        assert known.file.partition('.')[0] in ORIGINALS


def test_addresses():
    [source] = find_sources('groups.json')
    path = 'barriers_train/groups.json'
    assert source.address('https://a.example') == source.address('https://a.example/') == f'https://a.example/{path}'
    assert source.address('https://a.example/b?key=c/d') == f'https://a.example/b/{path}?key=c/d'
    assert source.address('file:///b/') == f'file:///b/{path}'
    with pytest.raises(ValueError, match=r'ftp://a\.example is no address that can be read: http, https and file'):
        source.address('ftp://a.example')


def test_names_of_sources(tmp_path):
    assert {known.collection for known in find_sources('tl')} == {'tl'}
    assert [known.name for known in find_sources('groups.json')] == ['barriers_train/groups.json']
    with pytest.raises(ValueError, match=r'in several collections: say obelix/all.csv or obelix-published/all.csv'):
        find_sources('all.csv')
    with pytest.raises(ValueError, match=r"there is no source 'tll': choose a collection \(barriers_train, "):
        find_sources('tll')
    for wrong in ('../x', '/etc/passwd', '.'):
        with pytest.raises(ValueError, match='is no file below an address'):
            other_source(wrong, '0' * 64)
