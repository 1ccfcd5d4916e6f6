"""A profile with 10,000 bands: how long `list` and an archive for publication take.

    python tests/benchmarks/large_profile.py [--bands 10000] [--archived 500] [--folder KEEP]

makes a temporary SQLite profile in which each band has what a computed one has: a crystal, the hop, parameters, a work
chain with its restart chain, a job, its results and retrieved files, and every tenth band an earlier one of the same
chain that it replaced. Energies are made up, so that a fifth of the bands lies below 0.3 eV. It prints a table and,
last, one JSON object with

- `list_s`: `find_bands` with three filters inside an open session (aim: below 1 s), `list_final_s`: without bands that
  a later job replaced, as the command asks; `list_plain_s`: the first question asked plainly, QueryBuilder returns
  all nodes and Python filters, and whether both find the same bands;
- `list_all_s`: all bands with the processes that somebody started, `command_three_filters_s` and `command_all_s`: the
  command `list --format json`, its start (`command_start_s`) included; `cost_s`: the costs of all jobs by step;
- `archive_s`: `export_archive` of 500 bands with all ancestors (aim: below 60 s), and what went in;
- sizes of the database, the file repository and the archive in MB, and how busy the machine was.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

BIN = Path(sys.executable).parent
N_IMAGES, N_ATOMS = 7, 27
IONS = ('Li', 'Na', 'Mg', 'Ca', 'K')
#: Bands for each crystal.
HOPS = 20
FILTERS: dict[str, Any] = {'ion': 'Li', 'barrier_max': 0.3, 'converged': True}


class Nodes:
    """Rows of the tables of nodes and links, gathered and stored in bulk."""

    def __init__(self) -> None:
        from aiida.manage import get_manager
        from aiida.orm import Computer, User

        self.storage = get_manager().get_profile_storage()
        self.user = User.collection.get_default().pk
        self.computer = Computer(
            label='made-up', hostname='localhost', transport_type='core.local', scheduler_type='core.direct'
        ).store()
        self.start = datetime(2026, 1, 1, tzinfo=UTC)
        self.nodes: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.files: dict[bytes, str] = {}

    def add(
        self, node_type: str, attributes: dict[str, Any], files: dict[str, bytes] | None = None, **more: Any
    ) -> int:
        """Gather a node and return its number, by which links name it."""
        content = {name: {'k': self._key(data)} for name, data in (files or {}).items()}
        time_made = self.start + timedelta(seconds=len(self.nodes))
        row = {
            'uuid': str(uuid.uuid4()),
            'node_type': node_type,
            'process_type': None,
            'label': '',
            'description': '',
            'ctime': time_made,
            'mtime': time_made + timedelta(seconds=60),
            'attributes': attributes,
            'extras': {},
            'repository_metadata': {'o': content} if content else {},
            'dbcomputer_id': None,
            'user_id': self.user,
        }
        self.nodes.append({**row, **more})
        return len(self.nodes) - 1

    def link(self, source: int, target: int, kind: str, label: str) -> None:
        """Gather a link between two nodes by their numbers."""
        self.links.append({'input_id': source, 'output_id': target, 'type': kind, 'label': label})

    def store(self) -> None:
        """Write everything into the profile."""
        from aiida.orm import Node, QueryBuilder
        from aiida.orm.entities import EntityTypes

        def insert(kind: EntityTypes, rows: list[dict[str, Any]]) -> None:
            for first in range(0, len(rows), 5000):
                self.storage.bulk_insert(kind, rows[first : first + 5000], allow_defaults=True)

        with self.storage.transaction():
            insert(EntityTypes.NODE, self.nodes)
            pk_of = dict(QueryBuilder().append(Node, project=['uuid', 'id']).all())
            pks = [pk_of[node['uuid']] for node in self.nodes]
            for link in self.links:
                link.update(input_id=pks[link['input_id']], output_id=pks[link['output_id']])
            insert(EntityTypes.LINK, self.links)

    def store_files(self) -> None:
        """Write the files into one pack of the repository."""
        with self.storage.get_repository()._container as container:
            keys = container.add_objects_to_pack(list(self.files))
        assert keys == list(self.files.values())

    def _key(self, data: bytes) -> str:
        import hashlib

        return self.files.setdefault(data, hashlib.sha256(data).hexdigest())


def npy(array: np.ndarray) -> bytes:
    """Return an array as its file."""
    handle = io.BytesIO()
    np.save(handle, array, allow_pickle=False)
    return handle.getvalue()


def fill(n_bands: int) -> None:
    """Fill the loaded profile."""
    nodes, rng = Nodes(), np.random.default_rng(5)
    data, work = 'data.core.{}.', 'process.workflow.workchain.WorkChainNode.'
    engine = nodes.add(data.format('str.Str'), {'value': 'potential'})
    code = nodes.add(
        'data.core.code.installed.InstalledCode.',
        {'input_plugin': None, 'filepath_executable': '/bin/true', 'with_mpi': False},
        dbcomputer_id=nodes.computer.pk,
        label='worker',
    )
    parameters = nodes.add(data.format('dict.Dict'), {'force_threshold': 0.05, 'max_steps': 500})
    finished = {'process_state': 'finished', 'exit_status': 0, 'sealed': True}
    for number in range(n_bands):
        ion = IONS[number // HOPS % len(IONS)]
        if number % HOPS == 0:
            cell = (np.eye(3) * (6 + rng.random())).tolist()
            sites = [{'kind_name': ion, 'position': place} for place in (6 * rng.random((N_ATOMS + 1, 3))).tolist()]
            kind = {'name': ion, 'symbols': [ion], 'weights': [1.0], 'mass': 7.0}
            crystal = nodes.add(
                data.format('structure.StructureData'),
                {'cell': cell, 'pbc1': True, 'pbc2': True, 'pbc3': True, 'kinds': [kind], 'sites': sites},
            )
        hop = nodes.add(data.format('dict.Dict'), {'ion': ion, 'number': number % HOPS, 'mechanism': 'vacancy'})
        root = nodes.add(work, {'process_label': 'MigrationBarrierWorkChain', **finished},
                         process_type='aiida.workflows:embarrier.barrier')  # fmt: skip
        chain = nodes.add(work, {'process_label': 'PotentialNebWorkChain', **finished},
                          process_type='aiida.workflows:embarrier.potential.neb')  # fmt: skip
        for source, label in ((crystal, 'structure'), (hop, 'hop'), (engine, 'engine')):
            nodes.link(source, root, 'input_work', label)
        nodes.link(root, chain, 'call_work', 'neb')
        nodes.link(parameters, chain, 'input_work', 'parameters')
        for attempt in range(2 if number % 10 == 0 else 1):
            job = nodes.add(
                'process.calculation.calcjob.CalcJobNode.',
                {
                    'process_label': 'PotentialNebCalculation',
                    'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
                    **finished,
                },
                process_type='aiida.calculations:embarrier.potential.neb',
                dbcomputer_id=nodes.computer.pk,
            )
            for source, label in ((crystal, 'crystal'), (parameters, 'parameters'), (code, 'code')):
                nodes.link(source, job, 'input_calc', label)
            nodes.link(chain, job, 'call_calc', f'iteration_{attempt + 1:02d}')
            attributes, arrays = band(rng, ion, converged=rng.random() < 0.8)
            made = nodes.add('data.embarrier.band.BandData.', attributes, arrays)
            results = nodes.add(data.format('dict.Dict'), {'status': 'finished', 'wall_s': 40.0 + 20 * rng.random()})
            retrieved = nodes.add(
                data.format('folder.FolderData'), {}, {'progress.jsonl': json.dumps({'time': rng.random()}).encode()}
            )
            for target, label in ((made, 'bands__band'), (results, 'results'), (retrieved, 'retrieved')):
                nodes.link(job, target, 'create', label)
        nodes.link(chain, made, 'return', 'bands__band')
        nodes.link(root, made, 'return', 'band')
    nodes.store()
    nodes.store_files()


def band(rng: np.random.Generator, ion: str, converged: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the attributes and files of a band with made-up images."""
    height = float(rng.gamma(4, 0.12))
    energies = height * np.sin(np.linspace(0, np.pi, N_IMAGES))
    arrays = {
        'positions': 6 * rng.random((N_IMAGES, N_ATOMS, 3)),
        'lattice': 6.5 * np.eye(3),
        'kind_indices': np.zeros(N_ATOMS, dtype=int),
        'energies': energies,
        'max_perpendicular_forces': np.full(N_IMAGES, 0.03),
    }
    attributes = {
        **{f'array|{name}': list(array.shape) for name, array in arrays.items()},
        'kinds': [{'element': ion, 'magnetic_moment': None, 'oxidation_state': None, 'hubbard_u': None}],
        'mobile': [0],
        'formula': f'{ion}2O',
        'host': f'{ion}2O',
        'mobile_ion': ion,
        'mechanism': 'vacancy',
        'n_images': N_IMAGES,
        'n_atoms': N_ATOMS,
        'hop_length': 2.0 + float(rng.random()),
        'engine': 'potential',
        'potential': 'chgnet-0.3.0',
        'functional': None,
        'charge': None,
        'climbing': True,
        'converged': bool(converged),
        'residual_force': 0.04,
        'barrier_forward': height,
        'barrier_reverse': height,
        'barrier_rate_limiting': height,
        'barrier_span': height,
    }
    return attributes, {f'{name}.npy': npy(array) for name, array in arrays.items()}


def plainly() -> set[int]:
    """Return the PKs of the bands that meet the filters as one would ask without this package."""
    from aiida.orm import QueryBuilder

    from aiida_embarrier.data.band import BandData

    found = set()
    for node in QueryBuilder().append(BandData).all(flat=True):
        attributes = node.base.attributes.all
        height = attributes['barrier_forward']
        if attributes['mobile_ion'] == 'Li' and height is not None and height <= 0.3 and attributes['converged']:
            found.add(node.pk)
    return found


def timed(question: Any, repeat: int = 1) -> tuple[float, Any]:
    """Return the shortest time of a few runs in s, and what came out."""
    times = []
    for _ in range(repeat):
        start = time.monotonic()
        answer = question()
        times.append(time.monotonic() - start)
    return min(times), answer


def size_of(place: Path) -> float:
    """Return the size of a file or folder in MB."""
    files = [place] if place.is_file() else [path for path in place.rglob('*') if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6


def measure(folder: Path, n_bands: int, n_archived: int) -> dict[str, Any]:
    """Fill a profile in a folder and ask it; times in s, sizes in MB."""
    from aiida import load_profile
    from aiida.orm import Group, Node, QueryBuilder, load_node
    from aiida.tools.archive.implementations.sqlite_zip.main import ArchiveFormatSqlZip

    from aiida_embarrier.data.band import BandData
    from aiida_embarrier.publishing.archive import export_archive
    from aiida_embarrier.queries.bands import find_bands
    from aiida_embarrier.queries.costs import add_up_costs, job_costs
    from aiida_embarrier.queries.origins import origins

    environment = {**os.environ, 'AIIDA_PATH': str(folder)}
    command = [str(BIN / 'verdi'), 'presto', '--no-broker', '-n', '-p', 'large']
    subprocess.run(command, env=environment, check=True, capture_output=True)
    load_profile('large')
    found: dict[str, Any] = {}
    found['fill_s'], _ = timed(lambda: fill(n_bands))
    found['n_nodes'] = QueryBuilder().append(Node).count()
    found['n_bands'] = QueryBuilder().append(BandData).count()
    find_bands(limit=1)  # whatever is imported at the first question
    found['list_s'], table = timed(lambda: find_bands(**FILTERS), 3)
    found['list_final_s'], final = timed(lambda: find_bands(**FILTERS, replaced=False), 3)
    found['n_listed'] = len(final)
    found['list_plain_s'], plain = timed(plainly)
    found['same_answer'] = set(table['pk']) == plain
    every = find_bands(replaced=False)
    before = time.process_time()
    found['list_all_s'], _ = timed(lambda: origins(find_bands(replaced=False)['pk']))
    found['list_all_cpu_s'] = time.process_time() - before
    found['n_all'] = len(every)
    found['cost_s'], _ = timed(lambda: add_up_costs(job_costs()))
    ask = [str(BIN / 'aiida-embarrier'), 'list', '-p', 'large', '--format', 'json']
    filters = ['--ion', 'Li', '--max-barrier', '0.3', '--converged']
    for name, options in (('start', ['--limit', '0']), ('three_filters', filters), ('all', [])):
        start = time.monotonic()
        subprocess.run([*ask, *options], env=environment, check=True, capture_output=True)
        found[f'command_{name}_s'] = time.monotonic() - start
    group = Group('published').store()
    group.add_nodes([load_node(pk) for pk in every['pk'][:n_archived]])
    archive = folder / 'published.aiida'
    found['archive_s'], _ = timed(lambda: export_archive(archive, groups=[group]))
    with ArchiveFormatSqlZip().open(archive, 'r') as reader:
        found['archived_bands'] = reader.querybuilder().append(BandData).count()
        found['archived_nodes'] = reader.querybuilder().append(Node).count()
    storage = next((folder / '.aiida' / 'repository').glob('*')) if (folder / '.aiida').is_dir() else folder
    found['archive_MB'] = size_of(archive)
    found['database_MB'] = sum(map(size_of, storage.rglob('database.sqlite')))
    found['repository_MB'] = size_of(storage) - found['database_MB']
    found['load_average'] = os.getloadavg()[1]
    return found


def main() -> None:
    """Print the table and the JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--bands', type=int, default=10000)
    parser.add_argument('--archived', type=int, default=500)
    parser.add_argument('--folder', type=Path, help='make the profile here and keep it')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        os.environ['AIIDA_PATH'] = str(folder)
        found = measure(folder, arguments.bands, arguments.archived)
    found = {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}
    for name, value in found.items():
        print(f'{name:30} {value}')
    print(json.dumps(found))


if __name__ == '__main__':
    main()
