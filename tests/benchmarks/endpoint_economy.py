"""Endpoints by symmetry: what they save, and whether barriers are those of independently relaxed ends.

Run with `python tests/benchmarks/endpoint_economy.py [SYSTEM ...]`; it takes about half an hour on two cores. The last
line is a JSON object.
"""

import gzip
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import SHARED_DATA
from pymatgen.core import Lattice, Structure

from aiida_embarrier.bands.band import Band
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.calculations.mapping import verdict
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import Geometry, NebTask, RelaxTask, Status
from aiida_embarrier.potentials.driver import run_tasks
from aiida_embarrier.potentials.loading import open_evaluator, verify_potential
from aiida_embarrier.potentials.neb import NudgedElasticBand
from aiida_embarrier.potentials.relaxation import Relaxation
from aiida_embarrier.structures.endpoints import make_endpoints
from aiida_embarrier.structures.hops import find_hops
from aiida_embarrier.structures.mapping import TOLERANCE, map_state, plan_states, rebuild_host
from aiida_embarrier.structures.supercells import Supercell

TOLERANCE_EV = 0.005
N_IMAGES = 5

#: Published endpoints of real crystals by their names in barriers_train: description, mechanism.
PUBLISHED = {
    'Li3OCl_1': ('Li3OCl, antiperovskite, Pm-3m', 'vacancy'),
    'KVF3': ('KVF3, perovskite, Pm-3m', 'vacancy'),
    'LiSc2S4': ('LiSc2S4, thiospinel, Fd-3m', 'vacancy'),
    'CaCu2S2_1': ('CaCu2S2, layered, P-3m1', 'vacancy'),
    'Mn2O4_Li': ('Mn2O4 with Li, spinel framework, Fd-3m', 'interstitial'),
}


def olivine():
    """Return both ends of the hop of LiFePO4 along [010], its iron antiferromagnetic, and the supercell of the host."""
    crystal = Structure.from_file(Path(__file__).parents[2] / 'examples' / 'LiFePO4.cif')
    signs = iter((1, 1, -1, -1))
    crystal.add_site_property('magmom', [4.0 * next(signs) if s.specie.symbol == 'Fe' else 0.0 for s in crystal])
    ends = make_endpoints(crystal, find_hops(crystal, 'Li')[0], (1, 2, 1), min_distance=1.0)
    return ends.initial, ends.final, Supercell(crystal, ends.supercell).structure


def published(name, mechanism):
    """Return both published ends of a hop, not relaxed, and the host that they have together."""
    with gzip.open(SHARED_DATA / 'barriers_train' / 'barriers_train.json.gz', 'rt') as file:
        entry = next(entry for entry in json.load(file) if entry['sys_name'] == name)
    species = [entry['mobile_species'], *entry['species']]
    initial, final = (
        Structure(Lattice(entry['lattice']), species, [entry['path_frac'][image], *entry['frac_coords']])
        for image in (0, -1)
    )
    return initial, final, rebuild_host(initial, final, [0], mechanism)


def systems():
    """Yield key, description, mechanism and a function that returns both ends and the host."""
    yield 'LiFePO4', 'LiFePO4, olivine, antiferromagnetic', 'vacancy', olivine
    for name, (description, mechanism) in PUBLISHED.items():
        yield name, description, mechanism, lambda name=name, mechanism=mechanism: published(name, mechanism)


def relax(structures, evaluator):
    """Return relaxed structures by label, and the results of their tasks as work chains have them."""
    tasks = [
        Relaxation(
            RelaxTask(
                label=label,
                structure=Geometry(
                    lattice=structure.lattice.matrix.tolist(),
                    elements=[site.specie.symbol for site in structure],
                    positions=structure.cart_coords.tolist(),
                ),
            )
        )
        for label, structure in structures.items()
    ]
    run_tasks(tasks, evaluator)
    relaxed, results = {}, {}
    for task, (label, structure) in zip(tasks, structures.items(), strict=True):
        result = task.result()
        assert result.status == Status.CONVERGED, f'{label}: {result.message}'
        results[label] = result.model_dump()
        relaxed[label] = Structure(
            structure.lattice,
            structure.species,
            result.structure.positions,
            coords_are_cartesian=True,
            site_properties=structure.site_properties,
        )
    return relaxed, results


def barrier(ends, spec, evaluator):
    """Return the barriers between relaxed ends, evaluations, and whether the band converged."""
    band = interpolate(Band.from_structures([ends['initial'], ends['final']], [0]), N_IMAGES)
    task = NudgedElasticBand(NebTask(label='band'), band, spec)
    run_tasks([task], evaluator)
    found = barriers(task.band.energies)
    result = task.result()
    return found.forward, found.reverse, result.n_evaluations, result.status == Status.CONVERGED


def compare(initial, final, host, spec, evaluator):
    """Return what one system gives with both ends relaxed, and with one mapped onto the other."""
    ends = {'initial': initial, 'final': final}
    both, tasks = relax(ends, evaluator)
    plan = plan_states(host, ends, TOLERANCE)
    start, operations = plan.mapped['final']
    mapped = map_state(both[start], initial, final, operations, [(both[start], initial)])
    checked, checks = relax({'final': mapped.structure}, evaluator)
    word = verdict(tasks['initial']['energy'], checks['final'])
    economic = {**both, 'final': checked['final']} if word in ('verified', 'relaxed_further') else both
    forward, reverse, independent_evaluations, converged = barrier(both, spec, evaluator)
    mapped_forward, mapped_reverse, mapped_evaluations, mapped_converged = barrier(economic, spec, evaluator)
    return {
        'n_atoms': len(initial),
        'n_operations': len(operations),
        'endpoint_mapping': word,
        'relaxations_saved': int(word == 'verified'),
        'evaluations_both': tasks['initial']['n_evaluations'] + tasks['final']['n_evaluations'],
        'evaluations_mapped': tasks['initial']['n_evaluations'] + checks['final']['n_evaluations'],
        'energy_difference_eV': checks['final']['energy'] - tasks['initial']['energy'],
        'energy_difference_both_eV': tasks['final']['energy'] - tasks['initial']['energy'],
        'motion_A': mapped.motion,
        'forward_eV': forward,
        'reverse_eV': reverse,
        'mapped_forward_eV': mapped_forward,
        'mapped_reverse_eV': mapped_reverse,
        'band_evaluations_both': independent_evaluations,
        'band_evaluations_mapped': mapped_evaluations,
        'converged': converged and mapped_converged,
    }


def main(chosen):
    """Print a table and a JSON object; the exit status is 1 where a barrier is off."""
    spec = verify_potential(resolve_potential('chgnet'))
    rows, failed = [], False
    print(f'{"system":44}{"atoms":>6}{"saved":>6}{"evals":>12}{"forward/eV":>12}{"mapped":>9}{"meV off":>9}  mapping')
    with open_evaluator(spec, 'cpu') as evaluator:
        for key, description, mechanism, ends in systems():
            if chosen and key not in chosen:
                continue
            row = {'system': description, 'mechanism': mechanism, **compare(*ends(), spec, evaluator)}
            rows.append(row)
            offs = [row[f'mapped_{way}_eV'] - row[f'{way}_eV'] for way in ('forward', 'reverse')]
            failed |= max(map(abs, offs)) > TOLERANCE_EV or not row['converged']
            evaluations = f'{row["evaluations_both"]} -> {row["evaluations_mapped"]}'
            print(
                f'{description:44}{row["n_atoms"]:6d}{row["relaxations_saved"]:6d}{evaluations:>12}'
                f'{row["forward_eV"]:12.4f}{row["mapped_forward_eV"]:9.4f}{1000 * max(offs, key=abs):9.2f}'
                f'  {row["endpoint_mapping"]}',
                flush=True,
            )
    saved = sum(row['relaxations_saved'] for row in rows)
    evaluations = sum(row['evaluations_both'] - row['evaluations_mapped'] for row in rows)
    totals = {'relaxations_saved': saved, 'n_endpoints': 2 * len(rows), 'evaluations_saved': evaluations}
    print(json.dumps({'tolerance_eV': TOLERANCE_EV, 'within': not failed, **totals, 'rows': rows}))
    return int(failed)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
