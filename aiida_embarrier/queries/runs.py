"""What tells the runs of a study from each other, in the words of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida_embarrier.calculations.studies import setting_text

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

__all__ = ('call_label', 'names_of_runs', 'run_label', 'run_of', 'task_name')

#: The only band of a barrier, as its work chain labels it.
BAND = 'band'
#: How the work chains of studies call their runs.
RUN = 'run_'


def call_label(node: ProcessNode) -> str | None:
    """Return what the caller of a process calls it, None where it has none or gave no name."""
    links = node.base.links.get_incoming().all()
    labels = [link.link_label for link in links if link.link_type.value.startswith('call')]
    return labels[0] if labels and labels[0] != 'CALL' else None


def run_of(node: ProcessNode, process: ProcessNode) -> str | None:
    """Return which run of a study a process below it belongs to, such as `n_images = 7`.

    :param node: a process below `process`.
    :param process: what may be a study.
    :return: None where it is none.
    """
    here = node
    while here.caller is not None and here.caller.pk != process.pk:
        here = here.caller
    run = None if here.caller is None else run_label(call_label(here))
    return None if run is None else names_of_runs(process).get(run, run)


def run_label(label: str | None) -> str | None:
    """Return the label of a run of a study, as its inputs have it, from that of the call; None for other calls."""
    return label.removeprefix(RUN) if label is not None and label.startswith(RUN) else None


def task_name(run: str | None, label: str) -> str:
    """Return the name of a task of a run; the only band of a run is called as the run is."""
    if run is None:
        return label
    return run if label == BAND else f'{run}, {label}'


def names_of_runs(process: ProcessNode) -> dict[str, str]:
    """Return the names of the runs of a study by their labels."""
    inputs = process.inputs
    if 'entries' in inputs:
        return {entry['label']: entry['name'] for entry in inputs.entries.get_list()}
    if 'study' not in inputs:
        return {}
    variables: list[dict[str, Any]] = inputs.study.get_dict().get('variables', [])
    ends = [variable['key'].rpartition('.')[2] for variable in variables]
    settings: dict[str, list[str]] = {}
    for variable, end in zip(variables, ends, strict=True):
        key = end if ends.count(end) == 1 else variable['key']
        for value, label in zip(variable['values'], variable['runs'], strict=True):
            settings.setdefault(label, []).append(f'{key} = {setting_text(value)}')
    return {label: ', '.join(texts) for label, texts in settings.items()}
