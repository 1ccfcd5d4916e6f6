"""Bands as files: exact round trips, files of others, damaged files."""

import io
import os
import zipfile

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_embarrier.bands import Band, BandInfo, Kind
from aiida_embarrier.bands.io import read_extxyz, read_npz, write_extxyz, write_npz

ARRAYS = ('kind_indices', 'lattice', 'positions', 'energies', 'forces', 'max_perpendicular_forces', 'moments')


def example(n_images: int = 3, **changes) -> Band:
    rng = np.random.default_rng(7)
    band = Band(
        kinds=(
            Kind('Fe1', 'Fe', 5.0, 2.0, 4.5),
            Kind('Fe2', 'Fe', -5.0, None, 4.5),
            Kind('Li', 'Li', 0.0),
            Kind('O', 'O'),
        ),
        kind_indices=np.array([0, 1, 2, 3, 3]),
        lattice=np.array([[4.7, 0.1, 0.0], [0.0, 5.1, 0.3], [2.1, 0.0, 6.0]]) / 3 * 2.9,
        # far outside the cell on purpose: nothing may be wrapped
        positions=rng.normal(size=(n_images, 5, 3)) * 20,
        mobile=(2,),
        energies=np.array([-1.0 / 3, np.nan, *rng.normal(size=n_images - 2)]),
        forces=rng.normal(size=(n_images, 5, 3)),
        max_perpendicular_forces=np.array([*rng.normal(size=n_images - 1), np.nan]),
        moments=rng.normal(size=(n_images, 5)),
        info=BandInfo('vacancy', 'LiFePO4', 'potential', None, 'chgnet-0.3.0', 'PBE+U', -1.0, True, False, 0.1, 'cell'),
    )
    return band.replace(**changes)


def assert_same(first: Band, second: Band, atol: float = 0.0) -> None:
    assert first.kinds == second.kinds
    assert first.info == second.info
    assert first.mobile == second.mobile
    for name in ARRAYS:
        one, other = getattr(first, name), getattr(second, name)
        if one is None:
            assert other is None, name
        else:
            np.testing.assert_allclose(other, one, rtol=0, atol=atol, err_msg=name)
            assert other.dtype == one.dtype, name


BANDS = {
    'full': example(),
    'no forces': example(forces=None),
    'no moments': example(moments=None),
    'nothing computed': example(energies=np.full(3, np.nan), forces=None, info=BandInfo(), mobile=()),
    'lattice per image': example(lattice=np.stack([np.diag([4.0, 5, 6]) * (1 + 0.01 * image) for image in range(3)])),
}


@pytest.mark.parametrize('name', BANDS)
def test_npz_gives_back_every_bit(name, tmp_path):
    write_npz(tmp_path / 'band.npz', BANDS[name])
    assert_same(BANDS[name], read_npz(tmp_path / 'band.npz'))


def test_npz_through_an_open_file_and_the_same_bytes_twice(tmp_path):
    buffers = io.BytesIO(), io.BytesIO()
    for buffer in buffers:
        write_npz(buffer, example())
    assert buffers[0].getvalue() == buffers[1].getvalue()
    buffers[0].seek(0)
    assert_same(example(), read_npz(buffers[0]))
    write_npz(str(tmp_path / 'band.npz'), example())
    assert (tmp_path / 'band.npz').read_bytes() == buffers[1].getvalue()


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    text=st.text(max_size=20),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
    charge=st.none() | st.floats(-9, 9),
)
def test_npz_keeps_any_text_and_number(text, numbers, charge):
    band = example(2, energies=np.array(numbers), host=text, charge=charge)
    buffer = io.BytesIO()
    write_npz(buffer, band)
    buffer.seek(0)
    assert_same(band, read_npz(buffer))


def test_npz_is_complete_or_absent(tmp_path, monkeypatch):
    path = tmp_path / 'band.npz'
    write_npz(path, example())
    before = path.read_bytes()

    def full_disk(*arguments, **options):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np.lib.format, 'write_array', full_disk)
    with pytest.raises(OSError, match='No space left'):
        write_npz(path, example(5))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_follow_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        write_npz(tmp_path / 'band.npz', example())
    finally:
        os.umask(old)
    assert (tmp_path / 'band.npz').stat().st_mode & 0o777 == 0o644


def test_npz_refuses_what_is_no_band(tmp_path):
    path = tmp_path / 'band.npz'
    with pytest.raises(FileNotFoundError):
        read_npz(path)
    path.write_text('not an archive')
    with pytest.raises(ValueError, match=r'band\.npz is not a band'):
        read_npz(path)
    np.savez(path, positions=np.zeros((2, 1, 3)))
    with pytest.raises(ValueError, match='is not a band'):
        read_npz(path)
    write_npz(path, example())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match='is not a band'):
        read_npz(path)


def test_npz_never_unpickles(tmp_path):
    write_npz(tmp_path / 'good.npz', example())
    with zipfile.ZipFile(tmp_path / 'good.npz') as good, zipfile.ZipFile(tmp_path / 'bad.npz', 'w') as bad:
        for name in good.namelist():
            payload = good.read(name)
            if name == 'energies.npy':
                buffer = io.BytesIO()
                np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
                payload = buffer.getvalue()
            bad.writestr(name, payload)
    with pytest.raises(ValueError, match='allow_pickle=False'):
        read_npz(tmp_path / 'bad.npz')


def test_npz_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('aiida_embarrier.bands.io.FORMAT_VERSION', 99)
    write_npz(tmp_path / 'band.npz', example())
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r'band format 99.*install the same version'):
        read_npz(tmp_path / 'band.npz')


@pytest.mark.parametrize('name', BANDS)
def test_extxyz_gives_back_all_to_its_decimals(name, tmp_path):
    write_extxyz(tmp_path / 'band.xyz', BANDS[name])
    assert_same(BANDS[name], read_extxyz(tmp_path / 'band.xyz'), atol=6e-9)


@pytest.mark.parametrize(
    'host', ['a "quoted" \\ name', '100% Li', 'α-NaFeO₂', 'T', '12', '', 'two\nlines', "it's {1 2}"]
)
def test_extxyz_keeps_awkward_text(host):
    buffer = io.StringIO()
    write_extxyz(buffer, example(host=host))
    buffer.seek(0)
    assert read_extxyz(buffer).info.host == host


def test_extxyz_of_another_program(tmp_path):
    frames = []
    for image in range(3):
        positions = [[0, 0, 0], [1.5, 1.5, 1.5 + image * 3]]
        frames.append(Atoms('FeLi', positions, cell=[3, 3, 3], pbc=True, magmoms=[4.0, 0.0]))
        frames[-1].calc = SinglePointCalculator(frames[-1], energy=image * 0.5)
    write(tmp_path / 'band.xyz', frames)
    band = read_extxyz(tmp_path / 'band.xyz')
    assert band.mobile == ()
    assert [kind.magnetic_moment for kind in band.kinds] == [4.0, 0.0]
    assert band.positions[2, 1, 2] == pytest.approx(7.5)  # outside the cell, as written
    np.testing.assert_allclose(band.energies, [0, 0.5, 1.0])
    assert band.forces is None

    write(tmp_path / 'band.xyz', [frames[0], frames[1][::-1]])
    with pytest.raises(ValueError, match='frame 1 and frame 0 differ'):
        read_extxyz(tmp_path / 'band.xyz')
