"""Known defects are found, rows that have one stay in, and repairs change what they say and nothing else."""

import json

import numpy as np
import pandas as pd
import pytest
from datasets.published import as_json, two_ends

from aiida_embarrier.bands.alignment import AlignmentError, align_endpoints
from aiida_embarrier.bands.geometry import minimum_image
from aiida_embarrier.datasets.defects import DEFECTS, find_defects
from aiida_embarrier.datasets.importing import DatasetError, read_dataset
from aiida_embarrier.datasets.repairs import REPAIRS, repair
from aiida_embarrier.datasets.schema import endpoints_of_row, flags_of, path_of_row, structure_of_row
from aiida_embarrier.datasets.tables import write_parquet


def test_published_rows(barriers, shared_data):
    """The defects that the source describes, row by row."""
    csv = pd.read_csv(shared_data / 'barriers_train' / 'barriers_train.csv').set_index('sys_name')
    flags = {row['name']: flags_of(row) for row in barriers.frame.to_dict('records')}
    marked = {key: {name for name, keys in flags.items() if key in keys} for key in DEFECTS}
    longer = csv['path_length_A'] - csv['path_length_mic_A'] > 1e-3
    assert marked['unwrapped_hop'] == set(csv.index[longer])
    assert len(marked['unwrapped_hop']) == 12
    assert marked['low_symmetry_endpoints'] == set(csv.index[csv['endpoint_symmetry'] == 'low_symmetry'])
    near = csv['path_min_distance_min_A']
    assert set(csv.index[near < 0.495]) <= marked['coinciding_atoms']
    assert set(csv.index[(near > 0.505) & (near < 0.995)]) <= marked['close_ion']
    assert marked['implausible_barrier'] == {'LiRuO2_1', 'RuO2_Li_1'}
    aliases = {'SPINELS', 'CUBIC', 'SILICATES', 'POST-SPINEL(CF)', 'OXYFLUROIDES', 'CARBONOPHOSPHATES', 'ALLUADITE'}
    assert set(csv.index[csv['class'].isin(aliases)]) <= marked['class_alias']
    assert not marked['swapped_symmetry'], 'the source swapped them back'
    assert marked['unaligned_endpoints'] == {f'Na4MnAlP3O12_{number}' for number in (1, 2, 3)}
    assert barriers.report['n_rows'] == 559
    assert barriers.report['flags'] == {key: len(names) for key, names in marked.items() if names}
    assert barriers.report['n_flagged'] == sum(map(bool, flags.values()))


@pytest.mark.slow
def test_every_row_has_two_ends(barriers):
    """The ends of each row are aligned by the general search, as the quick check says: all but three become bands."""
    refused = []
    for row in barriers.frame.to_dict('records'):
        if row['n_atoms'] > 450:  # of which the search takes 3 to 10 s each
            continue
        try:
            band = align_endpoints(*endpoints_of_row(row), ion=row['ion'], keep_images=True)
        except AlignmentError as error:
            refused.append((row['name'], str(error)))
            continue
        assert band.mobile == (0,)
        assert band.hop_length == pytest.approx(row['hop_length'], abs=1e-3)
        still = np.delete(band.positions[-1] - band.positions[0], 0, axis=0)
        assert np.abs(still).max() < 1e-6
    assert sorted(name for name, _ in refused) == [f'Na4MnAlP3O12_{number}' for number in (1, 2, 3)]
    assert all('stands there twice' in message for _, message in refused)


def one(barriers, **changes):
    """Return a table of one small row without defects, changed."""
    plain = barriers.frame[barriers.frame['flags'].isna() & (barriers.frame['n_atoms'] < 60)]
    return plain.head(1).reset_index(drop=True).drop(columns='flags').assign(**changes)


def defects(frame):
    return find_defects(frame).counts


def test_swapped_columns(barriers):
    frame = one(barriers)
    system, group = frame['crystal_system'][0], frame['space_group'][0]
    swapped = frame.assign(crystal_system=group, space_group=system)
    assert defects(frame) == {}
    assert defects(swapped) == {'swapped_symmetry': 1}
    back = repair(swapped, ['swapped_symmetry'])
    assert (back.frame['crystal_system'][0], back.frame['space_group'][0]) == (system, group)
    assert back.table.to_dict('records')[0]['defect'] == 'swapped_symmetry'
    assert 'they are swapped back' in json.loads(back.frame['repairs'][0])[-1]
    for wrong in ('P1', 'Fd-3m', 'P-1', 'I41/amd', 'Pnma', 'C2/m', 'P42/mnm', 'R-3m', 'P63mc'):
        assert defects(frame.assign(crystal_system=wrong, space_group='Cubic')) == {'swapped_symmetry': 1}


def test_names_of_symmetry_and_class(barriers):
    frame = one(barriers, crystal_system=' orthorhombic', space_group='CmCm', structural_class='SPINELS')
    assert defects(frame) == {'symmetry_alias': 1, 'class_alias': 1}
    only = repair(frame, ['class_alias'])
    assert (only.frame['space_group'][0], only.frame['structural_class'][0]) == ('CmCm', 'SPINEL')
    both = repair(frame, ['class_alias', 'symmetry_alias']).frame
    assert (both['crystal_system'][0], both['space_group'][0]) == ('Orthorhombic', 'Cmcm')
    assert defects(both) == {}
    assert defects(one(barriers, structural_class='ORTHORHOMBIC')) == {'unknown_class': 1}


def test_atom_that_stands_there_twice(barriers):
    """A copy of an atom is found and removed; atoms of two elements in one place are not touched."""
    frame = one(barriers)
    row = frame.iloc[0]
    species, coords = json.loads(row['species']), json.loads(row['frac_coords'])

    def with_atom(symbol):
        moved = [coords[3][0] + 0.01 + 1, *coords[3][1:]]  # 0.1 Å away, in the next cell
        added = {'species': json.dumps([*species, symbol]), 'frac_coords': json.dumps([*coords, moved])}
        return frame.assign(**added, n_atoms=pd.array([row['n_atoms'] + 1], 'Int64'))

    twice = with_atom(species[3])
    report = find_defects(twice)
    assert report.flags[row['name']] == ['coinciding_atoms', 'unaligned_endpoints']
    assert f'{species[3]} 4 and {species[3]} {len(species) + 1} are 0.' in report.table['detail'][0]
    back = repair(twice, ['coinciding_atoms']).frame.iloc[0]
    assert json.loads(back['species']) == species
    assert (back['n_atoms'], back['frac_coords']) == (row['n_atoms'], row['frac_coords'])
    other = with_atom('Xe')
    assert not find_defects(other).table['repairable'].any()
    assert len(repair(other, ['coinciding_atoms']).table) == 0


def test_ion_that_is_still_there(barriers):
    """Of an ion whose final site is not empty, the atom in that site is removed."""
    frame = one(barriers)
    row = frame.iloc[0]
    end = path_of_row(row)[-1].tolist()
    species, coords = [*json.loads(row['species']), row['ion']], [*json.loads(row['frac_coords']), end]
    full = frame.assign(species=json.dumps(species), frac_coords=json.dumps(coords), n_atoms=row['n_atoms'] + 1)
    full['n_atoms'] = full['n_atoms'].astype('Int64')
    assert defects(full) == {'coinciding_atoms': 1, 'unaligned_endpoints': 1}
    found = read_dataset(write_parquet(full), repairs=['coinciding_atoms'])
    assert structure_of_row(found.frame.iloc[0]).formula == structure_of_row(row).formula
    assert found.report['found'] == {'coinciding_atoms': 1, 'unaligned_endpoints': 1}
    assert found.report['flags'] == {}
    assert 'flags' not in found.frame


def test_ion_that_is_still_there_twice(barriers):
    """Of two atoms in the final site, or one in it and its copy beside it, none stays."""
    frame = one(barriers)
    row = frame.iloc[0]
    end, across = path_of_row(row)[-1], np.linalg.inv(np.array(json.loads(row['lattice'])))
    for shifts in ((0.0, 0.1), (0.3, -0.3), (0.4, 0.7), (0.7, 0.4), (0.1, 0.2, 0.3)):
        extra = [(end + np.array([shift, 0, 0]) @ across).tolist() for shift in shifts]
        species = [*json.loads(row['species']), *[row['ion']] * len(extra)]
        coords = json.dumps([*json.loads(row['frac_coords']), *extra])
        n_atoms = pd.array([row['n_atoms'] + len(extra)], 'Int64')
        full = frame.assign(species=json.dumps(species), frac_coords=coords, n_atoms=n_atoms)
        found = read_dataset(write_parquet(full), repairs=['coinciding_atoms'])
        assert structure_of_row(found.frame.iloc[0]).formula == structure_of_row(row).formula, shifts
        assert found.report['flags'] == {}


def test_ion_that_goes_through_an_atom(barriers):
    frame = one(barriers)
    row = frame.iloc[0]
    coords, lattice = np.array(json.loads(row['frac_coords'])), np.array(json.loads(row['lattice']))
    path = path_of_row(row)
    path[2] = coords[5] + np.array([0.8, 0, 0]) @ np.linalg.inv(lattice)
    close = frame.assign(path=json.dumps(path.tolist()))
    assert defects(close) == {'close_ion': 1}
    assert 'position 2 of the ion is 0.80 Å from' in find_defects(close).table['detail'][0]
    path[2] = coords[5]
    through = find_defects(frame.assign(path=json.dumps(path.tolist())))
    assert (through.counts, bool(through.table['repairable'][0])) == ({'coinciding_atoms': 1}, False)


def test_hop_that_is_not_wrapped(barriers):
    """The long way as written is kept; a repair takes the shortest one, and only where that is asked for."""
    rows = barriers.frame[barriers.frame['flags'].str.contains('unwrapped_hop', na=False)].reset_index(drop=True)
    assert list(repair(rows, ['class_alias']).frame['path']) == list(rows['path'])
    done = repair(rows, ['unwrapped_hop']).frame
    for before, after in zip(rows.to_dict('records'), done.to_dict('records'), strict=True):
        lattice = np.array(json.loads(before['lattice']))
        hops = [(path[-1] - path[0]) @ lattice for path in map(path_of_row, (before, after))]
        np.testing.assert_allclose(hops[1], minimum_image(hops[0], lattice), atol=1e-6)
        assert after['hop_length'] == pytest.approx(np.linalg.norm(hops[1]), abs=1e-4)
        assert len(path_of_row(after)) == len(path_of_row(before))
    assert 'unwrapped_hop' not in defects(done)


def test_lattices_that_differ(barriers):
    row = two_ends(one(barriers).to_dict('records')[0])
    row['atoms_fin']['lattice_mat'][1][1] *= 1.01
    raw = json.dumps([row]).encode()
    plain, repaired = read_dataset(raw), read_dataset(raw, repairs=['lattice_mismatch'])
    assert plain.report['flags'] == {'lattice_mismatch': 1}
    assert (repaired.report['flags'], repaired.report['repairs']) == ({}, {'lattice_mismatch': 1})
    ends = endpoints_of_row(repaired.frame.iloc[0])
    assert ends[0].lattice == ends[1].lattice != endpoints_of_row(plain.frame.iloc[0])[1].lattice


def test_atoms_that_are_not_those_of_one_hop(barriers):
    """Two atoms that hop are found where both ends are in one order, and are no path of one ion."""
    row = two_ends(one(barriers).to_dict('records')[0])
    row['atoms_fin']['coords'][7] = (np.array(row['atoms_fin']['coords'][7]) + 0.3).tolist()
    found = read_dataset(json.dumps([row]).encode())
    assert 'unaligned_endpoints' in found.report['flags']


def test_numbers(barriers):
    for barrier, flagged in ((0.3, False), (0.0, True), (-0.2, True), (5.1, True), (np.inf, True)):
        assert ('implausible_barrier' in defects(one(barriers, barrier=barrier))) is flagged


def test_repairs_on_request_only(barriers):
    """Without a request nothing changes; with all of them every row but those is as it was."""
    frame = barriers.frame.drop(columns='flags')
    unchanged = repair(frame, [])
    pd.testing.assert_frame_equal(unchanged.frame, frame)
    some = frame.head(80)
    done = repair(some, REPAIRS)
    touched = set(done.table['name'])
    same = ~some['name'].isin(touched)
    columns = [name for name in some if name != 'repairs']
    pd.testing.assert_frame_equal(done.frame[columns][same], some[columns][same])
    assert touched == {
        name
        for name, why in zip(done.frame['name'], done.frame['repairs'], strict=True)
        if isinstance(why, str) and not why.startswith('["swapped')
    }
    for key, message in (('close_ion', 'close_ion cannot be repaired'), ('all', "there is no repair 'all': choose")):
        with pytest.raises(ValueError, match=message):
            repair(some, [key])
    with pytest.raises(DatasetError, match="there is no repair 'all'"):
        read_dataset(as_json(one(barriers).to_dict('records'), two_ends), repairs=['all'])


def test_every_repair_is_of_a_defect():
    assert {key for key, defect in DEFECTS.items() if defect.repair} == set(REPAIRS)
