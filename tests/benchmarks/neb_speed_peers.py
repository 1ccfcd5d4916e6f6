"""One nudged elastic band by a peer, for `neb_speed.py`: runs in the peers' environment and imports nothing of ours.

    python neb_speed_peers.py {ase_shared,ase_per_image,matcalc,matcalc_fire} BAND.extxyz FORCE SPRING SECONDS

Imports and the loading of the model are not timed. A run ends after so many seconds even if it did not converge; its
wall time is then a lower bound. The last line is a JSON object.
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


def limited(optimiser, seconds):
    """Return the optimiser class with an end after so many seconds of wall time."""

    class Limited(optimiser):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.end = time.perf_counter() + seconds

        def converged(self, *args, **kwargs):
            if time.perf_counter() > self.end:
                raise TimeoutError
            return super().converged(*args, **kwargs)

    return Limited


def main():
    """Run and print."""
    contender, path = sys.argv[1:3]
    threshold, spring, seconds = (float(argument) for argument in sys.argv[3:])
    images = read(path, index=':')
    model = CHGNet.load(verbose=False, use_device='cpu')
    shared = counting(CHGNetCalculator(model=model, use_device='cpu'))
    calculators = [shared]
    shared.calculate(images[0])  # the first evaluation is slower than the others
    shared.results.clear()
    shared.atoms, shared.count = None, 0
    start = time.perf_counter()
    # BFGS is matcalc's default, and what ASE's tutorial shows with a shared calculator
    optimiser = limited(BFGS if contender in ('ase_shared', 'matcalc') else FIRE, seconds)
    converged, energies = False, None
    try:
        if contender.startswith('matcalc'):
            from matcalc import NEBCalc

            calculation = NEBCalc(shared, optimizer=optimiser, climb=True, fmax=threshold, k=spring)
            start = time.perf_counter()
            result = calculation.calc({f'image{index:02d}': atoms for index, atoms in enumerate(images)})
            converged, energies = result['converged'], result['mep'].energies
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
            converged = optimiser(neb, logfile=None).run(fmax=threshold, steps=500)
            energies = [atoms.get_potential_energy() for atoms in images]
    except TimeoutError:
        pass
    wall = time.perf_counter() - start
    count = sum(getattr(calculator, 'count', 0) for calculator in calculators)
    print(
        json.dumps(
            {
                'wall_s': wall,
                'evaluations': count,
                'converged': bool(converged),
                'barrier': None if energies is None else float(max(energies) - energies[0]),
            }
        )
    )


if __name__ == '__main__':
    main()
