"""Orderings the slow way: every arrangement, its images under symmetry that other code found, the least image."""

import itertools

import numpy as np
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer


def subsets(n_sites, counts):
    """Return all ways to put species on sites, shape (n, n_sites), in no particular order."""
    counts = list(counts)
    rows = []

    def fill(row, left, index):
        if index == len(counts) - 1:
            row = row.copy()
            row[left] = index
            rows.append(row)
            return
        for chosen in itertools.combinations(left, counts[index]):
            following = row.copy()
            following[list(chosen)] = index
            fill(following, [site for site in left if site not in chosen], index + 1)

    fill(np.zeros(n_sites, dtype=np.uint8), list(range(n_sites)), 0)
    return np.array(rows)


def arrangements(contents):
    """Return all arrangements of several sets side by side."""
    parts = [subsets(sum(counts), counts) for counts in contents]
    rows = np.zeros((1, 0), dtype=np.uint8)
    for part in parts:
        rows = np.concatenate([np.repeat(rows, len(part), axis=0), np.tile(part, (len(rows), 1))], axis=1)
    return rows


def orbits(rows, permutations):
    """Return the number of arrangements in each orbit, by brute force, sorted."""
    base = int(rows.max(initial=0)) + 1
    n_sites = rows.shape[1]
    assert base**n_sites < 2**62
    weights = base ** np.arange(n_sites, dtype=np.int64)
    least = None
    for permutation in permutations:
        codes = np.zeros(len(rows), dtype=np.int64)
        for site in range(n_sites):
            codes += rows[:, permutation[site]].astype(np.int64) * weights[site]
        least = codes if least is None else np.minimum(least, codes)
    return np.sort(np.unique(least, return_counts=True)[1])


def permutations_by_pymatgen(structure: Structure, sites, symprec=0.01):
    """Return what the operations that pymatgen's analyser finds do to sites, one at a time."""
    operations = SpacegroupAnalyzer(structure, symprec=symprec).get_symmetry_operations()
    points = structure.frac_coords[list(sites)]
    lattice = structure.lattice
    found = set()
    for operation in operations:
        distances = lattice.get_all_distances(operation.operate_multi(points), points)
        target = distances.argmin(axis=1)
        assert distances.min(axis=1).max() < 0.05
        assert len(set(target.tolist())) == len(target)
        found.add(tuple(target.tolist()))
    return np.array(sorted(found))
