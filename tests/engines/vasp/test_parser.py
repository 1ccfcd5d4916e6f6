"""The parsers: bands and structures in the order and place that they had, and exit codes that say how a job ended."""

import numpy as np
import pytest
from aiida.orm import Dict
from aiida.plugins import ParserFactory

from aiida_embarrier.bands.band import kinds_of
from aiida_embarrier.data.band import BandData
from aiida_embarrier.data.convert import node_from_structure, structure_from_node
from aiida_embarrier.engines.vasp.calculation import VaspBandCalculation, layout_of
from aiida_embarrier.engines.vasp.layout import render_poscar

CODES = VaspBandCalculation.exit_codes
CRITERIA = {
    'functional': 'pbe+u',
    'charge': -1.0,
    'force_threshold': 0.05,
    'spacing_tolerance': 0.3,
    'climb': True,
    'climbs': True,
}
#: What VASP's parser of streams looks for in the output of a job.
STDOUT = ' running   16 mpi-ranks\n vasp.6.4.2 20Jul23 complex\n'


def with_ends(band):
    """Return a band with energies of its endpoints."""
    energies = np.full(band.n_images, np.nan)
    energies[[0, -1]] = -20.0, -19.9
    forces = np.full(band.positions.shape, np.nan)
    forces[[0, -1]] = 0.01
    return band.replace(energies=energies, forces=forces)


def wrapped(positions, lattice):
    return (positions @ np.linalg.inv(lattice) % 1.0) @ lattice


@pytest.fixture
def settings(protocol):
    return protocol(functional='pbe+u')


@pytest.fixture
def job(make_calcjob_node, settings, skewed_band, write_outcar):
    """Return a factory of jobs of the band: per image how many steps, and what is wrong with them."""
    band = with_ends(skewed_band)
    layout = layout_of(band.kinds, band.kind_indices, settings)
    order = list(layout.order)

    def make(n_steps=(2, 2, 2), residual=0.01, criteria=None, stdout=STDOUT, files=None, **further):
        random = np.random.default_rng(3)
        found = {'stdout': stdout, '02/stdout': '', '03/stdout': ''}
        for image, count in enumerate(n_steps, start=1):
            steps = []
            for step in range(1, count + 1):
                moved = band.positions[image] + 0.02 * step * np.sin(np.arange(12).reshape(4, 3))
                forces = random.normal(size=(4, 3))
                forces *= residual / np.linalg.norm(forces, axis=1).max()
                steps.append(
                    {
                        'positions': wrapped(moved, band.lattice)[order],
                        'forces': forces[order],
                        'energy': -20.0 + [0, 0.3, 0.5, 0.2][image] - 0.01 * step,
                        'moments': np.array([4.0, 0.1, 0.2, -4.0])[order] + 0.01 * image,
                    }
                )
            options = {key: value[image - 1] for key, value in further.items()}
            options.setdefault('accurate', True)
            if options.pop('broken', False):
                steps[-1]['energy'] = np.nan
            if options.pop('unconverged', False):
                steps[-1]['n_electronic'] = 100
            if steps:
                found[f'{image:02d}/OUTCAR'] = write_outcar(steps, vtst=True, **options)
                found[f'{image:02d}/CONTCAR'] = render_poscar(
                    'image', layout, band.lattice, wrapped(moved, band.lattice)[order]
                )
        return make_calcjob_node(
            'embarrier.vasp.band',
            {
                'band': BandData(band),
                'protocol': Dict(settings),
                'criteria': Dict({**CRITERIA, **(criteria or {})}),
                'parameters': Dict({}),
            },
            files={**found, **(files or {})},
        )

    return make


def parse(node, name='embarrier.vasp.band'):
    results, calcfunction = ParserFactory(name).parse_from_node(node, store_provenance=False)
    return results, calcfunction


def test_positions_forces_and_moments_are_those_of_the_atoms(job, skewed_band):
    outputs, node = parse(job())
    assert node.is_finished_ok, node.exit_message
    band = outputs['band'].band
    # positions as they are meant: beside those of the start, though VASP wrapped them into the skewed cell
    moved = skewed_band.positions[1:-1] + 0.04 * np.sin(np.arange(12).reshape(4, 3))
    assert np.allclose(band.positions[1:-1], moved, atol=1e-9)  # all digits, from the CONTCARs
    assert np.array_equal(band.positions[[0, -1]], skewed_band.positions[[0, -1]])
    assert np.allclose(band.moments[1:-1], [[4.0 + x, 0.1 + x, 0.2 + x, -4.0 + x] for x in (0.01, 0.02, 0.03)])
    assert band.energies.tolist() == [-20.0, -19.72, -19.52, -19.82, -19.9]
    assert np.all(np.isfinite(band.forces))
    info = band.info
    assert (info.engine, info.functional, info.charge, info.climbing) == ('vasp', 'pbe+u', -1.0, True)
    assert (info.mechanism, info.host, info.converged) == ('interstitial', 'MnO', True)
    assert 0 < info.residual_force < 0.02
    results = outputs['results'].get_dict()
    assert (results['n_steps'], results['n_evaluations'], results['climbing_image']) == (2, 6, 2)
    assert results['core_s'] == pytest.approx(16 * 123.456)


def test_a_band_is_of_one_step_of_all_images(job, skewed_band):
    outputs, node = parse(job(n_steps=(3, 1, 2), finished=(False, False, False)))
    assert node.exit_status == CODES.ERROR_DID_NOT_FINISH.status
    moved = skewed_band.positions[1:-1] + 0.02 * np.sin(np.arange(12).reshape(4, 3))
    assert np.allclose(outputs['band'].band.positions[1:-1], moved, atol=2e-5)
    assert outputs['results']['steps_of_images'] == [3, 1, 2]


@pytest.mark.parametrize(
    ('how', 'exit_code', 'band'),
    [
        ({'residual': 0.2}, 'ERROR_IONIC_NOT_CONVERGED', True),
        ({'criteria': {'climbs': False}}, 'ERROR_IONIC_NOT_CONVERGED', True),
        ({'n_steps': (2, 0, 2)}, 'ERROR_DID_NOT_FINISH', False),
        ({'finished': (True, True, False)}, 'ERROR_DID_NOT_FINISH', True),
        ({'unconverged': (False, True, False)}, 'ERROR_ELECTRONIC_NOT_CONVERGED', True),
        ({'broken': (False, False, True)}, 'ERROR_VASP_CRITICAL_ERROR', True),
        ({'n_steps': (0, 0, 0), 'stdout': ''}, 'ERROR_VASP_DID_NOT_EXECUTE', False),
        (
            {'stdout': STDOUT + ' RHOSYG: internal error: stars are not distinct\n', 'finished': (False,) * 3},
            'ERROR_VASP_CRITICAL_ERROR',
            True,
        ),
    ],
)
def test_how_a_job_ended(job, how, exit_code, band):
    outputs, node = parse(job(**how))
    assert node.exit_status == CODES[exit_code].status, node.exit_message
    assert ('band' in outputs) == band
    assert 'results' in outputs
    if band:
        assert outputs['band'].is_computed
        assert outputs['band'].band.info.converged is False


def test_the_images_are_named(job):
    outputs, node = parse(job(unconverged=(False, True, True)))
    assert outputs['results']['unconverged_images'] == [2, 3]
    # the last step is not trusted: the band is that of the step before
    assert outputs['band'].band.energies[2] == -19.51
    outputs, node = parse(job(broken=(False, False, True)))
    assert outputs['results']['broken_images'] == [3]
    assert 'image 3 are no numbers at step 2' in node.exit_message


def test_a_missing_folder_is_no_exception(job):
    outputs, node = parse(job(files={'01/OUTCAR': '', '01/CONTCAR': ''}))
    assert node.exit_status == CODES.ERROR_DID_NOT_FINISH.status
    assert outputs['results']['steps_of_images'] == [0, 2, 2]


@pytest.fixture
def structure_job(make_calcjob_node, settings, shuffled, write_outcar):
    """Return a factory of jobs of one crystal."""
    structure, kinds = node_from_structure(shuffled)
    layout = layout_of(*kinds_of(shuffled), settings)
    order = list(layout.order)

    def make(max_force=0.01, cell='fixed', lattice=None, accurate=True, n_steps=2, threshold=0.03, **options):
        lattice = shuffled.lattice.matrix if lattice is None else np.array(lattice)
        positions = shuffled.frac_coords @ lattice + 0.05
        forces = np.zeros((len(shuffled), 3))
        forces[5] = [0, max_force, 0]
        step = {
            'positions': wrapped(positions, lattice)[order],
            'forces': forces[order],
            'energy': -400.0,
            'moments': np.array(shuffled.site_properties['magmom'])[order],
            'lattice': lattice,
            **options,
        }
        return make_calcjob_node(
            'embarrier.vasp.structure',
            {
                'structure': structure,
                'kinds': kinds,
                'protocol': Dict(settings),
                'criteria': Dict({'functional': 'pbe+u', 'charge': 0.0, 'force_threshold': threshold, 'cell': cell}),
                'parameters': Dict({}),
            },
            files={'vasp_output': STDOUT, 'OUTCAR': write_outcar([step] * n_steps, accurate=accurate)},
        )

    return make


def test_a_structure_keeps_its_order_and_kinds(structure_job, shuffled):
    node = structure_job()
    outputs, calculation = parse(node, 'embarrier.vasp.structure')
    assert calculation.is_finished_ok, calculation.exit_message
    found = structure_from_node(outputs['structure'], node.inputs.kinds)
    assert [site.specie.symbol for site in found] == [site.specie.symbol for site in shuffled]
    assert np.allclose(found.cart_coords, shuffled.cart_coords + 0.05, atol=1e-5)  # not wrapped
    assert found.site_properties['magmom'] == shuffled.site_properties['magmom']
    results = outputs['results'].get_dict()
    assert results['moments'] == shuffled.site_properties['magmom']
    assert results['forces'][5] == [0, 0.01, 0]
    assert (results['energy'], results['max_force'], results['strain']) == (-400.0, 0.01, 0.0)


def test_a_cell_that_relaxes(structure_job, shuffled):
    lattice = shuffled.lattice.matrix * [[1.02], [0.99], [1.0]]
    outputs, calculation = parse(structure_job(cell='full', lattice=lattice), 'embarrier.vasp.structure')
    assert calculation.is_finished_ok
    assert np.allclose(outputs['structure'].cell, lattice)
    assert outputs['results']['strain'] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ('how', 'exit_code'),
    [
        ({'max_force': 0.2}, 'ERROR_IONIC_NOT_CONVERGED'),
        ({'accurate': False, 'n_steps': 50}, 'ERROR_IONIC_NOT_CONVERGED'),
        ({'max_force': 0.2, 'threshold': None}, None),
        ({'n_electronic': 100}, 'ERROR_ELECTRONIC_NOT_CONVERGED'),
        ({'energy': np.nan}, 'ERROR_VASP_CRITICAL_ERROR'),
    ],
)
def test_how_the_job_of_a_structure_ended(structure_job, how, exit_code):
    _, node = parse(structure_job(**how), 'embarrier.vasp.structure')
    assert node.exit_status == (0 if exit_code is None else CODES[exit_code].status), node.exit_message
