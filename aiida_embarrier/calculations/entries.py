"""Calcfunctions that set a computed barrier beside the one of the literature."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict, Str, StructureData

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.calculations.parameters import check_keys
from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.band import BandData  # noqa: TC001  (AiiDA reads the annotations)
from aiida_embarrier.data.convert import node_from_structure
from aiida_embarrier.data.table import TableData  # noqa: TC001  (AiiDA reads the annotations)
from aiida_embarrier.datasets.definitions import DEFINITIONS, UNSTATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from pymatgen.core import Structure

__all__ = ('FACTS', 'check_facts', 'make_entry', 'row_named', 'take_hop', 'take_row')

#: What such a barrier is compared with: barriers are mostly reported from the first image up.
USUAL = 'forward'

#: Names of functionals in publications, and the functionals that are meant. GGA is PBE nearly always where barriers are
#: published, and the functional of the datasets that say no more; other GGAs (PW91, PBEsol) go by their own names.
PUBLISHED = {
    'gga': 'pbe',
    'gga-pbe': 'pbe',
    'pbe-gga': 'pbe',
    'gga+u': 'pbe+u',
    'ggau': 'pbe+u',
    'lsda': 'lda',
    'lsda+u': 'lda+u',
}

#: Barriers in eV from here on are in another unit.
LARGEST = 100

#: What a literature row says of its barrier, and which of it there has to be.
FACTS = ('name', 'barrier', 'barrier_definition', 'functional', 'source', 'ion', 'notes')
NEEDED = ('name', 'barrier', 'source', 'ion')

#: What an entry says of the band that was computed.
OF_BAND = (
    *('engine', 'functional', 'potential', 'potential_functional', 'charge', 'converged', 'residual_force', 'climbing'),
    *('n_images', 'n_atoms', 'hop_length', 'mechanism', 'host', 'host_treatment', 'equivalent_endpoints'),
)


def check_facts(facts: Mapping[str, Any]) -> None:
    """Refuse a literature row with which nothing can be compared.

    :param facts: entries of :data:`FACTS`.
    :raises ValueError: naming the row and what is wrong with it.
    """
    from aiida_embarrier.structures.crystals import check_element

    check_keys(facts, FACTS)
    name = facts.get('name')
    for key in NEEDED:
        if facts.get(key) in (None, ''):
            which = '' if key == 'name' or not name else f' {name!r}'
            raise ValueError(f'the literature row{which} has no `{key}`, which is needed: {", ".join(NEEDED)}')
    barrier = facts['barrier']
    # comparisons with NaN are false
    if isinstance(barrier, bool) or not isinstance(barrier, int | float) or not 0 <= barrier < LARGEST:
        raise ValueError(
            f'the literature row {name!r} has the barrier {barrier!r}: give a number in eV, from 0 to less than '
            f'{LARGEST}; one in meV or kJ/mol is to be converted'
        )
    try:
        check_element(str(facts['ion']))
    except ValueError as error:
        raise ValueError(f'the literature row {name!r} names the ion wrongly: {error}') from error
    definition = facts.get('barrier_definition', UNSTATED)
    if definition not in DEFINITIONS:
        close = difflib.get_close_matches(str(definition), DEFINITIONS, n=1)
        hint = f'did you mean {close[0]!r}? ' if close else ''
        raise ValueError(
            f'the literature row {name!r} has the unknown barrier_definition {definition!r}: {hint}'
            f'(known: {", ".join(DEFINITIONS)}; {UNSTATED!r} where its source does not say)'
        )


def functionals_meant(name: str) -> frozenset[str]:
    """Return the functionals that a name means, for comparison; several of potentials trained on data of several.

    :param name: as a publication, an engine or a potential says it: `GGA`, `pbe+u`, `PBE/PBE+U (MPtrj)`. What stands in
        parentheses is the name of data, and after `modality` stands the only functional that a potential stands for.
    """
    text = re.sub(r'\(.*?\)', '', name).lower()
    text = text.rpartition('modality')[2]
    parts = [re.sub(r'[\s_]', '', part) for part in re.split('[/,]', text)]
    return frozenset(PUBLISHED.get(part, part) for part in parts)


def row_named(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return a row of a table of barriers; what it has no value for is left out.

    :raises ValueError: where there is no such row, naming the closest one, and for tables of something else.
    """
    from aiida_embarrier.datasets.schema import columns_of

    missing = [column.name for column in columns_of('barrier').values() if column.required and column.name not in frame]
    if missing:
        raise ValueError(f'the table holds no barriers: it lacks the column(s) {", ".join(missing)}')
    found = frame[frame['name'] == name]
    if not len(found):
        close = difflib.get_close_matches(name, [str(entry) for entry in frame['name']], n=3)
        hint = f': did you mean {" or ".join(map(repr, close))}?' if close else ''
        raise ValueError(f'the dataset of {len(frame)} rows has no row {name!r}{hint}')
    row: dict[str, Any] = found.iloc[0].dropna().to_dict()
    return row


def row_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row of a dataset says of its barrier, as a literature row does."""
    facts = {key: row[key] for key in FACTS if key in row}
    facts['barrier'] = float(facts['barrier'])
    facts.setdefault('barrier_definition', UNSTATED)
    return facts


def endpoints_of(row: Mapping[str, Any]) -> tuple[Structure, Structure, dict[str, Any]]:
    """Return both endpoints of a row of a dataset, and how they are aligned.

    :return: the structures, and how: `mechanism`, `alignment`, further keyword arguments of
        :func:`~aiida_embarrier.bands.alignment.align_endpoints`, and `warnings`.
    :raises ValueError: for a row whose path is no hop.
    """
    from aiida_embarrier.bands.alignment import align_endpoints
    from aiida_embarrier.datasets.schema import endpoints_of_row, flags_of

    initial, final = endpoints_of_row(row)
    ions = sum(site.specie.symbol == row['ion'] for site in initial)
    mechanism = row.get('mechanism') or ('interstitial' if ions == 1 else 'vacancy')
    # the path says which way the ion goes, even where another periodic image of its end is nearer
    alignment: dict[str, Any] = {'ion': row['ion'], 'keep_images': True}
    warnings = [f'the row is marked in its dataset: {flag}' for flag in flags_of(row)]
    if 'final_lattice' in row:
        alignment['lattice_policy'] = 'initial'
        warnings.append('the lattices of its endpoints differ: both were put into that of the initial one')
    if row.get('endpoint_symmetry') == 'low_symmetry' and 'final_frac_coords' not in row:
        warnings.append('its stored final state holds only roughly, as the other atoms of the host move along')
    align_endpoints(initial, final, mechanism=mechanism, **alignment)
    return initial, final, {'mechanism': mechanism, 'alignment': alignment, 'warnings': warnings}


@calcfunction
@refuse_politely
def take_row(dataset: TableData, parameters: Dict) -> dict[str, Any]:
    """Take the endpoints of one row of a dataset of barriers, and what its source says of the barrier.

    :param dataset: the dataset.
    :param parameters: `name` of the row.
    :return: `initial`, `final`, `mechanism` and `alignment` for the barrier work chain, and `row`: what the literature
        says, and `warnings`.
    """
    row = row_named(dataset.table, parameters['name'])
    initial, final, how = endpoints_of(row)
    title = dataset.base.attributes.get('source', None) or dataset.title or 'a dataset'
    facts = row_facts({'source': f'{title}, row {row["name"]}', **row})
    check_facts(facts)
    return {
        'initial': node_from_structure(initial)[0],
        'final': node_from_structure(final)[0],
        'mechanism': Str(how['mechanism']),
        'alignment': Dict(how['alignment']),
        'row': Dict({**facts, 'warnings': how['warnings']}),
    }


@calcfunction
@refuse_politely
def take_hop(hops: Dict) -> Dict:
    """Return the only hop of a derivation that has endpoints, spelt out.

    :param hops: output of the derivation.
    """
    plan = hops.get_dict()
    found = [hop for label, hop in plan['hops'].items() if label not in plan['failed']]
    if len(found) != 1:
        raise ValueError(f'an entry is one hop, and the derivation gave {len(found)}: say which by its number')
    return Dict(found[0])


@calcfunction
def make_entry(
    row: Dict,
    summary: Dict,
    band: BandData,
    derivation: Dict | None = None,
    structure: StructureData | None = None,
) -> Dict:
    """Set a computed barrier beside the one of the literature.

    :param row: what the literature says, see :func:`check_facts`.
    :param summary: summary of the barrier work chain.
    :param band: its band.
    :param derivation: summary of the derivation of the structure, where there was one.
    :param structure: the derived structure.
    :return: the literature value with its definition, the computed values by all definitions, their difference by the
        same one, how it was computed, and the UUIDs of the nodes.
    """
    facts = row.get_dict()
    attributes = band.base.attributes.all
    barriers = summary['barriers']
    stated = facts.get('barrier_definition', UNSTATED)
    definition = USUAL if stated == UNSTATED else stated
    computed = {name: barriers[name] for name in QUANTITIES}
    how = {name: attributes.get(name) for name in OF_BAND}
    warnings = [*facts.get('warnings', []), *([] if derivation is None else derivation['warnings'])]
    if stated == UNSTATED:
        warnings.append(f'the source does not say how its barrier is defined: it is compared with the {USUAL} one')
    if not how['converged']:
        warnings.append('the band did not converge: the computed barrier is not final')
    other = how['functional'] or how['potential_functional']
    if facts.get('functional') and other and not functionals_meant(facts['functional']) & functionals_meant(other):
        what = 'was computed with' if how['functional'] else f'{how["potential"]} was trained on'
        warnings.append(f'the literature value is of {facts["functional"]}, {what} {other}')
    nodes = {'band': band, 'summary': summary, 'row': row, 'structure': structure, 'derivation': derivation}
    return Dict(
        {
            'name': facts['name'],
            'ion': facts['ion'],
            'formula': attributes.get('formula'),
            'source': facts['source'],
            'literature': {
                'barrier': facts['barrier'],
                'definition': stated,
                'functional': facts.get('functional'),
                'notes': facts.get('notes'),
            },
            'computed': {**computed, **how},
            'definitions': barriers.get('definitions', {}),
            'comparison': {
                'definition': definition,
                'is_assumed': stated == UNSTATED,
                'literature': facts['barrier'],
                'computed': computed[definition],
                'difference': computed[definition] - facts['barrier'],
            },
            'branches': [] if derivation is None else derivation['branches'],
            'warnings': list(dict.fromkeys([*warnings, *summary.get('warnings', [])])),
            'nodes': {name: node.uuid for name, node in nodes.items() if node is not None},
        }
    )
