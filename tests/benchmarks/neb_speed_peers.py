"""One nudged elastic band by a peer, for `neb_speed.py`: runs in the peers' environment and imports nothing of ours.

    python neb_speed_peers.py {ase_shared,ase_per_image,matcalc} BAND.extxyz FORCE SPRING

Imports and the loading of the model are not timed. The last line is a JSON object.
"""

import json
import sys
import time
import warnings

from ase.io import read
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from chgnet.model.dynamics import CHGNetCalculator
from chgnet.model.model import CHGNet

warnings.simplefilter('ignore')


def counting(calculator):
    """Let a calculator count how often it evaluates a structure."""
    original = calculator.calculate

    def calculate(*args, **kwargs):
        calculator.count = getattr(calculator, 'count', 0) + 1
        return original(*args, **kwargs)

    calculator.calculate = calculate
    return calculator


def main():
    """Run and print."""
    contender, path, threshold, spring = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    images = read(path, index=':')
    model = CHGNet.load(verbose=False, use_device='cpu')
    shared = counting(CHGNetCalculator(model=model, use_device='cpu'))
    calculators = [shared]
    shared.calculate(images[0])  # the first evaluation is slower than the others
    shared.results.clear()
    shared.atoms, shared.count = None, 0
    start = time.perf_counter()
    if contender == 'matcalc':
        from matcalc import NEBCalc

        calculation = NEBCalc(shared, climb=True, fmax=threshold, k=spring)
        start = time.perf_counter()
        result = calculation.calc({f'image{index:02d}': atoms for index, atoms in enumerate(images)})
        converged = result['converged']
        energies, steps = result['mep'].energies, None
    else:
        if contender == 'ase_shared':
            for atoms in images:
                atoms.calc = shared
        else:
            calculators = [counting(CHGNetCalculator(model=model, use_device='cpu')) for _ in images]
            for atoms, calculator in zip(images, calculators, strict=True):
                atoms.calc = calculator
        neb = NEB(
            images,
            k=spring,
            climb=True,
            method='improvedtangent',
            allow_shared_calculator=contender == 'ase_shared',
        )
        # BFGS on the band is what ASE's tutorial shows with a shared calculator
        optimiser = (BFGS if contender == 'ase_shared' else FIRE)(neb, logfile=None)
        converged = bool(optimiser.run(fmax=threshold, steps=500))
        energies, steps = [atoms.get_potential_energy() for atoms in images], optimiser.nsteps
    wall = time.perf_counter() - start
    count = sum(getattr(calculator, 'count', 0) for calculator in calculators)
    print(
        json.dumps(
            {
                'wall_s': wall,
                'evaluations': count,
                'steps': steps,
                'converged': bool(converged),
                'barrier': float(max(energies) - energies[0]),
            }
        )
    )


if __name__ == '__main__':
    main()
