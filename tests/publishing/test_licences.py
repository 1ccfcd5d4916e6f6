"""What must not be published is found wherever it is, and what VASP prints is not taken for it."""

import bz2
import gzip
import json
import lzma

import pytest
from emulators.vasp.potcars import potcar

from aiida_embarrier.publishing.checks import check_contents
from aiida_embarrier.publishing.licences import ICSD, POTCAR, LicenceSearch

CIF = 'data_x\n_cell_length_a 4.0\n'


def found_in(*pieces):
    search = LicenceSearch()
    for piece in pieces:
        search.look(piece.encode())
    return search.found


@pytest.mark.parametrize(
    'text',
    [
        potcar('Fe_pv'),
        potcar('Fe_pv').partition(' End of Dataset')[0],  # cut off
        'numbers\n End of Dataset\n',
        '  PAW_PBE Fe 01Jan1900\n   VRHFIN =Fe: invented\n   TITEL  = PAW_PBE Fe 01Jan1900\n',
        potcar('Li_sv').replace('\n', '\r\n'),
        json.dumps({'POTCAR': potcar('Li_sv')}),
    ],
    ids=['whole', 'cut off', 'end', 'head', 'Windows', 'JSON'],
)
def test_potcars(text):
    assert found_in(text) == POTCAR


def test_head_in_two_pieces():
    head, valence, tail = potcar('Fe').partition('   VRHFIN')
    assert found_in(head.replace('parameters from PSCTR are:', ''), valence + tail.partition('END of')[0]) == POTCAR


@pytest.mark.parametrize(
    'text',
    [
        'Prediction ended: End of Dataset reached\n',
        'TITEL  = PAW_PBE Fe 06Sep2000\n',
        ' POTCAR:   PAW_PBE Fe 06Sep2000\n   VRHFIN =Fe: 3d7\n   TITEL  = PAW_PBE Fe 06Sep2000\n',
        'we took PAW_PBE potentials from POTCAR files (VRHFIN and TITEL as printed)\n',
        '_database_code_ICSD ?\n',
    ],
)
def test_what_only_speaks_of_it(text):
    assert found_in(text) is None


@pytest.mark.parametrize('line', ['_database_code_ICSD 12345', "_database_code_ICSD '12345'", '_icsd_reference 1'])
def test_crystals_of_the_icsd(line):
    assert found_in(CIF + line + '\n') == ICSD


def test_real_outcars_may_be_shown(shared_data):
    for path in (shared_data / 'neb_vasp_fixtures').rglob('OUTCAR*.xz'):
        text = lzma.decompress(path.read_bytes()).decode()
        assert 'VRHFIN' in text
        assert found_in(text) is None, path


def file_node(content, name='notes.txt'):
    import io

    from aiida.orm import SinglefileData

    return SinglefileData(io.BytesIO(content), filename=name).store()


@pytest.mark.parametrize(
    ('compress', 'name'), [(bytes, 'x.dat'), (gzip.compress, 'x.gz'), (bz2.compress, 'x.bz2'), (lzma.compress, 'x.xz')]
)
def test_potcar_deep_in_a_file(aiida_profile_clean, compress, name):
    filler = b''.join(b'%012d\n' % number for number in range(120_000))
    node = file_node(compress(filler + potcar('Mn').encode() + filler), name)
    [entry] = check_contents([node.pk], private=False).licensed
    assert (entry.pk, entry.file, entry.why) == (node.pk, name, POTCAR)
    assert entry.place == f'node {node.pk} (SinglefileData), file {name}'


def test_potcar_in_a_folder_and_in_a_file_that_is_cut_off(aiida_profile_clean):
    from aiida.orm import FolderData

    folder = FolderData()
    folder.base.repository.put_object_from_bytes(b'nothing', 'a/b/none')
    folder.base.repository.put_object_from_bytes(gzip.compress(potcar('Li').encode() * 50)[:-9], 'a/b/POTCAR.gz')
    folder.store()
    checks = check_contents([folder.pk], private=False)
    assert [entry.file for entry in checks.licensed] == ['a/b/POTCAR.gz']
    assert 'it is cut off' in checks.unreadable[0]
    assert (checks.n_files, checks.n_objects) == (2, 2)


def test_potcar_in_two_nodes_and_in_a_dict(aiida_profile_clean):
    from aiida.orm import Dict, Int

    nodes = [file_node(potcar('Li').encode(), 'a'), file_node(potcar('Li').encode(), 'b')]
    nodes.append(Dict({'file': {'text': potcar('Li')}}).store())
    fine = Int(1).store()
    found = check_contents([*(node.pk for node in nodes), fine.pk], private=False).licensed
    assert [(entry.pk, entry.file) for entry in found] == [(nodes[0].pk, 'a'), (nodes[1].pk, 'b'), (nodes[2].pk, None)]


def test_crystals_that_name_the_icsd_as_their_source(aiida_profile_clean):
    import io

    from aiida.orm import CifData

    node = CifData(file=io.BytesIO(CIF.encode()), source={'db_name': 'Icsd', 'id': '1'}).store()
    other = CifData(file=io.BytesIO(CIF.encode()), source={'db_name': 'Crystallography Open Database'}).store()
    found = check_contents([node.pk, other.pk], private=False).licensed
    assert [(entry.pk, entry.why) for entry in found] == [(node.pk, ICSD)]
