"""``aiida-embarrier dataset filter``: rows that meet conditions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.cli.dataset.results import OUTPUT, check_output, echo_report, finish, node_report
from aiida_embarrier.cli.params import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ('command', 'read_conditions')

EXAMPLES = """\b
Examples:
  aiida-embarrier dataset filter barriers.parquet --where ion=Li,Na --where 'barrier<=1' -o small.parquet
  aiida-embarrier dataset filter 1234 --where 'flags!=coinciding_atoms,close_ion' --where functional=GGA"""

_CONDITION = re.compile(r'(?P<column>[^=<>!~]+?)\s*(?P<sign>!=|<=|>=|=|~)\s*(?P<value>.*)')


@click.command('filter', epilog=EXAMPLES)
@click.argument('dataset', metavar='FILE-OR-NODE')
@click.option('--where', 'conditions', multiple=True, metavar='CONDITION', help='See below; may be repeated.')
@click.option('--curate', 'curated', is_flag=True, help='Also apply the rules by which published barriers were chosen.')
@OUTPUT
@click.option('-p', '--profile', metavar='NAME', envvar='AIIDA_PROFILE', help='AiiDA profile to look for nodes in.')
@FORMAT
def command(
    dataset: str,
    conditions: tuple[str, ...],
    curated: bool,
    output: Path | None,
    overwrite: bool,
    profile: str | None,
    output_format: str,
) -> None:
    """Take the rows of a dataset that meet all conditions, and say which were left out and why.

    A condition is COLUMN=VALUE,VALUE,... or COLUMN!=VALUE,..., for numbers COLUMN<=NUMBER or COLUMN>=NUMBER, and for
    text COLUMN~PART. Of the column flags, != leaves out rows with any of these defects. --curate keeps, of several rows
    of one path, those with a preferred functional (GGA, GGA+U). A file needs -o and no profile; of a node a process
    makes another one.
    """
    from aiida_embarrier.cli.dataset.loading import load_frame

    wanted = read_conditions(conditions)
    if not wanted and not curated:
        raise click.UsageError('nothing to filter by: give a --where, or --curate')
    check_output(output, overwrite)
    loaded = load_frame(dataset, profile)
    if loaded.node is not None:
        _of_node(loaded.node, wanted, curated, output_format)
        return
    from aiida_embarrier.datasets.curation import check_column

    for column in wanted:  # a wrong one is told before that -o is missing
        check_column(loaded.frame, column)
    if output is None:
        raise click.UsageError('the rows of a file go into a file: name it with -o')

    def compute() -> Any:
        import pandas as pd

        from aiida_embarrier.datasets.curation import Curated, curate_rows, filter_rows

        found = filter_rows(loaded.frame, wanted)
        if not curated:
            return found
        again = curate_rows(found.frame)
        return Curated(again.frame, pd.concat([found.left_out, again.left_out], ignore_index=True), again.notes)

    finish(compute, output, output_format, loaded.named())


def _of_node(node: Any, conditions: dict[str, Any], curated: bool, output_format: str) -> None:
    from aiida.orm import Dict

    from aiida_embarrier.calculations.curation import curate, filter_dataset
    from aiida_embarrier.cli.dataset.running import run_function

    left, notes = [], []
    for function, settings in ((filter_dataset, conditions), (curate, {} if curated else None)):
        if settings is None or (function is filter_dataset and not settings):
            continue
        outputs, process = run_function(function, node, Dict(settings))
        node = outputs['dataset']
        left += outputs['left_out'].table.to_dict('records')
        notes += [outputs['left_out'].description] if outputs['left_out'].description else []
    echo_report({**node_report(process, node), 'left_out': left, 'notes': notes}, output_format)


def read_conditions(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return conditions as :func:`~aiida_embarrier.datasets.curation.filter_rows` takes them.

    :raises click.BadParameter: for a text that is none.
    """
    conditions: dict[str, dict[str, Any]] = {}
    for text in texts:
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            raise click.BadParameter(
                f'{text!r} is no condition such as ion=Li,Na, barrier<=1, functional!=LDA or name~MnO',
                param_hint='--where',
            )
        column, sign, value = found['column'].strip(), found['sign'], found['value'].strip()
        kind = {'=': 'in', '!=': 'not', '<=': 'max', '>=': 'min', '~': 'contains'}[sign]
        entry: Any = [_value(part.strip()) for part in value.split(',')] if kind in {'in', 'not'} else value
        if kind in {'min', 'max'}:
            try:
                entry = float(value)
            except ValueError as error:
                raise click.BadParameter(f'{value!r} in {text!r} is no number', param_hint='--where') from error
        entries = conditions.setdefault(column, {})
        if kind == 'not' and kind in entries:
            entry = [*entries[kind], *entry]
        elif kind in entries:
            raise click.BadParameter(
                f'two conditions {column}{sign} are given: all conditions have to be met, so give the narrower one; '
                f'values of which one has to be there are listed, as in ion=Li,Na',
                param_hint='--where',
            )
        entries[kind] = entry
    return conditions


def _value(text: str) -> Any:
    """Return a truth value for one, else the text: columns of numbers take it as a number."""
    return text.lower() == 'true' if text.lower() in {'true', 'false'} else text
