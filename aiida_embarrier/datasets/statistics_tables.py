"""What the tables of :mod:`aiida_embarrier.datasets.statistics` are: titles and definitions for readers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ('LABELS', 'TABLES', 'Table')


@dataclass(frozen=True)
class Table:
    """A table of the statistics.

    :param title: what readers see above it.
    :param meaning: what it counts, one or two sentences.
    :param counted: of a table by label, what different labels are called in the numbers.
    """

    title: str
    meaning: str
    counted: str = ''


#: Columns by whose labels rows are counted; the table of a column is called `by_` and its name.
LABELS = {
    'ion': Table('Migrating ions', 'Rows by the element of the migrating ion.', 'ions'),
    'structural_group': Table(
        'Structural groups',
        'Rows by structural group: labels of classes that mean the same are merged.',
        'structural_groups',
    ),
    'structural_class': Table(
        'Structural classes', 'Rows by structural class, as the source labels it.', 'structural_classes'
    ),
    'crystal_system': Table('Crystal systems', 'Rows by crystal system as the source gives it.', 'crystal_systems'),
    'space_group': Table(
        'Space groups',
        'Rows by space group; spellings of one symbol are merged, other settings of one group, such as Pnma and Pbnm, '
        'are not.',
        'space_groups',
    ),
    'functional': Table('Density functionals', 'Rows by density functional, as the source names it.', 'functionals'),
    'charge_state': Table(
        'Charge states',
        'Charged: a single migrating ion in an empty host. Discharged: a vacancy hop among other ions.',
        'charge_states',
    ),
    'mechanism': Table('Mechanisms', 'Rows by migration mechanism.', 'mechanisms'),
    'engine': Table('Engines', 'Rows by the engine that computed the barrier.', 'engines'),
    'endpoint_symmetry': Table(
        'Symmetry of the initial structure',
        'Whether the stored final state holds, the framework of the initial one with the ion at the end of its path: '
        'it does where the initial structure has the symmetry of the unrelaxed crystal.',
        'endpoint_symmetries',
    ),
    'formula': Table('Compositions', 'Rows by composition as the source writes it.', 'compositions'),
}

#: What each table is, by its name, in the order in which they are shown.
TABLES: dict[str, Table] = {
    'histogram': Table('Histogram', 'Rows in bins of equal width, low ≤ x < high.'),
    'ranges': Table(
        'Low, intermediate and high barriers', 'Rows below the first limit, up to the second, and above it.'
    ),
    'thresholds': Table('Barriers below thresholds', 'Rows with a barrier below (<) the threshold.'),
    **{f'by_{name}': table for name, table in LABELS.items()},
    'paths': Table(
        'Paths of a material',
        'Materials by the number of their rows. A material is a name without the number of its path: Li2MnO3_4 is a '
        'path of Li2MnO3.',
    ),
    'materials': Table(
        'Materials with several paths', 'Materials with more than one row, and the range of their barriers.'
    ),
    'pairs': Table(
        'Charged and discharged',
        'Hosts with both charged and discharged rows of one ion: structural group, reduced formula of the host without '
        'its ions, and ion are the same. Mean and lowest barrier of the rows of each state.',
    ),
    'hop_lengths': Table(
        'Lengths of hops', 'Rows by the distance between the ends of the path of the ion, low ≤ x < high.'
    ),
    'cell_sizes': Table('Sizes of cells', 'Rows by the number of atoms, the migrating ion included, low ≤ x < high.'),
    'elements': Table('Elements', 'Rows whose crystal has the element, the migrating ion included.'),
    'n_elements': Table('Numbers of elements', 'Rows by the number of different elements of their crystal.'),
    'flags': Table('Flagged rows', 'Rows with a known defect, by defect; a row may have several.'),
}
