"""Calcfunctions that gather several barriers of one path in a table: over settings, and over potentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_embarrier.bands.barriers import QUANTITIES
from aiida_embarrier.calculations.results import cost_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ('only_for', 'recommend', 'setting_text', 'tabulate_potentials', 'tabulate_settings')

#: The step of a barrier whose cost a study does not count: it depends on none of the usual settings.
HOST = 'relax_host'


@calcfunction
def tabulate_settings(parameters: Dict, **summaries: Dict) -> Dict:
    """Gather the barriers of a convergence study, and recommend the cheapest setting within the tolerance.

    :param parameters: `variables`, `quantity`, `tolerance` in eV, `failures` (why, by run), and `shares`: for runs that
        took the endpoints of another one, that run.
    :param summaries: of the runs by their labels.
    :return: `variables`: for each its `key`, `rows` from the coarsest to the finest setting, `recommended` (None where
        nothing is shown to be converged) and `message`; `quantity`, `tolerance`; `n_force_evaluations` of all runs.
    """
    settings = parameters.get_dict()
    found = {label: node.get_dict() for label, node in summaries.items()}
    runs = {
        label: {
            **_barrier(summary, found.get(settings['shares'].get(label))),
            'message': settings['failures'].get(label),
        }
        for label, summary in found.items()
    }
    variables = []
    for variable in settings['variables']:
        rows: list[dict[str, Any]] = [
            {
                'value': value,
                'text': setting_text(value),
                'run': label,
                **(runs.get(label) or _failed(settings['failures'].get(label))),
            }
            for value, label in zip(variable['values'], variable['runs'], strict=True)
        ]
        finest = rows[-1].get(settings['quantity']) if rows[-1]['status'] == 'converged' else None
        _compare(rows, settings['quantity'], finest)
        recommended, message = recommend(rows, settings['tolerance'])
        message += only_for(rows, settings['quantity'], settings['tolerance'])
        variables.append({'key': variable['key'], 'rows': rows, 'recommended': recommended, 'message': message})
    return Dict(
        {
            'variables': variables,
            'quantity': settings['quantity'],
            'tolerance': settings['tolerance'],
            'n_force_evaluations': sum(summary['n_force_evaluations'] for summary in found.values()),
        }
    )


@calcfunction
def tabulate_potentials(parameters: Dict, **nodes: Dict) -> Dict:
    """Gather the barriers of one path by several potentials.

    :param parameters: `entries`: label and name of each potential in their order; `quantity`, `single_point`,
        `failures` (why, by label), and `reference` (`barrier` in eV and `label`) or None.
    :param nodes: summaries of the barriers by label; as `relax_` and the label the results of relaxing the endpoints,
        where that was done apart.
    :return: `rows`, one for each entry, with `difference` to the reference where there is one; and what was asked for.
    """
    settings = parameters.get_dict()
    reference = settings['reference']
    rows: list[dict[str, Any]] = []
    evaluations = 0
    for entry in settings['entries']:
        label = entry['label']
        summary, relaxed = nodes.get(label), nodes.get(f'relax_{label}')
        problem = settings['failures'].get(label)
        apart = cost_of({} if relaxed is None else {'relax_endpoints': relaxed})
        evaluations += apart['n_force_evaluations'] + (0 if summary is None else summary['n_force_evaluations'])
        row = _failed(problem) if summary is None else {**_barrier(summary.get_dict(), apart), 'message': problem}
        if settings['single_point'] and summary is not None:
            row.update(status='single point', message=None)
        rows.append({'label': label, 'name': entry['name'], **row})
    _compare(rows, settings['quantity'], None if reference is None else reference['barrier'])
    return Dict(
        {
            'rows': rows,
            'quantity': settings['quantity'],
            'single_point': settings['single_point'],
            'reference': reference,
            'n_force_evaluations': evaluations,
        }
    )


def _barrier(summary: Mapping[str, Any], shared: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a row of a table for the summary of a barrier.

    :param shared: cost of what was done for it elsewhere, as it stands in a summary.
    """
    spent = {**({} if shared is None else shared['force_evaluations']), **summary['force_evaluations']}
    walls = {**({} if shared is None else shared['worker_wall_s']), **summary['worker_wall_s']}
    evaluations = sum(count for step, count in spent.items() if step != HOST)
    found = summary['barriers']
    return {
        'status': 'converged' if summary['converged'] else 'not converged',
        **{name: found[name] for name in QUANTITIES},
        'reaction_energy': found['forward'] - found['reverse'],
        'residual_force': summary['residual_force'],
        'n_images': summary['n_images'],
        'n_atoms': summary['n_atoms'],
        'evaluations': evaluations,
        'cost': evaluations * summary['n_atoms'],
        'wall_s': sum(seconds for step, seconds in walls.items() if step != HOST),
        'functional': summary['functional'],
        'warnings': summary['warnings'],
    }


def _failed(message: str | None) -> dict[str, Any]:
    return {'status': 'failed', 'message': message or 'it was not run'}


def _compare(rows: Sequence[dict[str, Any]], quantity: str, reference: float | None) -> None:
    """Write into each row how far its barrier lies from a reference, in eV."""
    for row in rows:
        value = row.get(quantity)
        row['difference'] = None if value is None or reference is None else value - reference


def setting_text(value: Any) -> str:
    """Return a setting for readers: a supercell as 2×2×1, a matrix by its rows, other values as they are."""
    if not isinstance(value, list | tuple):
        return f'{value:g}' if isinstance(value, float) else str(value)
    if value and isinstance(value[0], list | tuple):
        return ' / '.join(' '.join(map(str, row)) for row in value)
    return '×'.join(map(str, value))


def only_for(rows: Sequence[Mapping[str, Any]], quantity: str, tolerance: float) -> str:
    """Return what has to be added to a recommendation where another barrier limits the rate; nothing elsewhere.

    :param rows: from the coarsest to the finest setting, with all barriers in eV.
    :param quantity: the barrier that was compared.
    :param tolerance: in eV.
    """
    apart = [
        row for row in rows if row['status'] == 'converged' and abs(row['rate_limiting'] - row[quantity]) > tolerance
    ]
    if not apart:
        return ''
    row = apart[-1]
    usable = [dict(row) for row in rows if row['status'] == 'converged']
    _compare(usable, 'rate_limiting', usable[-1]['rate_limiting'])
    spread = max(abs(row['difference']) for row in usable)
    return (
        f'. This holds for the {quantity} barrier only: at {row["text"]} the rate-limiting one is '
        f'{row["rate_limiting"]:.3f} eV, not {row[quantity]:.3f} eV, and changes by up to {1000 * spread:.1f} meV over '
        'these settings; compare it by `--quantity rate_limiting`'
    )


def recommend(rows: Sequence[Mapping[str, Any]], tolerance: float) -> tuple[Any, str]:
    """Return the cheapest setting that is as good as the finest one, None where there is none, and why.

    A setting counts as converged where its barrier and those of all finer settings lie within the tolerance of that of
    the finest one: a coarse setting may agree with it by chance. What the finest setting alone says shows nothing.

    :param rows: from the coarsest to the finest setting, with `value`, its `text`, `status`, `message`, `difference` to
        the finest in eV, and `cost`.
    :param tolerance: in eV.
    """
    finest = rows[-1]
    if finest['status'] != 'converged':
        reason = finest['message'] or 'its band did not converge'
        return None, f'the finest setting, {finest["text"]}, gave no barrier to compare with: {reason}'
    usable = [row for row in rows if row['status'] == 'converged']
    if len(usable) < 2:
        return None, f'only the finest setting, {finest["text"]}, gave a barrier: there is nothing to compare it with'
    within: list[Mapping[str, Any]] = []
    for row in reversed(usable):
        if abs(row['difference']) > tolerance:
            break
        within.append(row)
    if len(within) == 1:
        before = usable[-2]
        return None, (
            f'not converged: the two finest settings, {before["text"]} and {finest["text"]}, differ by '
            f'{1000 * abs(before["difference"]):.1f} meV; go on to finer ones'
        )
    best = min(within, key=lambda row: row['cost'])
    return best['value'], (
        f'{best["text"]} is the cheapest setting within {1000 * tolerance:g} meV of the finest, {finest["text"]}: '
        f'{1000 * abs(best["difference"]):.1f} meV at {best["cost"] / finest["cost"]:.2f} of its cost'
    )
