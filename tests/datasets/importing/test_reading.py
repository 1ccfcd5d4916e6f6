"""Datasets come out of every format alike; damaged files and rows that are not whole are refused."""

import codecs
import gzip
import io
import json
import time

import numpy as np
import pandas as pd
import pytest
from datasets.published import as_json, five_images, ten_tags, two_ends

from aiida_embarrier.datasets.completing import endpoint_symmetry
from aiida_embarrier.datasets.importing import DatasetError, Target, published_splits, read_dataset
from aiida_embarrier.datasets.schema import GROUPS, check_rows, path_of_row, structure_of_row
from aiida_embarrier.datasets.tables import write_parquet


@pytest.fixture(scope='module')
def source(shared_data):
    """Return the bytes and the rows of the published file."""
    raw = (shared_data / 'barriers_train' / 'barriers_train.json.gz').read_bytes()
    return raw, json.loads(gzip.decompress(raw))


def some(frame):
    """Return rows of every kind: small cells, long hops as written, low symmetry, one ion only."""
    small = frame[frame['n_atoms'] < 60].head(12)
    flagged = frame[frame['flags'].str.contains('unwrapped_hop', na=False)].head(4)
    return pd.concat([small, flagged]).drop_duplicates('name').to_dict('records')


def test_published_rows(barriers, source, shared_data):
    """What the file says of each row stands in the table, and its numbers are those of the structures."""
    frame = barriers.frame
    check_rows(frame, 'barrier')
    assert (barriers.schema, barriers.target) == ('barrier', Target('migration barrier', 'eV'))
    assert list(frame['name']) == [row['sys_name'] for row in source[1]]
    csv = pd.read_csv(shared_data / 'barriers_train' / 'barriers_train.csv')
    for ours, theirs in {
        'barrier': 'barrier_eV',
        'ion': 'mobile_species',
        'structural_class': 'class',
        'functional': 'xc',
        'crystal_system': 'crystal_system',
        'path_label': 'path_info',
        'n_atoms': 'n_atoms',
        'jid': 'jid',
    }.items():
        assert list(frame[ours]) == list(csv[theirs].map(lambda x: ' '.join(x.split()) if isinstance(x, str) else x))
    np.testing.assert_allclose(frame['hop_length'], csv['path_length_A'], atol=2e-5)
    row = frame.iloc[2]
    assert structure_of_row(row).formula == 'Li31 Mn16 O48'
    np.testing.assert_array_equal(path_of_row(row), source[1][2]['path_frac'])
    assert json.loads(frame.set_index('name')['repairs']['NiO2_Mg'])[0].startswith('swapped_symmetry')
    assert frame['repairs'].notna().sum() == 6


def test_labels_that_follow(barriers, source):
    """146 rows have a single ion; the symmetry of the ends by our rule is what the source says, row by row."""
    frame = barriers.frame
    alone = [row['mobile_species'] not in row['species'] for row in source[1]]
    assert list(frame['charge_state'] == 'charged') == alone
    assert frame['host'].notna().all()
    assert frame.set_index('name')['host']['MgTb2Se4'] == 'Tb2Se4' or frame['host'][1] == 'TbSe2'
    assert frame['structural_group'].nunique() <= 27
    rows = frame[frame['n_atoms'] < 150].to_dict('records')
    assert [endpoint_symmetry(row) for row in rows] == [row['endpoint_symmetry'] for row in rows]


def test_import_is_quick(source):
    """All rows in 60 s at most; 4 s of one core were measured."""
    start = time.process_time()
    assert read_dataset(source[0]).report['n_rows'] == 559
    assert time.process_time() - start < 60


SAME = ['name', 'n_atoms', 'barrier', 'ion', 'host', 'charge_state', 'structural_group', 'host_group', 'chemsys_group']


@pytest.mark.parametrize('convert', [five_images, two_ends, ten_tags])
def test_round_trip(barriers, convert):
    """The formats of others give the same rows: atoms, path, labels."""
    rows = some(barriers.frame)
    found = read_dataset(as_json(rows, convert)).frame
    if convert is ten_tags:
        assert list(found['functional']) == [row['functional'] for row in rows]
        assert list(found['source']) == [f'@article{{{row["name"]}}}' for row in rows]
    # Groups of these rows only, as other formats have them, and not those of the whole dataset.
    reference = read_dataset(write_parquet(pd.DataFrame(rows).drop(columns=list(GROUPS)))).frame
    for column in SAME:
        assert list(found[column]) == list(reference[column]), column
    wrapped = convert is five_images
    for row, mine in zip(rows, found.to_dict('records'), strict=True):
        assert json.loads(mine['species']) == json.loads(row['species'])
        for column in ('lattice', 'frac_coords'):
            np.testing.assert_allclose(json.loads(mine[column]), json.loads(row[column]), atol=1e-7)
        path, mine_path = path_of_row(row), path_of_row(mine)
        if wrapped:  # the composite has the ion inside the cell
            shift = mine_path[0] - path[0]
            np.testing.assert_allclose(shift, np.round(shift), atol=1e-7)
            path = path + np.round(shift)
        np.testing.assert_allclose(mine_path, path, atol=1e-7)
        assert mine['hop_length'] == pytest.approx(row['hop_length'], abs=1e-4)
        assert mine['endpoint_symmetry'] == row['endpoint_symmetry']


def test_atoms_in_another_order(barriers):
    """Atoms of the final state in reverse order are found again, and the hop goes the shortest way."""
    rows = [row for row in some(barriers.frame) if not isinstance(row['flags'], str)][:4]
    found = read_dataset(as_json(rows, lambda row: ten_tags(row, shuffled=True))).frame
    for row, mine in zip(rows, found.to_dict('records'), strict=True):
        assert json.loads(mine['species']) == json.loads(row['species'])
        assert mine['hop_length'] == pytest.approx(row['hop_length'], abs=1e-4)
        assert mine.get('final_frac_coords') is None or pd.isna(mine['final_frac_coords'])


def test_final_state_of_its_own(barriers):
    """A framework that moved and a lattice that changed are kept, and the lattice is marked."""
    row = two_ends(some(barriers.frame)[0])
    row['atoms_fin']['coords'][5][0] += 0.02 + 1  # a place in the next cell is the same place
    row['atoms_fin']['lattice_mat'][0][0] += 0.05
    found = read_dataset(json.dumps([row]).encode())
    mine = found.frame.iloc[0]
    moved = np.array(json.loads(mine['final_frac_coords'])) - np.array(json.loads(mine['frac_coords']))
    assert moved[4, 0] == pytest.approx(0.02)
    assert np.abs(moved).sum() == pytest.approx(0.02)
    assert json.loads(mine['final_lattice'])[0][0] == pytest.approx(row['atoms_ini']['lattice_mat'][0][0] + 0.05)
    assert found.report['flags']['lattice_mismatch'] == 1


def test_cartesian_coordinates(barriers):
    row = five_images(some(barriers.frame)[0])
    atoms = row['atoms']
    cartesian = {**atoms, 'coords': (np.array(atoms['coords']) @ atoms['lattice_mat']).tolist(), 'cartesian': True}
    plain, other = (read_dataset(json.dumps([{**row, 'atoms': one}]).encode()).frame for one in (atoms, cartesian))
    np.testing.assert_allclose(*(json.loads(one['frac_coords'][0]) for one in (plain, other)), atol=1e-7)


def test_own_tables(barriers, tmp_path):
    """CSV and parquet give back exactly what was exported."""
    frame = barriers.frame.head(40)
    frame = frame.dropna(axis=1, how='all')
    frame.to_csv(tmp_path / 'some.csv', index=False)
    (tmp_path / 'some.parquet').write_bytes(write_parquet(frame))
    for file in ('some.csv', 'some.parquet'):
        back = read_dataset(tmp_path / file).frame
        pd.testing.assert_frame_equal(back, frame)


def test_labels_of_own_tables_are_kept(barriers):
    """Groups that a table has stay, gaps take the label of the rows that they belong with, and a note says so."""
    frame = barriers.frame[barriers.frame['n_atoms'] < 60].head(30).drop(columns=['flags', *GROUPS])
    plain = read_dataset(write_parquet(frame.reset_index(drop=True)))
    assert plain.report['notes'] == []
    ours = plain.frame['family_group']
    members = plain.frame['name'][ours == ours.mode()[0]].tolist()
    given = pd.Series(['mine', *plain.frame['family_group'][1:]]).mask(plain.frame['name'].isin(members[1:]))
    given = given.mask(plain.frame['name'] == members[0], 'theirs')
    marked = plain.frame.assign(family_group=given, flags='["unknown_class"]', charge_state='charged')
    back = read_dataset(write_parquet(marked))
    expected = given.mask(plain.frame['name'].isin(members), 'theirs')
    assert len(members) > 1
    assert back.frame['family_group'].tolist() == expected.tolist()
    assert set(back.frame['charge_state']) == {'charged'}
    assert back.report['flags'] == plain.report['flags'], 'flags are found anew'
    assert back.report['notes'][-1].startswith('flags: found anew')
    torn = read_dataset(write_parquet(plain.frame.assign(family_group=plain.frame['name'])))
    assert torn.frame['family_group'].tolist() == plain.frame['name'].tolist()
    assert torn.report['notes'][0].startswith('family_group: the labels that 30 of 30 rows were given are kept')


def test_property_tables(shared_data):
    found = read_dataset(shared_data / 'tl' / 'pz.parquet')
    assert (found.schema, found.target.unit, len(found.frame)) == ('property', 'C/m²', 941)
    check_rows(found.frame, 'property')
    raw = pd.read_parquet(shared_data / 'tl' / 'pz.parquet')
    np.testing.assert_array_equal(found.frame['target'], raw['target'])
    assert list(found.frame['published_split']) == list(raw['split_paper'])
    assert found.frame['name'][7] == f'pz-{raw["row_id"][7]}'
    assert structure_of_row(found.frame.iloc[0]).composition.reduced_formula == 'AgI'
    scaled = read_dataset(shared_data / 'tl' / 'jarvis2d.parquet')
    assert scaled.report['notes'] == ['only the scaled numbers are known: target is target_scaled']
    raw_bytes = (shared_data / 'tl' / 'pz.parquet').read_bytes()
    with pytest.raises(DatasetError, match=r'which property its numbers are .* --target'):
        read_dataset(raw_bytes)
    assert read_dataset(raw_bytes, target=Target('modulus', 'C/m²')).target.name == 'modulus'


def test_published_splits(shared_data):
    splits = published_splits(shared_data / 'tl' / 'splits.json.gz', 'pz')
    sizes = splits.groupby('sample').size()
    assert (sizes['test'], sizes['trial1_10'], sizes['trial5_800']) == (94, 10, 800)
    raw = pd.read_parquet(shared_data / 'tl' / 'pz.parquet')
    test = set(splits['row_id'][splits['sample'] == 'test'])
    assert test == set(raw['row_id'][raw['split_paper'] == 'test'])
    with pytest.raises(DatasetError, match="has no dataset 'none': choose from bg, dc"):
        published_splits(shared_data / 'tl' / 'splits.json.gz', 'none')
    with pytest.raises(DatasetError, match='ids of published splits and no rows'):
        read_dataset(shared_data / 'tl' / 'splits.json.gz')


# ---------------------------------------------------------------- what is refused


def changed(source, **changes):
    """Return a file with the first row of the published one changed; None takes a tag away."""
    return written([without(source[1][0], **changes), source[1][1]])


def without(row, **changes):
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


def written(rows):
    return gzip.compress(json.dumps(rows).encode())


def test_damaged_files(source, tmp_path, shared_data):
    raw = source[0]
    for content, message in (
        (b'', 'is empty: write or download it again'),
        (raw[:-2000], 'ends too early, .* download it again'),
        (raw[:5000] + bytes([raw[5000] ^ 255]) + raw[5001:], 'is damaged .*download it again|ends too early'),
        (gzip.decompress(raw)[:100_000], 'the file ends too early|is no JSON'),
        (b'PAR1' + b'x' * 100, 'is a damaged parquet file'),
        (b'\x89PNG\r\n\x1a\n\x00\x00\xff', 'neither JSON, parquet nor text in UTF-8'),
        (b'[]', 'holds no rows'),
        (b'[1, 2]', 'none of the formats'),
        (b'{"a": 1}', 'none of the formats'),
        (b'just text\nof some lines\n', 'none of the formats of datasets: it has a single column'),
        (b'a,b\n1,2\n', 'none of the formats of datasets .* it has a, b. A table needs'),
        (b'name,b\n1,2\n', r'for table it lacks species\. A table needs'),
        (
            written([without(row, path_frac=None) for row in source[1][:2]]),
            'for barriers-train it lacks path_frac; for',
        ),
    ):
        with pytest.raises(DatasetError, match=message):
            read_dataset(content)
    with pytest.raises(DatasetError, match=r'has labels and no structures: import barriers_train\.json\.gz'):
        read_dataset(shared_data / 'barriers_train' / 'barriers_train.csv')
    with pytest.raises(FileNotFoundError, match='there is no file'):
        read_dataset(tmp_path / 'none.json')
    with pytest.raises(DatasetError, match="no format 'cif' of datasets: choose from barriers-train"):
        read_dataset(raw, 'cif')
    with pytest.raises(DatasetError, match="is json, which the format 'table' is not"):
        read_dataset(raw, 'table')


def test_rows_that_are_not_whole(source):
    row = source[1][0]
    nanometres = (np.array(row['lattice']) / 10).tolist()
    for changes, message in (
        ({'sys_name': None}, 'row 0 has no sys_name'),
        ({'species': []}, 'row Li4P2S7 has no species: every row needs a structure'),
        ({'lattice': None}, 'row Li4P2S7 has no lattice'),
        ({'barrier_eV': float('nan')}, "1 of 2 rows have no 'barrier_eV'"),
        ({'barrier_eV': 'high'}, "barrier_eV: 'high' is no number"),
        ({'lattice': nanometres}, 'give lengths in Å'),
        ({'lattice': (1.01 * np.array(row['lattice'])).tolist()}, 'path_length_A is 4.48.*the file was altered'),
        ({'species': row['species'][:-1]}, '205 species and coordinates of shape'),
        ({'species': ['Na', *row['species'][1:]]}, 'its composite is Li67 P32 S112, its species and path make'),
        ({'species': ['Xx', *row['species'][1:]]}, "'Xx' is no element"),
        ({'n_atoms': 17}, 'n_atoms is 17, its structure and path have 207'),
        ({'sys_name': 'MgTb2Se4'}, r"1 name\(s\) are there more than once \('MgTb2Se4'\).*X_1, X_2"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_dataset(changed(source, **changes))


def test_rows_of_others_that_are_not_whole(barriers):
    row = ten_tags(some(barriers.frame)[0])
    disordered = json.loads(json.dumps(row))
    disordered['structure_ini']['sites'][0]['species'][0]['occu'] = 0.5
    fewer = json.loads(json.dumps(row))
    fewer['structure_fin']['sites'].pop()
    for wrong, message in (
        ({**row, 'structure_ini': None}, 'structure_ini: there is no structure'),
        ({**row, 'structure_fin': {'atoms': 1}}, 'a mapping of neither pymatgen .* nor JARVIS .* it has atoms'),
        ({**row, 'structure_fin': {'lattice': 1, 'sites': 2}}, 'structure_fin: the structure cannot be read'),
        (disordered, 'partly occupied sites: order it first'),
        (fewer, 'are not two ends of one hop: the endpoints differ in their number of atoms'),
        ({**row, 'target': None}, "no row has a barrier: nothing stands in 'target'"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_dataset(json.dumps([wrong]).encode())
    composite = five_images(some(barriers.frame)[0])
    composite['atoms']['elements'][2] = 'O'
    with pytest.raises(DatasetError, match='a composite begins with 5 places of the ion, this one with'):
        read_dataset(json.dumps([composite]).encode())


def test_paths_without_barriers(source, barriers):
    """Of every format, where they are asked for: rows that are to be predicted."""
    published = [{key: value for key, value in row.items() if key != 'barrier_eV'} for row in source[1][:2]]
    others = [make(some(barriers.frame)[0]) for make in (ten_tags, five_images)]
    for rows in (published, *([{**row, 'target': None}] for row in others)):
        found = read_dataset(json.dumps(rows).encode(), labelled=False)
        assert found.schema == 'barrier'
        assert len(found.frame) == len(rows)
        assert 'barrier' not in found.frame
        with pytest.raises(DatasetError, match='no row has a barrier'):
            read_dataset(json.dumps(rows).encode())
    frame = barriers.frame.head(2)
    gap = read_dataset(frame.assign(barrier=[0.1, np.nan]).to_csv(index=False).encode(), labelled=False).frame
    assert gap['barrier'].isna().tolist() == [False, True]
    assert gap['path'].tolist() == frame['path'].tolist()
    none = read_dataset(frame.drop(columns='barrier').to_csv(index=False).encode(), labelled=False)
    assert (none.schema, len(none.frame)) == ('barrier', 2)


def test_tables_that_do_not_fit(barriers):
    frame = barriers.frame.head(2)
    for wrong, message in (
        (frame.drop(columns='ion'), "a barrier dataset needs the column 'ion'"),
        (frame.assign(species='Li O'), 'lattice, species, frac_coords and path are JSON'),
        (frame.assign(lattice=None, species=''), 'row Li4P2S7 has no structure: nothing stands in lattice, species'),
        (frame.assign(path=None), 'row .* has no path: nothing stands in path'),
        (frame.assign(n_atoms=3), 'n_atoms is 3, its species are 207'),
        (frame.assign(path='[[0,0,0]]'), 'a path is two or more positions'),
        (frame.assign(name='same'), "more than once \\('same'\\)"),
        (frame.assign(barrier=[0.1, np.nan]), "1 of 2 rows have no 'barrier' .eV., MgTb2Se4 the first"),
        (
            frame.assign(barrier=[0.1, 'high']),
            "row 1 .MgTb2Se4. has 'high' in the column 'barrier', which is no number",
        ),
        (frame.assign(n_atoms=['x', 3]), "row 0 .Li4P2S7. has 'x' in the column 'n_atoms', which is no whole number"),
        (frame.assign(ion='Qq'), "the migrating ion 'Qq' is no element"),
        (
            frame.assign(final_frac_coords='[[0,0,0]]'),
            'final state: 206 species and coordinates of shape .1, 3. do not',
        ),
        (frame.assign(final_lattice='[1,2]'), 'final state: the lattice is not three vectors'),
        (frame.assign(final_lattice='x'), 'final_lattice are JSON'),
        (frame[:0], 'the file holds no rows'),
    ):
        with pytest.raises(DatasetError, match=message):
            read_dataset(wrong.to_csv(index=False).encode())
    mixed = frame.assign(note=[[1.0, 2.0], [3.0]])
    buffer = io.BytesIO()
    mixed.to_parquet(buffer)
    with pytest.raises(DatasetError, match="the column 'note' holds ndarray, which no table keeps"):
        read_dataset(buffer.getvalue())


def test_columns_of_others_keep_their_types(barriers):
    """What is beside the columns of a schema comes back as it was, with gaps, and where rows are repaired."""
    frame = barriers.frame.head(4).assign(
        checked=pd.array([True, None, False, None], dtype='boolean'),
        number=pd.array([2**60 + 1, None, 1, 2], dtype='Int64'),
        kind=pd.Categorical(['a', 'b', 'a', None]),
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    found = read_dataset(buffer.getvalue(), repairs=['class_alias'])
    assert len(found.repairs)
    pd.testing.assert_frame_equal(found.frame[['checked', 'number', 'kind']], frame[['checked', 'number', 'kind']])
    write_parquet(found.frame)


def test_tags_of_the_wrong_kind(source):
    """A tag that holds what nobody expects there is named with its row, and files may begin with a mark of UTF-8."""
    row = source[1][0]
    for changes, message in (
        ({'published_predictions_eV': [1]}, f'row {row["sys_name"]}: a tag holds what its format does not have there'),
        ({'n_atoms': '6'}, f'row {row["sys_name"]}: a tag holds what'),
        ({'mobile_species': ['Li']}, "the migrating ion .'Li'. is no element"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_dataset(json.dumps([{**row, **changes}]).encode())
    with pytest.raises(DatasetError, match='nested too deeply'):
        read_dataset(b'[' * 100_000)
    marked = read_dataset(codecs.BOM_UTF8 + json.dumps([row]).encode())
    assert list(marked.frame['name']) == [row['sys_name']]
