"""Calcfunction that gathers the trainings of a study of transfer learning in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict  # noqa: TC002  (AiiDA reads the annotations of a calcfunction)

from aiida_embarrier.calculations.refusal import refuse_politely
from aiida_embarrier.data.table import TableData
from aiida_embarrier.jobs.learning import Architecture, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida_embarrier.data.model import ModelData

__all__ = ('PUBLISHED_EPOCHS_OF_SEVERAL', 'PUBLISHED_ROWS', 'reduced_from_published', 'tabulate_transfer')

#: Rows of the published datasets, a tenth of which tests.
PUBLISHED_ROWS = {
    'pz': 941,
    'dc': 1056,
    'ph': 1265,
    'ebg': 2481,
    'gv': 10987,
    'bg': 106113,
    'fe': 132752,
}
#: Crystals of the published models of several properties, and the epochs that they were trained (50 to 52).
PUBLISHED_ROWS_OF_SEVERAL = 132270
PUBLISHED_EPOCHS_OF_SEVERAL = 50
#: Rows of the smallest published pre-training of one property.
PUBLISHED_ROWS_OF_ONE = 941

#: Entries that a row of the table must have from the nodes of its training, or it counts for nothing.
_NEEDED = ('n_parameters', 'epochs', 'n_train', 'seed', 'r2', 'mae')


@calcfunction
@refuse_politely
def tabulate_transfer(parameters: Dict, **nodes: Data) -> dict[str, Any]:
    """Gather the trainings of a study: a row for each that is tested, and means over trials.

    Whatever stands in a row of a training that is done comes from the nodes of that training: its results and its
    model.

    :param parameters: `plan`, as :class:`~aiida_embarrier.workflows.transfer_plan.Plan` holds it; by labels of
        trainings `failures` (why), and `trainings` (UUIDs of the processes); and the list `not_run`.
    :param nodes: by the labels of trainings `results_` and `model_`; `published`, the table of published results.
    :return: `cells` and `summary`, tables as :mod:`aiida_embarrier.datasets.transfer` describes them.
    """
    from aiida_embarrier.datasets.transfer import cells_table, published_results, summary_table

    settings = parameters.get_dict()
    published = published_results(nodes['published'].table) if 'published' in nodes else None
    pretrainings = {entry['label']: entry for entry in settings['plan']['pretrainings']}
    rows = [_row(cell, pretrainings, settings, nodes) for cell in settings['plan']['cells']]
    cells = cells_table(rows, published)
    units = {'wall_s': 's'}
    title = settings['plan'].get('title') or 'transfer study'
    return {
        'cells': TableData(cells, units=units, title=f'{title}: every training'),
        'summary': TableData(summary_table(cells, published), title=f'{title}: means over trials'),
    }


def _row(
    cell: Mapping[str, Any], pretrainings: Mapping[str, Any], settings: Mapping[str, Any], nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of a cell."""
    label = cell['label']
    row: dict[str, Any] = {
        **{name: cell[name] for name in ('target', 'source', 'trial', 'lr', 'sampling')},
        'cell': label,
        'size': None if cell['rows'] == 'all' else cell['rows'],
        'strategy': _strategy(cell),
        'training': settings['trainings'].get(label),
    }
    parent = pretrainings.get(cell['pretraining'])
    before = None if parent is None else nodes.get(f'results_{parent["label"]}')
    if before is not None:
        row |= {'pretraining_size': _size(before), 'pretraining_epochs': before.get('epochs')}
    message = settings['failures'].get(label)
    results, model = nodes.get(f'results_{label}'), nodes.get(f'model_{label}')
    if message is None and results is not None and model is not None:
        found = _found(cell['target'], results, model)
        missing = [name for name in _NEEDED if found.get(name) is None]
        if not missing:
            before_model = None if parent is None else nodes.get(f'model_{parent["label"]}')
            remark = _remark(cell, parent, model)
            reduced = _reduced(model, parent, before, before_model)
            return {**row, **found, 'status': 'done', 'message': remark, 'reduced': reduced}
        message = f'its nodes do not say {", ".join(missing)}, so it does not count'
    status = 'not run' if label in settings['not_run'] else 'failed'
    return {**row, 'status': status, 'message': message or 'it ended without a model'}


def _found(target: str, results: Dict, model: ModelData) -> dict[str, Any]:
    """Return what the nodes of a training say."""
    attributes, answer = model.base.attributes, results.get_dict()
    rows = answer.get('rows', {})
    scores = [score for score in attributes.get('scores') if (score['label'], score['part']) == (target, 'test')]
    score = scores[0] if scores else {}
    unit = dict(zip(attributes.get('labels'), attributes.get('units'), strict=True)).get(target)
    return {
        **{name: score.get(name) for name in ('r2', 'mae', 'mae_scaled')},
        'n_test': score.get('n'),
        'unit': unit,
        'size': _size(results),
        'n_train': rows.get('train'),
        'n_validation': rows.get('validation', 0),
        **{name: attributes.get(name) for name in ('n_parameters', 'n_trained', 'epochs', 'best_epoch', 'seed')},
        'architecture': _architecture(attributes.get('architecture')),
        'wall_s': answer.get('wall_s'),
        'device': answer.get('device'),
        'model': model.uuid,
    }


def _remark(cell: Mapping[str, Any], parent: Mapping[str, Any] | None, model: ModelData) -> str | None:
    """Return what else is to be known of a training.

    Its learning rate was not the one that was asked for; or its pre-training has learned the target, too, so that it
    knows more rows of it than its size says.
    """
    own, words = model.base.attributes.get('training')['lr'], []
    if own != cell['lr']:
        words.append(f'it diverged, and was trained again with the learning rate {own:g}')
    if parent is not None and cell['target'] in parent['sources']:
        words.append(f'its pre-training has learned {cell["target"]}, too')
    return '; '.join(words) or None


def _size(results: Dict) -> int | None:
    """Return the rows that a training was trained and validated with."""
    rows = results.get_dict().get('rows', {})
    return rows['train'] + rows.get('validation', 0) if 'train' in rows else None


def _strategy(cell: Mapping[str, Any]) -> str | None:
    """Return how the parent is changed, in words; the names are those of the file of the study."""
    if cell['strategy'] is None:
        return None
    words = [cell['strategy']]
    if cell['head'] is not None:
        words.append(f'{cell["head"]} head')
    if cell['freeze'] is not None:
        words.append(f'freeze {cell["freeze"]}')
    return ', '.join(words)


def _architecture(numbers: Mapping[str, Any]) -> str:
    return f'ALIGNN {numbers["alignn_layers"]}+{numbers["gcn_layers"]} layers of {numbers["hidden"]}'


def _reduced(
    model: ModelData, parent: Mapping[str, Any] | None, before: Dict | None, before_model: ModelData | None
) -> str | None:
    """Return how a training and its pre-training fall short of the published ones."""
    attributes = model.base.attributes
    pretraining = None
    if parent is not None and before is not None and before_model is not None:
        pretraining = (parent, _size(before) or 0, before_model.base.attributes.get('training')['epochs'])
    return reduced_from_published(attributes.get('architecture'), attributes.get('training')['epochs'], pretraining)


def reduced_from_published(
    architecture: Mapping[str, Any], epochs: int, pretraining: tuple[Mapping[str, Any], int, int] | None
) -> str | None:
    """Return in words how a training falls short of the published one, None where it does not.

    :param architecture: of the model.
    :param epochs: at most, of the training.
    :param pretraining: entries `sources` and `rows` of its plan, the rows that it was trained and validated with, and
        its epochs at most; None without one.
    """
    full, words = Architecture(), []
    if any(architecture[name] < getattr(full, name) for name in ('alignn_layers', 'gcn_layers', 'hidden')):
        published = _architecture(full.model_dump()).removeprefix('ALIGNN ')
        words.append(f'{_architecture(architecture).removeprefix("ALIGNN ")} instead of {published}')
    most = TrainingSettings().epochs
    if epochs < most:
        words.append(f'{epochs} epochs instead of {most}')
    if pretraining is not None:
        plan, rows, own = pretraining
        several = len(plan['sources']) > 1
        most = PUBLISHED_EPOCHS_OF_SEVERAL if several else most
        if own < most:
            words.append(f'pre-trained for {own} epochs instead of {most}')
        least = PUBLISHED_ROWS_OF_ONE
        if several:
            least = PUBLISHED_ROWS_OF_SEVERAL
        elif plan['rows'] == 'all' and plan['sources'][0] in PUBLISHED_ROWS:
            least = PUBLISHED_ROWS[plan['sources'][0]]
            least -= round(least / 10)
        if rows < least:
            words.append(f'pre-trained on {rows} crystals instead of {least}')
    return '; '.join(words) or None
