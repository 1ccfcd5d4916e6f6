"""Datasets, splits and models that launches name: files become nodes, each once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_embarrier.jobs.learning import CARD_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from aiida_embarrier.data.dataset import DatasetData
    from aiida_embarrier.data.model import ModelData
    from aiida_embarrier.data.table import TableData

__all__ = ('dataset_node', 'features_node', 'model_node', 'sample_node', 'split_frame', 'split_node', 'stored_once')


def dataset_node(identifier: str, target: str | None = None, unit: str | None = None) -> DatasetData:
    """Return the dataset that a file holds or a PK, a UUID or a label names.

    A file is imported by a process on this machine. Where it was imported before, the dataset is that of the earlier
    import: AiiDA finds it by the content of the file.

    :param target: what the numbers of a file are, where its name does not tell.
    :param unit: their unit.
    :raises click.ClickException: where there is no such file or node, and for what holds no dataset.
    """
    from aiida_embarrier.data.dataset import DatasetData

    path = Path(identifier)
    if path.is_file():
        return _imported(path, target, unit)
    if path.suffix or len(path.parts) > 1:
        raise click.ClickException(f'there is no file {identifier!r}')
    node = _output_or_node(identifier, 'dataset')
    if not isinstance(node, DatasetData):
        raise click.ClickException(f'node {node.pk} is no dataset but a {type(node).__name__}')
    return node


def _imported(path: Path, target: str | None, unit: str | None) -> DatasetData:
    from aiida.manage.caching import enable_caching
    from aiida.orm import Dict, SinglefileData

    from aiida_embarrier.cli.dataset.running import run_worker

    about = {'target': target, 'target_unit': unit}
    parameters = Dict({key: value for key, value in about.items() if value is not None})
    with enable_caching(identifier='aiida.calculations:embarrier.dataset.import'):
        process = run_worker(
            'embarrier.dataset.import',
            None,
            label=path.name,
            file=SinglefileData(path.resolve()),
            parameters=parameters,
        )
    found: DatasetData = process.outputs.dataset
    return found


def split_node(split: str | Mapping[str, Any], dataset: DatasetData | None = None) -> TableData:
    """Return the split in a file or a node, or the one that a method makes of a dataset.

    :param split: a file, PK, UUID or label; or the parameters of
        :func:`~aiida_embarrier.calculations.splits.split_dataset`, which makes it.
    :param dataset: that a method splits.
    :raises click.ClickException: where there is no such file or node, for what holds no split, and where none can be
        made.
    """
    from aiida.orm import Dict

    from aiida_embarrier.data.table import TableData

    if not isinstance(split, str):
        from aiida_embarrier.calculations.splits import split_dataset
        from aiida_embarrier.cli.dataset.running import run_function

        outputs, _ = run_function(split_dataset, dataset, Dict(_without_hops(split)))
        made: TableData = outputs['split']
        return made
    path = Path(split)
    if path.is_file():
        return TableData(split_frame(path), title=path.name)
    if path.suffix or len(path.parts) > 1:
        raise click.ClickException(f'there is no file {split!r}')
    node = _output_or_node(split, 'split')
    if not isinstance(node, TableData):
        raise click.ClickException(f'node {node.pk} is no split but a {type(node).__name__}')
    return node


def _without_hops(split: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a split that compares no hops: what a launch does not show is not looked for."""
    return {'compare_hops': False, **split}


def split_table(split: str | Mapping[str, Any], frame: pd.DataFrame, profile: str | None) -> pd.DataFrame:
    """Return what :func:`split_node` would hold, for rows that are no node yet; nothing is stored.

    :param profile: to look for a node in; files and methods need none.
    :raises click.ClickException: as there.
    """
    if not isinstance(split, str):
        from aiida_embarrier.calculations.splits import split_rows

        return split_rows(frame, _without_hops(split)).table
    if Path(split).is_file():
        return split_frame(Path(split))
    from aiida_embarrier.cli.params import load_profile

    load_profile(profile)
    return split_node(split).table


def features_node(identifier: str) -> TableData:
    """Return the numbers that describe paths, of a node or of the process that made it.

    :raises click.ClickException: where there is no such node.
    """
    from aiida_embarrier.data.table import TableData

    node = _output_or_node(identifier, 'features')
    if not isinstance(node, TableData):
        raise click.ClickException(
            f'node {node.pk} is no table of numbers that describe paths but a {type(node).__name__}: name the output '
            '`features` of an earlier process, or that process'
        )
    return node


def split_frame(path: Path) -> pd.DataFrame:
    """Return the split in a file, CSV or parquet, which needs no profile.

    :raises click.ClickException: for what is no split, see :func:`~aiida_embarrier.datasets.parts.check_parts`.
    """
    import pandas as pd

    from aiida_embarrier.datasets.parts import check_parts

    try:
        names = {'name': 'str'}  # also those that look like numbers
        frame = pd.read_parquet(path) if path.suffix == '.parquet' else pd.read_csv(path, dtype=names)
    except (ValueError, OSError) as error:
        raise click.ClickException(f'{path} cannot be read as a split: {error}') from error
    try:
        check_parts(frame, str(path))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return frame


def sample_node(sample: Mapping[str, Any], dataset: DatasetData) -> TableData:
    """Return the sample that is drawn of a dataset, or a published one.

    :param sample: the parameters of :func:`~aiida_embarrier.calculations.sampling.sample_split`, and `file` with
        published samples.
    :raises click.ClickException: where it cannot be drawn.
    """
    from aiida.orm import Dict, SinglefileData

    from aiida_embarrier.calculations.sampling import sample_split
    from aiida_embarrier.cli.dataset.running import run_function

    parameters = {key: value for key, value in sample.items() if key != 'file'}
    inputs: list[Any] = [dataset, Dict(parameters)]
    if 'file' in sample:
        inputs.append(SinglefileData(Path(sample['file']).resolve()))
    outputs, _ = run_function(sample_split, *inputs)
    made: TableData = outputs['split']
    return made


def model_node(identifier: str) -> ModelData:
    """Return the model in a folder or a node: a model, or a process that made one; a folder is stored once.

    :raises click.ClickException: where there is none.
    :raises ValueError: for files that are truncated or altered.
    """
    from aiida_embarrier.data.model import ModelData

    path = Path(identifier)
    if path.is_file() and path.name in {WEIGHTS_FILE, CARD_FILE}:
        path = path.parent
    if path.is_dir():
        return stored_once(ModelData.from_folder(path))
    if len(path.parts) > 1:
        raise click.ClickException(f'there is no folder {identifier!r}')
    node = _output_or_node(identifier, 'model')
    if not isinstance(node, ModelData):
        raise click.ClickException(f'node {node.pk} is no model but a {type(node).__name__}')
    return node


def stored_once(model: ModelData) -> ModelData:
    """Return the node of a model that the profile holds already, or store it."""
    from aiida.orm import QueryBuilder

    from aiida_embarrier.data.model import ModelData

    wanted = {'attributes.weights_sha256': model.base.attributes.get('weights_sha256')}
    earlier = QueryBuilder().append(ModelData, filters=wanted).order_by({ModelData: 'id'}).all(flat=True)
    same = [node for node in earlier if node.card == model.card]
    return same[0] if same else model.store()


def _output_or_node(identifier: str, output: str) -> Any:
    """Return a node, or the output of a process that was named."""
    from aiida.orm import ProcessNode

    from aiida_embarrier.cli.params import find_node

    def has_it(node: Any) -> bool:
        return not isinstance(node, ProcessNode) or output in node.outputs

    node = find_node(identifier, has_it)
    if isinstance(node, ProcessNode):
        if output not in node.outputs:
            raise click.ClickException(f'process {node.pk} ({node.process_label}) has no output {output!r}')
        return node.outputs[output]
    return node
