"""Jobs that order a crystal: what they write, how they refuse, and how they stop."""

import json

import pytest
from disordered_crystals import rock_salt
from pymatgen.core import Structure

from aiida_embarrier.datasets.tables import read_parquet
from aiida_embarrier.jobs.orderings import (
    STRUCTURES_FILE,
    TABLE_FILE,
    AverageCrystal,
    OrderingSettings,
    OrderingsJob,
    OrderingsResult,
)
from aiida_embarrier.jobs.plain import Outcome
from aiida_embarrier.worker.plain import run_plain_job


@pytest.fixture
def run(tmp_path):
    def run_job(crystal, **settings):
        job = OrderingsJob(crystal=AverageCrystal.of(crystal), settings=OrderingSettings(**settings))
        (tmp_path / 'job.json').write_text(job.model_dump_json())
        run_plain_job(tmp_path / 'job.json')
        return OrderingsResult.model_validate_json((tmp_path / 'results.json').read_text())

    return run_job


def test_table_and_structures(run, tmp_path):
    result = run(rock_salt({'Mg2+': 0.5}, 'Cl-'), supercell=[2, 1, 1], keep=2)
    assert result.outcome is Outcome.DONE
    assert result.formula == 'Mg4 Cl8'
    assert result.supercell == [[2, 0, 0], [0, 1, 0], [0, 0, 1]]
    table = read_parquet((tmp_path / TABLE_FILE).read_bytes())
    assert len(table) == result.n_distinct == result.n_found
    assert table['multiplicity'].sum() == result.n_arrangements == 70
    assert list(table['number']) == list(range(len(table)))
    assert table['has_structure'].sum() == result.n_structures == 2
    structures = [Structure.from_dict(entries) for entries in json.loads((tmp_path / STRUCTURES_FILE).read_text())]
    assert [structure.composition.formula for structure in structures] == ['Mg4 Cl8'] * 2
    lines = [json.loads(line) for line in (tmp_path / 'progress.jsonl').read_text().splitlines()]
    assert any(line.get('unit') == 'arrangements' and line['total'] == line['step'] == 70 for line in lines)


def test_what_cannot_be_ordered_is_refused(run, tmp_path):
    result = run(rock_salt({'Li': 0.9}))
    assert result.outcome is Outcome.REFUSED
    assert 'hold no whole numbers of atoms' in result.error
    result = run(rock_salt({'Li': 0.5}), limit=5)
    assert result.outcome is Outcome.REFUSED
    assert '6 arrangements, 1 of them distinct, more than the limit of 5' in result.error
    assert not (tmp_path / TABLE_FILE).exists()


def test_a_job_that_is_to_stop_stops(run, tmp_path):
    (tmp_path / 'stop').write_text('')
    result = run(rock_salt({'Li': 0.5}))
    assert result.outcome is Outcome.INTERRUPTED
    assert not (tmp_path / TABLE_FILE).exists()


def test_a_crystal_in_a_job_file_is_the_same():
    crystal = rock_salt({'Fe2+': 0.25, 'Fe3+': 0.5}, 'O2-')
    crystal.add_site_property('magmom', [4.0] * 4 + [0.0] * 4)
    text = AverageCrystal.of(crystal).model_dump_json()
    again = AverageCrystal.model_validate_json(text).structure()
    assert [site.species for site in again] == [site.species for site in crystal]
    assert again.site_properties == crystal.site_properties


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ({'occupants': [[['Li', 0.5, None]]]}, 'one entry for each site'),
        ({'positions': [[0, 0, float('nan')]]}, 'finite numbers'),
        ({'lattice': [[1, 0, 0]]}, 'lattice must be three rows'),
    ],
)
def test_crystals_that_are_none(entries, message):
    crystal = {'lattice': [[4, 0, 0], [0, 4, 0], [0, 0, 4]], 'positions': [[0, 0, 0]], 'occupants': [[['Li', 1, None]]]}
    assert AverageCrystal(**crystal).structure().composition.formula == 'Li1'
    wrong = {**crystal, **entries}
    if 'occupants' in entries:
        wrong['positions'] = [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(ValueError, match=message):
        AverageCrystal(**wrong)
