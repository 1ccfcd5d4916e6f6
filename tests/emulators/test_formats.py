"""The files of the stand-in and those of real VASP go through the same parsers and give the same quantities."""

import io
import lzma

import numpy as np
import pytest
from emulators.vasp.byhand import CLIMB, forces, run, write
from emulators.vasp.crystals import lithia_hop


def parsed(text):
    from aiida_vasp.parsers.content_parsers.outcar import VtstNebOutcarParser

    parser = VtstNebOutcarParser(handler=io.StringIO(text), settings={})
    quantities, errored = parser.get_all_quantities()
    assert not errored
    return quantities


@pytest.fixture(scope='module')
def real(shared_data):
    """Return what the parser reads of a real OUTCAR of a build with VTST's tools: Fe31, spin-polarised."""
    path = shared_data / 'neb_vasp_fixtures' / 'pymatgen_neb1' / '00' / 'OUTCAR.xz'
    return parsed(lzma.decompress(path.read_bytes()).decode())


@pytest.fixture(scope='module')
def band(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp('formats') / 'band', CLIMB, lithia_hop(5))
    assert run(folder).returncode == 0
    return folder


@pytest.fixture(scope='module')
def invented(band):
    return parsed((band / '02' / 'OUTCAR').read_text())


def kinds(value):
    """Return the shape of a parsed quantity: keys and types, the first of many sites or steps only."""
    if isinstance(value, dict):
        if value and all(isinstance(key, int) for key in value):
            return {'site': kinds(next(iter(value.values())))}
        return {key: kinds(inner) for key, inner in value.items()}
    if isinstance(value, list | np.ndarray):
        return ('rows', np.ndim(value))
    return 'number' if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@pytest.mark.parametrize('quantity', ['total_energies', 'forces', 'outcar_positions', 'outcar_cell', 'magnetization'])
def test_quantities_are_alike(real, invented, quantity):
    assert kinds(invented[quantity]) == kinds(real[quantity])
    assert np.isfinite(np.array(invented[quantity] if not isinstance(invented[quantity], dict) else 0.0)).all()


def test_run_status_is_alike(real, invented):
    assert kinds(invented['run_status']) == kinds(real['run_status'])
    assert invented['run_status']['finished'] is True
    assert invented['run_status']['ionic_converged'] is real['run_status']['ionic_converged'] is True


def test_moments_are_alike(real, invented):
    sphere, true = invented['site_magnetization']['sphere']['x'], real['site_magnetization']['sphere']['x']
    assert kinds(sphere) == kinds(true)
    assert len(sphere['site_moment']) == 11
    assert len(true['site_moment']) == 31


def test_statistics_are_alike(real, invented):
    names = {'elapsed_time', 'total_cpu_time_used', 'user_time', 'system_time', 'maximum_memory_used'}
    assert names <= set(real['run_stats']) & set(invented['run_stats'])


def test_lines_of_the_band_are_alike(real, invented):
    # The real folder is an end of a band, relaxed alone: it has VTST's lines, but no tangent and no springs.
    own = set(invented['neb_data'])
    assert set(real['neb_data']) <= own
    assert own - set(real['neb_data']) == {'tangents', 'force_par_spring', 'force_prep_real', 'force_dneb'}
    assert real['neb_data']['version'].startswith('version ')
    assert invented['neb_data']['version'].startswith('version ')


def test_numbers_are_read_as_they_were_written(band, invented):
    np.testing.assert_allclose(invented['forces'], forces(band / '02'), atol=1e-9)
    tangents = np.array(invented['neb_data']['tangents'])
    assert tangents.shape == (11, 3)
    assert np.linalg.norm(tangents) == pytest.approx(1, abs=1e-4)


def test_contcars_are_alike(shared_data, band):
    from aiida_vasp.parsers.content_parsers.poscar import PoscarParser

    true = shared_data / 'neb_vasp_fixtures' / 'pymatgen_neb1' / '01' / 'CONTCAR'
    shapes = []
    for path in (true, band / '01' / 'CONTCAR'):
        with path.open() as handler:
            quantities, errored = PoscarParser(handler=handler).get_all_quantities()
        assert not errored
        shapes.append(set(quantities['structure']))
        lines = path.read_text().splitlines()
        assert [len(line) for line in lines[1:2]] == [len('   1.00000000000000     ')]
        assert lines[7].strip() == 'Direct'
    assert shapes[0] == shapes[1]


def test_standard_output_holds_no_error(band):
    from aiida_vasp.parsers.content_parsers.stream import StreamParser

    for name in ('stdout', '02/stdout', '03/stdout'):
        with (band / name).open() as handler:
            assert StreamParser(handler=handler, settings={}).notifications == []
