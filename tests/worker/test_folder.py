"""The folder of a job, which may vanish while its files are being written."""

import shutil

import pytest

from aiida_embarrier.jobs.schemas import JobResult
from aiida_embarrier.worker.folder import FolderError, JobFolder


@pytest.fixture
def vanishing(monkeypatch, tmp_path):
    """Return a folder that is deleted a number of times just before a file in it gets its name."""
    replace = type(tmp_path).replace

    def make(times):
        left = [times]

        def deleted_first(self, target):
            if left[0]:
                left[0] -= 1
                shutil.rmtree(tmp_path / 'job')
            return replace(self, target)

        monkeypatch.setattr(type(tmp_path), 'replace', deleted_first)
        (tmp_path / 'job').mkdir()
        return JobFolder(tmp_path / 'job')

    return make


def test_deleted_while_a_checkpoint_is_written(vanishing):
    folder = vanishing(1)
    folder.write_checkpoint({}, {}, {})
    assert [path.name for path in folder.path.iterdir()] == ['checkpoint.npz']


def test_deleted_while_the_result_is_written(vanishing):
    folder = vanishing(1)
    folder.write_result(JobResult(wall_s=1.0))
    assert JobResult.model_validate_json((folder.path / 'results.json').read_text()).wall_s == 1.0


def test_deleted_again_and_again_is_a_clear_error(vanishing):
    folder = vanishing(2)
    with pytest.raises(FolderError, match=r'the checkpoint cannot be written to .*No such file'):
        folder.write_checkpoint({}, {}, {})
