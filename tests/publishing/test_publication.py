"""All three files are written, or none; what must not go out does not."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from emulators.vasp.potcars import potcar

from aiida_embarrier.publishing.archive import export_archive
from aiida_embarrier.publishing.publication import Files, plan_publication, publish
from aiida_embarrier.publishing.readme import Description
from aiida_embarrier.publishing.tables import read_numbers
from aiida_embarrier.publishing.verification import verify

PAPER = Description('Hops in aluminium', ('A. One', 'B. Two'), 'CC-BY-4.0')


def test_three_files(group, tmp_path):
    files = Files.beside(tmp_path / 'paper.aiida')
    found = publish(plan_publication(group), files, PAPER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['paper.README.md', 'paper.aiida', 'paper.csv']
    assert (found.n_rows, found.n_nodes, found.warnings) == (3, 7, [])
    table = read_numbers(files.table)
    assert table['name'].tolist()[:2] == ['first', 'second']
    text = files.readme.read_text()
    for part in ('# Hops in aluminium', 'A. One; B. Two', 'CC-BY-4.0', *table['uuid'], '| `barrier_span` | eV |'):
        assert part in text
    assert verify(files.archive, files.table) == found


def test_parquet_elsewhere(group, tmp_path):
    (tmp_path / 'tables').mkdir()
    files = Files.beside(tmp_path / 'paper.aiida', tmp_path / 'tables' / 'numbers.parquet')
    publish(plan_publication(group), files, PAPER)
    assert len(read_numbers(files.table)) == 3
    assert '--table tables/numbers.parquet' in files.readme.read_text()


@pytest.mark.parametrize('name', ['paper.aiida', 'paper.csv', 'paper.README.md'])
def test_files_that_exist_stay(group, tmp_path, name):
    (tmp_path / name).write_text('mine')
    plan, files = plan_publication(group), Files.beside(tmp_path / 'paper.aiida')
    with pytest.raises(ValueError, match=f'{name} exists'):
        publish(plan, files, PAPER)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, 'mine')]
    publish(plan, files, PAPER, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 3


def test_nothing_is_left_of_what_failed(group, tmp_path, monkeypatch):
    """Numbers that the archive does not confirm are not published, and no file is half-written."""
    plan = plan_publication(group)
    plan.numbers.loc[0, 'barrier_forward'] += 1e-12
    with pytest.raises(ValueError, match=r'barrier_forward of .* is 0\.60000000000\d* in the table, and 0.6 from'):
        publish(plan, Files.beside(tmp_path / 'paper.aiida'), PAPER)
    assert list(tmp_path.iterdir()) == []


def test_names_that_collide(tmp_path):
    with pytest.raises(ValueError, match='names of their own'):
        Files.beside(tmp_path / 'x.csv', tmp_path / 'x.csv').check(overwrite=False)
    with pytest.raises(ValueError, match='is a folder'):
        Files.beside(tmp_path).check(overwrite=True)


def test_empty_groups(aiida_profile_clean):
    from aiida.orm import Group

    with pytest.raises(ValueError, match="the group 'none' is empty"):
        plan_publication(Group('none').store())


def test_processes_that_run(aiida_profile_clean):
    from aiida.orm import Group, WorkChainNode

    chain = WorkChainNode().store()
    chain.set_process_state('running')
    group = Group('running').store()
    group.add_nodes(chain)
    with pytest.raises(ValueError, match=rf'process {chain.pk} has not ended \(state: running\)'):
        plan_publication(group)


@pytest.mark.parametrize('failing', ['paper.aiida', 'paper.csv', 'paper.README.md'])
def test_what_was_there_stays_where_a_file_cannot_take_its_place(group, tmp_path, monkeypatch, failing):
    files = Files.beside(tmp_path / 'paper.aiida')
    for path in (files.archive, files.table):
        path.write_text('mine')
    seen, replace = [], Path.replace

    def moved(path, target):
        if path.name == failing and target.parent == tmp_path:
            raise OSError('no space left')
        found = replace(path, target)
        if tmp_path in {path.parent, target.parent}:
            seen.append(files.archive.exists())
        return found

    monkeypatch.setattr(Path, 'replace', moved)
    with pytest.raises(OSError, match='no space left'):
        publish(plan_publication(group), files, PAPER, overwrite=True)
    assert sorted((path.name, path.read_text()) for path in tmp_path.iterdir()) == [
        ('paper.aiida', 'mine'),
        ('paper.csv', 'mine'),
    ]
    # the archive leaves first and comes back last: it never stands beside a table that does not belong to it
    assert len(seen) >= 3
    assert seen == [False] * (len(seen) - 1) + [True]


def licensed_file():
    from aiida.orm import SinglefileData

    return SinglefileData(io.BytesIO(potcar('Al').encode()), filename='notes.txt').store()


def test_licensed_members_are_refused_and_can_be_left_out(group, tmp_path):
    node, files = licensed_file(), Files.beside(tmp_path / 'paper.aiida')
    group.add_nodes(node)
    with pytest.raises(ValueError, match=rf'node {node.pk} \(SinglefileData\), file notes.txt .*--exclude {node.pk}'):
        publish(plan_publication(group), files, PAPER)
    assert list(tmp_path.iterdir()) == []
    found = publish(plan_publication(group, exclude=[str(node.pk)]), files, PAPER)
    assert found.n_rows == 3
    assert 'in the group' not in files.readme.read_text()
    assert verify(files.archive, files.table).n_nodes == 7
    with pytest.raises(ValueError, match='no member of the group'):
        plan_publication(group, exclude=['123456'])


def test_a_compressed_potential_in_a_tar_archive_is_refused(group, tmp_path):
    from aiida.orm import SinglefileData

    (tmp_path / 'POTCAR.gz').write_bytes(gzip.compress(potcar('Al').encode()))
    with tarfile.open(tmp_path / 'x.tar', 'w') as archive:
        archive.add(tmp_path / 'POTCAR.gz', 'POTCAR.gz')
    node = SinglefileData(tmp_path / 'x.tar').store()
    group.add_nodes(node)
    with pytest.raises(
        ValueError, match=rf'node {node.pk} \(SinglefileData\), file x.tar holds the content of a POTCAR'
    ):
        plan_publication(group).refuse()


def test_licensed_ancestors_are_refused_with_what_came_from_them(aiida_profile_clean, tmp_path):
    from aiida.engine import calcfunction
    from aiida.orm import Group, Int

    @calcfunction
    def read(file):
        return Int(len(file.get_content()))

    node = licensed_file()
    result = read(node)
    group = Group('paper').store()
    group.add_nodes(result)
    with pytest.raises(ValueError, match=rf'node {node.pk} .*POTCAR.*: {result.pk} came from it'):
        plan_publication(group).refuse()
    with pytest.raises(ValueError, match='POTCAR'):
        export_archive(tmp_path / 'x.aiida', [result])
    assert list(tmp_path.iterdir()) == []


def test_licensed_types_are_refused(make_band, tmp_path, monkeypatch):
    from aiida_embarrier.publishing import licences

    band = make_band()
    # No plugin with licensed files is installed here: let the type of this node be one of theirs.
    monkeypatch.setattr(licences, 'LICENSED_TYPES', (band.node_type,))
    with pytest.raises(ValueError, match=rf'node {band.pk} \(BandData\) holds the content of a POTCAR'):
        export_archive(tmp_path / 'x.aiida', [band])
    assert not (tmp_path / 'x.aiida').exists()


def test_strict(group):
    from aiida.orm import Dict

    plan_publication(group).refuse(strict=True)
    group.add_nodes(Dict({'folder': '/home/ann/data'}).store())
    plan = plan_publication(group)
    plan.refuse()
    with pytest.raises(ValueError, match='2 findings tell of people and machines, the first is the user ann'):
        plan.refuse(strict=True)


def test_warnings(group):
    from systems import computed_band, straight_band

    from aiida_embarrier.data.band import BandData

    assert plan_publication(group).warnings == []
    group.add_nodes([BandData(straight_band()).store(), BandData(computed_band().replace(converged=False)).store()])
    texts = plan_publication(group).warnings
    assert [text.split(',')[0] for text in texts] == ['1 bands have no energies', '1 bands did not converge']


def test_sources_of_datasets_are_listed(aiida_profile_clean):
    import pandas as pd
    from aiida.orm import Group

    from aiida_embarrier.data.dataset import DatasetData

    row = {'name': 'a', 'lattice': '[[3,0,0],[0,3,0],[0,0,3]]', 'species': '["Li"]', 'frac_coords': '[[0,0,0]]'}
    rows = pd.DataFrame({**{key: [value] for key, value in row.items()}, 'target': [0.1]})
    rows['n_atoms'] = pd.array([1], dtype='Int64')
    group = Group('data').store()
    nodes = [DatasetData(rows, schema='property', target='gap', source=source).store() for source in ('A. One', None)]
    group.add_nodes(nodes)
    [warning] = plan_publication(group).warnings
    assert warning.startswith(
        f'rows of datasets go out with the archive (A. One; 1 without a source, such as {nodes[1].uuid}): check'
    )


def test_estimate_is_of_the_right_size(group, tmp_path):
    plan, files = plan_publication(group), Files.beside(tmp_path / 'paper.aiida')
    publish(plan, files, PAPER)
    assert 0.4 < plan.n_bytes / files.archive.stat().st_size < 2.5
