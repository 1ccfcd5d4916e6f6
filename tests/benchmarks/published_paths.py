"""Energies of published paths, computed again: ours beside the publishers', image by image.

The reference file holds the energies of every image of 14 paths with up to five potentials, published with
doi 10.1039/D5DD00534E, and the two structures that each path was made from. Here both ends are relaxed at fixed cell,
the band is interpolated by IDPP and optimised with the publishers' settings (five images in all, `eb`, springs of
5 eV/Å², no climbing image, 0.05 eV/Å), in jobs of `embarrier-worker`. The jobs are kept in a folder: what has been
computed is not computed again. Run with `python tests/benchmarks/published_paths.py`; the last line is a JSON object.
"""

import argparse
import gzip
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from pymatgen.core import Structure

from aiida_embarrier.bands.alignment import align_endpoints
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.bands.interpolation import interpolate
from aiida_embarrier.bands.io import read_npz, write_npz
from aiida_embarrier.figures.style import COLOURS, new_figure, save
from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.jobs.schemas import RESULT_FILE, Geometry, Job, JobResult, NebTask, RelaxTask

REFERENCES = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'neb_refs' / 'mlip_neb_energies.json.gz'
WORKER = Path(sys.executable).with_name('embarrier-worker')
#: What the publishers call a potential.
THEIR_NAMES = {'chgnet': 'CHGNet', 'sevennet': 'SevenNet'}
#: The publishers' settings, as far as they are known.
N_IMAGES, SPRING_CONSTANT, FORCE_THRESHOLD, MAX_STEPS = 5, 5.0, 0.05, 1000
#: Differences up to this need no explanation.
TOLERANCE_EV = 0.03
#: Models that give the published total energies; none of those that come with SevenNet does.
THEIR_MODELS = ('chgnet-0.3.0',)


def references():
    """Return the published systems by name, small ones first."""
    with gzip.open(REFERENCES, 'rt') as handle:
        systems = json.load(handle)
    return {system['sys_name']: system for system in sorted(systems, key=lambda system: len(system['species']))}


# ---------------------------------------------------------------- our computation


def endpoints(system):
    """Return the published ends of a path as a band of two images; the way of the ion is taken as written."""
    lattice, species = system['lattice'], system['species']
    ends = [Structure(lattice, species, system[f'{end}_frac']) for end in ('initial', 'final')]
    return align_endpoints(*ends, ion=system['mobile_species'], keep_images=True)


def compute(system, potential, options):
    """Return the optimised band and the result of its task."""
    folder = options.folder / potential.label / system['sys_name']
    if options.end_threshold != FORCE_THRESHOLD:
        folder /= f'ends_{options.end_threshold:g}'
    ends = endpoints(system)
    tasks = [
        RelaxTask(
            label=label,
            structure=Geometry(lattice=ends.lattice.tolist(), elements=ends.elements, positions=positions.tolist()),
            force_threshold=options.end_threshold,
            max_steps=MAX_STEPS,
        )
        for label, positions in zip(('initial', 'final'), ends.positions, strict=True)
    ]
    relaxed = run_job(folder / 'ends', potential, tasks, options)
    positions = np.stack([relaxed[task.label].structure.positions for task in tasks])
    band = interpolate(ends.replace(positions=positions), N_IMAGES, 'idpp')
    task = NebTask(
        label='path',
        method='eb',
        spring_constant=SPRING_CONSTANT,
        climb=False,
        force_threshold=FORCE_THRESHOLD,
        max_steps=MAX_STEPS,
    )
    result = run_job(folder / 'band', potential, [task], options, {task.band_file: band})['path']
    return read_npz(folder / 'band' / task.result_file), result


def run_job(folder, potential, tasks, options, bands=None):
    """Run a job in a folder, unless it has been run there, and return its results by label."""
    job = Job(potential=potential, tasks=tasks, processes=options.processes, device=options.device)
    path, results = folder / 'job.json', folder / RESULT_FILE
    if not _done(job, path, results):
        folder.mkdir(parents=True, exist_ok=True)
        for name, band in (bands or {}).items():
            write_npz(folder / name, band)
        path.write_text(job.model_dump_json(indent=1))
        with (folder / 'worker.log').open('w') as log:
            subprocess.run([WORKER, 'run', path], check=True, stdout=log, stderr=subprocess.STDOUT)
    return {result.label: result for result in _read(results).results}


def _done(job, path, results):
    """Return whether a job like this one was run; on how many processes does not matter."""
    if not (path.exists() and results.exists()) or _read(results).error is not None:
        return False
    try:
        earlier = Job.model_validate_json(path.read_text())
    except ValueError:  # written by another version
        return False
    return earlier.model_copy(update={'processes': job.processes, 'device': job.device}) == job


def _read(path):
    return JobResult.model_validate_json(path.read_text())


# ---------------------------------------------------------------- the same with ASE alone


def compute_with_ase(system, potential, options):
    """Return the energies of the images by the publishers' script as far as it is known: ASE alone from end to end."""
    from ase.mep import NEB
    from ase.optimize import BFGS, BFGSLineSearch
    from potential_systems import ThroughEvaluator

    from aiida_embarrier.potentials.loading import load_model, verify_potential

    cache = options.folder / potential.label / system['sys_name'] / 'ase.json'
    if not cache.exists():
        ends = endpoints(system)
        model = load_model(verify_potential(potential), 'cpu')
        images = [ends.atoms(0) for _ in range(N_IMAGES - 1)] + [ends.atoms(1)]
        for atoms in images:
            atoms.calc = ThroughEvaluator(model)
        for atoms in (images[0], images[-1]):
            BFGSLineSearch(atoms, logfile=None).run(fmax=FORCE_THRESHOLD, steps=MAX_STEPS)
        neb = NEB(images, k=SPRING_CONSTANT, climb=False, method='eb')
        neb.interpolate('idpp')
        optimiser = BFGS(neb, logfile=None)
        converged = optimiser.run(fmax=FORCE_THRESHOLD, steps=MAX_STEPS)
        energies = [float(atoms.get_potential_energy()) for atoms in images]
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(
            json.dumps({'energies_eV': energies, 'converged': bool(converged), 'n_steps': optimiser.nsteps})
        )
    return json.loads(cache.read_text())


# ---------------------------------------------------------------- comparison


def compare(system, potential, options):
    """Return our energies beside the published ones."""
    published = np.array(system['mlip'][THEIR_NAMES[potential.name]]['energies_eV'])
    band, result = compute(system, potential, options)
    row = {
        'system': system['sys_name'],
        'potential': potential.label,
        'n_atoms': band.n_atoms,
        'status': str(result.status),
        'residual_force': result.residual_force,
        'n_evaluations': result.n_evaluations,
        'published_eV': published.tolist(),
        'energies_eV': band.energies.tolist(),
        'span_eV': barriers(band.energies).span,
        'published_span_eV': float(np.ptp(published)),
        'difference_of_spans_eV': barriers(band.energies).span - float(np.ptp(published)),
        'largest_difference_of_images_eV': float(
            np.abs(band.energies - band.energies[0] - published + published[0]).max()
        ),
        'verdict': verdict(band.energies, published, potential),
    }
    if options.with_ase:
        row['ase'] = compute_with_ase(system, potential, options)
    return row


def verdict(ours, published, potential):
    """Say where total energies differ by more than the tolerance.

    An end that is off is another minimum, or one of the two is not at its bottom: a smaller `--end-threshold` tells.
    """
    off = ours - published
    if potential.label not in THEIR_MODELS:
        return f"another model than the publishers' (first end {_compared(off[0])} here)"
    if np.abs(off).max() <= TOLERANCE_EV:
        return f'total energies within {1000 * TOLERANCE_EV:.0f} meV'
    if np.ptp(off) <= TOLERANCE_EV:
        return f'the same profile, with all images {_compared(off.mean())} here'
    names = ['first end', *(f'image {image}' for image in range(1, len(off) - 1)), 'last end']
    pairs = [(name, value) for name, value in zip(names, off, strict=True) if abs(value) > TOLERANCE_EV]
    return 'here ' + ', '.join(f'{name} {_compared(value)}' for name, value in pairs)


def _compared(difference):
    return f'{abs(1000 * difference):.0f} meV {"lower" if difference < 0 else "higher"}'


def show(row):
    """Print one comparison: energies from the first image on, and how far they and the total energies are off."""
    published, ours = np.array(row['published_eV']), np.array(row['energies_eV'])
    print(
        f'\n{row["system"]}, {row["potential"]}, {row["n_atoms"]} atoms: {row["status"]}, '
        f'{row["n_evaluations"]} evaluations; {row["verdict"]}'
    )
    lines = {'published (eV)': published, 'ours (eV)': ours}
    if 'ase' in row:
        lines['ASE here (eV)'] = np.array(row['ase']['energies_eV'])
    for title, energies in lines.items():
        relative = ''.join(f'{energy:9.4f}' for energy in energies - energies[0])
        print(f'  {title:19}{relative}   span{np.ptp(energies):8.4f}   first {energies[0]:.4f}')
    off = ours - published
    for title, differences in {'off (meV)': off - off[0], 'off in total (meV)': off}.items():
        print(f'  {title:19}', *(f'{1000 * difference:9.1f}' for difference in differences), sep='')
    print(f'  {"span off (meV)":19}{1000 * row["difference_of_spans_eV"]:9.1f}', flush=True)


def summary(rows):
    """Return for each potential how many paths agree."""
    counts = {}
    for row in rows:
        count = counts.setdefault(row['potential'], dict.fromkeys(('paths', 'converged', 'spans_within', 'within'), 0))
        count['paths'] += 1
        count['converged'] += row['status'] == 'converged'
        count['spans_within'] += abs(row['difference_of_spans_eV']) <= TOLERANCE_EV
        count['within'] += row['largest_difference_of_images_eV'] <= TOLERANCE_EV
    return counts


def draw(rows, columns=5):
    """Return a figure with a panel for each system: published energies hollow, ours as points on lines."""
    systems = list(dict.fromkeys(row['system'] for row in rows))
    potentials = list(dict.fromkeys(row['potential'] for row in rows))
    n_rows = -(-len(systems) // columns)
    figure = new_figure(1.9 * columns, 1.75 * n_rows + 0.5)
    panels = figure.subplots(n_rows, columns, squeeze=False).ravel()
    for panel in panels[len(systems) :]:
        panel.set_visible(False)
    for row in rows:
        panel, colour = panels[systems.index(row['system'])], COLOURS[potentials.index(row['potential'])]
        published, ours = np.array(row['published_eV']), np.array(row['energies_eV'])
        panel.plot(ours - ours[0], '.-', color=colour, linewidth=1.2, markersize=5)
        panel.plot(published - published[0], 'o', color=colour, markerfacecolor='none', markersize=9)
        panel.set_title(row['system'], fontsize=9)
        panel.set_xticks(range(len(ours)))
        panel.margins(0.1)
        panel.tick_params(labelsize=8)
        panel.spines[['top', 'right']].set_visible(False)
    for label, colour in zip(potentials, COLOURS, strict=False):
        panels[0].plot([], [], '.-', color=colour, label=f'{label}, computed here')
        panels[0].plot([], [], 'o', color=colour, markerfacecolor='none', markersize=9, label=f'{label}, published')
    for panel in panels[max(0, len(systems) - columns) : len(systems)]:
        panel.set_xlabel('image', fontsize=9)
    figure.supylabel('energy relative to the first image (eV)', fontsize=10)
    figure.legend(loc='outside lower center', ncols=2 * len(potentials), frameon=False, fontsize=9)
    return figure


def main():
    """Print energies beside energies and a JSON object; the exit status is 1 where a band did not converge."""
    systems = references()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--systems', nargs='+', choices=systems, metavar='NAME', help='default: all that were published'
    )
    parser.add_argument(
        '--potentials',
        nargs='+',
        default=['chgnet'],
        metavar='NAME[:MODEL]',
        help='`chgnet` (default), or `sevennet` with a model, as `sevennet:7net-l3i5`',
    )
    parser.add_argument('--folder', type=Path, default=Path('published_paths'), help='where jobs and results are kept')
    parser.add_argument('--processes', type=int, help='processes of the worker; default: as many as cores')
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu', 'cuda'))
    parser.add_argument(
        '--end-threshold', type=float, default=FORCE_THRESHOLD, help='largest force on an atom of the ends in eV/Å'
    )
    parser.add_argument('--with-ase', action='store_true', help="run the publishers' recipe with ASE alone, too")
    parser.add_argument('--figure', type=Path, help='draw all paths to this file')
    options = parser.parse_args()
    rows = []
    for asked in options.potentials:
        name, _, model = asked.partition(':')
        potential = resolve_potential(name, model or None)
        for system in systems.values():
            if THEIR_NAMES[name] in system['mlip'] and system['sys_name'] in (options.systems or systems):
                rows.append(compare(system, potential, options))
                show(rows[-1])
    if options.figure:
        save(draw(rows), options.figure)
    print(json.dumps({'tolerance_eV': TOLERANCE_EV, 'potentials': summary(rows), 'rows': rows}))
    return int(any(row['status'] != 'converged' for row in rows))


if __name__ == '__main__':
    sys.exit(main())
