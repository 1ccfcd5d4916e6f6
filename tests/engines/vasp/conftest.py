"""Crystals that the tests of the vasp engine share."""

import pytest
from pymatgen.core import Structure

from aiida_embarrier.bands.band import Band, BandInfo
from aiida_embarrier.engines.base import get_engine


@pytest.fixture
def protocol():
    """Return a function that resolves protocols of the engine."""

    def resolve(name=None, **overrides):
        return get_engine('vasp').resolve_protocol(name, overrides)

    return resolve


@pytest.fixture
def spinel():
    """Return antiferromagnetic MgMn2O4 in the cubic cell, 56 atoms, moments alternating along the list of Mn."""
    structure = Structure.from_spacegroup(
        'Fd-3m:2', [[8.5, 0, 0], [0, 8.5, 0], [0, 0, 8.5]], ['Mg', 'Mn', 'O'], [[0.125] * 3, [0.5] * 3, [0.2632] * 3]
    )
    sign, moments = 1, []
    for site in structure:
        moments.append(4.0 * sign if site.specie.symbol == 'Mn' else 0.0)
        sign = -sign if site.specie.symbol == 'Mn' else sign
    structure.add_site_property('magmom', moments)
    return structure


@pytest.fixture
def shuffled(spinel):
    """Return the spinel with its sites in an order that is none of VASP's."""
    order = [
        (7 * index) % len(spinel) if len(spinel) % 7 else (5 * index) % len(spinel) for index in range(len(spinel))
    ]
    assert sorted(order) == list(range(len(spinel)))
    return Structure.from_sites([spinel[index] for index in order])


@pytest.fixture
def skewed_band():
    """Return a band of a Li ion that moves further than half of a strongly skewed cell, between two kinds of Mn."""
    lattice = [[4.0, 0.0, 0.0], [-3.4, 4.1, 0.0], [1.2, -1.7, 6.0]]
    ends = [
        Structure(
            lattice,
            ['Mn', 'Li', 'O', 'Mn'],
            [[0.1, 0.2, 0.05], [0.5, 0.5, 0.5], [0.02, 0.75, 0.6], [0.9, 0.85, 0.9]],
            site_properties={'magmom': [4.0, 0.0, 0.0, -4.0]},
        )
        for _ in range(2)
    ]
    ends[1].translate_sites([1], [1.1, 0.6, 0.1], to_unit_cell=False)
    band = Band.from_structures(ends, mobile=[1], info=BandInfo(mechanism='interstitial', host='MnO'))
    weights = [[[weight]] for weight in (0, 0.25, 0.5, 0.75, 1)]
    positions = band.positions[0] + weights * (band.positions[1] - band.positions[0])
    return Band(
        kinds=band.kinds,
        kind_indices=band.kind_indices,
        lattice=band.lattice,
        positions=positions,
        mobile=band.mobile,
        info=band.info,
    )


def outcar_text(steps, *, nelm=100, nsw=50, finished=True, accurate=False, vtst=False):
    """Return the lines of an OUTCAR that matter, in VASP's format, as invented numbers.

    :param steps: dictionaries with `positions`, `forces`, `energy`, and optionally `moments`, `lattice`,
        `n_electronic`, `tangent` and `along`.
    """
    lines = [
        ' vasp.6.4.2 20Jul23 (build invented) complex',
        ' executed on             LinuxIFC date 2026.11.26  12:00:00',
        ' running   16 mpi-ranks, with    1 threads/rank, on    1 nodes',
        f'   NELM   = {nelm:6d};   NELMIN=  2; NELMDL= -5     # of ELM steps',
        f'   NSW    = {nsw:6d}    number of steps for IOM',
    ]
    if vtst:
        lines.append(' VTST: version 4.2, (01/01/24)')
    for number, step in enumerate(steps, start=1):
        electronic = step.get('n_electronic', 12)
        for count in range(1, electronic + 1):
            lines += [
                f'{"-" * 39} Iteration {number:6d}({count:4d})  {"-" * 39}',
                '  free energy    TOTEN  =       -10.00000000 eV',
                '  energy without entropy =      -10.00000000  energy(sigma->0) =      -10.00000000',
            ]
        if electronic < nelm:
            lines.append(
                '------------------------ aborting loop because EDIFF is reached --------------------------------'
            )
        if 'moments' in step:
            lines += [' magnetization (x)', ' ', '# of ion       s       p       d       tot', '-' * 42]
            lines += [
                f'{atom:5d}      {0:8.3f}{0:8.3f}{moment:8.3f}{moment:8.3f}'
                for atom, moment in enumerate(step['moments'], start=1)
            ]
            lines += ['-' * 50, f'tot        {0:8.3f}{0:8.3f}{0:8.3f}{sum(step["moments"]):8.3f}', ' ']
        if 'lattice' in step:
            lines += ['      direct lattice vectors                 reciprocal lattice vectors']
            lines += [' '.join(f'{entry:13.9f}' for entry in [*vector, 0, 0, 0]) for vector in step['lattice']]
        lines += [' POSITION                                       TOTAL-FORCE (eV/Angst)', ' ' + '-' * 83]
        for position, force in zip(step['positions'], step['forces'], strict=True):
            lines.append(''.join(f'{entry:13.5f}' for entry in position) + ''.join(f'{entry:16.6f}' for entry in force))
        lines += [
            ' ' + '-' * 83,
            '    total drift:                                0.000000      0.000000      0.000000',
            '  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)',
            f'  free  energy   TOTEN  = {step["energy"] - 0.001:18.8f} eV',
            f'  energy  without entropy= {step["energy"] + 0.001:15.8f}  energy(sigma->0) = {step["energy"]:15.8f}',
        ]
        if 'tangent' in step:
            lines += [' NEB: Tangent', ' ' + '-' * 46]
            lines += [' '.join(f'{entry:12.6f}' for entry in row) for row in step['tangent']]
            lines += [' ', f' NEB: projections on to tangent (spring, REAL)  0.100000  {step["along"]:12.6f}']
        lines.append('     LOOP+:  cpu time    9.0000: real time   10.0000')
    if accurate:
        lines.append(' reached required accuracy - stopping structural energy minimisation')
    if finished:
        lines += [' General timing and accounting informations for this job:', '  Elapsed time (sec):      123.456']
    return '\n'.join(lines) + '\n'


@pytest.fixture
def write_outcar():
    """Return the function that writes OUTCARs."""
    return outcar_text
