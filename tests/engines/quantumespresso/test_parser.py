"""The parser of neb.x: the band of the last complete iteration, and exit codes that say how a job ended."""

import re

import numpy as np
import pytest
from aiida.orm import Dict
from aiida.plugins import ParserFactory

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.quantumespresso.calculation import QuantumEspressoNebCalculation

CODES = QuantumEspressoNebCalculation.exit_codes
BEGUN = '     Program NEB v.7.4 starts on\n'


@pytest.fixture
def parse(make_calcjob_node, h3_band, run, tmp_path):
    """Return a factory that parses what neb.x printed and its PW.out files.

    The path_thr of the run was 0.1, but it kept an atom fixed, whose forces neb.x leaves out.
    """

    def make(text=None, images=None, path_thr=0.3, ci_scheme='auto', final=True, **settings):
        node = make_calcjob_node(
            'embarrier.quantumespresso.neb',
            {
                'band': BandData(h3_band.replace(potential='chgnet')),
                'path': Dict({'path_thr': path_thr, 'ci_scheme': ci_scheme}),
                'settings': Dict({'functional': 'pbe', 'charge': 0.0, 'final': final, **settings}),
            },
            files={'aiida.out': run[0] if text is None else text},
        )
        for number, image in enumerate(run[1] if images is None else images, start=1):
            folder = tmp_path / f'aiida_{number}'
            folder.mkdir(exist_ok=True)
            (folder / 'PW.out').write_text(image)
        parser = ParserFactory('embarrier.quantumespresso.neb')(node)
        code = parser.parse(retrieved_temporary_folder=str(tmp_path))
        return code, parser.outputs

    return make


def test_converged(parse):
    code, outputs = parse()
    assert code is None
    band = outputs['band'].band
    assert band.energies[3] - band.energies[0] == pytest.approx(outputs['band'].base.attributes.get('barrier_forward'))
    info = band.info
    assert (info.engine, info.functional, info.potential, info.converged) == ('quantumespresso', 'pbe', None, True)
    assert (info.climbing, info.mechanism, info.charge) == (True, 'any', 0.0)
    assert info.residual_force == pytest.approx(np.nanmax(band.max_perpendicular_forces))
    assert np.isnan(band.max_perpendicular_forces[[0, -1]]).all()
    assert band.moments.shape == (7, 3)
    results = outputs['results'].get_dict()
    assert results['n_steps'] == len(results['residual_forces']) == len(results['barriers'])
    assert results['climbing_image'] == 3
    assert results['core_s'] == results['wall_s'] > 0
    assert results['residual_forces'][0] > 1 > results['residual_forces'][-1]


def test_approach_is_not_the_end(parse):
    code, outputs = parse(final=False, ci_scheme='no-CI')
    assert code is None
    assert outputs['band'].band.info.converged is False
    assert outputs['results']['climbing_image'] is None


def test_monotonic_band_has_no_climbing_image(parse, run):
    """Where an endpoint is the highest image, neb.x lets none climb, whatever ci_scheme says."""
    text, images = run
    end = re.sub(r'(! +total energy += +)-?[\d.]+', r'\g<1>-0.5', images[-1])
    code, outputs = parse(text, [*images[:-1], end], path_thr=10.0)
    assert code is None
    assert outputs['results']['climbing_image'] is None
    info = outputs['band'].band.info
    assert (info.climbing, info.converged) == (False, True)


def test_threshold_on_atoms_decides(parse):
    code, outputs = parse(path_thr=0.1)
    assert code.status == CODES.ERROR_RESIDUAL_FORCE.status
    assert 'is 0.380 eV/Å, more than 0.173' in code.message
    assert outputs['band'].band.info.converged is False


def test_uneven_spacing(parse):
    """The last distances between the images of the run differ by 0.16 from their mean."""
    code, outputs = parse(spacing_tolerance=0.1)
    assert code.status == CODES.ERROR_SPACING.status
    assert 'differs by 0.16 of the mean from it, more than neb.spacing_tolerance, 0.1' in code.message
    assert outputs['band'].band.info.converged is False
    code, outputs = parse(spacing_tolerance=0.3)
    assert code is None
    assert outputs['band'].band.info.converged is True
    assert parse(spacing_tolerance=0.1, final=False)[0] is None  # climbing comes first


def cut(run, iterations, rest=2000):
    """Return a run that was killed when image 2 had begun another iteration."""
    text, images = run
    mark = f'coordinates at iteration {iterations:3d}'
    kept = [image[: image.index(mark) - 5] if mark in image else image for image in images]
    kept[2] = images[2][: images[2].index(mark) + rest]
    tables = text.split('------------------------------ iteration')
    return '------------------------------ iteration'.join(tables[: iterations + 1]), kept


def test_killed(parse, run):
    text, images = cut(run, 4)
    code, outputs = parse(text, images)
    assert code.status == CODES.ERROR_INTERRUPTED.status
    assert 'after 4 complete iteration(s)' in code.message
    assert outputs['band'].band.info.converged is False
    assert outputs['results']['n_steps'] == 4


def test_killed_before_the_first_iteration(parse, run):
    text, images = cut(run, 0)
    code, outputs = parse(text, images)
    assert code.status == CODES.ERROR_INTERRUPTED.status
    assert 'band' not in outputs


@pytest.mark.parametrize(
    ('pw_end', 'code'),
    [('     Maximum CPU time exceeded\n', 'ERROR_WALL_TIME'), ('     convergence NOT achieved\n', 'ERROR_ELECTRONS')],
)
def test_image_that_was_not_converged(parse, run, pw_end, code):
    """neb.x 6.7 says of an image that ran out of time that it was not converged, too."""
    text, images = cut(run, 4)
    images[2] += pw_end
    text += '\n     WARNING :  scf convergence NOT achieved on image   3\n   JOB DONE.\n'
    found, outputs = parse(text, images)
    assert found.status == CODES[code].status
    assert outputs['band'].is_computed
    if code == 'ERROR_ELECTRONS':
        assert found.message == 'Self-consistency was not reached on image 2 at iteration 5.'


def box(message):
    return f' {"%" * 78}\n     {message}\n {"%" * 78}\n'


@pytest.mark.parametrize(
    ('text', 'code', 'message'),
    [
        ('', 'ERROR_NO_OUTPUT', 'it is not there'),
        (
            BEGUN + box('Error in routine cdiaghg (12): S matrix not positive definite'),
            'ERROR_DIAGONALISATION',
            'S matrix',
        ),
        (
            BEGUN + box('Error in routine c_bands (1): too many bands are not converged'),
            'ERROR_DIAGONALISATION',
            'many',
        ),
        (BEGUN + box('Error in routine readpp (1): file ./pseudo/X not found'), 'ERROR_PROGRAM', 'file ./pseudo/X'),
        (
            BEGUN + 'Warning: card HUBBARD (ATOMIC) ignored\n   JOB DONE.\n',
            'ERROR_CARD_IGNORED',
            'neb.x 7.4 does not know',
        ),
        (BEGUN + '   JOB DONE.\n', 'ERROR_PROGRAM', 'without a result'),
        (BEGUN, 'ERROR_INTERRUPTED', 'ends in the middle'),
    ],
)
def test_failures(parse, text, code, message):
    found, outputs = parse(text, [''] * 7)
    assert found.status == CODES[code].status
    assert message in found.message
    assert 'band' not in outputs


def test_limit_of_steps(parse, run):
    text, images = cut(run, 3)
    code, outputs = parse(text + '\n     neb: reached the maximum number of steps\n   JOB DONE.\n', images)
    assert code.status == CODES.ERROR_NOT_CONVERGED.status
    assert f'{outputs["results"]["residual_force"]:.3f}' in code.message


def test_run_that_went_on_counts_its_own_iterations(parse, run):
    """PW.out holds the iterations of the run before, too."""
    text, images = run
    tables = text.split('------------------------------ iteration')
    later = tables[0] + '------------------------------ iteration'.join(['', *tables[-3:]])
    code, outputs = parse(later, images)
    assert code is None
    assert outputs['results']['n_steps'] == 3
    assert len(outputs['results']['residual_forces']) == 3
