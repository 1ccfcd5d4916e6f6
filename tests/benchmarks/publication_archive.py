"""A publication of 500 bands with all their ancestors, out of a profile with more: checks, archive, round trip.

    python tests/benchmarks/publication_archive.py [--bands 2000] [--published 500]

fills a temporary SQLite profile as large_profile.py does, with bands whose attributes follow from their arrays, and
publishes a group. It prints a table and, last, one JSON object: seconds for the plan (every file looked through), for
the archive alone, for all of `publish` (archive, table, README and round trip; aim: below 60 s) and for the round trip
alone, as whoever receives the archive makes it, each with the CPU time, which does not depend on what else the machine
does; the size of the archive and the size estimated before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import large_profile
import numpy as np
from large_profile import BIN, fill, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from systems import straight_band


def real_band(rng: np.random.Generator, ion: str, converged: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the attributes and files of a band with made-up energies that says of itself what follows from them."""
    from dataclasses import replace

    from aiida_embarrier.data.band import BandData

    band = straight_band(7)
    band = replace(band, kinds=(replace(band.kinds[0], name=ion, element=ion),))
    band = band.replace(
        positions=band.positions + 0.05 * rng.random(band.positions.shape),
        energies=float(rng.gamma(4, 0.12)) * np.sin(np.linspace(0, np.pi, 7)) + 0.01 * rng.random(7),
        forces=0.1 * rng.random(band.positions.shape),
        engine='potential',
        potential='chgnet-0.3.0',
        converged=bool(converged),
    )
    node = BandData(band)
    content = node.base.repository
    names = content.list_object_names()
    return node.base.attributes.all, {name: content.get_object_content(name, 'rb') for name in names}


def measure(folder: Path, n_bands: int, n_published: int) -> dict[str, Any]:
    """Fill a profile in a folder and publish a part of it; times in s, sizes in MB."""
    from aiida import load_profile
    from aiida.common.log import LOG_LEVEL_REPORT, override_log_level
    from aiida.orm import Group, Node, QueryBuilder

    from aiida_embarrier.data.band import BandData
    from aiida_embarrier.publishing.archive import write_archive
    from aiida_embarrier.publishing.publication import Files, plan_publication, publish
    from aiida_embarrier.publishing.readme import Description
    from aiida_embarrier.publishing.verification import verify

    command = [str(BIN / 'verdi'), 'presto', '--no-broker', '-n', '-p', 'large']
    subprocess.run(command, env={**os.environ, 'AIIDA_PATH': str(folder)}, check=True, capture_output=True)
    load_profile('large')
    large_profile.band = real_band
    fill(n_bands)
    group = Group('paper').store()
    group.add_nodes(QueryBuilder().append(BandData).limit(n_published).all(flat=True))
    files = Files.beside(folder / 'paper.aiida')
    found: dict[str, Any] = {'nodes_in_profile': QueryBuilder().append(Node).count()}

    def measured(name: str, question: Any) -> Any:
        before = time.process_time()
        found[f'{name}_s'], answer = timed(question)
        found[f'{name}_cpu_s'] = time.process_time() - before
        return answer

    with override_log_level(LOG_LEVEL_REPORT):
        plan = measured('plan', lambda: plan_publication(group))
        measured('archive', lambda: write_archive(folder / 'alone.aiida', plan.selection))
        measured('publish', lambda: publish(plan, files, Description('paper')))
    verified = measured('round_trip', lambda: verify(files.archive, files.table))
    return {
        **found,
        'rows': verified.n_rows,
        'numbers': verified.n_numbers,
        'nodes': verified.n_nodes,
        'links': verified.n_links,
        'files': verified.n_objects,
        'archive_MB': files.archive.stat().st_size / 1e6,
        'archive_estimate_MB': plan.n_bytes / 1e6,
        'load_average': os.getloadavg()[0],
    }


def main() -> None:
    """Print the table and the JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--bands', type=int, default=2000)
    parser.add_argument('--published', type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ['AIIDA_PATH'] = temporary
        found = measure(Path(temporary), given.bands, given.published)
    found = {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}
    for name, value in found.items():
        print(f'{name:22} {value}')
    print(json.dumps(found))


if __name__ == '__main__':
    main()
