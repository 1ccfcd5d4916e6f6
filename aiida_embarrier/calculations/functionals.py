"""Calcfunction that gathers the barriers of a comparison of functionals in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.data.table import TableData

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('tabulate_functionals',)

#: Label of the only band of a barrier.
BAND = 'band'


@calcfunction
def tabulate_functionals(parameters: Dict, **nodes: Data) -> dict[str, TableData | Dict]:
    """Gather the cells of a comparison of functionals, and what they say of the functionals.

    :param parameters: `study`, as :func:`~aiida_embarrier.workflows.functionals_inputs.make_study` makes it;
        `quantity`, `range_error` and `min_systems`; and by the labels of cells and hosts `failures` (why), `problems`
        (lists of what did not go smoothly) and `bands` (UUIDs), and the list `not_run`.
    :param nodes: by the labels of cells `summary_` and `neb_`, summaries and results of the bands; by those of hosts
        `relaxed_`, results of their relaxation, and `host_`, the hosts.
    :return: `cells`, `functionals` and `effects`, tables as :mod:`aiida_embarrier.datasets.functionals` describes them,
        and `recommendation`.
    """
    from aiida_embarrier.datasets.functionals import (
        UNITS,
        cells_table,
        effects_table,
        functionals_table,
        recommend,
    )

    settings = parameters.get_dict()
    study = settings['study']
    rows = _rows(settings, nodes)
    cells = cells_table([{key: row[key] for key in row if key not in ('starts_from', 'host')} for row in rows.values()])
    keys = [method['key'] for method in study['functionals']]
    functionals = functionals_table(cells, keys, study['reference'], settings['range_error'])
    effects = effects_table(cells)
    found = recommend(
        cells,
        keys,
        study['reference'],
        quantity=settings['quantity'],
        error=settings['range_error'],
        min_systems=settings['min_systems'],
    )

    def table(frame: Any, title: str) -> TableData:
        return TableData(frame, units={name: UNITS[name] for name in frame.columns if name in UNITS}, title=title)

    return {
        'cells': table(cells, f'{settings["quantity"].replace("_", "-")} barriers of all cells'),
        'functionals': table(functionals, f'errors and costs of functionals, relative to {study["reference"]}'),
        'effects': table(effects, 'what charge and climbing image change'),
        'recommendation': Dict(found),
    }


def _rows(settings: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows of the table of cells by label; a cell stands after the one that it starts from."""
    study = settings['study']
    systems = {entry['label']: entry for entry in study['systems']}
    keys = {method['label']: method['key'] for method in study['functionals']}
    hosts = {(host['system'], host['functional']): _host(host['label'], settings, nodes) for host in study['hosts']}
    rows: dict[str, dict[str, Any]] = {}
    for cell in study['cells']:
        label, system = cell['label'], systems[cell['system']]
        measured = system['experiment']
        low, high = (None, None) if measured is None else measured['range']
        own = _own(label, settings, nodes)
        host = hosts.get((cell['system'], cell['functional']), _NO_HOST)
        stands_on = rows.get(cell['starts_from'], {}) if cell['starts_from'] is not None else host
        rows[label] = {
            'cell': label,
            'system': system['name'],
            'functional': keys[cell['functional']],
            'charge': cell['charge'],
            'charge_state': cell['charge_state'],
            'climbing': cell['climbing'],
            'experiment_low': low,
            'experiment_high': high,
            'host_volume': host['volume'],
            'band': settings['bands'].get(label),
            **own,
            **{
                f'total_{name}': _sum(own.get(own_name), stands_on.get(f'total_{name}'))
                for name, own_name in (('wall_s', 'wall_s'), ('core_h', 'core_h'), ('problems', 'n_problems'))
            },
        }
    return rows


#: What cells stand on whose endpoints were given.
_NO_HOST: dict[str, Any] = {'volume': None, 'total_wall_s': 0.0, 'total_core_h': 0.0, 'total_problems': 0}


def _host(label: str, settings: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a host is and took; one that was not to be relaxed took nothing."""
    host, relaxed = nodes.get(f'host_{label}'), nodes.get(f'relaxed_{label}')
    found = {**_NO_HOST, 'volume': None if host is None else host.get_cell_volume()}
    if relaxed is not None:
        found['total_wall_s'] = relaxed.get('wall_s')
        found['total_core_h'] = _hours(relaxed.get('core_s'))
    return {**found, 'total_problems': len(settings['problems'].get(label, []))}


def _own(label: str, settings: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cell gave and took itself."""
    summary, results = nodes.get(f'summary_{label}'), nodes.get(f'neb_{label}')
    message = settings['failures'].get(label)
    problems = list(settings['problems'].get(label, []))
    if summary is None:
        not_run = label in settings['not_run']
        if not not_run and not problems and message is not None:
            problems = [message]
        status = 'not run' if not_run else 'failed'
        return {'status': status, 'message': message, 'n_problems': len(problems), 'problems': _text(problems)}
    converged = bool(summary['converged']) and message is None
    if not converged and not problems:
        problems = [message or 'the band did not converge']
    task = {} if results is None else results['tasks'].get(BAND, {})
    barriers = summary['barriers']
    return {
        'status': 'converged' if converged else 'not converged',
        'message': message,
        'barrier': barriers[settings['quantity']],
        **{name: barriers[name] for name in QUANTITIES},
        'endpoint_difference': barriers['forward'] - barriers['reverse'],
        'residual_force': summary['residual_force'],
        'wall_s': _total(summary, 'worker_wall_s'),
        'core_h': _hours(_total(summary, 'core_s')),
        'ionic_steps': task.get('n_steps'),
        'evaluations': summary['n_force_evaluations'],
        'n_problems': len(problems),
        'problems': _text(problems),
        'warnings': _text(summary['warnings']),
        'n_images': summary['n_images'],
        'n_atoms': summary['n_atoms'],
    }


def _total(summary: Mapping[str, Any], name: str) -> float | None:
    """Return what all steps of a barrier took together, None where it is not known of each."""
    known = summary.get(name, {})
    return sum(known.values()) if known and set(known) >= set(summary['force_evaluations']) else None


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3600


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _text(entries: list[str]) -> str | None:
    return '; '.join(entries) or None
